"""Pictures: every kind that people have becomes RGB, and what is none is refused with a reason."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from eadnet_core.errors import BadInput
from eadnet_core.media import image as image_module
from eadnet_core.media.image import BACKGROUND, read_image


@pytest.fixture
def ramp() -> np.ndarray:
    """A smooth colour picture, uint8 [40, 60, 3]."""
    y, x = np.mgrid[0:40, 0:60]
    return np.stack([40 + 3 * x, 30 + 4 * y, 200 - x - 2 * y], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.webp", "a.ppm"])
def test_lossless_formats_are_exact(tmp_path: Path, ramp: np.ndarray, name: str) -> None:
    options = {"lossless": True} if name.endswith("webp") else {}
    Image.fromarray(ramp).save(tmp_path / name, **options)
    assert np.array_equal(read_image(tmp_path / name), ramp)
    assert np.array_equal(read_image(str(tmp_path / name)), ramp)


def test_jpeg_and_cmyk_keep_their_colours(tmp_path: Path, ramp: np.ndarray) -> None:
    Image.fromarray(ramp).save(tmp_path / "a.jpg", quality=95)
    Image.fromarray(ramp).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    for name in ("a.jpg", "cmyk.jpg"):
        picture = read_image(tmp_path / name)
        assert picture.shape == ramp.shape and picture.dtype == np.uint8
        assert np.abs(picture.astype(int) - ramp).mean() < 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_undone(tmp_path: Path, ramp: np.ndarray, orientation: int) -> None:
    undo = {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.transpose(1, 0, 2),
        6: lambda p: p.transpose(1, 0, 2)[::-1],
        7: lambda p: p.transpose(1, 0, 2)[::-1, ::-1],
        8: lambda p: p.transpose(1, 0, 2)[:, ::-1],
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(undo[orientation](ramp))).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "a.png"), ramp)


def test_transparency_is_laid_over_grey(tmp_path: Path, ramp: np.ndarray) -> None:
    alpha = np.zeros((40, 60, 1), np.uint8)
    alpha[:, 30:] = 255
    pixels = np.concatenate([ramp, alpha], axis=-1)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels).quantize(64).save(tmp_path / "palette.png")
    for picture in (read_image(tmp_path / "a.png"), read_image(pixels)):
        assert (picture[:, :30] == BACKGROUND).all()
        assert np.array_equal(picture[:, 30:], ramp[:, 30:])
    assert (np.abs(read_image(tmp_path / "palette.png")[:, :30].astype(int) - BACKGROUND) <= 1).all()


def test_grey_palette_and_one_bit_pictures(tmp_path: Path, ramp: np.ndarray) -> None:
    grey = np.asarray(Image.fromarray(ramp).convert("L"))
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(ramp).quantize(256).save(tmp_path / "palette.gif")
    Image.fromarray(grey).convert("1").save(tmp_path / "bits.png")
    assert np.array_equal(read_image(tmp_path / "grey.png"), np.stack([grey] * 3, axis=-1))
    assert np.abs(read_image(tmp_path / "palette.gif").astype(int) - ramp).mean() < 6
    assert set(np.unique(read_image(tmp_path / "bits.png"))) == {0, 255}


def test_sixteen_bits_are_scaled(tmp_path: Path) -> None:
    deep = np.linspace(0, 65535, 40 * 60).reshape(40, 60).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    Image.fromarray(deep).save(tmp_path / "deep.tif")
    Image.fromarray((deep / 65535).astype(np.float32)).save(tmp_path / "float.tif")
    for source in (tmp_path / "deep.png", tmp_path / "deep.tif", tmp_path / "float.tif", deep):
        picture = read_image(source)
        assert np.abs(picture[..., 0] - deep / 257.0).max() <= 1.0
        assert picture[0, 0, 0] == 0 and picture[-1, -1, 2] == 255


def test_an_embedded_profile_is_honoured(tmp_path: Path, ramp: np.ndarray) -> None:
    picture = Image.fromarray(ramp)
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture.save(tmp_path / "srgb.png", icc_profile=lab)
    picture.save(tmp_path / "broken.png", icc_profile=b"this is no profile")
    assert np.abs(read_image(tmp_path / "srgb.png").astype(int) - ramp).max() <= 1
    assert np.array_equal(read_image(tmp_path / "broken.png"), ramp)


def test_an_animation_gives_its_first_picture(tmp_path: Path, ramp: np.ndarray) -> None:
    pictures = [Image.fromarray(ramp), Image.fromarray(ramp[::-1].copy())]
    pictures[0].save(tmp_path / "a.png", save_all=True, append_images=pictures[1:])
    assert np.array_equal(read_image(tmp_path / "a.png"), ramp)


def test_arrays(ramp: np.ndarray) -> None:
    assert np.array_equal(read_image(ramp), ramp)
    assert np.array_equal(read_image(ramp[None]), ramp)
    assert np.array_equal(read_image(ramp.astype(np.float32) / 255), ramp)
    assert np.array_equal(read_image(ramp[..., 0]), np.stack([ramp[..., 0]] * 3, axis=-1))


def test_one_pixel_and_8k_are_pictures(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), (9, 8, 7)).save(tmp_path / "one.png")
    assert read_image(tmp_path / "one.png").tolist() == [[[9, 8, 7]]]
    Image.new("L", (7680, 4320)).save(tmp_path / "8k.png")
    assert read_image(tmp_path / "8k.png").shape == (4320, 7680, 3)


def test_unreadable_files_say_why(tmp_path: Path, ramp: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, name in (("PNG", "cut.png"), ("JPEG", "cut.jpg")):
        noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
        data = io.BytesIO()
        Image.fromarray(noise).save(data, kind)
        (tmp_path / name).write_bytes(data.getvalue()[: len(data.getvalue()) // 2])
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("this is no picture")
    (tmp_path / "stub.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    monkeypatch.setattr(image_module, "MAX_PIXELS", 2000)
    Image.fromarray(ramp).save(tmp_path / "large.png")
    for name, words in {
        "absent.png": "does not exist",
        ".": "is a folder",
        "empty.png": "is empty",
        "text.png": "not a picture",
        "stub.png": "damaged|not a picture",
        "cut.png": "too large|damaged or cut off",
        "cut.jpg": "too large|damaged or cut off",
        "large.png": "too large .60 x 40",
    }.items():
        with pytest.raises(BadInput, match=words):
            read_image(tmp_path / name)
    monkeypatch.undo()
    for name in ("cut.png", "cut.jpg"):
        with pytest.raises(BadInput, match="damaged or cut off"):
            read_image(tmp_path / name)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 4, 2), np.uint8), "shape"),
        (np.zeros((0, 4, 3), np.uint8), "shape"),
        (np.zeros((2, 4, 4, 3), np.uint8), "shape"),
        (np.full((4, 4, 3), np.nan), "NaN or values outside"),
        (np.full((4, 4, 3), 200.0), "NaN or values outside"),
        (np.zeros((4, 4, 3), np.int64), "int64"),
    ],
)
def test_unusable_arrays_say_why(array: np.ndarray, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        read_image(array)


@pytest.mark.parametrize("name", ["a\0b.png", "a" * 5000 + ".png"])
def test_names_that_no_file_can_have_are_refused(name: str) -> None:
    with pytest.raises(BadInput, match=r"cannot be a path|too long"):
        read_image(name)


def test_formats_that_have_to_be_saved_as_others_are_named(tmp_path: Path) -> None:
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64))
    with pytest.raises(BadInput, match="HEIC"):
        read_image(tmp_path / "phone.heic")


@pytest.mark.parametrize("brightness", [np.nan, -1.0, 1000.0])
def test_a_picture_of_floats_out_of_range_is_named(tmp_path: Path, brightness: float) -> None:
    Image.fromarray(np.full((4, 4), brightness, np.float32)).save(tmp_path / "scene.tif")
    with pytest.raises(BadInput, match=r"scene\.tif.*Save it with 8 or 16 bits"):
        read_image(tmp_path / "scene.tif")
