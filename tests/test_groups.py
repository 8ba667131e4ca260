"""Groups: no share and no fold of train cuts one; classes that nothing teaches are refused when a training begins."""

import hashlib

import numpy as np
import pytest

import kplug
from kplug.data.splits import open_data, stable_folds, stable_share
from kplug.kinds import Columns, FitInfo, Split
from kplug.model.learner import build_learner
from kplug.testing import plugged
from kplug.tuning.search import repeats_of

KEYS = [f"cat/{number}.jpg" for number in range(503)]


def of_0_1_0(keys, begin, end):
    """The function of 0.1.0, by which runs that are kept chose their rows."""
    digests = [hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).digest() for key in keys]
    hashes = np.frombuffer(b"".join(digests), ">u8")
    chosen = np.zeros(len(keys), bool)
    order = np.argsort(hashes, kind="stable")
    chosen[order[round(begin * len(keys)) : round(end * len(keys))]] = True
    return chosen


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("size", [1, 2, 7, 40, 503])
def test_where_every_row_is_its_own_group_nothing_changes(size, whole):
    keys = KEYS[:size]
    for share in (0.0, 0.001, 0.05, 0.1, 0.15, 1 / 3, 0.5, 0.9, 0.999, 1.0):
        np.testing.assert_array_equal(stable_share(keys, share, whole), of_0_1_0(keys, 0.0, share))
    for of in range(2, min(size, 9) + 1):
        folds = stable_folds(keys, of, whole)
        for fold in range(of):
            np.testing.assert_array_equal(folds == fold, of_0_1_0(keys, fold / of, (fold + 1) / of))


def test_equal_paths_without_a_group_are_cut_as_before():
    keys = [f"{number // 7}.jpg" for number in range(100)]
    for share in (0.1, 0.3, 0.55):
        np.testing.assert_array_equal(stable_share(keys, share), of_0_1_0(keys, 0.0, share))


def uneven(seed, groups=30):
    """Groups of 1 to 20 rows, mixed."""
    rng = np.random.default_rng(seed)
    return rng.permutation(np.repeat([f"p{n}" for n in range(groups)], rng.integers(1, 21, groups))).tolist()


def cut(keys, chosen):
    keys = np.asarray(keys)
    return set(keys[chosen]) & set(keys[~chosen])


@pytest.mark.parametrize("seed", range(5))
def test_a_share_is_exact_to_within_one_group_and_cuts_none(seed):
    keys = uneven(seed)
    for share in (0.05, 0.1, 0.33, 0.5, 0.9):
        chosen = stable_share(keys, share, whole=True)
        assert not cut(keys, chosen)
        assert 0 < chosen.sum() < len(keys) and abs(chosen.sum() - share * len(keys)) <= 20


@pytest.mark.parametrize("seed", range(5))
def test_folds_cut_no_group_and_hold_every_row_once(seed):
    for of in (2, 5, 30):
        keys = uneven(seed)
        folds = stable_folds(keys, of, whole=True)
        assert set(folds) == set(range(of))
        for fold in range(of):
            assert not cut(keys, folds == fold)


def test_one_large_group_leaves_no_fold_empty():
    keys = ["large"] * 100 + ["a", "b", "c"]
    assert sorted(np.bincount(stable_folds(keys, 4, whole=True))) == [1, 1, 1, 100]


def test_a_further_example_moves_at_most_one_group():
    keys = uneven(0)
    before = stable_share(keys, 0.3, whole=True)
    for more in (["p3"], ["new"], ["new"] * 3):
        after = stable_share([*keys, *more], 0.3, whole=True)[: len(keys)]
        assert len({key for key, one, other in zip(keys, before, after, strict=True) if one != other}) <= 1


# --- in a spec -------------------------------------------------------------------------------------------------------

SPEC = """
name: grouped
task: {type: classification, model: flatten}
data:
  source: SOURCE
  validation: VALIDATION
  sampler: {type: shuffled, batch_size: 8}
"""


