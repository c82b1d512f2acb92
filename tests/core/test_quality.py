"""The shipped minis on the held-out clips that ship with them: a regression of what they can do fails here."""

from __future__ import annotations

import itertools
from dataclasses import asdict, replace
from functools import lru_cache

import numpy as np
import pytest
import torch

from eadnet_core.config import SAMPLING
from eadnet_core.evaluation.blends import PAIRS, corpus_order, made_order
from eadnet_core.evaluation.clips import Bench
from eadnet_core.evaluation.controls import judge_controls
from eadnet_core.evaluation.heldout import Clip, draw_cases
from eadnet_core.evaluation.shipped import SEED, read_shipped
from eadnet_core.evaluation.style import draw_scripts, recover
from eadnet_core.families.family import with_model_defaults
from eadnet_core.families.load import load_model
from eadnet_core.families.mini import MiniModel, MiniScene
from eadnet_core.generation.animation import Animation
from eadnet_core.motion.style import Traits
from eadnet_core.request import GenerateOptions
from eadnet_core.sampling.guidance import branches
from eadnet_core.taxonomy import CONTROLS, FACE_TRAITS
from eadnet_core.weights.experts import load_experts, load_style_reader

N_CLIPS = 48
N_PICTURED = 8
"""Clips whose pictures are made, too."""
AT_LEAST = {
    "mouth_correlation": 0.89,
    "offset_exact": 0.97,
    "emotion_accuracy": 0.93,
    "viseme_correlation": 0.87,
}
"""What the shipped mini was measured at on these clips (see its model card), less a little for other machines."""
BETWEEN = {"lip_amplitude": (0.9, 1.15), "jitter_ratio": (0.9, 1.15)}
GAIN_DB = {"mini": 5.25, "mini-256": 4.15}
"""By how much generated pictures are nearer to the ground truth than the still portrait: 5.5 and 4.3 while the net's
guess of what a turning head uncovers was painted (ADR 57)."""
N_STYLED = 6
SMILE, BROWS, LIPS, MOUTH_LOSS = 0.2, 0.1, 1.2, 0.05
"""What traits of -1.5 and 1.5 differ in: mean AU12, brows at the most stressed frames, spread of the jaw (a factor);
and what the mouth's correlation may lose at full vividness."""


@lru_cache(maxsize=1)
def main_clips(size_px: int) -> tuple[Clip, ...]:
    """The shipped clips but those that only complete levels."""
    groups = [[case for case in group if case.is_main] for group in draw_cases(N_CLIPS, SEED)]
    return tuple(clip for clips in read_shipped(groups, size_px) for clip in clips)


@lru_cache(maxsize=1)
def bench(name: str) -> Bench:
    return Bench(load_model(name, "cpu", "auto"), load_experts("cpu", name), SEED)


@pytest.fixture(scope="module")
def figures() -> dict[str, float]:
    mini = bench("mini")
    return asdict(judge_controls(mini, main_clips(128), with_model_defaults(mini.model, GenerateOptions())))


@pytest.mark.parametrize(("key", "bound"), AT_LEAST.items())
def test_is_at_least(figures: dict[str, float], key: str, bound: float) -> None:
    assert figures[key] >= bound, figures


@pytest.mark.parametrize(("key", "bounds"), BETWEEN.items())
def test_moves_as_much_as_the_truth(figures: dict[str, float], key: str, bounds: tuple[float, float]) -> None:
    assert bounds[0] <= figures[key] <= bounds[1], figures


def controls_at(weights: tuple[float, float], *, is_one_pass: bool = True) -> np.ndarray:
    """What the face of one clip does under weights of sound and emotion, [T, 28], made in one pass or in three."""
    one, clip = bench("mini"), next(clip for clip in main_clips(128) if clip.case.emotion == "happy")
    options = GenerateOptions(guidance_audio=weights[0], guidance_emotion=weights[1])
    performance, own = one.performance(clip, *one.model.reader.read([clip.prompt]), options)
    animation = Animation(one.model, clip.truth.reference, performance, own, is_decoded=False)
    if not is_one_pass:
        animation.wave.needed = branches(*weights)
    scene, wave = animation.stage.scene, animation.wave
    assert isinstance(scene, MiniScene)
    assert len(wave.needed) == (1 if is_one_pass else 3)
    with torch.inference_mode():
        return torch.cat([scene.controls(part.x0, part.view) for part in animation]).numpy()


def test_sliders_of_guidance_are_even_in_one_pass() -> None:
    jaw, smile = CONTROLS.index("jaw"), CONTROLS.index("AU12")
    lips = [controls_at((weight, 1.15))[:, jaw].std() for weight in (0.5, 1.0, 1.3, 2.0)]
    smiles = [controls_at((1.3, weight))[:, smile].mean() for weight in (0.5, 1.0, 1.5, 2.0)]
    for values in (lips, smiles):
        assert all(b > 1.05 * a for a, b in itertools.pairwise(values)), (lips, smiles)


