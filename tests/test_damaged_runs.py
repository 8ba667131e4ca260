"""A run whose files were changed, cut or replaced is refused by their names, or goes on from what is whole of it."""

import json
import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

import kplug
from kplug.contracts.interrupted import contents, killed_after
from kplug.data.splits import open_data
from kplug.inference.export import clear_killed
from kplug.inference.run import Run
from kplug.inference.verification import live_cases
from kplug.model.machine import Hardware
from kplug.storage.files import append, clear_half_written, lock, opened, refuse_links, remove
from kplug.storage.journal import Journal
from kplug.storage.notes import Notes
from kplug.storage.reading import LARGEST
from kplug.storage.run_directory import refuse_patterns
from kplug.training.fit import resume
from kplug.training.plan import Plan
from kplug.training.resume import newest_checkpoint
from kplug.training.workers import join, refuse_outside

SPEC = """
name: damaged
task: {type: classification, model: {type: layers, layers: [flatten, {type: dense, units: 4}]}}
data: {source: digits, sampler: {type: shuffled, batch_size: 200}}
fit: {epochs: 2, steps_per_execution: 1, checkpoint: {steps: 2, seconds: null, keep: 3}}
"""
STEPS = 6  # of an epoch


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A run that was killed in its second epoch: checkpoints after the steps 4, 6 and 8."""
    run = killed_after(9, kplug.loads(SPEC), tmp_path_factory.mktemp("killed") / "run")
    assert [path.name for path in checkpoints(run.path)] == ["ckpt-0-4", "ckpt-0-6", "ckpt-0-8"]
    return run.path


@pytest.fixture(scope="module")
def finished(killed, tmp_path_factory):
    return resume(shutil.copytree(killed, tmp_path_factory.mktemp("finished") / "run")).path


@pytest.fixture(scope="module")
def plan():
    spec = kplug.loads(SPEC).absolute()
    return Plan(open_data(spec), join(spec), Hardware.here(1))


@pytest.fixture
def outside(tmp_path):
    """A folder beside the run, of which nothing is changed."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "data.json").write_text('{"mine": true}\n')
    yield folder
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"data.json": '{"mine": true}\n'}


@pytest.fixture
def copied(tmp_path, outside):
    return lambda path: Path(shutil.copytree(path, tmp_path / "run"))


def checkpoints(path):
    return sorted((path / "checkpoints").iterdir(), key=lambda folder: int(folder.name.split("-")[2]))


def change(file, *steps):
    """Put the last of the steps in the place where the others lead in a file of JSON; `...` takes it away."""
    whole = json.loads(file.read_text())
    inside, (*path, last, value) = whole, steps
    for step in path:
        inside = inside[step]
    if value is ...:
        del inside[last]
    else:
        inside[last] = value
    file.write_text(json.dumps(whole))


# --- what is done with a run -----------------------------------------------------------------------------------------

VERBS = {
    "predict": lambda path: Run.open(path).predict([path / "samples/image/00.png"]),
    "evaluate": lambda path: Run.open(path).evaluate("test"),
    "export": lambda path: Run.open(path).export(),
    "resume": resume,
    "metrics": lambda path: Run.open(path).metrics,
}
ASKING = ("predict", "evaluate", "export")


def refused(verb, path, said="."):
    before = {file.relative_to(path) for file in path.rglob("*")}
    with pytest.raises(kplug.SpecError, match=said) as caught:
        VERBS[verb](path)
    new = {file.relative_to(path) for file in path.rglob("*")} - before
    assert new <= {Path("lock")}, "something was written"
    assert str(path) in str(caught.value)
    return str(caught.value)


# --- every file, and what may have become of it ----------------------------------------------------------------------


def link(file, outside):
    file.unlink()
    file.symlink_to(outside / "data.json")


def endless(file, outside):
    file.unlink()
    file.symlink_to("/dev/zero")


def pipe(file, outside):
    file.unlink()
    os.mkfifo(file)


def folder(file, outside):
    file.unlink()
    file.mkdir()


