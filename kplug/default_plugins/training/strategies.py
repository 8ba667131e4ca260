"""Strategies: on which devices a training computes."""

from typing import Literal

from kplug import Strategy, Text, hookimpl


@hookimpl
def components():
    return [auto, one_device, mirrored, multi_worker]


def auto() -> Strategy:
    """All GPUs of this machine where it has two or more, else the one device that it has."""
    from kplug.default_plugins.training.devices import all_gpus_or_one_device

    return all_gpus_or_one_device()


def one_device(device: Text | None = None) -> Strategy:
    """One device computes.

    Args:
        device: TensorFlow's name of it, such as GPU:1; null is the first GPU, or the CPU where there is none.
    """
    from kplug.default_plugins.training.devices import on_one_device

    return on_one_device(device)


def mirrored(devices: tuple[Text, ...] | None = None) -> Strategy:
    """Several devices of this machine share each batch and hold equal weights.

    Args:
        devices: TensorFlow's names of them; null is every GPU. CPU:0 and CPU:1 split the processor, to try things out.
    """
    from kplug.default_plugins.training.devices import on_all

    return on_all(devices)


def multi_worker(
    cluster: Literal["auto", "tf_config", "slurm"] = "auto", communication: Literal["auto", "ring", "nccl"] = "auto"
) -> Strategy:
    """Several processes, on one host or on many, share each batch and hold equal weights.

    Args:
        cluster: who names the hosts: the variable TF_CONFIG, or SLURM's variables; auto takes what is set.
        communication: how gradients are summed: ring over TCP, or NVIDIA's nccl; auto leaves it to TensorFlow.
    """
    from kplug.default_plugins.training.devices import on_a_cluster

    return on_a_cluster(cluster, communication)
