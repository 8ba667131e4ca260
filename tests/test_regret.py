"""tools/regret: the comparison of oracles says what the journals of the searches say."""

import json
import math
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import kplug_nas
import pytest

import kplug
from kplug import Executor
from kplug.default_plugins.search import reports as search_reports
from kplug.testing import plugged
from kplug.tuning.executor import FINISHED, PAUSED, REFUSED, Ended, Reported, TrialExecutor
from kplug.tuning.search import search

ROOT = Path(__file__).parents[1]
TOOL = [sys.executable, str(ROOT / "tools" / "regret")]
TRAINING = """\
name: search-training
task:
  type: classification
  model: {type: layers, layers: [{type: conv2d, filters: 4, kernel_size: 3}, flatten]}
  optimizer: {type: adamw, learning_rate: {type: cosine, peak: 1e-2, warmup: 0.2}}
data: {source: digits}
fit: {epochs: 3}
search:
  objective: {maximize: val_accuracy}
  space:
    task.model.layers.0.filters: {int: [2, 32]}
    task.optimizer.learning_rate.peak: {log: [1e-4, 1e-1]}
"""
CELL = """\
name: search-cell
task:
  type: classification
  model: {type: cell, width: 6, depth: 1, stages: 1, nodes: [{inputs: [0, 1], operations: [identity, separable]}]}
data: {source: digits}
fit: {epochs: 3, best: {maximize: val_accuracy}, threads: 1}
search:
  objective: {maximize: val_accuracy}
  constraints: {parameters: {at_most: 300000}}
  space:
    task.model.nodes.0.inputs.0: {choice: [0, 1]}
    task.model.nodes.0.operations.0:
      choice: {identity: identity, the_same: identity, convolution: convolution, wide: {type: separable, kernel: 5}}
"""
WORTH = {"identity": 0.1, "convolution": 0.2, "separable": 0.3}
SMALLER = {  # than the tool's: few trials of the others, since they cost, and no proposal of a Gaussian process
    "training-bayesian": {"type": "bayesian", "trials": 6, "initial": 6},
    "cell-random": {"type": "random", "trials": 7},
    "cell-evolution": {"type": "evolution", "trials": 5, "population": 3, "sample": 2},
}
ENVIRONMENT = {
    "started": "2026-01-01T00:00:00",
    "python": "3.11",
    "distributions": {"kplug": "0", "keras": "3", "keras-tuner": "1", "tensorflow": "2"},
    "chosen": {"hardware": {"kind": "CPU", "name": "P"}, "threads": 1},
}
SECONDS = 0.5  # of an epoch
PARAMETERS = 1234.0  # of any cell, to save the time to build them


def accuracy(spec, epoch):
    """What a training of a spec would come to."""
    if spec.name == "search-cell":
        node = spec["task.model.nodes.0"]
        worth = 0.5 + WORTH[node.arguments["operations"][0].name] + 0.01 * node.arguments["inputs"][0]
    else:
        filters, peak = spec["task.model.layers.0.filters"], spec["task.optimizer.learning_rate.peak"]
        worth = 1 - abs(filters - 20) / 40 - abs(math.log10(peak) + 2) / 8
    return worth * (1 - math.exp(-epoch))


