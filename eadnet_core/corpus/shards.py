"""Clips as WebDataset shards: plain tar files that many machines can stream, written without any extra package.

A clip is a group of members with one key: `.frames.png` (all frames, stacked downwards, lossless), `.reference.png`,
`.wav` (16-bit mono), `.tracks.npz` (numbers per frame) and `.json` (everything else). The same clips always give
the same bytes.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import wave
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import SAMPLE_RATE_HZ
from ..errors import BadInput, MediaError


@dataclass(frozen=True)
class ClipRecord:
    """What a shard stores of one clip.

    frames     [T, H, W, 3] uint8
    reference  [H, W, 3] uint8
    samples    [N] float32 at 16 kHz, -1 .. 1; stored with 16 bits
    tracks     arrays by name
    metadata   JSON values by name
    """

    frames: NDArray[np.uint8]
    reference: NDArray[np.uint8]
    samples: NDArray[np.float32]
    tracks: Mapping[str, NDArray[Any]]
    metadata: Mapping[str, Any]


def encode_clip(clip: ClipRecord) -> dict[str, bytes]:
    """The members of one clip: file content by extension."""
    n_frames, height, width, _ = clip.frames.shape
    return {
        "frames.png": _png(clip.frames.reshape(n_frames * height, width, 3)),
        "reference.png": _png(clip.reference),
        "wav": _wav(clip.samples),
        **encode_known(clip.tracks, {**clip.metadata, "n_frames": n_frames}),
    }


def encode_known(tracks: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> dict[str, bytes]:
    """The members that hold numbers per frame and JSON values, which have `n_frames` among them."""
    content = io.BytesIO()
    np.savez_compressed(content, **dict(sorted(tracks.items())))  # type: ignore[arg-type]
    return {
        "json": json.dumps(metadata, ensure_ascii=False, sort_keys=True).encode(),
        "tracks.npz": content.getvalue(),
    }


def decode_clip(members: Mapping[str, bytes]) -> ClipRecord:
    """The clip that `encode_clip` made the members from."""
    metadata = json.loads(members["json"])
    strip = _pixels(members["frames.png"])
    with wave.open(io.BytesIO(members["wav"])) as sound:
        samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2").astype(np.float32) / 32767.0
    with np.load(io.BytesIO(members["tracks.npz"])) as tracks:
        return ClipRecord(
            frames=strip.reshape(metadata.pop("n_frames"), -1, strip.shape[1], 3),
            reference=_pixels(members["reference.png"]),
            samples=samples,
            tracks={name: tracks[name] for name in tracks.files},
            metadata=metadata,
        )


def write_shards(
    clips: Iterable[tuple[str, Mapping[str, bytes]]], folder: Path, maxcount: int = 256, prefix: str = "clips"
) -> list[Path]:
    """Write clips, given as (key, members by extension), into `folder`/`prefix`-000000.tar and so on.

    A shard holds at most `maxcount` clips; it appears under its name only when it is complete. Keys are unique and
    without dots or slashes. Raises BadInput for other keys or a maxcount below 1, MediaError when writing fails.
    """
    if maxcount < 1:
        raise BadInput(f"maxcount is {maxcount}; a shard needs room for 1 clip or more.")
    shards, keys = _Shards(folder, prefix, maxcount), set[str]()
    try:
        for key, members in clips:
            if key in keys or not key or set("./\\") & set(key):
                problem = "was already used" if key in keys else "is empty or holds a dot or slash"
                raise BadInput(
                    f"Clip key {key!r} {problem}: a reader could not tell its members apart. Use unique plain names."
                )
            keys.add(key)
            shards.add(key, members)
        shards.end()
    finally:
        shards.drop()
    return shards.paths


def read_shards(paths: Iterable[Path]) -> Iterator[tuple[str, dict[str, bytes]]]:
    """(key, members by extension) of each clip, in the order of the shards."""
    for path in paths:
        key, members = "", dict[str, bytes]()
        for name, content in _members(path):
            member_key, _, extension = name.partition(".")
            if member_key != key and members:
                yield key, members
                members = {}
            key = member_key
            members[extension] = content
        if members:
            yield key, members


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(path, "r|") as shard:
            for info in shard:
                content = shard.extractfile(info)
                if content is not None:
                    yield info.name, content.read()
    except (OSError, tarfile.TarError) as error:
        raise MediaError(f"Cannot read the shard {path}: {error}. Write it again, or leave it out.") from error


class _Shards:
    """Shards that are written clip by clip, so that no more than one is in memory; each is named when it is whole."""

    def __init__(self, folder: Path, prefix: str, maxcount: int) -> None:
        self._folder, self._prefix, self._maxcount = folder, prefix, maxcount
        self.paths: list[Path] = []
        self._shard: tarfile.TarFile | None = None
        self._n_clips = 0

    @property
    def _path(self) -> Path:
        return self._folder / f"{self._prefix}-{len(self.paths):06d}.tar"

    @property
    def _unfinished(self) -> Path:
        return self._path.with_name(self._path.name + ".part")

    def add(self, key: str, members: Mapping[str, bytes]) -> None:
        """Append a clip."""
        with self._told():
            if self._shard is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._shard = tarfile.open(self._unfinished, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115  closed in `end`
            for extension, content in sorted(members.items()):
                info = tarfile.TarInfo(f"{key}.{extension}")  # owner and times stay zero: equal clips, equal bytes
                info.size = len(content)
                self._shard.addfile(info, io.BytesIO(content))
            self._n_clips += 1
        if self._n_clips == self._maxcount:
            self.end()

    def end(self) -> None:
        """Name the shard that was begun, if there is one."""
        if self._shard is not None:
            with self._told():
                self._shard.close()
                os.replace(self._unfinished, self._path)
            self.paths.append(self._path)
            self._shard, self._n_clips = None, 0

    def drop(self) -> None:
        """Remove a shard that was begun, in this run or in one that was killed."""
        with suppress(OSError):
            if self._shard is not None:
                self._shard.close()
        with suppress(OSError):
            self._unfinished.unlink(missing_ok=True)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise MediaError(
                f"Cannot write the shard {self._path}: {error}. Choose a folder with space that is writable."
            ) from error


def _png(pixels: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(content, "PNG", compress_level=3)
    return content.getvalue()


def _pixels(content: bytes) -> NDArray[np.uint8]:
    from PIL import Image

    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture.convert("RGB"))


def _wav(samples: NDArray[np.float32]) -> bytes:
    content = io.BytesIO()
    with wave.open(content, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(SAMPLE_RATE_HZ)
        sound.writeframes(np.rint(np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2").tobytes())
    return content.getvalue()
