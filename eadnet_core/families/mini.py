"""The minis: how they open, and how they see and hear a clip.

A reference picture is read once; the net generates what its face does, as motion latents, and frames come of both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..config import SAMPLE_RATE_HZ, ModelConfig, from_dict
from ..emotion.reader import TextReader
from ..errors import BadInput, CheckpointError
from ..media.face.controls import picture_inputs
from ..media.face.framing import FRAME
from ..media.pixels import to_pixels, to_unit
from ..media.sound.audio import MEL_STEPS_PER_FRAME, SAMPLES_PER_FRAME, fit_length, log_mel
from ..motion.articulation import parted, wrinkled
from ..nets.audio_encoder import AudioEncoder
from ..nets.between import Added
from ..nets.canonical import sample_at
from ..nets.denoiser import Denoiser
from ..nets.emotion_encoder import EmotionEncoder
from ..nets.motion_basis import N_POSE
from ..nets.photographs import with_smile
from ..nets.syncnet import SyncNet
from ..nets.vae import LAID_PX, VAE, Change
from ..request import OPTIONS, GenerateOptions
from ..sampling.guidance import SyncGuide
from ..taxonomy import CONTROLS, MOTION
from ..weights.device import set_attention_backend
from ..weights.experts import add_style
from ..weights.files import load_part
from ..weights.folders import MODEL_PARTS, find_part
from .decoding import frames_at_once, in_parts
from .family import Family, Model
from .painting import Painter
from .performance import Crops, Painted, Performance, Source, View

MOST_TIMES = 4
"""Side of the largest frame, in those of the model's own."""
OF_A_BASE = ("speed", "reuse", "times", "is_tiled", "mouth_by", "lip_corners", "mask_edge", "identity_strength")
"""Options that a mini knows nothing of."""
BLINK = CONTROLS.index("blink")
MOST = 1.3
"""Of a lip parameter or an action unit, from 0: no muscle pushes back, and most shapes of the rig end by then."""
GAZE = [CONTROLS.index("gaze_x"), CONTROLS.index("gaze_y")]
_GAZE_MOTION = [MOTION.index("gaze_x"), MOTION.index("gaze_y")]
GIVEN = (BLINK, *GAZE)
UPPER = tuple(CONTROLS.index(name) for name in ("AU1", "AU2", "AU4", "AU5", "AU6", "AU7", "AU9"))
"""Controls of the upper face."""
MOUTH_CELLS = (0.3125, 0.625, 0.6875, 0.9375)
"""x0, y0, x1, y1 in frame widths of what SyncNet guidance may move: inner mouth and jaw, not the lip corners."""


@dataclass(frozen=True)
class MiniModel(Model):
    """A model of ours.

    most_px  side of the largest frame that it makes; a larger face is made smaller and enlarged again
    """

    vae: VAE
    denoiser: Denoiser
    audio_encoder: AudioEncoder
    emotion_encoder: EmotionEncoder
    syncnet: SyncNet
    most_px: int


class Mini(Family):
    """Models of ours: the whole training frame is generated, as a change to a portrait whose head is turned."""

    name = "mini"
    framing = FRAME
    is_exact = False
    is_evaluated = True
    paints = True

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
            size_px = config.vae.size_px
            name = extended if size_px == config.size_px else f"{extended}-{size_px}"
            config = replace(config, name=name, size_px=size_px)
        if config.vae.latent_channels != config.denoiser.latent_channels:
            raise CheckpointError(
                f"The parts in '{folder}' do not belong together: the VAE has {config.vae.latent_channels} latent "
                f"channels, the denoiser {config.denoiser.latent_channels}."
            )
        denoiser, audio, emotion = (nets.get_submodule(name) for name in ("denoiser", "audio", "emotion"))
        encoder = parts["text_reader"][0]
        assert isinstance(vae, VAE) and isinstance(denoiser, Denoiser) and isinstance(syncnet, SyncNet)
        assert isinstance(audio, AudioEncoder) and isinstance(emotion, EmotionEncoder)
        add_style(denoiser, folder, device)
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
            most_px=MOST_TIMES * config.size_px,
        )

    def check(self, model: Model, options: GenerateOptions) -> None:
        """Refuse what is a base's alone. Raises BadInput."""
        for name in OF_A_BASE:
            value, usual = getattr(options, name), OPTIONS[name].default
            if value != usual:
                raise BadInput(f"{name} is {value!r}, which is for a base; leave it {usual!r}.")

    def notes(self, model: Model, options: GenerateOptions, asks_emotion: bool) -> list[str]:
        """It hears in one way."""
        if options.hearing == "overlapped":
            return []
        return [f"hearing has no effect: '{model.name}' does not hear through Whisper."]

    def mask(self, model: Model, is_still: bool, asks_emotion: bool) -> str:
        """A portrait's whole frame moves; in a video, as little as was asked for."""
        return "full" if is_still else "face" if asks_emotion else "mouth"

    def picture_px(self, model: Model, face_px: float) -> int:
        """As large as the face, since its own pixels are moved: from the model's own size to its `most_px`."""
        assert isinstance(model, MiniModel)
        return min(max(model.config.size_px, round(face_px)), model.most_px)

    def scene(self, model: Model, reference: Source, options: GenerateOptions) -> MiniScene:
        """See Family."""
        assert isinstance(model, MiniModel)
        return MiniScene(model, reference, options)


