"""The minis: how they open, and how they see and hear a clip.

A reference picture is encoded once; the net generates residuals to it in latents, and frames come of both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..config import SAMPLE_RATE_HZ, ModelConfig, from_dict
from ..emotion.reader import TextReader
from ..errors import BadInput, CheckpointError
from ..media.face.detail import Light, low_pass, still
from ..media.face.framing import FRAME
from ..media.pixels import to_pixels, to_unit
from ..media.sound.audio import MEL_STEPS_PER_FRAME, SAMPLES_PER_FRAME, fit_length, log_mel
from ..motion.turn import turn_head
from ..nets.audio_encoder import AudioEncoder
from ..nets.denoiser import Denoiser
from ..nets.emotion_encoder import EmotionEncoder
from ..nets.syncnet import SyncNet
from ..nets.vae import VAE
from ..request import GenerateOptions
from ..sampling.guidance import SyncGuide
from ..taxonomy import MOTION
from ..weights.device import set_attention_backend
from ..weights.files import load_part
from ..weights.folders import MODEL_PARTS, find_part
from .family import Family, Model
from .performance import Crops, Performance, Reference, View

DECODE_FRAMES = 8
LOWPASS_SIGMA = 1 / 32
"""Of the colour correction, in frame widths: finer detail would ghost where the head moves."""
MOUTH_CELLS = (0.3125, 0.625, 0.6875, 0.9375)
"""x0, y0, x1, y1 in frame widths of what SyncNet guidance may move: inner mouth and jaw, not the lip corners."""


@dataclass(frozen=True)
class MiniModel(Model):
    """A model of ours."""

    vae: VAE
    denoiser: Denoiser
    audio_encoder: AudioEncoder
    emotion_encoder: EmotionEncoder
    syncnet: SyncNet


class Mini(Family):
    """Models of ours: the whole training frame is generated, as a change to a portrait whose head is turned."""

    name = "mini"
    framing = FRAME
    is_exact = False
    is_evaluated = True

    def opens(self, folder: Path) -> bool:
        """Every folder that no other family opens is taken for one of ours."""
        return True

    def load(self, folder: Path, device: torch.device, dtype: torch.dtype, attention_backend: str | None) -> MiniModel:
        """See Family; a part that is not in the folder is taken from the model that this one extends."""
        parts = {part: load_part(find_part(folder, part), part, device) for part in MODEL_PARTS}
        (vae, about_vae), (nets, about), (syncnet, about_syncnet) = (parts[p] for p in ("vae", "denoiser", "syncnet"))
        values = {**about["config"], "vae": about_vae["config"], "syncnet": about_syncnet["config"]}
        config = from_dict(ModelConfig, values)
        if extended := about_vae.get("extends"):
            size_px = config.denoiser.cells * config.vae.downscale
            config = replace(config, name=f"{extended}-{size_px}", size_px=size_px)
        if config.vae.latent_channels != config.denoiser.latent_channels:
            raise CheckpointError(
                f"The parts in '{folder}' do not belong together: the VAE has {config.vae.latent_channels} latent "
                f"channels, the denoiser {config.denoiser.latent_channels}."
            )
        denoiser, audio, emotion = (nets.get_submodule(name) for name in ("denoiser", "audio", "emotion"))
        encoder = parts["text_reader"][0]
        assert isinstance(vae, VAE) and isinstance(denoiser, Denoiser) and isinstance(syncnet, SyncNet)
        assert isinstance(audio, AudioEncoder) and isinstance(emotion, EmotionEncoder)
        if attention_backend is not None:
            set_attention_backend(denoiser, attention_backend)
        vae.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        denoiser.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        vae.to(dtype)
        nets.to(dtype)
        return MiniModel(
            name=config.name,
            folder=folder,
            family=self,
            config=config,
            vae=vae,
            denoiser=denoiser,
            audio_encoder=audio,
            emotion_encoder=emotion,
            syncnet=syncnet,
            reader=TextReader(encoder),
            real_cosine=float(about_syncnet.get("real_cosine", 1.0)),
            device=device,
            dtype=dtype,
        )

    def check(self, model: Model, options: GenerateOptions) -> None:
        """Refuse what is a base's alone. Raises BadInput."""
        for name, usual in (("speed", "exact"), ("reuse", 1), ("times", "leading"), ("is_tiled", False)):
            if getattr(options, name) != usual:
                raise BadInput(f"{name} is {getattr(options, name)!r}, which is for a base; leave it {usual!r}.")

    def notes(self, model: Model, options: GenerateOptions, asks_emotion: bool) -> list[str]:
        """It hears in one way."""
        if options.hearing == "overlapped":
            return []
        return [f"hearing has no effect: '{model.name}' does not hear through Whisper."]

    def mask(self, model: Model, is_still: bool, asks_emotion: bool) -> str:
        """A portrait's whole frame moves; in a video, as little as was asked for."""
        return "full" if is_still else "face" if asks_emotion else "mouth"

    def scene(self, model: Model, reference: Reference, options: GenerateOptions) -> MiniScene:
        """See Family."""
        assert isinstance(model, MiniModel)
        return MiniScene(model, reference, options)


