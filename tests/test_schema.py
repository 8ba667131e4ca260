"""The JSON Schema says what the checker says, as far as draft 7 can."""

import json
from pathlib import Path

import jsonschema
import pytest

from kplug import Architecture, Loss, SpecError, call, hookimpl, load, loads
from kplug.spec.plugins import host, using
from kplug.spec.schema import schema
from kplug.spec.yaml12 import parse

ROOT = Path(__file__).parents[1]
SPECS = sorted(path.name for path in (ROOT / "specs").glob("*.yaml"))
BAD = sorted((ROOT / "tests/bad").glob("*.yaml"))
WHOLE_FLOAT = "to JSON Schema 1.0 is a whole number"
PREDICATE = "a predicate is a Python function"
RULE = "a rule is a Python function"
NOT_FINITE = "JSON has no such number"
SOURCE = "a schema knows no source's fields"
ONLY_THE_CHECKER = {
    "format_float": WHOLE_FLOAT,
    "seed_is_a_whole_float": WHOLE_FLOAT,
    "long_text": PREDICATE,
    "name_empty": PREDICATE,
    "name_starts_with_a_dot": PREDICATE,
    "name_with_a_slash": PREDICATE,
    "text_with_line_breaks": PREDICATE,
    "layers_name_input": RULE,
    "layers_name_taken": RULE,
    "layers_repeat_two_inputs": RULE,
    "layers_unknown_input": RULE,
    "rule_of_clipping": RULE,
    "rule_of_groups": RULE,
    "search_first": RULE,
    "window_upside_down": RULE,
    "feature_of_no_field": SOURCE,
    "field_of_label_misspelled": SOURCE,
    "feature_without_type": SOURCE,
    "image_size_a_number": SOURCE,  # it is what `text` takes, and nothing says which feature is meant
    "infinity": NOT_FINITE,
    "not_a_number": NOT_FINITE,
}


def read(path):
    """The plain data of a file, None where it is not even that."""
    try:
        return parse(path.read_bytes(), str(path))[0]
    except SpecError:
        return None


STRUCTURAL = {path.stem: data for path in BAD if (data := read(path)) is not None}


@pytest.fixture(scope="module")
def validator():
    with using([]):
        yield jsonschema.Draft7Validator(schema(host().registry))


def test_the_schema_is_valid(validator):
    jsonschema.Draft7Validator.check_schema(validator.schema)
    assert json.loads(json.dumps(validator.schema)) == validator.schema
    assert "prefixItems" not in json.dumps(validator.schema), "draft 2020-12 wrote it so"


def test_every_reference_leads_somewhere(validator):
    definitions = validator.schema["definitions"]

    def references(tree):
        if isinstance(tree, dict):
            if "$ref" in tree:
                yield tree["$ref"]
            tree = list(tree.values())
        for item in tree if isinstance(tree, list) else ():
            yield from references(item)

    found = set(references(validator.schema))
    assert len(found) > 150
    assert all(ref.removeprefix("#/definitions/").replace("~1", "/") in definitions for ref in found)


def test_everything_installed_is_in_it(validator):
    definitions = validator.schema["definitions"]
    for component in host().registry.components:
        written = definitions[f"{component.kind}.{component.name}"]
        assert written["description"] == component.summary
        assert set(written["properties"]) == {"type", *component.parameters}
        assert written["required"] == ["type", *component.required]
        for name, text in component.documentation[1].items():
            assert written["properties"][name]["description"] == text


@pytest.mark.parametrize("name", SPECS)
def test_shipped_specs_pass_both(name):
    """With what is installed: a spec may need a plugin of the repository."""
    with using(_installed_plugins()):
        spec = load(ROOT / "specs" / name)
        found = jsonschema.Draft7Validator(schema(host().registry))
        found.validate(spec.data)
        found.validate(spec.filled().data)


def _installed_plugins():
    import importlib

    folders = sorted(
        path.parent.name for path in (ROOT / "plugins").glob("*/*/__init__.py") if path.parent.name != "tests"
    )
    return [importlib.import_module(name) for name in folders]


def test_shipped_specs_point_editors_at_the_schema():
    for name in SPECS:
        assert (ROOT / "specs" / name).read_text().startswith("# yaml-language-server: $schema="), name


@pytest.mark.parametrize("name", STRUCTURAL)
def test_bad_specs(name, validator):
    """What draft 7 cannot see is listed above, each with the reason, and nothing is listed without need."""
    assert validator.is_valid(STRUCTURAL[name]) == (name in ONLY_THE_CHECKER)


@pytest.mark.parametrize(
    ("features", "good"),
    [
        ({"image": {"size": [8, 8]}}, True),
        ({"image": {"type": "image", "size": [8, 8]}}, True),
        ({"image": "image", "label": {}}, True),
        ({"image": {"sizes": [8, 8]}}, False),
        ({"image": {"type": "image", "sizes": [8, 8]}}, False),
        ({"image": {"type": "picture"}}, False),
        ({"image": 3}, False),
    ],
)
def test_a_feature_may_have_no_type(features, good, validator):
    data = {"name": "x", "task": {"type": "classification", "model": "flatten"}}
    assert validator.is_valid(data | {"data": {"source": "digits", "features": features}}) == good


def test_what_is_listed_is_there():
    assert set(ONLY_THE_CHECKER) <= set(STRUCTURAL)


# --- strangers --------------------------------------------------------------------------------------------------------


def own(part: Architecture = "flatten", inner: Loss | None = call("huber", delta=2.0)) -> Loss:
    """Take a part.

    Args:
        part: any architecture.
        inner: another loss.
    """


class Owner:
    distribution = "owner"

    @hookimpl
    def components(self):
        return [own]


class Rival(Owner):
    distribution = "rival"


def spec_with(loss):
    return {
        "name": "x",
        "task": {"type": "classification", "model": "flatten", "loss": loss},
        "data": {"source": "digits"},
    }


@pytest.mark.parametrize(
    ("plugins", "loss", "good"),
    [
        ([Owner], "own", True),
        ([Owner], "owner/own", True),
        ([Owner], {"type": "owner/own", "part": {"type": "dense", "units": 3}}, True),
        ([Owner], {"type": "own", "inner": None}, True),
        ([Owner], {"type": "own", "inner": {"type": "own", "inner": "own"}}, True),
        ([Owner], {"type": "own", "part": "dense"}, False),
        ([Owner], {"type": "own", "part": "dice"}, False),
        ([Owner], "rival/own", False),
        ([Owner, Rival], "own", False),
        ([Owner, Rival], "owner/own", True),
        ([Owner, Rival], {"type": "rival/own"}, True),
        ([], "own", False),
    ],
)
def test_names_of_plugins(plugins, loss, good):
    data = spec_with(loss)
    with using([plugin() for plugin in plugins]):
        assert jsonschema.Draft7Validator(schema(host().registry)).is_valid(data) == good
        text = json.dumps(data)  # JSON is YAML
        if good:
            assert loads(text)
        else:
            with pytest.raises(SpecError):
                loads(text)