def spec(validation="0.2", source="recordings", image="image", **values):
    text = SPEC.replace("model: flatten", f"model: flatten, image: {image}")
    found = kplug.loads(text.replace("VALIDATION", validation).replace("SOURCE", source), "g.yaml")
    return found.at(values) if values else found


def recordings(grouped: bool = True, with_validation: bool = False, shared: bool = False) -> kplug.Source:
    """Pictures of 10 recordings.

    Args:
        grouped: the source says so.
        with_validation: a split of its own.
        shared: a recording is in train and in test.
    """
    import tensorflow as tf

    def split(first, count):
        rows = np.arange(count)
        columns = {"label": (rows % 3).astype("int32"), "recording": first + rows // 6, "site": rows % 2}
        return Split(
            Columns(count, columns),
            lambda row: {"image": tf.fill([8, 8, 1], tf.cast(row, tf.uint8))},
            {"image": "image", "label": "label"},
            {"image": {"size": (8, 8), "channels": 1}, "label": {"classes": ("a", "b", "c")}},
            "recording" if grouped else None,
        )

    splits = {"train": split(0, 60), "test": split(9 if shared else 50, 12)}
    return splits | ({"validation": split(80, 12)} if with_validation else {})


@pytest.fixture(autouse=True, scope="module")
def _plugin():
    with plugged(recordings):
        yield


def of_validation(spec, column):
    splits = open_data(spec).splits
    parts = [set(splits[name].columns[column].tolist()) for name in ("train", "validation")]
    return *parts, len(splits["validation"])


def test_the_group_of_a_source_is_not_cut():
    trained, held, count = of_validation(spec(), "recording")
    assert not trained & held and count == 12
    trained, held, count = of_validation(spec(source="{type: recordings, grouped: false}"), "recording")
    assert trained & held and count == 12
    by = spec("{share: 0.2, by: recording}", "{type: recordings, grouped: false}")
    assert of_validation(by, "recording") == of_validation(spec(), "recording")


def test_any_column_is_a_group():
    loose = "{type: recordings, grouped: false}"
    trained, held, _ = of_validation(spec("{share: 0.2, by: site}", loose), "site")
    assert len(trained) == len(held) == 1
    trained, held, _ = of_validation(spec("{share: 0.15, by: label}", "digits"), "label")
    assert not trained & held and len(held) in (1, 2)


def test_folds_hold_every_group_once():
    found = [of_validation(spec(f"{{fold: {fold}, of: 4}}"), "recording")[1] for fold in range(4)]
    assert sorted(group for part in found for group in part) == list(range(10))


def test_a_share_written_out_is_the_number():
    for source in ("digits", "recordings"):
        one, other = (open_data(spec(text, source)).splits["validation"] for text in ("0.2", "{share: 0.2}"))
        np.testing.assert_array_equal(one.columns["label"], other.columns["label"])
    assert kplug.loads(spec("{share: 0.2}").filled().dump())["data.validation.by"] is None


@pytest.mark.parametrize(
    ("validation", "source", "said"),
    [
        ("{fold: 0, of: 11}", "recordings", "6:15: data.validation: train has 10 groups of 'recording', which cannot"),
        (
            "{share: 0.2, by: site}",
            "recordings",
            "data.validation.by: 'site' cuts groups of the source, whose 'recording'",
        ),
        (
            "{fold: 0, of: 2, by: site}",
            "recordings",
            "write by: recording, or a column that has one value for",
        ),
        ("{fold: 0, of: 3, by: site}", "recordings", "train has 2 groups of 'site', which cannot be cut into 3 parts"),
        ("{fold: 0, of: 61}", "{type: recordings, grouped: false}", "train has 60 examples, which cannot be cut"),
        ("{share: 0.1, by: sight}", "recordings", "data.validation.by: no column named 'sight'; did you mean 'site'?"),
        ("{share: 0.1, by: site}", "{type: recordings, with_validation: true}", "no share of train validates"),
        ("0.1", "{type: recordings, shared: true}", "'recording' says which rows belong together, and 9 of it are in"),
    ],
)
def test_what_cannot_be_cut_is_refused_when_the_data_is_opened(validation, source, said):
    with pytest.raises(kplug.SpecError) as caught:
        open_data(spec(validation, source))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("validation", "said"),
    [
        ("{share: 0.1, by: lable}", "g.yaml:6:32: data.validation.by: the source has no field 'lable'; did you mean"),
        ("{fold: 0, of: 5, by: lable}", "g.yaml:6:36: data.validation.by: the source has no field 'lable'"),
        ("{fold: 0, of: 11, by: label}", "g.yaml:6:15: data.validation: 'label' has 10 classes, which cannot be cut"),
        ("{share: 1.5, by: label}", "data.validation.share: 1.5 is not less than 1"),
        ("{fold: 3, of: 3, by: label}", "fold 3 is not there"),
        ("{by: label}", "data.validation.share: missing"),
        ("{share: 0.1, of: 3}", "unknown key"),
    ],
)
def test_what_a_source_tells_unopened_is_refused_at_check(validation, said):
    with pytest.raises(kplug.SpecError) as caught:
        spec(validation, "digits")
    assert said in str(caught.value)


