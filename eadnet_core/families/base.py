"""The bases: public weights with adapters where somebody trained them; LatentSync's inpainting, Whisper's features.

Public weights alone hear no emotion. Where words are given, a mini performs them, and the base paints the mouth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ..config import ModelConfig
from ..errors import BadInput, CheckpointError
from ..media.face.aligned_crop import keep_mask, latent_mask
from ..media.face.alignment import aligned_box
from ..media.face.crop import FaceCrop
from ..media.face.framing import SQUARE, aligned_mask
from ..media.pixels import to_pixels, to_unit
from ..media.sound.whisper_mel import whisper_mel
from ..nets.adapters import ADAPTERS, is_adapter_key
from ..nets.emotion_encoder import EmotionEncoder
from ..nets.latentsync.denoiser import LatentSyncDenoiser
from ..nets.latentsync.fast import FastDenoiser, Speed
from ..nets.latentsync.whisper import SoundFeatures
from ..request import GenerateOptions
from ..sampling.guidance import SyncGuide
from ..weights.device import set_attention_backend
from ..weights.experts import load_reader
from ..weights.files import build_for, read_config, read_metadata, read_state
from ..weights.folders import BASE_PARTS, find_model
from ..weights.parts import PARTS
from .decoding import DECODE_FRAMES
from .family import Family, Model
from .mini import MINI, MiniModel
from .performance import Painted, Performance, Reference, Source, View

if TYPE_CHECKING:
    from ..nets.latentsync.sd_vae import SDVAE
    from ..nets.latentsync.stable_syncnet import StableSyncNet
    from ..nets.latentsync.whisper import WhisperEncoder

PERFORMER = "mini"
"""Name of the mini that performs for a base, and of the folder in the base's own that holds another one."""
SILENCE = 2.0
"""How far Whisper's log-mel lies below its loudest value where the file is silent: 8 decades, divided by 4."""


@dataclass(frozen=True)
class BaseModel(Model):
    """A model on LatentSync's weights; the SyncNet may be missing, and without adapters so is the emotion encoder.

    performer  the mini that performs words; None where there are adapters
    """

    vae: SDVAE
    denoiser: LatentSyncDenoiser
    audio_encoder: WhisperEncoder
    syncnet: StableSyncNet | None
    performer: MiniModel | None = None

    def on(self, device: torch.device) -> BaseModel:
        """See Model."""
        return replace(self, device=device, performer=self.performer and replace(self.performer, device=device))


