"""The user's own pixels: kept where nothing changes, let go where something does, in soft light and in harsh."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from eadnet_core.families.family import Model
from eadnet_core.families.mini import Head
from eadnet_core.media.face.crop import FaceCrop, crop
from eadnet_core.media.face.detail import CONTRAST, Light, low_pass, luma, still
from eadnet_core.media.face.paste import Paster
from eadnet_core.media.face.turned import TurnedPortrait
from eadnet_core.media.pixels import to_unit
from eadnet_core.motion.turn import sources
from eadnet_core.taxonomy import MOTION

STILL = np.zeros(len(MOTION), np.float32)
TURNED = np.array([0.15, -0.08, 0.05, 0.0, 0.01, 0.0, 0.0, 0.0], np.float32)


def fine_picture(size: int = 300) -> np.ndarray:
    """Colours that change slowly, with fine grain on them: uint8 [size, size, 3]."""
    generator = torch.Generator().manual_seed(5)
    smooth = F.interpolate(torch.rand(1, 3, 6, 6, generator=generator), size=(size, size), mode="bicubic")[0]
    grain = F.interpolate(
        torch.randn(1, 1, size // 2, size // 2, generator=generator), size=(size, size), mode="bicubic"
    )
    return ((smooth * 0.6 + 0.2 + 0.1 * grain[0]).clamp(0, 1) * 255).byte().permute(1, 2, 0).numpy()


def images(contrast: float, colour: float = 0.4) -> torch.Tensor:
    """A face whose left half is brighter, [1, 3, 64, 64] in -1 .. 1, redder above than below."""
    picture = torch.full((1, 3, 64, 64), 0.5)
    picture[..., :32] += contrast / 2
    picture[..., 32:] -= contrast / 2
    picture[:, 0, :36] += colour / 2
    picture[:, 0, 36:] -= colour / 2
    return picture * 2 - 1


def test_detail_goes_where_something_changes_and_nowhere_else() -> None:
    change = torch.zeros(1, 3, 128, 128)
    change[..., 60:76, 40:56] = 1.0
    kept = still(change)[0, 0]
    assert kept[62:74, 42:54].max() < 0.01
    assert torch.equal(kept[:50], torch.ones(50, 128))
    assert kept.diff(dim=0).abs().max() < 0.7


def test_a_large_picture_keeps_the_same_places_as_a_small_one() -> None:
    change = torch.zeros(1, 3, 100, 100)
    change[..., 40:56, 40:56] = 0.4
    for size in (250, 511):  # a blur of 3 px taken at half the size, one of 6.1 px at a quarter
        large = F.interpolate(still(F.interpolate(change, size=size, mode="area")), size=100, mode="area")
        assert (large - still(change)).abs().mean() < 0.01
        assert large[0, 0, 46:50, 46:50].max() < 0.2 and large[0, 0, :30].min() > 0.99


def test_the_field_of_a_large_frame_is_that_of_a_small_one() -> None:
    motion = torch.from_numpy(TURNED)[None]
    small, large = sources(128, motion), sources(384, motion)
    assert large.shape == (1, 2, 384, 384)
    assert torch.allclose(large[..., 1::3, 1::3], small, atol=1e-5)  # the middles of each three are the small one's


def test_soft_light_is_left_alone_and_harsh_light_is_paled_to_the_contrast_that_is_known() -> None:
    soft, harsh = images(0.1), images(1.0)
    assert Light.of(soft).gain.item() == 1
    assert torch.allclose(Light.of(soft).shown(soft), soft, atol=1e-6)
    light = Light.of(harsh)
    assert light.gain.item() < 0.7
    again = Light.of(light.shown(harsh))
    assert abs(again.gain.item() - 1) < 1e-4
    assert torch.allclose(light.own(light.shown(harsh)), harsh, atol=1e-5)
    shown = light.shown(harsh)[..., 20:50, 20:44]
    bright = luma(shown) / 2 + 0.5
    assert abs(bright.std() / bright.mean() - CONTRAST) < 0.05


def test_a_change_is_as_bright_in_the_users_picture_and_no_more_colourful_than_that() -> None:
    picture, change = images(0.8), 0.2 * torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    light = Light.of(picture)
    shown = light.shown(picture)
    found = light.changed(shown, change) - picture
    assert torch.allclose(luma(found), luma(light.own(shown + change) - light.own(shown)), atol=1e-5)
    assert torch.allclose(found - luma(found), change - luma(change), atol=1e-5)
    statue = images(0.8, colour=0.0)
    grey = Light.of(statue).changed(Light.of(statue).shown(statue), change) - statue
    assert (grey - luma(grey)).abs().max() < 1e-5
    soft = images(0.1)
    assert torch.equal(Light.of(soft).changed(soft, change), soft + change)


def test_a_residual_of_zero_is_the_users_picture(tiny_model: Model) -> None:
    """Grain that no autoencoder of this size can hold comes back with it."""
    picture, at_rest = fine_picture(128), torch.zeros(1, 8)
    with torch.inference_mode():
        head = Head(tiny_model, picture)
        frame = head.decode(torch.zeros(4, 1, 16, 16), at_rest, head.turn(at_rest))[0]
        lost = head.shown[:, :3] - head.shown[:, 3:6]
    assert np.abs(frame.astype(int) - picture).max() <= 1
    assert (lost - low_pass(lost, 4.0)).abs().mean() * 127.5 > 5


def test_a_picture_in_harsh_light_comes_back_as_it_was(tiny_model: Model) -> None:
    harsh = (np.clip((fine_picture(128) / 255.0 - 0.5) * 3 + 0.4, 0, 1) * 255).astype(np.uint8)
    assert Light.of(to_unit(harsh[None], torch.device("cpu"))).gain.item() < 1
    at_rest = torch.zeros(1, 8)
    with torch.inference_mode():
        head = Head(tiny_model, harsh)
        frame = head.decode(torch.zeros(4, 1, 16, 16), at_rest, head.turn(at_rest))[0]
    assert np.abs(frame.astype(int) - harsh).max() <= 1


def test_what_shows_nothing_new_is_the_picture_itself() -> None:
    picture, face = fine_picture(), FaceCrop(150.0, 150.0, 240.0, 0.1)
    paster, frame = Paster(picture, face, 64), crop(picture, face, 64)
    kept, plain = paster.paste(frame, STILL).astype(int), paster.paste(frame).astype(int)
    assert np.abs(kept - picture).max() <= 2
    assert np.abs(plain - picture).mean() > 5


def test_what_is_new_is_pasted_and_the_rest_stays_fine() -> None:
    picture, face = fine_picture(), FaceCrop(150.0, 150.0, 256.0)
    frame = crop(picture, face, 64)
    frame[40:50, 24:40] = 255 - frame[40:50, 24:40]
    paster = Paster(picture, face, 64)
    kept, plain = paster.paste(frame, STILL).astype(int), paster.paste(frame).astype(int)
    inside = slice(22 + 4 * 42, 22 + 4 * 48), slice(22 + 4 * 27, 22 + 4 * 37)
    assert np.abs(kept[inside] - plain[inside]).mean() < 3
    assert np.abs(kept[40:150, 40:260] - picture[40:150, 40:260]).max() <= 2


def test_own_pixels_turn_with_the_head() -> None:
    """As the picture does when its head is turned at its own size, in a box that lies askew."""
    picture, face = fine_picture(), FaceCrop(np.float64(150.0), np.float64(150.0), np.float64(256.0), 0.2)
    turned = TurnedPortrait(picture, face, TURNED[None])[0]
    frame = crop(turned, face, 64)
    paster, inside = Paster(picture, face, 64), (slice(90, 210), slice(90, 210))
    own, plain = paster.paste(frame, TURNED).astype(int), paster.paste(frame).astype(int)
    error, before = (
        np.abs(own[inside] - turned[inside].astype(int)).mean(),
        np.abs(plain[inside] - turned[inside].astype(int)).mean(),
    )
    assert error < 0.6 * before, (error, before)
    assert np.abs(own[inside] - picture[inside]).mean() > 1.5 * error


def test_low_pass_keeps_what_is_flat_and_drops_what_is_fine() -> None:
    flat = torch.full((1, 3, 32, 32), 0.7)
    assert torch.allclose(low_pass(flat, 2.0), flat, atol=1e-5)
    checks = (torch.arange(32)[:, None] + torch.arange(32)) % 2 * 2.0 - 1
    assert low_pass(checks.expand(1, 3, 32, 32), 2.0)[..., 8:-8, 8:-8].abs().max() < 0.01
