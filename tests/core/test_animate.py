"""A reference picture and a performance through the real nets at tiny size: lengths, seeds, amplitudes, gates."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from eadnet_core.config import SAMPLING
from eadnet_core.emotion.code import emotion_code
from eadnet_core.errors import BadInput, Cancelled
from eadnet_core.families.family import Model, sampler_options
from eadnet_core.families.mini import box_cells
from eadnet_core.families.performance import Performance
from eadnet_core.generation.animation import Animation, animate, sample_latents
from eadnet_core.request import GenerateOptions, Progress


def performance(n_frames: int, **changes: Any) -> Performance:
    rng = np.random.default_rng(0)
    made = Performance(
        samples=rng.normal(0, 0.1, n_frames * 640).astype(np.float32),
        voice=np.ones(n_frames, np.float32),
        code=np.repeat(emotion_code("happy", 0.7)[None], n_frames, 0),
        motion=rng.normal(0, 0.1, (n_frames, 8)).astype(np.float32),
    )
    return dataclasses.replace(made, **changes)


def run(model: Model, picture: np.ndarray, asked: Performance, **options: Any) -> np.ndarray:
    return np.concatenate([f for _, f in animate(model, picture, asked, GenerateOptions(steps=2, **options))])


@pytest.mark.parametrize("n_frames", [1, 7, 8, 21])
def test_every_length_gives_exactly_its_frames(tiny_model: Model, portrait: np.ndarray, n_frames: int) -> None:
    frames = run(tiny_model, portrait, performance(n_frames))
    assert frames.shape == (n_frames, 128, 128, 3)
    assert frames.dtype == np.uint8


def test_segments_join_without_a_trace(tiny_model: Model, portrait: np.ndarray) -> None:
    whole = run(tiny_model, portrait, performance(30), segment_frames=30)
    cut = run(tiny_model, portrait, performance(30), segment_frames=7)
    assert np.abs(whole.astype(int) - cut).max() <= 1


def test_a_seed_repeats_and_another_differs(tiny_model: Model, portrait: np.ndarray) -> None:
    first, again, other = (run(tiny_model, portrait, performance(9), seed=s) for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_where_nobody_speaks_the_sound_changes_nothing(tiny_model: Model, portrait: np.ndarray) -> None:
    gate = np.zeros(12, np.float32)
    loud = performance(12, voice=gate)
    silent = dataclasses.replace(loud, samples=np.zeros_like(loud.samples))
    assert np.array_equal(run(tiny_model, portrait, loud), run(tiny_model, portrait, silent))
    assert not np.array_equal(run(tiny_model, portrait, performance(12)), run(tiny_model, portrait, silent))


def test_lips_at_zero_are_silence_and_above_one_are_guidance(tiny_model: Model, portrait: np.ndarray) -> None:
    speaking = performance(8)
    other = dataclasses.replace(speaking, samples=0.5 * speaking.samples[::-1])
    unheard = run(tiny_model, portrait, speaking, lips=0.0)
    assert np.array_equal(unheard, run(tiny_model, portrait, other, lips=0.0))
    assert not np.array_equal(unheard, run(tiny_model, portrait, speaking, lips=0.5))
    own = SAMPLING["mini"].guidance_audio
    assert sampler_options(tiny_model, GenerateOptions(lips=1.5)).guidance_audio == own + 0.5
    assert sampler_options(tiny_model, GenerateOptions(lips=0.5)).guidance_audio == own


def test_the_emotion_reaches_the_picture(tiny_model: Model, portrait: np.ndarray) -> None:
    angry = np.repeat(emotion_code("angry", 1.0)[None], 8, 0)
    happy = run(tiny_model, portrait, performance(8))
    assert not np.array_equal(happy, run(tiny_model, portrait, performance(8, code=angry)))


def test_sync_guidance_runs_through_the_real_syncnet(tiny_model: Model, portrait: np.ndarray) -> None:
    model = dataclasses.replace(tiny_model, real_cosine=1.0)
    plain = sample_latents(model, portrait, performance(12), GenerateOptions(steps=8))
    guided = sample_latents(model, portrait, performance(12), GenerateOptions(steps=8, sync_guidance=1.0))
    assert not torch.equal(plain, guided)


def test_progress_ends_at_its_total_with_a_preview(tiny_model: Model, portrait: np.ndarray) -> None:
    ticks: list[Progress] = []
    for _ in animate(tiny_model, portrait, performance(20), GenerateOptions(steps=2, segment_frames=8), ticks.append):
        pass
    done = [t.done for t in ticks]
    assert done == sorted(done)
    assert done[-1] == ticks[-1].total == 60
    assert ticks[0].preview().shape == (128, 128, 3)


def test_cancel_keeps_what_is_finished(tiny_model: Model, portrait: np.ndarray) -> None:
    finished: list[int] = []
    options = GenerateOptions(steps=2, segment_frames=8)
    with pytest.raises(Cancelled):
        for start, _ in animate(tiny_model, portrait, performance(40), options, cancel=lambda: len(finished) > 0):
            finished.append(start)
    assert finished == [0]


def test_a_state_has_the_names_that_files_have(tiny_model: Model, portrait: np.ndarray) -> None:
    """Segments on disk hold such states: other names would make them unreadable."""
    options = GenerateOptions(steps=2, segment_frames=8, sync_guidance=0.3)
    animation = Animation(tiny_model, portrait, performance(30), options)
    next(iter(animation))
    conditions = ("audio", "context", "emotion", "motion", "motion_known", "null_emotion", "sync_audio", "voice")
    tails = {name for name in animation.state() if name.startswith("sync_tail.")}
    wanted = {"first", "reached", "x", "view.reference", *(f"conditions.{name}" for name in conditions)}
    assert set(animation.state()) == wanted | tails and tails <= {"sync_tail.0", "sync_tail.1"}


def test_conditions_are_made_without_a_trace(tiny_model: Model, portrait: np.ndarray) -> None:
    """Asked twice or out of order, a stage answers the same, and the clip comes out as if nobody had asked."""
    options = GenerateOptions(steps=2, segment_frames=8)
    asked = Animation(tiny_model, portrait, performance(20), options)
    once, again = (asked.stage.conditions(4, 9) for _ in range(2))
    assert torch.equal(once.context, again.context) and torch.equal(once.view["reference"], again.view["reference"])
    assert len(once.view["reference"]) == 5
    made = np.concatenate([frames for latents in asked for frames in asked.frames(latents)])
    assert np.array_equal(made, run(tiny_model, portrait, performance(20), segment_frames=8))


def test_segments_can_be_decoded_later_and_in_any_order(tiny_model: Model, portrait: np.ndarray) -> None:
    animation = Animation(tiny_model, portrait, performance(20), GenerateOptions(steps=2, segment_frames=8))
    sampled = list(animation)
    assert [latents.start for latents in sampled] == [0, 8, 16]
    later = [np.concatenate(list(animation.frames(latents))) for latents in reversed(sampled)]
    expected = run(tiny_model, portrait, performance(20), segment_frames=8)
    assert np.array_equal(np.concatenate(later[::-1]), expected)


def test_time_is_measured_by_stage(tiny_model: Model, portrait: np.ndarray) -> None:
    seconds: dict[str, float] = {}
    list(animate(tiny_model, portrait, performance(4), GenerateOptions(steps=1), seconds=seconds))
    assert set(seconds) == {"encode", "sample", "decode"}
    assert min(seconds.values()) > 0


def test_box_cells() -> None:
    mask = box_cells((0.25, 0.5, 0.75, 1.0), 8)
    assert mask.sum() == 4 * 4
    assert mask[4:, 2:6].all()


@pytest.mark.parametrize(
    ("name", "value"),
    [("steps", 0), ("steps", 2.5), ("head", -1), ("lips", float("nan")), ("seed", -1), ("blink", True)],
)
def test_options_out_of_range_are_named(name: str, value: Any) -> None:
    with pytest.raises(BadInput, match=f"{name} is .*; give a "):
        GenerateOptions(**{name: value})
