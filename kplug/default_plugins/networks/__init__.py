"""Networks written in YAML, and what stands between a network and its scores."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kplug import Architecture, Count, DataInfo, Fraction, Name, Rebuild, RunPath, SpecError, Text, hookimpl, rule
from kplug.errors import Path, Problem


@hookimpl
def components():
    return [layers, linear, none, from_run]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One step of `layers` that needs more than a layer.

    Args:
        layer: what is applied.
        name: how later entries call its output.
        inputs: names of the outputs it takes, several as a list; by default the output before it.
        repeat: how often it is applied, each time with weights of its own.
    """

    layer: Callable[[], Architecture]
    name: Name | None = None
    inputs: list[Name] = ()  # type: ignore[assignment]
    repeat: Count = 1


def _names_are_known(layers: Sequence[Any]) -> None:
    problems = [Problem("a network needs at least one layer", ("layers",))] if not layers else []
    known = ["input"]
    for position, entry in enumerate(layers):
        if "type" in entry:
            continue
        problems += [Problem(text, ("layers", position, *path)) for text, path in _wrong_names(entry, known)]
        known += [entry["name"]] if entry["name"] else []
    if problems:
        raise SpecError(problems)


def _wrong_names(entry: Mapping[str, Any], known: Sequence[str]) -> Iterator[tuple[str, Path]]:
    for number, name in enumerate(entry["inputs"]):
        if name not in known:
            yield f"no output before it is named '{name}' (named: {', '.join(known)})", ("inputs", number)
    if entry["repeat"] > 1 and len(entry["inputs"]) > 1:
        yield "a layer of several inputs cannot be repeated", ("repeat",)
    if entry["name"] in known:
        yield f"'{entry['name']}' is the name of another output", ("name",)


@rule(_names_are_known)
def layers(layers: list[Architecture | Entry]) -> Architecture:
    """Layers one after another, with skips and branches by name: any network in YAML.

    Args:
        layers: architectures, or {layer: ARCHITECTURE, name: a, inputs: [x, y], repeat: 3}; `input` names what the
            whole receives, and the last output is the result.
    """
    from kplug.model.network import Network

    def apply(x: Any) -> Any:
        outputs = {"input": x}
        for step in layers:
            if not isinstance(step, Entry):
                x = step(x)
                continue
            given = [outputs[name] for name in step.inputs] or [x]
            x = given[0] if len(given) == 1 else given
            for _ in range(step.repeat):
                x = step.layer()(x)
            outputs |= {step.name: x} if step.name else {}
        return x

    return Network(apply, name="layers")


def linear(data: DataInfo, dropout: Fraction = 0.0) -> Architecture:
    """Scores for each class: the mean over space where there is space, dropout, and a dense layer in float32.

    Args:
        dropout: share of features that training leaves out.
    """
    import keras

    from kplug.model.network import Network

    def apply(x: Any) -> Any:
        if len(x.shape) > 2:
            x = keras.ops.mean(x, axis=tuple(range(1, len(x.shape) - 1)))
        x = keras.layers.Dropout(dropout)(x) if dropout else x
        return keras.layers.Dense(len(data.classes), dtype="float32", name="scores")(x)

    return Network(apply, name="linear")


def none() -> Architecture:
    """Nothing: for a network that gives scores by itself."""
    import keras

    return keras.layers.Identity()


def from_run(rebuild: Rebuild, run: RunPath, part: Text) -> Architecture:
    """A part of a network that another run has trained, with the weights which that run kept.

    Training goes on from these weights, or `fit.trainable` freezes them. The new run keeps a copy of what it needs of
    the other one. A part takes pictures of other sizes where its layers can.

    Args:
        run: the directory of the other run.
        part: its name among the parts of that run's task; classification has model and head.
    """
    from kplug.model.from_run import trained_part

    return trained_part(run, part, rebuild)
