"""What stands beside a model: the readers of words and of references, the experts that score."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ..emotion.reader import TextReader
from .device import find_device
from .files import load_part
from .files import save_part as save_part
from .folders import ASSETS, EXPERT_PARTS, find_model, find_part

if TYPE_CHECKING:
    from ..nets.emotion_bank import EmotionBank
    from ..nets.syncnet import SyncNet
    from ..nets.vae import VAE


@dataclass(frozen=True)
class Experts:
    """The nets that score; trained apart from everything that supervises or guides."""

    sync: SyncNet
    emotion: nn.Module
    face: nn.Module
    device: torch.device


@dataclass(frozen=True)
class ReferenceReader:
    """What reads the emotion of a face: the picture side, of which it needs what reads controls, and the bank."""

    vae: VAE
    bank: EmotionBank


def load_reader(name: str = "mini") -> TextReader:
    """Only the reader of emotion words of a model, on the CPU; a model without one has that of the mini."""
    path = find_part(find_model(name), "text_reader")
    if not path.is_file():
        path = ASSETS / "mini" / path.name
    encoder: Any = load_part(path, "text_reader")[0]
    return TextReader(encoder)


def load_reference_reader(name: str = "mini") -> ReferenceReader:
    """What reads references for a model, on the CPU; a model without an emotion bank has that of the mini.

    The picture side is the one beside the bank, whose errors the bank learned.
    """
    folder = find_model(name)
    if not (folder / "emotion_bank.safetensors").is_file():
        folder = ASSETS / "mini"
    nets: Any = [load_part(find_part(folder, part), part)[0] for part in ("vae", "emotion_bank")]
    return ReferenceReader(*nets)


def load_experts(device: str | torch.device = "auto", name: str | Path = "mini") -> Experts:
    """The scoring nets beside a model; a model without its own is scored by those that are shipped."""
    folder, place = find_model(str(name)), find_device(device)
    if not any((folder / f"{part}.safetensors").exists() for part in EXPERT_PARTS):
        folder = find_model("mini")
    nets: Any = [load_part(folder / f"{part}.safetensors", part, place)[0] for part in EXPERT_PARTS]
    return Experts(sync=nets[0], emotion=nets[1], face=nets[2], device=place)
