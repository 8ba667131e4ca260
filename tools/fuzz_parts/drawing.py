"""Specs drawn by hypothesis from the annotations of all that is registered, as the checker and the schema read them."""

from __future__ import annotations

import types
import typing
from typing import Annotated, Any, Literal

from annotated_types import Predicate
from hypothesis import strategies as st

from kplug import Name
from kplug.spec.component import form_of
from kplug.spec.forms import OfKind, Section, holds_nodes
from kplug.spec.plugins import host
from kplug.spec.sections import SpecSection

NASTY = ("1e3", "no", "~", "", "0o7", "- a", "a: b", "#a", "a\nb", " a ", "\x85", "größe", "12:30", ".inf")
texts = st.sampled_from(NASTY) | st.text(max_size=20)


def numbers(base, marks):
    """Within the limits of an annotation, and often a number that a person would write."""
    limit = {
        key: getattr(m, key) for m in marks for key in ("ge", "gt", "le", "lt") if getattr(m, key, None) is not None
    }
    low, high = limit.get("ge", limit.get("gt")), limit.get("le", limit.get("lt"))
    if base is int:
        found = st.integers(low, high) | st.integers(low or 0, min(high or 99, (low or 0) + 9))
    else:
        found = st.floats(low, high, allow_nan=False, allow_infinity=False) | st.sampled_from([0.5, 1e-3, 1, -0.5, -1])
    signs = {"ge": float.__ge__, "gt": float.__gt__, "le": float.__le__, "lt": float.__lt__}
    return found.filter(lambda n: all(signs[key](float(n), float(edge)) for key, edge in limit.items()))


def annotated(base, marks, depth):
    """Of a constrained type."""
    least = max((getattr(mark, "min_length", 0) for mark in marks), default=0)
    most = min((getattr(mark, "max_length", None) or 3 for mark in marks), default=3)
    origin, arguments = typing.get_origin(base), typing.get_args(base)
    if origin is dict:
        return st.dictionaries(values(arguments[0], depth), values(arguments[1], depth), min_size=least, max_size=most)
    if origin in (list, tuple):
        return st.lists(values(arguments[0], depth), min_size=least, max_size=most)
    found = texts.map(lambda text: text or "x" * least) if base is str else numbers(base, marks)
    for mark in marks:
        found = found.filter(mark.func) if isinstance(mark, Predicate) else found
    return found


PLAIN = {
    int: st.integers(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    str: texts,
    bool: st.booleans(),
    type(None): st.none(),
}
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]*", fullmatch=True) | st.sampled_from(["1e3", "no", "0o7", "12.5"])


def values(annotation, depth=0):
    """What may stand where an annotation is."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if isinstance(form := form_of(annotation), OfKind):
        return st.deferred(lambda: nodes(form.kind.name, depth))
    if isinstance(form, Section):
        return arguments_of(form.component, depth)
    if annotation == Name or annotation in PLAIN:
        return NAMES if annotation == Name else PLAIN[annotation]
    if origin is Annotated:
        return annotated(arguments[0], arguments[1:], depth)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([values(member, depth) for member in arguments])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is list or (origin is tuple and arguments[-1] is Ellipsis):
        return st.lists(values(arguments[0], depth + 1), max_size=3)
    if origin is tuple:
        return st.tuples(*(values(item, depth) for item in arguments)).map(list)
    assert origin is dict, annotation
    if arguments[1] is Any:  # what a stage sets: paths, which are tested by themselves
        return st.just({})
    return st.dictionaries(values(arguments[0]), values(arguments[1], depth + 1), max_size=2)


def nodes(kind, depth):
    """A component of a kind by name, and some of its arguments."""
    components = dict(host().registry.of_kind(kind))
    if depth > 1:
        simple = {
            name: c for name, c in components.items() if not any(holds_nodes(c.parameters[p].form) for p in c.required)
        }
        components = simple or components

    def node(item):
        name, component = item
        called = arguments_of(component, depth + 1).map(lambda given: {"type": name, **given})
        return called if component.required else st.just(name) | called

    return st.sampled_from(sorted(components.items())).flatmap(node)


RULED = {  # parameters of sections whose rules look at several of them
    "SearchSection": {
        "space": st.just({"fit.precision": {"choice": ["auto", "float32", "mixed_float16", "mixed_bfloat16"]}}),
        "first": st.sampled_from([[], [{}], [{"fit.precision": "mixed_float16"}]]),
        "objective": st.sampled_from([{"minimize": "loss"}, [{"maximize": "a"}, {"minimize": "flops", "target": 2.0}]]),
        "constraints": st.just({"parameters": {"at_most": 1e6}}),
    },
    # fields that sources have or might have
    "DataSection": {
        "features": st.dictionaries(
            st.sampled_from(["image", "label", "age"]), st.deferred(lambda: nodes("feature", depth=1))
        )
    },
    "ShareSection": {"by": st.none()},  # a name would have to be a field of the source
    "FoldSection": {"fold": st.integers(0, 1), "of": st.integers(2, 9), "by": st.none()},
}


def arguments_of(component, depth):
    drawn = {p.name: values(p.form.annotation, depth) for p in component.parameters.values()}
    drawn |= RULED.get(component.name, {})
    required = {name: drawn.pop(name) for name in {*component.required, *RULED.get(component.name, {})}}
    return st.fixed_dictionaries(required, optional=drawn if depth < 3 else {})


specs = st.deferred(lambda: values(SpecSection))


def ruled(data, problem):
    """True where what is wrong is the rule of a component, which says so at the component or inside it."""
    if "the source has no field" in problem.message:
        return True
    beside = ("in a picture", "mixes", "a second time")
    if problem.path[:2] == ("data", "augment") and any(said in problem.message for said in beside):
        return True  # it cannot stand beside the features that were drawn
    if problem.path == ("fit", "epochs") and "search" in data:  # its trials are to report something
        return data["fit"]["epochs"] == 0
    names = {c.name for c in host().registry.components if c.rules}
    on_the_way = [data]
    for step in problem.path:
        try:
            on_the_way.append(on_the_way[-1][step])
        except (KeyError, TypeError):  # a default, which fits its form: a rule alone can refuse it
            return True
    called = [part.get("type") if isinstance(part, dict) else part for part in on_the_way]
    return any(isinstance(name, str) and name in names for name in called)
