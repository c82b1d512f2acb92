"""Rendered pairs of heads as the picture side learns from them: frames, references, landmarks and what is true."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..corpus.head_pairs import N_HEADS, Pairs
from ..heads.materials import REGIONS
from ..heads.rig import STATE
from ..media.face.crop import FaceCrop
from ..media.face.landmarks import read_landmarks
from ..media.pixels import to_unit
from ..nets.canonical import N_POINTS, Maps, sample
from ..nets.motion_basis import N_POSE
from ..taxonomy import CONTROLS, MOTION
from .batch import Batch

_CONTROLS = [STATE.index(name) for name in CONTROLS]
_TEETH, _LINING = REGIONS.index("teeth"), REGIONS.index("mouth")
_POSE = [STATE.index(name) for name in MOTION[:N_POSE]]
MONITOR_SHARE = 0.05
"""Share of the pairs that are kept out of training, to watch it by: the first."""


@dataclass(frozen=True)
class FaceBatch(Batch):
    """Frames of rendered heads with their references.

    references          [B', 3, H, W]          -1 .. 1; B / B' frames in a row share one
    points              [B', 468, 2]           landmarks of the references, in frame widths
    reference_controls  [B', 28]
    frames              [B, 3, H, W]           -1 .. 1
    controls            [B, 28]                taxonomy.CONTROLS
    pose                [B, 5]                 relative to the reference
    flow                [B, 2, H, W]           where each pixel lies in the reference, relative, half frame widths
    visible             [B, 1, H, W]           1 where it can be seen there
    teeth, lining       [B, 1, H, W]           1 where the frame shows teeth; the mouth's lining or the tongue
    """

    references: Tensor
    points: Tensor
    reference_controls: Tensor
    frames: Tensor
    controls: Tensor
    pose: Tensor
    flow: Tensor
    visible: Tensor
    teeth: Tensor
    lining: Tensor


class FaceCache:
    """Read access to rendered pairs; it may be opened while they are still being rendered."""

    def __init__(self, folder: str | Path) -> None:
        """Raises BadInput where the folder holds no pairs."""
        self.folder = Path(folder)
        self.pairs = Pairs.open(folder)
        self.seed = int(json.loads((self.folder / "settings.json").read_text(encoding="utf-8"))["seed"])
        shape = (len(self.pairs.done), N_HEADS, self.pairs.n_states + 1, N_POINTS, 2)
        path = self.folder / "points.npy"
        if not path.exists():
            np.lib.format.open_memmap(path, "w+", np.float32, shape).flush()
        self._points = np.lib.format.open_memmap(path, "r+")
        self.n_monitor = max(1, round(MONITOR_SHARE * shape[0]))

    @property
    def n_ready(self) -> int:
        """Pairs rendered so far, counted from the first without a gap."""
        unset = np.flatnonzero(np.asarray(self.pairs.done) == 0)
        return int(unset[0]) if len(unset) else len(self.pairs.done)

    def draw(self, rng: np.random.Generator, n: int, per_reference: int) -> FaceBatch:
        """About `n` random frames of training heads, `per_reference` of each."""
        heads = n // per_reference
        pairs = rng.integers(self.n_monitor, self.n_ready, heads)
        states = np.stack([rng.choice(self.pairs.n_states, per_reference, replace=False) for _ in range(heads)])
        return self.batch(pairs, rng.integers(N_HEADS, size=heads), states)

    def monitor(self, n: int, per_reference: int) -> FaceBatch:
        """About `n` fixed frames of heads that are not trained on."""
        heads = min(n // per_reference, N_HEADS * self.n_monitor)
        number = np.arange(heads)
        states = np.tile(np.arange(per_reference), (heads, 1)) + number[:, None] % (
            self.pairs.n_states - per_reference + 1
        )
        return self.batch(number % self.n_monitor, number // self.n_monitor, states)

    def batch(self, pairs: np.ndarray, heads: np.ndarray, states: np.ndarray) -> FaceBatch:
        """Frames `states` [B', per] of heads [B'] of pairs [B']."""
        last = self.pairs.n_states
        frames = (pairs[:, None], heads[:, None], states)
        regions = torch.from_numpy(self.pairs.regions[frames]).flatten(0, 1)[:, None]
        of_states, of_reference = self.pairs.states[pairs[:, None], states], self.pairs.states[pairs, last]
        return FaceBatch(
            references=to_unit(self.pairs.frames[pairs, heads, last]),
            points=self.points(pairs, heads),
            reference_controls=torch.from_numpy(of_reference[:, _CONTROLS]),
            frames=to_unit(self.pairs.frames[frames]).flatten(0, 1),
            controls=torch.from_numpy(of_states[..., _CONTROLS]).flatten(0, 1),
            pose=torch.from_numpy(of_states[..., _POSE] - of_reference[:, None, _POSE]).flatten(0, 1),
            flow=torch.from_numpy(self.pairs.flow[frames].astype(np.float32)).flatten(0, 1).permute(0, 3, 1, 2),
            visible=torch.from_numpy(self.pairs.visible[frames]).flatten(0, 1)[:, None].float() / 255,
            teeth=(regions == _TEETH).float(),
            lining=(regions == _LINING).float(),
        )

    def points(self, pairs: np.ndarray, heads: np.ndarray) -> Tensor:
        """Landmarks [n, 468, 2] of the references of heads of pairs, in frame widths."""
        return self.points_of(pairs, heads, np.full(len(pairs), self.pairs.n_states))

    def outlines(self, pairs: np.ndarray, heads: np.ndarray) -> Tensor:
        """The renderer's own landmarks [n, N_LANDMARKS, 2] of the references of heads of pairs, in frame widths."""
        found = self.pairs.landmarks[pairs, heads, self.pairs.n_states, :, :2]
        return torch.from_numpy(found) / self.pairs.size_px

    def outlines_of_all(self, pairs: np.ndarray, heads: np.ndarray) -> Tensor:
        """The same of all their pictures, the reference last: [n, S + 1, N_LANDMARKS, 2]."""
        return torch.from_numpy(self.pairs.landmarks[pairs, heads, :, :, :2]) / self.pairs.size_px

    def asked(self, pairs: np.ndarray) -> tuple[Tensor, Tensor]:
        """Controls [n, S + 1, 28] of all pictures of pairs, the reference last, and pose [n, S + 1, 5] from there."""
        states = torch.from_numpy(self.pairs.states[pairs])
        return states[..., _CONTROLS], states[..., _POSE] - states[:, -1:, _POSE]

    def controls(self, pairs: np.ndarray) -> np.ndarray:
        """What the references of pairs do, [n, 28]; both heads of a pair do the same."""
        return self.pairs.states[pairs, self.pairs.n_states][:, _CONTROLS]

    def draw_pictures(self, rng: np.random.Generator, n: int) -> FaceBatch:
        """`n` random pictures of training heads, references and frames alike, each as a reference without frames."""
        pairs, heads = rng.integers(self.n_monitor, self.n_ready, n), rng.integers(N_HEADS, size=n)
        states = rng.integers(self.pairs.n_states + 1, size=n)
        frames = self.pairs.frames[pairs, heads, states]
        points = self.points_of(pairs, heads, states)
        controls, pictures = torch.from_numpy(self.pairs.states[pairs, states][:, _CONTROLS]), to_unit(frames)
        none, no_map = pictures[:0], pictures[:0, :1]
        pose = torch.zeros(0, N_POSE)
        return FaceBatch(pictures, points, controls, none, controls[:0], pose, none[:, :2], *[no_map] * 3)

    def points_of(self, pairs: np.ndarray, heads: np.ndarray, states: np.ndarray) -> Tensor:
        """Landmarks [n, 468, 2] of pictures in frame widths, found when they are first asked for."""
        for pair, head, state in zip(pairs, heads, states, strict=True):
            if not self._points[pair, head, state].any():
                frame = self.pairs.frames[pair, head, state]
                whole = FaceCrop(len(frame) / 2, len(frame) / 2, len(frame))
                self._points[pair, head, state] = read_landmarks(frame, [whole])[0].xy / len(frame)
        return torch.from_numpy(self._points[pairs, heads, states])


def laid(batch: FaceBatch, maps: Maps) -> FaceBatch:
    """Everything of a batch in the canonical frame, by the maps of its references."""
    per = len(batch.frames) // len(batch.references)
    each = maps.repeat(per)
    return replace(
        batch,
        references=maps.lay(batch.references),
        frames=each.lay(batch.frames),
        flow=each.lay_flow(batch.flow),
        visible=sample(batch.visible, each.to_picture),
        teeth=sample(batch.teeth, each.to_picture),
        lining=sample(batch.lining, each.to_picture),
    )


def disturbed(batch: FaceBatch, mirror: Tensor) -> FaceBatch:
    """The same heads in other colours, half of them mirrored; references and their frames alike.

    mirror  [468]  which landmark each becomes in a mirror
    """
    n, per = len(batch.references), len(batch.frames) // len(batch.references)
    gain = torch.exp(torch.randn(n, 3, 1, 1) * 0.12 + torch.randn(n, 1, 1, 1) * 0.2)
    contrast, gamma = torch.exp(torch.randn(2, n, 1, 1, 1) * 0.18)
    grey = torch.rand(n, 1, 1, 1) < 0.1

    def coloured(images: Tensor) -> Tensor:
        k = len(images) // n
        g, c, m, s = (x.repeat_interleave(k, 0).to(images.device) for x in (gain, contrast, gamma, grey))
        images = ((((images + 1) / 2).clamp(0, 1) ** m - 0.5) * c + 0.5) * g
        return torch.where(s, images.mean(1, keepdim=True).expand_as(images), images).clamp(0, 1) * 2 - 1

    batch = replace(batch, references=coloured(batch.references), frames=coloured(batch.frames))
    one_sided = CONTROLS.index("AU14")
    lopsided = batch.reference_controls[:, one_sided]
    if per:
        lopsided = lopsided + batch.controls[:, one_sided].unflatten(0, (n, per)).amax(1)
    return mirrored(batch, (torch.rand(n).to(lopsided) < 0.5) & (lopsided < 0.03), mirror)


def mirrored(batch: FaceBatch, which: Tensor, mirror: Tensor) -> FaceBatch:
    """The references [B'] that `which` says, and their frames, seen in a mirror."""
    per = len(batch.frames) // len(batch.references)
    each = which.repeat_interleave(per)

    def flip(images: Tensor, chosen: Tensor) -> Tensor:
        return torch.where(chosen[:, None, None, None], images.flip(-1), images)

    def sign(values: Tensor, columns: list[int], chosen: Tensor) -> Tensor:
        signs = torch.ones_like(values)
        signs[:, columns] = torch.where(chosen, -1.0, 1.0)[:, None].to(values)
        return values * signs

    turned = batch.points[:, mirror] * batch.points.new_tensor((-1, 1)) + batch.points.new_tensor((1, 0))
    gaze = [CONTROLS.index("gaze_x")]
    flow = flip(batch.flow, each)
    flow = torch.cat([torch.where(each[:, None, None, None], -flow[:, :1], flow[:, :1]), flow[:, 1:]], 1)
    return replace(
        batch,
        references=flip(batch.references, which),
        points=torch.where(which[:, None, None], turned, batch.points),
        reference_controls=sign(batch.reference_controls, gaze, which),
        frames=flip(batch.frames, each),
        controls=sign(batch.controls, gaze, each),
        pose=sign(batch.pose, [0, 2, 3], each),
        flow=flow,
        visible=flip(batch.visible, each),
        teeth=flip(batch.teeth, each),
        lining=flip(batch.lining, each),
    )
