"""Videos of the field: what is read is upright, square, progressive, SDR, complete, and the same with both backends."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np
import pytest
from av.filter import Graph
from av.video.frame import VideoFrame
from PIL import Image

from eadnet_core.errors import BadInput
from eadnet_core.media.video import backends
from eadnet_core.media.video.files import FrameCursor, VideoReader, read_video
from eadnet_core.media.video.tone_map import _TO_709, WHITE_NITS, nits_to_pq, to_sdr


@pytest.fixture(params=["pyav", "imageio"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "imageio":
        monkeypatch.setattr(backends, "has_pyav", lambda: False)
    return request.param


def picture(number: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A ramp with a bright bar that moves, uint8 [H, W, 3]."""
    y, x = np.mgrid[0:height, 0:width]
    ramp = np.stack([60 + 2 * x % 130, 50 + 2 * y % 130, 90 + (x + y) % 60], axis=-1)
    ramp[:, 2 * number % width : 2 * number % width + 6] = 180
    return ramp.astype(np.uint8)


def converted(pixels: np.ndarray, pixel_format: str, matrix: str, value_range: str = "tv") -> VideoFrame:
    """RGB, uint8 or uint16, as a frame that is coded otherwise."""
    given = "rgb24" if pixels.dtype == np.uint8 else "rgb48le"
    frame, graph = VideoFrame.from_ndarray(pixels, given), Graph()
    size = f"{frame.width}x{frame.height}"
    source = graph.add("buffer", video_size=size, pix_fmt=given, time_base="1/25", pixel_aspect="1/1")
    flags = "flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
    scale = graph.add("scale", f"out_color_matrix={matrix}:out_range={value_range}:{flags}")
    graph.link_nodes(source, scale, graph.add("format", pixel_format), graph.add("buffersink")).configure()
    graph.vpush(frame)
    return graph.vpull()


