"""`kplug runs`: every run below a directory is listed, whatever state its files are in."""

import json
import os
import shutil
from pathlib import Path

import pytest

import kplug
from kplug.default_plugins.runs.listing import as_table, describe_run, list_runs
from kplug.testing import no_tensorflow

SPEC = """
name: tiny
seed: 3
task: {type: classification, model: {type: layers, layers: [flatten]}}
data: {source: digits, sampler: {type: shuffled, batch_size: 200}}
fit: {epochs: 2, stages: [{epochs: 1, set: {}}], best: {maximize: val_accuracy}}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    run = kplug.train(kplug.loads(SPEC), folder / "runs" / "tiny" / "1")
    run.evaluate("test")
    return folder


@pytest.fixture
def place(trained, tmp_path):
    return Path(shutil.copytree(trained, tmp_path / "place"))


@pytest.fixture
def run(place):
    return place / "runs" / "tiny" / "1"


def test_a_finished_run_says_what_its_files_say(run):
    found = describe_run(run)
    result = json.loads((run / "result.json").read_text())
    seconds = [json.loads(line)["seconds"] for line in (run / "timings.jsonl").read_text().splitlines()]
    assert (found["name"], found["seed"], found["state"], found["problem"]) == ("tiny", 3, "finished", None)
    assert (found["epochs"], found["of"]) == (3, 3)
    assert found["metrics"] == result["metrics"]
    assert found["evaluations"]["test"] == json.loads((run / "evaluation-test.json").read_text())["metrics"]
    assert found["minutes"] == pytest.approx(sum(seconds) / 60, abs=1e-3)
    assert "thread" in found["machine"]
    assert found["started"] == json.loads((run / "environment.json").read_text())["started"]


def test_an_unfinished_run_says_how_far_it_came(run):
    (run / "result.json").unlink()
    rows = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run / "metrics.jsonl").write_text("".join(rows[:2]) + rows[2][:20])  # killed while it wrote
    found = describe_run(run)
    assert (found["state"], found["epochs"], found["of"], found["problem"]) == ("unfinished", 2, 3, None)
    assert found["metrics"]["val_accuracy"] == max(json.loads(row)["val_accuracy"] for row in rows[:2])
    assert found["evaluations"] == {}  # of weights that are not the last


def test_an_evaluation_from_before_the_end_is_left_out(run):
    os.utime(run / "evaluation-test.json", ns=(1, 1))
    assert describe_run(run)["evaluations"] == {}


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("result.json", "{", "result.json is damaged"),
        ("result.json", "[]", "does not hold what kplug writes"),
        ("environment.json", "\x00", "environment.json is damaged"),
        ("environment.json", "{}", "does not hold what kplug writes"),
        ("metrics.jsonl", "{\n{}\n", "metrics.jsonl is damaged"),
        ("timings.jsonl", "[1]\n", "does not hold what kplug writes"),
        ("evaluation-test.json", "", "evaluation-test.json is damaged"),
        ("spec.yaml", "name: [", "spec.yaml:"),
        ("spec.yaml", "", "does not hold what kplug writes"),
        ("spec.yaml", "fit: 3", "does not hold what kplug writes"),
        ("spec.yaml", b"\xff\xfe\xfa", "spec.yaml"),
        ("spec.yaml", None, "it has no spec.yaml"),
    ],
)
def test_a_damaged_run_is_listed_with_what_is_wrong(run, file, content, told):
    (run / file).unlink()
    if content is not None:
        (run / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    (found,) = list_runs(run.parent)
    assert found["state"] == "damaged"
    assert told in found["problem"]
    assert len(as_table([found]).splitlines()) == 2
    if file != "spec.yaml":  # what is whole is told all the same
        assert found["name"] == "tiny"


def test_a_run_that_has_its_spec_alone_is_listed(run, place):
    begun = place / "runs" / "tiny" / "2"
    begun.mkdir()
    shutil.copy(run / "spec.yaml", begun)
    found = describe_run(begun)
    assert (found["state"], found["epochs"], found["metrics"], found["machine"]) == ("unfinished", 0, None, None)


def test_runs_are_found_at_any_depth_and_in_the_order_of_their_numbers(run, place):
    for name in ("10", "2"):
        shutil.copytree(run, run.parent / name)
    shutil.copytree(run, run / "parts" / "1")  # a part of another run
    search = place / "searches" / "tiny"
    shutil.copytree(run, search / "trials" / "0001")
    shutil.copy(run / "spec.yaml", search)
    (search / "journal.jsonl").write_text("")
    (place / "specs").mkdir()
    shutil.copy(run / "spec.yaml", place / "specs" / "tiny.yaml")
    shutil.copy(run / "spec.yaml", place / "spec.yaml")  # somebody's own
    found = [Path(one["run"]).relative_to(place).as_posix() for one in list_runs(place)]
    assert found == ["runs/tiny/1", "runs/tiny/2", "runs/tiny/10", "searches/tiny/trials/0001"]


def test_a_plugin_that_is_gone_does_not_matter(run):
    spec = run / "spec.yaml"
    spec.write_text(spec.read_text().replace("type: flatten", "type: no_such_layer"))
    assert describe_run(run)["state"] == "finished"


def test_the_command_prints_a_table_or_json_without_tensorflow(place, tmp_path):
    done = no_tensorflow("runs", cwd=place)
    assert (done.returncode, done.stderr) == (0, "")
    head, row = done.stdout.splitlines()
    assert head.split() == ["run", "spec", "seed", "state", "epochs", "minutes", "machine", "best"]
    assert row.startswith("runs/tiny/1  tiny  3     finished  3 of 3")
    assert "val_accuracy" in row
    done = no_tensorflow("runs", "--json", str(place))
    assert json.loads(done.stdout) == json.loads(json.dumps(list_runs(place)))
    done = no_tensorflow("runs", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "no runs below runs\n")
    done = no_tensorflow("runs", "nowhere", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, "nowhere: no such directory\n")


def test_what_cannot_be_read_is_said(run):
    (run / "result.json").unlink()
    (run / "result.json").mkdir()
    found = describe_run(run)
    assert found["state"] == "damaged"
    assert "result.json is damaged: it is no regular file" in found["problem"]
