"""LSE-C, LSE-D and the audio offset (Chung and Zisserman 2016), read by the scoring SyncNet.

Two traps are answered here. A silent window looks alike at every offset, so only windows that hold speech count.
And LSE is taken at the best offset, so a constant shift would be free: the offset always stands beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..config import FPS
from ..errors import BadInput
from ..media.sound.audio import MEL_STEPS_PER_FRAME, SAMPLES_PER_FRAME, frame_energy, log_mel
from ..nets.syncnet import SyncNet
from .frames import BATCH, device_of, to_expert

MAX_OFFSET = 15
"""Frames by which the sound is tried earlier and later."""
SPEECH_ENERGY = 0.1
"""Mean energy of a window, against the clip's loud moments, from which it counts as speech."""


@dataclass(frozen=True)
class LipSync:
    """How well lips follow the voice; all nan and offset 0 where no window holds speech.

    Distances are Euclidean between unit embeddings, 0 .. 2, so they do not compare with figures of the original
    SyncNet, whose embeddings are longer (about 7 on real video).

    lse_d     least mean distance over the offsets; lower is better
    lse_c     median over the offsets minus the least: the confidence; higher is better
    offset    frames: the picture at frame t fits the sound of frame t + offset best, so a positive offset means that
              the picture comes too early
    curve     [2 max_offset + 1] mean distance from offset -max_offset to max_offset; nan where the clip is too short
    n_windows windows of 5 frames that hold speech
    """

    lse_c: float
    lse_d: float
    offset: int
    curve: np.ndarray
    n_windows: int

    @property
    def offsets(self) -> np.ndarray:
        """Offset of every point of `curve`, in frames."""
        return np.arange(len(self.curve)) - len(self.curve) // 2


def score_lip_sync(expert: SyncNet, frames: np.ndarray, samples: np.ndarray, max_offset: int = MAX_OFFSET) -> LipSync:
    """LSE-C, LSE-D and offset of one clip.

    frames    [T, H, W, 3]  uint8 in the training frame
    samples   [N]           float32 mono 16 kHz; cut or padded with silence to T frames
    Raises BadInput for fewer frames than one window holds.
    """
    visual, audio = embed_pictures(expert, frames), embed_sound(expert, samples, len(frames))
    return score_embeddings(visual, audio, speech_windows(samples, len(frames), expert.config.frames), max_offset)


@torch.inference_mode()
def embed_pictures(expert: SyncNet, frames: np.ndarray) -> np.ndarray:
    """Unit embeddings [W, D] of every window of uint8 frames [T, H, W, 3], W = T - window + 1."""
    size, device = expert.config.frames, device_of(expert)
    check_length(len(frames), size)
    embedded = []
    for start in range(0, len(frames) - size + 1, BATCH):
        pixels = to_expert(frames[start : start + BATCH + size - 1], device)
        embedded.append(expert.embed_frames(pixels.unfold(0, size, 1).movedim(-1, 1)).float().cpu())
    return torch.cat(embedded).numpy()


@torch.inference_mode()
def embed_sound(expert: SyncNet, samples: np.ndarray, n_frames: int) -> np.ndarray:
    """Unit embeddings [W, D] of every window of the sound of `n_frames` frames."""
    size, device = expert.config.frames, device_of(expert)
    check_length(n_frames, size)
    mel = mel_windows(samples, n_frames, size, expert.config.mel_context)
    return torch.cat([expert.embed_audio(block.to(device)).float().cpu() for block in mel.split(BATCH)]).numpy()


def check_length(n_frames: int, window_frames: int) -> None:
    """Raise BadInput for fewer frames than one window holds."""
    if n_frames < window_frames:
        raise BadInput(
            f"Lip sync needs at least {window_frames} frames, but the clip has {n_frames}. Score a clip of "
            f"{window_frames / FPS:.1f} s or more."
        )


def mel_windows(samples: np.ndarray, n_frames: int, window_frames: int, context: int) -> Tensor:
    """Log-mel of every window of `window_frames`, with `context` steps more on both sides.

    samples   [N]      float32 mono 16 kHz
    returns   [T - window_frames + 1, 4 window_frames + 2 context, 80]; silence lies beyond the ends
    """
    margin_frames = -(-context // MEL_STEPS_PER_FRAME)
    margin = np.zeros(margin_frames * SAMPLES_PER_FRAME, np.float32)
    cut = samples[: n_frames * SAMPLES_PER_FRAME]
    mel = torch.from_numpy(log_mel(np.concatenate([margin, cut]), n_frames + 2 * margin_frames))
    mel = mel[margin_frames * MEL_STEPS_PER_FRAME - context :]
    steps = window_frames * MEL_STEPS_PER_FRAME + 2 * context
    return mel.unfold(0, steps, MEL_STEPS_PER_FRAME).movedim(-1, 1)[: n_frames - window_frames + 1]


def speech_windows(samples: np.ndarray, n_frames: int, window_frames: int) -> np.ndarray:
    """Weight [T - window_frames + 1] of every sound window: its mean energy 0 .. 1, and 0 where it is silent."""
    energy = np.convolve(frame_energy(samples, n_frames), np.full(window_frames, 1 / window_frames), "valid")
    return np.where(energy >= SPEECH_ENERGY, energy, 0.0).astype(np.float32)


def score_embeddings(
    visual: np.ndarray, audio: np.ndarray, weights: np.ndarray, max_offset: int = MAX_OFFSET
) -> LipSync:
    """LSE-C, LSE-D and offset of embedded windows.

    visual, audio   [W, D]   unit embeddings of windows that start at successive frames
    weights         [W]      how much each sound window counts, 0 for none
    """
    n_windows = len(visual)
    curve = np.full(2 * max_offset + 1, np.nan)
    for index, offset in enumerate(range(-max_offset, max_offset + 1)):
        first, last = max(0, -offset), min(n_windows, n_windows - offset)
        if last <= first:
            continue
        weight = weights[first + offset : last + offset]
        if weight.sum() > 0:
            distance = np.linalg.norm(visual[first:last] - audio[first + offset : last + offset], axis=1)
            curve[index] = np.average(distance, weights=weight)
    heard = int(np.count_nonzero(weights))
    if np.isnan(curve).all():
        return LipSync(np.nan, np.nan, 0, curve, heard)
    best = int(np.nanargmin(curve))
    lse_d = float(curve[best])
    return LipSync(float(np.nanmedian(curve)) - lse_d, lse_d, best - max_offset, curve, heard)
