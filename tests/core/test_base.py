"""A base in LatentSync's shape through the whole pipeline at tiny size, with random weights: never a result to show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from eadnet_core.emotion.code import emotion_code
from eadnet_core.emotion.track import EmotionTrack
from eadnet_core.errors import BadInput, Cancelled
from eadnet_core.evaluation.clips import evaluate
from eadnet_core.families.base import speed_of
from eadnet_core.families.family import Model, sampler_options
from eadnet_core.families.performance import Performance
from eadnet_core.generation.animation import Animation
from eadnet_core.generation.output import write_video
from eadnet_core.generation.pipeline import Generation, prepare
from eadnet_core.generation.stages import decode_clip, sample_clip
from eadnet_core.machine import has_matrix_units
from eadnet_core.media.face.aligned_crop import keep_mask
from eadnet_core.media.face.alignment import aligned_box
from eadnet_core.media.face.crop import FaceCrop
from eadnet_core.media.face.subject import Subject
from eadnet_core.media.face.turned import TurnedPortrait
from eadnet_core.media.sound.audio import read_audio
from eadnet_core.media.sound.speech import hear
from eadnet_core.media.video.files import read_video
from eadnet_core.media.video.files import write_video as write_frames
from eadnet_core.nets.latentsync.fast import Speed
from eadnet_core.request import GenerateOptions

BOX = (60.0, 40.0, 140.0, 120.0)
QUICK = GenerateOptions(steps=2, face_box=BOX, segment_frames=8)


@pytest.fixture
def picture(portrait: np.ndarray) -> np.ndarray:
    """uint8 [170, 201, 3]"""
    return np.pad(portrait, ((12, 30), (40, 33), (0, 0)), mode="reflect")


def prepared(model: Model, picture: Any, n_frames: int, words: str = "", **options: Any) -> Generation:
    samples = np.random.default_rng(0).normal(0, 0.1, n_frames * 640).astype(np.float32)
    settings = replace(QUICK, has_speech_gate=False, **options)
    return prepare(picture, samples, words, settings, model=model, sample_rate=16_000)


def made(generation: Generation, **run: Any) -> np.ndarray:
    return np.concatenate([segment.frames for segment in generation.segments(**run)])


def outside(face: FaceCrop, shape: tuple[int, ...]) -> np.ndarray:
    """Pixels that lie outside the aligned square."""
    box = aligned_box(face)
    corners = np.array([box.point(x, y) for x in (0, 1) for y in (0, 1)])
    (left, top), (right, bottom) = np.floor(corners.min(0)).astype(int), np.ceil(corners.max(0)).astype(int)
    mask = np.ones(shape[:2], bool)
    mask[max(0, top) : bottom, max(0, left) : right] = False
    return mask


@pytest.mark.parametrize("n_frames", [1, 18])
def test_a_portrait_gives_exactly_its_frames(tiny_base: Model, picture: np.ndarray, n_frames: int) -> None:
    generation = prepared(tiny_base, picture, n_frames, head=0.0)
    frames = made(generation)
    assert frames.shape == (n_frames, 170, 201, 3) and frames.dtype == np.uint8
    mask = outside(generation.subject.nearest(0), picture.shape)
    assert mask.any() and all(np.array_equal(frame[mask], picture[mask]) for frame in frames)
    assert not np.array_equal(frames[0], picture)


def test_what_the_mask_keeps_is_the_picture(tiny_base: Model) -> None:
    """Eyes and brows lie inside the square and outside the mask."""
    square = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    quiet = Performance(np.zeros(640, np.float32), np.ones(1, np.float32), np.zeros((1, 27)), np.zeros((1, 8)))
    animation = Animation(tiny_base, square, quiet, GenerateOptions(steps=1))
    (frame,) = next(animation.frames(next(iter(animation))))
    kept = keep_mask(64)[0].numpy() == 1
    assert kept.any() and np.array_equal(frame[kept], square[kept]) and not np.array_equal(frame, square)


def test_a_seed_repeats_and_segments_leave_no_trace(tiny_base: Model, picture: np.ndarray) -> None:
    first, again, other = (made(prepared(tiny_base, picture, 18, seed=seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    whole = made(prepared(tiny_base, picture, 18, seed=1, segment_frames=18))
    assert np.abs(whole.astype(int) - first).max() <= 1


def test_a_video_is_dubbed_and_stays_as_it_is_around_the_mouth(
    tiny_base: Model, picture: np.ndarray, tmp_path: Path
) -> None:
    source = np.stack([np.roll(picture, 2 * i, axis=1)[:, :200] for i in range(10)])
    write_frames(tmp_path / "in.mp4", source)
    video = read_video(tmp_path / "in.mp4", 25)
    generation = prepared(tiny_base, video, 10)
    frames = made(generation)
    assert frames.shape == (10, 170, 200, 3) and generation.options.mask == "mouth"
    for frame, before, face in zip(frames, video, generation.subject.crops, strict=True):
        assert face is not None
        mask = outside(face, before.shape)
        assert np.array_equal(frame[mask], before[mask]) and not np.array_equal(frame, before)


def test_words_change_the_face_with_adapters(tiny_adapted: Model, picture: np.ndarray) -> None:
    plain, asked = prepared(tiny_adapted, picture, 5, head=0.0), prepared(tiny_adapted, picture, 5, "happy", head=0.0)
    assert (plain.options.mask, asked.options.mask) == ("mouth", "face")
    assert asked.report.notes == []
    assert not np.array_equal(made(plain), made(asked))


def test_the_models_own_numbers_are_taken(tiny_base: Model, tiny_model: Model) -> None:
    base, mini = (sampler_options(model, GenerateOptions()) for model in (tiny_base, tiny_model))
    assert (base.steps, base.guidance_audio, base.guidance_emotion, base.batch_windows) == (20, 1.5, 1.5, 1)
    assert (mini.steps, mini.guidance_audio, mini.guidance_emotion, mini.batch_windows) == (1, 1.3, 1.15, 4)
    asked = sampler_options(tiny_base, GenerateOptions(steps=3, guidance_audio=2.0))
    assert (asked.steps, asked.guidance_audio, asked.guidance_emotion) == (3, 2.0, 2.0)


def test_what_a_base_cannot_do_is_said(tiny_base: Model, tiny_base_folder: Path, picture: np.ndarray) -> None:
    with pytest.raises(BadInput, match=r"sync_guidance is 0\.2, but 'tiny-base' cannot be guided"):
        prepared(tiny_base, picture, 5, sync_guidance=0.2)
    with pytest.raises(BadInput, match=r"is a base.*eadnet score"):
        evaluate(str(tiny_base_folder), clips=4)
    notes = prepared(tiny_base, picture, 5, mask="full", window_frames=8).report.notes
    assert any("mask 'full' may spoil" in note for note in notes)
    assert any("trained with windows of 16 frames" in note for note in notes)


def test_the_sound_and_how_it_is_heard_and_cut_matter(tiny_base: Model, picture: np.ndarray) -> None:
    """The tiny Whisper hears two seconds at a time."""
    settings = {"steps": 1, "head": 0.0, "segment_frames": 60}
    usual = made(prepared(tiny_base, picture, 56, **settings))
    for other in ({"hearing": "exact"}, {"windows": "fixed"}, {"lips": 0.0}):
        assert not np.array_equal(usual, made(prepared(tiny_base, picture, 56, **settings, **other)))


def test_what_is_spared_moves_the_last_bits_or_the_clip(tiny_base: Model, picture: np.ndarray) -> None:
    def far(**more: Any) -> float:
        """Root mean square of the latents' difference from the exact ones, in their deviations."""
        x0 = next(iter(prepared(tiny_base, picture, 16, windows="fixed", **settings, **more).animation())).x0
        return float((x0 - exact).square().mean().sqrt() / exact.std())

    settings = {"steps": 4, "head": 0.0, "segment_frames": 16}
    exact = next(iter(prepared(tiny_base, picture, 16, windows="fixed", **settings).animation())).x0
    assert far() == 0
    # the tiny base's norms see one channel each and magnify the last bits
    assert 0 < far(speed="shared") < 2e-3
    assert speed_of(GenerateOptions(speed="compiled")) == Speed(share_branches=True, compiled=True)
    assert 0.005 < far(reuse=2) < far(reuse=4)
    assert far(times="trailing") > 0.05