def large(file, outside):
    with open(file, "ab") as opened:
        opened.truncate(2**31)


FAULTS = {
    "cut": lambda file, outside: os.truncate(file, file.stat().st_size // 2),
    "empty": lambda file, outside: file.write_bytes(b""),
    "zeros": lambda file, outside: file.write_bytes(bytes(100)),
    "list": lambda file, outside: file.write_text("[1, 2]\n"),
    "number": lambda file, outside: file.write_text("5\n"),
    "null": lambda file, outside: file.write_text("null\n"),
    "nothing": lambda file, outside: file.write_text("{}\n"),
    "deep": lambda file, outside: file.write_text("[" * 100_000 + "]" * 100_000 + "\n"),
    "UTF-16": lambda file, outside: file.write_text(file.read_text(), encoding="utf-16"),
    "large": large,
    "link": link,
    "endless": endless,
    "pipe": pipe,
    "folder": folder,
}
READ_BY = {
    "data.json": (*ASKING, "resume"),
    "environment.json": ("resume",),
    "kept.json": ASKING,
    "result.json": ("metrics",),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", READ_BY)
def test_a_file_that_was_replaced_is_refused(killed, finished, copied, outside, name, fault):
    for verb in READ_BY[name]:
        path = copied(killed if verb == "resume" else finished)
        FAULTS[fault](path / name, outside)
        said = refused(verb, path)
        assert name in said or "nothing was trained here" in said  # environment.json is no file any more
        shutil.rmtree(path)


@pytest.mark.parametrize(
    ("name", "steps", "said"),
    [
        ("data.json", ("fields", ...), "fields: is missing"),
        ("data.json", ("format", ...), "resize: is missing"),
        ("data.json", ("format", 3), "format: 3 is not 2"),
        ("data.json", ("fields", "image", "shape", [-8, 8, 1]), "fields.image.shape.0: -8 is less than 0"),
        ("data.json", ("fields", "image", "shape", [10**30, 8, 1]), "fields.image.shape.0: .* is more than"),
        ("data.json", ("fields", "image", "shape", "8x8"), "fields.image.shape: '8x8' is not a list"),
        ("data.json", ("fields", "image", "dtype", "pictures"), "fields.image.dtype: 'pictures' is not one of"),
        ("data.json", ("fields", "image", ...), "fields.image is missing"),
        ("data.json", ("fields", []), r"fields: \[\] is not a mapping"),
        ("data.json", ("features", "image", "type", 7), "7"),
        ("data.json", ("features", "image", "type", "hologram"), "no feature named 'hologram'"),
        ("data.json", ("features", "image", "resize", "fold"), "'fold' is not one of"),
        ("data.json", ("facts", "image", "size", [-8, 8]), "fields.image: .* is not what the facts say"),
        ("data.json", ("facts", "image", "size", "large"), "facts.image.size: 'large' is nothing that the feature"),
        ("data.json", ("facts", "image", 3), "facts.image: 3 is not a mapping"),
        ("data.json", ("facts", "label", "classes", 10), "facts.label: classes: 10 is not a list"),
        ("data.json", ("facts", "label", "classes", [1, 2]), "facts.label: classes.0: 1 is not text"),
        ("data.json", ("facts", "label", "counts", {"train": [-1]}), "counts.train.0: -1 is less than 0"),
        ("data.json", ("splits", "train", "many"), "splits.train: 'many' is not a whole number"),
        ("environment.json", ("chosen", ...), "chosen: is missing"),
        ("environment.json", ("chosen", "threads", -1), "chosen.threads: -1 is less than 1"),
        ("environment.json", ("chosen", "threads", 1_000_000), "chosen.threads: 1000000 is more than 1024"),
        ("environment.json", ("chosen", "threads", "4"), "chosen.threads: '4' is not a whole number"),
        ("environment.json", ("chosen", "threads", True), "chosen.threads: true is not a whole number"),
        ("environment.json", ("chosen", "hardware", ...), "chosen.hardware: is missing"),
        ("environment.json", ("chosen", "hardware", "flags", 3), "chosen.hardware.flags: 3 is not a list"),
        ("kept.json", ("stage", -1), "stage: -1 is less than 0"),
        ("kept.json", ("stage", 1), "there is no stage 1 in spec.yaml"),
        ("kept.json", ("stage", "0"), "stage: '0' is not a whole number"),
        ("kept.json", ("sha256", 3), "sha256: 3 is not text"),
        ("kept.json", ("sha256", "0" * 64), "model.weights.h5 is damaged: it is not what kept.json tells of"),
        ("result.json", ("metrics", ...), "metrics: is missing"),
        ("result.json", ("metrics", "loss", "low"), "metrics.loss: 'low' is not a number"),
    ],
)
def test_a_value_that_was_changed_is_refused_by_its_name(killed, finished, copied, name, steps, said):
    for verb in READ_BY[name]:
        path = copied(killed if verb == "resume" else finished)
        if name == "kept.json":
            change(path / name, "before", {"stage": 0, "sha256": ""})
        change(path / name, *steps)
        if verb == "resume" and name == "data.json":  # what the source gives now is compared first
            said = f"{said}|the data is not what it was"
        assert "or begin anew" in refused(verb, path, said) or name in ("kept.json", "result.json", "data.json")
        shutil.rmtree(path)


def test_what_is_written_can_be_read_again(finished, copied):
    run = Run.open(copied(finished))
    with pytest.raises(kplug.SpecError, match=f"no more than {LARGEST:,} are read again"):
        run.write_json("found.json", {"a": "a" * LARGEST})
    run.write_json("report.json", "a" * LARGEST)  # which kplug does not read
    assert (run.path / "report.json").stat().st_size > LARGEST > (run.path / "data.json").stat().st_size


# --- rows ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[1]", "line 1: .* is not a mapping"),
        ("{", "line 1: it is no JSON"),
        ('{"epoch": 1, "step": 6}', "line 1: stage: is missing"),
        ('{"stage": 0, "epoch": 0, "step": 6}', "line 1: epoch: 0 is less than 1"),
        ('{"stage": 0, "epoch": 1, "step": 6, "loss": "low"}', "line 1: loss: 'low' is not a number"),
        ("[" * 50_000, "line 1: it is nested too deeply"),
    ],
)
def test_a_row_that_was_changed_is_refused_by_its_line(killed, copied, line, said):
    path = copied(killed)
    (path / "metrics.jsonl").write_text(f"{line}\n")
    refused("resume", path, said)


