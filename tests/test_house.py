"""The house rules that a test can see: what is documented, named, tested, light and small."""

import importlib
import inspect
import pkgutil
import re
import tomllib
from pathlib import Path

import pytest

import kplug
from kplug import hookspecs
from kplug.spec.plugins import host
from kplug.testing import no_tensorflow

ROOT = Path(__file__).parents[1]
CORE = sorted((ROOT / "kplug").glob("*.py"))
TESTS = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "plugins").glob("*/tests/**/*.py")]
TECHNIQUES = re.compile(r"\bgan\b|simclr|few_?shot|captioning|mask_?rcnn|anchor_?box", re.IGNORECASE)
LIGHT = ("kplug", "hookspecs", "plugins", "kinds", "component", "spec", "errors", "cli", "testing")  # TensorFlow-free
LONGEST = 300


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
    from kplug.spec.sections import DataSection, ExportSection, FitSection, ImageSection, SpecSection

    assert all(inspect.getdoc(getattr(hookspecs, hook)) for hook in hooks())
    for found in map(section, (SpecSection, DataSection, ImageSection, FitSection, ExportSection)):
        assert found.documentation[1].keys() == found.parameters.keys()


def test_no_module_of_the_core_is_long():
    lines = {path.name: len(path.read_text().splitlines()) for path in CORE}
    assert {name: count for name, count in lines.items() if count > LONGEST} == {}


def test_the_core_names_no_technique():
    found = [f"{path.name}: {match[0]}" for path in CORE for match in TECHNIQUES.finditer(path.read_text())]
    assert found == []


def test_no_module_shares_a_name_with_a_public_function():
    assert {path.stem for path in CORE} & set(kplug.__all__) == set()


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


def test_the_upper_half_imports_nothing_heavy():
    modules = ", ".join(name if name == "kplug" else f"kplug.{name}" for name in LIGHT)
    done = no_tensorflow(code=f"import sys, {modules}; assert 'numpy' not in sys.modules, 'numpy'")
    assert done.returncode == 0, done.stderr
