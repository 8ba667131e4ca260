"""A search as TensorBoard's HParams view reads it: its domains, and a session for each trial that counts."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams.summary import experiment_pb, session_end_pb, session_start_pb
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.summary.writer.record_writer import RecordWriter

from kplug.default_plugins.search.figures import number_of
from kplug.spec.search.names import shortened
from kplug.spec.search.ranges import Range
from kplug.tuning.study import Study
from kplug.tuning.trial import Trial


def write_sessions(study: Study, folder: Path) -> None:
    """Write the experiment's summary into a folder, and a session of each trial into a folder below it.

    When a training began and ended is not told: 0 leaves it out.
    """
    trials = [trial for trial in study.trials if trial.counts]
    _write_events(folder, [(0, _experiment(study, trials))])
    for trial in trials:
        ranges = [one for one in study.space.active(trial.point) if one.path in trial.point]
        point = {one.path: _value(one, trial.point[one.path]) for one in ranges}
        summaries = [
            (0, session_start_pb(point, group_name=f"trial {trial.number}", start_time_secs=0)),
            *((trial.epochs, scalar_pb(name, value)) for name, value in _metrics(trial).items()),
            (trial.epochs, session_end_pb(api_pb2.STATUS_SUCCESS, end_time_secs=0)),
        ]
        _write_events(folder / f"{trial.number:04}", summaries)


def _experiment(study: Study, trials: list[Trial]) -> Any:
    ranges = list(study.space)
    names = shortened([one.path for one in ranges])
    metrics = dict.fromkeys([*study.aim.objective_names, *(name for trial in trials for name in _metrics(trial))])
    return experiment_pb(
        [_domain(one, name) for one, name in zip(ranges, names, strict=True)],
        [api_pb2.MetricInfo(name=api_pb2.MetricName(tag=name)) for name in metrics],
        description=f"search {study.spec.name}",
    )


def _domain(one: Range, name: str) -> api_pb2.HParamInfo:
    info = api_pb2.HParamInfo(name=one.path, display_name=name, description=f"{one.path}: {one.in_words}")
    info.type = {bool: api_pb2.DATA_TYPE_BOOL, float: api_pb2.DATA_TYPE_FLOAT64, str: api_pb2.DATA_TYPE_STRING}[
        _type(one)
    ]
    if one.kind in ("choice", "bool"):
        info.domain_discrete.extend([_value(one, value) for value in one.values or ()])
    else:
        info.domain_interval.min_value, info.domain_interval.max_value = one.low, one.high
    return info


def _type(one: Range) -> type:
    """The type that the view takes all values of a range for; those of several types are text."""
    if one.kind not in ("choice", "bool"):
        return float
    types = {type(value) for value in one.values or ()}
    if types == {bool}:
        return bool
    return float if types <= {int, float} else str


def _value(one: Range, value: Any) -> bool | float | str:
    kind = _type(one)
    return kind(value) if kind is not str or isinstance(value, str) else json.dumps(value)


def _metrics(trial: Trial) -> Mapping[str, float]:
    return {name: value for name in trial.numbers if (value := number_of(trial, name)) is not None}


def _write_events(folder: Path, summaries: list[tuple[int, Any]]) -> None:
    """Write an event file by hand: TensorBoard's own writer has a thread, TensorFlow's would look for devices.

    Args:
        folder: is made where it is missing.
        summaries: step and summary; those of HParams are messages of TensorFlow's, which are turned into TensorBoard's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    now = time.time()
    with open(folder / f"events.out.tfevents.{int(now):010}.search", "wb") as file:
        records = RecordWriter(file)
        records.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
        for step, summary in summaries:
            content = Summary.FromString(summary.SerializeToString())
            records.write(Event(wall_time=now, step=step, summary=content).SerializeToString())