@pytest.mark.parametrize("name", ["metrics.jsonl", "timings.jsonl"])
@pytest.mark.parametrize("fault", ["UTF-16", "large", "link", "endless", "pipe", "folder"])
def test_a_file_of_rows_that_was_replaced_is_refused(killed, copied, outside, name, fault):
    path = copied(killed)
    FAULTS[fault](path / name, outside)
    assert name in refused("resume", path)


def test_half_a_row_is_none(killed, copied):
    path = copied(killed)
    with open(path / "metrics.jsonl", "a") as file:
        file.write('{"stage": 0, "ep')
    assert [row["epoch"] for row in Run.open(path).rows("metrics.jsonl")] == [1]


# --- checkpoints -----------------------------------------------------------------------------------------------------


def signed(checkpoint):
    """Have the manifest of a checkpoint agree with its files, as somebody would who changes them with care."""
    from kplug.storage.files import digest_of

    names = [file.name for file in checkpoint.iterdir() if file.name != "manifest.json"]
    (checkpoint / "manifest.json").write_text(json.dumps({name: digest_of(checkpoint / name) for name in names}))


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def state(*steps):
    def fault(checkpoint, outside):
        change(checkpoint / "state.json", *steps)
        signed(checkpoint)

    return fault


def at(name, fault):
    return lambda checkpoint, outside: FAULTS[fault](checkpoint / name, outside)


