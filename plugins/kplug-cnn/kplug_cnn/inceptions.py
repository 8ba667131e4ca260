"""GoogLeNet (Szegedy et al. 2015, https://arxiv.org/abs/1409.4842) and Inception v3 (Szegedy et al. 2016,
https://arxiv.org/abs/1512.00567)."""

from __future__ import annotations

from typing import Any

from keras import layers

from kplug_cnn.convolutions import filter_alone
from kplug_cnn.pictures import WithPyramid, fit_inception

# filters of a GoogLeNet module: 1x1; 3x3 after its reduction; 5x5 after its reduction; after pooling
GOOGLENET = {
    "3a": (64, (96, 128), (16, 32), 32),
    "3b": (128, (128, 192), (32, 96), 64),
    "4a": (192, (96, 208), (16, 48), 64),
    "4b": (160, (112, 224), (24, 64), 64),
    "4c": (128, (128, 256), (24, 64), 64),
    "4d": (112, (144, 288), (32, 64), 64),
    "4e": (256, (160, 320), (32, 128), 128),
    "5a": (256, (160, 320), (32, 128), 128),
    "5b": (384, (192, 384), (48, 128), 128),
}


# --- GoogLeNet -----------------------------------------------------------------------------------------------------


def googlenet(x: Any, width: float, stem: str) -> WithPyramid:
    """Nine modules; every convolution is normalized, as in the later version of the paper's authors (v2)."""
    small = fit_inception(x, stem, "v1")
    level, pyramid = 0 if small else 2, {}
    if not small:
        x = convolve(x, scaled(64, width), 7, "stem1", stride=2)
        x = layers.MaxPooling2D(3, 2, "same", name="pool1")(x)
        x = convolve(x, scaled(64, width), 1, "stem2")
    x = convolve(x, scaled(192, width), 3, "stem3")
    for name, filters in GOOGLENET.items():
        if name.endswith("a"):
            pyramid[f"P{level}"] = x
            if not (small and name == "3a"):
                x = layers.MaxPooling2D(3, 2, "same", name=f"pool{name[0]}")(x)
                level += 1
        x = googlenet_module(x, filters, f"module{name}", width)
    return x, pyramid | {f"P{level}": x}


def googlenet_module(x: Any, filters: Any, name: str, width: float = 1.0) -> Any:
    """1x1, 3x3, 5x5 and pooling side by side."""
    one, (reduce3, three), (reduce5, five), pooled = filters
    branches = [
        convolve(x, scaled(one, width), 1, f"{name}_1"),
        convolve(convolve(x, scaled(reduce3, width), 1, f"{name}_3_reduce"), scaled(three, width), 3, f"{name}_3"),
        convolve(convolve(x, scaled(reduce5, width), 1, f"{name}_5_reduce"), scaled(five, width), 5, f"{name}_5"),
        convolve(layers.MaxPooling2D(3, 1, "same", name=f"{name}_pool")(x), scaled(pooled, width), 1, f"{name}_pooled"),
    ]
    return layers.Concatenate(name=name)(branches)


# --- Inception v3 --------------------------------------------------------------------------------------------------


def inception_v3(x: Any, width: float, stem: str) -> WithPyramid:
    """Eleven modules whose large kernels are made of smaller ones; the small stem keeps the picture's size."""
    small = fit_inception(x, stem, "v3")
    padding, pyramid, level = "same" if small else "valid", {}, 0 if small else 3
    x = small_stem(x, width) if small else large_stem(x, width)
    for number, pooled in enumerate((32, 64, 64)):
        x = module_a(x, pooled, width, f"mixed{number}")
    pyramid[f"P{level}"] = x
    x = reduction_a(x, width, padding, "mixed3")
    for number, inner in enumerate((128, 160, 160, 192), 4):
        x = module_b(x, inner, width, f"mixed{number}")
    pyramid[f"P{level + 1}"] = x
    x = reduction_b(x, width, padding, "mixed8")
    for number in (9, 10):
        x = module_c(x, width, f"mixed{number}")
    return x, pyramid | {f"P{level + 2}": x}


def large_stem(x: Any, width: float) -> Any:
    """A stride of 8."""
    x = convolve(x, scaled(32, width), 3, "stem1", stride=2, padding="valid")
    x = convolve(x, scaled(32, width), 3, "stem2", padding="valid")
    x = convolve(x, scaled(64, width), 3, "stem3")
    x = layers.MaxPooling2D(3, 2, name="pool1")(x)
    x = convolve(x, scaled(80, width), 1, "stem4", padding="valid")
    x = convolve(x, scaled(192, width), 3, "stem5", padding="valid")
    return layers.MaxPooling2D(3, 2, name="pool2")(x)


