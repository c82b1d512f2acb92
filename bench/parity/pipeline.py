"""Parts of the comparison for the whole sampling of a video: latents and squares of LatentSync's pipeline and ours.

LatentSync's `__call__` runs as it is, on the CPU and at the small size. Replaced are its files and tools: faces and
sound features are handed to it, and what it would write is looked at instead. The autoencoder's own draw is left out on
both sides: ours takes the mean, and so does theirs here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from eadnet_core.config import ModelConfig, WhisperConfig
from eadnet_core.families.base import BASE, BaseModel
from eadnet_core.families.performance import Performance
from eadnet_core.generation.animation import Animation
from eadnet_core.media.face.aligned_crop import keep_mask
from eadnet_core.nets.latentsync.denoiser import LatentSyncDenoiser
from eadnet_core.nets.latentsync.sd_vae import SDVAE, from_diffusers
from eadnet_core.nets.latentsync.whisper import WhisperEncoder
from eadnet_core.request import GenerateOptions
from eadnet_core.taxonomy import EMOTION_CODE_SIZE, MOTION

from .reference import SMALL, load_reference, seeded
from .signals import VAE, _settings_reader, built, reference_code, sound, weights

SIZE_PX, N_FRAMES, STEPS, GUIDANCE = 64, 20, 4, 1.5
"""A whole window and a short one."""
WHISPER = WhisperConfig(steps=100, width=SMALL.audio_width, heads=2, layers=4)
OPTIONS = GenerateOptions(
    steps=STEPS,
    guidance_audio=GUIDANCE,
    batch_windows=1,
    windows="fixed",
    hearing="exact",
    segment_frames=N_FRAMES,
    has_speech_gate=False,
)


def squares(seed: int) -> np.ndarray:
    """Aligned faces to be, uint8 [T, 64, 64, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (N_FRAMES, SIZE_PX, SIZE_PX, 3), np.uint8)


def our_animation(reference: Path, seed: int) -> Animation:
    """Our clip of those faces, with the seeded weights of LatentSync's U-Net."""
    config = ModelConfig(name="parity", size_px=SIZE_PX, denoiser=replace(SMALL, cells=8, has_adapters=False))
    denoiser = LatentSyncDenoiser(config.denoiser).eval().requires_grad_(False)
    denoiser.load_state_dict(seeded(load_reference(reference, SMALL).state_dict(), seed))
    vae = SDVAE(VAE).eval().requires_grad_(False)
    vae.load_state_dict(from_diffusers(weights(vae.autoencoder, seed)))
    nets: dict[str, Any] = {"vae": vae, "denoiser": denoiser, "audio_encoder": built(WhisperEncoder(WHISPER), seed)}
    absent: dict[str, Any] = dict.fromkeys(("emotion_encoder", "syncnet", "reader"))
    about: dict[str, Any] = {"name": "parity", "folder": reference, "config": config, "real_cosine": 1.0}
    model = BaseModel(**nets, **absent, **about, family=BASE, device=torch.device("cpu"), dtype=torch.float32)
    still = np.zeros((N_FRAMES, EMOTION_CODE_SIZE), np.float32), np.zeros((N_FRAMES, len(MOTION)), np.float32)
    performance = Performance(sound(N_FRAMES / 25, seed), np.ones(N_FRAMES, np.float32), *still)
    faces = squares(seed)
    return Animation(model, lambda start, stop: faces[start:stop], performance, replace(OPTIONS, seed=seed))


def ours(reference: Path, seed: int) -> tuple[Tensor, Tensor, np.ndarray]:
    """Sound features [T, 50, D], latents [C, T, h, w] and squares uint8 of our pipeline."""
    animation = our_animation(reference, seed)
    with torch.inference_mode():
        tokens = animation.stage.audio_features.tokens(0, N_FRAMES, torch.ones(N_FRAMES))
    (latents,) = list(animation)
    return tokens.clone(), latents.x0, np.concatenate(list(animation.frames(latents)))


