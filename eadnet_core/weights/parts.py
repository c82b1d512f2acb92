"""The kinds of weight files there are: what each is built from, and how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..config import (
    EmotionBankConfig,
    FaceFinderConfig,
    FaceMeshConfig,
    ModelConfig,
    PersonConfig,
    SDVAEConfig,
    StableSyncNetConfig,
    SyncNetConfig,
    TextReaderConfig,
    VAEConfig,
    VideoFeaturesConfig,
    WhisperConfig,
)
from ..nets.style import StyleConfig


def _build_denoiser(config: ModelConfig) -> nn.Module:
    from ..nets.audio_encoder import AudioEncoder
    from ..nets.denoiser import Denoiser
    from ..nets.emotion_encoder import EmotionEncoder
    from ..nets.latentsync.denoiser import LatentSyncDenoiser

    if config.denoiser.layout == "latentsync":
        return LatentSyncDenoiser(config.denoiser)
    return nn.ModuleDict(
        {
            "denoiser": Denoiser(config.denoiser),
            "audio": AudioEncoder(config.audio),
            "emotion": EmotionEncoder(config.emotion),
        }
    )


def _build_vae(config: VAEConfig) -> nn.Module:
    from ..nets.vae import VAE

    return VAE(config)


def _build_control_reader(config: VAEConfig) -> nn.Module:
    from ..nets.vae import ControlReader

    return ControlReader()


def _build_sd_vae(config: SDVAEConfig) -> nn.Module:
    from ..nets.latentsync.sd_vae import SDVAE

    return SDVAE(config)


def _build_whisper(config: WhisperConfig) -> nn.Module:
    from ..nets.latentsync.whisper import WhisperEncoder

    return WhisperEncoder(config)


def _build_stable_syncnet(config: StableSyncNetConfig) -> nn.Module:
    from ..nets.latentsync.stable_syncnet import StableSyncNet

    return StableSyncNet(config)


def _build_syncnet(config: SyncNetConfig) -> nn.Module:
    from ..nets.syncnet import SyncNet

    return SyncNet(config)


def _build_video_features(config: VideoFeaturesConfig) -> nn.Module:
    from ..nets.video_features import VideoFeatures

    return VideoFeatures(config)


def _build_text_encoder(config: TextReaderConfig) -> nn.Module:
    from ..nets.text_encoder import TextEncoder

    return TextEncoder(config)


def _build_emotion_bank(config: EmotionBankConfig) -> nn.Module:
    from ..nets.emotion_bank import EmotionBank

    return EmotionBank(config)


def _build_style(config: StyleConfig) -> nn.Module:
    from ..nets.style import StyleAdapter

    return StyleAdapter(config)


def _build_style_reader(config: StyleConfig) -> nn.Module:
    from ..nets.style import StyleEncoder

    return StyleEncoder(config)


def _build_face_finder(config: FaceFinderConfig) -> nn.Module:
    from ..nets.face_finder import FaceFinder

    return FaceFinder(config)


def _build_face_mesh(config: FaceMeshConfig) -> nn.Module:
    from ..nets.face_mesh import FaceMesh

    return FaceMesh(config)


def _build_person(config: PersonConfig) -> nn.Module:
    from ..nets.person import Person

    return Person(config)


@dataclass(frozen=True)
class Part:
    """One kind of weight file: the config it is built from, and how."""

    config: type
    build: Callable[[Any], nn.Module]


PARTS: dict[str, Part] = {
    "vae": Part(VAEConfig, _build_vae),
    "control_reader": Part(VAEConfig, _build_control_reader),
    "denoiser": Part(ModelConfig, _build_denoiser),
    "syncnet": Part(SyncNetConfig, _build_syncnet),
    "text_reader": Part(TextReaderConfig, _build_text_encoder),
    "video_features": Part(VideoFeaturesConfig, _build_video_features),
    "emotion_bank": Part(EmotionBankConfig, _build_emotion_bank),
    "sync_expert": Part(SyncNetConfig, _build_syncnet),
    "style": Part(StyleConfig, _build_style),
    "style_reader": Part(StyleConfig, _build_style_reader),
    "face_finder": Part(FaceFinderConfig, _build_face_finder),
    "face_mesh": Part(FaceMeshConfig, _build_face_mesh),
    "person": Part(PersonConfig, _build_person),
    "sd_vae": Part(SDVAEConfig, _build_sd_vae),
    "whisper": Part(WhisperConfig, _build_whisper),
    "stable_syncnet": Part(StableSyncNetConfig, _build_stable_syncnet),
}
"""Every part by name. The mini's denoiser file also holds the audio and emotion encoders that are trained with it; a
base's holds the base alone, in LatentSync's keys."""


def build_empty(part: str, config: Any) -> nn.Module:
    """A part whose weights take no memory yet: for its keys and shapes, or to be filled with `assign=True`."""
    with _WithoutWeights():
        return PARTS[part].build(config)


class _WithoutWeights(TorchFunctionMode):
    """Makes what torch.empty and torch.zeros are asked for on the meta device, and draws no first values for it: what a
    file fills. What holds computed values is computed.

    Computing on the meta device has torch import its compiler, which takes seconds; making tensors there has not.
    """

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if function in (torch.empty, torch.zeros):
            return torch.empty(*args, **given | {"device": "meta"})
        filled = given.get("tensor", args[0] if args else None)
        draws = function in (Tensor.normal_, Tensor.uniform_) or getattr(function, "__module__", "") == "torch.nn.init"
        if draws and isinstance(filled, Tensor) and filled.is_meta:
            return filled
        return function(*args, **given)


def misfit(expected: dict[str, Tensor], found: dict[str, Tensor]) -> str:
    """What does not fit between two state dicts, up to five of each kind; empty where all keys and shapes agree.

    >>> misfit({"a": torch.zeros(2), "b": torch.zeros(1)}, {"a": torch.zeros(3)})
    'missing b; unexpected none; wrong shape a (3,) instead of (2,)'
    """
    missing = sorted(expected.keys() - found.keys())
    unexpected = sorted(found.keys() - expected.keys())
    shapes = [
        f"{key} {tuple(found[key].shape)} instead of {tuple(value.shape)}"
        for key, value in expected.items()
        if key in found and found[key].shape != value.shape
    ]
    if not (missing or unexpected or shapes):
        return ""
    return f"missing {_some(missing)}; unexpected {_some(unexpected)}; wrong shape {_some(shapes)}"


def _some(names: list[str]) -> str:
    if not names:
        return "none"
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
