"""What the machine computes with, and how much memory it has free."""

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

BFLOAT16_FLAGS = ("amx_bf16", "avx512_bf16")  # of processors that multiply it natively

GROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Hardware:
    """What a training computes on; kept with the run.

    Args:
        kind: GPU or CPU.
        name: of the first device.
        capability: the lowest compute capability of the GPUs, such as 8.0.
        flags: of a CPU, those that tell how it multiplies.
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
        return cls(**{**data, "flags": tuple(data["flags"])})

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def _processor() -> tuple[str, None, tuple[str, ...]]:
    fields, flags = processor_fields(), processor_flags()
    name = fields.get("model name") or platform.processor() or platform.machine()
    return name, None, tuple(flag for flag in BFLOAT16_FLAGS if flag in flags)


def processor_fields() -> dict[str, str]:
    """What the system says of the first processor here; nothing where it is not Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.split("\t: ", 1) for line in reversed(lines) if "\t: " in line)
    return {key.strip(): value for key, value in pairs}


def processor_flags() -> set[str]:
    return set(processor_fields().get("flags", "").split())


def in_words(count: float) -> str:
    """Bytes as `3.2 GB` or `210 MB`."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.0f} MB"


# --- what is free ----------------------------------------------------------------------------------------------------


def free_memory() -> tuple[float, str]:
    """Bytes that can still be had where the training computes, and what that is."""
    return _free_on_gpu() if tf.config.list_physical_devices("GPU") else free_on_machine()


def free_on_machine() -> tuple[float, str]:
    """Bytes that a process of this machine can still have, and what has so few."""
    found = [
        (_available(), "the machine"),
        (_left_in_group(), "the control group"),
        (_left_to_limit(), "the limit of the process"),
    ]
    return min(found)


def _free_on_gpu() -> tuple[float, str]:
    from tensorflow.python.client import device_lib

    limits = [device.memory_limit for device in device_lib.list_local_devices() if device.device_type == "GPU"]
    used = [
        tf.config.experimental.get_memory_info(device.name.partition("device:")[2])["current"]
        for device in tf.config.list_logical_devices("GPU")
    ]
    return min(limit - now for limit, now in zip(limits, used, strict=True)), "the GPU"


def _available() -> float:
    """Of the machine, without swapping; more than can be where the system does not say."""
    return _kilobytes(Path("/proc/meminfo"), "MemAvailable")


def _left_in_group() -> float:
    """To the limit of the control group that holds the process; files that are cached count as free."""
    left = math.inf
    for line in _lines(Path("/proc/self/cgroup")):
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            left = min(
                left, _left_below(GROUPS / "memory", path, "limit_in_bytes", "usage_in_bytes", "total_inactive_file")
            )
        elif not controllers:  # version 2
            left = min(left, _left_below(GROUPS, path, "max", "current", "inactive_file"))
    return left


def _left_below(top: Path, path: str, limit: str, used: str, cached: str) -> float:
    """The least of a group and those around it; inside a container its own group may stand at the top."""
    left = math.inf
    inside = top / path.strip("/")
    for folder in (inside, *inside.parents):
        most, now = (_number(folder / f"memory.{name}") for name in (limit, used))
        if most is not None and now is not None and folder.is_relative_to(top):
            files = dict(line.split(" ", 1) for line in _lines(folder / "memory.stat")).get(cached, "0")
            left = min(left, most - now + float(files))
    return left


def _left_to_limit() -> float:
    """To what `ulimit -v` allows."""
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    return math.inf if most == resource.RLIM_INFINITY else most - _kilobytes(Path("/proc/self/status"), "VmSize")


def _kilobytes(file: Path, name: str) -> float:
    return next((float(line.split()[1]) * 1024 for line in _lines(file) if line.startswith(f"{name}:")), math.inf)


def _number(file: Path) -> float | None:
    text = "".join(_lines(file))
    return float(text) if text.isdecimal() else None


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:
        return []
