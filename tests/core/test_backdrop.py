"""What lies behind the head: locked to the bit, transparent, and the masks that say where the head is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from eadnet_core.cli import main
from eadnet_core.config import PersonConfig
from eadnet_core.errors import BadInput
from eadnet_core.families.family import Model
from eadnet_core.generation.output import write_video as write_clip
from eadnet_core.generation.pipeline import Generation, prepare
from eadnet_core.media.face.backdrop import Mattes
from eadnet_core.media.face.find import locate
from eadnet_core.media.face.masks import MASKS, masks_of
from eadnet_core.media.face.person import person_alpha
from eadnet_core.media.video import backends
from eadnet_core.media.video.files import VideoReader, VideoWriter, check_writable, read_video, write_video
from eadnet_core.nets.person import Person
from eadnet_core.request import GenerateOptions
from eadnet_core.weights.folders import ASSETS

N_FRAMES = 12


@pytest.fixture(scope="module")
def sample() -> np.ndarray:
    """The sample portrait within a wall of stripes, uint8 [192, 256, 3]."""
    picture = Image.open(ASSETS / "sample" / "portrait.png").convert("RGB").resize((150, 150))
    stripes = np.indices((192, 256)).sum(0) // 6 % 2 * 40 + 150
    wall = Image.fromarray(np.repeat(stripes[..., None], 3, 2).astype(np.uint8))
    wall.paste(picture, (53, 42))
    return np.array(wall)


@pytest.fixture(scope="module")
def video(sample: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> VideoReader:
    """The same going from side to side."""
    path = tmp_path_factory.mktemp("video") / "in.mp4"
    shifts = (8 * np.sin(np.arange(N_FRAMES) / 3)).round().astype(int)
    write_video(path, np.stack([np.roll(sample, shift, 1) for shift in shifts]))
    return read_video(path, 25)


def prepared(model: Model, source: Any, background: str, **more: Any) -> Generation:
    samples = np.random.default_rng(0).normal(0, 0.1, N_FRAMES * 640).astype(np.float32)
    options = GenerateOptions(steps=1, segment_frames=5, background=background, mask="full")
    return prepare(source, samples, "glad", options, model=model, sample_rate=16_000, **more)


def made(generation: Generation) -> np.ndarray:
    return np.concatenate([segment.frames for segment in generation])


@pytest.mark.parametrize("kind", ["portrait", "video"])
def test_a_locked_background_is_the_picture_to_the_bit(
    tiny_model: Model, sample: np.ndarray, video: VideoReader, kind: str
) -> None:
    source = sample if kind == "portrait" else video
    originals = np.stack(list(video)) if kind == "video" else np.repeat(sample[None], N_FRAMES, 0)
    generation = prepared(tiny_model, source, "locked")
    locked, moving = made(generation), made(prepared(tiny_model, source, "moving"))
    mattes = Mattes(generation.subject, generation.performance.motion)
    for i, original in enumerate(originals):
        reach = mattes.reach(i, original)
        assert 0.1 < (reach == 0).mean() < 0.9
        assert np.array_equal(locked[i][reach == 0], original[reach == 0])
        assert np.array_equal(locked[i][reach == 255], moving[i][reach == 255])
    outside = np.stack([mattes.reach(i, original) == 0 for i, original in enumerate(originals)])
    assert not np.array_equal(moving[outside], originals[outside])


def test_a_base_locks_the_portrait_too(tiny_base: Model, sample: np.ndarray) -> None:
    generation = prepared(tiny_base, sample, "locked")
    mattes = Mattes(generation.subject, generation.performance.motion)
    for i, frame in enumerate(made(generation)):
        outside = mattes.reach(i, sample) == 0
        assert outside.any() and np.array_equal(frame[outside], sample[outside])


def test_a_transparent_background_keeps_the_colours(tiny_model: Model, sample: np.ndarray) -> None:
    frames, moving = made(prepared(tiny_model, sample, "transparent")), made(prepared(tiny_model, sample, "moving"))
    assert frames.shape == (N_FRAMES, 192, 256, 4)
    assert np.array_equal(frames[..., :3], moving)
    face = locate(sample)
    x, y = (round(v) for v in face.center)
    assert (frames[:, y, x, 3] == 255).all() and (frames[:, :20, :20, 3] == 0).all()


def test_scores_see_the_colours_of_transparent_frames(tiny_base: Model, sample: np.ndarray) -> None:
    assert next(iter(prepared(tiny_base, sample, "transparent"))).face_frames.shape[-1] == 3


def test_masks_lie_within_one_another(sample: np.ndarray) -> None:
    face = locate(sample)
    masks = masks_of(sample, face)
    assert list(masks) == list(MASKS) and all(m.shape == (192, 256) and m.dtype == np.uint8 for m in masks.values())
    head, person, oval, mouth = (masks[kind] > 127 for kind in MASKS)
    assert mouth.sum() > 50 and (mouth & ~oval).sum() == 0
    assert (oval & ~person).mean() < 0.01 and oval.sum() < head.sum() < person.sum()
    chin = np.flatnonzero(oval.any(1)).max()
    assert not head[chin + 3 :].any() and person[chin + 3 :].any(), "the neck belongs to the person alone"


def test_a_person_is_told_from_the_wall(sample: np.ndarray) -> None:
    """The truth is where the sample portrait was drawn: its own wall is one colour."""
    picture = np.array(Image.open(ASSETS / "sample" / "portrait.png").convert("RGB"))
    alpha = person_alpha(picture, locate(picture)) > 127
    wall = np.abs(picture.astype(int) - np.median(picture[:60, :20].reshape(-1, 3), 0)).max(2) < 12
    assert (alpha & wall).sum() < 0.03 * wall.sum()
    assert alpha[100:400, 150:350].all()


def test_the_net_takes_its_size() -> None:
    import torch

    shares = Person(PersonConfig()).eval()(torch.rand(2, 3, 256, 256)).detach()
    assert shares.shape == (2, 256, 256) and float(shares.min()) >= 0 and float(shares.max()) <= 1


@pytest.mark.parametrize("backend", ["pyav", "imageio"])
def test_a_mov_keeps_the_alpha(tmp_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if backend == "imageio":
        monkeypatch.setattr(backends, "has_pyav", lambda: False)
    frames = np.zeros((3, 48, 64, 4), np.uint8)
    frames[..., 0], frames[:, 8:40, 16:48, 3], frames[:, 24:, 16:48, 3] = 200, 255, 120
    with VideoWriter(tmp_path / "a.mov", (64, 48), has_alpha=True) as writer:
        writer.write(frames)
    back = alphas(tmp_path / "a.mov")
    assert back.shape == (3, 48, 64)
    assert np.abs(back.astype(int) - frames[..., 3]).mean() < 1.0


def alphas(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgba")[..., 3] for frame in container.decode(video=0)])


def test_other_formats_are_refused_before_any_work(tiny_model: Model, sample: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"H\.264, which has no alpha\. Give a name that ends in \.mov"):
        prepared(tiny_model, sample, "transparent", output=tmp_path / "out.mp4")
    assert check_writable(tmp_path / "out.mov", has_alpha=True).suffix == ".mov"


def test_a_transparent_clip_is_written_in_segments_and_resumed(
    tiny_model: Model, sample: np.ndarray, tmp_path: Path
) -> None:
    whole, stopped = tmp_path / "whole.mov", tmp_path / "stopped.mov"
    write_clip(prepared(tiny_model, sample, "transparent", output=whole), whole)
    generation, calls = prepared(tiny_model, sample, "transparent", output=stopped), []

    def cancel() -> bool:
        calls.append(1)
        return (stopped.with_suffix(".eadnet") / "segment-00000.mov").exists()

    with pytest.raises(Exception, match="topped"):
        write_clip(generation, stopped, cancel=cancel)
    write_clip(prepared(tiny_model, sample, "transparent", output=stopped, resume=True), stopped, resume=True)
    assert len(alphas(whole)) == N_FRAMES and np.array_equal(alphas(whole), alphas(stopped))
    assert alphas(whole).max() == 255 and alphas(whole)[:, :20, :20].max() == 0


def test_the_command_writes_a_mask(video: VideoReader, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "mouth.mp4"
    assert main(["mask", "--video", str(video.path), "--kind", "mouth", "--output", str(output)]) == 0
    assert f"mouth of {N_FRAMES} frames, 0 without a face" in capsys.readouterr().out
    back = np.stack(list(read_video(output)))
    assert back.shape == (N_FRAMES, 192, 256, 3) and (back > 127).all(-1).sum((1, 2)).min() > 20
    assert main(["mask", "--video", str(video.path), "--output", str(output)]) == 2
