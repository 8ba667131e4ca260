"""The files of a search: a table of its trials, their specs and runs, and the best spec."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from kplug.storage.files import in_json, naming_errors, write
from kplug.tuning.study import Study
from kplug.tuning.trial import Trial

# the large files of runs, which only the best trials keep
OF_THE_BEST = ("*.weights.h5", "checkpoints", "parts", "samples", "tensorboard")


class TrialFiles:
    """The files of a search's trials.

    Args:
        path: the search's directory.
        study: whose trials are in it.
        keep: how many of the best trials keep their weights.
    """

    def __init__(self, path: Path, study: Study, keep: int) -> None:
        self.path, self.study, self.keep = path, study, keep
        self.light: set[int] = set()  # trials that keep no weights

    def run(self, trial: Trial, repeat: int = 0) -> Path:
        """The run directory of one of a trial's trainings; a trial that was promoted goes on where it was."""
        folder = self.path / "trials" / f"{trial.origin:04}"
        return folder / str(repeat) if self.study.repeats > 1 else folder

    def log(self, trial: Trial) -> Path:
        """The file that has what a trial's trainings said."""
        return self.path / "trials" / f"{trial.origin:04}.log"

    def write_spec(self, trial: Trial) -> None:
        """Write a trial's spec, when it is asked for."""
        if trial.spec is not None:
            with naming_errors(self.path):
                write(self.path / "trials" / f"{trial.number:04}.yaml", trial.spec.dump())

    def tidy(self) -> None:
        """Write the table and the best spec; leave weights with the best trials, and with those that may go on."""
        with naming_errors(self.path):
            self._write_tables()
            self._lighten_others()

    def _write_tables(self) -> None:
        rows = [in_json(self.row(trial)) for trial in self.study.trials]
        write(self.path / "trials.jsonl", "".join(f"{row}\n" for row in rows))
        best, names = self.study.best, self.study.aim.names
        if best is not None and best.spec is not None:
            gave = ", ".join(f"{name} {best.numbers[name]:.6g}" for name in names if name in best.numbers)
            write(self.path / "best.yaml", f"# trial {best.number} of {self.path}: {gave}\n{best.spec.dump()}")

    def _lighten_others(self) -> None:
        kept = {trial.origin for trial in self.study.ranked()[: self.keep]}
        kept |= {trial.origin for trial in self.study.trials if trial.is_under_way or self.study.may_go_on(trial)}
        self.light -= kept  # one that is trained again has weights again
        for trial in self.study.trials:
            if trial.origin not in kept | self.light:
                self.light.add(trial.origin)
                for repeat in range(self.study.repeats):
                    _lighten(self.run(trial, repeat))

    def row(self, trial: Trial) -> dict[str, Any]:
        """A trial as a row of trials.jsonl."""
        named = ("number", "point", "status", "numbers", "spread", "reason", "origin", "epochs")
        row = {name: getattr(trial, name) for name in named}
        return row | {"trained": max(map(len, trial.reports), default=0), "score": trial.score}


def _lighten(run: Path) -> None:
    for pattern in OF_THE_BEST:
        for path in run.glob(pattern):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
