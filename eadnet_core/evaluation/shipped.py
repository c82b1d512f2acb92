"""Held-out clips that ship with the package: what `eadnet evaluate` runs on where the anatomy is not at hand.

They are those that `heldout.draw_clips` draws for seed `SEED` at 256 px, and the same reduced to 128. A group is one
video of high quality, its reference picture first and then its clips one after the other, and one FLAC of its voice;
`clips.json` and `truth.npz` hold the rest. `eadnet corpus heldout FOLDER` writes the folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ..config import FPS, SAMPLE_RATE_HZ
from ..errors import BadInput
from ..heads.anatomy import DEFAULT_FOLDER, FOLDER_VARIABLE
from ..metrics.compare import Truth
from ..paths import shown
from ..taxonomy import MOTION
from ..weights.folders import ASSETS
from .heldout import Case, Clip, draw_cases, draw_clips

SEED = 0
SIZE_PX = 256
FOLDER = ASSETS / "heldout"
QUALITY = {"crf": "24", "preset": "veryslow"}
"""x264's options: 75 kB a clip."""
_TRACKS = {"motion": np.float32, "mouth_opening": np.float32, "controls": np.float16, "reference_controls": np.float16}
_LIST, _TRUTH = "clips.json", "truth.npz"


def has_anatomy(heads: Path | None = None) -> bool:
    """Whether heads can be drawn: the anatomy is named, or lies where `eadnet download heads` puts it."""
    return heads is not None or bool(os.environ.get(FOLDER_VARIABLE)) or DEFAULT_FOLDER.is_dir()


def open_clips(
    groups: Sequence[Sequence[Case]], seed: int, size_px: int, heads: Path | None = None
) -> Iterator[list[Clip]]:
    """The clips of one group after the other: drawn where the anatomy is at hand, else those that ship.

    Raises BadInput as `heldout.draw_clips`, and for clips that neither can be drawn nor are shipped.
    """
    if has_anatomy(heads):
        return draw_clips(groups, seed, size_px, heads)
    check_shipped(groups, seed)
    return read_shipped(groups, size_px, FOLDER)


def check_shipped(groups: Sequence[Sequence[Case]], seed: int, folder: Path | None = None) -> None:
    """Raise BadInput that says what to do where some clips are not among those in `folder` (default: `FOLDER`)."""
    known = {case for group in _listed(folder or FOLDER) for case in group["cases"]}
    if seed != SEED or any(case not in known for group in groups for case in group):
        n_main = sum(case.is_main for case in known)
        raise BadInput(
            f"These held-out clips must be drawn, and the anatomy of the heads is not at hand: what ships is {n_main} "
            f"clips of seed {SEED} with neutral portraits. Ask for those (--clips {n_main} --seed {SEED}), or get the "
            f"anatomy with `eadnet download heads`, or name it: --heads FOLDER, or {FOLDER_VARIABLE}."
        )


def write_shipped(
    folder: Path, clips: int, heads: Path | None = None, on_clip: Callable[[int, int], None] | None = None
) -> None:
    """Draw the clips of seed `SEED` and write them into `folder`. Raises BadInput as `heldout.draw_clips`."""
    folder.mkdir(parents=True, exist_ok=True)
    groups = draw_cases(clips, SEED)
    total, done = sum(map(len, groups)), 0
    listed: list[dict[str, Any]] = []
    tracks: dict[str, list[np.ndarray]] = {name: [] for name in _TRACKS}
    for number, drawn in enumerate(draw_clips(groups, SEED, SIZE_PX, heads)):
        _write_media(folder, number, drawn)
        people = {"tone": drawn[0].tone, "sex": drawn[0].sex, "age": drawn[0].age}
        listed.append({**people, "clips": [{**asdict(clip.case), "prompt": clip.prompt} for clip in drawn]})
        for clip in drawn:
            for name in ("motion", "controls", "reference_controls"):
                tracks[name].append(getattr(clip, name))
            tracks["mouth_opening"].append(clip.truth.mouth_opening)
        done += len(drawn)
        if on_clip is not None:
            on_clip(done, total)
    arrays = {name: np.stack(values).astype(_TRACKS[name]) for name, values in tracks.items()}
    np.savez_compressed(folder / _TRUTH, **arrays)  # type: ignore[arg-type]
    (folder / _LIST).write_text(json.dumps(listed, indent=1), encoding="utf-8")


