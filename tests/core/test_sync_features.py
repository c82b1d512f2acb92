"""What public judges of lip sync hear, and LatentSync's own judge."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from eadnet_core.config import StableSyncNetConfig
from eadnet_core.media.sound.sync_features import cepstra, syncnet_mel, syncnet_mel_windows
from eadnet_core.nets.latentsync.stable_syncnet import StableSyncNet

SMALL = StableSyncNetConfig(visual_widths=(32,) * 8, mel_widths=(32,) * 7)


def tone(hertz: float, n: int = 16_000, size: float = 0.3) -> np.ndarray:
    return (size * np.sin(2 * np.pi * hertz * np.arange(n) / 16_000)).astype(np.float32)


def test_mel_has_80_steps_a_second_and_ends_at_4() -> None:
    mel = syncnet_mel(tone(440.0))
    assert mel.shape == (80, 81) and mel.dtype == torch.float32
    assert mel.min() >= -4 and mel.max() <= 4
    assert torch.equal(syncnet_mel(np.zeros(16_000, np.float32)), torch.full((80, 81), -4.0))
    peaks = [int(syncnet_mel(tone(hertz))[:, 40].argmax()) for hertz in (200.0, 800.0, 3000.0)]
    assert peaks == sorted(peaks) and len(set(peaks)) == 3


def test_a_hundredfold_sound_is_40_db_louder() -> None:
    quiet, loud = (syncnet_mel(tone(1000.0, size=size))[:, 40].max() for size in (0.003, 0.3))
    assert float(loud - quiet) == pytest.approx(40 * 8 / 100, abs=1e-3)


def test_mel_windows_begin_with_their_frames() -> None:
    mel = torch.arange(200.0).expand(80, 200)
    windows = syncnet_mel_windows(mel, [0, 1, 5, 46])
    assert windows.shape == (4, 1, 80, 52)
    assert windows[:, 0, 0, 0].tolist() == [0, 3, 16, 147]  # 3.2 steps a frame, rounded down
    with pytest.raises(IndexError, match="beyond the sound of 200 mel steps"):
        syncnet_mel_windows(mel, [47])


def test_full_size_net_is_that_of_the_public_weights() -> None:
    with torch.device("meta"):
        net = StableSyncNet(StableSyncNetConfig())
        frames, mel = torch.zeros(1, 16, 3, 256, 256), torch.zeros(1, 1, 80, 52)
        assert net.embed_frames(frames).shape == net.embed_audio(mel).shape == (1, 2048)
    assert sum(p.numel() for p in net.parameters()) == 401_306_080
    assert len(net.state_dict()) == 266


def test_embeddings_are_unit_vectors_of_the_lower_half() -> None:
    torch.manual_seed(0)
    net = StableSyncNet(SMALL).eval().requires_grad_(False)
    frames, mel = torch.rand(2, 16, 3, 256, 256) * 2 - 1, torch.randn(2, 1, 80, 52)
    seen = net.embed_frames(frames)
    torch.testing.assert_close(seen.norm(dim=1), torch.ones(2))
    frames[..., :128, :] = 0
    assert torch.equal(net.embed_frames(frames), seen)
    torch.testing.assert_close(net.similarity(frames, mel), (seen * net.embed_audio(mel)).sum(1))


def test_cepstra_count_their_steps_and_hold_the_energy() -> None:
    assert [len(cepstra(tone(440.0, n))) for n in (10, 400, 401, 560, 561, 16_000)] == [1, 1, 2, 2, 3, 99]
    quiet, loud = (cepstra(tone(440.0, size=size))[20] for size in (0.03, 0.3))
    assert loud[0] - quiet[0] == pytest.approx(np.log(100), abs=1e-3)
    np.testing.assert_allclose(loud[1:], quiet[1:], atol=0.3)  # the shape does not change with loudness
    silent = cepstra(np.zeros(800, np.float32))
    assert silent[0, 0] == pytest.approx(np.log(np.finfo(float).eps)) and np.isfinite(silent).all()


def test_cepstra_of_floats_are_those_of_16_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = tone(300.0, 8000)
    as_int = np.round(samples * 32768).astype(np.int16)
    whole = cepstra(as_int)
    np.testing.assert_array_equal(cepstra(samples), whole)
    monkeypatch.setattr("eadnet_core.media.sound.sync_features._BLOCK_STEPS", 7)
    np.testing.assert_allclose(cepstra(as_int), whole, rtol=1e-12)
