"""Training of the minis' picture side on rendered heads, whose flow, visibility and controls are known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..config import PRESETS, ModelConfig
from ..nets.canonical import Maps
from ..nets.vae import VAE, Change, warp
from ..weights.files import drop_shared, load_part, save_part
from .critic import MOUTH_BOX, FaceCritic, critic_losses
from .faces import FaceBatch, FaceCache, disturbed, laid
from .lips_and_lids import fit_lips_and_lids
from .loop import Losses, Recipe, TrainOptions, fit, metadata_of
from .losses import correlation, psnr, region, region_weights
from .motion_basis import fit_motion_basis, light_of
from .sheets import save_sheet

BATCH = 12
FRAMES_PER_REFERENCE = 2
"""Frames that share a reference in a batch: it is read once."""
LEARNING_RATE = 1.2e-3
FITTED = ("canonical", "motion_basis", "lips_and_lids")
"""Modules that `fit_mean_face` sets."""
NOISE_FROM, NOISE = 0.4, 0.08
"""From this share of the budget on latents are noisy, with this standard deviation by control. A decoder that is given
noisy latents earlier learns to do without them (measured)."""
CRITIC_FROM = 0.05
"""Share of the budget after which the critic of faces begins."""
EYES_BOX = (0.2, 0.24, 0.8, 0.55)
"""x0, y0, x1, y1 in the canonical frame, with the brows and what lies between them."""
TEETH = 2.0
"""Added to the weight of paint where teeth show: heads differ, and L1 leaves out what less than half of them have."""
OWN_256 = ("up2", "merge2", "fine", "flow", "merge3", "finest", "conv_out")
"""Layers of the decoder that the mini-256 trains, and its file holds: those that work on the finest features."""
WEIGHTS_256 = {"mouth": 2.0, "eyes": 2.0}
"""Of its boxes: lips and lids are layers, and what twice the side shows lies at the rim of the head as well."""
RATE_256 = 4e-4
_MONITOR_FRAMES = 96
_SHEET_ROWS = 10


@dataclass(frozen=True)
class VAELossWeights:
    """Terms of the picture side."""

    picture: float = 1.0
    """L1 of the frame and of its gradients."""
    gradient: float = 0.7
    flow: float = 12.0
    """L1 of the flow, in half frame widths, where the reference shows the place."""
    light: float = 0.15
    """L1 of the light, where the true flow says what it is."""
    alpha: float = 0.25
    """Cross-entropy of what is painted against what the reference does not show."""
    paint: float = 4.0
    """L1 of the paint there."""
    critic: float = 0.1
    """What a critic of faces sees and says, once it has begun to learn."""
    mouth: float = 8.0
    eyes: float = 8.0
    """Weight of the pixels in the mouth's and the eyes' boxes against 1 elsewhere."""


class VAEObjective(nn.Module):
    """Make a frame of its reference and its controls."""

    def __init__(self, vae: VAE, weights: VAELossWeights) -> None:
        super().__init__()
        self.nets = nn.ModuleDict({"vae": vae, "critic": FaceCritic()})
        self.vae, self.weights = vae, weights
        self.noise, self.is_criticised = 0.0, False
        vae.control_reader.requires_grad_(False)

    def at(self, share: float) -> None:
        """Told how much of the budget is used."""
        self.noise = NOISE * min(1.0, max(0.0, share - NOISE_FROM) * 5)
        self.is_criticised = self.weights.critic > 0 and share >= CRITIC_FROM

    def forward(self, batch: FaceBatch) -> Losses:
        """Everything that the renderer knows, taught."""
        weights = self.weights
        batch = disturbed(batch, self.vae.canonical.mirror())
        reference = self.vae.read(batch.references, batch.points)
        batch = laid(batch, reference.maps)
        controls = batch.controls + self.noise * torch.randn_like(batch.controls)
        change = self.vae.predict(self.vae.motion_latents(controls), batch.pose, reference)
        references = batch.references.repeat_interleave(len(batch.frames) // len(batch.references), 0)
        area = region_weights(batch.frames.shape[-1], weights.mouth, weights.eyes, MOUTH_BOX, EYES_BOX).to(batch.frames)
        losses = taught(change, batch, references, area)
        made = change.apply(references)
        losses["picture"] = (area * (made - batch.frames).abs()).mean()
        across, down = ((made - batch.frames).diff(dim=d).abs() for d in (-1, -2))
        losses["gradient"] = (area[:, 1:] * across).mean() + (area[1:] * down).mean()
        total = sum(getattr(weights, name) * value for name, value in losses.items())
        if self.is_criticised:
            critic: FaceCritic = self.nets["critic"]  # type: ignore[assignment]
            losses["critic"], verdict = critic_losses(critic, made, batch.frames, batch.controls)
            total = total + weights.critic * losses["critic"] + verdict
        return {"loss": total, **losses}  # type: ignore[dict-item]


def taught(change: Change, batch: FaceBatch, references: Tensor, area: Tensor) -> Losses:
    """Losses of flow, light, alpha and paint [B, ...] against what is true of them, weighted by area [H, W]."""
    seen = batch.visible
    hidden = 1 - seen
    true = warp(references, batch.flow)
    light = light_of(batch.frames, true)
    light = F.avg_pool2d(light * seen, 3, 1, 1) / F.avg_pool2d(seen, 3, 1, 1).clamp(min=0.1)
    alpha = F.binary_cross_entropy(change.alpha.clamp(1e-4, 1 - 1e-4), hidden, reduction="none")
    return {
        "flow": (area * seen * (change.flow - batch.flow).abs()).mean(),
        "light": (area * seen * (change.light - light).abs()).mean(),
        "alpha": (area * (1 + 2 * hidden) * alpha).mean(),
        "paint": (area * hidden * (1 + TEETH * batch.teeth) * (change.paint - batch.frames).abs()).mean(),
    }


@dataclass(frozen=True)
class Remade:
    """A batch made anew, on the CPU, all in the canonical frame.

    images    [B, 3, H, W]  and how: change
    controls  [B', 28]      as they were read off the references
    batch     what is true
    """

    images: Tensor
    change: Change
    controls: Tensor
    batch: FaceBatch


@torch.no_grad()
def remake(vae: Any, batch: FaceBatch, device: torch.device, step: int = 24) -> Remade:
    """Frames made of their references and controls, about `step` at a time."""
    per = len(batch.frames) // len(batch.references)
    images, changes, controls, maps = [], [], [], []
    n = max(1, step // per)
    for start in range(0, len(batch.references), n):
        part, frames = slice(start, start + n), slice(start * per, (start + n) * per)
        reference = vae.read(batch.references[part].to(device), batch.points[part].to(device))
        latents = vae.motion_latents(batch.controls[frames].to(device))
        change = vae.decode(latents, batch.pose[frames].to(device), reference)
        images.append(change.apply(reference.image.repeat_interleave(per, 0)).float().cpu())
        changes.append([x.float().cpu() for x in (change.flow, change.light, change.alpha, change.paint)])
        controls.append(reference.controls.float().cpu())
        maps.append([x.cpu() for x in (reference.to_picture, reference.to_canonical)])
    whole = [[torch.cat(parts) for parts in zip(*each, strict=True)] for each in (changes, maps)]
    return Remade(torch.cat(images), Change(*whole[0]), torch.cat(controls), laid(batch, Maps(*whole[1])))


def score_vae(cache: FaceCache, n_frames: int = _MONITOR_FRAMES) -> Any:
    """An evaluation for the loop, on about `n_frames` frames of unseen heads.

    psnr, psnr_mouth, psnr_eyes  of made frames; psnr_static of the reference
    flow_mouth_px, flow_eyes_px  mean error of the flow in their boxes where it is known, in pixels; beside its size
    sharp_mouth                  mean size of picture gradients in the mouth's box, made over true
    painted                      overlap of what is painted with what is not seen, intersection over union
    controls_correlation         of what is read off references
    """
    given = cache.monitor(n_frames, FRAMES_PER_REFERENCE)

    def evaluate(nets: Any, device: torch.device) -> dict[str, float]:
        made = remake(nets["vae"], given, device)
        images, change, sample = made.images, made.change, made.batch
        size = images.shape[-1]
        mouth = region(MOUTH_BOX, size)
        still = sample.references.repeat_interleave(FRAMES_PER_REFERENCE, 0)

        def length(flow: Tensor, box: Tensor) -> float:
            known = sample.visible * box
            return float((flow.norm(dim=1, keepdim=True) * known).sum() / known.sum() * size / 2)

        eyes = region(EYES_BOX, size)
        painted, hidden = change.alpha > 0.5, sample.visible < 0.5
        pairs = zip(made.controls.T, sample.reference_controls.T, strict=True)
        return {
            "psnr": float(psnr(images, sample.frames)),
            "psnr_mouth": float(psnr(images, sample.frames, mouth)),
            "psnr_eyes": float(psnr(images, sample.frames, eyes)),
            "psnr_static": float(psnr(still, sample.frames)),
            "flow_mouth_px": length(change.flow - sample.flow, mouth),
            "flow_mouth_true_px": length(sample.flow, mouth),
            "flow_eyes_px": length(change.flow - sample.flow, eyes),
            "flow_eyes_true_px": length(sample.flow, eyes),
            "sharp_mouth": float(sharpness(images, mouth) / sharpness(sample.frames, mouth)),
            "painted": float((painted & hidden).sum() / (painted | hidden).sum()),
            "controls_correlation": float(np.nanmean([correlation(*pair) for pair in pairs])),
        }

    return evaluate


def sharpness(images: Tensor, mask: Tensor) -> Tensor:
    """Mean size of the gradients of pictures [B, 3, H, W] where mask [H, W] is 1."""
    across, down = images.diff(dim=-1).abs()[..., 1:, :], images.diff(dim=-2).abs()[..., 1:]
    return ((across + down) * mask[1:, 1:]).mean()


def face_sheet(cache: FaceCache) -> Any:
    """A drawing for the loop: reference, frame, made frame and alpha of unseen heads, twice a row."""
    given = cache.monitor(_SHEET_ROWS * 2, 1)

    def draw(nets: Any, device: torch.device, path: Path) -> None:
        made = remake(nets["vae"], given, device)
        alpha = (made.change.alpha * 2 - 1).expand_as(made.images)
        columns = torch.stack([made.batch.references, made.batch.frames, made.images, alpha], 1)
        n = len(columns) // 2
        save_sheet(columns[: 2 * n].reshape(n, 8, *columns.shape[2:]), path)

    return draw


def grown(given: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights `given` of a picture side of 128 px for one of 256 px, or as they are.

    The larger net begins as the smaller one whose maps are enlarged: it looks at means of four pixels, and paints four
    alike.
    """
    merge, out = given["decoder.merge3.weight"], given["decoder.conv_out.weight"]
    if own["decoder.conv_out.weight"].shape == out.shape:
        return given
    n_moved = own["decoder.merge3.weight"].shape[1] - merge.shape[1]  # 48 channels of a moved picture, before 12
    kept, moved = merge.split([merge.shape[1] - n_moved // 3, n_moved // 3], 1)
    part = torch.tensor([(i // 2) * 2 + j // 2 for i in range(4) for j in range(4)])
    into = torch.cat([4 * colour + part for colour in range(3)])
    onto = torch.cat([4 * channel + part for channel in range(len(out) // 4)])
    changed = {
        "decoder.merge3.weight": torch.cat([kept, moved[:, into] / 4], 1),
        "decoder.conv_out.weight": out[onto],
        "decoder.conv_out.bias": given["decoder.conv_out.bias"][onto],
    }
    return {**given, **changed}


def fit_mean_face(vae: VAE, faces: FaceCache) -> None:
    """Set what is found by least squares: the mean face, how it moves, its lips and lids."""
    fit_motion_basis(vae, faces)
    fit_lips_and_lids(vae, faces)


def train_vae(
    config: ModelConfig,
    cache: Path,
    output: Path,
    options: TrainOptions,
    weights: VAELossWeights | None = None,
    start: Path | None = None,
    fitted: VAE | None = None,
) -> dict[str, float]:
    """Train the picture side on a cache of faces and write its weights to `output`; returns its scores.

    The reader of controls does not learn here. It is that of `start`, else control_reader.safetensors in the folder of
    `output`.

    start   weight file to go on from, of 128 px for one of 256 too (`grown`). Default: from nothing
    fitted  whose mean face is taken where there is no `start`; by default it is fitted. See `fit_mean_face`
    """
    faces = FaceCache(cache)
    torch.manual_seed(options.seed)
    vae = VAE(config.vae)
    if start is None:
        reader = load_part(Path(output).parent / "control_reader.safetensors", "control_reader")[0]
        vae.control_reader.load_state_dict(reader.state_dict())
        if fitted is None:
            fit_mean_face(vae, faces)
        else:
            for name in FITTED:
                vae.get_submodule(name).load_state_dict(fitted.get_submodule(name).state_dict())
    else:
        vae.load_state_dict(grown(load_part(start, "vae")[0].state_dict(), vae.state_dict()))
    is_larger = config.vae.size_px != PRESETS["mini"].vae.size_px
    if is_larger:
        weights = weights or VAELossWeights(**WEIGHTS_256)
        vae.requires_grad_(False)
        for name in OWN_256:
            vae.decoder.get_submodule(name).requires_grad_(True)
    objective = VAEObjective(vae.to(memory_format=torch.channels_last), weights or VAELossWeights())  # type: ignore[call-overload]
    recipe = Recipe(
        part="vae",
        trained=objective.nets,
        objective=objective,
        draw=lambda rng, n: faces.draw(rng, n, FRAMES_PER_REFERENCE),
        batch=BATCH,
        learning_rate=RATE_256 if is_larger else LEARNING_RATE,
        evaluate=score_vae(faces),
        sheet=face_sheet(faces),
        on_progress=objective.at,
    )
    averaged, at = fit(recipe, options)
    metadata = metadata_of(faces.seed, at)
    if is_larger:
        metadata["extends"] = "mini"
    save_part(output, "vae", averaged["vae"], config.vae, metadata)  # type: ignore[index]
    drop_shared(Path(output), "vae")
    return at.scores
