"""Parts of networks that another run has trained."""

from kplug import Architecture, RunPath, Text, hookimpl


@hookimpl
def components():
    return [from_run]


def from_run(run: RunPath, part: Text) -> Architecture:
    """A part of a network that another run has trained, with the weights which that run kept.

    Training goes on from these weights, or `fit.trainable` freezes them. The new run keeps a copy of what it needs of
    the other one. A part takes pictures of other sizes where its layers can.

    Args:
        run: the directory of the other run.
        part: its name among the parts of that run's task; classification has model and head.
    """
    from kplug.parts import trained_part

    return trained_part(run, part)
