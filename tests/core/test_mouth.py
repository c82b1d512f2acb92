"""What controls say of the mouth without a picture, against heads of the real anatomy."""

from __future__ import annotations

import numpy as np
import pytest

from eadnet_core.corpus.mouth import (
    FULL_GAP,
    GAPS,
    HALF_WIDTHS,
    REST_GAP,
    REST_HALF_WIDTH,
    lip_gap,
    mouth_half_width,
    mouth_opening,
)
from eadnet_core.corpus.performances import draw_states
from eadnet_core.heads.anatomy import Anatomy
from eadnet_core.heads.features import Features, landmark_slice
from eadnet_core.heads.head import Head
from eadnet_core.heads.rig import SHAPES, STATE, STATE_INDEX, motions
from eadnet_core.heads.stock import Stock

N_HEADS = 6


def state(**controls: float) -> np.ndarray:
    made = np.zeros((1, len(STATE)), np.float32)
    for name, value in controls.items():
        made[:, STATE_INDEX[name]] = value
    return made


def test_jaw_opens_press_closes_and_sounds_shape_the_width() -> None:
    assert mouth_opening(state())[0] < 0.02
    assert mouth_opening(state(jaw=1.0))[0] > mouth_opening(state(jaw=0.5))[0] > 0.2
    assert mouth_opening(state(jaw=1.0, press=1.0))[0] < 0.1
    assert lip_gap(state(jaw=1.0, open=1.0))[0] == pytest.approx(FULL_GAP * mouth_opening(state(jaw=1.0, open=1.0))[0])
    narrow, rest, broad = (mouth_half_width(s)[0] for s in (state(round=1.0), state(), state(wide=1.0)))
    assert narrow < rest < broad


def mouth_of(features: Features, vertices: np.ndarray) -> tuple[float, float]:
    """Gap of the lips, and half the distance of their outer corners, in decimetres."""
    lips = features.points(vertices)[landmark_slice("lips_outer")]
    return features.lip_opening(vertices), float(lips[10, 0] - lips[0, 0]) / 2


def test_the_tables_are_those_of_the_anatomy(real_anatomy: Anatomy) -> None:
    """A failure shows what the tables must hold; REST_* are means over heads, as the eye distance is."""
    stock = Stock(real_anatomy, 128)
    heads = [Head(stock, seed) for seed in range(N_HEADS)]
    per_eye_distance = float(np.mean([1 / head.eye_distance for head in heads]))
    base, rest = real_anatomy.base, mouth_of(stock.features, real_anatomy.base)
    found: tuple[dict[str, float], dict[str, float]] = ({}, {})
    for shape in SHAPES:
        if f"ict/{shape}" in real_anatomy.expressions:
            moved = base.copy()
            real_anatomy.expressions.add(moved, f"ict/{shape}", 1.0)
            for table, now, before in zip(found, mouth_of(stock.features, moved), rest, strict=True):
                table[shape] = round((now - before) * per_eye_distance, 4)
    for table, expected in zip((GAPS, HALF_WIDTHS), found, strict=True):
        for shape, value in expected.items():
            assert table.get(shape, 0.0) == pytest.approx(value, rel=0.12, abs=0.002), (shape, found)
    resting = np.array([mouth_of(stock.features, head.mesh.rest) for head in heads])
    resting = (resting / np.array([[head.eye_distance] for head in heads])).mean(0)
    assert resting == pytest.approx((REST_GAP, REST_HALF_WIDTH), abs=0.03)


def test_the_gap_said_is_that_of_heads(real_anatomy: Anatomy) -> None:
    stock = Stock(real_anatomy, 128)
    states, _ = draw_states(np.random.default_rng(0), 60)
    said = lip_gap(states)
    for seed in range(N_HEADS):
        head = Head(stock, seed)
        true = np.array([head.moved(motion)[1] for motion in motions(states)])
        assert np.corrcoef(said, true)[0, 1] > 0.999
        assert np.abs(said - true).max() < 0.16 * np.abs(true).max(), "heads differ by their scale, about 5 %"
