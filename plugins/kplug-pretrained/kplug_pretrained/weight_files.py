"""Weights from a file that Keras wrote, seen to be those of the network before any is changed.

Keras's own loader leaves what a file lacks as it was made, and for some files only warns. Here each tensor of the
network is found in the file, or nothing is loaded.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import keras

from kplug.authoring import finalize, key_in_files, own_variables
from kplug.errors import SpecError, did_you_mean

SHOWN = 5  # differing tensors that a message names
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """A weight of the network and what the file has for it.

    Args:
        label: layer and weight, as messages call it.
        variable: of the network.
        found: in the file; None where there is none.
    """

    label: str
    variable: Any
    found: Any

    @property
    def layer(self) -> str:
        return self.label.partition("/")[0]

    @property
    def fits(self) -> bool:
        return self.found is not None and self.found.shape == tuple(self.variable.shape)

    @property
    def difference(self) -> str:
        shape = tuple(self.variable.shape)
        if self.found is None:
            return f"layer {self.label} {shape} is missing in the file"
        return f"layer {self.label} is {self.found.shape} in the file, {shape} in the model"


def load_weight_file(
    path: str, model: keras.Model, name: str, include_top: bool, classes: int, whole: Callable[[int], keras.Model]
) -> None:
    """Give a model the weights of a file. A model without its classifier takes a file with one, and leaves it out.

    Args:
        path: the file.
        model: of keras.applications.
        name: of its function.
        include_top: whether it has its classifier.
        classes: of the data.
        whole: makes the model with a classifier of so many classes.

    Raises:
        SpecError: the file cannot be read, or is of another network; nothing was changed.
    """
    with _opened(path) as file:
        rows, extra = compare(file, model)
        differing = [row for row in rows if not row.fits]
        if not include_top and extra and not differing and _is_of(file, whole(extra[-1][1][-1])):
            extra = []
        if extra or differing:
            form = f"{name} {'with' if include_top else 'without'} its classifier"
            hint = _hint(differing, rows[-1], classes) if include_top and not extra else ""
            raise SpecError(f"{path} is not of {form}: {_differences(differing, extra)}{hint}")
        try:
            values = [(row.variable, row.found[()]) for row in rows]
        except OSError as error:
            raise SpecError(f"{path} is damaged: {error}; fetch it again") from error
    assign_weights(model, values)


def _is_of(file: h5py.File, model: keras.Model) -> bool:
    """Return True where a file holds the weights of the model, and nothing else."""
    rows, extra = compare(file, model)
    return not extra and all(row.fits for row in rows)


def assign_weights(model: keras.Model, values: Sequence[tuple[Any, Any]]) -> None:
    """Give a model values for all its weights, and see that it has them."""
    missing = {id(weight) for weight in model.weights} - {id(variable) for variable, _ in values}
    if missing:
        raise RuntimeError(f"{len(missing)} weights of {model.name} are in no layer that Keras's files have")
    for variable, value in values:
        variable.assign(value)
    for variable, value in values:
        now = keras.ops.convert_to_numpy(variable)
        if not (now == value.astype(now.dtype)).all():
            raise RuntimeError(f"{variable.path} did not take the value that was read for it; are there NaN in it?")
    finalize(model)


# --- reading -------------------------------------------------------------------------------------------------------


def _opened(path: str) -> h5py.File:
    path = os.path.expanduser(path)
    if not os.path.isfile(path):
        near = did_you_mean(os.path.basename(path), ["imagenet"])
        raise SpecError(f"weights: there is no file {path}{near} (imagenet, the path of a file, or null)")
    if not h5py.is_hdf5(path):
        raise SpecError(f"{path} is no HDF5 file; Keras writes weights as .weights.h5, with model.save_weights")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise SpecError(f"{path} is damaged: {error}; fetch it again") from error


def compare(file: h5py.File, model: keras.Model) -> tuple[list[Row], list[tuple[str, Shape]]]:
    """A row for each weight of the model, and (label, shape) of what the file has beside."""
    group = file["model_weights"] if "layer_names" not in file.attrs and "model_weights" in file else file
    legacy = "layer_names" in group.attrs
    return (_compare_legacy if legacy else _compare_by_key)(group, model)


def _datasets(group: h5py.Group) -> dict[str, h5py.Dataset]:
    """Every array in a file, by its path. `visititems` follows no link, and none may lie in another file."""
    found: dict[str, h5py.Dataset] = {}

    def add(path: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            if item.external or item.is_virtual:
                raise SpecError(f"{group.file.filename}: {path} lies in another file; weights are read from one alone")
            found[path] = item

    group.visititems(add)
    return found


def _compare_by_key(group: h5py.Group, model: keras.Model) -> tuple[list[Row], list[tuple[str, Shape]]]:
    """Files of Keras 3: arrays by the class of their layer and a number, in the order of the model's layers."""
    found = {
        path: array
        for path, array in _datasets(group).items()
        if "/vars/" in path and "seed_generator" not in path and not path.startswith(("optimizer/", "metrics/"))
    }
    rows = []
    for key, layer in _keys(model):
        for number, variable in enumerate(own_variables(layer)):
            rows.append(Row(_label(layer, variable), variable, found.pop(f"{key}/vars/{number}", None)))
    return rows, [(path.replace("/vars/", "/"), array.shape) for path, array in found.items()]


