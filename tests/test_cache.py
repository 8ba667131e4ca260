"""Splits that are kept in memory: read once, the same to the bit, and never more memory than said."""

import os

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import kplug
from kplug.data.cache import size_of_an_example, splits_that_fit
from kplug.data.splits import open_data
from kplug.kinds import Columns, Learner, Split
from kplug.spec.plugins import using

LEARNER = Learner(None, lambda batch, seed, training: (batch["image"], batch["label"], seed))


@pytest.fixture
def photos(tmp_path):
    """30 pictures in two class folders."""
    rng = np.random.default_rng(0)
    for number in range(30):
        file = tmp_path / "photos" / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (9, 7, 3), np.uint8)).save(file)
    return tmp_path / "photos"


def spec_of(photos, cache_mb=1024, epochs=3):
    return kplug.loads(f"""
name: kept
task: {{type: classification, model: flatten, optimizer: {{type: sgd, learning_rate: 1e-3}}}}
data:
  source: {{type: folder, path: {photos}, cache_mb: {cache_mb}}}
  features: {{image: {{size: [8, 8]}}}}
  validation: 0.25
  sampler: {{type: shuffled, batch_size: 4}}
  evaluate_with: {{type: sequential, batch_size: 5}}
  augment: [random_flip]
fit: {{epochs: {epochs}}}
""")


def batches(dataset):
    return [[np.asarray(part) for part in tf.nest.flatten(batch)] for batch in dataset]


def same(one, other):
    assert len(one) == len(other) > 0
    for left, right in zip(one, other, strict=True):
        for a, b in zip(left, right, strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype


def remove(photos):
    for file in photos.glob("*/*.png"):
        file.unlink()


def test_batches_are_the_same_to_the_bit_and_files_are_not_opened_again(photos):
    plain, kept = open_data(spec_of(photos, 0)), open_data(spec_of(photos))
    expected = [batches(plain.training(LEARNER, 3, step)) for step in (0, 4)]
    of_validation = batches(plain.evaluation(LEARNER, "validation"))
    examples = len(kept.splits["train"]) + len(kept.splits["validation"])
    assert (plain.bytes_to_keep, kept.bytes_to_keep) == (0, examples * size_of_an_example(kept.info))
    for name in ("train", "validation"):
        plain.read_ahead(name)
        kept.read_ahead(name)
    assert not plain.kept and list(kept.kept) == ["train", "validation"]
    assert kept.bytes_to_keep == 0
    remove(photos)
    for step, known in zip((0, 4), expected, strict=True):
        same(batches(kept.training(LEARNER, 3, step)), known)
    same(batches(kept.evaluation(LEARNER, "validation")), of_validation)
    assert kept.training(LEARNER, 1).element_spec == plain.training(LEARNER, 1).element_spec
    with pytest.raises(tf.errors.NotFoundError):
        batches(kept.examples("test"))


def test_a_run_is_the_same_with_and_without_and_reads_each_file_once(photos, tmp_path):
    """A source of strangers that counts what it loads and says nothing of a cache."""
    loaded = []

    class Counting:
        @staticmethod
        @kplug.hookimpl
        def components():
            return [counting]

    def counting() -> kplug.Source:
        def load_one(row):
            loaded.append(int(row))
            return np.full((4, 4, 3), int(row), np.uint8)

        def load(row):
            return {"image": tf.ensure_shape(tf.numpy_function(load_one, [row], tf.uint8), (4, 4, 3))}

        facts = {"label": {"classes": ("a", "b")}, "image": {"size": (4, 4), "channels": 3}}
        columns = Columns(12, {"label": np.arange(12, dtype=np.int32) % 2})
        return {"train": Split(columns, load, {"image": "image", "label": "label"}, facts)}

    text = """
name: counting
task: {type: classification, model: flatten}
data: {source: counting, validation: 0, sampler: {type: shuffled, batch_size: 4}}
"""
    with using([Counting]):
        data = open_data(kplug.loads(text))
        loaded.clear()
        data.read_ahead("train")
        assert sorted(loaded) == list(range(12))
        seen = batches(data.training(LEARNER, 3))
        assert len(seen) == 9 and sorted(loaded) == list(range(12))
    runs = [kplug.train(spec_of(photos, mb), tmp_path / f"run{mb}") for mb in (0, 1024)]
    rows = [(run.path / "metrics.jsonl").read_bytes() for run in runs]
    assert rows[0] == rows[1]


def test_whole_splits_are_kept_while_they_fit(photos):
    data = open_data(spec_of(photos))
    each = size_of_an_example(data.info)
    assert each == 8 * 8 * 3 + 4

    def kept(mb, sizes=None):
        splits = {
            name: Split(Columns(count), lambda row: {}, cache_mb=mb) for name, count in (sizes or {}).items()
        } or data.splits
        return splits_that_fit(splits, data.info)

    mib = 2**20 // each
    assert kept(1024) == ["train", "validation", "test"]
    assert kept(0, {"train": 1, "test": 1}) == []
    assert kept(1, {"train": mib, "validation": 1, "test": 1}) == ["train"]
    assert kept(1, {"train": mib + 1, "validation": mib - 1, "test": 1}) == ["validation", "test"]


def test_what_is_in_memory_already_is_not_kept():
    spec = kplug.loads("""
name: digits
task: {type: classification, model: flatten}
data: {source: digits}
""")
    data = open_data(spec)
    data.read_ahead("train")
    assert not data.kept


def test_what_is_held_is_what_was_said(photos):
    data = open_data(spec_of(photos))
    data.read_ahead("train")
    arrays = data.kept["train"]
    assert sum(array.nbytes for array in arrays.values()) == len(data.split("train")) * size_of_an_example(data.info)


def test_a_picture_that_cannot_be_read_is_named_while_it_is_read_ahead(photos, tmp_path):
    bad = photos / "a" / "2.png"
    bad.write_bytes(b"these are no pixels")
    with pytest.raises(kplug.SpecError, match=rf"mend or remove them:\n  .*a{os.sep}2\.png: image: not a JPEG"):
        kplug.train(spec_of(photos), tmp_path / "run")
