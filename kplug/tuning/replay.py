"""A search that goes on: the events of its journal, put into a study that knows nothing yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kplug.errors import Problem, SpecError
from kplug.storage.journal import FORMAT, Journal, no_event
from kplug.tuning.executor import Ended
from kplug.tuning.loop import TrialLoop
from kplug.tuning.trial import Trial


def replay(journal: Journal, loop: TrialLoop) -> None:
    """Put the events into the study; trials that did not end are gone on with.

    Raises:
        SpecError: the oracle does not propose what it did.
    """
    for number, event in journal.whole_events():
        if not _follows(event, loop.study.trials):
            raise no_event(journal.path, number)
        _replay(journal, loop, event)
    loop.unfinished = [trial for trial in loop.study.trials if trial.is_under_way]


def _follows(event: Mapping[str, Any], trials: list[Trial]) -> bool:
    """True where an event can come after those before it: it is of a trial that is there, and of its next epoch."""
    if event["event"] not in ("report", "ended", "tell"):
        return True
    if event["trial"] not in range(len(trials)) or (event.get("same") or 0) not in range(len(trials)):
        return False
    repeats = len(trials[event["trial"]].reports)
    if event.get("repeat", 0) > repeats:
        return False
    return event.get("epoch", 0) <= len(trials[event["trial"]].rows(event.get("repeat", 0))) + 1


def _replay(journal: Journal, loop: TrialLoop, event: Mapping[str, Any]) -> None:
    """Put an event into the study, and see that it comes to what it did."""
    if event["event"] == "search" and event["format"] not in (1, FORMAT):
        message = f"it is of format {event['format']}, and this kplug reads {FORMAT}; search anew elsewhere"
        raise SpecError([Problem(message, where=str(journal.path))])
    if event["event"] == "ask":
        trial = loop.study.ask(event["values"])
        now = (trial.point, trial.epochs) if isinstance(trial, Trial) else None
        if now != (event["point"], event["epochs"]):
            raise _differs(journal, event)
    elif event["event"] == "report":
        _replay_report(journal, loop, event)
    elif event["event"] == "ended":
        fields = {key: event[key] for key in ("name", "how", "numbers", "reason")}
        loop.ended.setdefault(event["trial"], []).append(Ended(**fields))
    elif event["event"] == "tell":
        loop.tell_study(event)


def _replay_report(journal: Journal, loop: TrialLoop, event: Mapping[str, Any]) -> None:
    trial, repeat = loop.study.trials[event["trial"]], event["repeat"]
    if event["epoch"]:
        go_on = loop.study.report(trial, repeat, event["epoch"], event["metrics"])
    else:
        go_on = loop.count(trial, repeat, event["metrics"])
    if go_on != event["go_on"]:
        raise _differs(journal, event)
    if not go_on:
        loop.told_to_stop.add(loop.name(trial, repeat))


def _differs(journal: Journal, event: Mapping[str, Any]) -> SpecError:
    """The error for an event that the study does not come to again."""
    message = (
        f"trial {event['trial']} does not come out as it did: another version of kplug, Keras Tuner or a plugin is "
        "installed; put it back, or search anew in another directory"
    )
    return SpecError([Problem(message, where=str(journal.path))])
