"""DenseNet (Huang et al. 2017, https://arxiv.org/abs/1608.06993): every layer reads all before it."""

from __future__ import annotations

from typing import Any

from keras import layers

from kplug.authoring import Network
from kplug_cnn.pictures import fit_densenet

IMAGENET = {121: (6, 12, 24, 16), 169: (6, 12, 32, 32), 201: (6, 12, 48, 32), 264: (6, 12, 64, 48)}
BOTTLENECK = 4  # filters of a layer's 1x1 convolution by the growth


def make_densenet(depth: int, growth: int | None, compression: float, stem: str, dropout: float) -> Network:
    """A DenseNet as a layer: images `[b, h, w, c]` to features `[b, h', w', filters]`."""
    blocks = IMAGENET.get(depth) or ((depth - 4) // 6,) * 3
    rate = growth or (32 if depth in IMAGENET else 12)

    def network(x: Any) -> tuple[Any, dict[str, Any]]:
        small = fit_densenet(x, stem, len(blocks))
        x, level = small_stem(x, 2 * rate) if small else large_stem(x, 2 * rate)
        pyramid = {}
        for number, count in enumerate(blocks, 1):
            x = dense_block(x, count, rate, dropout, f"block{number}")
            if number < len(blocks):
                pyramid[f"P{level + number - 1}"] = x
                x = transition(x, compressed(x, compression), f"transition{number}")
        x = activate(x, "last")
        pyramid[f"P{level + len(blocks) - 1}"] = x
        return x, pyramid

    return Network(network, name="densenet")


def make_block(count: int, growth: int, dropout: float) -> Network:
    """A block as a layer: features `[b, h, w, c]` to `[b, h, w, c + count * growth]`."""
    return Network(lambda x: dense_block(x, count, growth, dropout, "block"), name="dense_block")


def make_transition(compression: float) -> Network:
    """A transition as a layer: features `[b, h, w, c]` to `[b, h / 2, w / 2, compression * c]`."""
    return Network(lambda x: transition(x, compressed(x, compression), "transition"), name="dense_transition")


def compressed(x: Any, compression: float) -> int:
    """The channels behind a transition."""
    return max(1, int(x.shape[-1] * compression))


def large_stem(x: Any, filters: int) -> tuple[Any, int]:
    """The paper's stem for ImageNet: stride 4."""
    x = layers.ZeroPadding2D(3, name="stem_pad")(x)
    x = activate(convolve(x, filters, 7, "stem", stride=2, padding="valid"), "stem")
    x = layers.ZeroPadding2D(1, name="pool_pad")(x)
    return layers.MaxPooling2D(3, 2, name="pool")(x), 2


def small_stem(x: Any, filters: int) -> tuple[Any, int]:
    """The paper's stem for CIFAR: a convolution alone."""
    return convolve(x, filters, 3, "stem"), 0


def dense_block(x: Any, count: int, growth: int, dropout: float, name: str) -> Any:
    """Layers that each add `growth` channels to what came in."""
    for number in range(1, count + 1):
        x = layers.Concatenate(name=f"{name}_{number}_join")([x, dense_layer(x, growth, dropout, f"{name}_{number}")])
    return x


def dense_layer(x: Any, growth: int, dropout: float, name: str) -> Any:
    """A 1x1 and a 3x3 convolution, each after normalization and activation."""
    x = convolve(activate(x, f"{name}_0"), BOTTLENECK * growth, 1, f"{name}_1")
    x = layers.Dropout(dropout, name=f"{name}_1_dropout")(x) if dropout else x
    x = convolve(activate(x, f"{name}_1"), growth, 3, f"{name}_2")
    return layers.Dropout(dropout, name=f"{name}_2_dropout")(x) if dropout else x


def transition(x: Any, filters: int, name: str) -> Any:
    """Fewer channels and half the size; an odd side rounds up."""
    x = convolve(activate(x, name), filters, 1, name)
    return layers.AveragePooling2D(2, 2, "same", name=f"{name}_pool")(x)


def convolve(x: Any, filters: int, size: int, name: str, stride: int = 1, padding: str = "same") -> Any:
    return layers.Conv2D(
        filters, size, stride, padding, use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv"
    )(x)


def activate(x: Any, name: str) -> Any:
    """Batch normalization and ReLU."""
    x = layers.BatchNormalization(momentum=0.9, epsilon=1.001e-5, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)
