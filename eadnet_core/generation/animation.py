"""A reference picture in the training frame and a performance in, frames in the training frame out.

This is where nets and sampling meet. `pipeline` puts files, faces and words around it; `metrics.evaluate` drives it
with the ground truth of corpus clips instead.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..families.decoding import DECODE_FRAMES, side_by_side
from ..families.family import Model, Scene, sampler_options
from ..families.performance import Performance as Performance
from ..families.performance import Source, View
from ..nets.adapters import Strengths
from ..nets.denoiser import Denoiser
from ..request import Cancel, GenerateOptions, OnProgress, Progress
from ..sampling.conditions import FrameConditions
from ..sampling.guidance import Place
from ..sampling.sampler import ConditionSource, Known, OnStep, Wavefront, draw_noise

if TYPE_CHECKING:
    from ..nets.latentsync.denoiser import LatentSyncDenoiser
    from ..nets.latentsync.fast import FastDenoiser

    AnyDenoiser = Denoiser | LatentSyncDenoiser | FastDenoiser

VIEW, DEEP = "view.", "deep."
"""Before the keys of views and of features in a state."""


@dataclass(frozen=True)
class Latents:
    """Frames of a clip that are sampled and not yet decoded.

    start  number of the first in the clip
    x0     [C, T, h, w]  on the CPU
    view   what they are decoded with
    """

    start: int
    x0: Tensor
    view: View

    @property
    def n_frames(self) -> int:
        return self.x0.shape[1]


def animate(
    model: Model,
    reference: Source,
    performance: Performance,
    options: GenerateOptions,
    on_progress: OnProgress | None = None,
    cancel: Cancel | None = None,
    seconds: dict[str, float] | None = None,
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (start, frames uint8 [T, size, size, 3]) for one segment after the other.

    seconds    wall time by stage is added to it
    """
    animation = Animation(model, reference, performance, options, on_progress, cancel, seconds)
    for latents in animation:
        yield latents.start, np.concatenate(list(animation.frames(latents)))
        del latents  # its view would be held while the next segment is sampled


