"""Scores of one finished video: numbers as JSON, and one picture of how they came about.

The video is read once, block by block, so that an hour needs the memory of a few seconds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ..config import FPS, SAMPLE_RATE_HZ
from ..errors import BadInput, FaceNotFound
from ..media.face.controls import read_controls
from ..media.face.crop import FaceCrop, crop
from ..media.face.find import locate
from ..media.sound.audio import frame_energy, read_audio
from ..media.video.files import VideoReader, read_video
from ..taxonomy import ACTION_UNITS, EMOTIONS
from .base_sync import BaseSync
from .emotion import emotion_of
from .face import correlation, face_track, lid_closure
from .followed import FaceFollower
from .frames import SIZE_PX
from .identity import identity
from .landmarks import LandmarkScores, score_landmarks
from .lip_sync import LipSync, embed_pictures, embed_sound, score_embeddings, speech_windows
from .motion import MotionMeter, ratio
from .plot import ACCENT, INK, LINE, PALETTE, SOFT_INK, Chart, Page
from .syncnet_v2 import SyncNetV2Score, score_syncnet_v2

if TYPE_CHECKING:
    from ..nets.syncnet_v2 import SyncNetV2
    from ..weights.experts import Experts

TRUE_JITTER = {"whole": 1.28, "mouth": 1.38, "eyes": 1.04}
"""Jitter over speed, by region, of true clips of the corpus: the scale of a jitter ratio where no truth is at hand."""
BLINK_CLOSURE = 0.5
BLOCK_FRAMES = 64


@dataclass(frozen=True)
class Tracks:
    """What the plots show, one value per frame; kept beside the scores and left out of the JSON.

    samples         [N]      16 kHz mono
    opening         [T]      gap of the lips in eye distances; nan where no frame shows a face
    energy          [T]      loudness 0 .. 1
    probabilities   [T, 8]   emotions of every frame by itself
    intensities     [T]      the same
    identity        [T]
    """

    sync: LipSync
    samples: np.ndarray
    opening: np.ndarray
    energy: np.ndarray
    probabilities: np.ndarray
    intensities: np.ndarray
    identity: np.ndarray


@dataclass(frozen=True)
class Scores:
    """Everything `eadnet score` says about a video; nan where a figure has no meaning (lip sync without speech).

    lse_c, lse_d, offset         see metrics.lip_sync; offset in frames, positive where the picture comes too early
    speech_windows               windows of 5 frames that hold speech: what the three figures rest on
    mouth_energy_correlation     of the lips' gap with the sound's loudness
    mouth_amplitude              standard deviation of the lips' gap, in eye distances
    emotion, emotion_intensity   what the clip shows as a whole, see metrics.emotion: no judgement from outside
    action_units                 their medians over the clip, 0 .. 1, by the same reader
    asked_emotion                the label the video was meant to show, if given
    jitter_ratio                 by region: second over first differences of the pixels, against the same of true clips
    motion_amplitude             by region: RMS distance of the pixels from their mean over the clip, 0 .. 1
    identity, identity_least     see metrics.identity, against the first frame: mean and least
    landmarks                    see metrics.landmarks: lips and lids by MediaPipe's landmarks
    syncnet_v2                   the original SyncNet's figures, where its weights were given
    base_sync                    what the SyncNet of a base says of its own clip, where it has one
    """

    video: str
    n_frames: int
    duration_s: float
    lse_c: float
    lse_d: float
    offset: int
    speech_windows: int
    mouth_energy_correlation: float
    mouth_amplitude: float
    emotion: str
    emotion_intensity: float
    emotion_probabilities: dict[str, float]
    action_units: dict[str, float]
    asked_emotion: str | None
    jitter_ratio: dict[str, float]
    motion_amplitude: dict[str, float]
    identity: float
    identity_least: float
    blinks_per_minute: float
    landmarks: LandmarkScores
    tracks: Tracks = field(repr=False, compare=False)
    syncnet_v2: SyncNetV2Score | None = None
    base_sync: BaseSync | None = None

    def to_json(self) -> dict[str, Any]:
        """The scores as plain JSON values, without the tracks; null for nan."""
        values = {key: value for key, value in vars(self).items() if key not in ("tracks", "syncnet_v2")}
        values |= {"landmarks": asdict(self.landmarks), "base_sync": self.base_sync and asdict(self.base_sync)}
        if self.syncnet_v2 is not None:
            values["syncnet_v2"] = self.syncnet_v2.to_json()
        return json_values({**values, "emotion_is_right": self.emotion_is_right})

    @property
    def emotion_is_right(self) -> bool | None:
        """Whether the clip shows the asked emotion; None if none was asked."""
        return None if self.asked_emotion is None else self.emotion == self.asked_emotion


class Scorer:
    """Scores a clip that comes in blocks of frames."""

    def __init__(self, experts: Experts) -> None:
        self._experts = experts
        self._window = experts.sync.config.frames
        self._tail: np.ndarray | None = None
        self._first: np.ndarray | None = None
        self._visual: list[np.ndarray] = []
        self._controls: list[np.ndarray] = []
        self._identity: list[np.ndarray] = []
        self._motion = MotionMeter()
        self._follower: FaceFollower | None = None
        self._landmarks: list[np.ndarray | None] = []
        self.n_frames = 0

    def add(self, frames: np.ndarray, landmarks: Sequence[np.ndarray | None] | None = None) -> None:
        """Take in the next uint8 frames [b, H, W, 3] of the training frame.

        landmarks  [468, 3] of each in pixels, where they were read from larger pictures; None where there is no face
        """
        if not len(frames):
            return
        if landmarks is None:
            size = float(frames.shape[1])
            self._follower = self._follower or FaceFollower(FaceCrop(size / 2, size / 2, size))
            landmarks = [self._follower.look(frame) for frame in frames]
        self._landmarks += landmarks
        joined = frames if self._tail is None else np.concatenate([self._tail, frames])
        if len(joined) >= self._window:
            self._visual.append(embed_pictures(self._experts.sync, joined))
        self._tail = joined[-(self._window - 1) :]
        if self._first is None:
            self._first = frames[0]
        self._controls.append(read_controls(frames, self._experts.reader.vae).numpy())
        self._identity.append(identity(frames, self._first))
        self._motion.add(frames)
        self.n_frames += len(frames)

    def finish(self, samples: np.ndarray, name: str = "", asked_emotion: str | None = None) -> Scores:
        """The scores of all frames taken in, with their sound [N] at 16 kHz. Raises BadInput for less than 5 frames."""
        audio = embed_sound(self._experts.sync, samples, self.n_frames)
        weights = speech_windows(samples, self.n_frames, self._window)
        sync = score_embeddings(np.concatenate(self._visual), audio, weights)
        controls, opening = np.concatenate(self._controls), face_track(self._landmarks).opening
        emotion = emotion_of(controls, self._experts.reader.bank)
        kept = np.concatenate(self._identity)
        energy = frame_energy(samples, self.n_frames)
        motion = self._motion.stats()
        return Scores(
            video=name,
            n_frames=self.n_frames,
            duration_s=self.n_frames / FPS,
            lse_c=sync.lse_c,
            lse_d=sync.lse_d,
            offset=sync.offset,
            speech_windows=sync.n_windows,
            mouth_energy_correlation=correlation(opening, energy),
            mouth_amplitude=float(opening.std()),
            emotion=emotion.label,
            emotion_intensity=emotion.intensity,
            emotion_probabilities=dict(zip(EMOTIONS, emotion.probabilities.tolist(), strict=True)),
            action_units=dict(zip(ACTION_UNITS, emotion.action_units.tolist(), strict=True)),
            asked_emotion=asked_emotion,
            jitter_ratio={key: ratio(s.jitter, s.speed * TRUE_JITTER[key]) for key, s in motion.items()},
            motion_amplitude={key: s.amplitude for key, s in motion.items()},
            identity=float(kept.mean()),
            identity_least=float(kept.min()),
            blinks_per_minute=count_blinks(lid_closure(controls)) * 60 * FPS / self.n_frames,
            landmarks=score_landmarks(self._landmarks),
            tracks=Tracks(sync, samples, opening, energy, emotion.frame_probabilities, emotion.intensities, kept),
        )


def score_video(
    video: str | os.PathLike[str],
    experts: Experts,
    audio: str | os.PathLike[str] | None = None,
    emotion: str | None = None,
    face_box: Sequence[float] | None = None,
    on_frame: Callable[[int], None] | None = None,
    syncnet_v2: SyncNetV2 | None = None,
) -> Scores:
    """Score a video file; frames are resampled to 25 per second.

    audio      the speech; the video's own sound if not given
    emotion    the label it should show, one of taxonomy.EMOTIONS
    face_box   x0, y0, x1, y1 in pixels; else the face is looked for once a second until found, and then stays there: a
               crop that follows the head would add its own jitter
    on_frame   called with the number of frames read so far
    syncnet_v2 the original SyncNet (`public_weights.load_syncnet_v2`), to score by as well: reads the file again
    Raises BadInput for files that cannot be read, an unknown label, or less than 5 frames; FaceNotFound.
    """
    if emotion is not None and emotion not in EMOTIONS:
        raise BadInput(f"Unknown emotion '{emotion}'; give one of {', '.join(EMOTIONS)}.")
    reader = read_video(video, FPS)
    sound = reader.audio() if audio is None else read_audio(audio)
    geometry = _locate_face(reader, face_box)
    scorer = Scorer(experts)
    for frames, landmarks in _blocks(reader, geometry):
        scorer.add(frames, landmarks)
        if on_frame is not None:
            on_frame(scorer.n_frames)
    scores = scorer.finish(sound.samples, Path(video).name, emotion)
    if syncnet_v2 is None:
        return scores
    return replace(scores, syncnet_v2=score_syncnet_v2(syncnet_v2, reader, sound.samples, geometry))


def _locate_face(reader: VideoReader, face_box: Sequence[float] | None) -> FaceCrop:
    missed: FaceNotFound | None = None
    for index, frame in enumerate(reader):
        if index % FPS == 0:
            try:
                return locate(frame, face_box, what=f"{reader.path.name} at {index // FPS} s")
            except FaceNotFound as error:
                missed = missed or error
    raise missed or BadInput(f"'{reader.path}' holds no frame. Give a video file such as an mp4.")


def _blocks(reader: VideoReader, geometry: FaceCrop) -> Iterator[tuple[np.ndarray, list[np.ndarray | None]]]:
    """Training frames, uint8 [b, SIZE_PX, SIZE_PX, 3], and the landmarks in the pictures that they were cut from."""
    block: list[np.ndarray] = []
    seen: list[np.ndarray | None] = []
    follower = FaceFollower(geometry)
    for frame in reader:
        block.append(crop(frame, geometry, SIZE_PX))
        seen.append(follower.look(frame))
        if len(block) == BLOCK_FRAMES:
            yield np.stack(block), seen
            block, seen = [], []
    if block:
        yield np.stack(block), seen


def count_blinks(closure: np.ndarray) -> int:
    """Times that the eyelids close in a track [T] of their closure.

    >>> count_blinks(np.array([0.0, 0.9, 0.9, 0.1, 0.8, 0.0]))
    2
    """
    closed = closure > BLINK_CLOSURE
    return int(closed[0]) + int((closed[1:] & ~closed[:-1]).sum())


def json_values(value: Any) -> Any:
    """`value` with numpy numbers as Python's and nan or infinity as null.

    >>> json_values({"a": np.float32(0.5), "b": [float("nan"), 1]})
    {'a': 0.5, 'b': [None, 1]}
    """
    if isinstance(value, dict):
        return {key: json_values(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_values(item) for item in value]
    if isinstance(value, np.ndarray):
        return json_values(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not isfinite(value) else value


def save_json(scores: Scores, path: str | Path) -> None:
    """Write the scores as JSON."""
    Path(path).write_text(json.dumps(scores.to_json(), indent=2) + "\n", encoding="utf-8")


WIDTH, HEIGHT = 1200, 1050
_LEFT, _RIGHT = 92, 1010
_LEGEND_X = 1034


def draw_report(scores: Scores) -> Image.Image:
    """One picture: the sync curve, the mouth's opening over the sound, and the emotion over time."""
    page = Page(WIDTH, HEIGHT)
    page.text(40, 28, scores.video or "video", 24)
    page.text(40, 64, _summary(scores), 15, SOFT_INK)
    page.text(40, 88, _second_summary(scores), 15, SOFT_INK)
    if (v2 := scores.syncnet_v2) is not None:
        line = f"Original SyncNet: LSE-C {v2.lse_c:.2f}, LSE-D {v2.lse_d:.2f}, offset {_offset(v2.offset)} frames."
        page.text(40, 112, line, 15, SOFT_INK)
    if scores.base_sync is not None:
        page.text(40, 112, str(scores.base_sync), 15, SOFT_INK)
    _draw_sync(page, scores, (_LEFT, 156, _RIGHT, 350))
    _draw_mouth(page, scores, (_LEFT, 456, _RIGHT, 650))
    _draw_emotion(page, scores, (_LEFT, 756, _RIGHT, 980))
    return page.finish()


