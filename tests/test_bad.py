"""Bad specs, each beside the exact message that `KPLUG_PLUGINS= kplug check tests/bad/NAME.yaml` gives on stderr.

KPLUG_WRITE_BAD=1 writes the messages anew, for a person to read before they are committed.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kplug.cli import cli
from kplug.errors import INPUT_IS_WRONG
from kplug.spec.plugins import using

ROOT = Path(__file__).parents[1]
BAD = Path(__file__).parent / "bad"
NAMES = sorted(path.stem for path in BAD.glob("*.yaml"))
PLACE = re.compile(r"tests/bad/\w+\.yaml(:\d+:\d+)?: ")


@pytest.fixture(scope="module", autouse=True)
def built_ins_alone():
    with using([]):
        yield


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def check(path, capsys):
    """Exit code, stdout and stderr of `kplug check`."""
    with pytest.raises(SystemExit) as left:
        cli.main(["check", str(path)], standalone_mode=False)
    return left.value.code, *capsys.readouterr()


@pytest.mark.parametrize("name", NAMES)
def test_message(name, capsys):
    code, out, err = check(f"tests/bad/{name}.yaml", capsys)
    assert (code, out) == (INPUT_IS_WRONG, "")
    assert all(PLACE.match(line) for line in err.splitlines()), "every line begins with the place"
    expected = BAD / f"{name}.txt"
    if os.environ.get("KPLUG_WRITE_BAD") == "1":
        expected.write_text(err, encoding="utf-8")
    assert err == expected.read_text(encoding="utf-8")


def test_every_message_has_its_spec():
    assert sorted(path.stem for path in BAD.glob("*.txt")) == NAMES
    assert len(NAMES) >= 45


@pytest.mark.parametrize("name", ["several", "python_tag", "unclosed_bracket"])
def test_the_command_says_the_same(name):
    command = [sys.executable, "-m", "kplug.cli", "check", f"tests/bad/{name}.yaml"]
    done = subprocess.run(command, env={**os.environ, "KPLUG_PLUGINS": ""}, capture_output=True, text=True)
    expected = (BAD / f"{name}.txt").read_text(encoding="utf-8")
    assert (done.returncode, done.stdout, done.stderr) == (INPUT_IS_WRONG, "", expected)


def test_a_tag_runs_nothing():
    """The spec `python_tag` asks for the command `touch harmed`."""
    assert not (ROOT / "harmed").exists()


# --- what cannot lie in a text file ---------------------------------------------------------------------------------

GOOD = b"name: made\ntask: {type: classification, model: flatten}\ndata: {source: digits}\n"


def message(content, tmp_path, capsys):
    path = tmp_path / "made.yaml"
    path.write_bytes(content)
    code, out, err = check(path, capsys)
    assert (code, out) == (INPUT_IS_WRONG, "")
    return err.replace(f"{tmp_path}/", "").rstrip("\n")


def test_over_half_a_mebibyte(tmp_path, capsys):
    content = GOOD + b"# a comment\n" * 2**17
    assert (
        message(content, tmp_path, capsys)
        == f"made.yaml: {len(content):,} bytes is more than a spec may have (524,288)"
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (GOOD + b"# caf\xe9\n", "made.yaml:4:1: not text in UTF-8: a byte in this line is 0xe9"),
        ("name: x\n".encode("utf-16"), "made.yaml:1:1: not text in UTF-8: a byte in this line is 0xff"),
        (
            GOOD + b"seed: \x00\n",
            "made.yaml:4:7: not YAML: the character U+0000 may not stand here; in double quotes, escape it",
        ),
    ],
)
def test_not_utf_8(content, expected, tmp_path, capsys):
    assert message(content, tmp_path, capsys) == expected


def test_a_byte_order_mark_and_windows_lines_are_no_problem(tmp_path, capsys):
    path = tmp_path / "windows.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace(b"\n", b"\r\n"))
    cli.main(["check", str(path)], standalone_mode=False)
    assert capsys.readouterr().out == f"{path}: good\n"


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_deep_nesting_is_refused_without_a_deep_stack(opening, tmp_path, capsys):
    content = GOOD + b"fit: \n  " + opening.encode() * 100_000
    assert "nested deeper than 64" in message(content, tmp_path, capsys)


def test_a_long_hexadecimal_number(tmp_path, capsys):
    content = GOOD + b"seed: 0x" + b"f" * 5000
    assert message(content, tmp_path, capsys) == "made.yaml:4:7: seed: a number of 5,002 digits is too long"


def test_missing_files_and_directories(tmp_path, capsys):
    (tmp_path / "digits.yaml").write_bytes(GOOD)
    _, _, err = check(tmp_path / "digit.yaml", capsys)
    assert err == f"{tmp_path}/digit.yaml: no such file or directory; did you mean '{tmp_path}/digits.yaml'?\n"
    _, _, err = check(tmp_path, capsys)
    assert err == f"{tmp_path}: is a directory\n"


def test_several_files_are_all_checked(capsys):
    with pytest.raises(SystemExit):
        cli.main(
            ["check", "tests/bad/epochs_negative.yaml", "specs/digits.yaml", "tests/bad/empty.yaml"],
            standalone_mode=False,
        )
    out, err = capsys.readouterr()
    assert out == "specs/digits.yaml: good\n"
    assert [line.split(":")[0] for line in err.splitlines()] == [
        "tests/bad/epochs_negative.yaml",
        "tests/bad/empty.yaml",
    ]
