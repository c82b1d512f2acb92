"""Published data sets as they lie after download: what is there, what is missing, what is broken.

HDTF (Zhang et al. 2021): clips that its `download.py` names SUBSET_VIDEO_NNN.mp4, or that its README names VIDEO_N.mp4,
and the split files SUBSET_annotion_time.txt (so spelt) that say which clips there are. MEAD (Wang et al. 2020):
ACTOR/video/VIEW/EMOTION/level_N/NNN.mp4 with ACTOR/audio/EMOTION/level_N/NNN.m4a; neutral has one level.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import BadInput
from ..taxonomy import FIRST_EMOTIONS
from .stages.probe import probe
from .video_rules import BROKEN, NO_SOUND

HDTF_SUBSETS = ("RD", "WDA", "WRA")
HDTF_TOLERANCE_S = 1.5
"""Intervals are given in whole seconds, and clips are cut at key frames."""
MEAD_VIEWS = ("front", "left_30", "left_60", "right_30", "right_60", "top", "down")
MEAD_SOUNDS = (".m4a", ".wav", ".mp3", ".aac")
_ACTOR = re.compile(r"[MW]\d{3}")
_NUMBER = re.compile(r"\d{3}")
_SHOWN = 5

MISSING, UNPACKED, DAMAGED, SILENT, LENGTH, UNKNOWN = (
    "missing",
    "not unpacked",
    "broken",
    "no sound",
    "length",
    "unknown",
)
KINDS = {
    MISSING: "not there",
    UNPACKED: "still packed",
    DAMAGED: "cannot be read",
    SILENT: "without sound",
    LENGTH: "of another length than the split file says",
    UNKNOWN: "not of this data set",
}


@dataclass
class LayoutReport:
    """What a folder holds of a data set.

    n_clips   videos that are there and belong to it
    problems  by kind of `KINDS`: what, below the folder
    """

    name: str
    n_clips: int = 0
    problems: dict[str, list[str]] = field(default_factory=lambda: {kind: [] for kind in KINDS})

    @property
    def n_problems(self) -> int:
        """Of all kinds but files that do not belong to the data set, which do no harm."""
        return sum(len(found) for kind, found in self.problems.items() if kind != UNKNOWN)

    def add(self, kind: str, what: str) -> None:
        """Note a problem; once, where several views lack the same sound."""
        if what not in self.problems[kind]:
            self.problems[kind].append(what)

    def table(self) -> str:
        """As Markdown, with the first few of each kind."""
        lines = [f"{self.name}: {self.n_clips} clips are there.", "", "| what | number | such as |", "|---|---|---|"]
        for kind, text in KINDS.items():
            found = self.problems[kind]
            more = ", ..." if len(found) > _SHOWN else ""
            lines.append(f"| {text} | {len(found)} | {', '.join(found[:_SHOWN])}{more} |")
        return "\n".join(lines)


def check_hdtf(folder: Path, opens: bool = True, on_clip: Callable[[int], None] | None = None) -> LayoutReport:
    """What a folder holds of HDTF; split files lie in it, or in `HDTF_dataset` in it.

    opens    look into every clip, not at its name alone
    on_clip  called with the number of clips looked at
    Raises BadInput for what is no folder.
    """
    report = LayoutReport("HDTF")
    _check_folder(folder)
    known: set[Path] = set()
    for subset in HDTF_SUBSETS:
        split = _split_file(folder, subset)
        if split is None:
            report.add(MISSING, f"{subset}_annotion_time.txt")
            continue
        for video, number, seconds in _intervals(split):
            names = (f"{subset}_{video}_{number:03d}.mp4", f"{video}_{number}.mp4")
            path = next((folder / name for name in names if (folder / name).is_file()), None)
            if path is None:
                report.add(MISSING, names[0])
                continue
            known.add(path)
            _look(report, path, path.name, opens, on_clip, seconds)
    report.problems[UNKNOWN] = sorted(path.name for path in folder.glob("*.mp4") if path not in known)
    return report


def _split_file(folder: Path, subset: str) -> Path | None:
    name = f"{subset}_annotion_time.txt"
    return next((p for p in (folder / name, folder / "HDTF_dataset" / name) if p.is_file()), None)


def _intervals(split: Path) -> Iterator[tuple[str, int, float]]:
    """(video without suffix, number of the clip, seconds) of each interval of lines like `Radio11.mp4 00:30-01:00`."""
    for number, line in enumerate(split.read_text("utf-8", "replace").splitlines(), 1):
        name, *intervals = line.split() or [""]
        for i, interval in enumerate(intervals):
            try:
                first, last = (_seconds(time) for time in interval.split("-"))
            except ValueError as error:
                raise BadInput(
                    f"Line {number} of '{split}' has the interval '{interval}'; give 00:30-01:00."
                ) from error
            yield name.removesuffix(".mp4"), i, last - first


def _seconds(time: str) -> float:
    """
    >>> _seconds("01:35"), _seconds("1:00:05")
    (95.0, 3605.0)
    """
    total = 0.0
    for part in time.split(":"):
        total = 60 * total + float(part)
    return total


def check_mead(folder: Path, opens: bool = True, on_clip: Callable[[int], None] | None = None) -> LayoutReport:
    """What a folder of MEAD's actors holds; arguments as in `check_hdtf`. A view that an actor lacks is missing."""
    report = LayoutReport("MEAD")
    _check_folder(folder)
    actors = sorted(path for path in folder.iterdir() if path.is_dir() and _ACTOR.fullmatch(path.name))
    if not actors:
        report.add(MISSING, "actors, such as M003 or W009")
    report.problems[UNKNOWN] = sorted(
        p.name for p in folder.iterdir() if p not in actors and not p.name.startswith(".")
    )
    for actor in actors:
        for name in ("video", "audio"):
            if not (actor / name).is_dir():
                is_packed = (actor / f"{name}.tar").is_file()
                report.add(UNPACKED if is_packed else MISSING, f"{actor.name}/{name}{'.tar' if is_packed else ''}")
        for view in MEAD_VIEWS if (actor / "video").is_dir() else ():
            _check_view(report, actor, view, opens, on_clip)
    return report


