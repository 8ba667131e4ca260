"""kplug.testing: `check` finds what breaks a contract, one bad component for each promise; and its helpers."""

import sys
from typing import Literal

import keras
import numpy as np
import pytest
import tensorflow as tf

import kplug
from kplug import (
    Architecture,
    Augmentation,
    Callback,
    Columns,
    DataInfo,
    Field,
    FitInfo,
    Learner,
    Loss,
    Metric,
    NonNegative,
    Optimizer,
    Oracle,
    Sampler,
    Schedule,
    Signature,
    Source,
    SpecError,
    Split,
    Strategy,
    Task,
    hookimpl,
)
from kplug import testing as kplug_testing
from kplug.plugins import host
from kplug.testing import (
    check,
    no_tensorflow,
    plugged,
    tiny_columns,
    tiny_files,
    tiny_given,
    tiny_info,
    tiny_labels,
    tiny_pictures,
)


def failure(component, *arguments, **small):
    with pytest.raises(AssertionError) as error:
        check(component, *arguments, **small)
    return str(error.value)


# --- a good plugin ---------------------------------------------------------------------------------------------------


def fading(gamma: NonNegative = 2.0) -> Loss:
    """Down-weight the examples that are already easy (Lin et al. 2017).

    Args:
        gamma: how strongly easy examples fade; 0 is cross-entropy.
    """
    return keras.losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=gamma, from_logits=True)


def test_a_good_component_passes():
    check(fading)
    check(fading, gamma=0.5)


def test_arguments_are_checked_as_in_a_spec():
    assert "gamma: -1 is less than 0" in failure(fading, gamma=-1)
    assert "gama: unknown parameter; did you mean 'gamma'?" in failure(fading, gama=1)


def test_a_component_that_is_called_as_a_built_in_is_the_one_that_is_checked():
    def hinge() -> Loss:
        """Not Keras's."""
        raise RuntimeError("this one")

    with pytest.raises(RuntimeError, match="this one"):
        check(hinge)


# --- every kind ------------------------------------------------------------------------------------------------------


def undocumented(gamma: NonNegative = 2.0, alpha: NonNegative = 1.0) -> Loss:
    """Cross-entropy.

    Args:
        gamma: not used.
    """
    return keras.losses.CategoricalCrossentropy(from_logits=True)


def misdocumented() -> Loss:
    """Cross-entropy.

    Args:
        gamma: there is no such parameter.
    """
    return keras.losses.CategoricalCrossentropy(from_logits=True)


def silent() -> Loss:
    return keras.losses.CategoricalCrossentropy(from_logits=True)


def untyped(gamma=2.0) -> Loss:
    """Cross-entropy."""
    return keras.losses.CategoricalCrossentropy(from_logits=True)


def not_buildable(depth: Literal[1, 2] = 2) -> Architecture:
    """A layer whose default is wrong.

    Args:
        depth: only 1 works.
    """
    if depth == 2:
        raise ValueError("no depth of 2")
    return keras.layers.Identity()


def test_documentation_types_and_defaults():
    assert "missing: alpha" in failure(undocumented)
    assert "received: gamma" in failure(misdocumented)
    assert "begins with a sentence" in failure(silent)
    assert "parameter 'gamma' has no annotation" in failure(untyped)
    with pytest.raises(ValueError, match="no depth of 2"):
        check(not_buildable, depth=1)


def test_what_is_returned_is_of_the_kind():
    def loss() -> Loss:
        """A function where an object is asked for."""
        return keras.losses.huber

    def strategy() -> Strategy:
        """No strategy."""
        return None

    def oracle() -> Oracle:
        """No oracle."""
        return None

    assert "a loss returns a keras.losses.Loss; 'loss' returned a function" in failure(loss)
    assert "a tf.distribute.Strategy; 'strategy' returned a NoneType" in failure(strategy)
    assert "a keras_tuner Oracle; 'oracle' returned a NoneType" in failure(oracle)


