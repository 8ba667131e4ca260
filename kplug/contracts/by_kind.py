"""The contract of each kind: a function a kind, run by `kplug.testing.check`."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable

from kplug.contracts import architecture, evaluator, feature, loss_and_metric, pipeline, search, task, training
from kplug.contracts.subject import Subject

CONTRACTS: dict[str, Callable[[Subject], None]] = {
    "architecture": architecture.check_architecture,
    "loss": loss_and_metric.check_loss,
    "metric": loss_and_metric.check_metric,
    "feature": feature.check_feature,
    "augmentation": pipeline.check_augmentation,
    "sampler": pipeline.check_sampler,
    "source": pipeline.check_source,
    "task": task.check_task,
    "evaluator": evaluator.check_evaluator,
    "optimizer": training.check_optimizer,
    "schedule": training.check_schedule,
    "callback": training.check_callback,
    "strategy": training.check_strategy,
    "oracle": search.check_oracle,
    "pruner": search.check_pruner,
    "executor": search.check_executor,
}

EXPERIMENTS = {  # what must come out the same on one replica and on two
    "loss": loss_and_metric.train_with_loss,
    "metric": loss_and_metric.evaluate_metric,
    "optimizer": training.train_with_optimizer,
    "task": task.train_task,
}


def check_own_kind(subject: Subject) -> None:
    """Check a component of a kind that a plugin declares, by the contract that the kind names."""
    kind = subject.component.kind
    assert kind is not None
    made = subject.make()
    if kind.contract:
        pkgutil.resolve_name(kind.contract)(made)
