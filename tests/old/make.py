"""Makes the runs and searches of this folder: a record of how kplug 0.1.0 left them. No later version needs to run it.

    KPLUG_PLUGINS= python tests/old/make.py /kplug

The argument is a folder that is not there yet: all is made in it, so that paths in the runs name it and nothing else,
then moved here, and the folder is removed. Trainings run one after the other, each in a process of its own.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from kplug import hookimpl

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

MADE = ("finished", "killed", "parts", "search", "search-killed")
MORE = {"killed": "fit.epochs=8", "parts": "fit.stages.0.epochs=2"}  # what they are also gone on with
STEPS = 38  # after which `killed` is: 12 an epoch; its newest checkpoint is of step 35, and epoch 3 has a row by then
LARGE = ("plots", "tensorboard")  # drawn and written anew by what goes on


def main(folder):
    os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3", MPLBACKEND="Agg")
    os.environ.setdefault("PYTHONPATH", str(HERE.parents[1]))
    shutil.copytree(HERE / "specs", folder)
    os.chdir(folder)
    expected = make_runs()
    make_searches()
    played = make_played()
    for name in (*MADE, "played"):
        lighten(Path(name))
        shutil.rmtree(HERE / name, ignore_errors=True)
        shutil.move(name, HERE)
    (HERE / "expected.json").write_text(in_lines(expected))
    (HERE / "proposals.json").write_text(in_lines(played))
    os.chdir(HERE)
    shutil.rmtree(folder)


def lighten(folder):
    """Leave out what is large and not needed, and what names the machine."""
    for path in [path for name in LARGE for path in folder.rglob(name)]:
        shutil.rmtree(path)
    for path in folder.rglob("samples/*.png"):
        if path.stem >= "04":
            path.unlink()
    for path in folder.rglob("environment.json"):
        found = json.loads(path.read_text().replace(f"{HERE.parents[1]}/", ""))
        path.write_text(json.dumps(found | {"system": "Linux"}, indent=2) + "\n")


def in_lines(content, depth=4):
    """JSON of which a person can read the lines: what is short, or deep inside, stands in one."""
    line = json.dumps(content)
    if not depth or not isinstance(content, dict | list) or len(line) < 100:
        return line
    parts = [in_lines(part, depth - 1) for part in (content.values() if isinstance(content, dict) else content)]
    if isinstance(content, dict):
        parts = [f"{json.dumps(key)}: {part}" for key, part in zip(content, parts, strict=True)]
    inside = ",\n".join(parts).replace("\n", "\n ")
    return f"{{\n {inside}\n}}" if isinstance(content, dict) else f"[\n {inside}\n]"


# --- a command of kplug, in a process of its own ---------------------------------------------------------------------


def command(*words, killed_after=0):
    """What it says on stdout."""
    words = [sys.executable, str(HERE / "make.py"), "--", str(killed_after), *words]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True)
    assert done.returncode == (-signal.SIGKILL if killed_after else 0), (words, done.returncode)
    return done.stdout


def run_command(killed_after, *words):
    """The command line in this process; `environment.json` keeps these words, and not where the program is."""
    from kplug.plugins import host

    from kplug.cli import main

    if int(killed_after):
        host().manager.register(Killing(int(killed_after)))
    sys.argv = ["kplug", *words]
    main()


class Killing:
    """A plugin that does `kill -9` to the process after some steps of its training."""

    def __init__(self, steps):
        self.left = steps

    @hookimpl
    def callbacks(self, run):
        import keras

        return [keras.callbacks.LambdaCallback(on_train_batch_end=self.count)]

    def count(self, batch, logs):
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)


# --- runs ------------------------------------------------------------------------------------------------------------


def make_runs():
    command("train", "finished.yaml", "--run", "finished")
    command("train", "killed.yaml", "--run", "killed", killed_after=STEPS)
    command("train", "killed.yaml", "--run", "whole")
    command("train", "parts.yaml", "--run", "parts")
    expected = {name: answers(name) for name in ("finished", "parts")} | {"killed": {"end": end("whole")}}
    for name, change in MORE.items():
        shutil.copytree(name, f"{name}-more")
        command("train", "--resume", f"{name}-more", "--set", change)
        expected[name]["more"] = {"change": change, "end": end(f"{name}-more")}
    return expected


def answers(run):
    """What a run says of the test split, and of two of its own samples."""
    asked = [f"{run}/samples/{number}.png" for number in ("00", "01")]
    metrics = json.loads(command("evaluate", run, "--json"))["metrics"]
    told = json.loads(command("predict", run, *asked, "--top", "10", "--json"))
    return {"evaluation": metrics, "predictions": [dict(answer["top"]) for answer in told]}


def end(run):
    """What a training came to: its rows, the best epoch, the digests of its weights."""
    from test_old import digests, rows

    names = ("model.weights.h5", "last.weights.h5")
    result = json.loads(Path(run, "result.json").read_text())
    return {
        "rows": rows(Path(run, "metrics.jsonl")),
        "metrics": result["metrics"],
        "sha256": {name: digests(Path(run, name)) for name in names},
    }


# --- searches --------------------------------------------------------------------------------------------------------


def make_searches():
    command("search", "search.yaml", "--to", "search")
    while not was_killed_in_time(Path("search-killed")):
        shutil.rmtree("search-killed")


def was_killed_in_time(folder):
    """Kill a search and all that it started while trial 2, which is trial 0 or 1 promoted, is in its second epoch."""
    words = [sys.executable, str(HERE / "make.py"), "--", "0", "search", "search.yaml", "--to", str(folder)]
    process = subprocess.Popen(words)
    while not checkpoints_of_promoted(folder):
        assert process.poll() is None, "the search was over before"
        time.sleep(0.0005)
    for number in [process.pid, *below(process.pid)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    process.wait()
    events = (folder / "journal.jsonl").read_text().splitlines()
    left = [path.name for path in folder.rglob("*") if ".tmp" in path.name or path.name.startswith(".")]
    return not left and json.loads(events[-1])["event"] == "report" and json.loads(events[-1])["trial"] == 2


def checkpoints_of_promoted(folder):
    """Those of the second epoch, which has steps 6 to 10, but for its last."""
    return [path for number in "01" for path in folder.glob(f"trials/000{number}/checkpoints/ckpt-0-[789]")]


def below(process):
    """Processes that a process started, and those that they did."""
    found = []
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            found += [child, *below(child)]
    return found


# --- searches whose trainings are played -----------------------------------------------------------------------------

PLAYED = """
name: played
seed: SEED
task:
  type: classification
  model: {type: layers, layers: [{type: conv2d, filters: 5, kernel_size: 3, activation: relu}, flatten]}
  optimizer: {type: adamw, weight_decay: 1e-2, learning_rate: {type: cosine, peak: 1e-2}}
