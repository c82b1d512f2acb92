"""Video files read and written by imageio-ffmpeg, where PyAV is missing: that package runs an ffmpeg.

Its reader and writer are all that is used. The reader takes whole lists of ffmpeg's options, so that with a tiny black
video as its subject it also carries out what the writer cannot: tags, a sound beside pictures that are copied, joining.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import tempfile
from collections.abc import Generator, Iterator, Sequence
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import BadInput
from ..notes import Notes
from ..sound.audio import Audio, original_samples
from .encoding import (
    ALPHA_CODEC,
    ALPHA_OPTIONS,
    CODEC,
    MP4_FLAGS,
    PART_OPTIONS,
    PICTURE_OPTIONS,
    SOUND_BITS_PER_S,
    SOUND_CODEC,
    encoder_threads,
)
from .picture_filters import (
    TO_YUV,
    TO_YUVA,
    Colours,
    Filters,
    assumed_matrix,
    check_size,
    deinterlaced,
    escaped,
    over_background,
    square_width_term,
    squared_note,
    to_rgb,
)
from .tags import ffmetadata, parse_ffmetadata
from .tone_map import KINDS, cube

WANTED = "Give a video file such as an mp4."
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,mpegts,mpeg,mpegvideo,m4v,h264,hevc,flv,asf,ogg,nut,mxf,dv,ivf,wav,"
    "flac,mp3,aac,image2,png_pipe,jpeg_pipe,gif_pipe,webp_pipe,apng"
)
_SAFELY = ["-protocol_whitelist", "file,pipe", "-format_whitelist", _FORMATS]
"""A playlist may point to other files and addresses; only files that hold the media themselves are read."""
_COLOURS = ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv"]
"""Earlier releases of ffmpeg tag files by these, later ones by what TO_YUV writes into the frames."""
_LEAST_BYTES = 1_000_000
"""Where less is free, a writer that ended did so because the disk is full; the package does not tell why."""
_ALPHA = ("rgba", "bgra", "argb", "abgr", "yuva", "ya", "gbrap", "pal8")
_NOTHING = "color=c=black:s=16x16:d=0.04"
"""The subject of a run that is about other files."""


class ImageioPictures:
    """The picture stream of a file; see `backends.Pictures`."""

    def __init__(self, path: Path, fps: int | None) -> None:
        """Decode the first picture. Raises BadInput where there is none."""
        self.path = path
        self.notes = Notes(path)
        self._colours, self._is_interlaced, self.rate = Colours(), False, Fraction(0)
        self.size: tuple[int, int] = (0, 0)
        header = self._header()
        self.size = header["size"]
        check_size(path, self.size)
        coded, _, details = str(header["pix_fmt"]).partition("(")
        self._colours = _colours_of(coded, details)
        self._is_interlaced = bool(re.search(r"\b(top|bottom)\b", details))
        self.rate = Fraction(fps) if fps else _rate_of(float(header["fps"]))
        source = header["source_size"]
        if self.size not in (source, source[::-1]):
            self.notes.add(squared_note(self.size))
        if self._is_interlaced:
            self.notes.add("is interlaced; whole frames were made of its fields (deinterlaced).")
        if said := self._colours.note():
            self.notes.add(said)

    @property
    def fps(self) -> float:
        """Pictures per second."""
        return float(self.rate)

    def _header(self) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="eadnet-") as folder:
            frames = self._open(0, Path(folder))
            try:
                header = next(frames)
                next(frames)
            except (OSError, RuntimeError, StopIteration, KeyError, ValueError, IndexError, AttributeError) as error:
                raise BadInput(f"Video '{self.path}' holds no video that can be read. {WANTED}") from error
            finally:
                frames.close()
        return header

    def _open(self, first: int, folder: Path) -> Generator[Any, None, None]:
        import imageio_ffmpeg

        filters: Filters = [("setpts", "PTS-STARTPTS"), *(deinterlaced() if self._is_interlaced else [])]
        if self.rate:
            filters.append(("fps", f"{self.rate}:start_time=0"))
        if first:
            filters += [("trim", f"start_frame={first}"), ("setpts", "PTS-STARTPTS")]
        table = None
        if self._colours.is_wide:
            (folder / "table.cube").write_text(cube(self._colours.transfer), "ascii")
            table = escaped(folder / "table.cube")
        matrix = assumed_matrix(self._colours, self.size) if self.size[0] else "auto"
        width, height = map(str, self.size) if self.size[0] else (square_width_term(), "ih")
        filters += to_rgb(self._colours, matrix, width, height, table)
        n_bits = 32 if self._colours.has_alpha else 24
        return imageio_ffmpeg.read_frames(
            str(self.path.resolve()),
            pix_fmt="rgba" if self._colours.has_alpha else "rgb24",
            bits_per_pixel=n_bits,
            input_params=[*_SAFELY, "-reinit_filter", "0"],  # else times begin anew where the size changes
            output_params=["-vf", _listed(filters)],
        )

    def frames(self, first: int) -> Generator[np.ndarray, None, None]:
        """The pictures from number `first` on, uint8 [H, W, 3]."""
        n_channels = 4 if self._colours.has_alpha else 3
        with tempfile.TemporaryDirectory(prefix="eadnet-") as folder:
            frames = self._open(first, Path(folder))
            try:
                next(frames)
                for data in frames:
                    pixels = np.frombuffer(data, np.uint8).reshape(self.size[1], self.size[0], n_channels)
                    yield over_background(pixels).copy()
            except RuntimeError:
                self.notes.add("is damaged or cut off; the pictures before that are used.")
            finally:
                frames.close()

    def count(self) -> int:
        """Number of pictures; they are decoded."""
        return sum(1 for _ in self.frames(0))


def _colours_of(coded: str, details: str) -> Colours:
    """From what ffmpeg prints of a stream, such as yuv420p10le and tv, bt2020nc/bt2020/smpte2084, progressive."""
    triple = re.search(r"([\w-]+)/([\w-]+)/([\w-]+)", details)
    matrix, primaries, transfer = triple.groups() if triple else ("", "", "")
    if not triple and (one := re.search(r"\b(bt709|smpte170m|bt470bg|fcc|smpte240m|bt2020nc|bt2020c)\b", details)):
        matrix = primaries = one.group()
    return Colours(
        "" if matrix == "unknown" else matrix,
        "bt2020" if primaries == "bt2020" else "",
        transfer if transfer in KINDS else "",
        coded.startswith(_ALPHA),
    )


def _rate_of(printed: float) -> Fraction:
    """A rate that was printed with two digits.

    >>> _rate_of(29.97), _rate_of(25.0), _rate_of(0.0)
    (Fraction(30000, 1001), Fraction(25, 1), Fraction(25, 1))
    """
    whole = round(printed * 1.001)
    if whole and abs(printed - whole / 1.001) < 0.006 and abs(printed - whole) > 0.006:
        return Fraction(whole * 1000, 1001)
    return Fraction(printed).limit_denominator(100) if 0 < printed <= 1000 else Fraction(25)


def _listed(filters: Filters) -> str:
    """Filters as ffmpeg's command line takes them."""
    return ",".join(f"{name}={arguments}" if arguments else name for name, arguments in filters)