class Base(Family):
    """Models in the shape of LatentSync's: the masked part of an aligned square is generated, frame by frame."""

    name = "base"
    framing = SQUARE
    is_exact = True
    is_evaluated = False

    def opens(self, folder: Path) -> bool:
        """By the denoiser's config."""
        path = folder / "denoiser.safetensors"
        if not path.is_file():
            return False
        denoiser = read_metadata(path, "denoiser").get("config", {}).get("denoiser", {})
        return isinstance(denoiser, dict) and denoiser.get("layout") == "latentsync"

    def load(self, folder: Path, device: torch.device, dtype: torch.dtype, attention_backend: str | None) -> BaseModel:
        """See Family; words are read by the folder's own reader, or by the mini's."""
        for file in ("vae", "whisper"):
            if not (folder / f"{file}.safetensors").is_file():
                raise CheckpointError(
                    f"'{folder}' has the denoiser of a base but no {file}.safetensors. Make it from the public "
                    f"weights: eadnet convert --{file} FILE --output '{folder}' (eadnet download gets them; see "
                    "README)."
                )
        config, denoiser, emotion_encoder = _denoiser(folder, device, dtype)
        if attention_backend is not None:
            set_attention_backend(denoiser, attention_backend)
        vae, whisper = (_net(folder, file, device, dtype) for file in ("vae", "whisper"))
        has_syncnet = (folder / "syncnet.safetensors").is_file()
        performer = (
            None if emotion_encoder else load_performer(folder, config.size_px, device, dtype, attention_backend)
        )
        return BaseModel(
            name=config.name,
            folder=folder,
            family=self,
            config=config,
            vae=vae,
            denoiser=denoiser,
            audio_encoder=whisper,
            emotion_encoder=emotion_encoder,
            syncnet=_net(folder, "syncnet", device, dtype) if has_syncnet else None,
            reader=load_reader(str(folder)),
            real_cosine=1.0,
            device=device,
            dtype=dtype,
            performer=performer,
        )

    def check(self, model: Model, options: GenerateOptions) -> None:
        """Refuse what a base cannot do. Raises BadInput."""
        if options.sync_guidance > 0:
            raise BadInput(
                f"sync_guidance is {options.sync_guidance}, but '{model.name}' cannot be guided by a SyncNet: its own "
                "looks at pixels, and a pass back through the autoencoder for every frame and step would take many "
                "times the memory of the sampling. Set it to 0; guidance_audio up to 3 draws lips to the sound."
            )

    def notes(self, model: Model, options: GenerateOptions, asks_emotion: bool) -> list[str]:
        """What words alone make use of, and what the weights were not trained for."""
        notes, trained = [], model.config.denoiser.window_frames
        if options.mouth_by != "base" and (model.has_emotion or not asks_emotion):
            why = f"'{model.name}' has emotion adapters" if model.has_emotion else "no emotion was asked for"
            notes.append(f"mouth_by '{options.mouth_by}' has no effect: {why}, so no mini performs.")
        if not model.has_emotion and options.mask not in ("auto", "mouth"):
            notes.append(
                f"'{model.name}' was trained to make the mouth alone; mask '{options.mask}' may spoil eyes and brows."
            )
        if options.identity_strength < 1.0 and not model.config.denoiser.has_identity:
            notes.append(f"identity_strength has no effect: '{model.name}' has no identity.safetensors.")
        if options.window_frames not in (0, trained):
            notes.append(f"'{model.name}' was trained with windows of {trained} frames; others look otherwise.")
        return notes

    def mask(self, model: Model, is_still: bool, asks_emotion: bool) -> str:
        """A base without adapters was trained to make the mouth alone."""
        return "face" if asks_emotion and model.has_emotion else "mouth"

    def performer(self, model: Model) -> MiniModel | None:
        """A mini, where there are no adapters."""
        assert isinstance(model, BaseModel)
        return model.performer

    def scene(self, model: Model, reference: Source, options: GenerateOptions) -> BaseScene:
        """See Family."""
        assert isinstance(model, BaseModel) and not isinstance(reference, Painted)
        return BaseScene(model, reference, options)


BASE = Base()


class BaseScene:
    """A clip as LatentSync sees it: every frame by itself, what the mask hides is generated, the rest stays.

    The net is given the mask, the picture with the masked part in grey, and as reference the picture itself. Latents
    are the means of what the autoencoder says, so that they do not depend on how a clip is cut; LatentSync draws.
    """

    is_still = False

    def __init__(self, model: BaseModel, reference: Reference, options: GenerateOptions) -> None:
        self.model, self.reference = model, reference
        self.speed, self.is_tiled = speed_of(options), options.is_tiled
        size_px = model.config.size_px
        kind = aligned_mask("mouth" if options.mask == "auto" else options.mask)
        self.keep = keep_mask(size_px, kind)
        self.cells = latent_mask(size_px, kind).float()
        # how many pictures are encoded together decides the last bits: LatentSync takes those of a window
        self.at_once = model.config.denoiser.window_frames if options.windows == "fixed" else DECODE_FRAMES

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
            picture = to_unit(part.numpy()).contiguous()
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
            pieces.append(to_pixels(torch.lerp(made, to_unit(part.numpy()).contiguous(), self.keep.float())))
        return np.concatenate(pieces)

    def preview(self, x0: Tensor) -> np.ndarray:
        """About what one frame of x0 [C, 1, h, w] will look like: uint8 [size, size, 3]."""
        latents = x0.transpose(0, 1).to(self.model.dtype)
        return to_pixels(self.model.vae.decode(latents, is_tiled=self.is_tiled).float())[0]

    def audio_features(self, performance: Performance, options: GenerateOptions) -> WhisperFeatures:
        """What the model hears of a performance."""
        return WhisperFeatures(self.model, performance, options)

    def sync_guide(self, strength: float) -> SyncGuide:
        """There is none; `check` has said so."""
        raise NotImplementedError