def _check_view(
    report: LayoutReport, actor: Path, view: str, opens: bool, on_clip: Callable[[int], None] | None
) -> None:
    place = actor / "video" / view
    if not place.is_dir():
        report.add(MISSING, f"{actor.name}/video/{view}")
        return
    for emotion in FIRST_EMOTIONS:
        for level in (1,) if emotion == "neutral" else (1, 2, 3):
            inside = Path(emotion) / f"level_{level}"
            clips = sorted((place / inside).glob("*.mp4"))
            if not clips:
                report.add(MISSING, (place / inside).relative_to(actor.parent).as_posix())
            for number in _gaps(clips):
                report.add(MISSING, (place / inside / f"{number:03d}.mp4").relative_to(actor.parent).as_posix())
            for clip in clips:
                name = clip.relative_to(actor.parent).as_posix()
                if not _NUMBER.fullmatch(clip.stem):
                    report.add(UNKNOWN, name)
                    continue
                sounds = (actor / "audio" / inside / f"{clip.stem}{suffix}" for suffix in MEAD_SOUNDS)
                if (actor / "audio").is_dir() and not any(sound.is_file() for sound in sounds):
                    report.add(MISSING, f"{actor.name}/audio/{inside.as_posix()}/{clip.stem}.m4a")
                _look(report, clip, name, opens, on_clip)


def _gaps(clips: list[Path]) -> list[int]:
    """Numbers from 1 on that are left out before the last one.

    >>> _gaps([Path("002.mp4"), Path("004.mp4")])
    [1, 3]
    """
    numbers = {int(clip.stem) for clip in clips if _NUMBER.fullmatch(clip.stem)}
    return [number for number in range(1, max(numbers, default=0)) if number not in numbers]


def _look(
    report: LayoutReport,
    path: Path,
    name: str,
    opens: bool,
    on_clip: Callable[[int], None] | None,
    seconds: float | None = None,
) -> None:
    """Count a clip, and say what is wrong with it; MEAD's sound lies in files of its own as well."""
    report.n_clips += 1
    if on_clip is not None:
        on_clip(report.n_clips)
    if not opens:
        return
    found = probe(path)
    if found["reason"] == BROKEN:
        report.add(DAMAGED, name)
    elif found["reason"] == NO_SOUND:
        report.add(SILENT, name)
    elif seconds is not None and abs(found["sound_s"] - seconds) > HDTF_TOLERANCE_S:
        report.add(LENGTH, f"{name} ({found['sound_s']:.1f} s, not {seconds:.0f})")


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise BadInput(f"'{folder}' is no folder. Give the one that the data set was downloaded to.")


CHECKS = {"hdtf": check_hdtf, "mead": check_mead}
