"""Time, memory and disk that a request will take, measured on this machine before the first step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .animate import Performance, animate
from .checkpoints import Model
from .config import EMOTION_CODE_SIZE, FPS, MOTION
from .media.audio import SAMPLES_PER_FRAME
from .request import GenerateOptions
from .sampling.guidance import branches

OUTPUT_BITS_PER_PIXEL = 0.1
"""H.264 at the writer's quality, measured on talking heads; still backgrounds take a tenth of it."""
SOUND_BITS_PER_S = 192_000
BASE_BYTES = 700_000_000
"""Resident size of Python, torch and the mini with its decoders, measured on a CPU."""
OUTPUT_BYTES = 64_000_000
"""Finished full pictures that are held at a time; what does not fit is handed out in smaller segments."""


@dataclass(frozen=True)
class Forecast:
    """What a request will take; time and memory are estimates, the number of frames is exact."""

    n_frames: int
    seconds: float
    memory_bytes: int
    disk_bytes: int

    def __str__(self) -> str:
        return (
            f"{self.n_frames} frames ({self.n_frames / FPS:.1f} s): about {self.seconds:.0f} s, "
            f"{self.memory_bytes / 1e9:.1f} GB of memory, {self.disk_bytes / 1e6:.1f} MB on disk"
        )


def forecast(model: Model, n_frames: int, size_px: tuple[int, int], options: GenerateOptions) -> Forecast:
    """Forecast a clip of pictures of (width, height) by timing one batch of windows and one batch of decoding.

    Costs about one batch of windows at one step. Reading, pasting and encoding count as one tenth more.
    """
    window = model.config.denoiser.window_frames
    n_timed = min(n_frames, window * options.batch_windows)
    seconds: dict[str, float] = {}
    one = GenerateOptions(steps=1, batch_windows=options.batch_windows)
    size = model.config.size_px
    reference = np.full((size, size, 3), 127, np.uint8)
    still = Performance(
        samples=np.zeros(n_timed * SAMPLES_PER_FRAME, np.float32),
        voice=np.zeros(n_timed, np.float32),
        code=np.zeros((n_timed, EMOTION_CODE_SIZE), np.float32),
        motion=np.zeros((n_timed, len(MOTION)), np.float32),
    )
    for _ in animate(model, reference, still, one, seconds=seconds):
        pass
    n_passes = len(branches(options.guidance_audio + max(0.0, options.lips - 1), options.guidance_emotion))
    per_frame = options.steps * n_passes * seconds["sample"] / n_timed + seconds["decode"] / n_timed
    pixels = size_px[0] * size_px[1]
    held = min(n_frames, options.segment_frames) * size * size * 3 + min(OUTPUT_BYTES, n_frames * pixels * 3)
    video = n_frames * pixels * OUTPUT_BITS_PER_PIXEL / 8
    return Forecast(
        n_frames=n_frames,
        seconds=1.1 * per_frame * n_frames,
        memory_bytes=BASE_BYTES + 2 * held + n_frames * SAMPLES_PER_FRAME * 8,
        disk_bytes=int(video + n_frames / FPS * SOUND_BITS_PER_S / 8),
    )
