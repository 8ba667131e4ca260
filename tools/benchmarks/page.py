"""The page of the benchmarks, made of the raw figures alone."""

from __future__ import annotations

import statistics
from typing import Any

DEFAULT_INTERVAL = 300  # seconds, of `fit.checkpoint`

TITLES = {
    "resnet": "ResNet-18 of width 16, Fashion-MNIST at 28x28",
    "mobilenet": "MobileNetV2 at 96x96 from JPEG files of 320x240; flips, crops, RandAugment",
    "vit": "ViT-Tiny with patches of 8, 64x64",
}


def make_page(found: dict[str, Any]) -> str:
    """Markdown of the figures in `benchmarks.json`."""
    parts = [_opening(found), _throughput(found), _input(found), _start(found), _memory(found), _checkpoints(found)]
    if "accuracy" in found:
        parts.append(_accuracy(found["accuracy"]))
    if "communication" in found:
        parts.append(_communication(found["communication"]))
    return "\n\n".join(parts) + "\n"


def _opening(found: dict[str, Any]) -> str:
    machine = found["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    flags = ", ".join(machine["flags"]) or "neither AVX-512 nor AMX"
    native = {"avx512_bf16", "amx_bf16"} & set(machine["flags"])
    return f"""# Benchmarks

Made by `{found["command"]}` on {found["date"]}, seed {found["seed"]}, {found["rounds"]} rounds; the raw figures are in
[benchmarks.json](benchmarks.json), and `tools/bench --check` sees that this page says what they say.

Machine: {machine["processor"]}, {machine["cores"]} cores ({flags}: bfloat16 is {"" if native else "not "}native), \
{machine["system"]}; {versions}.

`kplug train` of the specs in [tools/benchmarks](../tools/benchmarks) runs against two plain Keras scripts of the same
network, data and optimizer beside them: **idiomatic**, as Keras's documentation writes it, and **tuned**, by hand with
everything that makes it faster. Each is a process of its own; they train in turn, chunk by chunk, and a ratio is the
median over the rounds of kplug's speed by the other's in the same round, with its quartiles; above 1 kplug wins."""


def _throughput(found: dict[str, Any]) -> str:
    rows = []
    for name, model in found["models"].items():
        rates = {side: statistics.median(values) * model["batch"] for side, values in model["training"].items()}
        ratios = [ratio(model["training"], other) for other in ("tuned", "idiomatic")]
        rows.append([_title(name), f"{model['parameters']:,}", *(f"{rates[s]:,.0f}" for s in rates), *ratios])
    sides = [f"{side}, images/s" for side in next(iter(found["models"].values()))["training"]]
    return "## Training\n\n" + _table(["", "parameters", *sides, "kplug / tuned", "kplug / idiomatic"], rows)


def _input(found: dict[str, Any]) -> str:
    rows = []
    for name, model in found["models"].items():
        rates = {side: statistics.median(values) * model["batch"] for side, values in model["input"].items()}
        rows.append([_title(name), *(f"{rate:,.0f}" for rate in rates.values()), ratio(model["input"], "tuned")])
    text = (
        "## Input pipeline alone\n\nBatches as the model gets them, read without the model: decoding and augmentation."
    )
    return f"{text}\n\n" + _table(["", "kplug, images/s", "tuned, images/s", "kplug / tuned"], rows)


def _start(found: dict[str, Any]) -> str:
    rows = []
    for name, model in found["models"].items():
        kplug, tuned = (statistics.median(model["first_step"][side]) for side in ("kplug", "tuned"))
        rows.append([_title(name), f"{kplug:.1f} s", f"{tuned:.1f} s", f"{kplug - tuned:+.1f} s"])
    text = "## From command to first step\n\nMedians of fresh processes, started in turn."
    return f"{text}\n\n" + _table(["", "kplug train", "tuned", "difference"], rows)


def _memory(found: dict[str, Any]) -> str:
    rows = []
    for name, model in found["models"].items():
        rows.append([_title(name), *(f"{values['now']:,.0f} MiB" for values in model["memory"].values())])
    sides = list(next(iter(found["models"].values()))["memory"])
    return "## Resident memory\n\nAfter the last round.\n\n" + _table(["", *sides], rows)


def _checkpoints(found: dict[str, Any]) -> str:
    rows = []
    for name, model in found["models"].items():
        seconds = statistics.median(model["checkpoint"])
        rows.append([_title(name), f"{seconds * 1000:,.0f} ms", f"{seconds / DEFAULT_INTERVAL:.3%}"])
    text = f"## A checkpoint\n\nThe whole state, on the disk; by default every {DEFAULT_INTERVAL} s."
    return f"{text}\n\n" + _table(["", "time", "share of the training"], rows)


def _communication(rates: dict[str, list[float]]) -> str:
    shares = [1 - joined / apart for joined, apart in zip(rates["joined"], rates["apart"], strict=True)]
    middle, quartiles = statistics.median(shares), _quartiles(shares, ".1%")
    return f"""## Two workers on this machine

The ResNet on two local workers of half the cores each, against two processes of half the cores that train on as many
pictures and do not speak: {middle:.1%} of the time is communication (quartiles {quartiles})."""


def _accuracy(found: dict[str, Any]) -> str:
    pairs = list(zip(found["float32"], found["mixed_bfloat16"], strict=True))
    rows = [[str(seed), f"{full:.4f}", f"{half:.4f}", f"{half - full:+.4f}"] for seed, (full, half) in enumerate(pairs)]
    differences = [half - full for full, half in pairs]
    error = statistics.stdev(differences) / len(differences) ** 0.5
    text = f"""## Accuracy in bfloat16

`kplug train tools/benchmarks/{found["model"]}.yaml` with `fit.epochs={found["epochs"]}`: accuracy on the test split,
evaluated in float32. The mean difference is {statistics.mean(differences):+.4f}, its standard error {error:.4f}."""
    return f"{text}\n\n" + _table(["seed", "float32", "mixed_bfloat16", "difference"], rows)


def ratio(rates: dict[str, list[float]], other: str) -> str:
    """Median and quartiles of kplug's rate by another's, round by round."""
    ratios = [mine / theirs for mine, theirs in zip(rates["kplug"], rates[other], strict=True)]
    return f"**{statistics.median(ratios):.3f}** ({_quartiles(ratios, '.3f')})"


def _quartiles(values: list[float], form: str) -> str:
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{low:{form}} to {high:{form}}"


def _title(name: str) -> str:
    return TITLES[name]


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
