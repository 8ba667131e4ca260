"""A spec: YAML read into a tree of typed nodes, every default filled, changed only by `at`."""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path as FileSystemPath
from typing import Any

from kplug.errors import Path, Problem, SpecError, did_you_mean, dotted, shown_value
from kplug.kinds import Located
from kplug.spec.check import MOST_PROBLEMS, Checker, Problems
from kplug.spec.component import form_of
from kplug.spec.data_rules import Fitting, check_against_data
from kplug.spec.features import completed, with_types, without_image_section
from kplug.spec.format_1 import of_format_1, validation_of_format_1
from kplug.spec.forms import Form, is_marked
from kplug.spec.plugins import host
from kplug.spec.search.check import check_search
from kplug.spec.search.space import Space, read_space
from kplug.spec.sections import FORMAT, SpecSection
from kplug.spec.tree import Node, Said, leaves, map_leaves, plain, said, value_at
from kplug.spec.yaml12 import Marks, dump, parse

FEATURES: Path = ("data", "features")
FEATURES_OF_FORMAT_1: Path = ("data", "image")
OF_THE_RUN = {  # what a stage of it cannot change
    *[(section,) for section in ("kplug", "name", "seed", "export")],
    *[("fit", key) for key in ("epochs", "best", "threads", "checkpoint", "stages")],
    *[("data", key) for key in ("source", "features", "validation")],
}


@dataclass(frozen=True, eq=False)
class Written:
    """The document that a spec is read from.

    Args:
        data: plain data.
        marks: where each value was written.
        kept: a run or a search keeps it. Rules on the data and on the search were asked when that began, and are not
            asked again, as the source may be gone.
    """

    data: Any
    marks: Marks
    kept: bool = False

    def put(self, overrides: Mapping[Path, tuple[Any, str]]) -> Written:
        """The same document with other values at some paths: path to (value, place)."""
        data, marks = copy.copy(self.data), self.marks
        for path, (value, where) in sorted(overrides.items(), key=lambda item: len(item[0])):
            inside: Any = data  # what lies on the way is copied, the rest stays what it is
            walked: Path = ()
            for step in path:
                inside = _inside(inside, walked, where) if walked else inside
                if walked == FEATURES and isinstance(inside, dict) and str(step) not in inside:
                    inside[str(step)] = {}  # a field of the source need not be written there
                    marks = marks.replace((*FEATURES, str(step)), where)
                walked = (*walked, str(step) if isinstance(inside, dict) else step)
            if not isinstance(inside, dict):
                _inside(inside, walked, where)  # a list gets no further items
            inside[walked[-1]] = copy.deepcopy(value)
            marks = marks.replace(walked, where)
        return replace(self, data=data, marks=marks)


