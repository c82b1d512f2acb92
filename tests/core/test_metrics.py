"""Emotion, face, motion and fidelity scores, on clips whose right answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from eadnet_core.evaluation.heldout import Clip, draw_cases
from eadnet_core.evaluation.shipped import SEED, read_shipped
from eadnet_core.media.face.controls import read_controls
from eadnet_core.metrics import emotion, face, fidelity, motion
from eadnet_core.metrics.identity import identity
from eadnet_core.nets.emotion_bank import EmotionBank
from eadnet_core.taxonomy import ACTION_UNITS, CONTROLS, EMOTION, EMOTIONS
from eadnet_core.weights.experts import load_reference_reader

SIZE = 32


def ramp(n: int, step: int) -> np.ndarray:
    """Frames that brighten by `step` levels each."""
    levels = (step * np.arange(n)).astype(np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (n, SIZE, SIZE, 3)).copy()


@pytest.fixture(scope="module")
def bank() -> EmotionBank:
    return load_reference_reader("mini").bank


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    """A group of the held-out clips that ship, at 128 px, in which lids close."""
    return next(iter(read_shipped(draw_cases(48, SEED)[4:5], 128)))


def controls_of(label: str) -> np.ndarray:
    """Controls [28] of a face that shows an emotion fully."""
    units = EMOTION[label].action_units
    return np.array([units.get(name, 0.0) for name in CONTROLS], np.float32)


def level_face() -> np.ndarray:
    """Landmarks [468, 3]: the eyes 60 px apart, a straight nose and closed lips, all at one depth."""
    points = np.zeros((468, 3))
    for corner, x in ((33, -40.0), (133, -20.0), (362, 20.0), (263, 40.0)):
        points[corner, 0] = x
    points[168, 1], points[2, 1] = -5.0, 40.0
    return points


class TestEmotion:
    def test_a_clip_is_what_its_controls_are_in_the_median(self, bank: EmotionBank) -> None:
        happy, sad = (controls_of(label) for label in ("happy", "sad"))
        reading = emotion.emotion_of(np.stack([happy, happy, sad, happy, happy]), bank)
        assert reading.label == "happy" and reading.intensity > 0.7
        assert reading.codes.shape == (5, 27) and reading.frame_probabilities.argmax(1).tolist() == [1, 1, 2, 1, 1]
        np.testing.assert_allclose(reading.code, reading.codes[0], atol=1e-6)
        np.testing.assert_allclose(reading.intensities[0], reading.intensity, atol=1e-6)
        np.testing.assert_allclose(np.exp(reading.log_probabilities), reading.probabilities, atol=1e-6)
        units = dict(zip(ACTION_UNITS, reading.action_units, strict=True))
        assert units["AU12"] == pytest.approx(EMOTION["happy"].action_units["AU12"])

    def test_nobody_knows_a_label_that_is_not_there(self, bank: EmotionBank) -> None:
        reading = emotion.emotion_of(controls_of("happy")[None], bank)
        assert np.isfinite(reading.log_probabilities).all() and reading.log_probabilities.min() < -5

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
    def test_lips_and_head_are_those_of_the_landmarks(self) -> None:
        points = level_face()
        gaps = np.array([0.0, 0.1, 0.3])
        track = []
        for gap in gaps:
            opened = points.copy()
            opened[[14, 87, 317], 1] += gap * 60.0
            track.append(opened)
        read = face.face_track([track[0], None, track[2], track[1]])
        np.testing.assert_allclose(read.opening, [0.0, 0.15, 0.3, 0.1], atol=1e-6)
        assert np.isnan(face.face_track([None, None]).opening).all()

    @pytest.mark.parametrize("angle", [-0.4, 0.0, 0.2])
    def test_a_turned_head_is_turned_by_its_angle(self, angle: float) -> None:
        cos, sin = np.cos(angle), np.sin(angle)
        yawed = level_face() @ np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
        pitched = level_face() @ np.array([[1, 0, 0], [0, cos, sin], [0, -sin, cos]])
        assert face.head_turn(yawed[None])[0][0] == pytest.approx(angle)
        assert face.head_turn(pitched[None])[1][0] == pytest.approx(angle)

    def test_what_clips_that_ship_do_is_read(self, clips: list[Clip]) -> None:
        """Measured on 36 of them: lips .88, yaw .93, lids .97, emotion .97, action units .93."""
        reader = load_reference_reader("mini")
        lips, yaw, lids, right, units = [], [], [], [], []
        for clip in clips:
            frames, truth = clip.truth.frames[::3], clip.truth
            track, controls = face.read_faces(frames), read_controls(frames, reader.vae).numpy()
            reading = emotion.emotion_of(controls, reader.bank)
            lips.append(face.correlation(track.opening, truth.mouth_opening[::3]))
            yaw.append(face.correlation(track.yaw, truth.yaw[::3]))
            lids.append(face.correlation(face.lid_closure(controls), truth.blink[::3]))
            right.append(reading.label == truth.emotion)
            true = np.median(clip.controls[:, 9:25], 0)
            units.append(face.correlation(reading.action_units, true) if truth.emotion != "neutral" else np.nan)
        assert np.nanmean(lips) > 0.8 and np.nanmean(yaw) > 0.85 and np.nanmean(lids) > 0.9
        assert np.mean(right) >= 5 / 6 and np.nanmean(units) > 0.85

    def test_correlation(self) -> None:
        rng = np.random.default_rng(0)
        true = rng.random(50)
        assert face.correlation(0.2 - 3 * true, true) == pytest.approx(-1.0)
        assert face.correlation(true, true[::-1].copy()) == pytest.approx(np.corrcoef(true, true[::-1])[0, 1])
        assert face.correlation(np.full(50, 0.3), true) == 0.0
        assert face.correlation(np.full(50, np.nan), true) == 0.0
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
