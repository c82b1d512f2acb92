"""Training pairs: two heads that do the same, with the exact flow back to their reference pictures.

Head A and head B have their own shape, skin, hair, light and camera, and go through the same states. So what changed
on A can be asked for on B. A pair is drawn from its number alone: rendering can stop and go on, and be shared out.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from ..errors import BadInput
from ..heads.anatomy import Anatomy
from ..heads.backdrop import draw_backdrop
from ..heads.effects import apply_effects, draw_effects
from ..heads.features import LANDMARKS, N_LANDMARKS
from ..heads.head import Head
from ..heads.lighting import draw_lamps
from ..heads.materials import REGIONS
from ..heads.rig import SHAPES, STATE, motions
from ..heads.stock import Stock
from ..heads.studio import Studio, draw_camera
from ..paths import shown
from .performances import draw_states, keep_pose
from .pool import ordered

logger = logging.getLogger(__name__)
N_HEADS = 2
_SETTINGS = "settings.json"


@dataclass(frozen=True)
class Pairs:
    """Rendered pairs as memory maps; n pairs, S states, N pixels. Frame S of a head is its reference.

    frames     [n, 2, S + 1, N, N, 3] uint8
    flow       [n, 2, S, N, N, 2] float16   from a frame back to the reference, in half frame widths: right, down
    visible    [n, 2, S, N, N] uint8        255 where the point is seen in the reference
    regions    [n, 2, S + 1, N, N] uint8    of `materials.REGIONS`
    landmarks  [n, 2, S + 1, L, 3] float32  right, down in pixels, 1 where seen
    opening    [n, 2, S + 1] float32        of the lips, in eye distances
    states     [n, S + 1, R] float32        of `rig.STATE`
    shapes     [n, S + 1, K] float16        weights of `rig.SHAPES`
    people     [n, 2, 5] float32            shares of caucasian, african and asian, male, age
    done       [n] uint8                    1 where the pair is complete
    """

    frames: np.ndarray
    flow: np.ndarray
    visible: np.ndarray
    regions: np.ndarray
    landmarks: np.ndarray
    opening: np.ndarray
    states: np.ndarray
    shapes: np.ndarray
    people: np.ndarray
    done: np.ndarray

    @property
    def n_states(self) -> int:
        return self.flow.shape[2]

    @property
    def size_px(self) -> int:
        return self.frames.shape[3]

    @classmethod
    def open(cls, folder: str | Path, mode: Literal["r", "r+"] = "r") -> Pairs:
        """Map the pairs of a folder; mode "r" or "r+". Raises BadInput where there are none."""
        place = Path(folder)
        try:
            arrays = {name: np.load(place / f"{name}.npy", mmap_mode=mode) for name in cls.__dataclass_fields__}
        except (OSError, ValueError) as error:
            raise BadInput(
                f"'{shown(place)}' holds no rendered pairs of heads ({error}). Render them first."
            ) from error
        return cls(**arrays)


def _layout(n: int, s: int, px: int) -> dict[str, tuple[tuple[int, ...], type]]:
    return {
        "frames": ((n, N_HEADS, s + 1, px, px, 3), np.uint8),
        "flow": ((n, N_HEADS, s, px, px, 2), np.float16),
        "visible": ((n, N_HEADS, s, px, px), np.uint8),
        "regions": ((n, N_HEADS, s + 1, px, px), np.uint8),
        "landmarks": ((n, N_HEADS, s + 1, N_LANDMARKS, 3), np.float32),
        "opening": ((n, N_HEADS, s + 1), np.float32),
        "states": ((n, s + 1, len(STATE)), np.float32),
        "shapes": ((n, s + 1, len(SHAPES)), np.float16),
        "people": ((n, N_HEADS, 5), np.float32),
        "done": ((n,), np.uint8),
    }


def render_pairs(
    folder: str | Path,
    n_pairs: int,
    n_states: int,
    size_px: int,
    seed: int,
    workers: int = 1,
    anatomy_folder: str | Path | None = None,
) -> Pairs:
    """Render pairs into a folder, or go on with those that are not done; readers may open it meanwhile.

    n_states  frames of each head beside its reference
    workers   processes; 1 renders in this one

    Raises BadInput where the folder holds pairs of other settings, and where the anatomy is missing.
    """
    place = Path(folder)
    _create(place, n_pairs, n_states, size_px, seed)
    Anatomy.open(anatomy_folder)
    for _ in ordered(partial(_work, place, seed, workers, anatomy_folder), range(workers), workers):
        pass
    return Pairs.open(place)


def _create(place: Path, n_pairs: int, n_states: int, size_px: int, seed: int) -> None:
    settings = {
        "n_pairs": n_pairs,
        "n_states": n_states,
        "size_px": size_px,
        "seed": seed,
        "landmarks": LANDMARKS,
        "regions": list(REGIONS),
        "states": list(STATE),
        "shapes": list(SHAPES),
    }
    path = place / _SETTINGS
    if path.is_file():
        if json.loads(path.read_text(encoding="utf-8")) != settings:
            raise BadInput(f"'{shown(place)}' holds pairs of other settings. Name another folder, or remove it.")
        return
    place.mkdir(parents=True, exist_ok=True)
    for name, (shape, dtype) in _layout(n_pairs, n_states, size_px).items():
        np.lib.format.open_memmap(place / f"{name}.npy", "w+", dtype, shape).flush()
    path.write_text(json.dumps(settings, indent=1), encoding="utf-8")


def _work(place: Path, seed: int, workers: int, anatomy_folder: str | Path | None, worker: int) -> None:
    """Render every workers-th pair that is not done."""
    pairs = Pairs.open(place, "r+")
    stock = Stock(Anatomy.open(anatomy_folder), pairs.size_px)
    for k in range(worker, len(pairs.done), workers):
        if not pairs.done[k]:
            render_pair(pairs, k, seed, stock)
            pairs.done[k] = 1
            logger.info("pair %d of %d (process %d)", k + 1, len(pairs.done), os.getpid())


def render_pair(pairs: Pairs, k: int, seed: int, stock: Stock) -> None:
    """Render pair k into the arrays."""
    rng = np.random.default_rng([seed, k])
    states, extra = draw_states(rng, pairs.n_states)
    reference, reference_extra = draw_states(rng, 1, is_reference=True)
    states = keep_pose(rng, states, reference)
    states, extra = np.concatenate([states, reference]), np.repeat(reference_extra, pairs.n_states + 1, 0)
    moves = motions(states, extra=extra)
    pairs.states[k] = states
    pairs.shapes[k] = np.stack([move.weights for move in moves])
    for j in range(N_HEADS):
        head = Head(stock, int(rng.integers(1 << 31)))
        person = head.person
        pairs.people[k, j] = (*person.ethnicity, person.male, person.age)
        studio = Studio(head, pairs.size_px, draw_camera(rng, head), draw_lamps(rng), draw_backdrop(rng, pairs.size_px))
        effects = draw_effects(rng, pairs.size_px)
        last = studio.shoot(moves[-1])
        for t, move in enumerate(moves):
            shot = last if t == pairs.n_states else studio.shoot(move)
            pairs.frames[k, j, t] = apply_effects(effects, shot.image, rng)
            pairs.regions[k, j, t] = shot.regions
            pairs.landmarks[k, j, t] = shot.landmarks
            pairs.opening[k, j, t] = shot.opening
            if t < pairs.n_states:
                pairs.flow[k, j, t], pairs.visible[k, j, t] = studio.flow(shot, last)
