"""Many videos from one manifest: what is done is skipped, what fails is told and left, what was begun goes on.

A folder holds all that a run needs to know: for each row NAME.mp4 and its record NAME.json; batch.json is the report.
A record belongs to one row alone and is replaced in one step.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from ..config import FPS
from ..errors import BadInput, Cancelled, EADNetError
from ..families.family import Model
from ..media.sound.audio import read_audio
from ..media.video.files import check_writable
from ..media.video.lock import check_free, held_folder
from ..media.video.parts import part_output
from ..media.video.segments import LOCK, file_hash, segment_folder, whole
from ..paths import is_disk_full, write_failure
from ..request import Cancel, Progress
from .output import write_part, write_video
from .pipeline import prepare
from .recipe import weights_hash
from .rows import RESERVED, Row

log = logging.getLogger(__name__)

FORMAT, VERSION = "eadnet-batch", 1
MADE, KEPT, FAILED, OPEN = "made", "kept", "failed", "open"
"""What became of a row: made now, made by an earlier run, ended by an error, not begun or not finished."""
TABLE_ROWS = 20
ORPHAN_S, _PAUSE_S = 30.0, 0.2
"""How long a row waits for a process of an earlier run, which Ray ends some seconds after its driver."""
_SHOWN_PROBLEMS = 5
_OF_A_ROW = (EADNetError, OSError, RuntimeError, ValueError, MemoryError)
"""What ends a row alone, but for a full disk."""

Part = range
"""Numbers of the segments of a video that one process makes."""

OnRow = Callable[[int, int, Row, Progress], None]
"""(rows before this one, rows to make, the row, where it stands)"""


@dataclass
class Outcome:
    """What became of one row."""

    row: int
    name: str
    status: str = OPEN
    n_frames: int = 0
    seconds: float = 0.0
    """Wall time of this run."""
    error: str = ""
    notes: list[str] = field(default_factory=list)


@dataclass
class BatchReport:
    """What became of all rows, in their order; filled while the batch runs."""

    model: str
    outcomes: list[Outcome]

    @property
    def counts(self) -> dict[str, int]:
        """Rows by what became of them."""
        found = Counter(outcome.status for outcome in self.outcomes)
        return {status: found[status] for status in (MADE, KEPT, FAILED, OPEN)}

    @property
    def seconds_per_minute(self) -> float | None:
        """Seconds of a device for each minute of video that was made in this run; None where none was."""
        made = [outcome for outcome in self.outcomes if outcome.status == MADE]
        n_frames = sum(outcome.n_frames for outcome in made)
        return 60 * FPS * sum(outcome.seconds for outcome in made) / n_frames if n_frames else None

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        rows = [asdict(outcome) for outcome in self.outcomes]
        head = {"format": FORMAT, "version": VERSION, "model": self.model, "counts": self.counts}
        return {**head, "seconds_per_minute": self.seconds_per_minute, "rows": rows}

    def table(self) -> str:
        """At most TABLE_ROWS rows, failed ones first, under the counts."""
        shown = sorted(self.outcomes, key=lambda o: (o.status != FAILED, o.status != MADE))[:TABLE_ROWS]
        lines = [", ".join(f"{n} {status}" for status, n in self.counts.items() if n)]
        width = max((len(o.name) for o in shown), default=0)
        for o in shown:
            said = o.error or (f"{o.n_frames} frames in {o.seconds:.1f} s" if o.status == MADE else "")
            lines.append(f"row {o.row:<5} {o.name:<{width}}  {o.status:<6}  {said}".rstrip())
        left = len(self.outcomes) - len(shown)
        lines += [f"and {left} more, in {RESERVED}.json"] if left else []
        if (cost := self.seconds_per_minute) is not None:
            lines.append(f"{cost:.1f} s of work for each minute of video")
        return "\n".join(lines)


def run_batch(
    rows: Sequence[Row],
    folder: Path,
    model: Callable[[], Model],
    weights: Path,
    *,
    overwrite: bool = False,
    dry_run: bool = False,
    on_progress: OnRow | None = None,
    cancel: Cancel | None = None,
    has_settings: bool = True,
) -> BatchReport:
    """Make the videos of a manifest in `folder`: those of a higher priority first, else in order.

    A row is done where its record has the hash of its portrait, voice, words, options and weights, and of its video.

    model         called before each row that is made; it should load once
    weights       the folder of that model's weight files
    overwrite     allows to replace videos that no batch made
    dry_run       only say which rows are open
    has_settings  let videos say what they were made with
    Raises BadInput before any work for outputs that are in the way, CheckpointError, Cancelled, and MediaError for a
    full disk. Any other error ends its row alone.
    """
    with open_batch(rows, folder, weights, overwrite) as (batch, report, todo):
        if dry_run:
            return report
        batch.tidy(report)
        write_report(folder, report)
        for i, (row, outcome) in enumerate(todo):
            opened = model()
            step = _step(on_progress, i, len(todo), row)
            batch.finish(row, outcome, opened, step, cancel, has_settings)
            write_report(folder, report)
        return report


@contextlib.contextmanager
def open_batch(
    rows: Sequence[Row], folder: Path, weights: Path, overwrite: bool = False
) -> Iterator[tuple[Batch, BatchReport, list[tuple[Row, Outcome]]]]:
    """The folder of a batch, held inside the block: the batch, its report, and the open rows by their priority.

    Raises BadInput while another batch works there, and for outputs that are in the way.
    """
    with held_folder(folder, f".{RESERVED}.lock"):
        batch = Batch(rows, folder, weights, overwrite)
        report = BatchReport(weights.name, [Outcome(row.number, row.name) for row in rows])
        todo = []
        for row, outcome in zip(rows, report.outcomes, strict=True):
            if batch.is_done(row):
                outcome.status = KEPT
            else:
                todo.append((row, outcome))
        todo.sort(key=lambda one: -one[0].priority)
        yield batch, report, todo


def write_report(folder: Path, report: BatchReport) -> None:
    """Replace the report in a batch's folder."""
    _write(folder / f"{RESERVED}.json", report.to_dict())


