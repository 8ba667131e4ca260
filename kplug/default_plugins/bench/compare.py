"""A spec's speed on this machine: alternatives of `fit` timed in turn, the input, the processor's best."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import tensorflow as tf

from kplug.console import log
from kplug.data.pipeline import Data
from kplug.data.readable import explained
from kplug.data.splits import open_data
from kplug.default_plugins.bench.peak import best_rate, compute_dtype
from kplug.errors import SpecError
from kplug.model.machine import Hardware
from kplug.model.memory import out_of_memory
from kplug.model.operations import TRAINING, forward_operations
from kplug.records import Learner, Rebuild
from kplug.spec import Spec
from kplug.training.auto import MOST_STEPS
from kplug.training.cluster import Cluster
from kplug.training.fit import prepare
from kplug.training.plan import Plan, PreparedStage
from kplug.training.resume import use_threads
from kplug.training.workers import join

KEYS = ("precision", "jit", "steps_per_execution")
PRECISIONS = ("float32", "mixed_bfloat16")
FOREVER = 10**6  # epochs: more than are read
PREPARING = 0.5  # share of the time in which alternatives are built and traced
LEAST_ROUNDS = 3  # so that there is a median
LEAD = 2  # executions before a chunk, in which the input pipeline starts
CHUNK = 0.7  # seconds that an alternative is timed in a round
CLEARLY = 1.05  # ratio of speeds that is worth a word: less is the machine's own noise


@dataclass
class Alternative:
    """A way to train the spec, and how fast it was.

    Args:
        settings: the values of `KEYS`.
        training: the model that is trained so; None where it could not be.
        problem: why it could not be.
        seconds: of a step, round by round.
        executions: in a chunk.
    """

    settings: dict[str, Any]
    training: PreparedStage | None = None
    problem: str = ""
    seconds: list[float] = field(default_factory=list)
    executions: int = 1

    def to_json(self, first: Alternative, batch_size: int, best: Mapping[str, float], work: float) -> dict[str, Any]:
        if not self.seconds:
            return self.settings | {"problem": self.problem}
        step = statistics.median(self.seconds)
        ratios = [theirs / mine for mine, theirs in zip(self.seconds, first.seconds, strict=True)]
        return self.settings | {
            "examples_per_second": batch_size / step,
            "step_seconds": step,
            "share_of_peak": work / step / best[compute_dtype(self.settings["precision"])] if work else None,
            "speedup": statistics.median(ratios),
            "speedup_quartiles": statistics.quantiles(ratios, n=4, method="inclusive")[::2],
        }


class Timer(keras.callbacks.Callback):
    """Times the steps of a `fit` after the first ones."""

    def __init__(self, lead: int) -> None:
        super().__init__()
        self.lead = lead
        self.times: list[tuple[int, float]] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch + 1 >= self.lead:
            self.times.append((batch, time.perf_counter()))

    @property
    def seconds(self) -> float:
        """The time of one step."""
        (first, started), (last, ended) = self.times[0], self.times[-1]
        return (ended - started) / (last - first)


def compare(spec: Spec, seconds: float) -> dict[str, Any]:
    """Time a spec's training with each alternative, in turn, for about so many seconds.

    Args:
        spec: the experiment; nothing of it is kept.
        seconds: to stop after, give or take a compilation.

    Raises:
        SpecError: the input is wrong.
    """
    began = time.monotonic()
    tf.get_logger().setLevel("ERROR")  # it takes one trace of each of several models for many of one
    spec = spec.absolute()
    use_threads(spec, spec["fit.threads"])
    cluster = join(spec)
    if cluster.is_multi_worker:
        raise SpecError("a bench runs on one worker; take TF_CONFIG out of the environment or set fit.strategy=auto")
    data = open_data(spec)
    with explained(data, "train", out_of_memory):
        trainings = Trainings(spec, data, cluster)
        alternatives = trainings.make(began + PREPARING * seconds)
        rounds = run_rounds(trainings, [a for a in alternatives if a.training], began + 0.85 * seconds)
        base = alternatives[0]
        input_seconds = time_input(data, base.training.learner)  # type: ignore[union-attr]
        model_seconds = trainings.time_model_alone(base)
    best = {name: best_rate(name) for name in sorted({compute_dtype(a.settings["precision"]) for a in alternatives})}
    work = operations_of_a_step(base.training.learner.model, trainings.example)  # type: ignore[union-attr]
    return {
        "name": spec.name,
        "hardware": trainings.hardware.to_json(),
        "batch_size": data.batch_size,
        "rounds": rounds,
        "operations_of_a_step": work or None,
        "peak_operations_per_second": best,
        "input_seconds": input_seconds,
        "model_seconds": model_seconds,
        "bottleneck": "input" if input_seconds > model_seconds else "model",
        "auto": trainings.auto,
        "alternatives": [a.to_json(base, data.batch_size, best, work) for a in alternatives],
    }


def operations_of_a_step(model: keras.Model, example: Any) -> float:
    """Count the operations of a training step on a batch; 0 of a model that has a `train_step` and no `call`."""
    try:
        return float(TRAINING * forward_operations(model, example))
    except (TypeError, ValueError, NotImplementedError):
        return 0.0


class Trainings:
    """The trainings of one spec on one set of devices."""

    def __init__(self, spec: Spec, data: Data, cluster: Cluster) -> None:
        self.spec, self.data, self.cluster = spec, data, cluster
        self.hardware = Hardware.here(cluster.replicas)
        self.auto: dict[str, Any] = {}
        self.example: Any = None

    def make(self, until: float) -> list[Alternative]:
        """Build the spec as it is, as auto chooses, and with one value changed, as many as there is time for."""
        base = self._built({})
        self.auto = self._settings(self._prepared(dict.fromkeys(KEYS, "auto")))
        found = [base]
        several = max(n for n in range(1, MOST_STEPS + 1) if self.data.steps % n == 0)
        # jit is last: XLA may compile for a minute
        tried = {"precision": PRECISIONS, "steps_per_execution": (1, several), "jit": (False, True)}
        for settings in (self.auto, *(base.settings | {key: value} for key in tried for value in tried[key])):
            if settings in [alternative.settings for alternative in found]:
                continue
            late = time.monotonic() > until
            found.append(Alternative(settings, problem="no time was left for it") if late else self._built(settings))
        return found

    def _prepared(self, settings: Mapping[str, Any]) -> PreparedStage:
        spec = self.spec.at({f"fit.{key}": value for key, value in settings.items()}) if settings else self.spec
        plan = Plan(replace(self.data, spec=spec), self.cluster, self.hardware)
        return prepare(plan, plan.stages[0], Rebuild())

    def _settings(self, training: PreparedStage) -> dict[str, Any]:
        return {key: training.choices[key] for key in KEYS}

    def _built(self, settings: dict[str, Any]) -> Alternative:
        """Build an alternative and make its first steps; without settings, the spec's own, which must succeed."""
        log(f"building {in_words(settings) or 'the spec as it is'}")
        try:
            training = self._prepared(settings)
            found = Alternative(self._settings(training), training)
            if self.example is None:
                self.example = next(iter(self.data.training(training.learner, 1)))[0]
            self.time(found)
            found.executions = max(2, min(64, math.ceil(CHUNK / self.time(found) / steps_at_once(training))))
            return found
        except (SpecError, tf.errors.InvalidArgumentError, tf.errors.UnimplementedError) as error:
            if not settings:
                raise
            return Alternative(settings, problem=str(error).strip().splitlines()[0][:100])  # what XLA cannot compile

    def time(self, alternative: Alternative) -> float:
        """Return the seconds of a step, input and all, in one chunk."""
        return self._timed(alternative, lambda learner, shares: self.data.training(learner, FOREVER, 0, shares))

    def time_model_alone(self, alternative: Alternative) -> float:
        """Return the seconds of a step on a batch that is there already."""

        def one_batch(learner: Learner, shares: Any) -> tf.data.Dataset:
            return self.data.training(learner, 1, 0, shares).take(len(shares.mine)).cache().repeat()

        return statistics.median(self._timed(alternative, one_batch) for _ in range(LEAST_ROUNDS))

    def _timed(self, alternative: Alternative, make: Callable[[Learner, Any], tf.data.Dataset]) -> float:
        """Return the seconds of a step on batches that are made of a learner and the workers' shares."""
        training: Any = alternative.training
        batches = self.cluster.batches(lambda shares: make(training.learner, shares))
        at_once = steps_at_once(training)
        timer = Timer(LEAD * at_once)
        steps = (LEAD + alternative.executions) * at_once
        training.learner.model.fit(batches, steps_per_epoch=steps, callbacks=[timer], shuffle=False, verbose=0)
        return timer.seconds


