"""The source `tfds`, on datasets that the tests make and on those beside the repository."""

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from kplug.default_plugins import sources
from kplug.default_plugins.sources import tfds_records
from kplug.default_plugins.sources.record_files import record_offsets
from kplug.errors import SpecError

STORE = Path(__file__).parents[1] / "../shared/data/tfds"
real = pytest.mark.skipif(not STORE.is_dir(), reason="the TFDS datasets are not beside the repository")
FORMATS = ("tfrecord", "array_record")
SIZES = {"train": 300, "test": 40}  # train is more than is read at once


def pixels(split, number):
    """A picture that tells its number."""
    return np.random.default_rng((len(split), number)).integers(0, 256, (5, 4, 3)).astype(np.uint8)


def examples(split):
    return [
        {
            "image": pixels(split, number),
            "label": number % 3,
            "number": number * 2**35,
            "weight": number / 2,
            "sure": number % 2 == 0,
            "note": f"Nº {number}",
            "boxes": np.zeros((number % 4, 4), np.float32),
        }
        for number in range(SIZES[split])
    ]


def write_dataset(data_dir, file_format, name="tiny", shape=(5, 4, 3)):
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=shape),
            "label": tfds.features.ClassLabel(names=["red", "green", "blue"]),
            "number": np.int64,
            "weight": np.float32,
            "sure": np.bool_,
            "note": tfds.features.Text(),
            "boxes": tfds.features.Sequence(tfds.features.Tensor(shape=(4,), dtype=np.float32)),
        }
    )
    signature = {
        key: tf.TensorSpec([None, 4] if key == "boxes" else info.shape, info.dtype)
        for key, info in features.get_tensor_info().items()
    }
    datasets = {
        split: tf.data.Dataset.from_generator(lambda split=split: iter(examples(split)), output_signature=signature)
        for split in SIZES
    }
    tfds.dataset_builders.store_as_tfds_dataset(
        name=name, version="1.0.0", features=features, split_datasets=datasets, data_dir=data_dir,
        file_format=file_format, disable_shuffling=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folders = {file_format: tmp_path_factory.mktemp(file_format) for file_format in FORMATS}
    for file_format, folder in folders.items():
        write_dataset(folder, file_format)
    return {file_format: str(folder) for file_format, folder in folders.items()}


def images_of(split, rows):
    """Pictures of rows, loaded in parallel inside an input pipeline."""
    data = tf.data.Dataset.from_tensor_slices(np.asarray(rows, np.int64))
    images = data.map(lambda row: split.load(row)["image"], num_parallel_calls=8).as_numpy_iterator()
    return [tf.io.decode_image(image).numpy() if isinstance(image, bytes) else image for image in images]


def classes_of(split):
    return split.facts.get("label", {}).get("classes", ())


def shape_of(split):
    told = split.facts["image"]
    return (*(told["size"] or (None, None)), told["channels"])


def message_of(**parameters):
    with pytest.raises(SpecError) as caught:
        sources.tfds(**parameters)
    return str(caught.value)


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("cache_mb", [0, 1])
def test_every_example_is_read(stores, file_format, cache_mb):
    splits = sources.tfds("tiny", stores[file_format], cache_mb=cache_mb)
    assert {name: len(split) for name, split in splits.items()} == SIZES
    for name, split in splits.items():
        columns, numbers = split.columns, range(SIZES[name])
        assert classes_of(split) == ("red", "green", "blue") and shape_of(split) == (5, 4, 3)
        assert split.batched == bool(cache_mb)
        assert list(columns.arrays) == ["label", "note", "number", "sure", "weight"]
        assert columns["label"].dtype == np.int32 and columns["label"].tolist() == [n % 3 for n in numbers]
        assert columns["number"].tolist() == [n * 2**35 for n in numbers]
        assert columns["weight"].dtype == np.float32 and columns["weight"].tolist() == [n / 2 for n in numbers]
        assert columns["sure"].tolist() == [1 - n % 2 for n in numbers]
        assert columns["note"].tolist() == [f"Nº {n}" for n in numbers]
        rows = np.random.default_rng(0).permutation(SIZES[name])
        for row, image in zip(rows, images_of(split, rows), strict=True):
            assert np.array_equal(image, pixels(name, row))


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("cache_mb", [0, 1])
def test_split_expressions(stores, file_format, cache_mb):
    splits = sources.tfds(
        "tiny:1.0.0", stores[file_format], "train[:10%]+test[-5:]", "train[50%:52%]", None, cache_mb=cache_mb
    )
    assert set(splits) == {"train", "validation"}
    expected = [*(("train", n) for n in range(30)), *(("test", n) for n in range(35, 40))]
    images = images_of(splits["train"], range(35))
    assert all(np.array_equal(image, pixels(*which)) for image, which in zip(images, expected, strict=True))
    assert splits["validation"].columns["weight"].tolist() == [n / 2 for n in range(150, 156)]


def test_the_cache_takes_the_splits_that_fit(stores, tmp_path):
    one = 300 * 5 * 4 * 3 / 2**20
    assert one < 1
    write_dataset(tmp_path, "tfrecord", "loose", shape=(None, None, 3))
    loose = sources.tfds("loose", str(tmp_path))["train"]
    assert shape_of(loose) == (None, None, 3) and not loose.batched
    assert np.array_equal(images_of(loose, [7])[0], pixels("train", 7))


def test_labels_of_another_kind(stores):
    splits = sources.tfds("tiny", stores["tfrecord"], train="train[:4]", test="train[2:3]", label="number")
    assert classes_of(splits["train"]) == tuple(str(n * 2**35) for n in range(4))
    assert splits["train"].columns["label"].tolist() == [0, 1, 2, 3]
    assert splits["test"].columns["label"].tolist() == [2]
    split = sources.tfds("tiny", stores["tfrecord"], test=None, label=None)["train"]
    assert classes_of(split) == () and "label" not in split.columns and "number" in split.columns


def test_it_refuses_what_the_dataset_lacks(stores):
    store = stores["tfrecord"]
    sizes = "splits: train (300), test (40)"
    assert message_of(name="tiny", data_dir=store, test="tests") == (
        f"test: 'tests': tiny/1.0.0 has no such split; did you mean 'test'? ({sizes}; test: null for none)"
    )
    assert sizes in message_of(name="tiny", data_dir=store, train="train[:5x]")
    assert sizes in message_of(name="tiny", data_dir=store, train="trian[:50%]")
    assert "train: 'train[3:3]' holds no example" in message_of(name="tiny", data_dir=store, train="train[3:3]")
    assert (
        message_of(name="tiny", data_dir=store, image="img")
        == "image: tiny: no feature 'img'; did you mean 'image'? (pictures: image)"
    )
    assert "'note' is no class (classes and integers: label, number" in message_of(
        name="tiny", data_dir=store, label="note"
    )


def test_a_dataset_that_is_not_there(stores, monkeypatch, tmp_path):
    store = stores["tfrecord"]
    assert message_of(name="fashion_mnits", data_dir=store) == (
        "no dataset named 'fashion_mnits'; did you mean 'fashion_mnist'?; "
        f"not in TensorFlow Datasets, nor in {store} (which holds tiny)"
    )
    assert "did you mean 'tiny'?" in message_of(name="tinny", data_dir=store)
    assert "only: 3.0.1" in message_of(name="mnist:9.9.9", data_dir=store)
    begin = time.monotonic()
    monkeypatch.setattr(tfds_records, "DOWNLOAD_HOST", ("no-such-host.invalid", 443))
    monkeypatch.setattr("urllib.request.getproxies", dict)
    message = message_of(name="cifar10", data_dir=str(tmp_path / "nowhere"))
    assert f"cifar10 is not prepared in {tmp_path}/nowhere (which does not exist), and there is no network" in message
    assert time.monotonic() - begin < 20 and not (tmp_path / "nowhere").exists()
    message = message_of(name="cifar10", data_dir=store, download=False)
    assert f"cifar10 is not prepared in {store} (which holds tiny); set download: true" in message


@pytest.mark.parametrize("cut", [1, 20])
def test_a_cut_file_is_reported(stores, tmp_path, cut):
    shutil.copytree(stores["tfrecord"], tmp_path / "store")
    (path,) = (tmp_path / "store").glob("tiny/1.0.0/*test.tfrecord*")
    os.truncate(path, path.stat().st_size - cut)
    message = message_of(name="tiny", data_dir=str(tmp_path / "store"))
    assert message.startswith(f"{path} is damaged: it should hold 40 whole records")
    path.unlink()
    assert message_of(name="tiny", data_dir=str(tmp_path / "store")).startswith(f"{path} is missing")


@pytest.mark.parametrize("cache_mb", [0, 1])
def test_a_record_that_is_no_example_is_reported(stores, tmp_path, cache_mb):
    shutil.copytree(stores["tfrecord"], tmp_path / "store")
    (path,) = (tmp_path / "store").glob("tiny/1.0.0/*test.tfrecord*")
    offsets = record_offsets(str(path), 40)
    content = bytearray(path.read_bytes())
    content[offsets[7] + 12 : offsets[8] - 4] = b"\xff" * (offsets[8] - offsets[7] - 16)
    path.write_bytes(content)
    message = message_of(name="tiny", data_dir=str(tmp_path / "store"), cache_mb=cache_mb)
    assert f"a record in {tmp_path}/store/tiny/1.0.0 cannot be read" in message


@real
@pytest.mark.parametrize(("name", "cache_mb"), [("fashion_mnist", 0), ("fashion_mnist", 1024), ("mnist", 0)])
def test_real_datasets(name, cache_mb):
    splits = sources.tfds(name, str(STORE), train="test", test="test[:100]", cache_mb=cache_mb)
    train = splits["train"]
    assert (len(train), len(splits["test"])) == (10_000, 100) and shape_of(train) == (28, 28, 1)
    assert classes_of(train)[0] == {"mnist": "0", "fashion_mnist": "T-shirt/top"}[name]
    builder = tfds.builder(name, data_dir=str(STORE))
    if name == "mnist":
        expected = [builder.as_data_source("test")[row] for row in range(100)]
    else:
        expected = list(builder.as_dataset(split="test").take(100).as_numpy_iterator())
    assert train.columns["label"][:100].tolist() == [int(example["label"]) for example in expected]
    for image, example in zip(images_of(train, range(100)), expected, strict=True):
        assert np.array_equal(image, example["image"])
