"""The directory of a search: whether one can begin there, or go on."""

from __future__ import annotations

import shutil
from pathlib import Path

from kplug.errors import Problem, SpecError
from kplug.spec import Spec
from kplug.spec.spec import FEATURES, in_terms_of_format_1
from kplug.spec.tree import differences, plain
from kplug.storage.files import naming_errors
from kplug.storage.journal import Journal
from kplug.storage.reading import kept_spec_in

# keys of `search` that may be others when a search goes on
CHANGEABLE = ("executor", "keep", "timeout", "trial_timeout", "trial_memory", "failures")
MORE = [("search", "oracle", "trials"), ("search", "oracle", "iterations")]  # numbers that may be raised then


def directory_of(spec: Spec, directory: object = None) -> Path:
    """The search's directory: the given one, or searches/NAME."""
    return Path("searches") / spec.name if directory is None else Path(str(directory))


def journal_in(path: Path) -> Journal:
    return Journal(path / "journal.jsonl")


def refuse_without_search(spec: Spec) -> None:
    if spec["search"] is None:
        raise SpecError([Problem("the spec has no search; write search: {space: {...}}", ("search",), spec.where(()))])


def refuse_directory(path: Path, spec: Spec, resume: bool) -> bool:
    """See that a search can begin in a directory, or go on there.

    Args:
        path: the directory; it need not be there.
        spec: of absolute paths.
        resume: True where it is to go on.

    Returns:
        True where it begins: also where another spec, since mended, was tried and nothing came of it.

    Raises:
        SpecError: it cannot.
    """
    refuse_without_search(spec)
    if not journal_in(path).path.exists():
        if resume:
            raise _refused(path, f"holds no search; without --resume, one begins{_found_beside(path)}")
        _refuse_something_else(path)
        return True
    changed = _changed(path, spec)
    if changed and not _has_trained(path):
        return True
    if not resume:
        raise _refused(path, "already holds a search; --resume goes on with it, --to DIR begins another elsewhere")
    if changed:
        raise SpecError(changed)
    if not any(journal_in(path)) and _holds_trials(path):
        message = "is empty, but there are trials beside it; put it back as it was, or search anew with --to DIR"
        raise _refused(journal_in(path).path, message)
    return False


def as_it_began(path: Path, spec: Spec) -> Spec:
    """The spec of a search that goes on, with what 0.1.0 wrote into the one that it began with, where it did."""
    began = next(iter(journal_in(path)), {})
    if began.get("format") != 1 or not (path / "spec.yaml").is_file():
        return spec
    return in_terms_of_format_1(kept_spec_in(path), spec)


def _refused(path: Path, message: str) -> SpecError:
    return SpecError([Problem(message, where=str(path))])


def clear(path: Path) -> None:
    """Take away what a search left of which nothing came."""
    with naming_errors(path):
        shutil.rmtree(path / "trials", ignore_errors=True)
        for name in ("journal.jsonl", "trials.jsonl"):
            (path / name).unlink(missing_ok=True)


def _has_trained(path: Path) -> bool:
    """True where a trial reported an epoch or ended, or where the journal is empty and there are trials beside it."""
    events = list(journal_in(path))
    if not events:
        return _holds_trials(path)
    return any(event["event"] in ("tell", "ended") or event.get("epoch") for event in events)


def _holds_trials(path: Path) -> bool:
    return any((path / "trials").glob("*"))


def _refuse_something_else(path: Path) -> None:
    names = {item.name for item in path.iterdir()} if path.is_dir() else set()
    begun = names <= {"lock", "trials", "spec.yaml"} and not _holds_trials(path)  # and killed at once
    if path.is_file() or not begun:
        raise _refused(path, "already holds something else; name another directory with --to DIR")


def _changed(path: Path, spec: Spec) -> list[Problem]:
    """Problems where the spec that a search began with differs from this one in a key that must not change."""
    before, spec = kept_spec_in(path), as_it_began(path, spec)
    problems = []
    for steps, then, now in differences(plain(before.root), plain(spec.root)):
        raised = steps in MORE and isinstance(now, int) and isinstance(then, int) and now > then
        follows = steps[:2] == FEATURES and then is None and len(steps) == 3  # from the source, which says more by now
        if raised or follows or steps[:2] in [("search", key) for key in CHANGEABLE] or steps[0] == "export":
            continue
        message = f"was {then!r} when the search began and is {now!r}; put it back, or search anew with --to DIR"
        problems.append(spec.problem(steps, message))
    return problems


def _found_beside(path: Path) -> str:
    there = sorted(str(found.parent) for found in path.parent.glob("*/journal.jsonl"))
    return f" (searches there: {', '.join(there)})" if there else ""