def _number(value: float, digits: int = 2) -> str:
    return f"{value:.{digits}f}" if isfinite(value) else "none"


def _offset(frames: int) -> str:
    return f"{frames:+d}" if frames else "0"


def _summary(scores: Scores) -> str:
    asked = "" if scores.asked_emotion is None else f" (asked: {scores.asked_emotion})"
    return (
        f"{scores.duration_s:.2f} s, {scores.n_frames} frames.   LSE-C {_number(scores.lse_c, 3)}, "
        f"LSE-D {_number(scores.lse_d, 3)}, offset {_offset(scores.offset)} frames.   "
        f"Emotion: {scores.emotion}{asked}, intensity {_number(scores.emotion_intensity)}."
    )


def _second_summary(scores: Scores) -> str:
    jitter = scores.jitter_ratio
    return (
        f"Mouth and loudness: correlation {_number(scores.mouth_energy_correlation)}.   "
        f"Jitter ratio {_number(jitter['whole'])} "
        f"(mouth {_number(jitter['mouth'])}, eyes {_number(jitter['eyes'])}).   "
        f"Identity {_number(scores.identity)} (least {_number(scores.identity_least)})."
    )


def _draw_sync(page: Page, scores: Scores, box: tuple[float, float, float, float]) -> None:
    sync = scores.tracks.sync
    heard = sync.curve[np.isfinite(sync.curve)]
    low, high = (float(heard.min()), float(heard.max())) if len(heard) else (0.0, 2.0)
    margin = max(0.1 * (high - low), (0.2 - high + low) / 2)
    offsets = sync.offsets.astype(float)
    chart = Chart(page, box, (offsets[0], offsets[-1]), (low - margin, high + margin), "Lip sync")
    chart.grid()
    chart.line(np.zeros(2), np.array([low - margin, high + margin]), SOFT_INK, 0.6)
    if len(heard):
        median = float(np.median(heard))
        chart.line(offsets[[0, -1]], np.full(2, median), SOFT_INK, 1.0)
        chart.line(offsets, sync.curve, LINE, 2.5)
        chart.mark(float(sync.offset), f"offset {_offset(sync.offset)}", ACCENT)
        page.legend(_LEGEND_X, box[1], [("mean distance", LINE), ("median", SOFT_INK), ("best offset", ACCENT)])
    else:
        page.text((box[0] + box[2]) / 2, (box[1] + box[3]) / 2, "no speech to compare", 16, SOFT_INK, "mm")
    chart.axes("offset of the sound against the picture (frames)", "distance")


