"""The image layers of Keras in the table behind tools/keras_components/write: augmentations."""

from __future__ import annotations

from keras_components.table import Entry

PROBABILITY = ("Unit", "share of the pictures that are changed.")
FILL = {
    "fill_mode": ("FillMode", "what lies outside: constant, the nearest pixel, a mirror image, or the other side."),
    "fill_value": ("Pixel", "value outside in mode constant, 0 to 255."),
    "interpolation": ("Interpolation", "how pixels between pixels are made."),
}
IMAGE = (("images.pure_layers", "image_layers"),)
DATA = {"data": "DataInfo"}
RECOLOURS = "recolours"


def chance(summary: str, default: str, **further: object) -> Entry:
    """A layer whose `factor` is a probability: Keras draws it from 0 to the factor, so half as many are changed."""
    return Entry(
        summary,
        leave_out=("factor",),
        add={"probability": (*PROBABILITY, default)},
        passed={"factor": "(probability, probability)"},
        mark=RECOLOURS,
        body="image_layers({call})",
        imports=IMAGE,
        **further,  # type: ignore[arg-type]
    )


def always(summary: str, default: str = "0.5", options: str = "", **further: object) -> Entry:
    """A layer without chance in Keras: in the field these change a share of the pictures."""
    return Entry(
        summary,
        add={"probability": (*PROBABILITY, default)},
        mark=RECOLOURS,
        body=f"image_layers({{call}}, probability=probability{options})",
        imports=IMAGE,
        **further,  # type: ignore[arg-type]
    )


def drawn(summary: str, options: str = "", **further: object) -> Entry:
    """A layer that draws a factor for each picture."""
    body = f"image_layers({{call}}{options})"
    return Entry(summary, mark=RECOLOURS, body=body, imports=IMAGE, **further)  # type: ignore[arg-type]


def moved(summary: str, function: str, arguments: str, mark: str, module: str = "motions", **further: object) -> Entry:
    """A layer that moves pixels: Keras's would leave all but its own boxes and masks behind.

    Args:
        summary: first docstring line.
        function: makes the augmentation from `data` and the arguments.
        arguments: source of those.
        mark: source of the decorator.
        module: of the package `images` that has the function.
        further: the rest of the entry.
    """
    types = {**FILL, **further.pop("types", {})}  # type: ignore[dict-item]
    return Entry(
        summary,
        types=types,
        injected=DATA,
        mark=mark,
        body=f"{function}(data, {arguments})",
        imports=((f"images.{module}", function),),
        **further,  # type: ignore[arg-type]
    )


