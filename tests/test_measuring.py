"""Operations of a model, counted and compared with what papers say of the same networks."""

import keras
import pytest

from kplug.model.operations import counted, flops, forward_operations, training_operations


def test_products_of_each_kind_by_hand():
    picture = keras.Input((8, 8, 3))
    model = keras.Model(picture, keras.layers.Conv2D(5, 3, padding="same")(picture))
    assert flops(model) == 2 * 8 * 8 * 5 * 3 * 3 * 3
    model = keras.Model(picture, keras.layers.DepthwiseConv2D(3, padding="same", strides=2)(picture))
    assert flops(model) == 2 * 4 * 4 * 3 * 3 * 3
    words = keras.Input((7, 6))
    model = keras.Model(words, keras.layers.Dense(4)(words))
    assert flops(model) == 2 * 7 * 6 * 4
    model = keras.Model(words, keras.layers.MultiHeadAttention(2, 3)(words, words))
    projections = 4 * 7 * 6 * (2 * 3)
    products = 2 * 7 * 7 * 2 * 3
    assert flops(model) == 2 * (projections + products)
    model = keras.Model(words, keras.layers.GRU(5)(words))
    assert flops(model) > 0


def test_a_batch_takes_as_many_times_an_example():
    picture = keras.Input((8, 8, 3))
    model = keras.Model(picture, keras.layers.Conv2D(5, 3)(picture))
    assert forward_operations(model, keras.ops.zeros((7, 8, 8, 3))) == 7 * flops(model)


@pytest.mark.parametrize("length", [7, 14])
def test_the_body_of_a_loop_is_counted_as_often_as_it_is_gone_through(length):
    words = keras.Input((length, 6))
    model = keras.Model(words, keras.layers.SimpleRNN(5)(words))
    assert flops(model) == 2 * length * (6 * 5 + 5 * 5)
    gru = keras.Model(words, keras.layers.GRU(5)(words))
    assert flops(gru) == 2 * length * 3 * (6 * 5 + 5 * 5)


def test_without_a_trace_kernels_are_counted_alike():
    picture = keras.Input((9, 8, 3))
    x = keras.layers.Conv2D(4, 3, padding="same")(picture)
    x = keras.layers.DepthwiseConv2D(3, strides=2)(x)
    model = keras.Model(picture, keras.layers.Dense(7)(keras.layers.Flatten()(x)))
    assert training_operations(model) == 3 * flops(model)


@pytest.mark.parametrize(
    ("name", "multiplications"),
    [("MobileNetV2", 300e6), pytest.param("ResNet50", 3.8e9, marks=pytest.mark.slow)],
)
def test_they_are_what_the_papers_say(name, multiplications):
    """Sandler et al. 2018, table 4: 300 M; He et al. 2016, table 1: 3.8 G."""
    model = getattr(keras.applications, name)(weights=None)
    assert flops(model) / 2 == pytest.approx(multiplications, rel=0.03)


def test_what_is_asked_for_is_counted():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    assert counted(model, ["parameters", "flops", "latency_ms"]) == {"parameters": 15.0, "flops": 24.0}
    assert counted(model, []) == {}
