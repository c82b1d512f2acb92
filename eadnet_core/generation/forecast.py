"""Time, memory and disk that a clip will take, from a trial of a few of its own frames; and what to lower."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..config import FPS
from ..families.decoding import DECODE_FRAMES
from ..families.family import Model, sampler_options
from ..families.mini import MiniScene
from ..families.performance import Performance, View
from ..machine import memory_bytes, peak_memory_bytes
from ..media.face.framing import SQUARE
from ..media.face.subject import Subject
from ..media.video.encoding import ALPHA_SUFFIXES, SOUND_BITS_PER_S
from ..media.video.files import VideoWriter
from ..request import GenerateOptions
from ..sampling.conditions import FrameConditions
from ..sampling.guidance import sync_steps
from ..sampling.sampler import ConditionSource, computed_frames, grid_of
from .acting import HELD_BYTES
from .animation import Animation, Latents
from .plan import decoded_reference

BASE_BYTES = 900_000_000
"""Resident size of Python, torch, the mini and the encoder on a CPU, where the system does not tell."""
OUTPUT_BYTES = 12_500_000
"""Finished full pictures that are made at a time; what does not fit is handed out in smaller segments."""
TRIAL_FRAMES, TRIAL_BYTES = 16, 100_000_000
"""Frames that are decoded, pasted and encoded in the trial, and bytes of their full pictures, of which two are made in
any case: a large portrait's frames take seconds each."""
KEY_FRAMES = 250
"""The encoder begins anew at least so often, which costs much more than a frame that refers to others."""


