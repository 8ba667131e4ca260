"""Tools for the Keras side of a plugin: what its components may use beside `kplug` and `kplug.kinds`.

    from kplug.authoring import Network

    def make_head(classes):
        return Network(lambda x: keras.layers.Dense(classes)(x), "head")

Nothing is loaded before it is asked for. Most of it brings TensorFlow, so that a component imports it in its body, or
in a module that its body imports.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kplug.console import inherited_environment as inherited_environment
    from kplug.console import load_tensorflow as load_tensorflow
    from kplug.console import log as log
    from kplug.data.augment import views as views
    from kplug.data.codecs.decoding import reason as reason
    from kplug.data.codecs.decoding import size_of as size_of
    from kplug.data.codecs.drawing import draw_outlines as draw_outlines
    from kplug.data.codecs.mask_files import decode_ids as decode_ids
    from kplug.data.features import codecs_of as codecs_of
    from kplug.data.geometry import mix as mix
    from kplug.data.geometry import move as move
    from kplug.data.geometry import move_boxes as move_boxes
    from kplug.data.geometry import move_points as move_points
    from kplug.data.geometry import place as place
    from kplug.data.geometry import place_back as place_back
    from kplug.data.geometry import place_pixels as place_pixels
    from kplug.data.geometry import place_pixels_back as place_pixels_back
    from kplug.data.geometry import warp as warp
    from kplug.data.raw import read as read
    from kplug.data.source_files import found_files as found_files
    from kplug.data.source_files import in_order as in_order
    from kplug.data.source_files import is_picture as is_picture
    from kplug.data.source_files import object_column as object_column
    from kplug.data.source_files import share_out as share_out
    from kplug.data.splits import choose_rows as choose_rows
    from kplug.data.tiling import tiled as tiled
    from kplug.inference.drawing import drawn as drawn
    from kplug.inference.figures import as_png as as_png
    from kplug.inference.figures import pictures as pictures
    from kplug.inference.run import open_run as open_run
    from kplug.model.class_weights import class_weight_vector as class_weight_vector
    from kplug.model.class_weights import example_weights as example_weights
    from kplug.model.graph import outputs_of as outputs_of
    from kplug.model.graph import pyramid_of as pyramid_of
    from kplug.model.learner import restored_learner as restored_learner
    from kplug.model.network import Network as Network
    from kplug.model.patches import key_in_files as key_in_files
    from kplug.model.patches import layers_of as layers_of
    from kplug.model.patches import own_variables as own_variables
    from kplug.model.patches import steps_of as steps_of
    from kplug.model.scores import Targets as Targets
    from kplug.model.scores import answers as answers
    from kplug.model.scores import endpoints_of_classes as endpoints_of_classes
    from kplug.model.scores import has_unknown as has_unknown
    from kplug.model.scores import known_rows as known_rows
    from kplug.model.scores import metrics_argument as metrics_argument
    from kplug.model.scores import outputs_of_classes as outputs_of_classes
    from kplug.model.scores import ranked as ranked
    from kplug.model.scores import refuse_unseen_classes as refuse_unseen_classes
    from kplug.model.stepped import Follower as Follower
    from kplug.model.stepped import Step as Step
    from kplug.model.stepped import Stepped as Stepped
    from kplug.model.stepped import across_replicas as across_replicas
    from kplug.model.stepped import follow as follow
    from kplug.model.trained_part import names_as_if_alone as names_as_if_alone
    from kplug.model.weights import finalize as finalize
    from kplug.spec.build import build as build
    from kplug.spec.class_weights import refuse_unknown_classes as refuse_unknown_classes
    from kplug.tuning.local_executor import Processes as Processes

# Each name stays in the module whose noun it is. Beside these a plugin may import `kplug`, `kplug.kinds`,
# `kplug.errors`, `kplug.testing` and `kplug.tuning.executor`, and nothing else of kplug, as tests/test_house.py checks.
_PLACES = {
    "across_replicas": "kplug.model.stepped",
    "answers": "kplug.model.scores",
    "as_png": "kplug.inference.figures",
    "build": "kplug.spec.build",
    "choose_rows": "kplug.data.splits",
    "class_weight_vector": "kplug.model.class_weights",
    "codecs_of": "kplug.data.features",
    "decode_ids": "kplug.data.codecs.mask_files",
    "draw_outlines": "kplug.data.codecs.drawing",
    "drawn": "kplug.inference.drawing",
    "endpoints_of_classes": "kplug.model.scores",
    "example_weights": "kplug.model.class_weights",
    "finalize": "kplug.model.weights",
    "follow": "kplug.model.stepped",
    "Follower": "kplug.model.stepped",
    "found_files": "kplug.data.source_files",
    "has_unknown": "kplug.model.scores",
    "in_order": "kplug.data.source_files",
    "inherited_environment": "kplug.console",
    "is_picture": "kplug.data.source_files",
    "key_in_files": "kplug.model.patches",
    "known_rows": "kplug.model.scores",
    "layers_of": "kplug.model.patches",
    "load_tensorflow": "kplug.console",
    "log": "kplug.console",
    "metrics_argument": "kplug.model.scores",
    "mix": "kplug.data.geometry",
    "move": "kplug.data.geometry",
    "move_boxes": "kplug.data.geometry",
    "move_points": "kplug.data.geometry",
    "names_as_if_alone": "kplug.model.trained_part",
    "Network": "kplug.model.network",
    "object_column": "kplug.data.source_files",
    "open_run": "kplug.inference.run",
    "outputs_of": "kplug.model.graph",
    "outputs_of_classes": "kplug.model.scores",
    "own_variables": "kplug.model.patches",
    "pictures": "kplug.inference.figures",
    "place": "kplug.data.geometry",
    "place_back": "kplug.data.geometry",
    "place_pixels": "kplug.data.geometry",
    "place_pixels_back": "kplug.data.geometry",
    "Processes": "kplug.tuning.local_executor",
    "pyramid_of": "kplug.model.graph",
    "ranked": "kplug.model.scores",
    "read": "kplug.data.raw",
    "reason": "kplug.data.codecs.decoding",
    "refuse_unknown_classes": "kplug.spec.class_weights",
    "refuse_unseen_classes": "kplug.model.scores",
    "restored_learner": "kplug.model.learner",
    "share_out": "kplug.data.source_files",
    "size_of": "kplug.data.codecs.decoding",
    "Step": "kplug.model.stepped",
    "Stepped": "kplug.model.stepped",
    "steps_of": "kplug.model.patches",
    "Targets": "kplug.model.scores",
    "tiled": "kplug.data.tiling",
    "views": "kplug.data.augment",
    "warp": "kplug.data.geometry",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'kplug.authoring' has no attribute '{name}'")
    return getattr(importlib.import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted(_PLACES)
