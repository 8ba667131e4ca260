"""Plugins that are broken, each in its own way: set aside by name, with everything else running."""

import json

RETURNS = "from kplug import Loss, Metric, hookimpl, rule\n@hookimpl\ndef components():\n    return {}\n"
BROKEN = {
    "fails to import": ("import nowhere_to_be_found", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
    "does not parse": ("def components(:", "SyntaxError: "),
    "leaves": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "imports tensorflow": ("import tensorflow as tf", "it imports tensorflow before a component is built"),
    "imports keras below": ("from keras.layers import Dense", "it imports keras before a component is built"),
    "imports keras in the hook": (
        "from kplug import hookimpl\n@hookimpl\ndef components():\n    import keras\n    return []",
        "it imports keras before a component is built",
    ),
    "imports torch in a generator": (
        "from kplug import hookimpl\n@hookimpl\ndef components():\n    import torch\n    yield None",
        "it imports torch before a component is built",
    ),
    "fails in the hook": (
        "from kplug import hookimpl\n@hookimpl\ndef components():\n    raise RuntimeError('two\\nlines')",
        "RuntimeError: two lines",
    ),
    "unknown hook": (
        "from kplug import hookimpl\n@hookimpl\ndef componets():\n    return []",
        "unknown hook 'componets'",
    ),
    "other API": ("kplug_api = 1", "it asks for host API 1; this kplug has 2; see docs/plugin-api.md"),
    "returns one function": (RETURNS.format("len"), "'builtin_function_or_method' object is not iterable"),
    "returns what is built in": (RETURNS.format("[len]"), "len is not a function"),
    "returns a class": (
        RETURNS.format("[Thing]") + "from dataclasses import dataclass\n@dataclass\nclass Thing:\n    size: int = 1\n",
        "Thing is a class; a component is a function that returns what it makes",
    ),
    "parameter called type": (
        RETURNS.format("[f]") + "def f(type: int = 1) -> Loss: ...\n",
        "f: a parameter may not be called 'type'",
    ),
    "no return annotation": (
        RETURNS.format("[f]") + "def f(size: int = 1): ...\n",
        "f: the return annotation must be a kind, such as kplug.Loss",
    ),
    "returns no kind": (
        RETURNS.format("[f]") + "def f(size: int = 1) -> float: ...\n",
        "f: the return annotation must be a kind, such as kplug.Loss",
    ),
    "open arguments": (
        RETURNS.format("[f]") + "def f(*sizes: int) -> Loss: ...\n",
        "f: parameter *sizes: int cannot be",
    ),
    "open keywords": (
        RETURNS.format("[f]") + "def f(**more: int) -> Loss: ...\n",
        "f: parameter **more: int cannot be",
    ),
    "positional parameter": (
        RETURNS.format("[f]") + "def f(size: int, /) -> Loss: ...\n",
        "f: parameter size: int cannot",
    ),
    "no annotation": (RETURNS.format("[f]") + "def f(size=1) -> Loss: ...\n", "f: parameter 'size' has no annotation"),
    "annotation of nothing": (
        "from __future__ import annotations\n" + RETURNS.format("[f]") + "def f(size: Sise = 1) -> Loss: ...\n",
        "f: an annotation cannot be read: name 'Sise' is not defined",
    ),
    "annotation that YAML cannot fill": (
        RETURNS.format("[f]") + "def f(when: bytes = b'') -> Loss: ...\n",
        "f: parameter 'when' is annotated <class 'bytes'>, which a spec cannot fill",
    ),
    "annotation without hash": (
        "from typing import Annotated\nclass Mark:\n    __hash__ = None\n"
        + RETURNS.format("[f]")
        + "def f(size: Annotated[int, Mark()] = 1) -> Loss: ...\n",
        "f: parameter 'size' is annotated ",
    ),
    "pair of nodes": (RETURNS.format("[f]") + "def f(pair: tuple[Loss, Loss]) -> Loss: ...\n", "f: parameter 'pair'"),
    "union of two kinds": (RETURNS.format("[f]") + "def f(part: Loss | Metric) -> Loss: ...\n", "f: parameter 'part'"),
    "rule over nothing": (
        RETURNS.format("[f]") + "@rule(lambda sise: None)\ndef f(size: int = 1) -> Loss: ...\n",
        "f: its rule takes sise, which is no parameter of it",
    ),
    "same name twice": (
        RETURNS.format("[f, f]") + "def f(size: int = 1) -> Loss: ...\n",
        "two components of one distribution are a loss named 'f'",
    ),
}


def test_each_broken_plugin_is_set_aside_by_itself(site, good):
    """All at once, beside a good one, in one process."""
    site.install("kplug-faded", good)
    names = {title: f"broken_{title.replace(' ', '_').lower()}" for title in BROKEN}
    for title, (code, _) in BROKEN.items():
        site.install(names[title].replace("_", "-"), code, module=names[title])
    problems, err = site.plugins()
    lines = err.splitlines()
    assert len(lines) == len(BROKEN), err
    assert problems.pop("kplug_faded") is None
    for title, (_, expected) in BROKEN.items():
        assert expected in problems[names[title]], title
        start = f"kplug: plugin {names[title].replace('_', '-')} 1.0 ({names[title]}) is set aside: "
        assert sum(line.startswith(start) and expected in line for line in lines) == 1, title
    assert site.check("faded").returncode == 0
    assert site.kplug("schema").returncode == 0


def test_half_a_registration_is_rolled_back(site):
    code = """
        from kplug import Loss, hookimpl

        @hookimpl(specname="components")
        def first():
            return [good]

        @hookimpl(specname="components")
        def second():
            return [good_too, bad]

        @hookimpl
        def commands(cli):
            cli.add_command(None, "half")

        def good() -> Loss:
            '''Good.'''

        def good_too() -> Loss:
            '''Good.'''

        def bad(size) -> Loss:
            '''Bad.'''
        """
    site.install("half", code)
    problems, err = site.plugins()
    assert problems == {"half": "bad: parameter 'size' has no annotation"}
    assert len(err.splitlines()) == 1
    names = {c["name"] for c in json.loads(site.kplug("components", "loss", "--json").stdout)}
    assert not names & {"good", "good_too", "bad"}
    assert "half" not in site.kplug("--help").stdout


def test_a_spec_that_needs_it_fails_with_the_traceback(site, good):
    site.install("kplug-faded", "def deep():\n    raise OSError('no licence here')\ndeep()\n" + good)
    done = site.check("faded")
    assert done.returncode == 2
    set_aside, problem, hint, *trace = done.stderr.splitlines()
    assert set_aside.startswith("kplug: plugin kplug-faded 1.0 (kplug_faded) is set aside: OSError: no licence here")
    assert problem.startswith(f"{site.folder}/spec.yaml:3:52: task.loss: no loss named 'faded'")
    assert hint == "It may belong to plugin kplug-faded 1.0 (kplug_faded), which is set aside:"
    assert trace[0] == "Traceback (most recent call last):"
    assert trace[-1] == "OSError: no licence here"
    assert any("kplug_faded.py" in line and "in deep" in line for line in trace)
    assert "Traceback" not in site.check("{type: dice, colour: 3}").stderr, "another problem says nothing of plugins"
