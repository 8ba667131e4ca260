"""The Keras side of `strategies`: the `tf.distribute.Strategy` of devices, and of several processes."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from kplug.console import log
from kplug.errors import SpecError, listed
from kplug.model.patches import watch_workers

# Seconds without a sign of life after which a worker counts as lost. Too few, and a slow one ends the training; too
# many, and the others wait so long for one that is gone. GRACE of default_plugins/launch/local_cluster.py must be more.
HEARTBEAT = 20
JOINING = 300  # seconds in which all workers must have come up, which a scheduler may start minutes apart


def all_gpus_or_one_device() -> Any:
    return tf.distribute.MirroredStrategy() if len(_gpus()) > 1 else tf.distribute.get_strategy()


def on_one_device(device: str | None) -> Any:
    _gpus()
    if device is None:
        return tf.distribute.get_strategy()
    _split_processor([device])
    return tf.distribute.OneDeviceStrategy(_known(device))


def on_all(devices: tuple[str, ...] | None) -> Any:
    if not _gpus() and devices is None:
        raise SpecError("this machine has no GPU; take one_device, or name devices: [CPU:0, CPU:1] to try things out")
    _split_processor(devices or ())
    return tf.distribute.MirroredStrategy([_known(name) for name in devices] if devices else None)


def _gpus() -> list[Any]:
    """The GPUs; each takes memory as it needs it, not all there is at once."""
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        try:
            tf.config.experimental.set_memory_growth(gpu, True)
        except (RuntimeError, ValueError):  # in use already, or of a process that set its limits itself
            break
    return gpus


def _known(device: str) -> str:
    names = [found.name.removeprefix("/device:") for found in tf.config.list_logical_devices()]
    if device.removeprefix("/").removeprefix("device:").upper() not in names:
        raise SpecError(f"there is no device '{device}'; this machine has {listed(names)}")
    return device


def _split_processor(devices: Sequence[str]) -> None:
    """Logical processors for CPU:1 and up; TensorFlow makes them once a process, before it computes."""
    numbers = [int(found[1]) for found in map(re.compile(r"(?i)/?(?:device:)?CPU:(\d+)").fullmatch, devices) if found]
    wanted = max(numbers, default=0) + 1
    (processor,) = tf.config.list_physical_devices("CPU")
    if wanted > len(tf.config.get_logical_device_configuration(processor) or [None]):
        try:
            tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * wanted)
        except RuntimeError:
            raise SpecError("TensorFlow already computes in this process; devices of the CPU need a new one") from None


# --- several processes -----------------------------------------------------------------------------------------------


def on_a_cluster(cluster: str, communication: str) -> Any:
    resolver = _resolver(cluster)
    _gpus()
    implementation = getattr(tf.distribute.experimental.CommunicationImplementation, communication.upper())
    options = tf.distribute.experimental.CommunicationOptions(implementation=implementation)
    _say_who_may_connect(resolver)
    watch_workers(resolver.cluster_spec(), HEARTBEAT, JOINING)
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver, communication_options=options)
    except RuntimeError as error:
        if "Collective ops must be configured" not in str(error):
            raise
        raise SpecError("TensorFlow already computes in this process; a worker of a cluster needs a new one") from None


def _say_who_may_connect(resolver: Any) -> None:
    """Say what the port gives away on which TensorFlow is about to listen, on all interfaces, as it always does."""
    if [name for _, name in socket.if_nameindex()] == ["lo"]:
        return  # as `kplug launch` has it
    port = resolver.cluster_spec().task_address(resolver.task_type, resolver.task_id).rpartition(":")[2]
    what = (
        f"this worker listens on port {port} of every interface; whoever reaches it has TensorFlow read and write files"
    )
    log(f"{what} as it likes: train in a network that you trust (docs/distribution.md)")


def _resolver(cluster: str) -> Any:
    if cluster == "auto":
        cluster = "tf_config" if "TF_CONFIG" in os.environ or "SLURM_PROCID" not in os.environ else "slurm"
    if cluster == "slurm":
        if "SLURM_PROCID" not in os.environ:
            raise SpecError("SLURM_PROCID is not set: this process was not started by srun")
        return tf.distribute.cluster_resolver.SlurmClusterResolver()
    _check_tf_config()
    return tf.distribute.cluster_resolver.TFConfigClusterResolver()


EXAMPLE = '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'


def _check_tf_config() -> None:
    """Refuse a TF_CONFIG that does not name the cluster's processes and which of them this is."""
    text = os.environ.get("TF_CONFIG")
    if text is None:
        raise SpecError(f"TF_CONFIG is not set; it names the cluster and this process, such as {EXAMPLE}")
    try:
        config = json.loads(text)
        jobs, task = config["cluster"], config["task"]
        hosts = jobs[task["type"]]
        count, index = len(hosts), int(task["index"])
    except (ValueError, KeyError, TypeError) as error:
        what = f"TF_CONFIG cannot be read ({type(error).__name__}: {error})"
        raise SpecError(f"{what}; it looks like {EXAMPLE}. Received: {text[:200]}") from None
    if unknown := set(jobs) - {"chief", "worker"}:
        raise SpecError(f"TF_CONFIG names the jobs {listed(sorted(unknown))}; only chief and worker train together")
    if not 0 <= index < count:
        raise SpecError(f"TF_CONFIG says that this is {task['type']} {index}; there are {count}, counted from 0")