class Played(TrialExecutor):
    """Plays trainings, one at a time, and leaves what the tool reads of their runs."""

    workers = 1

    def start(self, job):
        self.job, self.spec, self.how, self.epoch = job, kplug.loads(job.spec), FINISHED, None
        self.numbers = {name: PARAMETERS for name in job.wanted}
        self.timings = Path(job.run) / "timings.jsonl"
        self.timings.parent.mkdir(exist_ok=True)
        self.timings.touch()
        (self.timings.parent / "environment.json").write_text(json.dumps(ENVIRONMENT))
        (self.timings.parent / "data.json").write_text(json.dumps({"splits": {"train": 8000, "validation": 2000}}))

    def wait(self, seconds):
        if self.epoch is None:
            return [Reported(self.job.name, 0, self.numbers)]
        if self.how == FINISHED and self.epoch < self.spec["fit.epochs"]:
            metrics = {"val_accuracy": accuracy(self.spec, self.epoch + 1), "loss": 1.0}
            return [Reported(self.job.name, self.epoch + 1, metrics)]
        return [Ended(self.job.name, self.how, self.numbers)]

    def answer(self, name, go_on):
        if not go_on:
            self.how = REFUSED if self.epoch is None else PAUSED
        if self.epoch is None:
            self.epoch = len(self.timings.read_text().splitlines())  # a promoted one goes on where it was
        else:
            self.epoch += 1
            with open(self.timings, "a") as file:
                file.write(json.dumps({"epoch": self.epoch, "seconds": SECONDS}) + "\n")

    def kill(self, name):
        pass

    def interrupt(self):
        return []

    def stop(self):
        pass


def plays() -> Executor:
    """Play."""
    return Played()


@pytest.fixture(scope="module")
def tool():
    """What the script defines."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", list(sys.path))
        yield runpy.run_path(str(ROOT / "tools" / "regret"))


def play(tool, place, name, seed, finished=True):
    """A search of the tool's table, played; finished or not, as far as the tool knows."""
    from regret_running import Job, note_command

    spec, oracle = tool["SEARCHES"][name]
    file, oracle = place / "specs" / f"{spec}.yaml", SMALLER.get(name, oracle)
    job = Job(name, seed, file, oracle, place / "searches" / f"{name}-{seed}")
    values = {"seed": seed, "search.oracle": oracle, "search.executor": "plays"}
    with plugged(plays, kplug_nas), pytest.MonkeyPatch.context() as patch:
        patch.setattr(search_reports, "write_reports", lambda search: None)  # test_search_reports.py has them drawn
        search(kplug.load(file).at(values), job.directory)
    note_command(job, 0 if finished else None, 90.0)
    return job


def new_place(place):
    for folder in ("specs", "docs", "searches"):
        (place / folder).mkdir(parents=True)
    (place / "specs" / "search-training.yaml").write_text(TRAINING)
    (place / "specs" / "search-cell.yaml").write_text(CELL)
    (place / "docs" / "search.md").write_text(
        "# Searching\n\n<!-- made by tools/regret -->\n<!-- end -->\n\nThe end.\n"
    )
    return place


def folders(place):
    return ["--to", str(place / "searches"), "--specs", str(place / "specs"), "--docs", str(place / "docs")]


@pytest.fixture(scope="module")
def searched(tool, tmp_path_factory):
    """Searches of every kind, and what the tool writes of them."""
    place = new_place(tmp_path_factory.mktemp("searched") / "place")
    for seed in (0, 1):
        for name in tool["SEARCHES"]:
            play(tool, place, name, seed)
    assert tool["main"](["write", *folders(place)]) == 0
    return place


@pytest.fixture
def place(searched, tmp_path):
    return Path(shutil.copytree(searched, tmp_path / "place"))


@pytest.fixture
def regret(tool, place, capsys):
    """The tool on those searches: (exit code, what it said)."""

    def run(*words, at=place):
        code = tool["main"]([*words, *folders(at)])
        return code, capsys.readouterr().err

    return run


def figures(place):
    found = json.loads((place / "docs" / "searches.json").read_text())
    return {search["search"]: search for search in found["searches"]}


def page(place):
    return (place / "docs" / "search.md").read_text()


def rows_of(place, name):
    return [json.loads(line) for line in (place / "searches" / name / "trials.jsonl").read_text().splitlines()]


# --- figures ---------------------------------------------------------------------------------------------------------


