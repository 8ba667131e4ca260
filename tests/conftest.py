"""What all tests share: small specs, and where real data would lie."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"


@pytest.fixture
def real_data():
    """The folder of real data beside the repository; the test is skipped where it is absent."""
    if not DATA.is_dir():
        pytest.skip("no folder with real data beside the repository")
    return DATA
