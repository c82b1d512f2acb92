"""Masks of pictures and videos, and what lies behind the head in frames that nodes give out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image

from eadnet_core.media.face.backdrop import Mattes
from eadnet_core.media.face.subject import find_subject
from eadnet_core.media.video.files import read_video, write_video

SAMPLE = Path(__file__).parents[2] / "eadnet_core" / "assets" / "sample"


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    """Three frames of the sample portrait, 192 x 256 px, as IMAGE."""
    picture = np.array(Image.open(SAMPLE / "portrait.png").convert("RGB").resize((192, 192)))
    wide = np.pad(picture, ((0, 0), (32, 32), (0, 0)), mode="edge")
    return torch.from_numpy(np.stack([np.roll(wide, shift, 1) for shift in (0, 2, 4)])).float() / 255


def test_masks_of_a_batch(host: Any, pictures: torch.Tensor) -> None:
    made = {kind: host.call("EADNet_Mask", images=pictures, kind=kind)[0] for kind in ("person", "head", "mouth")}
    for mask in made.values():
        assert mask.shape == (3, 192, 256) and mask.dtype == torch.float32
        assert float(mask.min()) == 0 and float(mask.max()) == 1
    areas = [float(mask.mean()) for mask in made.values()]
    assert areas[0] > areas[1] > 10 * areas[2] > 0


def test_a_mask_of_a_video_has_the_videos_own_frames(host: Any, pictures: torch.Tensor) -> None:
    from comfy_api.latest import InputImpl

    path = host.base / "input" / "three.mp4"
    write_video(path, (pictures.numpy() * 255).round().astype(np.uint8), 50, overwrite=True)
    (mask,) = host.call("EADNet_Mask", images=InputImpl.VideoFromFile(str(path)), kind="face")
    assert mask.shape == (3, 192, 256) and float(mask.max()) == 1


def test_too_many_masks_are_refused(host: Any, pictures: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host.module("nodes.bridge"), "free_memory_bytes", lambda: 100_000)
    with pytest.raises(Exception, match=r"3 masks of 256 x 192 px need 0\.0 GB .* `eadnet mask`"):
        host.call("EADNet_Mask", images=pictures, kind="face")


def decoded(host: Any, talk: Any, **inputs: Any) -> torch.Tensor:
    """IMAGE that Decode & Paste Back makes of the full graph."""
    prompt = talk.prompt(short__duration=0.2)
    given = {key: prompt["render"]["inputs"][key] for key in ("latents", "face", "portrait")}
    prompt["decode"] = {"class_type": "EADNet_DecodePaste", "inputs": {**given, **inputs}}
    prompt["keep"] = {"class_type": "PreviewImage", "inputs": {"images": ["decode", 0]}}
    for name in ("render", "save"):
        del prompt[name]
    host.run(prompt)
    executed = (data for event, data in host.server.events if event == "executed" and data["node"] == "keep")
    made = [host.base / "temp" / image["filename"] for image in next(executed)["output"]["images"]]
    return torch.from_numpy(np.stack([np.array(Image.open(path)) for path in made]))


def test_decoded_frames_have_the_background_that_was_asked_for(host: Any, talk: Any) -> None:
    portrait = np.array(Image.open(SAMPLE / "portrait.png").convert("RGB"))
    moving, locked, clear = (
        decoded(host, talk, background=kind).numpy() for kind in ("moving", "locked", "transparent")
    )
    assert moving.shape == locked.shape == (5, *portrait.shape) and clear.shape == (5, *portrait.shape[:2], 4)
    assert (locked == portrait).all(-1).mean() > (moving == portrait).all(-1).mean()
    assert clear[:, 256, 256, 3].min() == 255 and clear[:, :10, :10, 3].max() == 0


def test_render_writes_a_transparent_video(host: Any, talk: Any) -> None:
    """Nothing in output/ is replaced, and the file has an alpha, the clip's frames and its sound."""
    paths = []
    for _ in range(2):
        host.executor = host.new_executor()
        prompt = talk.prompt(render__transparent_background=True)
        host.run({key: node for key, node in prompt.items() if node["class_type"] != "SaveVideo"})
        outputs = [data["output"] or {} for event, data in host.server.events if event == "executed"]
        said = next(output["text"][0] for output in reversed(outputs) if ".mov" in str(output.get("text")))
        paths.append(host.base / said.split(":")[0])
    assert paths[0] != paths[1] and all(path.parent == host.base / "output" / "eadnet" for path in paths)
    with av.open(str(paths[0])) as video:
        stream = video.streams.video[0]
        assert stream.codec_context.pix_fmt.startswith("yuva") and len(video.streams.audio) == 1
        alphas = np.stack([frame.to_ndarray(format="rgba")[..., 3] for frame in video.decode(stream)])
    assert len(alphas) >= 5 and alphas[:, 256, 256].min() >= 254 and alphas[:, :10, :10].max() <= 1


def test_render_locks_the_background(host: Any, talk: Any) -> None:
    """Encoding changes both; what moves beside the head changes more."""
    portrait = np.array(Image.open(SAMPLE / "portrait.png").convert("RGB"))
    subject = find_subject(portrait[None])
    beside = Mattes(subject, np.zeros((1, 8), np.float32)).reach(0, portrait) == 0
    errors = []
    for is_locked in (False, True):
        host.run(talk.prompt(render__lock_background=is_locked))
        path = max((host.base / "output").glob("*.mp4"), key=lambda path: path.stat().st_mtime)
        errors.append(
            np.mean([np.abs(frame[beside].astype(int) - portrait[beside]).mean() for frame in read_video(path)])
        )
    assert errors[1] < errors[0]
