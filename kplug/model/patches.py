"""What Keras 3.15 lacks for several replicas and for speed, each with the test that tells when it can go.

Keras's `fit` fails under MultiWorkerMirroredStrategy (keras-team/keras#20585), and under MirroredStrategy where the
first batch cannot be cut evenly. The names that are replaced are private: another version of Keras is refused.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

TESTED = "3.15."
_originals: dict[str, Any] = {}


def fuse_batch_normalization() -> None:
    """Patch BatchNormalization to train through TensorFlow's fused operation, on processors; once a process."""
    known = keras.__version__.startswith(TESTED) and not tf.config.list_physical_devices("GPU")
    if "normalize" not in _originals and known:
        _originals["normalize"] = keras.layers.BatchNormalization.call
        keras.layers.BatchNormalization.call = normalize_fused


def normalize_fused(self: Any, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
    """Instead of `BatchNormalization.call`, which makes a dozen passes over the pictures and widens them to float32.

    tests/test_batch_normalization.py: the same outputs, gradients and statistics; Keras's graph without the operation.
    """
    fits = inputs.shape.rank == 4 and self.axis in (3, -1) and inputs.dtype in (tf.float32, tf.bfloat16)
    if not (training and self.trainable and fits) or mask is not None or self.renorm or self.synchronized:
        return _originals["normalize"](self, inputs, training=training, mask=mask)
    ones = tf.ones_like(self.moving_mean)
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=inputs,
        scale=tf.cast(self.gamma, tf.float32) if self.scale else ones,
        offset=tf.cast(self.beta, tf.float32) if self.center else tf.zeros_like(ones),
        mean=[],
        variance=[],
        epsilon=self.epsilon,
        is_training=True,
    )
    count = tf.cast(tf.size(inputs) / tf.size(ones), tf.float32)
    variance *= tf.maximum(count - 1, 1) / count  # Keras keeps the variance of the batch, not that of its population
    for kept, new in ((self.moving_mean, mean), (self.moving_variance, variance)):
        kept.assign(kept * self.momentum + tf.stop_gradient(new) * (1 - self.momentum))
    return tf.cast(outputs, self.compute_dtype)


def make_keras_distribute() -> None:
    """Patch Keras for several replicas; once a process, and without effect on a training on one device."""
    if "build" in _originals:
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
