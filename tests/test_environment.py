"""The digest of a plugin's source, by which environment.json and the workers of a training see that it changed."""

import shutil
from pathlib import Path

import pytest

import kplug
from kplug.default_plugins import PLUGINS
from kplug.storage.environment import digest_of_source, plugins

BUILT_IN = Path(kplug.__file__).parent / "default_plugins"


@pytest.fixture
def copied(tmp_path):
    return Path(shutil.copytree(BUILT_IN, tmp_path / "default_plugins", ignore=shutil.ignore_patterns("__pycache__")))


def digests(folder):
    """Plugin to digest, for the built-in plugins in a folder."""
    found = {}
    for name in PLUGINS:
        place = folder.joinpath(*name.split("."))
        entry = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        found[name] = digest_of_source(entry, folder)
    return found


def changed(before, after):
    return {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize(
    ("file", "seen_by"),
    [
        ("classification/classifier.py", {"classification"}),
        ("keras_components/resumable_callbacks.py", {"keras_components"}),
        ("training/divergence.py", {name for name in PLUGINS if name.startswith("training.")}),
    ],
)
def test_the_digest_of_a_built_in_plugin_sees_the_modules_beside_its_entry(copied, file, seen_by):
    before = digests(copied)
    assert before == {plugin["name"]: plugin["sha256"] for plugin in plugins() if plugin["distribution"] == "kplug"}
    (copied / file).write_text((copied / file).read_text() + "\n")
    assert changed(before, digests(copied)) == seen_by


def test_files_of_one_name_in_two_folders_are_told_apart(tmp_path):
    package = tmp_path / "kplug_mine"
    for name in ("__init__.py", "one/layers.py", "two/layers.py"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(f'"""{name}"""\n')
    before = digest_of_source(package / "__init__.py")
    one, two = package / "one" / "layers.py", package / "two" / "layers.py"
    first, second = one.read_text(), two.read_text()
    one.write_text(second)
    two.write_text(first)
    assert digest_of_source(package / "__init__.py") != before


def test_the_digest_of_a_package_does_not_depend_on_where_it_is_installed(tmp_path):
    for place in ("here", "there"):
        (tmp_path / place / "kplug_mine").mkdir(parents=True)
        (tmp_path / place / "kplug_mine" / "__init__.py").write_text("FACTOR = 2\n")
        (tmp_path / place / "single.py").write_text("FACTOR = 2\n")
    for name in ("kplug_mine/__init__.py", "single.py"):
        assert digest_of_source(tmp_path / "here" / name) == digest_of_source(tmp_path / "there" / name)
    (tmp_path / "there" / "other.py").write_text("")  # a module is itself alone
    assert digest_of_source(tmp_path / "here" / "single.py") == digest_of_source(tmp_path / "there" / "single.py")
