"""What a kind of model is: how it opens, sees, hears and samples, what it refuses and what it remarks.

`mini.MINI` and `base.BASE` are the two there are; `load.FAMILIES` lists them. CONTRIBUTING says what a third must hold.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ..config import SAMPLING, ModelConfig, SamplingConfig
from ..emotion.reader import TextReader
from ..media.face.framing import Framing
from ..request import GenerateOptions
from ..sampling.guidance import SyncGuide
from ..sampling.sampler import SamplerOptions
from .performance import Performance, Source, View

if TYPE_CHECKING:
    from ..nets.denoiser import Denoiser
    from ..nets.emotion_encoder import EmotionEncoder
    from ..nets.latentsync.denoiser import LatentSyncDenoiser
    from ..nets.latentsync.fast import FastDenoiser


@dataclass(frozen=True)
class Model:
    """Everything that generates: the nets of one model, ready on one device.

    Each family narrows the types of its nets. `emotion_encoder` is None where no emotion can be asked for, and
    `syncnet` where there is none. real_cosine is the SyncNet's mean cosine on real clips: there its guidance stops.
    """

    name: str
    folder: Path
    family: Family
    config: ModelConfig
    vae: nn.Module
    denoiser: Denoiser | LatentSyncDenoiser
    audio_encoder: nn.Module
    emotion_encoder: EmotionEncoder | None
    syncnet: nn.Module | None
    reader: TextReader
    real_cosine: float
    device: torch.device
    dtype: torch.dtype

    @property
    def has_emotion(self) -> bool:
        """Whether words change what it makes."""
        return self.emotion_encoder is not None

    @property
    def has_style(self) -> bool:
        """Whether the style of a speaker changes what its net makes: a mini's, where its folder holds the adapter."""
        return getattr(self.denoiser, "style", None) is not None

    def on(self, device: torch.device) -> Model:
        """The same where its nets lie on another device already."""
        return replace(self, device=device)


class AudioFeatures(Protocol):
    """How a kind of model hears."""

    def tokens(self, start: int, stop: int, voice: Tensor) -> Tensor:
        """[T, S, D_a] of frames start .. stop - 1, drawn towards silence where voice [T] is low."""

    def sync(self, start: int, stop: int) -> Tensor:
        """SyncNet embeddings [T, D] of the sound that starts at each of these frames."""


class Scene(Protocol):
    """How a kind of model sees one clip: references in, context for the net, latents to pictures.

    is_still  whether frames may be decoded in any order and side by side: no pictures of a video are read for them
    """

    is_still: bool

    def look(self, start: int, motion: Tensor, kept: View | None = None) -> View:
        """What is seen of the frames from `start` on, for their motion [T, 8]; `kept` is what `kept` gave for them."""

    def kept(self, view: View) -> View:
        """What of a view cannot be made again to the bit."""

    def context(self, view: View) -> Tensor:
        """mask | masked picture | reference for the net: [2C + 1, T, h, w]."""

    def decode(self, x0: Tensor, view: View) -> np.ndarray:
        """Finished squares, uint8 [T, size, size, 3], of x0 [C, T, h, w]."""

    def preview(self, x0: Tensor) -> np.ndarray:
        """About what one frame of x0 [C, 1, h, w] will look like: uint8 [size, size, 3]."""

    def denoiser(self) -> Denoiser | LatentSyncDenoiser | FastDenoiser:
        """What samples one clip; it may keep features from step to step."""

    def audio_features(self, performance: Performance, options: GenerateOptions) -> AudioFeatures:
        """What the model hears of a performance."""

    def sync_guide(self, strength: float) -> SyncGuide:
        """SyncNet guidance."""


class Family(ABC):
    """One kind of model."""

    name: str
    """Its key in `config.SAMPLING`."""
    framing: Framing
    """How a face is cut out for it and put back."""
    is_exact: bool
    """Whether it computes in float32 unless told otherwise."""
    paints = False
    """Whether frames of a portrait are painted into its own pixels: see `performance.Painted`."""
    is_evaluated: bool
    """Whether `eadnet evaluate` can judge it: it must make the whole face of a drawn head."""

    @property
    def sampling(self) -> SamplingConfig:
        """What it is sampled with where nobody says otherwise."""
        return SAMPLING[self.name]

    @abstractmethod
    def opens(self, folder: Path) -> bool:
        """Whether the folder holds a model of this kind."""

    @abstractmethod
    def load(self, folder: Path, device: torch.device, dtype: torch.dtype, attention_backend: str | None) -> Model:
        """The model in a folder. Raises CheckpointError."""

    @abstractmethod
    def check(self, model: Model, options: GenerateOptions) -> None:
        """Refuse options that the model cannot follow. Raises BadInput."""

    @abstractmethod
    def notes(self, model: Model, options: GenerateOptions, asks_emotion: bool) -> list[str]:
        """Settings and words that cannot have the effect they were given for."""

    @abstractmethod
    def mask(self, model: Model, is_still: bool, asks_emotion: bool) -> str:
        """What is pasted back where the options leave it open: mouth, face or full."""

    def picture_px(self, model: Model, face_px: float) -> int:
        """Side of the square that a clip is made in, for a face whose square has a side of `face_px` in the picture."""
        return model.config.size_px

    def performer(self, model: Model) -> Model | None:
        """The model that performs words for one that hears none; None where it needs nobody."""
        return None

    @abstractmethod
    def scene(self, model: Model, reference: Source, options: GenerateOptions) -> Scene:
        """How the model sees one clip."""


def with_model_defaults(model: Model, options: GenerateOptions) -> GenerateOptions:
    """Options with the model's own numbers where none were given. Raises BadInput for what the model cannot do."""
    model.family.check(model, options)
    return options.of(model.family.sampling)


def sampler_options(model: Model, options: GenerateOptions) -> SamplerOptions:
    """The sampler's share of the options; lips above 1 add to the weight of the sound.

    A model that hears no emotion has one weight for all: a branch with the emotion would be the one without it.
    """
    own = with_model_defaults(model, options)
    assert own.steps and own.batch_windows and own.guidance_audio is not None and own.guidance_emotion is not None
    guidance_audio = own.guidance_audio + max(0.0, own.lips - 1.0)
    return SamplerOptions(
        steps=own.steps,
        shift=own.shift,
        spacing=own.times,
        guidance_audio=guidance_audio,
        guidance_emotion=own.guidance_emotion if model.has_emotion else guidance_audio,
        window_frames=own.window_frames or model.config.denoiser.window_frames,
        windows=own.windows,
        batch_windows=own.batch_windows,
        sync_range=(own.sync_low, own.sync_high),
    )