def test_epochs_and_seconds_are_those_that_were_trained(place):
    found = figures(place)
    assert len(found) == 10
    for name, one in found.items():
        timings = [len(file.read_text().splitlines()) for file in (place / "searches" / name).rglob("timings.jsonl")]
        last = one["trials"][-1]
        assert last["epochs"] == sum(timings)
        assert last["seconds"] == pytest.approx(SECONDS * sum(timings))
        scores = [row["score"] for row in rows_of(place, name) if row["score"] is not None]
        assert last["best"] == max(scores)
        bests = [trial["best"] for trial in one["trials"]]
        assert bests == sorted(bests)
        assert [trial["trial"] for trial in one["trials"]] == list(range(len(rows_of(place, name))))
        assert [round(end - begin, 1) for begin, end in one["spans"]] == [90.0]


def test_hyperband_promotes_and_has_at_most_half_of_randoms_epochs(place, tool):
    for seed in (0, 1):
        random, hyperband = (figures(place)[f"training-{name}-{seed}"] for name in ("random", "hyperband"))
        assert (random["oracle"], hyperband["oracle"]) == tuple(
            tool["SEARCHES"][f"training-{name}"][1] for name in ("random", "hyperband")
        )
        assert random["trials"][-1]["epochs"] == 72
        assert hyperband["trials"][-1]["epochs"] == 33
        promoted = [trial for trial in hyperband["trials"] if trial["origin"] != trial["trial"]]
        assert len(promoted) == 3
        before = [hyperband["trials"][trial["trial"] - 1]["epochs"] for trial in promoted]
        assert [trial["epochs"] - then for trial, then in zip(promoted, before, strict=True)] == [2, 2, 2]


def test_trials_that_are_the_same_cost_nothing(place):
    cells = [one for one in figures(place).values() if one["spec"] == "search-cell"]
    trials = [trial for one in cells for trial in one["trials"]]
    assert {"same", "finished"} == {trial["status"] for trial in trials}
    for one in cells:
        assert one["trials"][-1]["epochs"] == 3 * sum(trial["status"] == "finished" for trial in one["trials"])


def test_a_search_that_is_not_finished_is_left_out(regret, place, tool):
    play(tool, place, "cell-random", 7, finished=False)
    code, said = regret("write")
    assert code == 1
    assert "cell-random-7: left out: it is not finished; tools/regret run goes on with it" in said
    assert len(figures(place)) == 10


def test_a_search_of_another_spec_is_left_out(regret, place):
    spec = place / "specs" / "search-cell.yaml"
    spec.write_text(spec.read_text().replace("width: 6", "width: 7"))
    code, said = regret("write")
    assert code == 1
    assert said.count("left out") == 4
    assert "search-cell.yaml task.model.width is 7, the search had 6" in said
    assert {one["spec"] for one in figures(place).values()} == {"search-training"}


def test_figures_stay_whose_directories_are_gone(regret, place, tool):
    before = figures(place)
    shutil.rmtree(place / "searches" / "cell-random-0")
    shutil.rmtree(place / "searches" / "training-random-1")
    play(tool, place, "cell-random", 7)
    code, said = regret("write")
    assert code == 0, said
    after = figures(place)
    assert {name: one for name, one in after.items() if name in before} == before
    assert set(after) - set(before) == {"cell-random-7"}
    spec = place / "specs" / "search-cell.yaml"
    spec.write_text(spec.read_text().replace("width: 6", "width: 7"))
    shutil.rmtree(place / "searches")
    code, said = regret("write")
    assert code == 1
    assert said.count("left out: in ") == 5
    assert {one["spec"] for one in figures(place).values()} == {"search-training"}
    file = place / "docs" / "searches.json"
    file.write_text(json.dumps({"searches": json.loads(file.read_text())["searches"]}))
    assert regret("write")[1].count("do not say what its spec was") == 6


def test_without_searches_nothing_is_said(regret, tmp_path):
    place = new_place(tmp_path / "new")
    before = page(place)
    assert regret("check", at=place) == (0, "")
    code, said = regret("write", at=place)
    assert code == 1
    assert "no finished search" in said
    assert page(place) == before
    assert "searches.json is not there" in regret("best", at=place)[1]


# --- the page --------------------------------------------------------------------------------------------------------


