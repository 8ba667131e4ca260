"""A plugin of the tests: questions about pictures (Antol et al. 2015), an answer chosen from those of train."""

from typing import Annotated

from kplug import (
    Architecture,
    Count,
    DataInfo,
    Evaluator,
    FieldName,
    LabelName,
    Loss,
    Metric,
    Optimizer,
    Sees,
    Task,
    call,
    hookimpl,
)
from kplug.kinds import gives

kplug_api = 2


@hookimpl
def components():
    return [questions]


@gives("probabilities", "classes")
def questions(
    data: DataInfo,
    eye: Annotated[Architecture, Sees("{image}")],
    reader: Architecture = call("layers", layers=[{"type": "gru", "units": 32}]),
    head: Architecture = "linear",
    width: Count = 32,
    loss: Loss = "cross_entropy",
    metrics: list[Metric] = ("accuracy",),  # type: ignore[assignment]
    optimizer: Optimizer = call("adamw", learning_rate=3e-3),
    image: FieldName = "image",
    question: FieldName = "question",
    answer: LabelName = "answer",
    report: Evaluator | None = "classification_report",
) -> Task:
    """Answer a question about a picture.

    Args:
        eye: from images in 0 to 1 to features [b, n].
        reader: from vectors of words [b, length, width] to features [b, m].
        head: from both, multiplied, to a score for each answer.
        width: numbers of a word.
        loss: compares scores with targets.
        metrics: compare probabilities with targets.
        optimizer: changes the weights.
        image: the field of pictures.
        question: the field of questions, ids of words.
        answer: the field of answers.
        report: what looks at the answers to a whole split; null: nobody.
    """
    from tiny_vqa_model import make_learner

    fields = image, question, answer
    return make_learner(data, eye, reader, head, width, loss, list(metrics), optimizer, fields, report)
