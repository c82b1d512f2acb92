"""Model folders: which there are, which file holds a part, what the files say of themselves."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..errors import CheckpointError
from .files import ASSETS as ASSETS
from .files import extended_folder, read_header, read_metadata
from .files import save_part as save_part

FACES = ASSETS / "faces"
"""The nets that find a face and its landmarks; every model uses them."""
MODEL_PARTS = ("vae", "denoiser", "syncnet", "text_reader")
ADDED_PARTS = ("style",)
"""What a mini's folder may hold beside them."""
SYNC_EXPERT = "sync_expert"
BASE_PARTS = {"denoiser": "denoiser", "vae": "sd_vae", "whisper": "whisper", "syncnet": "stable_syncnet"}
"""Part in each file of a base's folder; the SyncNet may be missing."""


def find_model(name: str) -> Path:
    """The folder of a shipped model, or of a path; raises CheckpointError that lists what was looked for."""
    folder = ASSETS / name
    if name and not os.path.dirname(name) and (folder / "vae.safetensors").is_file():
        return folder
    if Path(name).is_dir():
        return Path(name)
    shipped = sorted(p.name for p in ASSETS.iterdir() if (p / "vae.safetensors").is_file())
    raise CheckpointError(
        f"No model '{name}': it is neither shipped ({', '.join(shipped) or 'none is installed'}) nor a folder. "
        f"A model folder holds {', '.join(f'{p}.safetensors' for p in MODEL_PARTS)}."
    )


def find_part(folder: Path, part: str) -> Path:
    """The weight file of a part: in the folder of the model, or in that of the model beside it which it extends.

    A model extends another whose latents it shares: its autoencoder says so ("extends", the name of the other).
    """
    path = folder / f"{part}.safetensors"
    if path.is_file() or not (folder / "vae.safetensors").is_file():
        return path
    vae = folder / "vae.safetensors"
    return (extended_folder(vae, read_metadata(vae)) or folder) / path.name


def weight_files(folder: Path) -> list[Path]:
    """Every weight file of a model: those in its folder, then the parts that it takes from the model it extends."""
    own = sorted(folder.glob("*.safetensors"))
    parts = (find_part(folder, part) for part in (*MODEL_PARTS, *ADDED_PARTS))
    return own + [path for path in parts if path.parent != folder and path.is_file()]


def licence(folder: str | Path) -> str:
    """What the weight files of a model say about their licence; the shipped model's is that of this package."""
    said = {str(value) for path in weight_files(Path(folder)) if (value := read_metadata(path).get("licence"))}
    if Path(folder).parent == ASSETS:
        said |= {"Apache-2.0"}
    return "; ".join(sorted(said)) or f"not stated in the weight files; look beside them in '{folder}'"


@dataclass(frozen=True)
class PartInfo:
    """What `eadnet info` shows of one weight file."""

    part: str
    path: Path
    size_bytes: int
    n_weights: int
    dtypes: tuple[str, ...]
    metadata: dict[str, Any]


def info(name: str = "mini") -> list[PartInfo]:
    """Every weight file of a model, without loading the weights."""
    found = []
    for path in weight_files(find_model(name)):
        metadata = read_metadata(path)
        tensors = read_header(path)[1]
        counts = [torch.Size(shape).numel() for shape, _ in tensors.values()]
        dtypes = tuple(sorted({dtype for _, dtype in tensors.values()}))
        found.append(PartInfo(metadata["part"], path, path.stat().st_size, sum(counts), dtypes, metadata))
    return found
