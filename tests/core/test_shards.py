"""Shards: what is written comes back, byte for byte the same each time."""

from __future__ import annotations

import tarfile
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from eadnet_core.corpus.shards import ClipRecord, decode_clip, encode_clip, read_shards, write_shards
from eadnet_core.errors import BadInput, MediaError


def clip(seed: int, n_frames: int = 3) -> ClipRecord:
    rng = np.random.default_rng(seed)
    return ClipRecord(
        frames=rng.integers(0, 256, (n_frames, 16, 24, 3), dtype=np.uint8),
        reference=rng.integers(0, 256, (16, 24, 3), dtype=np.uint8),
        samples=rng.uniform(-1, 1, n_frames * 640).astype(np.float32),
        tracks={"motion": rng.normal(size=(n_frames, 8)).astype(np.float32), "code": np.arange(27, dtype=np.float32)},
        metadata={"emotion": "happy", "level": 2, "caption": "Hände, ¿qué?", "prompts": ["a", "b"]},
    )


def members(n_clips: int) -> list[tuple[str, dict[str, bytes]]]:
    return [(f"clip{i:05d}", encode_clip(clip(i))) for i in range(n_clips)]


def test_clips_come_back(tmp_path: Path) -> None:
    paths = write_shards(members(5), tmp_path / "new", maxcount=2)
    assert [path.name for path in paths] == ["clips-000000.tar", "clips-000001.tar", "clips-000002.tar"]
    found = list(read_shards(paths))
    assert [key for key, _ in found] == [f"clip{i:05d}" for i in range(5)]
    for i, (_, content) in enumerate(found):
        read, written = decode_clip(content), clip(i)
        np.testing.assert_array_equal(read.frames, written.frames)
        np.testing.assert_array_equal(read.reference, written.reference)
        np.testing.assert_allclose(read.samples, written.samples, atol=2e-5)
        assert read.metadata == written.metadata and read.tracks.keys() == written.tracks.keys()
        for name in written.tracks:
            np.testing.assert_array_equal(read.tracks[name], written.tracks[name])


def test_shards_are_deterministic_and_plain_tar(tmp_path: Path) -> None:
    first, second = (write_shards(members(3), tmp_path / name)[0] for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(first) as shard:
        names = shard.getnames()
    assert names[:5] == [f"clip00000.{e}" for e in ("frames.png", "json", "reference.png", "tracks.npz", "wav")]
    assert not list(tmp_path.glob("*/*.part"))


def test_clips_are_taken_one_shard_at_a_time(tmp_path: Path) -> None:
    """The first shard is on disk before the third clip is asked for."""

    def lazily() -> object:
        yield from members(2)
        assert (tmp_path / "clips-000000.tar").exists()
        yield "last", encode_clip(clip(9))

    assert len(write_shards(lazily(), tmp_path, maxcount=2)) == 2  # type: ignore[arg-type]


class Members(dict[str, bytes]):
    """Members of a clip, of which it can be told whether anybody still has them."""


def test_no_more_than_one_clip_is_in_memory(tmp_path: Path) -> None:
    """However many fit into a shard: one of 256 clips of ten seconds has 5 GB."""
    made = [Members(encode_clip(clip(0)))]
    held = weakref.ref(made[0])

    def lazily() -> Iterator[tuple[str, Members]]:
        yield "first", made.pop()
        yield "second", Members(encode_clip(clip(1)))
        assert held() is None

    (path,) = write_shards(lazily(), tmp_path)
    assert [key for key, _ in read_shards([path])] == ["first", "second"]


def test_what_was_begun_goes(tmp_path: Path) -> None:
    def stopped() -> Iterator[tuple[str, dict[str, bytes]]]:
        yield from members(3)
        assert (tmp_path / "clips-000001.tar.part").exists()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shards(stopped(), tmp_path, maxcount=2)
    assert [path.name for path in tmp_path.iterdir()] == ["clips-000000.tar"]
    (tmp_path / "clips-000001.tar.part").write_bytes(b"of a run that was killed")
    write_shards(members(2), tmp_path, maxcount=2)
    assert [path.name for path in tmp_path.iterdir()] == ["clips-000000.tar"]


def test_nothing_to_write(tmp_path: Path) -> None:
    assert write_shards([], tmp_path) == []


@pytest.mark.parametrize("key", ["", "a.b", "a/b"])
def test_keys_that_a_reader_would_misread(tmp_path: Path, key: str) -> None:
    with pytest.raises(BadInput, match="key"):
        write_shards([(key, {"json": b"{}"})], tmp_path)


def test_other_refusals(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="already used"):
        write_shards([("a", {"json": b"{}"})] * 2, tmp_path)
    with pytest.raises(BadInput, match="maxcount is 0"):
        write_shards([], tmp_path, maxcount=0)
    (tmp_path / "file").write_bytes(b"no tar")
    with pytest.raises(MediaError, match="Cannot read the shard"):
        list(read_shards([tmp_path / "file"]))
    with pytest.raises(MediaError, match="Cannot write the shard"):
        write_shards(members(1), tmp_path / "file")