def test_a_strategy_and_an_oracle_are_only_made():
    def default() -> Strategy:
        """One device."""
        return tf.distribute.get_strategy()

    def chance() -> Oracle:
        """Random search."""
        import keras_tuner

        return keras_tuner.oracles.RandomSearchOracle(objective="val_loss", max_trials=1)

    check(default)
    check(chance)


# --- architecture ----------------------------------------------------------------------------------------------------


class Layer(keras.layers.Layer):
    """A dense layer with a flaw."""

    def __init__(self, flaw):
        super().__init__()
        self.flaw = flaw
        self.calls = 0
        self.constant = np.random.default_rng().random() if flaw == "outside" else 1.0

    def build(self, shape):
        units = 3 + (np.random.default_rng().integers(100) if self.flaw == "sizes" else 0)
        self.kernel = self.add_weight((shape[-1], int(units)), dtype="float16" if self.flaw == "half" else None)
        self.lost = self.add_weight((1,), name="lost") if self.flaw == "gradient" else None

    def call(self, x, training=None):
        self.calls += 1
        y = tf.matmul(x, tf.cast(self.kernel, x.dtype)) * self.constant
        if self.flaw == "random":
            return y + tf.random.uniform(tf.shape(y), dtype=y.dtype)
        if self.flaw == "infinite":
            return y / 0.0
        if self.flaw == "integers":
            return tf.cast(y, tf.int32)
        if self.flaw == "rows":
            return tf.concat([y, y], 0)
        if self.flaw == "bfloat16":
            return y + tf.ones_like(y, tf.float32)
        return y

    def compute_output_shape(self, shape):
        return (*shape[:-1], 7 if self.flaw == "shape" else self.kernel.shape[-1])

    def compute_output_spec(self, x, training=None):
        return keras.KerasTensor(self.compute_output_shape(x.shape), "float32")


def flawed(flaw: str = "none") -> Architecture:
    """A dense layer.

    Args:
        flaw: what is wrong with it.
    """
    return Layer(flaw)


def two_inputs() -> Architecture:
    """The product of two features."""
    return keras.layers.Multiply()


@pytest.mark.parametrize(
    ("flaw", "message"),
    [
        ("random", "two calls differed"),
        ("infinite", "finite values"),
        ("integers", "gave int32"),
        ("rows", r"a row for each example; 2 examples gave the shape \(4, 3\)"),
        ("gradient", "none reaches layer.*/lost"),
        ("shape", r"promises \(None, 7\), part\(x\) gave \(2, 3\)"),
        ("sizes", "has the same weights"),
        ("outside", "loads the weights of the first gives the same"),
        ("half", "weights stay in float32"),
    ],
)
def test_architecture(flaw, message):
    with pytest.raises(AssertionError, match=message):
        check(flawed, (4,), flaw=flaw)


def test_an_architecture_that_fails_in_half_precision():
    with pytest.raises(tf.errors.InvalidArgumentError):
        check(flawed, (4,), flaw="bfloat16")


def test_a_good_architecture_of_any_inputs():
    check(flawed, (4,))
    check(flawed)
    check(flawed, (4,), unreached=("*/lost",), flaw="gradient")
    check(two_inputs, [(4, 2), (4, 2)])
    assert "no trainable weight is called '*/other'" in failure(flawed, (4,), unreached=("*/other",))


# --- loss and metric -------------------------------------------------------------------------------------------------


class FlawedLoss(keras.losses.Loss):
    """Squared error with a flaw."""

    def __init__(self, flaw):
        super().__init__()
        self.flaw = flaw

    def call(self, y, logits):
        error = tf.reduce_mean(tf.square(y - logits), -1)
        if self.flaw == "scalar":
            return tf.reduce_mean(error)
        if self.flaw == "batch":  # the right shape, and still a mean over what one replica sees
            return error / tf.reduce_sum(error)
        if self.flaw == "infinite":
            return tf.exp(tf.exp(error))
        if self.flaw == "gradient":
            return tf.reduce_sum(tf.sqrt(tf.nn.relu(logits)), -1)
        return tf.stop_gradient(error) if self.flaw == "none reaches" else error


