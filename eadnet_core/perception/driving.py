"""Head, gaze, lids and expression read off a clip, to drive a portrait with: a video or pictures in, a Motion out.

Where the head turns, MediaPipe's landmarks say; eyes, lids and feeling the picture side's reader of controls and the
bank. What comes out is relative to how this head rests, so that nothing of its looks is carried over. Pictures are read
twice, one at a time: memory does not grow with the clip.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from ..errors import BadInput, FaceNotFound
from ..media.face.controls import BATCH, read_controls
from ..media.face.crop import FaceCrop, crop
from ..media.face.find import FACE_THRESHOLD
from ..media.face.follow import Track, follow
from ..media.face.landmarks import LEFT_EYE, RIGHT_EYE, read_landmarks
from ..media.video.files import read_video
from ..metrics.face import head_turn, lid_closure
from ..metrics.frames import SIZE_PX
from ..motion.record import EXPRESSION, MOST_FRAMES, Motion
from ..motion.record_file import is_motion_file, read_motion
from ..nets.emotion_bank import EmotionBank
from ..taxonomy import CONTROLS
from ..weights.experts import ReferenceReader

LEAST_BLINK = 0.35
"""Of what is read of lids above their rest: where it is passed somebody blinks."""
OPEN = 0.15
"""Closure up to which eyes show where they look."""
GAZE_GAIN = 1.8
"""The reader sees so much less of a sideways gaze than there is."""
GAZE_REACH = 2
"""Frames to each side of which the median is a frame's gaze: eyes rest on a point and jump to the next."""
WINDOW_S, STEP_S = 1.0, 0.4
"""Of the clip that an expression is read from together, and from one reading to the next: speech passes, a feeling
stays."""
_GAZE_X = CONTROLS.index("gaze_x")
Pictures = Callable[[], Iterable[np.ndarray]]
"""Hands out the pictures of a clip, uint8 [H, W, 3], from the first one on, each time that it is called."""
OnPicture = Callable[[int], None]
"""Called with the number of pictures looked at, each twice; may raise to stop."""


@dataclass(frozen=True)
class Where:
    """Which face is read, as `media.face.follow.follow` takes it."""

    face_box: tuple[float, float, float, float] | None = None
    face_index: int = 0
    threshold: float = FACE_THRESHOLD
    accept_any_face: bool = False


ANYWHERE = Where()


def performance_of(
    path: str | os.PathLike[str],
    load: Callable[[], ReferenceReader],
    has_expression: bool = False,
    on_picture: OnPicture | None = None,
) -> Motion:
    """A motion from its file, or read off a clip. Raises BadInput, FaceNotFound.

    load  loads what reads faces; called for a clip alone
    """
    if is_motion_file(path):
        return read_motion(path)
    return read_clip(path, load(), has_expression, on_picture=on_picture)


def read_clip(
    path: str | os.PathLike[str],
    reader: ReferenceReader,
    has_expression: bool = False,
    span: tuple[float, float | None] = (0.0, None),
    where: Where = ANYWHERE,
    on_picture: OnPicture | None = None,
) -> Motion:
    """What the face in a video does, streamed. Raises BadInput, FaceNotFound.

    span  seconds from its start, from which and until when
    """
    start_s, end_s = span
    if not 0 <= start_s < (math.inf if end_s is None else end_s):
        raise BadInput(f"The span is {start_s:g} .. {end_s} s; give times of the clip, the earlier one first.")
    video = read_video(path)
    first = round(start_s * video.fps)
    n_frames = MOST_FRAMES if end_s is None else max(1, round(end_s * video.fps) - first)
    source = Path(path).name
    motion = read_pictures(
        lambda: islice(video.frames(first), n_frames), video.fps, reader, has_expression, source, where, on_picture
    )
    return replace(motion, notes=(*video.notes, *motion.notes))


def read_pictures(
    pictures: Pictures,
    fps: float,
    reader: ReferenceReader,
    has_expression: bool = False,
    source: str = "pictures",
    where: Where = ANYWHERE,
    on_picture: OnPicture | None = None,
) -> Motion:
    """What the face in pictures does. Raises BadInput for no picture, FaceNotFound where none shows the face."""
    tracks, controls, notes = read_face(pictures, reader, source, where, on_picture)
    if has_expression:
        codes = expression_codes(controls, fps, reader.bank)
        tracks |= {name: codes[:, i] for i, name in enumerate(EXPRESSION)}
    return Motion(tracks, fps, source, notes)


def read_face(
    pictures: Pictures,
    reader: ReferenceReader,
    source: str = "pictures",
    where: Where = ANYWHERE,
    on_picture: OnPicture | None = None,
) -> tuple[dict[str, np.ndarray], np.ndarray, tuple[str, ...]]:
    """Tracks of head, gaze and blinks by name, controls [T, 28] and notes; raises as `read_pictures`."""
    if next(iter(pictures()), None) is None:
        raise BadInput(f"'{source}' has no picture there. Give a clip that shows a face, or another time of it.")
    track = follow(
        pictures(), where.face_box, where.face_index, where.threshold, "hold", on_picture, where.accept_any_face
    )
    if len(track.missed) == len(track.crops):
        raise FaceNotFound(f"No face was found in '{source}'. Give a clip that shows a face, or where it is.")
    points, controls = _read(pictures(), track, reader, on_picture)
    missed, n_frames = set(track.missed), len(track.crops)
    seen = np.array([i for i in range(n_frames) if i not in missed])
    tracks = {name: _bridged(values, seen, n_frames) for name, values in _tracks(points, controls).items()}
    whole = np.stack([_bridged(column, seen, n_frames) for column in controls.T], 1)
    return tracks, whole, (_said_of_missed(track),) if track.missed else ()


