"""The stages of a video in their order, each kept on disk as soon as it is done.

A row is what is known of a video or a clip: JSON values, small, so that engines pass rows and never pictures. What is
large lies in the work folder. Every stage is found again by the SHA-256 of the video and of the rules that it and those
before it depend on (`key`); a row with a `reason` passes the stages that follow untouched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..config import FPS
from ..corpus.shards import ClipRecord, decode_clip, encode_clip, encode_known, read_shards, write_shards
from ..errors import EADNetError, MediaError
from ..media.sound.audio import SAMPLES_PER_FRAME, fit_length
from ..media.video.files import read_video
from ..media.video.segments import file_hash
from .duplicates import perceptual_hash
from .stages.cuts import scene_starts
from .stages.face import follow_face
from .stages.mouth import LEAST_PX, mouth_seen
from .stages.probe import probe
from .stages.sharpness import blur
from .stages.signals import TRACKS, read_signals
from .stages.spans import clip_spans
from .stages.squares import cut_squares
from .stages.sync import score, shifted
from .store import Store, digest, measured
from .video_rules import BLURRED, BROKEN, COVERED, SHORT_SCENE, VideoRules

Row = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """What every stage is told: the rules, the work folder, and the SyncNet (file and SHA-256), or None."""

    rules: VideoRules
    folder: Path
    syncnet: Path | None = None
    syncnet_hash: str = ""

    @property
    def store(self) -> Store:
        return Store(self.folder / "state")


def clips_of(job: Job, row: Row) -> Iterator[Row]:
    """Stages 1 to 5: the clips of a video, `path` and `video` of the row; a video that is dropped is one row."""
    path, rules = Path(row["path"]), job.rules
    try:
        hashed = measured(lambda: file_hash(path))
        source, size = hashed["found"], path.stat().st_size
    except OSError as error:
        yield {**row, "reason": BROKEN, "said": str(error)}
        return
    costs = {"hash": {**hashed["cost"], "read_bytes": size}}
    row = _after(job, {**row, "sha256": source, "costs": costs}, "probe", "", lambda: probe(path))
    if row["reason"]:
        yield row
        return
    asked = repr(rules.cut_threshold if rules.has_cuts else None)
    scenes = _after(job, {"sha256": source, "costs": row["costs"]}, "cuts", asked, lambda: _scenes(path, rules))
    row = {**row, "costs": scenes.pop("costs")}
    if scenes.get("reason"):
        yield {**row, **scenes}
        return
    spans = clip_spans(scenes["starts"], scenes["n_frames"], rules.least_frames, rules.most_frames)
    stream, sound = _Frames(path), _Sound(path)
    for first, last, is_long in spans:
        clip = {**row, "first": first, "n_frames": last - first, "reason": "" if is_long else SHORT_SCENE}
        if is_long:
            clip["key"] = digest("face 1", source, str(first), str(last), *_values(rules, *_FACE))
            clip = _followed(job, clip, stream)
            clip = clip if clip["reason"] else _squared(job, clip, sound)
        yield clip
        row = {**row, "costs": {}}  # what the video cost is said once, by its first clip


def _after(job: Job, row: Row, stage: str, asked: str, make: Callable[[], Row], *, is_kept: bool = True) -> Row:
    """The row with what a stage found and what that cost, in this run or in an earlier one; see `place`."""
    found, cost = job.store.get(place(row, stage, asked), make, is_kept=is_kept)
    return {**row, **found, "costs": {**row["costs"], stage: cost}}


def place(row: Row, stage: str, asked: str) -> str:
    """Where a stage of a clip, or of a video that has no `key` yet, is kept.

    asked  what it depends on beside the video, the span and the rules for faces
    """
    return digest(f"{stage} 2", row["key"] if "key" in row else row["sha256"], asked)


_FACE = ("size_px", "most_missed", "most_step", "most_drift", "most_growth")


def _values(rules: VideoRules, *names: str) -> tuple[str, ...]:
    return tuple(repr(getattr(rules, name)) for name in names)


def _scenes(path: Path, rules: VideoRules) -> Row:
    """Starts of scenes and the number of frames; a reason where the video breaks on the way."""
    video = read_video(path, FPS)
    try:
        if not rules.has_cuts:
            return {"starts": [0], "n_frames": video.n_frames}
        starts, n_frames = scene_starts(video, rules.cut_threshold)
        return {"starts": starts, "n_frames": n_frames}
    except (EADNetError, OSError) as error:
        return {"reason": BROKEN, "said": str(error)}


class _Frames:
    """The frames of a video at 25 per second by their number, read forwards; opened again where one is past."""

    def __init__(self, path: Path) -> None:
        self._path, self._next = path, 0
        self._frames: Iterator[np.ndarray] = iter(())
        self._is_open = False

    def take(self, first: int, n_frames: int) -> Iterator[np.ndarray]:
        """Frames first .. first + n_frames, one at a time; MediaError where the video ends before."""
        if not self._is_open or first < self._next:
            self._frames, self._next, self._is_open = read_video(self._path, FPS).frames(first), first, True
        while self._next < first + n_frames:
            frame = next(self._frames, None)
            if frame is None:
                raise MediaError(f"'{self._path}' ends before frame {self._next}.")
            self._next += 1
            if self._next > first:
                yield frame


class _Sound:
    """The sound of a video, read when it is first needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._samples: np.ndarray | None = None

    def take(self, first: int, n_frames: int) -> np.ndarray:
        """[640 n_frames] float32 at 16 kHz, silence beyond the end."""
        if self._samples is None:
            self._samples = read_video(self._path).audio().samples
        return fit_length(self._samples[first * SAMPLES_PER_FRAME :], n_frames)


