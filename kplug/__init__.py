"""kplug: image models in Keras from a YAML spec, with every part a plugin.

spec = kplug.load("specs/digits.yaml").at({"fit.epochs": 3})
run = kplug.train(spec)
run.evaluate(), run.predict(["picture.png"]), run.export()
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from kplug.errors import SpecError
from kplug.hookspecs import hookimpl
from kplug.kinds import (
    Architecture,
    Augmentation,
    Callback,
    Count,
    Evaluator,
    Executor,
    Feature,
    FieldName,
    FilePath,
    Fraction,
    Known,
    LabelName,
    Loss,
    Metric,
    Name,
    Natural,
    NonNegative,
    Odd,
    Optimizer,
    Oracle,
    Positive,
    Pruner,
    RunPath,
    Sampler,
    Schedule,
    Seed,
    Sees,
    Size,
    Source,
    Strategy,
    Task,
    Text,
    Unit,
    by_epochs,
    call,
    canonical,
    gives,
    known,
    leaves_behind,
    mixes,
    moves,
    needs,
    recolours,
    rule,
)
from kplug.records import (
    AsItIs,
    AskedFeatures,
    Codec,
    Columns,
    DataInfo,
    Evaluation,
    Field,
    FitInfo,
    Geometry,
    Learner,
    Needs,
    Proposal,
    Rebuild,
    SearchInfo,
    Signature,
    Split,
    SplitEvaluator,
    Table,
)
from kplug.spec import Spec, load, loads
from kplug.storage.run_directory import RunDirectory

if TYPE_CHECKING:
    from kplug.inference.run import Run as Run
    from kplug.training.fit import train as train
    from kplug.tuning.hypermodel import hypermodel as hypermodel
    from kplug.tuning.search import search as search

__version__ = "0.1.0"

# `from kplug import *` brings what is imported above but for modules; it spares what loads TensorFlow.
__all__ = [name for name, thing in globals().items() if name[0] != "_" and type(thing) is not type(sys)]
__all__ = [name for name in __all__ if name not in ("Any", "TYPE_CHECKING", "annotations")]


_BELOW_THE_LINE = {  # TensorFlow comes with them; `import *` spares them
    "train": "kplug.training.fit",
    "Run": "kplug.inference.run",
    "search": "kplug.tuning.search",
    "hypermodel": "kplug.tuning.hypermodel",
}


def __getattr__(name: str) -> Any:
    if name not in _BELOW_THE_LINE:
        raise AttributeError(f"module 'kplug' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(_BELOW_THE_LINE[name]), name)