HARMED = {
    "empty manifest": (
        at("manifest.json", "nothing"),
        "it does not name state.json, variables.index, all of variables",
    ),
    "no state": (lambda c, o: change(c / "manifest.json", "state.json", ...), "it does not name state.json"),
    "no tensors": (
        lambda c, o: change(c / "manifest.json", "variables.data-00000-of-00001", ...),
        "it does not name all of variables.data",
    ),
    "file elsewhere": (lambda c, o: change(c / "manifest.json", "../../spec.yaml", "0"), "it names '../../spec.yaml'"),
    "list": (at("manifest.json", "list"), "manifest.json does not hold what kplug writes"),
    "deep": (at("manifest.json", "deep"), "nested too deeply"),
    "UTF-16": (at("manifest.json", "UTF-16"), "no text in UTF-8"),
    "endless state": (at("state.json", "endless"), "state.json"),
    "pipe": (at("variables.index", "pipe"), "no regular file"),
    "flipped tensors": (
        lambda c, o: flip(c / "variables.data-00000-of-00001"),
        "variables.data-00000-of-00001 is damaged: it is not as it was written",
    ),
    "cut index": (at("variables.index", "cut"), "variables.index is damaged"),
    "lost index": (lambda c, o: (c / "variables.index").unlink(), "No such file"),
    "step": (state("step", 1_000_000_000), "it is of stage 0, step 1000000000"),
    "stage": (state("stage", 5), "it is of stage 5"),
    "negative": (state("step", -2), "step: -2 is less than 0"),
    "done": (state("done", "maybe"), "done: 'maybe' is not true or false"),
    "epochs": (state("first_epoch", 1), "it counts 1 epochs, and its step is in the one after 2"),
    "rows": (state("keeper", "rows", 0), "it counts 0 epochs"),
    "no keeper": (state("keeper", ...), "keeper: is missing"),
    "best": (state("keeper", "best", "good"), "keeper.best: 'good' is not a number"),
    "variables": (state("variables", 3), "variables: 3 is not a list"),
    "format": (state("format", 2), "format: 2 is not 1"),
}


@pytest.mark.parametrize("harm", HARMED)
def test_the_checkpoint_before_a_damaged_one_is_taken(killed, copied, plan, outside, capsys, harm):
    path = copied(killed)
    fault, said = HARMED[harm]
    fault(checkpoints(path)[-1], outside)
    found = newest_checkpoint(Run.open(path), plan)
    assert found.path.name == "ckpt-0-6" and found.state["step"] == STEPS
    told = capsys.readouterr().err
    assert "ckpt-0-8 is damaged (" in told and said in told and "the one before it is used" in told


def test_a_step_behind_the_end_is_none(killed, copied, plan, capsys):
    path = copied(killed)
    state("step", 1_000_000_000)(checkpoints(path)[-1], None)
    checkpoints(path)[-1].rename(path / "checkpoints/ckpt-0-1000000000")
    assert newest_checkpoint(Run.open(path), plan).state["step"] == STEPS
    assert "it is of step 1000000000, and the stage has 12" in capsys.readouterr().err


def test_from_the_checkpoint_before_it_ends_as_it_would_have(killed, finished, copied):
    path = copied(killed)
    flip(next(checkpoints(path)[-1].glob("variables.data*")))
    (path / "checkpoints/ckpt-0-6/manifest.json").write_text("{}")
    assert contents(resume(path)) == contents(Run.open(finished))


def test_rows_that_a_checkpoint_counts_and_that_are_gone(killed, finished, copied, plan, capsys):
    path = copied(killed)
    (path / "metrics.jsonl").write_text("")
    assert newest_checkpoint(Run.open(path), plan).state["step"] == 4  # in the first epoch
    assert "it counts 1 epochs, and metrics.jsonl has 0" in capsys.readouterr().err
    assert contents(resume(path)) == contents(Run.open(finished))


def test_a_run_without_a_checkpoint_begins_anew_by_itself(killed, finished, copied, capsys):
    path = copied(killed)
    shutil.rmtree(path / "checkpoints")
    (path / f".{2**22 + 1}.model.weights.h5").write_text("half")
    (path / "plots").mkdir(exist_ok=True)
    (path / f"plots/.{2**22 + 1}.curves.png").write_text("half")
    assert contents(resume(path)) == contents(Run.open(finished))
    assert "is trained again from its first step" in capsys.readouterr().err
    assert not [file for file in path.rglob(".*")], "a half-written file was left"


