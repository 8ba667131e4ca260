"""The directory of a run, which holds everything about one training."""

from __future__ import annotations

import contextlib
import datetime
import functools
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from kplug.errors import Problem, SpecError
from kplug.kinds import Feature, injected
from kplug.records import DataInfo
from kplug.spec import Spec, load_kept
from kplug.spec.build import build_plain
from kplug.spec.data_rules import label_of_task
from kplug.spec.format_1 import info_of_format_1
from kplug.storage import files
from kplug.storage.environment import packages, plugins
from kplug.storage.files import lock, naming_errors

BEST, LAST, RESULT = "model.weights.h5", "last.weights.h5", "result.json"
KEPT = "kept.json"  # from which stage the best weights are


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
            path = Path(directory)
            path.mkdir(parents=True, exist_ok=True)
        else:
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
        if not (path / "spec.yaml").is_file():
            inside = (
                sorted((p.parent for p in path.glob("**/spec.yaml")), key=os.path.getmtime) if path.is_dir() else []
            )
            hint = f"; the newest run below it is '{inside[-1]}'" if inside else ""
            what = "no run: it has no spec.yaml" if path.is_dir() else "no such directory"
            raise SpecError([Problem(f"{what}{hint}", where=str(directory))])
        return cls(path)

    @cached_property
    def spec(self) -> Spec:
        return load_kept(self.path / "spec.yaml")

    @cached_property
    def info(self) -> DataInfo:
        info = DataInfo.from_json(self.facts, functools.partial(build_plain, Feature))
        label = label_of_task(self.spec["task"])
        return info if label is None else info.naming(label)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """The content of `data.json`, in the form of this version; `format` is 1 where 0.1.0 wrote it."""
        found = self.read_json("data.json")
        return found if found.get("format") == 2 else info_of_format_1(found)

    @property
    def finished(self) -> bool:
        return (self.path / RESULT).is_file()

    @property
    def result(self) -> dict[str, Any]:
        """The content of result.json: `run`, and `metrics` of the epoch whose weights were kept."""
        return self.read_json(RESULT)

    @property
    def kept_spec(self) -> Spec:
        """The spec as it stood in the stage that the kept weights are from."""
        return self.spec.stages()[self.read_json(KEPT)["stage"]][1]

    @property
    def metrics(self) -> dict[str, float]:
        return self.result["metrics"]

    def read_json(self, name: str) -> Any:
        try:
            return json.loads((self.path / name).read_text())
        except (FileNotFoundError, json.JSONDecodeError) as error:
            problem = "is missing: the run did not finish" if isinstance(error, OSError) else f"is damaged: {error}"
            raise SpecError([Problem(f"{name} {problem}", where=str(self.path))]) from None

    def write(self, name: str, content: str | bytes) -> None:
        """Write a whole file; until it is on the disk, the one that was there stays."""
        with naming_errors(self.path / name):
            files.write(self.path / name, content)

    def write_json(self, name: str, content: Any) -> None:
        self.write(name, json.dumps(content, indent=2) + "\n")

    def append(self, name: str, row: dict[str, Any]) -> None:
        """Add a line to a `.jsonl` file; it is on the disk when this returns."""
        with naming_errors(self.path / name):
            files.append(self.path / name, json.dumps(row))

    def cut(self, name: str, rows: int) -> None:
        """Cut a `.jsonl` file after its first rows; a last line may be half a row."""
        path = self.path / name
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        if len(lines) > rows:
            self.write(name, "".join(lines[:rows]))

    def rewritten(self, spec: Spec) -> Self:
        """Give the run another spec and return it, unfinished again."""
        (self.path / RESULT).unlink(missing_ok=True)
        if spec.root != self.spec.root:
            self.write("spec.yaml", spec.dump())
        return type(self)(self.path)

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The lines of a `.jsonl` file; none where it is missing."""
        path = self.path / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

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


def owned(path: Path) -> contextlib.AbstractContextManager[int]:
    """Hold a run's directory for this process alone while it trains."""
    return lock(path, "another process trains this run")


def refuse_existing(directory: str | os.PathLike[str]) -> None:
    """Refuse a directory for a new run that already holds something."""
    path = Path(directory)
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        what = "is a file" if path.is_file() else "already holds something"
        unfinished = (path / "spec.yaml").is_file() and not (path / RESULT).exists()
        hint = f", or go on with the unfinished run: kplug train --resume {directory}" if unfinished else ""
        raise SpecError([Problem(f"{directory} {what}; name a new directory{hint}", where="--run")])


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
