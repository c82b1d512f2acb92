"""A reference picture in the training frame and a performance in, frames in the training frame out.

This is where nets and sampling meet. `pipeline` puts files, faces and words around it; `metrics.evaluate` drives it
with the ground truth of corpus clips instead.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .checkpoints import Model
from .config import SAMPLE_RATE_HZ
from .emotion.taxonomy import MOTION
from .media.audio import MEL_STEPS_PER_FRAME, SAMPLES_PER_FRAME, fit_length, log_mel
from .media.pose import turn_head
from .request import Cancel, GenerateOptions, OnProgress, Progress
from .sampling.guidance import Conditions, SyncGuide
from .sampling.sampler import ConditionSource, OnStep, SamplerOptions, draw_noise, sample_segments

MOUTH_CELLS = (0.3125, 0.625, 0.6875, 0.9375)
"""x0, y0, x1, y1 in frame widths of what SyncNet guidance may move: inner mouth and jaw, not the lip corners."""
DECODE_FRAMES = 8
LOWPASS_SIGMA = 1 / 32
"""Of the colour correction, in frame widths: finer detail would ghost where the head moves."""


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


def animate(
    model: Model,
    reference: np.ndarray,
    performance: Performance,
    options: GenerateOptions,
    on_progress: OnProgress | None = None,
    cancel: Cancel | None = None,
    seconds: dict[str, float] | None = None,
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (start, frames uint8 [T, size, size, 3]) for one segment after the other.

    reference  uint8 [size, size, 3], in the training frame; or [T, size, size, 3], one for every frame
    seconds    wall time by stage is added to it
    """
    seconds = {} if seconds is None else seconds
    began = time.perf_counter()
    with torch.inference_mode():
        head = Head(model, reference)
        stage = _Stage(head, performance, options)
        counter = _Counter(head, performance.n_frames * (options.steps + 1), on_progress)
        segments = stage.segments(counter.sampled, cancel)
    _add(seconds, "encode", began)
    while True:
        began = time.perf_counter()
        with torch.inference_mode():
            found = next(segments, None)
            _add(seconds, "sample", began)
            if found is None:
                return
            began = time.perf_counter()
            start, x0 = found
            frames = head.decode(x0, *stage.turned(start, start + x0.shape[1]), start)
        _add(seconds, "decode", began)
        counter.decoded(len(frames))
        yield start, frames


def sample_latents(
    model: Model,
    reference: np.ndarray,
    performance: Performance,
    options: GenerateOptions,
    on_progress: OnProgress | None = None,
    cancel: Cancel | None = None,
) -> Tensor:
    """The first half of `animate`: x0 [C, T, h, w] of the whole clip, on the CPU, for `decode_latents`."""
    with torch.inference_mode():
        head = Head(model, reference)
        counter = _Counter(head, performance.n_frames * options.steps, on_progress)
        stage, pieces = _Stage(head, performance, options), []
        for start, x0 in stage.segments(counter.sampled, cancel):
            stage.turned(start, start + x0.shape[1])  # lets go of what only decoding needs
            pieces.append(x0.cpu())
        return torch.cat(pieces, dim=1)


def decode_latents(
    model: Model, reference: np.ndarray, x0: Tensor, motion: np.ndarray, segment_frames: int = 50
) -> Iterator[tuple[int, np.ndarray]]:
    """The second half of `animate`: (start, frames uint8 [T, size, size, 3]) of latents and their motion [T, 8]."""
    with torch.inference_mode():
        head = Head(model, reference)
    for start in range(0, x0.shape[1], segment_frames):
        part = slice(start, start + segment_frames)
        with torch.inference_mode():
            moved = torch.from_numpy(motion[part]).to(model.device)
            frames = head.decode(x0[:, part].to(model.device), moved, head.turn(moved, start), start)
        yield start, frames


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


def _add(seconds: dict[str, float], stage: str, began: float) -> None:
    seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - began


