"""The datasheet of curated clips: counts, hours, what was dropped and why, and how the figures are spread."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from ..config import FPS
from ..metrics.plot import ACCENT, INK, LINE, SOFT_INK, Page
from .video_rules import OF_VIDEOS, REASONS

KEPT = "kept"
SPREAD = {
    "side_px": "side of the face's frame (px)",
    "confidence": "lip sync, LSE-C",
    "offset": "offset taken back (frames)",
    "blur": "blur",
    "intensity": "intensity of the emotion, estimated",
    "n_blinks": "blinks in a clip",
}
"""What is drawn as histograms, of the clips that stay."""
_BINS = 12
SHOWN, _SHOWN_PX, _ROW = 36, 82, 12
"""Pictures of the contact sheet, their side, and how many stand in a row."""


@dataclass
class Datasheet:
    """What became of the clips.

    rules   the thresholds, and the SHA-256 of the SyncNet
    engine  what ran the stages
    counts  clips by reason, and "kept"; videos by the reasons of `OF_VIDEOS`
    """

    rules: dict[str, Any]
    engine: str
    counts: Counter[str] = field(default_factory=Counter)
    emotions: Counter[str] = field(default_factory=Counter)
    videos: set[str] = field(default_factory=set)
    n_frames: int = 0
    shown: list[Image.Image] = field(default_factory=list)
    """The first pictures of the first `SHOWN` clips that stay, small."""
    values: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in SPREAD})

    def count(self, row: Mapping[str, Any]) -> None:
        """Take a row of the manifest in."""
        self.counts[row["reason"] or KEPT] += 1
        if row["reason"]:
            return
        self.videos.add(row["video"])
        self.n_frames += row["n_frames"] - abs(row.get("offset", 0))
        self.emotions[row["emotion"]] += 1
        for name, values in self.values.items():
            if row.get(name) is not None:
                values.append(float(row[name]))

    def show(self, picture: bytes) -> None:
        """Keep a picture for the contact sheet, a file's bytes, where there is room."""
        if len(self.shown) < SHOWN:
            with Image.open(io.BytesIO(picture)) as opened:
                self.shown.append(opened.convert("RGB").resize((_SHOWN_PX, _SHOWN_PX)))

    def funnel(self) -> list[tuple[str, int, int]]:
        """(reason in words, dropped, left) of each stage; what is left begins with all clips and broken videos."""
        left = sum(self.counts.values())
        found = []
        for reason, text in REASONS.items():
            left -= self.counts[reason]
            found.append((text, self.counts[reason], left))
        return found

    def table(self) -> str:
        """The funnel as Markdown."""
        lines = ["| dropped because | clips | left |", "|---|---|---|", f"| | | {sum(self.counts.values())} |"]
        lines += [f"| {text} | {dropped} | {left} |" for text, dropped, left in self.funnel()]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """JSON values; histograms as counts between edges."""
        spread = {}
        for name, values in self.values.items():
            if values:
                counts, edges = np.histogram(values, _BINS)
                spread[name] = {"counts": counts.tolist(), "edges": np.round(edges, 4).tolist()}
        return {
            "clips": self.counts[KEPT],
            "hours": round(self.n_frames / FPS / 3600, 4),
            "videos": len(self.videos),
            "dropped": {reason: self.counts[reason] for reason in REASONS},
            "dropped_videos": sum(self.counts[reason] for reason in OF_VIDEOS),
            "emotions_estimated": dict(sorted(self.emotions.items())),
            "histograms": spread,
            "rules": self.rules,
            "engine": self.engine,
            "estimates": "emotion, intensity, blinks, gaze and action units are read by the shipped reader of controls",
        }


WIDTH, _BAR, _TOP = 1100, 24, 90


def draw_datasheet(sheet: Datasheet) -> Image.Image:
    """The funnel of the stages, below it the histograms, and a contact sheet."""
    funnel = [("all", 0, sum(sheet.counts.values())), *sheet.funnel()]
    rows = -(-len(SPREAD) // 3)
    sheet_rows = -(-len(sheet.shown) // _ROW)
    bottom = _TOP + _BAR * len(funnel) + 40 + rows * 190
    page = Page(WIDTH, bottom + sheet_rows * (_SHOWN_PX + 4) + 30 * bool(sheet_rows))
    minutes = sheet.n_frames / FPS / 60
    lasting = f"{minutes / 60:.2f} h" if minutes >= 60 else f"{minutes:.1f} min"
    page.text(40, 24, f"{sheet.counts[KEPT]} clips, {lasting}, from {len(sheet.videos)} videos", 22)
    page.text(
        40, 56, f"Run by {sheet.engine}. A bar is what is left after a stage; red is what it dropped.", 14, SOFT_INK
    )
    most, x0, x1 = max(1, funnel[0][2]), 330, 980
    for number, (text, dropped, left) in enumerate(funnel):
        y = _TOP + number * _BAR
        page.text(x0 - 12, y + _BAR / 2, text, 14, INK, "rm")
        middle = x0 + (x1 - x0) * left / most
        _box(page, x0, y + 3, middle, y + _BAR - 3, LINE)
        _box(page, middle, y + 3, middle + (x1 - x0) * dropped / most, y + _BAR - 3, ACCENT)
        said = f"{left}" if not dropped else f"{left}  (-{dropped})"
        page.text(x1 + 12, y + _BAR / 2, said, 14, SOFT_INK, "lm")
    top = _TOP + _BAR * len(funnel) + 30
    for number, (name, text) in enumerate(SPREAD.items()):
        _histogram(page, 50 + number % 3 * 350, top + number // 3 * 190, text, sheet.values[name])
    if sheet.shown:
        page.text(50, bottom - 4, f"the first {len(sheet.shown)} clips that stay", 14)
    picture = page.finish()
    for number, face in enumerate(sheet.shown):
        place = (50 + number % _ROW * (_SHOWN_PX + 4), bottom + 20 + number // _ROW * (_SHOWN_PX + 4))
        picture.paste(face, place)
    return picture


def _box(page: Page, x0: float, y0: float, x1: float, y1: float, color: tuple[int, int, int]) -> None:
    if x1 > x0:
        page.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], color)


def _histogram(page: Page, x: float, y: float, text: str, values: list[float]) -> None:
    page.text(x, y, text, 14)
    if not values:
        page.text(x, y + 60, "not measured", 14, SOFT_INK)
        return
    counts, edges = np.histogram(values, _BINS)
    bottom, step = y + 130, 290 / _BINS
    for i, count in enumerate(counts):
        height = 95 * count / counts.max()
        _box(page, x + i * step, bottom - height, x + (i + 0.9) * step, bottom, LINE)
    page.line([(x, bottom), (x + 290, bottom)], SOFT_INK, 1)
    page.text(x, bottom + 6, f"{edges[0]:.3g}", 12, SOFT_INK)
    page.text(x + 290, bottom + 6, f"{edges[-1]:.3g}", 12, SOFT_INK, "rt")
