"""The figures of bench/ablation.py as the results section of docs/results.md: tables, and a sentence for every claim.

What is said of a claim follows from a rule that was written down before the runs (`verdict`), never from a reading of
the table.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from eadnet_core.errors import BadInput

Figures = Mapping[str, float | None]
"""One run's scores by name; None where there is nothing to measure."""
BEGIN, END = "<!-- results: written by bench/ablation.py -->", "<!-- end of results -->"
STANDARD_ERRORS = 2.0
"""A difference that is smaller than so many standard errors of its mean over the seeds is too small to tell."""


class Column(NamedTuple):
    """One figure of the table."""

    title: str
    digits: int
    badness: Callable[[float], float] | None = None
    """Distance from the best value; None for what is stated and not judged."""
    sense: str = ""


def _less(value: float) -> float:
    return value


def _more(value: float) -> float:
    return -value


def _near_one(value: float) -> float:
    return abs(math.log(value)) if value > 0 else math.inf


class Claim(NamedTuple):
    """What the paper says of one part, and the figures that would show it."""

    text: str
    without: str
    """Name of the row that lacks the part."""
    figures: tuple[str, ...]


class Table(NamedTuple):
    """One side of the results: its columns by the name of the figure, and what is claimed."""

    columns: Mapping[str, Column]
    claims: tuple[Claim, ...]


_LIPS = ("viseme_correlation", "opening_correlation")
DENOISER = Table(
    columns={
        "viseme_correlation": Column("viseme correlation", 3, _more, "higher"),
        "opening_correlation": Column("lip parting correlation", 3, _more, "higher"),
        "lip_amplitude": Column("lip amplitude", 2, _near_one, "near 1"),
        "offset_error": Column("offset, frames", 2, _less, "lower"),
        "emotion_accuracy": Column("emotion accuracy", 2, _more, "higher"),
        "units_error": Column("action units error", 3, _less, "lower"),
        "intensity_error": Column("intensity error", 3, _less, "lower"),
        "motion_ratio": Column("motion ratio", 2, _near_one, "near 1"),
        "jitter_ratio": Column("jitter ratio", 2, _near_one, "near 1"),
        "step_s": Column("training step, s", 2),
        "sampling_s": Column("CPU s per s of video", 2),
    },
    claims=(
        Claim("SyncNet supervision makes the lips follow the voice", "no_syncnet", _LIPS),
        Claim("SyncNet guidance while sampling does so too", "no_guidance", _LIPS),
        Claim("Both uses of the SyncNet together do so", "no_syncnet_at_all", _LIPS),
        Claim("TREPA makes motion temporally consistent", "no_trepa", ("jitter_ratio", "motion_ratio")),
        Claim(
            "STDA captures motion better than plain temporal attention",
            "no_stda",
            ("viseme_correlation", "jitter_ratio", "units_error"),
        ),
        Claim("TFRM makes frames cohere", "no_tfrm", ("jitter_ratio", "units_error")),
        Claim(
            "A caption says more of an emotion than its label",
            "label",
            ("emotion_accuracy", "units_error", "intensity_error"),
        ),
    ),
)
"""The paper is known to us by its abstract; each claim is our wording of what that says."""
PICTURE = Table(
    columns={
        "psnr": Column("PSNR, dB", 2, _more, "higher"),
        "psnr_mouth": Column("PSNR mouth, dB", 2, _more, "higher"),
        "psnr_eyes": Column("PSNR eyes, dB", 2, _more, "higher"),
        "flow_mouth_px": Column("flow error mouth, px", 2, _less, "lower"),
        "sharp_mouth": Column("sharpness mouth", 2, _near_one, "near 1"),
        "controls_correlation": Column("correlation of what is read", 3, _more, "higher"),
        "step_s": Column("training step, s", 2),
    },
    claims=(
        Claim("Alignment by landmarks helps", "not_aligned", ("controls_correlation", "psnr_mouth", "psnr_eyes")),
        Claim("A flow that is taught moves a face better", "no_flow", ("flow_mouth_px", "psnr_mouth", "psnr_eyes")),
        Claim("Light brings frames nearer to the ground truth", "no_light", ("psnr", "psnr_mouth", "psnr_eyes")),
        Claim(
            "Paint shows what the reference does not have",
            "no_paint",
            ("psnr_mouth", "psnr_eyes", "sharp_mouth"),
        ),
    ),
)
"""The claims of ADR 23."""


