"""tools/results: rows come from runs, and whatever stands beside them is told."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOL = [sys.executable, str(ROOT / "tools" / "results")]

SPEC = """\
# A tiny network.
#
# paper: 99.1 % on all of the digits
#   (Nobody 1998, a large one)
# data: Scanned digits
{note}
name: {name}
task:
  type: classification
  model: {{type: layers, layers: [{{type: conv2d, filters: {filters}, kernel_size: 3, activation: relu}}]}}
  optimizer: {{type: adam, learning_rate: 1e-2}}
data:
  source: {source}
  sampler: {{type: shuffled, batch_size: 100}}
fit: {{epochs: 1}}
"""


def write_spec(specs, name, note="#", filters=4, source="digits"):
    (specs / f"{name}.yaml").write_text(SPEC.format(name=name, note=note, filters=filters, source=source))


def command(place, *words):
    return [*TOOL, "--specs", str(place / "specs"), "--runs", str(place / "runs"), *words]


def results(place, *words):
    return subprocess.run(command(place, *words), capture_output=True, text=True, cwd=place)


def page(place):
    return (place / "specs" / "RESULTS.md").read_text()


def record_file(place, name="plain-0"):
    return place / "specs" / "results" / f"{name}.json"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Specs with their runs, records and page; the training was stopped once. (folder, stopped, ended)"""
    place = tmp_path_factory.mktemp("trained")
    (place / "specs").mkdir()
    write_spec(place / "specs", "plain")
    write_spec(place / "specs", "wide", "# baseline: plain", 8)
    write_spec(place / "specs", "lost", source="{type: folder, path: nowhere}")
    write_spec(place / "specs", "broken", filters="many")
    began = place / "runs" / "plain" / "1" / "environment.json"
    with subprocess.Popen(command(place, "plain"), stderr=subprocess.PIPE, text=True, cwd=place) as tool:
        while not began.exists() and tool.poll() is None:
            time.sleep(0.02)
        tool.send_signal(signal.SIGINT)
        stopped = (tool.communicate()[1], tool.returncode, sorted(path.name for path in began.parent.iterdir()))
    ended = results(place)
    for name in ("lost", "broken"):
        (place / "specs" / f"{name}.yaml").unlink()
    return place, stopped, ended


@pytest.fixture
def place(trained, tmp_path):
    return Path(shutil.copytree(trained[0], tmp_path / "place"))


@pytest.mark.slow
def test_a_stopped_training_is_gone_on_with(trained):
    place, (said, code, files), _ = trained
    assert code == 130, said
    assert "environment.json" in files
    assert "result.json" not in files
    assert [path.name for path in (place / "runs" / "plain").iterdir()] == ["1"]
    assert (place / "runs" / "plain" / "1" / "result.json").exists()


@pytest.mark.slow
def test_what_fails_is_told_and_the_others_are_made(trained):
    place, _, ended = trained
    assert ended.returncode == 1
    told = [line for line in ended.stderr.splitlines() if line.startswith("tools/results: ")]
    assert len(told) == 2, ended.stderr
    assert "broken.yaml:" in told[0]
    assert "'many'" in told[0]
    assert "lost, seed 0: kplug train ended with exit code 2; no row" in told[1]
    assert not any((place / "runs" / "lost").iterdir())
    assert sorted(path.name for path in (place / "specs" / "results").iterdir()) == ["plain-0.json", "wide-0.json"]


@pytest.mark.slow
def test_rows_say_what_the_runs_say(trained):
    place = trained[0]
    rows = [line.split(" | ") for line in page(place).splitlines() if line.startswith("| [")]
    assert [row[0] for row in rows] == ["| [plain](plain.yaml)", "| [wide](wide.yaml)"]
    shown = []
    for row, name in zip(rows, ("plain", "wide"), strict=True):
        run = place / "runs" / name / "1"
        shown.append(json.loads((run / "evaluation-test.json").read_text())["metrics"]["accuracy"] * 100)
        parameters = json.loads((run / "environment.json").read_text())["chosen"]["parameters"]
        assert row[1] == "99.1 % on all of the digits (Nobody 1998, a large one)"
        assert row[2].split(" (")[0] == f"{shown[-1]:.2f}"
        assert row[3] == "1"
        assert row[5:] == [f"{parameters:,}", "0 |"]
    assert rows[1][2].endswith(f" ({shown[1] - shown[0]:+.2f})")
    assert "## Scanned digits\n" in page(place)
    assert "The baseline of wide is plain." in page(place)
    assert "\ntools/results --seeds 0 plain wide\n" in page(place)


