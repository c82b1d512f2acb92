"""A reference picture in the training frame and a performance in, frames in the training frame out.

This is where nets and sampling meet. `pipeline` puts files, faces and words around it; `metrics.evaluate` drives it
with the ground truth of corpus clips instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .checkpoints import Model
from .config import SAMPLE_RATE_HZ
from .emotion.taxonomy import MOTION
from .head import DECODE_FRAMES, Head
from .media.audio import MEL_STEPS_PER_FRAME, SAMPLES_PER_FRAME, fit_length, log_mel
from .request import Cancel, GenerateOptions, OnProgress, Progress
from .sampling.guidance import Conditions, SyncGuide
from .sampling.sampler import ConditionSource, Known, OnStep, SamplerOptions, Wavefront, draw_noise

MOUTH_CELLS = (0.3125, 0.625, 0.6875, 0.9375)
"""x0, y0, x1, y1 in frame widths of what SyncNet guidance may move: inner mouth and jaw, not the lip corners."""


@dataclass(frozen=True)
class Performance:
    """What a head is asked to do, per frame.

    samples  [N]      float32 mono 16 kHz; cut or padded with silence to T frames
    voice    [T]      0 .. 1: how far the mouth follows the sound; 0 is a mouth at rest
    code     [T, 27]  emotion code
    motion   [T, 8]   taxonomy.MOTION, relative to the reference
    """

    samples: np.ndarray
    voice: np.ndarray
    code: np.ndarray
    motion: np.ndarray

    @property
    def n_frames(self) -> int:
        return len(self.code)


Crops = Callable[[int, int], np.ndarray]
"""(first frame, frame after the last) -> the training frames they are made from, uint8 [T, size, size, 3]."""
Reference = np.ndarray | Crops
"""One picture in the training frame, uint8 [size, size, 3], for the whole clip, or a picture for every frame."""


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
        yield start, np.concatenate(list(animation.frames(start, x0)))


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
            self.head, crops = open_reference(model, reference)
            self.stage = Stage(self.head, performance, options, crops)
            total = performance.n_frames * (options.steps + is_decoded)
            self.counter = _Counter(self.head, total, on_progress)
            self.wave = self.stage.wavefront(self.counter.sampled, cancel)

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

    def frames(self, start: int, x0: Tensor, at_once: int = DECODE_FRAMES) -> Iterator[np.ndarray]:
        """Decode the segment that was sampled last, at most `at_once` frames at a time: uint8 [t, size, size, 3]."""
        return self._decoded(x0, at_once, *self.stage.take(start, start + x0.shape[1]))

    def skip(self, start: int, x0: Tensor) -> None:
        """Let go of the segment that was sampled last, instead of decoding it."""
        self.stage.take(start, start + x0.shape[1])
        self.counter.decoded(x0.shape[1])

    def _decoded(
        self, x0: Tensor, at_once: int, motion: Tensor, turned: Tensor, pictures: np.ndarray | None
    ) -> Iterator[np.ndarray]:
        for first in range(0, x0.shape[1], at_once):
            part = slice(first, first + at_once)
            with self._timed("decode"):
                shown = None if pictures is None else pictures[part]
                frames = self.head.decode(x0[:, part].to(self.model.device), motion[part], turned[part], shown)
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
            self.counter.total = known.shape[1] * self.options.steps + stop - start
            source = ConditionSource(known.shape[1], lambda a, b: self.stage.conditions(first + a, first + b))
            held = Known(known.to(device), is_held.to(device))
            x0 = self.stage.wavefront(self.counter.sampled, self.cancel, source, held).advance(known.shape[1])
            self.stage.take(first, start)
        return x0[:, inside].cpu()

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on after the segments that were handed out; the same inputs belong to it."""
        return {**self.wave.state(), "turned": self.stage.waiting.cpu().clone()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from a state, to the bit as if nothing had been in between."""
        with torch.inference_mode():
            self.wave.restore({name: value for name, value in state.items() if name != "turned"})
            self.stage.wait(self.wave.first, state["turned"])
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
    for start, x0 in animation:
        animation.stage.take(start, start + x0.shape[1])  # lets go of what only decoding needs
        pieces.append(x0)
    return torch.cat(pieces, dim=1)


def decode_latents(
    model: Model, reference: Reference, x0: Tensor, motion: np.ndarray, segment_frames: int = 50, first: int = 0
) -> Iterator[tuple[int, np.ndarray]]:
    """The second half of `animate`: (start, frames uint8 [T, size, size, 3]) of latents and their motion [T, 8].

    first  number in the clip of the first frame that is given; `start` counts from it
    """
    with torch.inference_mode():
        head, crops = open_reference(model, reference)
    for start in range(0, x0.shape[1], segment_frames):
        part = slice(start, min(start + segment_frames, x0.shape[1]))
        pictures = crops(first + part.start, first + part.stop) if crops is not None else None
        with torch.inference_mode():
            moved = torch.from_numpy(motion[part]).to(model.device)
            frames = head.decode(x0[:, part].to(model.device), moved, head.turn(moved, pictures), pictures)
        yield start, frames


def open_reference(model: Model, reference: Reference) -> tuple[Head, Crops | None]:
    """The head of a reference, and where every frame has its own picture, those."""
    if isinstance(reference, np.ndarray):
        return Head(model, reference), None
    return Head(model, reference(0, 1)), reference


def sampler_options(model: Model, options: GenerateOptions) -> SamplerOptions:
    """The sampler's share of the options; lips above 1 add to the weight of the sound."""
    return SamplerOptions(
        steps=options.steps,
        shift=options.shift,
        guidance_audio=options.guidance_audio + max(0.0, options.lips - 1.0),
        guidance_emotion=options.guidance_emotion,
        window_frames=options.window_frames or model.config.denoiser.window_frames,
        batch_windows=options.batch_windows,
        segment_frames=options.segment_frames,
        sync_range=(options.sync_low, options.sync_high),
    )


class Stage:
    """Conditions of any run of frames, computed when they are asked for, so that memory does not grow with the clip."""

    def __init__(
        self, head: Head, performance: Performance, options: GenerateOptions, crops: Crops | None = None
    ) -> None:
        self.head, self.performance, self.options, self.crops = head, performance, options, crops
        self.model = model = head.model
        audio = model.config.audio
        self.margin = audio.tokens_per_frame + audio.layers * (audio.layers + 1) // 2 + 2
        quiet = np.zeros((2 * self.margin + 1) * SAMPLES_PER_FRAME, np.float32)
        self.silence = self._encode(log_mel(quiet))[self.margin]
        cells, channels = head.latents.shape[-1], model.config.denoiser.latent_channels
        mask = torch.ones(1, 1, cells, cells, device=model.device)
        masked = torch.zeros(channels, 1, cells, cells, device=model.device)
        self.everything = torch.cat([mask, masked])
        self.latent_scale = model.denoiser.latent_scale.float()[:, None, None, None]
        self.waiting = torch.zeros(0, channels, cells, cells, device=model.device)
        self.pictures = head.picture[:0]
        self.null = model.emotion_encoder.null(1, 1)[0, 0].float()

    def net(self, *inputs: Tensor) -> Tensor:
        """The denoiser, at its own precision inside and float32 outside."""
        strengths = self.options.stda_strength, self.options.tfrm_strength
        return self.model.denoiser(*(x.to(self.model.dtype) for x in inputs), strengths=strengths).float()

    def wavefront(
        self,
        on_step: OnStep | None,
        cancel: Cancel | None,
        source: ConditionSource | None = None,
        known: Known | None = None,
    ) -> Wavefront:
        """The sampler of the clip, or of the part of it that `source` reads."""
        config = self.model.config.denoiser
        return Wavefront(
            self.net,
            config,
            source or ConditionSource(self.performance.n_frames, self.conditions),
            draw_noise(config, self.options.seed).to(self.model.device),
            sampler_options(self.model, self.options),
            self.sync_guide() if self.options.sync_guidance > 0 else None,
            on_step,
            cancel,
            known,
        )

    def _encode(self, mel: np.ndarray) -> Tensor:
        """Log-mel [4 T, 80] -> tokens [T, S, D_a]."""
        given = torch.from_numpy(mel)[None].to(self.model.device, self.model.dtype)
        return self.model.audio_encoder(given)[0].float()

    def conditions(self, start: int, stop: int) -> Conditions:
        """Everything the frames start .. stop - 1 are generated from."""
        device = self.model.device
        first, last = max(0, start - self.margin), min(self.performance.n_frames, stop + self.margin)
        samples = self.performance.samples[first * SAMPLES_PER_FRAME : last * SAMPLES_PER_FRAME]
        mel = log_mel(fit_length(samples, last - first))
        tokens = self._encode(mel)[start - first : stop - first]
        voice = torch.from_numpy(np.asarray(self.performance.voice[start:stop], np.float32)).to(device)
        amount = (voice * min(self.options.lips, 1.0))[:, None, None]
        code = torch.from_numpy(np.asarray(self.performance.code[start:stop], np.float32)).to(device)
        motion = torch.from_numpy(np.asarray(self.performance.motion[start:stop], np.float32)).to(device)
        sync_audio = self._sync_audio(mel, start - first, stop - start) if self.options.sync_guidance > 0 else None
        pictures = None if self.crops is None else self.crops(start, stop)
        turned = self.head.turn(motion, pictures)
        self.waiting = torch.cat([self.waiting, turned])
        self.pictures = self.pictures if pictures is None else np.concatenate([self.pictures, pictures])
        everything = self.everything.expand(-1, stop - start, -1, -1)
        return Conditions(
            context=torch.cat([everything, turned.transpose(0, 1) / self.latent_scale]),
            audio=self.silence + amount * (tokens - self.silence),
            emotion=self.model.emotion_encoder(code[None].to(self.model.dtype))[0].float(),
            null_emotion=self.null,
            motion=motion,
            motion_known=torch.ones(stop - start, device=device),
            sync_audio=sync_audio,
            voice=voice,
        )

    def take(self, start: int, stop: int) -> tuple[Tensor, Tensor, np.ndarray | None]:
        """Motion [T, 8], latents of the turned reference [T, C, h, w] and own pictures of the next frames to decode."""
        motion = torch.from_numpy(np.asarray(self.performance.motion[start:stop], np.float32)).to(self.model.device)
        n_frames = stop - start
        turned, self.waiting = self.waiting[:n_frames], self.waiting[n_frames:].clone()
        if self.crops is None:
            return motion, turned, None
        pictures, self.pictures = self.pictures[:n_frames], self.pictures[n_frames:].copy()
        return motion, turned, pictures

    def wait(self, start: int, turned: Tensor) -> None:
        """Put back what waits to be decoded, from frame `start` on."""
        self.waiting = turned.to(self.model.device)
        if self.crops is not None and len(turned):
            self.pictures = self.crops(start, start + len(turned))

    def to_latents(self, x0: Tensor, context: Tensor) -> Tensor:
        """x0 [C, T, h, w] -> latents of the same shape, given the context of its frames."""
        scale = self.head.scale[:, None].clone()  # gradients pass here, and a tensor of inference mode would forbid it
        return x0 * scale + context[-x0.shape[0] :] * self.latent_scale

    def _sync_audio(self, mel: np.ndarray, skip: int, n_frames: int) -> Tensor:
        """SyncNet embeddings [T, D] of the sound that starts at each of `n_frames` frames, `skip` frames into mel."""
        config = self.model.config.syncnet
        steps = MEL_STEPS_PER_FRAME * config.frames + 2 * config.mel_context
        beyond = np.zeros(steps * SAMPLE_RATE_HZ // 100, np.float32)
        quiet = torch.from_numpy(log_mel(beyond))[:1]
        whole = torch.cat([quiet.expand(config.mel_context, -1), torch.from_numpy(mel), quiet.expand(steps, -1)])
        begin = skip * MEL_STEPS_PER_FRAME
        windows = whole[begin:].unfold(0, steps, MEL_STEPS_PER_FRAME)[:n_frames].transpose(1, 2)
        return self.model.syncnet.embed_audio(windows.to(self.model.device))

    def sync_guide(self) -> SyncGuide:
        """SyncNet guidance with this model's own SyncNet."""
        model = self.model
        return SyncGuide(
            embed_frames=model.syncnet.embed_frames,
            to_latents=self.to_latents,
            mouth=box_cells(MOUTH_CELLS, self.head.latents.shape[-1]).to(model.device),
            strength=self.options.sync_guidance,
            real_cosine=model.real_cosine,
            n_frames=model.config.syncnet.frames,
        )


def box_cells(box: tuple[float, float, float, float], cells: int) -> Tensor:
    """[cells, cells]: 1 inside a box given in frame widths, 0 outside."""
    x0, y0, x1, y1 = (round(edge * cells) for edge in box)
    mask = torch.zeros(cells, cells)
    mask[y0:y1, x0:x1] = 1
    return mask


class _Counter:
    """Turns the sampler's ticks and the decoded frames into Progress."""

    def __init__(self, head: Head, total: int, on_progress: OnProgress | None) -> None:
        self.head, self.on_progress, self.total = head, on_progress, total
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
                    return self.head.decode(latest, latest.new_zeros(1, len(MOTION)), self.head.latents.float())[0]

            self.on_progress(Progress(stage, self.n_sampled + self.n_decoded, self.total, preview))
