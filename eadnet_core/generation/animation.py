"""A reference picture in the training frame and a performance in, frames in the training frame out.

This is where nets and sampling meet. `pipeline` puts files, faces and words around it; `metrics.evaluate` drives it
with the ground truth of corpus clips instead.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..families.family import Scene, sampler_options, scene_of
from ..families.mini import DECODE_FRAMES
from ..families.performance import Performance as Performance
from ..families.performance import Reference, View
from ..nets.acceleration import FastDenoiser
from ..nets.denoiser import Denoiser
from ..request import Cancel, GenerateOptions, OnProgress, Progress
from ..sampling.guidance import Conditions
from ..sampling.sampler import ConditionSource, Known, OnStep, Wavefront, draw_noise
from ..weights.model import Model

DEEP = "deep."
"""Before the keys of features in a state."""


def animate(
    model: Model,
    reference: Reference,
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
    for start, x0 in animation:
        yield start, np.concatenate(list(animation.frames(x0)))


class Animation:
    """A clip in the making: segments of x0 in order, the frames of each, and a state to go on from later."""

    def __init__(
        self,
        model: Model,
        reference: Reference,
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
            scene = scene_of(model)(model, reference, options)
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

    def __iter__(self) -> Iterator[tuple[int, Tensor]]:
        """(start, x0 [C, T, h, w] on the CPU) of every segment that is not sampled yet; ask for its frames at once."""
        while self.wave.first < self.performance.n_frames:
            with self._timed("sample"):
                start = self.wave.first
                stop = min(start + self.options.segment_frames, self.performance.n_frames)
                x0 = self.wave.advance(stop).cpu()
            yield start, x0

    def frames(self, x0: Tensor, at_once: int = DECODE_FRAMES) -> Iterator[np.ndarray]:
        """Decode the segment that was sampled last, at most `at_once` frames at a time: uint8 [t, size, size, 3]."""
        return self._decoded(x0, self.stage.take(x0.shape[1]), at_once)

    def skip(self, x0: Tensor) -> None:
        """Let go of the segment that was sampled last, instead of decoding it."""
        self.stage.take(x0.shape[1])
        self.counter.decoded(x0.shape[1])

    def _decoded(self, x0: Tensor, view: View, at_once: int) -> Iterator[np.ndarray]:
        for first in range(0, x0.shape[1], at_once):
            part = slice(first, first + at_once)
            with self._timed("decode"):
                frames = self.stage.scene.decode(
                    x0[:, part].to(self.model.device), {name: value[part] for name, value in view.items()}
                )
            self.counter.decoded(len(frames))
            yield frames

    def resample(self, start: int, stop: int, first: int, known: Tensor) -> Tensor:
        """x0 [C, stop - start, h, w] of these frames made anew, between neighbours that are given; for `frames`.

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
            x0 = self.stage.wavefront(denoiser, self.counter.sampled, self.cancel, source, held).advance(known.shape[1])
            self.stage.take(start - first)
        return x0[:, inside].cpu()

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on after the segments that were handed out; the same inputs belong to it."""
        kept = self.stage.scene.kept(self.stage.waiting) if self.stage.waiting else {}
        deep = self.denoiser.state() if isinstance(self.denoiser, FastDenoiser) else {}
        named = {f"view.{name}": value for name, value in kept.items()} | {f"{DEEP}{n}": v for n, v in deep.items()}
        return {**self.wave.state(), **{name: value.cpu().contiguous().clone() for name, value in named.items()}}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from a state, to the bit as if nothing had been in between."""
        kept = {name.removeprefix("view."): value for name, value in state.items() if name.startswith("view.")}
        deep = {name.removeprefix(DEEP): value for name, value in state.items() if name.startswith(DEEP)}
        with torch.inference_mode():
            if isinstance(self.denoiser, FastDenoiser):
                self.denoiser.restore(deep, self.model.device)
            self.wave.restore({name: v for name, v in state.items() if not name.startswith(("view.", DEEP))})
            self.stage.wait(self.wave.first, self.wave.x.shape[1], kept)
        self.counter.n_sampled, self.counter.n_decoded = sum(self.wave.reached), self.wave.first


def sample_latents(
    model: Model,
    reference: Reference,
    performance: Performance,
    options: GenerateOptions,
    on_progress: OnProgress | None = None,
    cancel: Cancel | None = None,
) -> Tensor:
    """The first half of `animate`: x0 [C, T, h, w] of the whole clip, on the CPU, for `decode_latents`."""
    animation = Animation(model, reference, performance, options, on_progress, cancel, is_decoded=False)
    pieces = []
    for _, x0 in animation:
        animation.stage.take(x0.shape[1])  # lets go of what only decoding needs
        pieces.append(x0)
    return torch.cat(pieces, dim=1)


def decode_latents(
    model: Model,
    reference: Reference,
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
        scene = scene_of(model)(model, reference, options)
    for start in range(0, x0.shape[1], segment_frames):
        part = slice(start, min(start + segment_frames, x0.shape[1]))
        with torch.inference_mode():
            view = scene.look(first + start, torch.from_numpy(motion[part]).to(model.device))
            frames = scene.decode(x0[:, part].to(model.device), view)
        yield start, frames


class Stage:
    """Conditions of any run of frames, computed when they are asked for, so that memory does not grow with the clip."""

    def __init__(self, model: Model, scene: Scene, performance: Performance, options: GenerateOptions) -> None:
        self.model, self.scene, self.performance, self.options = model, scene, performance, options
        self.ears = scene.ears(performance, options)
        self.waiting: View = {}
        self.null = self._emotion(None, 1)[0]

    def net(
        self, denoiser: Denoiser | FastDenoiser, sample: Tensor, time: Tensor, *inputs: Tensor, **told: Any
    ) -> Tensor:
        """The denoiser, at its own precision inside and float32 outside; times keep theirs, which are up to 999."""
        dtype, strengths = self.model.dtype, (self.options.stda_strength, self.options.tfrm_strength)
        given = (x.to(dtype) for x in inputs)
        return denoiser(sample.to(dtype), time, *given, strengths=strengths, **told).float()

    def wavefront(
        self,
        denoiser: Denoiser | FastDenoiser,
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

    def conditions(self, start: int, stop: int) -> Conditions:
        """Everything the frames start .. stop - 1 are generated from."""
        device = self.model.device
        motion = self._motion(start, stop)
        voice = torch.from_numpy(np.asarray(self.performance.voice[start:stop], np.float32)).to(device)
        view = self.scene.look(start, motion)
        before = self.waiting
        self.waiting = {
            name: torch.cat([before[name], value]) if name in before else value.contiguous()
            for name, value in view.items()
        }
        return Conditions(
            context=self.scene.context(view),
            audio=self.ears.tokens(start, stop, voice),
            emotion=self._emotion(self.performance.code[start:stop], stop - start),
            null_emotion=self.null,
            motion=motion,
            motion_known=torch.ones(stop - start, device=device),
            sync_audio=self.ears.sync(start, stop) if self.options.sync_guidance > 0 else None,
            voice=voice,
        )

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

    def take(self, n_frames: int) -> View:
        """What the next frames to decode were made from."""
        taken = {name: value[:n_frames] for name, value in self.waiting.items()}
        self.waiting = {name: value[n_frames:].clone() for name, value in self.waiting.items()}
        return taken

    def wait(self, start: int, n_frames: int, kept: View | None = None) -> None:
        """Put back what waits to be decoded, `n_frames` from frame `start` on."""
        self.waiting = self.scene.look(start, self._motion(start, start + n_frames), kept) if n_frames else {}


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
