"""Networks written in YAML: plain stacks, skips, branches, repeats; and the head."""

import keras
import numpy as np
import pytest

import kplug
from kplug.kinds import DataInfo, FitInfo
from kplug.spec.build import build
from kplug.testing import tiny_info

INFO = tiny_info((8, 8, 3), ("a", "b", "c"))


def network(layers, info=INFO):
    spec = kplug.loads(f"""
name: test
task:
  type: classification
  model: {{type: layers, layers: {layers}}}
data: {{source: digits}}
""")
    return build(spec, spec["task.model"], {DataInfo: info})


def output(layers, x=None):
    x = np.random.default_rng(0).random((2, 8, 8, 3), np.float32) if x is None else x
    part = network(layers)
    return part, x, keras.ops.convert_to_numpy(part(x))


def test_a_stack():
    part, _, y = output("[{type: conv2d, filters: 5, kernel_size: 3}, flatten, {type: dense, units: 4}]")
    assert y.shape == (2, 4)
    assert [tuple(v.shape) for v in part.variables] == [(3, 3, 3, 5), (5,), (180, 4), (4,)]


def test_a_skip_adds_the_input():
    twice = "{layer: {type: rescaling, scale: 2.0}, name: a}"
    _, x, y = output(f"[{twice}, {{layer: add, inputs: [input, a]}}]")
    np.testing.assert_allclose(y, 3 * x, rtol=1e-6)


def test_branches_join():
    _, x, y = output("""
      [{layer: {type: rescaling, scale: 2.0}, name: a},
       {layer: {type: rescaling, scale: 5.0}, inputs: [input], name: b},
       {layer: concatenate, inputs: [a, b, input]}]""")
    np.testing.assert_allclose(y, np.concatenate([2 * x, 5 * x, x], -1), rtol=1e-6)


def test_a_repeat_has_weights_of_its_own_each_time():
    part, _, y = output("[{layer: {type: conv2d, filters: 3, kernel_size: 1}, repeat: 3}]")
    assert y.shape == (2, 8, 8, 3) and len(part.variables) == 6
    kernels = [keras.ops.convert_to_numpy(v) for v in part.variables if v.ndim == 4]
    assert not np.array_equal(kernels[0], kernels[1])


def test_networks_nest():
    inner = "{type: layers, layers: [{type: conv2d, filters: 2, kernel_size: 1}, relu]}"
    part, _, y = output(f"[{{layer: {inner}, repeat: 2}}, {inner}]")
    assert y.shape == (2, 8, 8, 2) and len(part.variables) == 6


def test_an_entry_without_inputs_takes_what_is_before_it():
    _, x, y = output("[{layer: {type: rescaling, scale: 2.0}, name: a}, {type: rescaling, scale: 3.0}]")
    np.testing.assert_allclose(y, 6 * x, rtol=1e-6)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("[{layer: add, inputs: [input, b]}]", "layers.0.inputs.1: no output before it is named 'b'"),
        ("[{layer: flatten, name: input}]", "layers.0.name: 'input' is the name of another output"),
        ("[{layer: add, inputs: [input, input], repeat: 2}]", "layers.0.repeat: .*cannot be repeated"),
        ("[]", "layers: a network needs at least one layer"),
    ],
)
def test_what_check_refuses(layers, message):
    with pytest.raises(kplug.SpecError, match=message):
        network(layers)


def test_the_head_takes_the_mean_over_space_and_scores_in_float32():
    from kplug.default_plugins.networks import linear
    from kplug.model.network import dtype_policy

    with dtype_policy("mixed_bfloat16"):
        for shape in ((4,), (5, 4), (8, 8, 4), (2, 8, 8, 4)):
            head = linear(INFO, dropout=0.5)
            scores = head(keras.Input(shape))
            assert scores.shape == (None, 3) and scores.dtype == "float32"
            assert [tuple(v.shape) for v in head.trainable_variables] == [(4, 3), (3,)]


def test_a_head_with_the_wrong_number_of_scores():
    spec = kplug.loads("""
name: test
task: {type: classification, model: flatten, head: {type: dense, units: 2}}
data: {source: digits}
""")
    with pytest.raises(kplug.SpecError, match=r"task: 3 classes need as many scores .* shape \[2\]"):
        build(spec, spec["task"], {DataInfo: INFO, FitInfo: FitInfo(10, 1)})
