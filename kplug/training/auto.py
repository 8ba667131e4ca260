"""The rules behind `auto`: on the hardware and the model, never timings, so that a run chooses the same again."""

from __future__ import annotations

import os
from typing import Any

import keras
import tensorflow as tf

from kplug.errors import listed
from kplug.model.machine import Hardware, processor_flags
from kplug.model.operations import training_operations
from kplug.model.patches import layers_of
from kplug.training.plan import Stage

SAFE_CHANNELS = 16  # with which oneDNN's kernels for AVX-512 fill a register
PICTURES = 4  # channels that a picture has at most
# Operations of a step below which several steps are made in one call, since the call from Python costs about as much as
# the step. Weights are the same either way, so that a wrong number costs time alone: one too low leaves small models
# slow, one too high has callbacks and Ctrl-C wait for large steps.
SMALL_STEP = 1e9
CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
DEPTHWISE = (
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
)
# Steps that are made in one call at most. Callbacks, checkpoints and Ctrl-C wait for all of them; more of them gain
# little, since a sixteenth of the cost of a call is left for each.
MOST_STEPS = 16


def choose(stage: Stage, hardware: Hardware, model: keras.Model, steps: int, batch_size: int) -> dict[str, Any]:
    """Set a compiled model up as the spec and the rules say, and tell what was chosen, for `environment.json`.

    Args:
        stage: says what the spec leaves to the rules.
        hardware: on which the run began.
        model: the stage's.
        steps: how many an epoch has.
        batch_size: examples in a batch of all replicas.
    """
    model.jit_compile = jit(stage, hardware, model)
    model.steps_per_execution = steps_per_execution(stage, hardware, model, steps, batch_size)
    return {
        "jit": model.jit_compile,
        "steps_per_execution": model.steps_per_execution,
        "threads": stage.fit.threads or min(os.cpu_count() or 1, 1024),
        "hardware": hardware.to_json(),
        "devices": [device.name for device in tf.config.list_logical_devices()],
        "parameters": model.count_params(),
    }


def precision(stage: Stage, hardware: Hardware, model: keras.Model | None = None) -> str:
    """The Keras dtype policy of a stage; without a model, of one that has products of full matrices alone."""
    wanted = stage.fit.precision
    if wanted != "auto":
        return wanted
    if hardware.kind == "CPU":
        thin = model is not None and any(map(_is_depthwise, layers_of(model)))
        return "mixed_bfloat16" if hardware.flags and not thin else "float32"
    if (hardware.capability or 0) >= 8:  # Ampere and later
        return "mixed_bfloat16"
    return "mixed_float16" if (hardware.capability or 0) >= 7 else "float32"  # Volta and Turing have float16 alone


def _is_depthwise(layer: keras.layers.Layer) -> bool:
    """True of a convolution of each channel, or group of channels, by itself.

    TensorFlow 2.21 has no fast kernels for their gradients in bfloat16 on a CPU, least of all with strides.
    """
    return isinstance(layer, DEPTHWISE) or (isinstance(layer, CONVOLUTIONS) and layer.groups > 1)


def refuse_crash(stage: Stage, hardware: Hardware, model: keras.Model, batch_size: int) -> None:
    """Refuse a training in which TensorFlow 2.21 would end the process without a word.

    On a processor with AVX-512, oneDNN's gradient of a convolution with strides, from fewer than 16 channels, writes
    beyond its memory where the threads do not divide the batch. That of the first layer, on the pictures, is not made.
    """
    flags = processor_flags()  # of the machine that computes, which may not be the one of before a resume
    if hardware.kind != "CPU" or "avx512f" not in flags or "amx_bf16" in flags:
        return
    threads, batch_size = stage.fit.threads or os.cpu_count() or 1, batch_size // hardware.replicas
    if batch_size % threads == 0:
        return
    for layer in layers_of(model):
        if not isinstance(layer, CONVOLUTIONS) or max(layer.strides) == 1:
            continue
        if PICTURES < (channels := layer.kernel.shape[-2] * layer.groups) < SAFE_CHANNELS:
            fitting = max(n for n in range(1, threads) if batch_size % n == 0)
            message = (
                f"TensorFlow crashes where {threads} threads do not divide a batch of {batch_size} and a convolution "
                f"with strides reads fewer than {SAFE_CHANNELS} channels, as '{layer.name}' does ({channels}); write "
                f"{fitting}, or a batch size that {threads} threads divide"
            )
            raise stage.spec.error("fit.threads", message)


def jit(stage: Stage, hardware: Hardware, model: keras.Model) -> bool:
    """True where XLA compiles the step: on one GPU, where every layer can; on a CPU it is slower than oneDNN."""
    wanted = stage.fit.jit
    if wanted != "auto":
        return wanted
    return hardware.kind == "GPU" and hardware.replicas == 1 and all(x.supports_jit for x in layers_of(model))


def steps_per_execution(stage: Stage, hardware: Hardware, model: keras.Model, steps: int, batch_size: int) -> int:
    """Steps that are made at once: several where they are small, and as many executions as fill an epoch exactly.

    Raises:
        SpecError: the spec's number does not divide the steps of an epoch.
    """
    wanted = stage.fit.steps_per_execution
    divisors = [n for n in range(1, steps + 1) if steps % n == 0]
    if wanted == "auto":
        small = hardware.replicas == 1 and training_operations(model) * batch_size < SMALL_STEP
        return max(n for n in divisors if n <= MOST_STEPS) if small else 1
    if wanted not in divisors:
        message = f"{wanted} does not divide the {steps} steps of an epoch; {listed([str(n) for n in divisors])} do"
        raise stage.spec.error("fit.steps_per_execution", message)
    return wanted
