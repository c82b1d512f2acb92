"""Getting public weights from their publishers: a separate act, done by `eadnet download` and by nothing else."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.request import Request, urlopen

from ..errors import BadInput, CheckpointError

CHUNK_BYTES = 1 << 20
TIMEOUT_S = 30


@dataclass(frozen=True)
class PublicFile:
    """One file on the hub, or at an address of its own, and what comes after it."""

    repository: str
    path: str
    size_bytes: int
    sha256: str
    licence: str
    use: str
    """The command that takes the file."""
    url: str = ""
    """Where it is, if not on the hub."""


OPENRAIL = "OpenRAIL++, which restricts use: https://huggingface.co/ByteDance/LatentSync-1.6"

DOWNLOADS: dict[str, PublicFile] = {
    "latentsync-1.6": PublicFile(
        "ByteDance/LatentSync-1.6",
        "latentsync_unet.pt",
        5_072_222_488,
        "0a478e89eb660f82da4c35dbdde8a5adfb27f99d1b4e50edd03729e1e98316d3",
        OPENRAIL,
        "eadnet convert --preset base-512 --unet",
    ),
    "latentsync-1.5": PublicFile(
        "ByteDance/LatentSync-1.5",
        "latentsync_unet.pt",
        5_072_348_184,
        "6440b49a7ccceff56cdc001f5f17605216337f5bbd66fa360139768926e23f51",
        OPENRAIL.replace("1.6", "1.5"),
        "eadnet convert --preset base-256 --unet",
    ),
    "sd-vae-ft-mse": PublicFile(
        "stabilityai/sd-vae-ft-mse",
        "diffusion_pytorch_model.safetensors",
        334_643_276,
        "a1d993488569e928462932c8c38a0760b874d166399b14414135bd9c42df5815",
        "MIT",
        "eadnet convert --vae",
    ),
    "whisper-tiny": PublicFile(
        "ByteDance/LatentSync-1.6",
        "whisper/tiny.pt",
        75_572_083,
        "65147644a518d12f04e32d6f3b26facc3f8dd46e5390956a9424a650c0ce22b9",
        "MIT (a copy of OpenAI's own file)",
        "eadnet convert --whisper",
    ),
    "stable-syncnet": PublicFile(
        "ByteDance/LatentSync-1.6",
        "stable_syncnet.pt",
        1_605_328_746,
        "77678d13861a02d6e83d0b169962175b6266be773f1f6f85fda2b0182e225118",
        OPENRAIL,
        "eadnet convert --syncnet",
    ),
}
"""By the name that `eadnet download` takes."""


def find_public(name: str) -> PublicFile:
    """The file that is known by a name; raises BadInput that lists the names."""
    if name not in DOWNLOADS:
        raise BadInput(f"Nothing is known to download as '{name}'; give one of heads, {', '.join(DOWNLOADS)}.")
    return DOWNLOADS[name]


def download(file: PublicFile, folder: str | Path, on_bytes: Callable[[int], None] | None = None) -> Path:
    """Get a file into `folder`, unless it is there already and right; returns where it is.

    on_bytes  told how many bytes are there, again and again

    What broke off lies beside it as .partial and is continued, in the same run as long as anything comes, and in the
    next. Raises BadInput for too little room on the disk, CheckpointError where the hub cannot be reached or sends
    another file than is known.
    """
    path = Path(folder) / file.path
    if path.is_file() and not mismatch(path, file):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    there = partial.stat().st_size if partial.is_file() else 0
    free = shutil.disk_usage(path.parent).free
    if free < file.size_bytes - there:
        raise BadInput(
            f"'{path.parent}' has room for {free / 1e9:.2f} GB, and {(file.size_bytes - there) / 1e9:.2f} GB of "
            f"{file.path} are to come: free some, or give another --output."
        )
    while there < file.size_bytes:
        there = _continue(file, partial, there, on_bytes)
    if problem := mismatch(partial, file):
        partial.unlink()
        raise CheckpointError(
            f"What was downloaded as {file.path} of {file.repository} has {problem}, and was removed. Try again; if it "
            "stays so, the publisher changed the file: get it by hand, and eadnet convert will check its weights."
        )
    os.replace(partial, path)
    return path


def _continue(file: PublicFile, partial: Path, there: int, on_bytes: Callable[[int], None] | None) -> int:
    """Append what comes next of a file; returns how many bytes are there, more than before."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers

    # The hub's own client begins again from nothing in a new process, and these are files of gigabytes.
    headers = {**build_hf_headers(token=False), "Range": f"bytes={there}-"}
    before, reason = there, "the connection was closed"
    try:
        with (
            urlopen(
                Request(file.url or hf_hub_url(file.repository, file.path), headers=headers), timeout=TIMEOUT_S
            ) as response,
            partial.open("ab") as output,
        ):
            if there and response.status != 206:
                output.truncate(0)
                there = before = 0
            while chunk := response.read(CHUNK_BYTES):
                output.write(chunk)
                there += len(chunk)
                if on_bytes is not None:
                    on_bytes(there)
    except (OSError, HTTPException) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
    if there == before:
        raise CheckpointError(
            f"{file.path} of {file.repository} could not be downloaded ({reason}), {there / 1e6:.0f} of "
            f"{file.size_bytes / 1e6:.0f} MB are there. Check the connection and try again: it will be continued."
        )
    return there


def mismatch(path: Path, file: PublicFile) -> str:
    """How a file differs from what is known of it; empty if it does not."""
    size = path.stat().st_size
    if size != file.size_bytes:
        return f"{size} bytes instead of {file.size_bytes}"
    total = hashlib.sha256()
    with path.open("rb") as opened:
        while chunk := opened.read(CHUNK_BYTES):
            total.update(chunk)
    if total.hexdigest() != file.sha256:
        return f"the SHA-256 {total.hexdigest()} instead of {file.sha256}"
    return ""
