"""The route of the Face node's panel: the picture, its size and the faces in it."""

from __future__ import annotations

import io
import json
import shutil
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

SAMPLE = Path(__file__).parents[2] / "eadnet_core" / "assets" / "sample"


def ask(server: Any, **values: Any) -> tuple[int, Any, dict[str, Any]]:
    """Status, answer, and what the header says of a picture."""
    time.sleep(0.1)  # stays below the rate that is refused as such
    body = json.dumps({"image": "faces.png", **values}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/eadnet/faces", body, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.read(), json.loads(response.headers["EADNet-Read"])
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read()), {}


@pytest.fixture(scope="module", autouse=True)
def pictures(server: Any) -> None:
    """Two faces side by side, none at all, a video, and a file that is no picture."""
    folder = server.base / "input"
    portrait = np.asarray(Image.open(SAMPLE / "portrait.png").convert("RGB"))
    Image.fromarray(np.concatenate([portrait, portrait[:, ::-1]], 1)).save(folder / "faces.png")
    Image.fromarray(np.full((300, 1500, 3), 120, np.uint8)).save(folder / "wall.png")
    shutil.copy(SAMPLE / "clip.mp4", folder / "faces.mp4")
    (folder / "words.mp4").write_text("no video")


def test_all_faces_come_in_the_pictures_own_pixels(server: Any) -> None:
    status, answer, about = ask(server)
    width, height = about["size"]
    assert status == 200 and (width, height) == Image.open(server.base / "input" / "faces.png").size
    shown = Image.open(io.BytesIO(answer))
    assert max(shown.size) == min(1024, width) and abs(shown.width / shown.height - width / height) < 0.01
    assert len(about["faces"]) == 2
    middles = sorted((x0 + x1) / 2 / width for x0, _, x1, _, _ in about["faces"])
    assert middles[0] < 0.4 and middles[1] > 0.6
    for x0, y0, x1, y1, score in about["faces"]:
        assert 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height and 0.5 <= score <= 1
    assert 0 < about["frame"]["top"] < about["frame"]["bottom"] < 1


def test_a_picture_without_a_face_is_shown(server: Any) -> None:
    status, answer, about = ask(server, image="wall.png")
    assert status == 200 and about["faces"] == [] and Image.open(io.BytesIO(answer)).size == (1024, 205)


def test_of_a_video_the_first_frame_is_shown(server: Any) -> None:
    status, _, about = ask(server, image="faces.mp4", is_video=True)
    assert status == 200 and len(about["faces"]) == 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"image": ""}, 400),
        ({"image": None}, 400),
        ({"image": "../../../etc/passwd"}, 400),
        ({"image": "faces.png", "subfolder": ".."}, 400),
        ({"image": "faces.png", "type": "output"}, 400),
        ({"image": "not_there.png"}, 404),
        ({"image": "faces.mp4"}, 400),
        ({"image": "words.mp4", "is_video": True}, 400),
        ({"face_threshold": 2}, 400),
        ({"face_threshold": "high"}, 400),
    ],
)
def test_the_route_refuses_what_it_must(server: Any, values: dict[str, Any], expected: int) -> None:
    status, answer, _ = ask(server, **values)
    assert status == expected and len(answer["error"]) > 20 and str(server.base) not in answer["error"]