class ImageioEncoder:
    """H.264, or ProRes where there is an alpha, and AAC into one file; see `backends.Encoder`.

    Sound and tags are added when the pictures are finished.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        fps: Fraction,
        audio: Audio | None,
        tags: dict[str, str],
        is_part: bool,
        has_alpha: bool = False,
    ) -> None:
        """Start the writer. `size` (width, height) is even."""
        import imageio_ffmpeg

        self._path, self._audio, self._tags, self._n = path, audio, tags, 0
        self._pictures = path.with_name(f"pictures{path.suffix}")
        if audio is not None:
            next(original_samples(audio))
        options = ALPHA_OPTIONS if has_alpha else {**PICTURE_OPTIONS, **(PART_OPTIONS if is_part else {})}
        filters = TO_YUVA if has_alpha else TO_YUV
        self._frames = imageio_ffmpeg.write_frames(
            str(self._pictures.resolve()),
            size,
            fps=float(fps),
            quality=None,
            codec=ALPHA_CODEC if has_alpha else CODEC,
            pix_fmt_in="rgba" if has_alpha else "rgb24",
            pix_fmt_out=filters[1][1],
            macro_block_size=1,
            ffmpeg_log_level="quiet",
            input_params=["-r", str(fps)],
            output_params=[*(_flags(options)), "-threads", str(encoder_threads()), "-vf", _listed(filters), *_COLOURS],
        )
        self._frames.send(None)

    def encode(self, frame: np.ndarray) -> None:
        """See `backends.Encoder`."""
        try:
            self._frames.send(np.ascontiguousarray(frame).tobytes())
        except (OSError, StopIteration) as error:
            raise _failure(self._path.parent) from error
        self._n += 1

    def finish(self) -> None:
        """Write the rest; the file is whole when this returns."""
        self._frames.close()
        if _count(self._pictures) != self._n:
            raise _failure(self._path.parent)
        join_parts([self._pictures], self._path, self._audio, self._tags, None)
        self._pictures.unlink()

    def abort(self) -> None:
        """End ffmpeg; harmless after `finish`."""
        with contextlib.suppress(KeyboardInterrupt, StopIteration):
            self._frames.throw(KeyboardInterrupt)  # what makes the writer end ffmpeg without waiting for it


def _failure(folder: Path, said: str = "ffmpeg ended") -> OSError:
    if shutil.disk_usage(folder).free < _LEAST_BYTES:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return OSError(errno.EPIPE, said)


def _count(path: Path) -> int:
    """Pictures in a finished file, 0 in one that cannot be read."""
    import imageio_ffmpeg

    try:
        return imageio_ffmpeg.count_frames_and_secs(str(path.resolve()))[0]
    except (RuntimeError, OSError):
        return 0


def _flags(options: dict[str, str]) -> Iterator[str]:
    for name, value in options.items():
        yield from (f"-{name}", value)


def join_parts(
    parts: Sequence[Path], path: Path, audio: Audio | None, tags: dict[str, str], duration_s: Fraction | None
) -> None:
    """Write the pictures of parts into one file without decoding them; see `backends.join_files`."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix="join-") as name:
        folder = Path(name)
        listed, tagged = folder / "parts.ffconcat", folder / "tags.txt"
        paths = (str(part.resolve()).replace("'", r"'\''") for part in parts)
        files = "".join(f"file '{quoted}'\n" for quoted in paths)
        listed.write_text(f"ffconcat version 1.0\n{files}", "utf-8")
        tagged.write_text(ffmetadata(tags), "utf-8")
        inputs = ["-f", "concat", "-safe", "0", "-i", str(listed), "-f", "ffmetadata", "-i", str(tagged)]
        sound = []
        if audio is not None:
            inputs += ["-i", str(_sound_file(folder, audio, duration_s))]
            sound = ["-map", "2:a:0", "-c:a", SOUND_CODEC, "-b:a", str(SOUND_BITS_PER_S)]
        copied = ["-map", "0:v:0", "-c:v", "copy", "-map_metadata", "1", "-map_chapters", "-1"]
        _run(inputs, [*copied, *sound, "-movflags", MP4_FLAGS, "-f", _muxer(path), str(path)])
    if _count(path) != sum(map(_count, parts)):
        raise _failure(path.parent)


