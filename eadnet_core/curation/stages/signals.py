"""Stage 9: what the face does in every frame, as training takes it: controls, emotion, pose, gaze, lids; and the voice.

Nothing is dropped here. Controls and emotion are read by the shipped reader (`perception.faces`): they are estimates,
and the datasheet says so. Head pose is that of MediaPipe's landmarks.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ...config import SAMPLE_RATE_HZ
from ...emotion.prosody import mean_reading, read_voice
from ...media.face.controls import read_controls
from ...media.sound.audio import read_audio
from ...media.sound.speech import hear
from ...metrics.emotion import emotion_of
from ...metrics.face import head_turn, lid_closure
from ...metrics.followed import follow_face
from ...metrics.report import count_blinks
from ...taxonomy import ACTION_UNITS, CONTROLS, EMOTIONS, MOTION
from ...weights.experts import ReferenceReader, load_reference_reader

TRACKS = ("controls", "action_units", "codes", "motion")


def read_signals(frames: np.ndarray, samples: np.ndarray, track: np.ndarray) -> dict[str, Any]:
    """JSON values: the `TRACKS`, and `emotion`, `intensity`, `n_blinks`, `valence` and `arousal` of the voice.

    frames   uint8 [T, S, S, 3] in the training frame
    samples  [640 T] float32 at 16 kHz
    track    [T, 4] of `face.follow_face`, for the head's place

    Tracks are lists [T][..]: controls [28], action_units [16] (about 0 .. 1), codes [27], motion [8] against frame 0.
    """
    reader = _reader()
    controls = read_controls(frames, reader.vae).numpy()
    emotion = emotion_of(controls, reader.bank)
    units = controls[:, [CONTROLS.index(name) for name in ACTION_UNITS]]
    tracks = {
        "controls": controls,
        "action_units": units,
        "codes": emotion.codes,
        "motion": head_motion(frames, controls, track),
    }
    voice = mean_reading(read_voice(samples, hear(read_audio(samples, SAMPLE_RATE_HZ)).voice))
    return {
        **{name: np.round(values.astype(np.float64), 4).tolist() for name, values in tracks.items()},
        "emotion": EMOTIONS[int(emotion.probabilities.argmax())],
        "intensity": round(emotion.intensity, 4),
        "n_blinks": count_blinks(lid_closure(controls)),
        "valence": None if voice is None else round(voice.valence, 4),
        "arousal": None if voice is None else round(voice.arousal, 4),
    }


def head_motion(frames: np.ndarray, controls: np.ndarray, track: np.ndarray) -> np.ndarray:
    """[T, 8], columns taxonomy.MOTION, against frame 0; lids are absolute."""
    seen = list(follow_face(frames))
    found = [i for i, points in enumerate(seen) if points is not None]
    motion = np.zeros((len(frames), len(MOTION)))
    if found:
        points = np.stack([one for one in seen if one is not None]).astype(np.float64)
        for column, values in enumerate(head_turn(points)):
            motion[:, column] = np.interp(np.arange(len(frames)), found, values)
    motion[:, 2] = track[:, 3]
    motion[:, 3:5] = track[:, :2] / np.median(track[:, 2])
    motion[:, 6:] = controls[:, [CONTROLS.index("gaze_x"), CONTROLS.index("gaze_y")]]
    motion -= motion[0]
    motion[:, 5] = np.clip(lid_closure(controls), 0.0, 1.0)
    return motion


@lru_cache(maxsize=1)
def _reader() -> ReferenceReader:
    return load_reference_reader()
