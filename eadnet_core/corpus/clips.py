"""Clips of heads that speak: what happens in them (`write_script`) and what they look like (`film`, `render`).

Identity, voice, sentence, emotion, pose and blinks are drawn independently of one another; a corpus with one emotion
per identity teaches a classifier faces instead of feelings. Everything is deterministic from the seed, and the two
splits share no identity, voice, sentence or wording.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..config import FPS
from ..emotion.code import emotion_code
from ..heads.rig import STATE, STATE_INDEX
from ..media.sound.audio import frame_energy
from ..motion.generate import generate_motion
from ..taxonomy import ACTION_UNITS, CONTROLS, EMOTIONS, LEVEL_INTENSITY, MOTION
from .captions import write_caption, write_prompts
from .mouth import mouth_half_width, mouth_opening, opening_of
from .speech import Phoneme, SpeechBank
from .visemes import viseme_track

if TYPE_CHECKING:
    from .stage import People

SPLITS = {"train": 0, "heldout": 1, "expert": 2}
"""Streams of identities; "expert" clips train the SyncNet that scores and share no identity with the others."""
HEADS_PER_SPLIT = 1 << 31
"""Numbers of heads that a split has to itself; those below are the heads of `head_pairs`."""

BLEND_SHARE, CHANGE_SHARE = 0.10, 0.12
"""Share of clips that mix two emotions, and that change from one to another."""

BREATHS_HZ = (0.2, 0.32)


@dataclass(frozen=True)
class ClipScript:
    """Everything about a clip but its pixels. T frames at 25 per second.

    head_seed                   number of the head; its light, camera and place follow from it
    states             [T, R]   columns `rig.STATE`, absolute pose
    reference_state    [R]      the state of the reference picture: same head, its own emotion and moment
    visemes            [T, 9]   0 .. 1
    action_units       [T, 16]  0 .. 1
    motion             [T, 8]   columns `taxonomy.MOTION`, relative to the reference
    mouth_opening      [T]      lip gap / `mouth.FULL_GAP`, of heads on average; `film` has that of the head itself
    mouth_width        [T]      half the lips' width in frame widths
    codes              [T, 27]  true emotion code of each frame
    samples            [640 T]  16 kHz speech, clean
    """

    head_seed: int
    states: np.ndarray
    reference_state: np.ndarray
    visemes: np.ndarray
    action_units: np.ndarray
    motion: np.ndarray
    mouth_opening: np.ndarray
    mouth_width: np.ndarray
    codes: np.ndarray
    emotion: str
    level: int
    is_pure: bool
    caption: str
    prompts: tuple[str, ...]
    text: str
    samples: np.ndarray
    phonemes: tuple[Phoneme, ...]

    @property
    def controls(self) -> np.ndarray:
        """What the face does, [T, 28], columns `taxonomy.CONTROLS`."""
        return self.states[:, _CONTROLS]

    @property
    def reference_controls(self) -> np.ndarray:
        """The same of the reference picture, [28]."""
        return self.reference_state[_CONTROLS]

    @property
    def code(self) -> np.ndarray:
        """The emotion code [27] of the clip's middle."""
        return self.codes[len(self.codes) // 2]


def write_script(
    seed: int,
    *,
    n_frames: int,
    split: str,
    speech: SpeechBank,
    emotion: str | None = None,
    level: int | None = None,
    identity_seed: int | None = None,
    voice_seed: int | None = None,
    reference_emotion: str | None = None,
    head: float = 1.0,
) -> ClipScript:
    """Draw one clip.

    emotion, level      given: a pure clip of that emotion (level 0 .. 2; ignored for neutral)
    identity_seed       clips with the same value show the same head and the same reference picture
    voice_seed          clips with the same value speak the same words, with the same head motion
    reference_emotion   emotion of the reference picture; drawn (half of them neutral) if not given
    head                amplitude of the head's motion
    """
    stream = SPLITS[split]
    wording = "train" if split == "expert" else split
    identity_rng = np.random.default_rng([stream, 1, seed if identity_seed is None else identity_seed])
    voice_rng = np.random.default_rng([stream, 2, seed if voice_seed is None else voice_seed])
    rng = np.random.default_rng([stream, 3, seed])

    head_seed = draw_head_seed(identity_rng, split)
    samples, phonemes, text = speech.window(voice_rng, n_frames)
    visemes = viseme_track(phonemes, n_frames, FPS)
    name, level_index, codes, is_pure = _emotion_track(rng, n_frames, emotion, level)
    action_units = lively(rng, codes[:, -len(ACTION_UNITS) :])
    motion = generate_motion(frame_energy(samples, n_frames), codes, voice_rng, head=head)
    reference = _reference_state(
        identity_rng if reference_emotion or identity_seed is not None else rng, reference_emotion
    )
    states = _states(visemes, action_units, motion, reference, voice_rng)
    return ClipScript(
        head_seed=head_seed,
        states=states,
        reference_state=reference,
        visemes=visemes,
        action_units=action_units,
        motion=_relative_motion(states, reference),
        mouth_opening=mouth_opening(states),
        mouth_width=mouth_half_width(states),
        codes=codes,
        emotion=name,
        level=level_index,
        is_pure=is_pure,
        caption=write_caption(rng, name, level_index, action_units, wording),
        prompts=write_prompts(rng, name, level_index, wording),
        text=text,
        samples=samples,
        phonemes=tuple(phonemes),
    )


@dataclass(frozen=True)
class Film:
    """A clip drawn.

    frames         [T, N, N, 3] uint8
    reference      [N, N, 3] uint8     the reference picture: the same head in the same light
    mouth_opening  [T]                 of this very head, lip gap / `mouth.FULL_GAP`
    people                             who is seen
    """

    frames: np.ndarray
    reference: np.ndarray
    mouth_opening: np.ndarray
    people: People


def film(script: ClipScript, size_px: int = 128, heads: str | Path | None = None, has_effects: bool = True) -> Film:
    """Draw a clip.

    heads        folder of the anatomy; default: what EADNET_HEADS names, else where `eadnet download heads` put it
    has_effects  whether grain, blur, brush strokes and the like may lie on the pictures
    Raises BadInput where there is no anatomy.
    """
    from .stage import open_stage

    stage = open_stage(script.head_seed, size_px, heads)
    pictures, gaps = stage.draw(np.concatenate([script.states, script.reference_state[None]]), has_effects)
    return Film(pictures[:-1], pictures[-1], opening_of(gaps[:-1]), stage.people)


def render(
    scripts: Sequence[ClipScript], size_px: int = 128, heads: str | Path | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Draw clips of equal length; see `film`.

    returns  frames [B, T, H, W, 3] uint8 and their reference pictures [B, H, W, 3] uint8
    """
    films = [film(script, size_px, heads) for script in scripts]
    return np.stack([made.frames for made in films]), np.stack([made.reference for made in films])


def draw_head_seed(rng: np.random.Generator, split: str) -> int:
    """Number of a head of a split; splits share none."""
    return (1 + SPLITS[split]) * HEADS_PER_SPLIT + int(rng.integers(HEADS_PER_SPLIT))


_CONTROLS = [STATE_INDEX[name] for name in CONTROLS]
_POSE = [STATE_INDEX[name] for name in MOTION[:5]]
_GAZE = [STATE_INDEX["gaze_x"], STATE_INDEX["gaze_y"]]
_UNITS = [STATE_INDEX[name] for name in ACTION_UNITS]


def _emotion_track(
    rng: np.random.Generator, n_frames: int, emotion: str | None, level: int | None
) -> tuple[str, int, np.ndarray, bool]:
    """Label, level (-1 for neutral), codes [T, 27], and whether one emotion fills the clip."""
    name = emotion or str(rng.choice(EMOTIONS))
    level_index = int(rng.integers(3)) if level is None else level
    intensity = LEVEL_INTENSITY[level_index] + (rng.uniform(-0.1, 0.1) if level is None else 0.0)
    code = emotion_code(name, min(1.0, intensity) if name != "neutral" else 0.0)
    codes = np.repeat(code[None], n_frames, 0)
    kind = rng.random()
    is_pure = emotion is not None or kind >= BLEND_SHARE + CHANGE_SHARE
    if not is_pure:
        other_name = str(rng.choice(EMOTIONS))
        other = emotion_code(other_name, float(rng.uniform(0.4, 1.0)) if other_name != "neutral" else 0.0)
        if kind < BLEND_SHARE:
            weight = np.full(n_frames, rng.uniform(0.15, 0.45))
        else:
            middle, fade = rng.uniform(0.2, 0.8) * n_frames, rng.uniform(3, 9)
            weight = 1 / (1 + np.exp(-(np.arange(n_frames) - middle) / (fade / 4)))
        codes = codes + (other - codes) * weight[:, None].astype(np.float32)
    return name, -1 if name == "neutral" else level_index, codes.astype(np.float32), is_pure


def lively(rng: np.random.Generator, units: np.ndarray) -> np.ndarray:
    """Action units [T, 16] with a person's own emphasis, slow drift, and a trace of random activity."""
    n_frames, n_units = units.shape
    emphasis = rng.uniform(0.85, 1.12, n_units)
    trace = np.maximum(0, rng.normal(0, 0.035, n_units))
    time = np.arange(n_frames)[:, None] / FPS
    drift = 1 + 0.07 * np.sin(2 * np.pi * rng.uniform(0.2, 0.6, n_units) * time + rng.uniform(0, 2 * np.pi, n_units))
    return np.clip(units * emphasis * drift + trace, 0, 1.1).astype(np.float32)


def _reference_state(rng: np.random.Generator, emotion: str | None) -> np.ndarray:
    state = np.zeros(len(STATE), dtype=np.float32)
    state[_POSE] = rng.normal(0, (0.055, 0.035, 0.025, 0.004, 0.004))
    state[_GAZE] = rng.normal(0, 0.08, 2)
    name = emotion or ("neutral" if rng.random() < 0.5 else str(rng.choice(EMOTIONS[1:])))
    intensity = 0.0 if name == "neutral" else float(rng.uniform(0.35, 1.0))
    state[_UNITS] = lively(rng, emotion_code(name, intensity)[None, -len(ACTION_UNITS) :])[0]
    if rng.random() < 0.3:  # caught in the middle of a word
        for control, top in (("jaw", 0.5), ("open", 0.5), ("wide", 0.5), ("round", 0.6)):
            state[STATE_INDEX[control]] = rng.uniform(0, top)
    return state


def _states(
    visemes: np.ndarray, units: np.ndarray, motion: np.ndarray, reference: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    states = np.zeros((len(visemes), len(STATE)), dtype=np.float32)
    states[:, : visemes.shape[1]] = visemes
    states[:, _UNITS] = units
    states[:, _POSE] = reference[_POSE] + motion[:, :5] + rng.normal(0, (0.02, 0.012, 0.01, 0.0015, 0.0015))
    states[:, STATE_INDEX["blink"]] = motion[:, 5]
    states[:, _GAZE] = reference[_GAZE] + motion[:, 6:]
    states[:, STATE_INDEX["breath"]] = _breath(len(states), rng)
    return states


def _breath(n_frames: int, rng: np.random.Generator) -> np.ndarray:
    """How full the chest is in each frame, -1 .. 1: in quicker than out, with a rest in between."""
    phase = rng.uniform(0, 2 * np.pi) + 2 * np.pi * rng.uniform(*BREATHS_HZ) * np.arange(n_frames) / FPS
    return np.sin(phase + 0.35 * np.sin(phase))


def _relative_motion(states: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The motion track [T, 8] that leads from the reference picture to the frames."""
    pose, gaze = states[:, _POSE] - reference[_POSE], states[:, _GAZE] - reference[_GAZE]
    return np.concatenate([pose, states[:, [STATE_INDEX["blink"]]], gaze], axis=1)
