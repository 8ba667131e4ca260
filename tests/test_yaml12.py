"""YAML as kplug reads and writes it: scalars of version 1.2, and text that stays text."""

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kplug.spec.yaml12 import dump, parse

# fmt: off
SCALARS = [
    ("1e-3", 1e-3), ("1E5", 1e5), ("1.", 1.0), (".5", 0.5), ("-0.5", -0.5), ("+1", 1), ("010", 10), ("0o10", 8),
    ("0x1f", 31), ("1_000", "1_000"), ("12:30", "12:30"), ("2024-01-02", "2024-01-02"), ("=", "="),
    ("yes", "yes"), ("no", "no"), ("on", "on"), ("off", "off"), ("y", "y"), ("true", True), ("False", False),
    ("~", None), ("null", None), ("", None), ("'~'", "~"), ('"1"', "1"), (".inf", float("inf")), ("inf", "inf"),
    ("-.INF", float("-inf")), ("nan", "nan"), ("1e", "1e"), ("e3", "e3"), (".", "."), ("-", "-"), ("0x", "0x"),
    ("[1, [2, {a: b}]]", [1, [2, {"a": "b"}]]), ("|\n  two\n  lines", "two\nlines\n"), (">-\n  a\n  b", "a b"),
    ("&a [1]", [1]), ("[&a 1, *a, *a]", [1, 1, 1]), ("{1: 2, true: 3}", {"1": 2, "true": 3}),
]
# fmt: on


@pytest.mark.parametrize(("text", "value"), SCALARS)
def test_scalars(text, value):
    data, _ = parse(f"key: {text}\n", "x") if text != "-" else ({"key": "-"}, None)
    assert data == {"key": value}
    assert type(data["key"]) is type(value)


# fmt: off
NASTY = (
    "1e3", "1e-3", "no", "yes", "on", "~", "null", "", "0o7", "010", "0x1f", "1_000", "12:30", "1.5", ".5", "1.",
    "-1", ".inf", ".nan", "inf", "true", "y", "=", "<<", "- a", "-", "--- a", "...", "? a", ": a", "a: b", "a #b",
    "#a", "!a", "&a", "*a", "@a", "`a", "%a", "[a", "{a", "]", "a,b", "'a'", '"a"', "a\\b", "a\nb", "\n", " a", "a ",
    "\ta", "a\t", "größe", "数字", "\U0001f600", "\ufeff", "\x85", "\u2028", "\x00", "\x7f", "2024-01-02",
)
# fmt: on
LONG = {"long": "a" * 2000, "long words": "a b " * 100, "long lines": "a b\n" * 100}
texts = st.sampled_from(NASTY) | st.text(max_size=20) | st.sampled_from(sorted(LONG)).map(LONG.get)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | texts
plain_data = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)


def same(a, b):
    """Equal, in types too: true is not 1, 1.0 is not 1."""
    return a == b and json.dumps(a) == json.dumps(b)


@given(plain_data)
@settings(max_examples=400, deadline=None)
def test_plain_data_is_written_and_read_back(data):
    assert same(parse(dump({"key": data}), "x")[0], {"key": data})


@given(texts)
@settings(max_examples=300, deadline=None)
def test_text_is_text_to_a_reader_of_yaml_1_1_too(text):
    assert yaml.safe_load(dump({"key": text})) == {"key": text}
