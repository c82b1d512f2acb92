"""A VIDEO at inputs that take pictures: read from its file, followed, pasted into; and what is refused."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from eadnet_core.media.video.files import read_video, write_video

SAMPLE = Path(__file__).parents[2] / "eadnet_core" / "assets" / "sample"
N_FRAMES = 24
FACE = {"index": 0, "box": "", "face_threshold": 0.5, "on_missing": "hold", "fps": 25.0}


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """The sample portrait going from side to side, uint8 [T, 192, 256, 3]."""
    picture = np.array(Image.open(SAMPLE / "portrait.png").convert("RGB").resize((192, 192)))
    wide = np.pad(picture, ((0, 0), (32, 32), (0, 0)), mode="edge")
    return np.stack([np.roll(wide, round(6 * np.sin(i / 4)), 1) for i in range(N_FRAMES)])


@pytest.fixture
def clip(host: Any, frames: np.ndarray) -> Path:
    """The same as a file at 30 frames per second in ComfyUI's input folder."""
    path = host.base / "input" / "clip.mp4"
    write_video(path, frames, 30, overwrite=True)
    return path


def video_of(path: Path) -> Any:
    from comfy_api.latest import InputImpl

    return InputImpl.VideoFromFile(str(path))


def test_a_video_is_dubbed_by_the_full_graph(host: Any, talk: Any, clip: Path) -> None:
    prompt = talk.prompt(face__image=["clip", 0], render__portrait=["clip", 0])
    prompt["clip"] = {"class_type": "LoadVideo", "inputs": {"file": clip.name}}
    del prompt["image"]
    host.run(prompt)
    made = read_video(max((host.base / "output").glob("*.mp4"), key=lambda path: path.stat().st_mtime))
    source = list(read_video(clip, 25))
    assert (made.size, made.fps, made.n_frames) == ((256, 192), 25.0, 20)
    difference = np.stack([np.abs(a.astype(int) - b) for a, b in zip(made, source, strict=False)])
    assert difference[:, :, :20].mean() < 3, "beside the face there is the video's own frame"
    assert difference[:, 120:170, 100:156].mean() > 3, "the mouth is another one"


def test_frames_are_read_as_they_are_needed(host: Any, clip: Path) -> None:
    face, crop, annotated = host.call("EADNet_Face", image=video_of(clip), **FACE)
    assert type(face.pictures).__name__ == "VideoReader" and face.fps == 25.0
    assert len(face.crops) == 20 and not face.missed
    assert crop.shape == (1, 256, 256, 3) and annotated.shape == (1, 192, 256, 3)


def test_a_video_in_memory_is_its_pictures(host: Any, frames: np.ndarray) -> None:
    from comfy_api.latest import InputImpl, Types

    images = torch.from_numpy(frames).float() / 255
    parts = Types.VideoComponents(images=images, audio=None, frame_rate=Fraction(30))
    face, *_ = host.call("EADNet_Face", image=InputImpl.VideoFromComponents(parts), **FACE)
    assert face.fps == 30.0 and len(face.crops) == N_FRAMES
    assert np.array_equal(face.picture(0), frames[0])


def test_a_cut_video_is_followed_where_it_is_cut(host: Any, clip: Path) -> None:
    video = video_of(clip)
    if not hasattr(video, "as_trimmed"):
        pytest.skip("this ComfyUI cuts no videos")
    face, *_ = host.call("EADNet_Face", image=video.as_trimmed(0.2, 0.4, strict_duration=False), **FACE)
    assert len(face.crops) == 10 and face.pictures.path != clip


def test_speak_takes_a_video(host: Any, talk: Any, clip: Path) -> None:
    prompt = {key: talk.prompt()[key] for key in ("audio", "short")}
    prompt["clip"] = {"class_type": "LoadVideo", "inputs": {"file": clip.name}}
    speak = {"image": ["clip", 0], "audio": ["short", 0], "text": "", "intensity": 1.0, "head": 1.0, "lips": 1.0}
    prompt["speak"] = {"class_type": "EADNet_Speak", "inputs": {**speak, "model": "tiny", "seed": 0}}
    host.run(prompt)
    made = max((host.base / "temp").glob("*.mp4"), key=lambda path: path.stat().st_mtime)
    assert read_video(made).n_frames == 20


@pytest.mark.parametrize("node_id", ["EADNet_RenderVideo", "EADNet_DecodePaste"])
def test_another_source_than_the_faces_is_refused(
    host: Any, talk: Any, clip: Path, frames: np.ndarray, node_id: str
) -> None:
    other = clip.with_name("other.mp4")
    write_video(other, frames[:5], overwrite=True)
    prompt = talk.prompt(face__image=["clip", 0], render__portrait=["other", 0])
    prompt["clip"] = {"class_type": "LoadVideo", "inputs": {"file": clip.name}}
    prompt["other"] = {"class_type": "LoadVideo", "inputs": {"file": other.name}}
    if node_id == "EADNet_DecodePaste":
        given = {key: prompt["render"]["inputs"][key] for key in ("latents", "face", "portrait")}
        prompt["render"] = {"class_type": node_id, "inputs": given}
        prompt["save"] = {"class_type": "PreviewImage", "inputs": {"images": ["render", 0]}}
    with pytest.raises(Exception, match=r"is not the video 'clip\.mp4' that the face was found in"):
        host.run(prompt)
    prompt["render"]["inputs"]["portrait"] = ["image", 0]
    with pytest.raises(Exception, match=r"is not the video 'clip\.mp4' that the face was found in"):
        host.run(prompt)
    prompt["face"]["inputs"]["image"], prompt["render"]["inputs"]["portrait"] = ["image", 0], ["clip", 0]
    with pytest.raises(Exception, match="is a video, but the face was looked for in pictures"):
        host.run(prompt)
