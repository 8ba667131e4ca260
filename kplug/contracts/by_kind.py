"""The contract of each kind: a function a kind, run by `kplug.testing.check`."""

from __future__ import annotations

from collections.abc import Callable

from kplug.contracts import architecture as networks
from kplug.contracts import loss_and_metric as scores
from kplug.contracts import pipeline as pipelines
from kplug.contracts import search as searches
from kplug.contracts import task as learners
from kplug.contracts import training as trainings
from kplug.contracts.subject import Subject

CONTRACTS: dict[str, Callable[[Subject], None]] = {
    "architecture": networks.check_architecture,
    "loss": scores.check_loss,
    "metric": scores.check_metric,
    "augmentation": pipelines.check_augmentation,
    "sampler": pipelines.check_sampler,
    "source": pipelines.check_source,
    "task": learners.check_task,
    "optimizer": trainings.check_optimizer,
    "schedule": trainings.check_schedule,
    "callback": trainings.check_callback,
    "strategy": trainings.check_strategy,
    "oracle": searches.check_oracle,
    "pruner": searches.check_pruner,
    "executor": searches.check_executor,
}

EXPERIMENTS = {  # what must come out the same on one replica and on two
    "loss": scores.train_with_loss,
    "metric": scores.evaluate_metric,
    "optimizer": trainings.train_with_optimizer,
    "task": learners.train_task,
}