MINI = Mini()


class Head:
    """A reference picture, encoded once: from x0 (the residual to it) to finished frames.

    Where every frame has a picture of its own, as in a video, `turn` and `decode` are given those instead.
    """

    def __init__(self, model: MiniModel, reference: np.ndarray) -> None:
        """`reference` is uint8 [size, size, 3], or [1, size, size, 3]."""
        self.model = model
        self.picture = reference if reference.ndim == 4 else reference[None]
        self.latents, self.shown, self.light = self._read(self.picture)
        self.scale = model.denoiser.residual_scale.float()[:, None, None]

    def _read(self, pictures: np.ndarray) -> tuple[Tensor, Tensor, Light]:
        """Latents [B, C, h, w] of uint8 pictures, what `decode` needs of them [B, 9, H, W], and their light.

        The nine are the picture as the net is shown it, what the autoencoder makes of that, and what it loses but for
        the soft part; all in units of -1 .. 1.
        """
        image = to_unit(pictures, self.model.device)
        light = Light.of(image)
        shown = light.shown(image)
        seen = shown.to(self.model.dtype)
        latents = self.model.vae.encode(seen)[0]
        again = self.model.vae.decode(latents, seen, latents).float()
        lost = shown - again
        fine = lost - low_pass(lost, LOWPASS_SIGMA * image.shape[-1])
        return latents, torch.cat([shown, again, fine], dim=1), light

    def turn(self, motion: Tensor, pictures: np.ndarray | None = None) -> Tensor:
        """Latents [T, C, h, w] of the reference, or of `pictures` [T, ...], with the head turned by motion [T, 8]."""
        pieces = []
        for start, part in _parts(motion):
            if pictures is None:
                shown = self.shown[:, :3]
            else:
                image = to_unit(pictures[start : start + len(part)], self.model.device)
                shown = Light.of(image).shown(image)
            turned = self._turned(self.model.vae.seen(shown), part)
            pieces.append(self.model.vae.encoder(self._to_net(turned))[0])
        return torch.cat(pieces).float()

    def decode(self, x0: Tensor, motion: Tensor, turned: Tensor, pictures: np.ndarray | None = None) -> np.ndarray:
        """Finished frames: what the net changes, changed in the user's own picture.

        What the autoencoder loses comes back where little changes, and its soft part, colours and shading, everywhere.

        x0        [C, T, h, w]  residual to the turned reference
        motion    [T, 8]
        turned    [T, C, h, w]  what `turn` makes of that motion
        pictures  uint8 [T, size, size, 3]  what each frame refers to, where it is not the reference
        returns   uint8 [T, size, size, 3]
        """
        latents = x0.transpose(0, 1) * self.scale + turned
        pieces = []
        for start, part in _parts(latents):
            stop = start + len(part)
            known, light = (self.shown, self.light) if pictures is None else self._read(pictures[start:stop])[1:]
            shown, again, fine = self._turned(known, motion[start:stop]).chunk(3, dim=1)
            reference = turned[start:stop].to(self.model.dtype)
            made = self.model.vae.decode(self._to_net(part), self._to_net(shown), reference)
            change = made.float().contiguous() - again
            change = torch.addcmul(change, still(change) - 1, fine)
            pieces.append(to_pixels(light.changed(shown, change)))
        return np.concatenate(pieces)

    def reconstructed(self, frames: np.ndarray, motion: Tensor) -> np.ndarray:
        """Frames, uint8 [T, size, size, 3], encoded and decoded as generated ones are, for their motion [T, 8]."""
        turned = self.turn(motion)
        images = to_unit(frames, self.model.device).to(self.model.dtype)
        x0 = (self.model.vae.encode(images)[0].float() - turned) / self.scale
        return self.decode(x0.transpose(0, 1), motion, turned)

    @staticmethod
    def _turned(picture: Tensor, motion: Tensor) -> Tensor:
        return turn_head(picture.expand(len(motion), -1, -1, -1), motion)

    def _to_net(self, values: Tensor) -> Tensor:
        return values.to(self.model.dtype).contiguous(memory_format=torch.channels_last)


