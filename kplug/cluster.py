"""The devices that train one model together: whose share of each batch is whose, and what they agree on."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kplug.alike import refuse_differences
from kplug.build import build
from kplug.errors import WorkerLost
from kplug.patches import make_keras_distribute
from kplug.shares import ALL, Shares
from kplug.spec import Spec

CHUNK = 1 << 24  # bytes that are shared at once
GONE = (
    *(tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError),
    *(tf.errors.InternalError, tf.errors.FailedPreconditionError, tf.errors.UnknownError),
)


@dataclass(frozen=True)
class Cluster:
    """A `tf.distribute.Strategy`, and the other processes that follow it.

    Args:
        strategy: one a process; TensorFlow's default one is a single device.
    """

    strategy: Any

    @property
    def replicas(self) -> int:
        """Devices that share each batch."""
        return self.strategy.num_replicas_in_sync

    @property
    def workers(self) -> int:
        """Processes."""
        return getattr(self.strategy.extended, "_num_workers", 1) if self.is_multi_worker else 1

    @property
    def index(self) -> int:
        """This process, counted from 0, the chief."""
        return self.strategy.extended._id_in_cluster if self.is_multi_worker else 0

    @property
    def is_multi_worker(self) -> bool:
        return bool(getattr(self.strategy.extended, "_in_multi_worker_mode", lambda: False)())

    @property
    def is_chief(self) -> bool:
        return self.index == 0

    @property
    def shares(self) -> Shares:
        if not self.is_multi_worker:
            return ALL  # Keras cuts the batch
        each = self.replicas // self.workers
        return Shares(range(self.index * each, (self.index + 1) * each), self.replicas)

    def batches(self, make: Callable[[Shares], tf.data.Dataset]) -> Any:
        """A dataset of this process's slices; in a cluster endless, so that no worker has to ask for the end."""
        if not self.is_multi_worker:
            return make(ALL)
        return self.strategy.distribute_datasets_from_function(lambda context: make(self.shares).repeat())

    # --- what the workers agree on -----------------------------------------------------------------------------------

    def sum(self, value: Any) -> np.ndarray:
        """The sum of a value over all workers; every worker must call it at the same place."""
        if not self.is_multi_worker:
            return np.asarray(value)
        return self.strategy.experimental_local_results(self._sum(tf.convert_to_tensor(value)))[0].numpy()

    @cached_property
    def _sum(self) -> Any:
        first = self.shares.mine.start

        @tf.function(reduce_retracing=True)
        def total(value: Any) -> Any:
            def once() -> Any:
                context = tf.distribute.get_replica_context()
                mine = tf.equal(context.replica_id_in_sync_group, first)
                return context.all_reduce("SUM", tf.where(mine, value, tf.zeros_like(value)))

            return self.strategy.run(once)

        return total

    def share(self, content: bytes) -> bytes:
        """What the chief has, for all."""
        if not self.is_multi_worker:
            return content
        length = int(self.sum(np.int64(len(content) if self.is_chief else 0)))
        received = bytearray()
        for start in range(0, length, CHUNK):
            mine = content[start : start + CHUNK] if self.is_chief else bytes(min(CHUNK, length - start))
            padded = np.frombuffer(mine + bytes(-len(mine) % 4), np.int32)
            received += self.sum(padded).tobytes()[: len(mine)]
        return bytes(received)

    def gather(self, text: str) -> list[str]:
        """A text of every worker, by its number."""
        mine = np.frombuffer(text.encode(), np.uint8).astype(np.int32)
        lengths = np.zeros(self.workers, np.int64)
        lengths[self.index] = len(mine)
        lengths = self.sum(lengths)
        texts = np.zeros((self.workers, int(lengths.max())), np.int32)
        texts[self.index, : len(mine)] = mine
        return [bytes(row[:n].astype(np.uint8)).decode() for row, n in zip(self.sum(texts), lengths, strict=True)]

    @property
    def in_words(self) -> str:
        """`on CPU:0`, or `on GPU:0, GPU:1 of each of 2 workers`."""
        if self.strategy is tf.distribute.get_strategy():  # TensorFlow's default: the first GPU, or the processor
            devices = tuple(device.name for device in tf.config.list_logical_devices("GPU")[:1]) or ("device:CPU:0",)
        else:
            devices = self.strategy.extended.worker_devices
        names = ", ".join(device.partition("device:")[2] for device in devices)
        return f"on {names} of each of {self.workers} workers" if self.workers > 1 else f"on {names}"

    def to_json(self) -> dict[str, Any]:
        return {"strategy": type(self.strategy).__name__, "workers": self.workers, "replicas": self.replicas}


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


# --- while it trains -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def noticing_loss(cluster: Cluster) -> Iterator[None]:
    """Errors of TensorFlow that mean that another worker is gone, said as such.

    Raises:
        WorkerLost: one is gone.
    """
    try:
        yield
    except GONE as error:
        if not cluster.is_multi_worker:
            raise
        telling = re.compile("/task:|heartbeat|onnection")
        reasons = [line for line in error.message.splitlines() if telling.search(line)]
        raise WorkerLost(
            f"another worker is gone: {(reasons or error.message.splitlines() or [''])[-1].strip()[:300]}"
        ) from error


class Agreeing(keras.callbacks.Callback):
    """Has the replicas agree on what each of them counts for itself: moving statistics, and when to stop.

    Args:
        cluster: whose replicas.
    """

    EVERY = 4  # steps between two questions to the other workers

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

    def any(self, step: int, *wishes: bool) -> list[bool]:
        """Which wishes any worker has; nothing is asked, and nothing granted, at most steps of a cluster."""
        if not self.cluster.is_multi_worker:
            return list(wishes)
        if step % self.EVERY:
            return [False] * len(wishes)
        return [bool(count) for count in self.cluster.sum(np.array(wishes, np.int32))]


# --- the run's directory, which is the chief's -----------------------------------------------------------------------


@contextlib.contextmanager
def directory_of(cluster: Cluster, directory: str | os.PathLike[str] | None) -> Iterator[Any]:
    """The run's directory for the chief; for another worker one of its own, gone afterwards."""
    if cluster.is_chief:
        yield directory
        return
    scratch = tempfile.mkdtemp(prefix=f"kplug-worker-{cluster.index}-")
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def share_run(cluster: Cluster, directory: str | os.PathLike[str]) -> None:
    """Write what the others need of the chief's run into their directories."""
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
    for name in json.loads(cluster.share(json.dumps(names).encode())):
        content = cluster.share((folder / name).read_bytes() if cluster.is_chief else b"")
        if not cluster.is_chief:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
