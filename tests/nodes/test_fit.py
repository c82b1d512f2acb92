"""Fit This Face as a node: a model in, one whose painted mouth is a person's own out."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from eadnet_core.media.video.files import read_video

ASSETS = Path(__file__).parents[2] / "eadnet_core" / "assets"


@pytest.fixture(scope="module")
def model(host: Any) -> Any:
    """The mini that ships: the one of other tests has no teeth to begin with."""
    shutil.copytree(ASSETS / "mini", host.base / "models" / "eadnet" / "shipped")
    return host.call("EADNet_Loader", model="shipped", precision="fp32", attention="auto")[0]


@pytest.fixture(scope="module")
def frames() -> torch.Tensor:
    """A head that ships: its portrait, then every other frame in which it speaks, as IMAGE."""
    pictures = [
        frame for i, frame in enumerate(read_video(ASSETS / "heldout" / "01.mp4").frames()) if i < 72 and i % 2 == 0
    ]
    return torch.from_numpy(np.stack(pictures)).float() / 255


def test_a_fitted_model_goes_on_in_the_graph(host: Any, model: Any, frames: torch.Tensor) -> None:
    (fitted,) = host.call("EADNet_FitFace", model=model, portrait=frames[:1], video=frames, seconds=2.0)
    one, other = (hosted.model.vae.lips_and_lids.teeth.float() for hosted in (model, fitted))
    assert not torch.equal(one, other) and fitted.model.folder == model.model.folder
    assert fitted.patcher is not model.patcher and fitted.options == model.options


def test_a_shut_mouth_is_refused(host: Any, model: Any, frames: torch.Tensor) -> None:
    with pytest.raises(Exception, match=r"Only 0 of 3 frames show an open mouth"):
        host.call("EADNet_FitFace", model=model, portrait=frames[:1], video=frames[:1].repeat(3, 1, 1, 1), seconds=2.0)
