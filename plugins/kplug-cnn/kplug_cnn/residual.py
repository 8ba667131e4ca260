"""ResNet (He et al. 2016, https://arxiv.org/abs/1512.03385), bottlenecks striding in their first convolution."""

from __future__ import annotations

from typing import Any

from keras import layers

from kplug.network import Network

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
SMALL = 64  # pixels; below that the stem of the paper leaves too little to look at
EXPANSION = 4  # a bottleneck's outputs by its inner filters


def make_resnet(depth: int, width: int, stem: str) -> Network:
    """A ResNet as a layer: images `[b, h, w, c]` to features `[b, h', w', filters]`."""
    block = bottleneck_block if depth >= 50 else basic_block

    def network(x: Any) -> tuple[Any, dict[str, Any]]:
        small = stem == "small" or (stem == "auto" and x.shape[1] is not None and x.shape[1] < SMALL)
        x, level = small_stem(x, width) if small else large_stem(x, width)
        pyramid = {}
        for stage, blocks in enumerate(BLOCKS[depth]):
            for number in range(blocks):
                stride = 2 if stage > 0 and number == 0 else 1
                x = block(x, width * 2**stage, stride, f"stage{stage + 1}_block{number + 1}")
            pyramid[f"P{level + stage}"] = x
        return x, pyramid

    return Network(network, name="resnet")


def large_stem(x: Any, width: int) -> tuple[Any, int]:
    """The paper's stem for ImageNet: stride 4, so that the first stage is level 2 of the pyramid."""
    x = layers.ZeroPadding2D(3, name="stem_pad")(x)
    x = convolve(x, width, 7, 2, "stem", padding="valid")
    x = layers.ZeroPadding2D(1, name="pool_pad")(x)
    return layers.MaxPooling2D(3, 2, name="pool")(x), 2


def small_stem(x: Any, width: int) -> tuple[Any, int]:
    """The stem for pictures of the size of CIFAR's: stride 1."""
    return convolve(x, width, 3, 1, "stem"), 0


def basic_block(x: Any, filters: int, stride: int, name: str) -> Any:
    """Two 3x3 convolutions beside a shortcut."""
    y = convolve(x, filters, 3, stride, f"{name}_1")
    y = convolve(y, filters, 3, 1, f"{name}_2", last=True)
    return add_shortcut(x, y, filters, stride, name)


def bottleneck_block(x: Any, filters: int, stride: int, name: str) -> Any:
    """1x1 down, 3x3, 1x1 up, beside a shortcut."""
    y = convolve(x, filters, 1, stride, f"{name}_1")
    y = convolve(y, filters, 3, 1, f"{name}_2")
    y = convolve(y, filters * EXPANSION, 1, 1, f"{name}_3", last=True)
    return add_shortcut(x, y, filters * EXPANSION, stride, name)


def add_shortcut(x: Any, y: Any, filters: int, stride: int, name: str) -> Any:
    """The block's input added to its output, projected where shapes differ."""
    if stride != 1 or x.shape[-1] != filters:
        x = layers.Conv2D(filters, 1, stride, use_bias=False, kernel_initializer="he_normal", name=f"{name}_0_conv")(x)
        x = normalize(x, f"{name}_0_norm")
    return layers.ReLU(name=f"{name}_out")(layers.Add(name=f"{name}_add")([x, y]))


def convolve(x: Any, filters: int, size: int, stride: int, name: str, padding: str = "same", last: bool = False) -> Any:
    """Convolution, normalization and, but for a block's last one, activation."""
    if padding == "same" and stride > 1 and size > 1:  # as the paper's code pads; "same" would pad at the end alone
        x = layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x)
        padding = "valid"
    convolution = layers.Conv2D(
        filters, size, stride, padding, use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv"
    )
    x = normalize(convolution(x), f"{name}_norm", scale="zeros" if last else "ones")
    return x if last else layers.ReLU(name=f"{name}_relu")(x)


def normalize(x: Any, name: str, scale: str = "ones") -> Any:
    """Batch normalization; a scale that starts at zero makes a block start as the identity (Goyal et al. 2017)."""
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, gamma_initializer=scale, name=name)(x)
