"""Corpus clips: drawn from a seed, split by identity, voice, sentence and wording, rendered, and written as shards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eadnet_core.config import FPS, SAMPLE_RATE_HZ
from eadnet_core.corpus.clips import ClipScript, film, render, write_script
from eadnet_core.corpus.export import export_clips
from eadnet_core.corpus.shards import decode_clip, read_shards
from eadnet_core.errors import BadInput
from eadnet_core.heads.rig import STATE_INDEX
from eadnet_core.taxonomy import ACTION_UNITS, EMOTIONS

pytest.importorskip("espeakng_loader", reason="corpus clips speak with the package espeakng_loader of the train extra")

from eadnet_core.corpus.speech import SpeechBank

N_FRAMES = 6
UTTERANCES = 8


@pytest.fixture(scope="module")
def banks() -> dict[str, SpeechBank]:
    return {split: SpeechBank(0, UTTERANCES, split) for split in ("train", "heldout")}


def script(banks: dict[str, SpeechBank], seed: int = 3, split: str = "train", **asked: object) -> ClipScript:
    return write_script(seed, n_frames=N_FRAMES, split=split, speech=banks[split], **asked)  # type: ignore[arg-type]


def test_the_seed_decides_everything(banks: dict[str, SpeechBank]) -> None:
    first, again, other = script(banks), script(banks), script(banks, seed=4)
    assert (first.caption, first.prompts, first.text, first.emotion) == (
        again.caption, again.prompts, again.text, again.emotion,
    )  # fmt: skip
    assert first.head_seed == again.head_seed != other.head_seed
    for name in ("states", "codes", "samples", "motion", "visemes"):
        assert np.array_equal(getattr(first, name), getattr(again, name)), name
        assert not np.array_equal(getattr(first, name), getattr(other, name)), name


def test_a_clip_is_drawn_alike_every_time(banks: dict[str, SpeechBank], tiny_anatomy_folder: Path) -> None:
    made = film(script(banks), 64, tiny_anatomy_folder)
    frames, references = render([script(banks)], 64, tiny_anatomy_folder)
    assert (frames[0] == made.frames).all() and (references[0] == made.reference).all()
    assert made.frames.shape == (N_FRAMES, 64, 64, 3) and made.mouth_opening.shape == (N_FRAMES,)


def test_lengths_fit_the_frame_rate(banks: dict[str, SpeechBank]) -> None:
    made = script(banks)
    assert len(made.samples) == N_FRAMES * SAMPLE_RATE_HZ // FPS
    for name in ("states", "visemes", "action_units", "motion", "mouth_opening", "mouth_width", "codes"):
        assert len(getattr(made, name)) == N_FRAMES, name


def test_heads_breathe_while_they_speak(banks: dict[str, SpeechBank]) -> None:
    breath = STATE_INDEX["breath"]
    for seed in range(4):
        made = write_script(seed, n_frames=150, split="train", speech=banks["train"])
        chest = made.states[:, breath]
        assert chest.max() > 0.95 and chest.min() < -0.95  # six seconds hold a whole breath
        assert np.abs(np.diff(chest)).max() < 0.12
        assert made.reference_state[breath] == 0


def test_splits_share_neither_heads_nor_words(banks: dict[str, SpeechBank]) -> None:
    train = [script(banks, seed, "train") for seed in range(40)]
    heldout = [script(banks, seed, "heldout") for seed in range(40)]
    assert not {s.head_seed for s in train} & {s.head_seed for s in heldout}
    assert ({s.text for s in train} & {s.text for s in heldout}) <= {""}  # the words of a window of silence
    assert not {p for s in train for p in s.prompts} & {p for s in heldout for p in s.prompts}
    assert not {s.caption for s in train} & {s.caption for s in heldout}


def test_an_emotion_can_be_swapped_on_the_same_head_and_voice(
    banks: dict[str, SpeechBank], tiny_anatomy_folder: Path
) -> None:
    swapped = [script(banks, emotion=e, level=2, identity_seed=7, voice_seed=8) for e in EMOTIONS]
    for other in swapped[1:]:
        assert other.head_seed == swapped[0].head_seed
        assert np.array_equal(other.samples, swapped[0].samples)
        assert np.array_equal(other.reference_state, swapped[0].reference_state)
    frames, references = render(swapped[:4], 64, tiny_anatomy_folder)
    assert (references == references[:1]).all()
    means = frames.astype(float).mean(1)
    for i in range(4):
        for j in range(i):
            assert np.abs(means[i] - means[j]).max() > 10, (EMOTIONS[i], EMOTIONS[j])


def test_levels_move_the_face_more_and_more(banks: dict[str, SpeechBank]) -> None:
    for emotion in EMOTIONS[1:]:
        moved = [script(banks, emotion=emotion, level=level).action_units.sum() for level in range(3)]
        assert moved[0] < moved[1] < moved[2], emotion


def test_exported_shards_hold_the_clips_as_drawn(tmp_path: Path, tiny_anatomy_folder: Path) -> None:
    told: list[int] = []
    settings = {
        "n_frames": N_FRAMES,
        "size_px": 32,
        "seed": 5,
        "n_utterances": UTTERANCES,
        "heads": tiny_anatomy_folder,
    }
    paths = export_clips(tmp_path / "a", 3, **settings, on_clip=told.append)  # type: ignore[arg-type]
    again = export_clips(tmp_path / "b", 3, **settings)  # type: ignore[arg-type]
    assert [p.read_bytes() for p in paths] == [p.read_bytes() for p in again]
    assert told == [1, 2, 3]
    clips = [(key, decode_clip(members)) for key, members in read_shards(paths)]
    assert [key for key, _ in clips] == [f"train-5-{i:06d}" for i in range(3)]
    for _, clip in clips:
        assert clip.frames.shape == (N_FRAMES, 32, 32, 3) and clip.reference.shape == (32, 32, 3)
        assert clip.metadata["emotion"] in EMOTIONS and clip.metadata["caption"] and clip.metadata["prompts"]
        assert clip.tracks["action_units"].shape == (N_FRAMES, len(ACTION_UNITS))
        assert clip.tracks["visemes"].shape == (N_FRAMES, 9)
        assert set(clip.metadata["people"]) == {"tone", "sex", "age"}
        assert len(clip.samples) == N_FRAMES * SAMPLE_RATE_HZ // FPS


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"n_clips": 0}, "0 clips"),
        ({"n_frames": 0}, "of 0 frames"),
        ({"size_px": 16}, "at 16 px"),
        ({"split": "test"}, "Unknown split 'test'"),
    ],
)
def test_exports_that_make_no_clips_are_refused(tmp_path: Path, changed: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        export_clips(tmp_path, **{"n_clips": 1, **changed})  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