@dataclass(frozen=True, eq=False)
class Spec:
    """An experiment that was checked.

    Args:
        written: what it was read from.
        root: the same as typed nodes, with every default.
        fitting: nodes of it that fit the data, so that they are not asked again where others change.
    """

    written: Written
    root: Node
    fitting: Fitting = field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spec) and self.data == other.data

    @property
    def data(self) -> dict[str, Any]:
        """The plain data that was written."""
        return self.written.data

    @property
    def name(self) -> str:
        """The experiment's name."""
        return self.root.arguments["name"]

    def __getitem__(self, path: str) -> Any:
        """The value at a dotted path, defaults included: plain, or a `Node`."""
        return value_at(self.root, steps_in(path))

    @cached_property
    def _said(self) -> tuple[dict[str, Any], Said]:
        """The filled document, and the nodes that its mappings say."""
        found: Said = {}
        return said(self.root, form_of(SpecSection), found), found

    @property
    def _changeable(self) -> Written:
        """The filled document, but for features of fields that are not written: these follow from the source."""
        data, _ = self._said
        return replace(self.written, data=data | {"data": data["data"] | _written_features(self.data)})

    def filled(self) -> Spec:
        """The same spec with every default written out."""
        return replace(self, written=replace(self.written, data=plain(self.root)))

    def at(self, values: Mapping[str, Any]) -> Spec:
        """The filled spec with other values at some paths, parents before children.

        Args:
            values: dotted path to value: `{"task.model.depth": 34, "data.augment.0": "random_flip"}`.

        Raises:
            SpecError: a path does not exist, or a value does not fit.
        """
        return _whole_spec(self._changeable.put(_overrides(values)), self)

    def absolute(self) -> Spec:
        """The filled spec with every file path made absolute."""
        return replace(self, root=map_leaves(_absolute, self.root)).filled()

    def stages(self) -> list[tuple[int, Spec]]:
        """(epochs, spec) of every stage of the training: the spec itself, then what `fit.stages` makes of it.

        Raises:
            SpecError: a stage sets what does not exist, does not fit, or belongs to the run as a whole.
        """
        return self._stages

    @cached_property
    def _stages(self) -> list[tuple[int, Spec]]:
        found = [(self["fit.epochs"], self)]
        for number, stage in enumerate(plain(self["fit.stages"])):
            here: Path = ("fit", "stages", number, "set")
            values = {steps_in(path): (value, self.where((*here, path))) for path, value in stage["set"].items()}
            if taken := [dotted(path) for path in values if {path[:1], path[:2]} & OF_THE_RUN]:
                message = f"a stage cannot change {taken[0]}, which belongs to the run as a whole"
                raise self.error((*here, taken[0]), message)
            found.append((stage["epochs"], _spec(self._changeable.put(values), self)))
        return found

    def space(self) -> Space | None:
        """The space of its search, if it has one."""
        search = self["search"]
        return None if search is None else read_space(plain(search)["space"])

    @cached_property
    def file_paths(self) -> frozenset[Path]:
        """The paths at which the name of a file or folder stands."""
        return frozenset(path for path, form, value in leaves(self.root) if _is_file_path(form, value))

    def missing_files(self) -> list[Problem]:
        """The files and folders that the spec names and that are not there (yet), a problem each."""
        named = [(path, value_at(self.root, path)) for path in sorted(self.file_paths, key=dotted)]
        here = [(path, name) for path, name in named if "://" not in name]
        lacking = [(path, name) for path, name in here if not os.path.exists(os.path.expanduser(name))]
        return [self.problem(path, f"there is no file or folder {name}{_near(name)}") for path, name in lacking]

    def dump(self) -> str:
        """The spec as YAML."""
        return dump(self.data)

    def where(self, path: Path, key: bool = False) -> str:
        """The file, line and column of the value at a path, or of its key."""
        return self.written.marks.where(path, key)

    def with_features(self, told: Mapping[str, Any]) -> Spec:
        """The filled spec, with features that an opened source names for fields of which the spec says nothing."""
        filled = self.filled().written
        features = completed(filled.data["data"]["features"], told, host().registry)
        data = filled.data | {"data": filled.data["data"] | {"features": features}}
        return _spec(replace(filled, data=data, kept=True))

    def problem(self, path: str | Path, message: str, key: bool = False) -> Problem:
        """The problem at a path, dotted or in steps, with the place where the value, or its key, was written."""
        steps = steps_in(path) if isinstance(path, str) else path
        return Problem(message, steps, self.where(steps, key))

    def error(self, path: str | Path, message: str) -> SpecError:
        """The error that tells of a problem at a path."""
        return SpecError([self.problem(path, message)])


# --- from files and texts --------------------------------------------------------------------------------------------


def load(path: str | os.PathLike[str], values: Mapping[str, Any] | None = None) -> Spec:
    """Read a spec from a YAML file.

    Args:
        path: the file.
        values: dotted path to value, put in before the spec is checked, as `Spec.at` does.

    Raises:
        SpecError: with every problem that was found.
    """
    return loads(_read_file(path), str(path), _overrides(values or {}))


