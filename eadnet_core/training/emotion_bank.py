"""Training of the emotion bank: the reader of a reference's emotion that ships with the model.

It learns the true codes of scripts, and sees no picture: what the reader of controls
would have read off the scripts' faces is imitated (`reader_errors`). A sample is one picture of a speaking face or a
few, so that what speech does to a face is not taken for a feeling.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..config import EmotionBankConfig, ModelConfig
from ..nets.emotion_bank import EmotionBank, typical
from ..nets.vae import VAE
from ..taxonomy import EMOTIONS
from ..weights.files import load_part, save_part
from .batch import Batch
from .data import Cache
from .faces import FaceCache
from .loop import Losses, Recipe, TrainOptions, fit, metadata_of
from .losses import correlation
from .motion_basis import fit_template
from .reader_errors import ReaderErrors, measure_errors

BATCH = 256
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 0.02
PICTURES = (1, 1, 3, 8, 16)
"""How many pictures of a clip a batch looks at, each as likely."""
CODE_SPREAD = 0.25
ANCHOR_WEIGHT = 2.0
"""Keeps the entries near the emotions they began as, so that every label keeps some."""
_LEAST = 1e-4


@dataclass(frozen=True)
class BankBatch(Batch):
    """Readings with the codes of the faces.

    controls  [B, 28]  typical of one picture or more
    code      [B, 27]
    """

    controls: Tensor
    code: Tensor


class BankObjective(nn.Module):
    """Find the code that a face shows."""

    def __init__(self, bank: EmotionBank) -> None:
        super().__init__()
        self.bank = bank
        self.first = bank.rest.detach().clone()

    def forward(self, batch: BankBatch) -> Losses:
        """Cross-entropy of the emotions, squared error of the rest of the code, the anchor."""
        code, n = self.bank.code(self.bank(batch.controls)), len(EMOTIONS)
        emotion = -(batch.code[:, :n] * code[:, :n].clamp_min(_LEAST).log()).sum(1).mean()
        rest = ((code[:, n:] - batch.code[:, n:]) / CODE_SPREAD).square().mean()
        anchor = (self.bank.rest - self.first.to(code.device)).square().sum(1).mean()
        loss = emotion + rest + ANCHOR_WEIGHT * anchor
        accuracy = (code[:, :n].argmax(1) == batch.code[:, :n].argmax(1)).float().mean()
        return {"loss": loss, "emotion": emotion, "code": rest, "accuracy": accuracy}


def train_emotion_bank(config: ModelConfig, cache: Path, output: Path, options: TrainOptions) -> dict[str, float]:
    """Train the bank; returns its scores on clips that it does not learn from.

    cache   clips; pictures are not needed. Beside it must lie `faces`, the pairs of heads
    output  beside it must lie control_reader.safetensors
    """
    clips, faces = Cache(cache), FaceCache(Path(cache).with_name("faces"))
    errors = measure_errors(reading_side(config, faces, output.with_name("control_reader.safetensors")), faces)
    torch.manual_seed(options.seed)
    sizes = EmotionBankConfig(emotions=EMOTIONS)
    bank = EmotionBank(sizes)
    watched = clips.monitor_clips()
    read = errors.readings(clips.tensor("controls", watched), np.random.default_rng(options.seed))
    codes = clips.tensor("codes", watched)

    def evaluate(net: nn.Module, device: torch.device) -> dict[str, float]:
        return score(net.to("cpu"), read, codes)  # type: ignore[arg-type]

    recipe = Recipe(
        part="emotion_bank",
        trained=bank,
        objective=BankObjective(bank),
        draw=lambda rng, n: draw(clips, errors, rng, n),
        batch=BATCH,
        learning_rate=LEARNING_RATE,
        weight_decay=WEIGHT_DECAY,
        evaluate=evaluate,
    )
    averaged, at = fit(recipe, options)
    save_part(output, "emotion_bank", averaged, sizes, metadata_of(clips.info.seed, at))
    return at.scores


def reading_side(config: ModelConfig, faces: FaceCache, reader: Path) -> VAE:
    """A picture side that can read controls, with the weights of its reader, and nothing else."""
    vae = VAE(config.vae)
    vae.control_reader.load_state_dict(load_part(reader, "control_reader")[0].state_dict())
    fit_template(vae, faces)
    return vae.eval()


def draw(clips: Cache, errors: ReaderErrors, rng: np.random.Generator, n: int) -> BankBatch:
    """Random frames of training clips, as many of each; where the emotion changes, its mean is true."""
    n_frames = clips.info.n_frames
    frames = rng.permuted(np.tile(np.arange(n_frames), (n, 1)), axis=1)[:, : int(rng.choice(PICTURES))]
    picked = (clips.draw_clips(rng, n)[:, None], frames)
    read = errors.readings(clips.tensor("controls", picked), rng)
    return BankBatch(controls=typical(read), code=clips.tensor("codes", picked).mean(1))


@torch.no_grad()
def score(bank: EmotionBank, read: Tensor, codes: Tensor) -> dict[str, float]:
    """How well the frames of clips, and each clip as a whole, are read: readings [n, T, 28], codes [n, T, 27].

    Clips whose emotion changes count by their frames alone.
    """
    n = len(EMOTIONS)
    by_frame = bank.code(bank(read))[..., :n].argmax(-1) == codes[..., :n].argmax(-1)
    steady = (codes - codes[:, :1]).abs().amax((1, 2)) < _LEAST
    whole, true = bank.code(bank(typical(read[steady]))), codes[steady, 0]
    return {
        "frame_accuracy": float(by_frame.float().mean()),
        "clip_accuracy": float((whole[:, :n].argmax(1) == true[:, :n].argmax(1)).float().mean()),
        "intensity_correlation": correlation(whole[:, n], true[:, n]),
        "code_error": float((whole - true).abs().mean()),
    }