def steps_at_once(training: PreparedStage) -> int:
    """The steps that a training makes in one call."""
    return training.choices["steps_per_execution"]


def run_rounds(trainings: Trainings, alternatives: list[Alternative], until: float) -> int:
    """Time every alternative in turn, and return how many rounds there were.

    Each round begins with another one: the machine's speed changes from minute to minute.
    """
    log(f"timing {len(alternatives)} alternatives in turn")
    rounds = 0
    while rounds < LEAST_ROUNDS or time.monotonic() <= until:
        at = rounds % len(alternatives)
        for alternative in (*alternatives[at:], *alternatives[:at]):
            alternative.seconds.append(trainings.time(alternative))
        rounds += 1
    return rounds


def time_input(data: Data, learner: Learner, seconds: float = 2.0) -> float:
    """Return the seconds in which the input pipeline alone makes a batch."""
    batches = iter(data.training(learner, FOREVER))
    warm = time.perf_counter() + seconds / 4
    while time.perf_counter() < warm:  # what was made ahead, and the pipeline's own tuning
        next(batches)
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        next(batches)
        count += 1
    return (time.perf_counter() - started) / count


# --- words -----------------------------------------------------------------------------------------------------------


def in_words(settings: Mapping[str, Any]) -> str:
    """The values of an alternative in a line."""
    return ", ".join(f"{key} {str(value).lower()}" for key, value in settings.items())


