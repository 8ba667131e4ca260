"""Mutations of specs: of the text, byte by byte and token by token, and of the tree that it says."""

from __future__ import annotations

import copy
import itertools
import random
import re
from collections.abc import Iterator
from typing import Any

from kplug.spec.yaml12 import dump

Place = tuple[Any, ...]

# what may stand in the place of a value, as YAML is written
TOKENS = [
    *("2147483647", "2147483648", "9223372036854775808", "1e308", "1e-320", "-0.0", ".nan", ".inf", "-.inf", "-1", "0"),
    *("1" + "0" * 200, "1" + "0" * 2000, "0.1e999", "0x1F", "0o777", "010", "1_000", "12:30:00", "2020-01-01", "1,5"),
    *("true", "null", "~", "yes", "''", "'x'", '"a\\nb"', "[]", "{}", "[true]", "{a: 1}", "[[]]", "[{}]", "[null]"),
    *("{type: }", "{type: resnet}", "{type: resnet, type: vgg}", "{type: [resnet]}", "{type: null}", "flatten"),
    *('"\\U00110000"', '"\\UFFFFFFFF"', '"\\x00"', '"\\ud800"', '"\\uD83D\\uDE00"', '"\\x1b[31m"', '"\\e]0;x\\a"'),
    "'\u202e'",
    *("!!python/object/apply:os.system ['true']", "!!int '3'", "!own x", "!!binary aGk=", "!!set {a}", "! x"),
    *("&a [*a]", "*undefined", "&a {b: *a}", "<<", "{<<: {a: 1}}", "{1: 2}", "{[a]: b}", "{true: x}", "{? a}"),
    *("\t", "@x", "`x", "%x", "- a", "a: b", "{", "]", "'", '"', "|\n  text", ">\n  text", "---", "...", "# x"),
    *("\ufeff", "\x00", "\x07", "\x7f", "\x85", "\u2028", "größe", "文字", "\U0001f600", "../x", "/dev/zero"),
    "'" + "a" * 70_000 + "'",
    "[" * 70 + "]" * 70,
    "{a: " * 70 + "}" * 70,
    "[" + "1, " * 3_000 + "]",
    "[" + "random_flip, " * 500 + "]",
    "{" + ", ".join(f"key{number}: {number}" for number in range(3_000)) + "}",
    "[&a [x, x, x, x, x, x, x, x], &b [*a, *a, *a, *a, *a, *a], &c [*b, *b, *b, *b, *b, *b], [*c, *c, *c, *c, *c, *c]]",
]
SETTINGS = [  # what may be typed after --set
    *("", "=", "a", "a=", "=a", "fit.epochs", "fit.epochs=", "fit..epochs=3", ".=3", "fit.epochs=3=4", "fit.epochs=["),
    *("0=1", "fit.stages.0.epochs=3", "fit.stages.-1=3", "fit.stages=[{epochs: 1}]", "data.augment.0=random_flip"),
    *("task.model=resnet", "task.model.depth=18", "task.model.type=vgg", "name.x=1", "data.features.image.size=[8, 8]"),
    *("data.features=3", "data.features.nothing={}", "search.space={}", "search=null", "\x00=1", "fit.epochs=\x00"),
    *("fit.9999999999999999999=1", "task.optimizer.learning_rate.peak=.nan", "kplug=1", "fit.stages.٣=1", "data=3"),
    *("task=null", "seed=*a", "ä=ö", "fit.stages.²=1"),
]


LARGEST = 50_000  # places of a tree, whose text is above what a spec may have


def mutated_text(text: str, rng: random.Random) -> bytes:
    """The text of a spec after one to three changes of its bytes, characters, lines or tokens."""
    content = text.encode()
    for _ in range(rng.randint(1, 3)):
        content = rng.choice(TEXTS)(content, rng)
    return content


def mutated_tree(data: Any, rng: random.Random) -> bytes:
    """The text of a tree after one to three changes."""
    tree, raw = data, {}
    for _ in range(rng.randint(1, 3)):
        changed = copy.deepcopy(tree)
        rng.choice(TREES)(changed, rng, raw)
        if _can_be_written(changed):
            tree = changed
    text = dump(tree)
    for mark, token in raw.items():
        text = text.replace(mark, token)
    return text.encode("utf-8", "surrogatepass")


