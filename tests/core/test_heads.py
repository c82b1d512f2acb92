"""What procedural heads look like: steady in time, the same at every size, readable, and breathing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from eadnet_core.corpus import rig
from eadnet_core.corpus.identity import BACKGROUND_KINDS, CLOTH_KINDS, HAIR_KINDS, INDEX, draw_identity
from eadnet_core.corpus.renderer import BATCH_PIXELS, render_frames
from eadnet_core.corpus.texture import FACE_DENSITY, FACE_REACH, FINEST_PX, sheet
from eadnet_core.emotion.code import emotion_code
from eadnet_core.taxonomy import ACTION_UNITS

FACE = (..., slice(40, 90), slice(40, 88))
"""Rows and columns of a 128 px picture that hold nothing but skin, eyes and mouth."""


def head(seed: int = 3, **changed: float) -> Tensor:
    identity = draw_identity(np.random.default_rng([9, seed]))
    for name, value in changed.items():
        identity[INDEX[name]] = value
    return torch.from_numpy(identity[None])


def states(n_frames: int = 1, **controls: float) -> Tensor:
    made = torch.zeros(1, n_frames, len(rig.STATE))
    for name, value in controls.items():
        made[..., rig.STATE_INDEX[name]] = value
    return made


def feeling(emotion: str) -> Tensor:
    units = emotion_code(emotion, 1.0)[-len(ACTION_UNITS) :]
    return states(**{name: float(value) for name, value in zip(ACTION_UNITS, units, strict=True)})


def test_a_head_at_rest_does_not_flicker() -> None:
    n_frames = BATCH_PIXELS // 128**2 + 3  # two batches
    frames = render_frames(head(), states(n_frames), 128)[0]
    assert (frames == frames[:1]).all()


def test_skin_and_hair_move_with_the_head() -> None:
    identity = head(noise=0.0, texture=0.0, vignette=0.0)
    still = render_frames(identity, states(), 128)[0, 0].float()
    moved = render_frames(identity, states(shift_x=4 / 128, shift_y=-3 / 128), 128)[0, 0].float()
    followed = moved.roll((3, -4), (1, 2))
    assert (followed - still)[FACE].abs().amax() <= 2
    assert (moved - still)[FACE].abs().mean() > 2


def test_breath_lifts_the_shoulders_and_nothing_else() -> None:
    identity = head(hair_length=0.02)
    out, full = (render_frames(identity, states(breath=breath), 128)[0, 0].float() for breath in (-1.0, 1.0))
    assert (out[FACE] == full[FACE]).all()
    assert (out - full)[:, 112:].abs().amax() > 10
    assert (out == full)[:, :60].all()


@pytest.mark.parametrize("seed", range(4))
def test_half_a_pixel_of_motion_looks_halfway(seed: int) -> None:
    """Detail finer than the picture's pixels would alias, and shimmer when the head drifts."""
    identity = head(seed, noise=0.0, texture=0.0, blur=0.0)
    drift = torch.cat([states(shift_x=x / 128) for x in (0.0, 0.5, 1.0)], 1)
    before, between, after = render_frames(identity, drift, 128)[0, :, :, 8:100, 24:104].float()
    assert ((before + after) / 2 - between).abs().mean() < 0.22 * (after - before).abs().mean()


def test_detail_below_the_finest_wavelength_is_left_out() -> None:
    paper = sheet(128, torch.device("cpu"), FACE_REACH, FACE_DENSITY)
    finest = FINEST_PX / 128
    assert paper.shows(finest * 0.99) == 0.0 and paper.shows(finest * 2.01) == 1.0
    assert 0.0 < paper.shows(finest * 1.5) < 1.0


@pytest.mark.parametrize(
    ("column", "kinds"), [("hair_kind", HAIR_KINDS), ("cloth_kind", CLOTH_KINDS), ("background_kind", BACKGROUND_KINDS)]
)
def test_every_kind_looks_its_own(column: str, kinds: tuple[str, ...]) -> None:
    bare = {"hair_bald": 0.0, "hair_length": 0.14}
    made = [render_frames(head(**bare, **{column: float(n)}), states(), 96)[0, 0].float() for n in range(len(kinds))]
    for n in range(len(kinds)):
        for m in range(n):
            assert ((made[n] - made[m]).abs().amax(0) > 12).sum() > 20, (kinds[n], kinds[m])


def test_happiness_lifts_both_corners_and_contempt_one() -> None:
    for seed in range(6):
        happy, contempt = (rig.mouth(*rig.columns(head(seed), feeling(name)[0])) for name in ("happy", "contempt"))
        lifts = sorted((float(contempt.corner_left), float(contempt.corner_right)))
        assert float(happy.corner_left) == float(happy.corner_right) > 0.04
        assert lifts[0] < 0.01 and lifts[1] > 0.04
        assert float(happy.half_width) > 1.2 * float(contempt.half_width)
        assert float(happy.raise_upper) > 0.01 > float(contempt.raise_upper)


def test_fear_draws_the_brows_together_and_surprise_arches_them() -> None:
    for seed in range(6):
        rest, fear, surprise = (
            rig.eye(*rig.columns(head(seed), feeling(name)[0]), 1.0) for name in ("neutral", "fear", "surprised")
        )
        assert float(fear.brow_x) < float(rest.brow_x) - 0.01 and float(fear.brow_bend) < 0.7
        assert float(surprise.brow_x) == float(rest.brow_x) and float(surprise.brow_bend) > 1.7
        assert float(fear.brow_inner) > 0.01 and float(fear.brow_outer) > 0.0
        assert float(surprise.brow_outer) > 0.03


@pytest.mark.parametrize("jaw", [0.4, 0.7, 1.0])
def test_the_gap_between_the_lips_is_drawn_as_wide_as_said(jaw: float) -> None:
    size = 256
    green = {"lip_r": 0.02, "lip_g": 0.9, "lip_b": 0.02}
    identity = head(5, beard=0.0, moustache=0.0, blur=0.0, noise=0.0, shine=0.0, saturation=1.0, contrast=1.0, **green)
    state = states(jaw=jaw)
    picture = render_frames(identity, state, size)[0, 0].float()
    column = round(float(identity[0, INDEX["center_x"]]) * size)
    red, lip_green = picture[0, :, column], picture[1, :, column]
    rows = torch.nonzero(lip_green - red > 50)[:, 0]
    widest = int(rows.diff().amax()) - 1  # what lies between the upper lip and the lower
    gap = float(rig.lip_gap(rig.columns(identity, state[0])[1])) * float(identity[0, INDEX["scale"]]) * size
    assert abs(widest - gap) < 3
