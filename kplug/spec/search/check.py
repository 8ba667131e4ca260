"""A search is checked here before TensorFlow is loaded: its space, its objectives, what they need of the spec."""

from __future__ import annotations

import re
from typing import Any

from kplug.errors import Problem, SpecError
from kplug.spec.features import known_of_source
from kplug.spec.search.first_points import first_points
from kplug.spec.search.objectives import limits_of, objectives_of
from kplug.spec.search.ranges import is_within
from kplug.spec.search.space import Space, check_space, read_space
from kplug.spec.sections import refuse_few_groups
from kplug.spec.tree import plain

EPOCHS = re.compile(r"fit\.(epochs|stages(\.\d+(\.epochs)?)?)")  # paths that say how many epochs a trial has


def check_search(spec: Any) -> None:
    """See that a spec's search makes sense and that the spec takes every candidate.

    Raises:
        SpecError: with every problem, at its place.
    """
    section = plain(spec["search"])
    try:
        space = read_space(section["space"])
    except SpecError as error:
        raise SpecError([_in_space(spec, problem) for problem in error.problems]) from None
    key = "constraints"
    try:
        limits_of(section)
        key = "objective"
        objectives_of(section, spec["fit.best"])
    except ValueError as error:
        raise spec.error(("search", key), str(error)) from None
    _check_folds(spec, space, section)
    check_space(spec, space)
    first_points(spec, space)
    _check_oracle(spec, space, section)


def _check_folds(spec: Any, space: Space, section: dict[str, Any]) -> None:
    """Refuse a fold in the space where the search has folds itself, and more folds than there are groups."""
    count, validation = section["repeats"]["folds"], plain(spec["data.validation"])
    if not count:
        return
    by = validation["by"] if isinstance(validation, dict) else None
    try:
        refuse_few_groups(count, by, known_of_source(spec["data.source"]))
    except ValueError as error:
        raise spec.error("search.repeats.folds", str(error)) from None
    for one in space:
        if is_within(one.target, "data.validation"):
            message = "a search does not change data.validation: `search.repeats` has a fold there"
            raise SpecError([_in_space(spec, Problem(message, (one.path,)))])


def _check_oracle(spec: Any, space: Space, section: dict[str, Any]) -> None:
    """Refuse what an oracle or a pruner cannot do with the space."""
    counts_epochs = any(EPOCHS.fullmatch(one.target) for one in space)
    if not counts_epochs and not sum(epochs for epochs, _ in spec.stages()):
        message = "a trial of no epochs reports nothing that it could be judged by; fit.epochs is 0"
        raise spec.error("fit.epochs", message)
    by_epochs = spec["search"].arguments["oracle"].component.by_epochs or section["prune"] is not None
    if by_epochs and counts_epochs:
        rungs = "rungs are counted in epochs, so that all trials must have as many"
        raise spec.error("search.space", f"{rungs}; leave what sets them out of the space")


def _in_space(spec: Any, problem: Problem) -> Problem:
    return spec.problem(("search", "space", *problem.path), problem.message, key=len(problem.path) == 1)