def pictures_at_once(width_px: int, height_px: int) -> int:
    """Full pictures of a size that are held at a time: as many as are decoded together, or what OUTPUT_BYTES hold.

    >>> pictures_at_once(512, 512), pictures_at_once(1080, 1080), pictures_at_once(7000, 7000)
    (8, 3, 1)
    """
    n_frames = max(1, OUTPUT_BYTES // (3 * width_px * height_px))
    return max(n_frames // DECODE_FRAMES * DECODE_FRAMES, min(n_frames, DECODE_FRAMES))


def trial_frames(width_px: int, height_px: int) -> int:
    """Frames of pictures of a size that a trial makes.

    >>> trial_frames(512, 512), trial_frames(2160, 2160), trial_frames(7000, 7000)
    (16, 7, 2)
    """
    return max(2, min(TRIAL_FRAMES, TRIAL_BYTES // (3 * width_px * height_px)))


@dataclass(frozen=True)
class Forecast:
    """What a clip will take; all but the number of frames are estimates from measured rates."""

    n_frames: int
    seconds: float
    memory_bytes: int
    """Of this process, at most, counted from the start of the process."""
    more_memory_bytes: int
    """How much of that is not in use yet."""
    vram_bytes: int
    """On a GPU, else 0."""
    output_bytes: int
    disk_bytes: int
    """At most, while segments and output are there together."""
    segment_frame_bytes: int
    """Memory that grows with segment_frames."""
    window_bytes: int
    """Memory that grows with batch_windows."""
    tiles_bytes: int = 0
    """Memory that is_tiled would spare, where the model knows it."""
    write_seconds: float = 0.0
    """Of `seconds`, what encoding takes."""
    latents_bytes: int = 0
    """Of `disk_bytes`, what is stored beside the video."""

    def __str__(self) -> str:
        vram = f" ({self.vram_bytes / 1e9:.1f} GB on the GPU)" if self.vram_bytes else ""
        return (
            f"{self.n_frames} frames ({self.n_frames / FPS:.1f} s): about {_duration(self.seconds)}, "
            f"{self.memory_bytes / 1e9:.2f} GB of memory{vram}, {self.output_bytes / 1e6:.1f} MB on disk "
            f"({self.disk_bytes / 1e6:.1f} MB while it is made)"
        )

    def lacking_disk(self, free_bytes: int) -> str | None:
        """What to do where the disk is too small; None where it is not."""
        if self.disk_bytes <= free_bytes:
            return None
        size = math.sqrt(max(free_bytes, 1) / self.disk_bytes)
        return (
            f"{self.disk_bytes / 1e6:.0f} MB of disk are needed while the clip is made, and {free_bytes / 1e6:.0f} MB "
            f"are free. Give an output on another disk, free some, or reduce the picture to about {size:.0%} of its "
            "width."
        )

    def lacking_memory(self, free_bytes: int, options: GenerateOptions) -> str | None:
        """The largest settings that fit where memory is too small; None where it is not."""
        if self.more_memory_bytes <= free_bytes:
            return None
        text = f"{self.more_memory_bytes / 1e9:.2f} GB more memory are needed, {free_bytes / 1e9:.2f} GB are free. "
        segment, batch, needed = options.segment_frames, options.batch_windows or 1, self.more_memory_bytes
        while needed > free_bytes and (batch > 1 or segment > 25):
            if batch > 1:
                needed -= (batch - batch // 2) * self.window_bytes
                batch //= 2
            else:
                needed -= (segment - segment // 2) * self.segment_frame_bytes
                segment //= 2
        tiles = ""
        if needed > free_bytes and self.tiles_bytes:
            needed, tiles = needed - self.tiles_bytes, " and is_tiled"
        if needed > free_bytes:
            return f"{text}Close other programs, or reduce the picture."
        return f"{text}It should fit with batch_windows {batch}, segment_frames {segment}{tiles}."


def forecast(
    model: Model,
    subject: Subject,
    performance: Performance,
    options: GenerateOptions,
    paste: Callable[[np.ndarray, int], np.ndarray],
    acted_s: float = 0.0,
    acted_px: int = 0,
) -> Forecast:
    """Forecast a clip by making a few frames from its middle: one batch of windows at one step, some of it decoded.

    paste  as `plan.paster` gives it
    Costs about as much as one step of one batch. A video's frames are taken from its beginning.

    acted_s   seconds that somebody performs before
    acted_px  side of the squares that are performed, which wait to be pasted
    """
    trial = Trial(model, subject, performance, options)
    frames = trial.decode(*trial.sample(), paste)
    video_bytes = trial.encode(frames)
    n_frames, size, per = performance.n_frames, trial.size_px, trial.per_frame
    own = sampler_options(model, options)
    steps = grid_of(model.config.denoiser, own)
    n_synced = len(sync_steps(steps.noise_fraction, (options.sync_low, options.sync_high)))
    once = per["condition"] + per["decode"] + per["paste"] + per["write"] + n_synced * per["sync"]
    computed = computed_frames(model.config.denoiser, own, n_frames)
    in_full = sum(computed[:: options.reuse])
    seconds = acted_s + once * n_frames + in_full * per["step"] + (sum(computed) - in_full) * per["reused step"]
    picture_bytes = 3 * subject.size[0] * subject.size[1]
    held = min(n_frames, options.segment_frames) - trial.n_frames
    pictures = min(n_frames, max(1, OUTPUT_BYTES // picture_bytes)) - len(frames)
    grown = max(0, held) * trial.frame_bytes + max(0, pictures) * 2 * (picture_bytes + 3 * size * size)
    grown += min(HELD_BYTES, max(0, held) * 3 * acted_px**2)
    peak = peak_memory_bytes()
    memory = (peak or BASE_BYTES) + grown
    latents = n_frames * 4 * (model.config.denoiser.latent_channels * model.config.denoiser.cells**2 + 8)
    sound = n_frames / FPS * SOUND_BITS_PER_S / 8
    return Forecast(
        n_frames=n_frames,
        seconds=seconds,
        memory_bytes=memory,
        more_memory_bytes=max(0, memory - memory_bytes()) if peak else memory,
        vram_bytes=torch.cuda.max_memory_allocated() if model.device.type == "cuda" else 0,
        output_bytes=int(video_bytes * n_frames + sound),
        disk_bytes=int(2 * video_bytes * n_frames + sound + latents),
        segment_frame_bytes=trial.frame_bytes,
        window_bytes=trial.window_bytes,
        tiles_bytes=trial.tiles_bytes,
        write_seconds=per["write"] * n_frames,
        latents_bytes=latents,
    )


def together(faces: Sequence[Forecast], segment_frames: int) -> Forecast:
    """What several faces of one clip will take: each is made, and the pictures that all are in are encoded once.

    segment_frames  for so many frames each face is held in memory beside the others
    """
    first, *others = faces
    held = min(first.n_frames, segment_frames)
    grown = sum(other.segment_frame_bytes for other in others) * held
    latents = sum(other.latents_bytes for other in others)
    return replace(
        first,
        seconds=first.seconds + sum(other.seconds - other.write_seconds for other in others),
        memory_bytes=max(face.memory_bytes for face in faces) + grown,
        more_memory_bytes=max(face.more_memory_bytes for face in faces) + grown,
        vram_bytes=max(face.vram_bytes for face in faces),
        output_bytes=max(face.output_bytes for face in faces),
        disk_bytes=max(face.disk_bytes for face in faces) + latents,
        segment_frame_bytes=sum(face.segment_frame_bytes for face in faces),
        window_bytes=max(face.window_bytes for face in faces),
        latents_bytes=first.latents_bytes + latents,
    )


class Trial:
    """Makes a few frames as they will be made, and measures what each stage takes per frame."""

    def __init__(self, model: Model, subject: Subject, performance: Performance, options: GenerateOptions) -> None:
        self.subject, self.options = subject, options
        own = sampler_options(model, options)
        self.n_frames = min(performance.n_frames, own.window_frames * own.batch_windows)
        self.first = (performance.n_frames - self.n_frames) // 2 if subject.is_still else 0
        self.n_windows = max(1, self.n_frames // own.window_frames)
        one = replace(options, steps=1, sync_low=0.0, sync_high=1.0)
        self.clip = Animation(model, decoded_reference(model, subject, options), performance, one)
        self.size_px = model.family.picture_px(model, subject.nearest(0).side_px)
        (self.n_computed,) = computed_frames(model.config.denoiser, replace(own, steps=1), self.n_frames)
        self.per_frame: dict[str, float] = {"reused step": 0.0}
        self.frame_bytes = self.window_bytes = self.tiles_bytes = 0

    def _timed(self, name: str, n_frames: int, run: Callable[[], Tensor]) -> Tensor:
        began = time.perf_counter()
        with torch.inference_mode():
            found = run()
            if found.device.type == "cuda":
                torch.cuda.synchronize()
        self.per_frame[name] = (time.perf_counter() - began) / n_frames
        return found

    def sample(self) -> tuple[Tensor, View]:
        """x0 of the trial's frames after one step, and their view; the first window is a warm-up."""
        stage, first, n_frames = self.clip.stage, self.first, self.n_frames
        seen: list[FrameConditions] = []

        def condition(start: int, length: int) -> Tensor:
            seen[:] = [stage.conditions(start, start + length)]
            return seen[0].context

        def advance(length: int, strength: float) -> Tensor:
            wave = stage.wavefront(self.clip.denoiser, source=ConditionSource(length, seen[0].frames))
            wave.sync = wave.sync if strength else None
            wave.synced = wave.synced if strength else frozenset()
            return wave.advance(length).x0

        warm = max(1, n_frames // self.n_windows // 2)
        # later frames, or the last ones: what a warm-up has drawn of a performance shall not be at hand for the next
        beside = min(first + n_frames, self.clip.performance.n_frames - warm)
        self._timed("condition", warm, lambda: condition(beside, warm))
        self._timed("step", warm, lambda: advance(warm, 0.0))
        context = self._timed("condition", n_frames, lambda: condition(first, n_frames))
        before = peak_memory_bytes()
        x0 = self._timed("step", self.n_computed, lambda: advance(n_frames, 0.0))
        self.window_bytes = (peak_memory_bytes() - before) // self.n_windows
        self.per_frame["sync"] = 0.0
        if self.options.sync_guidance > 0:
            self._timed("sync", n_frames, lambda: advance(n_frames, self.options.sync_guidance))
            self.per_frame["sync"] = max(0.0, self.per_frame["sync"] - self.per_frame["step"])
        if self.options.reuse > 1:
            self.per_frame["reused step"] = self._reused_step_s(seen[0]) / n_frames
        values = (context, seen[0].audio, seen[0].emotion, x0, *seen[0].view.values())
        self.frame_bytes = sum(v.nbytes for v in values if v is not None) // n_frames + 3 * self.size_px**2
        return x0, seen[0].view

    def _reused_step_s(self, conditions: FrameConditions) -> float:
        """Seconds of the second of two steps, which goes round the deep layers."""
        stage, ticks = self.clip.stage, []

        def tick(done: int, total: int, x0: Tensor) -> None:
            if x0.is_cuda:
                torch.cuda.synchronize()
            ticks.append(time.perf_counter())

        stage.options = replace(stage.options, steps=2, windows="fixed")
        source = ConditionSource(self.n_frames, conditions.frames)
        with torch.inference_mode():
            stage.wavefront(self.clip.denoiser, tick, source=source).advance(self.n_frames)
        return ticks[-1] - ticks[len(ticks) // 2 - 1]

    def performance(self) -> tuple[float, np.ndarray]:
        """Seconds that a mini performs a whole clip in, and a performance [T, 28] that stands for it in a forecast."""
        scene, whole = self.clip.stage.scene, self.clip.performance.n_frames
        assert isinstance(scene, MiniScene)
        x0, view = self.sample()
        with torch.inference_mode():
            controls = scene.controls(x0, view).cpu().numpy()
        own = sampler_options(self.clip.model, self.options)
        computed = sum(computed_frames(self.clip.model.config.denoiser, own, whole))
        seconds = self.per_frame["condition"] * whole + self.per_frame["step"] * computed
        return seconds, controls[np.arange(whole) % len(controls)]

    def decode(self, x0: Tensor, view: View, paste: Callable[[np.ndarray, int], np.ndarray]) -> np.ndarray:
        """Finished full pictures of the first frames of the trial, uint8 [T, H, W, 3]; decoding is warmed up too."""
        n_frames = min(self.n_frames, trial_frames(*self.subject.size))
        at_once = min(DECODE_FRAMES, pictures_at_once(*self.subject.size))
        faces: list[np.ndarray] = []

        def decode(length: int) -> Tensor:
            shown = {name: value[:length] for name, value in view.items()}
            faces[:] = [np.concatenate(list(self.clip.frames(Latents(self.first, x0[:, :length], shown), at_once)))]
            return x0

        before, n_at_once = peak_memory_bytes(), min(n_frames, at_once)
        self._timed("decode", 1, lambda: decode(n_at_once))
        if self.clip.model.family.framing is SQUARE and not self.options.is_tiled:
            self.tiles_bytes = (peak_memory_bytes() - before) * (n_at_once - 1) // n_at_once
        self._timed("decode", n_frames, lambda: decode(n_frames))
        paste(faces[0][:1], self.first)
        began = time.perf_counter()
        full = paste(faces[0], self.first)
        self.per_frame["paste"] = (time.perf_counter() - began) / n_frames
        return full

    def encode(self, frames: np.ndarray) -> float:
        """Bytes per frame that the encoder makes of them; its start and first frame count once in a segment."""
        has_alpha = frames.shape[-1] == 4
        with tempfile.TemporaryDirectory() as folder:
            suffix = ALPHA_SUFFIXES[0] if has_alpha else ".mp4"
            first, path = Path(folder) / f"first{suffix}", Path(folder) / f"trial{suffix}"
            began = time.perf_counter()
            with VideoWriter(first, self.subject.size, is_part=True, has_alpha=has_alpha) as writer:
                writer.write(frames[:1])
            middle = time.perf_counter()
            with VideoWriter(path, self.subject.size, is_part=True, has_alpha=has_alpha) as writer:
                writer.write(frames)
                writer.wait()
            once_s, whole_s = middle - began, time.perf_counter() - middle
            once, whole = first.stat().st_size, path.stat().st_size
        self.per_frame["write"] = self._spread(once_s, whole_s, len(frames), self.options.segment_frames)
        return self._spread(once, whole, len(frames), min(KEY_FRAMES, self.options.segment_frames))

    @staticmethod
    def _spread(once: float, whole: float, n_frames: int, every: int) -> float:
        """Per frame, where one frame takes `once`, `n_frames` take `whole`, and all begins anew every so many."""
        return once / every + max(0.0, whole - once) / max(1, n_frames - 1) * (every - 1) / every


def _duration(seconds: float) -> str:
    """
    >>> _duration(48.3), _duration(600)
    ('48 s', '10.0 min')
    """
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
