"""What kplug adds to Keras's optimizers: decay and rates by layer, averages that are kept, a plateau after a rise."""

import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import kplug
from kplug.contracts.interrupted import contents, killed_after, watched_by, weights_in
from kplug.default_plugins.keras_components.callbacks import reduce_lr_on_plateau
from kplug.default_plugins.keras_components.optimizer_extras import layers_above
from kplug.default_plugins.keras_components.optimizers import COMPONENTS, adam, adamw, muon, schedule_free_adamw, sgd
from kplug.default_plugins.training.schedules import constant
from kplug.inference.run import Run
from kplug.kinds import FitInfo
from kplug.model.network import Network
from kplug.model.variables import reachable_variables
from kplug.spec.component import read_component
from kplug.testing import check
from kplug.training.averaging import SwappedWeights, averaging, averaging_optimizers, finish
from kplug.training.checkpoints import Checkpoints
from kplug.training.fit import resume, train

BY_NAME = {component.__name__: component for component in COMPONENTS}


def network():
    """Three layers with norms, and a head; the same weights in every call."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)

    def body(x):
        for number in (1, 2):
            x = keras.layers.Dense(6, name=f"dense{number}")(x)
            x = keras.layers.LayerNormalization(name=f"norm{number}")(x)
        return keras.layers.MultiHeadAttention(2, 3, name="attention")(x, x)

    def head(x):
        return keras.layers.Dense(3, name="scores")(keras.ops.mean(x, axis=1))

    inputs = keras.Input((4, 6))
    model = keras.Model(inputs, Network(head, "head")(Network(body, "body")(inputs)))
    for number, variable in enumerate(model.trainable_variables):  # none at 0, where nothing could shrink
        variable.assign(np.random.default_rng(number).normal(size=variable.shape))
    return model


def gradients(model, step, scale=1.0):
    rng = np.random.default_rng(step)
    return [tf.constant(scale * rng.normal(size=v.shape), tf.float32) for v in model.trainable_variables]


def after(optimizer, steps=1, scale=1.0, model=None):
    """Weights by path after steps with gradients of this scale."""
    model = model or network()
    optimizer.build(model.trainable_variables)
    for step in range(steps):
        optimizer.apply(gradients(model, step, scale), model.trainable_variables)
    return {variable.path: variable.numpy() for variable in model.trainable_variables}


# --- weight decay ----------------------------------------------------------------------------------------------------

# ftrl sets weights without a gradient to 0, with or without decay
DECAYING = sorted(set(BY_NAME) - {"ftrl"})
OF_ADAM = {"muon": {"adam_weight_decay": 0.5}}


def rarely(*cases):
    """Cases for the slow tests: what they see differs little from what the others do."""
    return [pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow) for case in cases]


@pytest.mark.parametrize("name", DECAYING)
@pytest.mark.parametrize(
    ("layer_decay", "decay_vectors"), [(None, False), (1.0, True), *rarely((None, True), (1.0, False))]
)
def test_without_a_gradient_matrices_shrink_and_vectors_only_if_told(name, layer_decay, decay_vectors):
    arguments = {"weight_decay": 0.5, "decay_vectors": decay_vectors, "layer_decay": layer_decay}
    optimizer = BY_NAME[name](learning_rate=0.1, **arguments, **OF_ADAM.get(name, {}))
    steps = 2 if name == "schedule_free_adamw" else 1  # the average of one step is where the path began
    found, model = after(optimizer, steps, scale=0.0), network()
    for variable in model.trainable_variables:
        before, now = variable.numpy(), found[variable.path]
        is_vector = variable.path.endswith(("bias", "gamma", "beta"))
        if is_vector and not decay_vectors:
            np.testing.assert_allclose(now, before, rtol=1e-6)
        elif steps == 1:
            np.testing.assert_allclose(now, before * (1 - 0.1 * 0.5), rtol=1e-5)
        else:
            assert np.linalg.norm(now) < 0.99 * np.linalg.norm(before)
    assert any(v.path.endswith("query/bias") and len(v.shape) == 2 for v in model.trainable_variables)


# --- learning rates by layer -----------------------------------------------------------------------------------------

ABOVE = {"dense1": 3, "norm1": 3, "dense2": 2, "norm2": 2, "attention": 1, "scores": 0}


def test_layers_are_counted_from_the_output_and_norms_with_the_layer_before():
    variables = network().trainable_variables
    found = {v.path.split("/")[1]: above for v, above in zip(variables, layers_above(variables), strict=True)}
    assert found == ABOVE


@pytest.mark.parametrize(
    ("paths", "above"),
    [
        (["vit/token", "vit/patches/kernel", "vit/block1/a/kernel", "vit/block1/b/c/kernel"], [2, 1, 0, 0]),
        (["net/norm/gamma", "net/conv/kernel", "net/norm2/beta", "head/scores/kernel"], [1, 1, 1, 0]),
        (["variable"], [0]),
        (["net/norm/gamma"], [0]),
    ],
)
def test_a_layer_is_two_names_of_a_path(paths, above):
    class Weight:
        def __init__(self, path):
            self.path, self.name = path, path.rpartition("/")[2]
            self.shape = (2, 2)

    assert layers_above([Weight(path) for path in paths]) == above


@pytest.mark.parametrize("name", ["adamw", "muon", *rarely(*sorted({*BY_NAME} - {"adamw", "muon"}))])
def test_a_layer_steps_as_if_its_rate_were_lower(name):
    """Of every optimizer: with half the rate a layer, the second from above ends where a quarter of the rate leads."""
    decay = {"weight_decay": 0.5} | OF_ADAM.get(name, {})
    found = after(BY_NAME[name](learning_rate=0.02, layer_decay=0.5, **decay), steps=3)
    for above in (0, 1, 2, 3):
        wanted = after(BY_NAME[name](learning_rate=0.02 * 0.5**above, **decay), steps=3)
        for path, value in wanted.items():
            if ABOVE[path.split("/")[1]] == above:
                np.testing.assert_allclose(found[path], value, rtol=1e-4, atol=2e-6, err_msg=path)


def test_steps_of_sgd_are_scaled_by_layer():
    model = network()
    before = {v.path: v.numpy() for v in model.trainable_variables}
    found = after(sgd(learning_rate=0.1, layer_decay=0.8))
    for (path, old), gradient in zip(before.items(), gradients(model, 0), strict=True):
        share = 0.8 ** ABOVE[path.split("/")[1]]
        np.testing.assert_allclose(found[path] - old, -0.1 * share * gradient, rtol=1e-4, atol=1e-6)


def test_the_adjustments_hold_no_variables():
    model = network()
    for arguments in ({}, {"layer_decay": 0.5, "weight_decay": 0.1}):
        optimizer = adamw(**arguments)
        optimizer.build(model.trainable_variables)
        model.compile(optimizer, "mse")
        assert len(optimizer.variables) == 2 + 2 * len(model.trainable_variables)
        assert len(reachable_variables(model)) == len(model.variables) + len(optimizer.variables) + len(
            [v for metric in model.metrics for v in metric.variables]
        )


def test_layers_step_by_themselves_where_the_loss_is_scaled_too():
    scaled = keras.optimizers.LossScaleOptimizer(sgd(learning_rate=0.1, layer_decay=0.5), initial_scale=1.0)
    found, plain = after(scaled), after(sgd(learning_rate=0.1, layer_decay=0.5))
    assert all(np.allclose(found[path], plain[path]) for path in plain)


@pytest.mark.slow
@pytest.mark.parametrize("component", [adamw, sgd, muon, schedule_free_adamw, BY_NAME["lamb"]])
def test_the_contract_holds_on_two_replicas(component):
    check(component, layer_decay=0.5, weight_decay=0.01, learning_rate=0.01)


@pytest.mark.parametrize("value", ["0", "1.5", "-1"])
def test_a_share_of_the_rate_is_over_0_and_at_most_1(value):
    text = "{name: x, task: {type: classification, model: flatten, optimizer: {type: sgd, layer_decay: %s}}, "
    with pytest.raises(kplug.SpecError, match="layer_decay"):
        kplug.loads(text % value + "data: {source: digits}}")


# --- clipping, accumulation ------------------------------------------------------------------------------------------


def steps_of(**clipping):
    model = network()
    before = {v.path: v.numpy() for v in model.trainable_variables}
    found = after(sgd(learning_rate=1.0, **clipping))
    return [before[path] - found[path] for path in before], [g.numpy() for g in gradients(model, 0)]


def test_clipping_shortens_the_gradients():
    for step, gradient in zip(*steps_of(clipvalue=0.5), strict=True):
        np.testing.assert_allclose(step, np.clip(gradient, -0.5, 0.5), atol=1e-6)
    for step, gradient in zip(*steps_of(clipnorm=0.5), strict=True):
        np.testing.assert_allclose(step, gradient * min(1, 0.5 / np.linalg.norm(gradient)), atol=1e-6)
    found, whole = steps_of(global_clipnorm=0.5)
    norm = np.sqrt(sum(np.sum(gradient**2) for gradient in whole))
    for step, gradient in zip(found, whole, strict=True):
        np.testing.assert_allclose(step, gradient * 0.5 / norm, atol=1e-6)


PLAIN, BY_LAYER, CLIPPED = {}, {"layer_decay": 0.5, "weight_decay": 0.1}, {"global_clipnorm": 0.5}


@pytest.mark.parametrize(
    ("component", "more"),
    [
        (adamw, BY_LAYER),
        (sgd, CLIPPED),
        *rarely(
            (sgd, PLAIN),
            (adam, PLAIN),
            (adamw, PLAIN),
            (sgd, BY_LAYER),
            (adam, BY_LAYER),
            (adam, CLIPPED),
            (adamw, CLIPPED),
        ),
    ],
)
def test_two_accumulated_steps_are_one_of_twice_the_batch(component, more):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 4, 6)).astype("float32"), rng.normal(size=(8, 3)).astype("float32")
    ends = []
    for batch, extra in ((8, {}), (4, {"gradient_accumulation_steps": 2})):
        model = network()
        for variable in model.trainable_variables:
            variable.assign(variable * 0.3)  # small enough for steps that do not grow what float32 rounds away
        model.compile(component(learning_rate=0.001, **more, **extra), "mse")
        model.fit(x, y, batch_size=batch, epochs=3, shuffle=False, verbose=0)
        ends.append([v.numpy() for v in model.trainable_variables])
    for one, other in zip(*ends, strict=True):
        tolerance = 1e-6 if component is sgd else 1e-5  # Adam divides by the root of what may be next to nothing
        np.testing.assert_allclose(one, other, atol=tolerance)


# --- real trainings --------------------------------------------------------------------------------------------------

SPEC = """
name: optimized
task:
  type: classification
  model:
    type: layers
    layers: [{type: conv2d, filters: 2, kernel_size: 3}, batch_normalization, relu, {type: dropout, rate: 0.2}]
  optimizer: OPTIMIZER
