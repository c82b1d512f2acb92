"""What stands beside a model: the readers of words and of references, and what scores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..emotion.reader import TextReader
from ..errors import CheckpointError
from .device import find_device
from .files import load_part
from .files import save_part as save_part
from .folders import ASSETS, SYNC_EXPERT, find_model, find_part

if TYPE_CHECKING:
    from ..nets.denoiser import Denoiser
    from ..nets.emotion_bank import EmotionBank
    from ..nets.style import StyleEncoder
    from ..nets.syncnet import SyncNet
    from ..nets.vae import VAE


@dataclass(frozen=True)
class ReferenceReader:
    """What reads the emotion of a face: the picture side, of which it needs what reads controls, and the bank."""

    vae: VAE
    bank: EmotionBank


@dataclass(frozen=True)
class Experts:
    """The nets that score.

    sync    trained apart from everything that supervises or guides
    reader  the one that reads portraits and references for generation, too: no independent judge of a model's own clips
    """

    sync: SyncNet
    reader: ReferenceReader
    device: torch.device


def load_reader(name: str = "mini") -> TextReader:
    """Only the reader of emotion words of a model, on the CPU; a model without one has that of the mini."""
    path = find_part(find_model(name), "text_reader")
    if not path.is_file():
        path = ASSETS / "mini" / path.name
    encoder: Any = load_part(path, "text_reader")[0]
    return TextReader(encoder)


def load_reference_reader(name: str = "mini", device: str | torch.device = "cpu") -> ReferenceReader:
    """What reads references for a model; a model without an emotion bank has that of the mini.

    The picture side is the one beside the bank, whose errors the bank learned.
    """
    folder = find_model(name)
    if not (folder / "emotion_bank.safetensors").is_file():
        folder = ASSETS / "mini"
    nets: Any = [load_part(find_part(folder, part), part, device)[0] for part in ("vae", "emotion_bank")]
    return ReferenceReader(*nets)


def load_style_reader(name: str = "mini") -> StyleEncoder:
    """What reads the style of a speaker, on the CPU; a model without one has that of the mini."""
    path = find_part(find_model(name), "style_reader")
    if not path.is_file():
        path = ASSETS / "mini" / path.name
    encoder: Any = load_part(path, "style_reader")[0]
    return encoder


def add_style(denoiser: Denoiser, folder: Path, device: torch.device) -> None:
    """Give a denoiser the style adapter of its folder, where there is one. Raises CheckpointError."""
    path = find_part(folder, "style")
    if not path.is_file():
        return
    adapter: Any = load_part(path, "style", device)[0]
    try:
        denoiser.add_style(adapter)
    except ValueError as error:
        raise CheckpointError(f"'{path}' does not fit the denoiser in '{folder}': {error}. Train it again.") from error


def load_experts(device: str | torch.device = "auto", name: str | Path = "mini") -> Experts:
    """What scores a model's clips; a model without a sync expert or a bank of its own is scored by those that ship."""
    folder, place = find_model(str(name)), find_device(device)
    path = folder / f"{SYNC_EXPERT}.safetensors"
    if not path.is_file():
        path = ASSETS / "mini" / path.name
    sync: Any = load_part(path, SYNC_EXPERT, place)[0]
    return Experts(sync, load_reference_reader(str(folder), place), place)
