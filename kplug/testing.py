"""Tools for the tests of plugins: a component checked against its kind's contract, plugins for one test, tiny data.

    from kplug.testing import check, no_tensorflow, plugged

    def test_focal():
        check(focal)                      # the defaults
        check(focal, gamma=0.5)           # arguments as in YAML

    def test_a_spec_with_it():
        with plugged(kplug_focal):
            kplug.loads(...)

    def test_it_is_light():
        assert no_tensorflow("check", "specs/focal.yaml").returncode == 0

Importing this module costs nothing; `check` loads TensorFlow, and for some kinds starts one more process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kplug.console import load_tensorflow
from kplug.contracts import tiny  # noqa: F401  the plugin of tiny sources: `plugged(tiny)`
from kplug.contracts.plugged import TESTED, TINY, Functions, knowing, plugged  # noqa: F401  offered from here too
from kplug.contracts.tiny import tiny_columns, tiny_files, tiny_given, tiny_info, tiny_labels, tiny_pictures
from kplug.contracts.tiny_in_pictures import tiny_clips, tiny_masks, tiny_objects
from kplug.hookspecs import hookimpl  # noqa: F401
from kplug.spec.component import BadComponent, Component, read_component  # noqa: F401
from kplug.spec.plugins import HEAVY, Host, Plugin, host, using  # noqa: F401

__all__ = [
    "check",
    "check_plugin",
    "no_tensorflow",
    "plugged",
    "tiny_clips",
    "tiny_columns",
    "tiny_files",
    "tiny_given",
    "tiny_info",
    "tiny_labels",
    "tiny_masks",
    "tiny_objects",
    "tiny_pictures",
]


# --- imports -------------------------------------------------------------------------------------------------------

_BLOCKING = f"""
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HEAVY!r}:
            raise ImportError(name + " is imported, which no_tensorflow() forbids")

sys.meta_path.insert(0, Blocker())
"""


def no_tensorflow(
    *arguments: str, code: str | None = None, cwd: str | os.PathLike[str] | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run kplug's command line in a process that can import neither TensorFlow, Keras nor their like.

    A plugin that imports them at its top fails the command, with the reason on stderr: look at `returncode`.

        assert no_tensorflow("components", "loss").returncode == 0
        assert no_tensorflow(code="import kplug_focal").returncode == 0

    Args:
        arguments: what is typed after `kplug`.
        code: Python to run instead.
        cwd: working directory.
        environment: further variables; `KPLUG_STRICT_PLUGINS="0"` lets a broken plugin be set aside.
    """
    if bool(arguments) == (code is not None):
        raise ValueError(f"give arguments of kplug or code. Received: arguments={arguments}, code={code!r}")
    program = _BLOCKING + (code if code is not None else "from kplug.cli import main\nmain()\n")
    everything = {"KPLUG_STRICT_PLUGINS": "1", **os.environ, **environment}
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, env=everything, cwd=cwd, capture_output=True, text=True, check=False)


# kinds that are given `inputs`
GIVEN = ("architecture", "augmentation", "evaluator", "feature", "loss", "metric", "sampler", "task")

# --- the contract --------------------------------------------------------------------------------------------------


def check(
    component: Callable[..., Any],
    inputs: Any = None,
    *,
    data: Mapping[str, Any] | None = None,
    unreached: Sequence[str] = (),
    **small: Any,
) -> None:
    """Check a component against the contract of its kind, on tiny data.

    Of every kind: it is documented, and is built from its defaults. Then

    - architecture: part(x) gives finite floats in the shape that Keras foretells, gradients reach every weight,
      inference repeats itself, a second build takes the weights of the first, bfloat16 works and leaves integers alone;
    - loss: values `[batch, ...]`, finite, with a finite gradient; metric: finite, and afresh after a reset;
    - optimizer: a step changes every weight; schedule: finite and at least 0 at every step;
    - augmentation, sampler, source: functions of their arguments alone, in parallel and in any order;
    - feature: reads what it promises, one by one and many at once; opens what it kept; says why a raw value is none;
    - task: prepares purely, trains as `kplug train` does, goes on after a kill, exports what it predicts, and moves the
      same weights in mixed_float16; callback: lives through a fit, and is restored;
    - evaluator: finite figures, which neither the order of rows nor the size of batches changes;
    - oracle: the same trials from the same results, within the space; pruner: lets the best go on;
      executor: a training reports, is paused, goes on and ends;
    - loss, metric, optimizer and task give the same on one replica and on two.

    Args:
        component: the function itself.
        inputs: what it is given. Architecture: the shape or `Field` of an example, or a list of them (a picture of
            32x32x3); augmentation: the shape of a picture; loss and metric: the shape of an example's targets (three
            classes), or a function `rng -> (targets, predictions)`, at the top of a module; sampler: the number of
            examples (300), or `Columns`; feature: values as a source gives them, an array or a list, or a `Split` that
            gives `field`; evaluator: a function `rng -> {"truths": ..., "answers": ..., "columns": ...}`, arrays by
            name; task: a source as in YAML (`tiny_pictures`).
        data: of a task: the section `data` as in YAML: source, features, sampler, evaluate_with and what else it has.
        unreached: of an architecture: patterns of weights that no gradient needs to reach.
        small: arguments as in YAML, such as make a network small.

    Raises:
        AssertionError: the contract is broken: what it says, and what came.
    """
    with knowing(component) as known:
        load_tensorflow()
        from kplug.contracts.by_kind import CONTRACTS, EXPERIMENTS, check_own_kind
        from kplug.contracts.subject import Subject, check_documentation
        from kplug.contracts.two_replicas import check_replicas

        check_documentation(known)
        if data is not None and "data" in known.parameters:  # its own parameter
            data, small = None, small | {"data": data}
        subject = Subject(known, small, inputs, unreached, data)
        if inputs is not None and subject.kind not in GIVEN:
            raise TypeError(f"{subject.kind} '{known.name}' is given nothing; received inputs={inputs!r}")
        if data is not None and (subject.kind != "task" or inputs is not None):
            raise TypeError(f"`data` is the data of a task, in the place of `inputs`; received it for {known.name}")
        # the defaults of a source may need a network; those of a task are built on its own data
        if subject.kind not in ("source", "task"):
            subject.make_from_defaults()
        contract = CONTRACTS.get(subject.kind)
        contract(subject) if contract else check_own_kind(subject)
        if subject.kind in EXPERIMENTS:
            check_replicas(subject)


def check_plugin(plugin: Any) -> None:
    """Check a plugin as a whole: what its components have in common, its hooks and its commands.

    It imports nothing heavy; its hooks are kplug's, with arguments that they have; every component is documented; every
    command is listed by `kplug --help` with a line of help, takes no name that is taken, and has help for its options.

    Args:
        plugin: the module, or a class or object with hooks.

    Raises:
        AssertionError: the contract is broken: what it says, and what came.
    """
    load_tensorflow()  # quietly, before what needs it
    from kplug.contracts.plugin import check_plugin_of

    check_plugin_of(plugin, no_tensorflow)
