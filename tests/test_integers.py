"""Whole numbers stay whole in every network: token ids read the same rows of an embedding in every precision."""

import keras
import numpy as np
import pytest

import kplug
from kplug.authoring import Network
from kplug.kinds import DataInfo, Field
from kplug.model.network import dtype_policy
from kplug.model.trained_part import TrainedPart
from kplug.spec.build import build

WORDS, WIDTH = 4096, 2
IDS = np.arange(WORDS, dtype=np.int32).reshape(64, 64)
# row n of the table is (n // 64, n % 64), which every precision holds exactly
TABLE = np.stack([np.arange(WORDS) // 64, np.arange(WORDS) % 64], -1).astype(np.float32)
EMBEDDING = "{type: embedding, input_dim: 4096, output_dim: 2}"
INFO = DataInfo({"text": Field((64,), "int32"), "label": Field((), "int32")})


def in_yaml(layers):
    spec = kplug.loads(f"""
name: integers
task: {{type: classification, model: {{type: layers, layers: {layers}}}}}
data: {{source: digits}}
""")
    return build(spec, spec["task.model"], {DataInfo: INFO})


def embedding():
    return keras.layers.Embedding(WORDS, WIDTH)


def nested():
    return Network(lambda x: Network(lambda y: embedding()(y), "inner")(x), "outer")


def trained():
    ids = keras.Input((64,), dtype="int32")
    part = Network(lambda x: embedding()(x), "trained")
    keras.Model(ids, part(ids))
    return TrainedPart(part, "the part")


NETWORKS = {
    "plain": lambda: Network(lambda x: embedding()(x), "plain"),
    "nested": nested,
    "layers": lambda: in_yaml(f"[{EMBEDDING}]"),
    "layers in layers": lambda: in_yaml(f"[{{type: layers, layers: [{EMBEDDING}]}}, relu]"),
    "skip": lambda: in_yaml(f"[{{layer: {EMBEDDING}, name: a}}, {{layer: add, inputs: [a, a]}}, {{layer: relu}}]"),
    "from another run": trained,
}


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dtype", ["int32", "int64", "uint16"])
def test_ids_read_the_same_rows_in_every_precision(policy, name, dtype):
    with dtype_policy(policy):
        part = NETWORKS[name]()
        given = keras.Input((64,), dtype=dtype)
        model = keras.Model(given, part(given))
    model.set_weights([TABLE])
    scale = 2 if name == "skip" else 1
    found = keras.ops.convert_to_numpy(keras.ops.cast(model(IDS.astype(dtype)), "float32"))
    np.testing.assert_array_equal(found, scale * TABLE[IDS])
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(keras.ops.cast(part(IDS), "float32")), found)


def test_numbers_that_are_not_whole_are_in_the_precision_of_the_network():
    with dtype_policy("mixed_bfloat16"):
        part = Network(lambda x: keras.layers.Dense(2)(x), "floats")
        assert part(keras.Input((3,))).dtype == "bfloat16"
    assert part.network.inputs[0].dtype == "bfloat16"


def test_a_network_that_would_round_says_so():
    with dtype_policy("mixed_bfloat16"):
        part = Network(lambda x: embedding()(x), "early")
        part.build((None, 64))
        with pytest.raises(TypeError, match=r"is given .*int32.*, which that would round"):
            part(IDS)
