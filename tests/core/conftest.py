"""Real pictures, speech and video, where somebody has them; the comparison with LatentSync as a module."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="session")
def parity() -> ModuleType:
    """bench/parity/reference.py: its small sizes, seeded weights and inputs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "bench"))
        return importlib.import_module("parity.reference")


@pytest.fixture(scope="session")
def tiny_judges() -> ModuleType:
    """tests/tiny_judges.py: a folder of judges at tiny size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tests"))
        return importlib.import_module("tiny_judges")


@pytest.fixture(scope="session")
def judges_folder(tiny_judges: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_judges.write_judges(tmp_path_factory.mktemp("judges"), seed=3)


@pytest.fixture(scope="session")
def fast_variants() -> ModuleType:
    """bench/fast_variants.py: what was measured and not adopted, and the FastDenoiser it is made from."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "bench"))
        return importlib.import_module("fast_variants")


@pytest.fixture
def media_folder() -> Path:
    """The folder named by EADNET_MEDIA, with portraits/, speech/ and video/ in it; the test is skipped without."""
    folder = os.environ.get("EADNET_MEDIA")
    if not folder:
        pytest.skip("EADNET_MEDIA is not set to a folder with portraits/, speech/ and video/")
    return Path(folder)
