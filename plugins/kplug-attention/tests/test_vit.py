"""ViT: the known parameter counts, its arithmetic against NumPy, what dropout and pooling do, and what it refuses."""

import json

import keras
import kplug_attention
import numpy as np
import pytest
from kplug_attention import transformer_block, vit
from scipy.special import erf, softmax

import kplug
from kplug import SpecError
from kplug.testing import check, no_tensorflow, plugged, tiny

# of timm's vit_*_patch16_224 with a classifier of 1000 classes
PARAMETERS = {"Ti": 5_717_416, "S": 22_050_664, "B": 86_567_656}
TINY = {"patch": 8, "width": 12, "depth": 2, "heads": 3}


def pictures(count=2, height=16, width=24):
    return np.random.default_rng(0).random((count, height, width, 3), np.float32)


def scrambled(part, x):
    """The part, built on x, with random weights: nothing of its arithmetic is hidden by a zero or a one."""
    part(x)
    rng = np.random.default_rng(1)
    for weight in part.weights:
        weight.assign(rng.normal(size=weight.shape) * (0.5 if len(weight.shape) == 1 else weight.shape[-1] ** -0.5))
    return part, {weight.path.partition("/")[2]: weight.numpy() for weight in part.weights}


@pytest.mark.parametrize("size", PARAMETERS)
def test_parameters(size):
    model = keras.Sequential([keras.Input((224, 224, 3)), vit(size), keras.layers.Dense(1000)])
    assert model.count_params() == PARAMETERS[size]


def test_sizes_can_be_changed_one_by_one():
    x = keras.Input((32, 32, 3))
    assert vit("Ti", depth=1)(x).shape == (None, 192)
    assert vit("Ti", depth=1, width=96)(x).shape == (None, 96)
    assert vit("Ti", depth=1, width=96, pooling="mean")(x).shape == (None, 96)
    assert vit("Ti", depth=1, width=96, pooling="none", patch=8)(x).shape == (None, 16, 96)


# --- against NumPy ---------------------------------------------------------------------------------------------------


def normalized(x, weights, name):
    scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    return scaled * weights[f"{name}/gamma"] + weights[f"{name}/beta"]


def attention(x, weights, name):
    """Multi-head self-attention of tokens [b, n, w]."""

    def projected(part):
        return np.einsum("bnw,whd->bhnd", x, weights[f"{name}/{part}/kernel"]) + weights[f"{name}/{part}/bias"][:, None]

    query, key, value = map(projected, ("query", "key", "value"))
    shares = softmax(query @ key.swapaxes(2, 3) / np.sqrt(query.shape[-1]), axis=-1)
    kernel, bias = (weights[f"{name}/attention_output/{part}"] for part in ("kernel", "bias"))
    return np.einsum("bhnd,hdw->bnw", shares @ value, kernel) + bias


def block(x, weights, name):
    x = x + attention(normalized(x, weights, f"{name}_attention_norm"), weights, f"{name}_attention")
    y = normalized(x, weights, f"{name}_mlp_norm") @ weights[f"{name}_mlp_up/kernel"] + weights[f"{name}_mlp_up/bias"]
    y = y * (1 + erf(y / np.sqrt(2))) / 2
    return x + y @ weights[f"{name}_mlp_down/kernel"] + weights[f"{name}_mlp_down/bias"]


def tokens(images, weights, patch):
    b, h, w, c = images.shape
    cut = images.reshape(b, h // patch, patch, w // patch, patch, c).swapaxes(2, 3).reshape(b, -1, patch * patch * c)
    kernel = weights["patches/kernel"]
    x = cut @ kernel.reshape(-1, kernel.shape[-1]) + weights["patches/bias"]
    if "positions/class_token" in weights:
        x = np.concatenate([np.repeat(weights["positions/class_token"], b, axis=0), x], axis=1)
    return x + weights["positions/embedding"]


@pytest.mark.parametrize("pooling", ["token", "mean", "none"])
def test_it_computes_what_the_paper_says(pooling):
    images = pictures()
    network, weights = scrambled(vit(**TINY, pooling=pooling), images)
    x = tokens(images, weights, TINY["patch"])
    for number in range(TINY["depth"]):
        x = block(x, weights, f"block{number + 1}")
    x = normalized(x, weights, "norm")
    expected = {"token": x[:, 0], "mean": x.mean(1), "none": x}[pooling]
    np.testing.assert_allclose(network(images, training=False).numpy(), expected, atol=2e-5)


def test_a_block_reads_a_feature_map_as_tokens():
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 8)).astype("float32")
    network, weights = scrambled(transformer_block(heads=2, mlp_ratio=1.5), x)
    assert weights["block_mlp_up/kernel"].shape == (8, 12)
    expected = block(x.reshape(2, 15, 8), weights, "block").reshape(x.shape)
    np.testing.assert_allclose(network(x, training=False).numpy(), expected, atol=2e-5)


# --- training --------------------------------------------------------------------------------------------------------


def test_the_weights_start_as_in_glorot():
    network = vit(patch=8, width=256, depth=1, heads=8)
    network(keras.Input((32, 32, 3)))
    kernels = {
        w.path.split("/")[-2]: w.numpy() for w in network.weights if "attention/" in w.path and "kernel" in w.path
    }
    assert sorted(kernels) == ["attention_output", "key", "query", "value"]
    for kernel in kernels.values():
        assert kernel.std() == pytest.approx(256**-0.5, rel=0.05)
    assert not np.allclose(kernels["query"], kernels["key"])


