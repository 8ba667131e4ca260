"""The fields beside which an augmentation may stand: what moves a picture moves what lives in it, or is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from kplug.errors import Path
from kplug.records import Codec
from kplug.records.geometry import SHOWS_TWICE
from kplug.spec.tree import Node, nodes


def refused_in(section: Node, codecs: Mapping[str, Codec]) -> Iterator[tuple[Path, str]]:
    """Yield the places of augmentations in the section `data`, and reasons, that cannot stand beside the fields."""
    for place in ("augment", "source"):
        for node in nodes(section.arguments[place]):
            if is_augmentation(node):
                yield from refused(node, codecs)


def resizes(augmentations: Sequence[Node]) -> bool:
    """Return True where augmentations may give pictures another size."""
    for node in nodes(list(augmentations)):
        effect = node.component.effect if is_augmentation(node) else None
        if effect is not None and effect.size and node.arguments[effect.size.strip("{}")] is not None:
            return True
    return False


def refused(node: Node, codecs: Mapping[str, Codec]) -> Iterator[tuple[Path, str]]:
    """Yield the places and reasons for which an augmentation cannot stand beside the fields of the data.

    Args:
        node: of an augmentation; one that says nothing and holds others is judged by those.
        codecs: of all fields.
    """
    inner = [one for one in nodes(node) if one is not node and is_augmentation(one)]
    if node.component.effect is None and inner:
        return
    for field, codec in codecs.items():
        if reason := _reason(node, field, codec):
            yield reason


def is_augmentation(node: Node) -> bool:
    return node.component.kind is not None and node.component.kind.name == "augmentation"


def _reason(node: Node, field: str, codec: Codec) -> tuple[Path, str] | None:
    effect, name = node.component.effect, node.name
    if codec.of is not None:  # it is taken anew from a field that is asked itself
        return None
    if effect is None:
        marks = "it is marked with none of @moves, @recolours and @mixes"
        said = f"'{field}' lives in a picture, and {name} may leave it behind: {marks}"
        return (node.path, said) if codec.in_frame else None
    if effect.does == "leaves_behind":
        said = f"'{field}' lives in a picture, and {name} would leave it behind: {effect.because}"
        return (node.path, said) if codec.in_frame else None
    if effect.does == "mixes":
        can = codec.pastes if effect.parts else codec.mixes
        what = "parts of another picture cannot be pasted into it" if effect.parts else "two of it cannot be mixed"
        return None if can else (node.path, f"{name} mixes examples, and '{field}' would stay behind: {what}")
    if effect.does != "moves" or not codec.in_frame:
        return None
    if not codec.moves:
        return node.path, f"{name} moves pictures, and '{field}', which lives in one, cannot be moved"
    fill = fill_of(node)
    if codec.shown_once and fill in SHOWS_TWICE:
        path = (*node.path, effect.fill.strip("{}")) if effect.fill.startswith("{") else node.path
        return path, f"{fill} shows objects a second time, of which '{field}' says nothing: take constant or nearest"
    return None


def fill_of(node: Node) -> str:
    """Return how an augmentation fills places outside of a picture, as its mark says, or the parameter it names."""
    effect = node.component.effect
    said = effect.fill if effect else "constant"
    return str(node.arguments[said.strip("{}")]) if said.startswith("{") else said
