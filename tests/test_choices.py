"""What `auto` chooses: by recorded hardware and the model, the same whenever a run is asked again."""

import json
from dataclasses import replace

import keras
import pytest

import kplug
from kplug.contracts.interrupted import killed_after
from kplug.data.splits import open_data
from kplug.errors import SpecError
from kplug.model import operations
from kplug.model.machine import Hardware
from kplug.training import auto as choices
from kplug.training.fit import prepare, resume
from kplug.training.plan import Stage, make_plan
from kplug.training.workers import join

SPEC = """
name: chosen
task: {type: classification, model: {type: layers, layers: [LAYERS]}}
data: {source: digits, sampler: {type: shuffled, batch_size: 200}}
fit: {epochs: 1, checkpoint: {steps: 2, seconds: null}}
"""
DENSE = "flatten, {type: dense, units: 4}"
PLAIN = Hardware("CPU", "a processor", None, (), 1)
NATIVE = replace(PLAIN, flags=("avx512_bf16",))
GPU = Hardware("GPU", "a GPU", 8.0, (), 1)


def spec(layers=DENSE, **changes):
    return kplug.loads(SPEC.replace("LAYERS", layers)).at({f"fit.{key}": value for key, value in changes.items()})


def stage(*arguments, **changes):
    return Stage(0, 1, spec(*arguments, **changes))


def chosen(hardware, *arguments, **changes):
    loaded = spec(*arguments, **changes)
    plan = make_plan(open_data(loaded), join(loaded), hardware)
    return prepare(plan, plan.stages[0], kplug.Rebuild())


@pytest.mark.parametrize(
    ("hardware", "wanted"),
    [
        (PLAIN, "float32"),
        (NATIVE, "mixed_bfloat16"),
        (replace(PLAIN, flags=("amx_bf16", "avx512_bf16")), "mixed_bfloat16"),
        (replace(GPU, capability=9.0), "mixed_bfloat16"),
        (GPU, "mixed_bfloat16"),
        (replace(GPU, capability=7.5), "mixed_float16"),
        (replace(GPU, capability=6.1), "float32"),
        (replace(GPU, capability=None), "float32"),
    ],
)
def test_precision_by_hardware(hardware, wanted):
    assert choices.precision(stage(), hardware) == wanted
    assert choices.precision(stage(precision="mixed_float16"), hardware) == "mixed_float16"


THIN = {
    "depthwise": "{type: depthwise_conv2d, kernel_size: 3}",
    "separable": "{type: separable_conv2d, filters: 4, kernel_size: 3}",
    "grouped": "{type: conv2d, filters: 4, kernel_size: 3}, {type: conv2d, filters: 4, kernel_size: 1, groups: 2}",
}


@pytest.mark.parametrize("layers", THIN.values(), ids=THIN)
def test_depthwise_convolutions_train_in_float32_on_a_processor(layers):
    training = chosen(NATIVE, layers)
    assert training.choices["precision"] == "float32"
    assert {layer.compute_dtype for layer in training.learner.model._flatten_layers()} == {"float32"}
    assert chosen(NATIVE, layers, precision="mixed_bfloat16").choices["precision"] == "mixed_bfloat16"
    assert choices.precision(stage(layers), GPU, training.learner.model) == "mixed_bfloat16"


NARROW = "{type: conv2d, filters: 8, kernel_size: 3}, {type: conv2d, filters: 16, kernel_size: 3, strides: 2}"
WIDE = NARROW.replace("filters: 8", "filters: 16")
AVX512 = {"avx2", "avx512f", "avx512_bf16"}  # flags of a processor


@pytest.mark.parametrize(
    ("flags", "layers", "threads"),
    [
        ({"avx2"}, NARROW, 3),
        ({*AVX512, "amx_bf16"}, NARROW, 3),
        (AVX512, WIDE, 3),
        (AVX512, NARROW, 2),
        (AVX512, NARROW.replace("strides: 2", "strides: 1"), 3),
    ],
)
def test_what_does_not_crash_is_trained(monkeypatch, flags, layers, threads):
    monkeypatch.setattr(choices, "processor_flags", lambda: flags)
    assert chosen(PLAIN, layers, threads=threads)


