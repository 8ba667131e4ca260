"""What a component finds outside is asked for once, and kept with the run; so is it known when weights follow."""

import pytest

import kplug
from kplug import Architecture, Rebuild, hookimpl
from kplug.testing import plugged, tiny

ASKED, KEPT = [], []


def remembering(rebuild: Rebuild, units: int = 2) -> Architecture:
    """Be as large as something outside says.

    Args:
        units: that are added to it.
    """
    import keras

    from kplug.model.network import Network

    def ask():
        ASKED.append(units)
        return {"units": 3}

    def network(x):
        width = rebuild.found_once(f"units beside {units}", ask)["units"] + units
        layer = keras.layers.Dense(width, name="inner")
        y = layer(keras.layers.Flatten()(x))
        KEPT.append(not rebuild.weights_follow(layer.weights))
        return y

    return Network(network, name="remembering")


class Plugin:
    distribution = "kplug-remembering"

    @staticmethod
    @hookimpl
    def components():
        return [remembering]


SPEC = """
name: remembering
task: {type: classification, model: MODEL}
data: {source: {type: tiny_pictures, examples: 32, size: [8, 8]}, sampler: {type: shuffled, batch_size: 16}}
fit: {epochs: 1, STAGES}
"""


@pytest.fixture(autouse=True)
def plugins():
    ASKED.clear()
    KEPT.clear()
    with plugged(Plugin, tiny):
        yield


def train(folder, model="remembering", stages="stages: []"):
    return kplug.train(kplug.loads(SPEC.replace("MODEL", model).replace("STAGES", stages)), folder)


@pytest.mark.slow
def test_it_is_asked_for_once(tmp_path):
    run = train(tmp_path / "run")
    assert ASKED == [2] and KEPT == [True]
    assert run.read_json("found.json") == {"units beside 2": {"units": 3}}
    run.evaluate("test")
    run.export()
    assert ASKED == [2], "an evaluation asked again"
    assert KEPT == [True, False, False], "a network that gets its run's weights is told so"


def test_a_stage_that_needs_more_asks_for_more(tmp_path):
    run = train(tmp_path / "run", stages="stages: [{epochs: 1, set: {task.model: {type: remembering, units: 4}}}]")
    assert ASKED == [2, 4]
    assert set(run.read_json("found.json")) == {"units beside 2", "units beside 4"}
    assert KEPT == [True, True], "weights of another shape keep what they begin with"
    run.evaluate("test")
    assert ASKED == [2, 4]


@pytest.mark.slow
def test_a_part_of_another_run_brings_what_that_run_found(tmp_path):
    train(tmp_path / "first")
    run = train(tmp_path / "second", f"{{type: from_run, run: {tmp_path}/first, part: model}}")
    run.evaluate("test")
    assert ASKED == [2]
    assert not (run.path / "found.json").exists()
    assert (run.path / "parts/1/found.json").exists()


def test_without_a_run_it_is_asked_each_time():
    for _ in range(2):
        assert Rebuild().found_once("anything", lambda: ASKED.append(0) or 5) == 5
    assert ASKED == [0, 0]