SEARCH = "\nsearch: {space: {task.label_smoothing: {choice: [0.0, 0.1]}}, repeats: {folds: FOLDS}}\n"


def searched_text(validation, folds, source):
    return SPEC.replace("VALIDATION", validation).replace("SOURCE", source) + SEARCH.replace("FOLDS", str(folds))


def searched(validation, folds, source="recordings"):
    return kplug.loads(searched_text(validation, folds, source), "g.yaml")


def test_folds_of_a_search_take_the_group_of_the_spec():
    assert list(repeats_of(searched("0.1", 2))) == [{"data.validation": {"fold": n, "of": 2}} for n in range(2)]
    changes = list(repeats_of(searched("{share: 0.1, by: site}", 2)))
    assert changes == [{"data.validation": {"fold": n, "of": 2, "by": "site"}} for n in range(2)]
    loose = "{type: recordings, grouped: false}"
    for change in changes:
        trained, held, _ = of_validation(searched("{share: 0.1, by: site}", 2, loose).at(change), "site")
        assert len(trained) == len(held) == 1
    with pytest.raises(kplug.SpecError, match=r"search.repeats.folds: 'label' has 10 classes, which cannot be cut"):
        searched("{share: 0.1, by: label}", 11, "digits")


# --- sources ---------------------------------------------------------------------------------------------------------


def write_table(path, rows=40, header="x,label,patient", more=""):
    lines = [f"{row / 7:.3f},{'ab'[row % 2]},p{row // 5}{more}" for row in range(rows)]
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def test_a_table_shares_out_whole_groups(tmp_path):
    file = write_table(tmp_path / "t.csv")
    text = f"{{type: table, path: {file}, image: null, group: patient}}"
    found = open_data(spec("0.2", text, "x"))
    parts = [set(found.splits[name].columns["patient"]) for name in ("train", "validation", "test")]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 8
    with pytest.raises(kplug.SpecError, match=r"group: the source has no field 'patent'; did you mean 'patient'"):
        spec("0.2", text.replace("patient", "patent"), "x")


@pytest.mark.parametrize(
    ("validation", "said"),
    [
        ("{fold: 0, of: 2, by: x}", "g.yaml:6:36: data.validation.by: 'x' cuts groups of the source, whose 'patient'"),
        ("{share: 0.2, by: x}", "g.yaml:6:32: data.validation.by: 'x' cuts groups of the source, whose 'patient' says"),
        ("{fold: 0, of: 9}", "g.yaml:6:15: data.validation: 'patient' has 8 groups, which cannot be cut into 9 folds"),
        ("{fold: 0, of: 3, by: ward}", "g.yaml:6:15: data.validation: 'ward' has 2 groups, which cannot be cut into 3"),
        ("{fold: 0, of: 2, by: ward}", None),
        ("{fold: 0, of: 8}", None),
    ],
)
def test_a_group_that_folds_of_a_table_cut_is_refused_at_check(tmp_path, validation, said):
    lines = [f"{row % 5},{'ab'[row % 2]},p{row // 5},{row // 20 + 1}{'.0' * (row % 2)},train" for row in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["x,label,patient,ward,split", *lines, "9,a,p9,3,test"]) + "\n")
    source = f"{{type: table, path: {tmp_path}/t.csv, image: null, group: patient}}"
    if said is None:
        assert open_data(spec(validation, source, "x")).splits["validation"]
        return
    with pytest.raises(kplug.SpecError) as caught:
        spec(validation, source, "x")
    assert said in str(caught.value)


