"""The house rules that a test can see: where modules stand, what they import, what is documented, tested and small."""

import ast
import importlib
import inspect
import io
import json
import pkgutil
import re
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import kplug
from kplug import hookspecs
from kplug.spec.plugins import host
from kplug.testing import no_tensorflow

ROOT = Path(__file__).parents[1]
KPLUG = sorted((ROOT / "kplug").rglob("*.py"))
GENERATED = "do not edit"  # in the docstring of what tools/keras_components writes
CORE = [path for path in KPLUG if "default_plugins" not in path.parts]
OF_PLUGINS = sorted((ROOT / "plugins").glob("*/kplug_*/**/*.py"))
TESTS = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "plugins").glob("*/tests/**/*.py")]
TECHNIQUES = re.compile(r"\bgan\b|simclr|few_?shot|captioning|mask_?rcnn|anchor_?box", re.IGNORECASE)
MODALITY = re.compile(r"\bimages?\b|image_|probabilities|[\"']label[\"']|\b(gan|box(es)?|caption|episode)\b")
LONGEST_MODULE, LONGEST_FUNCTION = 400, 40

# A module imports from its own place or from the left.
ORDER = [
    "errors",
    "records",
    "kinds",
    "hookspecs",
    "console",
    "spec",
    "storage",
    "data",
    "model",
    "inference",
    "training",
    "tuning",
    "contracts",
    "kplug",
    "testing",
    "authoring",
    "cli",
    "default_plugins",
]
LIGHT = ORDER[: ORDER.index("data")]  # these import neither TensorFlow nor NumPy
LIGHT_TOO = ("kplug", "kplug.testing", "kplug.authoring", "kplug.cli", "kplug.inference.run", "kplug.contracts.plugged")
GONE = {"ImageArchitecture"}  # names of 0.1.0: API 2 says `Annotated[Architecture, Sees(FIELD)]` in its place
FOR_PLUGINS = ("kplug", "kplug.kinds", "kplug.errors", "kplug.authoring", "kplug.testing", "kplug.tuning.executor")


# --- where modules stand and what they import ------------------------------------------------------------------------


def name_of(path: Path, root: Path) -> str:
    """The dotted name of a module: `kplug.spec.check`."""
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def layer(module: str) -> int:
    """The place in ORDER of a module; of `kplug` itself too, which re-exports."""
    name = [*module.split("."), "kplug"][1]
    return ORDER.index(name) if name in ORDER else len(ORDER)


def imports(path: Path) -> Iterator[str]:
    """The modules of kplug that a file imports, at its top or in a function, but for annotations alone."""
    tree = ast.parse(path.read_text())
    guarded = [
        node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    ]
    free = {id(inner) for node in guarded for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and id(node) not in free:
            assert not node.level, f"{path}:{node.lineno}: a relative import"
            if node.module.split(".")[0] == "kplug":
                yield from imported_by(node)
        if isinstance(node, ast.Import) and id(node) not in free:
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "kplug")


def imported_by(node: ast.ImportFrom) -> Iterator[str]:
    """The modules that a `from ... import ...` reads: `from kplug import hookspecs` reads a module of kplug's."""
    for alias in node.names:
        module = f"{node.module}.{alias.name}"
        place = ROOT / module.replace(".", "/")
        yield module if place.is_dir() or place.with_suffix(".py").is_file() else node.module


def imports_that_go_up(root: Path) -> list[str]:
    """Each import of a module by one that stands further left."""
    return [
        f"{name_of(path, root)} -> {there}"
        for path in sorted((root / "kplug").rglob("*.py"))
        for there in imports(path)
        if layer(there) > layer(name_of(path, root))
    ]


def imports_of_internals(root: Path) -> list[str]:
    """Each import by a plugin of what is not meant for plugins."""
    return [
        f"{path.relative_to(root)} -> {there}"
        for path in sorted((root / "plugins").glob("*/kplug_*/**/*.py"))
        for there in imports(path)
        if there not in FOR_PLUGINS
    ]


def planted(tmp_path: Path, file: str, line: str) -> Path:
    """A tree with a single file in it."""
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(line + "\n")
    return tmp_path


def test_imports_go_down():
    assert imports_that_go_up(ROOT) == []


