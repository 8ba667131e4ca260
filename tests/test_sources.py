"""The sources of files and arrays: what they read, and what they say of bad input."""

import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from kplug.default_plugins import sources
from kplug.errors import SpecError

CIFAR = Path(__file__).parents[1] / "../shared/data/cifar10_jpg_subset"


def save_picture(path, size=(4, 6), value=100):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(path)


def image_of(split, row):
    """A picture loaded inside an input pipeline, decoded where it is encoded."""
    image = next(iter(tf.data.Dataset.from_tensors(tf.constant(row, tf.int64)).map(split.load)))["image"]
    return tf.io.decode_image(image).numpy() if image.dtype == tf.string else image.numpy()


def classes_of(split):
    return split.facts.get("label", {}).get("classes", ())


def shape_of(split):
    told = split.facts["image"]
    return (*(told["size"] or (None, None)), told["channels"])


def message_of(call):
    with pytest.raises(SpecError) as caught:
        call()
    return str(caught.value)


# --- digits --------------------------------------------------------------------------------------------------------


def test_digits():
    from sklearn.datasets import load_digits

    splits = sources.digits()
    train, test = splits["train"], splits["test"]
    assert (len(train) + len(test), len(test)) == (1797, 359)
    assert classes_of(train) == classes_of(test) == tuple("0123456789")
    assert shape_of(train) == (8, 8, 1) and train.batched
    assert list(train.columns.arrays) == ["label"] and train.columns["label"].dtype == np.int32
    shares = np.bincount(test.columns["label"]) / np.bincount(load_digits().target)
    assert np.allclose(shares, 0.2, atol=0.01)
    pictures = {name: image_of(split, np.arange(len(split))) for name, split in splits.items()}
    assert pictures["train"].dtype == np.uint8 and pictures["train"].max() == 255
    together = np.concatenate([pictures["train"], pictures["test"]])[..., 0]
    expected = np.round(load_digits().images * 255 / 16).astype(np.uint8)
    assert sorted(map(bytes, together)) == sorted(map(bytes, expected))
    assert np.array_equal(sources.digits()["test"].columns["label"], test.columns["label"])


# --- folder --------------------------------------------------------------------------------------------------------


@pytest.fixture
def pets(tmp_path):
    for number in range(10):
        save_picture(tmp_path / f"pets/cat/{number}.png", value=number)
        save_picture(tmp_path / f"pets/dog/more/{number}.JPG", value=100 + number)
    return tmp_path / "pets"


def test_folder_by_share(pets):
    (pets / "cat/notes.txt").write_text("not a picture")
    (pets / "cat/.hidden.png").write_text("nor this")
    (pets / ".git").mkdir()
    splits = sources.folder(str(pets), test=0.25)
    train, test = splits["train"], splits["test"]
    assert (len(train), len(test)) == (15, 5) and classes_of(train) == ("cat", "dog")
    paths = [*train.columns["path"], *test.columns["path"]]
    assert len(set(paths)) == 20 and all(os.path.isfile(path) for path in paths)
    for row, path in enumerate(test.columns["path"]):
        assert test.columns["label"][row] == ("/dog/" in path)
        value = int(Path(path).stem) + 100 * ("/dog/" in path)
        assert abs(int(image_of(test, row).mean()) - value) <= 2
    assert shape_of(train) == (None, None, None) and not train.batched


def test_folder_keeps_its_split_when_pictures_come(pets):
    before = set(sources.folder(str(pets))["test"].columns["path"])
    save_picture(pets / "cat/new.png")
    after = set(sources.folder(str(pets))["test"].columns["path"])
    assert len(before - after) <= 1
    assert set(sources.folder(str(pets), test=0)) == {"train"}


def test_folder_by_folders(tmp_path):
    for split, count in {"train": 3, "val": 2, "test": 1}.items():
        for name in ("b", "a"):
            for number in range(count):
                save_picture(tmp_path / split / name / f"{number}.png")
    (tmp_path / "annotations").mkdir()
    splits = sources.folder(str(tmp_path))
    assert {name: len(split) for name, split in splits.items()} == {"train": 6, "validation": 4, "test": 2}
    assert splits["validation"].columns["label"].tolist() == [0, 0, 1, 1]


