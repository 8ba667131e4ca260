"""Every whole spec in the documentation is a good one, and what is made of figures is what they say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import kplug

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "plugins").glob("*/README.md"))]
SPECS = [
    pytest.param(block, id=f"{page.relative_to(ROOT)}-{number}")
    for page in PAGES
    for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL))
    if re.search(r"^name:", block, re.MULTILINE)
]


def test_there_are_some():
    assert len(SPECS) >= 5


@pytest.mark.parametrize("text", SPECS)
def test_a_spec_is_good(text):
    kplug.loads(text)


def test_the_comparison_of_oracles_is_what_its_figures_say():
    tool = ROOT / "tools" / "studies" / "oracles" / "regret"
    done = subprocess.run([sys.executable, str(tool), "check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
