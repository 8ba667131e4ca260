"""The loop of a search: trials that its oracle proposes are trained by its executor, and told."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from kplug.console import log
from kplug.errors import Problem, SearchStopped, SpecError, did_you_mean
from kplug.spec.search.names import in_words, point_in_words
from kplug.spec.search.objectives import COUNTED, MEASURED
from kplug.spec.tree import plain
from kplug.storage.files import with_nan
from kplug.storage.journal import Journal
from kplug.tuning.executor import BROKEN, FAILED, FINISHED, PAUSED, REFUSED, Ended, Job, Reported, TrialExecutor
from kplug.tuning.signals import held_back
from kplug.tuning.study import Study
from kplug.tuning.trial import Trial, TrialState
from kplug.tuning.trial_files import TrialFiles

GIB = 2**30
MEND = "mend that, then --resume goes on"
# Seconds that trainings get to end their step and write a checkpoint, where a search is left. One that takes longer is
# killed, and goes on from its checkpoint before; a search that hangs would have a person wait as long for its end.
TIME_TO_SAVE = 60.0
REMINDER = 10.0  # seconds after which they are told again: one may be in code that swallows what SIGTERM raises


@dataclass
class Running:
    """A training that is under way.

    Args:
        trial: that it is of.
        repeat: which of the trial's trainings it is, counted from 0.
        started: when it began, on the monotonic clock; once it reports, when it had a place and TensorFlow.
        epoch: the last that it reported since it began.
    """

    trial: Trial
    repeat: int
    started: float
    epoch: int = 0

    @property
    def rows(self) -> list[dict[str, float]]:
        """The metrics of the epochs that it reported, those from before a promotion or a resume among them."""
        return self.trial.rows(self.repeat)


class TrialLoop:
    """Has an executor train what a study asks for, and journals what happens before anything follows from it.

    A trial is trained once, or several times where the search repeats (`repeats`). When a training ends:
     1. `_training_ended` takes it from those under way. An error of code, or a spec that is wrong whatever the point,
        ends the search here.
     2. `_note_end` journals "ended", so that a search that goes on does not train this again.
     3. `_train_next` begins the trial's next training. Where there is none, or this one shows that the trial is to
        stop, the trial is over:
     4. `_tell_trained` comes to one status and one row of numbers for all its trainings.
     5. `_tell` journals "tell", then tells the study, which tells the oracle, then a person; then it tidies the files.
    A trial that is not trained, since it does not fit or is the same as another, comes to 5 at once.

    Args:
        kept: files of the trials.
        study: asks and judges.
        repeats: for each training of a point, what it changes in the spec, path to value.
        journal: of the search.
        executor: trains.
        watch: called whenever something happened.
    """

    def __init__(
        self,
        kept: TrialFiles,
        study: Study,
        repeats: list[dict[str, Any]],
        journal: Journal,
        executor: TrialExecutor,
        watch: Callable[[], None],
    ) -> None:
        self.kept, self.study, self.repeats = kept, study, repeats
        self.journal, self.executor, self.watch = journal, executor, watch
        self.section = plain(study.spec["search"])
        self.wanted = tuple(name for name in study.aim.names if name in (*COUNTED, *MEASURED))
        self.under_way: dict[str, Running] = {}  # job name -> training
        self.ended: dict[int, list[Ended]] = {}  # trial number -> how each of its trainings ended
        self.unfinished: list[Trial] = []  # trials that had not ended when the search that goes on was left
        self.told_to_stop: set[str] = set()  # trainings that were to end by what they had reported
        self.counted: dict[int, dict[str, float]] = {}  # trial number -> what was counted before it began
        self.is_asking = True  # until the oracle has no other trial, or the time is over
        self.failed_in_a_row = self.ended_here = 0
        self.began = time.monotonic()

    # --- the search --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Train until the oracle has no further trial.

        Raises:
            SearchStopped: code that a trial ran raised an error, or too many trials failed in a row.
            SpecError: the spec is wrong, whatever the point.
        """
        while True:
            self._fill()
            self.watch()
            if not self.under_way:
                return
            for event in self.executor.wait(1.0):
                if isinstance(event, Reported):
                    self._reported(event)
                else:
                    self._training_ended(event)
            self._end_what_exceeds()

    def _fill(self) -> None:
        """Begin trials until all workers are busy or there is nothing to begin."""
        while len(self.under_way) < self.executor.workers:
            trial = self.unfinished.pop(0) if self.unfinished else self._ask()
            if trial is None:
                return
            self._begin(trial)

    def _ask(self) -> Trial | None:
        if not self.is_asking or self._is_over_time():
            return None
        trial = self.study.ask()
        if not isinstance(trial, Trial):
            self.is_asking = trial == "wait"
            if not self.is_asking:
                self._say_that_none_is_left()
            return None
        event = {"trial": trial.number, "point": trial.point, "epochs": trial.epochs, "values": trial.values}
        self.journal.append("ask", **event)
        return trial

    def _is_over_time(self) -> bool:
        seconds = self.section["timeout"]
        if seconds is not None and time.monotonic() - self.began > seconds:
            self.is_asking = False
            log(f"{seconds:g} seconds are over (search.timeout): no further trial begins; --resume goes on")
        return not self.is_asking

    def _say_that_none_is_left(self) -> None:
        most, asked = self.study.max_trials, len(self.study.trials)
        if most and asked < most:
            log(f"the oracle finds no point that it has not proposed; it ends after {asked} of {most} trials")

    def _begin(self, trial: Trial) -> None:
        self.kept.write_spec(trial)
        if trial.spec is None:
            self._tell(trial, REFUSED, {}, trial.reason)
        elif (double := self.study.double_of(trial)) is not None:
            self._tell(trial, TrialState.SAME, {}, same=double.number)
        else:
            self._train_next(trial)

    def _train_next(self, trial: Trial) -> None:
        """Begin the first of a trial's trainings that did not end, or tell how the trial ended."""
        ended = self.ended.get(trial.number, [])
        repeat = len(ended)
        is_over = ended and (ended[-1].how not in (FINISHED, PAUSED) or self._is_pruned(trial, ended))
        if is_over or repeat == len(self.repeats):
            return self._tell_trained(trial, ended)
        name, run = self.name(trial, repeat), self.kept.run(trial, repeat)
        # A search was killed between a report after which this training was to stop, and its end: that was decided, so
        # it ends here, without a process. Where its end is to be measured it is trained to there again.
        if name in self.told_to_stop:
            if not set(self.wanted) & set(MEASURED):
                how = PAUSED if trial.rows(repeat) else REFUSED
                return self._note_end(trial, Ended(name, how, self.counted.get(trial.number, {})))
            shutil.rmtree(run, ignore_errors=True)  # what stopped cannot be gone on with to be measured
        assert trial.spec is not None
        spec = trial.spec.at(self.repeats[repeat]) if self.repeats[repeat] else trial.spec
        self.under_way[name] = Running(trial, repeat, time.monotonic())
        self.executor.start(Job(name, spec.dump(), str(run), str(self.kept.log(trial)), self.wanted))

    def name(self, trial: Trial, repeat: int) -> str:
        """The name of the job that trains a trial for the first, second, ... time."""
        return f"{trial.number:04}-{repeat}"

    def leave(self) -> None:
        """Have all trainings end; what they report on their way is kept, for a checkpoint lies behind it."""
        left = set(self.executor.interrupt())
        now = time.monotonic()
        until, reminded = now + TIME_TO_SAVE, now
        while left and (now := time.monotonic()) < until:
            if now - reminded > REMINDER:
                left, reminded = left & set(self.executor.interrupt()), now
            for event in self.executor.wait(1.0):
                if isinstance(event, Reported):
                    self._reported(event)
                else:
                    left.discard(event.name)

    # --- what trainings say ------------------------------------------------------------------------------------------

    # Ctrl-C raises between any two lines: here between the study, which has taken a report in and judged it, and the
    # journal, which has not. The search then still takes reports in while it ends, and would judge them by one that is
    # in no journal; a search that goes on would not, and come to other verdicts than the journal's.
    @held_back()
    def _reported(self, event: Reported) -> None:
        running, metrics = self.under_way[event.name], with_nan(event.metrics)
        running.epoch = event.epoch
        if metrics in running.rows[event.epoch - 1 : event.epoch]:  # trained again, from a checkpoint before it
            go_on = event.name not in self.told_to_stop or event.epoch < len(running.rows)
            self.executor.answer(event.name, go_on)
            return
        if event.epoch:
            self._refuse_unreported(metrics)
            go_on = self.study.report(running.trial, running.repeat, event.epoch, metrics)
        else:
            running.started = time.monotonic()
            go_on = self.count(running.trial, running.repeat, metrics)
        if not go_on:
            self.told_to_stop.add(event.name)
        content = {"trial": running.trial.number, "repeat": running.repeat, "epoch": event.epoch, "metrics": metrics}
        self.journal.append("report", **content, go_on=go_on)
        self.executor.answer(event.name, go_on)

    def _refuse_unreported(self, metrics: Mapping[str, float]) -> None:
        known = {*metrics, *COUNTED, *MEASURED}
        for name in self.study.aim.names:
            if name not in known:
                key = "objective" if name in self.study.aim.objective_names else "constraints"
                hint = did_you_mean(name, known) or f"; this run reports {', '.join(metrics)}"
                raise self.study.spec.error(("search", key), f"'{name}' is not reported{hint}")

    def count(self, trial: Trial, repeat: int, numbers: Mapping[str, float]) -> bool:
        """Note what is counted before a training begins, and say whether it keeps to the constraints."""
        self.study.begin(trial, repeat)
        self.counted[trial.number] = dict(numbers)
        return not self.study.aim.broken_by(numbers)

    def _training_ended(self, event: Ended) -> None:
        trial = self.under_way.pop(event.name).trial
        if event.how == BROKEN:
            broke = f"trial {trial.number} ({in_words(trial.point)}) broke:\n{event.reason.rstrip()}"
            raise SearchStopped(f"{broke}\n{MEND}")
        elsewhere = not self.study.space.is_of(trial.point, [path for path, _ in event.problems])
        if event.how == REFUSED and event.problems and elsewhere:
            raise SpecError([self._in_spec(path, message) for path, message in event.problems])
        self._note_end(trial, event)

    def _note_end(self, trial: Trial, event: Ended) -> None:
        event = replace(event, numbers=with_nan(event.numbers))  # as a search that goes on reads them
        content = {"how": event.how, "numbers": event.numbers, "reason": event.reason}
        self.journal.append("ended", trial=trial.number, name=event.name, **content)
        self.ended.setdefault(trial.number, []).append(event)
        self._train_next(trial)

    def _in_spec(self, path: str, message: str) -> Problem:
        """A problem of a trial's spec, told at the place in the search's spec that causes it."""
        place = "search.objective" if path.startswith("fit.best") else path
        return self.study.spec.problem(place, message) if place else Problem(message)

    def _is_pruned(self, trial: Trial, ended: list[Ended]) -> bool:
        return ended[-1].how == PAUSED and len(trial.reports[len(ended) - 1]) < trial.epochs

    def _end_what_exceeds(self) -> None:
        seconds, gibibytes = self.section["trial_timeout"], self.section["trial_memory"]
        for name, running in list(self.under_way.items()):
            reason = ""
            if seconds is not None and time.monotonic() - running.started > seconds:
                reason = f"it took more than {seconds:g} seconds (search.trial_timeout)"
            elif gibibytes is not None and self.executor.memory(name) > gibibytes * GIB:
                reason = f"it took more than {gibibytes:g} GiB of memory (search.trial_memory)"
            if reason:
                self.executor.kill(name)
                self._training_ended(Ended(name, FAILED, reason=reason))

    # --- how a trial ended -------------------------------------------------------------------------------------------

    def _tell_trained(self, trial: Trial, ended: list[Ended]) -> None:
        last = ended[-1]
        status = TrialState.PRUNED if self._is_pruned(trial, ended) else last.how
        names = dict.fromkeys(name for one in ended for name in one.numbers)
        means = {name: statistics.fmean(one.numbers[name] for one in ended if name in one.numbers) for name in names}
        numbers = (self.counted.get(trial.number) or self.counted.get(trial.origin, {})) | means
        broken = self.study.aim.broken_by(numbers) if status == REFUSED else ""
        self._tell(trial, status, numbers, last.reason or broken)

    def _tell(
        self, trial: Trial, status: str, numbers: Mapping[str, float], reason: str = "", same: int | None = None
    ) -> None:
        event = {"trial": trial.number, "status": status, "numbers": dict(numbers), "reason": reason, "same": same}
        self.journal.append("tell", **event)
        self.tell_study(event)
        log(self.line(trial))
        self.ended_here += 1
        self.kept.tidy()
        self.failed_in_a_row = self.failed_in_a_row + 1 if trial.status == TrialState.FAILED else 0
        if self.failed_in_a_row >= self.section["failures"]:
            message = f"{self.failed_in_a_row} trials in a row failed, the last of them: {trial.reason}"
            raise SearchStopped(f"{message}; {MEND}")

    def tell_study(self, event: Mapping[str, Any]) -> None:
        """Tell the study how a trial ended, from an event of the journal."""
        trial = self.study.trials[event["trial"]]
        if event["same"] is not None:
            self.study.tell_same(trial, self.study.trials[event["same"]])
        else:
            self.study.tell(trial, event["status"], event["numbers"], event["reason"])

    def line(self, trial: Trial) -> str:
        """A line that tells a trial: its point, how it ended, and what it gave."""
        names = [name for name in self.study.aim.objective_names if name in trial.numbers]
        gave = "  ".join(f"{name} {trial.numbers[name]:.5g}" for name in names)
        mark = "  best so far" if self.study.best is trial else ""
        why = f": {trial.reason.splitlines()[0]}" if trial.reason else ""
        point = point_in_words(trial.point, self.study.space)
        return f"trial {trial.number}  {point}  {trial.status}{why}  {gave}{mark}".rstrip()