MINI = Mini()


class Head:
    """Reference pictures as the nets know them, at the size they are trained at."""

    def __init__(self, model: MiniModel, pictures: np.ndarray) -> None:
        """`pictures` is uint8 [B, S, S, 3] in the training frame, of any size S."""
        self.model = model
        self.shown = to_unit(pictures, model.device).float()
        image, points = picture_inputs(pictures, model.config.vae.size_px, model.device)
        features = model.vae.read(self._to_net(image), points)
        self.features = replace(features, controls=with_smile(features.controls))

    @property
    def controls(self) -> Tensor:
        """What the faces do, [B, 28], as it was read off them."""
        return self.features.controls.float()

    def decode(self, controls: Tensor, motion: Tensor) -> np.ndarray:
        """Finished frames: the pictures' own pixels moved, lit and painted over.

        controls  [T, 28]  T a multiple of B: each picture serves T / B frames in a row
        motion    [T, 8]
        returns   uint8 [T, S, S, 3]
        """
        change = self.change(controls, motion).in_picture(self.features, self.shown.shape[-1])
        shown = self.shown.expand(len(controls), -1, -1, -1) if len(self.shown) == 1 else self.shown
        return to_pixels(change.apply(shown, is_sharp=True))

    def change(self, controls: Tensor, motion: Tensor, size_px: int | None = None) -> Change:
        """How frames differ from the pictures; arguments as of `decode`.

        size_px  side of the change; default: `LAID_PX`, or that of the pictures where they are smaller
        """
        latents = self._to_net(self.model.vae.motion_latents(controls))
        size = size_px or min(LAID_PX, self.shown.shape[-1])
        return self.model.vae.decode(latents, motion[:, :N_POSE], self.features, size)

    def change_between(self, controls: Tensor, motion: Tensor, most: int, before: Added | None) -> tuple[Change, Added]:
        """How frames of one picture differ from it, at `LAID_PX`; see `VAE.decode_between`."""
        latents = self._to_net(self.model.vae.motion_latents(controls))
        return self.model.vae.decode_between(latents, motion[:, :N_POSE], self.features, LAID_PX, most, before)

    def turned(self, points: Tensor, motion: Tensor) -> Tensor:
        """Where points of one picture come to lie when its head turns, about as `decode` moves them.

        points   [n, 2]  in frame widths
        motion   [T, 8]
        returns  [T, n, 2]
        """
        maps, still = self.features.maps, self.features.controls
        laid = sample_at(maps.to_canonical.float(), points[None].to(motion.device) * 2 - 1)
        moved = self.model.vae.motion_basis.turned(laid, motion[:, :N_POSE], still)
        return sample_at(maps.to_picture.float().expand(len(motion), -1, -1, -1), moved) / 2 + 0.5

    def _to_net(self, values: Tensor) -> Tensor:
        return values.to(self.model.dtype).contiguous(memory_format=torch.channels_last)


def painted(head: Head, painter: Painter, controls: Tensor, motion: Tensor) -> np.ndarray:
    """What lies in a painter's box in frames of one picture: uint8 [T, h, w, 3]; arguments as of `Head.decode`."""
    changes = (head.change(controls[i : i + len(m)], m, LAID_PX) for i, m in in_parts(motion))
    parts = [painter.paint(change) for change in changes]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)  # a frame of 49 megapixels is 147 MB to copy


