"""`check_plugin`: a bad plugin for each promise."""

import sys
import types

import click
import keras
import pytest

from kplug import Loss, hookimpl
from kplug.testing import check_plugin


def even() -> Loss:
    """The mean of squares."""
    return keras.losses.MeanSquaredError()


def undocumented(weight: float = 1.0) -> Loss:
    """The mean of squares."""
    return keras.losses.MeanSquaredError()


@click.command()
@click.option("--loud", is_flag=True, help="Say it aloud.")
def greet(loud):
    """Say hello."""


class Good:
    @staticmethod
    @hookimpl
    def components():
        return [even]

    @staticmethod
    @hookimpl
    def commands(cli):
        cli.add_command(greet)

    @staticmethod
    @hookimpl
    def evaluated(run, predictions):
        return {}


class WithSelf:
    @hookimpl
    def components(self):
        return [even]

    @hookimpl
    def commands(self, cli):
        cli.add_command(greet)


class Misnamed:
    @staticmethod
    @hookimpl
    def component():
        return [even]


class OtherArguments:
    @staticmethod
    @hookimpl
    def exported(run, folder):
        """`folder` is called `path`."""


class Undocumented:
    @staticmethod
    @hookimpl
    def components():
        return [undocumented]


def adding(command):
    class Adding:
        @staticmethod
        @hookimpl
        def commands(cli):
            cli.add_command(command)

    return Adding


def bare():
    pass


@pytest.mark.parametrize("plugin", [Good, WithSelf, WithSelf()])
def test_good_plugins(plugin):
    check_plugin(plugin)


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        (Misnamed, r"there is no hook 'component'; did you mean 'components'\? \(hooks: "),
        (OtherArguments, "the hook 'exported' has the arguments run, path; received 'folder'"),
        (Undocumented, "every parameter of 'undocumented' has a line in `Args:`; missing: weight"),
        (adding(click.Command("train", callback=bare)), "'train' is taken"),
        (adding(click.Command("greet", callback=bare)), "'greet' has no docstring"),
        (adding(click.Command("greet", callback=bare, help="Say hello.", hidden=True)), "'greet' is hidden"),
        (
            adding(click.Command("greet", callback=bare, help="Say.", params=[click.Option(["--loud"])])),
            "'loud' of 'greet' has no help",
        ),
    ],
)
def test_what_a_plugin_promises(plugin, message):
    with pytest.raises(AssertionError, match=message):
        check_plugin(plugin)


def module_of(name, text, tmp_path, monkeypatch):
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, name, raising=False)
    return __import__(name)


def test_a_module_is_light_and_marks_its_hooks(tmp_path, monkeypatch):
    light = "from kplug import hookimpl\n\n@hookimpl\ndef components():\n    return []\n"
    check_plugin(module_of("light_plugin", light, tmp_path, monkeypatch))
    heavy = module_of("heavy_plugin", f"import keras\n{light}", tmp_path, monkeypatch)
    with pytest.raises(AssertionError, match=r"imports nothing heavy before a component is built; .*keras is imported"):
        check_plugin(heavy)
    unmarked = module_of("unmarked_plugin", "def components():\n    return []\n", tmp_path, monkeypatch)
    assert isinstance(unmarked, types.ModuleType)
    with pytest.raises(AssertionError, match="'components' is called as a hook and is not marked"):
        check_plugin(unmarked)