def encode(
    path: Path,
    frames: list[VideoFrame],
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    times: list[int] | None = None,
    rotation: int = 0,
    **given: Any,
) -> Path:
    """A file of frames at 25 per second, or at `times` in 1/1000 s; `given` are fields of the codec's context."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            codec, rate=25, options={"crf": "4", **(options or {})} if "x264" in codec else {}
        )
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, frames[0].format.name
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for name, value in given.items():
            setattr(stream.codec_context, name, value)
        if rotation:
            stream.set_display_rotation(rotation)
        for number, frame in enumerate(frames):
            frame.pts = number if times is None else times[number]
            frame.time_base = Fraction(1, 25) if times is None else Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def plain(n_frames: int = 10, pixel_format: str = "yuv420p", matrix: str = "bt709", **size: int) -> list[VideoFrame]:
    return [converted(picture(i, **size), pixel_format, matrix) for i in range(n_frames)]


def ffmpeg(*arguments: str | Path) -> None:
    """Make a file for a test that PyAV does not offer to make."""
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *map(str, arguments)], check=True)


def difference(reader: VideoReader, wanted: list[np.ndarray]) -> float:
    """Greatest mean difference of a picture, of 255."""
    frames = list(reader)
    assert len(frames) == len(wanted)
    return max(float(np.abs(a.astype(int) - b).mean()) for a, b in zip(frames, wanted, strict=True))


BT709 = {"colorspace": 1, "color_primaries": 1, "color_trc": 1, "color_range": 1}


# ---- shape


def test_wide_pixels_end_square(tmp_path: Path, backend: str) -> None:
    path = encode(tmp_path / "a.mp4", plain(5), sample_aspect_ratio=Fraction(2), **BT709)
    reader = read_video(path)
    assert reader.size == (128, 48) and next(iter(reader)).shape == (48, 128, 3)
    assert np.abs(next(iter(reader))[:, ::2].astype(int) - picture(0)).mean() < 6
    assert reader.notes == ("'a.mp4' has pixels that are not square; its pictures are scaled to 128 x 48.",)


def test_an_absurd_aspect_is_taken_for_square(tmp_path: Path, backend: str) -> None:
    path = encode(tmp_path / "a.mp4", plain(2), sample_aspect_ratio=Fraction(300))
    assert read_video(path).size == (64, 48)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_phones_turn_the_picture(tmp_path: Path, backend: str, degrees: int) -> None:
    path = encode(tmp_path / "a.mp4", plain(3), rotation=degrees, **BT709)
    wanted = [np.rot90(picture(i), degrees // 90) for i in range(3)]
    reader = read_video(path)
    assert reader.size == (wanted[0].shape[1], wanted[0].shape[0])
    assert difference(reader, wanted) < 4


def test_a_size_that_changes_is_that_of_the_first_picture(tmp_path: Path, backend: str) -> None:
    first = encode(tmp_path / "a.ts", plain(10))
    times = [400 + 40 * i for i in range(10)]
    second = encode(tmp_path / "b.ts", plain(10, width=128, height=96), times=times)
    (tmp_path / "both.ts").write_bytes(first.read_bytes() + second.read_bytes())
    reader = read_video(tmp_path / "both.ts")
    frames = list(reader)
    assert {frame.shape for frame in frames} == {(48, 64, 3)} and 16 <= len(frames) <= 21
    wanted = np.asarray(Image.fromarray(picture(9, 128, 96)).resize((64, 48), Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(frames[-1] - wanted).mean() < 12
    assert backend == "imageio" or any("changes its size" in note for note in reader.notes)


# ---- colour


@pytest.mark.parametrize(
    ("pixel_format", "matrix", "value_range", "given"),
    [
        ("yuv420p", "bt709", "tv", BT709),
        ("yuv420p", "smpte170m", "tv", {"colorspace": 6, "color_primaries": 6, "color_trc": 6}),
        ("yuv420p", "smpte170m", "tv", {}),
        ("yuvj420p", "bt709", "pc", {"colorspace": 1, "color_range": 2}),
        ("yuv444p10le", "bt709", "tv", BT709),
        ("yuv422p10le", "bt709", "tv", BT709),
    ],
)
def test_colours_come_out_as_they_went_in(
    tmp_path: Path, backend: str, pixel_format: str, matrix: str, value_range: str, given: dict[str, int]
) -> None:
    frames = [converted(picture(i), pixel_format, matrix, value_range) for i in range(3)]
    reader = read_video(encode(tmp_path / "a.mp4", frames, **given))
    assert difference(reader, [picture(i) for i in range(3)]) < 4 and reader.notes == ()
    assert abs(np.mean(list(reader)) - np.mean([picture(i) for i in range(3)])) < 0.7


def test_high_definition_without_tags_is_bt709(tmp_path: Path, backend: str) -> None:
    flat = np.full((720, 1280, 3), (200, 60, 60), np.uint8)
    reader = read_video(encode(tmp_path / "a.mp4", [converted(flat, "yuv420p", "bt709")]))
    assert np.abs(next(iter(reader)).astype(int) - flat).max() <= 2


def wide_code(pixels: np.ndarray, transfer: str) -> np.ndarray:
    """What an SDR picture is in BT.2020, reference white at 203 nits: uint16 [H, W, 3]."""
    light = np.power(pixels / 255.0, 2.4) @ np.linalg.inv(_TO_709).T
    if transfer == "smpte2084":
        code = nits_to_pq(light * WHITE_NITS)
    elif transfer == "arib-std-b67":
        luma = (light * WHITE_NITS / 1000.0) @ np.array([0.2627, 0.6780, 0.0593])
        scene = light * WHITE_NITS / 1000.0 * np.maximum(luma, 1e-9)[..., None] ** (1 / 1.2 - 1)
        code = np.where(
            scene <= 1 / 12,
            np.sqrt(3 * scene),
            0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073,
        )
    else:
        code = np.power(light, 1 / 2.4)
    return (np.clip(code, 0, 1) * 65535 + 0.5).astype(np.uint16)


@pytest.mark.parametrize(
    ("transfer", "number", "words"),
    [("smpte2084", 16, "HDR (PQ)"), ("arib-std-b67", 18, "HDR (HLG)"), ("bt2020-10", 14, "colours of BT.2020")],
)
def test_high_dynamic_range_is_tone_mapped(
    tmp_path: Path, backend: str, transfer: str, number: int, words: str
) -> None:
    frames = [converted(wide_code(picture(i), transfer), "yuv420p10le", "bt2020nc") for i in range(3)]
    path = encode(tmp_path / "a.mp4", frames, colorspace=9, color_primaries=9, color_trc=number, color_range=1)
    reader = read_video(path)
    assert difference(reader, [picture(i) for i in range(3)]) < 5
    assert len(reader.notes) == 1 and words in reader.notes[0]


def test_the_tone_curve_is_that_of_the_standard() -> None:
    grey = np.repeat(nits_to_pq(np.array([0.0, 20.0, 60.0, 203.0, 600.0, 1000.0, 8000.0]))[:, None], 3, axis=1)
    shown = to_sdr(grey, "smpte2084")
    assert np.ptp(shown, axis=1).max() < 1e-3 and (np.diff(shown[:, 0]) >= 0).all()
    assert shown[2, 0] == pytest.approx((60 / 203) ** (1 / 2.4), abs=1e-3)
    assert shown[5:, 0] == pytest.approx([1.0, 1.0], abs=1e-3)
    red = to_sdr(np.array([[nits_to_pq(np.array(100.0)), 0.0, 0.0]]), "smpte2084")
    assert red[0, 0] > 0.5 and red[0, 1:].max() < red[0, 0] / 2


def test_transparent_pictures_lie_on_grey(tmp_path: Path, backend: str) -> None:
    pixels = np.zeros((48, 64, 4), np.uint8)
    pixels[:24] = (200, 40, 40, 255)
    frames = [VideoFrame.from_ndarray(pixels, "rgba") for _ in range(2)]
    for frame in frames:
        frame.pts = None
    frame = next(iter(read_video(encode(tmp_path / "a.mov", [f.reformat(format="argb") for f in frames], "qtrle"))))
    assert frame[0, 0].tolist() == [200, 40, 40] and frame[-1, 0].tolist() == [128, 128, 128]


# ---- time


def test_interlaced_pictures_are_made_whole(tmp_path: Path, backend: str) -> None:
    frames = []
    for number in range(10):
        woven = np.full((96, 192, 3), 30, np.uint8)
        for field in (0, 1):
            left = 20 + 8 * (2 * number + field)
            woven[field::2, left : left + 16] = 220
        frames.append(converted(woven, "yuv420p", "bt709"))
    options = {"flags": "+ildct+ilme", "x264-params": "tff=1"}
    reader = read_video(encode(tmp_path / "a.mp4", frames, options=options, **BT709))
    made = list(reader)
    assert len(made) == 10
    combs = [np.abs(np.diff(frame[8:-8].astype(int), axis=0)).mean() for frame in made[2:-2]]
    assert max(combs) < 3
    assert reader.notes == ("'a.mp4' is interlaced; whole frames were made of its fields (deinterlaced).",)


def test_frames_of_varying_length_keep_their_time(tmp_path: Path, backend: str) -> None:
    times = [0, 40, 80, 400, 440, 1000, 1040, 1080]
    reader = read_video(encode(tmp_path / "a.mkv", plain(8), times=times, **BT709), 25)
    shown = [0, 1, 2, *[2] * 7, 3, 4, *[4] * 13, 5, 6, 7]
    assert difference(reader, [picture(i) for i in shown]) < 4


@pytest.mark.parametrize("rate", [10, 24, 30, 60])
def test_resampled_frames_are_those_of_ffmpeg(tmp_path: Path, backend: str, rate: int) -> None:
    path = encode(tmp_path / "a.mp4", plain(25), **BT709)
    filters = f"fps={rate},scale=flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
    ffmpeg("-i", path, "-vf", filters, "-pix_fmt", "rgb24", tmp_path / "%03d.png")
    made = sorted(tmp_path.glob("*.png"))
    wanted = [np.asarray(Image.open(p)) for p in made]
    assert difference(read_video(path, rate), wanted) == 0


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_a_picture_that_starts_late_starts_at_frame_0(tmp_path: Path, backend: str, suffix: str) -> None:
    path = encode(tmp_path / "a.mp4", plain(25), **BT709)
    tone = ["-f", "lavfi", "-i", "sine=duration=1.5:sample_rate=48000"]
    late = tmp_path / f"late.{suffix}"
    ffmpeg(*tone, "-itsoffset", "0.48", "-i", path, "-map", "0:a", "-map", "1:v", "-c:v", "copy", "-c:a", "aac", late)
    reader = read_video(late, 25)
    assert difference(reader, [picture(i) for i in range(25)]) < 4


def test_a_clock_that_jumps_does_not_make_hours_of_pictures(tmp_path: Path) -> None:
    one, two = encode(tmp_path / "a.ts", plain(25)), tmp_path / "b.ts"
    ffmpeg("-i", one, "-c", "copy", "-output_ts_offset", "30000", two)
    (tmp_path / "both.ts").write_bytes(one.read_bytes() + two.read_bytes())
    reader = read_video(tmp_path / "both.ts", 25)
    assert 48 <= sum(1 for _ in reader) <= 52
    assert any("clock that jumps" in note for note in reader.notes)


def test_frames_by_number_are_exact(tmp_path: Path, backend: str) -> None:
    reader = read_video(encode(tmp_path / "a.mp4", plain(40), options={"g": "12"}, **BT709), 25)
    frames, cursor = list(reader), FrameCursor(reader)
    for number in (0, 3, 39, 17, 17, 18, 2):
        assert np.array_equal(cursor[number], frames[number])
    with pytest.raises(IndexError):
        cursor[40]
    assert reader.n_frames == 40


# ---- containers and streams


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("a.webm", "libvpx-vp9", "yuv420p"),
        ("a.mkv", "ffv1", "yuv444p"),
        ("a.avi", "mpeg4", "yuv420p"),
        ("a.mov", "prores_ks", "yuv422p10le"),
        ("a.ts", "mpeg2video", "yuv420p"),
        ("a.gif", "gif", "rgb8"),
        ("a.avi", "mjpeg", "yuvj420p"),
        ("a.mkv", "ffv1", "gray"),
    ],
)
def test_containers_and_codecs_of_the_field(
    tmp_path: Path, backend: str, name: str, codec: str, pixel_format: str
) -> None:
    frames = plain(10, "yuv420p" if codec == "gif" else pixel_format, "smpte170m")
    if codec == "gif":
        frames = [frame.reformat(format="rgb8") for frame in frames]
    reader = read_video(encode(tmp_path / name, frames, codec, bit_rate=4_000_000), 25)
    made = np.stack(list(reader))
    assert made.shape == (10, 48, 64, 3)
    wanted = np.stack([picture(i) for i in range(10)]).astype(int)
    if pixel_format == "gray":
        wanted = (wanted @ np.array([0.299, 0.587, 0.114]))[..., None]
    assert np.abs(made - wanted).mean() < 20


def test_cover_art_is_no_video(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "color=red:size=64x64", "-frames:v", "1", tmp_path / "cover.png")
    tone = ["-f", "lavfi", "-i", "sine=duration=1"]
    ffmpeg(
        *tone,
        "-i",
        tmp_path / "cover.png",
        "-map",
        "0",
        "-map",
        "1",
        "-c:v",
        "png",
        "-disposition:v",
        "attached_pic",
        tmp_path / "a.m4a",
    )
    with pytest.raises(BadInput, match="no video"):
        read_video(tmp_path / "a.m4a")
    video = encode(tmp_path / "v.mp4", plain(5))
    both = tmp_path / "both.mp4"
    ffmpeg(
        "-i",
        tmp_path / "cover.png",
        "-i",
        video,
        "-map",
        "0",
        "-map",
        "1",
        "-c:v:0",
        "png",
        "-c:v:1",
        "copy",
        "-disposition:v:0",
        "attached_pic",
        both,
    )
    reader = read_video(both)
    assert reader.size == (64, 48) and reader.n_frames == 5


def test_the_default_stream_is_the_one_to_show(tmp_path: Path) -> None:
    one, two = encode(tmp_path / "a.mp4", plain(5)), encode(tmp_path / "b.mp4", plain(5, width=32, height=32))
    both = tmp_path / "both.mkv"
    ffmpeg(
        "-i",
        one,
        "-i",
        two,
        "-map",
        "0",
        "-map",
        "1",
        "-c",
        "copy",
        "-disposition:v:0",
        "0",
        "-disposition:v:1",
        "default",
        both,
    )
    assert read_video(both).size == (32, 32)


# ---- damage


def test_a_file_that_was_cut_off_gives_what_is_there(tmp_path: Path, backend: str) -> None:
    encode(tmp_path / "whole.mp4", plain(50), options={"g": "5"})
    ffmpeg("-i", tmp_path / "whole.mp4", "-c", "copy", "-movflags", "faststart", tmp_path / "fast.mp4")
    whole = (tmp_path / "fast.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) * 6 // 10])
    reader = read_video(tmp_path / "cut.mp4")
    assert 10 < sum(1 for _ in reader) < 50
    if backend == "pyav":
        assert any("damaged" in note for note in reader.notes)


@pytest.mark.parametrize("suffix", ["mkv", "webm"])
def test_less_than_the_header_announces_is_noted(tmp_path: Path, suffix: str) -> None:
    whole = encode(tmp_path / f"a.{suffix}", plain(50), "libvpx-vp9", bit_rate=400_000).read_bytes()
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(whole[: len(whole) // 2])
    reader = read_video(cut, 25)
    assert sum(1 for _ in reader) < 40
    assert any("that its header announces" in note for note in reader.notes)


def test_a_stream_that_no_decoder_knows_is_refused(tmp_path: Path) -> None:
    data = encode(tmp_path / "a.mkv", plain(5)).read_bytes()
    (tmp_path / "b.mkv").write_bytes(data.replace(b"V_MPEG4/ISO/AVC", b"V_XXXXX/YYY/ZZZ"))
    with pytest.raises(BadInput, match="no video"):
        read_video(tmp_path / "b.mkv")


def test_damage_in_the_middle_is_noted(tmp_path: Path) -> None:
    data = bytearray(encode(tmp_path / "a.ts", plain(50), options={"g": "10"}).read_bytes())
    rng = np.random.default_rng(0)
    for at in rng.integers(2000, len(data), 40):
        data[at] ^= 0xFF
    (tmp_path / "b.ts").write_bytes(data)
    reader = read_video(tmp_path / "b.ts", 25)
    assert 25 < sum(1 for _ in reader) <= 60
    assert any("damaged" in note for note in reader.notes)


@pytest.mark.parametrize(
    "content", [b"#EXTM3U\n#EXTINF:1,\na.ts\n", b"ffconcat version 1.0\nfile a.ts\n", b"\0" * 5000]
)
def test_what_is_no_video_is_one_line(tmp_path: Path, backend: str, content: bytes) -> None:
    encode(tmp_path / "a.ts", plain(5))
    for name in ("a.mp4", "a.m3u8"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadInput) as caught:
            read_video(tmp_path / name)
        assert "\n" not in str(caught.value) and name in str(caught.value)
