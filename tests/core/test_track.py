"""Following one face: through cuts, absences and other people, and small faces in large pictures."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from PIL import Image

from eadnet_core.errors import FaceNotFound
from eadnet_core.media.face.appearance import Cuts, look_of
from eadnet_core.media.face.crop import FaceCrop
from eadnet_core.media.face.find import find_faces, geometry_of, locate
from eadnet_core.media.face.follow import LEAST_RESEMBLING, follow, joined
from eadnet_core.media.video.files import read_video
from eadnet_core.weights.folders import ASSETS

LEFT_BOX = (60.0, 20.0, 190.0, 170.0)
"""A face box about a person who stands on the left of `scene`."""


@cache
def person(name: str) -> Image.Image:
    """'her', the shipped sample portrait, or 'him', the head of the sample clip; 224 x 224."""
    if name == "her":
        return Image.open(ASSETS / "sample" / "portrait.png").convert("RGB").resize((224, 224))
    return Image.fromarray(next(iter(read_video(ASSETS / "sample" / "clip.mp4")))).resize((224, 224))


def scene(*people: str, wall: int = 90, shift: int = 0) -> np.ndarray:
    """People side by side before a wall, uint8 [192, 512, 3]; '' is an empty place."""
    picture = Image.new("RGB", (512, 192), (wall, wall, wall))
    for number, name in enumerate(people):
        if name:
            picture.paste(person(name).crop((0, 16, 224, 208)), (16 + 240 * number + shift, 0))
    return np.asarray(picture)


def film(*shots: tuple[int, np.ndarray]) -> list[np.ndarray]:
    return [picture for n_frames, picture in shots for _ in range(n_frames)]


def middles(crops: tuple[FaceCrop | None, ...]) -> list[float]:
    return [place.center_x for place in crops if place is not None]


def test_a_followed_face_is_found_again_at_the_cut() -> None:
    """In the very frame, which is none of those that are searched anyway."""
    track = follow(film((7, scene("her")), (6, scene("", "her", wall=170))), LEFT_BOX)
    x = middles(track.crops)
    assert track.missed == () and len(x) == 13
    assert max(x[:7]) < 256 < min(x[7:]) and np.ptp(x[:7]) < 2 and np.ptp(x[7:]) < 2


def test_who_resembles_the_followed_face_is_followed_after_a_cut() -> None:
    """Two people change sides; then only the other one is seen, in the place of the followed one."""
    both, swapped, other = scene("her", "him"), scene("him", "her", wall=170), scene("", "him")
    track = follow(film((6, both), (6, swapped), (6, other), (6, both)), LEFT_BOX)
    assert track.missed == tuple(range(12, 18))
    x = middles(track.crops)
    assert max(x[:6]) < 256 < min(x[6:12]) and max(x[18:]) < 256
    assert follow(film((6, both), (6, swapped)), (300.0, 20.0, 430.0, 170.0)).crops[8].center_x < 256  # type: ignore[union-attr]


def test_an_absent_face_is_waited_for_while_somebody_else_stays() -> None:
    track = follow(film((6, scene("her", "him")), (9, scene("", "him")), (6, scene("her", "him", shift=8))), LEFT_BOX)
    assert track.missed == tuple(range(6, 15))
    assert max(middles(track.crops)) < 256


def test_an_absent_face_is_found_where_it_comes_back() -> None:
    track = follow(film((6, scene("her")), (9, scene()), (6, scene("", "her"))), LEFT_BOX)
    assert set(track.missed) == set(range(6, 15)) and middles(track.crops)[-1] > 256


def test_a_box_whose_face_comes_late_is_waited_for_across_cuts() -> None:
    track = follow(film((4, scene()), (4, scene(wall=170)), (5, scene("her", "him"))), LEFT_BOX)
    assert track.missed == tuple(range(8)) and max(middles(track.crops)) < 256
    assert follow(film((2, scene()), (5, scene("", "him"))), LEFT_BOX).missed == tuple(range(7))


def test_what_nobody_chose_is_followed_into_another_shot_as_before() -> None:
    """Without a face box, a face that resembles nobody is better than none."""
    track = follow(film((6, scene("her")), (6, scene("him", wall=170))))
    assert track.missed == ()


def test_nothing_is_smoothed_across_a_cut() -> None:
    near = Image.fromarray(scene("her")).transform((512, 192), Image.Transform.AFFINE, (0.8, 0, 12, 0, 0.8, 20), 3)
    track = follow(film((8, scene("her")), (8, np.asarray(near))), LEFT_BOX)
    sides = [place.side_px for place in track.crops if place is not None]
    assert np.ptp(sides[:8]) < 1.5 and np.ptp(sides[8:]) < 1.5
    assert sides[8] / sides[7] == pytest.approx(1.25, rel=0.1)


def test_a_face_that_is_found_late_in_a_shot_was_there_from_its_start() -> None:
    places = dict.fromkeys(range(4), FaceCrop(50.0, 50.0, 40.0)) | dict.fromkeys((10, 11), FaceCrop(60.0, 50.0, 40.0))
    assert [place.center_x for place in joined(places, 12, (6,))] == pytest.approx([50.0] * 6 + [60.0] * 6)
    assert joined(places, 12)[7].center_x == pytest.approx(50 + 10 * 4 / 7)


def noise(size: tuple[int, int]) -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (12, 20, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda wide, i: wide[:, 8 * i : 8 * i + 320], []),
        (lambda wide, i: (wide[:, :320] * (0.6 if i == 9 else 1)).astype(np.uint8), []),
        (lambda wide, i: wide[:, : 320] if i < 9 else wide[:, 320:640], [9]),
        (lambda wide, i: np.full((64, 64, 3), 90, np.uint8), []),
        (lambda wide, i: wide[:, :320] if i < 9 else np.zeros((200, 320, 3), np.uint8), [9]),
    ],
    ids=["pan", "flash", "cut", "wall", "black"],
)  # fmt: skip
def test_cuts_are_noticed_where_they_are(change: Callable[[np.ndarray, int], np.ndarray], expected: list[int]) -> None:
    cuts, wide = Cuts(), noise((640, 200))
    assert [i for i in range(16) if cuts.is_cut(change(wide, i))] == expected


def test_looks_tell_people_apart() -> None:
    both = [scene("her", "him"), scene("him", "her", wall=170)]
    looks = []
    for picture in both:
        places = sorted((locate(picture, index=i) for i in (0, 1)), key=lambda place: place.center_x)
        looks += [look_of(picture, place) for place in places]
    her, him, him_again, her_again = looks
    for same, again, other in ((her, her_again, him), (him, him_again, her)):
        assert same.resemblance(again) > LEAST_RESEMBLING > same.resemblance(other)


# ---- small faces in large pictures


def with_face(size: tuple[int, int], side_px: int, x: int, y: int) -> np.ndarray:
    """The sample portrait, scaled to `side_px`, in a large smooth picture; its face is half as wide."""
    picture = Image.fromarray(np.linspace(60, 200, size[0], dtype=np.uint8)[None].repeat(size[1], 0)).convert("RGB")
    picture.paste(person("her").resize((side_px, side_px), Image.Resampling.LANCZOS), (x, y))
    return np.asarray(picture)


@pytest.mark.parametrize(("size", "side_px"), [((1920, 1080), 140), ((3840, 2160), 400)], ids=["1080p", "4K"])
def test_a_small_face_is_found_in_a_large_picture(size: tuple[int, int], side_px: int) -> None:
    picture = with_face(size, side_px, 700, 300)
    found = find_faces(picture)
    assert len(found) == 1
    place = geometry_of(found[0])
    assert place.center_x == pytest.approx(700 + side_px / 2, abs=0.1 * side_px)
    assert place.center_y == pytest.approx(300 + side_px / 2, abs=0.15 * side_px)


def test_a_face_that_no_model_can_use_is_refused() -> None:
    with pytest.raises(FaceNotFound, match="at least 64 pixels wide"):
        locate(with_face((1920, 1080), 40, 700, 300))


def test_a_face_is_followed_to_a_fraction_of_a_pixel() -> None:
    """A line at a steady pace, and back: no lag, no shiver, the turn with it."""
    wide = Image.new("RGB", (640, 400), (90, 90, 90))
    wide.paste(person("her"), (200, 90))
    x_true = 40 * np.sin(np.arange(24) / 5)
    turned = np.linspace(-20, 20, 24)
    frames = [
        np.asarray(
            wide.rotate(
                float(turn), Image.Resampling.BICUBIC, translate=(int(x), 0), center=(312, 200), fillcolor=(90,) * 3
            )
        )
        for x, turn in zip(x_true, turned, strict=True)
    ]
    track = follow(frames)
    x = np.array(middles(track.crops))
    angles = np.degrees([place.angle for place in track.crops if place is not None])
    assert track.missed == ()
    assert np.abs(np.diff(angles) + np.diff(turned)).max() < 1.5 and np.abs(angles + turned).max() < 4
    moved = x - x.mean() - (x_true.astype(int) - x_true.astype(int).mean())
    assert np.abs(moved - np.polyval(np.polyfit(turned, moved, 1), turned)).max() < 2.5


def test_a_face_that_fades_into_a_wall_is_lost_and_the_wall_is_not_followed() -> None:
    frames = [(scene("her") * share + 90 * (1 - share)).astype(np.uint8) for share in np.linspace(1, 0, 20)]
    track = follow(frames)
    assert 19 in track.missed and not set(range(10)) & set(track.missed)


def test_a_small_face_is_followed_in_a_large_picture() -> None:
    frames = [with_face((1280, 720), 150, 300 + 2 * i, 200) for i in range(8)]
    track = follow(frames, (340.0, 230.0, 410.0, 310.0))
    x = middles(track.crops)
    assert track.missed == () and x[7] - x[0] == pytest.approx(14, abs=2)