def _said_of_missed(track: Track) -> str:
    n_missed, first = len(track.missed), track.missed[0]
    where = f"frame {first}" if n_missed == 1 else f"frames from {first} on"
    return (
        f"{n_missed} of {len(track.crops)} frames ({where}) show no face that was found; the motion goes straight on "
        "from the last seen frame to the next."
    )


def _read(
    pictures: Iterable[np.ndarray],
    track: Track,
    reader: ReferenceReader,
    on_picture: OnPicture | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks [n, 468, 3] in pixels and controls [n, 28] of the n pictures in which the face was found."""
    missed, points, controls = set(track.missed), [], []
    faces: list[np.ndarray] = []
    for number, (picture, place) in enumerate(zip(pictures, track.crops, strict=False)):
        if number not in missed:
            assert isinstance(place, FaceCrop)
            points.append(read_landmarks(picture, [place])[0].points)
            faces.append(crop(picture, place, SIZE_PX))
        if len(faces) == BATCH:
            controls.append(read_controls(np.stack(faces), reader.vae).numpy())
            faces = []
        if on_picture is not None:
            on_picture(len(track.crops) + number + 1)
    if faces:
        controls.append(read_controls(np.stack(faces), reader.vae).numpy())
    return np.stack(points), np.concatenate(controls)


def _tracks(points: np.ndarray, controls: np.ndarray) -> dict[str, np.ndarray]:
    """Head, gaze and blinks of pictures one after the other, relative to how they are at rest: [n] each."""
    yaw, pitch = head_turn(points.astype(np.float64))
    left, right = (points[:, list(eye), :2].mean(1) for eye in (LEFT_EYE, RIGHT_EYE))
    roll = np.unwrap(np.arctan2(right[:, 1] - left[:, 1], right[:, 0] - left[:, 0]))
    angles = {"yaw": yaw, "pitch": pitch, "roll": roll}
    tracks = {name: np.degrees(values - np.median(values)).clip(-180, 180) for name, values in angles.items()}
    blink = closures(lid_closure(controls))
    return {**tracks, "gaze_x": gaze(controls[:, _GAZE_X], blink), "blink": blink}


def closures(read: np.ndarray) -> np.ndarray:
    """Closure of lids, 0 open .. 1 shut, of what the reader says of them [n].

    How far it reaches differs from face to face, but who blinks shuts the eyes.

    >>> closures(np.array([0.1, 0.1, 0.35, 0.6, 0.1, 0.1, 0.1])).round(2).tolist()
    [0.0, 0.0, 0.5, 1.0, 0.0, 0.0, 0.0]
    """
    above = read - np.median(read)
    is_in = np.concatenate([[False], above > LEAST_BLINK, [False]])
    edges = np.flatnonzero(np.diff(is_in.astype(int)))
    peaks = [above[start:stop].max() for start, stop in edges.reshape(-1, 2)]
    return (above / max(np.median(peaks) if peaks else 1.0, LEAST_BLINK)).clip(0.0, 1.0)


def gaze(read: np.ndarray, blink: np.ndarray) -> np.ndarray:
    """Gaze [n], -1 .. 1 from where the eyes rest, of what the reader says; shut eyes are bridged."""
    is_open = np.flatnonzero(blink < OPEN)
    if not len(is_open):
        return np.zeros(len(read))
    seen = np.interp(np.arange(len(read)), is_open, read[is_open])
    reach = np.pad(seen, GAZE_REACH, mode="edge")
    steady = np.median(np.lib.stride_tricks.sliding_window_view(reach, 2 * GAZE_REACH + 1), axis=1)
    return (GAZE_GAIN * (steady - np.median(steady))).clip(-1.0, 1.0)


@torch.inference_mode()
def expression_codes(controls: np.ndarray, fps: float, bank: EmotionBank) -> np.ndarray:
    """Emotion codes [T, 27] of controls [T, 28] that were read off a clip, by the bank, a second at a time."""
    n_frames, half = len(controls), max(1, round(WINDOW_S * fps / 2))
    centres = np.arange(0, n_frames, max(1, round(STEP_S * fps)))
    read = torch.from_numpy(np.asarray(controls, np.float32)).to(bank.keys.device)
    codes = [bank.read(read[max(0, c - half) : c + half + 1]).float().cpu().numpy() for c in centres]
    columns = np.stack(codes).T
    return np.stack([np.interp(np.arange(n_frames), centres, column) for column in columns], 1)


def _bridged(values: np.ndarray, seen: np.ndarray, n_frames: int) -> np.ndarray:
    """Values [n] of the frames `seen` as values of all frames, straight on between them."""
    return np.interp(np.arange(n_frames), seen, values)
