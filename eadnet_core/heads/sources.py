"""The public repositories that the anatomy is derived from: which files of which commit, and how they are got.

GitHub packs a commit into an archive as it is asked for, so that the archive's own checksum may change. What is
checked is each file that is used: `sources.tsv` holds its size and SHA-256.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from http.client import HTTPException
from pathlib import Path
from typing import IO
from urllib.request import Request, urlopen

from ..errors import BadInput, CheckpointError
from ..paths import shown

TIMEOUT_S = 30


@dataclass(frozen=True)
class Source:
    """A public repository at one commit."""

    name: str
    repository: str
    commit: str
    licence: str
    licence_file: str
    host: str = "https://codeload.github.com"

    @property
    def url(self) -> str:
        return f"{self.host}/{self.repository}/tar.gz/{self.commit}"


@dataclass(frozen=True)
class SourceFile:
    """A file that is used of a source."""

    source: str
    path: str
    size_bytes: int
    sha256: str


SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        Source(
            "makehuman-core",
            "vidya-hub/makehuman-core",
            "06e129ac920593f9f315e03d6d5b3f843504de7f",
            "CC0 1.0 (MakeHuman's data; each file says so)",
            "NOTICE.md",
        ),
        Source(
            "mpfb2",
            "makehumancommunity/mpfb2",
            "80919fa4682335c41847f761a4d79dcad4124732",
            "CC0 1.0 (its assets; none of its code is used)",
            "LICENSE.ASSETS.md",
        ),
        Source(
            "ICT-FaceKit",
            "ICT-VGL/ICT-FaceKit",
            "da5f95a607f5e6b37755b38d3385d7f2853732e5",
            "MIT, Copyright (c) 2020 USC Institute for Creative Technologies",
            "LICENSE",
        ),
    )
}


@cache
def listed(source: str) -> tuple[SourceFile, ...]:
    """The files that are used of a source, in order."""
    lines = (Path(__file__).parent / "sources.tsv").read_text(encoding="utf-8").splitlines()[1:]
    rows = (line.split("\t") for line in lines)
    return tuple(SourceFile(name, path, int(size), digest) for name, path, size, digest in rows if name == source)


def find_folders(folder: Path) -> dict[str, Path]:
    """Where each source lies in a folder of checkouts or unpacked archives, checked file by file.

    A source's folder is called by its name, or by name and commit as GitHub's archives are. Raises BadInput for one
    that is not there, and for a file that is missing or differs from the one that is known.
    """
    found = {}
    for source in SOURCES.values():
        places = [folder / source.name, folder / f"{source.name}-{source.commit}"]
        place = next((place for place in places if place.is_dir()), None)
        if place is None:
            raise BadInput(
                f"'{shown(folder)}' has no folder '{source.name}': check {source.repository} out there at commit "
                f"{source.commit}, or leave --from away to download it."
            )
        if wrong := missing(place, listed(source.name)):
            raise BadInput(
                f"'{shown(place)}' lacks {len(wrong)} files of {source.repository} at commit {source.commit}, or has "
                f"others in their place, such as {wrong[0].path}. Check that commit out, without changing line ends."
            )
        found[source.name] = place
    return found


def missing(folder: Path, files: tuple[SourceFile, ...]) -> list[SourceFile]:
    """Those of the files that are not in a folder, or are other ones."""
    return [file for file in files if not _is_right(folder / file.path, file)]


def _is_right(path: Path, file: SourceFile) -> bool:
    if not path.is_file() or path.stat().st_size != file.size_bytes:
        return False
    return hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256


def download_source(
    source: Source, files: tuple[SourceFile, ...], folder: Path, on_bytes: Callable[[int], None] | None = None
) -> None:
    """Get the files that are used of a source into `folder`, unless they are there already and right.

    on_bytes  told how many bytes of these files came, file by file

    What came before a connection broke stays; the next run asks for the archive again and takes what is missing.
    Raises BadInput for too little room on the disk, CheckpointError where GitHub cannot be reached or sends other
    files than are known.
    """
    wanted = {file.path: file for file in missing(folder, files)}
    if not wanted:
        return
    folder.mkdir(parents=True, exist_ok=True)
    size_bytes, free_bytes = sum(file.size_bytes for file in wanted.values()), shutil.disk_usage(folder).free
    if free_bytes < size_bytes:
        raise BadInput(
            f"'{shown(folder)}' has room for {free_bytes / 1e6:.0f} MB, and {size_bytes / 1e6:.0f} MB of "
            f"{source.repository} are to come: free some, or give another --output."
        )
    n_all, reason = len(wanted), "it ended early"
    try:
        with urlopen(Request(source.url), timeout=TIMEOUT_S) as response:
            _unpack(response, wanted, folder, source, on_bytes)
    except (OSError, HTTPException, EOFError, tarfile.TarError, zlib.error) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
    if wanted:
        raise CheckpointError(
            f"{source.url} could not be read to its end ({reason}): {n_all - len(wanted)} of {n_all} files came, "
            f"{next(iter(wanted))} did not. Check the connection and try again: what came is kept."
        )


def _unpack(
    archive: IO[bytes],
    wanted: dict[str, SourceFile],
    folder: Path,
    source: Source,
    on_bytes: Callable[[int], None] | None,
) -> None:
    """Write what is wanted as it passes by, and take it from `wanted`."""
    with tarfile.open(fileobj=archive, mode="r|gz") as members:
        for member in members:
            # A path is taken from our list alone, and nothing but plain files: an archive cannot write elsewhere.
            file = wanted.get(member.name.partition("/")[2])
            opened = members.extractfile(member) if file is not None and member.isreg() else None
            if file is None or opened is None:
                continue
            content = opened.read(file.size_bytes + 1)
            if hashlib.sha256(content).hexdigest() != file.sha256:
                raise CheckpointError(
                    f"{file.path} of {source.repository} is another file than is known: it does not have the SHA-256 "
                    f"{file.sha256}. Try again; if it stays so, the publisher changed the commit {source.commit}."
                )
            path = folder / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(path.name + ".partial")
            partial.write_bytes(content)
            os.replace(partial, path)
            del wanted[file.path]
            if on_bytes is not None:
                on_bytes(len(content))
            if not wanted:
                return
