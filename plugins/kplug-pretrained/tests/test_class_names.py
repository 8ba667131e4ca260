"""The source of class names, and a network that predicts them untrained."""

import sys
from pathlib import Path

import kplug_pretrained
import numpy as np
import pytest
from kplug_pretrained import class_names

import kplug
from kplug.testing import check, no_tensorflow, plugged

WEIGHTS = Path(__file__).parents[3] / "../shared/data/weights"
real = pytest.mark.skipif(not WEIGHTS.is_dir(), reason="the weights are not beside the repository")
SPEC = f"""
name: imagenet
task:
  type: classification
  model:
    type: pretrained
    name: MobileNetV2
    weights: {WEIGHTS}/mobilenet_v2_1.0_224_imagenet.weights.h5
    include_top: true
  head: none
data:
  source: {{type: class_names, file: {WEIGHTS}/imagenet_labels.txt, skip: 1}}
  features: {{image: {{resize: crop}}}}
  validation: 0
fit: {{epochs: 0}}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("background\ncat\ndog, hound\ncrane\ncrane\n")
    return path


def test_it_keeps_the_contract(file):
    check(class_names, file=str(file), image_size=[8, 6], skip=1)


def test_names_in_the_files_order(file):
    split = class_names(str(file), (8, 6), 1)["train"]
    assert split.facts["label"]["classes"] == ("cat", "dog, hound", "crane", "crane")
    assert split.columns["label"].tolist() == [0, 1, 2, 3] and split.facts["image"] == {"size": (8, 6), "channels": 3}
    assert not np.any(split.load([0, 3])["image"]) and split.load([0, 3])["image"].shape == (2, 8, 6, 3)


@pytest.mark.parametrize(
    ("text", "skip", "wanted"),
    [("a\n\nb\n", 0, r"txt:2: the line is blank"), ("a\nb\n", 2, "skip: 2 leaves none"), (b"\xff\xfe", 0, "not UTF-8")],
)
def test_files_that_name_nothing(tmp_path, text, skip, wanted):
    path = tmp_path / "names.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(kplug.SpecError, match=wanted):
        class_names(str(path), (8, 8), skip)
    with pytest.raises(kplug.SpecError, match="no such file"):
        class_names(str(tmp_path / "none"), (8, 8), skip)


def test_a_check_needs_no_tensorflow(tmp_path):
    lines = [f"class {number}" for number in range(1001)]  # of a background first, which is skipped
    (tmp_path / "names.txt").write_text("\n".join(lines))
    (tmp_path / "spec.yaml").write_text(SPEC.replace(f"{WEIGHTS}/imagenet_labels.txt", str(tmp_path / "names.txt")))
    root = str(Path(kplug_pretrained.__file__).parents[1])
    done = no_tensorflow(
        code=f"import sys; sys.path.insert(0, {root!r})\n"
        "import kplug_pretrained\nfrom kplug.testing import plugged\nimport kplug\n"
        f"with plugged(kplug_pretrained): kplug.load({str(tmp_path / 'spec.yaml')!r})"
    )
    assert done.returncode == 0, done.stderr
    assert "kplug_pretrained" in sys.modules


@real
@pytest.mark.slow
def test_four_pictures_get_their_names(tmp_path):
    with plugged(kplug_pretrained):
        run = kplug.train(kplug.loads(SPEC), tmp_path / "run")
        answers = run.predict(sorted((WEIGHTS / "sample_images").iterdir()))
    found = {Path(answer["file"]).stem: answer["class"] for answer in answers}
    assert found == {
        "cat": "Egyptian cat",
        "grace_hopper": "military uniform",
        "hot_dog": "hotdog, hot dog, red hot",
        "parrot": "macaw",
    }
