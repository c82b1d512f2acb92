"""Emotion, face, motion and fidelity scores, on clips whose right answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from eadnet_core.metrics import emotion, face, fidelity, motion
from eadnet_core.metrics.identity import identity
from eadnet_core.taxonomy import EMOTIONS

SIZE = 32


def ramp(n: int, step: int) -> np.ndarray:
    """Frames that brighten by `step` levels each."""
    levels = (step * np.arange(n)).astype(np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (n, SIZE, SIZE, 3)).copy()


class Brightness(nn.Module):
    """Reads a picture's mean value into every output, times a slope per output."""

    def __init__(self, slopes: list[float]) -> None:
        super().__init__()
        self.slopes = nn.Parameter(torch.tensor(slopes, dtype=torch.float32))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((1, 2, 3))[:, None] * self.slopes


class TestEmotion:
    def test_clip_label_follows_the_mean_log_probability(self) -> None:
        expert = Brightness([0, 0, 4, 0, 0, 0, 0, 0, 2])  # bright reads as sad and strong
        bright = emotion.read_emotion(np.full((70, SIZE, SIZE, 3), 255, np.uint8), expert)
        assert bright.label == "sad"
        assert bright.log_probabilities.shape == (70, 8)
        assert bright.intensity == pytest.approx(1 / (1 + np.exp(-2)), abs=1e-5)
        np.testing.assert_allclose(bright.probabilities.sum(), 1.0, rtol=1e-6)
        np.testing.assert_allclose(bright.probabilities, np.exp(bright.log_probabilities[0]), rtol=1e-4)

    def test_one_certain_frame_outweighs_two_doubtful_ones(self) -> None:
        doubtful, certain = np.full(8, np.log(0.01)), np.full(8, np.log(1e-6))
        doubtful[1], doubtful[2], certain[2] = np.log(0.48), np.log(0.46), 0.0
        reading = emotion.EmotionReading(np.stack([doubtful, doubtful, certain]), np.zeros(3))
        assert reading.label == "sad"

    def test_accuracy_and_confusion(self) -> None:
        asked, read = ["happy", "sad", "fear", "fear"], ["happy", "sad", "surprised", "fear"]
        assert emotion.accuracy(asked, read) == 0.75
        counts = np.array(emotion.confusion(asked, read))
        assert counts.sum() == 4 and counts.trace() == 3
        assert counts[EMOTIONS.index("fear"), EMOTIONS.index("surprised")] == 1
        assert np.isnan(emotion.accuracy([], []))

    def test_intensity_order_counts_pairs_and_refuses_ties(self) -> None:
        assert emotion.intensity_order([(0.1, 0.2, 0.3)]) == 1.0
        assert emotion.intensity_order([(0.3, 0.2, 0.1)]) == 0.0
        assert emotion.intensity_order([(0.5, 0.5, 0.5)]) == 0.0
        assert emotion.intensity_order([(0.1, 0.3, 0.2), (0.1, 0.2, 0.3)]) == pytest.approx(5 / 6)


class TestFace:
    def test_tracks_keep_the_order_of_frames_and_outputs(self) -> None:
        track = face.read_faces(ramp(100, 2), Brightness([1, 2, 3, 4, 5, 6]))
        assert track.opening.shape == (100,)
        np.testing.assert_allclose(track.opening, 2 * np.arange(100) / 127.5 - 1, atol=1e-5)
        np.testing.assert_allclose(track.blink, 6 * track.opening, atol=1e-5)
        np.testing.assert_allclose(track.yaw, 3 * track.opening, atol=1e-5)

    def test_correlation(self) -> None:
        rng = np.random.default_rng(0)
        true = rng.random(50)
        assert face.correlation(0.2 - 3 * true, true) == pytest.approx(-1.0)
        assert face.correlation(true, true[::-1].copy()) == pytest.approx(np.corrcoef(true, true[::-1])[0, 1])
        assert face.correlation(np.full(50, 0.3), true) == 0.0
        assert np.isnan(face.correlation(true, np.full(50, 0.3)))


