"""Clips of the corpus with all that is true of them, written as shards: `eadnet corpus render`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from ..errors import BadInput
from .clips import SPLITS, ClipScript, render, write_script
from .shards import ClipRecord, encode_clip, write_shards
from .speech import SpeechBank

HEAD_TRACKS = ("identity", "states", "reference_state", "action_units", "motion", "codes")
MOUTH_TRACKS = ("visemes", "mouth_opening", "mouth_width")
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
    on_clip: Callable[[int], None] | None = None,
) -> list[Path]:
    """Write clips as WebDataset shards into `folder`; the same arguments always give the same files.

    on_clip  called with the number of clips rendered so far
    Raises BadInput for numbers or a split that make no clips, or without espeak-ng.
    """
    if n_clips < 1 or n_frames < 1 or size_px < 32:
        raise BadInput(f"{n_clips} clips of {n_frames} frames at {size_px} px: give at least 1, 1 and 32.")
    if split not in SPLITS:
        raise BadInput(f"Unknown split '{split}'; give one of {', '.join(SPLITS)}.")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    speech = SpeechBank(seed, n_utterances, split)

    def clips() -> Iterator[tuple[str, Mapping[str, bytes]]]:
        for index in range(n_clips):
            clip_seed = int(np.random.default_rng([seed, index]).integers(2**31))
            script = write_script(clip_seed, n_frames=n_frames, split=split, speech=speech)
            frames, references = render([script], size_px)
            yield f"{split}-{seed}-{index:06d}", encode_clip(record(script, frames[0].numpy(), references[0].numpy()))
            if on_clip is not None:
                on_clip(index + 1)

    return write_shards(clips(), folder)


def record(script: ClipScript, frames: np.ndarray, reference: np.ndarray) -> ClipRecord:
    """What a shard stores of a rendered clip."""
    metadata = {
        "emotion": script.emotion,
        "level": script.level,
        "is_pure": script.is_pure,
        "caption": script.caption,
        "prompts": list(script.prompts),
        "text": script.text,
        "phonemes": [[p.ipa, p.start_s, p.end_s] for p in script.phonemes],
    }
    tracks = {name: np.asarray(getattr(script, name)) for name in (*HEAD_TRACKS, *MOUTH_TRACKS)}
    return ClipRecord(frames, reference, script.samples, tracks, metadata)
