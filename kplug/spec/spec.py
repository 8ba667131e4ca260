"""A spec: YAML read into a tree of typed nodes, every default filled, changed only by `at`."""

from __future__ import annotations

import copy
import difflib
import os
import typing
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path as FileSystemPath
from typing import Any, Literal

from kplug.errors import Path, Problem, SpecError, did_you_mean, dotted, shown_value
from kplug.kinds import Located
from kplug.spec.check import Checker, Problems
from kplug.spec.data_rules import check_against_data
from kplug.spec.plugins import host
from kplug.spec.search.check import check_search
from kplug.spec.search.space import Space, read_space
from kplug.spec.sections import FORMAT, SpecSection
from kplug.spec.tree import Node, plain
from kplug.spec.yaml12 import Marks, dump, parse

OF_THE_RUN = (
    *(("fit", "epochs"), ("fit", "best"), ("fit", "threads"), ("fit", "checkpoint"), ("fit", "stages")),
    *(("data", "source"), ("data", "image"), ("data", "validation")),
)


@dataclass(frozen=True, eq=False)
class Spec:
    """An experiment that was checked.

    Args:
        data: what was written, as plain data.
        marks: where each value was written.
        root: the same as typed nodes, with every default.
        of_a_run: it was checked when the run began; rules on the data are not asked again, as the source may be gone.
    """

    data: dict[str, Any]
    marks: Marks
    root: Node
    of_a_run: bool = False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spec) and self.data == other.data

    __hash__ = None  # type: ignore[assignment]

    @property
    def name(self) -> str:
        return self.root.arguments["name"]

    def __getitem__(self, path: str) -> Any:
        """The value at a dotted path, defaults included: plain, or a `Node`."""
        tree: Any = self.root
        for step in path.split("."):
            tree = (
                tree.arguments[step] if isinstance(tree, Node) else tree[int(step) if isinstance(tree, list) else step]
            )
        return tree

    def filled(self) -> Spec:
        """The same spec with every default written out."""
        return replace(self, data=plain(self.root))

    def at(self, values: Mapping[str, Any]) -> Spec:
        """The filled spec with other values at some paths, parents before children.

        Args:
            values: dotted path to value: `{"task.model.depth": 34, "data.augment.0": "random_flip"}`.

        Raises:
            SpecError: a path does not exist, or a value does not fit.
        """
        return _check(*_put(plain(self.root), self.marks, _overrides(values)), of_a_run=self.of_a_run)

    def absolute(self) -> Spec:
        """The filled spec with every file path made absolute."""
        return replace(self, data=plain(_absolute(self.root)), root=_absolute(self.root))

    def stages(self) -> list[tuple[int, Spec]]:
        """(epochs, spec) of every stage of the training: the spec itself, then what `fit.stages` makes of it.

        Raises:
            SpecError: a stage sets what does not exist, does not fit, or belongs to the run as a whole.
        """
        found = [(self["fit.epochs"], self)]
        for number, stage in enumerate(plain(self["fit.stages"])):
            here: Path = ("fit", "stages", number, "set")
            values = {steps_in(path): (value, self.where((*here, path))) for path, value in stage["set"].items()}
            for path in values:
                if path[0] in ("kplug", "name", "seed", "export") or path[:2] in OF_THE_RUN:
                    message = f"a stage cannot change {dotted(path)}, which belongs to the run as a whole"
                    raise self.error((*here, dotted(path)), message)
            found.append((stage["epochs"], _check(*_put(plain(self.root), self.marks, values), False, self.of_a_run)))
        return found

    def space(self) -> Space | None:
        """The space of its search, if it has one."""
        search = self["search"]
        return None if search is None else read_space(plain(search)["space"])

    def is_file_path(self, path: Path) -> bool:
        """True where the value at a path is the name of a file or folder."""
        tree: Any = self.root
        annotation: Any = None
        for step in path:
            if isinstance(tree, Node) and step not in tree.arguments:  # its `type`
                return False
            annotation = tree.component.parameters[str(step)].annotation if isinstance(tree, Node) else annotation
            tree = tree.arguments[str(step)] if isinstance(tree, Node) else tree[step]
        return isinstance(tree, str) and is_marked(annotation, tree, Located)

    def dump(self) -> str:
        """The spec as YAML."""
        return dump(self.data)

    def where(self, path: Path) -> str:
        """The file, line and column of a path."""
        return self.marks.where(path)

    def problem(self, path: str | Path, message: str) -> Problem:
        """What is wrong at a path, dotted or in steps, with the place where it was written."""
        steps = steps_in(path) if isinstance(path, str) else path
        return Problem(message, steps, self.where(steps))

    def error(self, path: str | Path, message: str) -> SpecError:
        """The error that tells what is wrong at a path."""
        return SpecError([self.problem(path, message)])


