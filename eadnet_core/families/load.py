"""A model folder to a model: the family that opens it, then that family's own way."""

from __future__ import annotations

from pathlib import Path

import torch

from ..machine import has_matrix_units
from ..weights.device import find_device
from ..weights.folders import find_model
from .base import BASE
from .family import Family, Model
from .mini import MINI

FAMILIES: tuple[Family, ...] = (BASE, MINI)
"""Every kind of model; a folder belongs to the first that opens it."""


def family_of(folder: str | Path) -> Family:
    """The kind of model that a folder holds."""
    return next(family for family in FAMILIES if family.opens(Path(folder)))


def auto_dtype(device: torch.device, family: Family) -> torch.dtype:
    """The dtype of "auto": bfloat16 where a CPU multiplies matrices in it (AMX), for a model of ours; else float32.

    There a convolution of the mini takes a seventh of the time, and its pictures stay the same to the eye
    (docs/speed.md). A base is exact, and what a GPU does well in is left to the user.
    """
    is_quick = device.type == "cpu" and not family.is_exact and has_matrix_units()
    return torch.bfloat16 if is_quick else torch.float32


def load_model(
    name: str = "mini",
    device: str | torch.device = "auto",
    dtype: torch.dtype | str = torch.float32,
    attention_backend: str | None = None,
) -> Model:
    """A shipped model by name, or your own by the path of its folder.

    dtype              what the nets compute in, or "auto" for what `auto_dtype` says of the device
    attention_backend  one of config.ATTENTION_BACKENDS instead of the one in the model's config
    Raises CheckpointError, BadInput.
    """
    folder, place = find_model(name), find_device(device)
    family = family_of(folder)
    if isinstance(dtype, str):
        dtype = auto_dtype(place, family) if dtype == "auto" else getattr(torch, dtype)
    return family.load(folder, place, dtype, attention_backend)
