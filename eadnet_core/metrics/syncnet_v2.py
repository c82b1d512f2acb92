"""LSE-C and LSE-D as the literature gives them: by the original SyncNet, whose weights everybody downloads for himself.

Formulas, windows and sound features equal the original's to the bit. What differs is where the face is cut: there a
detector and a tracker (S3FD) that follow the head, here one upright square at the face that our own finder gives, of
the size and place that the original cuts around such a box. So figures of other papers compare roughly; figures of the
same tool compare well.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import BadInput
from ..media.face.crop import FaceCrop, crop
from ..media.face.find import BOX_BOTTOM_Y, BOX_TOP_Y
from ..media.sound.audio import SAMPLES_PER_FRAME
from ..media.sound.sync_features import cepstra
from ..nets.syncnet_v2 import PICTURE_PX, WINDOW_FRAMES, WINDOW_STEPS, SyncNetV2
from .frames import device_of
from .lip_sync import MAX_OFFSET

BATCH = 20
"""Windows embedded at once, as the original does."""
STEPS_PER_FRAME = WINDOW_STEPS // WINDOW_FRAMES
_MARGIN = 0.4
"""What the original adds around a face box: so many half boxes left and right, and twice as many below."""


@dataclass(frozen=True)
class SyncNetV2Score:
    """How well lips follow the voice, in the original SyncNet's figures (about 7 and 7 on real video).

    lse_d      least mean distance over the offsets; lower is better
    lse_c      median over the offsets minus the least: the confidence; higher is better
    offset     frames, as everywhere here: the picture at frame t fits the sound of frame t + offset best. The original
               tool prints the negative of it
    n_windows  windows of 5 frames
    curve      [31] mean distance from offset -15 to 15. Beyond the ends of the clip embeddings are zeros, as in the
               original, so clips of a second or two score oddly
    """

    lse_c: float
    lse_d: float
    offset: int
    n_windows: int
    curve: np.ndarray

    def to_json(self) -> dict[str, Any]:
        """The figures as plain values, without the curve."""
        return {key: value for key, value in vars(self).items() if key != "curve"}


def picture_geometry(face: FaceCrop) -> FaceCrop:
    """The upright square that the original SyncNet cuts for a face."""
    half = (BOX_BOTTOM_Y - BOX_TOP_Y) / 2
    x, y = face.point(0.5, (BOX_TOP_Y + BOX_BOTTOM_Y) / 2)
    return FaceCrop(x, y + _MARGIN * half * face.side_px, 2 * (1 + _MARGIN) * half * face.side_px)


class SyncNetV2Scorer:
    """Scores a clip that comes in blocks of frames; memory grows by two embeddings per frame only."""

    def __init__(self, net: SyncNetV2, max_offset: int = MAX_OFFSET) -> None:
        self._net = net
        self._max_offset = max_offset
        self._tail = np.zeros((0, PICTURE_PX, PICTURE_PX, 3), np.uint8)
        self._visual: list[Tensor] = []
        self._n_frames = 0

    def add(self, pictures: np.ndarray) -> None:
        """Take in the next uint8 pictures [b, 224, 224, 3], red first, cut by `picture_geometry`."""
        self._n_frames += len(pictures)
        self._tail = np.concatenate([self._tail, pictures])
        while len(self._tail) >= BATCH + WINDOW_FRAMES - 1:
            self._visual.append(self._embed_pictures(self._tail[: BATCH + WINDOW_FRAMES - 1]))
            self._tail = self._tail[BATCH:]

    def finish(self, samples: np.ndarray) -> SyncNetV2Score:
        """The score of all pictures taken in, with their sound [N] at 16 kHz. Raises BadInput for under 6 frames."""
        n_frames = min(self._n_frames, len(samples) // SAMPLES_PER_FRAME)
        n_windows = n_frames - WINDOW_FRAMES  # the original leaves the last one out
        if n_windows < 1:
            raise BadInput(
                f"SyncNet needs at least {WINDOW_FRAMES + 1} frames with sound, but the clip has {n_frames}. "
                "Score a longer clip."
            )
        done = sum(len(part) for part in self._visual)
        if n_windows > done:
            self._visual.append(self._embed_pictures(self._tail[: n_windows - done + WINDOW_FRAMES - 1]))
        visual = torch.cat(self._visual)[:n_windows]
        return score_distances(visual, self._embed_sound(samples, n_windows), self._max_offset)

    @torch.inference_mode()
    def _embed_pictures(self, pictures: np.ndarray) -> Tensor:
        blue_first = np.ascontiguousarray(pictures[..., ::-1].transpose(3, 0, 1, 2))
        windows = torch.from_numpy(blue_first).to(device_of(self._net)).float().unfold(1, WINDOW_FRAMES, 1)
        return self._net.embed_frames(windows.permute(1, 0, 4, 2, 3).contiguous()).float().cpu()

    @torch.inference_mode()
    def _embed_sound(self, samples: np.ndarray, n_windows: int) -> Tensor:
        steps = torch.from_numpy(cepstra(samples).T.astype(np.float32)).to(device_of(self._net))
        embedded = []
        for start in range(0, n_windows, BATCH):
            firsts = range(start, min(start + BATCH, n_windows))
            windows = [steps[None, :, STEPS_PER_FRAME * i : STEPS_PER_FRAME * i + WINDOW_STEPS] for i in firsts]
            embedded.append(self._net.embed_audio(torch.stack(windows)).float().cpu())
        return torch.cat(embedded)


def score_distances(visual: Tensor, audio: Tensor, max_offset: int = MAX_OFFSET) -> SyncNetV2Score:
    """LSE-C, LSE-D and offset of embedded windows [W, D] and [W, D] that begin at successive frames."""
    padded = F.pad(audio, (0, 0, max_offset, max_offset))
    distances = [
        F.pairwise_distance(visual[i : i + 1].expand(2 * max_offset + 1, -1), padded[i : i + 2 * max_offset + 1])
        for i in range(len(visual))
    ]
    curve = torch.stack(distances, 1).mean(1)
    least, best = curve.min(0)
    return SyncNetV2Score(
        lse_c=float(curve.median() - least),
        lse_d=float(least),
        offset=int(best) - max_offset,
        n_windows=len(visual),
        curve=curve.numpy(),
    )


def score_syncnet_v2(
    net: SyncNetV2, frames: Iterable[np.ndarray], samples: np.ndarray, face: FaceCrop
) -> SyncNetV2Score:
    """The score of a video.

    frames   uint8 [H, W, 3] each, 25 per second
    samples  [N]  float32 mono 16 kHz
    face     where the face lies in all of them
    """
    scorer, geometry = SyncNetV2Scorer(net), picture_geometry(face)
    for frame in frames:
        scorer.add(crop(frame, geometry, PICTURE_PX)[None])
    return scorer.finish(samples)
