"""What the tests share."""

import json

import kplug_attention
import kplug_cnn
import kplug_nas
import pytest

import kplug
from kplug.testing import plugged, tiny

PLUGINS = (kplug_nas, kplug_cnn, kplug_attention, tiny)
SPEC = """
name: tiny
task: {{type: classification, model: {model}}}
data: {{source: {source}, sampler: {{type: shuffled, batch_size: 16}}}}
fit: {{epochs: 1}}
"""


@pytest.fixture
def plugins():
    """What kplug has beside the built-ins, whatever is installed."""
    return PLUGINS


@pytest.fixture
def load():
    """Network, as YAML or as data, to a checked spec with it."""

    def read(model, source="digits"):
        text = model if isinstance(model, str) else json.dumps(model)
        with plugged(*PLUGINS):
            return kplug.loads(SPEC.format(model=text, source=source))

    return read


@pytest.fixture
def make(load):
    """Network, as YAML or as data, to the layer that it is."""

    def made(model):
        from kplug.spec.build import build

        spec = load(model)
        return build(spec, spec["task.model"])

    return made


@pytest.fixture
def train_a_step(load, tmp_path):
    def train(model, **settings):
        with plugged(*PLUGINS):
            spec = load(model, "{type: tiny_pictures, examples: 20}").at(settings)
            run = kplug.train(spec, tmp_path / "run")
        assert [row["step"] for row in run.rows("metrics.jsonl")] == [1]

    return train
