"""Lips and lids part as layers: each pixel comes from its own side of the line, and a mouth's inside is painted."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from eadnet_core.families.load import load_model
from eadnet_core.families.mini import Head, MiniModel
from eadnet_core.media.face.crop import crop
from eadnet_core.media.face.find import locate
from eadnet_core.media.image import read_image
from eadnet_core.nets.canonical import places
from eadnet_core.nets.lips_and_lids import (
    LIDS_ABOVE,
    LIDS_BELOW,
    LIPS_ABOVE,
    LIPS_BELOW,
    MEAN_FACE,
    NOSE,
    Layers,
    Lines,
    LipsAndLids,
    Opening,
    aligned,
    layer_share,
    light_in_mouth,
    lines_of,
    tooth_places,
)
from eadnet_core.taxonomy import CONTROLS
from eadnet_core.training.lips_and_lids import spread
from eadnet_core.weights.folders import ASSETS

SIZE = 128
EYES, MOUTH, GAP = -0.1, 0.55, 0.04


def face(gap: float = GAP, at: float = MOUTH) -> Tensor:
    """Landmarks [1, 468, 2] of a face with level lids, `gap` above and below `EYES`, and a shut mouth."""
    points = torch.zeros(1, 468, 2)
    x = torch.cat([torch.linspace(-0.5, -0.2, 9), torch.linspace(0.2, 0.5, 9)])
    bow = torch.sin(torch.linspace(0, torch.pi, 9)).repeat(2)
    for ids, sign in ((LIDS_ABOVE, -1), (LIDS_BELOW, 1)):
        points[0, list(ids)] = torch.stack([x, EYES + sign * gap * bow], 1)
    for ids in (LIPS_ABOVE, LIPS_BELOW):
        points[0, list(ids)] = torch.stack([torch.linspace(-0.25, 0.25, 11), torch.full((11,), at)], 1)
    return points


@pytest.fixture(scope="module")
def layers() -> LipsAndLids:
    """A jaw that takes all that is below the lips down by .2, and a blink that takes all above the lids down by .08."""
    net = LipsAndLids()
    mean = lines_of(face())
    net.above.copy_(mean.above[0])
    net.below.copy_(mean.below[0])
    here = places(torch.zeros(1, 1, 64, 64))[0, 1]
    net.skin_below[CONTROLS.index("jaw"), 1] = 0.2 * (here > NOSE)
    net.skin_above[CONTROLS.index("blink"), 1] = 2 * GAP * (here < NOSE)
    net.teeth[:] = 0
    net.inside[-1] = 0.5
    return net


def asked(**controls: float) -> Tensor:
    values = torch.zeros(1, len(CONTROLS))
    for name, value in controls.items():
        values[0, CONTROLS.index(name)] = value
    return values


def made(net: LipsAndLids, lines: Lines, **controls: float) -> Layers:
    still, pose = asked(), torch.zeros(1, 5)
    return net(asked(**controls), pose, still, lines, torch.zeros(1, 3, SIZE, SIZE), SIZE)


def at(values: Tensor, x: float, y: float) -> Tensor:
    return values[0, :, round((y + 1) * SIZE / 2), round((x + 1) * SIZE / 2)]


def test_nothing_asked_changes_nothing(layers: LipsAndLids) -> None:
    rest = made(layers, lines_of(face()))
    assert rest.flow.abs().max() < 1e-5 and rest.alpha.max() == 0


def test_a_jaw_parts_the_lips_and_only_what_lies_between_is_painted(layers: LipsAndLids) -> None:
    wide = made(layers, lines_of(face()), jaw=1.0)
    assert at(wide.alpha, 0, MOUTH + 0.1) == 1
    assert at(wide.alpha, 0, MOUTH - 0.06) == 0 and at(wide.alpha, 0, MOUTH + 0.26) == 0
    assert at(wide.flow, 0, MOUTH - 0.06).abs().max() < 1e-3, "the upper lip stays"
    assert at(wide.flow, 0, MOUTH + 0.26)[1] == pytest.approx(-0.2, abs=0.01), "the lower lip came from above"
    assert at(wide.alpha, 0.4, MOUTH + 0.1) == 0, "beside the corners there is no mouth"


def test_a_mouth_that_shows_its_inside_keeps_it(layers: LipsAndLids) -> None:
    points = face()
    points[0, list(LIPS_BELOW), 1] += 0.08 * torch.sin(torch.linspace(0, torch.pi, 11))
    wide = made(layers, lines_of(points), jaw=1.0)
    assert at(wide.alpha, 0, MOUTH + 0.04) == 0, "its own teeth"
    assert at(wide.alpha, 0, MOUTH + 0.18) == 1


def test_the_dark_line_of_a_shut_mouth_does_not_hang_below_the_upper_lip(layers: LipsAndLids) -> None:
    points = face()
    points[0, list(LIPS_BELOW), 1] += 0.03 * torch.sin(torch.linspace(0, torch.pi, 11))
    line = MOUTH + 0.015
    alphas = [float(at(made(layers, lines_of(points), jaw=jaw).alpha, 0, line)) for jaw in (0.0, 0.1, 1.0)]
    assert alphas[0] == 0, "at rest the picture is kept"
    assert 0.2 < alphas[1] < 0.8
    assert alphas[2] == 1


@pytest.mark.parametrize("gap", (0.025, 0.04, 0.07))
def test_a_blink_shuts_eyes_of_any_size(layers: LipsAndLids, gap: float) -> None:
    lines = lines_of(face(gap))
    shut = made(layers, lines, blink=1.0)
    column = [at(shut.flow, -0.35, y)[1] for y in torch.linspace(EYES - gap / 2, EYES + gap / 2, 5).tolist()]
    came_from = [
        y + float(flow) for y, flow in zip(torch.linspace(EYES - gap / 2, EYES + gap / 2, 5), column, strict=True)
    ]
    assert max(came_from) < EYES - 0.8 * gap, "skin of the upper lid alone"


def test_eyeballs_stay_between_the_lids(layers: LipsAndLids) -> None:
    net = LipsAndLids()
    net.load_state_dict(layers.state_dict())
    net.balls[CONTROLS.index("gaze_y"), 1] = 0.2
    looks = made(net, lines_of(face()), gaze_y=1.0)
    came_from = EYES + float(at(looks.flow, -0.35, EYES)[1])
    assert came_from == pytest.approx(EYES - GAP, abs=2 / SIZE)


def test_edges_of_a_face_are_aligned_with_those_of_the_mean_face() -> None:
    own, mean = lines_of(face(at=0.6)), lines_of(face(at=0.5))
    where = torch.tensor([0.0, 0.6]).view(1, 2, 1, 1)
    assert aligned(where, own.above, mean.above)[0, 1].item() == pytest.approx(0.5, abs=0.01)
    far = torch.tensor([0.0, 0.98]).view(1, 2, 1, 1)
    assert aligned(far, own.above, mean.above)[0, 1].item() == pytest.approx(0.98, abs=0.01)


def test_layers_end_softly() -> None:
    share = layer_share(SIZE)
    assert at(share, 0, MOUTH) == 1 and at(share, -0.35, EYES) == 1 and at(share, 0, -0.9) == 0
    assert share.diff(dim=-1).abs().max() < 0.3 and share.diff(dim=-2).abs().max() < 0.3


def test_what_is_unknown_is_like_what_is_known_nearby() -> None:
    known = torch.zeros(64, 64)
    known[:, :20] = 1
    maps = torch.where(known > 0, 3.0, -100.0).expand(2, 1, 64, 64)
    assert torch.allclose(spread(maps, known), torch.tensor(3.0), atol=1e-4)


@pytest.mark.parametrize("others", ({}, {"AU5": 0.8}, {"AU4": 0.8, "AU7": 0.5}), ids=("calm", "wide", "cross"))
def test_a_blink_of_the_shipped_model_shuts_the_eyes_of_the_sample_portrait(others: dict[str, float]) -> None:
    picture = read_image(ASSETS / "sample" / "portrait.png")
    model = load_model("mini", device="cpu")
    assert isinstance(model, MiniModel)
    head = Head(model, crop(picture, locate(picture), 256)[None])
    blink = asked(blink=1.0, **others) + head.controls
    lines, size = head.features.lines, 256
    with torch.inference_mode():
        layers = model.vae.lips_and_lids(blink, torch.zeros(1, 5), head.controls, lines, head.features.image, size)
    here = places(blink, size)
    over, under = lines.beyond(here, is_mouth=False)
    eyes = (here[:, 1:] < NOSE) & (torch.maximum(over, under) < 0) & (lines.inside(here[:, :1], is_mouth=False) > 0)
    assert eyes.sum() > 500
    assert layers.inner[eyes].mean() < 0.02


def test_teeth_of_a_dark_skin_are_not_as_dark_and_take_the_light_s_colour() -> None:
    usual = torch.tensor(MEAN_FACE).view(1, 3, 1, 1).expand(-1, -1, 32, 32)
    light, dark = (light_in_mouth(2 * share * usual - 1) for share in (1.0, 0.5))
    assert torch.allclose(light, light.mean().expand_as(light), atol=1e-4), "a mean face: white"
    assert 0.6 < float(dark.mean() / light.mean()) < 0.8
    golden = light_in_mouth(2 * usual * torch.tensor((1.2, 1.0, 0.4)).view(3, 1, 1) - 1)
    assert float(golden[0, 2]) < 0.9 * float(golden[0, 0])


def opening_at(**where: float) -> Opening:
    usual = {"below": 0.2, "above": 0.2, "beside": 0.2, "own": 0.0, **where}
    return Opening(**{name: torch.full((1, 1, 1, 1), value) for name, value in usual.items()})


def test_a_mouth_is_dark_behind_and_shows_a_tongue_above_the_lower_lip() -> None:
    lining = torch.full((1, 3, 1, 1), 0.3)
    behind, tongue = (opening_at(below=d, above=0.2 - d).lined(lining) for d in (0.1, 0.199))
    assert tongue.mean() > 1.5 * behind.mean()
    assert behind[0, 0] > 1.5 * behind[0, 2], "red"


def test_a_wide_open_mouth_is_darker_behind_than_one_that_speaks() -> None:
    lining = torch.full((1, 3, 1, 1), 0.3)
    speaks, wide = (opening_at(below=0.3 * gap, above=0.7 * gap).lined(lining) for gap in (0.05, 0.3))
    assert (wide < speaks).all()
    assert wide[0, 2] < 0.7 * speaks[0, 2], "and redder"
    assert torch.equal(*(opening_at(below=gap, above=0.0).lined(lining) for gap in (0.05, 0.3))), (
        "the tongue is as light"
    )


def test_upper_teeth_reach_below_parted_lips_and_end_in_an_arc() -> None:
    here, still = places(torch.empty(0), 128), torch.zeros(1, 2, 64, 64)
    lower, upper = (tooth_places(here, still, is_upper) for is_upper in (False, True))
    assert torch.equal(lower, here)
    rise = (here - upper)[0, 1, 64]
    middle, corner = float(rise[64]), float(rise[80])
    assert 0.02 < middle < 0.037, "1.9 to 3.4 mm, at 63 mm for .68"
    assert 0 < corner < middle


def test_lips_and_corners_shade_what_is_in_a_mouth() -> None:
    tooth = torch.full((1, 3, 1, 1), 1.2)
    free = opening_at().shaded(tooth)
    assert torch.allclose(free, tooth, atol=1e-3)
    assert opening_at(below=0.001).shaded(tooth).mean() < 0.6 * free.mean()
    assert opening_at(beside=0.001).shaded(tooth).mean() < 0.6 * free.mean()


def test_teeth_are_brighter_than_those_of_rendered_heads() -> None:
    rendered = torch.tensor((1.0, 0.96, 0.85, 0.79)).view(1, 4, 1, 1)
    shown = opening_at().with_teeth(torch.zeros(1, 3, 1, 1), rendered, is_upper=True).flatten()
    assert 1.0 < shown.mean() < 1.3
    assert shown[0] > shown[1] > shown[2] > 0.9


def test_below_teeth_of_the_portrait_no_second_row_is_painted() -> None:
    shut, open_points = face(), face()
    open_points[0, list(LIPS_BELOW[1:-1]), 1] += 0.07
    shut, smiling = (lines_of(points).shown(torch.zeros(1, 1, 1, 1)) for points in (shut, open_points))
    assert float(shut) == 0 and float(smiling) == 1
    tooth = torch.ones(1, 4, 1, 1)
    lining = torch.full((1, 3, 1, 1), 0.3)
    assert torch.equal(opening_at(own=1.0).with_teeth(lining, tooth, is_upper=True), lining)
    assert opening_at(own=1.0).with_teeth(lining, tooth, is_upper=False).mean() > 1, "lower ones hang on the jaw"
