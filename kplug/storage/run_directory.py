"""The directory of a run, which holds everything about one training."""

from __future__ import annotations

import contextlib
import datetime
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from kplug.console import log
from kplug.errors import Problem, SpecError, listed
from kplug.kinds import injected
from kplug.records import DataInfo
from kplug.spec import Spec
from kplug.spec.data_rules import label_of_task
from kplug.storage import files
from kplug.storage.environment import packages, plugins
from kplug.storage.facts import facts_in, info_of
from kplug.storage.files import digest_of, lock, naming_errors
from kplug.storage.reading import (
    ANEW,
    LARGEST,
    damaged,
    kept_spec_in,
    read_json,
    read_rows,
    refuse_other_shape,
    whole_lines,
)
from kplug.storage.shapes import Epoch, shape_of

BEST, LAST, RESULT = "model.weights.h5", "last.weights.h5", "result.json"
METRICS, TIMINGS = "metrics.jsonl", "timings.jsonl"
KEPT = "kept.json"  # from which stage the best weights are, and the digest of their file

_told: set[Path] = set()  # files of which it was said that they hold a number that is not finite


@injected
@dataclass(frozen=True)
class RunDirectory:
    """The files of one training; without `result.json` in it the training did not finish.

    A callback gets that of its training by a parameter with this annotation. There is always one: where steps are
    only timed (`kplug bench`) no callbacks are built, and `kplug.testing.check` makes a run that is gone afterwards.

    Args:
        path: the directory.
    """

    path: Path

    @classmethod
    def create(cls, spec: Spec, directory: str | os.PathLike[str] | None = None) -> Self:
        """Make a new run directory: the given one, or the next free number in `runs/NAME`."""
        if directory is not None:
            refuse_existing(directory)
            refuse_patterns(directory)
            path = Path(directory)
            with naming_errors(path, "name another directory"):
                path.mkdir(parents=True, exist_ok=True)
        else:
            refuse_patterns("runs")
            path = next_number(Path("runs") / spec.name)
        run = cls(path)
        run.write("spec.yaml", spec.dump())
        return run

    @classmethod
    def open(cls, directory: str | os.PathLike[str]) -> Self:
        """Open a run that is there.

        Raises:
            SpecError: the directory is no run.
        """
        path = Path(directory)
        with naming_errors(path, "name another directory", "cannot be looked at"):
            if not (path / "spec.yaml").is_file():
                raise SpecError([Problem(_no_run(path), where=str(directory))])
        return cls(path)

    @cached_property
    def spec(self) -> Spec:
        return kept_spec_in(self.path)

    @cached_property
    def info(self) -> DataInfo:
        return info_of(self.path / "data.json", self.facts, label_of_task(self.spec["task"]))

    @cached_property
    def facts(self) -> dict[str, Any]:
        """The content of `data.json`, in the form of this version; `format` is 1 where 0.1.0 wrote it."""
        return facts_in(self.path / "data.json", self.read_json("data.json"))

    @property
    def finished(self) -> bool:
        return (self.path / RESULT).is_file()

    @property
    def result(self) -> dict[str, Any]:
        """The content of result.json: `run`, and `metrics` of the epoch whose weights were kept."""
        return self.read_json(RESULT, "remove it, and kplug train --resume writes it anew")

    @property
    def kept_spec(self) -> Spec:
        """The spec as it stood in the stage that the kept weights are from, which are seen to be as they were written.

        Raises:
            SpecError: they are not.
        """
        stages, stage = self.spec.stages(), self.kept_weights()["stage"]
        if stage >= len(stages):
            raise damaged(self.path / KEPT, f"stage: there is no stage {stage} in spec.yaml, which has {len(stages)}")
        return stages[stage][1]

    def kept_weights(self) -> dict[str, Any]:
        """The record of the kept weights: the stage that they are from, and the digest of their file.

        `kept.json` tells of new weights before their file gets its name, and has the record of those before beside it:
        these are there until then, and stay where the training is killed in between.

        Raises:
            SpecError: the file is missing, or has neither digest.
        """
        kept = self.read_json(KEPT)
        while True:
            if "sha256" not in kept:  # of 0.1.0
                return kept
            digest = self._digest(BEST)
            for record in (kept, kept.get("before", {})):
                if record.get("sha256") == digest:
                    return record
            last, kept = kept, self.read_json(KEPT)
            if kept == last:  # or else a training that is under way has kept others in between
                what = f"it is not what {KEPT} tells of: it was changed, or both were copied while they were written"
                raise damaged(self.path / BEST, what, "put them back as they were, or copy both again")

    def announce_weights(self, stage: int, file: Path, before: dict[str, Any] | None = None) -> dict[str, Any]:
        """Tell in `kept.json` of weights that are about to be kept, and return the record of them.

        Args:
            stage: that they are from.
            file: holds them, and gets the name of the kept ones next.
            before: the record of those that are kept now; None has the files say it.
        """
        record = {"stage": stage, "sha256": digest_of(file)}
        with contextlib.suppress(SpecError):  # there are none before, or damaged ones
            if before is None and (self.path / BEST).exists():
                found = self.kept_weights()
                before = {"stage": found["stage"], "sha256": found.get("sha256") or self._digest(BEST)}
        self.write_json(KEPT, record | ({"before": before} if before else {}))
        return record

    def _digest(self, name: str) -> str:
        try:
            return digest_of(self.path / name)
        except OSError as error:
            raise damaged(self.path / name, error.strerror or str(error)) from None

    @property
    def metrics(self) -> dict[str, float]:
        return files.with_nan(self.result["metrics"])

    def read_json(self, name: str, advice: str = ANEW) -> Any:
        """The content of a file of JSON, in the shape that kplug gives it.

        Raises:
            SpecError: it is missing, or damaged; `advice` says what to do then.
        """
        try:
            return read_json(self.path / name, advice)
        except FileNotFoundError:
            raise SpecError([Problem(f"{name} is missing: the run did not finish", where=str(self.path))]) from None

    def write(self, name: str, content: str | bytes) -> None:
        """Write a whole file; until it is on the disk, the one that was there stays."""
        with naming_errors(self.path / name):
            files.write(self.path / name, content)

    def write_json(self, name: str, content: Any) -> None:
        self._tell(name, content)
        text = files.in_json(content, indent=2) + "\n"
        if len(text) > LARGEST and shape_of(name) is not Any:
            what = f"it would have {len(text):,} bytes, and no more than {LARGEST:,} are read again"
            raise SpecError([Problem(what, where=str(self.path / name))])
        self.write(name, text)

    def append(self, name: str, row: dict[str, Any]) -> None:
        """Add a line to a `.jsonl` file; it is on the disk when this returns."""
        with naming_errors(self.path / name):
            self._tell(name, row)
            files.append(self.path / name, files.in_json(row))

    def _tell(self, name: str, content: Any) -> None:
        """Say once of a file which numbers in it are not finite."""
        path = self.path / name
        if path not in _told and (found := files.not_finite(content)):
            _told.add(path)
            log(f"{path}: {listed(found)} is not finite, and null in the file")

    def cut(self, name: str, rows: int) -> None:
        """Cut a `.jsonl` file after its first rows; a last line may be half a row."""
        lines = whole_lines(self.path / name)
        whole = b"".join(line + b"\n" for line in lines[:rows])
        if (self.path / name).exists() and (self.path / name).stat().st_size != len(whole):
            self.write(name, whole)

    def rewritten(self, spec: Spec) -> Self:
        """Give the run another spec and return it, unfinished again."""
        (self.path / RESULT).unlink(missing_ok=True)
        if spec.root != self.spec.root:
            self.write("spec.yaml", spec.dump())
        return type(self)(self.path)

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The lines of a `.jsonl` file; none where it is missing, and none for one that a kill left half-written."""
        rows = read_rows(self.path / name)
        if name != METRICS:
            return rows
        for number, row in enumerate(rows, 1):
            refuse_other_shape(self.path / name, row, Epoch, inside=f"line {number}")
        return list(map(files.with_nan, rows))

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Yield the path to write a file to, which gets its name when all of it is on the disk."""
        with naming_errors(self.path / name), files.writing(self.path / name) as temporary:
            yield temporary

    def describe_environment(self, chosen: dict[str, Any]) -> None:
        """Write environment.json: versions, plugins, machine, and `chosen`, which the training settled on."""
        import platform  # 2 ms, which the command line need not wait for

        self.write_json(
            "environment.json",
            {
                "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "command": sys.argv,
                "python": platform.python_version(),
                "system": platform.platform(),
                "chosen": chosen,
                "plugins": plugins(),
                "distributions": dict(sorted(packages().items())),
            },
        )