def test_what_would_crash_is_refused(monkeypatch):
    """Batches of 200, three threads. In a process that has two, batches of 3 do crash on a processor with AVX-512."""
    monkeypatch.setattr(choices, "processor_flags", lambda: AVX512)
    with pytest.raises(SpecError, match=r"fit\.threads: TensorFlow crashes where 3 .* of 200 .* \(8\); write 2, or"):
        chosen(PLAIN, NARROW, threads=3)


def test_other_models_train_in_what_the_processor_multiplies():
    training = chosen(NATIVE, "{type: conv2d, filters: 4, kernel_size: 3}, {type: group_normalization, groups: 2}")
    assert training.choices["precision"] == "mixed_bfloat16"
    assert training.learner.model.dtype_policy.name == "mixed_bfloat16"
    assert {str(weight.dtype) for weight in training.learner.model.trainable_weights} == {"float32"}


def test_several_steps_at_once_where_they_are_small():
    training = chosen(PLAIN)
    steps = training.data.steps
    assert training.choices["steps_per_execution"] == max(n for n in range(1, 17) if steps % n == 0) > 1
    large = keras.Sequential([keras.Input((64, 64, 64)), keras.layers.Conv2D(64, 3)])
    assert choices.steps_per_execution(stage(), PLAIN, large, 100, 32) == 1
    small = training.learner.model
    assert choices.steps_per_execution(stage(), replace(PLAIN, replicas=2), small, 100, 32) == 1
    assert choices.steps_per_execution(stage(), PLAIN, small, 97, 32) == 1
    assert choices.steps_per_execution(stage(), PLAIN, small, 100, 32) == 10
    assert choices.steps_per_execution(stage(steps_per_execution=25), PLAIN, small, 100, 32) == 25
    with pytest.raises(kplug.SpecError, match=r"7 does not divide the 100 steps of an epoch; 1, 2, 4, 5, .* do"):
        choices.steps_per_execution(stage(steps_per_execution=7), PLAIN, small, 100, 32)


def test_xla_on_one_gpu_alone():
    model = chosen(PLAIN).learner.model
    assert not choices.jit(stage(), PLAIN, model)
    assert choices.jit(stage(), GPU, model)
    assert not choices.jit(stage(), replace(GPU, replicas=2), model)
    assert choices.jit(stage(jit=True), PLAIN, model)
    model.layers[-1].supports_jit = False
    assert not choices.jit(stage(), GPU, model)


def test_operations_of_a_step():
    model = keras.Sequential(
        [
            keras.Input((10, 10, 3)),
            keras.layers.Conv2D(8, 3),  # 8 x 8 places, 27 products for each of 8 filters
            keras.layers.DepthwiseConv2D(3),  # 6 x 6 places, 9 products for each of 8 channels
            keras.layers.Flatten(),
            keras.layers.Dense(5),
        ]
    )
    forward = 2 * (64 * 27 * 8 + 36 * 9 * 8 + 288 * 5)
    assert operations.training_operations(model) == 3 * forward


def test_a_resume_uses_the_recorded_hardware(tmp_path, monkeypatch):
    stopped = killed_after(4, spec(steps_per_execution=1), tmp_path / "run")
    file = stopped.path / "environment.json"
    environment = json.loads(file.read_text())
    environment["chosen"]["hardware"]["flags"] = []
    file.write_text(json.dumps(environment))
    rule, policies = choices.precision, []

    def watch(*arguments):
        policies.append(rule(*arguments))
        return policies[-1]

    monkeypatch.setattr(choices, "precision", watch)
    assert resume(stopped.path).finished
    assert set(policies) == {"float32"}


def test_the_log_says_what_computes(tmp_path, capfd):
    kplug.train(spec(), tmp_path / "run")
    said = next(line for line in capfd.readouterr().err.splitlines() if "steps an epoch" in line)
    assert said.endswith(("; on CPU:0, float32", "; on CPU:0, mixed_bfloat16"))