def test_the_section_stands_between_its_markers_and_is_checked(regret, place):
    text = page(place)
    assert text.startswith("# Searching\n\n<!-- made by tools/regret -->\n\n## Oracles compared\n")
    assert text.endswith("\n\n<!-- end -->\n\nThe end.\n")
    assert regret("check") == (0, "")
    again = page(place), (place / "docs" / "searches.json").read_text()
    assert regret("write")[0] == 0
    assert (page(place), (place / "docs" / "searches.json").read_text()) == again
    (place / "docs" / "search.md").write_text(text.replace("search-cell.yaml", "search-sell.yaml"))
    assert "search.md is not what" in regret("check")[1]
    (place / "docs" / "search.md").write_text(text.replace("The end.", "More text of others."))
    assert regret("check") == (0, "")
    (place / "docs" / "search.md").write_text("# Searching\n")
    assert "lacks the lines <!-- made by tools/regret --> and <!-- end -->" in regret("check")[1]


def test_pictures_are_small_and_known_by_their_figures(regret, place):
    for name in ("search-training", "search-cell"):
        picture = (place / "docs" / f"{name}.png").read_bytes()
        assert picture[:8] == b"\x89PNG\r\n\x1a\n"
        assert len(picture) < 150_000
        assert f"({name}.png)" in page(place)
    file = place / "docs" / "searches.json"
    file.write_text(file.read_text().replace('"at_once": 1', '"at_once": 2', 1))
    code, said = regret("check")
    assert code == 1
    assert "search.md is not what" in said
    assert said.count(".png is not of") == 1


def made_up(oracle, seed, bests, epochs, **others):
    trials = [
        {"trial": i, "origin": i, "status": "finished", "epochs": e, "value": b, "best": b}
        for i, (b, e) in enumerate(zip(bests, epochs, strict=True))
    ]
    one = {"search": f"training-{oracle}-{seed}", "spec": "search-training", "seed": seed, "oracle": {"type": oracle}}
    one |= {"objective": "val_accuracy", "direction": "maximize", "epochs_of_a_trial": 3, "workers": 1, "at_once": 2}
    one |= {"spans": [[60.0 * seed, 60.0 * seed + 120.0]]}
    one |= {"machines": ["P"], "date": "2026-01-01", "pictures": {"train": 8000}, "trials": trials}
    return one | others


MADE_UP = [
    made_up("random", 0, [0.5, 0.6, 0.7, 0.8], [3, 6, 9, 12]),
    made_up("random", 1, [0.4, 0.4, 0.9, 0.9], [3, 6, 9, 12]),
    made_up("random", 2, [0.6, 0.6, 0.6, 0.6], [3, 6, 9, 12]),
    made_up("hyperband", 0, [0.5, 0.8, 0.82], [1, 4, 7]),
    made_up("hyperband", 1, [0.5, 0.6, 0.8], [1, 4, 7]),
    made_up("hyperband", 2, [None, 0.55, 0.6], [1, 4, 7]),
]


def test_the_tables_say_what_the_figures_say(tool):
    text = tool["paged"].make_section({"searches": MADE_UP})
    told = " ".join(text.split())
    assert "best after 6 epochs, % | best val_accuracy, % (more is better)" in text
    assert "| random | 0, 1, 2 | 4 | 4 | 12 | 60.00 (40.00 to 60.00) | 80.00 (60.00 to 90.00) | — |" in text
    spread = "60.00 (55.00 to 80.00) | 80.00 (60.00 to 82.00)"
    assert f"| hyperband | 0, 1, 2 | 3 | 3 | 7 | {spread} | 1 of 3 seeds, equal in 1 |" in text
    assert "| random | 80.00 | 90.00 | 60.00 |\n| hyperband | 82.00 | 80.00 | 60.00 |" in text
    assert "with at most half of its epochs with 1 of 3 seeds." in text
    assert "| 0 | 80.00 | 12 | 4 | 7 |\n| 1 | 90.00 | 12 | not reached | 7 |\n| 2 | 60.00 | 12 | 7 | 7 |" in text
    assert "of 6 searches of 2026-01-01, run 2 at a time, each with one trial at once: 4 minutes in all" in told


