"""Every component that is installed keeps its contract: kplug's own, of its architectures one a file and of what is
generated of Keras one in six, and with KPLUG_TEST_ALL=1 all, those of plugins too, which have tests of their own."""

import os
from pathlib import Path

import numpy as np
import pytest

from kplug.kinds import KINDS
from kplug.spec.plugins import host
from kplug.testing import check

ROOT = Path(__file__).parents[1]
TFDS = ROOT / "../shared/data/tfds"
EVERYTHING = os.environ.get("KPLUG_TEST_ALL") == "1"
ONE_OF_FILE = {"keras_components.layers": "conv2d"}  # the one that stands for its file; else the first by name

# --- what components need --------------------------------------------------------------------------------------------

LAYER = {"type": "dense", "units": 3}
SMALL = {
    "activation": {"activation": "relu"},
    "alpha_dropout": {"rate": 0.1},
    "average_pooling1d": {"pool_size": 2},
    "average_pooling2d": {"pool_size": 2},
    "average_pooling3d": {"pool_size": 2},
    "bidirectional": {"layer": {"type": "lstm", "units": 3}},
    "convolution": {},
    "dense": {"units": 3},
    "depthwise_conv1d": {"kernel_size": 3},
    "depthwise_conv2d": {"kernel_size": 3},
    "dot": {"axes": -1},
    "dropout": {"rate": 0.1},
    "einsum_dense": {"equation": "abc,cd->abd", "output_shape": [None, 5]},
    "embedding": {"input_dim": 7, "output_dim": 3},
    "gaussian_dropout": {"rate": 0.1},
    "gaussian_noise": {"stddev": 0.1},
    "group_normalization": {"groups": 2},
    "grouped_query_attention": {"head_dim": 2, "num_query_heads": 2, "num_key_value_heads": 1},
    "gru": {"units": 3},
    "layers": {"layers": [{"type": "conv2d", "filters": 4, "kernel_size": 3}, {"layer": "relu", "repeat": 2}]},
    "lstm": {"units": 3},
    "multi_head_attention": {"num_heads": 2, "key_dim": 2},
    "normalization": {"mean": 0.5, "variance": 0.25},
    "permute": {"dims": [2, 1]},
    "repeat_vector": {"n": 2},
    "rescaling": {"scale": 0.5},
    "reshape": {"target_shape": [-1]},
    "resnet": {"depth": 18, "width": 4},
    "self_attention": {"heads": 1},
    "simple_rnn": {"units": 3},
    "spatial_dropout1d": {"rate": 0.1},
    "spatial_dropout2d": {"rate": 0.1},
    "spatial_dropout3d": {"rate": 0.1},
    "spectral_normalization": {"layer": LAYER},
    "time_distributed": {"layer": LAYER},
    "depthwise_separable_block": {"filters": 4},
    "inverted_residual_block": {"filters": 4},
    "mobilenet": {"version": "v3_small", "width_multiplier": 0.1},
    "fused_inverted_residual_block": {"filters": 4},
    "residual_block": {"filters": 4},
    "dense_block": {"layers": 2},
    "vgg_block": {"filters": 4},
    "inception_block": {
        **{"filters_1x1": 2, "reduce_3x3": 3, "filters_3x3": 4},
        **{"reduce_5x5": 1, "filters_5x5": 2, "pool_projection": 1},
    },
    "alexnet": {"width_multiplier": 0.05, "hidden": 8},
    "vgg": {"depth": 11, "width": 2, "hidden": 8},
    "inception": {"version": "v1", "width_multiplier": 0.03},
    "densenet": {"depth": 40, "growth": 2},
    "efficientnet": {"width_multiplier": 0.1},
    "cct": {"width": 8, "depth": 1, "heads": 2},
    "botnet": {"depth": 18, "width": 4, "heads": 2},
    "cnn_rnn": {"filters": [4, 4], "units": 3},
    "capsnet": {"filters": 4, "kernel_size": 3, "primary": 2, "primary_size": 3, "size": 4},
    "capsule_decoder": {"hidden": [4, 4]},
    "capsules": {
        "model": {"type": "capsnet", "filters": 4, "kernel_size": 3, "primary": 2, "primary_size": 3, "size": 4},
        "decoder": {"type": "capsule_decoder", "hidden": [4, 4]},
    },
    "pretrained": {"name": "MobileNet", "weights": None, "width_multiplier": 0.25},
    "weighted": {"column": "weight"},
    "augmented": {"of": "digits", "augment": ["random_flip"]},
    "tiles": {"of": "digits", "size": [4, 4]},
    "long_tail": {"of": "digits", "factor": 10.0},
    "transformer_block": {"heads": 1},
    "vit": {"width": 8, "depth": 1, "heads": 2, "patch": 4},
    "classification": {"model": "flatten"},
    "cosine_decay": {"initial_learning_rate": 0.1},
    "cosine_decay_restarts": {"initial_learning_rate": 0.1, "first_decay_steps": 2},
    "exponential_decay": {"initial_learning_rate": 0.1, "decay_steps": 2, "decay_rate": 0.9},
    "inverse_time_decay": {"initial_learning_rate": 0.1, "decay_steps": 2, "decay_rate": 0.9},
    "piecewise_constant_decay": {"boundaries": [2, 4], "values": [0.1, 0.01, 0.001]},
    "polynomial_decay": {"initial_learning_rate": 0.1},
    "iou": {"target_class_ids": [0, 1]},
    "precision_at_recall": {"recall": 0.5},
    "recall_at_precision": {"precision": 0.5},
    "sensitivity_at_specificity": {"specificity": 0.5},
    "specificity_at_sensitivity": {"sensitivity": 0.5},
    "top_k_categorical_accuracy": {"k": 2},
}

