"""The measurements, model by model, as raw figures: `page.py` makes sentences of them."""

from __future__ import annotations

import datetime
import json
import os
import platform
import sys
import tempfile
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

import driver
import pictures
from driver import Failed, Side

DATA_KEY = {"resnet": "data.source.data_dir", "mobilenet": "data.source.path", "vit": "data.source.path"}


@dataclass(frozen=True)
class Model:
    """A benchmark, and how long its chunks are.

    Args:
        name: of its spec and scripts.
        batch: pictures in a batch.
        lead: steps before a chunk that are not timed: what the pipeline had ready is used up in them.
        steps: timed steps of a chunk.
        read_lead: as `lead`, of the input pipeline alone.
        read_steps: as `steps`, of the input pipeline alone.
    """

    name: str
    batch: int
    lead: int
    steps: int
    read_lead: int
    read_steps: int


MODELS = (
    Model("resnet", 128, lead=8, steps=24, read_lead=64, read_steps=384),
    Model("mobilenet", 32, lead=8, steps=16, read_lead=16, read_steps=64),
    Model("vit", 64, lead=4, steps=8, read_lead=64, read_steps=512),
)


@dataclass(frozen=True)
class Effort:
    """How much is measured: rounds, steps, repetitions.

    Args:
        rounds: chunks of every contender.
        starts: fresh processes of every contender.
        jpegs: JPEG files.
        arrays: pictures of the .npz file.
    """

    rounds: int = 15
    starts: int = 5
    jpegs: int = 3200
    arrays: int = 6400


QUICK = Effort(rounds=2, starts=1, jpegs=960, arrays=960)