def _no_run(path: Path) -> str:
    if not path.is_dir():
        return "no such directory"
    if (path / "spec.yaml").exists():
        return "no run: its spec.yaml is no regular file"
    inside = sorted((p.parent for p in path.glob("**/spec.yaml") if p.is_file()), key=os.path.getmtime)
    return "no run: it has no spec.yaml" + (f"; the newest run below it is '{inside[-1]}'" if inside else "")


def owned(path: Path) -> contextlib.AbstractContextManager[int]:
    """Hold a run's directory for this process alone while it trains."""
    return lock(path, "another process trains this run")


def refuse_existing(directory: str | os.PathLike[str]) -> None:
    """Refuse a directory for a new run that already holds something."""
    path = Path(directory)
    with naming_errors(path, "name another directory", "cannot be looked at"):
        is_taken = path.is_file() or (path.is_dir() and any(path.iterdir()))
    if is_taken:
        what = "is a file" if path.is_file() else "already holds something"
        unfinished = (path / "spec.yaml").is_file() and not (path / RESULT).exists()
        hint = f", or go on with the unfinished run: kplug train --resume {directory}" if unfinished else ""
        raise SpecError([Problem(f"{directory} {what}; name a new directory{hint}", where="--run")])


def refuse_patterns(directory: str | os.PathLike[str]) -> None:
    """Refuse a directory whose files TensorFlow would not find again: it reads names of checkpoints as patterns."""
    path = os.path.abspath(directory)
    if found := [character for character in "*?[\\\n" if character in path]:
        what = f"TensorFlow takes {found[0]!r} in a path for a pattern, and would not find what it wrote there"
        raise SpecError([Problem(f"{what}; name another directory", where=path)])


def next_number(parent: Path) -> Path:
    """Make the directory that has the next free number in a folder."""
    with naming_errors(parent):
        parent.mkdir(parents=True, exist_ok=True)
        number = max((int(p.name) for p in parent.iterdir() if p.name.isdecimal()), default=0)
        while True:  # another process may take the number first
            number += 1
            with contextlib.suppress(FileExistsError):
                (parent / str(number)).mkdir()
                return parent / str(number)
