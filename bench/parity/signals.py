"""Parts of the comparison around the denoiser: sound features, SyncNets, alignment, mask, schedule, autoencoder.

Each part computes the same named arrays twice from a seed, by LatentSync's own code and by ours. Packages that are
imported there but not needed by the part are replaced where they are missing; one that a part does need raises
ModuleNotFoundError: kornia and cv2 for the crop, cv2 for the resized mask, python_speech_features for the cepstra.
Run by itself, this writes the golden values of tests/golden/signals.npz.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from eadnet_core.config import SDVAEConfig, StableSyncNetConfig, WhisperConfig
from eadnet_core.media.face.aligned_crop import crop_exactly, keep_mask, latent_mask
from eadnet_core.media.face.alignment import align, inverse
from eadnet_core.media.sound.sync_features import cepstra, syncnet_mel
from eadnet_core.media.sound.whisper_mel import whisper_mel
from eadnet_core.metrics.syncnet_v2 import SyncNetV2Scorer
from eadnet_core.nets.latentsync.sd_vae import SDVAE, from_diffusers
from eadnet_core.nets.latentsync.stable_syncnet import StableSyncNet
from eadnet_core.nets.latentsync.whisper import WhisperEncoder, encode_sound, frame_tokens, from_openai
from eadnet_core.nets.syncnet_v2 import SyncNetV2
from eadnet_core.sampling.prediction import Epsilon

from .reference import digest, marker, replaced_module, seeded_like

Arrays = dict[str, np.ndarray]
GOLDEN_VALUES = 300
"""Values of each array that are kept, evenly spaced; of all of them a digest."""
UNNEEDED = (
    "ffmpeg", "decord", "insightface", "insightface.app", "matplotlib", "matplotlib.pyplot", "imageio", "torchvision",
    "torchvision.transforms", "cv2", "kornia",
)  # fmt: skip
WHISPER = WhisperConfig(width=64, heads=2, layers=2)
SYNCNET = StableSyncNetConfig(visual_widths=(32, 64, *(32,) * 6), mel_widths=(32,) * 7)
VAE = SDVAEConfig(widths=(16, 16, 32, 32), layers=1, norm_groups=8)
SECONDS = 35.0
FRAMES = (0, 1, 2, 3, *range(744, 756), 871, 872, 873, 874, 880)
"""Frames whose sound is compared: the ends, beyond the end, and where segments meet."""
N_PICTURES = 27
STEPS = 20
FACES = (
    (0.7, -0.4, (500.0, 300.0), False),
    (1.1, -0.1, (530.0, 300.0), False),
    (1.5, 0.2, (560.0, 300.0), False),
    (1.9, 0.5, (590.0, 300.0), True),
)
"""Size, turn, place of three points, and whether the brows are exchanged."""


@dataclass(frozen=True)
class Signal:
    """One part: arrays from (folder of the reference, seed) and the same arrays from a seed by our code."""

    theirs: Callable[[Path, int], Arrays]
    ours: Callable[[int], Arrays]
    close: float = 1e-5
    """Difference to the golden values that another kind of CPU may make, in sizes of the largest value."""

    def difference(self, reference: Path, seed: int) -> float:
        """Largest absolute difference of all arrays."""
        theirs, ours = self.theirs(reference, seed), self.ours(seed)
        assert theirs.keys() == ours.keys()
        return max(float(np.abs(theirs[key].astype(np.float64) - ours[key]).max()) for key in theirs)


class _Absent(types.ModuleType):
    """Stands in for a package that is imported and never used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Absent(f"{self.__name__}.{name}")

    def __call__(self, *_: Any, **__: Any) -> Any:
        raise ModuleNotFoundError(f"this part needs the package '{self.__name__.split('.')[0]}'", name=self.__name__)