@pytest.mark.slow
def test_nothing_is_trained_twice(place):
    before, runs = page(place), sorted(place.glob("runs/*/*"))
    (place / "specs" / "RESULTS.md").unlink()
    shutil.rmtree(place / "specs" / "results")
    assert results(place).returncode == 0
    assert sorted(place.glob("runs/*/*")) == runs
    assert page(place) == before
    assert results(place, "--check").returncode == 0


@pytest.mark.slow
def test_a_clone_without_runs_keeps_its_rows(place):
    before = page(place)
    shutil.rmtree(place / "runs")
    assert results(place, "--check").returncode == 0
    assert results(place, "--write").returncode == 0
    assert page(place) == before


@pytest.mark.slow
def test_a_changed_spec_has_no_row(place):
    shutil.rmtree(place / "runs")
    write_spec(place / "specs", "plain", filters=5)
    for words in ("--check", "--write"):
        done = results(place, words)
        assert done.returncode == 1
        assert "task.model.layers.0.filters is 5, the run had 4" in done.stderr
    assert "[plain]" not in page(place)
    assert "[wide]" in page(place)


@pytest.mark.slow
def test_a_spec_that_is_gone_has_no_row(place):
    (place / "specs" / "wide.yaml").unlink()
    done = results(place, "--check")
    assert done.returncode == 1
    assert "wide.yaml is gone" in done.stderr


@pytest.mark.slow
def test_a_changed_note_is_no_changed_spec(place):
    write_spec(place / "specs", "plain", note="# paper: about 5 % on a bad day (Somebody)")
    assert "RESULTS.md is not what the records make" in results(place, "--check").stderr
    assert results(place, "--write").returncode == 0
    assert "(Nobody 1998, a large one); about 5 % on a bad day (Somebody)" in page(place)
    assert results(place, "--check").returncode == 0


@pytest.mark.slow
def test_what_is_typed_is_told(place):
    for change in ({"epochs": 2}, {}):
        if change:
            record_file(place).write_text(json.dumps(json.loads(record_file(place).read_text()) | change))
        else:
            record_file(place).write_text("{")
        done = results(place, "--check")
        assert done.returncode == 1
        assert "RESULTS.md is not what the records make" in done.stderr
    assert "plain-0.json: no row: it is damaged" in done.stderr
    assert results(place, "--write").returncode == 0
    assert results(place, "--check").returncode == 0


@pytest.mark.slow
def test_a_record_outlives_new_defaults(place):
    shutil.rmtree(place / "runs")
    record = json.loads(record_file(place).read_text())
    del record["filled"]["task"]["model"]["layers"][0]["kernel_constraint"]  # as if it came later
    record_file(place).write_text(json.dumps(record))
    done = results(place, "--check")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("missing", "told"), [("result.json", "did not finish; no row"), ("evaluation-test.json", "is not measured")]
)
def test_a_run_that_lacks_something_is_told(place, missing, told):
    (place / "runs" / "plain" / "1" / missing).unlink()
    shutil.rmtree(place / "specs" / "results")
    done = results(place, "--write")
    assert done.returncode == 1
    assert told in done.stderr
    assert "[plain]" not in page(place)
    assert "[wide]" in page(place)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["plain", "--set", "fit.epochs=2"], "--set would train another spec than the file"),
        (["plian"], "has no plian.yaml; did you mean 'plain'?"),
    ],
)
def test_what_is_asked_wrong_trains_nothing(place, words, told):
    runs = sorted(place.glob("runs/*/*"))
    done = results(place, *words)
    assert done.returncode != 0
    assert told in done.stderr
    assert sorted(place.glob("runs/*/*")) == runs


