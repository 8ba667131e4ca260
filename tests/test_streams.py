"""Results alone on stdout, and exit code 0 only where a command has returned, whatever becomes of its streams."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SPEC = """
name: s
task:
  type: classification
  model: {type: layers, layers: [flatten]}
  loss: LOSS
data: {source: digits, sampler: {type: shuffled, batch_size: 256}}
fit: {epochs: 2}
"""
TALKING = '''
"""A plugin whose component prints."""
import os, subprocess, sys
import kplug
from kplug import Loss

kplug_api = 2

def talking() -> Loss:
    """Cross-entropy that talks."""
    print("Downloading data from somewhere")
    os.write(1, b"to the descriptor\\n")
    print("to the stream", file=sys.__stdout__, flush=True)
    subprocess.run(["echo", "a child"], check=True)
    import keras

    return keras.losses.CategoricalCrossentropy(from_logits=True)

@kplug.hookimpl
def components():
    return [talking]
'''


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "s.yaml").write_text(SPEC.replace("LOSS", "cross_entropy"))
    (tmp_path / "talks.yaml").write_text(SPEC.replace("LOSS", "talking"))
    site = tmp_path / "site"
    (site / "talking-1.0.dist-info").mkdir(parents=True)
    (site / "talking-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: talking\nVersion: 1.0\n")
    (site / "talking-1.0.dist-info" / "entry_points.txt").write_text("[kplug]\ntalking = talking\n")
    (site / "talking.py").write_text(TALKING)
    return tmp_path


def shell(folder, command, **more):
    """(exit code of kplug, stdout, stderr) of a command in a shell, in which KPLUG stands for the command line."""
    path = os.pathsep.join([str(ROOT), str(folder / "site"), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path, **more}
    whole = command.replace("KPLUG", f"{sys.executable} -m kplug")
    done = subprocess.run(
        ["bash", "-c", whole], cwd=folder, env=environment, capture_output=True, text=True, timeout=200
    )
    return done.returncode, done.stdout, done.stderr


READ_ONCE = "2>&1 | head -1; exit ${PIPESTATUS[0]}"


@pytest.mark.parametrize(
    "streams", [READ_ONCE, READ_ONCE.replace("2>&1", "2>&1 >/dev/null"), "2>/dev/full", "2>&-", "<&- 2>&-"]
)
def test_the_work_goes_on_where_nobody_listens(folder, streams):
    code, _, _ = shell(folder, f"KPLUG train s.yaml --run r {streams}")
    assert code == 0
    assert (folder / "r" / "result.json").exists()
    assert len((folder / "r" / "metrics.jsonl").read_text().splitlines()) == 2


def test_results_that_cannot_be_written_are_an_error(folder):
    code, _, said = shell(folder, "KPLUG train s.yaml --run r --json >/dev/full")
    assert code == 1 and "the results could not be written to stdout: No space left on device" in said
    assert "Traceback" not in said and (folder / "r" / "result.json").exists()


def test_results_that_nobody_wants_are_none(folder):
    assert shell(folder, "KPLUG train s.yaml --run r >&-")[0] == 0
    assert shell(folder, "KPLUG components | head -1 >/dev/null; exit ${PIPESTATUS[0]}")[0] == 0


def test_what_components_print_is_no_result(folder):
    code, found, said = shell(folder, "KPLUG train talks.yaml --run r --json")
    assert code == 0, said
    assert json.loads(found)["metrics"]
    for text in ("Downloading data", "to the descriptor", "to the stream", "a child"):
        assert text in said
    for command in ("evaluate r --json", "export r --json"):
        code, found, said = shell(folder, f"KPLUG {command}")
        assert code == 0 and json.loads(found), said


def test_what_would_steer_a_terminal_is_written_as_escapes(folder):
    from kplug.console import printable

    assert printable("a\x1b[2Jb\r\x07\x9b\tc\n") == "a\\x1b[2Jb\\r\\x07\\x9b\tc\n"
    (folder / "bad.yaml").write_text('name: "a"\ntask: "\\e[31mred"\ndata: digits\n')
    _, _, said = shell(folder, "KPLUG check bad.yaml")
    assert "\x1b" not in said and "\\x1b[31mred" in said


def test_what_an_encoding_lacks_is_escaped(folder):
    change = "--set 'data.source={type: folder, path: é}'"
    code, found, said = shell(folder, f"KPLUG fill s.yaml {change}", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert code == 0 and "Traceback" not in said and found.isascii() and "\\xe9" in found


def test_names_steer_no_terminal_in_answers(folder):
    talking = folder / "site" / "talking.py"
    talking.write_text(talking.read_text().replace("Cross-entropy that", "Cross-entropy \\x1b[31mthat"))
    code, found, _ = shell(folder, "KPLUG components loss talking")
    assert code == 0 and "\x1b" not in found and "\\x1b[31mthat" in found


def test_a_process_with_a_closed_stdout_has_its_plugins(folder):
    script = "import kplug, sys; kplug.load('talks.yaml'); sys.stderr.write('loaded')"
    assert shell(folder, f'{sys.executable} -c "{script}" >&-')[2] == "loaded"


@pytest.mark.parametrize("streams", ["2>&-", READ_ONCE])
def test_a_search_goes_on_where_nobody_listens(folder, streams):
    with open(folder / "s.yaml", "a") as file:
        file.write("search: {oracle: {type: random, trials: 2}, space: {task.label_smoothing: {choice: [0, 0.1]}}}\n")
    code, _, _ = shell(folder, f"KPLUG search s.yaml --to found {streams}")
    assert code == 0
    assert (folder / "found" / "best.yaml").exists()
    assert len((folder / "found" / "trials.jsonl").read_text().splitlines()) == 2
