"""A search: trials asked for, trained by an executor, told to the oracle; all of it is kept in a directory."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kplug.console import log
from kplug.model.machine import free_on_machine, in_words
from kplug.spec import Spec
from kplug.spec.build import build
from kplug.spec.plugins import call_hook
from kplug.spec.search.objectives import COUNTED, MEASURED, objectives_of
from kplug.spec.tree import plain
from kplug.storage.files import clear_half_written, lock, naming_errors, refuse_links, write
from kplug.storage.journal import FORMAT
from kplug.storage.run_directory import refuse_patterns
from kplug.storage.search_directory import as_it_began, clear, directory_of, journal_in, refuse_directory
from kplug.tuning.executor import TrialExecutor
from kplug.tuning.loop import TrialLoop
from kplug.tuning.replay import replay
from kplug.tuning.study import Study
from kplug.tuning.trial import Trial
from kplug.tuning.trial_files import TrialFiles

# `fit.best` where nobody wrote it, in 0.1.0 and now; a search puts its objective there
DEFAULT_BEST = ({"minimize": "val_loss"}, "auto")
# GiB that a training has for itself at least, beside what it shares with the others, where `search.trial_memory` says
# nothing. More workers than have so much are refused. A higher number refuses some that would do, until `trial_memory`
# is written; a lower one admits so many that the system ends trainings, whose trials fail.
LEAST_MEMORY = 0.3
LOCK_PATIENCE = 30.0  # seconds in which processes of a search that was killed are gone
LOCK_SILENCE = 2.0  # seconds of waiting before a person is told of it


Watch = Callable[["Search", TrialLoop], None]


class Search:
    """A search: its directory, and its trials as the journal tells them.

    Args:
        path: the directory.
        study: all that its journal tells.
    """

    def __init__(self, path: Path, study: Study) -> None:
        self.path, self.study = path, study

    @property
    def trials(self) -> list[Trial]:
        return self.study.trials

    @property
    def best(self) -> Trial | None:
        return self.study.best

    @property
    def kept(self) -> TrialFiles:
        """The files of its trials: `kept.run(trial)` is where a trial's run is."""
        return TrialFiles(self.path, self.study, plain(self.study.spec["search"])["keep"])


def search(
    spec: Spec, directory: str | os.PathLike[str] | None = None, resume: bool = False, watch: Watch | None = None
) -> Search:
    """Try points of a spec's space, and keep everything about it in a directory.

    Args:
        spec: with a `search`.
        directory: for the search; by default searches/NAME.
        resume: go on with the search in that directory.
        watch: called with the search and its loop, which knows the trials under way, whenever something happened.

    Raises:
        SpecError: the input is wrong.
        SearchStopped: code that a trial ran raised an error, or too many trials failed in a row.
    """
    watching = watch or (lambda search, loop: None)
    spec, path = spec.absolute(), directory_of(spec, directory)
    journal = journal_in(path)
    spec = as_it_began(path, spec) if resume else spec
    refuse_patterns(path)
    refuse_directory(path, spec, resume)
    with lock(path, "another process searches here", LOCK_PATIENCE, LOCK_SILENCE) as held:
        if refuse_directory(path, spec, resume):  # as it is now that no other process can change it
            if journal.path.exists():
                log(f"{path}: nothing was trained there with the spec of before; the search begins anew")
            clear(path)
        refuse_links(path)
        clear_half_written(path, path / "trials")
        if sentence := journal.repair():
            log(sentence)
        executor: TrialExecutor = build(spec, spec["search"].arguments["executor"])
        executor.held = (held,)
        if executor.is_here:
            _refuse_too_many(spec, executor.workers)
        began = next(iter(journal), None)
        threads = began.get("threads") if began else threads_of(spec, executor)
        study = make_study(spec, threads)
        found = Search(path, study)
        kept = found.kept
        loop = TrialLoop(kept, study, list(repeats_of(spec)), journal, executor, lambda: watching(found, loop))
        if began:
            replay(journal, loop)
        with naming_errors(path):
            write(path / "spec.yaml", spec.filled().dump())
        if not began:
            with naming_errors(path):
                (path / "trials").mkdir(exist_ok=True)
            journal.append("search", format=FORMAT, name=spec.name, threads=threads)
        with contextlib.ExitStack() as ending:  # the last of them comes first, however the search ends
            ending.callback(call_hook, "searched", search=found)
            ending.callback(kept.tidy)
            ending.callback(executor.stop)
            ending.callback(loop.leave)
            loop.run()
        return found


def threads_of(spec: Spec, executor: TrialExecutor) -> int | None:
    """The threads of each trial where `fit.threads` is null: the processors shared among several workers; else None.

    A search keeps to it: sums depend on it, and a run that has begun cannot change it.
    """
    if spec["fit.threads"] is not None or executor.workers == 1:
        return None
    return max(1, (os.cpu_count() or 1) // executor.workers)


def make_study(spec: Spec, threads: int | None = None) -> Study:
    """The study of a search that has not begun.

    Args:
        spec: with a `search`.
        threads: for every trial; None leaves them as the spec has them.
    """
    space = spec.space()
    assert space is not None
    aim = objectives_of(plain(spec["search"]), spec["fit.best"])
    values: dict[str, Any] = {"search": None}
    if spec["fit.best"] in DEFAULT_BEST and aim.first.name not in (*COUNTED, *MEASURED):
        values["fit.best"] = {aim.first.direction: aim.first.name}
    if threads is not None:
        values["fit.threads"] = threads
    epochs = sum(count for count, _ in spec.stages())
    return Study(spec, spec.at(values), space, aim, epochs, len(list(repeats_of(spec))))


def repeats_of(spec: Spec) -> Iterator[dict[str, Any]]:
    """Yield the changes that each training of a point makes to its spec: the seed, the fold."""
    section = plain(spec["search"])["repeats"]
    written = plain(spec["data.validation"])
    by = {"by": written["by"]} if isinstance(written, dict) and written["by"] is not None else {}
    count = section["folds"] or 0
    folds = [{"data.validation": {"fold": n, "of": count, **by}} for n in range(count)] or [{}]
    for fold, number in itertools.product(folds, range(section["seeds"])):
        yield fold | ({"seed": spec["seed"] + number} if number else {})


def _refuse_too_many(spec: Spec, workers: int) -> None:
    """Refuse more workers than fit into memory side by side."""
    if workers == 1:
        return
    each = (spec["search"].arguments["trial_memory"] or LEAST_MEMORY) * 2**30
    free, where = free_on_machine()  # to look at a GPU would take it
    if workers * each > free:
        message = (
            f"{workers:,} workers need {in_words(workers * each)} or more, {in_words(each)} each, and {where} has "
            f"{in_words(free)} free; {max(1, int(free / each)):,} fit"
        )
        raise spec.error("search.executor", message)
