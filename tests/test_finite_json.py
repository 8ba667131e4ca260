"""JSON has no word for what is not finite: null stands in files and answers, and it is said."""

import json
import math

import kplug
from kplug import Metric, hookimpl
from kplug.storage.files import in_json, not_finite, with_nan
from kplug.storage.journal import Journal
from kplug.testing import plugged

SPEC = """
name: s
task: {type: classification, model: {type: layers, layers: [flatten]}, metrics: [nothing]}
data: {source: digits, sampler: {type: shuffled, batch_size: 512}}
fit: {epochs: 2, best: {maximize: val_nothing}}
"""


def nothing() -> Metric:
    """Give a number that is none."""
    import keras

    return keras.metrics.MeanMetricWrapper(lambda y, p: keras.ops.sum(p) * float("nan"), name="nothing")


class Plugin:
    @staticmethod
    @hookimpl
    def components():
        return [nothing]


def strictly(text):
    def refuse(name):
        raise AssertionError(f"not JSON: {name}")

    return json.loads(text, parse_constant=refuse)


def test_plain_data():
    content = {"a": [1.0, math.nan], "b": {"c": -math.inf, "d": "NaN", "e": (2, math.inf)}}
    assert strictly(in_json(content)) == {"a": [1.0, None], "b": {"c": None, "d": "NaN", "e": [2, None]}}
    assert not_finite(content) == ["a.1", "b.c", "b.e.1"]
    assert math.isnan(with_nan({"x": None})["x"]) and with_nan({"x": 1.5}) == {"x": 1.5}


def test_a_training_whose_metric_is_nan(tmp_path, capsys):
    with plugged(Plugin):
        run = kplug.train(kplug.loads(SPEC), tmp_path / "run")
        for text in (*(run.path / "metrics.jsonl").read_text().splitlines(), (run.path / "result.json").read_text()):
            assert strictly(text)
        assert "metrics.jsonl: nothing, val_nothing is not finite, and null in the file" in capsys.readouterr().err
        assert math.isnan(run.rows("metrics.jsonl")[1]["nothing"]) and math.isnan(run.metrics["val_nothing"])
        run.evaluate("test")
        assert strictly((run.path / "evaluation-test.json").read_text())["metrics"]["nothing"] is None
        again = kplug.train(kplug.loads(SPEC), tmp_path / "again")
        assert (again.path / "metrics.jsonl").read_bytes() == (run.path / "metrics.jsonl").read_bytes()


def test_the_journal_of_a_search(tmp_path):
    """A number that is not finite is the same for a search that goes on as it was for the one that wrote it."""
    journal = Journal(tmp_path / "journal.jsonl")
    told = with_nan({"val_loss": math.inf, "loss": math.nan, "epoch": 1})
    journal.append("report", metrics=told)
    journal.append("ended", numbers={"val_loss": math.nan})
    assert all(map(strictly, journal.path.read_text().splitlines()))
    report, ended = journal
    assert report["metrics"] == told and math.isnan(ended["numbers"]["val_loss"])
    assert {math.isnan(value) for value in (told["val_loss"], told["loss"])} == {True} and told["epoch"] == 1
