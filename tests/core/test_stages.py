"""A generation in stages gives what it gives in one go, to the bit."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from eadnet_core.emotion.code import VALENCE, describe, emotion_at, emotion_code, scaled
from eadnet_core.emotion.face_words import PHRASES, caption
from eadnet_core.emotion.track import EmotionTrack
from eadnet_core.errors import BadInput, Cancelled
from eadnet_core.families.family import Model
from eadnet_core.families.load import load_model
from eadnet_core.generation.pipeline import generate, prepare
from eadnet_core.generation.stages import at_rate, decode_clip, preview, render, sample_clip, score_pictures
from eadnet_core.media.face.crop import FaceCrop
from eadnet_core.media.face.subject import Subject
from eadnet_core.media.sound.audio import read_audio
from eadnet_core.media.sound.speech import hear
from eadnet_core.media.video.files import read_video
from eadnet_core.request import GenerateOptions, Progress
from eadnet_core.taxonomy import ACTION_UNITS, EMOTION, EMOTIONS
from eadnet_core.weights.device import set_attention_backend
from eadnet_core.weights.experts import load_experts

BOX = (30.0, 30.0, 100.0, 100.0)


def still(portrait: np.ndarray) -> Subject:
    from eadnet_core.media.face.find import locate

    return Subject(portrait[None], (locate(portrait, BOX).in_whole_pixels(),))


def run(model: Model, subject: Subject, samples: np.ndarray, **settings: Any) -> np.ndarray:
    options = GenerateOptions(steps=2, **settings)
    clip = sample_clip(model, subject, hear(read_audio(samples, 16_000)), EmotionTrack.parse("happy"), options)
    return np.concatenate(list(decode_clip(model, subject, clip)))


def test_stages_equal_the_pipeline(tiny_model: Model, portrait: np.ndarray, voice_samples: np.ndarray) -> None:
    options = GenerateOptions(steps=2, face_box=BOX)
    whole = generate(portrait, voice_samples, "happy", options, model=tiny_model, sample_rate=16_000)
    whole = np.concatenate([segment.frames for segment in whole])
    assert np.array_equal(whole, run(tiny_model, still(portrait), voice_samples))


def test_the_strengths_of_the_modules_matter_and_zero_leaves_them_out(
    tiny_model: Model, portrait: np.ndarray, voice_samples: np.ndarray
) -> None:
    subject = still(portrait)
    full = run(tiny_model, subject, voice_samples)
    for name in ("stda_strength", "tfrm_strength"):
        assert not np.array_equal(full, run(tiny_model, subject, voice_samples, **{name: 0.0}))
    assert not np.array_equal(full, run(tiny_model, subject, voice_samples, window_frames=5))
    with pytest.raises(BadInput, match="sync_low"):
        GenerateOptions(sync_low=0.9, sync_high=0.2)


def test_progress_is_told_for_each_batch_of_windows(
    tiny_model: Model, portrait: np.ndarray, voice_samples: np.ndarray
) -> None:
    told: list[Progress] = []
    options = GenerateOptions(steps=3, batch_windows=1)
    speech = hear(read_audio(voice_samples, 16_000))
    sample_clip(tiny_model, still(portrait), speech, EmotionTrack.parse(""), options, told.append)
    done = [p.done for p in told]
    assert len(done) == len(set(done)) >= 3 * 4
    assert done[-1] == told[-1].total == 3 * 30
    assert told[0].preview().shape == (128, 128, 3)
    with pytest.raises(Cancelled):
        sample_clip(tiny_model, still(portrait), speech, EmotionTrack.parse(""), options, cancel=lambda: True)


def test_a_video_keeps_its_own_motion(tiny_model: Model, portrait: np.ndarray, voice_samples: np.ndarray) -> None:
    frames = np.stack([np.roll(portrait, i, axis=1) for i in range(12)])
    subject = Subject(frames, tuple(FaceCrop(64.0 + i, 64.0, 90.0) for i in range(12)))
    speech = hear(read_audio(voice_samples, 16_000))
    clip = sample_clip(tiny_model, subject, speech, EmotionTrack.parse("sad"), GenerateOptions(steps=1))
    assert clip.n_frames == 30 and not clip.motion.any()
    made = np.concatenate(list(decode_clip(tiny_model, subject, clip)))
    assert made.shape == (30, 128, 128, 3)
    assert np.array_equal(made[3][:2], frames[3][:2]) and np.array_equal(made[29][:2], frames[11][:2])


@pytest.mark.parametrize("fps", [12, 24, 25, Fraction(30000, 1001), 50, 60])
def test_other_rates_have_exactly_their_frames_in_order(fps: Any) -> None:
    """However the 25 per second are cut into segments."""
    frames = np.arange(50)[:, None]
    wanted = int(2 * fps + Fraction(1, 2))
    cuts = [np.split(frames, cut) for cut in ([], [7, 8, 31], range(1, 50))]
    made = [np.concatenate(list(at_rate(parts, wanted, fps))).ravel() for parts in cuts]
    assert all(np.array_equal(made[0], other) for other in made)
    assert len(made[0]) == wanted
    assert (np.diff(made[0]) >= 0).all()
    assert np.abs(made[0] - np.arange(wanted) * 25 / float(fps)).max() <= 1


def test_a_rendered_file_keeps_the_length_of_its_sound(tmp_path: Path) -> None:
    sound = read_audio(np.zeros(16_000, np.float32), 16_000)
    frames = np.zeros((25, 33, 47, 3), np.uint8)
    assert render(tmp_path / "a.mp4", [frames[:10], frames[10:]], (47, 33), sound, 29.97) == 30
    made = read_video(tmp_path / "a.mp4")
    assert (made.n_frames, made.size) == (30, (48, 34))


def test_pictures_are_scored(tiny_folder: Path, portrait: np.ndarray, voice_samples: np.ndarray) -> None:
    experts = load_experts("cpu", tiny_folder)
    sound = read_audio(voice_samples, 16_000)
    scores = score_pictures([portrait] * 30, sound, experts, BOX, "happy")
    assert scores.n_frames == 30 and scores.asked_emotion == "happy" and scores.identity > 0.99
    with pytest.raises(BadInput, match="4 pictures are too few"):
        score_pictures([portrait] * 4, sound, experts, BOX)
    with pytest.raises(Cancelled):
        score_pictures([portrait] * 30, sound, experts, BOX, cancel=lambda: True)


def test_a_preview_shows_the_emotion(tiny_model: Model, portrait: np.ndarray) -> None:
    happy, angry = (preview(tiny_model, portrait, emotion_code(name, 1.0)) for name in ("happy", "angry"))
    assert happy.shape == (1, 128, 128, 3) and not np.array_equal(happy, angry)
    assert preview(tiny_model, portrait, emotion_code("sad", 1.0), 6).shape == (6, 128, 128, 3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_close(
    tiny_folder: Path, portrait: np.ndarray, voice_samples: np.ndarray, dtype: Any
) -> None:
    whole, half = (load_model(str(tiny_folder), "cpu", kind) for kind in (torch.float32, dtype))
    made = [run(model, still(portrait), voice_samples[:3200]).astype(int) for model in (whole, half)]
    assert np.abs(made[0] - made[1]).mean() < 2


def test_another_attention_gives_the_same(tiny_folder: Path, portrait: np.ndarray, voice_samples: np.ndarray) -> None:
    fused, plain = (load_model(str(tiny_folder), "cpu", attention_backend=name) for name in ("sdpa", "plain"))
    made = [run(model, still(portrait), voice_samples[:6400]) for model in (fused, plain)]
    assert np.abs(made[0].astype(int) - made[1]).max() <= 1
    with pytest.raises(BadInput, match="choose one of"):
        set_attention_backend(fused.denoiser, "magic")


@pytest.mark.parametrize("label", EMOTIONS)
def test_the_point_of_an_emotion_is_its_code(label: str) -> None:
    code = emotion_at(EMOTION[label].valence, EMOTION[label].arousal)
    assert describe(code).label == label
    assert np.abs(code - emotion_code(label, float(label != "neutral"))).max() < 0.05


def test_points_in_between_are_blends_and_strength_scales() -> None:
    middle = emotion_at(0.425, 0.25)
    assert describe(middle).valence == pytest.approx(0.425)
    assert sorted(middle[:8])[-2] > 0.3
    strong = scaled(emotion_code("happy", 1.0), 1.5)
    assert strong[VALENCE] == 1.0 and strong[8] == 1.5
    assert np.array_equal(scaled(strong, 0.0), emotion_code("neutral", 0.0))


def test_a_track_holds_then_fades() -> None:
    track = EmotionTrack.parse([(0, "a"), (2, "b"), (2.3, "c")])
    track = track.read(lambda texts: np.stack([np.full(27, ord(t), np.float32) for t in texts])).held(0.5)
    values = track.at([0.0, 1.5, 1.75, 2.0, 2.3, 9.0])[:, 0] - ord("a")
    assert values.tolist() == pytest.approx([0.0, 0.0, 0.5, 1.0, 2.0, 2.0])


def test_captions_name_what_moves() -> None:
    assert set(PHRASES) == set(ACTION_UNITS)
    angry = caption(emotion_code("angry", 1.0))
    assert angry.startswith("The face looks very angry.")
    assert "Brows strongly lowered" in angry and "lips strongly pressed narrow" in angry
    assert "lip corners" not in angry.lower()


def test_the_voice_is_heard_in_stages_as_in_one_go(
    tiny_model: Model, portrait: np.ndarray, voice_samples: np.ndarray
) -> None:
    sound = read_audio(np.tile(voice_samples, 2), 16_000)
    options = GenerateOptions(steps=1, prosody_weight=0.5)
    for words in ("auto", "sad"):
        whole = prepare(portrait, sound, words, dataclasses.replace(options, face_box=BOX), model=tiny_model)
        clip = sample_clip(tiny_model, still(portrait), hear(sound), EmotionTrack.parse(words), options)
        assert np.array_equal(whole.performance.motion, clip.motion)
    plain = prepare(portrait, sound, "sad", GenerateOptions(steps=1, face_box=BOX), model=tiny_model)
    assert not np.array_equal(plain.performance.code, whole.performance.code)


def test_a_performance_of_a_still_has_motion(
    tiny_model: Model, portrait: np.ndarray, voice_samples: np.ndarray
) -> None:
    speech = hear(read_audio(voice_samples, 16_000))
    options = GenerateOptions(steps=1)
    clip = sample_clip(tiny_model, still(portrait), speech, EmotionTrack.parse(""), options)
    calm = sample_clip(
        tiny_model, still(portrait), speech, EmotionTrack.parse(""), dataclasses.replace(options, head=0.0)
    )
    assert clip.motion[:, :5].any() and not calm.motion[:, :5].any()
    assert isinstance(clip.x0, torch.Tensor) and clip.x0.device.type == "cpu"
