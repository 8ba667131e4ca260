"""A search as TensorBoard's HParams view reads it: its domains, and a session for each trial that counts."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.plugins.scalar import metadata as scalars
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util.tensor_util import make_tensor_proto

from kplug.default_plugins.search.figures import number_of
from kplug.spec.search.names import shortened
from kplug.spec.search.ranges import Range
from kplug.tuning.study import Study
from kplug.tuning.trial import Trial

Value = bool | float | str


def write_sessions(study: Study, folder: Path) -> None:
    """Write the experiment's summary into a folder, and a session of each trial into a folder below it."""
    trials = [trial for trial in study.trials if trial.counts]
    _write_events(folder, [(0, _experiment(study, trials))])
    for trial in trials:
        start = plugin_data_pb2.SessionStartInfo(group_name=f"trial {trial.number}")
        for one in study.space.active(trial.point):
            if one.path in trial.point:
                _set(start.hparams[one.path], _value(one, trial.point[one.path]))
        end = plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS)
        summaries = [
            (0, _summary(metadata.SESSION_START_INFO_TAG, session_start_info=start)),
            *((trial.epochs, _scalar(name, value)) for name, value in _metrics(trial).items()),
            (trial.epochs, _summary(metadata.SESSION_END_INFO_TAG, session_end_info=end)),
        ]
        _write_events(folder / f"{trial.number:04}", summaries)


def _experiment(study: Study, trials: list[Trial]) -> Summary:
    ranges = list(study.space)
    names = shortened([one.path for one in ranges])
    objectives = [one.name for one in study.aim.objectives]
    reported = [name for trial in trials for name in _metrics(trial)]
    experiment = api_pb2.Experiment(
        description=f"search {study.spec.name}",
        time_created_secs=time.time(),
        hparam_infos=[_domain(one, name) for one, name in zip(ranges, names, strict=True)],
        metric_infos=[
            api_pb2.MetricInfo(name=api_pb2.MetricName(tag=name)) for name in dict.fromkeys(objectives + reported)
        ],
    )
    return _summary(metadata.EXPERIMENT_TAG, experiment=experiment)


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
    """What the view takes all values of a range for; those of several types are text."""
    if one.kind not in ("choice", "bool"):
        return float
    types = {type(value) for value in one.values or ()}
    if types == {bool}:
        return bool
    return float if types <= {int, float} else str


def _value(one: Range, value: Any) -> Value:
    kind = _type(one)
    return kind(value) if kind is not str or isinstance(value, str) else json.dumps(value)


def _set(field: Any, value: Value) -> None:
    if isinstance(value, bool):
        field.bool_value = value
    elif isinstance(value, str):
        field.string_value = value
    else:
        field.number_value = value


def _metrics(trial: Trial) -> Mapping[str, float]:
    return {name: value for name in trial.numbers if (value := number_of(trial, name)) is not None}


# --- events ----------------------------------------------------------------------------------------------------------


def _summary(tag: str, **content: Any) -> Summary:
    """A summary that holds nothing but what the view reads from its description."""
    described = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(**content))
    return Summary(value=[Summary.Value(tag=tag, metadata=described, tensor=metadata.NULL_TENSOR)])


def _scalar(name: str, value: float) -> Summary:
    described = scalars.create_summary_metadata(display_name="", description="")
    return Summary(
        value=[Summary.Value(tag=name, metadata=described, tensor=make_tensor_proto(float(value), "float32"))]
    )


def _write_events(folder: Path, summaries: list[tuple[int, Summary]]) -> None:
    folder.mkdir(parents=True)
    now = time.time()
    with open(folder / f"events.out.tfevents.{math.floor(now):010}.search", "wb") as file:
        records = RecordWriter(file)
        records.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
        for step, summary in summaries:
            records.write(Event(wall_time=now, step=step, summary=summary).SerializeToString())
