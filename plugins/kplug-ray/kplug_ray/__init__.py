"""Trials of a search on a Ray cluster."""

from kplug import Count, Executor, NonNegative, Positive, Text, hookimpl, rule

kplug_api = 2


@hookimpl
def components():
    return [ray_cluster]


def _more_than_one_is_whole(gpus: float) -> None:
    if gpus > 1 and not float(gpus).is_integer():
        raise ValueError(f"more than one GPU is a whole number of them; received gpus: {gpus:g}")


@rule(_more_than_one_is_whole)
def ray_cluster(
    workers: Count = 2,
    address: Text | None = None,
    cpus: Positive = 1.0,
    gpus: NonNegative = 0.0,
    memory: Positive | None = None,
) -> Executor:
    """Trainings on a Ray cluster, whose nodes may die; it needs the extra: `pip install 'kplug-ray[ray]'`.

    Each training is a process of its own on a node that has the resources. Where a node dies, its trainings go on
    from their last checkpoints on others, and wait for one where there is none. Every node must see the search's
    directory and the data under the paths that they have here.

    Args:
        workers: how many train at once, where the cluster has the resources for them.
        address: of the cluster's head, host:port; null takes the one that RAY_ADDRESS or this machine has, else begins
            one on this machine that ends with the search.
        cpus: that a training takes of a node; how many threads it uses is for `fit.threads` to say.
        gpus: that a training takes of a node; with 0 it sees none, below 1 trainings share one.
        memory: in GiB that a training takes of a node; null does not count it.
    """
    from kplug import SpecError

    try:
        from kplug_ray.executor import RayCluster
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise SpecError(f"{error}; ray_cluster needs Ray: pip install 'kplug-ray[ray]'") from error
    return RayCluster(workers, address, cpus, gpus, memory)