data:
  source: digits
  validation: 0.1
  sampler: {type: shuffled, batch_size: 250}
fit:
  epochs: 3
  steps_per_execution: 1
  callbacks: []
  checkpoint: {steps: 2, seconds: null, keep: 9}
"""
STEPS = 5  # in an epoch
ADJUSTED = "{type: adamw, learning_rate: 0.01, weight_decay: 0.1, layer_decay: 0.5, decay_vectors: true}"
EMA = "{type: adamw, learning_rate: 0.01, use_ema: true, ema_momentum: 0.8}"
OVERWRITTEN = "{type: sgd, learning_rate: 0.1, use_ema: true, ema_momentum: 0.8, ema_overwrite_frequency: 3}"
FREE = "{type: schedule_free_adamw, learning_rate: 0.01}"


def spec(optimizer, **changes):
    loaded = kplug.loads(SPEC.replace("OPTIMIZER", optimizer))
    return loaded.at({path.replace("__", "."): value for path, value in changes.items()}) if changes else loaded


class Trained(keras.callbacks.Callback):
    """Remembers the trained weights, and z of a schedule-free optimizer, after every step."""

    def __init__(self):
        super().__init__()
        self.steps, self.z = [], []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append([weight.numpy() for weight in self.model.trainable_weights])
        self.z.append([weight.numpy() for weight in getattr(self.model.optimizer, "_momentums", ())])


def model_of(run, name="last.weights.h5"):
    from kplug.model.learner import build_learner
    from kplug.model.weights import weights_only

    learner = build_learner(run.spec, run.info, FitInfo(1, 1), "float32")
    with weights_only(learner.model):
        learner.model.load_weights(run.path / name)
    return learner


def evaluation(run, name):
    from kplug.data.splits import open_data

    learner = model_of(run, name)
    batches = open_data(run.spec).evaluation(learner, "validation")
    return learner.model.evaluate(batches, verbose=0, return_dict=True)


@pytest.fixture(
    scope="module", params=[FREE, *rarely(EMA, ADJUSTED, OVERWRITTEN)], ids=["free", "ema", "adjusted", "overwrite"]
)
def whole(request, tmp_path_factory):
    seen = Trained()
    with watched_by(seen):
        run = train(spec(request.param, fit__precision="float32"), tmp_path_factory.mktemp("whole") / "run")
    return run, seen


def without(text):
    return text.replace("use_ema: true, ema_momentum: 0.8", "use_ema: false")


def averages(steps):
    """The moving average of the weights after each step."""
    average = steps[0]
    for step in steps[1:]:
        average = [
            np.float32(0.8) * a + np.float32(1 - np.float32(0.8)) * w for a, w in zip(average, step, strict=True)
        ]
    return average


@pytest.mark.slow
def test_training_goes_on_with_the_trained_weights(tmp_path):
    seen = {}
    for optimizer in (EMA, without(EMA)):
        seen[optimizer] = Trained()
        with watched_by(seen[optimizer]):
            train(spec(optimizer), tmp_path / str(len(seen)))
    for one, other in zip(*(s.steps for s in seen.values()), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.slow
def test_the_kept_weights_are_the_average(whole):
    run, seen = whole
    optimizer = run.spec["task.optimizer"]
    found = [weight.numpy() for weight in model_of(run).model.trainable_weights]
    trained = seen.steps[-1]
    if optimizer.name == "schedule_free_adamw":
        wanted = [(y - np.float32(0.1) * z) / np.float32(0.9) for y, z in zip(trained, seen.z[-1], strict=True)]
    elif optimizer.arguments["use_ema"] and not optimizer.arguments["ema_overwrite_frequency"]:
        wanted = averages(seen.steps)
    else:
        wanted = trained  # of no average, and of one that took the weights' place in this step, the fifteenth
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    if wanted is not trained:
        assert any(not np.allclose(one, other, atol=1e-4) for one, other in zip(found, trained, strict=True))


@pytest.mark.slow
def test_the_rows_are_those_of_the_kept_weights(whole):
    run, _ = whole
    rows = run.rows("metrics.jsonl")
    best = rows[run.metrics["epoch"] - 1]
    assert evaluation(run, "last.weights.h5")["loss"] == pytest.approx(rows[-1]["val_loss"], rel=1e-5)
    assert evaluation(run, "model.weights.h5")["loss"] == pytest.approx(best["val_loss"], rel=1e-5)


@pytest.mark.parametrize("step", [6, *(pytest.param(s, marks=pytest.mark.slow) for s in (9, 15))])
def test_a_killed_run_ends_as_the_whole_one(whole, tmp_path, step):
    run, _ = whole
    loaded = run.spec.at({"fit.checkpoint.steps": 5 if step == 6 else 2})
    assert contents(resume(killed_after(step, loaded, tmp_path / "run").path)) == contents(run)


@pytest.mark.slow
def test_a_run_killed_before_its_result_ends_with_the_average(whole, tmp_path):
    run, _ = whole
    again = Run.open(shutil.copytree(run.path, tmp_path / "again"))
    (again.path / "result.json").unlink()
    assert contents(resume(again.path)) == contents(run)


@pytest.mark.slow
def test_a_finished_training_goes_on_as_if_it_had_not_ended(whole, tmp_path):
    run, _ = whole
    longer = train(run.spec.at({"fit.epochs": 4}), tmp_path / "longer")
    more = Run.open(shutil.copytree(run.path, tmp_path / "more"))
    assert contents(resume(more.path, {"fit.epochs": 4})) == contents(longer)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", [EMA, FREE])
def test_the_next_stage_starts_from_the_average(tmp_path, optimizer):
    stages = [{"epochs": 1, "set": {"task.optimizer": {"type": "sgd", "learning_rate": 1e-9}}}]
    run = train(spec(optimizer, fit__stages=stages), tmp_path / "run")
    first, second = run.rows("metrics.jsonl")[-2:]
    assert (first["stage"], second["stage"]) == (0, 1)
    found = weights_in(Checkpoints(run, 9).newest()[0].path.parent.parent / "last.weights.h5")
    alone = train(spec(optimizer), tmp_path / "alone")
    for path, value in weights_in(alone.path / "last.weights.h5").items():
        if not path.endswith(("2", "3")) or "batch" not in path:  # statistics of norms go on
            np.testing.assert_allclose(found[path], value, atol=1e-6)
    killed = Run.open(shutil.copytree(run.path, tmp_path / "killed"))
    (killed.path / "result.json").unlink()
    for path in (killed.path / "checkpoints").glob("ckpt-1-*"):
        shutil.rmtree(path)  # so that stage 1 begins anew, after the last checkpoint of stage 0
    assert contents(resume(killed.path)) == contents(run)


@pytest.mark.parametrize("optimizer", [EMA, FREE])
def test_without_validation_the_average_is_kept_too(tmp_path, optimizer):
    seen = Trained()
    with watched_by(seen):
        run = train(spec(optimizer, data__validation=0.0), tmp_path / "run")
    found = [weight.numpy() for weight in model_of(run).model.trainable_weights]
    assert any(not np.allclose(one, other, atol=1e-4) for one, other in zip(found, seen.steps[-1], strict=True))


@pytest.mark.slow
def test_a_training_that_stops_early_ends_with_the_average(tmp_path):
    stop = [{"type": "early_stopping", "monitor": "loss", "min_delta": 100, "patience": 1}]
    seen = Trained()
    with watched_by(seen):
        run = train(spec(EMA, fit__callbacks=stop, fit__epochs=8), tmp_path / "run")
    assert len(run.rows("metrics.jsonl")) < 8
    found = [weight.numpy() for weight in model_of(run).model.trainable_weights]
    for one, other in zip(found, averages(seen.steps), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


# --- the callback by itself ------------------------------------------------------------------------------------------


def compiled(optimizer):
    model = network()
    optimizer.build(model.trainable_variables)
    model.compile(optimizer, "mse")
    return model


def test_optimizers_that_average_are_found_wherever_they_are():
    model = compiled(adamw())
    assert averaging(model) == [] and averaging_optimizers(model) == []
    inner, second, free = adamw(use_ema=True), sgd(use_ema=True), schedule_free_adamw()
    model = compiled(keras.optimizers.LossScaleOptimizer(inner))
    model.second, model.more = second, {"of a part": [free]}
    assert {id(o) for o in averaging_optimizers(model)} == {id(inner), id(second), id(free)}
    assert [type(callback) for callback in averaging(model)] == [SwappedWeights]


@pytest.mark.parametrize("scaled", [False, True])
def test_fit_alone_ends_with_the_average(scaled):
    x, y = np.ones((8, 4, 6), "float32"), np.ones((8, 3), "float32")
    optimizer = adam(use_ema=True, ema_momentum=0.5, learning_rate=0.1)
    model, seen = compiled(keras.optimizers.LossScaleOptimizer(optimizer, 1.0) if scaled else optimizer), Trained()
    model.fit(x, y, batch_size=2, epochs=2, callbacks=[*averaging(model), seen], shuffle=False, verbose=0)
    wanted = seen.steps[0]
    for step in seen.steps[1:]:
        wanted = [0.5 * a + 0.5 * w for a, w in zip(wanted, step, strict=True)]
    for weight, value in zip(model.trainable_weights, wanted, strict=True):
        np.testing.assert_allclose(weight, value, rtol=1e-5, atol=1e-6)
    assert not any("trained_weights" in path for path in reachable_variables(model))


def test_before_the_first_step_there_is_nothing_to_put_in():
    model = compiled(adam(use_ema=True))
    before = [weight.numpy() for weight in model.weights]
    finish(model)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.weights, strict=True))


def test_fact_keras_averages_are_kept_only_when_fit_ends():
    """When this fails, Keras does at each epoch's end what `SwappedWeights` is for."""
    x, y = np.ones((8, 4, 6), "float32"), np.ones((8, 3), "float32")
    model, ends = compiled(adam(use_ema=True, ema_momentum=0.9, learning_rate=0.1)), []
    at_end = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: ends.append(model.weights[0].numpy()))
    model.fit(x, y, batch_size=2, epochs=2, callbacks=[at_end], verbose=0)
    assert not np.allclose(ends[-1], model.weights[0], atol=1e-3)


