"""What a base's own SyncNet says: windows of pictures and of sound that begin together, however they come."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from eadnet_core.config import StableSyncNetConfig
from eadnet_core.families.load import load_model
from eadnet_core.generation.output import write_video
from eadnet_core.generation.pipeline import prepare
from eadnet_core.media.pixels import to_unit
from eadnet_core.media.sound.sync_features import syncnet_mel, syncnet_mel_windows
from eadnet_core.metrics.base_sync import SHIFT_FRAMES, BaseSyncMeter
from eadnet_core.nets.latentsync.stable_syncnet import StableSyncNet
from eadnet_core.request import GenerateOptions
from eadnet_core.weights.files import save_part

SMALL = StableSyncNetConfig(visual_widths=(32,) * 8, mel_widths=(32,) * 7, norm_groups=8)
N_FRAMES = 40
SOUND = np.random.default_rng(0).normal(0, 0.1, N_FRAMES * 640).astype(np.float32)


@pytest.fixture(scope="module")
def syncnet() -> StableSyncNet:
    torch.manual_seed(0)
    return StableSyncNet(SMALL).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def squares() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (N_FRAMES, 256, 256, 3), np.uint8)


def test_windows_meet_their_own_sound(syncnet: StableSyncNet, squares: np.ndarray) -> None:
    meter = BaseSyncMeter(syncnet)
    for part in np.split(squares, [3, 20, 21]):
        meter.add(part)
    found = meter.finish(SOUND)
    assert found is not None and found.n_windows == 4
    mel = syncnet_mel(SOUND)
    with torch.inference_mode():
        windows = torch.stack([to_unit(squares[start : start + 16]) for start in (0, 8, 16, 24)])
        own = syncnet.similarity(windows, syncnet_mel_windows(mel, [0, 8, 16, 24]))
        moved = [SHIFT_FRAMES, 8 + SHIFT_FRAMES, 16 - SHIFT_FRAMES, 24 - SHIFT_FRAMES]
        shifted = syncnet.similarity(windows, syncnet_mel_windows(mel, moved))
    assert found.cosine == pytest.approx(float(own.mean()), abs=1e-5)
    assert found.cosine_shifted == pytest.approx(float(shifted.mean()), abs=1e-5)


def test_a_clip_without_a_whole_window_has_no_figure(syncnet: StableSyncNet, squares: np.ndarray) -> None:
    meter = BaseSyncMeter(syncnet)
    meter.add(squares[:15])
    assert meter.finish(SOUND[: 15 * 640]) is None
    meter.add(squares[15:16])
    found = meter.finish(SOUND[: 20 * 640])
    assert found is not None and found.n_windows == 1 and np.isnan(found.cosine_shifted)


def test_the_report_of_a_base_says_it(
    tiny_base_folder: Path, tiny_folder: Path, syncnet: StableSyncNet, portrait: np.ndarray, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_base_folder, tmp_path / "base")
    shutil.copytree(tiny_folder, folder / "mini")
    save_part(folder / "syncnet.safetensors", "stable_syncnet", syncnet, SMALL, {})
    options = GenerateOptions(steps=1, face_box=(30, 20, 100, 100), segment_frames=10, has_speech_gate=False)
    picture = np.pad(portrait, ((12, 30), (40, 33), (0, 0)), mode="reflect")
    model: Any = load_model(str(folder), "cpu")

    def scored(name: str, given: Any, words: str, **more: Any) -> Any:
        made = prepare(picture, SOUND, words, options, model=given, sample_rate=16_000)
        return write_video(made, tmp_path / name, report=tmp_path / "report.png", **more)

    whole = scored("a.mp4", model, "happy", keep_segments=True)
    assert whole.base_sync.n_windows == 4 and whole.to_json()["base_sync"]["cosine"] == whole.base_sync.cosine
    again = scored("a.mp4", model, "happy", resume=True)
    assert again.base_sync == whole.base_sync, "segments that are there are looked at again"
    assert scored("b.mp4", replace(model, syncnet=None), "").base_sync is None
