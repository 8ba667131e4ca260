"""The plan of a training, resolved once from its spec, so that what follows need not read it again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kplug.data.pipeline import Data
from kplug.model.machine import Hardware
from kplug.records import FitInfo, Learner, Monitor
from kplug.spec import Spec
from kplug.spec.sections import CheckpointSection, FitSection
from kplug.training.cluster import Cluster


@dataclass(frozen=True)
class Stage:
    """A stage of a training.

    Args:
        number: which one it is, counted from 0.
        epochs: how many it has.
        spec: the experiment as it stands in this stage; errors take their places from it.
    """

    number: int
    epochs: int
    spec: Spec

    @cached_property
    def fit(self) -> FitSection:
        """The values of `fit` in this stage; callbacks and strategy stay nodes, which are built where they are used."""
        return FitSection(**self.spec["fit"].arguments)


@dataclass(frozen=True)
class Plan:
    """All that a training goes by from its first stage to its last.

    Args:
        spec: the experiment, as its run keeps it.
        stages: in their order; there is one at least.
        data: the opened data, the same in every stage but for what stages change of their batches.
        cluster: the devices, and the processes that train together.
        hardware: what `auto` goes by: that on which the run began.
        is_longer: the run had fewer epochs before, so that a checkpoint of its end is not the end any more.
    """

    spec: Spec
    stages: tuple[Stage, ...]
    data: Data
    cluster: Cluster
    hardware: Hardware
    is_longer: bool = False

    @cached_property
    def checkpoint(self) -> CheckpointSection:
        """When the whole state is kept, and how many are."""
        return CheckpointSection(**self.spec["fit.checkpoint"].arguments)

    def data_of(self, stage: Stage) -> Data:
        """The data with the sampler and the augmentation of a stage."""
        return Data(stage.spec, self.data.splits, self.data.info)


def make_plan(data: Data, cluster: Cluster, hardware: Hardware, is_longer: bool = False) -> Plan:
    """The plan of a spec's training, on data that were opened as it says."""
    stages = tuple(Stage(number, *stage) for number, stage in enumerate(data.spec.stages()))
    return Plan(data.spec, stages, data, cluster, hardware, is_longer)


@dataclass(frozen=True)
class Training:
    """A stage that is ready to be trained: its model was built, and was seen to fit the data and the devices.

    Args:
        plan: the plan of the whole training.
        stage: which of its stages this is.
        data: the data as this stage takes them.
        learner: the stage's, compiled.
        info: how long the stage is.
        choices: what `auto` came to, for `environment.json`.
        monitor: the metric whose best epoch is kept; None keeps the last.
    """

    plan: Plan
    stage: Stage
    data: Data
    learner: Learner
    info: FitInfo
    choices: dict[str, Any]
    monitor: Monitor | None