# --- a rate that falls on a plateau, after a rise --------------------------------------------------------------------


def test_the_scale_is_kept_with_the_optimizer():
    model = compiled(sgd(learning_rate=constant(FitInfo(10, 1), peak=0.1, warmup=0.2)))
    held = reachable_variables(model).values()
    assert sum(variable is model.optimizer.rate_scale.value for variable in held) == 1


@pytest.mark.parametrize("scaled", [False, True])
def test_a_plateau_lowers_all_later_rates_after_the_rise(scaled):
    optimizer = sgd(learning_rate=constant(FitInfo(10, 5), peak=0.4, warmup=0.4))
    model = compiled(keras.optimizers.LossScaleOptimizer(optimizer) if scaled else optimizer)
    callback = reduce_lr_on_plateau(monitor="loss", factor=0.5, patience=1, mode="min", min_lr=0.15)
    callback.set_model(model)
    callback.on_train_begin()
    rates = []
    for epoch in range(7):
        optimizer._iterations.assign(2 * (epoch + 1))
        callback.on_epoch_end(epoch, {"loss": 1.0})
        rates.append(float(optimizer.learning_rate))
    assert rates == pytest.approx([0.4 * 3 / 5, 0.4, 0.2, 0.15, 0.15, 0.15, 0.15])