def flawed_loss(flaw: str = "none") -> Loss:
    """Squared error.

    Args:
        flaw: what is wrong with it.
    """
    return FlawedLoss(flaw)


@pytest.mark.parametrize(
    ("flaw", "message"),
    [
        ("scalar", r"one value per example: shape \(8,\) for 8 examples; loss.call gave the shape \(\)"),
        ("batch", "does not give the same on 2 replicas as on 1"),
        ("infinite", "a loss is finite"),
        ("gradient", "the gradient of a loss is finite"),
        ("none reaches", "this one has none"),
    ],
)
def test_loss(flaw, message):
    with pytest.raises(AssertionError, match=message):
        check(flawed_loss, flaw=flaw)


class FlawedMetric(keras.metrics.Mean):
    """Share of positives with a flaw."""

    def __init__(self, flaw):
        super().__init__(name="flawed")
        self.flaw = flaw
        self.seen = 0

    def update_state(self, y, probabilities, sample_weight=None):
        self.seen += 1
        values = tf.reduce_mean(tf.cast(probabilities, tf.float32) * tf.cast(y, tf.float32), -1)
        if self.flaw == "replicas":  # a mean of means: wrong where batches are of different sizes
            values = tf.reduce_mean(values)
        super().update_state(values)

    def reset_state(self):
        if self.flaw != "reset":
            super().reset_state()

    def result(self):
        return super().result() / (0.0 if self.flaw == "infinite" else 1.0) + (self.seen if self.flaw == "past" else 0)


def flawed_metric(flaw: str = "none") -> Metric:
    """Mean probability of what is true.

    Args:
        flaw: what is wrong with it.
    """
    return FlawedMetric(flaw)


@pytest.mark.parametrize(
    ("flaw", "message"),
    [
        ("past", "after reset_state a metric starts afresh"),
        ("infinite", "a metric is finite on probabilities"),
        ("replicas", "does not give the same on 2 replicas as on 1"),
    ],
)
def test_metric(flaw, message):
    with pytest.raises(AssertionError, match=message):
        check(flawed_metric, flaw=flaw)


def test_targets_of_another_shape():
    check(flawed_loss, (5,))
    check(flawed_metric, (2,))


# --- optimizer, schedule, callback -----------------------------------------------------------------------------------


class FlawedOptimizer(keras.optimizers.SGD):
    """Gradient descent with a flaw."""

    def __init__(self, flaw):
        super().__init__(learning_rate=0.0 if flaw == "still" else 0.1)
        self.flaw = flaw

    def update_step(self, gradient, variable, learning_rate):
        if self.flaw == "replicas":
            learning_rate = learning_rate * tf.cast(tf.distribute.get_strategy().num_replicas_in_sync, tf.float32)
        super().update_step(gradient / (0.0 if self.flaw == "infinite" else 1.0), variable, learning_rate)


def flawed_optimizer(flaw: str = "none") -> Optimizer:
    """Gradient descent.

    Args:
        flaw: what is wrong with it.
    """
    return FlawedOptimizer(flaw)


@pytest.mark.parametrize(
    ("flaw", "message"),
    [
        ("still", "changes every weight"),
        ("infinite", "keeps weights finite"),
        ("replicas", "does not give the same on 2 replicas as on 1"),
    ],
)
def test_optimizer(flaw, message):
    with pytest.raises(AssertionError, match=message):
        check(flawed_optimizer, flaw=flaw)


class Falling(keras.optimizers.schedules.LearningRateSchedule):
    """Falls in a line, past zero if it is told so."""

    def __init__(self, end):
        self.end = end

    def __call__(self, step):
        return 0.1 - 0.1 * tf.cast(step, tf.float32) / self.end


def falling(fit: FitInfo, share: NonNegative = 1.0) -> Schedule:
    """Falls in a line.

    Args:
        share: of all steps in which the rate reaches 0.
    """
    return Falling(fit.steps * share)


def test_schedule():
    check(falling)
    assert "at least 0 at every step, the last too; at step 3 of 4 it is -0.05" in failure(falling, share=0.5)


