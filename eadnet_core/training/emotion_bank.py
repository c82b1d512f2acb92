"""Training of the emotion bank: the reader of a reference's emotion that ships with the model.

It learns the true codes of the corpus, never from the expert that scores, and begins with the eyes of the reader of
expressions that supervises the autoencoder. Frames of clips show what speech does to a face; single faces, each another
head, keep it from learning heads by heart, and so do pictures that are moved and recoloured and the action units as a
second task.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..config import EmotionBankConfig, ModelConfig
from ..corpus.faces import Faces, draw_faces
from ..media.pixels import to_unit
from ..nets.emotion_bank import EmotionBank
from ..nets.layers import ResidualConv
from ..taxonomy import EMOTIONS
from ..weights.files import load_part, save_part
from .batch import Batch
from .classifier import ACTION_UNIT_SPREAD, disturb, move
from .data import Cache
from .loop import Losses, Recipe, TrainOptions, fit, metadata_of
from .losses import correlation

BATCH = 64
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.05
N_FACES = 4000
FACES_SEED = 4
FACE_SHARE = 0.6
"""Share of a batch that are single faces; the others are frames of clips."""
CODE_SPREAD = 0.25
ANCHOR_WEIGHT = 2.0
"""Keeps the entries near the emotions they began as, so that every label keeps some."""
_LEAST = 1e-4


@dataclass(frozen=True)
class BankBatch(Batch):
    """Faces with the codes they show.

    frames        [B, 3, H, W]  -1 .. 1
    code          [B, 27]
    action_units  [B, 16]       0 .. 1
    """

    frames: Tensor
    code: Tensor
    action_units: Tensor


class BankObjective(nn.Module):
    """Find the code that a face shows, and its action units."""

    def __init__(self, bank: EmotionBank) -> None:
        super().__init__()
        self.bank = bank
        self.first = bank.rest.detach().clone()

    def forward(self, batch: BankBatch) -> Losses:
        """Cross-entropy of the emotions, squared errors of the rest of the code and of the action units, the anchor."""
        frames = disturb(move(batch.frames))
        with torch.autocast(frames.device.type, torch.bfloat16):
            logits, units = self.bank.look(frames)
        code, n = self.bank.code(logits.float()), len(EMOTIONS)
        emotion = -(batch.code[:, :n] * code[:, :n].clamp_min(_LEAST).log()).sum(1).mean()
        rest = ((code[:, n:] - batch.code[:, n:]) / CODE_SPREAD).square().mean()
        moved = ((units.float() - batch.action_units) / ACTION_UNIT_SPREAD).square().mean()
        anchor = (self.bank.rest - self.first.to(code.device)).square().sum(1).mean()
        loss = emotion + rest + moved + ANCHOR_WEIGHT * anchor
        accuracy = (code[:, :n].argmax(1) == batch.code[:, :n].argmax(1)).float().mean()
        return {"loss": loss, "emotion": emotion, "code": rest, "action_units": moved, "accuracy": accuracy}


def train_emotion_bank(config: ModelConfig, cache: Path, output: Path, options: TrainOptions) -> dict[str, float]:
    """Train the bank; returns its scores on clips of heads that it does not learn from."""
    clips = Cache(cache)
    faces = _faces(Path(options.run_folder) / "emotion_bank", config.size_px, options.heads)
    torch.manual_seed(options.seed)
    sizes = EmotionBankConfig(emotions=EMOTIONS)
    bank = EmotionBank(sizes)
    expression = output.with_name("expression.safetensors")
    if expression.is_file():
        begin_with(bank, load_part(expression, "expression")[0])
    watched = clips.monitor_clips()
    frames = [clips.images("frames", i) for i in watched]
    codes = clips.tensor("codes", watched)

    def evaluate(net: nn.Module, device: torch.device) -> dict[str, float]:
        logits = torch.stack([net(clip.to(device)).float().cpu() for clip in frames])
        return score(net.to("cpu"), logits, codes)  # type: ignore[arg-type]

    recipe = Recipe(
        part="emotion_bank",
        trained=bank,
        objective=BankObjective(bank),
        draw=lambda rng, n: draw(clips, faces, rng, n),
        batch=BATCH,
        learning_rate=LEARNING_RATE,
        weight_decay=WEIGHT_DECAY,
        evaluate=evaluate,
    )
    averaged, at = fit(recipe, options)
    save_part(output, "emotion_bank", averaged, sizes, metadata_of(clips.info.seed, at))
    return at.scores


def begin_with(bank: EmotionBank, expression: nn.Module) -> None:
    """Copy the layers that a reader of expressions of the same widths has in common with the bank's."""
    layers: Any = expression.features
    common = [layer for layer in layers if not isinstance(layer, ResidualConv) or layer is layers[4]]
    for own, trained in zip(bank.features, common, strict=True):
        own.load_state_dict(trained.state_dict())


def draw(clips: Cache, faces: Faces, rng: np.random.Generator, n: int) -> BankBatch:
    """Random single faces, and random frames of training clips, of which some blend and some change."""
    n_faces = round(FACE_SHARE * n)
    single = rng.integers(0, len(faces.codes), n_faces)
    picked = (clips.draw_clips(rng, n - n_faces), rng.integers(0, clips.info.n_frames, n - n_faces))
    return BankBatch(
        frames=torch.cat([to_unit(faces.frames[single]), clips.images("frames", picked)]),
        code=torch.cat([torch.from_numpy(faces.codes[single]), clips.tensor("codes", picked)]),
        action_units=torch.cat([torch.from_numpy(faces.action_units[single]), clips.tensor("action_units", picked)]),
    )


@torch.no_grad()
def score(bank: EmotionBank, logits: Tensor, codes: Tensor) -> dict[str, float]:
    """How well the frames [n, T, K] of clips, and each clip as a whole, are read; codes [n, T, 27].

    Clips whose emotion changes count by their frames alone.
    """
    n = len(EMOTIONS)
    by_frame = bank.code(logits)[..., :n].argmax(-1) == codes[..., :n].argmax(-1)
    steady = (codes - codes[:, :1]).abs().amax((1, 2)) < _LEAST
    whole = torch.stack([bank.pooled(clip) for clip in logits[steady]])
    true = codes[steady, 0]
    return {
        "frame_accuracy": float(by_frame.float().mean()),
        "clip_accuracy": float((whole[:, :n].argmax(1) == true[:, :n].argmax(1)).float().mean()),
        "intensity_correlation": correlation(whole[:, n], true[:, n]),
        "code_error": float((whole - true).abs().mean()),
    }


def _faces(folder: Path, size_px: int, heads: Path | None) -> Faces:
    """The single faces, drawn once for a run."""
    path = folder / "faces.npz"
    if path.exists():
        with np.load(path) as kept:
            return Faces(kept["frames"], kept["codes"], kept["action_units"])
    faces = draw_faces(N_FACES, FACES_SEED, "train", size_px, heads)
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name("faces.part.npz")
    np.savez(unfinished, frames=faces.frames, codes=faces.codes, action_units=faces.action_units)
    unfinished.replace(path)
    return faces
