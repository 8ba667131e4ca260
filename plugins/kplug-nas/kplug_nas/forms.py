"""The form that equal networks share, so that a search trains one of them, and compound scaling; free of TensorFlow."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

DEEPER, WIDER, LARGER = 1.2, 1.1, 1.15  # alpha, beta and gamma of Tan and Le 2019, https://arxiv.org/abs/1905.11946
DIVISOR = 8  # of scaled widths

Node = Mapping[str, Any]
Pairs = tuple[tuple[int, str], ...]  # (state, operation) twice, in order

# --- compound scaling ------------------------------------------------------------------------------------------------


def scaled_depth(depth: int, compound: float) -> int:
    return math.ceil(depth * DEEPER**compound - 1e-9)  # 5 * 1.2 is 6, whatever floats say


def scaled_width(width: int, compound: float) -> int:
    """The nearest multiple of 8 that is not more than a tenth below; as it is where nothing is scaled."""
    if not compound:
        return width
    wanted = width * WIDER**compound
    found = max(DIVISOR, int(wanted + DIVISOR / 2) // DIVISOR * DIVISOR)
    return found + DIVISOR if found < 0.9 * wanted else found


def scaled_side(side: int, compound: float) -> int:
    """Pixels of the resized picture."""
    return round(side * LARGER**compound)


# --- stages ----------------------------------------------------------------------------------------------------------


def form_of_stages(stages: Sequence[Node], stem: Node | None, compound: float) -> dict[str, Any]:
    """The network step by step: what is not built is not told, nor where one stage ends and a like one begins."""
    channels = scaled_width(stages[0]["width"], compound) if stem is None else None  # of what comes in, where known
    steps: list[Any] = [stem or channels]
    for stage in stages:
        width = scaled_width(stage["width"], compound)
        if stage["stride"] > 1 or width != channels:
            steps.append([width, stage["stride"]])
        channels = width
        steps += [[stage["block"], stage["skip"], stage["attention"]]] * scaled_depth(stage["depth"], compound)
    return {"compound": compound, "steps": steps}


# --- cells -----------------------------------------------------------------------------------------------------------


def form_of_cell(nodes: Sequence[Node]) -> list[Pairs]:
    """The same for two cells if, and only if, they differ in the order of nodes, or of the two halves of nodes.

    Of all orders in which each node follows those that it reads, that with the least list of what the nodes read,
    found by going on with all the beginnings that are least so far.
    """
    graph = [_pairs(node["inputs"], [json.dumps(o, sort_keys=True) for o in node["operations"]]) for node in nodes]
    form: list[Pairs] = []
    beginnings: list[dict[int, int]] = [{0: 0, 1: 1}]  # state in `graph` to its number in the form
    for number in range(2, len(graph) + 2):
        following = [(beginning, _next(graph, beginning)) for beginning in beginnings]
        form.append(min(least for _, (least, _) in following))
        beginnings = [
            {**beginning, state: number}
            for beginning, (least, states) in following
            if least == form[-1]
            for state in states
        ]
    return form


def _next(graph: Sequence[Pairs], numbers: Mapping[int, int]) -> tuple[Pairs, list[int]]:
    """The least that a node which can come next may read, and the nodes that read it, but for one's equals."""
    ready = {}
    for state, pairs in enumerate(graph, 2):
        if state not in numbers and all(source in numbers for source, _ in pairs):
            ready[state] = _pairs([numbers[source] for source, _ in pairs], [name for _, name in pairs])
    least = min(ready.values())
    states: list[int] = []
    for state, pairs in ready.items():
        if pairs == least and not any(_exchangeable(graph, state, other) for other in states):
            states.append(state)
    return least, states


def _pairs(sources: Sequence[int], operations: Sequence[str]) -> Pairs:
    return tuple(sorted(zip(sources, operations, strict=True)))


def _exchangeable(graph: Sequence[Pairs], one: int, other: int) -> bool:
    """Return True where the graph stays the same when two states that read the same are exchanged."""
    exchanged = {one: other, other: one}
    return all(
        _pairs([exchanged.get(source, source) for source, _ in pairs], [name for _, name in pairs]) == pairs
        for pairs in graph
    )