def report(found: Mapping[str, Any]) -> str:
    """Write a table and what follows from it, for a person."""
    lines = [["precision", "jit", "steps at once", "examples/s", "ms a step", "of peak", "speed (quartiles)"]]
    for row in found["alternatives"]:
        settings = [row["precision"], str(row["jit"]).lower(), str(row["steps_per_execution"])]
        lines.append([*settings, *_figures(row)])
    whole = [line for line in lines if len(line) == len(lines[0])]  # the others end in words
    widths = [max(len(line[column]) for line in whole) for column in range(len(lines[0]))]
    table = ["  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=False)).rstrip() for line in lines]
    return "\n".join([*table, "", *_sentences(found)])


def _figures(row: Mapping[str, Any]) -> list[str]:
    if "problem" in row:
        return [f"not timed: {row['problem']}"]
    share = "unknown" if row["share_of_peak"] is None else f"{row['share_of_peak']:.0%}"
    low, high = row["speedup_quartiles"]
    speed = f"{row['speedup']:.2f} ({low:.2f} to {high:.2f})"
    return [f"{row['examples_per_second']:,.0f}", f"{row['step_seconds'] * 1000:.1f}", share, speed]


def _sentences(found: Mapping[str, Any]) -> list[str]:
    rates = found["peak_operations_per_second"].items()
    peak = ", ".join(f"{rate / 1e9:,.0f} GFLOP/s in {name}" for name, rate in rates)
    input_ms, model_ms = found["input_seconds"] * 1000, found["model_seconds"] * 1000
    base, *others = found["alternatives"]
    said = [
        f"{found['hardware']['name']}; batches of {found['batch_size']}; {found['rounds']} rounds; peak: {peak}",
        f"the {found['bottleneck']} is the bottleneck: alone, the input takes {input_ms:.1f} ms a batch, "
        f"the model {model_ms:.1f} ms a step",
        f"auto chooses {in_words(found['auto'])}",
    ]
    clear = [row for row in others if "speedup" in row and row["speedup_quartiles"][0] > CLEARLY]
    for row in sorted(clear, key=lambda row: -row["speedup"])[:1]:
        keys = ", ".join(f"fit.{key}={str(row[key]).lower()}" for key in KEYS if row[key] != base[key])
        said.append(f"{row['speedup']:.2f} times as fast as the spec, here: set {keys}")
    return said