def test_tiles_reach_the_autoencoder(tiny_base: Model, picture: np.ndarray) -> None:
    rows: list[int] = []
    net = tiny_base.vae.autoencoder.decoder
    hook = net.register_forward_hook(lambda _, inputs, __: rows.append(len(inputs[0])))
    try:
        whole, tiled = (made(prepared(tiny_base, picture, 6, head=0.0, is_tiled=on)) for on in (False, True))
    finally:
        hook.remove()
    assert rows == [6, *[1] * 6]
    near = 2 if has_matrix_units() else 1  # kernels of CPUs with AMX round by batch size
    assert np.abs(whole.astype(int) - tiled).max() <= near, "64 px are no larger than a tile"


def test_reused_layers_are_not_computed_and_the_forecast_knows(tiny_base: Model, picture: np.ndarray) -> None:
    calls: list[int] = []
    hook = tiny_base.denoiser.get_submodule("mid_block").register_forward_hook(lambda *_: calls.append(1))
    try:
        for reuse in (1, 3):
            begun = len(calls)
            made(prepared(tiny_base, picture, 16, steps=6, windows="fixed", segment_frames=16, reuse=reuse))
            assert len(calls) - begun == 6 // reuse
    finally:
        hook.remove()
    whole, reused = (prepared(tiny_base, picture, 60, steps=99, reuse=reuse).forecast() for reuse in (1, 8))
    assert reused.seconds < 0.8 * whole.seconds


def test_what_is_a_bases_alone_is_refused_by_the_mini(tiny_model: Model, picture: np.ndarray) -> None:
    for name, value in (("speed", "shared"), ("reuse", 2), ("times", "trailing"), ("is_tiled", True)):
        with pytest.raises(BadInput, match=f"{name} is {value!r}, which is for a base"):
            prepared(tiny_model, picture, 4, **{name: value})


