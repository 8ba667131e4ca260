"""kplug.testing: `check` of every kind, plugins for one test, imports forbidden, tiny data."""

import functools
import sys
from typing import Literal

import keras
import numpy as np
import pytest
import tensorflow as tf

import kplug
from kplug import (
    Architecture,
    Columns,
    DataInfo,
    Feature,
    FitInfo,
    Loss,
    NonNegative,
    Oracle,
    Pruner,
    SearchInfo,
    SpecError,
    Strategy,
    hookimpl,
)
from kplug import testing as kplug_testing
from kplug.spec.build import build_plain
from kplug.spec.plugins import host
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
    assert "an oracle returns a keras_tuner.Oracle; 'oracle' returned a NoneType" in failure(oracle)


def test_a_strategy_is_only_made():
    def default() -> Strategy:
        """One device."""
        return tf.distribute.get_strategy()

    check(default)


def made_by_chance(info, seed):
    import keras_tuner

    return keras_tuner.oracles.RandomSearchOracle(
        info.objective, max_trials=4, hyperparameters=info.hyperparameters, seed=seed
    )


def test_an_oracle_proposes_the_same_from_the_same_results():
    def chance(info: SearchInfo) -> Oracle:
        """Random search."""
        return made_by_chance(info, info.seed)

    def forgetful(info: SearchInfo) -> Oracle:
        """Random search with a seed of its own."""
        return made_by_chance(info, None)

    check(chance)
    assert "the same seed and results give the same trials" in failure(forgetful)


def test_a_pruner_lets_the_best_go_on():
    def lenient() -> Pruner:
        """Stop nobody."""
        return lambda costs, others: False

    def harsh() -> Pruner:
        """Stop everybody."""
        return lambda costs, others: bool(others)

    check(lenient)
    assert "ahead of all, a trial goes on; stopped at epoch 1" in failure(harsh)


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
    assert given[DataInfo].fields["image"].shape == (8, 12, 1) and given[DataInfo].multi_label
    assert given[FitInfo] == FitInfo(7, 1)
    assert given[Columns].size == 300
    assert np.bincount(tiny_columns(70)["label"]).tolist() == [40, 20, 10]
    make = functools.partial(build_plain, Feature)
    assert DataInfo.from_json(given[DataInfo].to_json(), make) == given[DataInfo]


def test_importing_kplug_testing_loads_nothing_heavy():
    done = no_tensorflow(code="import sys, kplug.testing; assert 'numpy' not in sys.modules, 'numpy'")
    assert done.returncode == 0, done.stderr
    assert "tensorflow" in sys.modules
