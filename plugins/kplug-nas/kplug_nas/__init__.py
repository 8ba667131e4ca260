"""Architecture search: networks whose parts are nodes of the spec. Their signatures, free of TensorFlow."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kplug import Architecture, Count, Natural, NonNegative, SpecError, authoring, call, canonical, hookimpl, rule
from kplug.errors import Problem, listed
from kplug_nas.blocks import convolution, inverted_residual, pooling, residual, self_attention, separable
from kplug_nas.forms import form_of_cell, form_of_stages

kplug_api = 2


@hookimpl
def components():
    return [*NETWORKS, *BLOCKS]


# --- stages ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Blocks of one kind, one after another, after a transition that changes width and size where either changes.

    The transition activates, means over 2x2 pixels where it strides, and brings the channels to the width by a
    normalized 1x1 convolution.

    Args:
        width: channels.
        depth: how many blocks; 0 leaves the transition alone.
        stride: 2 halves height and width.
        block: what is repeated, each time with weights of its own: any architecture that keeps the shape.
        skip: add the input of each block to its output.
        attention: what follows each block within its shortcut, such as squeeze_excitation; null is nothing.
    """

    width: Count
    depth: Natural = 1
    stride: Literal[1, 2] = 1
    block: Callable[[], Architecture] = call("residual")
    skip: bool = True
    attention: Callable[[], Architecture] | None = None


def _there_is_a_stage(stages: Sequence[Any]) -> None:
    if not stages:
        raise SpecError([Problem("a network needs at least one stage: [{width: 16}, ...]", ("stages",))])


THREE_STAGES = ({"width": 16}, {"width": 32, "stride": 2}, {"width": 64, "stride": 2})


@canonical(form_of_stages)
@rule(_there_is_a_stage)
def stages(
    stages: list[Stage] = THREE_STAGES,  # type: ignore[assignment]
    stem: Architecture | None = None,
    compound: NonNegative = 0.0,
) -> Architecture:
    """Stages of blocks, each an architecture of its own: a space for macro search (Tan et al. 2019, MnasNet).

    Args:
        stages: what follows the stem, in this order.
        stem: what comes first; null is a 3x3 convolution, normalized and activated, of the first stage's width.
        compound: EfficientNet's coefficient (Tan and Le 2019): depths by 1.2^compound, rounded up, widths by
            1.1^compound, rounded to multiples of 8, height and width of the picture by 1.15^compound, resized at the
            door; 0 leaves all as written. A stem is not scaled.
    """
    from kplug_nas.networks import build_stages

    return authoring.Network(lambda x: build_stages(x, stages, stem, compound), "stages")


# --- cells -----------------------------------------------------------------------------------------------------------

MOST_NODES = 8  # twice what the papers' cells have; a canonical form of more would take long in the worst case


@dataclass(frozen=True, kw_only=True)
class CellNode:
    """A node of a cell: the sum of two operations, each on a state.

    Args:
        inputs: two states: 0 is the output of the cell before the last, 1 that of the last, 2 the first node, 3 the
            second, and so on.
        operations: what is applied to each: two architectures that keep the shape.
    """

    inputs: list[Natural] = (0, 1)  # type: ignore[assignment]
    operations: list[Callable[[], Architecture]] = ("separable", "separable")  # type: ignore[assignment]


def _a_node_reads_two_states_before_it(nodes: Sequence[Mapping[str, Any]]) -> None:
    problems = []
    if not 1 <= len(nodes) <= MOST_NODES:
        problems.append(Problem(f"a cell has 1 to {MOST_NODES} nodes; received {len(nodes)}", ("nodes",)))
    for number, node in enumerate(nodes):
        for what in ("inputs", "operations"):
            if len(node[what]) != 2:
                text = f"a node has two {what}; received {len(node[what])}"
                problems.append(Problem(text, ("nodes", number, what)))
        for place, state in enumerate(node["inputs"]):
            if state > number + 1:
                nodes_before = ", and the nodes before it" if number else ""
                allowed = listed(range(number + 2))
                text = f"{state} is not one of {allowed}: a node reads the last two cells, 0 and 1{nodes_before}"
                problems.append(Problem(text, ("nodes", number, "inputs", place)))
    if problems:
        raise SpecError(problems)


TWO_NODES = (
    {"inputs": [0, 1], "operations": ["identity", "separable"]},
    {"inputs": [1, 2], "operations": ["pooling", "separable"]},
)


@canonical(form_of_cell)
@rule(_a_node_reads_two_states_before_it)
def cell(
    nodes: list[CellNode] = TWO_NODES,  # type: ignore[assignment]
    width: Count = 16,
    depth: Count = 2,
    stages: Count = 3,
) -> Architecture:
    """One cell repeated, a small graph of operations: a space for cell search (Zoph et al. 2018; Real et al. 2019).

    The states that no node reads are put side by side and brought back to the width by a 1x1 convolution: that is the
    cell's output, so that nothing in it is for naught.

    Args:
        nodes: of the cell, each after those that it reads, 8 at most.
        width: channels of the first stage; between two stages a 1x1 convolution doubles them.
        depth: cells in each stage.
        stages: how many; between two of them a mean over 2x2 pixels halves height and width.
    """
    from kplug_nas.networks import build_cells

    return authoring.Network(lambda x: build_cells(x, nodes, width, depth, stages), "cell")


NETWORKS = [stages, cell]
BLOCKS = [residual, inverted_residual, separable, convolution, pooling, self_attention]