class Difference(NamedTuple):
    """By how much the full model's figure is nearer to the best than that of a model without a part, seed by seed."""

    gains: tuple[float, ...]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.gains)

    @property
    def error(self) -> float:
        """Standard error of the mean; infinite for a single seed."""
        return statistics.stdev(self.gains) / math.sqrt(len(self.gains)) if len(self.gains) > 1 else math.inf


def verdict(difference: Difference) -> str:
    """ "supported" or "not supported" where all seeds agree and the mean is beyond `STANDARD_ERRORS`.

    >>> verdict(Difference((0.10, 0.11, 0.12))), verdict(Difference((-0.10, -0.11, -0.12)))
    ('supported', 'not supported: the model without it is better')
    >>> verdict(Difference((0.10, 0.11, -0.01))), verdict(Difference((0.1,)))
    ('too small to tell here', 'too small to tell here')
    """
    mean = difference.mean
    agree = len({gain > 0 for gain in difference.gains}) == 1 and 0 not in difference.gains
    if not agree or abs(mean) < STANDARD_ERRORS * difference.error:
        return "too small to tell here"
    return "supported" if mean > 0 else "not supported: the model without it is better"


def compare(
    column: Column, full: Mapping[int, Figures], without: Mapping[int, Figures], figure: str
) -> Difference | None:
    """The gains of the seeds that both have; None where there is none."""
    badness = column.badness
    assert badness is not None, figure
    gains = []
    for seed in sorted(full.keys() & without.keys()):
        a, b = full[seed].get(figure), without[seed].get(figure)
        if a is not None and b is not None:
            gains.append(badness(b) - badness(a))
    return Difference(tuple(gains)) if gains else None


def claim_lines(table: Table, runs: Mapping[str, Mapping[int, Figures]]) -> list[str]:
    """A sentence for each claim whose runs are there."""
    lines = []
    for claim in table.claims:
        found = []
        for figure in claim.figures:
            column = table.columns[figure]
            difference = compare(column, runs.get("full", {}), runs.get(claim.without, {}), figure)
            if difference is not None:
                shown = ", ".join(f"{gain:+.3f}" for gain in difference.gains)
                found.append(f"{verdict(difference)} by {column.title} (gain by seed {shown})")
        if found:
            lines.append(f"- **{claim.text}:** {'; '.join(found)}.")
    return lines


def table_lines(
    table: Table, titles: Mapping[str, str], runs: Mapping[str, Mapping[int, Figures]], beside: Mapping[str, Figures]
) -> list[str]:
    """A markdown table: a row for every version, mean +- standard deviation over the seeds, and for all of `beside`."""
    heads = [f"{c.title} ({c.sense})" if c.sense else c.title for c in table.columns.values()]
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads)]
    for name, title in titles.items():
        if runs.get(name):
            cells = [_spread([by[key] for by in runs[name].values() if by.get(key) is not None], c.digits)
                     for key, c in table.columns.items()]  # fmt: skip
            lines.append(f"| {title} | " + " | ".join(cells) + " |")
    for title, figures in beside.items():
        cells = [
            _spread([figures[key]] if figures.get(key) is not None else [], c.digits)
            for key, c in table.columns.items()
        ]
        lines.append(f"| *{title}* | " + " | ".join(cells) + " |")
    return lines


def _spread(values: Sequence[float | None], digits: int) -> str:
    """Mean, with the standard deviation where there are several."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    mean = f"{statistics.fmean(known):.{digits}f}"
    return f"{mean} ± {statistics.stdev(known):.{digits}f}" if len(known) > 1 else mean


def around(page: Path) -> tuple[str, str]:
    """A page's text before and after its results. Raises BadInput where the lines that mark them are missing."""
    head, begin, rest = (page.read_text(encoding="utf-8") if page.is_file() else "").partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise BadInput(f"'{page}' is no page with the lines '{BEGIN}' and '{END}': put both where the table belongs.")
    return head, tail


def write_between(page: Path, lines: Sequence[str]) -> None:
    """Put lines in place of a page's results."""
    head, tail = around(page)
    page.write_text(head + "\n".join([BEGIN, "", *lines, "", END]) + tail, encoding="utf-8")