def _draw_mouth(page: Page, scores: Scores, box: tuple[float, float, float, float]) -> None:
    tracks = scores.tracks
    highest = float(tracks.opening.max())
    bottom, top = 0.0, max(0.3, np.ceil(highest * 10) / 10 if isfinite(highest) else 0.0)
    chart = Chart(page, box, (0.0, scores.duration_s), (bottom, top), "Mouth opening over the sound")
    chart.grid()
    times, low, high = envelope(tracks.samples, scores.duration_s, int(box[2] - box[0]))
    loud = max(float(np.abs(tracks.samples).max(initial=0.0)), 1e-6)
    middle, half = (bottom + top) / 2, 0.46 * (top - bottom) / loud
    chart.area(times, middle + half * low, middle + half * high, (200, 208, 218))
    chart.line((np.arange(scores.n_frames) + 0.5) / FPS, tracks.opening, ACCENT, 2.0)
    page.legend(_LEGEND_X, box[1], [("mouth opening", ACCENT), ("sound", (200, 208, 218))])
    chart.axes("time", "eye distances", " s")


def _draw_emotion(page: Page, scores: Scores, box: tuple[float, float, float, float]) -> None:
    tracks = scores.tracks
    chart = Chart(page, box, (0.0, scores.duration_s), (0.0, 1.0), "Emotion")
    edges = np.repeat(np.arange(scores.n_frames + 1) / FPS, 2)[1:-1]
    stacked = np.repeat(np.cumsum(tracks.probabilities, 1), 2, axis=0)
    below = np.zeros(len(edges))
    for index, color in enumerate(PALETTE):
        chart.area(edges, below, stacked[:, index], color)
        below = stacked[:, index]
    chart.line((np.arange(scores.n_frames) + 0.5) / FPS, tracks.intensities, INK, 2.0)
    names = [f"{name} (asked)" if name == scores.asked_emotion else name for name in EMOTIONS]
    page.legend(_LEGEND_X, box[1], [*zip(names, PALETTE, strict=True), ("intensity (line)", INK)])
    chart.axes("time", "probability", " s")


def envelope(samples: np.ndarray, duration_s: float, columns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times, least and greatest sample of each of at most `columns` equal stretches of a sound [N] at 16 kHz."""
    n = min(len(samples), round(duration_s * SAMPLE_RATE_HZ))
    starts = np.unique(np.linspace(0, n, min(columns, n), endpoint=False).astype(int))
    if not len(starts):
        return np.zeros(0), np.zeros(0), np.zeros(0)
    low, high = np.minimum.reduceat(samples[:n], starts), np.maximum.reduceat(samples[:n], starts)
    return starts / SAMPLE_RATE_HZ, low, high
