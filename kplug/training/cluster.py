"""The devices that train one model together: which slices of each batch each takes, and how they tell each other."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from kplug.data.tables import ALL, BatchSlices
from kplug.errors import WorkerLost
from kplug.model.patches import place_among_workers

# Bytes of a file that the chief sends at once. Every worker holds some copies of them meanwhile: more would only take
# memory, fewer would have a large checkpoint wait for more rounds.
SENT_AT_ONCE = 1 << 24
# what TensorFlow's collective operations raise when another process is gone; which of them depends on the moment
GONE = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
    tf.errors.FailedPreconditionError,
    tf.errors.UnknownError,
)


@dataclass(frozen=True)
class Cluster:
    """The devices and processes of a training, so that the rest of kplug asks here and not TensorFlow.

    One device, several of one process, and several processes (workers) answer alike: a training on one device is a
    cluster of one worker with one replica.

    Args:
        strategy: a process has one; TensorFlow's default is a single device.
    """

    strategy: Any

    @property
    def replicas(self) -> int:
        """Devices that share each batch."""
        return self.strategy.num_replicas_in_sync

    @property
    def workers(self) -> int:
        """Processes that train together."""
        return (place_among_workers(self.strategy) or (1, 0))[0]

    @property
    def index(self) -> int:
        """The number of this process, counted from 0, which is the chief."""
        return (place_among_workers(self.strategy) or (1, 0))[1]

    @property
    def is_multi_worker(self) -> bool:
        return place_among_workers(self.strategy) is not None

    @property
    def is_chief(self) -> bool:
        return self.index == 0

    @property
    def slices(self) -> BatchSlices:
        """The slices of each batch that this process reads, and of how many in all."""
        each = self.replicas // self.workers
        return BatchSlices(range(self.index * each, (self.index + 1) * each), self.replicas)

    def deals(self, block: int = 1) -> bool:
        """True where replicas are dealt their slices; else Keras cuts each batch, also within a block of examples."""
        return self.is_multi_worker or (self.replicas > 1 and block > 1)

    def batches(self, make: Callable[[BatchSlices], tf.data.Dataset], block: int = 1) -> Any:
        """A dataset of this process's slices; where they are dealt endless, so that no worker has to ask for the end.

        Args:
            make: the dataset of some slices.
            block: so many examples of an evaluation are never cut apart; training batches are cut evenly.
        """
        if not self.deals(block):
            return make(ALL)
        return self.strategy.distribute_datasets_from_function(lambda context: make(self.slices).repeat())

    # --- what the workers agree on -----------------------------------------------------------------------------------

    def sum(self, value: Any) -> np.ndarray:
        """The sum of a value over all workers; every worker must call it at the same place."""
        if not self.is_multi_worker:
            return np.asarray(value)
        return self.strategy.experimental_local_results(self._sum(tf.convert_to_tensor(value)))[0].numpy()

    @cached_property
    def _sum(self) -> Any:
        # All replicas of a worker are given the same value, which must count once: the first of them adds it, the
        # others add zeros.
        first = self.slices.mine.start

        @tf.function(reduce_retracing=True)
        def total(value: Any) -> Any:
            def once() -> Any:
                context = tf.distribute.get_replica_context()
                mine = tf.equal(context.replica_id_in_sync_group, first)
                return context.all_reduce("SUM", tf.where(mine, value, tf.zeros_like(value)))

            return self.strategy.run(once)

        return total

    def broadcast(self, content: bytes) -> bytes:
        """The bytes that the chief gives, on all workers; those that the others give do not count.

        It is a sum to which the others add zeros. Collective operations take no bytes: four at a time travel as an
        int32, the last ones padded with zeros.
        """
        if not self.is_multi_worker:
            return content
        length = int(self.sum(np.int64(len(content) if self.is_chief else 0)))
        received = bytearray()
        for start in range(0, length, SENT_AT_ONCE):
            end = min(start + SENT_AT_ONCE, length)
            mine = content[start:end] if self.is_chief else bytes(end - start)
            padded = np.frombuffer(mine + bytes(-len(mine) % 4), np.int32)
            received += self.sum(padded).tobytes()[: len(mine)]
        return bytes(received)

    def gather(self, content: bytes) -> list[bytes]:
        """The bytes that all workers give, in the order of their numbers.

        It is the sum of tables in which each worker fills its own row; four bytes travel as an int32.
        """
        if not self.is_multi_worker:
            return [content]
        lengths = np.zeros(self.workers, np.int64)
        lengths[self.index] = len(content)
        lengths = self.sum(lengths)
        found = [bytearray() for _ in range(self.workers)]
        most = SENT_AT_ONCE // self.workers // 4 * 4
        for start in range(0, int(lengths.max()), most):
            size = min(most, int(lengths.max()) - start)
            table = np.zeros((self.workers, -(-size // 4)), np.int32)
            mine = content[start : start + size]
            table[self.index, : -(-len(mine) // 4)] = np.frombuffer(mine + bytes(-len(mine) % 4), np.int32)
            for row, own in zip(found, self.sum(table), strict=True):
                row += own.tobytes()[:size]
        return [bytes(row[:length]) for row, length in zip(found, lengths, strict=True)]

    @property
    def in_words(self) -> str:
        """The devices as `on CPU:0`, or `on GPU:0, GPU:1 of each of 2 workers`."""
        if self.strategy is tf.distribute.get_strategy():  # TensorFlow's default: the first GPU, or the processor
            devices = tuple(device.name for device in tf.config.list_logical_devices("GPU")[:1]) or ("device:CPU:0",)
        else:
            devices = self.strategy.extended.worker_devices
        names = ", ".join(device.partition("device:")[2] for device in devices)
        return f"on {names} of each of {self.workers} workers" if self.workers > 1 else f"on {names}"

    def to_json(self) -> dict[str, Any]:
        return {"strategy": type(self.strategy).__name__, "workers": self.workers, "replicas": self.replicas}


# --- while it trains -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def noticing_loss(cluster: Cluster) -> Iterator[None]:
    """Say errors of TensorFlow that mean that another worker is gone as such.

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
