"""What can be known before the first step is said before it: at check where the spec tells, else when it is built."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kplug
from kplug.data.splits import open_data
from kplug.kinds import FitInfo
from kplug.model.learner import build_learner
from kplug.model.network import placed

SPEC = """
name: before
task: {{type: classification, model: {model}}}
data: {{source: {source}, sampler: {{type: shuffled, batch_size: 16}}, augment: [{augment}]}}
fit: {{epochs: 1}}
"""
LARGER = "{size: [32, 32], channels: 3}"


def text(model="flatten", source="digits", augment=""):
    return SPEC.format(model=model, source=source, augment=augment)


@pytest.mark.parametrize(
    ("augment", "said"),
    [
        ("random_grayscale", "it needs 3 channels, these pictures have 1: set data.features.image.channels to 3"),
        ("random_hue", "it needs 3 channels"),
        ("random_saturation", "it needs 3 channels"),
        ("random_color_degeneration", "it needs 3 channels"),
        ("random_color_jitter", "it needs 3 channels"),
        ("{type: random_color_jitter, hue: 0, saturation: 0}", None),
        ("{type: random_crop, padding: 8}", "a window of 8 x 8 may lie in a padding of 8 alone"),
        ("{type: random_crop, padding: 1000}", "pad by less than 8"),
        ("{type: random_crop, padding: 7}", None),
        ("{type: random_crop, padding: 3, size: [3, 3], fill: reflect}", None),  # all that is added shows the picture
        ("{type: random_crop, size: [4, 6], padding: 4}", "a window of 4 x 6 may lie in a padding of 4 alone"),
    ],
)
def test_augmentations_that_do_not_fit_the_pictures_are_refused_at_check(augment, said):
    if said is None:
        assert kplug.loads(text(augment=augment))
        return
    with pytest.raises(kplug.SpecError) as caught:
        kplug.loads(text(augment=augment), "b.yaml")
    assert str(caught.value).startswith("b.yaml:4:77: data.augment.0: ") and said in str(caught.value)
    if "1000" not in augment and "size" not in augment:
        assert kplug.loads(text(augment=augment).replace("digits,", "digits, features: {image: " + LARGER + "},"))


def test_where_check_does_not_know_the_pictures_the_same_is_said_when_they_are_opened(tmp_path):
    images = np.zeros((40, 8, 8), np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(40) % 2)
    source = f"{{type: arrays, path: {tmp_path}/a.npz}}"
    for name, augment, said in (
        ("colors", "random_grayscale", "data.augment.0: RandomGrayscale needs 3 channels"),
        ("windows", "{type: random_crop, padding: 9}", "data.augment.0: a padding of 9 holds a whole window of 8 x 8"),
    ):
        with pytest.raises(kplug.SpecError) as caught:
            kplug.train(kplug.loads(text(source=source, augment=augment)), tmp_path / name)
        assert said in str(caught.value)
        assert not (tmp_path / name / "metrics.jsonl").exists()


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("add", "task.model: cannot be called with what the task gives it: A merge layer should be called on a list"),
        ("{type: reshape, target_shape: [3, 3]}", "The total size of the tensor must be unchanged"),
        ("{type: einsum_dense, equation: 'abc,cd->abd', output_shape: 4}", "do not match at shared dimension"),
        ("{type: conv1d, filters: 3, kernel_size: 3}", "Kernel shape must have the same length as input"),
        ("{type: bidirectional, layer: flatten}", "task.model: cannot be made: "),
        ("{type: layers, layers: [{type: bidirectional, layer: flatten}]}", "task.model.layers.0: cannot be made: "),
    ],
)
def test_a_single_layer_as_the_model_is_refused_with_its_place(model, said):
    spec = kplug.loads(text(model), "b.yaml")
    data = open_data(spec)
    with pytest.raises(kplug.SpecError) as caught:
        build_learner(spec, data.info, FitInfo(10, 1), "float32")
    assert str(caught.value).startswith("b.yaml:3:") and said in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_a_part_that_fails_on_a_real_batch_is_refused_with_its_place(tmp_path):
    spec = kplug.loads(text("{type: adaptive_average_pooling1d, output_size: 1}"), "b.yaml")
    with pytest.raises(kplug.SpecError) as caught:  # Keras takes the symbolic pictures, and fails on those of a batch
        kplug.train(spec, tmp_path / "run")
    assert str(caught.value).startswith("b.yaml:3:")
    assert "task.model: cannot be called with what the task gives it: " in str(caught.value)
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


@pytest.mark.parametrize("part", [keras.losses.CategoricalCrossentropy(), keras.metrics.CategoricalCrossentropy()])
def test_a_loss_or_metric_that_does_not_take_the_answers_is_refused_with_its_place(part):
    object.__setattr__(part, "spec_place", (("task", "loss"), "b.yaml:3:1"))
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    is_loss = isinstance(part, keras.Loss)
    model.compile("sgd", loss=part if is_loss else lambda y, scores: scores[:, 0], metrics=[] if is_loss else [part])
    with pytest.raises(kplug.SpecError) as caught, placed():
        model.fit(np.zeros((8, 4)), np.zeros((8, 5)), verbose=0)
    assert str(caught.value).startswith("b.yaml:3:1: task.loss: cannot be called with what the task gives it: ")


def test_what_onednn_does_not_take_is_said_without_a_traceback():
    said = "Detected at node classifier/separable_conv2d/Add defined at ...\n"
    said += "Operation received an exception:Status: 2, message: could not create a primitive"
    with pytest.raises(kplug.SpecError, match=r"of this model \(classifier/separable_conv2d/Add\); change"), placed():
        raise tf.errors.AbortedError(None, None, said)
    with pytest.raises(tf.errors.AbortedError), placed():
        raise tf.errors.AbortedError(None, None, "another reason")
