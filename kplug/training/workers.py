"""Workers that train together: refused where they differ, brought to agree, given the files of the chief's run."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kplug.errors import Path as SpecPath
from kplug.errors import Problem, SpecError, dotted
from kplug.model.patches import make_keras_distribute
from kplug.spec import Spec
from kplug.spec.build import build
from kplug.spec.tree import leaves, nodes
from kplug.storage.environment import packages, plugins
from kplug.training.cluster import Cluster
from kplug.training.plan import Stage


def refuse_differences(cluster: Cluster, spec: Spec) -> None:
    """Refuse a cluster in which a worker's spec, plugins or packages are not the chief's."""
    every = [json.loads(text) for text in cluster.gather(json.dumps(facts(spec)).encode())]
    for number, other in enumerate(every):
        for name in sorted({*every[0], *other}):
            if every[0].get(name) != other.get(name):
                what = f"{name} is {every[0].get(name)!r} on worker 0 and {other.get(name)!r} on worker {number}"
                message = f"the workers of a cluster must be alike; {what}"
                raise SpecError([Problem(message, ("fit", "strategy"))])  # each has a file of its own


def facts(spec: Spec) -> dict[str, Any]:
    """All that must be the same on the workers: the spec but for its file paths, plugins, what computes."""
    values = {dotted(path): value for path, _, value in leaves(spec.root) if path not in spec.file_paths}
    versions = packages()
    values |= {f"plugin {p['distribution']}:{p['name']}": f"{p['version']} ({p['sha256'][:12]})" for p in plugins()}
    return values | {f"package {name}": versions.get(name) for name in ("tensorflow", "keras", "numpy")}


def refuse_uneven(cluster: Cluster, spec: Spec, batch_size: int, block: int = 1) -> None:
    """Refuse a batch that cannot be cut into equal slices, between blocks of examples that stay together."""
    count, blocks = cluster.replicas, batch_size // block
    if blocks % count:
        lower = blocks // count * count
        several = " or ".join(str(n) for n in (lower, lower + count) if n)
        batch = f"a batch of {batch_size}" if block == 1 else f"a batch of {blocks} blocks of {block} examples"
        message = f"{batch} cannot be shared evenly by {count} replicas; {several} can"
        raise spec.error("data.sampler", message)


def refuse_untried(cluster: Cluster, stage: Stage, is_new: bool) -> None:
    """Refuse what Keras cannot do on several replicas; and, where a training begins, what it could not go back from."""
    if cluster.replicas == 1:
        return
    spec = stage.spec
    reasons: list[tuple[str | SpecPath, str]] = []
    if stage.fit.jit is True:
        reasons.append(("fit.jit", "Keras compiles for one replica only"))
    if stage.fit.steps_per_execution not in ("auto", 1):
        reasons.append(("fit.steps_per_execution", "Keras makes several steps at once on one replica only"))
    for node in nodes(spec["task"]):
        if node.arguments.get("gradient_accumulation_steps"):
            path = (*node.path, "gradient_accumulation_steps")
            reasons.append((path, "Keras accumulates gradients on one replica only; leave it out: each holds less"))
        if node.arguments.get("use_ema") and node.arguments.get("ema_overwrite_frequency"):
            path = (*node.path, "ema_overwrite_frequency")
            reasons.append((path, "Keras goes on from the average on one replica only; leave it out"))
    for node in nodes(spec["fit.callbacks"]) if is_new and cluster.is_multi_worker else ():
        if node.arguments.get("go_back"):
            path = (*node.path, "go_back")
            reasons.append((path, "one worker may see what the others do not, and they cannot go back together"))
    if reasons:
        there = f"(there are {cluster.replicas})"
        raise SpecError([spec.problem(path, f"{reason} {there}") for path, reason in reasons])


# --- before anything is built ----------------------------------------------------------------------------------------


def join(spec: Spec) -> Cluster:
    """The cluster that `fit.strategy` says, all its workers of one mind.

    Raises:
        SpecError: there is no such device or cluster, or the workers have different specs or plugins.
    """
    cluster = Cluster(build(spec, spec["fit.strategy"]))
    if cluster.replicas > 1:
        make_keras_distribute()
    if cluster.is_multi_worker:
        refuse_differences(cluster, spec)
    return cluster


class Agreeing(keras.callbacks.Callback):
    """Has the replicas agree on what each of them counts for itself: moving statistics, and when to stop.

    Each replica moves the statistics of batch normalization by its own slices. They are averaged whenever somebody is
    about to look at them: before a validation, which all workers do with the same model; at the end of an epoch, which
    may have no validation, before weights are kept; and before a checkpoint, from which all go on alike.

    Args:
        cluster: the replicas.
    """

    # Workers ask each other at every fourth step alone, since a question has all of them wait for the slowest. A wish
    # waits up to three steps longer for it, no more; nobody measured that four is best.
    EVERY = 4

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        self.cluster = cluster

    def set_model(self, model: keras.Model) -> None:
        super().set_model(model)
        own = [w.value for w in model.non_trainable_weights if tf.as_dtype(w.dtype).is_floating]
        strategy = self.cluster.strategy

        def once() -> None:
            means = tf.distribute.get_replica_context().all_reduce("MEAN", [tf.identity(variable) for variable in own])
            for variable, mean in zip(own, means, strict=True):
                variable.assign(mean)

        @tf.autograph.experimental.do_not_convert
        def average() -> None:
            strategy.run(once)

        self.average = tf.function(average) if own and self.cluster.replicas > 1 else None

    def on_test_begin(self, logs: Any = None) -> None:
        self.average_statistics()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.average_statistics()

    def average_statistics(self) -> None:
        """Give every replica the mean of the moving statistics, which each counts on its slices."""
        if self.average:
            self.average()

    def any(self, step: int | None, *wishes: bool) -> list[bool]:
        """Tell of each wish if any worker has it; all workers must call it at the same step.

        Args:
            step: of the stage, counted from 1. A cluster of several workers grants wishes at every fourth step, and
                none at the steps between. None has it asked now, as at the end of an epoch.
            wishes: those of this worker.
        """
        if not self.cluster.is_multi_worker:
            return list(wishes)
        if step is not None and step % self.EVERY:
            return [False] * len(wishes)
        return [bool(count) for count in self.cluster.sum(np.array(wishes, np.int32))]


# --- the run's directory, which is the chief's -----------------------------------------------------------------------


@contextlib.contextmanager
def directory_of(cluster: Cluster, directory: str | os.PathLike[str] | None) -> Iterator[Any]:
    """Give the chief the run's directory, and another worker one of its own, which is gone afterwards."""
    if cluster.is_chief:
        yield directory
        return
    scratch = tempfile.mkdtemp(prefix=f"kplug-worker-{cluster.index}-")
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def share_run(cluster: Cluster, directory: str | os.PathLike[str]) -> None:
    """Write what the others need of the chief's run into their directories.

    That is all that going on with a run reads: its spec, facts and rows (`*.json`, `*.jsonl`), its checkpoints, and the
    trained parts of other runs that its model is built with. Its own weights and its samples are not read.
    """
    if not cluster.is_multi_worker:
        return
    folder, names = Path(directory), []
    if cluster.is_chief:
        wanted = [
            *folder.glob("*.json"),
            *folder.glob("*.jsonl"),
            *folder.glob("checkpoints/*/*"),
            *(path for path in folder.glob("parts/**/*") if path.is_file()),
            folder / "spec.yaml",
        ]
        names = [str(path.relative_to(folder)) for path in wanted]
    for name in json.loads(cluster.broadcast(json.dumps(names).encode())):
        refuse_outside(name)
        content = cluster.broadcast((folder / name).read_bytes() if cluster.is_chief else b"")
        if not cluster.is_chief:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)


def refuse_outside(name: Any) -> None:
    """Refuse a name of a file that a worker is to write which does not lead below its own directory.

    Raises:
        ValueError: it does not.
    """
    steps = name.split("/") if isinstance(name, str) else [""]
    if any(step in ("", ".", "..") or "\0" in step for step in steps):
        raise ValueError(f"the chief sends {name!r}, which is no name of a file of its run")
