"""Keras's own layers, losses, metrics, optimizers, schedules, image layers and callbacks."""

from kplug import hookimpl
from kplug.default_plugins.images import keras_augmentations
from kplug.default_plugins.keras_components import callbacks, layers, losses, metrics, optimizers, schedules


@hookimpl
def components():
    modules = (layers, losses, metrics, optimizers, schedules, keras_augmentations, callbacks)
    return [component for module in modules for component in module.COMPONENTS]
