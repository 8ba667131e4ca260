"""A minute of tools/fuzz: nothing that a person or a stranger hands to kplug ends in a raw traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "tools"))

from fuzz_parts.trying import ACCEPTED, CRASHED, LARGE, RAW, REFUSED, SLOW, Figures, tried

ROOT = Path(__file__).parents[1]
FUZZ = ROOT / "tools" / "fuzz"


def fuzz(*arguments):
    return subprocess.run(
        [sys.executable, str(FUZZ), *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, timeout=1_000
    )


@pytest.mark.parametrize(
    ("part", "count"),
    [
        ("specs", 600),
        ("drawn", 1),
        pytest.param("drawn", 40, marks=pytest.mark.slow),
        pytest.param("pictures", 40, marks=pytest.mark.slow),
        ("runs", 2),
        pytest.param("runs", 20, marks=pytest.mark.slow),
        ("plugins", 12),
    ],
)
def test_nothing_is_raw(part, count, tmp_path):
    done = fuzz(part, "--seed", 1, "--count", count, "--to", tmp_path)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stdout + done.stderr
    assert part not in ("specs", "plugins") or done.stderr == ""  # TensorFlow and libjpeg speak up in the others
    assert f"{part} --seed 1: {count:,} tried" in done.stdout and not list(tmp_path.iterdir())


# --- the fuzzer itself finds what is wrong ---------------------------------------------------------------------------


class Cases:
    """A case of each fate; after each that ends the process there is another."""

    seconds, megabytes, added, lasts = 0.5, 10_000.0, False, 100

    def begin(self):
        pass

    def case(self, seed, index):
        return index

    def run(self, index):
        import os
        import time

        if index == 1:
            raise ValueError("raw\nin two lines")
        if index == 2:
            os.abort()
        if index == 3:
            until = time.process_time() + 1
            while time.process_time() < until:
                pass
        if index == 4:
            os._exit(3)
        return (REFUSED, "no") if index == 5 else (ACCEPTED, "")


def test_a_case_that_ends_the_process_does_not_end_the_fuzzer():
    found = dict(tried(Cases(), 0, range(7)))
    verdicts = [found[index].verdict for index in range(7)]
    assert verdicts == [ACCEPTED, RAW, CRASHED, SLOW, CRASHED, REFUSED, ACCEPTED]
    assert found[1].said.startswith("ValueError: raw in two lines (")
    assert "SIGABRT" in found[2].said and "exit code 3" in found[4].said


def test_a_case_over_its_memory_is_told():
    part = Cases()
    part.megabytes = 1.0
    ((_, outcome),) = tried(part, 0, [0])
    assert outcome.verdict == LARGE


def test_a_child_that_cannot_begin_is_told_for_its_first_case(capfd):
    part = Cases()
    part.begin = lambda: 1 / 0
    assert [(index, outcome.verdict) for index, outcome in tried(part, 0, [7])] == [(7, CRASHED)]
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_figures_count_verdicts():
    figures = Figures.none()
    for _, outcome in tried(Cases(), 0, [0, 1, 5]):
        figures.add(outcome)
    assert figures.findings == 1 and str(figures).startswith("3 tried, 1 accepted, 1 refused, 0 named, 1 raw")


def test_cases_are_the_same_each_time():
    from fuzz_parts.plugins import BrokenPlugins
    from fuzz_parts.specs import MutatedSpecs

    for part in (MutatedSpecs, BrokenPlugins):
        assert [part().case(3, index) for index in range(5)] == [part().case(3, index) for index in range(5)]
    assert MutatedSpecs().case(3, 0) != MutatedSpecs().case(4, 0)


def test_an_unknown_part_is_refused():
    done = fuzz("spces")
    assert done.returncode == 2 and "no part is called spces; there are specs, drawn" in done.stderr