def test_plugins_import_what_is_meant_for_them():
    assert imports_of_internals(ROOT) == []


@pytest.mark.parametrize(
    "file, line, found",
    [
        ("kplug/data/x.py", "from kplug.training.fit import train", "kplug.data.x -> kplug.training.fit"),
        ("kplug/spec/x.py", "def f():\n    import kplug.data.splits", "kplug.spec.x -> kplug.data.splits"),
        ("kplug/model/x.py", "from kplug import Run", "kplug.model.x -> kplug"),
        ("kplug/storage/x.py", "from kplug import cli", "kplug.storage.x -> kplug.cli"),
    ],
)
def test_an_import_that_goes_up_is_found(tmp_path, file, line, found):
    assert imports_that_go_up(planted(tmp_path, file, line)) == [found]


def test_an_import_for_annotations_alone_may_go_up(tmp_path):
    line = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from kplug.training.fit import train"
    assert imports_that_go_up(planted(tmp_path, "kplug/data/x.py", line)) == []


def test_a_plugin_that_reaches_into_kplug_is_found(tmp_path):
    root = planted(tmp_path, "plugins/kplug-x/kplug_x/deep/x.py", "from kplug.model.network import Network")
    assert imports_of_internals(root) == ["plugins/kplug-x/kplug_x/deep/x.py -> kplug.model.network"]


def heavy(*modules: str) -> str:
    """The error of importing modules where TensorFlow and its like cannot be, or of NumPy being loaded."""
    done = no_tensorflow(code=f"import sys, {', '.join(modules)}; assert 'numpy' not in sys.modules, 'numpy'")
    return done.stderr if done.returncode else ""


def test_the_upper_half_imports_nothing_heavy():
    upper = [name_of(path, ROOT) for path in KPLUG if layer(name_of(path, ROOT)) < len(LIGHT)]
    assert len(upper) > 30
    assert heavy(*upper, *LIGHT_TOO) == ""


def test_a_heavy_import_is_found():
    assert "numpy" in heavy("kplug.spec.spec", "numpy")
    assert "tensorflow is imported" in heavy("kplug.data.pipeline")


def test_the_faces_offer_what_they_did():
    """The names of 0.1.0 can still be imported from where they were, but for those that are gone on purpose."""
    lacking = {
        module: [name for name in names if name not in GONE and not hasattr(importlib.import_module(module), name)]
        for module, names in json.loads((ROOT / "tests/old/names.json").read_text()).items()
    }
    assert not any(lacking.values()), lacking


def test_every_name_for_authors_is_there():
    from kplug import authoring

    assert [name for name in dir(authoring) if not hasattr(authoring, name)] == []
    assert set(dir(authoring)) == set(re.findall(r"import \w+ as (\w+)", inspect.getsource(authoring)))
    with pytest.raises(AttributeError, match="no attribute 'Netwrok'"):
        _ = authoring.Netwrok


# --- what is documented and tested -----------------------------------------------------------------------------------


def hooks():
    return [name for name, value in vars(hookspecs).items() if hasattr(value, "kplug_spec")]


@pytest.mark.parametrize("hook", hooks())
def test_every_hook_is_implemented_in_a_test(hook):
    implemented = re.compile(rf"@(\w+\.)?hookimpl\b[^\n]*\n(\s*@staticmethod\n)?\s*def {hook}\(")
    assert any(implemented.search(path.read_text()) for path in TESTS)


def test_every_component_and_parameter_is_documented():
    lacking = [
        f"{component.owner}: {component.name}: {', '.join(missing) or 'summary'}"
        for component in host().registry.components
        if (missing := [name for name in component.parameters if not component.documentation[1].get(name)])
        or not component.summary.endswith((".", ")", "?", ":"))
        or component.documentation[1].keys() - component.parameters.keys()
    ]
    assert lacking == []


def test_every_hook_and_section_is_documented():
    from kplug.spec.component import section
    from kplug.spec.sections import DataSection, ExportSection, FitSection, SpecSection

    assert all(inspect.getdoc(getattr(hookspecs, hook)) for hook in hooks())
    for found in map(section, (SpecSection, DataSection, FitSection, ExportSection)):
        assert found.documentation[1].keys() == found.parameters.keys()


