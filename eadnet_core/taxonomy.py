"""What an emotion is: MEAD's eight families as records, three levels, and the facial action units that show them.

An emotion is one record in `EMOTION_RECORDS`; everything else that the library knows of emotions is derived from it.
The phrases that training draws for it stand in `corpus/wording.py`, under the same name.

Action units follow FACS (Ekman and Friesen 1978); the unit sets per emotion follow EMFACS, adapted to
what a reader of photographs recognises on rendered heads. Valence and arousal lie on Russell's circumplex, -1 .. 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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

VISEME_PARAMETERS = ("jaw", "wide", "round", "press", "tuck", "upper", "teeth", "tongue", "open")
"""Jaw drop, lip spreading, rounding, pressing, lower lip under the teeth, upper lip raising, teeth and tongue seen,
lip parting; each 0 .. 1, all 0 for the mouth at rest."""

CONTROLS = (*VISEME_PARAMETERS, *ACTION_UNITS, "blink", "gaze_x", "gaze_y")
"""What a face does in a frame, absolute: 0 .. 1, gaze -1 .. 1; all 0 for a face at rest that looks ahead."""

MOTION = ("yaw", "pitch", "roll", "shift_x", "shift_y", "blink", "gaze_x", "gaze_y")
"""Per-frame motion track. Angles in radians and shifts in frame widths are relative to the reference picture
(positive yaw: towards the picture's right; positive pitch: down; positive roll: clockwise); blink is the closure of
the eyelids 0 .. 1; gaze is -1 .. 1, relative to the reference."""

TRAITS = ("gestures", "tempo", "nods", "blinks", "gaze", "brows", "smile", "lips")
"""The style of a speaker, whatever is said and felt, each in standard deviations from the average person: how far the
head sways, how quickly, nods on stressed words, rate of blinks, jumps of the eyes, brows on stressed words (raised;
below 0 drawn together), habit to smile (below 0 corners that hang), amplitude of the lips."""
FACE_TRAITS = ("brows", "smile", "lips")
"""Those that the net generates; the others are generated with the motion track."""


@dataclass(frozen=True)
class Manner:
    """How an emotion at intensity 1 moves the head, relative to a calm one.

    Posture in the units of `MOTION`; amplitude and nod are factors; tempo and sharpness are 0 .. 1; tremor in radians.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    shift_x: float = 0.0
    shift_y: float = 0.0
    amplitude: float = 1.0
    tempo: float = 0.4
    nod: float = 1.0
    sharpness: float = 0.2
    tremor: float = 0.0


@dataclass(frozen=True)
class EmotionRecord:
    """One emotion family.

    name           what prompts, tracks, reports and weight files call it
    adjective      what a face is called that shows it
    valence        -1 unpleasant .. 1 pleasant, at intensity 1
    arousal        -1 calm .. 1 excited, at intensity 1
    words          words that name it outright, in lower case
    extreme_words  those of them that mean full strength by themselves
    pictograms     emoji that stand for it
    action_units   name -> 0 .. 1, at intensity 1
    manner         how the head moves, at intensity 1
    """

    name: str
    adjective: str
    valence: float
    arousal: float
    words: tuple[str, ...]
    extreme_words: tuple[str, ...] = ()
    pictograms: str = ""
    action_units: Mapping[str, float] = field(default_factory=dict)
    manner: Manner = Manner()


EMOTION_RECORDS = (
    EmotionRecord(
        name="neutral",
        adjective="neutral",
        valence=0.0,
        arousal=0.0,
        words=("neutral", "expressionless", "emotionless"),
        pictograms="😐😑😶",
    ),
    EmotionRecord(
        name="happy",
        adjective="happy",
        valence=0.85,
        arousal=0.5,
        words=("happy", "happily", "happiness", "joy", "joyful", "joyfully"),
        pictograms="😀😃😄😁😆😊🙂☺😂🤣😍🥰😎🎉🥳❤😋😛😜😝🤗🤩😇😻😺😸😹💕💖💗",
        action_units={"AU6": 0.9, "AU12": 1.0, "AU25": 0.5, "AU7": 0.25},
        manner=Manner(pitch=-0.03, roll=0.04, shift_y=-0.003, amplitude=1.25, tempo=0.6, nod=1.2, sharpness=0.3),
    ),
    EmotionRecord(
        name="sad",
        adjective="sad",
        valence=-0.75,
        arousal=-0.5,
        words=("sad", "sadly", "sadness", "unhappy", "sorrow", "sorrowful"),
        pictograms="😢😭☹🙁😞😔😥😿💔🥺🥲😖😣😩😫🙍",
        action_units={"AU1": 1.0, "AU4": 0.45, "AU15": 1.0, "AU17": 0.55, "AU7": 0.2},
        manner=Manner(pitch=0.085, roll=0.03, shift_y=0.008, amplitude=0.6, tempo=0.1, nod=0.5, sharpness=0.0),
    ),
    EmotionRecord(
        name="angry",
        adjective="angry",
        valence=-0.65,
        arousal=0.75,
        words=("angry", "angrily", "anger", "furious", "furiously"),
        extreme_words=("furious",),
        pictograms="😠😡🤬👿💢😾",
        action_units={"AU4": 1.0, "AU5": 0.4, "AU7": 0.8, "AU23": 0.9, "AU17": 0.3},
        manner=Manner(pitch=0.045, shift_y=0.004, amplitude=1.15, tempo=0.55, nod=1.6, sharpness=1.0),
    ),
    EmotionRecord(
        name="fear",
        adjective="afraid",
        valence=-0.7,
        arousal=0.65,
        words=("fear", "fearful", "fearfully", "afraid", "scared", "frightened", "terrified"),
        extreme_words=("terrified",),
        pictograms="😨😱😰😧😬😟🙀🫣",
        action_units={"AU1": 1.0, "AU2": 0.35, "AU4": 0.65, "AU5": 1.0, "AU20": 1.0, "AU25": 0.9, "AU26": 0.15},
        manner=Manner(yaw=0.03, pitch=-0.02, shift_y=-0.005, amplitude=0.8, tempo=0.65, nod=0.6, tremor=0.009),
    ),
    EmotionRecord(
        name="disgusted",
        adjective="disgusted",
        valence=-0.75,
        arousal=0.2,
        words=("disgusted", "disgust", "disgusting", "revolted"),
        pictograms="🤢🤮🤧",
        action_units={"AU9": 0.9, "AU10": 1.0, "AU15": 0.4, "AU17": 0.3, "AU6": 0.4, "AU7": 0.4, "AU25": 0.3},
        manner=Manner(yaw=0.06, pitch=-0.03, roll=-0.02, amplitude=0.85, nod=0.8),
    ),
    EmotionRecord(
        name="surprised",
        adjective="surprised",
        valence=0.15,
        arousal=0.85,
        words=("surprised", "surprise", "astonished", "amazed"),
        pictograms="😮😲😯🤯😳🫢",
        action_units={"AU1": 1.0, "AU2": 1.0, "AU5": 1.0, "AU25": 0.5, "AU26": 0.8},
        manner=Manner(pitch=-0.06, shift_y=-0.008, tempo=0.5, nod=0.8, sharpness=0.4),
    ),
    EmotionRecord(
        name="contempt",
        adjective="contemptuous",
        valence=-0.45,
        arousal=-0.1,
        words=("contempt", "contemptuous", "contemptuously", "scornful", "disdainful"),
        pictograms="😏🙄😒😤🤨😼",
        action_units={"AU14": 1.0, "AU12": 0.15, "AU7": 0.35, "AU2": 0.15},
        manner=Manner(yaw=0.04, pitch=-0.065, roll=0.05, amplitude=0.75, tempo=0.2, nod=0.7),
    ),
)
"""Every emotion, neutral first. A new one goes to the end: weight files name the emotions that they know
(`FIRST_EMOTIONS`, where they name none), and `nets.label_order` maps between their order and this one."""

EMOTIONS = tuple(record.name for record in EMOTION_RECORDS)
EMOTION = {record.name: record for record in EMOTION_RECORDS}
FIRST_EMOTIONS = ("neutral", "happy", "sad", "angry", "fear", "disgusted", "surprised", "contempt")
"""The emotions, in their order, of weight files that do not name theirs. Never changed."""

EMOTION_CODE_SIZE = len(EMOTIONS) + 3 + len(ACTION_UNITS)
"""Width of the emotion code: label probabilities [8], intensity, valence, arousal, action units [16]."""


def circumplex() -> list[dict[str, str | float]]:
    """Name, valence and arousal of every emotion, as a page shows them on a plane.

    >>> circumplex()[1]
    {'name': 'happy', 'valence': 0.85, 'arousal': 0.5}
    """
    return [{"name": e.name, "valence": e.valence, "arousal": e.arousal} for e in EMOTION_RECORDS]