class Animation:
    """A clip in the making: segments of x0 in order, the frames of each, and a state to go on from later."""

    def __init__(
        self,
        model: Model,
        reference: Source,
        performance: Performance,
        options: GenerateOptions,
        on_progress: OnProgress | None = None,
        cancel: Cancel | None = None,
        seconds: dict[str, float] | None = None,
        is_decoded: bool = True,
    ) -> None:
        """`is_decoded` says whether decoding counts as one more step of the progress."""
        self.model, self.performance, self.options, self.cancel = model, performance, options, cancel
        self.seconds = {} if seconds is None else seconds
        with self._timed("encode"):
            scene = model.family.scene(model, reference, options)
            self.stage = Stage(model, scene, performance, options)
            self.steps = sampler_options(model, options).steps
            self.counter = _Counter(scene, performance.n_frames * (self.steps + is_decoded), on_progress)
            self.denoiser = scene.denoiser()
            self.wave = self.stage.wavefront(self.denoiser, self.counter.sampled, cancel)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        """Without gradients, and with the time it takes added to a stage."""
        began = time.perf_counter()
        with torch.inference_mode():
            yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - began

    def __iter__(self) -> Iterator[Latents]:
        """Every segment that is not sampled yet, in order."""
        while self.wave.first < self.performance.n_frames:
            with self._timed("sample"):
                start = self.wave.first
                stop = min(start + self.options.segment_frames, self.performance.n_frames)
                x0, conditions = self.wave.advance(stop)
                latents = Latents(start, x0.cpu(), conditions.view)
                del x0, conditions  # they would be held while the next segment is sampled
            yield latents
            del latents

    def begin(self, start: int) -> None:
        """Have `start` be the first frame; the segments from there on are those of the whole clip."""
        with self._timed("sample"):
            self.wave.begin(start)
        self.counter.n_sampled, self.counter.n_decoded = sum(self.wave.reached), start

    def frames(self, latents: Latents, at_once: int = DECODE_FRAMES) -> Iterator[np.ndarray]:
        """Decode a segment, at most `at_once` frames at a time: uint8 [t, size, size, 3]."""
        starts = range(0, latents.n_frames, at_once)
        jobs = (partial(self._decoded, latents, slice(first, first + at_once)) for first in starts)
        parts = side_by_side(jobs, self.model.device) if self.stage.scene.is_still else (job() for job in jobs)
        for _ in starts:
            with self._timed("decode"):
                frames = next(parts)
            self.counter.decoded(len(frames))
            yield frames

    def _decoded(self, latents: Latents, part: slice) -> np.ndarray:
        view = {name: value[part] for name, value in latents.view.items()}
        return self.stage.scene.decode(latents.x0[:, part].to(self.model.device), view)

    @property
    def n_read(self) -> int:
        """Frames whose motion, voice and emotion have been looked at: those from there on may still change."""
        return self.wave.first + self.wave.x.shape[1]

    def follow(self, performance: Performance) -> None:
        """Sample the frames from `n_read` on by another performance of the same sound."""
        self.performance = self.stage.performance = performance

    def skip(self, latents: Latents) -> None:
        """Count a segment that is not to be decoded as done."""
        self.counter.decoded(latents.n_frames)

    def resample(self, start: int, stop: int, first: int, known: Tensor) -> Latents:
        """Frames start .. stop - 1 made anew, between neighbours that are given.

        known  [C, T, h, w]  x0 of the frames from `first` on, on both sides of start .. stop - 1
        """
        with self._timed("sample"):
            inside, device = slice(start - first, stop - first), self.model.device
            is_held = torch.ones(known.shape[1], dtype=torch.bool)
            is_held[inside] = False
            self.counter.total = known.shape[1] * self.steps + stop - start
            source = ConditionSource(known.shape[1], lambda a, b: self.stage.conditions(first + a, first + b))
            held = Known(known.to(device), is_held.to(device))
            denoiser = self.stage.scene.denoiser()
            wave = self.stage.wavefront(denoiser, self.counter.sampled, self.cancel, source, held)
            x0, conditions = wave.advance(known.shape[1])
        return Latents(start, x0[:, inside].cpu(), conditions.frames(inside.start, inside.stop).view)

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on after the segments that were handed out; the same inputs belong to it."""
        conditions = self.wave.conditions
        kept = {} if conditions is None else self.stage.scene.kept(conditions.view)
        fast = _fast(self.denoiser)
        deep = fast.state() if fast else {}
        named = {f"{VIEW}{n}": v for n, v in kept.items()} | {f"{DEEP}{n}": v for n, v in deep.items()}
        return {**self.wave.state(), **{name: value.cpu().contiguous().clone() for name, value in named.items()}}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from a state, to the bit as if nothing had been in between."""
        kept = {name.removeprefix(VIEW): value for name, value in state.items() if name.startswith(VIEW)}
        deep = {name.removeprefix(DEEP): value for name, value in state.items() if name.startswith(DEEP)}
        wave = {name: value for name, value in state.items() if not name.startswith((VIEW, DEEP))}
        with torch.inference_mode():
            if fast := _fast(self.denoiser):
                fast.restore(deep, self.model.device)
            start, stop = Wavefront.in_flight(wave)
            self.wave.restore(wave, self.stage.view(start, stop, kept) if stop > start else {})
        self.counter.n_sampled, self.counter.n_decoded = sum(self.wave.reached), self.wave.first


def _fast(denoiser: AnyDenoiser) -> FastDenoiser | None:
    """A base's denoiser that keeps its deep layers from step to step; for a mini, nothing of a base is imported."""
    if isinstance(denoiser, Denoiser):
        return None
    from ..nets.latentsync.fast import FastDenoiser

    return denoiser if isinstance(denoiser, FastDenoiser) else None


def sample_latents(
    model: Model,
    reference: Source,
    performance: Performance,
    options: GenerateOptions,
    on_progress: OnProgress | None = None,
    cancel: Cancel | None = None,
) -> Tensor:
    """The first half of `animate`: x0 [C, T, h, w] of the whole clip, on the CPU, for `decode_latents`."""
    animation = Animation(model, reference, performance, options, on_progress, cancel, is_decoded=False)
    return torch.cat(list(map(attrgetter("x0"), animation)), dim=1)


def decode_latents(
    model: Model,
    reference: Source,
    x0: Tensor,
    motion: np.ndarray,
    options: GenerateOptions,
    segment_frames: int = 50,
    first: int = 0,
) -> Iterator[tuple[int, np.ndarray]]:
    """The second half of `animate`: (start, frames uint8 [T, size, size, 3]) of latents and their motion [T, 8].

    options  those that the latents were sampled with
    first    number in the clip of the first frame that is given; `start` counts from it
    """
    with torch.inference_mode():
        scene = model.family.scene(model, reference, options)
    for start in range(0, x0.shape[1], segment_frames):
        part = slice(start, min(start + segment_frames, x0.shape[1]))
        with torch.inference_mode():
            view = scene.look(first + start, torch.from_numpy(motion[part]).to(model.device))
            frames = scene.decode(x0[:, part].to(model.device), view)
        yield start, frames


