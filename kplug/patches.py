"""What Keras 3.15 lacks for several replicas, each with the test that tells when it can go.

Keras's `fit` fails under MultiWorkerMirroredStrategy (keras-team/keras#20585), and under MirroredStrategy where the
first batch cannot be cut evenly. The names that are replaced are private: another version of Keras is refused.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

TESTED = "3.15."
_originals: dict[str, Any] = {}


def make_keras_distribute() -> None:
    """Patch Keras for several replicas; once a process, and without effect on a training on one device."""
    if _originals:
        return
    if not keras.__version__.startswith(TESTED):
        raise RuntimeError(
            f"several replicas need Keras {TESTED}x, whose faults are patched; this is {keras.__version__}"
        )
    from keras.src.backend.tensorflow import trainer

    _originals["build"] = trainer.TensorFlowTrainer._maybe_symbolic_build
    _originals["reduce"] = trainer.reduce_per_replica
    _originals["next"] = keras.random.SeedGenerator.next
    trainer.TensorFlowTrainer._maybe_symbolic_build = build_on_a_slice
    trainer.reduce_per_replica = reduce_scalars_too
    keras.random.SeedGenerator.next = next_of_a_replica


def build_on_a_slice(self: Any, iterator: Any = None, data_batch: Any = None) -> None:
    """Instead of `_maybe_symbolic_build`: shapes come from one replica's slice.

    Keras takes the mean of the replicas' batches for it, which fails where they differ in size, and outside a
    function where they are in different processes. tests/test_replicas.py: a first batch that is odd.
    """
    if self._distribute_strategy is None:
        return
    if iterator is not None:
        for _, _, batches in iterator:
            batch = next(batches)
            data_batch = keras.tree.map_structure(self.distribute_strategy.experimental_local_results, batch)
            data_batch = keras.tree.map_structure_up_to(batch, lambda slices: slices[0], data_batch)
            break
    with self.distribute_strategy.scope():
        self._symbolic_build(data_batch=data_batch)


def reduce_scalars_too(values: Any, strategy: Any, reduction: str) -> Any:
    """Instead of `reduce_per_replica`, which takes the mean of scalars along their first axis.

    tests/test_multi_worker.py: training with two workers.
    """
    from keras.src.backend.tensorflow import trainer

    if reduction not in ("auto", "mean") or not trainer._collective_all_reduce_multi_worker(strategy):
        return _originals["reduce"](values, strategy, reduction)
    return keras.tree.map_structure(lambda value: strategy.reduce("MEAN", value, axis=None), values)


def next_of_a_replica(self: Any, ordered: bool = True) -> Any:
    """Instead of `SeedGenerator.next`, which draws the same numbers on every replica.

    tests/test_replicas.py: dropout of two replicas differs.
    """
    seed = _originals["next"](self, ordered)
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return seed
    return tf.random.experimental.stateless_fold_in(seed, tf.cast(context.replica_id_in_sync_group, seed.dtype))
