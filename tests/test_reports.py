"""What an evaluation says class by class, over several views of a picture, and on other data."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as reference

import kplug
from kplug import Columns, Source, SpecError, hookimpl
from kplug.default_plugins.classification.report import calibration, details, few_valued, scores, scores_by
from kplug.spec.plugins import using
from kplug.testing import plugged, tiny

CLASSES = ("cat", "dog", "emu", "fox")


def some(count=200, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, count, p=[0.7, 0.2, 0.1])  # no fox among them
    logits = rng.normal(size=(count, 4)) + 1.5 * np.eye(4)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return labels, probabilities.astype("float32")


def test_scores_are_those_of_scikit_learn():
    labels, probabilities = some()
    said, present = probabilities.argmax(-1), [0, 1, 2]
    found = scores(labels, probabilities) | details(labels, probabilities, CLASSES)
    recalls = reference.recall_score(labels, said, labels=present, average=None)
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(labels, said))
    assert found["balanced_accuracy"] == pytest.approx(recalls.mean())
    assert found["worst_recall"] == pytest.approx(recalls.min())
    assert set(said) == set(range(4)), "the class that is absent is said all the same, which macro F1 counts"
    assert found["macro_f1"] == pytest.approx(reference.f1_score(labels, said, average="macro"))
    assert found["confusion"] == reference.confusion_matrix(labels, said, labels=range(4)).tolist()
    precisions = reference.precision_score(labels, said, labels=range(4), average=None, zero_division=0)
    for i, one in enumerate(found["classes"].values()):
        assert one["examples"] == (labels == i).sum()
        assert one["recall"] == (pytest.approx(recalls[i]) if i < 3 else None)
        assert one["precision"] == pytest.approx(precisions[i])


def test_scores_of_several_labels_are_those_of_scikit_learn():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, (100, 4)).astype("float32")
    probabilities = np.clip(0.6 * labels + 0.5 * rng.random((100, 4)), 0, 1)
    found = scores(labels, probabilities) | details(labels, probabilities, CLASSES)
    said = probabilities > 0.5
    assert found["macro_f1"] == pytest.approx(reference.f1_score(labels, said, average="macro"))
    assert found["confusion"] == reference.multilabel_confusion_matrix(labels, said).tolist()
    wanted = [reference.balanced_accuracy_score(y, s) for y, s in zip(labels.T, said.T, strict=True)]
    assert found["balanced_accuracy"] == pytest.approx(np.mean(wanted))


def test_the_calibration_error_by_hand():
    labels = np.array([0, 0, 0, 1])
    probabilities = np.array([[0.99, 0.01], [0.98, 0.02], [0.55, 0.45], [0.55, 0.45]])
    found = scores(labels, probabilities)
    assert found["calibration_error"] == pytest.approx(0.5 * abs(1 - 0.985) + 0.5 * abs(0.5 - 0.55))
    assert [bin_["share"] for bin_ in found["calibration"]] == [0.5, 0.5]


def test_a_confidence_of_one_has_a_bin():
    right = np.array([[True, False]])
    (only,) = calibration(right, right, np.array([[1.0, 0.0]]), several=False)
    assert only["to"] == 1 and only["accuracy"] == 1


def test_groups():
    labels, probabilities = some(60)
    hospital = np.array(["a", "b", "b"] * 20, object)
    arrays = {"label": labels, "hospital": hospital, "age": np.arange(60), "path": hospital}
    arrays |= {"ward": np.array([1.0, np.nan, 2.0] * 20), "shift": np.array(["day", None] * 30, object)}
    groups = {name: sorted(set(words)) for name, words in few_valued(Columns(60, arrays), "label")}
    assert groups == {"hospital": ["a", "b"], "ward": ["1.0", "2.0", "nan"], "shift": ["None", "day"]}
    found = scores_by(hospital, labels, probabilities)
    of_b = hospital == "b"
    assert found["b"]["examples"] == 40
    assert found["b"]["accuracy"] == pytest.approx((labels[of_b] == probabilities[of_b].argmax(-1)).mean())


# --- with real runs ------------------------------------------------------------------------------------------------

SPEC = """
name: tiny
task:
  type: classification
  model: {type: layers, layers: [{type: conv2d, filters: 8, kernel_size: 5, strides: 2, activation: relu}]}
  optimizer: {type: adam, learning_rate: 1e-2}
data:
  source: {type: grouped, of: SOURCE}
  sampler: {type: shuffled, batch_size: 32}
  augment: [random_flip]
