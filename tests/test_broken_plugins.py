"""Plugins that load and then harm: defaults that no spec could write, and hooks that leave, fail or give nonsense."""

import json
import os
import sys
from typing import Literal

import keras
import pytest

import kplug
from kplug import Loss, Metric, call, hookimpl
from kplug.errors import PluginFailed
from kplug.kinds import Count
from kplug.spec.component import BadComponent
from kplug.spec.defaults import refuse_defaults
from kplug.spec.plugins import Plugin, call_hook, host, using

SPEC = """
name: broken
task: {type: classification, model: {type: layers, layers: [flatten]}}
data: {source: digits, sampler: {type: shuffled, batch_size: 512}}
fit: {epochs: 1, jit: false}
"""


OBJECT = object()


def added(*functions):
    class Mine:
        @staticmethod
        @hookimpl
        def components():
            return functions

    with using([]) as found:
        found.add(Mine, Plugin("mine", "mine", "1"))
        return found.registry


# --- defaults --------------------------------------------------------------------------------------------------------


def text_for_a_number(a: int = "text") -> Loss: ...
def an_object(a: bool = OBJECT) -> Loss: ...
def not_finite(a: float = float("nan")) -> Loss: ...
def beyond(a: Count = 0) -> Loss: ...
def true_for_a_number(a: int = True) -> Loss: ...
def other_choice(a: Literal["x", "y"] = "z") -> Loss: ...
def a_set(a: list[int] = {1}) -> Loss: ...  # noqa: B006
def no_node(a: Loss = 5) -> Loss: ...
def no_nodes(a: list[Loss] = "focal") -> Loss: ...
def an_object_inside(a: Loss = call("focal", gamma=OBJECT)) -> Loss: ...
def itself(a: Loss = "itself") -> Loss: ...
def called_itself(a: Loss = call("called_itself")) -> Loss: ...
def listed_itself(a: list[Loss] = ("focal", "listed_itself")) -> Loss: ...
def ping(a: Loss = "pong") -> Loss: ...
def pong(b: dict[str, Loss] = {"x": "ping"}) -> Loss: ...  # noqa: B006


REFUSED = {
    text_for_a_number: "text_for_a_number: the default of 'a' does not fit its annotation: 'text' is not a whole",
    an_object: "an_object: the default of 'a' is no value that YAML can hold; received an object, not true or false",
    not_finite: "not_finite: the default of 'a' is no value that YAML can hold",
    beyond: "beyond: the default of 'a' does not fit its annotation: 0 is less than 1",
    true_for_a_number: "true_for_a_number: the default of 'a' does not fit its annotation: true is not a whole number",
    other_choice: "other_choice: the default of 'a' does not fit its annotation: 'z' is not one of x, y",
    a_set: "a_set: the default of 'a' is no value that YAML can hold; received a set, not a list",
    no_node: "no_node: the default of 'a' does not fit its annotation: 5 is not a loss",
    no_nodes: "no_nodes: the default of 'a' does not fit its annotation: \"focal\" is not a list, each item a loss",
    an_object_inside: "an_object_inside: the default of 'a' is no value that YAML can hold",
    itself: "itself: a default node leads to itself: 'a' -> 'a'",
    called_itself: "called_itself: a default node leads to itself: 'a' -> 'a'",
    listed_itself: "listed_itself: a default node leads to itself: 'a' -> 'a'",
}


@pytest.mark.parametrize("function", REFUSED, ids=lambda function: function.__name__)
def test_a_default_that_no_spec_could_write_is_refused_with_its_component(function):
    with pytest.raises(BadComponent) as caught:
        added(function)
    assert str(caught.value).startswith(REFUSED[function])


def test_a_circle_over_two_components():
    with pytest.raises(BadComponent, match="ping: a default node leads to itself: 'a' -> 'b' -> 'a'"):
        added(ping, pong)


def test_nothing_of_a_refused_plugin_stays():
    with using([]) as found:
        before = list(found.registry.components)

        class Mine:
            @staticmethod
            @hookimpl
            def components():
                return [fine, itself]

        with pytest.raises(BadComponent):
            found.add(Mine, Plugin("mine", "mine", "1"))
        assert found.registry.components == before and not found.registry.has("loss", "fine")


def fine(
    a: int = 1,
    b: float = 1,
    c: Loss | None = None,
    d: list[Loss | float] = ("focal", 2.0),
    e: Metric = call("accuracy"),
    f: Loss = call("fine", f="focal"),  # its own, which ends
    g: tuple[int, int] = (1, 2),
    h: Literal[1, "x"] = "x",
) -> Loss: ...


def test_defaults_that_fit_are_taken():
    assert added(fine).has("loss", "fine")


def test_the_defaults_of_all_that_is_installed_fit():
    refuse_defaults(host().registry.components, host().registry)


# --- hooks -----------------------------------------------------------------------------------------------------------


def hook(name, deed):
    """A plugin that implements one hook."""
    namespace = {"deed": deed}
    takes = {"callbacks": "run", "evaluated": "run, split", "exported": "run, path", "searched": "search"}[name]
    exec(f"def {name}({takes}):\n    return deed()", namespace)
    return type("Hostile", (), {name: staticmethod(hookimpl(namespace[name])), "distribution": "hostile"})


def leave(code=0):
    return lambda: sys.exit(code)


def fail():
    raise RuntimeError("mine")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with using([]):
        return kplug.train(kplug.loads(SPEC), tmp_path_factory.mktemp("runs") / "run")