def load_with(path: str | os.PathLike[str], changes: Iterable[str]) -> Spec:
    """Read a spec from a YAML file with changes as they are typed after `--set`: `path=value`, the value in YAML."""
    return loads(_read_file(path), str(path), settings(changes))


def load_kept(path: str | os.PathLike[str]) -> Spec:
    """Read a spec from the file that a run or a search keeps: its source may be another by now, or gone."""
    return loads_kept(_read_file(path), str(path))


def _read_file(path: str | os.PathLike[str]) -> bytes:
    file = FileSystemPath(path)
    try:
        return file.read_bytes()
    except OSError as error:
        raise SpecError(f"{(error.strerror or str(error)).lower()}{_near(path, '*.yaml')}", where=str(path)) from None


def _near(path: str | os.PathLike[str], pattern: str = "*") -> str:
    """The words that ask whether a file was meant that lies beside a path at which there is none."""
    file = FileSystemPath(os.path.expanduser(path))
    with contextlib.suppress(OSError):
        beside = {other.name: other for other in file.parent.glob(pattern)}
        return did_you_mean(file.name, beside, beside)
    return ""


def loads(text: str | bytes, source: str = "spec", overrides: Mapping[Path, tuple[Any, str]] | None = None) -> Spec:
    """Read a spec from YAML text; `source` stands for the file's name in messages."""
    written = _document(text, source)
    if overrides:
        root, problems = _read(written, {}, {})
        if not isinstance(root, Node):
            raise _error(problems)
        # what is wrong in `root` is still in it
        data = plain(root)
        if isinstance(data.get("data"), dict):
            data["data"] |= _written_features(written.data)
        written = replace(written, data=data).put(overrides)
    return _whole_spec(written)


def loads_kept(text: str | bytes, source: str = "spec") -> Spec:
    """Read a spec from YAML text that a run or a search keeps."""
    return _whole_spec(_document(text, source, kept=True))


def _document(text: str | bytes, source: str, kept: bool = False) -> Written:
    """The document of a text, in the format of this version."""
    data, marks = parse(text, source)
    number = data.get("kplug") if isinstance(data, dict) else None
    if type(number) is int and number == 1:  # neither true nor 1.0
        data = of_format_1(data)
    return Written(data, marks, kept)


def _written_features(data: Any) -> dict[str, Any]:
    section = data.get("data") if isinstance(data, dict) else None
    return {"features": copy.deepcopy(section.get("features", {}))} if isinstance(section, dict) else {}


def in_terms_of_format_1(kept: Spec, spec: Spec) -> Spec:
    """A person's spec that goes on with what 0.1.0 began: pictures are read as it read them, defaults are its own.

    Args:
        kept: the spec that 0.1.0 kept.
        spec: the person's.
    """
    values = {
        "data.features": plain(kept["data.features"]),
        "data.validation": validation_of_format_1(plain(spec["data.validation"])),
    }
    if spec["fit.best"] == "auto":
        values["fit.best"] = plain(kept["fit.best"])
    # features are those that were kept and no others, as when the kept spec itself is read
    return replace(spec, written=replace(spec.written, kept=True)).at(values).absolute()


def _overrides(values: Mapping[str, Any]) -> dict[Path, tuple[Any, str]]:
    return {steps_in(path): (value, f"at {path}={shown_value(value)}") for path, value in values.items()}


def settings(texts: Iterable[str]) -> dict[Path, tuple[Any, str]]:
    """Read texts such as `path=value`, typed after `--set` with the value in YAML: path to (value, place)."""
    found: dict[Path, tuple[Any, str]] = {}
    for text in texts:
        path, equals, value = text.partition("=")
        where = f"--set {text}"
        if not equals or not path:
            raise SpecError("write it as path=value, such as fit.epochs=3", where=where)
        try:
            found[steps_in(path)] = (parse(value, where)[0], where)
        except SpecError as error:
            raise SpecError([Problem(p.message, steps_in(path), where) for p in error.problems]) from None
    return found


