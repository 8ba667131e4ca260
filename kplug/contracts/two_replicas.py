"""The demand that a training is the same on one replica and on two; in a process of its own, which has one strategy.

The process has two logical CPUs and is started once, by the first check that needs it; it ends with the session.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import importlib.util
import inspect
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from kplug.spec.component import Component
from kplug.spec.plugins import host

if TYPE_CHECKING:
    from kplug.contracts.subject import Subject


# Both compute in float32, whose steps are 1.2e-7 of a number; two replicas add the same terms in another order, some
# dozens of them, a few steps in a row. What is wrong with a loss or an optimizer shows in the first digits.
TOLERANCE = 1e-5
PATIENCE = 300  # seconds for one answer

# --- asking --------------------------------------------------------------------------------------------------------


def check_replicas(subject: Subject) -> None:
    """Demand that a component gives the same on one replica and on two.

    Raises:
        AssertionError: it does not, or fails on two.
    """
    kind, name = subject.kind, subject.component.name
    answer = _helper().ask(_request(subject))
    if "error" in answer:
        where = {"one": "without a strategy", "two": "on two replicas"}[answer["on"]]
        raise AssertionError(f"{kind} '{name}' fails {where} (tf.distribute.MirroredStrategy):\n{answer['error']}")
    different = [text for number, (one, two) in answer["values"].items() if (text := _difference(number, one, two))]
    if different:
        raise AssertionError(
            f"{kind} '{name}' does not give the same on 2 replicas as on 1, with the same global batch. What is summed "
            "or averaged over a batch sees the part of one replica:\n" + "\n".join(different)
        )


def _difference(number: str, one: np.ndarray, two: np.ndarray) -> str:
    """Say how two arrays differ, if they do; terms may cancel, so that the largest value is the scale of all."""
    scale = max(1.0, float(np.max(np.abs(one), initial=0.0)))
    if one.shape == two.shape and np.allclose(one, two, rtol=0, atol=TOLERANCE * scale, equal_nan=True):
        return ""
    difference = float(np.max(np.abs(one - two))) if one.shape == two.shape else float("nan")
    return f"  {number}: differs by {difference:.3g}; the largest value is {scale:.3g}"


def _request(subject: Subject) -> dict[str, Any]:
    """A request for the other process: all components that are not built in, by module and name, and the arguments."""
    others = [c for c in host().registry.components if c.distribution != "kplug" and c is not subject.component]
    return {
        "path": sys.path,
        "tested": _place(subject.component),
        "others": [_place(c) for c in others if "<locals>" not in c.function.__qualname__],
        "small": dict(subject.small),
        "inputs": subject.inputs,
    }


def _place(component: Component) -> tuple[str, str, str, str]:
    """The place where another process finds the function of a component: distribution, module, file, name."""
    function = component.function
    if "<locals>" in function.__qualname__:
        raise AssertionError(
            f"'{component.name}' is checked on 2 replicas in another process, which imports it: define it at the top "
            f"of a module; received {function.__qualname__}"
        )
    return component.distribution, function.__module__, inspect.getfile(function), function.__qualname__


class Helper:
    """The process that answers, at the other end of a connection.

    It is no child of `multiprocessing`, which would run the main module of a script that calls `check` once more.
    """

    def __init__(self) -> None:
        self.said = tempfile.TemporaryFile("w+")  # noqa: SIM115
        environment = {**os.environ, "KPLUG_PLUGINS": "", "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"}
        root = str(Path(__file__).parents[2])  # the folder of kplug, which may not be installed
        environment["PYTHONPATH"] = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
        self.connection, other_end = Pipe()
        with other_end:
            command = [sys.executable, "-P", "-m", "kplug.contracts.two_replicas", str(other_end.fileno())]
            self.process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=self.said,
                stderr=self.said,
                pass_fds=[other_end.fileno()],
            )

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
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
        """Close the connection, at which the process ends, or is killed after some seconds."""
        self.connection.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.said.close()


_running: Helper | None = None


def _helper() -> Helper:
    global _running
    if _running is None or _running.process.poll() is not None:
        _running = Helper()
        atexit.register(_running.end)
    return _running


# --- answering -----------------------------------------------------------------------------------------------------


def main(descriptor: int) -> None:
    """Answer requests that come over a connection until its other end is closed."""
    connection = Connection(descriptor)
    strategy = _two_replicas()
    gc.freeze()  # TensorFlow's own objects, which every collection would go through, and Keras collects often
    with contextlib.suppress(EOFError):
        while True:
            connection.send(_answer(connection.recv(), strategy))


def _two_replicas() -> Any:
    from kplug.console import load_tensorflow

    load_tensorflow()
    import tensorflow as tf

    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def _answer(request: dict[str, Any], strategy: Any) -> dict[str, Any]:
    import keras

    from kplug.contracts.by_kind import EXPERIMENTS
    from kplug.contracts.subject import Subject

    sys.path.extend(folder for folder in request["path"] if folder not in sys.path)
    found = {}
    on = "one"
    try:
        with _component(request) as component:
            subject = Subject(component, request["small"], request["inputs"])
            keras.utils.clear_session()  # not within a scope, which it would end
            for on, scope in (("one", contextlib.nullcontext()), ("two", strategy.scope())):
                keras.utils.set_random_seed(0)
                found[on] = EXPERIMENTS[subject.kind](subject, scope)
    except Exception:
        return {"on": on, "error": traceback.format_exc()[-6000:]}
    one, two = found["one"], found["two"]
    return {"values": {k: (np.asarray(one[k]), np.asarray(two[k])) for k in one}}


@contextlib.contextmanager
def _component(request: dict[str, Any]) -> Iterator[Component]:
    """The tested component, in a host with the built-ins and all that the asking process has."""
    from kplug.contracts.plugged import Functions, knowing
    from kplug.spec.plugins import Plugin, using

    by_owner: dict[str, list[Callable[..., Any]]] = {}
    for owner, *place in [*request["others"], request["tested"]]:
        by_owner.setdefault(owner, []).append(_find(*place))
    tested = _find(*request["tested"][1:])
    with using([]) as extended:
        for owner, functions in by_owner.items():
            if owner not in ("kplug", "kplug-testing"):
                extended.add(Functions(*functions), Plugin("replicas", owner, ""))
        with knowing(tested) as component:
            yield component


@functools.cache  # the module `resnet` of a package would take the place of its function `resnet` once it is imported
def _find(module: str, file: str, name: str) -> Callable[..., Any]:
    found: Any = _module(module, file)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _module(name: str, file: str) -> ModuleType:
    """The module by its name, or by its file where that name leads elsewhere: tests are in no package."""
    loaded = sys.modules.get(name)
    if loaded is not None and _same_file(getattr(loaded, "__file__", None), file):
        return loaded
    with contextlib.suppress(ImportError, ValueError):
        spec = importlib.util.find_spec(name)
        if spec and _same_file(spec.origin, file):
            return importlib.import_module(name)
    name = f"{name} of {file}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def _same_file(one: str | None, other: str) -> bool:
    return one is not None and os.path.exists(one) and os.path.samefile(one, other)


if __name__ == "__main__":
    main(int(sys.argv[1]))
