"""The reports of a training: curves as pictures, and TensorBoard's logs."""

from kplug import hookimpl


@hookimpl
def callbacks(run):
    from kplug.default_plugins.training.curves import Curves, TensorBoardLogs

    return [Curves(run), TensorBoardLogs(run)]
