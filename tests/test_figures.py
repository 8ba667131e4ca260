"""Text in figures is drawn as it is written, and a picture that cannot be drawn costs a line."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from kplug.default_plugins.classification.report_pictures import draw_confusion, draw_recall
from kplug.default_plugins.training.curves import draw_curves
from kplug.inference.figures import as_png, pictures

NAMES = ("$1 bill", "10 $", r"$\frac{1}{", "$a_b$", "^_{}", "\\", "100 %")


def found():
    counts = np.arange(49).reshape(7, 7)
    classes = {name: {"recall": 0.5} for name in NAMES}
    return {"classes": classes, "confusion": counts, "balanced_accuracy": 0.5, "mean_recall": 0.5}


def test_names_of_classes_and_specs_are_no_formulas():
    drawn = pictures(
        {
            "confusion.png": lambda: draw_confusion(found()),
            "recall.png": lambda: draw_recall(found(), (1,) * 7),
            "curves.png": lambda: draw_curves([{"epoch": 1, "$loss": 0.5}], r"$\frac{"),
        }
    )
    assert list(drawn) == ["confusion.png", "recall.png", "curves.png"]
    assert all(picture.startswith(b"\x89PNG") for picture in drawn.values())


def test_a_text_between_dollars_keeps_them():
    plain, formula = Figure(), Figure()
    for figure, text in ((plain, "$a_b$"), (formula, "a b")):
        figure.suptitle(text)
    assert as_png(plain) != as_png(formula)
    assert not any(text.get_parse_math() for text in plain.findobj(Text))


def test_the_powers_of_a_logarithmic_axis_stay_formulas():
    figure = Figure()
    panel = figure.subplots()
    panel.set(xscale="log", xlim=(1e-3, 1e3), title="$100")
    as_png(figure)
    labels = [label for label in panel.get_xticklabels() if label.get_text()]
    assert labels and all(label.get_parse_math() for label in labels)
    assert not panel.title.get_parse_math()


def test_a_picture_that_cannot_be_drawn_costs_a_line(capsys):
    def fails():
        raise ValueError("no colours left")

    drawn = pictures({"plots/a.png": fails, "plots/b.png": lambda: as_png(Figure()), "plots/c.png": lambda: None})
    assert list(drawn) == ["plots/b.png"]
    assert capsys.readouterr().err == "plots/a.png could not be drawn: ValueError: no colours left\n"


@pytest.mark.parametrize("name", NAMES)
def test_each_name_alone(name):
    figure = Figure()
    figure.suptitle(name)
    assert as_png(figure).startswith(b"\x89PNG")
