"""What every kind of model must be able to do: see, hear, sample and say what it refuses."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from torch import Tensor

from ..config import SAMPLING
from ..media.face.framing import Framing
from ..nets.denoiser import Denoiser
from ..nets.latentsync.denoiser import LatentSyncDenoiser
from ..nets.latentsync.fast import FastDenoiser
from ..request import GenerateOptions
from ..sampling.guidance import SyncGuide
from ..sampling.sampler import SamplerOptions
from ..weights.model import Model
from .base import InpaintScene
from .mini import HeadScene
from .performance import Performance as Performance
from .performance import View


class Ears(Protocol):
    """How a kind of model hears."""

    def tokens(self, start: int, stop: int, voice: Tensor) -> Tensor:
        """[T, S, D_a] of frames start .. stop - 1, drawn towards silence where voice [T] is low."""

    def sync(self, start: int, stop: int) -> Tensor:
        """SyncNet embeddings [T, D] of the sound that starts at each of these frames."""


class Scene(Protocol):
    """How a kind of model sees: references in, context for the net, latents to pictures."""

    framing: Framing

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

    def ears(self, performance: Performance, options: GenerateOptions) -> Ears:
        """What hears a performance."""

    def sync_guide(self, strength: float) -> SyncGuide:
        """SyncNet guidance."""


SCENES: dict[str, type[HeadScene] | type[InpaintScene]] = {"residual": HeadScene, "epsilon": InpaintScene}
"""By `DenoiserConfig.prediction`."""


def scene_of(model: Model) -> type[HeadScene] | type[InpaintScene]:
    """How a model sees and hears."""
    return SCENES[model.config.denoiser.prediction]


def settled(model: Model, options: GenerateOptions) -> GenerateOptions:
    """Options with the model's own numbers where none were given. Raises BadInput for what the model cannot do."""
    scene_of(model).check(model, options)
    return options.of(SAMPLING[model.config.denoiser.prediction])


def sampler_options(model: Model, options: GenerateOptions) -> SamplerOptions:
    """The sampler's share of the options; lips above 1 add to the weight of the sound.

    A model that hears no emotion has one weight for all: a branch with the emotion would be the one without it.
    """
    own = settled(model, options)
    assert own.steps and own.batch_windows and own.guidance_audio is not None and own.guidance_emotion is not None
    guidance_audio = own.guidance_audio + max(0.0, own.lips - 1.0)
    return SamplerOptions(
        steps=own.steps,
        shift=own.shift,
        spacing=own.times,
        guidance_audio=guidance_audio,
        guidance_emotion=guidance_audio if model.emotion_encoder is None else own.guidance_emotion,
        window_frames=own.window_frames or model.config.denoiser.window_frames,
        windows=own.windows,
        batch_windows=own.batch_windows,
        sync_range=(own.sync_low, own.sync_high),
    )