def test_folder_with_a_file_of_classes(pets, tmp_path):
    names = tmp_path / "classes.txt"
    names.write_text("\ufeffdog\r\n\r\nhorse\r\ncat\r\n", encoding="utf-8")
    split = sources.folder(str(pets), test=0, classes=str(names))["train"]
    assert classes_of(split) == ("dog", "horse", "cat")
    assert split.columns["label"].tolist() == [2] * 10 + [0] * 10
    names.write_text("dog\ncats\n")
    assert message_of(lambda: sources.folder(str(pets), classes=str(names))) == (
        f"class folders of train that {names} lacks: cat; did you mean 'cats'? (classes: dog, cats)"
    )
    names.write_text("dog\ncat\ndog\n")
    assert "classes.txt:3: the class 'dog' stands on line 1 already" in message_of(
        lambda: sources.folder(str(pets), classes=str(names))
    )
    names.write_bytes(b"caf\xe9\n")
    assert "is not UTF-8 text (byte 3 is 0xe9)" in message_of(lambda: sources.folder(str(pets), classes=str(names)))


def test_folder_follows_links_once(pets):
    (pets / "cat/again").symlink_to(pets / "cat")
    assert len(sources.folder(str(pets), test=0)["train"]) == 20


def test_folder_says_which_pictures_it_passes_over(pets, caplog):
    (pets / "cat/1.webp").touch()
    (pets / "cat/readme").touch()
    sources.folder(str(pets))
    said = "passed over 1 file without ending, 1 file .webp; JPEG, PNG, BMP and GIF are read"
    assert caplog.messages == [f"{pets}: {said}"]


def test_a_text_that_begins_like_a_picture_is_none(pets, caplog):
    before = len(sources.folder(str(pets), test=0)["train"])
    (pets / "cat/notes.txt").write_text("BMW 3 series, seen from the left")
    assert len(sources.folder(str(pets), test=0)["train"]) == before
    assert "passed over 1 file .txt" in caplog.text


@pytest.mark.parametrize("name", ["pipe", "pipe.jpg"])
def test_folder_waits_for_no_pipe(pets, name):
    before = len(sources.folder(str(pets), test=0)["train"])
    os.mkfifo(pets / "cat" / name)
    assert len(sources.folder(str(pets), test=0)["train"]) == before


def test_folder_refuses_what_it_cannot_use(pets):
    def message(**parameters):
        return message_of(lambda: sources.folder(str(pets), **parameters))

    assert message_of(lambda: sources.folder(f"{pets}s")).startswith(f"no folder {pets}s; did you mean 'pets'?")
    assert "Not a directory" in message_of(lambda: sources.folder(str(pets / "cat/0.png")))
    assert "holds no class folders" in message_of(lambda: sources.folder(str(pets / "cat")))
    assert message(test=0.01) == (
        "test: 0.01 of 20 examples leaves none for test; choose another share, or 0 for no test"
    )
    (pets / "bird").mkdir()
    (pets / "bird/a.tif").touch()
    assert f"class folders without a picture: {pets}/bird (1 file .tif)" in message()


def test_folder_refuses_uneven_splits(tmp_path):
    save_picture(tmp_path / "train/cat/1.png")
    save_picture(tmp_path / "test/cow/1.png")
    assert f"class folders of test that {tmp_path}/train lacks: cow" in message_of(
        lambda: sources.folder(str(tmp_path))
    )
    save_picture(tmp_path / "vaildation/cat/1.png")
    assert "is no split; did you mean 'validation'?" in message_of(lambda: sources.folder(str(tmp_path)))
    (tmp_path / "vaildation").rename(tmp_path / "val")
    save_picture(tmp_path / "valid/cat/1.png")
    assert "has the folders 'val' and 'valid'" in message_of(lambda: sources.folder(str(tmp_path)))
    (tmp_path / "train").rename(tmp_path / "Training")
    assert "but no train" in message_of(lambda: sources.folder(str(tmp_path)))


