"""Canonical forms: equal for equal networks and for no others. Nothing here needs TensorFlow."""

import itertools
import random
import time

import pytest
from kplug_nas.forms import form_of_cell, form_of_stages

OPERATIONS = ["identity", "separable", "pooling"]


def random_cell(rng, size, operations=OPERATIONS):
    return [
        {
            "inputs": [rng.randrange(number + 2) for _ in range(2)],
            "operations": [{"type": rng.choice(operations)} for _ in range(2)],
        }
        for number in range(size)
    ]


def relabelled(rng, cell):
    """The same graph: nodes in another order that works, the halves of some exchanged."""
    order: list[int] = []
    while len(order) < len(cell):
        ready = [
            number
            for number, node in enumerate(cell)
            if number not in order and all(state < 2 or state - 2 in order for state in node["inputs"])
        ]
        order.append(rng.choice(ready))
    numbers = {0: 0, 1: 1} | {old + 2: new + 2 for new, old in enumerate(order)}
    found = []
    for old in order:
        halves = list(zip(cell[old]["inputs"], cell[old]["operations"], strict=True))
        rng.shuffle(halves)
        found.append({"inputs": [numbers[state] for state, _ in halves], "operations": [o for _, o in halves]})
    return found


def are_one_graph(one, other):
    """By trying every way to call the nodes of the one by those of the other."""

    def edges(cell, numbers):
        return {
            numbers[number + 2]: sorted(
                (numbers[state], operation["type"])
                for state, operation in zip(node["inputs"], node["operations"], strict=True)
            )
            for number, node in enumerate(cell)
        }

    plain = edges(other, {number: number for number in range(len(one) + 2)})
    return any(
        edges(one, {0: 0, 1: 1} | {number + 2: new for number, new in enumerate(order)}) == plain
        for order in itertools.permutations(range(2, len(one) + 2))
    )


@pytest.mark.parametrize("size", range(1, 9))
def test_a_relabelled_cell_has_the_same_form(size):
    rng = random.Random(size)
    for _ in range(60):
        cell = random_cell(rng, size, OPERATIONS[: rng.choice([1, 2, 3])])
        assert form_of_cell(relabelled(rng, cell)) == form_of_cell(cell)


def test_forms_are_equal_if_and_only_if_the_graphs_are():
    rng = random.Random(0)
    for size, operations in ((2, OPERATIONS[:1]), (3, OPERATIONS[:1]), (3, OPERATIONS[:2]), (4, OPERATIONS[:1])):
        cells = [random_cell(rng, size, operations) for _ in range(20)]
        cells += [relabelled(rng, cell) for cell in cells]
        same = 0
        for one, other in itertools.combinations(cells, 2):
            expected = are_one_graph(one, other)
            assert (form_of_cell(one) == form_of_cell(other)) == expected, (one, other)
            same += expected
        assert same, "no two of them are equal, so that nothing was seen"


def node(*inputs, operations=("identity", "identity")):
    return {"inputs": list(inputs), "operations": [{"type": name} for name in operations]}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # read twice from one node, or from two that are alike: what is computed is alike, the weights are not
        ([node(0, 1), node(0, 1), node(2, 2)], [node(0, 1), node(0, 1), node(2, 3)]),
        # two pairs of readers on three nodes that are alike, in a row or not
        ([node(0, 1)] * 3 + [node(2, 3), node(2, 3)], [node(0, 1)] * 3 + [node(2, 3), node(3, 4)]),
        ([node(0, 1)], [node(0, 0)]),
        ([node(0, 1)], [node(0, 1, operations=("identity", "pooling"))]),
        ([node(0, 1, operations=("pooling", "identity"))], [node(0, 1, operations=("identity", "pooling"))]),
    ],
)
def test_different_graphs_have_different_forms(one, other):
    assert not are_one_graph(one, other)
    assert form_of_cell(one) != form_of_cell(other)


def test_the_settings_of_an_operation_count():
    cell = [node(0, 1)]
    wide = [{"inputs": [0, 1], "operations": [{"type": "identity"}, {"type": "separable", "kernel": 5}]}]
    narrow = [{"inputs": [0, 1], "operations": [{"type": "identity"}, {"type": "separable", "kernel": 3}]}]
    assert len({str(form_of_cell(found)) for found in (cell, wide, narrow)}) == 3


def test_the_most_alike_nodes_take_no_time():
    """Six nodes that read the same, read in pairs: the worst case, as none can be told from another at first."""
    rng = random.Random(0)
    cells = [[node(0, 0)] * size + [node(2, 3), node(4, 5)][: 8 - size] for size in (6, 7)]
    cells += [[node(0, 0)] * 5 + [node(2, 3), node(4, 5), node(3, 6)], [node(0, 0)] * 8]
    began = time.process_time()
    for cell in cells:
        assert form_of_cell(relabelled(rng, cell)) == form_of_cell(cell)
    assert time.process_time() - began < 2


# --- stages ----------------------------------------------------------------------------------------------------------


def stage(width, depth=1, stride=1, block="residual", skip=True, attention=None):
    written = {"width": width, "depth": depth, "stride": stride, "skip": skip, "attention": attention}
    return {**written, "block": {"type": block}}


def form(*stages, stem=None, compound=0.0):
    return form_of_stages(stages, stem, compound)


def test_a_stage_without_blocks_is_its_transition():
    assert form(stage(8), stage(16, 0, 2)) == form(
        stage(8), stage(16, 0, 2, block="separable", skip=False, attention={"type": "cbam"})
    )
    assert form(stage(8), stage(16, 0, 2)) != form(stage(8), stage(16, 0, 1))
    assert form(stage(8), stage(16, 0, 2)) != form(stage(8), stage(24, 0, 2))
    assert form(stage(8), stage(16, 0, 2)) != form(stage(8), stage(16, 1, 2))


def test_a_stage_that_changes_nothing_is_none():
    assert form(stage(8), stage(8, 0)) == form(stage(8))
    assert form(stage(8, 2), stage(8, 1)) == form(stage(8, 3)) == form(stage(8, 1), stage(8, 2))
    assert form(stage(8), stage(8, block="separable")) != form(stage(8, 2))
    assert form(stage(8), stage(8, skip=False)) != form(stage(8, 2))
    assert form(stage(8), stage(8, stride=2)) != form(stage(8, 2))


def test_the_stem_counts():
    stem = {"type": "conv2d", "filters": 8}
    assert form(stage(8), stem=stem) != form(stage(8))
    assert form(stage(8, 0), stage(16)) != form(stage(16))  # its stem has 8 channels


def test_widths_that_are_scaled_alike_are_alike():
    assert form(stage(16), compound=1.0) == form(stage(15), compound=1.0)  # 17.6 and 16.5, both 16
    assert form(stage(16)) != form(stage(15))
    assert form(stage(16), compound=1.0) != form(stage(16), compound=1.1)