class MiniScene:
    """A clip as the mini sees it: residuals to a head that is turned, the whole frame generated."""

    def __init__(self, model: MiniModel, reference: Reference, options: GenerateOptions) -> None:
        self.model = model
        self.crops: Crops | None = None if isinstance(reference, np.ndarray) else reference
        self.head = Head(model, reference if isinstance(reference, np.ndarray) else reference(0, 1))
        self.latent_scale = model.denoiser.latent_scale.float()[:, None, None, None]
        channels, cells = self.head.latents.shape[1], self.head.latents.shape[-1]
        mask = torch.ones(1, 1, cells, cells, device=model.device)
        masked = torch.zeros(channels, 1, cells, cells, device=model.device)
        self.everything = torch.cat([mask, masked])

    def denoiser(self) -> Denoiser:
        """What samples one clip: the net itself."""
        return self.model.denoiser

    def look(self, start: int, motion: Tensor, kept: View | None = None) -> View:
        """The turned reference of each frame in latents, its motion, and in a video its picture."""
        pictures = None if self.crops is None else self.crops(start, start + len(motion))
        turned = self.head.turn(motion, pictures) if kept is None else kept["turned"].to(motion.device)
        view = {"motion": motion, "turned": turned}
        return view if pictures is None else {**view, "pictures": torch.from_numpy(pictures)}

    def kept(self, view: View) -> View:
        """What `look` would not make again to the bit: encoding depends on how many pictures go together."""
        return {"turned": view["turned"]}

    def context(self, view: View) -> Tensor:
        """mask | masked picture | reference of a view, for the net: [2C + 1, T, h, w]."""
        turned = view["turned"].transpose(0, 1)
        return torch.cat([self.everything.expand(-1, turned.shape[1], -1, -1), turned / self.latent_scale])

    def decode(self, x0: Tensor, view: View) -> np.ndarray:
        """Finished squares, uint8 [T, size, size, 3], of x0 [C, T, h, w]."""
        pictures = view["pictures"].numpy() if "pictures" in view else None
        return self.head.decode(x0, view["motion"], view["turned"], pictures)

    def preview(self, x0: Tensor) -> np.ndarray:
        """About what one frame of x0 [C, 1, h, w] will look like: uint8 [size, size, 3]."""
        still = {"motion": x0.new_zeros(1, len(MOTION)), "turned": self.head.latents.float()}
        return self.decode(x0, still)[0]

    def audio_features(self, performance: Performance, options: GenerateOptions) -> MelFeatures:
        """What the model hears of a performance."""
        return MelFeatures(self.model, performance, options)

    def sync_guide(self, strength: float) -> SyncGuide:
        """SyncNet guidance with this model's own SyncNet."""
        syncnet = self.model.syncnet
        return SyncGuide(
            embed_frames=syncnet.embed_frames,
            to_latents=self._to_latents,
            mouth=box_cells(MOUTH_CELLS, self.head.latents.shape[-1]).to(self.model.device),
            strength=strength,
            real_cosine=self.model.real_cosine,
            n_frames=syncnet.config.frames,
        )

    def _to_latents(self, x0: Tensor, context: Tensor) -> Tensor:
        """x0 [C, T, h, w] -> latents of the same shape, given the context of its frames."""
        scale = self.head.scale[:, None].clone()  # gradients pass here, and a tensor of inference mode would forbid it
        return x0 * scale + context[-x0.shape[0] :] * self.latent_scale


