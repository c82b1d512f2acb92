"""What an emotion is: MEAD's eight labels, three levels, and the facial action units that show them.

Action units follow FACS (Ekman and Friesen 1978); the unit sets per emotion follow EMFACS, adapted to
what can be told apart at 128 pixels. Valence and arousal lie on Russell's circumplex, -1 .. 1.
"""

from __future__ import annotations

EMOTIONS = ("neutral", "happy", "sad", "angry", "fear", "disgusted", "surprised", "contempt")
LEVELS = ("weak", "medium", "strong")
LEVEL_INTENSITY = (0.4, 0.7, 1.0)
"""Intensity 0 .. 1 of the three levels; neutral has intensity 0."""

ACTION_UNITS = (
    "AU1",  # inner brow raiser
    "AU2",  # outer brow raiser
    "AU4",  # brow lowerer
    "AU5",  # upper lid raiser
    "AU6",  # cheek raiser
    "AU7",  # lid tightener
    "AU9",  # nose wrinkler
    "AU10",  # upper lip raiser
    "AU12",  # lip corner puller
    "AU14",  # dimpler, drawn on one side: the contempt corner
    "AU15",  # lip corner depressor
    "AU17",  # chin raiser
    "AU20",  # lip stretcher
    "AU23",  # lip tightener
    "AU25",  # lips part
    "AU26",  # jaw drop
)

EMOTION_ACTION_UNITS: dict[str, dict[str, float]] = {
    "neutral": {},
    "happy": {"AU6": 0.9, "AU12": 1.0, "AU25": 0.5, "AU7": 0.25},
    "sad": {"AU1": 1.0, "AU4": 0.45, "AU15": 1.0, "AU17": 0.55, "AU7": 0.2},
    "angry": {"AU4": 1.0, "AU5": 0.4, "AU7": 0.8, "AU23": 0.9, "AU17": 0.3},
    "fear": {"AU1": 0.9, "AU2": 0.35, "AU4": 0.6, "AU5": 0.9, "AU20": 1.0, "AU25": 0.35},
    "disgusted": {"AU9": 1.0, "AU10": 0.9, "AU4": 0.4, "AU15": 0.35, "AU6": 0.3, "AU7": 0.4},
    "surprised": {"AU1": 0.9, "AU2": 1.0, "AU5": 1.0, "AU25": 0.4, "AU26": 0.7},
    "contempt": {"AU14": 1.0, "AU12": 0.15, "AU7": 0.35, "AU2": 0.15},
}
"""Action units of each emotion at intensity 1, each 0 .. 1."""

VALENCE_AROUSAL: dict[str, tuple[float, float]] = {
    "neutral": (0.0, 0.0),
    "happy": (0.85, 0.5),
    "sad": (-0.75, -0.5),
    "angry": (-0.65, 0.75),
    "fear": (-0.7, 0.65),
    "disgusted": (-0.75, 0.2),
    "surprised": (0.15, 0.85),
    "contempt": (-0.45, -0.1),
}
"""(valence, arousal) of each emotion at intensity 1."""

MOTION = ("yaw", "pitch", "roll", "shift_x", "shift_y", "blink", "gaze_x", "gaze_y")
"""Per-frame motion track. Angles in radians and shifts in frame widths are relative to the reference picture
(positive yaw: towards the picture's right; positive pitch: down; positive roll: clockwise); blink is the closure of
the eyelids 0 .. 1; gaze is -1 .. 1, relative to the reference."""

EMOTION_CODE_SIZE = len(EMOTIONS) + 3 + len(ACTION_UNITS)
"""Width of the emotion code: label probabilities [8], intensity, valence, arousal, action units [16]."""
