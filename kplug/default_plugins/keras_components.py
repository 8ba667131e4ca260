"""Keras's own layers, losses, metrics, optimizers, schedules, image layers and callbacks."""

from kplug import hookimpl
from kplug.default_plugins import (
    keras_augmentations,
    keras_callbacks,
    keras_layers,
    keras_losses,
    keras_metrics,
    keras_optimizers,
    keras_schedules,
)


@hookimpl
def components():
    modules = (
        *(keras_layers, keras_losses, keras_metrics, keras_optimizers),
        *(keras_schedules, keras_augmentations, keras_callbacks),
    )
    return [component for module in modules for component in module.COMPONENTS]