def test_a_half_made_run_says_how_to_begin_anew(killed, copied):
    path = copied(killed)
    for name in ("checkpoints", "metrics.jsonl", "model.weights.h5", "last.weights.h5", "environment.json"):
        remove(path / name)
    refused("resume", path, "begin again with kplug train SPEC --run .* --go-on, which clears it away")


def test_a_trained_run_is_not_taken_for_a_half_made_one(killed, copied):
    path = copied(killed)
    (path / "environment.json").unlink()
    before = sorted(path.rglob("*"))
    for go_on in (resume, lambda path: kplug.train(kplug.loads(SPEC), path, go_on=True)):
        with pytest.raises(kplug.SpecError, match=r"environment.json is missing, and this run was trained: put"):
            go_on(path)
    assert sorted(path.rglob("*")) == before


def test_a_checkpoint_that_was_passed_over_takes_no_place_of_new_ones(finished, killed, copied):
    path = copied(killed)
    (path / "checkpoints/ckpt-0-8").rename(path / "checkpoints/ckpt-0-1000000000")
    assert contents(resume(path, {"fit.checkpoint.keep": 1})) == contents(Run.open(finished))
    assert [folder.name for folder in checkpoints(path)] == ["ckpt-0-12"]


def test_a_finished_run_without_checkpoints_is_not_begun_anew(finished, copied):
    path = copied(finished)
    shutil.rmtree(path / "checkpoints")
    before = contents(Run.open(path))
    with pytest.raises(kplug.SpecError, match="no whole checkpoint to go on from, and a finished run is not begun"):
        resume(path, {"fit.epochs": 3})
    assert contents(Run.open(path)) == before


def test_metrics_that_cannot_be_kept_are_said(finished, copied, capsys):
    path = copied(finished)
    accuracy = Run.open(path).evaluate("test")["accuracy"]
    (path / "evaluation-test.json").unlink()
    (path / "evaluation-test.json").mkdir()
    with pytest.raises(kplug.SpecError, match=r"evaluation-test.json: cannot be written"):
        Run.open(path).evaluate("test")
    assert "not kept: loss" in capsys.readouterr().err and accuracy


def test_what_is_no_run_is_said(tmp_path):
    (tmp_path / "spec.yaml").mkdir()
    with pytest.raises(kplug.SpecError, match=r"no run: its spec.yaml is no regular file"):
        Run.open(tmp_path)
    for verb in (Run.open, lambda path: kplug.train(kplug.loads(SPEC), path)):
        with pytest.raises(kplug.SpecError, match="File name too long; name another directory"):
            verb(tmp_path / ("a" * 300))


def test_an_answer_that_json_cannot_keep_is_refused(finished, copied):
    notes = Notes(Run.open(copied(finished)))
    with pytest.raises(ValueError, match=r"found.json cannot keep config.fill, since JSON has no word"):
        notes.find("config", lambda: {"fill": float("-inf")})


def test_data_of_a_version_between_are_refused_by_name(finished, copied):
    path = copied(finished)
    change(path / "data.json", "rows", ...)
    refused("evaluate", path, "of a kplug between 0.1.0 and this one")


def test_states_of_other_callbacks_are_refused(killed, copied):
    path = copied(killed)
    state("callbacks", [{"wait": 0}] * 7)(checkpoints(path)[-1], None)
    with pytest.raises(kplug.SpecError, match="it holds the states of 7 callbacks"):
        resume(path)


# --- weights ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ASKING)
def test_a_flipped_bit_in_kept_weights_is_told(finished, copied, verb):
    path = copied(finished)
    flip(path / "model.weights.h5")
    refused(verb, path, "model.weights.h5 is damaged: it is not what kept.json tells of")