@pytest.mark.skipif(not CIFAR.is_dir(), reason="the CIFAR-10 pictures are not beside the repository")
def test_folder_on_real_pictures():
    splits = sources.folder(str(CIFAR))
    assert {name: len(split) for name, split in splits.items()} == {"train": 5000, "test": 1000}
    assert np.bincount(splits["test"].columns["label"]).tolist() == [100] * 10
    assert image_of(splits["train"], 4999).shape == (32, 32, 3)


# --- table ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def write_table(tmp_path):
    for number in range(6):
        save_picture(tmp_path / f"images/{number}.png", value=10 * number)

    def write(text, **parameters):
        (tmp_path / "table.csv").write_text(text, encoding="utf-8")
        return lambda: sources.table(str(tmp_path / "table.csv"), **parameters)

    return write


def test_table(write_table):
    text = "\ufeffimage,label,split,age,weight,code,note\n"
    rows = ["cat,train,3,1.5,007,a", "dog,train,4,,012,b", "cat,val,5,1e1,3,c", 'dog,TEST,-6,2,4,"d, e\nf"']
    text += "".join(f"images/{number}.png,{row}\n" for number, row in enumerate(rows))
    splits = write_table(text)()
    assert {name: len(split) for name, split in splits.items()} == {"train": 2, "validation": 1, "test": 1}
    train, test = splits["train"].columns, splits["test"].columns
    assert classes_of(splits["train"]) == ("cat", "dog")
    assert train["label"].tolist() == [0, 1] and train["label"].dtype == np.int32
    assert train["age"].tolist() == [3, 4] and train["age"].dtype == np.int64
    assert train["weight"].dtype == np.float32 and np.array_equal(train["weight"], [1.5, np.nan], equal_nan=True)
    assert train["code"].tolist() == ["007", "012"] and test["note"].tolist() == ["d, e\nf"]
    assert set(train.arrays) == {"label", "path", "age", "weight", "code", "note"}
    assert image_of(splits["test"], 0).mean() == 30


def test_table_by_share_and_without_labels(write_table):
    text = "file\n" + "".join(f"{number}.png\n" for number in range(6))
    root = write_table("")  # only to learn where the pictures are
    assert "has no rows" in message_of(root)
    load = write_table(text, image="file", label=None, test=0.5)
    assert "6 of 6 pictures are missing" in message_of(load)
    folder = message_of(load).split("root: ")[1].split(")")[0]
    splits = write_table(text, image="file", label=None, test=0.5, root=f"{folder}/images")()
    assert {name: len(split) for name, split in splits.items()} == {"train": 3, "test": 3}
    assert classes_of(splits["train"]) == () and "label" not in splits["train"].columns


def test_table_of_integer_labels(write_table, tmp_path):
    text = "image,label\n" + "".join(f"images/{n}.png,{label}\n" for n, label in enumerate([10, 9, 2, 10, 9, 2]))
    split = write_table(text, test=0)()["train"]
    assert classes_of(split) == ("2", "9", "10") and split.columns["label"].tolist() == [2, 1, 0, 2, 1, 0]
    (tmp_path / "names.txt").write_text("\n".join("abcdefghijk"))
    split = write_table(text, test=0, classes=str(tmp_path / "names.txt"))()["train"]
    assert classes_of(split)[10] == "k" and split.columns["label"].tolist() == [10, 9, 2, 10, 9, 2]


def test_table_of_several_labels(write_table):
    text = "image,label\nimages/0.png,red|round\nimages/1.png,\nimages/2.png, round \n"
    split = write_table(text, separator="|", test=0)()["train"]
    assert classes_of(split) == ("red", "round") and split.columns["label"].dtype == np.float32
    assert split.columns["label"].tolist() == [[1, 1], [0, 0], [0, 1]]


