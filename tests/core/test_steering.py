"""A clip that is watched and steered while it is sampled: what is shown, what changes, and how to make it again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from eadnet_core.emotion.code import emotion_code
from eadnet_core.emotion.track import EmotionTrack, Keyframe
from eadnet_core.families.family import Model
from eadnet_core.generation.stages import decode_clip, sample_clip
from eadnet_core.generation.steering import SEGMENT_FRAMES, Steer, sample_live
from eadnet_core.media.face.find import locate
from eadnet_core.media.face.subject import Subject
from eadnet_core.media.sound.audio import read_audio
from eadnet_core.media.sound.speech import Speech, hear
from eadnet_core.request import GenerateOptions

N_FRAMES = 110
OPTIONS = GenerateOptions(steps=2, seed=3, segment_frames=SEGMENT_FRAMES)
"""Windows are computed together by segments: in other ones the last digits differ."""
FURIOUS = Keyframe(0.0, "furious", code=tuple(map(float, emotion_code("angry", 1.0))))


@pytest.fixture
def subject(portrait: np.ndarray) -> Subject:
    return Subject(portrait[None], (locate(portrait, (30.0, 30.0, 100.0, 100.0)).in_whole_pixels(),))


@pytest.fixture
def speech(voice_samples: np.ndarray) -> Speech:
    return hear(read_audio(np.resize(voice_samples, N_FRAMES * 640), 16_000))


def nothing() -> None:
    """No new words."""


def after(segments: int) -> Callable[[], Keyframe | None]:
    """Words that come after so many segments."""
    said: Iterator[Keyframe | None] = iter([*[None] * (segments - 1), FURIOUS])
    return lambda: next(said, None)


def test_a_clip_that_nobody_steers_is_the_same_and_is_shown_while_it_grows(
    tiny_model: Model, subject: Subject, speech: Speech
) -> None:
    shown: list[np.ndarray] = []
    starts: list[int] = []

    def show(frames: np.ndarray, start: int) -> None:
        shown.append(frames)
        starts.append(start)

    clip = sample_live(tiny_model, subject, speech, EmotionTrack.parse("happy"), OPTIONS, Steer(nothing, show))
    plain = sample_clip(tiny_model, subject, speech, EmotionTrack.parse("happy"), OPTIONS)
    assert torch.equal(clip.x0, plain.x0) and np.array_equal(clip.motion, plain.motion) and clip.notes == plain.notes
    whole = replace(OPTIONS, segment_frames=250)
    other = sample_clip(tiny_model, subject, speech, EmotionTrack.parse("happy"), whole)
    assert torch.allclose(clip.x0, other.x0, atol=1e-4)
    assert starts == list(range(0, N_FRAMES, SEGMENT_FRAMES)) and sum(map(len, shown)) == N_FRAMES
    made = np.concatenate(list(decode_clip(tiny_model, subject, plain)))
    for start, frames in zip(starts, shown, strict=True):
        assert np.array_equal(frames[::2], made[start : start + len(frames)][::2])
        assert np.array_equal(frames[1], frames[0])  # of a portrait every second picture is made


def test_new_words_take_effect_at_once_and_the_track_makes_the_clip_again(
    tiny_model: Model, subject: Subject, speech: Speech
) -> None:
    calm = EmotionTrack.parse("calm")
    clip = sample_live(tiny_model, subject, speech, calm, OPTIONS, Steer(after(1), lambda *_: None))
    assert clip.track is not None and clip.track.keyframes[-1].text == "furious"
    turned_s = clip.track.keyframes[-1].time_s
    assert f"From {turned_s:.2f} s on: 'furious'." in clip.notes
    again = sample_clip(tiny_model, subject, speech, EmotionTrack.from_json(clip.track.to_json()), OPTIONS)
    assert torch.equal(clip.x0, again.x0) and np.array_equal(clip.motion, again.motion)
    plain = sample_clip(tiny_model, subject, speech, calm, OPTIONS)
    first = round(turned_s * 25) - 10
    assert SEGMENT_FRAMES < first < 3 * SEGMENT_FRAMES  # soon after what has been shown
    assert np.array_equal(clip.motion[:first], plain.motion[:first])
    assert not np.array_equal(clip.motion[first + 10 :], plain.motion[first + 10 :])
    assert not torch.equal(clip.x0[:, first + 10 :], plain.x0[:, first + 10 :])


def test_words_at_the_end_change_nothing_which_is_said(tiny_model: Model, subject: Subject, speech: Speech) -> None:
    calm = EmotionTrack.parse("calm")
    clip = sample_live(tiny_model, subject, speech, calm, OPTIONS, Steer(after(5), lambda *_: None))
    assert clip.notes == ("'furious' came too late: the clip had been sampled to its end.",)
    assert clip.track is not None and len(clip.track.keyframes) == 1


def test_a_model_whose_mini_performs_first_says_that_words_came_too_late(
    tiny_model: Model, subject: Subject, speech: Speech, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(tiny_model.family), "performer", lambda *_: tiny_model)
    monkeypatch.setattr("eadnet_core.generation.plan.asks_performance", lambda *_: False)
    clip = sample_live(tiny_model, subject, speech, EmotionTrack.parse(""), OPTIONS, Steer(after(1), lambda *_: None))
    assert any("'furious' came too late" in note for note in clip.notes)
    assert clip.track is not None and len(clip.track.keyframes) == 1
