"""The plugins of docs/authors, installed and run as they stand on their pages."""

import importlib
import re
import sys
from pathlib import Path

import pytest

import kplug
from kplug.spec.plugins import discover
from kplug.testing import no_tensorflow

PAGES = sorted((Path(__file__).parents[1] / "docs" / "authors").glob("*.md"))
WITH_PLUGIN = [page for page in PAGES if page.stem != "README"]


def files_of(page):
    """The files on a page: each code block that begins with a comment of its name."""
    found = {}
    for block in re.findall(r"```(?:python|yaml)\n(.*?)```", page.read_text(), re.DOTALL):
        if name := re.match(r"# (\w+\.(?:py|yaml))\n", block):
            found[name[1]] = block
    return found


TRAINED = [page for page in WITH_PLUGIN if "spec.yaml" in files_of(page)]
CHECKED = [page for page in WITH_PLUGIN if page.stem != "command"]


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install the plugin of a page for this process, as pip leaves it, and give its folder."""
    before = set(sys.modules)

    def install(page):
        files = files_of(page)
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        module = next(name[:-3] for name in files if name.startswith("kplug_"))
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module.replace('_', '-')}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[kplug]\n{module} = {module}\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        importlib.invalidate_caches()
        monkeypatch.setattr("kplug.spec.plugins._host", discover())
        assert module in [plugin.name for plugin in kplug.spec.plugins.host().loaded]
        return tmp_path, files

    yield install
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def test_there_is_a_page_of_each():
    kinds = {"architecture", "loss", "feature", "source", "sampler", "task", "evaluator", "command"}
    kinds |= {"augmentation", "in_pictures"}
    assert {page.stem for page in WITH_PLUGIN} == kinds
    index = next(page for page in PAGES if page.stem == "README").read_text()
    assert all(f"]({kind}.md)" in index for kind in kinds)


@pytest.mark.parametrize(
    "page", [page for page in WITH_PLUGIN if "spec.yaml" in files_of(page)], ids=lambda page: page.stem
)
def test_its_spec_is_trained(installed, page, monkeypatch):
    folder, _ = installed(page)
    assert no_tensorflow("check", "spec.yaml", cwd=folder, PYTHONPATH=f"{folder}:{':'.join(sys.path)}").returncode == 0
    run = kplug.train(kplug.load(folder / "spec.yaml"), folder / "run")
    assert run.finished and run.evaluate("test")


@pytest.mark.parametrize("page", CHECKED, ids=lambda page: page.stem)
def test_its_tests_pass(installed, page):
    _, files = installed(page)
    module = next(name[:-3] for name in files if name.startswith("test_"))
    tests = importlib.import_module(module)
    for name, test in vars(tests).items():
        if name.startswith("test_"):
            test()


def test_its_command_answers(installed, tmp_path, capsys):
    import click

    folder, _ = installed(next(page for page in WITH_PLUGIN if page.stem == "command"))
    spec = kplug.loads(
        "{name: small, task: {type: classification, model: flatten}, data: {source: digits}, fit: {epochs: 1}}"
    )
    run = kplug.train(spec, folder / "run")
    cli = click.Group()
    kplug.spec.plugins.host().add_commands(cli)
    files = sorted(str(path) for path in (run.path / "samples" / "image").iterdir())[:3]
    cli.main(["rank", str(run.path), "3", *files], standalone_mode=False)
    scores = [float(line.split()[0]) for line in capsys.readouterr().out.splitlines()]
    assert len(scores) == 3 and scores == sorted(scores, reverse=True)
