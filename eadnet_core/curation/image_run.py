"""`eadnet curate images`: pairs in, shards of those that stay out, with a manifest of all and a report.

A folder holds it: `images-*.tar` (img2dataset's layout), `large-*.tar` (the -70K subset), `manifest.parquet`,
`report.json`, and `state/`, which is what a run that was stopped goes on from. Each file appears when it is whole. A
run that goes on reads and hashes the pictures again, and judges none twice.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image

from ..corpus.pool import ordered
from ..corpus.shards import read_shards, write_shards
from ..media.video.lock import held_folder
from ..media.video.segments import file_hash, whole
from ..weights.folders import FACES
from .duplicates import Seen, settled
from .images import REASONS, ImageRules, judge
from .manifest import LOCK, writing_rows
from .pairs import Pair, read_pairs
from .store import Store, digest

BLOCK = 64
"""Pairs that are decided and kept together; a run that is killed repeats at most so many."""
SHARD = 1024
"""Pairs in a shard."""
COLUMNS = {
    "source": "string",
    "key": "string",
    "reason": "string",
    "same_as": "string",
    "width": "int32",
    "height": "int32",
    "is_large": "bool",
    "n_faces": "int32",
    "face_share": "float32",
    "keywords": "list",
    "hash": "string",
    "sha256": "string",
    "caption": "string",
    "shard_key": "string",
}
"""Of `manifest.parquet`; reason is empty, and shard_key the name in the shards, where a pair stays."""


@dataclass
class ImageReport:
    """What became of the pairs.

    reasons      pairs by reason of `images.REASONS`
    kinds        pairs that stay, by kind of keyword in their captions
    n_judged     judged by this run; the others were found in `state/`
    """

    n_pairs: int = 0
    n_kept: int = 0
    n_large: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    n_judged: int = 0
    rules: dict[str, Any] = field(default_factory=dict)

    def count(self, row: Mapping[str, Any]) -> None:
        """Take a row of the manifest in."""
        self.n_pairs += 1
        if row["reason"]:
            self.reasons[row["reason"]] += 1
            return
        self.n_kept += 1
        self.n_large += row["is_large"]
        self.kinds.update({word.partition(":")[0] for word in row["keywords"]})

    def table(self) -> str:
        """The pairs left after each filter, as Markdown, in the order of the filters."""
        lines = ["| filter | dropped | left | of all |", "|---|---|---|---|", f"| none | | {self.n_pairs} | 100.0 % |"]
        left = self.n_pairs
        for reason, text in REASONS.items():
            left -= self.reasons[reason]
            share = 100 * left / max(1, self.n_pairs)
            lines.append(f"| {text} | {self.reasons[reason]} | {left} | {share:.1f} % |")
        share, least = 100 * self.n_large / max(1, self.n_pairs), self.rules["large_px"]
        lines.append(f"| subset: both sides from {least} px | | {self.n_large} | {share:.1f} % |")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {**asdict(self), "reasons": dict(self.reasons), "kinds": dict(self.kinds)}


def curate_images(
    source: Path,
    output: Path,
    rules: ImageRules | None = None,
    n_workers: int = 1,
    on_pair: Callable[[int], None] | None = None,
) -> ImageReport:
    """Filter the pairs of `source` (`pairs.read_pairs`) into `output`; run again to go on.

    on_pair  called with the number of pairs decided so far
    Raises BadInput for a source without pairs or a folder that another run works in, MediaError for a full disk.
    """
    rules = rules or ImageRules()
    report = ImageReport(rules=asdict(rules))
    with held_folder(output, LOCK):
        store = Store(output / "state")
        rows = _decided(source, rules, store, n_workers)
        with writing_rows(output / "manifest.parquet", COLUMNS) as add:
            kept = write_shards(_kept(rows, rules, report, add, on_pair), output, SHARD, "images")
        large = (pair for pair in read_shards(kept) if json.loads(pair[1]["json"])["is_large"])
        written = {*kept, *write_shards(large, output, SHARD, "large")}
        for path in (*output.glob("images-*.tar"), *output.glob("large-*.tar")):
            if path not in written:
                path.unlink()  # of an earlier run with other rules
        report.n_judged = store.n_made
        with whole(output / "report.json", output / ".report.json.partial") as path:
            path.write_text(json.dumps(report.to_dict(), indent=1) + "\n", "utf-8")
    return report


def _decided(source: Path, rules: ImageRules, store: Store, n_workers: int) -> Iterator[tuple[Pair, dict[str, Any]]]:
    """Each pair with what `judge` says of it, in order."""
    pairs, finders = read_pairs(source), _rules_hash(rules)
    blocks = iter(lambda: list(islice(pairs, BLOCK)), [])
    for block, verdicts, is_new in ordered(partial(_judge_block, rules, store.folder, finders), blocks, n_workers):
        store.n_made += len(block) if is_new else 0
        yield from zip(block, verdicts, strict=True)


def _judge_block(
    rules: ImageRules, state: Path, rules_hash: str, block: list[Pair]
) -> tuple[list[Pair], list[dict[str, Any]], bool]:
    """A block with its verdicts, and whether they were made now."""
    store, hashes = Store(state), [hashlib.sha256(pair.image).hexdigest() for pair in block]
    key = digest(rules_hash, *hashes, *(pair.caption for pair in block))
    found = store.read(key)
    if found is not None:
        return block, found, False
    verdicts = [{**judge(pair, rules), "sha256": sha256} for pair, sha256 in zip(block, hashes, strict=True)]
    store.write(key, verdicts)
    return block, verdicts, True


def _rules_hash(rules: ImageRules) -> str:
    """SHA-256 of all that a verdict follows from but the pair."""
    words = sorted((files(__package__) / "words").iterdir(), key=lambda path: path.name)
    nets = [file_hash(path) for path in sorted(FACES.glob("*.safetensors"))]
    return digest("images 1", json.dumps(asdict(rules), sort_keys=True), *(w.read_bytes() for w in words), *nets)


def _kept(
    decided: Iterator[tuple[Pair, dict[str, Any]]],
    rules: ImageRules,
    report: ImageReport,
    add: Callable[[Mapping[str, Any]], None],
    on_pair: Callable[[int], None] | None,
) -> Iterator[tuple[str, Mapping[str, bytes]]]:
    """The pairs that stay, as members of a shard; every pair goes into the manifest and the report."""
    seen = Seen() if rules.is_unique else None
    for pair, verdict in decided:
        row = {"source": pair.source, "key": pair.key, "caption": pair.caption, **verdict}
        settled(row, seen, f"{pair.source}: {pair.key}", report.n_kept)
        add(row)
        report.count(row)
        if on_pair is not None:
            on_pair(report.n_pairs)
        if not row["reason"]:
            yield row["shard_key"], _members(pair, row)


def _members(pair: Pair, row: Mapping[str, Any]) -> dict[str, bytes]:
    """What img2dataset writes of a pair; the picture's file is the one that came in, byte for byte."""
    with Image.open(io.BytesIO(pair.image)) as picture:
        suffix = {"JPEG": "jpg", "TIFF": "tif"}.get(picture.format or "", (picture.format or "jpg").lower())
    values = {name: row[name] for name in COLUMNS if name in row and name != "reason"}
    return {
        suffix: pair.image,
        "txt": pair.caption.encode(),
        "json": json.dumps(values, ensure_ascii=False, sort_keys=True).encode(),
    }
