"""Real pictures, speech and video, where somebody has them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def media_folder() -> Path:
    """The folder named by EADNET_MEDIA, with portraits/, speech/ and video/ in it; the test is skipped without."""
    folder = os.environ.get("EADNET_MEDIA")
    if not folder:
        pytest.skip("EADNET_MEDIA is not set to a folder with portraits/, speech/ and video/")
    return Path(folder)