class Batch:
    """The rows, their hashes, and what a folder has of them."""

    def __init__(self, rows: Sequence[Row], folder: Path, weights: Path, overwrite: bool) -> None:
        """Raises BadInput for videos and segments that no batch made."""
        self.rows, self.folder = rows, folder
        hashed, model = cache(file_hash), weights_hash(weights)
        self._keys = {row.name: _key(row, model, hashed) for row in rows}
        problems = [said for row in rows if (said := self._in_the_way(row, overwrite))]
        if problems:
            more = [f"{len(problems) - _SHOWN_PROBLEMS} more rows."] if len(problems) > _SHOWN_PROBLEMS else []
            raise BadInput("\n".join(["Nothing was begun.", *problems[:_SHOWN_PROBLEMS], *more]))

    def video(self, row: Row) -> Path:
        """Where the video of a row belongs."""
        return self.folder / f"{row.name}.{'mov' if row.options.background == 'transparent' else 'mp4'}"

    def is_done(self, row: Row) -> bool:
        """Whether the video is there, whole, and made of what the row says."""
        record = self._record(row)
        is_made = record.get("key") == self._keys[row.name] and "video_sha256" in record
        return is_made and file_hash(self.video(row)) == record["video_sha256"]

    def tidy(self, report: BatchReport) -> None:
        """Remove the segments of videos that are done: a run that is killed as it ends a row leaves them."""
        for row, outcome in zip(self.rows, report.outcomes, strict=True):
            if outcome.status == KEPT:
                _discard(self.video(row))

    def finish(
        self,
        row: Row,
        outcome: Outcome,
        model: Model,
        on_progress: Callable[[Progress], None] | None = None,
        cancel: Cancel | None = None,
        has_settings: bool = True,
    ) -> None:
        """Make the video of a row and say in `outcome` what became of it; raises what must end the whole batch."""
        begun = time.perf_counter()
        if self._waited(row, self.video(row)) and self.is_done(row):
            outcome.status = KEPT
            return
        try:
            made = self.make(row, model, on_progress, cancel, has_settings)
        except Cancelled:
            raise
        except _OF_A_ROW as error:
            if _ends_all(error):
                raise
            outcome.status, outcome.error = FAILED, _said(error)
            log.debug("row %d failed", row.number, exc_info=True)
        else:
            outcome.status, outcome.n_frames, outcome.notes = MADE, made.n_frames, made.notes
        outcome.seconds = round(time.perf_counter() - begun, 2)

    def make(
        self,
        row: Row,
        model: Model,
        on_progress: Callable[[Progress], None] | None,
        cancel: Cancel | None,
        has_settings: bool,
    ) -> Any:
        """Make one video, or finish it; returns its GenerationReport."""
        video, key = self.video(row), self._keys[row.name]
        begun = {"key": key, "device": model.device.type, "dtype": str(model.dtype).removeprefix("torch.")}
        record = self._record(row)
        if {name: record.get(name) for name in begun} != begun:
            _discard(video)  # segments of other inputs
        values = {"format": FORMAT, "version": VERSION, "row": row.number, **begun}
        _write(video.with_name(f"{row.name}.json"), values)
        generation = prepare(
            row.portrait, row.voice, row.words, row.options, model=model, output=video, overwrite=True, resume=True
        )
        run: dict[str, Any] = {"on_progress": on_progress, "cancel": cancel, "has_settings": has_settings}
        # Segments stay until the record names the video: a run that is killed in between joins them again.
        write_video(generation, video, overwrite=True, resume=True, keep_segments=True, **run)
        values |= {"video_sha256": file_hash(video), "report": generation.report.to_dict()}
        _write(video.with_name(f"{row.name}.json"), values)
        _discard(video)
        return generation.report

    def make_part(self, row: Row, part: Part, model: Model, cancel: Cancel | None = None) -> float:
        """Make some segments of a row's video, for `finish` to take in; returns the seconds that it took.

        What ends the row ends this part, and is left to `finish` to say. Raises what must end the whole batch.
        """
        begun, video = time.perf_counter(), self.video(row)
        self._waited(row, part_output(video, part.start))
        try:
            generation = prepare(row.portrait, row.voice, row.words, row.options, model=model)
            write_part(generation, video, part.start, part.stop, cancel=cancel)
        except Cancelled:
            raise
        except _OF_A_ROW as error:
            if _ends_all(error):
                raise
            log.debug("part %s of row %d failed", part, row.number, exc_info=True)
        return time.perf_counter() - begun

    def _waited(self, row: Row, output: Path) -> bool:
        """Wait for a process that a killed run has left behind and that still writes this output; False for none."""
        lock, until = segment_folder(output) / LOCK, time.monotonic() + ORPHAN_S
        has_waited = False
        while time.monotonic() < until:
            try:
                check_free(lock, row.name)
                break
            except BadInput:
                has_waited = True
                time.sleep(_PAUSE_S)
        return has_waited

    def _record(self, row: Row) -> dict[str, Any]:
        """What an earlier run wrote of a row; empty where none did."""
        return read_record(self.folder, row)

    def _in_the_way(self, row: Row, overwrite: bool) -> str:
        """What must not be replaced, in words; empty where nothing is."""
        record, video = self.folder / f"{row.name}.json", self.video(row)
        if self._record(row):
            return ""
        if record.exists() or segment_folder(video).exists():
            other = record if record.exists() else segment_folder(video)
            return f"Row {row.number}: '{other}' was not made by a batch. Move it away, or give the row another name."
        try:
            check_writable(video, overwrite)
        except BadInput as error:
            return f"Row {row.number}: {error}"
        return ""