def test_one_pass_makes_what_three_make() -> None:
    own = SAMPLING["mini"].guidance_audio, SAMPLING["mini"].guidance_emotion
    none, one, three = controls_at((1.0, 1.0)), controls_at(own), controls_at(own, is_one_pass=False)
    assert np.square(one - three).mean() < 0.1 * np.square(three - none).mean()


@pytest.mark.parametrize("name", GAIN_DB)
def test_pictures_are_nearer_to_the_truth_than_a_still_portrait(name: str) -> None:
    """And the true controls bring them nearer still: what a denoiser errs in costs something."""
    one = bench(name)
    options = with_model_defaults(one.model, GenerateOptions())
    gains, ceilings = [], []
    for clip in main_clips(one.model.config.size_px)[:N_PICTURED]:
        (reading,) = one.model.reader.read([clip.prompt])
        still = psnr(np.broadcast_to(clip.truth.reference, clip.truth.frames.shape), clip.truth.frames)
        gains.append(psnr(one.generate(clip, reading, options), clip.truth.frames) - still)
        ceilings.append(psnr(one.reconstruct(clip), clip.truth.frames) - still)
    assert np.mean(gains) >= GAIN_DB[name], (gains, ceilings)
    assert np.mean(ceilings) >= np.mean(gains)


# Styles of speakers (ADR 53), and emotions that blend (ADR 54)


def styled(**traits: float) -> np.ndarray:
    """What the face of a clip that speaks does in a style, [T, 28]; without traits the average speaker's."""
    one, clip = bench("mini"), main_clips(128)[0]
    performance, own = one.performance(clip, *one.model.reader.read([clip.prompt]), GenerateOptions())
    style = Traits(**traits).vector if traits else None
    animation = Animation(one.model, clip.truth.reference, replace(performance, style=style), own, is_decoded=False)
    scene = animation.stage.scene
    assert isinstance(scene, MiniScene)
    with torch.inference_mode():
        return torch.cat([scene.controls(part.x0, part.view) for part in animation]).numpy()


def test_styles_of_unseen_speakers_are_recovered_from_5_s() -> None:
    found = recover(load_style_reader(), draw_scripts(24, 11, 24), seed=5)
    assert found.n_people == 24
    assert found.found >= 0.8, found
    assert all(found.correlation[name] >= 0.8 for name in FACE_TRAITS), found


def test_a_face_is_styled_as_asked() -> None:
    """Smiles are a habit, brows move more and lips are ample, each by its own trait."""
    column = {name: CONTROLS.index(name) for name in ("AU12", "AU2", "AU4", "jaw")}
    dour, smiling = (styled(smile=value)[:, column["AU12"]].mean() for value in (-1.5, 1.5))
    assert smiling - dour >= SMILE, (dour, smiling)
    knitting, raising = styled(brows=-1.5), styled(brows=1.5)
    assert np.quantile(raising[:, column["AU2"]] - knitting[:, column["AU2"]], 0.9) >= BROWS
    assert np.quantile(knitting[:, column["AU4"]] - raising[:, column["AU4"]], 0.9) >= BROWS
    small, ample = (styled(lips=value)[:, column["jaw"]].std() for value in (-1.5, 1.5))
    assert ample >= LIPS * small, (small, ample)


def test_vividness_moves_more_and_leaves_the_lips_in_time() -> None:
    mini, clips = bench("mini"), main_clips(128)[:N_STYLED]
    options = with_model_defaults(mini.model, GenerateOptions())
    mean, vivid = (asdict(judge_controls(mini, clips, replace(options, style_vividness=value))) for value in (0.0, 1.0))
    assert vivid["mouth_correlation"] >= mean["mouth_correlation"] - MOUTH_LOSS, (mean, vivid)
    assert vivid["offset_exact"] >= mean["offset_exact"]


def test_blends_are_seen_in_the_order_that_they_were_asked_in() -> None:
    bank, mini = bench("mini").experts.reader.bank, bench("mini").model
    assert isinstance(mini, MiniModel)
    assert min(corpus_order(bank).values()) >= 0.9
    options = with_model_defaults(mini, GenerateOptions())
    made = made_order(mini, bank, main_clips(128)[0].truth.reference, options, PAIRS[::5])
    assert min(made.values()) >= 0.9, made


def psnr(frames: np.ndarray, truth: np.ndarray) -> float:
    """Mean over frames, dB."""
    squares = np.square(frames.astype(np.float32) - truth).mean((1, 2, 3)) / 255**2
    return float((-10 * np.log10(np.maximum(squares, 1e-10))).mean())
