"""Figures of matplotlib as pictures in files: every text as it is written, and one that fails costs itself alone."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

from kplug.console import log

OWN = r"\mathdefault"  # in the labels that matplotlib's scales write themselves, as formulas


def pictures(draw: Mapping[str, Callable[[], bytes | None]]) -> dict[str, bytes]:
    """The pictures that could be drawn, by name; a line on stderr says of another why it is missing.

    A text between two dollar signs, such as the name of a class, is no formula inside.

    Args:
        draw: name to a function that draws a PNG, or gives None where there is nothing to be drawn.
    """
    import matplotlib

    found: dict[str, bytes] = {}
    with matplotlib.rc_context({"text.parse_math": False}):
        for name, function in draw.items():
            try:
                picture = function()
            except Exception as error:
                log(f"{name} could not be drawn: {type(error).__name__}: {error}")
            else:
                found |= {} if picture is None else {name: picture}
    return found


def as_png(figure: Any) -> bytes:
    """A figure as a PNG, each of its texts as it is written: `$` begins a formula in matplotlib's own labels alone."""
    from matplotlib.text import Text

    for panel in figure.axes:
        for axis in (panel.xaxis, panel.yaxis):
            axis.get_ticklabels(which="both")  # has them written
    for text in figure.findobj(Text):
        text.set_parse_math(OWN in text.get_text())
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    return picture.getvalue()
