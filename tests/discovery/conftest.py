"""Distributions as pip leaves them, in a folder of their own, and processes that see them."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GOOD = """
from kplug import Loss, NonNegative, hookimpl

@hookimpl
def components():
    return [faded]

def faded(gamma: NonNegative = 2.0) -> Loss:
    '''Down-weight the examples that are already easy.

    Args:
        gamma: how strongly they fade.
    '''
    import keras
    return keras.losses.CategoricalFocalCrossentropy(gamma=gamma, from_logits=True)
"""
SPEC = """
name: needs
task: {{type: classification, model: flatten, loss: {loss}}}
data: {{source: digits}}
"""


class Site:
    """A folder of installed distributions, and processes that see it."""

    own = ",".join(path.name for path in (ROOT / "plugins").iterdir())  # the repository's, which are left out

    def __init__(self, folder):
        self.folder = folder

    def install(self, distribution, code, module=None, version="1.0", entries=None):
        """A distribution with one module; its entry points are `entries`, or one named after the module."""
        module = module or distribution.replace("-", "_")
        (self.folder / f"{module}.py").write_text(textwrap.dedent(code))
        info = self.folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        lines = entries or [f"{module} = {module}"]
        (info / "entry_points.txt").write_text("\n".join(["[kplug]", *lines]) + "\n")

    def kplug(self, *arguments, **environment):
        outer = {key: value for key, value in os.environ.items() if not key.startswith("KPLUG_")}
        given = {"PYTHONPATH": str(self.folder), "KPLUG_DISABLE_PLUGINS": self.own, **environment}
        command = [sys.executable, "-m", "kplug.cli", *arguments]
        return subprocess.run(command, env=outer | given, cwd=ROOT, capture_output=True, text=True)

    def plugins(self, **environment):
        """Entry point's name to problem, and stderr."""
        done = self.kplug("plugins", "--json", **environment)
        assert done.returncode == 0, done.stderr
        strangers = [p for p in json.loads(done.stdout) if p["distribution"] != "kplug"]
        return {p["name"]: p["problem"] for p in strangers}, done.stderr

    def check(self, loss, **environment):
        path = self.folder / "spec.yaml"
        path.write_text(SPEC.format(loss=loss))
        return self.kplug("check", str(path), **environment)


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


@pytest.fixture
def good():
    """A plugin with the loss `faded`."""
    return GOOD
