"""Expressions posed by hand: what sliders do to controls, the emotion they show, presets, and pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from eadnet_core.emotion.code import AROUSAL, INTENSITY, blend, emotion_code
from eadnet_core.emotion.expression import FEELINGS, MOST, MUSCLES, OWN_LEAST, SLIDER, SLIDERS, Expression, Felt
from eadnet_core.errors import BadInput
from eadnet_core.families.family import Model
from eadnet_core.families.load import load_model
from eadnet_core.families.mini import MOST as MOST_OF_A_MINI
from eadnet_core.families.mini import Head, MiniScene
from eadnet_core.generation.stages import preview
from eadnet_core.generation.still import Still, applied
from eadnet_core.media.face.crop import FaceCrop, crop
from eadnet_core.media.face.find import locate
from eadnet_core.media.image import read_image
from eadnet_core.motion.articulation import lifted
from eadnet_core.nets.vae import Change
from eadnet_core.taxonomy import CONTROLS, EMOTIONS, MOTION

SAMPLE = Path(__file__).parents[2] / "eadnet_core" / "assets" / "sample" / "portrait.png"
REST = np.zeros(len(CONTROLS), np.float32)
values = st.fixed_dictionaries({}, optional={s.name: st.floats(s.low, s.high) for s in SLIDERS})


def control(shown: np.ndarray, name: str) -> float:
    return float(shown[CONTROLS.index(name)])


def test_the_range_is_the_minis() -> None:
    assert MOST == MOST_OF_A_MINI


@given(values, st.lists(st.floats(-0.2, 1.5), min_size=len(CONTROLS), max_size=len(CONTROLS)))
def test_controls_stay_in_their_range_or_where_the_face_has_them(given: dict[str, float], own: list[float]) -> None:
    shown = Expression(given).controls(np.array(own))
    low = np.array([-1.0 if name.startswith("gaze") else 0.0 for name in CONTROLS])
    high = np.array([1.0 if name in ("blink", "gaze_x", "gaze_y") else MOST for name in CONTROLS])
    assert (shown >= np.minimum(low, own) - 1e-6).all() and (shown <= np.maximum(high, own) + 1e-6).all()


@given(st.lists(st.floats(-0.2, 1.5), min_size=len(CONTROLS), max_size=len(CONTROLS)))
def test_sliders_at_zero_leave_a_face_as_it_is(own: list[float]) -> None:
    assert np.array_equal(Expression({"corners": 0.0}).controls(np.array(own)), np.float32(own))


@pytest.mark.parametrize("name", [s.name for s in SLIDERS if s.name != "neutral"])
def test_every_slider_moves_the_face_both_ways(name: str) -> None:
    own = np.full(len(CONTROLS), 0.3)
    for value in {SLIDER[name].low, SLIDER[name].high} - {0.0}:
        expression = Expression({name: value})
        assert expression.motion().any() or not np.allclose(expression.controls(own), own)


def test_a_slider_takes_back_before_it_turns_round() -> None:
    own = REST.copy()
    own[CONTROLS.index("AU12")] = 0.4
    lower, turned = (Expression({"corners": value}).controls(own) for value in (-0.3, -0.9))
    assert control(lower, "AU12") == pytest.approx(0.1) and control(lower, "AU15") == 0
    assert control(turned, "AU12") == 0 and control(turned, "AU15") == pytest.approx(0.5)
    closed = Expression({"lids": -1.0}).controls(REST)
    assert control(closed, "blink") == 1 and control(closed, "AU5") == 0


def test_neutral_takes_back_what_the_picture_shows() -> None:
    own = np.full(len(CONTROLS), 0.5)
    shown = Expression({"neutral": 1.0}).controls(own)
    assert control(shown, "AU12") == 0 and control(shown, "jaw") == 0
    assert control(shown, "blink") == 0.5 and control(shown, "gaze_x") == 0.5


def test_the_head_turns_in_degrees() -> None:
    motion = Expression({"yaw": 15, "roll": -4}).motion()
    assert motion[MOTION.index("yaw")] == pytest.approx(np.radians(15))
    assert motion[MOTION.index("roll")] == pytest.approx(np.radians(-4))


@pytest.mark.parametrize("label", EMOTIONS[1:])
@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_a_feeling_comes_out_as_itself(label: str, strength: float) -> None:
    code = Expression({label: strength}).code(REST)
    np.testing.assert_allclose(code, emotion_code(label, strength), atol=1e-5)


def test_feelings_blend() -> None:
    code = Expression({"happy": 0.5, "sad": 0.5}).code(REST)
    np.testing.assert_allclose(code, blend([emotion_code("happy", 1), emotion_code("sad", 1)], [1, 1]), atol=1e-5)


def test_muscles_are_felt_too_and_rest_is_neutral() -> None:
    code = Expression({"corners": 1.0, "cheeks": 0.9}).code(REST)
    assert EMOTIONS[int(code[: len(EMOTIONS)].argmax())] == "happy" and code[INTENSITY] > 0.5
    np.testing.assert_allclose(Expression().code(REST + OWN_LEAST), emotion_code("neutral", 0), atol=1e-6)
    own = REST.copy()
    own[CONTROLS.index("AU12")] = 1.0
    assert Expression().code(own)[AROUSAL + 1 :].max() == pytest.approx(1.0)


@given(values)
def test_presets_come_back(given: dict[str, float]) -> None:
    assert Expression.from_json(Expression(given).to_json()) == Expression(given)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "no expression"),
        ('{"values": {}}', "no expression"),
        ('{"eadnet_expression": 2, "values": {}}', "no expression"),
        ('{"eadnet_expression": 1, "values": {"ears": 1}}', "no slider 'ears'"),
        ('{"eadnet_expression": 1, "values": {"corners": 2}}', "corners is 2; give a number in -1 .. 1"),
        ('{"eadnet_expression": 1, "values": {"corners": NaN}}', "corners is nan"),
        ('{"eadnet_expression": 1, "values": {"corners": true}}', "corners is True"),
        ('{"eadnet_expression": 1, "values": {"corners": "1"}}', "corners is '1'"),
    ],
)
def test_a_bad_preset_says_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said.replace(".", r"\.")):
        Expression.from_json(text)


def test_names_are_told_apart() -> None:
    assert len(SLIDER) == len(SLIDERS) and {s.name for s in FEELINGS} == set(EMOTIONS)
    assert set(MUSCLES).isdisjoint(EMOTIONS)
    assert json.loads(Expression({"yaw": 5}).to_json()) == {"eadnet_expression": 1, "values": {"yaw": 5.0}}


@pytest.fixture(scope="module")
def still(tiny_model: Model) -> Still:
    picture = read_image(SAMPLE)[:400, :480]
    return Still(tiny_model, picture, FaceCrop(240.0, 200.0, 220.0))


def test_at_rest_the_picture_is_itself_to_the_bit(still: Still) -> None:
    assert np.array_equal(still.whole(Expression()), still.picture)


def test_nothing_jumps_where_a_slider_leaves_zero(still: Still) -> None:
    rest, little = (still.square(Expression({"corners": v}), 220).astype(int) for v in (0.0, 1e-6))
    assert np.abs(rest - little).max() <= 1


def test_a_posed_nose_crumples_no_more_than_a_clip_s(still: Still, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, change = [], Head.change

    def spied(head: Head, controls: Tensor, motion: Tensor) -> Change:
        asked.append(controls)
        return change(head, controls, motion)

    monkeypatch.setattr(Head, "change", spied)
    disgusted = Expression({"neutral": 1, "disgusted": 1})
    still.square(disgusted, still.size_px)
    added = torch.from_numpy(disgusted.controls(still.own))[None]
    assert torch.equal(asked[0], lifted(added)) and not torch.equal(asked[0], added)


def test_a_posed_face_changes_inside_its_square_alone(still: Still) -> None:
    posed = still.whole(Expression({"surprised": 1.0, "yaw": 10}))
    where = np.argwhere((posed != still.picture).any(-1))
    assert posed.shape == still.picture.shape and len(where)
    (y0, x0), (y1, x1) = where.min(0), where.max(0)
    assert y0 >= 90 and y1 < 310 and x0 >= 130 and x1 < 350


@pytest.mark.parametrize("size_px", [128, 220, 512])
def test_a_square_of_any_size(still: Still, size_px: int) -> None:
    assert still.square(Expression({"happy": 0.5}), size_px).shape == (size_px, size_px, 3)


def test_it_draws_what_the_change_itself_would(still: Still) -> None:
    import torch

    change = still._change(Expression({"jaw": 1.0}))
    features, shown = still._head.features, still._square(256)
    small = change.in_picture(features, 128)
    with torch.inference_mode():
        whole = small.resized(256).apply(shown, is_sharp=True)
        assert (applied(small, shown) - whole).abs().max() < 0.02


@pytest.mark.parametrize(("label", "strength"), [("happy", 0.6), ("angry", 1.0), ("neutral", 0.0)])
def test_an_emotion_by_itself_is_what_the_shipped_mini_samples_of_it(
    label: str, strength: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, picture = load_model("mini", "cpu"), read_image(SAMPLE)
    face = locate(picture)
    sampled: list[np.ndarray] = []
    controls = MiniScene.controls
    monkeypatch.setattr(MiniScene, "controls", lambda *args: sampled.append(controls(*args).numpy()) or controls(*args))
    code = emotion_code(label, strength)
    preview(model, crop(picture, face, model.config.size_px), code)
    shown = Felt(code).controls(Still(model, picture, face).own)
    assert np.abs(shown - sampled[-1][0]).mean() < 0.04


def test_an_emotion_moves_the_face_alone_and_none_brings_it_to_rest(still: Still) -> None:
    shown = still.whole(Felt(emotion_code("happy", 1.0)))
    assert shown.shape == still.picture.shape and not np.array_equal(shown, still.picture)
    rest = Felt(emotion_code("neutral", 0.0)).controls(still.own)
    assert set(np.flatnonzero(rest)) <= {CONTROLS.index("gaze_x"), CONTROLS.index("gaze_y")}


def test_a_base_has_no_sliders(tiny_base: Model) -> None:
    with pytest.raises(BadInput, match="is a base, which has no controls"):
        Still(tiny_base, np.zeros((64, 64, 3), np.uint8), FaceCrop(32, 32, 60))
