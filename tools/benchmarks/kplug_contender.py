"""kplug's side of a race: the command `kplug train` itself, with a callback plugged in that stops at chunks' ends.

usage: kplug_contender.py train|input SPEC RUN [PATH=VALUE...]
"""

from __future__ import annotations

import sys
import time
from typing import Any

from contender import FOREVER, Chunks, make_gate, read_in_chunks, take_stdout

from kplug import hookimpl
from kplug.spec.plugins import host


class Raced:
    """A plugin as any other: it adds a callback to every training."""

    def __init__(self, chunks: Chunks) -> None:
        self.chunks = chunks

    @hookimpl
    def callbacks(self, run: Any) -> list[Any]:
        gate = make_gate(self.chunks)
        self.chunks.commands["checkpoint"] = lambda: {"seconds": save_checkpoint(run, gate.model)}
        return [gate]


def save_checkpoint(run: Any, model: Any) -> float:
    """Seconds that a checkpoint of the whole state takes."""
    from kplug.training.checkpoints import Checkpoints

    started = time.perf_counter()
    Checkpoints(run, 2).save(model, {"stage": 0, "step": time.monotonic_ns() // 1000})
    return time.perf_counter() - started


def read_input(spec: str, changes: list[str], chunks: Chunks) -> None:
    """Batches as the training of a spec gets them, without the model's steps."""
    from kplug.console import load_tensorflow

    load_tensorflow()
    from kplug.data.splits import open_data
    from kplug.model.machine import Hardware
    from kplug.records import Rebuild
    from kplug.spec import load_with
    from kplug.training.fit import prepare
    from kplug.training.plan import Plan
    from kplug.training.workers import join

    checked = load_with(spec, changes).absolute()
    cluster, data = join(checked), open_data(checked)
    plan = Plan(data, cluster, Hardware.here(cluster.replicas))
    learner = prepare(plan, plan.stages[0], Rebuild()).learner
    read_in_chunks(data.training(learner, FOREVER), chunks)


def main() -> None:
    what, spec, run, *changes = sys.argv[1:]
    chunks = Chunks(take_stdout())
    if what == "input":
        return read_input(spec, changes, chunks)
    host().manager.register(Raced(chunks), name="benchmarks")
    from kplug.cli import main as command_line

    settings = [word for change in changes for word in ("--set", change)]
    sys.argv[1:] = ["train", spec, "--run", run, "--set", f"fit.epochs={FOREVER}", *settings]
    return command_line()


if __name__ == "__main__":
    main()