@pytest.mark.parametrize("name", ["callbacks", "evaluated", "exported", "searched"])
@pytest.mark.parametrize("code", [0, 3, None, "words"])
def test_a_plugin_that_leaves_in_a_hook_is_named(name, code):
    arguments = {
        "callbacks": ["run"],
        "evaluated": ["run", "split", "name", "predictions", "columns"],
        "exported": ["run", "path"],
        "searched": ["search"],
    }
    said = f"the hook '{name}' of plugin hostile 0 \\(Hostile\\) called sys.exit\\({code!r}\\)"
    with using([hook(name, leave(code))]), pytest.raises(PluginFailed, match=said):
        call_hook(name, **dict.fromkeys(arguments[name]))


def test_all_plugins_are_called_before_an_error_is_raised():
    called = []
    with using([]) as found:
        for number, deed in enumerate((lambda: called.append("first"), fail, lambda: called.append("last"))):
            found.add(hook("exported", deed), Plugin(f"more{number}", "more", "1"))
        with pytest.raises(RuntimeError, match="mine") as caught:
            call_hook("exported", run=None, path=None)
    assert called == ["last", "first"] and caught.value.__notes__ == ["in the hook 'exported' of plugin more 1 (more1)"]


def test_a_training_does_not_begin_where_callbacks_leave(tmp_path):
    with using([hook("callbacks", leave())]), pytest.raises(PluginFailed, match=r"'callbacks' of plugin hostile"):
        kplug.train(kplug.loads(SPEC), tmp_path / "run")
    assert not (tmp_path / "run" / "result.json").exists()


@pytest.mark.parametrize("given", [5, "text", [5], {"a": 1}, [keras.callbacks.Callback]])
def test_what_is_no_callback_is_refused_by_name(tmp_path, given):
    said = r"the hook 'callbacks' of plugin hostile 0 \(Hostile\) gave a .*; it gives a list of callbacks of Keras"
    with using([hook("callbacks", lambda: given)]), pytest.raises(PluginFailed, match=said):
        kplug.train(kplug.loads(SPEC), tmp_path / "run")


@pytest.mark.parametrize(
    ("deed", "kind"),
    [(leave(), PluginFailed), (fail, RuntimeError), (lambda: {"x": object()}, PluginFailed), (lambda: 5, PluginFailed)],
)
def test_metrics_are_kept_before_the_error_of_a_plugin_is_told(run, deed, kind, capsys):
    kept = run.path / "evaluation-test.json"
    kept.unlink(missing_ok=True)
    with using([hook("evaluated", deed)]), pytest.raises(kind):
        run.evaluate("test")
    metrics = json.loads(kept.read_text())["metrics"]
    assert 0 <= metrics["accuracy"] <= 1
    assert f"accuracy {metrics['accuracy']:.5g}" in capsys.readouterr().err


def test_no_version_is_exported_where_a_plugin_leaves(run, tmp_path):
    with using([hook("exported", leave())]), pytest.raises(PluginFailed, match="'exported' of plugin hostile"):
        run.export(tmp_path / "export")
    assert not [path for path in tmp_path.rglob("*") if path.name.isdecimal()]


def test_a_plugin_that_wraps_a_hook_is_refused():
    class Wrapping:
        @staticmethod
        @hookimpl(wrapper=True)
        def evaluated(run):
            return (yield)

    with using([]) as found, pytest.raises(Exception, match="it wraps the hook 'evaluated'; each plugin answers"):
        found.add(Wrapping, Plugin("mine", "mine", "1"))
    assert not found.manager.hook.evaluated.get_hookimpls()


# --- rules and components --------------------------------------------------------------------------------------------


def harms(deed):
    """A plugin with a loss of whose rule and function `deed` is done."""

    @kplug.rule(lambda at: deed() if at == "rule" else None)
    def harmful(at: str = "rule") -> Loss:
        """A loss that does harm."""
        deed()
        return keras.losses.CategoricalCrossentropy(from_logits=True)

    class Mine:
        distribution = "mine"

        @staticmethod
        @hookimpl
        def components():
            return [harmful]

    return Mine


@pytest.mark.parametrize(
    ("deed", "said"),
    [
        (leave(), "SystemExit: 0"),
        (leave("bye"), "SystemExit: bye"),
        (fail, "RuntimeError: mine"),
        (lambda: (_ for _ in ()).throw(type("Own", (BaseException,), {})("odd")), "Own: odd"),
    ],
)
def test_a_rule_that_fails_is_a_problem_at_its_node(deed, said):
    text = SPEC.replace("[flatten]}}", "[flatten]}, loss: harmful}")
    with using([harms(deed)]), pytest.raises(kplug.SpecError) as caught:
        kplug.loads(text)
    assert f"task.loss: the rule of loss 'harmful' of mine 0 failed: {said} (" in str(caught.value)


def test_a_rule_prints_no_results_and_goes_nowhere(capfd, tmp_path):
    def deed():
        print("printed")
        os.write(1, b"written\n")
        os.chdir(tmp_path)

    before = os.getcwd()
    with using([harms(deed)]):
        kplug.loads(SPEC.replace("[flatten]}}", "[flatten]}, loss: harmful}"))
    out, err = capfd.readouterr()
    assert out == "" and "printed" in err and "written" in err and os.getcwd() == before


def test_a_component_that_leaves_is_named(tmp_path):
    text = SPEC.replace("[flatten]}}", "[flatten]}, loss: {type: harmful, at: build}}")
    what = r"loss 'harmful' of mine 0 called sys.exit\(0\); it may not"
    with using([harms(leave())]), pytest.raises(PluginFailed, match=what):
        kplug.train(kplug.loads(text), tmp_path / "run")