@pytest.mark.parametrize("fault", ["cut", "empty", "link", "endless", "pipe", "folder"])
def test_kept_weights_that_were_replaced(killed, finished, copied, outside, fault):
    path = copied(finished)
    FAULTS[fault](path / "model.weights.h5", outside)
    for verb in ASKING:
        refused(verb, path, "model.weights.h5")
    shutil.rmtree(path)
    path = copied(killed)
    FAULTS[fault](path / "model.weights.h5", outside)
    refused("resume", path, "model.weights.h5")


def test_a_run_goes_on_with_kept_weights_that_are_as_they_were_alone(killed, copied):
    path = copied(killed)
    flip(path / "model.weights.h5")
    refused("resume", path, "model.weights.h5 is damaged")


@pytest.mark.parametrize("place", [0, 40, 96, 700, 1500, 2200, 3000, -200])
def test_without_a_digest_damage_is_told_as_far_as_it_shows(finished, copied, place):
    """As in runs of 0.1.0: what HDF5 does not notice may pass, and nothing is raw."""
    path = copied(finished)
    (path / "kept.json").write_text('{"stage": 0}')
    content = bytearray((path / "model.weights.h5").read_bytes())
    content[place] ^= 0xFF
    (path / "model.weights.h5").write_bytes(content)
    try:
        VERBS["predict"](path)
    except kplug.SpecError as error:
        assert "model.weights.h5" in str(error)


def test_weights_whose_record_comes_before_them(finished, copied):
    """A training that is killed between the two leaves the weights of before, and both records."""
    run = Run.open(copied(finished))
    before = run.kept_weights()
    other = run.path / "other.h5"
    other.write_bytes(b"others")
    run.announce_weights(3, other)
    assert run.kept_weights() == {"stage": before["stage"], "sha256": before["sha256"]}
    other.rename(run.path / "model.weights.h5")
    assert run.kept_weights()["stage"] == 3


def put(path, value):
    (path / "kept.json").write_text('{"stage": 0}')
    with h5py.File(path / "model.weights.h5", "r+") as file:
        found = []
        file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
        array = np.asarray(file[found[0]]).astype(np.asarray(value).dtype)
        array.flat[0] = value
        del file[found[0]]
        file[found[0]] = array


def test_weights_that_are_no_numbers_are_told(finished, copied, capsys):
    path = copied(finished)
    put(path, np.float32("nan"))
    run = Run.open(path)
    assert np.isnan(run.predict([path / "samples/image/00.png"])[0]["score"])
    assert "is not a number: the training diverged, and answers will be NaN" in capsys.readouterr().err
    refused("export", path, "is not a number: the training diverged")


def test_complex_weights_are_refused(finished, copied):
    path = copied(finished)
    put(path, np.complex64(1j))
    refused("predict", path, "model.weights.h5 does not fit")


def test_an_export_that_answers_nan_is_told():
    import tensorflow as tf

    from kplug.inference.endpoints import Endpoint
    from kplug.records import Field

    one = Field((2,), "float32")
    endpoint = Endpoint(lambda x: {"y": x / 0.0 * 0.0, "z": x}, {"x": one}, {"y": one, "z": one}, "x", {"x": "b"})
    assert live_cases({"x": endpoint}, {"x": tf.ones((3, 2)).numpy()}).nan == {"x": ["y"]}


# --- samples, parts, spec --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["cut", "empty", "zeros", "link", "endless", "pipe", "folder"])
def test_samples_that_were_replaced(finished, copied, outside, fault):
    path = copied(finished)
    FAULTS[fault](path / "samples/image/03.png", outside)
    assert "03.png" in refused("export", path)


def test_samples_of_another_number_or_size(finished, copied):
    path = copied(finished)
    (label,) = (path / "samples/label").glob("03.*")
    label.write_text("[[1, 2], [3, 4]] several\n")
    refused("export", path, r"03\..* is damaged: its shape is \[2, 2\], and data.json says \[\]")
    label.unlink()
    refused("export", path, "there are not as many samples of each field")


