"""Clips of the corpus with all that is true of them, written as shards: `eadnet corpus render`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ..errors import BadInput
from ..heads.anatomy import Anatomy
from .clips import SPLITS, ClipScript, Film, film, write_script
from .shards import ClipRecord, encode_clip, write_shards
from .speech import SpeechBank

HEAD_TRACKS = ("states", "reference_state", "action_units", "motion", "codes")
MOUTH_TRACKS = ("visemes", "mouth_width")
"""Arrays of ClipScript that go into a clip's tracks."""


def export_clips(
    folder: Path | str,
    n_clips: int,
    *,
    n_frames: int = 50,
    size_px: int = 128,
    seed: int = 0,
    split: str = "train",
    n_utterances: int = 200,
    heads: Path | str | None = None,
    on_clip: Callable[[int], None] | None = None,
) -> list[Path]:
    """Write clips as WebDataset shards into `folder`; the same arguments always give the same files.

    heads    folder of the anatomy; default: what EADNET_HEADS names, else where `eadnet download heads` put it
    on_clip  called with the number of clips rendered so far
    Raises BadInput for numbers or a split that make no clips, and without the anatomy or espeak-ng.
    """
    if n_clips < 1 or n_frames < 1 or size_px < 32:
        raise BadInput(f"{n_clips} clips of {n_frames} frames at {size_px} px: give at least 1, 1 and 32.")
    if split not in SPLITS:
        raise BadInput(f"Unknown split '{split}'; give one of {', '.join(SPLITS)}.")
    Anatomy.open(heads)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    speech = SpeechBank(seed, n_utterances, split)

    def clips() -> Iterator[tuple[str, Mapping[str, bytes]]]:
        for index in range(n_clips):
            clip_seed = int(np.random.default_rng([seed, index]).integers(2**31))
            script = write_script(clip_seed, n_frames=n_frames, split=split, speech=speech)
            made = film(script, size_px, heads)
            yield f"{split}-{seed}-{index:06d}", encode_clip(record(script, made))
            if on_clip is not None:
                on_clip(index + 1)

    return write_shards(clips(), folder)


def record(script: ClipScript, made: Film) -> ClipRecord:
    """What a shard stores of a clip that was drawn."""
    metadata = {
        "emotion": script.emotion,
        "level": script.level,
        "is_pure": script.is_pure,
        "caption": script.caption,
        "prompts": list(script.prompts),
        "text": script.text,
        "phonemes": [[p.ipa, p.start_s, p.end_s] for p in script.phonemes],
        "head_seed": script.head_seed,
        "people": asdict(made.people),
    }
    tracks = {name: np.asarray(getattr(script, name)) for name in (*HEAD_TRACKS, *MOUTH_TRACKS)}
    tracks["mouth_opening"] = made.mouth_opening
    return ClipRecord(made.frames, made.reference, script.samples, tracks, metadata)