def strengths_of(options: GenerateOptions) -> Strengths:
    """How much each adapter counts."""
    return Strengths(options.stda_strength, options.tfrm_strength, options.identity_strength, options.style_strength)


class Stage:
    """Conditions of any run of frames, computed when they are asked for, so that memory does not grow with the clip."""

    def __init__(self, model: Model, scene: Scene, performance: Performance, options: GenerateOptions) -> None:
        self.model, self.scene, self.performance, self.options = model, scene, performance, options
        self.audio_features = scene.audio_features(performance, options)
        self.null = self._emotion(None, 1)[0]
        style = performance.style if model.has_style else None
        self.style = None if style is None else torch.from_numpy(style).to(model.device)

    def net(
        self,
        denoiser: AnyDenoiser,
        sample: Tensor,
        time: Tensor,
        conditions: FrameConditions,
        place: Place | None = None,
    ) -> Tensor:
        """The denoiser, at its own precision inside and float32 outside; times keep theirs, which are up to 999."""
        dtype, strengths = self.model.dtype, strengths_of(self.options)
        return denoiser(sample.to(dtype), time, conditions.to(dtype), place, strengths=strengths).float()

    def wavefront(
        self,
        denoiser: AnyDenoiser,
        on_step: OnStep | None = None,
        cancel: Cancel | None = None,
        source: ConditionSource | None = None,
        known: Known | None = None,
    ) -> Wavefront:
        """The sampler of the clip, or of the part of it that `source` reads; it has the denoiser to itself."""
        config, options = self.model.config.denoiser, self.options
        return Wavefront(
            partial(self.net, denoiser),
            config,
            source or ConditionSource(self.performance.n_frames, self.conditions),
            draw_noise(config, options.seed).to(self.model.device),
            sampler_options(self.model, options),
            self.scene.sync_guide(options.sync_guidance) if options.sync_guidance > 0 else None,
            on_step,
            cancel,
            known,
        )

    def conditions(self, start: int, stop: int) -> FrameConditions:
        """Everything the frames start .. stop - 1 are generated from."""
        device = self.model.device
        motion = self._motion(start, stop)
        voice = torch.from_numpy(np.asarray(self.performance.voice[start:stop], np.float32)).to(device)
        view = self.scene.look(start, motion)
        return FrameConditions(
            context=self.scene.context(view),
            audio=self.audio_features.tokens(start, stop, voice),
            emotion=self._emotion(self.performance.code[start:stop], stop - start),
            null_emotion=self.null,
            motion=motion,
            motion_known=torch.ones(stop - start, device=device),
            style=self.style,
            sync_audio=self.audio_features.sync(start, stop) if self.options.sync_guidance > 0 else None,
            voice=voice,
            view={name: value.contiguous() for name, value in view.items()},
        )

    def view(self, start: int, stop: int, kept: View) -> View:
        """What the frames start .. stop - 1 are decoded with, made again around what was `kept` of it."""
        return self.scene.look(start, self._motion(start, stop), kept)

    def _motion(self, start: int, stop: int) -> Tensor:
        motion = np.asarray(self.performance.motion[start:stop], np.float32)
        return torch.from_numpy(motion).to(self.model.device)

    def _emotion(self, code: np.ndarray | None, n_frames: int) -> Tensor:
        """Tokens [T, E, D_e] of codes [T, 27], or of "no emotion given"; none at all for a model that hears none."""
        encoder, device = self.model.emotion_encoder, self.model.device
        if encoder is None:
            return torch.zeros(n_frames, 0, self.model.config.denoiser.emotion_width, device=device)
        if code is None:
            return encoder.null(1, n_frames)[0].float()
        given = torch.from_numpy(np.asarray(code, np.float32)).to(device)
        return encoder(given[None].to(self.model.dtype))[0].float()


class _Counter:
    """Turns the sampler's ticks and the decoded frames into Progress."""

    def __init__(self, scene: Scene, total: int, on_progress: OnProgress | None) -> None:
        self.scene, self.on_progress, self.total = scene, on_progress, total
        self.n_sampled = self.n_decoded = 0
        self.latest: Any = None

    def sampled(self, done: int, total: int, x0: Tensor) -> None:
        self.n_sampled, self.latest = done, x0[:, -1:]
        self._tell("sample")

    def decoded(self, n_frames: int) -> None:
        self.n_decoded += n_frames
        self._tell("decode")

    def _tell(self, stage: str) -> None:
        if self.on_progress is not None:
            latest = self.latest

            def preview() -> np.ndarray:
                with torch.inference_mode():
                    return self.scene.preview(latest)

            self.on_progress(Progress(stage, self.n_sampled + self.n_decoded, self.total, preview))
