"""LSE-C, LSE-D and offset, on embeddings whose best offset is known."""

from __future__ import annotations

import numpy as np
import pytest

from eadnet_core.config import SyncNetConfig
from eadnet_core.errors import BadInput
from eadnet_core.media.sound.audio import log_mel
from eadnet_core.metrics.lip_sync import (
    embed_pictures,
    embed_sound,
    mel_windows,
    score_embeddings,
    score_lip_sync,
    speech_windows,
)
from eadnet_core.nets.syncnet import SyncNet


def unit(rng: np.random.Generator, n: int, width: int = 16) -> np.ndarray:
    values = rng.standard_normal((n, width))
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def tiny_expert() -> SyncNet:
    return SyncNet(SyncNetConfig(space="pixels", in_channels=3, widths=(32, 32, 32), embedding=16)).eval()


@pytest.mark.parametrize("offset", [0, 3, -7, 15])
def test_offset_is_found_with_its_sign(offset: int) -> None:
    sound = unit(np.random.default_rng(0), 90)
    picture = sound[20 + offset : 60 + offset]  # the picture at t shows what is heard at t + offset
    result = score_embeddings(picture, sound[20:60], np.ones(40))
    assert result.offset == offset
    assert result.lse_d == pytest.approx(0.0, abs=1e-6)
    assert result.lse_c == pytest.approx(np.sqrt(2), abs=0.1)  # unrelated unit vectors lie sqrt 2 apart
    assert result.offsets[0] == -15 and result.offsets[-1] == 15 and len(result.curve) == 31


def test_distances_are_euclidean() -> None:
    picture, sound = np.array([[1.0, 0.0]] * 3), np.array([[0.0, 1.0]] * 3)
    assert score_embeddings(picture, sound, np.ones(3), max_offset=1).lse_d == pytest.approx(np.sqrt(2))


def test_silent_windows_do_not_count() -> None:
    rng = np.random.default_rng(1)
    sound = unit(rng, 60)
    picture = sound.copy()
    picture[30:] = unit(rng, 30)
    spoken = np.r_[np.ones(30), np.zeros(30)]
    result = score_embeddings(picture, sound, spoken)
    assert result.lse_d == pytest.approx(0.0, abs=1e-6)
    assert result.n_windows == 30
    assert score_embeddings(picture, sound, np.ones(60)).lse_d > 0.5


def test_all_silent_is_not_a_number() -> None:
    vectors = unit(np.random.default_rng(2), 20)
    result = score_embeddings(vectors, vectors, np.zeros(20))
    assert np.isnan(result.lse_c) and np.isnan(result.lse_d) and result.offset == 0 and result.n_windows == 0


def test_offsets_beyond_a_short_clip_are_left_open() -> None:
    vectors = unit(np.random.default_rng(3), 4)
    result = score_embeddings(vectors, vectors, np.ones(4))
    assert np.isfinite(result.curve).sum() == 7
    assert result.offset == 0


def test_speech_windows_are_silent_where_the_sound_is() -> None:
    rng = np.random.default_rng(4)
    samples = np.r_[np.zeros(640 * 20), 0.3 * rng.standard_normal(640 * 20)].astype(np.float32)
    weights = speech_windows(samples, 40, 5)
    assert weights.shape == (36,)
    assert not weights[:15].any() and weights[20:].all()
    assert not speech_windows(np.zeros(640 * 10, np.float32), 10, 5).any()


def test_mel_windows_line_up_with_the_frames() -> None:
    samples = (0.1 * np.random.default_rng(5).standard_normal(640 * 30)).astype(np.float32)
    windows = mel_windows(samples, 30, 5, 4)
    whole = log_mel(samples, 30)
    assert windows.shape == (26, 28, 80)
    np.testing.assert_allclose(windows[10].numpy(), whole[4 * 10 - 4 : 4 * 15 + 4], atol=1e-5)
    np.testing.assert_allclose(windows[0, :2].numpy(), -2.0)  # silence lies before the first sample
    assert mel_windows(samples[: 640 * 20], 30, 5, 4).shape == (26, 28, 80)


def test_embeddings_of_a_clip_do_not_depend_on_the_batch() -> None:
    rng = np.random.default_rng(6)
    frames = rng.integers(0, 255, (80, 128, 128, 3), dtype=np.uint8)
    samples = (0.1 * rng.standard_normal(640 * 80)).astype(np.float32)
    expert = tiny_expert()
    visual, audio = embed_pictures(expert, frames), embed_sound(expert, samples, 80)
    assert visual.shape == audio.shape == (76, 16)
    np.testing.assert_allclose(np.linalg.norm(visual, axis=1), 1.0, atol=1e-4)
    np.testing.assert_allclose(visual[70:], embed_pictures(expert, frames[70:]), atol=1e-5)


def test_a_clip_shorter_than_a_window_says_what_is_needed() -> None:
    frames, samples = np.zeros((4, 128, 128, 3), np.uint8), np.zeros(2560, np.float32)
    with pytest.raises(BadInput, match=r"at least 5 frames, but the clip has 4.*0\.2 s"):
        score_lip_sync(tiny_expert(), frames, samples)
    assert score_lip_sync(tiny_expert(), np.zeros((5, 128, 128, 3), np.uint8), samples).curve.shape == (31,)
