"""The demand that a training is the same on one replica and on two; in a process of its own, which has one strategy.

The process has two logical CPUs and is started once, by the first check that needs it; it ends with the session.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import functools
import gc
import importlib
import importlib.util
import inspect
import operator
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kplug.console import log
from kplug.contracts.plugged import TINY, knowing
from kplug.spec.component import KPLUG, Component
from kplug.spec.plugins import host, using

if TYPE_CHECKING:
    from kplug.contracts.subject import Subject


# Both compute in float32, whose steps are 1.2e-7 of a number; two replicas add the same terms in another order, some
# dozens of them, a few steps in a row. What is wrong with a loss or an optimizer shows in the first digits.
TOLERANCE = 1e-5
NORMALIZATIONS = "layers of batch normalization"  # their number, beside the values of an experiment
PATIENCE = 300  # seconds for one answer

# --- asking --------------------------------------------------------------------------------------------------------


def check_replicas(subject: Subject) -> None:
    """Demand that a component gives the same on one replica and on two.

    Raises:
        AssertionError: it does not, or fails on two.
    """
    named = f"{subject.kind} '{subject.component.name}'"
    different, normalizations = _differences(named, subject)
    if different and normalizations:
        # each replica counts its own examples: a difference that says nothing of the task
        different, _ = _differences(named, dataclasses.replace(subject, at_rest=True))
        if not different:
            differ = "on 2 replicas it differs, and does not in inference mode"
            log(f"{named}: the model has batch normalization, which counts on each replica alone: {differ}")
    if different:
        what = f"{named} does not give the same on 2 replicas as on 1, with the same global batch"
        why = "What is summed or averaged over a batch sees the part of one replica"
        rest = ", with batch normalization in inference mode" if normalizations else ""
        raise AssertionError("\n".join([f"{what}{rest}. {why}:", *different]))


def _differences(named: str, subject: Subject) -> tuple[list[str], int]:
    """Say which values differ, and how many layers of batch normalization count on each replica alone."""
    answer = _helper().ask(_request(subject))
    if "error" in answer:
        where = f"{answer['where']} (tf.distribute.MirroredStrategy)"
        raise AssertionError(f"{named} fails {where}:\n{answer['error']}")
    normalizations, _ = answer["values"].pop(NORMALIZATIONS, (0, 0))
    values = answer["values"].items()
    return [text for number, (one, two) in values if (text := _difference(number, one, two))], int(normalizations)


def _difference(number: str, one: np.ndarray, two: np.ndarray) -> str:
    """Say how two arrays differ, if they do; terms may cancel, so that the largest value is the scale of all."""
    scale = max(1.0, float(np.max(np.abs(one), initial=0.0)))
    if one.shape == two.shape and np.allclose(one, two, rtol=0, atol=TOLERANCE * scale, equal_nan=True):
        return ""
    difference = float(np.max(np.abs(one - two))) if one.shape == two.shape else float("nan")
    return f"  {number}: differs by {difference:.3g}; the largest value is {scale:.3g}"


def _request(subject: Subject) -> dict[str, Any]:
    """A request for the other process: all components that are not built in, by module and name, and the arguments."""
    others = [c for c in host().registry.components if c.distribution != KPLUG and c is not subject.component]
    return {
        "path": sys.path,
        "tested": _place(subject.component),
        "others": [_place(c) for c in others if "<locals>" not in c.function.__qualname__],
        "small": dict(subject.small),
        "inputs": subject.inputs if not callable(subject.inputs) else Place(*_place_of(subject.inputs, "`inputs`")),
        "data": subject.data,
        "at_rest": subject.at_rest,
    }


class Place(NamedTuple):
    """The place where another process finds a function."""

    module: str
    file: str
    name: str


def _place(component: Component) -> tuple[str, str, str, str]:
    """The place where another process finds the function of a component: distribution, module, file, name."""
    return component.distribution, *_place_of(component.function, f"'{component.name}'")


def _place_of(function: Any, what: str) -> tuple[str, str, str]:
    if "<" in function.__qualname__:
        why = f"{what} is needed on 2 replicas in another process, which imports it"
        raise AssertionError(f"{why}: define it at the top of a module; received {function.__qualname__}")
    return function.__module__, inspect.getfile(function), function.__qualname__


class Helper:
    """The process that answers, at the other end of a connection.

    It is no child of `multiprocessing`, which would run the main module of a script that calls `check` once more.
    """

    def __init__(self) -> None:
        self.said = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.connection, other_end = Pipe()
        with other_end:
            number = other_end.fileno()
            program = f"import sys; sys.path[:] = {sys.path}; from {__name__} import main; main({number})"
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", program],
                env={**os.environ, "KPLUG_PLUGINS": "", "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"},
                stdin=subprocess.DEVNULL,
                stdout=self.said,
                stderr=self.said,
                pass_fds=[number],
            )
        atexit.register(self.end)

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request and return the answer; the process is ended where none comes."""
        try:
            self.connection.send(request)
            if self.connection.poll(PATIENCE):
                return self.connection.recv()
            ending = f"gave no answer in {PATIENCE} seconds"
        except (EOFError, OSError):
            ending = "ended"
        self.said.seek(0)
        said = self.said.read()[-4000:]
        self.end()
        raise RuntimeError(f"the process with two replicas {ending}; it said:\n{said}")

    def end(self) -> None:
        """Kill the process, which keeps nothing of its own."""
        self.process.kill()
        self.process.wait()
        self.connection.close()
        self.said.close()