def _keys(model: Any, path: str = "layers") -> Iterator[tuple[str, Any]]:
    """(path in a file, layer) of every layer with weights of its own: Keras counts the layers of each class."""
    counts: dict[str, int] = {}
    for layer in model.layers:
        base = key_in_files(layer)
        count = counts[base] = counts.get(base, -1) + 1
        key = f"{path}/{base}_{count}" if count else f"{path}/{base}"
        if isinstance(layer, keras.Model):
            yield from _keys(layer, f"{key}/layers")
        elif own_variables(layer):
            yield key, layer


def _compare_legacy(group: h5py.Group, model: keras.Model) -> tuple[list[Row], list[tuple[str, Shape]]]:
    """Files of Keras 2 and `.h5` ones of Keras 3: layers by name, each with a list of weights, in the model's order."""
    found = _datasets(group)
    theirs: list[list[tuple[str, Any]]] = []
    for name in _names(group, "layer_names"):
        arrays = [(f"{name}/{weight}", found.get(f"{name}/{weight}")) for weight in _names(group[name], "weight_names")]
        if arrays:
            theirs.append([(label, array) for label, array in arrays if array is not None])
    mine = [(layer, layer.trainable_weights + layer.non_trainable_weights) for layer in model.layers if layer.weights]
    rows: list[Row] = []
    extra: list[tuple[str, Shape]] = []
    for number in range(max(len(mine), len(theirs))):
        layer, variables = mine[number] if number < len(mine) else (None, [])
        given = theirs[number] if number < len(theirs) else []
        for place, variable in enumerate(variables):
            rows.append(Row(_label(layer, variable), variable, given[place][1] if place < len(given) else None))
        extra.extend((label, array.shape) for label, array in given[len(variables) :])
    return rows, extra


def _names(group: h5py.Group, attribute: str) -> list[str]:
    """A list of names, which Keras cuts into several attributes where it is long."""
    whole = list(group.attrs.get(attribute, ()))
    number = 0
    while f"{attribute}{number}" in group.attrs:
        whole.extend(group.attrs[f"{attribute}{number}"])
        number += 1
    return [name.decode() if isinstance(name, bytes) else str(name) for name in whole]


def _label(layer: Any, variable: Any) -> str:
    return f"{layer.name}/{variable.name}"


# --- what differs --------------------------------------------------------------------------------------------------


def _differences(differing: Sequence[Row], extra: Sequence[tuple[str, Shape]]) -> str:
    said = [row.difference for row in differing]
    said += [f"{label} {shape} is in the file alone" for label, shape in extra]
    more = len(said) - SHOWN
    return "; ".join(said[:SHOWN]) + (f"; {more} more differ" if more > 0 else "")


def _hint(differing: Sequence[Row], last: Row, classes: int) -> str:
    """The likely cause where only a network's last layer differs from the file's, for a person; else empty."""
    if {row.layer for row in differing} != {last.layer}:
        return ""
    bias = differing[-1].found
    if bias is None:
        return "; the file has no classifier: it is for include_top: false"
    return (
        f"; only the classifier differs: the file tells {bias.shape[-1]} classes, the source has {classes}; with a "
        "file that was written without the classifier, include_top: false gives features, on which a head learns them"
    )
