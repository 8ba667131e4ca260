"""Losses against the papers' formulas, written out example by example."""

import json
import math

import keras
import kplug_imbalance
import numpy as np
import pytest
from kplug_imbalance import (
    LOSSES,
    balanced_accuracy,
    cosine_linear,
    effective_number,
    focal,
    ldam,
    logit_adjusted,
    weighted_cross_entropy,
)

import kplug
from kplug import SpecError
from kplug.testing import check, no_tensorflow, plugged, tiny_info

COUNTS = (1000, 100, 10)
LABELS = [0, 1, 2, 2]
LOGITS = np.array([[2.0, 1.0, -1.0], [0.5, 0.2, 0.1], [-1.0, 3.0, 0.5], [0.0, 0.0, 4.0]], np.float32)
Y = np.eye(3, dtype=np.float32)[LABELS]


def info(counts=COUNTS, label=()):
    return tiny_info((8, 8, 1), ("cat", "dog", "emu"), bool(label), counts)


def softmax(logits):
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def p_true(logits):
    return softmax(logits.astype(np.float64))[range(len(LABELS)), LABELS]


def values(loss):
    return loss.call(keras.ops.convert_to_tensor(Y), keras.ops.convert_to_tensor(LOGITS)).numpy()


@pytest.mark.parametrize("component", [*LOSSES, cosine_linear], ids=lambda component: component.__name__)
def test_the_contract(component):
    check(component)