def load_performer(
    folder: Path, size_px: int, device: torch.device, dtype: torch.dtype, attention_backend: str | None
) -> MiniModel:
    """The mini in the folder `mini` of a base's own, else the shipped one; it performs at the base's size at least."""
    own = folder / PERFORMER
    model = MINI.load(own if own.is_dir() else find_model(PERFORMER), device, dtype, attention_backend)
    frame_px = math.ceil(size_px / aligned_box(FaceCrop(0.5, 0.5, 1.0)).height_px)
    return replace(model, most_px=max(model.most_px, frame_px))


def _net(folder: Path, file: str, device: torch.device, dtype: torch.dtype) -> Any:
    """The net of a file beside the denoiser."""
    path, part = folder / f"{file}.safetensors", BASE_PARTS[file]
    net = build_for(path, part, read_config(path, PARTS[part].config, read_metadata(path, part)))
    return _filled(net, read_state(path, part, net.state_dict()), device, dtype)


def _denoiser(folder: Path, device: torch.device, dtype: torch.dtype) -> tuple[ModelConfig, Any, Any]:
    """(config, denoiser, emotion encoder): with the adapters whose files are there, and the encoder beside them."""
    path = folder / "denoiser.safetensors"
    config = base = read_config(path, ModelConfig, read_metadata(path, "denoiser"))
    files = {name: folder / f"{name}.safetensors" for name in ADAPTERS if (folder / f"{name}.safetensors").is_file()}
    for name, beside in files.items():
        found = read_config(beside, ModelConfig, read_metadata(beside, name))
        if replace(found.denoiser, has_adapters=False, has_identity=False) != base.denoiser:
            raise CheckpointError(
                f"'{beside}' was trained on another base ({found.name}) than the denoiser beside it ({base.name}): "
                f"use the two that belong together, or remove '{beside.name}'."
            )
        config = config if name == "identity" else replace(found, denoiser=base.denoiser)
    config = replace(
        config,
        denoiser=replace(base.denoiser, has_adapters="adapters" in files, has_identity="identity" in files),
    )
    denoiser = build_for(path, "denoiser", config)
    weights = denoiser.state_dict()
    state = read_state(path, "denoiser", {key: value for key, value in weights.items() if not is_adapter_key(key)})
    encoder = EmotionEncoder(config.emotion) if "adapters" in files else None
    emotion: dict[str, Tensor] = {}
    for name, beside in files.items():
        wanted = {f"denoiser.{key}": value for key, value in weights.items() if is_adapter_key(key, name)}
        if name == "adapters" and encoder is not None:
            wanted |= {f"emotion.{key}": value for key, value in encoder.state_dict().items()}
        for key, value in read_state(beside, name, wanted).items():
            net, _, inner = key.partition(".")
            (state if net == "denoiser" else emotion)[inner] = value
    denoiser = _filled(denoiser, state, device, dtype)
    return config, denoiser, None if encoder is None else _filled(encoder, emotion, device, dtype)


def _filled(net: nn.Module, state: dict[str, Tensor], device: torch.device, dtype: torch.dtype) -> Any:
    """A net of `parts.build_empty` with its weights on the device, in the dtype; no weight is in memory twice for long.

    Weights are copied even where device and dtype fit: in a mapped file they are not aligned as kernels like it.
    """
    for key in list(state):
        state[key] = state[key].to(device, dtype, copy=True)
    net.load_state_dict(state, assign=True)
    return net.eval().requires_grad_(False).to(device, dtype)


def speed_of(options: GenerateOptions) -> Speed:
    """What of a base's work the options spare."""
    return Speed(
        share_branches=options.speed != "exact", compiled=options.speed == "compiled", reuse_every=options.reuse
    )


class WhisperFeatures:
    """The sound in Whisper's features, encoded a segment at a time as frames ask for it."""

    def __init__(self, model: BaseModel, performance: Performance, options: GenerateOptions) -> None:
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
