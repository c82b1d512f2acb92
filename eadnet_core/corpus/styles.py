"""Speakers with styles of their own: the same words and feelings, said in another's manner.

A style is drawn independently of head, voice, words and emotion, so that nothing else tells whose it is. The average
speaker is the corpus as it is without styles, but for the draws of the motion.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..heads.rig import STATE_INDEX
from ..media.sound.audio import frame_energy
from ..motion.generate import accents, bumps, generate_motion
from ..motion.style import Traits
from ..taxonomy import ACTION_UNITS, CONTROLS, MOTION, TRAITS, VISEME_PARAMETERS
from .clips import ClipScript
from .mouth import mouth_half_width, mouth_opening

MOST_DRAWN = 2.5
FLASH_FRAMES = 11
"""Of a brow on a stressed word, .44 s."""
AMPLE = ("jaw", "wide", "round", "upper", "open")
"""What lips do more of where they are ample; lips that press stay pressed, whoever speaks."""
RAISE, KNIT = {"AU1": 0.35, "AU2": 0.45}, {"AU4": 0.45}
"""Of a brow on full stress at a trait of 1, and of -1."""
SMILES, HANGS = {"AU12": 0.22, "AU6": 0.12}, {"AU15": 0.2, "AU17": 0.1}
"""What a habit to smile of 1, and of -1, adds all the time."""
SMILE_LOSS = 0.3
"""Share of a smile that a habit of -1 takes away."""
MOST_LIPS, MOST_UNIT = 1.15, 1.1


def draw_traits(rng: np.random.Generator) -> Traits:
    """Somebody's style."""
    return Traits.of(rng.normal(size=len(TRAITS)).clip(-MOST_DRAWN, MOST_DRAWN))


def in_style(script: ClipScript, traits: Traits, rng: np.random.Generator, head: float = 1.0) -> ClipScript:
    """A clip as somebody else would have said it.

    rng   draws the motion
    head  amplitude of the head's motion beside the style, as of `write_script`
    """
    energy = frame_energy(script.samples, len(script.states))
    motion = generate_motion(energy, script.codes, rng, head=head, traits=traits)
    states = script.states.copy()
    states[:, _MOTION] = script.reference_state[_MOTION] * _IS_RELATIVE + motion
    faces = styled_controls(script.controls, energy, traits)
    states[:, _FACE] = faces[:, :_N_FACE]
    return replace(
        script,
        states=states,
        visemes=faces[:, : len(VISEME_PARAMETERS)],
        action_units=faces[:, len(VISEME_PARAMETERS) : _N_FACE],
        motion=motion,
        mouth_opening=mouth_opening(states),
        mouth_width=mouth_half_width(states),
    )


def styled_controls(controls: np.ndarray, energy: np.ndarray, traits: Traits) -> np.ndarray:
    """Controls [T, 28] with the brows, smile and lips of a speaker; energy [T] of the voice."""
    controls = controls.copy()
    column = {name: controls[:, i] for i, name in enumerate(CONTROLS)}
    for name in AMPLE:
        column[name] *= traits.factor("lips")
    stress = np.minimum(bumps(accents(energy), FLASH_FRAMES), 1.0)
    for name, most in (RAISE if traits.brows > 0 else KNIT).items():
        column[name] += most * abs(traits.brows) * stress
    if traits.smile < 0:
        for name in SMILES:
            column[name] *= max(0.0, 1.0 + SMILE_LOSS * traits.smile)
    for name, most in (SMILES if traits.smile > 0 else HANGS).items():
        column[name] += most * abs(traits.smile)
    limits = np.repeat((MOST_LIPS, MOST_UNIT), (len(VISEME_PARAMETERS), len(ACTION_UNITS)))
    controls[:, :_N_FACE] = controls[:, :_N_FACE].clip(0.0, limits)
    return controls


_N_FACE = len(VISEME_PARAMETERS) + len(ACTION_UNITS)
_FACE = [STATE_INDEX[name] for name in CONTROLS[:_N_FACE]]
_MOTION = [STATE_INDEX[name] for name in MOTION]
_IS_RELATIVE = np.array([name != "blink" for name in MOTION])