@pytest.fixture(scope="module")
def second(finished, tmp_path_factory):
    model = {"type": "from_run", "run": str(finished), "part": "model"}
    spec = kplug.loads(SPEC).at({"task.model": model, "fit.epochs": 0})
    return kplug.train(spec, tmp_path_factory.mktemp("second") / "run").path


@pytest.mark.parametrize("fault", FAULTS)
def test_an_index_of_parts_that_was_replaced(second, copied, outside, fault):
    path = copied(second)
    FAULTS[fault](path / "parts/parts.json", outside)
    refused("predict", path)


@pytest.mark.parametrize("name", ["data.json", "kept.json", "model.weights.h5", "spec.yaml"])
def test_a_part_without_a_digest_of_what_is_needed(second, finished, copied, name):
    path = copied(second)
    change(path / "parts/parts.json", str(finished), "sha256", name, ...)
    refused("predict", path, f"has no digest of {name}")


@pytest.mark.parametrize("name", ["../../spec.yaml", "/etc/hostname"])
def test_a_part_with_a_file_elsewhere(second, finished, copied, name):
    path = copied(second)
    change(path / "parts/parts.json", str(finished), "sha256", name, "0" * 64)
    refused("predict", path, "is not as it was copied")


@pytest.mark.parametrize("fault", ["empty", "zeros", "large", "link", "list"])
def test_a_spec_that_was_replaced(finished, copied, outside, fault):
    path = copied(finished)
    FAULTS[fault](path / "spec.yaml", outside)
    refused("predict", path, "spec.yaml")


# --- links, where a run is written to --------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["resume", "evaluate", "export"])
@pytest.mark.parametrize("name", ["plots", "tensorboard", "export", "evaluation-test.json", "checkpoints"])
def test_a_run_with_links_is_not_written_to(killed, finished, copied, outside, verb, name):
    path = copied(killed if verb == "resume" else finished)
    if (path / name).is_dir():
        shutil.rmtree(path / name)
    (path / name).symlink_to(outside / "data.json" if "." in name else outside)
    refused(verb, path, "is a link, to .*outside.*, which may be written through")


def test_a_lock_that_is_a_link_is_neither_emptied_nor_taken(killed, copied, outside):
    path = copied(killed)
    (path / "lock").unlink()
    (path / "lock").symlink_to(outside / "data.json")
    refused("resume", path, r"run: cannot be written: .*symbolic links")
    with pytest.raises(kplug.SpecError), lock(path, "held"):
        pass


