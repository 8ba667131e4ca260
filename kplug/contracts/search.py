"""The contracts of oracles, pruners and executors."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras_tuner

from kplug.contracts.subject import Subject, demand
from kplug.contracts.tiny import TINY_SEARCH, tiny_search
from kplug.records import Proposal, SearchInfo
from kplug.spec.search.space import Space
from kplug.tuning.executor import FINISHED, PAUSED, Ended, Job, Reported, TrialExecutor
from kplug.tuning.keras_tuner_adapter import adapted
from kplug.tuning.trial import Trial, TrialState

ASKED = 12  # trials that an oracle is asked for
WITHIN = 300.0  # seconds in which a tiny training must have said something


# --- oracle ----------------------------------------------------------------------------------------------------------


def check_oracle(subject: Subject) -> None:
    """Demand the same trials from the same seed and results, points of the space, and answers that a search knows."""
    first, second = _played(subject), _played(subject)
    demand(first == second, f"the same seed and results give the same trials; received {first}, then {second}")
    demand(first, "an oracle proposes at least one trial")


def _played(subject: Subject) -> list[dict[str, Any]]:
    """The points that an oracle proposes, one trial after the other."""
    info = tiny_search()
    made = subject.make({SearchInfo: info})
    if not (hasattr(made, "ask") and hasattr(made, "tell")):
        subject.of_class(made, keras_tuner.Oracle, "keras_tuner.Oracle", ", without ask(trials) and tell(trial)")
    oracle, trials = adapted(made, info.space, subject.component.by_epochs), list[Trial]()
    for number in range(ASKED):
        answer = oracle.ask(trials)
        demand(answer != "wait", "with no trial under way it proposes a point, or None where there is no other")
        if answer is None:
            break
        proposal = answer if isinstance(answer, Proposal) else Proposal(answer, values=answer)
        _refuse_strange(info.space, proposal.point)
        trial = Trial(number, dict(proposal.point), info.epochs, number, values=dict(proposal.values or {}))
        trials.append(trial)
        trial.status, trial.score = TrialState.FINISHED, 1.0 - abs(trial.point["rate"] - 0.01)
        oracle.tell(trial)
    return [trial.point for trial in trials]


def _refuse_strange(space: Space, point: Mapping[str, Any]) -> None:
    """AssertionError where values are not those of the active ranges, each within its range."""
    for one in space:
        active = one.is_active(point)
        demand(active == (one.path in point), f"'{one.path}' has a value where it is active alone; received {point}")
        if active and one.path == "rate":
            demand(1e-4 <= point["rate"] <= 1e-1, f"rate is within 1e-4 and 1e-1; received {point['rate']}")


# --- pruner ----------------------------------------------------------------------------------------------------------


def check_pruner(subject: Subject) -> None:
    """Demand a function of costs that lets a trial go on which is alone or ahead of all, and leaves costs alone."""
    falls_behind = subject.make()
    demand(callable(falls_behind), f"a pruner is called with costs and others; received {falls_behind!r}")
    others = [[1.0 - 0.01 * n - 0.01 * epoch for epoch in range(9)] for n in range(20)]
    before = [list(other) for other in others]
    for epochs in range(1, 9):
        demand(not falls_behind([1.0] * epochs, []), f"alone, a trial goes on; stopped at epoch {epochs}")
        demand(not falls_behind([-1.0] * epochs, others), f"ahead of all, a trial goes on; stopped at epoch {epochs}")
        last = [falls_behind([2.0] * epochs, others) for _ in range(2)]
        demand(bool(last[0]) == bool(last[1]), f"the same costs give the same answer; received {last}")
    demand(others == before, "costs are left as they are")


# --- executor --------------------------------------------------------------------------------------------------------


def check_executor(subject: Subject) -> None:
    """Demand that a training reports, waits for its answer, is paused, goes on where it was, and ends."""
    executor = subject.make()
    subject.of_class(executor, TrialExecutor, "kplug.tuning.executor.TrialExecutor")
    demand(executor.workers >= 1, f"workers is at least 1; received {executor.workers}")
    with tempfile.TemporaryDirectory() as folder:
        job = Job("one", TINY_SEARCH, str(Path(folder) / "run"), str(Path(folder) / "log"), ("parameters",))
        try:
            paused = _trained(executor, job, 1)
            demand(paused[-1] == PAUSED, f"told after an epoch not to go on, a training is paused; {paused}")
            demand(paused[:-1] == [0, 1], f"it reports before its first epoch and after each; received {paused}")
            rest = _trained(executor, job, None)
            demand(rest == [0, 2, FINISHED], f"started again, it goes on after epoch 1; received {rest}")
            _check_interrupt(executor, replace(job, run=str(Path(folder) / "other")))
            executor.start(replace(job, run=str(Path(folder) / "third")))
            executor.wait(WITHIN)
            demand(not executor.interrupt(), "interrupt() kills a training that waits for its answer, and names it not")
        finally:
            executor.stop()


def _check_interrupt(executor: TrialExecutor, job: Job) -> None:
    executor.start(job)
    (event,) = executor.wait(WITHIN)
    executor.answer(event.name, True)
    names = list(executor.interrupt())
    demand(names == [job.name], f"interrupt() names the trainings of which something may be heard; received {names}")
    while not isinstance(event, Ended):
        events = executor.wait(WITHIN)
        demand(events, f"within {WITHIN:g} seconds of interrupt() a training ends; nothing happened")
        event = events[-1]
        if isinstance(event, Reported):
            executor.answer(event.name, True)


def _trained(executor: TrialExecutor, job: Job, until: int | None) -> list[Any]:
    """The epochs that a training reports, and how it ends; told to stop at one of them."""
    executor.start(job)
    said: list[Any] = []
    while True:
        events = executor.wait(WITHIN)
        demand(events, f"within {WITHIN:g} seconds something happens; after {said} nothing did")
        for event in events:
            demand(event.name == job.name, f"events name their job; received {event}")
            if isinstance(event, Ended):
                demand(event.numbers.get("parameters") == 650, f"what is wanted is counted: 650 parameters; {event}")
                return [*said, event.how]
            assert isinstance(event, Reported)
            said.append(event.epoch)
            executor.answer(job.name, event.epoch != until)
