"""Installed distributions are read one by one: what is broken is set aside by name, and nothing else ends for it."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLUGIN = '''
import kplug

kplug_api = 2

def mine() -> kplug.Loss:
    """Cross-entropy."""
    import keras

    return keras.losses.CategoricalCrossentropy(from_logits=True)

@kplug.hookimpl
def components():
    return [mine]
'''
SPEC = """
name: s
task: {type: classification, model: {type: layers, layers: [flatten]}, loss: LOSS}
data: {source: digits, sampler: {type: shuffled, batch_size: 512}}
fit: {epochs: 1}
"""


METADATA = "Metadata-Version: 2.1\nName: {}\nVersion: 1.0\n"


def distribution(site, name="other", metadata=METADATA, entries=None, folder=None):
    place = site / (folder or f"{name}-1.0.dist-info")
    place.mkdir(parents=True)
    if metadata is not None:
        (place / "METADATA").write_text(metadata.replace("{}", name))
    if entries is not None:
        (place / "entry_points.txt").write_text(entries)


@pytest.fixture
def site(tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "s.yaml").write_text(SPEC.replace("LOSS", "cross_entropy"))
    (tmp_path / "mine.yaml").write_text(SPEC.replace("LOSS", "mine"))
    return tmp_path / "site"


def kplug(site, *arguments, path=None):
    places = os.pathsep.join([str(ROOT), str(path or site), *sys.path])
    done = subprocess.run(
        [sys.executable, "-m", "kplug", *arguments],
        cwd=site.parent, env={**os.environ, "PYTHONPATH": places}, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert "Traceback" not in done.stderr or "set aside:\nTraceback" in done.stderr, done.stderr
    return done


BROKEN = {
    "without METADATA": {"metadata": None},
    "nameless": {"metadata": "Metadata-Version: 2.1\nVersion: 1.0\n"},
    "empty METADATA": {"metadata": ""},
    "no entry": {"entries": "[console_scripts]\nthis is no entry\n"},
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_distribution_that_is_no_plugin_ends_nothing(site, case):
    distribution(site, **BROKEN[case])
    for command in (["check", "s.yaml"], ["plugins"], ["components", "loss"]):
        done = kplug(site, *command)
        assert done.returncode == 0 and "other-1.0" not in done.stderr, done.stderr


def test_a_training_records_what_it_could_read(site):
    distribution(site, metadata=None)
    distribution(site, "keras")  # another version, behind the one that is imported
    done = kplug(site, "train", "s.yaml", "--run", "r")
    assert done.returncode == 0, done.stderr
    found = json.loads((site.parent / "r" / "environment.json").read_text())
    assert found["distributions"]["other-1.0.dist-info"] == "it has no METADATA"


def test_of_two_versions_the_first_on_the_path_is_recorded(site, monkeypatch):
    import keras

    from kplug.storage.environment import packages

    distribution(site, "keras", folder="keras-2.15.0.dist-info")
    monkeypatch.syspath_prepend("")
    monkeypatch.setattr(sys, "path", [*sys.path, str(site)])
    assert packages()["keras"] == keras.__version__


ENTRY = "[kplug]\nmine = mine\n"


SET_ASIDE = {
    "-1.0.dist-info  (mine) is set aside: it has no METADATA": {"metadata": None, "entries": ENTRY},
    "-1.0.dist-info 1 (mine) is set aside: its METADATA has no name": {"metadata": "Version: 1\n", "entries": ENTRY},
    " 1.0 (?) is set aside: its entry_points.txt cannot be read": {"entries": "[kplug]\nno entry\n"},
}


@pytest.mark.parametrize("said", SET_ASIDE)
def test_a_broken_plugin_is_set_aside_by_its_folder(site, said):
    (site / "mine.py").write_text(PLUGIN)
    distribution(site, **SET_ASIDE[said])
    done = kplug(site, "check", "s.yaml")
    assert done.returncode == 0 and f"plugin other{said}" in done.stderr, done.stderr
    assert kplug(site, "check", "mine.yaml").returncode == 2


def test_a_plugin_with_a_lock_file_of_an_editor_trains(site):
    (site / "mine").mkdir()
    (site / "mine" / "__init__.py").write_text(PLUGIN)
    (site / "mine" / ".#losses.py").symlink_to("me@host.123:456")
    distribution(site, "other", entries=ENTRY)
    assert kplug(site, "train", "mine.yaml", "--run", "r").returncode == 0


def test_a_plugin_in_a_zip_trains(site):
    with zipfile.ZipFile(site / "plugins.zip", "w") as file:
        file.writestr("mine.py", PLUGIN)
        file.writestr("other-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
        file.writestr("other-1.0.dist-info/entry_points.txt", ENTRY)
    done = kplug(site, "train", "mine.yaml", "--run", "r", path=site / "plugins.zip")
    assert done.returncode == 0, done.stderr
    found = json.loads((site.parent / "r" / "environment.json").read_text())["plugins"]
    (plugin,) = [one for one in found if one["name"] == "mine"]
    assert len(plugin["sha256"]) == 64


def test_an_error_that_cannot_say_itself(site):
    (site / "mine.py").write_text(
        "class Bad(Exception):\n    def __str__(self):\n        raise ValueError\nraise Bad\n"
    )
    distribution(site, "other", entries=ENTRY)
    done = kplug(site, "check", "s.yaml")
    assert done.returncode == 0 and "is set aside: Bad, which cannot say itself: ValueError" in done.stderr


def test_a_plugin_that_changes_the_directory_leaves_it(site):
    (site / "mine.py").write_text("import os\nos.chdir('/')\n" + PLUGIN)
    distribution(site, "other", entries=ENTRY)
    assert kplug(site, "check", "s.yaml", "mine.yaml").stdout == "s.yaml: good\nmine.yaml: good\n"


def test_a_plugin_that_never_ends_is_named_when_it_is_stopped(site):
    (site / "mine.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\n" + PLUGIN)
    distribution(site, "other", entries=ENTRY)
    done = kplug(site, "check", "s.yaml")
    assert done.returncode == 130 and "plugin other 1.0 (mine) was being loaded" in done.stderr