# Every one can be written as a bare name, so what Keras requires has a default here: a mild one.
AUGMENTATIONS: dict[str, Entry] = {
    "RandomFlip": moved(
        "Mirror pictures with probability one half.",
        "flips",
        "mode",
        "moves()",
        "whole_pixels",
        types={
            "mode": (
                "Literal['horizontal', 'vertical', 'horizontal_and_vertical']",
                "left and right, top and bottom, or each of the two by itself.",
            )
        },
        # the field's; Keras's is both, and there one draw decides both, so that it only ever turns by 180 degrees
        defaults={"mode": "'horizontal'"},
    ),
    "RandomCrop": moved(
        "Cut a window at a random place: of the old size, after a padding of every side, or of another.",
        "windows",
        "padding, fill, size",
        'moves(fill="{fill}", size="{size}")',
        "whole_pixels",
        rules=("window_meets_picture",),
        # Keras's cuts the whole batch at one place
        leave_out=("height", "width"),
        add={
            "padding": (
                "Natural | None",
                "pixels that are added on every side; null: 4, and 0 where a size is given.",
                "None",
            ),
            "fill": (
                "Literal['constant', 'reflect', 'symmetric']",
                "what is added: black, or a mirror image.",
                "'constant'",
            ),
            "size": ("Size | None", "height and width of the window in pixels; null: those of the pictures.", "None"),
        },
    ),
    "RandomErasing": Entry(
        "Erase a random rectangle (Zhong et al. 2020).",
        leave_out=("factor",),
        # Keras draws the probability itself, from 0 to the factor, and works in float32
        add={"probability": (*PROBABILITY, "0.5")},
        mark=RECOLOURS,
        body="erasing(scale, fill_value, probability)",
        imports=(("images.whole_pixels", "erasing"),),
        types={
            "scale": ("UnitRange", "range of the share of the area that is erased."),
            "fill_value": ("Pixel | None", "value of the erased pixels, 0 to 255; null is noise."),
        },
    ),
    "RandomGrayscale": Entry(
        "Take the color out of pictures.",
        types={"factor": PROBABILITY},
        leave_out=("factor",),
        add={"probability": (*PROBABILITY, "0.1")},  # Keras: 0.5
        passed={"factor": "probability"},
        mark=RECOLOURS,
        body="image_layers({call}, color=True)",
        imports=IMAGE,
    ),
    "RandomInvert": chance("Turn pictures into their negatives.", "0.5"),
    "RandomPerspective": moved(
        "Look at pictures from an angle.",
        "perspectives",
        "scale, interpolation, fill_value, probability",
        "moves()",
        # Keras draws the probability from 0 to its factor, so half as many are changed
        leave_out=("factor",),
        types={"scale": ("Unit", "how far the corners may move, as a share of the size.")},
        defaults={"scale": "0.5"},  # Keras: 1.0, corners that reach the middle
        add={"probability": (*PROBABILITY, "0.5")},
    ),
    "RandomElasticTransform": moved(
        "Bend pictures like rubber (Simard et al. 2003).",
        "elastic",
        "scale, probability",
        'moves(fill="nearest")',
        # Keras moves both ways by the same draw, so along the diagonal only, and where the batch has no static size
        # it puts the first picture in the place of all
        leave_out=("factor", "interpolation", "fill_mode", "fill_value"),
        types={"scale": ("UnitRange", "range of the strength; 1 moves pixels by about 3 percent of the size.")},
        defaults={"scale": "(0.5, 1.0)"},
        add={"probability": (*PROBABILITY, "0.5")},
    ),
    "RandomGaussianBlur": chance(
        "Blur pictures.",
        "0.5",
        types={
            "kernel_size": ("Odd", "height and width of the kernel in pixels."),
            "sigma": ("SigmaRange", "range of the standard deviation in pixels, drawn once for a batch."),
        },
        defaults={"sigma": "(0.1, 2.0)"},  # the field's; Keras: 0 to 1
    ),
    "RandomBrightness": drawn(
        "Make pictures brighter or darker.",
        types={"factor": ("SignedRange", "range of what is added, as a share of white.")},
        defaults={"factor": "(-0.2, 0.2)"},
    ),
    "RandomContrast": drawn(
        "Raise or lower the contrast.",
        # one number: of two, Keras sorts them, which exchanges the way up and the way down
        types={"factor": ("Unit", "contrast is multiplied by 1 - factor to 1 + factor.")},
        defaults={"factor": "0.2"},
        passed={"factor": "(factor, factor)"},
    ),
    "RandomSaturation": drawn(
        "Make colors stronger or paler.",
        ", color=True, unit_values=True",  # the saturation is cut at the upper end of value_range, and it ends at 1
        types={"factor": ("UnitRange", "range: 0 is gray, 0.5 changes nothing, 1 is full color.")},
        defaults={"factor": "(0.4, 0.6)"},
        passed={"value_range": "(0, 1)"},
    ),
    "RandomHue": drawn(
        "Turn the circle of colors.",
        ", color=True",
        types={"factor": ("UnitRange", "range of the turn either way; 1 is half the circle.")},
        defaults={"factor": "(0.0, 0.1)"},
    ),
    "RandomColorDegeneration": drawn(
        "Mix pictures with their gray version.",
        ", color=True",
        types={"factor": ("UnitRange", "range of the gray version's share.")},
        defaults={"factor": "(0.0, 0.5)"},
    ),
    "RandomSharpness": drawn(
        "Sharpen or smooth pictures.",
        types={"factor": ("UnitRange", "range: 0 is smoothed, 0.5 changes nothing, 1 is sharpened.")},
        defaults={"factor": "(0.25, 0.75)"},
    ),
    "RandomPosterization": Entry(
        "Keep only the upper bits of each color.",
        # Keras's upper end is never drawn
        leave_out=("factor",),
        add={
            "bits": ("tuple[Bits, Bits]", "fewest and most bits that are kept, 1 to 8.", "(4, 7)"),
            "probability": (*PROBABILITY, "0.5"),
        },
        passed={"factor": "(min(bits), max(bits) + 1)"},
        mark=RECOLOURS,
        body="image_layers({call}, probability=probability)",
        imports=IMAGE,
    ),
    "RandomColorJitter": Entry(
        "Change brightness, contrast, saturation and hue, each by a random amount.",
        # The words and ranges of the field; Keras's layer does nothing by default, adds brightness, cuts saturation
        # wrongly at 0 to 255, and its parts follow the global precision. So the layers it consists of are taken.
        leave_out=("brightness_factor", "contrast_factor", "saturation_factor", "hue_factor"),
        add={
            "brightness": ("Unit", "brightness is multiplied by 1 - brightness to 1 + brightness.", "0.4"),
            "contrast": ("Unit", "contrast is multiplied by 1 - contrast to 1 + contrast.", "0.4"),
            "saturation": ("Unit", "saturation is multiplied by 1 - saturation to 1 + saturation.", "0.4"),
            "hue": ("Half", "colors turn by up to this share of the circle.", "0.1"),
        },
        mark=RECOLOURS,
        rules=("has_colors_to_jitter",),
        body="color_jitter(brightness, contrast, saturation, hue)",
        imports=(("images.pure_layers", "color_jitter"),),
    ),
    "RandomRotation": moved(
        "Turn pictures.",
        "rotations",
        "factor, fill_mode, interpolation, fill_value",
        'moves(fill="{fill_mode}")',
        types={"factor": ("SignedRange", "range of the turn; 1 is a full one, positive is counterclockwise.")},
        defaults={"factor": "(-0.05, 0.05)"},
    ),
    "RandomShear": moved(
        "Shear pictures, either way.",
        "shears",
        "x_factor, y_factor, interpolation, fill_mode, fill_value",
        'moves(fill="{fill_mode}")',
        types={
            "x_factor": ("UnitRange", "range of the shear along the width, as a share."),
            "y_factor": ("UnitRange", "range of the shear along the height, as a share."),
        },
        defaults={"x_factor": "(0.0, 0.2)", "y_factor": "(0.0, 0.2)"},  # Keras: nothing
    ),
    "RandomTranslation": moved(
        "Shift pictures by a share of their size.",
        "translations",
        "height_factor, width_factor, fill_mode, interpolation, fill_value",
        'moves(fill="{fill_mode}")',
        types={
            "height_factor": ("SignedRange", "range of the shift as a share of the height; positive is down."),
            "width_factor": ("SignedRange", "range of the shift as a share of the width; positive is right."),
        },
        defaults={"height_factor": "(-0.1, 0.1)", "width_factor": "(-0.1, 0.1)"},
    ),
    "RandomZoom": moved(
        "Zoom in or out.",
        "zooms",
        "height_factor, width_factor, fill_mode, interpolation, fill_value",
        'moves(fill="{fill_mode}")',
        types={
            "height_factor": ("tuple[OpenSigned, OpenSigned]", "range of the zoom; positive is out, negative is in."),
            "width_factor": (
                "tuple[OpenSigned, OpenSigned] | None",
                "the same for the width; null keeps the proportions.",
            ),
        },
        defaults={"height_factor": "(-0.2, 0.2)"},
    ),
    "AutoContrast": always("Stretch each color to the whole range from black to white."),
    "Equalization": always(
        "Spread the brightness values evenly.",
        options=", one_by_one=True",  # Keras counts over the whole batch
        types={"bins": ("Several", "number of brightness steps that are counted.")},
    ),
    "ContrastLimitedAdaptiveHistogramEqualization": always(
        "Spread the brightness values evenly, tile by tile (Zuiderveld 1994).",
        name="clahe",  # as everyone says
        types={
            "clip_limit": ("NonNegative", "most that the contrast may grow; 0 is no limit."),
            "tile_grid_size": ("Size", "number of tiles, along height and width."),
        },
    ),
    "Solarization": always(
        "Turn the bright pixels into their negatives.",
        types={
            "addition_factor": ("UnitRange", "range of what is added first, as a share of white."),
            "threshold_factor": ("UnitRange", "range of the brightness above which pixels turn, as a share of white."),
        },
        defaults={"addition_factor": "(0.0, 0.0)", "threshold_factor": "(0.5, 0.5)"},  # Keras: 0, a plain negative
    ),
    "CutMix": Entry(
        "Put a rectangle of one picture into another and mix their labels by area (Yun et al. 2019).",
        # Keras draws the parameter of the Beta distribution itself from 0 to its factor; the paper fixes it
        leave_out=("factor",),
        add={"alpha": ("OpenUnit", "both parameters of the Beta distribution of the area; 1 is uniform.", "1.0")},
        injected=DATA,
        mark="mixes(parts=True)",
        body="pasted(data, alpha)",
        imports=(("images.mixtures", "pasted"),),
    ),
    "MixUp": Entry(
        "Mix two pictures and their labels in the same shares (Zhang et al. 2018).",
        types={"alpha": ("Positive", "both parameters of the Beta distribution of the share; small mixes little.")},
        injected=DATA,
        mark="mixes()",
        body="shares(data, alpha)",
        imports=(("images.mixtures", "shares"),),
    ),
}