class MiniScene:
    """A clip as the mini sees it: what a face does, in latents, and the pictures that do it."""

    def __init__(self, model: MiniModel, source: Source, options: GenerateOptions) -> None:
        self.model, self.mask = model, options.mask
        reference = source.square if isinstance(source, Painted) else source
        self.crops: Crops | None = None if isinstance(reference, np.ndarray) else reference
        self.head = Head(model, reference[None]) if isinstance(reference, np.ndarray) else None
        self.is_still = self.head is not None
        self._reference = reference
        self._painter: Painter | None = None
        if isinstance(source, Painted) and self.head is not None:
            self._painter = Painter(self.head.features.maps, source.picture, source.face, source.mask)
        self.scale = model.denoiser.latent_scale.float()[:, None, None, None]
        config = model.config.denoiser
        self.cells = config.cells
        mask = torch.ones(1, 1, config.cells, config.cells, device=model.device)
        masked = torch.zeros(config.latent_channels, 1, config.cells, config.cells, device=model.device)
        self.everything = torch.cat([mask, masked])

    @cached_property
    def first_picture(self) -> np.ndarray:
        """What is shown of the first frame, uint8 [1, S, S, 3]; a scene that is only sampled need not have it."""
        return self._reference[None] if isinstance(self._reference, np.ndarray) else self._reference(0, 1)

    def denoiser(self) -> Denoiser:
        """What samples one clip: the net itself."""
        return self.model.denoiser

    def look(self, start: int, motion: Tensor, kept: View | None = None) -> View:
        """The motion of each frame, what its reference does, and in a video its number.

        Pictures are read again when they are decoded: those of a long segment take more memory than the nets.
        """
        if self.head is not None:
            return {"motion": motion, "reference": self.head.controls.expand(len(motion), -1)}
        assert self.crops is not None
        if kept is None:
            parts = in_parts(motion, frames_at_once(self.first_picture.shape[1]))
            places = ((start + i, start + i + len(part)) for i, part in parts)
            reference = torch.cat([Head(self.model, self.crops(*place)).controls for place in places])
        else:
            reference = kept["reference"].to(motion.device)
        return {"motion": motion, "reference": reference, "frame": torch.arange(start, start + len(motion))}

    def kept(self, view: View) -> View:
        """What `look` would not make again to the bit: reading depends on how many pictures go together."""
        return {"reference": view["reference"]}

    def context(self, view: View) -> Tensor:
        """mask | masked latents | latents of the reference, for the net: [2C + 1, T, h, w]."""
        latents = self.model.vae.motion_latents(view["reference"]).transpose(0, 1)
        return torch.cat([self.everything.expand(-1, latents.shape[1], -1, -1), latents / self.scale])

    def decode(self, x0: Tensor, view: View) -> np.ndarray:
        """Finished squares, uint8 [T, S, S, 3], of x0 [C, T, h, w]; of a `Painted` portrait its painter's boxes."""
        controls = self.controls(x0, view)
        if self._painter is not None and self.head is not None:
            return painted(self.head, self._painter, controls, view["motion"])
        pieces = []
        for start, motion in in_parts(view["motion"], frames_at_once(self.first_picture.shape[1])):
            part = slice(start, start + len(motion))
            head = self.head or self._head_of(view["frame"][part])
            pieces.append(head.decode(controls[part], motion))
        return np.concatenate(pieces)

    def _head_of(self, numbers: Tensor) -> Head:
        """The pictures of frames of a video, whose numbers follow one another."""
        assert self.crops is not None
        return Head(self.model, self.crops(int(numbers[0]), int(numbers[-1]) + 1))

    def controls(self, x0: Tensor, view: View) -> Tensor:
        """What the face shall do, [T, 28]: as it was sampled, but for what is known.

        Lids and gaze follow the motion track. In a video they stay the picture's own, as does the upper face where only
        the mouth is made.
        """
        controls = self.model.vae.motion_latents.read((x0 * self.scale).transpose(0, 1))
        controls[:, :BLINK] = controls[:, :BLINK].clamp(0, MOST)
        controls = parted(wrinkled(controls))
        reference, motion = view["reference"], view["motion"]
        if self.head is None:
            keep = list(GIVEN if self.mask != "mouth" else (*GIVEN, *UPPER))
            controls[:, keep] = reference[:, keep]
        else:
            controls[:, BLINK] = motion[:, MOTION.index("blink")]
            controls[:, GAZE] = reference[:, GAZE] + motion[:, _GAZE_MOTION]
        return controls

    def preview(self, x0: Tensor) -> np.ndarray:
        """About what one frame of x0 [C, 1, h, w] will look like: uint8 [S, S, 3]."""
        head, motion = Head(self.model, self.first_picture), x0.new_zeros(1, len(MOTION))
        return head.decode(self.controls(x0, {"motion": motion, "reference": head.controls}), motion)[0]

    def audio_features(self, performance: Performance, options: GenerateOptions) -> MelFeatures:
        """What the model hears of a performance."""
        return MelFeatures(self.model, performance, options)

    def sync_guide(self, strength: float) -> SyncGuide:
        """SyncNet guidance with this model's own SyncNet."""
        syncnet = self.model.syncnet
        return SyncGuide(
            embed_frames=syncnet.embed_frames,
            to_latents=self._to_latents,
            mouth=box_cells(MOUTH_CELLS, self.cells).to(self.model.device),
            strength=strength,
            real_cosine=self.model.real_cosine,
            n_frames=syncnet.config.frames,
        )

    def _to_latents(self, x0: Tensor, context: Tensor) -> Tensor:
        """x0 [C, T, h, w] -> latents of the same shape."""
        return x0 * self.scale.clone()  # gradients pass here, and a tensor of inference mode would forbid it


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
        return self.drawn(mel, slice(skip, skip + stop - start), voice)

    def drawn(self, mel: np.ndarray, part: slice, voice: Tensor) -> Tensor:
        """Tokens of a part of log-mel [4 T', 80], drawn towards silence where voice [T] is low: [T, S, D_a]."""
        tokens = self._encode(mel)[part]
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
