"""YAML with a place for every value: 1.2 scalars, no duplicate keys, no tags, and caps that a bomb cannot pass.

PyYAML reads YAML 1.1 (`1e-3` is text, `no` is False, `010` is 8), keeps the last of two equal keys and expands aliases
without end; so only its parser and composer are used.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from kplug.errors import Path, Problem, SpecError

MOST_BYTES = 2**20
MOST_DEPTH = 64
MOST_NODES = 100_000

_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_UNTAGGED = "untagged"


@dataclass
class Marks:
    """Where every value and key of a document stands, by path."""

    source: str = ""
    values: dict[Path, str] = field(default_factory=dict)
    keys: dict[Path, str] = field(default_factory=dict)

    def where(self, path: Path, key: bool = False) -> str:
        """The place of a path, or of the nearest thing around it that was written."""
        if key and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, self.source)

    def replace(self, path: Path, where: str) -> Marks:
        """These marks, with everything at and below `path` standing at `where`."""
        keep = {p: w for p, w in self.values.items() if p[: len(path)] != path}
        keys = {p: w for p, w in self.keys.items() if p[: len(path)] != path}
        return Marks(self.source, keep | {path: where}, keys | {path: where})


def parse(text: str | bytes, source: str) -> tuple[Any, Marks]:
    """A document as plain data and its marks.

    Args:
        text: YAML; bytes are UTF-8.
        source: what stands before line and column in messages: the file's name.

    Raises:
        SpecError: it is not YAML, or not the part of YAML that a spec is written in.
    """
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(raw) > MOST_BYTES:
        _refuse(source, f"{len(raw):,} bytes is more than a spec may have ({MOST_BYTES:,})")
    try:
        loader = _Loader(raw.decode("utf-8-sig"))
        root = loader.get_single_node()
    except UnicodeDecodeError as error:
        _refuse(source, f"not text in UTF-8: byte {error.start} is 0x{raw[error.start]:02x}")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{source}:{mark.line + 1}:{mark.column + 1}" if mark else source
        _refuse(where, f"not YAML: {error.problem or error.context}")
    except yaml.reader.ReaderError as error:
        _refuse(source, f"not YAML: character {error.position} is {error.character!r}: {error.reason}")
    if root is None:
        return None, Marks(source)
    reader = _Reader(source)
    data = reader.read(root, ())
    if reader.problems:
        raise SpecError(reader.problems)
    return data, reader.marks


def dump(data: Any) -> str:
    """Plain data as YAML that `parse` reads back the same; 1.1 readers too."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, default_flow_style=None, allow_unicode=True, width=120)


def _refuse(where: str, message: str) -> NoReturn:
    raise SpecError([Problem(message, where=where)])


class _Loader(yaml.SafeLoader):
    """The parser and composer; `resolve` leaves the meaning of scalars to `_scalar`."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.depth += 1
        if self.depth > MOST_DEPTH:
            mark = self.peek_event().start_mark
            raise yaml.composer.ComposerError(None, None, f"nested deeper than {MOST_DEPTH}", mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        return _UNTAGGED


class _Reader:
    def __init__(self, source: str) -> None:
        self.marks = Marks(source)
        self.problems: list[Problem] = []
        self.nodes = 0

    def read(self, node: Any, path: Path) -> Any:
        self.nodes += 1
        where = f"{self.marks.source}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"
        self.marks.values[path] = where
        if self.nodes > MOST_NODES:
            _refuse(where, f"more than {MOST_NODES:,} values once its aliases are expanded")
        if len(path) > MOST_DEPTH:
            _refuse(where, f"nested deeper than {MOST_DEPTH} once its aliases are expanded")
        if node.tag != _UNTAGGED:
            self.problems.append(Problem(f"a spec has no tags; received {node.tag!r}", path, where))
            return None
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path, where)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, i)) for i, item in enumerate(node.value)]
        return self._mapping(node, path)

    def _mapping(self, node: Any, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, value in node.value:
            where = f"{self.marks.source}:{key.start_mark.line + 1}:{key.start_mark.column + 1}"
            if not isinstance(key, yaml.ScalarNode):
                self.problems.append(Problem("a key must be text", path, where))
                continue
            here = (*path, key.value)
            if key.value in result:
                first = self.marks.keys[here].rpartition(":")[0].rpartition(":")[2]
                self.problems.append(Problem(f"the key stands twice (first in line {first})", here, where))
                continue
            result[key.value] = self.read(value, here)
            self.marks.keys[here] = where
        return result

    def _scalar(self, node: Any, path: Path, where: str) -> Any:
        try:
            return node.value if node.style is not None else _plain(node.value)
        except ValueError:
            self.problems.append(Problem(f"a number of {len(node.value):,} digits is too long", path, where))
            return None


def _plain(text: str) -> Any:
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text.lower() == "true"
    if _INT.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.fullmatch(text):
        return float(re.sub(r"\.(?=inf|nan)", "", text.lower()))
    return text


class _Dumper(yaml.SafeDumper):
    """Quotes what either YAML 1.1 or 1.2 would not read as text, and repeats what is repeated."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _tag, _pattern in (("null", _NULL), ("bool", _BOOL), ("int", _INT), ("float", _FLOAT)):
    _Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern.pattern})$"), None)
