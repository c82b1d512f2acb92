"""The shipped model from nothing: every training in order, each step skipped where its result already exists."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ..checkpoints import load_part, read_metadata
from ..config import PRESETS, ModelConfig
from .classifier import train_emotion_expert, train_face_expert, train_latent_classifier
from .data import Cache, build_cache, encode_latents, read_texts
from .denoiser import train_denoiser
from .loop import TrainOptions
from .syncnet import train_sync_expert, train_syncnet
from .text_reader import train_text_reader
from .vae import train_vae
from .video_features import train_video_features

log = logging.getLogger(__name__)

Trainer = Callable[[ModelConfig, Path, Path, TrainOptions], dict[str, float]]
"""(config, clip cache, weight file to write, options) -> scores"""


@dataclass(frozen=True)
class Plan:
    """How one net of the mini is trained."""

    train: Trainer
    minutes: float
    """On two CPU cores."""
    cache: str
    """Name of the clip cache it learns from."""


@dataclass(frozen=True)
class CachePlan:
    """One clip cache of the mini."""

    n_clips: int
    seed: int
    split: str
    speech_utterances: int


CACHES = {
    "main": CachePlan(n_clips=4000, seed=1, split="train", speech_utterances=1200),
    "expert": CachePlan(n_clips=1600, seed=2, split="expert", speech_utterances=600),
}
"""What the model learns from, and what the scoring experts learn from: other heads, other sentences, other seeds."""

PLANS: dict[str, Plan] = {
    "vae": Plan(train_vae, 45, "main"),
    "emotion": Plan(train_latent_classifier, 4, "main"),
    "syncnet": Plan(train_syncnet, 8, "main"),
    "video_features": Plan(train_video_features, 6, "main"),
    "denoiser": Plan(train_denoiser, 90, "main"),
    "sync_expert": Plan(train_sync_expert, 15, "expert"),
    "emotion_expert": Plan(train_emotion_expert, 12, "expert"),
    "face_expert": Plan(train_face_expert, 12, "expert"),
}
"""Every net that learns from clips, in the order of training."""
MIN_WARMUP_SHARE = 20


def train_mini(
    folder: Path,
    minutes_scale: float = 1.0,
    *,
    options: TrainOptions | None = None,
    workers: int = 2,
    render_device: str = "cpu",
) -> dict[str, dict[str, float]]:
    """Train everything into `folder`/mini and return the scores of every part.

    Stopped at any point, the next call with the same folder goes on from there. Clip caches and checkpoints lie in
    folder/caches and folder/runs (about 10 GB); folder/mini holds the weight files that `load_model` reads.

    minutes_scale  1: the minutes of `PLANS`, made for two CPU cores; smaller on a faster machine
    options        device, threads and the like for every training; its budget is not used
    workers        processes that render clips
    """
    folder = Path(folder)
    model = folder / "mini"
    model.mkdir(parents=True, exist_ok=True)
    base = options or TrainOptions(max_minutes=1)
    base = replace(base, run_folder=folder / "runs", max_steps=None)
    config = PRESETS["mini"]
    reader_path = model / "text_reader.safetensors"
    if not reader_path.exists():
        train_text_reader(reader_path, seed=base.seed)
    for name, plan in CACHES.items():
        render_cache(folder / "caches" / name, plan, config, workers, render_device)
    for part, plan in PLANS.items():
        output = model / f"{part}.safetensors"
        if output.exists():
            log.info("%s: done before", part)
            continue
        _prepare(folder, part)
        minutes = plan.minutes * minutes_scale
        log.info("%s: %.1f minutes", part, minutes)
        plan.train(config, folder / "caches" / plan.cache, output, replace(base, max_minutes=minutes))
    return {path.stem: read_metadata(path).get("scores", {}) for path in sorted(model.glob("*.safetensors"))}


def render_cache(folder: Path, plan: CachePlan, config: ModelConfig, workers: int, device: str) -> Cache:
    """Render one cache of the mini, or go on with it."""
    return build_cache(
        folder,
        n_clips=plan.n_clips,
        n_frames=config.denoiser.window_frames,
        size_px=config.size_px,
        seed=plan.seed,
        split=plan.split,
        speech_utterances=plan.speech_utterances,
        workers=workers,
        device=device,
    )


def _prepare(folder: Path, part: str) -> None:
    """Latents and text codes, once, as soon as the nets that make them exist."""
    if part not in ("emotion", "syncnet", "video_features", "denoiser"):
        return
    cache = Cache(folder / "caches" / PLANS[part].cache)
    if cache.n_encoded < cache.n_ready:
        encode_latents(cache, load_part(folder / "mini" / "vae.safetensors", "vae")[0])
    marker = cache.folder / "texts_read"
    if part == "denoiser" and not marker.exists():
        reader, _ = load_part(folder / "mini" / "text_reader.safetensors", "text_reader")
        read_texts(cache, lambda texts: reader.read(texts))
        marker.touch()