def _can_be_written(tree: Any) -> bool:
    """False of a tree that holds itself, and of many stages of many keys, whose text would have 100 MB."""
    try:
        return len(list(itertools.islice(_places(tree), LARGEST))) < LARGEST
    except RecursionError:
        return False


def settings_drawn(rng: random.Random) -> list[str]:
    """What may be typed after --set: mostly nothing."""
    return rng.choices(SETTINGS, k=rng.choice((0, 0, 0, 1, 2)))


# --- of texts --------------------------------------------------------------------------------------------------------


def _flip(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 3, 20))):
        if changed:
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _cut(content: bytes, rng: random.Random) -> bytes:
    one, two = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    return rng.choice((content[:one], content[one:], content[:one] + content[two:]))


def _repeat(content: bytes, rng: random.Random) -> bytes:
    one, two = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    times = rng.choice((2, 3, 50)) if two - one < 2_000 else 2
    return content[:one] + content[one:two] * times + content[two:]


def _insert(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content) + 1)
    return content[:at] + rng.choice(TOKENS).encode("utf-8", "surrogatepass") + content[at:]


def _in_place(content: bytes, rng: random.Random) -> bytes:
    """Put a token where a value stands."""
    places = [match.span(1) for match in re.finditer(rb"[:,\[-] +([^\s,\[\]{}#]+)", content)]
    if not places:
        return content
    start, end = rng.choice(places)
    return content[:start] + rng.choice(TOKENS).encode("utf-8", "surrogatepass") + content[end:]