class Remembering(keras.callbacks.Callback):
    """Counts epochs, with a flaw."""

    def __init__(self, flaw):
        super().__init__()
        self.flaw, self.epochs = flaw, 0
        if flaw != "half":
            self.restore = self._restore

    def on_epoch_end(self, epoch, logs=None):
        self.epochs += 1
        if self.flaw == "name":
            self.epochs = logs["val_jaccard"]

    def state(self):
        return {"epochs": np.float32(self.epochs) if self.flaw == "numpy" else self.epochs}

    def _restore(self, state):
        self.epochs = state["epochs"]


def remembering(flaw: str = "none") -> Callback:
    """Counts epochs.

    Args:
        flaw: what is wrong with it.
    """
    return Remembering(flaw)


def test_callback():
    check(remembering)
    assert "this one has state alone" in failure(remembering, flaw="half")
    assert "what JSON can hold" in failure(remembering, flaw="numpy")
    with pytest.raises(KeyError, match="val_jaccard"):
        check(remembering, flaw="name")


# --- augmentation, sampler, source -----------------------------------------------------------------------------------


def noise(flaw: str = "none") -> Augmentation:
    """Add noise to every picture.

    Args:
        flaw: what is wrong with it.
    """
    calls = tf.Variable(0, dtype=tf.int64)

    def augment(batch, seed):
        image = tf.cast(batch["image"], tf.float32)
        if flaw == "unseeded":
            changed = image + tf.random.uniform(tf.shape(image), 0, 9)
        elif flaw == "remembers":
            changed = image + tf.cast(calls.assign_add(1), tf.float32)
        else:
            changed = image + tf.random.stateless_uniform(tf.shape(image), seed, 0, 9)
        if flaw == "crops":
            changed = changed[:, 1:]
        if flaw == "unit":
            changed /= 300
        if flaw == "infinite":
            changed /= 0.0
        if flaw == "integers":
            changed = tf.cast(changed, tf.int32)
        if flaw == "eager":
            changed = tf.constant(changed.numpy())
        if flaw == "drops":
            return {"image": changed}
        return {name: values[1:] for name, values in batch.items()} if flaw == "fewer" else batch | {"image": changed}

    return augment


@pytest.mark.parametrize(
    ("flaw", "message"),
    [
        ("unseeded", "a function of batch and seed alone"),
        ("remembers", "a function of batch and seed alone"),
        ("crops", r"keeps the shape of the pictures, \(5, 32, 32, 3\); received \(5, 31, 32, 3\)"),
        ("unit", "pixels stay in 0 to 255"),
        ("infinite", "finite pixels"),
        ("integers", "uint8 or float pictures; received int32"),
        ("eager", "is graph-safe and takes any number of examples"),
        ("drops", "label, number is gone"),
        ("fewer", "keeps the number of examples; of 5, 'image' has 4"),
    ],
)
def test_augmentation(flaw, message):
    with pytest.raises(AssertionError, match=message):
        check(noise, flaw=flaw)


def test_a_good_augmentation_of_any_shape():
    check(noise)
    check(noise, (8, 12, 1))


def drawing(columns: Columns, flaw: str = "none") -> Sampler:
    """Four examples at a time, drawn with replacement.

    Args:
        flaw: what is wrong with it.
    """
    epochs = []

    def draw(rng):
        epochs.append(1)
        steps = 5 + (len(epochs) if flaw == "heights" else 0)
        if flaw == "mutates":
            columns["label"][:] = 0
        own = np.random.default_rng() if flaw == "own" else rng
        rows = own.integers(0, columns.size + (9 if flaw == "beyond" else 0), (steps, 4))
        if flaw == "holes":
            rows[0, 0] = -1
        return rows.astype(np.int32) if flaw == "int32" else rows.tolist() if flaw == "list" else rows

    return draw


