"""Clips divided by people: chains of faces that are alike, whole people on one side, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from eadnet_core import cli
from eadnet_core.corpus.shards import ClipRecord, encode_clip, read_shards, write_shards
from eadnet_core.curation import split
from eadnet_core.curation.split import HELD_OUT, TRAIN, UNKNOWN, choose, number_people, split_people
from eadnet_core.errors import BadInput, CheckpointError


def test_people_are_chains_of_faces_that_are_alike() -> None:
    rng = np.random.default_rng(0)
    middles = rng.normal(0, 10, (40, 128))
    who = rng.integers(0, 40, 3000)
    faces = (middles[who] + rng.normal(0, 0.02, (3000, 128))).tolist()
    faces[5] = None
    people = number_people(faces)
    assert people[5] == -1 and len(set(people)) == len(set(who)) + 1
    for person in set(people) - {-1}:
        assert len({who[i] for i, one in enumerate(people) if one == person}) == 1
    assert number_people([]) == [] and number_people([None]) == [-1]


def test_whole_people_are_held_out() -> None:
    people = np.random.default_rng(1).integers(0, 50, 1000).tolist() + [-1] * 7
    parts = choose(people, 0.1, 0)
    assert parts.count(UNKNOWN) == 7 and 60 <= parts.count(HELD_OUT) <= 100
    sides = {person: {part for one, part in zip(people, parts, strict=True) if one == person} for person in set(people)}
    assert all(len(side) == 1 for side in sides.values())
    assert choose(people, 0.1, 0) == parts != choose(people, 0.1, 1)
    assert choose([0, 0, 0, 1], 0.01, 0).count(TRAIN) in (1, 3), "one person at least is held out of two"
    assert choose([0, 0], 0.5, 0) == [TRAIN, TRAIN], "of one person nobody can be"


def written(folder: Path, n: int) -> Path:
    """A shard of clips whose frames are grey, each its own."""
    clips = []
    for number in range(n):
        frames = np.full((2, 32, 32, 3), 10 * number, np.uint8)
        clips.append((f"{number:09d}", encode_clip(ClipRecord(frames, frames[0], np.zeros(1280, np.float32), {}, {}))))
    write_shards(clips, folder)
    return folder


def test_clips_go_to_their_part_byte_for_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Embeddings by the grey of a clip stand for the net's; four people of three clips, and one clip without a face."""
    made: list[int] = []

    def embed(_: object, members: dict[str, bytes]) -> list[float] | None:
        number = int(split.decode_clip(members).frames[0, 0, 0, 0]) // 10
        made.append(number)
        return None if number == 12 else [float(number % 4)]

    monkeypatch.setattr(split._Net, "embed", embed)
    source = written(tmp_path / "clips", 13)
    found = split_people(source, tmp_path / "out", tmp_path, 0.3)
    assert found.clips == {TRAIN: 9, HELD_OUT: 3, UNKNOWN: 1} and found.people == {TRAIN: 3, HELD_OUT: 1}
    whole = dict(read_shards(source.glob("*.tar")))
    parts = {name: dict(read_shards((tmp_path / "out" / name).glob("*.tar"))) for name in (TRAIN, HELD_OUT)}
    for clips in parts.values():
        assert all(clips[key] == whole[key] for key in clips)
    people = {name: {int(key) % 4 for key in clips} for name, clips in parts.items()}
    assert not people[TRAIN] & people[HELD_OUT] and len(parts[TRAIN]) + len(parts[HELD_OUT]) == 12
    assert split_people(source, tmp_path / "out", tmp_path, 0.3) == found and len(made) == 13, "embedded once"
    with pytest.raises(BadInput, match=r"all 13 clips are of one person.*smaller --same"):
        split_people(source, tmp_path / "out", tmp_path, 0.3, same=5.0)
    assert json.loads((tmp_path / "out" / "split.json").read_text())["people"] == {"train": 3, "heldout": 1}


def test_what_cannot_be_split_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: object
) -> None:
    source = written(tmp_path / "clips", 1)
    for wrong, said in (
        ((source, tmp_path / "out", tmp_path, 1.5), "held-out is 1.5"),
        ((tmp_path, tmp_path / "out", tmp_path, 0.1), "holds no shards"),
        ((source, source, tmp_path, 0.1), "another folder"),
    ):
        with pytest.raises(BadInput, match=said):
            split_people(*wrong)
    with pytest.raises(CheckpointError):
        split_people(source, tmp_path / "out", tmp_path / "no_judges")
    monkeypatch.delenv("EADNET_JUDGES", raising=False)  # type: ignore[attr-defined]
    assert cli.main(["curate", "split", str(source), "--output", str(tmp_path / "out")]) == 2
    assert "download judges" in capsys.readouterr().err
