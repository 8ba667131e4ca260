"""The executor in a spec, whether Ray is installed or not."""

import importlib.util

import kplug_ray
import pytest
from kplug_ray import ray_cluster

import kplug
from kplug import SpecError
from kplug.testing import no_tensorflow, plugged

HERE = importlib.util.find_spec("ray") is not None
SPEC = """
name: spread
task: {type: classification, model: flatten}
data: {source: digits}
search:
  executor: EXECUTOR
  space:
    data.validation: {float: [0.1, 0.3]}
"""


def loaded(executor):
    with plugged(kplug_ray):
        return kplug.loads(SPEC.replace("EXECUTOR", executor))


@pytest.mark.skipif(HERE, reason="Ray is installed")
def test_without_ray():
    with pytest.raises(
        SpecError, match=r"No module named 'ray'; ray_cluster needs Ray: pip install 'kplug-ray\[ray\]'"
    ):
        ray_cluster()


def test_neither_ray_nor_tensorflow_is_loaded_for_a_spec():
    done = no_tensorflow(code="import sys, kplug_ray\nassert 'ray' not in sys.modules")
    assert done.returncode == 0, done.stderr


def test_a_spec_names_it():
    executor = loaded("{type: ray_cluster, workers: 8, address: 'head:6379', gpus: 0.5}").filled()["search.executor"]
    assert executor.arguments["workers"] == 8
    assert executor.arguments["cpus"] == 1.0


@pytest.mark.parametrize(
    ("executor", "message"),
    [
        ("{type: ray_cluster, workers: 0}", r"search.executor.workers: 0 is less than 1"),
        ("{type: ray_cluster, gpus: 1.5}", r"more than one GPU is a whole number of them; received gpus: 1.5"),
        ("{type: ray_cluster, gpus: -1}", r"search.executor.gpus: -1 is less than 0"),
        ("{type: ray_cluster, cpus: 0}", r"search.executor.cpus: 0 is not greater than 0"),
        ("{type: ray_cluster, memory: 0}", r"search.executor.memory: 0 is not greater than 0"),
        ("{type: ray_cluster, addres: head}", r"did you mean 'address'"),
        ("{type: ray_cluster, address: ''}", r"search.executor.address"),
    ],
)
def test_what_is_refused(executor, message):
    with pytest.raises(SpecError, match=message):
        loaded(executor)