def load(path: str | os.PathLike[str], values: Mapping[str, Any] | None = None, of_a_run: bool = False) -> Spec:
    """A spec from a YAML file.

    Args:
        path: the file.
        values: dotted path to value, put in before the spec is checked, as `Spec.at` does.
        of_a_run: the file is that of a run, whose source may be another by now, or gone.

    Raises:
        SpecError: with every problem that was found.
    """
    return loads(_read_file(path), str(path), _overrides(values or {}), of_a_run)


def load_with(path: str | os.PathLike[str], changes: typing.Iterable[str]) -> Spec:
    """As `load`, with changes as they are typed after `--set`: `path=value`, the value in YAML."""
    return loads(_read_file(path), str(path), settings(changes))


def _read_file(path: str | os.PathLike[str]) -> bytes:
    file = FileSystemPath(path)
    try:
        return file.read_bytes()
    except OSError as error:
        near = difflib.get_close_matches(file.name, [p.name for p in file.parent.glob("*.yaml")], n=1)
        hint = f"; did you mean '{file.parent / near[0]}'?" if near else ""
        raise SpecError([Problem(f"{(error.strerror or str(error)).lower()}{hint}", where=str(path))]) from None


def loads(
    text: str | bytes,
    source: str = "spec",
    overrides: Mapping[Path, tuple[Any, str]] | None = None,
    of_a_run: bool = False,
) -> Spec:
    """A spec from YAML text; `source` stands for the file's name in messages."""
    data, marks = parse(text, source)
    if not overrides:
        return _check(data, marks, of_a_run=of_a_run)
    root, problems = _read(data, marks, of_a_run)
    if not isinstance(root, Node):
        raise _error(problems)
    return _check(
        *_put(plain(root), marks, overrides), of_a_run=of_a_run
    )  # what is wrong in `root` is still in it, unless put right


def _overrides(values: Mapping[str, Any]) -> dict[Path, tuple[Any, str]]:
    return {steps_in(path): (value, f"at {path}={shown_value(value)}") for path, value in values.items()}


def settings(texts: typing.Iterable[str]) -> dict[Path, tuple[Any, str]]:
    """`path=value` as typed after `--set`, to path, value (YAML) and place."""
    found: dict[Path, tuple[Any, str]] = {}
    for text in texts:
        path, equals, value = text.partition("=")
        where = f"--set {text}"
        if not equals or not path:
            raise SpecError([Problem("write it as path=value, such as fit.epochs=3", where=where)])
        try:
            found[steps_in(path)] = (parse(value, where)[0], where)
        except SpecError as error:
            raise SpecError([Problem(p.message, steps_in(path), where) for p in error.problems]) from None
    return found


def steps_in(path: str) -> Path:
    """The steps of a dotted path."""
    return tuple(int(step) if step.isdecimal() else step for step in path.split("."))