def test_folds_of_a_search_are_no_more_than_the_groups_of_a_table(tmp_path):
    source = f"{{type: table, path: {write_table(tmp_path / 't.csv')}, image: null, test: 0, group: patient}}"
    with pytest.raises(kplug.SpecError, match=r"search.repeats.folds: 'patient' has 8 groups, which cannot be cut"):
        kplug.loads(searched_text("0.1", 9, source).replace("model: flatten", "model: flatten, image: x"))


def test_a_table_whose_split_cuts_a_group_or_that_has_none_is_refused(tmp_path):
    rows = [f"{row},{'ab'[row % 2]},p{row // 5},{'test' if row > 32 else 'train'}" for row in range(40)]
    file = tmp_path / "t.csv"
    file.write_text("\n".join(["x,label,patient,split", *rows]) + "\n")
    text = f"{{type: table, path: {file}, image: null, group: patient}}"
    with pytest.raises(kplug.SpecError, match="'patient' says which rows belong together, and p6 of it are in train"):
        open_data(spec("0.2", text, "x"))
    file.write_text("\n".join(["x,label,patient", *(row.rpartition(",")[0] for row in rows), "1,a,"]) + "\n")
    with pytest.raises(kplug.SpecError, match=r"rows without a group:\n  .*t.csv:42: 'patient' is empty"):
        open_data(spec("0.2", text, "x"))


def test_arrays_share_out_whole_groups(tmp_path):
    rows = np.arange(60)
    images = np.zeros((60, 4, 4), np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=rows % 2, writer=rows // 4)
    found = open_data(spec("0.2", f"{{type: arrays, path: {tmp_path}/a.npz, group: writer}}"))
    parts = [set(found.splits[name].columns["writer"].tolist()) for name in ("train", "validation", "test")]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 15
    with pytest.raises(kplug.SpecError, match="no column named 'writers'; did you mean 'writer'"):
        open_data(spec("0.2", f"{{type: arrays, path: {tmp_path}/a.npz, group: writers}}"))


# --- classes that nothing teaches ------------------------------------------------------------------------------------


def test_a_classification_is_not_trained_on_classes_without_an_example(tmp_path):
    unseen = spec("{share: 0.15, by: label}", "digits", **{"fit.epochs": 1})
    with pytest.raises(kplug.SpecError) as caught:
        kplug.train(unseen, tmp_path / "run")
    assert "g.yaml:3:7: task: classes of 'label' without a training example: " in str(caught.value)
    assert "leave them out of the source's `classes`" in str(caught.value) and not (tmp_path / "run").exists()


def test_a_run_is_evaluated_and_goes_on_though_a_class_has_no_example(tmp_path):
    run = kplug.train(spec("0.2", "digits", **{"fit.epochs": 1}), tmp_path / "run")
    found = run.evaluate("validation", name="unseen", changes={"data.validation": {"share": 0.15, "by": "label"}})
    assert 0 <= found["accuracy"] <= 1
    facts = run.read_json("data.json")
    facts["facts"]["label"]["counts"]["train"][3] = 0
    run.write_json("data.json", facts)
    kept = kplug.Run.open(run.path)
    assert kept.evaluate("test")["accuracy"] >= 0
    build_learner(kept.spec, kept.info, FitInfo(10, 1), "float32")
    with pytest.raises(kplug.SpecError, match="classes of 'label' without a training example: 3;"):
        build_learner(kept.spec, kept.info, FitInfo(10, 1, is_new=True), "float32")