def _followed(job: Job, clip: Row, stream: _Frames) -> Row:
    """Stage 4, kept with the track; the row itself gets the figures alone."""
    frames = partial(stream.take, clip["first"], clip["n_frames"])
    found = _after(job, clip, "face", "", lambda: follow_face(frames(), job.rules))
    found.pop("track", None)
    return found


def _squared(job: Job, clip: Row, sound: _Sound) -> Row:
    """Stage 5, kept as a shard of one clip."""
    shard = clip_file(job, clip["key"])

    def make() -> Row:
        track = job.store.known(place(clip, "face", ""))["track"]
        stream = _Frames(Path(clip["path"]))
        frames = cut_squares(stream.take(clip["first"], clip["n_frames"]), track, job.rules.size_px)
        samples = sound.take(clip["first"], clip["n_frames"])
        record = ClipRecord(frames, frames[0], samples, {"track": np.array(track, np.float32)}, {})
        write_shards([("clip", encode_clip(record))], shard.parent)
        return {"written_bytes": shard.stat().st_size}

    done = _after(job, clip, "squares", "", make, is_kept=shard.is_file())
    done["costs"]["squares"] = {**done["costs"]["squares"], "written_bytes": done.pop("written_bytes")}
    return done


def clip_file(job: Job, key: str) -> Path:
    """Where the squares and the sound of a clip lie."""
    return job.folder / "clips" / key[:2] / key / "clips-000000.tar"


def read_squares(job: Job, row: Row) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Squares, sound and track of a clip, its offset taken back where it is known."""
    ((_, members),) = read_shards([clip_file(job, row["key"])])
    record = decode_clip(members)
    offset = row.get("offset", 0)
    frames, samples = shifted(record.frames, record.samples, offset)
    return frames, samples, shifted(record.tracks["track"], record.samples, offset)[0]


def mouth_stage(job: Job, row: Row) -> Row:
    """Stage 6."""
    if row["reason"]:
        return row
    found = _after(job, row, "mouth", f"{LEAST_PX}", lambda: {"mouth": round(mouth_seen(read_squares(job, row)[0]), 4)})
    return {**found, "reason": COVERED if found["mouth"] < job.rules.least_mouth else ""}


def sync_stage(job: Job, row: Row) -> Row:
    """Stage 7; nothing is asked where no SyncNet is named."""
    syncnet = job.syncnet
    if row["reason"] or syncnet is None:
        return row
    asked = repr((job.syncnet_hash, *_values(job.rules, "least_confidence", "most_offset")))
    return _after(job, row, "sync", asked, lambda: score(*read_squares(job, row)[:2], syncnet, job.rules))


def sharpness_stage(job: Job, row: Row) -> Row:
    """Stage 8, and the perceptual hash of the middle frame."""
    if row["reason"]:
        return row

    def measure() -> Row:
        frames = read_squares(job, row)[0]
        return {"blur": round(blur(frames), 4), "hash": f"{perceptual_hash(frames[len(frames) // 2]):016x}"}

    found = _after(job, row, "sharpness", _offset(row), measure)
    return {**found, "reason": BLURRED if found["blur"] > job.rules.most_blur else ""}


def _offset(row: Row) -> str:
    return str(row.get("offset", 0))


def signals_stage(job: Job, row: Row) -> Row:
    """Stage 9; the tracks stay on disk."""
    if row["reason"]:
        return row
    found = _after(job, row, "signals", _offset(row), lambda: read_signals(*read_squares(job, row)))
    return {name: value for name, value in found.items() if name not in TRACKS}


CLIP_STAGES: tuple[Callable[[Job, Row], Row], ...] = (mouth_stage, sync_stage, sharpness_stage, signals_stage)
"""What is done with each clip by itself, in this order."""


def rows_of(job: Job, row: Row) -> list[Row]:
    """All stages of a video, one after the other: what a process of the local engine does."""
    rows = []
    for clip in clips_of(job, row):
        for stage in CLIP_STAGES:
            clip = stage(job, clip)
        rows.append(clip)
    return rows


def finished_clip(job: Job, row: Row) -> dict[str, bytes]:
    """A clip as it goes into a shard: squares, sound, the tracks of stage 9, and what is known in JSON.

    Where no offset is taken back the pictures' bytes are taken as they lie, which is a hundredth of the work.
    """
    kept = job.store.known(place(row, "signals", _offset(row)))
    tracks = {name: np.array(kept[name], np.float32) for name in TRACKS}
    known = {name: value for name, value in row.items() if name not in ("path", "reason", "said")}
    if row.get("offset", 0) == 0:
        ((_, members),) = read_shards([clip_file(job, row["key"])])
        return {**members, **encode_known(tracks, {**known, "n_frames": row["n_frames"]})}
    frames, samples, _ = read_squares(job, row)
    return encode_clip(ClipRecord(frames, frames[0], samples, tracks, known))