def test_silence_is_drawn_from_the_sound_itself(tiny_base: Model, picture: np.ndarray) -> None:
    generation = prepared(tiny_base, picture, 4, head=0.0, lips=0.0)
    quiet, loud = np.zeros(1360), generation.performance.samples[1200:]
    sounds = [np.concatenate([np.ones(400), np.zeros(800), rest]).astype(np.float32) for rest in (quiet, loud)]
    closed, spoken = (
        [replace(each, performance=replace(each.performance, samples=samples)) for samples in sounds]
        for each in (generation, replace(generation, options=replace(generation.options, lips=1.0)))
    )
    assert np.array_equal(made(closed[0]), made(closed[1]))
    assert not np.array_equal(made(spoken[0]), made(spoken[1]))


@pytest.mark.parametrize("options", [{}, {"speed": "shared", "reuse": 2, "steps": 3}])
def test_a_run_that_was_stopped_goes_on_to_the_bit(
    tiny_base: Model, picture: np.ndarray, options: dict[str, Any]
) -> None:
    generation = prepared(tiny_base, picture, 30, **options)
    whole, seen, state = generation.animation(), [], None
    for latents in whole:
        seen.append(np.concatenate(list(whole.frames(latents))))
        state = whole.state() if latents.start == 8 else state
    assert state is not None
    again = generation.animation()
    again.restore(state)
    rest = [np.concatenate(list(again.frames(latents))) for latents in again]
    assert len(rest) == 2 and all(np.array_equal(a, b) for a, b in zip(rest, seen[2:], strict=True))


def test_few_frames_wait_however_long_the_clip_is(tiny_base: Model, picture: np.ndarray) -> None:
    animation = prepared(tiny_base, picture, 90, steps=1).animation()
    waiting = []
    for latents in animation:
        for _ in animation.frames(latents):
            pass
        assert animation.wave.conditions is not None
        waiting.append(len(animation.wave.conditions.view["pictures"]))
    assert max(waiting) <= 16


def test_cancel_stops_before_the_next_window(tiny_base: Model, picture: np.ndarray) -> None:
    with pytest.raises(Cancelled):
        made(prepared(tiny_base, picture, 18), cancel=lambda: True)


def test_stages_equal_the_pipeline(tiny_base: Model, picture: np.ndarray) -> None:
    generation = prepared(tiny_base, picture, 10)
    sound = read_audio(np.random.default_rng(0).normal(0, 0.1, 6400).astype(np.float32), 16_000)
    subject = Subject(picture[None], generation.subject.crops)
    clip = sample_clip(tiny_base, subject, hear(sound, has_speech_gate=False), EmotionTrack.parse(""), QUICK)
    assert clip.controls is None and clip.options.mask == "mouth"
    frames = np.concatenate(list(decode_clip(tiny_base, subject, clip)))
    assert np.array_equal(frames, made(generation))


def test_one_segment_of_a_file_is_made_anew(tiny_base: Model, picture: np.ndarray, tmp_path: Path) -> None:
    write_video(prepared(tiny_base, picture, 24), tmp_path / "a.mp4", keep_segments=True)
    before = np.stack(list(read_video(tmp_path / "a.mp4")))
    write_video(prepared(tiny_base, picture, 24, seed=5), tmp_path / "a.mp4", redo=1, overwrite=True)
    after = np.stack(list(read_video(tmp_path / "a.mp4")))
    assert np.array_equal(before[:8], after[:8]) and np.array_equal(before[16:], after[16:])
    assert not np.array_equal(before[8:16], after[8:16])


def test_a_turned_head_moves_and_its_place_is_known(portrait: np.ndarray) -> None:
    face = FaceCrop(64.0, 64.0, 100.0, 0.1)
    motion = np.zeros((3, 8), np.float32)
    motion[1, 3:5] = (0.05, -0.03)  # to the right and up, in frame widths
    motion[2, 2] = 0.1
    turned = TurnedPortrait(portrait, face, motion)
    assert np.array_equal(turned[0], portrait) and not np.array_equal(turned[1], portrait)
    still, moved, rolled = turned.faces()
    assert np.allclose([still.center_x, still.center_y, still.side_px, still.angle], [64, 64, 100, 0.1], atol=1e-3)
    assert np.allclose(moved.center, face.point(0.55, 0.47), atol=0.7)
    assert rolled.angle - 0.1 == pytest.approx(0.1, abs=0.02)


def test_emotion_reaches_the_net_only_through_adapters(tiny_base: Model, tiny_adapted: Model) -> None:
    code = np.repeat(emotion_code("happy", 1.0)[None], 2, 0)
    quiet = Performance(np.zeros(1280, np.float32), np.ones(2, np.float32), code, np.zeros((2, 8)))
    square = np.zeros((64, 64, 3), np.uint8)
    with torch.inference_mode():
        for model, n_tokens in ((tiny_base, 0), (tiny_adapted, 2)):
            conditions = Animation(model, square, quiet, GenerateOptions(steps=1)).stage.conditions(0, 2)
            assert conditions.emotion.shape == (2, n_tokens, 16)
            assert conditions.context.shape == (9, 2, 8, 8)
