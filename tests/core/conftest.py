"""Real pictures, speech and video, where somebody has them; pairs of heads; modules of bench/."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from eadnet_core.corpus import head_pairs
from eadnet_core.training.faces import FaceCache

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
def stopping_at() -> Callable[[int, Callable[..., Any]], Callable[..., Any]]:
    """(call, function) -> the function, whose calls after so many raise KeyboardInterrupt as Ctrl-C does."""

    def stopping(call: int, real: Callable[..., Any]) -> Callable[..., Any]:
        left = iter(range(call))

        def run(*args: Any) -> Any:
            if next(left, None) is None:
                raise KeyboardInterrupt
            return real(*args)

        return run

    return stopping


@pytest.fixture
def media_folder() -> Path:
    """The folder named by EADNET_MEDIA, with portraits/, speech/ and video/ in it; the test is skipped without."""
    folder = os.environ.get("EADNET_MEDIA")
    if not folder:
        pytest.skip("EADNET_MEDIA is not set to a folder with portraits/, speech/ and video/")
    return Path(folder)


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> FaceCache:
    """Smooth noise instead of heads, moved by a constant flow: 4 pairs of 3 frames, 128 px."""
    folder, rng = tmp_path_factory.mktemp("faces"), np.random.default_rng(0)
    for name, (shape, kind) in head_pairs._layout(4, 3, 128).items():
        array = np.lib.format.open_memmap(folder / f"{name}.npy", "w+", kind, shape)
        if name == "frames":
            coarse = rng.integers(0, 256, (*shape[:3], 8, 8, 3), dtype=np.uint8)
            array[:] = coarse.repeat(16, 3).repeat(16, 4)
        elif name in ("states", "flow"):
            array[:] = rng.uniform(0, 0.05, shape)
        elif name in ("visible", "done"):
            array[:] = 255 if name == "visible" else 1
        array.flush()
    (folder / "settings.json").write_text(json.dumps({"seed": 7}))
    return FaceCache(folder)
