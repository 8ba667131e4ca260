"""The routing agreement as a picture: where the longest capsule gets its input from, iteration by iteration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kplug import Run
from kplug.authoring import as_png, layers_of, pictures
from kplug_capsule.learner import Capsules, draw, lengths_of
from kplug_capsule.routing import RoutedCapsules

PICTURES = 5  # sample pictures that are shown
MOST_BARS = 20  # classes whose lengths are shown, the longest first where there are more
FILE = "plots/routing.png"


@dataclass(frozen=True)
class Routing:
    """The routing of some pictures' capsules, all NumPy.

    Args:
        shares: `[iterations, b, classes, rows, columns]`: how much the capsules of a place send to a class, the mean
            over their kinds; over the classes it sums to 1.
        lengths: of the class capsules after each iteration, `[iterations, b, classes]`.
        drawn: the pictures that the longest capsules draw, 0 to 1, `[b, height, width, channels]`; None without a
            decoder.
    """

    shares: np.ndarray
    lengths: np.ndarray
    drawn: np.ndarray | None

    @property
    def winners(self) -> np.ndarray:
        """The class of the longest capsule, `[b]`."""
        return self.lengths[-1].argmax(-1)


class RoutingPicture(keras.callbacks.Callback):
    """Draws `plots/routing.png` when a training ends, with the weights of then, of a model that routes capsules."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run

    def on_train_end(self, logs: Any = None) -> None:
        files = sorted((self.run.path / "samples").glob("**/*.png"))[:PICTURES]
        layer = routed_layer(self.model)
        if files and layer is not None:
            images = np.stack([tf.io.decode_png(file.read_bytes()).numpy() for file in files])
            found = routing_of(self.model, layer, images)
            info, title = self.run.info, self.run.spec.name
            for name, drawn in pictures({FILE: lambda: draw_routing(images, found, info.classes, title)}).items():
                self.run.write(name, drawn)


def routed_layer(model: keras.Model) -> RoutedCapsules | None:
    """The last layer of a model that routes capsules from a grid of places; None where it has none."""
    layers = layers_of(model, include_self=False)
    found = [layer for layer in layers if isinstance(layer, RoutedCapsules) and layer.places]
    return found[-1] if found else None


def routing_of(model: keras.Model, layer: RoutedCapsules, images: np.ndarray) -> Routing:
    """The routing that `layer` of `model` arrives at for pictures, uint8 `[b, h, w, c]`."""
    with layer.watched() as seen:
        capsules = model(tf.constant(images), training=False)
    lengths, shares = [], []
    for above, sent in layer.steps(seen[-1]):
        lengths.append(_array(lengths_of(above)))
        shares.append(_array(sent).reshape(*sent.shape[:2], *(layer.places or ()), -1).mean(-1))
    drawn = None
    if isinstance(model, Capsules) and model.decoder is not None:
        longest = tf.one_hot(tf.argmax(lengths_of(capsules), -1), capsules.shape[1])
        drawn = _array(draw(model.decoder, capsules, longest)).reshape(images.shape)
    return Routing(np.stack(shares), np.stack(lengths), drawn)


