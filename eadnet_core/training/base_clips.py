"""Clips as a base sees them: aligned squares in latents, Whisper's features of the sound, emotion and motion per frame.

Clips come from WebDataset shards (.tar, what `eadnet corpus render` writes) and from videos with one face in them.
Emotion of a video is read from the captions beside it (captions.jsonl, what `eadnet caption` writes); a video
without one is taught to the tokens of "no emotion given". Each clip is encoded once, into a file of its own.
"""

from __future__ import annotations

import json
import logging
import wave
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..config import FPS, ModelConfig
from ..corpus.shards import decode_clip, read_shards
from ..errors import BadInput, CheckpointError, EADNetError, FaceNotFound, MediaError
from ..media.face.aligned_crop import MASKS, crop_aligned, keep_mask
from ..media.face.alignment import aligned_box
from ..media.face.follow import follow
from ..media.pixels import to_unit
from ..media.sound.audio import SAMPLES_PER_FRAME, fit_length
from ..media.sound.sync_features import syncnet_mel
from ..media.sound.whisper_mel import whisper_mel
from ..media.video.files import VIDEO_SUFFIXES, read_video
from ..media.video.segments import file_hash
from ..nets.adapters import is_adapter_key
from ..nets.latentsync.denoiser import LatentSyncDenoiser
from ..nets.latentsync.whisper import SoundFeatures
from ..taxonomy import EMOTION_CODE_SIZE, MOTION
from ..weights.experts import load_reader
from ..weights.files import load_part, read_config, read_metadata, read_state
from .processes import first_before_others, n_processes, process_index, wait_for_all

log = logging.getLogger(__name__)

PIECE_FRAMES = 250
"""A longer video is cut into clips of so many frames."""
AT_ONCE = 8
"""Squares that go through the autoencoder together."""
CAPTIONS = "captions.jsonl"


@dataclass(frozen=True)
class RawClip:
    """A clip before it is encoded.

    frames   uint8 [T, H, W, 3], 25 per second
    samples  [N] float32 mono 16 kHz
    codes    [T, 27], or None where nobody said what is felt
    motion   [T, 8] of the head against frame 0, or None where it is not known
    portrait uint8 [H, W, 3], another picture of the same head, or None where there is none
    lips     [T, 9] `rig.LIP_CONTROLS` of the voice, or None where they are not known
    """

    key: str
    frames: np.ndarray
    samples: np.ndarray
    codes: np.ndarray | None
    motion: np.ndarray | None
    portrait: np.ndarray | None = None
    lips: np.ndarray | None = None


