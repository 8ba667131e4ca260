"""Properties of every spec: drawn from the annotations of what is registered, like the checker and the schema."""

import functools
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jsonschema
import pytest
from hypothesis import assume, given, settings

from kplug import Loss, Metric, SpecError, Text, hookimpl, loads
from kplug.spec.plugins import host, using
from kplug.spec.schema import schema
from kplug.spec.yaml12 import dump

sys.path.append(str(Path(__file__).parents[1] / "tools"))

from fuzz_parts.drawing import ruled, specs

# --- what the built-ins may lack -------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Weighted:
    """A record that needs something."""

    loss: Callable[[], Loss]
    weight: float = 1.0
    note: Text | None = None


def weighted(
    parts: list[Weighted | Loss],
    named: dict[str, Metric | None] = {},  # noqa: B006
    words: dict[Literal["a", "b"], list[tuple[int, str]]] = {},  # noqa: B006
    pair: tuple[bool, Text] = (True, "x"),
) -> Loss:
    """Ask for everything at once."""


class Plugin:
    @hookimpl
    def components(self):
        return [weighted]


@pytest.fixture(scope="module", autouse=True)
def installed():
    with using([Plugin()]):
        yield


def read(data):
    """The spec that the data is; a rule may refuse it, nothing else may."""
    try:
        return loads(dump(data))
    except SpecError as error:
        assert all(ruled(data, problem) for problem in error.problems), str(error)
    assume(False)


@given(specs)
@settings(max_examples=150, deadline=None)
def test_any_spec_is_read_filled_written_and_read_back(data):
    spec = read(data)
    assert json.dumps(spec.data) == json.dumps(data), "types too: true is not 1, 1.0 is not 1"
    filled = spec.filled()
    again = loads(filled.dump())
    assert again == filled
    assert again.filled() == filled
    assert filled.at({}) == filled


@functools.cache
def validator():  # no fixture: what fails would be told with all of the schema
    return jsonschema.Draft7Validator(schema(host().registry))


@given(specs)
@settings(max_examples=60, deadline=None)
def test_any_spec_and_its_filled_form_fit_the_schema(data):
    spec = read(data)
    validator().validate(spec.data)
    validator().validate(spec.filled().data)
