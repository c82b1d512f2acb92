"""Real pictures, speech and video, where somebody has them; the comparison with LatentSync as a module."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="session")
def parity() -> ModuleType:
    """bench/parity/__main__.py: its small sizes, seeded weights and inputs."""
    spec = importlib.util.spec_from_file_location("parity", ROOT / "bench" / "parity.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def media_folder() -> Path:
    """The folder named by EADNET_MEDIA, with portraits/, speech/ and video/ in it; the test is skipped without."""
    folder = os.environ.get("EADNET_MEDIA")
    if not folder:
        pytest.skip("EADNET_MEDIA is not set to a folder with portraits/, speech/ and video/")
    return Path(folder)