@pytest.mark.parametrize(
    ("flaw", "message"),
    [
        ("own", "Draw from rng alone"),
        ("heights", "the same number of steps each epoch"),
        ("mutates", "leaves the columns as they are"),
        ("beyond", "rows of the split, 0 to 19"),
        ("holes", "-1 pads the last row"),
        ("int32", r"int64 \[steps, batch\] with at least one step; received int32 \(5, 4\)"),
        ("list", "received list"),
    ],
)
def test_sampler(flaw, message):
    with pytest.raises(AssertionError, match=message):
        check(drawing, 20, flaw=flaw)


def test_a_good_sampler():
    check(drawing)


def pictures(flaw: str = "none") -> Source:
    """Ten noisy pictures of two classes.

    Args:
        flaw: what is wrong with it.
    """
    rng = np.random.default_rng(None if flaw == "changes" else 0)
    size = 0 if flaw == "empty" else 10
    images = tf.constant(rng.integers(0, 256, (10, 4, 4, 3)).astype("float32" if flaw == "floats" else "uint8"))
    labels = np.arange(size, dtype=np.int32) % (3 if flaw == "labels" else 2)
    columns = {"label": labels[1:] if flaw == "ragged" else labels}

    def load(row):
        if flaw == "eager":
            return {"image": images[int(row.numpy())]}
        image = tf.gather(images, row)
        if flaw == "random":
            return {"image": tf.cast(tf.random.uniform([4, 4, 3], 0, 255), tf.uint8)}
        if flaw == "batched":
            return {"image": tf.reduce_max(image, -1, keepdims=True)[..., 0, :, :] if image.shape.rank == 4 else image}
        return {"picture": image} if flaw == "names" else {"image": image}

    height = 5 if flaw == "size" else 4
    split = Split(Columns(size, columns), load, ("a", "b"), (height, 4, 3), batched=flaw == "batched")
    other = Split(split.columns, load, ("b", "a"), split.image)
    return {"training" if flaw == "splits" else "train": split, "test": other if flaw == "classes" else split}


@pytest.mark.parametrize(
    ("flaw", "message"),
    [
        ("changes", "a source gives the same again"),
        ("empty", "'train' is empty"),
        ("floats", "a picture is uint8"),
        ("labels", "integers from 0 to 1"),
        ("ragged", r"a value for each of the 10 examples of 'train'; received \{'label': 9\}"),
        ("eager", "is graph-safe"),
        ("random", "load is a function of the row"),
        ("batched", "a batched load gives what it gives row by row"),
        ("names", "at least 'image'; that of 'train' gave picture"),
        ("size", r"the size that all pictures have, \(5, 4, 3\); one of 'train' has \(4, 4, 3\)"),
        ("splits", "received training, test"),
        ("classes", "every split has the same classes"),
    ],
)
def test_source(flaw, message):
    with pytest.raises(AssertionError, match=message):
        check(pictures, flaw=flaw)


@pytest.mark.parametrize("source", [pictures, tiny_pictures, tiny_labels, tiny_files])
def test_good_sources(source):
    check(source)


# --- task ------------------------------------------------------------------------------------------------------------


