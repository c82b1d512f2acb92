"""Heads in three dimensions: drawn from a seed, moved by states, rendered with exact flow, landmarks and regions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eadnet_core.corpus.head_pairs import Pairs, render_pairs
from eadnet_core.corpus.performances import draw_states
from eadnet_core.errors import BadInput
from eadnet_core.heads import rig
from eadnet_core.heads.backdrop import draw_backdrop
from eadnet_core.heads.effects import apply_effects, draw_effects, kuwahara
from eadnet_core.heads.features import LANDMARKS, N_LANDMARKS, landmark_slice
from eadnet_core.heads.head import Head
from eadnet_core.heads.lighting import draw_lamps
from eadnet_core.heads.materials import R_BACKGROUND, R_MOUTH, R_SKIN, R_TEETH, REGIONS
from eadnet_core.heads.stock import Stock
from eadnet_core.heads.studio import EYE_DISTANCE, EYE_HEIGHT, Camera, Shot, Studio, draw_camera

PX = 48


@pytest.fixture(scope="module")
def stock(tiny_anatomy):
    return Stock(tiny_anatomy, PX)


@pytest.fixture(scope="module")
def real_stock(real_anatomy):
    return Stock(real_anatomy, 96)


def make_studio(stock: Stock, seed: int = 3, jitter: float = 0.0) -> Studio:
    head, rng = Head(stock, seed), np.random.default_rng(seed)
    camera: Camera = draw_camera(rng, head, jitter)
    return Studio(head, stock.size_px, camera, draw_lamps(rng), draw_backdrop(rng, stock.size_px))


def state_of(**controls: float) -> np.ndarray:
    state = np.zeros((1, len(rig.STATE)), np.float32)
    for name, value in controls.items():
        state[0, rig.STATE_INDEX[name]] = value
    return state


def shoot(studio: Studio, **controls: float) -> Shot:
    return studio.shoot(rig.motions(state_of(**controls))[0])


def test_shapes_follow_their_controls_and_calm_states_wear_the_rest():
    weights = rig.shape_weights(
        np.concatenate([state_of(), state_of(AU12=1), state_of(jaw=1), state_of(jaw=1, press=1)])
    )
    smile, jaw = rig.SHAPE_INDEX["mouthSmile_L"], rig.SHAPE_INDEX["jawOpen"]
    assert weights[1, smile] > weights[0, smile] + 0.8
    assert weights[2, jaw] > 0.4 > 0.1 > weights[3, jaw]


def test_contempt_changes_sides():
    left, right = (rig.shape_weights(state_of(AU14=1), side)[0] for side in (1, -1))
    names = rig.SHAPE_INDEX
    assert left[names["mouthDimple_L"]] == pytest.approx(right[names["mouthDimple_R"]])
    assert left[names["mouthDimple_R"]] == pytest.approx(right[names["mouthDimple_L"]])
    folds = [rig.fold_strengths(state_of(AU14=1), side)[0] for side in (1, -1)]
    assert folds[0][list(rig.FOLDS).index("dimple_L")] == folds[1][list(rig.FOLDS).index("dimple_R")] == 1


def test_landmark_groups_fill_all_landmarks():
    assert sum(LANDMARKS.values()) == N_LANDMARKS == landmark_slice("oval").stop


def test_the_same_seed_gives_the_same_head_and_picture(stock):
    first, second, other = (make_studio(stock, seed) for seed in (3, 3, 4))
    a, b, c = (shoot(studio, AU12=0.5, yaw=0.1) for studio in (first, second, other))
    assert np.array_equal(a.image, b.image) and np.array_equal(a.landmarks, b.landmarks)
    assert not np.array_equal(a.image, c.image)


def test_a_shot_says_what_every_pixel_shows(stock):
    shot = shoot(make_studio(stock))
    assert shot.image.shape == (PX, PX, 3) and shot.image.dtype == np.uint8
    assert shot.landmarks.shape == (N_LANDMARKS, 3)
    assert set(np.unique(shot.regions)) <= set(range(len(REGIONS)))
    assert (shot.regions == R_BACKGROUND).any() and (shot.regions == R_SKIN).any()
    assert np.array_equal(shot.regions == R_BACKGROUND, shot.index < 0)


def test_a_head_at_rest_lies_in_the_training_frame(stock):
    studio = make_studio(stock)
    eyes = studio.project(studio.head.eyes.astype(np.float32), rig.motions(state_of())[0])
    assert eyes[0, 0] - eyes[1, 0] == pytest.approx(EYE_DISTANCE * PX, abs=0.3)
    assert eyes[:, 1].mean() == pytest.approx(PX / 2 * (1 - EYE_HEIGHT), abs=0.3)


def test_flow_to_oneself_is_none_and_all_is_visible(stock):
    studio = make_studio(stock)
    shot = shoot(studio, AU12=1)
    flow, visible = studio.flow(shot, shot)
    inside = visible[2:-2, 2:-2]
    assert np.abs(flow).max() < 5e-3 and (inside == 255).mean() > 0.97


def test_flow_follows_a_shift(stock):
    studio = make_studio(stock)
    reference, shot = shoot(studio), shoot(studio, shift_x=0.1)
    flow, visible = studio.flow(shot, reference)
    on_head = (shot.index >= 0) & (visible > 0)
    assert np.allclose(flow[on_head], (-0.2, 0), atol=0.01)
    uncovered = (shot.index < 0) & (reference.index >= 0)
    assert uncovered.any() and not visible[uncovered].any()


def test_turns_go_where_the_names_say(stock):
    studio = make_studio(stock)
    nose = landmark_slice("nose")
    rest, right, down = (shoot(studio, **turn).landmarks[nose].mean(0) for turn in ({}, {"yaw": 0.2}, {"pitch": 0.2}))
    assert right[0] > rest[0] + 1 and down[1] > rest[1] + 1


def test_effects_keep_the_form_of_a_picture(stock):
    picture = shoot(make_studio(stock)).image
    for seed in range(25):
        rng = np.random.default_rng(seed)
        made = apply_effects(draw_effects(rng, PX), picture, rng)
        assert made.shape == picture.shape and made.dtype == np.uint8
    flat = np.full((PX, PX, 3), 77, np.uint8)
    assert np.array_equal(kuwahara(flat, 2), flat)


def test_references_are_calm_by_half(tmp_path):
    units = [rig.STATE_INDEX[name] for name in rig.STATE if name.startswith("AU")]
    states, extra = draw_states(np.random.default_rng(1), 300, is_reference=True)
    assert 0.35 < (states[:, units].max(1) == 0).mean() < 0.7
    assert extra.shape == (300, len(rig.SHAPES))
    assert np.abs(np.degrees(states[:, rig.STATE_INDEX["yaw"]])).max() <= 25.01


def test_pairs_are_rendered_once_and_go_on_where_they_stopped(tiny_anatomy_folder, tmp_path):
    pairs = render_pairs(tmp_path / "p", 2, 2, PX, 5, 1, tiny_anatomy_folder)
    assert pairs.done.tolist() == [1, 1] and pairs.n_states == 2 and pairs.size_px == PX
    kept = np.array(pairs.frames)
    again = Pairs.open(tmp_path / "p", "r+")
    again.done[1] = 0
    again.frames[1] = 0
    again.frames.flush()
    assert np.array_equal(render_pairs(tmp_path / "p", 2, 2, PX, 5, 1, tiny_anatomy_folder).frames, kept)
    assert np.array_equal(render_pairs(tmp_path / "two", 2, 2, PX, 5, 2, tiny_anatomy_folder).frames, kept)
    assert np.abs(pairs.states[0] - pairs.states[1]).max() > 0
    with pytest.raises(BadInput, match="other settings"):
        render_pairs(tmp_path / "p", 3, 2, PX, 5, 1, tiny_anatomy_folder)


def test_a_folder_without_pairs_is_named(tmp_path):
    with pytest.raises(BadInput, match="holds no rendered pairs"):
        Pairs.open(tmp_path)


def test_a_real_head_opens_its_mouth_and_shuts_its_lips_at_rest(real_stock):
    studio = make_studio(real_stock, 4)
    rest, wide = shoot(studio), shoot(studio, jaw=1, open=1)
    assert rest.opening < 0.01 and wide.opening > 0.15
    inside = [np.isin(shot.regions, (R_MOUTH, R_TEETH)).sum() for shot in (rest, wide)]
    assert inside[0] < 12 < 40 < inside[1]


def test_a_real_head_warped_by_its_flow_is_its_frame(real_stock):
    from scipy.ndimage import map_coordinates

    studio = make_studio(real_stock, 4)
    reference, shot = shoot(studio), shoot(studio, AU12=1, jaw=0.3, yaw=0.12, pitch=0.05)
    flow, visible = studio.flow(shot, reference)
    n = studio.size_px
    rows, columns = np.mgrid[0:n, 0:n] + np.moveaxis(flow[..., ::-1], 2, 0) * n / 2
    warped = np.stack([map_coordinates(reference.image[..., k], (rows, columns), order=1) for k in range(3)], -1)
    seen = (visible > 0) & (shot.index >= 0)
    error = np.abs(warped.astype(float) - shot.image)[seen].mean()
    still = np.abs(reference.image.astype(float) - shot.image)[seen].mean()
    assert error < 0.5 * still and seen.mean() > 0.3


def test_every_accessory_and_style_can_be_drawn(real_stock):
    looks = Head(real_stock, 4).looks
    plain = replace(looks, rims=None, hat=None, hair="none")
    dressed = replace(
        plain, rims=np.full(3, 0.05), tinted=0.4, hat=np.full(3, 0.2), beard=1.0, moustache=1.0, freckles=0.7
    )
    pictures = []
    for style in (plain, dressed, *(replace(plain, hair=name[5:]) for name in real_stock.anatomy.part_names("hair_"))):
        rng = np.random.default_rng(1)
        head = Head(real_stock, 4, looks=style)
        pictures.append(shoot(Studio(head, 96, draw_camera(rng, head), draw_lamps(rng), draw_backdrop(rng, 96))).image)
    changed = [np.abs(pictures[0].astype(int) - other).mean() for other in pictures[1:]]
    assert min(changed) > 1, changed