@pytest.mark.slow
@pytest.mark.parametrize(
    ("note", "told"),
    [
        ("# paper: very good", "plain.yaml:6: a number, ` on `"),
        ("# data: Again", "plain.yaml:6: a second `# data:` line"),
        ("# shows:", "plain.yaml:6: nothing after `# shows:`"),
        ("# shows: recall", "has no test recall (it has: loss, accuracy"),
        ("# baseline: nobody", "there is no nobody.yaml"),
    ],
)
def test_a_wrong_note_is_told(place, note, told):
    write_spec(place / "specs", "plain", note)
    done = results(place, "--check")
    assert done.returncode == 1
    assert told in done.stderr


@pytest.fixture
def modules(monkeypatch):
    """The modules of the tool can be imported."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))


def record(accuracy, recalls, sizes=(60, 6000)):
    return {
        "metrics": {"accuracy": accuracy, "balanced_accuracy": accuracy - 0.1, "macro_f1": accuracy - 0.2},
        "recall": dict(zip("abc", recalls, strict=True)),
        **{"epochs": 8, "minutes": 3.26, "parameters": 1234567, "pictures": {"train": 100, "test": 10}},
        **{"class_sizes": list(sizes), "machine": "P", "versions": {"keras": "3"}, "date": "2026-01-01"},
    }


def test_uneven_classes_are_compared_over_the_seeds_that_both_have(modules):
    from results_page import Entry, make_page
    from results_specs import Note

    plain = {0: record(0.8, [0.9, 0.3, None]), 1: record(0.9, [0.5, 0.9, None])}
    other = {1: record(0.95, [0.7, 0.8, None]), 2: record(0.85, [0.7, 0.5, None])}
    entries = [
        Entry("a", Note(baseline="plain"), "Tail", True, other),
        Entry("plain", Note(), "Tail", True, plain),
        Entry("even", Note(), "Even", False, {0: record(0.5, [0.5, 0.5, 0.5], (10, 12))}),
    ]
    text = make_page(entries)
    means = "90.00 ± 7.07 (+5.00) | 80.00 ± 7.07 (+5.00) | 60.00 ± 14.14 (+20.00) | 70.00 ± 7.07 (+5.00)"
    assert f"| [a](a.yaml) | — | {means} | 8 | 3.3 | 1,234,567 | 1, 2 |" in text
    assert text.index("[plain](plain.yaml)") < text.index("[a](a.yaml)")
    assert "| [even](even.yaml) | — | 50.00 | 8 | 3.3 | 1,234,567 | 0 |" in text
    assert "tools/results --seeds 0,1 --data-dir DIR plain\ntools/results --seeds 1,2 --data-dir DIR a\n" in text
    assert "- P; keras 3: 5 runs, 2026-01-01" in text


def test_where_files_stand_is_no_other_spec(modules):
    from results_specs import comparable, data_dirs, filled, in_words

    import kplug

    spec = kplug.loads(SPEC.format(name="x", note="#", filters=4, source="{type: tfds, name: mnist}"))
    assert list(data_dirs(spec.root)) == ["data.source.data_dir"]
    moved = spec.at({"data.source.data_dir": "/here", "seed": 3})
    assert comparable(moved) == comparable(spec)
    assert "/here" not in json.dumps(filled(moved))
    assert comparable(spec.at({"data.source.name": "cifar10"})) != comparable(spec)
    assert in_words(moved["data.source"]) == "mnist"
    folder = spec.at({"data.source": {"type": "folder", "path": "/somewhere/photos", "test": 0.5}})
    assert comparable(folder.absolute()) == comparable(folder.at({"data.source.path": "photos"}))
    assert in_words(folder["data.source"]) == "photos test 0.5"


def test_the_page_of_the_specs_is_current():
    done = subprocess.run([*TOOL, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