def small_stem(x: Any, width: float) -> Any:
    return convolve(convolve(x, scaled(64, width), 3, "stem1"), scaled(192, width), 3, "stem2")


def module_a(x: Any, pooled: int, width: float, name: str) -> Any:
    """1x1; 5x5; two 3x3; pooling."""
    one = chain(x, width, f"{name}_1", (64, 1))
    five = chain(x, width, f"{name}_5", (48, 1), (64, 5))
    threes = chain(x, width, f"{name}_3", (64, 1), (96, 3), (96, 3))
    return join(name, one, five, threes, averaged(x, pooled, width, name))


def module_b(x: Any, inner: int, width: float, name: str) -> Any:
    """1x1; a 7x7 of two; two 7x7 of two each; pooling."""
    one = chain(x, width, f"{name}_1", (192, 1))
    seven = chain(x, width, f"{name}_7", (inner, 1), (inner, (1, 7)), (192, (7, 1)))
    twice = ((inner, (7, 1)), (inner, (1, 7)), (inner, (7, 1)), (192, (1, 7)))
    sevens = chain(x, width, f"{name}_7s", (inner, 1), *twice)
    return join(name, one, seven, sevens, averaged(x, 192, width, name))


def module_c(x: Any, width: float, name: str) -> Any:
    """1x1; a 3x3 and two 3x3 whose last parts stand side by side; pooling."""
    one = chain(x, width, f"{name}_1", (320, 1))
    three = split(chain(x, width, f"{name}_3", (384, 1)), width, f"{name}_3")
    threes = split(chain(x, width, f"{name}_3s", (448, 1), (384, 3)), width, f"{name}_3s")
    return join(name, one, three, threes, averaged(x, 192, width, name))


def split(x: Any, width: float, name: str) -> Any:
    """1x3 beside 3x1."""
    wide = convolve(x, scaled(384, width), (1, 3), f"{name}_wide")
    return join(name, wide, convolve(x, scaled(384, width), (3, 1), f"{name}_tall"))


def reduction_a(x: Any, width: float, padding: str, name: str) -> Any:
    """Half the size: 3x3; two 3x3; pooling."""
    three = convolve(x, scaled(384, width), 3, f"{name}_3", stride=2, padding=padding)
    threes = chain(x, width, f"{name}_3s", (64, 1), (96, 3))
    threes = convolve(threes, scaled(96, width), 3, f"{name}_3s_last", stride=2, padding=padding)
    return join(name, three, threes, layers.MaxPooling2D(3, 2, padding, name=f"{name}_pool")(x))


def reduction_b(x: Any, width: float, padding: str, name: str) -> Any:
    """Half the size: 3x3; a 7x7 of two and a 3x3; pooling."""
    three = chain(x, width, f"{name}_3", (192, 1))
    three = convolve(three, scaled(320, width), 3, f"{name}_3_last", stride=2, padding=padding)
    seven = chain(x, width, f"{name}_7", (192, 1), (192, (1, 7)), (192, (7, 1)))
    seven = convolve(seven, scaled(192, width), 3, f"{name}_7_last", stride=2, padding=padding)
    return join(name, three, seven, layers.MaxPooling2D(3, 2, padding, name=f"{name}_pool")(x))


def averaged(x: Any, filters: int, width: float, name: str) -> Any:
    x = layers.AveragePooling2D(3, 1, "same", name=f"{name}_pool")(x)
    return convolve(x, scaled(filters, width), 1, f"{name}_pooled")


def chain(x: Any, width: float, name: str, *convolutions: Any) -> Any:
    """Convolutions, each (filters, size), one after another."""
    for number, (filters, size) in enumerate(convolutions, 1):
        x = convolve(x, scaled(filters, width), size, f"{name}_{number}")
    return x


def join(name: str, *branches: Any) -> Any:
    return layers.Concatenate(name=f"{name}_join")(list(branches))


# --- what both share -----------------------------------------------------------------------------------------------


def scaled(filters: int, width: float) -> int:
    return max(1, round(filters * width))


def convolve(x: Any, filters: int, size: Any, name: str, stride: int = 1, padding: str = "same") -> Any:
    """Convolution, batch normalization without a scale (ReLU follows, and the next layer has one), activation."""
    x = filter_alone(x, filters, size, stride, name, padding)
    x = layers.BatchNormalization(scale=False, momentum=0.9, epsilon=1e-3, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)