def docstrings(path: Path) -> Iterator[tuple[str, str]]:
    """(place, docstring) of a module and all that it defines."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (text := ast.get_docstring(node)):
            yield f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}", text


def test_docstrings_say_their_subject():
    """A reader of `Of an epoch; the best has the least.` must guess what it is about."""
    found = [
        f"{place}: {text.splitlines()[0]}"
        for path in (*KPLUG, *OF_PLUGINS)
        for place, text in docstrings(path)
        if re.match(r"(Of|What|Whether|As|By|For|From|To|In|How|Which|Where|Who) ", text)
    ]
    assert found == []


# --- what is small ---------------------------------------------------------------------------------------------------


def written_by_hand() -> list[Path]:
    return [path for path in (*KPLUG, *OF_PLUGINS) if GENERATED not in path.read_text()[:600]]


def body_lines(function: ast.FunctionDef) -> int:
    """How many lines a function's body has without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_no_module_is_long():
    lines = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in written_by_hand()}
    assert len(lines) > 150
    assert {name: count for name, count in lines.items() if count > LONGEST_MODULE} == {}


def test_no_function_is_long():
    sizes = {
        f"{path.relative_to(ROOT)}:{node.lineno}": body_lines(node)
        for path in written_by_hand()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
    }
    assert {place: size for place, size in sizes.items() if size > LONGEST_FUNCTION} == {}
    assert sorted(sizes.values())[len(sizes) * 9 // 10] <= 15


def test_no_literal_is_splatted_against_the_formatter():
    """`*(A, B), *(C, D)` holds the formatter off a list; `"A B C D".split()` says the same plainly."""
    found = []
    for path in (*written_by_hand(), *TESTS):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Starred) and isinstance(node.value, ast.Tuple | ast.List):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert found == []


def test_the_core_names_no_technique():
    found = [f"{path.name}: {match[0]}" for path in CORE for match in TECHNIQUES.finditer(path.read_text())]
    assert found == []


def modalities_in(root):
    """Names of fields, outputs and techniques in strings and identifiers where examples are whatever they are."""
    found = []
    for folder in ("data", "inference", "training", "tuning"):
        for path in sorted((root / "kplug" / folder).rglob("*.py")):
            if "codecs" in path.parts:
                continue
            for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
                if token.type in (tokenize.NAME, tokenize.STRING) and (match := MODALITY.search(token.string)):
                    found.append(f"{path.relative_to(root)}:{token.start[0]}: {match[0]}")
    return found


def test_data_training_and_answers_know_no_modality():
    assert modalities_in(ROOT) == []


@pytest.mark.parametrize("line", ["image = 1", 'x["label"]', "boxes = 2", 'f"{x} images"', "self.image_shape"])
def test_a_modality_is_found(tmp_path, line):
    assert len(modalities_in(planted(tmp_path, "kplug/data/x.py", line))) == 1


def test_no_module_shares_a_name_with_a_public_function():
    beside = {module.name for module in pkgutil.iter_modules(kplug.__path__)}
    assert beside & {*kplug.__all__, "train", "search", "hypermodel"} == set()


# --- plugins ---------------------------------------------------------------------------------------------------------


def plugin_packages():
    """Packages whose `__init__` an entry point names."""
    names = {component.function.__module__ for component in host().registry.components}
    modules = [importlib.import_module(name) for name in sorted(names)]
    return [module for module in modules if hasattr(module, "__path__")]


def test_no_module_of_a_plugin_takes_the_place_of_its_component():
    """Importing `kplug_x.focal` puts the module where the function `focal` of `kplug_x` was."""
    shadowed = [
        f"{package.__name__}.{module.name}"
        for package in plugin_packages()
        for module in pkgutil.iter_modules(package.__path__)
        if any(c.name == module.name and c.function.__module__ == package.__name__ for c in host().registry.components)
    ]
    assert shadowed == []


def test_every_plugin_of_the_repository_is_installed_and_whole():
    wanted = {
        tomllib.loads(path.read_text())["project"]["name"] for path in (ROOT / "plugins").glob("*/pyproject.toml")
    }
    assert wanted <= {plugin.distribution for plugin in host().loaded}
    assert [str(plugin) for plugin in host().quarantined if plugin.distribution in wanted] == []
