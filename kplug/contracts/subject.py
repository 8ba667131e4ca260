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
import tensorflow as tf

from kplug.contracts.tiny import tiny_given, tiny_search
from kplug.errors import SpecError
from kplug.records import Columns, DataInfo, SearchInfo
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
        data: of a task: the section `data`, as YAML has it.
        at_rest: batch normalization is kept in inference mode while training.
    """

    component: Component
    small: Mapping[str, Any] = field(default_factory=dict)
    inputs: Any = None
    unreached: Sequence[str] = ()
    data: Mapping[str, Any] | None = None
    at_rest: bool = False

    @property
    def kind(self) -> str:
        """The name of the component's kind."""
        assert self.component.kind is not None
        return self.component.kind.name

    @property
    def written(self) -> dict[str, Any]:
        """The node as YAML has it; its owner is named, since a built-in of that name would win."""
        return {"type": f"{self.component.distribution}/{self.component.name}", **self.small}

    def make_from_defaults(self) -> None:
        """Build the component from its defaults, which the tiny data may be no data for where arguments are given."""
        needed = {name: value for name, value in self.small.items() if name in self.component.required}
        given: dict[type, Any] = {Columns: self.inputs} if isinstance(self.inputs, Columns) else {}
        try:
            self.make(given, needed)
        except SpecError:
            if needed == self.small:
                raise

    def make(self, given: Mapping[type, Any] | None = None, small: Mapping[str, Any] | None = None) -> Any:
        """Build the component and return what it makes.

        Args:
            given: what is injected; by default that of tiny data.
            small: other arguments.
        """
        spec, node = self.checked(small)
        return build(spec, node, self._given() | dict(given or {}))

    def checked(self, small: Mapping[str, Any] | None = None) -> tuple[Spec, Node]:
        """The node with its arguments, or with `small`, as `kplug check` has it, and a spec of nothing else."""
        written = self.written if small is None else {"type": self.written["type"], **small}
        marks = Marks(f"check({self.component.name})")
        problems = Problems(marks)
        node = Checker(host().registry, problems).check(form_of(Annotated[Any, self.component.kind]), written, ())
        said = "\n".join(str(problem) for problem in problems.found)
        demand(not problems.found, f"these arguments do not fit the component:\n{said}")
        assert isinstance(node, Node)
        return Spec(Written(written, marks), node), node

    @cached_property
    def run(self) -> RunDirectory:
        """A new run for a callback to write into; it is gone with the subject."""
        folder = tempfile.mkdtemp(prefix="kplug-check-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return RunDirectory.create(loads(OF_THE_RUN), folder)

    def _given(self) -> dict[type, Any]:
        """The records of tiny data, and what is injected into this kind alone."""
        if self.kind in ("callback", "evaluator"):
            return tiny_given() | {RunDirectory: self.run}
        return tiny_given() | ({SearchInfo: tiny_search()} if self.kind == "oracle" else {})

    def of_class(self, made: Any, wanted: type, name: str, also: str = "") -> None:
        """Demand that what was made is of the class that the kind promises; `also` says more of what was made."""
        demand(
            isinstance(made, wanted),
            f"{_a(self.kind)} returns {_a(name)}; '{self.component.name}' returned {_a(type(made).__name__)}{also}",
        )


def check_documentation(component: Component) -> None:
    """Demand a docstring that begins with a sentence and has a line for each parameter that YAML can set."""
    name, (summary, documented) = component.name, component.documentation
    demand(
        component.summary.endswith((".", ")", "?", "!", ":")),
        f"the docstring of '{name}' begins with a sentence that says what it is for; received {summary!r}",
    )
    missing = ", ".join(p for p in component.parameters if not documented.get(p))
    demand(not missing, f"every parameter of '{name}' has a line in `Args:`; missing: {missing}")
    unknown = ", ".join(p for p in documented if p not in component.parameters)
    only = f"`Args:` of '{name}' has a line for each parameter that YAML can set, and no other"
    demand(not unknown, f"{only}; received: {unknown}")


def for_pictures(shape: tuple[int, ...]) -> dict[type, Any]:
    """The injected `DataInfo` for pictures of this shape; nothing for inputs that are no pictures."""
    if len(shape) != 3:
        return {}
    return {DataInfo: tiny_given((shape[0], shape[1], shape[2]))[DataInfo]}


def weights_of(model: Any) -> dict[str, np.ndarray]:
    """The weights that training changed; by number too, since Keras names the layers of a second build otherwise."""
    return {f"weight {n} ({weight.name})": weight.numpy() for n, weight in enumerate(model.trainable_variables)}


def finite(values: Any) -> bool:
    """Return True where every number of an array or tensor is finite; a sparse gradient is a tensor too."""
    return bool(np.isfinite(tf.convert_to_tensor(values).numpy()).all())


def same(one: Any, other: Any) -> bool:
    """Return True where two trees of arrays, or of tensors, are equal to the bit."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    one, other = np.asarray(one), np.asarray(other)
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


def _a(word: str) -> str:
    """The word with its article: `an Embedding`."""
    return f"{'an' if word[0].lower() in 'aeiou' else 'a'} {word}"