SEQUENCE, VOLUME, VECTOR, FEATURES = (6, 4), (4, 4, 4, 4), (4,), (8, 8, 4)
OF_SEQUENCES = set(
    "lstm gru simple_rnn bidirectional time_distributed masking einsum_dense permute "
    "attention additive_attention multi_head_attention grouped_query_attention".split()
)
OF_FEATURES = {"repeat_vector", "group_normalization"}
OF_AXES = {"1d": SEQUENCE, "2d": FEATURES, "3d": VOLUME}
OF_TWO = {"add", "average", "multiply", "maximum", "minimum", "subtract", "concatenate", "dot"}
TWO_SEQUENCES = {"attention", "additive_attention"}


def small_of(name):
    if name in SMALL:
        return SMALL[name]
    if name.startswith(("conv", "separable_conv")):
        return {"filters": 4, "kernel_size": 3}
    return {"output_size": 2} if name.startswith("adaptive_") else {}


def shape_of(name):
    """What a layer of Keras is called with; a picture, where nothing is said."""
    if name.startswith("conv_lstm"):
        return (3, *(5,) * int(name[-2]), 4)
    if name in OF_TWO:
        return [VECTOR, VECTOR] if name == "dot" else [FEATURES, FEATURES]
    if name in TWO_SEQUENCES:
        return [SEQUENCE, SEQUENCE]
    if name in OF_SEQUENCES:
        return SEQUENCE
    if name == "capsule_decoder":
        return (12,)
    if name in OF_FEATURES:
        return VECTOR if name == "repeat_vector" else FEATURES
    return next((shape for ending, shape in OF_AXES.items() if ending in name), None)


ELSEWHERE = {
    "ray_cluster",  # needs Ray, which is an extra: plugins/kplug-ray
    "hub",  # needs KerasHub, which is an extra: plugins/kplug-pretrained
    "from_run",  # needs a run: tests/test_from_run.py
    "multi_worker",  # needs other processes: tests/test_multi_worker.py
    "mirrored",  # needs several devices: tests/test_replicas.py
}


def chosen():
    every = [(kind, name, component) for kind in KINDS for name, component in host().registry.of_kind(kind)]
    if not EVERYTHING:
        every = [entry for entry in every if entry[2].distribution == "kplug"]
    wanted = every if EVERYTHING else few_of_each_file(every)
    return [pytest.param(*entry, id=f"{entry[0]}-{entry[1]}") for entry in wanted if entry[1] not in ELSEWHERE]


def few_of_each_file(every):
    files = {}
    for entry in every:
        files.setdefault((entry[0], entry[2].function.__module__.partition(".default_plugins.")[2]), []).append(entry)
    for (kind, file), entries in files.items():
        if kind == "architecture":
            yield next((entry for entry in entries if entry[1] == ONE_OF_FILE.get(file)), entries[0])
        else:
            yield from entries[:: 6 if "keras_" in file else 1]


# --- files for sources -----------------------------------------------------------------------------------------------


def write_pictures(folder):
    """Three class folders with pictures of two sizes, and a table of them."""
    from PIL import Image

    rows = ["image,label"]
    rng = np.random.default_rng(0)
    for label in ("a", "b", "c"):
        (folder / label).mkdir(parents=True)
        for number in range(6):
            picture = rng.integers(0, 256, (8 + number % 2, 9, 3), np.uint8)
            Image.fromarray(picture).save(folder / label / f"{number}.png")
            rows.append(f"{label}/{number}.png,{label}")
    (folder / "table.csv").write_text("\n".join(rows))


def arguments_of_source(name, tmp_path):
    if name in ("folder", "table"):
        write_pictures(tmp_path / "pictures")
        return {"path": str(tmp_path / "pictures" / ("table.csv" if name == "table" else ""))}
    if name == "class_names":
        (tmp_path / "names.txt").write_text("cat\ndog\n")
        return {"file": str(tmp_path / "names.txt"), "image_size": [8, 8]}
    if name == "arrays":
        images = np.random.default_rng(0).integers(0, 256, (20, 8, 8), np.uint8)
        np.savez(tmp_path / "all.npz", images=images, labels=np.arange(20) % 4)
        return {"path": str(tmp_path / "all.npz")}
    if name == "tfds":
        if not TFDS.is_dir():
            pytest.skip(f"there are no datasets in {TFDS}")
        return {"name": "mnist", "data_dir": str(TFDS), "train": "train[:50]", "test": "test[:20]", "download": False}
    return small_of(name)


# --- the tests -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "name", "component"), chosen())
def test_component(kind, name, component, tmp_path):
    small = arguments_of_source(name, tmp_path) if kind == "source" else small_of(component.name)
    inputs = shape_of(component.name) if kind == "architecture" else None
    check(component.function, inputs, **small)
