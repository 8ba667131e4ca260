"""Which classes of Keras become components of which kind, in which file, by which part of the table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keras_components import images, layers, scores, training
from keras_components.table import LAYER_PARAMETERS, LEFT_OUT_LAYERS, Entry

Types = Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class Module:
    """One generated file: which classes of which Keras module become components of which kind."""

    file: str
    kind: str
    about: str
    namespace: str
    table: Mapping[str, Entry]
    parameters: Types
    left_out: Mapping[str, str]

    def passed_to_all(self, name: str, signature: Mapping[str, Any]) -> dict[str, str]:
        """Return the arguments that Keras gets in every call of this kind."""
        if self.kind == "Loss" and "from_logits" in signature:
            return {"from_logits": "True"}
        if self.kind == "Metric":  # without it the second precision of a process is called precision_1
            return {"name": repr(name)}
        if self.kind == "Augmentation":  # half precision is for the network
            return {"dtype": "'float32'"}
        return {}


MODULES = (
    Module(
        "keras_components/layers.py",
        "Architecture",
        "Layers of Keras: architectures that are called with features.",
        "keras.layers",
        layers.LAYERS,
        LAYER_PARAMETERS,
        LEFT_OUT_LAYERS | dict.fromkeys(images.AUGMENTATIONS, "an augmentation"),
    ),
    Module(
        "images/keras_augmentations.py",
        "Augmentation",
        "Image layers of Keras, pure in the seed: pictures are 0 to 255, and what lives in them moves with them.",
        "keras.layers",
        images.AUGMENTATIONS,
        {},
        LEFT_OUT_LAYERS | dict.fromkeys(layers.LAYERS, "an architecture"),
    ),
    Module(
        "keras_components/losses.py",
        "Loss",
        "Losses of Keras: float targets and logits, or outputs of a regression, to one value per example.",
        "keras.losses",
        scores.LOSSES,
        scores.LOSS_PARAMETERS,
        scores.LEFT_OUT_LOSSES,
    ),
    Module(
        "keras_components/metrics.py",
        "Metric",
        "Metrics of Keras: float one-hot or multi-hot targets, and probabilities.",
        "keras.metrics",
        scores.METRICS,
        scores.METRIC_PARAMETERS,
        scores.LEFT_OUT_METRICS,
    ),
    Module(
        "keras_components/optimizers.py",
        "Optimizer",
        "Optimizers of Keras.",
        "keras.optimizers",
        training.OPTIMIZERS,
        training.OPTIMIZER_PARAMETERS,
        training.LEFT_OUT_OPTIMIZERS,
    ),
    Module(
        "keras_components/schedules.py",
        "Schedule",
        "Learning rate schedules of Keras, by the step of the optimizer.",
        "keras.optimizers.schedules",
        training.SCHEDULES,
        training.SCHEDULE_PARAMETERS,
        training.LEFT_OUT_SCHEDULES,
    ),
    Module(
        "keras_components/callbacks.py",
        "Callback",
        "Callbacks of Keras that neither write files nor run code.",
        "keras.callbacks",
        training.CALLBACKS,
        training.CALLBACK_PARAMETERS,
        training.LEFT_OUT_CALLBACKS,
    ),
)
