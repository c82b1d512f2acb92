"""A portrait that speaks while the sound comes in."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from eadnet_core.emotion.track import FADE_FRAMES
from eadnet_core.errors import BadInput
from eadnet_core.families.family import Model
from eadnet_core.live.hearing import KEPT_FRAMES, LiveHearing
from eadnet_core.live.portrait import LivePortrait
from eadnet_core.live.session import AHEAD_FRAMES, CHUNK_FRAMES, LiveChunk, LiveSession
from eadnet_core.live.streams import stream
from eadnet_core.media.face.subject import find_subject
from eadnet_core.media.image import fitted
from eadnet_core.media.sound.audio import SAMPLES_PER_FRAME
from eadnet_core.media.sound.speech_gate import speech_gate
from eadnet_core.motion.style import Style
from eadnet_core.request import GenerateOptions

BOX = (32.0, 24.0, 96.0, 108.0)
OPTIONS = GenerateOptions(face_box=BOX, has_speech_gate=False)
"""Noise counts as speech, so that it moves something."""


@pytest.fixture(scope="module")
def shown(tiny_model: Model) -> LivePortrait:
    coarse = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(3))
    picture = torch.nn.functional.interpolate(coarse, size=(130, 128), mode="bicubic")[0].clamp(0, 1)
    return LivePortrait(tiny_model, (picture.permute(1, 2, 0) * 255).byte().numpy(), OPTIONS)


def sound_of(n_frames: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    swing = np.sin(np.arange(n_frames * SAMPLES_PER_FRAME) / 16_000 * 2 * np.pi * 3) ** 2
    return (0.3 * swing * rng.normal(size=len(swing))).astype(np.float32)


def run(shown: LivePortrait, sound: np.ndarray, cut: Callable[[], int], **more: Any) -> list[LiveChunk]:
    session, chunks, n = LiveSession(shown, **more), [], 0
    while n < len(sound):
        step = cut()
        session.add(sound[n : n + step])
        chunks += session.chunks()
        n += step
    session.finish()
    return [*chunks, *session.chunks()]


def test_it_does_not_matter_how_the_sound_was_cut(shown: LivePortrait) -> None:
    sound, rng = sound_of(33), np.random.default_rng(1)
    whole = run(shown, sound, lambda: len(sound), emotion="happy")
    cut = run(shown, sound, lambda: int(rng.integers(0, 3000)), emotion="happy")
    assert [c.start for c in whole] == [c.start for c in cut] == [0, 5, 10, 15, 20, 25, 30]
    assert all(
        np.array_equal(a.parts, b.parts) and np.array_equal(a.sound, b.sound) for a, b in zip(whole, cut, strict=True)
    )
    assert sum(c.n_frames for c in whole) == 33
    assert np.array_equal(np.concatenate([c.sound for c in whole]), sound)


@pytest.mark.parametrize(("chunk", "ahead"), [(CHUNK_FRAMES, AHEAD_FRAMES), (3, 2), (1, 0)])
def test_the_delay_is_constant(shown: LivePortrait, chunk: int, ahead: int) -> None:
    session, sound = LiveSession(shown, chunk_frames=chunk, ahead_frames=ahead), sound_of(4 * chunk + ahead)
    due = [(chunk * (i + 1) + ahead) * SAMPLES_PER_FRAME for i in range(4)]
    n_given = 0
    for number, n in enumerate(due):
        session.add(sound[n_given : n - 1])
        assert not list(session.chunks())
        session.add(sound[n - 1 : n])
        n_given = n
        (made,) = session.chunks()
        assert made.start == number * chunk and made.n_frames == chunk
    assert session.delay_s == pytest.approx((chunk + ahead) / 25)


def test_what_comes_later_changes_nothing(shown: LivePortrait) -> None:
    n = (10 + AHEAD_FRAMES) * SAMPLES_PER_FRAME
    one, other = sound_of(30), np.concatenate([sound_of(30)[:n], sound_of(30, seed=5)[n:]])
    made = [run(shown, sound, lambda: 4000) for sound in (one, other)]
    same = [np.array_equal(a.parts, b.parts) for a, b in zip(*made, strict=True)]
    assert same[:2] == [True, True] and not all(same)


def test_an_emotion_fades_in_from_the_next_chunk_on(shown: LivePortrait) -> None:
    sound = sound_of(40)
    steady, changed = LiveSession(shown), LiveSession(shown)
    for session in (steady, changed):
        session.add(sound)
    plain, made = list(steady.chunks()), []
    for chunk in changed.chunks():
        made.append(chunk)
        if len(made) == 2:
            changed.feel("furious")
    target = changed.read("furious").code
    assert all(np.array_equal(a.parts, b.parts) for a, b in zip(plain[:2], made[:2], strict=True))
    distance = [float(np.abs(chunk.emotion - target).max()) for chunk in made]
    assert distance[0] == distance[1] > distance[2] > distance[3] and distance[3] < 1e-6
    assert FADE_FRAMES == 2 * CHUNK_FRAMES


def test_a_fade_may_be_interrupted(shown: LivePortrait) -> None:
    session, codes = LiveSession(shown), []
    session.add(sound_of(40))
    session.feel("furious")
    for chunk in session.chunks():
        codes.append(chunk.emotion)
        if len(codes) == 1:
            session.feel("delighted")
    steps = np.abs(np.diff([session.read("").code, *codes], axis=0)).max(1)
    assert np.allclose(codes[2], session.read("delighted").code, atol=1e-6)
    assert steps.max() <= 0.76  # half a fade from wherever it was, never a jump


def test_an_idle_portrait_lives(shown: LivePortrait) -> None:
    chunks = run(shown, np.zeros(50 * SAMPLES_PER_FRAME, np.float32), lambda: 5000)
    parts = np.concatenate([c.parts for c in chunks]).astype(int)
    assert (np.abs(np.diff(parts, axis=0)).max((1, 2, 3)) > 0).all()


def test_memory_stays_flat(shown: LivePortrait) -> None:
    session = LiveSession(shown)
    sizes: list[tuple[int, int, int]] = []
    for number in range(KEPT_FRAMES // CHUNK_FRAMES + 12):
        session.add(sound_of(CHUNK_FRAMES, seed=number))
        for chunk in session.chunks():  # whoever keeps chunks keeps no more than these
            for kept in (chunk.sound, chunk.parts):
                assert (kept if kept.base is None else kept.base).nbytes == kept.nbytes
        held = [len(v[0]) for memory in session._sampler.memories for v in memory.kept.values()]
        sizes.append((len(session._hearing.sound._kept), sum(held), len(held)))
    assert len(set(sizes[-10:])) == 1
    assert sizes[-1][0] <= (KEPT_FRAMES + CHUNK_FRAMES) * SAMPLES_PER_FRAME


def test_parts_lie_where_a_clip_is_pasted(shown: LivePortrait) -> None:
    session = LiveSession(shown)
    session.add(sound_of(10))
    chunk = next(session.chunks())
    whole = shown.whole(chunk.parts)
    assert whole.shape == (5, 130, 128, 3)
    rows, columns = shown.painter.box.part
    outside = np.ones((130, 128), bool)
    outside[rows, columns] = False
    assert np.array_equal(whole[:, outside], np.repeat(shown.picture[outside][None], 5, 0))
    subject = find_subject(shown.picture[None], 0, BOX)
    motion = torch.zeros(5, 8)
    motion[:, 0] = torch.linspace(-0.1, 0.1, 5)
    with torch.inference_mode():
        x0 = 0.1 * torch.randn(16, 5, 16, 16, generator=torch.Generator().manual_seed(0))
        view = shown.scene.look(0, motion)
        clip = subject.paster("full")(shown.scene.decode(x0, view), 0)
        live = shown.whole(shown.paint(x0, motion)[0])
    assert np.abs(live.astype(int) - clip).mean() < 1.5  # the picture is sampled once, not three times


def test_fewer_frames_are_painted_where_a_machine_is_slow(shown: LivePortrait) -> None:
    sound = sound_of(18)
    all_of_them = run(shown, sound, lambda: len(sound))
    session = LiveSession(shown)
    session.paint_every = 2
    session.add(sound)
    session.finish()
    assert session.next_frame == 0
    made = list(session.chunks())
    assert [(c.n_frames, len(c.parts), c.every) for c in made] == [(5, 3, 2)] * 3 + [(3, 2, 2)]
    for one, every in zip(made, all_of_them, strict=True):
        assert np.abs(one.parts.astype(int) - every.parts[::2]).mean() < 1  # the net is asked of other frames


def test_no_sound_makes_no_frames(shown: LivePortrait) -> None:
    session = LiveSession(shown)
    session.finish()
    assert not list(session.chunks())


@pytest.mark.parametrize(
    "samples",
    [np.zeros((2, 10), np.float32), np.zeros(10, np.int16), np.array([0.0, np.nan], np.float32), np.array([1e9])],
)
def test_what_is_no_sound_is_refused(shown: LivePortrait, samples: np.ndarray) -> None:
    session = LiveSession(shown)
    with pytest.raises(BadInput, match="Live sound"):
        session.add(samples)
    session.add(sound_of(8))  # and the session goes on
    assert len(list(session.chunks())) == 1


def test_what_cannot_be_done_live_is_refused(shown: LivePortrait, tiny_model: Model, tiny_base: Model) -> None:
    with pytest.raises(BadInput, match="sync_guidance"):
        LivePortrait(tiny_model, shown.picture, GenerateOptions(face_box=BOX, sync_guidance=0.2))
    with pytest.raises(BadInput, match="cannot speak live"):
        LivePortrait(tiny_base, shown.picture, OPTIONS)
    for sizes in ({"chunk_frames": 0}, {"ahead_frames": 8}):
        with pytest.raises(BadInput, match="chunk_frames"):
            LiveSession(shown, **sizes)
    session = LiveSession(shown)
    session.finish()
    with pytest.raises(BadInput, match="finished"):
        session.add(sound_of(1))


def test_the_gate_opens_as_for_a_whole_clip(tiny_model: Model, voice_samples: np.ndarray) -> None:
    quiet = np.random.default_rng(0).normal(size=16_000).astype(np.float32) * 1e-4
    sound = np.concatenate([quiet, voice_samples, quiet, voice_samples, quiet])
    n = len(sound) // SAMPLES_PER_FRAME
    whole, hearing = speech_gate(sound, n), LiveHearing(tiny_model, GenerateOptions(), AHEAD_FRAMES)
    hearing.sound.add(sound)
    live = np.concatenate([hearing.hear(i, i + 5)[1] for i in range(0, n - 8, 5)])
    assert whole.max() == 1.0 and whole[: len(live)].min() == 0.0
    assert np.abs(live - whole[: len(live)]).mean() < 0.05


def test_a_large_portrait_is_made_smaller() -> None:
    assert fitted(np.zeros((1000, 2001, 3), np.uint8), 512).shape == (256, 512, 3)
    assert fitted(np.zeros((101, 64, 3), np.uint8), 512).shape == (100, 64, 3)


def test_an_async_generator_gives_the_same(shown: LivePortrait) -> None:
    sound = sound_of(23)

    async def pieces() -> AsyncIterator[np.ndarray]:
        for start in range(0, len(sound), 1500):
            yield sound[start : start + 1500]

    async def collect() -> list[LiveChunk]:
        return [chunk async for chunk in stream(LiveSession(shown, "sad"), pieces())]

    found, wanted = asyncio.run(collect()), run(shown, sound, lambda: len(sound), emotion="sad")
    assert all(np.array_equal(a.parts, b.parts) for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("has_adapter", [False, True])
def test_a_style_moves_the_head_and_by_the_adapter_the_face(shown: LivePortrait, tiny: Any, has_adapter: bool) -> None:
    model, sound = shown.model, sound_of(8)
    if has_adapter:
        adapter = tiny.net("style")
        with torch.no_grad():
            adapter.attentions[0].attention.to_out.weight.normal_(0, 0.2)
        model = replace(model, denoiser=copy.deepcopy(model.denoiser))
        model.denoiser.add_style(adapter)

    def made(style: Style | None, strength: float = 1.0) -> np.ndarray:
        options = replace(OPTIONS, style_strength=strength)
        portrait = LivePortrait(model, shown.picture, options, style=style)
        return np.concatenate([chunk.parts for chunk in run(portrait, sound, lambda: len(sound))])

    nobody, swaying, smiling = made(None), Style.of({"gestures": 2.0}), Style.of({"smile": 2.0})
    assert np.array_equal(made(swaying, strength=0.0), nobody)
    assert not np.array_equal(made(swaying), nobody)
    assert np.array_equal(made(smiling), nobody) is not has_adapter
