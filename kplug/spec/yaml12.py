"""YAML with a place for every value: 1.2 scalars, no duplicate keys, no tags, and caps that a bomb cannot pass.

PyYAML reads YAML 1.1 (`1e-3` is text, `no` is False, `010` is 8), keeps the last of two equal keys and expands aliases
without end; so only its parser and composer are used.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from kplug.errors import Path, Problem, SpecError

# Within these the slowest document that was found is read and checked in under 2 seconds of processor time.
MOST_BYTES = 2**19
MOST_DEPTH = 64
MOST_NODES = 20_000
MOST_DIGITS = 1_000

_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_UNTAGGED = "untagged"


@dataclass
class Marks:
    """The places of every value and key of a document, by path.

    Args:
        source: the name of the document.
        values: path of a value to its place.
        keys: path of a value to the place of its key.
        replaced: (path, place) of what was put into the document later, with all below it; the last counts.
    """

    source: str = ""
    values: dict[Path, str] = field(default_factory=dict)
    keys: dict[Path, str] = field(default_factory=dict)
    replaced: tuple[tuple[Path, str], ...] = ()

    def where(self, path: Path, key: bool = False) -> str:
        """The place of a path, or of the nearest thing around it that was written."""
        for over, where in reversed(self.replaced):
            if path[: len(over)] == over:
                return where
        if key and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, self.source)

    def replace(self, path: Path, where: str) -> Marks:
        """These marks, with everything at and below `path` standing at `where`."""
        return Marks(self.source, self.values, self.keys, (*self.replaced, (path, where)))


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
        content = raw.decode("utf-8").removeprefix("\ufeff")
        loader = _Loader(content, source)
        root = loader.get_single_node()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        _refuse(f"{source}:{line}:1", f"not text in UTF-8: a byte in this line is 0x{raw[error.start]:02x}")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        _refuse(_place(source, mark) if mark else source, _in_our_words(error))
    except yaml.reader.ReaderError as error:
        line, start = content.count("\n", 0, error.position) + 1, content.rfind("\n", 0, error.position)
        where = f"{source}:{line}:{error.position - start}"
        what = f"the character U+{error.character:04X} may not stand here; in double quotes, escape it"
        _refuse(where, f"not YAML: {what}")
    except (ValueError, OverflowError):  # of `chr`, which the scanner asks with the number of an escape
        where = _place(source, loader.get_mark())
        _refuse(where, "not YAML: an escape stands for no character; \\U is followed by 8 digits up to 0010FFFF")
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


def _place(source: str, mark: Any) -> str:
    return f"{source}:{mark.line + 1}:{mark.column + 1}"


_HINTS = {
    "mapping values are not allowed here": "write 'key: value', and text that holds ': ' in quotes",
    "found character '\\t' that cannot start any token": "indent with spaces, not tabs",
    "that cannot start any token": "put text that begins so in quotes",
    "but found '<block mapping start>'": "the indentation fits no line above",
}


def _in_our_words(error: yaml.MarkedYAMLError) -> str:
    context = error.context or ""
    if context and error.context_mark and error.context_mark.line != getattr(error.problem_mark, "line", None):
        context += f" (line {error.context_mark.line + 1})"
    what = ", ".join(part for part in (context, error.problem) if part)
    hint = next((f"; {hint}" for problem, hint in _HINTS.items() if (error.problem or "").endswith(problem)), "")
    return f"not YAML: {what}{hint}"


def _refuse(where: str, message: str) -> NoReturn:
    raise SpecError(message, where=where)


class _Loader(yaml.SafeLoader):
    """The parser and composer; `resolve` leaves the meaning of scalars to `_scalar`."""

    def __init__(self, text: str, source: str) -> None:
        super().__init__(text)
        self.source = source
        self.depth = 0
        self.nodes = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.depth += 1
        self.nodes += 1
        if self.depth > MOST_DEPTH:
            _refuse(_place(self.source, self.peek_event().start_mark), f"nested deeper than {MOST_DEPTH}")
        if self.nodes > 2 * MOST_NODES:  # keys are nodes too
            _refuse(_place(self.source, self.peek_event().start_mark), f"more than {MOST_NODES:,} values")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        return _UNTAGGED


class _Reader:
    """Reads composed nodes as plain data, and notes where each stands and what is wrong with it."""

    def __init__(self, source: str) -> None:
        self.marks = Marks(source)
        self.problems: list[Problem] = []
        self.nodes = 0

    def read(self, node: Any, path: Path) -> Any:
        self.nodes += 1
        where = _place(self.marks.source, node.start_mark)
        self.marks.values[path] = where
        if self.nodes > MOST_NODES:
            _refuse(where, f"more than {MOST_NODES:,} values once its aliases are expanded")
        if len(path) > MOST_DEPTH:
            _refuse(where, f"nested deeper than {MOST_DEPTH} once its aliases are expanded")
        if node.tag != _UNTAGGED:
            tag = node.tag.replace("tag:yaml.org,2002:", "!!")
            return self._note(f"a spec has no tags; received '{tag}'", path, where)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path, where)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, i)) for i, item in enumerate(node.value)]
        return self._mapping(node, path)

    def _mapping(self, node: Any, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, value in node.value:
            where, here = _place(self.marks.source, key.start_mark), (*path, key.value)
            if not isinstance(key, yaml.ScalarNode):
                self._note("a key must be text; received a list or a mapping", path, where)
            elif key.value == "<<" and key.style is None:
                self._note("a spec has no merges; write the keys out", here, where)
            elif key.value in result:
                first = self.marks.keys[here].rpartition(":")[0].rpartition(":")[2]
                self._note(f"the key stands twice (first in line {first})", here, where)
            else:
                result[key.value] = self.read(value, here)
                self.marks.keys[here] = where
        return result

    def _scalar(self, node: Any, path: Path, where: str) -> Any:
        try:
            return node.value if node.style is not None else _plain(node.value)
        except ValueError as error:
            return self._note(str(error), path, where)

    def _note(self, message: str, path: Path, where: str) -> None:
        """Add what is wrong with a value, which is read as None."""
        self.problems.append(Problem(message, path, where))


def _plain(text: str) -> Any:
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text.lower() == "true"
    if not (is_int := _INT.fullmatch(text)) and not _FLOAT.fullmatch(text):
        return text
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number of {len(text):,} digits is too long")
    if is_int:
        whole = int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        if not -(2**63) <= whole < 2**63:
            raise ValueError(f"a whole number has 64 bits at most; {text[:40]} is beyond")
        return whole
    number = float(re.sub(r"\.(?=inf|nan)", "", text.lower()))
    if math.isinf(number) and "inf" not in text.lower():
        raise ValueError(f"{text} is too large for a number")
    return number


class _Dumper(yaml.SafeDumper):
    """Quotes what either YAML 1.1 or 1.2 would not read as text, and repeats what is repeated."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_str(self, data: str) -> Any:
        style = '"' if re.search("[\x85\u2028\u2029]", data) else None  # YAML 1.1 ends a line there
        return self.represent_scalar("tag:yaml.org,2002:str", data, style)


_Dumper.add_representer(str, _Dumper.represent_str)

for _tag, _pattern in (("null", _NULL), ("bool", _BOOL), ("int", _INT), ("float", _FLOAT)):
    _Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern.pattern})$"), None)
