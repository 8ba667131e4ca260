"""Every command and every file of the README, typed as it stands there."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"(?:^`([^`\n]+)`:\n\n)?^```(\w+)\n(.*?)^```", re.M | re.S)


def blocks(language):
    return [(name, text) for name, kind, text in BLOCK.findall(README) if kind == language]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the README's files in it, and the specs beside them."""
    place = tmp_path_factory.mktemp("readme")
    for language in ("yaml", "python", "toml"):
        for name, text in blocks(language):
            if name:
                (place / name).parent.mkdir(exist_ok=True)
                (place / name).write_text(text)
    shutil.copytree(ROOT / "specs", place / "specs")
    return place


@pytest.fixture(scope="module")
def shell(place):
    """Run a line as a person in the activated environment would; what is installed stays in a folder of its own."""
    installed = place / "installed"
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(installed), os.environ.get("PYTHONPATH")])),
        "PIP_TARGET": str(installed),
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip reads this one the other way round
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }

    def run(line):
        return subprocess.run(
            line, shell=True, cwd=place, env=environment, capture_output=True, text=True, timeout=300, check=False
        )

    return run


@pytest.mark.slow
def test_every_command_does_what_the_readme_says(shell, place):
    said = {}
    for _, text in blocks("sh"):
        for line in text.splitlines():
            done = shell(line)
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
            said[line] = done.stdout
    assert "my-digits.yaml: good" in said["kplug check my-digits.yaml"]
    assert "kplug-tempered 0.1.0" in said["kplug plugins"]
    assert re.search("temperature = 2.0.*: above 1 makes the probabilities softer.", said["kplug components loss"])
    assert (place / "runs" / "my-digits" / "1" / "result.json").exists()
    assert list((place / "first-run" / "export").iterdir()) == [place / "first-run" / "export" / "1"]
    assert "loss.tempered" in json.loads(shell("kplug schema").stdout)["definitions"]


@pytest.mark.slow
def test_a_broken_plugin_beside_it_harms_nothing(shell, place):
    if not (place / "installed").exists():
        assert shell("pip install ./kplug-tempered").returncode == 0
    broken = place / "installed" / "kplug_broken-0.1.dist-info"
    broken.mkdir(parents=True, exist_ok=True)
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: kplug-broken\nVersion: 0.1\n")
    (broken / "entry_points.txt").write_text("[kplug]\nbroken = kplug_broken\n")
    (place / "installed" / "kplug_broken.py").write_text("import no_such_module\n")
    try:
        trained = shell("kplug train my-digits.yaml --set task.loss=tempered --set fit.epochs=1 --json")
        assert trained.returncode == 0, trained.stderr
        lines = [line for line in trained.stderr.splitlines() if "kplug-broken" in line]
        assert len(lines) == 1 and "no_such_module" in lines[0]
        assert "set aside" in shell("kplug plugins").stdout
    finally:
        shutil.rmtree(broken)


def test_the_python_of_the_readme(shell, place):
    if not (place / "first-run").exists():
        assert shell("kplug train my-digits.yaml --run first-run").returncode == 0
    api = [text for name, text in blocks("python") if not name]
    assert len(api) == 1
    (place / "api.py").write_text(api[0])
    done = shell("python api.py")
    assert done.returncode == 0, done.stderr
    accuracy, digit, export = done.stdout.split()
    assert 0 < float(accuracy) <= 1 and digit in "0123456789" and Path(place / export).is_dir()


def test_the_mistake_is_answered_as_shown(shell, place):
    (place / "wrong").mkdir()
    (place / "wrong" / "my-digits.yaml").write_text((place / "my-digits.yaml").read_text().replace("batch_", "bach_"))
    done = shell("cd wrong && kplug check my-digits.yaml")
    assert done.returncode == 2
    assert f"    {done.stderr}" in README


def test_every_command_of_the_table_exists_and_no_other(shell):
    help_text = shell("kplug --help").stdout
    commands = set(re.findall(r"^  (\w+) ", help_text.partition("Commands:")[2], re.M))
    assert commands == set(re.findall(r"^\| `kplug (\w+)", README, re.M))
    for command in commands:
        shown = shell(f"kplug {command} --help").stdout
        row = re.search(rf"^\| `(kplug {command}[^`]*)`", README, re.M).group(1)
        assert set(re.findall(r"--\w+", row)) <= set(re.findall(r"--\w+", shown))


@pytest.mark.parametrize("command", ["tools/quickstart", "tools/test"])
def test_the_two_commands_are_there(command):
    assert f"    {command} " in README
    assert os.access(ROOT / command, os.X_OK)


@pytest.mark.slow
def test_quickstart_does_the_whole_job(tmp_path):
    done = subprocess.run(["tools/quickstart"], cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    accuracy = float(re.search(r"^accuracy: ([\d.]+)$", done.stdout.partition("kplug evaluate")[2], re.M).group(1))
    assert accuracy >= 0.97
    assert re.search(r"^runs/digits/\d+/export/1$", done.stdout, re.M)
    assert re.search(r"digit\.png: \d [01]\.\d", done.stdout)


def test_pictures_that_the_readme_shows_are_there():
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (ROOT / picture).is_file()
    for link in re.findall(r"(?<!!)\[[^\]]*\]\(([^)]+)\)", README):
        assert (ROOT / link).exists()