class TestMotion:
    def test_a_linear_ramp_has_no_jitter(self) -> None:
        stats = motion.motion_stats(ramp(20, 5))
        for region in motion.REGIONS:
            assert stats[region].jitter == pytest.approx(0.0, abs=1e-5)
            assert stats[region].speed == pytest.approx(5 / 255, rel=1e-3)
            assert stats[region].amplitude > 0.05

    def test_alternating_frames_have_known_jitter(self) -> None:
        frames = np.zeros((10, SIZE, SIZE, 3), np.uint8)
        frames[1::2] = 51  # 0, .2, 0, .2: every second difference is .4
        stats = motion.motion_stats(frames)["whole"]
        assert stats.jitter == pytest.approx(0.4, abs=1e-5)
        assert stats.speed == pytest.approx(0.2, abs=1e-5)
        assert stats.amplitude == pytest.approx(0.1, abs=1e-5)

    def test_regions_are_told_apart(self) -> None:
        frames = np.zeros((10, SIZE, SIZE, 3), np.uint8)
        frames[1::2, 24:30, 12:20] = 200  # only the mouth flickers
        stats = motion.motion_stats(frames)
        assert stats["mouth"].jitter > stats["whole"].jitter > 0
        assert stats["eyes"].jitter == 0

    def test_a_seam_shows_at_its_frame(self) -> None:
        frames = ramp(30, 2)
        frames[16:] += 20
        curve = motion.difference(frames)
        assert curve.shape == (28,)
        assert set(1 + np.flatnonzero(curve > 0.01)) == {15, 16}

    def test_blocks_add_up_to_the_whole(self) -> None:
        frames = np.random.default_rng(0).integers(0, 255, (23, SIZE, SIZE, 3), dtype=np.uint8)
        meter = motion.MotionMeter()
        for block in np.split(frames, [1, 2, 10, 11]):
            meter.add(block)
        whole = motion.motion_stats(frames)
        for region in motion.REGIONS:
            assert meter.stats()[region].jitter == pytest.approx(whole[region].jitter, rel=1e-5)
            assert meter.stats()[region].speed == pytest.approx(whole[region].speed, rel=1e-5)
            assert meter.stats()[region].amplitude == pytest.approx(whole[region].amplitude, rel=1e-5)

    def test_band_power_of_a_sine_is_its_power(self) -> None:
        t = np.arange(200) / 25
        assert motion.band_power(np.sin(2 * np.pi * 5 * t)) == pytest.approx(0.5, rel=0.02)
        assert motion.band_power(3 * np.sin(2 * np.pi * 5 * t)) == pytest.approx(4.5, rel=0.02)
        assert motion.band_power(np.sin(2 * np.pi * 1 * t)) < 1e-3
        assert motion.band_power(np.ones(2)) == 0.0

    def test_short_clips_and_still_truth(self) -> None:
        one = motion.motion_stats(ramp(1, 1))["whole"]
        assert one.jitter == 0.0 and one.amplitude == 0.0
        assert np.isnan(motion.ratio(1.0, 0.0))
        assert motion.difference(ramp(2, 1)).shape == (0,)


class TestFidelity:
    def test_psnr_of_a_known_error(self) -> None:
        true = np.full((3, SIZE, SIZE, 3), 100, np.uint8)
        assert fidelity.psnr(true + 10, true) == pytest.approx(20 * np.log10(255 / 10), abs=1e-4)
        assert fidelity.psnr(true, true) == fidelity.MAX_PSNR_DB
        half = true.copy()
        half[0] += 30
        assert fidelity.psnr(half, true) == pytest.approx(10 * np.log10(255**2 / 300), abs=1e-4)

    def test_background_is_where_the_truth_never_moves(self) -> None:
        reference = np.full((SIZE, SIZE, 3), 100, np.uint8)
        true = np.repeat(reference[None], 5, 0)
        true[2, :16] = 103  # the upper half moves once, in one frame
        true[3, 16:] = 102  # the lower half only trembles
        mask = fidelity.background_mask(true, reference)
        assert not mask[:16].any() and mask[16:].all()
        read = true.copy()
        read[:, :16] = 0  # what happens to the head does not count
        assert fidelity.psnr(read, true, mask) == fidelity.MAX_PSNR_DB
        assert np.isnan(fidelity.psnr(read, true, np.zeros_like(mask)))

    def test_dark_pixels_do_not_wrap_around(self) -> None:
        reference = np.zeros((SIZE, SIZE, 3), np.uint8)
        true = np.full((2, SIZE, SIZE, 3), 250, np.uint8)
        assert not fidelity.background_mask(true, reference).any()

    def test_mouth_psnr_sees_only_the_mouth(self) -> None:
        true = np.full((2, SIZE, SIZE, 3), 100, np.uint8)
        read = true.copy()
        read[:, :8] = 0
        assert fidelity.mouth_psnr(read, true) == fidelity.MAX_PSNR_DB
        read[:, 24:28, 12:20] = 0
        assert fidelity.mouth_psnr(read, true) < fidelity.psnr(read[:, 8:], true[:, 8:])

    def test_ssim(self) -> None:
        rng = np.random.default_rng(0)
        true = rng.integers(0, 255, (20, SIZE, SIZE, 3), dtype=np.uint8)
        assert fidelity.ssim(true, true) == pytest.approx(1.0)
        assert fidelity.ssim(rng.permutation(true), true) < 0.2


class TestIdentity:
    def test_a_still_video_is_itself_and_a_mirror_of_colours_is_not(self) -> None:
        rng = np.random.default_rng(0)
        cells = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
        person = cells.repeat(16, 0).repeat(16, 1)
        same = np.repeat(person[None], 3, 0)
        np.testing.assert_allclose(identity(same, person), 1.0, atol=1e-5)
        assert identity(255 - same, person).max() < 0.3

    def test_fine_detail_counts_less_than_colour(self) -> None:
        person = np.full((128, 128, 3), (180, 140, 120), np.uint8)
        smiling, other = person.copy(), person.copy()
        smiling[88:92, 48:80] = 60
        other[:] = (90, 60, 50)
        values = identity(np.stack([smiling, other]), person)
        assert values[0] > 0.9 and values[1] < 0.5