def test_less_may_be_better(tool):
    fewer = {"objective": "val_loss", "direction": "minimize"}
    random = made_up("random", 0, [0.9, 0.7], [3, 6], **fewer)
    other = made_up("bayesian", 0, [0.8, 0.6], [3, 6], **fewer)
    text = tool["paged"].make_section({"searches": [other, random]})
    assert "best val_loss (less is better)" in text
    assert "| random | 0 | 2 | 2 | 6 | 0.9000 | 0.7000 | — |" in text
    assert "| bayesian | 0 | 2 | 2 | 6 | 0.8000 | 0.6000 | 1 of 1 seeds |" in text


def test_regret_is_the_distance_to_the_best_of_all(tool):
    from regret_pictures import curves_of, median

    curves = curves_of(MADE_UP)
    assert list(curves) == ["random", "hyperband"]
    epochs, regret = curves["hyperband"][2]
    assert epochs == [4, 7]  # the first trial had no value
    assert regret == pytest.approx([35, 30])
    places, middle = median(curves["random"])
    assert places == [3, 6, 9, 12]
    assert middle == pytest.approx([40, 30, 20, 10])
    places, middle = median(curves["hyperband"])
    assert places == [4, 7]
    assert middle == pytest.approx([30, 10])


def test_the_page_of_the_documentation_is_current():
    done = subprocess.run([*TOOL, "check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- the best cell ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_best_cell_is_trained_beside_its_base(regret, place, tool):
    from results_specs import read_note

    from kplug.default_plugins.search.table import parameters

    code, said = regret("best")
    assert code == 1
    assert said.endswith(" parameters, and had 1,234 in its search\n")
    counted = said.split(" parameters")[0].split()[-1]
    change_trials(place, '"parameters": 1234.0', f'"parameters": {counted.replace(",", "")}')
    regret("write")
    assert regret("best", "--epochs", "5") == (0, "")
    cell, base = (kplug.load(place / "specs" / f"{name}.yaml") for name in ("searched-cell", "searched-cell-base"))
    cells = [one for one in figures(place).values() if one["spec"] == "search-cell"]
    best = max(trial["value"] for one in cells for trial in one["trials"])
    assert accuracy(cell.at({"name": "search-cell"}), 3) == best
    assert base["task.model.nodes"] == kplug.load(place / "specs" / "search-cell.yaml")["task.model.nodes"]
    width, near = base["task.model.width"], f"{parameters(base):,}"
    assert near != counted
    for spec in (cell, base):
        assert (spec["fit.epochs"], spec["data.validation"], spec["search"]) == (5, 0.05, None)
        assert spec["fit.threads"] is None
    assert read_note(place / "specs" / "searched-cell.yaml").baseline == "searched-cell-base"
    for name in ("searched-cell", "searched-cell-base"):
        note = " ".join((place / "specs" / f"{name}.yaml").read_text().replace("\n# ", " ").split())
        assert f" {counted} " in note
        assert f" {near}" in note
    told = " ".join(page(place).split())
    assert f"is the best: val_accuracy {100 * best:.2f} %, {counted} parameters." in told
    assert f"with width {width}: {near} parameters." in told
    assert regret("check") == (0, "")
    again = page(place)
    assert regret("write") == (0, "")
    assert page(place) == again
    change_trials(place, f'"score": {best}', '"score": 0.1')
    code, said = regret("write")
    assert code == 1
    assert "there is a better cell than that of specs/searched-cell.yaml; run tools/regret best" in said
    assert "The best cell" not in page(place)


def change_trials(place, before, after):
    for table in place.glob("searches/cell-*/trials.jsonl"):
        table.write_text(table.read_text().replace(before, after))


@pytest.mark.parametrize(("wanted", "width"), [(1, 1), (100, 10), (109, 10), (111, 11), (5000, 71)])
def test_the_nearest_width(tool, wanted, width):
    from regret_best import nearest_width

    assert nearest_width(lambda width: width * width, wanted, 6) == width


# --- running ---------------------------------------------------------------------------------------------------------


def test_what_is_typed_after_kplug(tool, place):
    from regret_running import Job, note_command

    oracle = {"type": "random", "trials": 3}
    spec = place / "specs" / "search-cell.yaml"
    spec.write_text(spec.read_text().replace("source: digits", "source: {type: tfds, name: mnist}"))
    job = Job("cell-random", 4, spec, oracle, place / "searches" / "new", "/data", 2)
    words = ["search", str(spec), "--set", 'search.oracle={"type": "random", "trials": 3}', "--set", "seed=4"]
    words += ["--set", 'data.source.data_dir="/data"', "--to", str(place / "searches" / "new"), "--workers", "2"]
    assert job.words() == words
    job.directory.mkdir()
    (job.directory / "journal.jsonl").touch()
    assert job.words() == [*words, "--resume"]
    for code, finished in ((None, False), (1, False), (0, True)):
        note_command(job, code, 1.0)
        assert job.is_finished == finished
    assert not Job("cell-random", 4, spec, oracle | {"trials": 5}, job.directory).is_finished


def test_which_searches_are_run(tool):
    names = [(job.name, job.seed) for job in tool["jobs_of"](tool["arguments"](["run", "cell", "training-random"]))]
    assert names == [
        (name, seed) for seed in (0, 1, 2) for name in ("training-random", "cell-random", "cell-evolution")
    ]
    asked = tool["arguments"](["run", "--seeds", "5", "--set", "cell-random.trials=30"])
    assert [job.oracle["trials"] for job in tool["jobs_of"](asked) if job.name == "cell-random"] == [30]
    assert tool["SEARCHES"]["cell-random"][1]["trials"] != 30


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "trainin"], "no search or space 'trainin'; did you mean 'training'?"),
        (["write", "cell"], "write takes no names"),
        (["run", "--set", "cell-random.trails=3"], "did you mean 'cell-random.trials'?"),
        (["run", "--set", "cell-random.trials=many"], "'many' is no number"),
    ],
)
def test_what_is_asked_wrong_runs_nothing(tool, capsys, words, told):
    with pytest.raises(SystemExit):
        tool["main"](words)
    assert told in capsys.readouterr().err


