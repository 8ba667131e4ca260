"""Reports of a run: curves as pictures, TensorBoard's logs, and how good its predictions are class by class."""

from kplug import hookimpl


@hookimpl
def callbacks(run):
    from kplug.default_plugins.training.curves import Curves, TensorBoardLogs

    return [Curves(run), TensorBoardLogs(run)]


@hookimpl
def evaluated(run, name, predictions, columns):
    if "probabilities" not in predictions or "label" not in columns or not run.info.classes:
        return None
    from kplug.default_plugins.classification.report import report

    return report(run, name, predictions["probabilities"], columns)