@dataclass(frozen=True)
class EncodedClip:
    """A clip as a base is trained on it; its file holds the fields by name, the masked latents as masked_<kind>.

    latents     [T, C, h, w]     of the aligned squares
    masked      [T, C, h, w]     of the squares with an area greyed out, by kind of mask (`MASKS`)
    tokens      [T, S, D_a]      of the sound encoder
    code        [T, 27]          emotion; 0 where has_code is
    motion      [T, 8]           taxonomy.MOTION; 0 where has_motion is
    has_code    scalar           1 or 0; has_motion alike
    sync_mel    [80, N]          of the whole sound, as LatentSync's SyncNet hears it
    portrait    [P, C, h, w]     of other pictures of the same head; P is 0 or 1
    """

    latents: Tensor
    masked: dict[str, Tensor]
    tokens: Tensor
    code: Tensor
    motion: Tensor
    has_code: Tensor
    has_motion: Tensor
    sync_mel: Tensor
    portrait: Tensor

    def save(self, path: Path) -> None:
        """Write the clip in half precision."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "masked"}
        values |= {f"masked_{kind}": value for kind, value in self.masked.items()}
        save_file({name: value.half().contiguous() for name, value in values.items()}, path)


def open_base(path: Path, file: str = "adapters") -> tuple[ModelConfig, LatentSyncDenoiser]:
    """A base's denoiser with fresh adapters of one file, from its own or from the folder it lies in; in float32 on the
    CPU.

    Raises CheckpointError for a file of another kind.
    """
    path = path / "denoiser.safetensors" if path.is_dir() else path
    config: ModelConfig = read_config(path, ModelConfig, read_metadata(path, "denoiser"))
    if config.denoiser.layout != "latentsync":
        raise CheckpointError(f"'{path}' is no base: it holds '{config.name}', whose adapters are part of it.")
    sizes = replace(config.denoiser, has_adapters=file == "adapters", has_identity=file == "identity")
    config = replace(config, denoiser=sizes)
    net = LatentSyncDenoiser(config.denoiser)
    base = {key: value for key, value in net.state_dict().items() if not is_adapter_key(key)}
    net.load_state_dict(read_state(path, "denoiser", base), strict=False)
    return config, net


def weights_hash(base: Path, *names: str) -> str:
    """SHA-256 of files of a base's folder, by what they hold; the base may be given by its denoiser's file."""
    folder = base if base.is_dir() else base.parent
    return "-".join(
        file_hash(base if name == "denoiser" and not base.is_dir() else folder / f"{name}.safetensors")
        for name in names
    )


def check_encoded_with(output: Path, base: Path) -> None:
    """Refuse a folder of clips that other nets than a base's have encoded. Raises BadInput.

    Says beside the clips who encodes them, where nobody has said it.
    """
    mark, found = output / "encoded_with.txt", weights_hash(base, "vae", "whisper")
    if not mark.exists():
        mark.write_text(found + "\n", encoding="utf-8")
    elif mark.read_text(encoding="utf-8").strip() != found:
        raise BadInput(
            f"'{output}' holds clips that the autoencoder or sound encoder of another base has encoded. Delete it, or "
            "give another --output."
        )


class BaseEncoder:
    """Encodes clips with the autoencoder and the sound encoder that lie beside a base's denoiser."""

    def __init__(self, folder: Path, size_px: int, device: torch.device) -> None:
        self.size_px, self.device = size_px, device
        nets: list[Any] = []
        for name, part in (("vae", "sd_vae"), ("whisper", "whisper")):
            path = folder / f"{name}.safetensors"
            if not path.is_file():
                raise CheckpointError(f"'{path}' is missing: clips are encoded with it. Make it with eadnet convert.")
            nets.append(load_part(path, part, device)[0])
        self.vae, self.whisper = nets
        self.cells = (self.vae.config.latent_channels, size_px // 8, size_px // 8)

    def encode(self, clip: RawClip) -> EncodedClip:
        """What a base is trained on, on the CPU. Raises FaceNotFound."""
        return self.encode_squares(
            squares_of(clip, self.size_px),
            clip.samples,
            portrait_of(clip, self.size_px),
            code=as_track(clip.codes, len(clip.frames), EMOTION_CODE_SIZE),
            motion=as_track(clip.motion, len(clip.frames), len(MOTION)),
            has_code=torch.tensor(float(clip.codes is not None)),
            has_motion=torch.tensor(float(clip.motion is not None)),
        )

    @torch.inference_mode()
    def encode_squares(
        self, squares: np.ndarray, samples: np.ndarray, portrait: np.ndarray, **known: Tensor
    ) -> EncodedClip:
        """The same of squares uint8 [T, size, size, 3], their sound [N] and other squares of the head, [P, size, size,
        3]; `known` are the other fields."""
        n_frames, pictures = len(squares), to_unit(squares)
        features = SoundFeatures(self.whisper, whisper_mel(fit_length(samples, n_frames)))
        return EncodedClip(
            latents=self._latents(pictures),
            masked={kind: self._latents(pictures * keep_mask(self.size_px, kind).float()) for kind in MASKS},
            tokens=features.frames(0, n_frames).cpu(),
            sync_mel=syncnet_mel(fit_length(samples, n_frames)),
            portrait=self._latents(to_unit(portrait)) if len(portrait) else torch.zeros(0, *self.cells),
            **known,
        )

    def _latents(self, pictures: Tensor) -> Tensor:
        return torch.cat([self.vae.encode(part.to(self.device))[0].cpu() for part in pictures.split(AT_ONCE)])


def squares_of(clip: RawClip, size_px: int) -> np.ndarray:
    """The aligned square of each frame of a clip, uint8 [T, size_px, size_px, 3]. Raises FaceNotFound."""
    track = follow(clip.frames, on_missing="hold")
    boxes = [aligned_box(face) for face in track.crops if face is not None]
    return np.stack([crop_aligned(picture, box, size_px) for picture, box in zip(clip.frames, boxes, strict=True)])


def portrait_of(clip: RawClip, size_px: int) -> np.ndarray:
    """The aligned square of a clip's portrait, uint8 [1, size_px, size_px, 3]; [0, ...] without a face in it."""
    if clip.portrait is not None:
        with suppress(FaceNotFound):
            return squares_of(replace(clip, frames=clip.portrait[None]), size_px)
    return np.zeros((0, size_px, size_px, 3), np.uint8)


def as_track(values: np.ndarray | None, n_frames: int, size: int) -> Tensor:
    """A clip's track [T, size] as float32; zeros where it has none."""
    return torch.from_numpy(np.asarray(np.zeros((n_frames, size)) if values is None else values, np.float32))


def encode_folder(
    source: Path, output: Path, base: Path, size_px: int, device: torch.device, least_frames: int
) -> list[Path]:
    """Encode the clips of a folder that are not yet in `output`; returns the files of all that can be trained on.

    Under `accelerate launch` every process calls this and encodes its part. A clip without a face, of less than
    `least_frames`, or damaged is left out with a warning. Raises BadInput where none is left.
    """
    output.mkdir(parents=True, exist_ok=True)
    with first_before_others(device.type):
        check_encoded_with(output, base)
    encoder: BaseEncoder | None = None
    paths = []
    for number, (key, read) in enumerate(find_clips(source)):
        path = output / f"{key}.safetensors"
        paths.append(path)
        if number % n_processes() == process_index() and not path.is_file():
            encoder = encoder or BaseEncoder(base if base.is_dir() else base.parent, size_px, device)
            try:
                clip = read()
                if len(clip.frames) < least_frames:
                    raise BadInput(f"it has {len(clip.frames)} frames; a window needs {least_frames}")
                found = encoder.encode(clip)
            except EADNetError as error:
                log.warning("'%s' is left out: %s", key, error)
                continue
            partial = path.with_name(path.name + ".partial")
            found.save(partial)
            partial.replace(path)
    wait_for_all(device.type)
    kept = [path for path in paths if path.is_file()]
    if not kept:
        raise BadInput(
            f"'{source}' has no clip to train on: give shards (.tar) or videos of {least_frames} frames or more."
        )
    return kept


def find_clips(source: Path) -> Iterator[tuple[str, Callable[[], RawClip]]]:
    """(key, reader) of every clip in the shards and videos below a folder. Raises BadInput for what holds neither."""
    if (source / "cache.json").is_file():
        raise BadInput(
            f"'{source}' is a clip cache, which keeps no sound that Whisper could hear. Give a folder of shards "
            "(eadnet corpus render) or of videos."
        )
    shards = sorted(source.rglob("*.tar"))
    videos = sorted(path for path in source.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
    if not shards and not videos:
        raise BadInput(f"'{source}' holds neither shards (.tar) nor videos ({', '.join(VIDEO_SUFFIXES)}).")
    yield from _in_shards(shards)
    captions = _captions(source)
    for path in videos:
        name = path.relative_to(source)
        yield from _in_video(path, "-".join(name.with_suffix("").parts), captions.get(name.as_posix()))


def _in_shards(shards: list[Path]) -> Iterator[tuple[str, Callable[[], RawClip]]]:
    for key, members in _readable(shards):

        def read(key: str = key, members: dict[str, bytes] = members) -> RawClip:
            try:
                clip = decode_clip(members)
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, wave.Error) as error:
                raise MediaError(f"its members are damaged ({error}); render or curate it again") from error
            tracks = (clip.tracks.get("codes"), clip.tracks.get("motion"))
            return RawClip(key, clip.frames, clip.samples, *tracks, clip.reference, clip.tracks.get("visemes"))

        yield key, read


def _readable(shards: list[Path]) -> Iterator[tuple[str, dict[str, bytes]]]:
    """The clips of all shards; of one that is damaged those before the damage, with a warning."""
    for path in shards:
        try:
            yield from read_shards([path])
        except MediaError as error:
            log.warning("the rest of a shard is left out: %s", error)


def _in_video(path: Path, key: str, caption: str | None) -> Iterator[tuple[str, Callable[[], RawClip]]]:
    video = read_video(path, FPS)
    for number, start in enumerate(range(0, video.n_frames, PIECE_FRAMES)):

        def read(start: int = start) -> RawClip:
            frames = np.stack(list(islice(video.frames(start), PIECE_FRAMES)))
            first = start * SAMPLES_PER_FRAME
            samples = video.audio().samples[first : first + len(frames) * SAMPLES_PER_FRAME]
            code = None if caption is None else load_reader("mini").codes([caption]).repeat(len(frames), 0)
            return RawClip(key, frames, samples, code, None)

        yield f"{key}-{number:04d}", read


def _captions(source: Path) -> dict[str, str]:
    """Caption by clip of the captions file in a folder; empty without one."""
    path = source / CAPTIONS
    if not path.is_file():
        return {}
    lines = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    return {line["clip"]: line["caption"] for line in lines if "caption" in line}


def read_clip(path: Path) -> EncodedClip:
    """What `EncodedClip.save` wrote, in float32.

    Raises MediaError for a damaged file, which is deleted, and BadInput for one of an older version.
    """
    try:
        values = {name: value.float() for name, value in load_file(path).items()}
    except SafetensorError as error:
        path.unlink(missing_ok=True)
        raise MediaError(f"'{path}' was damaged ({error}). Run again: it is then made anew.") from error
    if "sync_mel" not in values:
        raise BadInput(f"'{path}' was encoded by an older version: remove its folder, and it is encoded again.")
    return EncodedClip(masked={kind: values.pop(f"masked_{kind}") for kind in MASKS}, **values)