def test_drop_path_leaves_the_block_out_for_whole_examples():
    x = np.random.default_rng(0).normal(size=(400, 6, 8)).astype("float32")
    network, _ = scrambled(transformer_block(heads=2, drop_path=0.5), x)
    passed_by = np.all(network(x, training=True).numpy() == x, axis=(1, 2))
    assert 0.15 < passed_by.mean() < 0.35, "each half is left out for half of the examples, both for a quarter"
    np.testing.assert_array_equal(network(x, training=False).numpy(), network(x, training=False).numpy())
    assert not np.any(np.all(network(x, training=False).numpy() == x, axis=(1, 2)))


def test_drop_path_grows_with_depth():
    network = vit(patch=8, width=12, depth=3, heads=3, drop_path=0.2)
    network(keras.Input((16, 16, 3)))
    rates = {layer.name: layer.rate for layer in network.network.layers if "drop_path" in layer.name}
    assert rates == {
        f"block{number}_{half}_drop_path": rate
        for number, rate in ((2, 0.1), (3, 0.2))
        for half in ("attention", "mlp")
    }


@pytest.mark.parametrize("name", ["dropout", "attention_dropout", "drop_path"])
def test_what_is_left_out_is_left_out_in_training_alone(name):
    images = pictures(8)
    network, _ = scrambled(vit(**TINY, **{name: 0.5}), images)
    plain = vit(**TINY)
    plain(images)
    plain.set_weights([w.numpy() for w in network.weights])
    expected = plain(images, training=False).numpy()
    np.testing.assert_allclose(network(images, training=False).numpy(), expected, atol=1e-6)
    assert not np.allclose(network(images, training=True).numpy(), expected, atol=1e-2)


# --- what is refused -------------------------------------------------------------------------------------------------

SPEC = """
name: tiny
task:
  type: classification
  model: {model}
data: {{source: {{type: tiny_pictures, examples: 20}}, sampler: {{type: shuffled, batch_size: 16}}}}
fit: {{epochs: 1}}
"""


def train(model, folder, **values):
    with plugged(kplug_attention, tiny):
        return kplug.train(kplug.loads(SPEC.format(model=model)).at(values), folder / "run")


def test_a_patch_that_does_not_divide_the_picture(tmp_path):
    with pytest.raises(
        SpecError, match=r"task.model: a patch of 5 pixels does not divide a picture of 32x32; those of 1, 2, 4, 8, 16"
    ):
        train("{type: vit, patch: 5, width: 12, depth: 1, heads: 3}", tmp_path)
    with pytest.raises(
        SpecError, match="patch of 16 pixels does not divide a picture of 48x24; those of 1, 2, 3, 4, 6, 8"
    ):
        vit()(keras.Input((48, 24, 3)))


def test_pictures_of_any_size():
    with pytest.raises(SpecError, match=r"set data\.features\.image\.size"):
        vit()(keras.Input((None, None, 3)))


def test_heads_that_do_not_divide_the_width():
    for given, message in (
        ("heads: 5", "task.model: 5 heads do not divide a width of 768"),
        ("size: S, width: 100", "task.model: 6 heads do not divide a width of 100"),
    ):
        with plugged(kplug_attention), pytest.raises(SpecError, match=message):
            kplug.loads(SPEC.format(model=f"{{type: vit, {given}}}").replace("tiny_pictures, examples: 20", "digits"))
    with pytest.raises(SpecError, match="4 heads do not divide the 6 features"):
        transformer_block()(keras.Input((5, 6)))


# --- the contract ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", ["token", "mean", "none"])
def test_contract_of_vit(pooling):
    check(vit, pooling=pooling, **TINY)


def test_contract_of_the_parts_left_out_in_training():
    check(vit, **TINY, dropout=0.1, attention_dropout=0.1, drop_path=0.1)


def test_contract_of_transformer_block():
    check(transformer_block, (6, 8))
    check(transformer_block, (4, 4, 8), heads=2, drop_path=0.5)


MODELS = (
    "{type: vit, patch: 8, width: 12, depth: 2, heads: 3, dropout: 0.1, drop_path: 0.1}",
    pytest.param(
        "{type: layers, layers: [{type: conv2d, filters: 8, kernel_size: 8, strides: 8}, "
        "{layer: {type: transformer_block, heads: 2}, repeat: 2}]}",
        marks=pytest.mark.slow,
    ),
)


@pytest.mark.parametrize("precision", [pytest.param("float32", marks=pytest.mark.slow), "mixed_bfloat16"])
@pytest.mark.parametrize("model", MODELS)
def test_a_spec_trains_a_step(model, precision, tmp_path):
    run = train(model, tmp_path, **{"fit.precision": precision})
    assert [row["step"] for row in run.rows("metrics.jsonl")] == [1]
    assert np.isfinite(run.result["metrics"]["loss"]), json.dumps(run.result)


def test_a_spec_is_checked_without_tensorflow(tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC.format(model=MODELS[0]).replace("{type: tiny_pictures, examples: 20}", "digits"))
    done = no_tensorflow("check", str(path))
    assert done.returncode == 0, done.stderr
