"""The executor of one machine."""

from kplug import Count, Executor, hookimpl


@hookimpl
def components():
    return [processes]


def processes(workers: Count = 1) -> Executor:
    """Each training in a process of its own on this machine, forked from one that has TensorFlow loaded.

    Args:
        workers: how many train at once; where `fit.threads` is null, they share the processors evenly.
    """
    from kplug.tuning.local_executor import Processes

    return Processes(workers)