@contextmanager
def reference_code(reference: Path) -> Iterator[None]:
    """Let LatentSync's modules be imported: its folder on the path and current, missing packages replaced."""
    before, added = os.getcwd(), []
    for name in UNNEEDED:
        try:
            importlib.import_module(name)
        except ImportError:
            sys.modules[name] = _Absent(name)
            added.append(name)
    sys.path.insert(0, str(reference))
    os.chdir(reference)
    try:
        yield
    finally:
        os.chdir(before)
        sys.path.remove(str(reference))
        for name in added:
            del sys.modules[name]


def sound(seconds: float, seed: int) -> np.ndarray:
    """Noise that swings like syllables, [N] float32."""
    n = round(16_000 * seconds)
    swing = np.sin(2 * np.pi * 3 * np.arange(n) / 16_000)
    return (0.2 * np.random.default_rng(seed).standard_normal(n) * swing).astype(np.float32)


def weights(net: nn.Module, seed: int) -> dict[str, Tensor]:
    """`parity.seeded` for these nets: what batch norms divide by lies around 1 too, counts and positions stay."""
    batch_norms = {
        f"{name}.weight" for name, m in net.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)
    }
    found = {}
    for key, value in net.state_dict().items():
        if key == "positions" or not value.is_floating_point():
            found[key] = value
        else:
            is_around_1 = key in batch_norms or key.endswith("running_var")
            found[key] = seeded_like(value, key, seed) + float(is_around_1)
    return found


def built(net: nn.Module, seed: int) -> Any:
    """`net` with seeded weights, ready to run."""
    net.load_state_dict(weights(net, seed))
    return net.eval().requires_grad_(False)


def noise(*shape: int, seed: int) -> Tensor:
    """Normal numbers of a seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def their_whisper_mel(reference: Path, seed: int) -> Arrays:
    """Whisper's log-mel by LatentSync's copy of OpenAI's code."""
    with reference_code(reference):
        from latentsync.whisper.whisper.audio import log_mel_spectrogram

        return {"mel": log_mel_spectrogram(sound(61.3, seed)).numpy()}


def our_whisper_mel(seed: int) -> Arrays:
    """The same by ours."""
    return {"mel": whisper_mel(sound(61.3, seed)).numpy()}


def their_whisper_features(reference: Path, seed: int) -> Arrays:
    """What LatentSync's U-Net is given of two segments of sound."""
    with reference_code(reference):
        from latentsync.whisper.audio2feature import Audio2Feature
        from latentsync.whisper.whisper.model import ModelDimensions, Whisper

        c = WHISPER
        model = Whisper(ModelDimensions(c.n_mels, c.steps, c.width, c.heads, c.layers, 60, 8, 32, 2, 1)).eval()
        names = {ours: theirs for ours, theirs in zip(*_openai_names(model), strict=True)}
        drawn = weights(WhisperEncoder(c), seed)
        model.load_state_dict({names[key]: value for key, value in drawn.items()}, strict=False)
        reader = Audio2Feature.__new__(Audio2Feature)
        reader.model, reader.embedding_dim, reader.audio_feat_length = model, c.width, [2, 2]
        reader.audio_embeds_cache_dir = None
        with torch.no_grad():
            steps = reader.audio2feat(sound(SECONDS, seed))
        return {"tokens": torch.stack([reader.get_sliced_feature(steps, i)[0] for i in FRAMES]).numpy()}


def _openai_names(model: nn.Module) -> tuple[list[str], list[str]]:
    """Our keys and OpenAI's, in the same order."""
    keys = {key: torch.empty(0) for key in model.state_dict()}
    pairs = [(next(iter(found)), key) for key in keys if (found := from_openai({key: keys[key]}))]
    return [ours for ours, _ in pairs], [theirs for _, theirs in pairs]


def our_whisper_features(seed: int) -> Arrays:
    """The same by ours, in exact mode."""
    net = built(WhisperEncoder(WHISPER), seed)
    steps = torch.cat(list(encode_sound(net, whisper_mel(sound(SECONDS, seed)), "exact")))
    return {"tokens": torch.cat([frame_tokens(steps, i, i + 1) for i in FRAMES]).numpy()}


