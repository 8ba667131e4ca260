"""`cell`: parameters by hand, what its graph computes, equal forms in equal networks, and what it refuses."""

import keras
import kplug_nas
import numpy as np
import pytest
from kplug_nas.forms import form_of_cell

from kplug import SpecError
from kplug.testing import check

PICTURE = (8, 8, 3)


def cell_of(*nodes, **more):
    return {"type": "cell", "nodes": [{"inputs": i, "operations": o} for i, o in nodes], **more}


def convolution(size, before, after):
    """Parameters, with its normalization."""
    return size * size * before * after + 4 * after


def separable(channels):
    return 9 * channels + convolution(1, channels, channels)


def test_parameters(make):
    model = cell_of(([0, 1], ["identity", "separable"]), ([1, 1], ["pooling", "separable"]), width=4, depth=2, stages=2)
    part = make(model)
    assert part(keras.Input(PICTURE)).shape == (None, 4, 4, 8)

    def cell(channels):  # both nodes are read by none
        return 2 * separable(channels) + convolution(1, 2 * channels, channels)

    reductions = 2 * convolution(1, 4, 8)
    assert part.count_params() == convolution(3, 3, 4) + 2 * cell(4) + reductions + 2 * cell(8)


def test_what_no_node_reads_is_the_output(make):
    """State 1 is read by none: it is put beside the one node."""
    part = make(cell_of(([0, 0], ["identity", "separable"]), width=4, depth=1, stages=1))
    part(keras.Input(PICTURE))
    assert part.network.get_layer("stage1_cell1_join").output.shape == (None, 8, 8, 8)
    assert part.count_params() == convolution(3, 3, 4) + separable(4) + convolution(1, 8, 4)


def test_a_cell_computes_its_graph(make):
    """Factors in place of operations: in the second cell state 0 is the stem's output, 1 the first cell's."""

    def by(factor):
        return {"type": "rescaling", "scale": factor}

    model = cell_of(([0, 1], [by(2), by(3)]), ([2, 1], [by(5), by(7)]), width=4, depth=2, stages=1)
    part = make(model)
    x = np.random.default_rng(0).random((2, *PICTURE), np.float32)
    part(x)
    inner = part.network
    layers = ("stem_norm", "stage1_cell1_norm", "stage1_cell2_node0", "stage1_cell2_node1")
    found = keras.Model(inner.inputs[0], [inner.get_layer(name).output for name in layers])
    before, last, first, second = (np.asarray(tensor) for tensor in found(x, training=False))
    np.testing.assert_allclose(first, 2 * before + 3 * last, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(second, 5 * first + 7 * last, rtol=1e-5, atol=1e-5)


def test_pyramid_has_the_strides_its_names_say(make):
    part = make(cell_of(([0, 1], ["identity", "identity"]), width=4, depth=1))
    output = part(keras.Input((20, 12, 3)))
    assert {name: tensor.shape[1:] for name, tensor in part.pyramid_outputs.items()} == {
        "P0": (20, 12, 4),
        "P1": (10, 6, 8),
        "P2": (5, 3, 16),
    }
    assert output.shape[1:] == (5, 3, 16)


def test_cells_of_one_form_have_as_many_parameters(make):
    one = cell_of(
        ([0, 1], ["separable", "identity"]),
        ([1, 2], ["pooling", "convolution"]),
        ([0, 0], ["pooling", "separable"]),
        width=4,
        depth=1,
        stages=2,
    )
    other = cell_of(
        ([0, 0], ["separable", "pooling"]),
        ([1, 0], ["identity", "separable"]),
        ([3, 1], ["convolution", "pooling"]),
        width=4,
        depth=1,
        stages=2,
    )
    assert form_of_cell(one["nodes"]) == form_of_cell(other["nodes"])
    parts = [make(model) for model in (one, other)]
    shapes = [part(keras.Input(PICTURE)).shape for part in parts]
    assert shapes[0] == shapes[1] and parts[0].count_params() == parts[1].count_params()


def test_a_search_sees_that_two_cells_are_one(load):
    from kplug.tuning.study import canonical

    one = cell_of(([0, 1], ["identity", "separable"]), ([0, 0], ["pooling", "identity"]))
    other = cell_of(([0, 0], ["identity", "pooling"]), ([1, 0], ["separable", "identity"]))
    assert canonical(load(one)) == canonical(load(other))
    assert canonical(load(one)) != canonical(load({**other, "width": 8}))
    assert canonical(load(one)) != canonical(load(cell_of(([0, 0], ["identity", "separable"]))))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (cell_of(), r"task\.model\.nodes: a cell has 1 to 8 nodes; received 0"),
        (cell_of(*[([0, 1], ["identity"] * 2)] * 9), r"a cell has 1 to 8 nodes; received 9"),
        (cell_of(([0, 2], ["identity"] * 2)), r"task\.model\.nodes\.0\.inputs\.1: 2 is not one of 0, 1: a node reads"),
        (
            cell_of(([0, 1], ["identity"] * 2), ([3, 1], ["identity"] * 2)),
            r"nodes\.1\.inputs\.0: 3 is not one of 0, 1, 2: .* and the nodes before it",
        ),
        (cell_of(([0], ["identity"] * 2)), r"task\.model\.nodes\.0\.inputs: a node has two inputs; received 1"),
        (cell_of(([0, 1], ["identity"] * 3)), r"nodes\.0\.operations: a node has two operations; received 3"),
        (cell_of(([0, -1], ["identity"] * 2)), r"nodes\.0\.inputs\.1: -1 is less than 0"),
    ],
)
def test_what_a_check_refuses(load, model, message):
    with pytest.raises(SpecError, match=message):
        load(model)


def test_an_operation_that_changes_the_shape_is_refused(make):
    part = make(cell_of(([0, 1], ["identity", "flatten"]), width=4))
    with pytest.raises(SpecError, match=r"nodes\.0\.operations\.1 changes the shape \[8, 8, 4\] to \[256\]"):
        part(keras.Input(PICTURE))


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"width": 4, "depth": 1, "stages": 2}])
def test_contract(settings):
    check(kplug_nas.cell, (8, 8, 3), **settings)


@pytest.mark.slow
def test_a_spec_trains_a_step(train_a_step):
    train_a_step(cell_of(([0, 1], ["separable", "pooling"]), ([2, 1], ["identity", "convolution"]), width=4, depth=1))