class ScalarLoss(keras.Model):
    """A model that takes the mean over its batch itself."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return tf.reduce_mean(keras.losses.categorical_crossentropy(y, y_pred, from_logits=True))


def telling(data: DataInfo, flaw: str = "none") -> Task:
    """Tell which class a picture shows.

    Args:
        flaw: what is wrong with it.
    """
    images = keras.Input(data.image_shape, dtype="uint8")
    dense = keras.layers.Dense(len(data.classes), trainable=flaw != "frozen")
    logits = dense(keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(images)))
    model = (ScalarLoss if flaw == "scalar" else keras.Model)(images, logits)
    if flaw != "compile":
        model.compile("sgd", None if flaw == "scalar" else keras.losses.CategoricalCrossentropy(from_logits=True))
    copy = dense.kernel.numpy()
    memory = tf.Variable(np.random.default_rng().random(), dtype=tf.float32)

    def prepare(batch, seed, training):
        image = tf.cast(batch["image"], tf.float32)
        if flaw == "prepare":
            image += tf.random.uniform(tf.shape(image), 0, 9)
        return image, tf.one_hot(batch["label"], len(data.classes))

    def serve(images):
        scores = model(images, training=False)
        if flaw == "copy":  # the weights as they were when the learner was made
            scores = tf.matmul(tf.reshape(tf.cast(images, tf.float32), [-1, copy.shape[0]]), copy)
        if flaw == "noise":
            scores += tf.random.uniform(tf.shape(scores))
        if flaw == "memory":  # a variable that no weights file holds
            scores += memory
        return {"scores": scores}

    signature = Signature(serve, {"images": Field(data.image_shape, "uint8")}, {"scores": "score of each class"})
    served = {} if flaw in ("nothing", "scalar") else {"images": signature}
    return Learner(model, prepare, served, {"dense": dense})


@pytest.mark.parametrize(
    ("flaw", "message"),
    [
        ("compile", "is compiled"),
        ("frozen", "has weights to train; this one has none"),
        ("prepare", "prepare is a function of batch, seed and training"),
        ("copy", "training changed them, and every answer stayed"),
        ("noise", "exports what it predicts; the saved model differs from the live one"),
        ("memory", "output 'scores' of 'images' differs"),
        ("scalar", "does not give the same on 2 replicas as on 1"),
    ],
)
def test_task(flaw, message):
    with pytest.raises(AssertionError, match=message):
        check(telling, flaw=flaw)


def test_good_tasks():
    check(telling)
    check(telling, flaw="nothing")


# --- replicas --------------------------------------------------------------------------------------------------------


def counting(where: Literal["here", "elsewhere"] = "here") -> Loss:
    """Cross-entropy that cannot be made in a process with two devices.

    Args:
        where: not used.
    """
    if len(tf.config.list_logical_devices("CPU")) == 2 and tf.distribute.get_strategy().num_replicas_in_sync == 2:
        raise RuntimeError("no two replicas")
    return keras.losses.CategoricalCrossentropy(from_logits=True)


def test_a_component_that_fails_on_two_replicas_is_told_with_its_traceback():
    message = failure(counting)
    assert "loss 'counting' fails on two replicas" in message and "RuntimeError: no two replicas" in message
    check(fading)  # the process answers on


def test_a_component_inside_a_function_cannot_be_imported_elsewhere():
    def local() -> Loss:
        """Cross-entropy."""
        return keras.losses.CategoricalCrossentropy(from_logits=True)

    assert "define it at the top of a module" in failure(local)


def test_there_is_one_process_for_all_checks():
    from kplug import replicas

    check(fading)
    process = replicas._running.process
    check(fading)
    assert replicas._running.process is process and process.poll() is None
    process.kill()
    process.wait()
    check(fading)
    assert replicas._running.process is not process


# --- plugged ---------------------------------------------------------------------------------------------------------


class AsClass:
    @staticmethod
    @hookimpl
    def components():
        return [fading]


class WithMethods:
    distribution = "kplug-mine"

    @hookimpl
    def components(self):
        return [fading]


@pytest.mark.parametrize("plugin", [AsClass, WithMethods, WithMethods(), fading])
def test_plugged_takes_classes_objects_and_functions(plugin):
    outside = host()
    with plugged(plugin) as inside:
        assert host() is inside
        assert inside.registry.find("loss", "fading").function is fading
        spec = kplug.loads(
            "{name: x, data: {source: digits}, task: {type: classification, model: flatten, loss: fading}}"
        )
        assert spec["task.loss"].component.function is fading
    assert host() is outside
    with pytest.raises(SpecError):
        host().registry.find("loss", "fading")


def test_plugged_takes_modules_and_names_the_owner():
    with plugged(kplug_testing.tiny, WithMethods) as inside:
        assert inside.registry.find("source", "tiny_pictures").function is tiny_pictures
        assert inside.registry.find("loss", "fading").distribution == "kplug-mine"


def test_check_inside_plugged_knows_the_other_plugins():
    def telling_softly(loss: Loss = "fading") -> Architecture:
        """A layer that was given a loss.

        Args:
            loss: of another plugin.
        """
        assert isinstance(loss, keras.losses.CategoricalFocalCrossentropy)
        return keras.layers.Identity()

    with plugged(AsClass):
        check(telling_softly)
    assert "no loss named 'fading'" in failure(telling_softly)


class Schedules:
    @staticmethod
    @hookimpl
    def components():
        return [falling]


def test_components_of_another_plugin_are_known_on_two_replicas_too():
    from kplug.default_plugins.keras_optimizers import sgd

    with plugged(Schedules):
        check(sgd, learning_rate={"type": "falling", "share": 2.0})


# --- no_tensorflow ---------------------------------------------------------------------------------------------------


def test_no_tensorflow_runs_kplug_and_code():
    listed = no_tensorflow("components", "loss")
    assert listed.returncode == 0 and "cross_entropy" in listed.stdout
    assert no_tensorflow(code="import kplug.testing").returncode == 0


def test_no_tensorflow_tells_who_imports_it():
    done = no_tensorflow(code="import keras")
    assert done.returncode == 1 and "keras is imported, which no_tensorflow() forbids" in done.stderr
    with pytest.raises(ValueError, match="give arguments of kplug or code"):
        no_tensorflow()


def test_no_tensorflow_fails_for_a_heavy_plugin(tmp_path):
    (tmp_path / "heavy.py").write_text("import keras\n")
    info = tmp_path / "heavy-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: heavy\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[kplug]\nheavy = heavy\n")
    done = no_tensorflow("components", PYTHONPATH=str(tmp_path), KPLUG_PLUGINS="heavy")
    assert done.returncode == 2 and "plugin heavy 1 (heavy)" in done.stderr
    relaxed = no_tensorflow("components", PYTHONPATH=str(tmp_path), KPLUG_PLUGINS="heavy", KPLUG_STRICT_PLUGINS="0")
    assert relaxed.returncode == 0 and "is set aside" in relaxed.stderr


# --- tiny data -------------------------------------------------------------------------------------------------------


def test_tiny_pictures_can_be_learnt():
    train = tiny_pictures(examples=96)["train"]
    x = train.load(tf.range(96))["image"].numpy() / 255
    brightest = x.reshape(96, -1, 3).max(1).argmax(1)
    assert np.mean(brightest == train.columns["label"]) == 1.0
    assert np.array_equal(np.bincount(train.columns["label"]), [32, 32, 32])


def test_tiny_sources_follow_their_seed_and_parameters():
    first, same, other = (tiny_pictures(9, (8, 12), 1, seed=seed)["train"] for seed in (0, 0, 1))
    rows = tf.range(9)
    assert first.load(rows)["image"].shape == (9, 8, 12, 1)
    assert np.array_equal(first.load(rows)["image"], same.load(rows)["image"])
    assert not np.array_equal(first.load(rows)["image"], other.load(rows)["image"])
    several = tiny_labels(20)["train"].columns["label"]
    assert several.shape == (20, 3) and set(np.unique(several.sum(1))) > {1.0}
    files = tiny_files(9)["train"]
    sizes = {tf.io.decode_png(files.load(row)["image"]).shape for row in range(9)}
    assert len(sizes) > 1 and all(shape[-1] == 3 for shape in sizes)


def test_what_is_injected_fits_together():
    given = tiny_given((8, 12, 1), multi_label=True, steps=7, epochs=1)
    assert given[DataInfo] == tiny_info((8, 12, 1), multi_label=True)
    assert given[DataInfo].image_shape == (8, 12, 1) and given[DataInfo].multi_label
    assert given[FitInfo] == FitInfo(7, 1)
    assert given[Columns].size == 300
    assert np.bincount(tiny_columns(70)["label"]).tolist() == [40, 20, 10]
    assert DataInfo.from_json(given[DataInfo].to_json()) == given[DataInfo]


def test_importing_kplug_testing_loads_nothing_heavy():
    done = no_tensorflow(code="import sys, kplug.testing; assert 'numpy' not in sys.modules, 'numpy'")
    assert done.returncode == 0, done.stderr
    assert "tensorflow" in sys.modules
