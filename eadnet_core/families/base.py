"""A base's view of a clip: LatentSync's inpainting of the aligned square, and Whisper's features of the sound."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..errors import BadInput
from ..media.face.aligned_crop import keep_mask, latent_mask
from ..media.face.framing import SQUARE, aligned_mask
from ..media.sound.whisper_mel import whisper_mel
from ..nets.latentsync.denoiser import LatentSyncDenoiser
from ..nets.latentsync.fast import FastDenoiser, Speed
from ..nets.latentsync.whisper import SoundFeatures
from ..request import GenerateOptions
from ..sampling.guidance import SyncGuide
from ..weights.model import Model
from .mini import DECODE_FRAMES, to_pixels
from .performance import Performance, Reference, View

SILENCE = 2.0
"""How far Whisper's log-mel lies below its loudest value where the file is silent: 8 decades, divided by 4."""


class InpaintScene:
    """A clip as LatentSync sees it: every frame by itself, what the mask hides is generated, the rest stays.

    The net is given the mask, the picture with the masked part in grey, and as reference the picture itself. Latents
    are the means of what the autoencoder says, so that they do not depend on how a clip is cut; LatentSync draws.
    """

    framing = SQUARE

    def __init__(self, model: Model, reference: Reference, options: GenerateOptions) -> None:
        self.model, self.reference = model, reference
        self.speed, self.is_tiled = speed_of(options), options.is_tiled
        size_px = model.config.size_px
        kind = aligned_mask("mouth" if options.mask == "auto" else options.mask)
        self.keep = keep_mask(size_px, kind)
        self.cells = latent_mask(size_px, kind).float()
        # how many pictures are encoded together decides the last bits: LatentSync takes those of a window
        self.at_once = model.config.denoiser.window_frames if options.windows == "fixed" else DECODE_FRAMES

    @staticmethod
    def check(model: Model, options: GenerateOptions) -> None:
        """Refuse what a base cannot do. Raises BadInput."""
        if options.sync_guidance > 0:
            raise BadInput(
                f"sync_guidance is {options.sync_guidance}, but '{model.name}' cannot be guided by a SyncNet: its own "
                "looks at pixels, and a pass back through the autoencoder for every frame and step would take many "
                "times the memory of the sampling. Set it to 0; guidance_audio up to 3 draws lips to the sound."
            )

    def denoiser(self) -> LatentSyncDenoiser | FastDenoiser:
        """What samples one clip: the net itself, or with less work per step."""
        return self.model.denoiser if self.speed == Speed() else FastDenoiser(self.model.denoiser, self.speed)

    def look(self, start: int, motion: Tensor, kept: View | None = None) -> View:
        """The square of each frame; `motion` is in the pictures already, and nothing is `kept`."""
        if isinstance(self.reference, np.ndarray):
            return {"pictures": torch.from_numpy(self.reference).expand(len(motion), -1, -1, -1)}
        return {"pictures": torch.from_numpy(self.reference(start, start + len(motion)))}

    def kept(self, view: View) -> View:
        """Nothing: squares are cut again to the bit."""
        return {}

    def context(self, view: View) -> Tensor:
        """mask | masked picture | reference of a view, for the net: [2C + 1, T, h, w]."""
        pieces = []
        for part in view["pictures"].split(self.at_once):
            picture = _unit(part)
            masked = (picture.double() * self.keep).float()
            mask = self.cells.expand(len(part), -1, -1, -1).to(self.model.device)
            pieces.append(torch.cat([mask, self._encode(masked), self._encode(picture)], dim=1))
        return torch.cat(pieces).transpose(0, 1)

    def _encode(self, pictures: Tensor) -> Tensor:
        """[B, 3, H, W] in -1 .. 1 -> [B, C, h, w]"""
        return self.model.vae.encode(pictures.to(self.model.device, self.model.dtype), is_tiled=self.is_tiled)[
            0
        ].float()

    def decode(self, x0: Tensor, view: View) -> np.ndarray:
        """Finished squares, uint8 [T, size, size, 3], of x0 [C, T, h, w]: what is kept comes from the view."""
        pieces = []
        latents = x0.transpose(0, 1).to(self.model.dtype)
        for each, part in zip(latents.split(DECODE_FRAMES), view["pictures"].split(DECODE_FRAMES), strict=True):
            made = self.model.vae.decode(each, is_tiled=self.is_tiled).float().cpu()
            pieces.append(to_pixels(torch.lerp(made, _unit(part), self.keep.float())))
        return np.concatenate(pieces)

    def preview(self, x0: Tensor) -> np.ndarray:
        """About what one frame of x0 [C, 1, h, w] will look like: uint8 [size, size, 3]."""
        latents = x0.transpose(0, 1).to(self.model.dtype)
        return to_pixels(self.model.vae.decode(latents, is_tiled=self.is_tiled).float())[0]

    def ears(self, performance: Performance, options: GenerateOptions) -> WhisperEars:
        """What the model hears of a performance."""
        return WhisperEars(self.model, performance, options)

    def sync_guide(self, strength: float) -> SyncGuide:
        """There is none; `check` has said so."""
        raise NotImplementedError


def speed_of(options: GenerateOptions) -> Speed:
    """What of a base's work the options spare."""
    return Speed(
        share_branches=options.speed != "exact", compiled=options.speed == "compiled", reuse_every=options.reuse
    )


class WhisperEars:
    """The sound in Whisper's features, encoded a segment at a time as frames ask for it."""

    def __init__(self, model: Model, performance: Performance, options: GenerateOptions) -> None:
        self.lips = min(options.lips, 1.0)
        self.mel = whisper_mel(performance.samples)
        self.features = SoundFeatures(model.audio_encoder, self.mel, options.hearing)
        is_gated = self.lips < 1.0 or bool((np.asarray(performance.voice) < 1.0).any())
        self.silence = self._silence() if is_gated else None

    def _silence(self) -> Tensor:
        """Tokens [S, D_a] of a frame in the middle of 30 s of the silence that this sound would have."""
        encoder = self.features.encoder
        quiet = torch.full((len(self.mel), 2 * encoder.config.steps), float(self.mel.max()) - SILENCE)
        middle = encoder.config.steps // 4
        return SoundFeatures(encoder, quiet).frames(middle, middle + 1)[0].float()

    def tokens(self, start: int, stop: int, voice: Tensor) -> Tensor:
        """[T, S, D_a] of frames start .. stop - 1, drawn towards silence where voice [T] is low."""
        tokens = self.features.frames(start, stop).float()
        if self.silence is None:
            return tokens
        return torch.lerp(self.silence, tokens, (voice * self.lips)[:, None, None])

    def sync(self, start: int, stop: int) -> Tensor:
        """Not heard: there is no SyncNet guidance."""
        raise NotImplementedError


def _unit(pictures: Tensor) -> Tensor:
    """uint8 [B, H, W, 3] -> float32 [B, 3, H, W] in -1 .. 1, rounded as LatentSync does."""
    return (pictures.permute(0, 3, 1, 2).contiguous() / 255.0 - 0.5) / 0.5
