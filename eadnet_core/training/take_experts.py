"""Experts that say which of several takes of a script is best; none of them judges an evaluation.

Lips are judged by the latent SyncNet, which supervised the denoiser; the SyncNet that scores finished clips is another.
Feelings are told apart by a small net that learns here, from what the faces of the corpus do; an evaluation looks at
pictures, or compares action units. Trembling is counted. All of them look at controls, so no picture is made.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..media.sound.audio import MEL_STEPS_PER_FRAME
from ..nets.syncnet import SyncNet
from ..taxonomy import ACTION_UNITS, EMOTIONS, LEVELS, VISEME_PARAMETERS
from .data import Cache
from .denoiser_batches import motion_latents
from .syncnet import SILENCE, window_starts

EXPERTS = ("lips", "feeling", "stillness")
N_FEELINGS = 1 + (len(EMOTIONS) - 1) * len(LEVELS)
_WIDTH, _STEPS, _RATE, _BATCH = 64, 400, 3e-3, 256
_LEAST_MOTION = 1e-3
_N_FACE = len(VISEME_PARAMETERS) + len(ACTION_UNITS)


class FeelingJudge(nn.Module):
    """Which emotion, and which level of it, a clip's controls show: 22 feelings, neutral first."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2 * _N_FACE, _WIDTH), nn.SiLU(), nn.Linear(_WIDTH, N_FEELINGS))

    def forward(self, controls: Tensor) -> Tensor:
        """Controls [B, T, 28] to logits [B, 22], by the mean and the spread of lips and action units."""
        face = controls[..., :_N_FACE]
        return self.layers(torch.cat([face.mean(1), face.std(1, correction=0)], -1))


def feelings(emotion: np.ndarray, level: np.ndarray) -> Tensor:
    """Class [B] of emotions, as indices of EMOTIONS, at levels 0 .. 2.

    >>> feelings(np.array([0, 1, 1, 7]), np.array([2, 0, 2, 2])).tolist()
    [0, 1, 3, 21]
    """
    classes = 1 + (emotion.astype(np.int64) - 1) * len(LEVELS) + level
    return torch.from_numpy(np.where(emotion == 0, 0, classes))


def train_feeling_judge(cache: Cache, seed: int) -> FeelingJudge:
    """A judge that has learned from the clips of one feeling each; those kept out of training are kept out here too."""
    clips = np.arange(cache.n_monitor, cache.n_ready)
    clips = clips[np.asarray(cache.array("is_pure")[clips]) > 0]
    controls = cache.tensor("controls", (clips,))
    wanted = feelings(np.asarray(cache.array("emotion")[clips]), np.asarray(cache.array("level")[clips]))
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        judge = FeelingJudge()
        optimizer = torch.optim.AdamW(judge.parameters(), _RATE, weight_decay=0.05)
        for _ in range(_STEPS):
            some = torch.randint(0, len(clips), (min(_BATCH, len(clips)),))
            F.cross_entropy(judge(controls[some]), wanted[some]).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    return judge.requires_grad_(False).eval()


@torch.no_grad()
def scores(controls: Tensor, cache: Cache, clips: np.ndarray, syncnet: SyncNet, judge: FeelingJudge) -> Tensor:
    """What the experts say of a take [B, T, 28] of each clip [B]: [B, 3], higher is better, in the order of EXPERTS."""
    wanted = feelings(np.asarray(cache.array("emotion")[clips]), np.asarray(cache.array("level")[clips]))
    feeling = judge(controls).log_softmax(-1).gather(1, wanted[:, None])[:, 0]
    return torch.stack([lip_sync(controls, cache, clips, syncnet), feeling, -trembling(controls)], 1)


def lip_sync(controls: Tensor, cache: Cache, clips: np.ndarray, syncnet: SyncNet) -> Tensor:
    """Mean cosine [B] of the audible windows of controls [B, T, 28]; 0 where nothing is heard."""
    config = syncnet.config
    starts = window_starts(config, controls.shape[1])
    latents, mel, energy = motion_latents()(controls), cache.tensor("mel", (clips,)), cache.tensor("energy", (clips,))
    n_steps = MEL_STEPS_PER_FRAME * config.frames + 2 * config.mel_context
    total, heard = torch.zeros(len(clips)), torch.zeros(len(clips))
    for start in starts.tolist():
        first = start * MEL_STEPS_PER_FRAME - config.mel_context
        frames = slice(start, start + config.frames)
        cosine = syncnet.similarity(latents[:, frames], mel[:, first : first + n_steps])
        is_audible = (energy[:, frames].mean(1) > SILENCE).float()
        total, heard = total + is_audible * cosine, heard + is_audible
    return total / heard.clamp(min=1)


def trembling(controls: Tensor) -> Tensor:
    """How large second differences are beside first ones, as a logarithm [B], of controls [B, T, 28].

    A face that moves more does not tremble more by that; one that stands still has nothing to win.

    >>> slow, quick = (torch.sin(torch.arange(16.0) * rate)[None, :, None].expand(1, 16, 28) for rate in (0.3, 2))
    >>> bool(trembling(slow) < trembling(quick)), torch.allclose(trembling(slow), trembling(2 * slow), atol=0.01)
    (True, True)
    """
    face = controls[..., :_N_FACE]
    first, second = (face.diff(dim=1, n=n).square().mean((1, 2)).sqrt() for n in (1, 2))
    return (second + _LEAST_MOTION).log() - (first + _LEAST_MOTION).log()


def in_spreads(found: Tensor) -> Tensor:
    """Scores [S, K, 3] of K takes less the mean of their script, in units of how far takes of a script differ."""
    centred = found - found.mean(1, keepdim=True)
    return centred / centred.square().mean((0, 1)).sqrt().clamp(min=1e-6)


def best_and_worst(found: Tensor) -> Tensor:
    """Take with the highest and with the lowest sum of `in_spreads` of each script [S, 2]; experts count the same.

    >>> best_and_worst(torch.tensor([[[0.0, 0, 0], [3, 1, 1], [1, 0, 1]]])).tolist()
    [[1, 0]]
    """
    total = in_spreads(found).sum(-1)
    return torch.stack([total.argmax(1), total.argmin(1)], 1)