def their_syncnet_stable(reference: Path, seed: int) -> Arrays:
    """Embeddings of LatentSync's SyncNet at small widths."""
    with reference_code(reference):
        from latentsync.models.stable_syncnet import StableSyncNet as TheirSyncNet

    c = SYNCNET
    net = TheirSyncNet(
        {
            "audio_encoder": _encoder(1, c.mel_widths, c.mel_strides, c.mel_attention),
            "visual_encoder": _encoder(3 * c.frames, c.visual_widths, c.visual_strides, c.visual_attention),
        }
    )
    frames, mel = _syncnet_inputs(seed)
    visual, audio = built(net, seed)(frames, mel)
    return {"visual": visual.numpy(), "audio": audio.numpy()}


def _encoder(in_channels: int, widths: Any, strides: Any, attention: Any) -> dict[str, Any]:
    """An encoder's settings as LatentSync's config files write them."""
    factors = [step[0] if step[0] == step[1] else list(step) for step in strides]
    blocks = [int(has) for has in attention]
    sizes = {"in_channels": in_channels, "block_out_channels": list(widths)}
    return {**sizes, "downsample_factors": factors, "attn_blocks": blocks, "dropout": 0.0}


def _syncnet_inputs(seed: int) -> tuple[Tensor, Tensor]:
    return noise(2, 48, 128, 256, seed=seed).clamp(-1, 1), noise(2, 1, 80, 52, seed=seed + 1)


def our_syncnet_stable(seed: int) -> Arrays:
    """The same by ours."""
    net = built(StableSyncNet(SYNCNET), seed)
    frames, mel = _syncnet_inputs(seed)
    return {"visual": net.embed_lower_halves(frames).numpy(), "audio": net.embed_audio(mel).numpy()}


def their_syncnet_mel(reference: Path, seed: int) -> Arrays:
    """The log-mel of LatentSync's SyncNet, rounded to float32."""
    with reference_code(reference), _settings_reader():
        from latentsync.utils.audio import melspectrogram

        return {"mel": melspectrogram(sound(4.1, seed)).astype(np.float32)}


@contextmanager
def _settings_reader() -> Iterator[None]:
    """omegaconf, or what is needed of it."""
    import yaml

    try:
        import omegaconf  # noqa: F401
    except ImportError:
        fake: Any = types.ModuleType("omegaconf")

        def load(path: str) -> SimpleNamespace:
            values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
            return SimpleNamespace(**{key: SimpleNamespace(**value) for key, value in values.items()})

        fake.OmegaConf = SimpleNamespace(load=load)
        with replaced_module("omegaconf", fake):
            yield
    else:
        yield


def our_syncnet_mel(seed: int) -> Arrays:
    """The same by ours."""
    return {"mel": syncnet_mel(sound(4.1, seed)).numpy()}