_running: Helper | None = None


def _helper() -> Helper:
    """The process of this session; another one where the last has ended."""
    global _running
    if _running is None or _running.process.poll() is not None:
        _running = Helper()
    return _running


# --- answering -----------------------------------------------------------------------------------------------------


def main(descriptor: int) -> None:
    """Answer requests that come over a connection until its other end is closed."""
    from kplug.console import load_tensorflow

    load_tensorflow()
    import tensorflow as tf

    from kplug.model.patches import make_keras_distribute

    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    make_keras_distribute()  # as a training does
    connection = Connection(descriptor)
    gc.freeze()  # TensorFlow's own objects, which every collection would go through, and Keras collects often
    with contextlib.suppress(EOFError):
        while True:
            connection.send(_answer(connection.recv(), strategy))


def _answer(request: dict[str, Any], strategy: Any) -> dict[str, Any]:
    """The values of an experiment on one replica and on two, or where it failed and how."""
    import keras

    from kplug.contracts.by_kind import EXPERIMENTS
    from kplug.contracts.subject import Subject

    sys.path.extend(folder for folder in request["path"] if folder not in sys.path)
    scopes = {"without a strategy": contextlib.nullcontext(), "on two replicas": strategy.scope()}
    found: list[dict[str, Any]] = []
    try:
        with _component(request) as component:
            inputs = request["inputs"]
            inputs = _find(*inputs) if isinstance(inputs, Place) else inputs
            subject = Subject(component, request["small"], inputs, (), request["data"], request["at_rest"])
            keras.utils.clear_session()  # not within a scope, which it would end
            for scope in scopes.values():
                keras.utils.set_random_seed(0)
                found.append(EXPERIMENTS[subject.kind](subject, scope))
    except Exception:
        return {"where": list(scopes)[len(found)], "error": traceback.format_exc()[-6000:]}
    one, two = found
    return {"values": {name: (np.asarray(one[name]), np.asarray(two[name])) for name in one}}


@contextlib.contextmanager
def _component(request: dict[str, Any]) -> Iterator[Component]:
    """The tested component, in a host with the built-ins and all that the asking process has."""
    with using([]) as extended:
        for owner, *place in [*request["others"], request["tested"]]:
            if owner not in (KPLUG, TINY):
                extended.registry.add([_find(*place)], owner)
        with knowing(_find(*request["tested"][1:])) as component:
            yield component


@functools.cache  # the module `resnet` of a package would take the place of its function `resnet` once it is imported
def _find(module: str, file: str, name: str) -> Any:
    return operator.attrgetter(name)(_module(module, file))


@functools.cache
def _module(name: str, file: str) -> ModuleType:
    """The module by its name, or by its file where that name leads elsewhere: tests are in no package."""
    with contextlib.suppress(ImportError, ValueError):
        spec = importlib.util.find_spec(name)
        if spec and os.path.realpath(spec.origin or "") == os.path.realpath(file):
            return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(f"{name} of {file}", file)
    assert spec and spec.loader
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
