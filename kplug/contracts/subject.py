"""The component that is checked, made by the machinery that makes every other: checker, registry, build."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any

import numpy as np

from kplug.contracts.tiny import tiny_given
from kplug.records import DataInfo, SearchInfo
from kplug.spec import Spec, loads
from kplug.spec.build import build
from kplug.spec.check import Checker, Problems
from kplug.spec.component import Component, form_of
from kplug.spec.plugins import host
from kplug.spec.spec import Written
from kplug.spec.tree import Node
from kplug.spec.yaml12 import Marks
from kplug.storage.run_directory import RunDirectory

OF_THE_RUN = "{name: check, task: {type: classification, model: flatten}, data: {source: digits}}"


def demand(condition: Any, message: str) -> None:
    """Raise AssertionError where a condition of a contract does not hold: an `assert` that `python -O` keeps."""
    if not condition:
        raise AssertionError(message)


@dataclass(frozen=True)
class Subject:
    """A component and the arguments that make it small.

    Args:
        component: as the registry has it.
        small: arguments as in YAML.
        inputs: what it is given; each kind says what that is.
        unreached: patterns of weights that no gradient needs to reach.
    """

    component: Component
    small: Mapping[str, Any] = field(default_factory=dict)
    inputs: Any = None
    unreached: Sequence[str] = ()

    @property
    def kind(self) -> str:
        assert self.component.kind is not None
        return self.component.kind.name

    @property
    def written(self) -> dict[str, Any]:
        """The node as YAML has it; its owner is named, since a built-in of that name would win."""
        return {"type": f"{self.component.distribution}/{self.component.name}", **self.small}

    def make(self, given: Mapping[type, Any] | None = None, small: Mapping[str, Any] | None = None) -> Any:
        """Build the component and return what it makes.

        Args:
            given: what is injected; by default that of tiny data.
            small: other arguments.
        """
        written = self.written if small is None else {"type": self.written["type"], **small}
        marks = Marks(f"check({self.component.name})")
        problems = Problems(marks)
        node = Checker(host().registry, problems).check(form_of(Annotated[Any, self.component.kind]), written, ())
        said = "\n".join(str(problem) for problem in problems.found)
        demand(not problems.found, f"these arguments do not fit the component:\n{said}")
        assert isinstance(node, Node)
        return build(Spec(Written(written, marks), node), node, self._given() | dict(given or {}))

    @cached_property
    def run(self) -> RunDirectory:
        """A new run for a callback to write into; it is gone with the subject."""
        folder = tempfile.mkdtemp(prefix="kplug-check-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return RunDirectory.create(loads(OF_THE_RUN), folder)

    def _given(self) -> dict[type, Any]:
        if self.kind == "callback":
            return tiny_given() | {RunDirectory: self.run}
        if self.kind != "oracle":
            return tiny_given()
        from kplug.contracts.tiny import tiny_search

        return tiny_given() | {SearchInfo: tiny_search()}

    def of_class(self, made: Any, wanted: type, name: str, also: str = "") -> None:
        """Demand that what was made is of the class that the kind promises; `also` says more of what was made."""
        demand(
            isinstance(made, wanted),
            f"{_a(self.kind)} returns {_a(name)}; '{self.component.name}' returned {_a(type(made).__name__)}{also}",
        )


def for_pictures(shape: tuple[int, ...]) -> dict[type, Any]:
    """The injected `DataInfo` for pictures of this shape; nothing for inputs that are no pictures."""
    if len(shape) != 3:
        return {}
    return {DataInfo: tiny_given((shape[0], shape[1], shape[2]))[DataInfo]}


def weights_of(model: Any) -> dict[str, np.ndarray]:
    """The weights that training changed; by number too, since Keras names the layers of a second build otherwise."""
    return {f"weight {n} ({weight.name})": weight.numpy() for n, weight in enumerate(model.trainable_variables)}


def same(one: Any, other: Any) -> bool:
    """Return True where two trees of arrays are equal to the bit."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    one, other = np.asarray(one), np.asarray(other)
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


def _a(word: str) -> str:
    return f"{'an' if word[0].lower() in 'aeiou' else 'a'} {word}"