def _clip(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures uint8 [T, 224, 224, 3], red first, and their sound as int16."""
    pictures = np.random.default_rng(seed).integers(0, 256, (N_PICTURES, 224, 224, 3), dtype=np.uint8)
    samples = sound((N_PICTURES + 0.4) / 25, seed)
    return pictures, np.round(samples * 32767).astype(np.int16)


def their_syncnet_v2_mfcc(reference: Path, seed: int) -> Arrays:
    """The cepstra that the original SyncNet hears."""
    import python_speech_features

    return {"mfcc": python_speech_features.mfcc(_clip(seed)[1], 16_000)}


def our_syncnet_v2_mfcc(seed: int) -> Arrays:
    """The same by ours."""
    return {"mfcc": cepstra(_clip(seed)[1])}


def their_syncnet_v2_score(reference: Path, seed: int) -> Arrays:
    """Offset, distance and confidence by the original's evaluation, with reading files replaced by arrays."""
    pictures, samples = _clip(seed)
    names = [f"{i:06d}.jpg" for i in range(len(pictures))]
    files: Any = types.ModuleType("latentsync.utils.util")
    files.check_model_and_download = None
    with reference_code(reference), replaced_module("latentsync.utils.util", files), _cepstra_reader():
        from eval.syncnet import syncnet_eval
    syncnet_eval.glob = SimpleNamespace(glob=lambda _: list(names))
    syncnet_eval.cv2 = SimpleNamespace(
        imread=lambda path: pictures[names.index(os.path.basename(path)), ..., ::-1], resize=lambda picture, _: picture
    )
    syncnet_eval.wavfile = SimpleNamespace(read=lambda _: (16_000, samples))
    syncnet_eval.subprocess = SimpleNamespace(call=lambda *_, **__: 0)
    judge = syncnet_eval.SyncNetEval()
    built(judge.__S__, seed)
    with tempfile.TemporaryDirectory() as folder:
        offset, distance, confidence = judge.evaluate("clip.mp4", temp_dir=os.path.join(folder, "work"))
    return {"score": np.array([-offset, distance, confidence])}


@contextmanager
def _cepstra_reader() -> Iterator[None]:
    """python_speech_features, or our cepstra in its place: syncnet_v2_mfcc alone compares those."""
    try:
        import python_speech_features  # noqa: F401
    except ImportError:
        fake: Any = types.ModuleType("python_speech_features")
        fake.mfcc = lambda samples, rate_hz: cepstra(samples)
        with replaced_module("python_speech_features", fake):
            yield
    else:
        yield


def our_syncnet_v2_score(seed: int) -> Arrays:
    """The same by ours; our offset has the other sign."""
    pictures, samples = _clip(seed)
    scorer = SyncNetV2Scorer(built(SyncNetV2(), seed))
    scorer.add(pictures)
    score = scorer.finish(samples)
    return {"score": np.array([score.offset, score.lse_d, score.lse_c])}


def their_ddim_step(reference: Path, seed: int) -> Arrays:
    """Every step of a run by diffusers' scheduler with LatentSync's settings."""
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler.from_pretrained(reference / "configs")
    scheduler.set_timesteps(STEPS)
    x, seen = noise(4, 2, 8, 8, seed=seed), []
    for i, time in enumerate(scheduler.timesteps):
        x = scheduler.step(noise(4, 2, 8, 8, seed=seed + 1 + i), time, x, eta=0.0).prev_sample
        seen.append(x)
    return {"x": torch.stack(seen).numpy(), "times": scheduler.timesteps.numpy()}


def our_ddim_step(seed: int) -> Arrays:
    """The same by ours."""
    prediction = Epsilon()
    grid = prediction.grid(STEPS)
    x, seen = noise(4, 2, 8, 8, seed=seed), []
    for i, time in enumerate(grid.times):
        predicted = noise(4, 2, 8, 8, seed=seed + 1 + i)
        x0 = prediction.to_x0(predicted[None], x[None], torch.tensor([time]))[0]
        x = grid.step(x, x0, i, predicted)
        seen.append(x)
    return {"x": torch.stack(seen).numpy(), "times": np.array(grid.times)}


def _points() -> list[np.ndarray]:
    """Three points of each of FACES, whole pixels."""
    found = []
    for size, turn, place, is_mirrored in FACES:
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        points = np.array([[-60.0, -40.0], [62.0, -38.0], [3.0, 35.0]]) * size @ rotation.T + place
        found.append(np.round(points[[1, 0, 2]] if is_mirrored else points))
    return found


def _picture(seed: int) -> np.ndarray:
    """uint8 [720, 1080, 3] with detail at all sizes."""
    coarse = np.random.default_rng(seed).integers(0, 256, (72, 108, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((1080, 720), Image.Resampling.BICUBIC))


def _aligners(reference: Path, size_px: int) -> Any:
    with reference_code(reference):
        from latentsync.utils.affine_transform import AlignRestore
    return AlignRestore(resolution=size_px, dtype=torch.float32)


def their_alignment(reference: Path, seed: int) -> Arrays:
    """Matrices of successive frames by LatentSync."""
    found: Arrays = {}
    for size_px in (256, 512):
        aligner, bias, matrices = _aligners(reference, size_px), None, []
        for points in _points():
            matrix, bias = aligner.transformation_from_points(points, aligner.face_template, True, bias)
            matrices.append(matrix)
        found[f"matrix_{size_px}"] = np.stack(matrices)
    return found


def our_alignment(seed: int) -> Arrays:
    """The same by ours."""
    found: Arrays = {}
    for size_px in (256, 512):
        nudge, matrices = None, []
        for points in _points():
            matrix, nudge = align(points, size_px, nudge)
            matrices.append(matrix)
        found[f"matrix_{size_px}"] = np.stack(matrices)
    return found


def their_alignment_crop(reference: Path, seed: int) -> Arrays:
    """Squares of successive frames, and the way back, by LatentSync's float32 path with kornia and OpenCV."""
    import cv2
    import kornia

    found: Arrays = {}
    for size_px in (256, 512):
        aligner = _aligners(reference, size_px)
        for i, points in enumerate(_points()):
            face, matrix = aligner.align_warp_face(_picture(seed).copy(), points)
            found[f"crop_{size_px}_{i}"] = cv2.resize(face, (size_px, size_px), interpolation=cv2.INTER_LANCZOS4)
            found[f"back_{size_px}_{i}"] = kornia.geometry.transform.invert_affine_transform(matrix)[0].numpy()
    return found


def our_alignment_crop(seed: int) -> Arrays:
    """The same by ours."""
    found: Arrays = {}
    for size_px in (256, 512):
        nudge = None
        for i, points in enumerate(_points()):
            matrix, nudge = align(points, size_px, nudge)
            found[f"crop_{size_px}_{i}"] = crop_exactly(_picture(seed), matrix, size_px)
            found[f"back_{size_px}_{i}"] = inverse(matrix)
    return found


def their_mask(reference: Path, seed: int) -> Arrays:
    """LatentSync's mask picture, and on latent cells."""
    picture = np.asarray(Image.open(reference / "latentsync" / "utils" / "mask.png").convert("RGB"))
    mask = torch.from_numpy(picture[..., 0] / 255.0)[None]
    cells = torch.nn.functional.interpolate(mask[None], size=(32, 32))[0]
    return {"mask": mask.numpy(), "cells": cells.numpy()}


def our_mask(seed: int) -> Arrays:
    """The same by ours."""
    return {"mask": keep_mask(256).numpy(), "cells": latent_mask(256).numpy()}


def their_mask_512(reference: Path, seed: int) -> Arrays:
    """The mask at the larger size, resampled by OpenCV."""
    import cv2  # noqa: F401

    with reference_code(reference):
        from latentsync.utils.image_processor import load_fixed_mask

        mask = load_fixed_mask(512)[:1]
    cells = torch.nn.functional.interpolate(mask[None], size=(64, 64))[0]
    return {"mask": mask.numpy(), "cells": cells.numpy()}


def our_mask_512(seed: int) -> Arrays:
    """The same by ours."""
    return {"mask": keep_mask(512).numpy(), "cells": latent_mask(512).numpy()}


def _vae_inputs(seed: int) -> tuple[Tensor, Tensor]:
    return noise(2, 3, 64, 64, seed=seed).clamp(-1, 1), noise(1, 4, 2, 8, 8, seed=seed + 1)


def their_vae_scale(reference: Path, seed: int) -> Arrays:
    """Latents of pictures and pictures of latents by LatentSync's pipeline."""
    from diffusers import AutoencoderKL

    with reference_code(reference), _settings_reader():
        from latentsync.pipelines.lipsync_pipeline import LipsyncPipeline

    c = VAE
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=c.widths,
        layers_per_block=c.layers,
        norm_num_groups=c.norm_groups,
        scaling_factor=0.18215,
        shift_factor=0.0,
    )
    host = SimpleNamespace(vae=built(vae, seed))
    images, latents = _vae_inputs(seed)
    drawn = LipsyncPipeline.prepare_image_latents(
        host, images, "cpu", torch.float32, torch.Generator().manual_seed(seed), False
    )
    return {"latents": drawn.numpy(), "pictures": LipsyncPipeline.decode_latents(host, latents).numpy()}


def our_vae_scale(seed: int) -> Arrays:
    """The same by ours."""
    net = SDVAE(VAE).eval().requires_grad_(False)
    net.load_state_dict(from_diffusers(weights(net.autoencoder, seed)))
    images, latents = _vae_inputs(seed)
    drawn = net.sample(images, torch.Generator().manual_seed(seed))
    return {"latents": drawn.movedim(0, 1)[None].numpy(), "pictures": net.decode(latents[0].movedim(1, 0)).numpy()}


SIGNALS: Mapping[str, Signal] = {
    "whisper_mel": Signal(their_whisper_mel, our_whisper_mel, 1e-4),
    "whisper_features": Signal(their_whisper_features, our_whisper_features),
    "syncnet_stable": Signal(their_syncnet_stable, our_syncnet_stable),
    "syncnet_mel": Signal(their_syncnet_mel, our_syncnet_mel),
    "syncnet_v2_mfcc": Signal(their_syncnet_v2_mfcc, our_syncnet_v2_mfcc),
    "syncnet_v2_score": Signal(their_syncnet_v2_score, our_syncnet_v2_score),
    "ddim_step": Signal(their_ddim_step, our_ddim_step),
    "alignment": Signal(their_alignment, our_alignment),
    "alignment_crop": Signal(their_alignment_crop, our_alignment_crop, 0.01),
    "mask": Signal(their_mask, our_mask),
    "mask_512": Signal(their_mask_512, our_mask_512),
    "vae_scale": Signal(their_vae_scale, our_vae_scale),
}
PARTS: dict[str, Callable[[Path, int], float]] = {name: signal.difference for name, signal in SIGNALS.items()}
"""Every part by name: (folder of the reference, seed) -> largest absolute difference."""


def sampled(array: np.ndarray) -> np.ndarray:
    """At most GOLDEN_VALUES values of an array, evenly spaced, in its own type."""
    flat = array.reshape(-1)
    return flat[:: max(1, -(-flat.size // GOLDEN_VALUES))]


def kind() -> str:
    """`parity.marker`, and the packages whose own arithmetic is compared here."""
    packages = ("numpy", "scipy", "librosa", "diffusers", "pillow")
    return " ".join([marker(), *(f"{name} {version(name)}" for name in packages)])


def write_golden(reference: Path, folder: Path, seed: int) -> None:
    """What LatentSync's code makes of a seed: some values of each array, a digest of all, and the kind of CPU."""
    kept: dict[str, Any] = {"seed": seed, "marker": kind()}
    for name, signal in SIGNALS.items():
        for key, array in signal.theirs(reference, seed).items():
            kept[f"{name}/{key}"] = sampled(array)
            kept[f"{name}/{key}/digest"] = digest([torch.from_numpy(np.ascontiguousarray(array))])
    np.savez_compressed(folder / "signals.npz", **kept)


def main() -> None:
    """Write the golden values."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", required=True, type=Path, metavar="FOLDER", help="the checkout of LatentSync")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of weights and inputs (default: 0)")
    parser.add_argument("--golden", required=True, type=Path, metavar="FOLDER", help="where to write signals.npz")
    args = parser.parse_args()
    torch.set_num_threads(1)
    write_golden(args.reference.resolve(), args.golden.resolve(), args.seed)


if __name__ == "__main__":
    main()
