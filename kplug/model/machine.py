"""The machine: what it computes with, and how much memory it has free."""

from __future__ import annotations

import dataclasses
import math
import platform
import resource
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from kplug.model.patches import gpu_memory_limits

BFLOAT16_FLAGS = ("amx_bf16", "avx512_bf16")  # flags of processors that multiply bfloat16 natively
GROUPS = Path("/sys/fs/cgroup")  # where Linux has its control groups


@dataclass(frozen=True)
class Hardware:
    """The devices that a training computes on; kept with the run.

    Args:
        kind: GPU or CPU.
        name: name of the first device.
        capability: the lowest compute capability of the GPUs, such as 8.0.
        flags: those flags of a CPU that tell how it multiplies.
        replicas: devices that share each batch.
    """

    kind: str
    name: str
    capability: float | None
    flags: tuple[str, ...]
    replicas: int

    @classmethod
    def here(cls, replicas: int) -> Hardware:
        gpus = tf.config.list_physical_devices("GPU")
        if not gpus:
            return cls("CPU", *_processor(), replicas=replicas)
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        capabilities = [float("{}.{}".format(*d["compute_capability"])) for d in details if "compute_capability" in d]
        name = details[0].get("device_name", gpus[0].name)
        return cls("GPU", name, min(capabilities, default=None), (), replicas)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Hardware:
        known = {one.name: data[one.name] for one in dataclasses.fields(cls)}
        return cls(**{**known, "flags": tuple(data["flags"])})

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def _processor() -> tuple[str, None, tuple[str, ...]]:
    fields, flags = processor_fields(), processor_flags()
    name = fields.get("model name") or platform.processor() or platform.machine()
    return name, None, tuple(flag for flag in BFLOAT16_FLAGS if flag in flags)


def processor_fields() -> dict[str, str]:
    """Return what the system says of the first processor; nothing where it is not Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.split("\t: ", 1) for line in reversed(lines) if "\t: " in line)
    return {key.strip(): value for key, value in pairs}


def processor_flags() -> set[str]:
    return set(processor_fields().get("flags", "").split())


def in_words(count: float) -> str:
    """Write bytes as `3.2 GB` or `210 MB`."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.0f} MB"


# --- what is free ----------------------------------------------------------------------------------------------------


def free_memory() -> tuple[float, str]:
    """Return the bytes that can still be had where the training computes, and what that is."""
    return _free_on_gpu() if tf.config.list_physical_devices("GPU") else free_on_machine()


def free_on_machine() -> tuple[float, str]:
    """Return the bytes that a process of this machine can still have, and what has so few."""
    return min(
        (kilobytes(Path("/proc/meminfo"), "MemAvailable"), "the machine"),  # what can be had without swapping
        (_left_in_group(), "the control group"),
        (left_to_limit(), "the limit of the process"),
    )


def _free_on_gpu() -> tuple[float, str]:
    used = [
        tf.config.experimental.get_memory_info(device.name.partition("device:")[2])["current"]
        for device in tf.config.list_logical_devices("GPU")
    ]
    return min(limit - now for limit, now in zip(gpu_memory_limits(), used, strict=True)), "the GPU"


def _left_in_group() -> float:
    """Return the bytes left in the control group that holds the process; files that are cached count as free.

    A line of `/proc/self/cgroup` is `number:controllers:path`; version 2 of control groups has no controllers there.
    """
    left = [math.inf]
    for line in _lines(Path("/proc/self/cgroup")):
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            names = ("limit_in_bytes", "usage_in_bytes", "total_inactive_file")
            left.append(left_below(GROUPS / "memory", path, *names))
        elif not controllers:
            left.append(left_below(GROUPS, path, "max", "current", "inactive_file"))
    return min(left)


def left_below(top: Path, path: str, limit: str, used: str, cached: str) -> float:
    """Return the least bytes left of a group and those around it.

    All are looked at: the limit may be set on any of them, and inside a container its own group may stand at the top.

    Args:
        top: where the groups of this version are.
        path: the group's path below it.
        limit: name of the file, after `memory.`, that has the limit.
        used: name of the one that has the use.
        cached: name of the line of `memory.stat` that has what of it can be dropped.
    """
    left = math.inf
    inside = top / path.strip("/")
    for folder in (inside, *inside.parents):
        most, now = (_number(folder / f"memory.{name}") for name in (limit, used))
        if most is not None and now is not None and folder.is_relative_to(top):
            files = dict(line.split(" ", 1) for line in _lines(folder / "memory.stat")).get(cached, "0")
            left = min(left, most - now + float(files))
    return left


def left_to_limit() -> float:
    """Return the bytes left under the limit of the process's address space (`ulimit -v`)."""
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    return math.inf if most == resource.RLIM_INFINITY else most - kilobytes(Path("/proc/self/status"), "VmSize")


def kilobytes(file: Path, name: str) -> float:
    """Return the bytes of a line `NAME:  123 kB`; infinity where there is none, as on other systems than Linux."""
    return next((float(line.split()[1]) * 1024 for line in _lines(file) if line.startswith(f"{name}:")), math.inf)


def _number(file: Path) -> float | None:
    text = "".join(_lines(file))
    return float(text) if text.isdecimal() else None


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:
        return []
