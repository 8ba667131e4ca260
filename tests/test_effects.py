"""Which augmentation may stand beside which field: a table made by the test, and what `kplug check` says."""

import contextlib

import pytest

import kplug
from kplug.kinds import KINDS
from kplug.spec.plugins import host
from kplug.testing import no_tensorflow, plugged, tiny

FEATURES = ("mask", "instances", "boxes", "points", "label", "text")
ALL = set(FEATURES)
IN_PICTURES = {"mask", "instances", "boxes", "points"}
SHOWN_ONCE = IN_PICTURES - {"mask"}
# what is refused beside which fields, by the mark of an augmentation
REFUSED = {
    "recolours": set(),
    "leaves_behind": IN_PICTURES,
    "mixes": ALL - {"label"},
    "mixes parts": ALL - {"label", "mask"},
    "moves": set(),
    "moves reflect": SHOWN_ONCE,
}


def augmentations():
    kind = KINDS["augmentation"]
    return sorted({one.name for one in host().registry.components if one.kind is kind})


def mark_of(name):
    """The mark of an augmentation with its defaults, as a key of `REFUSED`."""
    component = host().registry.find("augmentation", name)
    effect = component.effect
    if effect.does == "mixes" and effect.parts:
        return "mixes parts"
    fill = effect.fill
    if fill.startswith("{"):
        fill = component.parameters[fill.strip("{}")].default
    return "moves reflect" if effect.does == "moves" and fill in ("reflect", "wrap") else effect.does


def spec(augmentation, feature):
    return f"""name: table
task: {{type: classification, model: flatten}}
data:
  source: tiny_pictures
  features: {{label: {feature}}}
  augment:
  - {augmentation}
"""


def refused(augmentation, feature, *further):
    """The problems of a spec in which the field `label` has another feature, whatever the source then gives."""
    with plugged(tiny, *further):
        try:
            kplug.loads(spec(augmentation, feature), "table.yaml")
        except kplug.SpecError as error:
            return [str(problem) for problem in error.problems if "data.augment" in str(problem)]
    return []


@pytest.mark.parametrize("name", augmentations())
def test_each_augmentation_beside_each_field(name):
    found = {feature for feature in FEATURES if refused(name, feature)}
    assert found == REFUSED[mark_of(name)]
    for feature in found:
        (line,) = refused(name, feature)
        assert line.startswith("table.yaml:7:"), line
        assert "'label'" in line and len(line) < 300


def test_the_parameter_that_fills_is_named():
    (line,) = refused("{type: random_rotation, fill_mode: wrap}", "boxes")
    assert line.startswith("table.yaml:7:") and "data.augment.0.fill_mode: wrap shows objects a second time" in line
    assert refused("{type: random_rotation, fill_mode: constant}", "boxes") == []
    assert refused("{type: random_rotation, fill_mode: nearest}", "boxes") == []


def test_it_is_said_without_tensorflow(tmp_path):
    (tmp_path / "s.yaml").write_text(spec("mix_up", "boxes").replace("tiny_pictures", "digits"))
    done = no_tensorflow("check", str(tmp_path / "s.yaml"))
    assert done.returncode == 2 and "mix_up mixes examples, and 'label' would stay behind" in done.stderr


def test_an_unmarked_one_is_for_pictures_alone():
    from kplug import Augmentation

    def silent() -> Augmentation:
        """Do nothing, and say nothing."""
        return lambda batch, seed: batch

    (line,) = refused("silent", "mask", silent)
    assert "it is marked with none of @moves, @recolours and @mixes" in line
    assert refused("silent", "label", silent) == []


@pytest.mark.parametrize(
    ("augment", "said"),
    [
        ("random_flip", ""),
        ("{type: random_rotation, fill_mode: reflect}", ""),
        ("aug_mix", "data.source.augment.0: 'mask' lives in a picture, and aug_mix would leave it behind"),
    ],
)
def test_a_source_that_changes_pictures_carries_masks_as_a_training_does(augment, said):
    text = f"""name: moved
task: {{type: classification, model: flatten, label: mask}}
data:
  source: {{type: augmented, of: tiny_masks, augment: [{augment}]}}
"""
    with plugged(tiny), pytest.raises(kplug.SpecError, match=said) if said else contextlib.nullcontext():
        kplug.loads(text)