def _media(folder: Path, number: int) -> tuple[Path, Path]:
    return folder / f"{number:02d}.mp4", folder / f"{number:02d}.flac"


def _write_media(folder: Path, number: int, clips: Sequence[Clip]) -> None:
    import soundfile

    from ..media.video.pyav_writer import PyAVEncoder

    video, sound = _media(folder, number)
    soundfile.write(sound, clips[0].truth.samples, SAMPLE_RATE_HZ, subtype="PCM_16")
    encoder = PyAVEncoder(video, (SIZE_PX, SIZE_PX), Fraction(FPS), None, {}, False, QUALITY)
    for frame in (clips[0].truth.reference, *(frame for clip in clips for frame in clip.truth.frames)):
        encoder.encode(frame)
    encoder.finish()


def _listed(folder: Path) -> list[dict[str, Any]]:
    """The groups, each with its cases as `Case`; raises BadInput where they are missing."""
    try:
        groups = json.loads((folder / _LIST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(
            f"'{shown(folder)}' holds no held-out clips ({error}). Install the package again, or get the anatomy with "
            "`eadnet download heads`, with which fresh ones are drawn."
        ) from error
    for group in groups:
        group["prompts"] = [clip.pop("prompt") for clip in group["clips"]]
        group["cases"] = [Case(**clip) for clip in group.pop("clips")]
    return groups


def read_shipped(groups: Sequence[Sequence[Case]], size_px: int, folder: Path = FOLDER) -> Iterator[list[Clip]]:
    """The clips of one group after the other, from files; all cases are among those in `folder` (`check_shipped`)."""
    listed = _listed(folder)
    with np.load(folder / _TRUTH) as arrays:
        tracks = {name: arrays[name].astype(np.float32) for name in _TRACKS}
    first, places = 0, {}
    for number, group in enumerate(listed):
        places.update({case: (number, first + i, i) for i, case in enumerate(group["cases"])})
        first += len(group["cases"])
    for cases in groups:
        whole: dict[int, list[Clip]] = {}
        found = []
        for case in cases:
            number, row, i = places[case]
            if number not in whole:
                start = row - i
                rows = {name: values[start : start + len(listed[number]["cases"])] for name, values in tracks.items()}
                whole[number] = _read_group(listed[number], rows, folder, number, size_px)
            found.append(whole[number][i])
        yield found


def _read_group(
    group: dict[str, Any], tracks: dict[str, np.ndarray], folder: Path, number: int, size_px: int
) -> list[Clip]:
    from ..media.sound.audio import read_audio
    from ..media.video.files import read_video

    video, sound = _media(folder, number)
    samples = read_audio(sound).samples
    frames = _reduced(np.stack(list(read_video(video))), size_px)
    reference, frames, clips = frames[0], frames[1:], []
    for i, case in enumerate(group["cases"]):
        motion = tracks["motion"][i]
        truth = Truth(
            frames=frames[i * case.n_frames : (i + 1) * case.n_frames],
            reference=reference,
            samples=samples,
            mouth_opening=tracks["mouth_opening"][i],
            blink=motion[:, MOTION.index("blink")],
            yaw=motion[:, MOTION.index("yaw")],
            emotion=case.emotion,
        )
        controls = tracks["controls"][i], tracks["reference_controls"][i]
        people = group["tone"], group["sex"], group["age"]
        clips.append(Clip(case, truth, group["prompts"][i], motion, *controls, *people))
    return clips


def _reduced(frames: np.ndarray, size_px: int) -> np.ndarray:
    """Frames [T, H, W, 3] at a size that divides theirs, by means."""
    factor = frames.shape[1] // size_px
    if factor * size_px != frames.shape[1]:
        raise BadInput(f"The shipped held-out clips are {frames.shape[1]} px wide and cannot be shown at {size_px} px.")
    if factor == 1:
        return frames
    means = frames.reshape(len(frames), size_px, factor, size_px, factor, 3).mean((2, 4), dtype=np.float32)
    return (means + 0.5).astype(np.uint8)
