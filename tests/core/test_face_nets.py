"""MediaPipe's nets: their shapes, what is shipped of them, and where they put a face of which the truth is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from eadnet_core.config import FaceFinderConfig, FaceMeshConfig
from eadnet_core.errors import BadInput, CheckpointError
from eadnet_core.media.face.candidates import look, tiles
from eadnet_core.nets.face_finder import FaceFinder, SameConv
from eadnet_core.nets.face_mesh import FaceMesh
from eadnet_core.weights.files import load_part, read_metadata
from eadnet_core.weights.folders import FACES, find_model

FILES = {"finder_near": "face_finder", "finder_far": "face_finder", "mesh": "face_mesh", "person": "person"}


@pytest.mark.parametrize(("kind", "size_px", "n_boxes"), [("near", 128, 896), ("far", 192, 2304)])
def test_a_finder_answers_for_every_cell(kind: str, size_px: int, n_boxes: int) -> None:
    net = FaceFinder(FaceFinderConfig(kind))
    logits, places = net(torch.zeros(2, 3, size_px, size_px))
    assert net.size_px == size_px and logits.shape == (2, n_boxes) and places.shape == (2, n_boxes, 8, 2)
    with pytest.raises(BadInput, match="range is 'middle'"):
        FaceFinderConfig("middle")


def test_landmarks_have_a_depth_and_a_presence() -> None:
    points, logits = FaceMesh(FaceMeshConfig())(torch.zeros(2, 3, 192, 192))
    assert points.shape == (2, 468, 3) and logits.shape == (2,)


@pytest.mark.parametrize(("size", "stride", "pad"), [(3, 1, (1, 1)), (3, 2, (0, 1)), (5, 2, (1, 2))])
def test_padding_is_that_of_tensorflow(size: int, stride: int, pad: tuple[int, int]) -> None:
    conv, x = SameConv(2, 3, size, stride), torch.randn(1, 2, 16, 16)
    expected = F.conv2d(F.pad(x, pad * 2), conv.weight, conv.bias, stride)
    assert conv(x).shape[-1] == 16 // stride
    assert torch.allclose(conv(x), expected, atol=1e-6)


@pytest.mark.parametrize("name", FILES)
def test_the_shipped_files_name_their_licence(name: str) -> None:
    path = FACES / f"{name}.safetensors"
    net: Any = load_part(path, FILES[name])[0]
    assert "Apache-2.0" in read_metadata(path)["licence"] and "MediaPipe" in read_metadata(path)["licence"]
    assert isinstance(net, nn.Module) and not net.training


def test_all_of_them_are_small_and_no_model() -> None:
    assert sum(path.stat().st_size for path in FACES.iterdir()) < 3_000_000
    with pytest.raises(CheckpointError, match=r"neither shipped \(mini, mini-256\)"):
        find_model("faces")


@pytest.mark.parametrize("size", [(1920, 1080), (3840, 2160), (7680, 4320), (1080, 1920), (4000, 300)])
def test_tiles_cover_a_picture(size: tuple[int, int]) -> None:
    corners, side = tiles(*size)
    assert 1 < len(corners) <= 24
    covered = np.zeros((size[1] // 10, size[0] // 10), bool)
    for x, y in corners:
        covered[max(0, y // 10) : (y + side) // 10, max(0, x // 10) : (x + side) // 10] = True
    assert covered.all()


def test_a_part_beyond_the_picture_is_black() -> None:
    picture = np.full((40, 60, 3), 200, np.uint8)
    assert look(picture, "near", [(-100, -100), (1000, 1000)], 150) == []