def _put(data: Any, marks: Marks, overrides: Mapping[Path, tuple[Any, str]]) -> tuple[Any, Marks]:
    data = copy.deepcopy(data)
    for path, (value, where) in sorted(overrides.items(), key=lambda item: len(item[0])):
        inside = data
        walked: Path = ()
        for depth, step in enumerate(path):
            key = str(step) if isinstance(inside, dict) else step
            walked = (*walked, key)
            if depth + 1 < len(path):
                inside = _step_into(inside, key, path[: depth + 1], where)
        if not isinstance(inside, dict):
            _step_into(inside, key, path, where)
        inside[key] = copy.deepcopy(value)
        marks = marks.replace(walked, where)
    return data, marks


def _step_into(inside: Any, step: Any, path: Path, where: str) -> Any:
    """One step down; a bare name becomes a node, so that its parameters can be reached."""
    if (isinstance(inside, dict) and step in inside) or (
        isinstance(inside, list) and isinstance(step, int) and step < len(inside)
    ):
        if isinstance(inside[step], str):
            inside[step] = {"type": inside[step]}
        return inside[step]
    if isinstance(inside, dict):
        message = f"nothing is called '{step}'{did_you_mean(step, inside)} (here: {', '.join(inside) or 'nothing'})"
    elif isinstance(inside, list):
        message = f"there is no item '{step}': the list has {len(inside)}, numbered from 0"
    else:
        message = f"{dotted(path[:-1])} is {shown_value(inside)}, which has nothing inside"
    raise SpecError([Problem(message, path, where)])


def _read(data: Any, marks: Marks, of_a_run: bool = False) -> tuple[Any, list[Problem]]:
    problems = Problems(marks)
    if data is None:
        problems("the file is empty; a spec has at least name, task and data", ())
        return None, problems
    if isinstance(data, dict) and data.get("kplug", FORMAT) != FORMAT:
        problems(f"this kplug reads format {FORMAT}; received {shown_value(data['kplug'])}", ("kplug",))
        return None, problems
    root = Checker(host().registry, problems).check(SpecSection, data, ())
    if not problems and not of_a_run:
        check_against_data(root, problems)
    return root, list(problems)


def _check(data: Any, marks: Marks, whole: bool = True, of_a_run: bool = False) -> Spec:
    """The spec that the data is; `whole` has its stages checked too."""
    root, problems = _read(data, marks, of_a_run)
    if problems:
        raise _error(problems)
    spec = Spec(data, marks, root, of_a_run)
    if whole:
        spec.stages()
        if spec["search"] is not None and not of_a_run:
            check_search(spec)
    return spec


def _error(problems: list[Problem]) -> SpecError:
    error = SpecError(sorted(problems, key=lambda p: _line_and_column(p.where)))
    if any(" named '" in problem.message for problem in problems):
        for plugin in host().quarantined:
            error.add_note(f"It may belong to plugin {plugin}, which is set aside:\n{plugin.trace}")
    return error


def _line_and_column(where: str) -> tuple[int, ...]:
    return tuple(int(part) for part in where.split(":")[-2:] if part.isdecimal())


def _absolute(tree: Any, annotation: Any = None) -> Any:
    if isinstance(tree, Node):
        parameters = tree.component.parameters
        arguments = {k: _absolute(v, parameters[k].annotation) for k, v in tree.arguments.items()}
        return Node(tree.component, tree.name, arguments, tree.path)
    if isinstance(tree, list | tuple):
        return [_absolute(item, annotation) for item in tree]
    if isinstance(tree, dict):
        return {key: _absolute(item, annotation) for key, item in tree.items()}
    if isinstance(tree, str) and "://" not in tree and is_marked(annotation, tree, Located):
        return os.path.abspath(os.path.expanduser(tree))
    return tree


def is_marked(annotation: Any, text: str, mark: type) -> bool:
    """True where the text stands for what the mark says, a path, and is no word that the annotation names beside."""
    arguments = typing.get_args(annotation)
    if any(typing.get_origin(a) is Literal and text in typing.get_args(a) for a in arguments):
        return False
    marks = getattr(annotation, "__metadata__", ())
    return any(isinstance(m, mark) for m in marks) or any(is_marked(a, text, mark) for a in arguments)