def read_record(folder: Path, row: Row) -> dict[str, Any]:
    """What a batch wrote of a row in its folder; empty where none did."""
    return _read(folder / f"{row.name}.json")


def _key(row: Row, weights: str, hashed: Callable[[Path], str]) -> str:
    """SHA-256 of everything that a row says but its name."""
    files = {"portrait": hashed(row.portrait), "voice": hashed(row.voice)}
    values = {**files, "words": row.words, "options": asdict(row.options), "weights": weights}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def parts_of(row: Row, most_segments: int) -> list[Part]:
    """The parts of at most so many segments that a row's video can be made in; none for a row of one, and for one that
    cannot be spread: a voice that cannot be read, and SyncNet guidance, which looks back over all frames."""
    try:
        n_segments = -(-read_audio(row.voice).n_frames() // row.options.segment_frames)
    except EADNetError:
        return []
    if n_segments <= most_segments or row.options.sync_guidance > 0:
        return []
    return [range(first, min(first + most_segments, n_segments)) for first in range(0, n_segments, most_segments)]


def _ends_all(error: BaseException) -> bool:
    return is_disk_full(error) or (error.__cause__ is not None and is_disk_full(error.__cause__))


def _step(on_progress: OnRow | None, done: int, total: int, row: Row) -> Callable[[Progress], None] | None:
    return None if on_progress is None else lambda progress: on_progress(done, total, row, progress)


def _said(error: BaseException) -> str:
    """One line of an error."""
    text = " ".join(str(error).split())
    return text if isinstance(error, EADNetError) else f"{type(error).__name__}: {text}"


def _discard(video: Path) -> None:
    shutil.rmtree(segment_folder(video), ignore_errors=True)


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    is_ours = isinstance(values, dict) and (values.get("format"), values.get("version")) == (FORMAT, VERSION)
    return values if is_ours else {}


def _write(path: Path, values: dict[str, Any]) -> None:
    try:
        with whole(path, path.with_name(f".{path.name}.partial")) as partial:
            partial.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", "utf-8")
    except OSError as error:
        raise write_failure(error, path, "Finished videos are kept; then run again.") from error