class Suite:
    """The benchmarks over one folder of data.

    Args:
        folder: a temporary folder, for pictures and runs.
        fashion: folder of TFDS's fashion_mnist; None is TFDS's own.
        originals: folder of JPEG pictures that the pictures are cut from; None draws them.
        seed: of the pictures, the weights and the order.
        effort: how much is done.
    """

    def __init__(self, folder: Path, fashion: str | None, originals: Path | None, seed: int, effort: Effort) -> None:
        self.folder, self.seed, self.effort = folder, seed, effort
        self.data = {"resnet": Path(fashion or "~/tensorflow_datasets").expanduser()}
        self.data |= {"mobilenet": folder / "jpegs", "vit": folder / "pictures.npz"}
        pictures.write_jpegs(self.data["mobilenet"], effort.jpegs, seed, originals)
        pictures.write_arrays(self.data["vit"], effort.arrays, 64, seed, originals)
        self.runs = count()

    def measure(self, model: Model) -> dict[str, Any]:
        """All figures of one model."""
        say(f"{model.name}: throughput")
        found = {"batch": model.batch, **self.throughput(model)}
        say(f"{model.name}: input pipeline")
        found["input"] = self.input_pipeline(model)
        say(f"{model.name}: first step")
        found["first_step"] = self.first_steps(model)
        return found

    def first_steps(self, model: Model) -> dict[str, list[float]]:
        """Seconds from command to first step, in fresh processes, in turn."""
        seconds: dict[str, list[float]] = {"kplug": [], "tuned": []}
        for number in range(self.effort.starts):
            for name in sorted(seconds, reverse=number % 2 == 1):
                seconds[name].append(driver.seconds_to_first_step(self.side(name, model, "train")))
        return rounded(seconds)

    def throughput(self, model: Model) -> dict[str, Any]:
        """Steps a second in training, memory, and what a checkpoint costs."""
        sides = [self.side(name, model, "train") for name in ("kplug", "tuned", "idiomatic")]
        with driver.running(sides) as started:
            contenders = [contender for contender, _ in started]
            parameters = {first["parameters"] for _, first in started}
            if len(parameters) > 1:
                raise Failed(f"{model.name}: the networks differ, parameters {parameters}")
            driver.race(contenders, 1, model.lead, model.steps)  # all are warm
            rates = driver.race(contenders, self.effort.rounds, model.lead, model.steps)
            memory = {contender.side.name: contender.memory() for contender in contenders}
            saved = [contenders[0].ask("checkpoint")["seconds"] for _ in range(self.effort.starts)]
        found = {"parameters": parameters.pop(), "training": rounded(rates), "checkpoint": rounded(saved)}
        return found | {"memory": {name: rounded(values, 0) for name, values in memory.items()}}

    def input_pipeline(self, model: Model) -> dict[str, list[float]]:
        """Batches a second of the input pipelines alone."""
        sides = [self.side(name, model, "input") for name in ("kplug", "tuned")]
        with driver.running(sides) as started:
            contenders = [contender for contender, _ in started]
            return rounded(driver.race(contenders, self.effort.rounds, model.read_lead, model.read_steps))

    def communication(self, model: Model) -> dict[str, list[float]]:
        """Steps a second of two local workers, and of two processes that do the same work and never speak."""
        threads = {"fit.threads": max(1, (os.cpu_count() or 2) // 2)}
        halves = replace(model, batch=model.batch // 2)
        cluster = {"worker": [f"127.0.0.1:{port}" for port in driver.free_ports(2)]}
        worker = self.side("joined", model, "train", threads | {"fit.strategy": "multi_worker"})
        places = [json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}) for index in range(2)]
        joined = [replace(worker, environment={"TF_CONFIG": place}) for place in places]
        apart = [self.side("apart", halves, "train", threads) for _ in range(2)]
        with driver.running(apart) as alone, driver.running(joined, at_once=True) as pair:
            groups = {"apart": [one for one, _ in alone], "joined": [one for one, _ in pair]}
            rates: dict[str, list[float]] = {name: [] for name in groups}
            for _ in range(self.effort.rounds + 1):
                for name, group in groups.items():
                    rates[name].append(driver.together(group, model.lead, model.steps))
        return rounded({name: values[1:] for name, values in rates.items()})  # the first is not warm

    def accuracy(self, model: Model, epochs: int, seeds: int) -> dict[str, Any]:
        """Test accuracies after equal epochs in float32 and in bfloat16, seed by seed."""
        found: dict[str, Any] = {"model": model.name, "epochs": epochs, "float32": [], "mixed_bfloat16": []}
        for seed in range(self.seed, self.seed + seeds):
            for precision in ("float32", "mixed_bfloat16"):
                run = self.folder / f"run{next(self.runs)}"
                settings = {DATA_KEY[model.name]: str(self.data[model.name]), "seed": seed}
                settings |= {"fit.epochs": epochs, "fit.precision": precision}
                found[precision].append(driver.trained_accuracy(model.name, run, settings))
                say(f"{model.name}: seed {seed}, {precision}: {found[precision][-1]:.4f}")
        return found

    def side(self, name: str, model: Model, what: str, changes: dict[str, Any] | None = None) -> Side:
        """A contender of a model; every kplug run is a new directory."""
        data = self.data[model.name]
        if name in ("tuned", "idiomatic"):
            return Side(name, driver.script(f"{name}_{model.name}", what, data, self.seed))
        settings = {DATA_KEY[model.name]: str(data), "seed": self.seed, "fit.checkpoint.seconds": None}
        settings |= {"data.sampler.batch_size": model.batch} | (changes or {})
        return Side(name, driver.kplug(model.name, what, self.folder / f"run{next(self.runs)}", settings))


def run_suite(
    models: list[Model],
    workers: bool,
    fashion: str | None,
    originals: Path | None,
    seed: int,
    effort: Effort,
    command: str,
) -> dict[str, Any]:
    """Measure everything, as one JSON document."""
    found: dict[str, Any] = {"machine": machine(), "command": command, "seed": seed}
    found |= {"date": datetime.date.today().isoformat(), "rounds": effort.rounds, "models": {}}
    with tempfile.TemporaryDirectory(prefix="kplug-bench-") as folder:
        suite = Suite(Path(folder), fashion, originals, seed, effort)
        for model in models:
            found["models"][model.name] = suite.measure(model)
        if workers:
            say("resnet: communication of two workers")
            found["communication"] = suite.communication(MODELS[0])
    return found


def run_accuracy(fashion: str | None, seed: int, epochs: int, seeds: int) -> dict[str, Any]:
    """The accuracies alone, of the ResNet on Fashion-MNIST."""
    with tempfile.TemporaryDirectory(prefix="kplug-bench-") as folder:
        suite = Suite(Path(folder), fashion, None, seed, replace(QUICK, jpegs=0, arrays=1))
        return suite.accuracy(MODELS[0], epochs, seeds)


def machine() -> dict[str, Any]:
    """Describe the machine and the versions that the figures depend on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    info = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    wanted = ("avx512f", "avx512_bf16", "amx_bf16", "amx_tile")
    versions = {name: version(name) for name in ("tensorflow", "keras", "numpy", "kplug")}
    return {
        "processor": info.get("model name", platform.processor()),
        "flags": [flag for flag in wanted if flag in info.get("flags", "").split()],
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {"python": platform.python_version(), **versions},
    }


def rounded(found: Any, digits: int = 4) -> Any:
    """Figures short enough to be kept."""
    if isinstance(found, dict):
        return {key: rounded(value, digits) for key, value in found.items()}
    return [rounded(value, digits) for value in found] if isinstance(found, list) else round(found, digits)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