def _array(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32"))


# --- drawing -------------------------------------------------------------------------------------------------------


def draw_routing(images: np.ndarray, routing: Routing, classes: tuple[str, ...], title: str) -> bytes:
    """A PNG with a row for each picture: what is seen, what is sent to the winner, all lengths, what is drawn."""
    from matplotlib.figure import Figure

    iterations, count = routing.shares.shape[:2]
    names = classes if len(classes) == routing.lengths.shape[2] else tuple(map(str, range(routing.lengths.shape[2])))
    widths = [1] * (1 + iterations) + [1.3, 1.6] + [1] * (routing.drawn is not None)
    figure = Figure(figsize=(1.9 * sum(widths), 2.0 * count + 1.3), layout="constrained")
    grid = figure.subplots(count, len(widths), squeeze=False, width_ratios=widths)
    colours = _colours(routing)
    for row, axes in enumerate(grid):
        winner = routing.winners[row]
        _show_picture(axes[0], images[row] / 255, f"longest: {names[winner]}")
        for number in range(iterations):
            sent = routing.shares[number, row, winner]
            heat = axes[1 + number].imshow(sent, cmap="RdBu_r", norm=colours)
            _label_map(axes[1 + number], sent)
        _show_sharpening(axes[1 + iterations], routing, row)
        _show_lengths(axes[2 + iterations], routing.lengths[-1, row], names)
        if routing.drawn is not None:
            _show_picture(axes[-1], routing.drawn[row], "")
    _head_columns(grid[0], iterations, routing.drawn is not None)
    _add_scale(figure, heat, grid[:, 1 : 1 + iterations], colours)
    figure.suptitle(f"{title}: routing agreement with the longest capsule")
    return as_png(figure)


def _colours(routing: Routing) -> Any:
    """One scale for the whole picture, white where a class gets as much as every other."""
    from matplotlib.colors import TwoSlopeNorm

    equal = 1 / routing.lengths.shape[2]
    shown = np.stack([routing.shares[:, row, winner] for row, winner in enumerate(routing.winners)])
    least = 0.01 * equal  # a scale needs some width on both sides
    return TwoSlopeNorm(equal, min(shown.min(), equal - least), max(shown.max(), equal + least))


def _show_picture(axis: Any, picture: np.ndarray, label: str) -> None:
    grey = picture.shape[-1] == 1
    axis.imshow(picture[..., 0] if grey else picture, cmap="gray" if grey else None, vmin=0, vmax=1)
    axis.set(xticks=[], yticks=[])
    axis.set_xlabel(label, fontsize=9)


def _label_map(axis: Any, sent: np.ndarray) -> None:
    axis.set(xticks=[], yticks=[])
    axis.set_xlabel(f"mean {sent.mean():.3f}, most {sent.max():.3f}", fontsize=8)


def _show_sharpening(axis: Any, routing: Routing, row: int) -> None:
    """The mean share of every class after each iteration, the winner's on top."""
    means, winner = routing.shares[:, row].mean((-1, -2)), routing.winners[row]
    iterations = np.arange(1, len(means) + 1)
    axis.plot(iterations, np.delete(means, winner, axis=1), color="0.75", linewidth=1, marker=".")
    axis.plot(iterations, means[:, winner], color="firebrick", linewidth=2, marker="o")
    axis.set_xticks(iterations)
    axis.tick_params(labelsize=8)
    axis.set_xlabel("iteration", fontsize=8)
    axis.margins(x=0.15)


def _show_lengths(axis: Any, lengths: np.ndarray, names: tuple[str, ...]) -> None:
    shown = np.arange(len(lengths)) if len(lengths) <= MOST_BARS else np.argsort(-lengths)[:MOST_BARS]
    colours = ["firebrick" if label == lengths.argmax() else "0.6" for label in shown]
    axis.bar(range(len(shown)), lengths[shown], color=colours)
    long_names = max(len(names[label]) for label in shown) > 2
    axis.set_xticks(range(len(shown)), [names[label][:14] for label in shown], rotation=90 if long_names else 0)
    axis.set_ylim(0, 1)
    axis.tick_params(labelsize=8)


def _head_columns(axes: Any, iterations: int, is_drawn: bool) -> None:
    sent = [f"sent in iteration {number}" for number in range(1, iterations + 1)]
    titles = ["picture", *sent, "mean share by class", "lengths of the capsules", *["reconstruction"] * is_drawn]
    for axis, title in zip(axes, titles, strict=True):
        axis.set_title(title, fontsize=10)


def _add_scale(figure: Any, heat: Any, axes: Any, colours: Any) -> None:
    bar = figure.colorbar(heat, ax=axes.ravel().tolist(), location="bottom", aspect=50, shrink=0.8, pad=0.02)
    ticks = [colours.vmin, colours.vcenter, colours.vmax]
    bar.set_ticks(ticks, labels=[f"{tick:.3f}" for tick in ticks])
    bar.set_label(
        "share that a place sends to the longest capsule, mean over its kinds; white: as much as to any other"
    )