data: {source: digits, sampler: {type: shuffled, batch_size: 64}}
fit: {epochs: EPOCHS}
search:
  oracle: ORACLE
  first: FIRST
  objective: {maximize: val_accuracy}
  executor: played
  space:
    task.model:
      choice:
        small: {type: layers, layers: [{type: conv2d, filters: 5, kernel_size: 3, activation: relu}, flatten]}
        flat: flatten
    task.model[small].layers.0.filters: {int: [2, 32], step: 3}
    task.model[small].layers.0.activation: {choice: [relu, tanh, gelu]}
    task.head.dropout: {float: [0, 0.5], step: 0.1}
    task.optimizer.learning_rate: {choice: {cosine: {type: cosine, peak: 1e-2}, constant: 1e-3}}
    task.optimizer.learning_rate[cosine].peak: {log: [1e-4, 1e-1]}
    task.optimizer.weight_decay: {log: [1e-4, 1e-1]}
    task.optimizer.use_ema: bool
    data.sampler.batch_size: {choice: [64, 128, 256]}
"""
BEGIN = "[{}, {task.model: flat, data.sampler.batch_size: 128}, {task.optimizer.learning_rate: constant}]"
ORACLES = {
    "random": ("{type: random, trials: 10}", "[]"),
    "grid": ("{type: grid, trials: 20}", "[]"),
    "bayesian": ("{type: bayesian, trials: 9, initial: 5}", "[]"),
    "hyperband": ("{type: hyperband, factor: 2}", "[]"),
    "evolution": ("{type: evolution, trials: 12, population: 5, sample: 3}", "[]"),
    "hyperband-first": ("{type: hyperband, factor: 2}", BEGIN),
    "evolution-first": ("{type: evolution, trials: 8, population: 4, sample: 2}", BEGIN),
}


def text_of(seed, oracle, first):
    """A spec; hyperband has four epochs to share out, and grid few values, so that it comes to more than one path."""
    text = PLAYED.strip().replace("SEED", str(seed)).replace("ORACLE", oracle).replace("FIRST", first)
    text = text.replace("EPOCHS", "4" if "hyperband" in oracle else "1")
    lines = [line for line in text.splitlines() if "grid" not in oracle or "{log: " not in line]
    return "\n".join(lines).replace("step: 3}", "step: 15}" if "grid" in oracle else "step: 3}") + "\n"


def make_played():
    from test_old import asked, play

    found = {}
    for number, (name, (oracle, first)) in enumerate(ORACLES.items()):
        text = text_of(number, oracle, first)
        search = play(text, Path("played", name))
        shutil.rmtree(search.path / "trials")
        for path in search.path.iterdir():
            if path.name not in ("spec.yaml", "journal.jsonl"):
                path.unlink() if path.is_file() else shutil.rmtree(path)
        found[name] = {"spec": text, "asked": asked(search)}
    return found


if __name__ == "__main__":
    run_command(*sys.argv[2:]) if sys.argv[1] == "--" else main(Path(sys.argv[1]))