def test_a_plateau_of_a_number_is_keras_own():
    model = compiled(sgd(learning_rate=0.4))
    callback = reduce_lr_on_plateau(monitor="loss", factor=0.5, patience=1, mode="min")
    callback.set_model(model)
    callback.on_train_begin()
    for epoch in range(3):
        callback.on_epoch_end(epoch, {"loss": 1.0})
    assert float(model.optimizer.learning_rate) == pytest.approx(0.1)


PLATEAU = {"type": "reduce_lr_on_plateau", "monitor": "val_loss", "factor": 0.5, "patience": 1, "min_delta": 100.0}
RISING = "{type: sgd, learning_rate: {type: constant, peak: 0.1, warmup: 0.2}}"


@pytest.fixture(scope="module")
def lowered(tmp_path_factory):
    loaded = spec(RISING, fit__callbacks=[PLATEAU], fit__epochs=5)
    return train(loaded, tmp_path_factory.mktemp("lowered") / "run")


def test_a_training_with_warm_up_and_plateau(lowered):
    rates = [row["learning_rate"] for row in lowered.rows("metrics.jsonl")]
    assert rates == pytest.approx([0.1, 0.1, 0.05, 0.025, 0.0125]) or rates == pytest.approx(
        [0.1, 0.05, 0.025, 0.0125, 0.00625]
    )


@pytest.mark.slow
@pytest.mark.parametrize("step", [12, 21])
def test_a_lowered_rate_survives_a_kill(lowered, tmp_path, step):
    assert contents(resume(killed_after(step, lowered.spec, tmp_path / "run").path)) == contents(lowered)


def test_a_schedule_that_cannot_be_lowered_is_named(tmp_path):
    with pytest.raises(kplug.SpecError, match="cannot lower the rates of a CosineDecay; take a number"):
        train(spec("{type: sgd, learning_rate: cosine}", fit__callbacks=[PLATEAU]), tmp_path / "run")


def test_every_optimizer_has_the_parameters():
    for component in COMPONENTS:
        assert {"decay_vectors", "layer_decay"} <= read_component(component).parameters.keys()
