"""Training of the style adapter of a mini: everything else is frozen (our design, ADR 53).

The same clip is known twice: as the average speaker says it, and as somebody with a drawn style does. So the adapter
learns the difference alone. Its target is what the denoiser makes without it, plus that difference; what the denoiser
errs in by itself is no noise to it. Most steps are at pure noise, where a mini samples, and guided as it will be.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from ..config import SAMPLING, DenoiserConfig, ModelConfig
from ..corpus.styles import draw_traits, styled_controls
from ..motion.generate import generate_motion
from ..nets.denoiser import Denoiser
from ..nets.style import StyleAdapter, StyleConfig
from ..sampling.conditions import FrameConditions
from ..sampling.prediction import prediction_of
from ..taxonomy import CONTROLS
from ..weights.files import load_part, read_config, read_metadata, save_part
from . import losses as L
from .batch import Batch
from .data import Cache
from .denoiser import Frozen
from .denoiser_batches import REFERENCE_NOISE, motion_latents
from .loop import Losses, Recipe, TrainOptions, fit, metadata_of

BATCH = 3
"""Windows, when whole; see LENGTHS."""
LENGTHS = ((1, 0.15), (2, 0.25), (4, 0.6))
"""Shares of steps on n times as many windows of 1/n of the length: most of a style shows in a few frames."""
LEARNING_RATE = 4e-3
WARMUP_STEPS = 15
PURE_NOISE, GUIDED = 0.8, 0.7
"""Share of steps at pure noise alone, and of windows that are guided as a mini usually is."""
CONTROL_WEIGHT = 0.5
MARGIN = 18
"""Frames of sound to each side of a window that its features depend on: as of `families.mini.MelFeatures`."""
_STEPS = 4
WATCHED = 12
"""Windows that scores are made of."""


@dataclass(frozen=True)
class StyledBatch(Batch):
    """Windows of clips as two people would do them.

    plain      [B, T, 28]        controls of the average speaker
    styled     [B, T, 28]        of the one with the traits
    reference  [B, 28]           of the reference picture, as it was read off
    motion     [B, T, 8]         of the one with the traits
    mel        [B, 4 T', 80]     of these frames and MARGIN more to each side
    code       [B, T, 27]
    traits     [B, 8]
    """

    plain: Tensor
    styled: Tensor
    reference: Tensor
    motion: Tensor
    mel: Tensor
    code: Tensor
    traits: Tensor


class StyleObjective(nn.Module):
    """How far what the adapter changes is from what a style changes."""

    def __init__(self, adapter: StyleAdapter, nets: nn.Module, config: DenoiserConfig) -> None:
        super().__init__()
        self.adapter, self.frozen = adapter, Frozen(nets=nets)
        self.config, self.prediction = config, prediction_of(config)
        denoiser = self.frozen["nets"]["denoiser"]
        denoiser.add_style(adapter)
        adapter.requires_grad_(True)
        adapter.keep_still()

    def forward(self, batch: StyledBatch) -> Losses:
        """Weighted error of the latents, and of the controls in them."""
        plain, styled = (self._scaled(x) for x in (batch.plain, batch.styled))
        t = self.prediction.draw_times(len(plain), device=plain.device)
        t = torch.ones_like(t) if torch.rand(()) < PURE_NOISE else t
        noise = torch.randn_like(plain[:, :, :1]).expand_as(plain)
        given = self.conditions(batch)
        weights = torch.tensor([SAMPLING["mini"].guidance_audio, SAMPLING["mini"].guidance_emotion]) - 1
        is_guided = (torch.rand(len(plain), 1) < GUIDED).float().to(plain.device)
        with torch.no_grad():
            before = self.predict(given, self.prediction.add_noise(plain, noise, t), t, None, is_guided * weights)
        noisy = self.prediction.add_noise(styled, noise, t)
        made = self.predict(given, noisy, t, batch.traits, is_guided * weights)
        target, share = before + styled - plain, self.prediction.error_weight(t)
        area = L.region_weights(made.shape[-1], L.DenoiserLossWeights.mouth, L.DenoiserLossWeights.eyes).to(made)
        losses = {"latents": L.diffusion_loss(made, target, share, area), "controls": self._controls(made, target)}
        return {"loss": losses["latents"] + CONTROL_WEIGHT * losses["controls"], **losses}

    def predict(
        self, given: FrameConditions, x_t: Tensor, t: Tensor, traits: Tensor | None, guidance: Tensor
    ) -> Tensor:
        """x0 [B, C, T, h, w] with a style, or without."""
        told = FrameConditions(
            given.context, given.audio, given.emotion, given.motion, given.motion_known, None, guidance, traits
        )
        raw = self.frozen["nets"]["denoiser"](x_t, t, told)
        return self.prediction.to_x0(raw.float(), x_t, t)

    def conditions(self, batch: StyledBatch) -> FrameConditions:
        """What the net is given beside the style."""
        nets, n_frames = self.frozen["nets"], batch.plain.shape[1]
        with torch.no_grad():
            audio = nets["audio"](batch.mel)[:, MARGIN : MARGIN + n_frames]
            emotion = nets["emotion"](batch.code)
        reference = self._scaled(batch.reference[:, None].expand_as(batch.plain))
        whole = torch.ones_like(reference[:, :1])
        context = torch.cat([whole, torch.zeros_like(reference), reference], 1)
        return FrameConditions(context, audio, emotion, batch.motion, torch.ones_like(batch.motion[..., 0]))

    def _scaled(self, controls: Tensor) -> Tensor:
        scale = self.frozen["nets"]["denoiser"].latent_scale[:, None, None]
        return rearrange(motion_latents().to(controls.device)(controls) / scale, "b t c h w -> b c t h w")

    def read(self, x0: Tensor) -> Tensor:
        """Controls [B, T, 28] of x0 [B, C, T, h, w]."""
        scale = self.frozen["nets"]["denoiser"].latent_scale[:, None, None]
        return motion_latents().to(x0.device).read(rearrange(x0, "b c t h w -> b t c h w") * scale)

    def _controls(self, made: Tensor, target: Tensor) -> Tensor:
        return ((self.read(made) - self.read(target)) / L.CONTROL_SPREAD).square().mean()


def train_style(config: ModelConfig, cache: Path, output: Path, options: TrainOptions) -> dict[str, float]:
    """Train the style adapter of the denoiser that lies beside `output`; returns its scores."""
    path = Path(output).parent / "denoiser.safetensors"
    nets: nn.Module = load_part(path, "denoiser")[0]
    net = read_config(path, ModelConfig, read_metadata(path, "denoiser")).denoiser
    denoiser = nets.get_submodule("denoiser")
    assert isinstance(denoiser, Denoiser)
    torch.manual_seed(options.seed)
    clips, sizes = Cache(cache), StyleConfig(places=denoiser.style_places())
    adapter = StyleAdapter(sizes)
    objective = StyleObjective(adapter, nets, net)
    watched = draw(clips, clips.monitor_clips(), net.window_frames, np.random.default_rng(0), WATCHED)

    def evaluate(averaged: nn.Module, device: torch.device) -> dict[str, float]:
        denoiser.add_style(averaged.to(device))  # type: ignore[arg-type]
        scores = score(objective, watched.to(device))
        denoiser.add_style(adapter)
        return scores

    recipe = Recipe(
        part="style",
        trained=adapter,
        objective=objective,
        draw=lambda rng, n: _some(clips, net.window_frames, rng, n),
        batch=BATCH,
        learning_rate=LEARNING_RATE,
        evaluate=evaluate,
    )
    averaged, at = fit(recipe, replace(options, warmup_steps=WARMUP_STEPS))
    save_part(output, "style", averaged, sizes, metadata_of(clips.info.seed, at))
    return at.scores


def _some(clips: Cache, window_frames: int, rng: np.random.Generator, n: int) -> StyledBatch:
    """A batch to learn from."""
    parts, shares = zip(*LENGTHS, strict=True)
    part = int(rng.choice(parts, p=shares))
    numbers = np.arange(clips.n_monitor, clips.n_ready)
    return draw(clips, numbers, max(1, window_frames // part), rng, n * part)


@torch.no_grad()
def score(objective: StyleObjective, batch: StyledBatch) -> dict[str, float]:
    """What share of what styles change the adapter makes, at pure noise and guided; 1 all of it, 0 none."""
    noise = torch.randn(1, objective.config.latent_channels, 1, objective.config.cells, objective.config.cells)
    x_t = noise.to(batch.plain.device).expand(len(batch.plain), -1, batch.plain.shape[1], -1, -1)
    t, own = torch.ones(len(x_t), device=x_t.device), SAMPLING["mini"]
    guidance = torch.tensor([[own.guidance_audio, own.guidance_emotion]], device=x_t.device).expand(len(x_t), 2) - 1
    given = objective.conditions(batch)
    made, before = (
        objective.read(objective.predict(given, x_t, t, traits, guidance)) for traits in (batch.traits, None)
    )
    wanted, changed = batch.styled - batch.plain, made - before
    found = {"explained": 1 - float((changed - wanted).square().sum() / wanted.square().sum())}
    for name in ("AU2", "AU12", "jaw"):
        column = CONTROLS.index(name)
        a, b = wanted[..., column].flatten(), changed[..., column].flatten()
        found[f"{name}_gain"] = float((a * b).sum() / a.square().sum())
    return found


def draw(clips: Cache, numbers: np.ndarray, n_frames: int, rng: np.random.Generator, n: int) -> StyledBatch:
    """Windows of random clips, each with the style of somebody else."""
    rows: list[tuple[np.ndarray, ...]] = []
    for clip in rng.choice(numbers, n):
        traits = draw_traits(rng)
        start = int(rng.integers(MARGIN, clips.info.n_frames - n_frames - MARGIN + 1))
        part = slice(start, start + n_frames)
        energy, codes = (np.array(clips.array(name)[clip]) for name in ("energy", "codes"))
        plain = np.array(clips.array("controls")[clip])
        styled = styled_controls(plain, energy, traits)[part]
        motion = generate_motion(energy, codes, rng, traits=traits)[part]
        reference = clips.array("reference_controls")[clip] + REFERENCE_NOISE * rng.normal(size=len(CONTROLS))
        mel = clips.array("mel")[clip, _STEPS * (start - MARGIN) : _STEPS * (part.stop + MARGIN)]
        rows.append((plain[part], styled, reference, motion, mel, codes[part], traits.vector))
    stacked = (torch.from_numpy(np.stack(column).astype(np.float32)) for column in zip(*rows, strict=True))
    return StyledBatch(*stacked)