class Head:
    """A reference picture, encoded once, or one for every frame: from x0 (the residual to it) to finished frames."""

    def __init__(self, model: Model, reference: np.ndarray) -> None:
        self.model = model
        self.pictures = reference if reference.ndim == 4 else reference[None]
        self.latents, self.image_and_correction = self._read(self.pictures[:1])
        self.scale = model.denoiser.residual_scale.float()[:, None, None]

    def _read(self, pictures: np.ndarray) -> tuple[Tensor, Tensor]:
        """Latents [B, C, h, w] of uint8 pictures, and each in -1 .. 1 with its colour correction, [B, 6, H, W]."""
        image = to_unit(pictures, self.model.device).to(self.model.dtype)
        latents = self.model.vae.encode(image)[0]
        again = self.model.vae.decode(latents, image, latents)
        correction = low_pass((image - again).float(), LOWPASS_SIGMA * image.shape[-1])
        return latents, torch.cat([image, correction.to(self.model.dtype)], dim=1)

    def _of_frames(self, start: int, n_frames: int) -> Tensor:
        """Pictures and corrections that the frames from `start` on refer to, [1 or n_frames, 6, H, W]."""
        if len(self.pictures) == 1:
            return self.image_and_correction
        return self._read(self.pictures[start : start + n_frames])[1]

    def turn(self, motion: Tensor, start: int = 0) -> Tensor:
        """Latents [T, C, h, w] of the reference with its head turned by motion [T, 8], from frame `start` on."""
        pieces = []
        for part in motion.split(DECODE_FRAMES):
            pictures = self.pictures[start : start + len(part)] if len(self.pictures) > 1 else self.pictures
            image = to_unit(pictures, self.model.device).to(self.model.dtype)
            pieces.append(self.model.vae.encode(self._turned(image, part))[0])
            start += len(part)
        return torch.cat(pieces).float()

    def decode(self, x0: Tensor, motion: Tensor, turned: Tensor, start: int = 0) -> np.ndarray:
        """Finished frames from `start` on; a low-pass correction brings the reference's colours back.

        x0       [C, T, h, w]  residual to the turned reference
        motion   [T, 8]
        turned   [T, C, h, w]  what `turn` makes of that motion
        returns  uint8 [T, H, W, 3]
        """
        latents = x0.transpose(0, 1) * self.scale + turned
        pieces = []
        for part, moved, reference in zip(*(x.split(DECODE_FRAMES) for x in (latents, motion, turned)), strict=True):
            part = part.to(self.model.dtype).contiguous(memory_format=torch.channels_last)
            image, correction = self._turned(self._of_frames(start, len(part)), moved).chunk(2, dim=1)
            image = image.contiguous(memory_format=torch.channels_last)
            images = self.model.vae.decode(part, image, reference.to(self.model.dtype))
            pieces.append(to_pixels(images.float() + correction.float()))
            start += len(part)
        return np.concatenate(pieces)

    @staticmethod
    def _turned(picture: Tensor, motion: Tensor) -> Tensor:
        turned = turn_head(picture.expand(len(motion), -1, -1, -1), motion)
        return turned.contiguous(memory_format=torch.channels_last)


def to_unit(frames: np.ndarray, device: torch.device) -> Tensor:
    """uint8 [B, H, W, 3] -> float32 [B, 3, H, W] in -1 .. 1."""
    return torch.from_numpy(frames).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1.0


def to_pixels(images: Tensor) -> np.ndarray:
    """[B, 3, H, W] in -1 .. 1 -> uint8 [B, H, W, 3]."""
    pixels = images.add(1.0).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)
    return pixels.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def low_pass(images: Tensor, sigma_px: float) -> Tensor:
    """Gaussian blur of [B, C, H, W]; what lies beyond the border is its mirror image."""
    radius = max(1, min(round(3 * sigma_px), min(images.shape[-2:]) - 1))
    offsets = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma_px) ** 2)
    kernel = (kernel / kernel.sum()).expand(images.shape[1], 1, 1, -1)
    padded = F.pad(images, (radius,) * 4, mode="reflect")
    rows = F.conv2d(padded, kernel, groups=images.shape[1])
    return F.conv2d(rows, kernel.transpose(2, 3), groups=images.shape[1])


class _Stage:
    """Conditions of any run of frames, computed when they are asked for, so that memory does not grow with the clip."""

    def __init__(self, head: Head, performance: Performance, options: GenerateOptions) -> None:
        self.head, self.performance, self.options = head, performance, options
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
        self.null = model.emotion_encoder.null(1, 1)[0, 0].float()

    def net(self, *inputs: Tensor) -> Tensor:
        """The denoiser, at its own precision inside and float32 outside."""
        strengths = self.options.stda_strength, self.options.tfrm_strength
        return self.model.denoiser(*(x.to(self.model.dtype) for x in inputs), strengths=strengths).float()

    def segments(self, on_step: OnStep, cancel: Cancel | None) -> Iterator[tuple[int, Tensor]]:
        """Sample: (start, x0 [C, T, h, w]) for one segment after the other."""
        config = self.model.config.denoiser
        return sample_segments(
            self.net,
            config,
            ConditionSource(self.performance.n_frames, self.conditions),
            draw_noise(config, self.options.seed).to(self.model.device),
            sampler_options(self.model, self.options),
            self.sync_guide() if self.options.sync_guidance > 0 else None,
            on_step,
            cancel,
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
        turned = self.head.turn(motion, start)
        self.waiting = torch.cat([self.waiting, turned])
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

    def turned(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Motion [T, 8] and latents of the turned reference [T, C, h, w] of the next frames to be decoded."""
        motion = torch.from_numpy(np.asarray(self.performance.motion[start:stop], np.float32)).to(self.model.device)
        turned, self.waiting = self.waiting[: stop - start], self.waiting[stop - start :]
        return motion, turned

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