def _muxer(path: Path) -> str:
    return {".mov": "mov", ".m4v": "ipod"}.get(path.suffix, "mp4")


def _sound_file(folder: Path, audio: Audio, duration_s: Fraction | None) -> Path:
    """The original sound as a file, cut to `duration_s`."""
    import soundfile

    path, blocks = folder / "sound.wav", original_samples(audio)
    first = next(blocks)
    n_left = None if duration_s is None else ceil(duration_s * audio.rate_hz)
    with soundfile.SoundFile(path, "w", audio.rate_hz, len(first), "FLOAT", format="RF64") as file:
        for block in (first, *blocks):
            file.write(block[:, :n_left].T)
            n_left = None if n_left is None else max(0, n_left - block.shape[1])
    return path


def read_tags(path: Path) -> dict[str, str]:
    """The tags of a media file. Raises BadInput."""
    with tempfile.TemporaryDirectory(prefix="eadnet-") as folder:
        tags = Path(folder) / "tags.txt"
        try:
            _run([*_SAFELY, "-i", str(path.resolve())], ["-map_metadata", "0", "-f", "ffmetadata", str(tags)])
        except OSError as error:
            raise BadInput(f"Video '{path}' cannot be read. {WANTED}") from error
        return parse_ffmetadata(tags.read_text("utf-8", "replace"))


def _run(inputs: list[str], output: list[str]) -> None:
    """Let ffmpeg make one file of others. Raises OSError with what it said."""
    import imageio_ffmpeg

    n_inputs = inputs.count("-i")
    own = ["-map", f"{n_inputs}:v:0", "-c:v", "rawvideo", "-pix_fmt", "rgb24", "-f", "image2pipe", "-frames:v", "0"]
    run = imageio_ffmpeg.read_frames(_NOTHING, input_params=[*inputs, "-f", "lavfi"], output_params=[*output, *own])
    try:
        for _ in run:
            pass
    except (OSError, RuntimeError, IndexError, AttributeError) as error:
        said = [line for line in str(error).splitlines() if line.strip()][-2:] or ["it said nothing"]
        raise _failure(Path(output[-1]).parent, f"ffmpeg: {' | '.join(said)}") from error
