"""Networks of stages, and of one cell repeated: images `[b, h, w, c]` to features `[b, h', w', channels]`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from keras import layers, ops

from kplug import SpecError
from kplug_nas.forms import scaled_depth, scaled_side, scaled_width
from kplug_nas.operations import activate, convolve

if TYPE_CHECKING:
    from kplug_nas import CellNode, Stage

LEVELS = range(12)  # of a pyramid: strides up to 2048


def build_stages(x: Any, stages: Sequence[Stage], stem: Any, compound: float) -> tuple[Any, dict[str, Any]]:
    """A network of stages; its pyramid has the last output at each stride, that of the resized picture."""
    x = enlarge(demand_map(x, "stages gets"), compound) if compound else x
    x, level = begin(demand_map(x, "stages gets"), stem, scaled_width(stages[0].width, compound))
    pyramid = {}
    for number, stage in enumerate(stages):
        x = change(x, scaled_width(stage.width, compound), stage.stride, f"stage{number + 1}_transition")
        for block in range(scaled_depth(stage.depth, compound)):
            x = add_block(x, stage, f"stages.{number}", f"stage{number + 1}_block{block + 1}")
        level = level + (stage.stride == 2) if level is not None else None
        pyramid[f"P{level}"] = x
    x = pyramid[f"P{level}"] = activate(x, "last")
    return x, pyramid if level is not None else {}


def build_cells(x: Any, nodes: Sequence[CellNode], width: int, depth: int, stages: int) -> tuple[Any, dict[str, Any]]:
    """A network of `depth` cells in each stage."""
    last = before = convolve(demand_map(x, "cell gets"), width, 3, "stem")
    pyramid = {}
    for stage in range(stages):
        channels, name = width * 2**stage, f"stage{stage + 1}"
        if stage:
            before = change(before, channels, 2, f"{name}_before")
            last = change(last, channels, 2, f"{name}_last")
        for number in range(depth):
            before, last = last, apply_cell([before, last], nodes, channels, f"{name}_cell{number + 1}")
        pyramid[f"P{stage}"] = last
    last = pyramid[f"P{stages - 1}"] = activate(last, "last")
    return last, pyramid


# --- stages ----------------------------------------------------------------------------------------------------------


def begin(x: Any, stem: Any, width: int) -> tuple[Any, int | None]:
    """The stem's output and its level in the pyramid, None where that is not known."""
    if stem is None:
        return activate(convolve(x, width, 3, "stem"), "stem"), 0
    y = demand_map(stem(x), "the stem gives")
    return y, level_between(x, y)


def level_between(x: Any, y: Any) -> int | None:
    """The logarithm of the stride; None where it is no power of 2, or a size is not known."""
    sides = list(zip(x.shape[1:3], y.shape[1:3], strict=True))
    if any(None in pair for pair in sides):
        return None
    fitting = (level for level in LEVELS if all(-(-before // 2**level) == after for before, after in sides))
    return next(fitting, None)


def change(x: Any, width: int, stride: int, name: str) -> Any:
    """Bring features to a width and a stride; an odd side rounds up. They stay as they are where neither changes."""
    if stride == 1 and x.shape[-1] == width:
        return x
    x = activate(x, name)
    x = layers.AveragePooling2D(2, 2, "same", name=f"{name}_pool")(x) if stride == 2 else x
    return convolve(x, width, 1, name)


def add_block(x: Any, stage: Stage, path: str, name: str) -> Any:
    """One block, attention after it, and beside them the shortcut."""
    y = keep_shape(stage.block, x, f"{path}.block")
    y = keep_shape(stage.attention, y, f"{path}.attention") if stage.attention else y
    return layers.Add(name=f"{name}_add")([x, y]) if stage.skip else y


class Enlarged(layers.Layer):
    """Pictures `[b, h, w, c]` resized bilinearly.

    `keras.layers.Resizing` before batch normalization makes a model compute wrongly when it is called (Keras 3.15).

    Args:
        size: height and width in pixels.
        name: the layer's name.
    """

    def __init__(self, size: tuple[int, int], name: str) -> None:
        super().__init__(name=name)
        self.size = size

    def call(self, images: Any) -> Any:
        resized = ops.image.resize(images, self.size, interpolation="bilinear", data_format="channels_last")
        return ops.cast(resized, images.dtype)


def enlarge(x: Any, compound: float) -> Any:
    """Pictures under compound scaling."""
    if None in x.shape[1:3]:
        raise SpecError("compound scales pictures of one size: set data.features.image.size, or compound: 0")
    height, width = (scaled_side(side, compound) for side in x.shape[1:3])
    return Enlarged((height, width), name="enlarged")(x)


# --- cells -----------------------------------------------------------------------------------------------------------


def apply_cell(states: list[Any], nodes: Sequence[CellNode], width: int, name: str) -> Any:
    """One cell on the outputs of the cell before the last and of the last."""
    read = {state for node in nodes for state in node.inputs}
    for number, node in enumerate(nodes):
        halves = [
            keep_shape(operation, states[state], f"nodes.{number}.operations.{place}")
            for place, (state, operation) in enumerate(zip(node.inputs, node.operations, strict=True))
        ]
        states.append(layers.Add(name=f"{name}_node{number}")(halves))
    loose = [state for number, state in enumerate(states) if number not in read]
    joined = layers.Concatenate(name=f"{name}_join")(loose) if len(loose) > 1 else loose[0]
    return convolve(activate(joined, name), width, 1, name)


# --- shapes ----------------------------------------------------------------------------------------------------------


def demand_map(x: Any, what: str) -> Any:
    if len(x.shape) != 4:
        raise SpecError(f"{what} the shape {shown(x)}, not that of a feature map, [height, width, channels]")
    return x


def keep_shape(make: Callable[[], Any], x: Any, path: str) -> Any:
    """A new block applied.

    Raises:
        SpecError: it changes the shape.
    """
    y = make()(x)
    if tuple(y.shape) != tuple(x.shape):
        raise SpecError(
            f"{path} changes the shape {shown(x)} to {shown(y)}; a block keeps the shape of what it gets, such as "
            "residual, separable or transformer_block, or layers that end in as many channels as they begin with"
        )
    return y


def shown(x: Any) -> str:
    return str(["?" if side is None else side for side in x.shape[1:]]).replace("'", "")