@pytest.mark.parametrize(
    ("text", "parameters", "expected"),
    [
        ("image,label\n", {}, "has no rows"),
        ("imag,label\na,b\n", {}, "no column 'image' (image); did you mean 'imag'? (columns: imag, label)"),
        ("image;label\na;b\n", {}, "the columns are to be separated by commas"),
        ("image,label,Split\nimages/0.png,a,train\n", {}, "no column 'split' (split); did you mean 'Split'?"),
        ("image,label\nimages/0.png,a,b\n", {}, "table.csv:2: 3 cells, the first line has 2"),
        ("image,label,label\na,b,c\n", {}, "table.csv:1: columns named twice: label"),
        ('image,label\n"images/0.png,a\n', {}, "not CSV: unexpected end of data"),
        ("image,label\n\nimages/0.png,a\nimages/9.png,a\n", {}, "table.csv:4: no file"),
        ("image,label\nimages/0.png,\n", {}, "table.csv:2: the cell is empty"),
        ("image,label,split\nimages/0.png,a,tain\n", {}, "table.csv:2: 'tain'; did you mean 'train'?"),
        ("image,label,split\nimages/0.png,a,test\n", {}, "no row of the split train (splits: test)"),
        (
            "image,label,split\nimages/0.png,cat,train\nimages/1.png,cats,test\n",
            {},
            "labels that are no class of the training rows (cat):\n  ",
        ),
        ("image,label,path\nimages/0.png,a,b\n", {}, "further columns path bear names"),
        ("image,label\nimages/0.png,a\n", {"root": "nowhere"}, "no folder nowhere"),
        ("image,label\nimages/0.png,\n", {"separator": "|", "test": 0}, "no training row has a label"),
    ],
)
def test_table_refuses(write_table, text, parameters, expected):
    assert expected in message_of(write_table(text, **parameters))


def test_table_names_the_first_bad_rows_and_counts_all(write_table, tmp_path):
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    text = "image,label\n" + "".join(f"images/{n}.png,{label}\n" for n, label in enumerate(["cat", *["dgo"] * 5]))
    assert write_table(text.replace("dgo", "dog"), classes=str(tmp_path / "names.txt"))()
    message = message_of(write_table(text, classes=str(tmp_path / "names.txt")))
    assert f"{tmp_path}/table.csv:3: 'dgo'; did you mean 'dog'?" in message
    message = message_of(write_table("image,label\n" + "x.png,cat\n" * 9))
    assert message.count("no file") == 5 and "9 of 9 pictures" in message and "... (9 in all)" in message


# --- arrays --------------------------------------------------------------------------------------------------------


@pytest.fixture
def save_arrays(tmp_path):
    def save(**arrays):
        np.savez(tmp_path / "data.npz", **arrays)
        return lambda **parameters: sources.arrays(str(tmp_path / "data.npz"), **parameters)

    return save


def pictures(count, *shape):
    return np.random.default_rng(count).integers(0, 256, (count, *shape)).astype(np.uint8)


def test_arrays_by_name(save_arrays):
    x, more = pictures(6, 5, 4), pictures(2, 5, 4)
    splits = save_arrays(
        x_train=x, y_train=np.array([[0], [1], [2], [0], [1], [2]]), x_val=more, y_val=np.array([[1], [2]]),
        age_train=np.arange(6), age_val=np.arange(2), site_train=np.array(list("abcdef")),
        site_val=np.array(["g", "h"]), classes=np.array(["red", "green", "blue"]),
    )()  # fmt: skip
    assert set(splits) == {"train", "validation"} and classes_of(splits["train"]) == ("red", "green", "blue")
    assert shape_of(splits["train"]) == (5, 4, 1) and splits["train"].batched
    assert splits["train"].columns["label"].tolist() == [0, 1, 2, 0, 1, 2]
    assert splits["validation"].columns["site"].tolist() == ["g", "h"]
    assert np.array_equal(image_of(splits["train"], [5, 0])[..., 0], x[[5, 0]])
    assert np.array_equal(image_of(splits["validation"], 1)[..., 0], more[1])