@pytest.mark.slow
def test_a_stopped_search_is_gone_on_with(tmp_path):
    place = new_place(tmp_path / "place")
    words = [*TOOL, "run", "training-random", "--seeds", "0", "--set", "training-random.trials=3", *folders(place)]
    directory = place / "searches" / "training-random-0"
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, cwd=place) as running:
        while running.poll() is None and '"epoch": 1' not in (
            (directory / "journal.jsonl").read_text() if (directory / "journal.jsonl").exists() else ""
        ):
            time.sleep(0.02)
        running.send_signal(signal.SIGINT)
        said = running.communicate()[1]
    assert running.returncode == 130, said
    assert said.endswith("stopped; the same command goes on\n")
    done = subprocess.run(words, stderr=subprocess.PIPE, text=True, cwd=place)
    assert done.returncode == 0, done.stderr
    assert "1 of 1 are finished" in done.stderr
    again = subprocess.run(words, stderr=subprocess.PIPE, text=True, cwd=place)
    assert "training-random, seed 0: finished" in again.stderr
    commands = [json.loads(line) for line in (directory / "commands.jsonl").read_text().splitlines()]
    assert [command["code"] for command in commands] == [None, 0]
    done = subprocess.run([*TOOL, "write", *folders(place)], capture_output=True, text=True, cwd=place)
    assert done.returncode == 0, done.stderr
    (one,) = figures(place).values()
    assert [trial["epochs"] for trial in one["trials"]] == [3, 6, 9]
    assert one["trials"][-1]["seconds"] > 0
    assert one["pictures"]["train"] + one["pictures"]["validation"] > 1000