fit: {epochs: 3}
"""


class Grouped:
    """A column that a report can go by."""

    distribution = "kplug-grouped"

    @staticmethod
    @hookimpl
    def components():
        return [grouped]


def grouped(of: Source) -> Source:
    """Pictures of two cameras.

    Args:
        of: the pictures.
    """

    def put(split):
        camera = np.array(["left", "right"], object)[np.arange(len(split)) % 2]
        columns = Columns(len(split), {**split.columns.arrays, "camera": camera})
        return replace(split, columns=columns)

    return {name: put(split) for name, split in of.items()}


@pytest.fixture(scope="module", params=["tiny_pictures", "tiny_labels"])
def run(request, tmp_path_factory):
    with plugged(Grouped, tiny):
        text = SPEC.replace("SOURCE", f"{{type: {request.param}, examples: 96, test: 30}}")
        yield kplug.train(kplug.loads(text), tmp_path_factory.mktemp("runs") / request.param)


def test_an_evaluation_reports(run):
    metrics = run.evaluate("test")
    report = run.read_json("report-test.json")
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "calibration_error", "worst_recall"):
        assert metrics[name] == pytest.approx(report[name])
    kept = run.read_json("evaluation-test.json")["metrics"]
    assert kept == metrics and "loss" in kept
    assert list(report["classes"]) == list(tiny.SHAPES)
    assert {name: group["examples"] for name, group in report["by"]["camera"].items()} == {"left": 15, "right": 15}
    for name in ("confusion", "recall", "calibration"):
        assert (run.path / f"plots/{name}-test.png").read_bytes().startswith(b"\x89PNG")


def test_the_accuracy_is_that_of_keras(run):
    """Which comes from another pass over the split."""
    from kplug.data.splits import open_data
    from kplug.model.learner import restored_learner

    learner = restored_learner(run)
    values = learner.model.evaluate(open_data(run.spec).evaluation(learner, "test"), verbose=0, return_dict=True)
    assert run.evaluate("test")["accuracy"] == pytest.approx(values["accuracy"], abs=1e-6)


def test_views_are_the_mean_over_the_picture_and_its_mirror_image(run):
    """Two views under a flip that always flips."""
    from kplug.model.learner import restored_learner

    class Mirror:
        distribution = "kplug-mirror"

        @staticmethod
        @hookimpl
        def components():
            return [mirrored]

    with using([*host_plugins(), Mirror()]):
        changes = {"data.augment": ["mirrored"]}
        found = run.evaluate("test", name="mirrored", views=2, changes=changes)
    from kplug.data.splits import open_data

    serve, data = restored_learner(run).serve["images"].function, open_data(run.spec)
    probabilities, labels = [], []
    for batch in data.examples("test"):
        both = [serve(images)["probabilities"] for images in (batch["image"], batch["image"][:, :, ::-1])]
        probabilities.append((both[0] + both[1]) / 2)
        labels.append(batch["label"])
    wanted = scores(np.concatenate(labels), np.concatenate(probabilities))
    for name, value in found.items():
        assert value == pytest.approx(wanted[name], abs=1e-5), name
    kept = run.read_json("evaluation-test-mirrored.json")
    assert kept["views"] == 2 and kept["changes"] == changes and "loss" not in kept["metrics"]
    assert (run.path / "report-test-mirrored.json").exists()


def host_plugins():
    return [Grouped(), tiny]


def mirrored() -> kplug.Augmentation:
    """Mirror every picture."""
    return lambda batch, seed: batch | {"image": batch["image"][:, :, ::-1]}


def test_views_repeat_themselves(run):
    first, second = (run.evaluate("test", name=name, views=3) for name in ("one", "two"))
    assert first == second


def test_other_data(run):
    before = run.evaluate("test")
    kept = (run.path / "evaluation-test.json").read_bytes()
    changes = {"data.source.of": {"type": run.spec["data.source.of"].name, "seed": 7, "test": 20}}
    other = run.evaluate("test", name="others", changes=changes)
    assert other != before
    assert run.read_json("report-test-others.json")["examples"] == 20
    assert (run.path / "evaluation-test.json").read_bytes() == kept


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"views": 0, "name": "a"}, "at least 1 view"),
        ({"views": 2}, "give this evaluation a name"),
        ({"changes": {"data.source.seed": 1}}, "give this evaluation a name"),
        (
            {"changes": {"task.model.layers": []}, "name": "a"},
            r"cannot change task.model.layers; it may change data.so",
        ),
        ({"changes": {"data.sourcery": 1}, "name": "a"}, "cannot change data.sourcery"),
        ({"views": 2, "name": "../a"}, "a name is letters"),
        ({"views": 2, "name": "a", "changes": {"data.augment": []}}, r"data.augment: it is empty"),
        (
            {"views": 2, "name": "a", "changes": {"data.augment": ["random_flip", "mix_up"]}},
            r"data.augment.1: it changes",
        ),
    ],
)
def test_what_is_refused(run, wrong, message):
    before = sorted(path.name for path in run.path.iterdir())
    with pytest.raises(SpecError, match=message):
        run.evaluate("test", **wrong)
    assert sorted(path.name for path in run.path.iterdir()) == before


def test_the_command(run, capsys):
    from click.testing import CliRunner

    from kplug.cli import cli

    done = CliRunner().invoke(cli, ["evaluate", str(run.path), "--views", "2", "--name", "cli", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["metrics"] == run.read_json("evaluation-test-cli.json")["metrics"]
