"""How `tools/results` reads a spec: its lab note, what it trains, and on which data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from kplug.errors import Problem, SpecError, dotted
from kplug.kinds import Located
from kplug.spec import Spec
from kplug.spec.component import Parameter
from kplug.spec.forms import is_marked, item_of
from kplug.spec.tree import Node

NOTE_LINE = re.compile(r"# ?(paper|data|shows|baseline):(.*)")
FURTHER = re.compile(r"#\s{2,}(\S.*)")
PAPER = re.compile(r".*\d.* on .+ \(.+\)")
DATA_DIR = "data_dir"  # the name of a parameter that says where this machine keeps its datasets


@dataclass(frozen=True)
class Note:
    """The lines of the comment on top of a spec that are meant for this tool.

    Args:
        papers: `NUMBER on DATA (REFERENCE)`, one a `# paper:` line.
        data: the title of the section, instead of the source in words.
        shows: the metric of the test split that the spec is about.
        in_percent: whether that metric is shown in percent.
        baseline: the name of the spec that this one is compared with.
    """

    papers: tuple[str, ...] = ()
    data: str | None = None
    shows: str = "accuracy"
    in_percent: bool = True
    baseline: str | None = None


def read_note(path: Path) -> Note:
    """Read the note on top of a spec; SpecError where a line of it has not its form."""
    papers, single = [], {}
    for line, word, text in _note_lines(path):
        where = f"{path}:{line}"
        if word == "paper" and not PAPER.fullmatch(text):
            example = "# paper: 94.9 % on Fashion-MNIST test (Zhong et al. 2020, WRN-28-10)"
            raise SpecError(
                [Problem(f"a number, ` on `, its data, its source in brackets, as in `{example}`", (), where)]
            )
        if not text or word in single:
            what = f"a second `# {word}:` line" if text else f"nothing after `# {word}:`"
            raise SpecError([Problem(what, (), where)])
        if word == "paper":
            papers.append(text)
        else:
            single[word] = text
    shows = single.get("shows", "accuracy %")
    name = shows.removesuffix("%").strip()
    return Note(tuple(papers), single.get("data"), name, shows.endswith("%"), single.get("baseline"))


def _note_lines(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield (line, word, text) of a note's lines for this tool; a line further in goes on with the one above."""
    found: list[tuple[int, str, str]] = []
    goes_on = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.startswith("#"):
            break
        if match := NOTE_LINE.fullmatch(line):
            found.append((number, match[1], match[2].strip()))
        elif goes_on and (further := FURTHER.fullmatch(line)):
            found[-1] = (*found[-1][:2], f"{found[-1][2]} {further[1].strip()}")
        goes_on = bool(match or (goes_on and further))
    yield from found


def comparable(spec: Spec) -> dict[str, Any]:
    """Return the filled spec without its seed and the places of its data: equal where the same is trained.

    Of features there is what is not their default: which fields follow from a source, it can say only where it is.
    """
    found = {key: value for key, value in _placed(spec.root, without_places=True).items() if key != "seed"}
    features = {name: _unusual(name, node) for name, node in spec["data.features"].items()}
    found["data"] |= {"features": {name: said for name, said in features.items() if said}}
    return found


def _unusual(name: str, feature: Node) -> dict[str, Any]:
    """The parameters of a field's feature that are not the default, and its type where that is not the field's name."""
    parameters = feature.component.parameters
    said = {key: value for key, value in feature.arguments.items() if value != parameters[key].default}
    return ({} if feature.name == name else {"type": feature.name}) | said


def filled(spec: Spec) -> dict[str, Any]:
    """Return the filled spec as a record keeps it: paths are cut to their last names, so that it can be read again."""
    return _placed(spec.root, without_places=False)


def _placed(tree: Any, without_places: bool, parameter: Parameter | None = None, path: tuple[str, ...] = ()) -> Any:
    if isinstance(tree, Node):
        parameters = tree.component.parameters
        named = {} if tree.component.kind is None else {"type": tree.name}
        return named | {k: _placed(v, without_places, parameters[k], (*path, k)) for k, v in tree.arguments.items()}
    inside = parameter and replace(parameter, form=item_of(parameter.form))
    if isinstance(tree, dict):
        return {key: _placed(value, without_places, inside, path) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_placed(item, without_places, inside, path) for item in tree]
    if parameter and path[-1] == DATA_DIR and is_marked(parameter.form, "", Located) and not parameter.required:
        return parameter.default
    if parameter and isinstance(tree, str) and is_marked(parameter.form, tree, Located) and "://" not in tree:
        return "" if without_places and path[0] == "data" else last_name(tree)
    return tree


def last_name(path: str) -> str:
    """Return the end of a path that says what it is: its last name, and for a numbered run the last two."""
    parts = PurePath(path).parts
    return "/".join(parts[-2:] if parts[-1].isdecimal() else parts[-1:])


def data_dirs(tree: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the dotted paths of a spec's parameters that say where datasets stand."""
    if isinstance(tree, Node):
        for key, value in tree.arguments.items():
            if key == DATA_DIR and is_marked(tree.component.parameters[key].form, "", Located):
                yield dotted((*path, key))
            yield from data_dirs(value, (*path, key))


def in_words(source: Node) -> str:
    """Describe a source by its required parameters and those that are not the default; a wrapped source comes first."""
    own, inner = [], []
    for key, value in source.arguments.items():
        parameter = source.component.parameters[key]
        if isinstance(value, Node):
            inner.append(in_words(value))
        elif key != DATA_DIR and (parameter.required or inner or value != parameter.default):
            text = last_name(value) if is_marked(parameter.form, str(value), Located) else str(value)
            own.append(text if parameter.required else f"{key} {text}")
    if inner:
        return ", ".join([*inner, " ".join([source.name, *own])])
    return " ".join(own) or source.name