def theirs(reference: Path, seed: int, tokens: Tensor) -> tuple[Tensor, np.ndarray]:
    """The same latents and squares by LatentSync's pipeline."""
    unet = load_reference(reference, SMALL).eval()
    unet.load_state_dict(seeded(unet.state_dict(), seed))
    with reference_code(reference), _settings_reader():
        from latentsync.pipelines import lipsync_pipeline
        from latentsync.utils.image_processor import ImageProcessor

        faces = torch.from_numpy(squares(seed).transpose(0, 3, 1, 2).copy())
        pipeline = _host(lipsync_pipeline.LipsyncPipeline, unet, seed, tokens, faces)
        processor = object.__new__(ImageProcessor)
        processor.resize, processor.normalize = _same, _normalise
        processor.mask_image = keep_mask(SIZE_PX).expand(3, -1, -1)
        with _without_files(lipsync_pipeline, processor):
            lipsync_pipeline.LipsyncPipeline.__call__(
                pipeline,
                *("video", "sound", "output"),
                height=SIZE_PX,
                width=SIZE_PX,
                num_inference_steps=STEPS,
                guidance_scale=GUIDANCE,
                weight_dtype=torch.float32,
                generator=torch.Generator().manual_seed(seed),
                callback=lambda step, _, latents: pipeline.seen.append((step, latents.clone())),
            )
        images = lipsync_pipeline.LipsyncPipeline.pixel_values_to_images(pipeline.made)
    latents = torch.cat([latents[0] for step, latents in pipeline.seen if step == STEPS - 1], dim=1)
    return latents, images


def _same(image: Tensor) -> Tensor:
    return image


def _normalise(image: Tensor) -> Tensor:
    return (image - 0.5) / 0.5


def _host(pipeline: Any, unet: Any, seed: int, tokens: Tensor, faces: Tensor) -> Any:
    """What stands for the pipeline object: its methods, on our parts."""
    from diffusers import AutoencoderKL, DDIMScheduler

    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=VAE.widths,
        layers_per_block=VAE.layers,
        norm_num_groups=VAE.norm_groups,
        scaling_factor=VAE.scale,
        shift_factor=0.0,
    )
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False,
        steps_offset=1,
    )  # fmt: skip
    host = SimpleNamespace(
        vae=built(vae, seed),
        unet=unet,
        scheduler=scheduler,
        vae_scale_factor=8,
        _execution_device=torch.device("cpu"),
        audio_encoder=SimpleNamespace(audio2feat=_same, feature2chunks=lambda **_: list(tokens)),
        set_progress_bar_config=lambda **_: None,
        progress_bar=lambda **_: _bar(),
        seen=[],
    )
    host.loop_video = lambda chunks, frames: (frames, faces, None, None)

    def restore_video(made: Tensor, *_: Any) -> np.ndarray:
        host.made = made
        return np.zeros((N_FRAMES, 1))

    host.restore_video = restore_video
    for name in ("check_inputs", "prepare_latents", "prepare_mask_latents", "prepare_image_latents", "decode_latents",
                 "prepare_extra_step_kwargs"):  # fmt: skip
        setattr(host, name, partial(getattr(pipeline, name), host))
    host.paste_surrounding_pixels_back = pipeline.paste_surrounding_pixels_back
    return host


@contextmanager
def _bar() -> Iterator[Any]:
    yield SimpleNamespace(update=lambda: None)


@contextmanager
def _without_files(module: Any, processor: Any) -> Iterator[None]:
    """Nothing is read or written, and the autoencoder's mean stands for a draw."""
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

    nothing: dict[str, Any] = {
        "check_ffmpeg_installed": lambda: None,
        "load_fixed_mask": lambda *_: None,
        "ImageProcessor": lambda *_, **__: processor,
        "read_audio": lambda *_: torch.zeros(N_FRAMES * 640),
        "read_video": lambda *_, **__: None,
        "write_video": lambda *_, **__: None,
        "sf": SimpleNamespace(write=lambda *_: None),
        "subprocess": SimpleNamespace(run=lambda *_, **__: None),
        "shutil": SimpleNamespace(rmtree=lambda *_: None),
        "os": SimpleNamespace(
            path=SimpleNamespace(exists=lambda _: True, join=lambda *names: "/".join(names)),
            makedirs=lambda *_, **__: None,
        ),
    }
    means = mock.patch.object(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode())
    with mock.patch.multiple(module, **nothing), means, torch.no_grad():
        yield


def latents(reference: Path, seed: int) -> float:
    """Largest difference of the sampled latents."""
    tokens, x0, _ = ours(reference, seed)
    return float((theirs(reference, seed, tokens)[0] - x0).abs().max())


def pictures(reference: Path, seed: int) -> float:
    """Largest difference of the squares that are pasted back, in levels; theirs are cut off, ours are rounded."""
    tokens, _, made = ours(reference, seed)
    return float(np.abs(theirs(reference, seed, tokens)[1].astype(int) - made).max())


PARTS: dict[str, Callable[[Path, int], float]] = {"pipeline_latents": latents, "pipeline_pictures": pictures}
"""Every part by name: (folder of the reference, seed) -> largest absolute difference."""