class MelFeatures:
    """The sound as the mini hears it, read a few frames at a time."""

    def __init__(self, model: MiniModel, performance: Performance, options: GenerateOptions) -> None:
        self.model, self.performance, self.lips = model, performance, min(options.lips, 1.0)
        audio = model.config.audio
        self.margin = audio.tokens_per_frame + audio.layers * (audio.layers + 1) // 2 + 2
        quiet = np.zeros((2 * self.margin + 1) * SAMPLES_PER_FRAME, np.float32)
        self.silence = self._encode(log_mel(quiet))[self.margin]

    def tokens(self, start: int, stop: int, voice: Tensor) -> Tensor:
        """[T, S, D_a] of frames start .. stop - 1, drawn towards silence where voice [T] is low."""
        mel, skip = self._mel(start, stop)
        tokens = self._encode(mel)[skip : skip + stop - start]
        return self.silence + (voice * self.lips)[:, None, None] * (tokens - self.silence)

    def sync(self, start: int, stop: int) -> Tensor:
        """SyncNet embeddings [T, D] of the sound that starts at each of the frames start .. stop - 1."""
        mel, skip = self._mel(start, stop)
        config = self.model.syncnet.config
        steps = MEL_STEPS_PER_FRAME * config.frames + 2 * config.mel_context
        beyond = np.zeros(steps * SAMPLE_RATE_HZ // 100, np.float32)
        quiet = torch.from_numpy(log_mel(beyond))[:1]
        whole = torch.cat([quiet.expand(config.mel_context, -1), torch.from_numpy(mel), quiet.expand(steps, -1)])
        begin = skip * MEL_STEPS_PER_FRAME
        windows = whole[begin:].unfold(0, steps, MEL_STEPS_PER_FRAME)[: stop - start].transpose(1, 2)
        return self.model.syncnet.embed_audio(windows.to(self.model.device))

    def _mel(self, start: int, stop: int) -> tuple[np.ndarray, int]:
        """Log-mel [4 T', 80] of these frames with a margin around, and how many frames that is in front."""
        first, last = max(0, start - self.margin), min(self.performance.n_frames, stop + self.margin)
        samples = self.performance.samples[first * SAMPLES_PER_FRAME : last * SAMPLES_PER_FRAME]
        return log_mel(fit_length(samples, last - first)), start - first

    def _encode(self, mel: np.ndarray) -> Tensor:
        """Log-mel [4 T, 80] -> tokens [T, S, D_a]."""
        given = torch.from_numpy(mel)[None].to(self.model.device, self.model.dtype)
        return self.model.audio_encoder(given)[0].float()


def box_cells(box: tuple[float, float, float, float], cells: int) -> Tensor:
    """[cells, cells]: 1 inside a box given in frame widths, 0 outside."""
    x0, y0, x1, y1 = (round(edge * cells) for edge in box)
    mask = torch.zeros(cells, cells)
    mask[y0:y1, x0:x1] = 1
    return mask


def _parts(frames: Tensor) -> Iterator[tuple[int, Tensor]]:
    """(start, at most DECODE_FRAMES of them), one after the other."""
    for start in range(0, len(frames), DECODE_FRAMES):
        yield start, frames[start : start + DECODE_FRAMES]