def test_links_are_refused_and_none_is_none(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/file").write_text("x")
    refuse_links(tmp_path)
    (tmp_path / "a/b/link").symlink_to("file")
    with pytest.raises(kplug.SpecError, match="a/b/link: is a link, to file"):
        refuse_links(tmp_path)


def test_what_is_read_is_a_regular_file(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    with opened(tmp_path / "file") as file:
        assert file.read() == b"x"
    for name, said in (("link", "a link"), ("pipe", "no regular file"), (".", "no regular file")):
        with pytest.raises(OSError, match=said):
            opened(tmp_path / name)
    with pytest.raises(OSError, match="no regular file"):
        opened(Path("/dev/zero"))


def test_a_line_is_not_appended_through_a_link(tmp_path, outside):
    (tmp_path / "rows.jsonl").symlink_to(outside / "data.json")
    with pytest.raises(OSError):
        append(tmp_path / "rows.jsonl", "{}")


def test_half_written_files_are_cleared_and_links_not_followed(tmp_path, outside):
    gone = 2**22 + 1  # more than any process is called
    (tmp_path / f".{gone}.model.weights.h5").write_text("half")
    (tmp_path / f".{gone}.link").symlink_to(outside)
    (tmp_path / f".{os.getpid()}.result.json").write_text("of a process of before that was called so too")
    others = {f".{os.getppid()}.evaluation-test.json", "model.weights.h5", ".hidden", ".7days.md", ".2024-notes.txt"}
    for name in others:
        (tmp_path / name).write_text("whole, of another, or a person's")
    (tmp_path / ".1.0.venv").mkdir()
    clear_half_written(tmp_path, tmp_path / "none")
    assert {path.name for path in tmp_path.iterdir()} == others | {".1.0.venv", "outside"}


@pytest.mark.parametrize("name", ["lr[1]", "a*", "why?", "new\nline"])
def test_a_folder_that_tensorflow_takes_for_a_pattern(finished, killed, tmp_path, name):
    with pytest.raises(kplug.SpecError, match="for a pattern"):
        refuse_patterns(tmp_path / name)
    with pytest.raises(kplug.SpecError, match="for a pattern"):
        resume(shutil.copytree(killed, tmp_path / name / "killed"))
    with pytest.raises(kplug.SpecError, match="for a pattern"):
        Run.open(finished).export(tmp_path / name / "served")


def test_what_a_killed_export_left_is_removed_after_a_day(tmp_path):
    for name in (".1.tmp-77-abc", ".2.tmp-78-def", "1"):
        (tmp_path / name / "export").mkdir(parents=True)
    os.utime(tmp_path / ".1.tmp-77-abc", (1, 1))
    os.utime(tmp_path / "1", (1, 1))
    clear_killed(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"1", ".2.tmp-78-def"}


def test_to_begin_anew_follows_no_links(killed, copied, outside):
    path = copied(killed)
    for file in path.iterdir():
        if file.name != "spec.yaml":
            shutil.rmtree(file) if file.is_dir() else file.unlink()
    (path / "samples").symlink_to(outside)
    (path / f".{2**22 + 1}.data.json").symlink_to(outside / "data.json")
    assert contents(kplug.train(kplug.loads(SPEC), path, go_on=True))["metrics.jsonl"]


@pytest.mark.parametrize("name", ["../lock", "/etc/passwd", "a/../../b", "", ".", "a//b", "a\0b", 5, None, "x/"])
def test_a_worker_writes_below_its_own_directory_alone(name):
    with pytest.raises(ValueError, match="no name of a file of its run"):
        refuse_outside(name)


def test_a_worker_writes_what_a_run_has():
    for name in ("spec.yaml", "checkpoints/ckpt-0-4/state.json", "parts/1/parts/1/data.json"):
        refuse_outside(name)


# --- journals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[]", "is not a mapping"),
        ('{"event": 5}', "event: 5 is not text"),
        ('{"event": "ask", "trial": -1, "point": {}, "epochs": 1, "values": {}}', "trial: -1 is less than 0"),
        ('{"event": "ask", "trial": 0, "epochs": 1, "values": {}}', "point: is missing"),
        ('{"event": "report", "trial": 0, "repeat": 0, "epoch": 1, "metrics": [], "go_on": true}', "metrics"),
        ('{"event": "tell", "trial": 0, "status": "won", "numbers": {}, "reason": "", "same": null}', "status: 'won'"),
        ('{"event": "ended", "trial": 0, "name": "0", "how": "finished", "numbers": {"a": "b"}, "reason": ""}', "numb"),
        ('{"event": "search", "format": 2, "threads": 5000000}', "threads: 5000000 is more than 1024"),
        ("[" * 50_000, ""),
        ("\u00e9".encode("latin-1"), ""),
    ],
)
def test_an_event_that_was_changed_is_refused_by_its_line(tmp_path, line, said):
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append("search", format=2, name="a", threads=None)
    with open(journal.path, "ab") as file:
        file.write((line if isinstance(line, bytes) else line.encode()) + b"\n")
    with pytest.raises(kplug.SpecError, match=f"journal.jsonl:2: is no event of a search.*{said}"):
        list(journal.whole_events())


def test_a_journal_that_is_a_link_is_neither_read_nor_repaired(tmp_path, outside):
    (tmp_path / "journal.jsonl").symlink_to(outside / "data.json")
    for act in (list, Journal.repair, lambda journal: journal.append("search")):
        with pytest.raises(kplug.SpecError, match=r"journal\.jsonl"):
            act(Journal(tmp_path / "journal.jsonl"))