def _lines(content: bytes, rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    one, two = rng.randrange(len(lines)), rng.randrange(len(lines))
    change = rng.randrange(4)
    if change == 0:
        lines[one], lines[two] = lines[two], lines[one]
    elif change == 1:
        lines.insert(one, lines[two])
    elif change == 2:
        lines[one] = b" " * rng.randrange(9) + lines[one].lstrip()
    else:
        del lines[one]
    return b"\n".join(lines)


def _encoded(content: bytes, rng: random.Random) -> bytes:
    text = content.decode("utf-8", "replace")
    return rng.choice(
        (b"\xef\xbb\xbf" + content, text.encode("utf-16"), text.encode("utf-32"), text.replace("\n", "\r\n").encode(),
         text.replace("  ", "\t").encode(), content * 2, content + b"\n...\n" + content)
    )  # fmt: skip


TEXTS = [_flip, _cut, _repeat, _insert, _in_place, _in_place, _in_place, _lines, _lines, _encoded]

# --- of trees --------------------------------------------------------------------------------------------------------


def _places(tree: Any, above: Place = ()) -> Iterator[Place]:
    """Yield the path of everything in a tree but the tree itself."""
    if isinstance(tree, dict | list):
        for step, value in list(tree.items()) if isinstance(tree, dict) else list(enumerate(tree)):
            yield (*above, step)
            yield from _places(value, (*above, step))


def _holder(tree: Any, place: Place) -> Any:
    for step in place[:-1]:
        tree = tree[step]
    return tree


def _some_place(tree: Any, rng: random.Random) -> Place:
    return rng.choice(list(_places(tree)) or [("name",)])


def _drop(tree: Any, rng: random.Random, raw: dict[str, str]) -> None:
    place = _some_place(tree, rng)
    holder = _holder(tree, place)
    holder.pop(place[-1], None) if isinstance(holder, dict) else holder.pop(place[-1])


def _rename(tree: Any, rng: random.Random, raw: dict[str, str]) -> None:
    place = _some_place(tree, rng)
    holder = _holder(tree, place)
    if isinstance(holder, dict) and place[-1] in holder:
        name = str(place[-1])
        new = (name[:-1], name + "x", name.upper(), "", "a.b", "0", "type", "x" * 300, "\x00", "null", name + "\n")
        holder[rng.choice(new)] = holder.pop(place[-1])


def _swap(tree: Any, rng: random.Random, raw: dict[str, str]) -> None:
    one, two = _some_place(tree, rng), _some_place(tree, rng)
    if one[: len(two)] != two[: len(one)] and (first := _holder(tree, one)) is not None:
        second = _holder(tree, two)
        if one[-1] in (first if isinstance(first, dict) else range(len(first))):
            first[one[-1]], second[two[-1]] = copy.deepcopy(second[two[-1]]), first[one[-1]]


def _replace(tree: Any, rng: random.Random, raw: dict[str, str]) -> None:
    place = _some_place(tree, rng)
    _holder(tree, place)[place[-1]] = _raw(rng.choice(TOKENS), raw)


def _raw(token: str, raw: dict[str, str]) -> str:
    """A text that `dump` writes as it is, and in whose place the token comes."""
    mark = f"RAW{len(raw)}RAW"
    raw[mark] = token
    return mark


def _many_keys(tree: Any, rng: random.Random, raw: dict[str, str]) -> None:
    place = _some_place(tree, rng)
    holder = _holder(tree, place)
    if isinstance(holder, dict):
        holder |= {f"{place[-1]}{number}": number for number in range(rng.choice((20, 500, 4_000)))}


def _many_items(tree: Any, rng: random.Random, raw: dict[str, str]) -> None:
    lists = [place for place in _places(tree) if isinstance(_holder(tree, place), list)]
    if lists:
        place = rng.choice(lists)
        holder = _holder(tree, place)
        holder += [copy.deepcopy(holder[place[-1]]) for _ in range(rng.choice((2, 100, 1_500)))]


def _stages(tree: Any, rng: random.Random, raw: dict[str, str]) -> None:
    """Write many stages, each of which sets something that is there, or nearly."""
    paths = [".".join(map(str, place)) for place in _places(tree)]
    fit = tree.setdefault("fit", {})
    if isinstance(fit, dict):
        values = (1, 0.5, "flatten", "resnet", None, ["*"], {"type": "adamw"}, -1, True)
        paths += ["task.optimizer", "fit.trainable", "data.augment"]
        drawn = [
            {"epochs": rng.choice((1, 1, 1, 0, "x")), "set": {rng.choice(paths): rng.choice(values)}} for _ in range(3)
        ]
        fit["stages"] = rng.choices(drawn, (20, 2, 1), k=rng.choice((1, 3, 100, 600, 1_200)))


def _search(tree: Any, rng: random.Random, raw: dict[str, str]) -> None:
    """Write a search over paths that are there, or nearly."""
    paths = [".".join(map(str, place)) for place in _places(tree)]
    ranges = [
        *({"choice": [1, 2, 3]}, {"choice": list(range(400))}, {"choice": ["flatten", "resnet"]}, {"choice": []}),
        *({"choice": {"a": {"type": "resnet"}, "b": "flatten"}}, {"int": [1, 4]}, {"int": [0, 10**9]}),
        {"int": [0, 2**62]},
        *({"float": [0, 1]}, {"float": [0, 1, 1e-12]}, {"float": [-1e308, 1e308]}, {"log": [1e-5, 1]}, {"log": [0, 1]}),
        *({"log": [1e-300, 1e300]}, {"int": [4, 1]}, "bool", "choice", 3, None, {"int": [1, 4], "float": [0, 1]}),
        {"float": [0, 1, 0.1]},
    ]
    tree["search"] = {"space": {rng.choice(paths): rng.choice(ranges) for _ in range(rng.choice((1, 2, 5, 60)))}}
    if rng.random() < 0.5:
        one = {path: rng.choice((1, 2, "a", None, 0.5)) for path in rng.sample(list(tree["search"]["space"]), 1)}
        tree["search"]["first"] = [one] * rng.choice((1, 3, 300))
    if rng.random() < 0.5:
        oracles = ("grid", "hyperband", {"type": "random", "trials": 10**12}, {"type": "bayesian"})
        tree["search"]["oracle"] = rng.choice(oracles)


TREES = [_drop, _rename, _swap, _replace, _replace, _replace, _replace, _many_keys, _many_items, _stages, _search]
