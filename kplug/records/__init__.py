"""The records that the host and components hand each other."""

from kplug.records.data import AskedFeatures, Columns, DataInfo, Split, Table
from kplug.records.evaluation import Evaluation, Needs, SplitEvaluator
from kplug.records.fields import AsItIs, Codec, Field
from kplug.records.geometry import Geometry
from kplug.records.learning import FitInfo, Learner, Monitor, Rebuild, Signature
from kplug.records.search import Proposal, SearchInfo

__all__ = [
    "AsItIs",
    "AskedFeatures",
    "Codec",
    "Columns",
    "DataInfo",
    "Evaluation",
    "Field",
    "FitInfo",
    "Geometry",
    "Learner",
    "Monitor",
    "Needs",
    "Proposal",
    "Rebuild",
    "SearchInfo",
    "Signature",
    "Split",
    "SplitEvaluator",
    "Table",
]
