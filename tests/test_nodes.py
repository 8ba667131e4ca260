"""What a component can ask for: records, unions, default calls, rules, paths."""

from dataclasses import dataclass, field
from typing import Literal

import pytest

from kplug import Count, FilePath, Loss, Positive, SpecError, call, hookimpl, loads, rule
from kplug.errors import Problem
from kplug.spec.plugins import using
from kplug.spec.tree import Node

# --- a plugin with what the built-ins may lack -----------------------------------------------------------------------


@dataclass(frozen=True)
class Box:
    """A record.

    Args:
        file: a path.
        sizes: some numbers.
        loss: a node.
    """

    file: FilePath | None = None
    sizes: list[Count] = field(default_factory=lambda: [3, 4])
    loss: Loss = call("dice")


def _first_is_less(low: float, high: float) -> None:
    if low >= high:
        raise ValueError(f"low ({low}) is not less than high ({high})")


def _no_odd_list(items: list[int]) -> None:
    for position, item in enumerate(items):
        if item == 13:
            raise SpecError([Problem("13 brings bad luck", ("items", position))])


def _is_broken(broken: bool) -> None:
    if broken:
        raise RuntimeError("the rule itself is broken")


@rule(_first_is_less)
@rule(_no_odd_list)
@rule(_is_broken)
def everything(
    low: float = 0.0,
    high: Positive = 1.0,
    items: list[int] = (),
    broken: bool = False,
    weights: Literal["imagenet"] | FilePath = "imagenet",
    files: tuple[FilePath, ...] = (),
    by_name: dict[str, FilePath] = {},  # noqa: B006
    box: Box = call(),
    boxes: list[Box] = (),
    named: dict[str, Loss] = {},  # noqa: B006
    inner: Loss | Box | None = None,
    inners: list[Loss | Box] = (),
) -> Loss:
    """Do all that a component can ask for.

    Args:
        low: a number.
    """


class Plugin:
    @hookimpl
    def components(self):
        return [everything]


@pytest.fixture(scope="module", autouse=True)
def installed():
    with using([Plugin()]):
        yield


def with_loss(text):
    return loads(f"name: x\ntask: {{type: classification, model: flatten, loss: {text}}}\ndata: {{source: digits}}\n")


def refused(function, *arguments):
    """The problems, a line each."""
    with pytest.raises(SpecError) as caught:
        function(*arguments)
    return str(caught.value).splitlines()


# --- nodes, records, rules -------------------------------------------------------------------------------------------


def test_records():
    spec = with_loss("{type: everything, boxes: [{file: a.txt}, {sizes: [5]}], named: {first: dice}}")
    boxes = spec["task.loss.boxes"]
    assert [box.arguments["sizes"] for box in boxes] == [[3, 4], [5]]
    assert boxes[0].arguments["loss"].name == spec["task.loss.box.loss"].name == "dice"
    assert spec["task.loss.named.first"].name == "dice"
    filled = spec.filled().data["task"]["loss"]
    assert filled["boxes"][1] == {"file": None, "sizes": [5], "loss": filled["box"]["loss"]}
    assert refused(with_loss, "{type: everything, box: {fil: x, sizes: [0]}, boxes: {}}") == [
        "spec:2:77: task.loss.box.fil: unknown key; did you mean 'file'?",
        "spec:2:93: task.loss.box.sizes.0: 0 is less than 1",
        "spec:2:105: task.loss.boxes: {} is not a list",
    ]


def test_unions():
    spec = with_loss("{type: everything, inner: dice, inners: [{type: dice}, {sizes: [1]}, {}, dice]}")
    assert spec["task.loss.inner"].component.kind.name == "loss"
    assert [node.component.name for node in spec["task.loss.inners"]] == ["dice", "Box", "Box", "dice"]
    assert with_loss("{type: everything, inner: null}")["task.loss.inner"] is None
    assert refused(with_loss, "{type: everything, inner: 3}") == [
        "spec:2:78: task.loss.inner: 3 is not a loss, a mapping (keys: file, sizes, loss) or null"
    ]
    assert refused(with_loss, "{type: everything, inner: dise}") == [
        "spec:2:78: task.loss.inner: no loss named 'dise'; did you mean 'dice'? (kplug components loss lists them), "
        "nor is it null"
    ]
    assert refused(with_loss, "{type: everything, inner: {size: [1]}}") == [
        "spec:2:79: task.loss.inner.size: unknown key; did you mean 'sizes'?"
    ]


def test_defaults_written_as_calls():
    spec = with_loss("dice")
    assert spec["task.optimizer.learning_rate"] == 1e-3
    assert spec["task.optimizer"].arguments["weight_decay"] is not None
    assert spec["data.evaluate_with"].arguments == {"batch_size": 256}
    assert isinstance(spec["data.features.image"], Node)


def test_rules():
    assert refused(with_loss, "{type: everything, low: 2}") == [
        "spec:2:52: task.loss: low (2.0) is not less than high (1.0)"
    ]
    assert refused(with_loss, "{type: everything, items: [1, 13, 2]}") == [
        "spec:2:82: task.loss.items.1: 13 brings bad luck"
    ]
    assert refused(with_loss, "{type: everything, low: 2, items: x}") == [
        "spec:2:86: task.loss.items: 'x' is not a list; write ['x']"
    ], "no rule is asked about values that do not fit"
    (said,) = refused(with_loss, "{type: everything, broken: true}")
    what = "the rule of loss 'everything' of Plugin 0 failed: RuntimeError: the rule itself is broken (test_nodes.py:"
    assert what in said and said.endswith("that is for its author to mend")


def test_paths_become_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    text = """{type: everything, weights: w.h5, files: [a, ~/b, /c], by_name: {one: d/../e},
      box: {file: f, loss: {type: everything, weights: imagenet}}, boxes: [{file: g}, {file: null}],
      named: {first: {type: everything, files: [gs://bucket/h]}}, inner: {file: i}}"""
    loss = with_loss(text).absolute().data["task"]["loss"]
    here = str(tmp_path)
    assert loss["weights"] == f"{here}/w.h5"
    assert loss["files"] == [f"{here}/a", "/home/somebody/b", "/c"]
    assert loss["by_name"] == {"one": f"{here}/e"}
    assert (loss["box"]["file"], loss["box"]["loss"]["weights"]) == (f"{here}/f", "imagenet")
    assert [box["file"] for box in loss["boxes"]] == [f"{here}/g", None]
    assert loss["named"]["first"]["files"] == ["gs://bucket/h"], "an address is no path"
    assert loss["inner"]["file"] == f"{here}/i"
    absolute = with_loss(text).absolute()
    assert loads(absolute.dump()).absolute() == absolute
    assert absolute["task.loss.weights"] == f"{here}/w.h5", "what is built is absolute too"