def test_weighted_cross_entropy():
    plain = -np.log(p_true(LOGITS))
    balanced = np.array([1110 / (3 * count) for count in COUNTS])[LABELS]
    np.testing.assert_allclose(values(weighted_cross_entropy(info())), plain * balanced, rtol=1e-5)
    by_name = weighted_cross_entropy(info(), {"dog": 2.5})
    np.testing.assert_allclose(values(by_name), plain * np.array([1, 2.5, 1])[LABELS], rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal(gamma):
    p = p_true(LOGITS)
    np.testing.assert_allclose(values(focal(info(), gamma)), -((1 - p) ** gamma) * np.log(p), rtol=1e-4)


def test_focal_with_a_sure_answer_has_a_finite_gradient():
    import tensorflow as tf

    logits = tf.constant([[200.0, 0.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = focal(info(), 0.5).call(tf.constant([[1.0, 0.0, 0.0]]), logits)
    assert np.isfinite(tape.gradient(loss, logits).numpy()).all()


@pytest.mark.parametrize("beta", [0.0, 0.9, 0.9999, 1 - 1e-12])
def test_effective_number(beta):
    effective = [(1 - beta**n) / (1 - beta) if beta < 1 - 1e-9 else n for n in COUNTS]
    weights = 1 / np.array(effective)
    weights *= 3 / weights.sum()
    np.testing.assert_allclose(
        values(effective_number(info(), beta)), -np.log(p_true(LOGITS)) * weights[LABELS], rtol=1e-4
    )


def test_ldam_moves_the_true_score_by_the_fourth_root():
    margins = [0.5 * (10 / count) ** 0.25 for count in COUNTS]
    assert math.isclose(margins[2], 0.5)
    moved = LOGITS - 30 * Y * np.array(margins, np.float32)
    np.testing.assert_allclose(values(ldam(info())), -np.log(p_true(moved)), rtol=1e-4)


def test_logit_adjusted_adds_the_logarithm_of_the_share():
    moved = LOGITS + 0.7 * np.log(np.array(COUNTS) / 1110)
    np.testing.assert_allclose(values(logit_adjusted(info(), 0.7)), -np.log(p_true(moved)), rtol=1e-5)


def test_several_labels():
    y = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]], np.float32)
    p = 1 / (1 + np.exp(-LOGITS[:2].astype(np.float64)))
    right = np.where(y == 1, p, 1 - p)
    several = info(label=(3,))
    found = focal(several, 2.0).call(y, LOGITS[:2]).numpy()
    np.testing.assert_allclose(found, (-((1 - right) ** 2) * np.log(right)).mean(-1), rtol=1e-4)
    for loss in (ldam, logit_adjusted):
        with pytest.raises(SpecError, match="one label an example"):
            loss(several)


@pytest.mark.parametrize("loss", [effective_number, ldam, logit_adjusted])
def test_classes_without_examples(loss):
    with pytest.raises(SpecError, match="there are none of 'dog'"):
        loss(info((10, 0, 3)))
    with pytest.raises(SpecError, match="number of examples of each class"):
        loss(info(()))


def test_weights_of_unknown_classes():
    for loss in (weighted_cross_entropy, focal, ldam):
        with pytest.raises(SpecError, match=r"no class named 'dgo'; did you mean 'dog'\? \(classes: cat, dog, emu\)"):
            loss(info(), weights={"dgo": 2.0})


def test_the_head_gives_scaled_cosines():
    head = cosine_linear(info(), scale=10.0)
    x = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
    scores = head(x).numpy()
    kernel = head.get_weights()[0]
    wanted = 10 * (x / np.linalg.norm(x, axis=1, keepdims=True)) @ (kernel / np.linalg.norm(kernel, axis=0))
    np.testing.assert_allclose(scores, wanted, rtol=1e-5, atol=1e-5)


SPEC = """
name: uneven
task:
  type: classification
  model: {type: layers, layers: [flatten, {type: dense, units: 16, activation: relu}]}
  head: HEAD
  loss: LOSS
data:
  source: {type: long_tail, of: digits, factor: 10}
  validation: 0
  sampler: {type: class_balanced, batch_size: 100}
fit: {epochs: 1, stages: [{epochs: 1, set: {CHANGE}}]}
"""


@pytest.mark.parametrize(
    ("head", "loss", "change"),
    [
        pytest.param(
            "linear",
            "weighted_cross_entropy",
            "data.sampler: {type: oversampled, batch_size: 100}",
            marks=pytest.mark.slow,
        ),
        ("cosine_linear", "{type: ldam, margin: 0.3}", "task.loss.weights: balanced"),
    ],
)
def test_a_spec_trains_deferred(head, loss, change, tmp_path):
    text = SPEC.replace("HEAD", head).replace("LOSS", loss).replace("CHANGE", change)
    with plugged(kplug_imbalance):
        run = kplug.train(kplug.loads(text), tmp_path / "run")
        assert [row["stage"] for row in run.rows("metrics.jsonl")] == [0, 1]
        assert np.isfinite(run.result["metrics"]["loss"]), json.dumps(run.result)
        counts = run.info.counts
        assert counts[0] == max(counts) and counts[-1] <= counts[0] / 9


def test_it_is_light(tmp_path):
    assert no_tensorflow(code="import kplug_imbalance").returncode == 0
    file = tmp_path / "spec.yaml"
    text = SPEC.replace("HEAD", "linear").replace("LOSS", "{type: focal, weights: {'0': -1}}").replace("CHANGE", "")
    file.write_text(text)
    found = no_tensorflow("check", str(file))
    assert found.returncode == 2
    assert "task.loss.weights" in found.stderr


# --- the metric ----------------------------------------------------------------------------------------------------


def test_the_contract_of_balanced_accuracy():
    check(balanced_accuracy)


def test_balanced_accuracy_is_that_of_scikit_learn():
    from sklearn.metrics import balanced_accuracy_score

    rng = np.random.default_rng(0)
    labels, probabilities = rng.choice(2, 100, p=[0.8, 0.2]), rng.random((100, 3)).astype("float32")
    metric = balanced_accuracy(info())
    for part in (slice(60), slice(60, None)):
        metric.update_state(np.eye(3, dtype="float32")[labels[part]], probabilities[part])
    # an answer of the third class, of which there is no example, is wrong all the same
    wanted = np.mean([(probabilities[labels == c].argmax(-1) == c).mean() for c in (0, 1)])
    assert float(metric.result()) == pytest.approx(wanted)
    two = probabilities[:, :2]
    metric.reset_state()
    metric.update_state(np.eye(3, dtype="float32")[labels], np.pad(two, ((0, 0), (0, 1))))
    assert float(metric.result()) == pytest.approx(balanced_accuracy_score(labels, two.argmax(-1)))
    with pytest.raises(SpecError, match="one label an example"):
        balanced_accuracy(info(label=(3,)))


# --- with label smoothing --------------------------------------------------------------------------------------------


def test_smoothing_changes_no_weight():
    """As the task's class_weights, which are taken of the targets as they are."""
    share, weights = 0.1, {"cat": 0.2, "emu": 10.0}
    smooth = Y * (1 - share) + share / 3
    wanted = -(smooth * np.log(softmax(LOGITS))).sum(-1) * np.array([0.2, 1, 10])[LABELS]
    loss = weighted_cross_entropy(info(), weights).with_label_smoothing(share)
    np.testing.assert_allclose(values(loss), wanted, rtol=1e-5)
    assert weighted_cross_entropy(info(), weights).label_smoothing == 0


def test_the_task_leaves_the_smoothing_to_the_loss():
    from kplug.data.splits import open_data
    from kplug.kinds import FitInfo
    from kplug.model.learner import build_learner

    with plugged(kplug_imbalance):
        spec = kplug.loads("{name: a, task: {type: classification, model: flatten}, data: {source: digits}}")
        found = []
        for values_ in (
            {"task.loss": {"type": "weighted_cross_entropy", "weights": {"1": 5.0}}},
            {"task.class_weights": {"1": 5.0}},
        ):
            spec_ = spec.at({"task.label_smoothing": 0.2, **values_})
            data = open_data(spec_)
            learner = build_learner(spec_, data.info, FitInfo(steps=1, epochs=1), "float32")
            for weight in learner.model.weights:
                weight.assign(keras.random.normal(weight.shape, seed=len(weight.shape)))
            batch = next(iter(data.examples("train")))
            x, y, *weight = learner.prepare(batch, None, True)
            found.append(float(learner.model.compute_loss(x, y, learner.model(x), *weight)))
    assert found[0] == pytest.approx(found[1], rel=1e-5)