def values_of(texts: Iterable[str]) -> dict[str, Any]:
    """The values that texts such as `path=value` say, by dotted path."""
    return {dotted(path): value for path, (value, _) in settings(texts).items()}


def steps_in(path: str) -> Path:
    """The steps of a dotted path."""
    return tuple(int(step) if step.isdecimal() else step for step in path.split("."))


# --- reading ---------------------------------------------------------------------------------------------------------


def _inside(holder: Any, path: Path, where: str) -> Any:
    """A copy, put in its place, of what the last step of a path leads to; a bare name becomes a node."""
    step: Any = path[-1]
    is_item = isinstance(holder, list) and isinstance(step, int) and step < len(holder)
    if is_item or (isinstance(holder, dict) and step in holder):
        holder[step] = {"type": holder[step]} if isinstance(holder[step], str) else copy.copy(holder[step])
        return holder[step]
    if path == FEATURES_OF_FORMAT_1:
        message = f"is of format 1; it is {dotted((*FEATURES, step))} now"
    elif isinstance(holder, dict):
        message = f"nothing is called '{step}'{did_you_mean(step, holder)} (here: {', '.join(holder) or 'nothing'})"
    elif isinstance(holder, list):
        message = f"there is no item '{step}': the list has {len(holder)}, numbered from 0"
    else:
        message = f"{dotted(path[:-1])} is {shown_value(holder)}, which has nothing inside"
    raise SpecError(message, path, where)


def _read(written: Written, known: Said, fitting: Fitting) -> tuple[Any, list[Problem]]:
    data, problems = written.data, Problems(written.marks)
    if data is None:
        problems.note("the file is empty; a spec has at least name, task and data", ())
        return None, problems.found
    if isinstance(data, dict) and data.get("kplug", FORMAT) != FORMAT:
        problems.note(f"this kplug reads format {FORMAT}; received {shown_value(data['kplug'])}", ("kplug",))
        return None, problems.found
    registry = host().registry
    if not written.kept:
        data = with_types(without_image_section(data, problems), registry, problems, known)
    root = Checker(registry, problems, known).check(form_of(SpecSection), data, ())
    if not problems.found and not written.kept:
        check_against_data(root, problems, fitting)
    return root, problems.found


def _spec(written: Written, before: Spec | None = None) -> Spec:
    """The spec that was written; its stages and its search are not looked at.

    Args:
        written: the document.
        before: the spec of which it is a change; what the change leaves as it was is not checked again.
    """
    known, fitting = (before._said[1], dict(before.fitting)) if before else ({}, {})
    root, problems = _read(written, known, fitting)
    if problems:
        raise _error(problems)
    return Spec(written, root, fitting)


def _whole_spec(written: Written, before: Spec | None = None) -> Spec:
    """The spec that was written, with its stages and its search."""
    spec = _spec(written, before)
    spec.stages()
    if spec["search"] is not None and not written.kept:
        check_search(spec)
    return spec


def _error(problems: list[Problem]) -> SpecError:
    error = SpecError(sorted(problems, key=lambda p: _line_and_column(p.where)))
    if len(problems) >= MOST_PROBLEMS:
        error.add_note(f"There may be more than these {len(problems)}; they are told once these are mended.")
    if any(" named '" in problem.message for problem in problems):
        for plugin in host().quarantined:
            error.add_note(f"It may belong to plugin {plugin}, which is set aside:\n{plugin.trace}")
    return error


def _line_and_column(where: str) -> tuple[int, ...]:
    return tuple(int(part) for part in where.split(":")[-2:] if part.isdecimal())


def _is_file_path(form: Form, value: Any) -> bool:
    return isinstance(value, str) and is_marked(form, value, Located)


def _absolute(form: Form, value: Any) -> Any:
    is_local = _is_file_path(form, value) and "://" not in value
    return os.path.abspath(os.path.expanduser(value)) if is_local else value
