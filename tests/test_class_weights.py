"""Weights of classes: their values, what they do to a step, and what stays unweighted."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

import kplug
from kplug.data.pipeline import Data
from kplug.data.splits import open_data
from kplug.kinds import FitInfo
from kplug.model.class_weights import class_weight_vector, example_weights
from kplug.model.learner import build_learner
from kplug.testing import check, plugged, tiny_info

SPEC = """
name: weighted
task:
  type: classification
  model: flatten
  optimizer: {type: sgd, learning_rate: 0.5}
data:
  source: {type: SOURCE, size: [4, 4]}
  validation: 0.2
  sampler: {type: shuffled, batch_size: 10}
"""


def info(counts=(6, 3, 1), classes=("cat", "dog", "owl")):
    return tiny_info(classes=classes, counts=counts)


def learner_of(class_weights, source="tiny_pictures", **values):
    from kplug.testing import tiny

    with plugged(tiny):
        text = SPEC.replace("SOURCE", source)
        spec = kplug.loads(text).at(
            {"task.class_weights": class_weights} | {k.replace("__", "."): v for k, v in values.items()}
        )
        data = open_data(spec)
        if not data.info.multi_label:
            label = {**data.info.facts["label"], "counts": {"train": [30, 15, 5]}}
            facts = {**data.info.facts, "label": label}
            data = Data(spec, data.splits, dataclasses.replace(data.info, facts=facts))
        return data, build_learner(spec, data.info, FitInfo(steps=10, epochs=1), "float32")


# --- the vector ----------------------------------------------------------------------------------------------------


def test_balanced_is_that_of_scikit_learn():
    from sklearn.utils.class_weight import compute_class_weight

    labels = np.repeat([0, 1, 2], [6, 3, 1])
    vector = class_weight_vector("balanced", info())
    assert vector.dtype == np.float32
    np.testing.assert_allclose(vector, compute_class_weight("balanced", classes=np.arange(3), y=labels), rtol=1e-6)


def test_classes_by_name():
    assert class_weight_vector({"owl": 5.0}, info()).tolist() == [1, 1, 5]
    assert class_weight_vector(None, info()).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("wanted", "data", "message"),
    [
        ({"owls": 2.0}, info(), r"no class named 'owls'; did you mean 'owl'\? \(classes: cat, dog, owl\)"),
        ("balanced", info((6, 0, 1)), r"there are none of 'dog'; give weights by name"),
        ("balanced", info(()), r"balanced needs the number of examples"),
        ("balanced", info((), ()), r"gives no classes"),
    ],
)
def test_what_is_refused(wanted, data, message):
    with pytest.raises(kplug.SpecError, match=message):
        class_weight_vector(wanted, data)


def test_an_unknown_class_is_refused_before_a_run_is_made(tmp_path):
    from kplug.testing import tiny

    wrong = {"task.class_weights": {"eight": 2}}
    with pytest.raises(kplug.SpecError, match=r"task\.class_weights\.eight: no class named 'eight'"):
        kplug.loads(SPEC.replace("{type: SOURCE, size: [4, 4]}", "digits")).at(wrong)
    with plugged(tiny):  # whose classes are not known before it is opened
        spec = kplug.loads(SPEC.replace("SOURCE", "tiny_pictures")).at(wrong)
        with pytest.raises(kplug.SpecError, match=r"task: class_weights: no class named 'eight'"):
            kplug.train(spec, tmp_path / "run")
    assert not (tmp_path / "run").exists()


# --- the weight of an example ----------------------------------------------------------------------------------------


def test_one_class_mixed_classes_several_labels_and_none():
    y = tf.constant([[0, 1, 0], [0.25, 0, 0.75], [1, 0, 1], [0, 0, 0]], tf.float32)
    assert example_weights(y, [1.0, 2.0, 5.0]).numpy().tolist() == [2, 4, 3, 1]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int32"])
def test_pixels(dtype):
    labels = np.random.default_rng(0).integers(0, 3, (2, 5, 4))
    y = tf.cast(np.eye(3)[labels], dtype)
    weights = tf.function(lambda y: example_weights(y, [1.0, 2.0, 5.0]))(y)
    assert weights.dtype == tf.float32
    np.testing.assert_array_equal(weights, np.array([1, 2, 5])[labels])


# --- what they do ----------------------------------------------------------------------------------------------------


def gradient_step(x, y, weights, rate=0.5):
    """Weights and bias after one step of weighted cross-entropy from where they begin, computed by hand."""

    def step(kernel, bias):
        scores = x @ kernel + bias
        probabilities = np.exp(scores - scores.max(1, keepdims=True))
        probabilities /= probabilities.sum(1, keepdims=True)
        error = weights[:, None] * (probabilities - y) / len(x)
        return kernel - rate * x.T @ error, bias - rate * error.sum(0)

    return step


@pytest.mark.parametrize("wanted", ["balanced", {"green disc": 7.0}])
def test_a_step_is_the_weighted_one(wanted):
    data, learner = learner_of(wanted)
    images, y, weights = next(iter(data.training(learner, 1)))
    vector = class_weight_vector(wanted, data.info)
    np.testing.assert_allclose(weights, vector[y.numpy().argmax(1)], rtol=1e-6)
    x = images.numpy().reshape(len(y), -1) / 255.0
    expected = gradient_step(x, y.numpy(), vector[y.numpy().argmax(1)])(*learner.model.get_weights())
    unweighted = gradient_step(x, y.numpy(), np.ones(len(x)))(*learner.model.get_weights())
    learner.model.fit(data.training(learner, 1).take(1), shuffle=False, verbose=0)
    for found, wanted_, other in zip(learner.model.get_weights(), expected, unweighted, strict=True):
        np.testing.assert_allclose(found, wanted_, atol=1e-5)
        assert np.abs(found - other).max() > 1e-3


def test_validation_and_metrics_stay_unweighted():
    data, weighted = learner_of({"green disc": 50.0})
    assert len(next(iter(data.evaluation(weighted, "validation")))) == 2
    batches = data.training(weighted, 1).take(1)
    accuracy = weighted.model.evaluate(batches, return_dict=True, verbose=0)["accuracy"]
    values = weighted.model.evaluate(data.evaluation(weighted, "validation"), return_dict=True, verbose=0)
    images, y, _ = next(iter(batches))
    right = weighted.model.predict(images, verbose=0).argmax(1) == y.numpy().argmax(1)
    assert accuracy == pytest.approx(right.mean())
    data, plain = learner_of(None)
    assert len(next(iter(data.training(plain, 1)))) == 2
    assert values == plain.model.evaluate(data.evaluation(plain, "validation"), return_dict=True, verbose=0)


def test_several_labels_an_example():
    data, learner = learner_of("balanced", "tiny_labels")
    _, y, weights = next(iter(data.training(learner, 1)))
    vector = class_weight_vector("balanced", data.info)
    for row, weight in zip(y.numpy(), weights.numpy(), strict=True):
        assert weight == pytest.approx(vector[row > 0].mean() if row.any() else 1)
    assert np.isfinite(learner.model.fit(data.training(learner, 1), shuffle=False, verbose=0).history["loss"][0])


def test_labels_that_an_augmentation_mixes():
    data, learner = learner_of("balanced", **{"data.augment": [{"type": "mix_up", "alpha": 2.0}]})
    _, y, weights = next(iter(data.training(learner, 1)))
    assert ((y.numpy() > 0.01) & (y.numpy() < 0.99)).any()
    np.testing.assert_allclose(weights, y.numpy() @ class_weight_vector("balanced", data.info), rtol=1e-5)


def test_smoothing_does_not_change_the_weights():
    data, smooth = learner_of("balanced", **{"task.label_smoothing": 0.3})
    _, sharp = learner_of("balanced")
    for one, other in zip(data.training(smooth, 1), data.training(sharp, 1), strict=True):
        np.testing.assert_array_equal(one[2], other[2])


@pytest.mark.slow
def test_the_contract_of_classification_with_weights():
    from kplug.default_plugins.classification import classification

    check(classification, model="flatten", class_weights={"green disc": 3.0})


def test_what_check_refuses():
    for wanted in ("balance", {"cat": 0}, [1, 2]):
        text = SPEC.replace("{type: SOURCE, size: [4, 4]}", "digits")
        with pytest.raises(kplug.SpecError, match=r"task\.class_weights"):
            kplug.loads(text.replace("model: flatten", f"model: flatten\n  class_weights: {json.dumps(wanted)}"))


# --- the penalty on kernels -----------------------------------------------------------------------------------------


def test_l2_adds_half_the_squares_of_all_kernels():
    losses = {}
    for l2 in (0.0, 0.3):
        data, learner = learner_of(None, task__l2=l2)
        tf.random.set_seed(0)
        for weight in learner.model.weights:
            weight.assign(tf.random.stateless_normal(weight.shape, [1, len(weight.shape)]))
        x, y, *_ = next(iter(data.evaluation(learner, "train")))
        losses[l2] = float(learner.model.compute_loss(x, y, learner.model(x)))
        kernels = [weight for weight in learner.model.weights if len(weight.shape) > 1]
        assert 0 < len(kernels) < len(learner.model.weights)
        squares = sum(float(tf.reduce_sum(tf.square(weight))) for weight in kernels)
    assert losses[0.3] == pytest.approx(losses[0.0] + 0.15 * squares, rel=1e-5)


@pytest.mark.slow
def test_the_contract_holds_with_l2():
    """On two replicas the penalty counts once."""
    from kplug.default_plugins.classification import classification

    check(classification, model="flatten", l2=0.1)