def test_arrays_by_share(save_arrays):
    images = pictures(20, 3, 3, 3)
    splits = save_arrays(images=images, labels=np.arange(20) % 4, number=np.arange(20))(test=0.25)
    assert {name: len(split) for name, split in splits.items()} == {"train": 15, "test": 5}
    for split in splits.values():
        numbers = split.columns["number"]
        assert np.array_equal(split.columns["label"], numbers % 4)
        assert np.array_equal(image_of(split, np.arange(len(split))), images[numbers])


def test_arrays_of_rows_of_labels(save_arrays):
    x = pictures(3, 2, 2)
    one_hot = save_arrays(x_train=x, y_train=np.eye(3)[[2, 0, 1]])()["train"]
    assert one_hot.columns["label"].tolist() == [2, 0, 1] and one_hot.columns["label"].dtype == np.int32
    several = save_arrays(x_train=x, y_train=np.array([[1, 1], [0, 0], [0, 1]], bool))()["train"]
    assert several.columns["label"].tolist() == [[1, 1], [0, 0], [0, 1]]
    assert several.columns["label"].dtype == np.float32 and classes_of(several) == ("0", "1")


GOOD = {"x_train": pictures(3, 2, 2), "y_train": np.array([0, 1, 2])}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"x_train": np.zeros((3, 2, 2))}, "float64, not uint8; multiply by 255"),
        ({"x_train": pictures(3, 2, 2, 2)}, "have the shape (3, 2, 2, 2)"),
        ({"x_train": pictures(0, 2, 2), "y_train": np.zeros(0, int)}, "the split train is empty"),
        ({"y_train": np.array([0, 1])}, "y of train has the shape (2,), for 3 pictures"),
        ({"y_train": np.array([0, -1, 2])}, "label -1 in row 1 of train (1 in all) is outside the 3 classes"),
        ({"y_train": np.array([0, 1, 2**40])}, "label 1099511627776; number the classes from 0"),
        ({"y_train": np.array([0.5, 1, 2])}, "the labels of train are float64 (3,)"),
        ({"y_train": np.array([[0, 2], [1, 1], [0, 1]])}, "are not zeros and ones"),
        ({"classes": np.array(["a", "b"])}, "label 2 in row 2 of train (1 in all) is outside the 2 classes"),
        ({"classes": np.array(["a", "b", "a"])}, "classes names a class twice"),
        ({"classes": np.array(["a", None, "c"], object)}, "'classes' holds Python objects"),
        ({"x_test": pictures(1, 2, 2)}, "no array y_test"),
        ({"x_test": pictures(1, 3, 2), "y_test": np.array([0])}, "differ in shape: (2, 2, 1), (3, 2, 1)"),
        ({"x_test": pictures(1, 2, 2), "y_test": np.array([3])}, "label 3 in row 0 of test"),
        ({"x_tets": pictures(1, 2, 2)}, "the array 'x_tets' belongs to no split"),
        ({"label_train": np.arange(3)}, "a further column cannot be named label"),
    ],
)
def test_arrays_refuse(save_arrays, changed, expected):
    assert save_arrays(**GOOD)()
    assert expected in message_of(save_arrays(**{**GOOD, **changed}))


def test_arrays_refuse_other_files(save_arrays, tmp_path):
    assert "no array 'images'; did you mean 'image'?" in message_of(save_arrays(image=pictures(2, 2, 2)))
    assert "labels should have 2 rows" in message_of(save_arrays(images=pictures(2, 2, 2), labels=np.arange(3)))
    assert "no file" in message_of(lambda: sources.arrays(str(tmp_path / "date.npz")))
    np.save(tmp_path / "one.npy", np.arange(3))
    assert "holds one array" in message_of(lambda: sources.arrays(str(tmp_path / "one.npy")))
    (tmp_path / "text.npz").write_text("hello")
    assert "is no .npz file" in message_of(lambda: sources.arrays(str(tmp_path / "text.npz")))
    whole = (tmp_path / "data.npz").read_bytes()
    (tmp_path / "half.npz").write_bytes(whole[: len(whole) // 2])
    assert "is no whole .npz file" in message_of(lambda: sources.arrays(str(tmp_path / "half.npz")))
