"""The README's specs: they pass `kplug check`, and what stands in their spaces can be built."""

import random
import re
import textwrap
from pathlib import Path

import keras
import kplug_nas
import pytest

import kplug
from kplug import SpecError
from kplug.spec.search.space import spec_at
from kplug.testing import no_tensorflow, plugged

README = (Path(__file__).parents[1] / "README.md").read_text()
EXAMPLES = [textwrap.dedent(found) for found in re.findall(r"(?:^ {4}.*\n)+", README, re.MULTILINE)]
SEARCHES = {found.split()[1]: found for found in EXAMPLES if found.startswith("name: ")}
MOST = 300_000


@pytest.fixture
def read(plugins):
    """Name of a spec of the README to the checked spec."""

    def checked(name):
        with plugged(*plugins):
            return kplug.loads(SEARCHES[name])

    return checked


def parameters(spec):
    """Of the network for Fashion-MNIST, without its head."""
    from kplug.spec.build import build

    keras.utils.clear_session()
    network = build(spec, spec["task.model"])
    network(keras.Input((28, 28, 1)))
    return network.count_params()


def test_the_readme_has_three_searches():
    assert list(SEARCHES) == ["search-stages", "search-cell", "search-families"]


def test_the_readme_names_every_component():
    named = re.findall(r"`(\w+)`", README)
    assert {component.__name__ for component in kplug_nas.components()} <= set(named)


def test_the_readmes_first_network(plugins):
    from kplug.spec.build import build

    text = "name: a\ndata: {source: digits}\ntask:\n  type: classification\n" + textwrap.indent(EXAMPLES[0], "  ")
    with plugged(*plugins):
        spec = kplug.loads(text)
    assert build(spec, spec["task.model"])(keras.Input((8, 8, 3))).shape == (None, 2, 2, 64)


@pytest.mark.slow
@pytest.mark.parametrize("name", SEARCHES)
def test_the_base_is_small(read, name):
    assert parameters(read(name)) < MOST


@pytest.mark.parametrize("name", SEARCHES)
def test_every_point_is_a_spec(read, plugins, name):
    spec = read(name)
    space = spec.space()
    rng = random.Random(1)
    with plugged(*plugins):
        models = [spec_at(spec, space, space.sample(rng)).dump() for _ in range(20)]
    assert len(set(models)) > 15


@pytest.mark.slow
@pytest.mark.parametrize("name", SEARCHES)
def test_points_can_be_built(read, plugins, name):
    spec = read(name)
    space = spec.space()
    rng = random.Random(2)
    with plugged(*plugins):
        counts = {parameters(spec_at(spec, space, space.sample(rng))) for _ in range(6)}
    assert len(counts) > 1


def test_points_reach_into_a_block(read, plugins):
    spec = read("search-stages")
    space = spec.space()
    point = {one.path: one.values[0] for one in space if not one.conditions}
    chosen = {"task.model.stages.0.block": "inverted", "task.model.stages.0.depth": 2, "task.model.stages.0.skip": True}
    chosen |= {"task.model.stages.0.block[inverted].kernel": 5, "task.model.stages.0.attention": "squeeze"}
    chosen |= {"task.model.stages.0.block[inverted].expansion": 2.0}
    with plugged(*plugins):
        found = spec_at(spec, space, {**point, **chosen})
    assert found["task.model.stages.0.block"].name == "inverted_residual"
    assert found["task.model.stages.0.block.kernel"] == 5
    assert found["task.model.stages.0.attention.ratio"] == 4.0


def test_a_space_that_points_forward_is_refused(plugins):
    range_of_node_1 = "task.model.nodes.1.inputs.0: {choice: [0, 1, 2]}"
    text = SEARCHES["search-cell"].replace(range_of_node_1, range_of_node_1.replace("2]", "2, 3]"))
    with plugged(*plugins), pytest.raises(SpecError, match=r"nodes\.1\.inputs\.0: 3 is not one of 0, 1, 2: a node"):
        kplug.loads(text)


def test_it_is_light():
    done = no_tensorflow(code="import kplug_nas; print(len(kplug_nas.components()))")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(len(kplug_nas.components()))
