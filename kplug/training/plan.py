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
        data: the opened data, with the spec that its run keeps.
        cluster: the devices, and the processes that train together.
        hardware: what `auto` goes by: that on which the run began.
        is_longer: the run had fewer epochs before, so that a checkpoint of its end is not the end any more.
    """

    data: Data
    cluster: Cluster
    hardware: Hardware
    is_longer: bool = False

    @cached_property
    def stages(self) -> list[Stage]:
        """The stages in their order; there is one at least."""
        return [Stage(number, *stage) for number, stage in enumerate(self.data.spec.stages())]

    @cached_property
    def checkpoint(self) -> CheckpointSection:
        """The section `fit.checkpoint`: after how many steps or seconds the whole state is kept, and how often."""
        return CheckpointSection(**self.data.spec["fit.checkpoint"].arguments)


@dataclass(frozen=True)
class PreparedStage:
    """A stage of a training that is ready to be trained: its model was built, and fits the data and the devices.

    Args:
        plan: the plan of the whole training.
        stage: which of its stages this is.
        data: the data with this stage's sampler and augmentation.
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
