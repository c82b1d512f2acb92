"""A model that is ready to run, and the nets that stand beside it: readers, bank, experts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ..config import ModelConfig
from ..emotion.reader import TextReader
from .device import find_device
from .files import load_part
from .files import save_part as save_part
from .folders import ASSETS, EXPERT_PARTS, find_model, find_part, is_base

if TYPE_CHECKING:
    from ..nets.emotion_bank import EmotionBank
    from ..nets.syncnet import SyncNet


@dataclass(frozen=True)
class Model:
    """Everything that generates: the nets of one model, ready on one device."""

    name: str
    folder: Path
    config: ModelConfig
    vae: Any
    """nets.vae.VAE; of a base nets.latentsync.sd_vae.SDVAE"""
    denoiser: Any
    """nets.denoiser.Denoiser; of a base nets.latentsync.denoiser.LatentSyncDenoiser"""
    audio_encoder: Any
    """nets.audio_encoder.AudioEncoder; of a base nets.latentsync.whisper.WhisperEncoder"""
    emotion_encoder: Any
    """nets.emotion_encoder.EmotionEncoder; None of a base without adapters, which hears no emotion"""
    syncnet: Any
    """nets.syncnet.SyncNet; of a base nets.latentsync.stable_syncnet.StableSyncNet, or None without its file"""
    reader: TextReader
    real_cosine: float
    """Mean cosine of the SyncNet on real clips: where SyncNet guidance stops pulling."""
    device: torch.device
    dtype: torch.dtype


@dataclass(frozen=True)
class Experts:
    """The nets that score; trained apart from everything that supervises or guides."""

    sync: SyncNet
    emotion: nn.Module
    face: nn.Module
    device: torch.device


def load_reader(name: str = "mini") -> TextReader:
    """Only the reader of emotion words of a model, on the CPU; a base without one has that of the mini."""
    folder = find_model(name)
    path = find_part(folder, "text_reader")
    if not path.is_file() and is_base(folder):
        path = ASSETS / "mini" / path.name
    encoder: Any = load_part(path, "text_reader")[0]
    return TextReader(encoder)


def load_bank(name: str = "mini") -> EmotionBank:
    """Only the emotion bank of a model, on the CPU; a model without one has that of the mini."""
    path = find_model(name) / "emotion_bank.safetensors"
    bank: Any = load_part(path if path.is_file() else ASSETS / "mini" / path.name, "emotion_bank")[0]
    return bank


def load_experts(device: str | torch.device = "auto", name: str | Path = "mini") -> Experts:
    """The scoring nets beside a model; a model without its own is scored by those that are shipped."""
    folder, place = find_model(str(name)), find_device(device)
    if not any((folder / f"{part}.safetensors").exists() for part in EXPERT_PARTS):
        folder = find_model("mini")
    nets: Any = [load_part(folder / f"{part}.safetensors", part, place)[0] for part in EXPERT_PARTS]
    return Experts(sync=nets[0], emotion=nets[1], face=nets[2], device=place)
