"""Pairs of pictures and captions: every way they lie on disk, every reason against one, and runs that are stopped."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eadnet_core import cli
from eadnet_core.corpus.shards import read_shards
from eadnet_core.curation import image_run, images
from eadnet_core.curation.duplicates import SAME_BITS, perceptual_hash
from eadnet_core.curation.image_run import curate_images
from eadnet_core.curation.images import REASONS, ImageRules, judge
from eadnet_core.curation.pairs import Pair, read_pairs
from eadnet_core.errors import BadInput

PORTRAIT = Path(images.__file__).parents[1] / "assets" / "sample" / "portrait.png"
RULES = ImageRules(least_px=200, large_px=500)


def file_of(picture: Image.Image, kind: str = "JPEG") -> bytes:
    content = io.BytesIO()
    picture.save(content, kind)
    return content.getvalue()


@pytest.fixture(scope="module")
def face() -> Image.Image:
    return Image.open(PORTRAIT).convert("RGB").resize((512, 512))


def laid(face: Image.Image, width: int, height: int, side: int, n: int = 1) -> Image.Image:
    """The face `n` times on grey noise."""
    noise = np.random.default_rng(width * height + n).integers(90, 120, (height, width, 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    for i in range(n):
        picture.paste(face.resize((side, side)), (i * side, 0))
    return picture


@pytest.fixture(scope="module")
def cases(face: Image.Image) -> dict[str, Pair]:
    """A pair for each verdict by its reason; "" is a good one."""
    nobody = laid(face, 400, 300, 1, 0)
    pictures = {
        "": (file_of(laid(face, 520, 512, 512)), "A woman looks up"),
        "unreadable": (b"no picture", "A woman"),
        "no_caption": (file_of(face), ""),
        "low_resolution": (file_of(face.resize((199, 300))), "A woman"),
        "no_person_in_caption": (file_of(face), "a rose called Margaret"),
        "no_face": (file_of(nobody), "A woman"),
        "too_many_faces": (file_of(laid(face, 1200, 320, 300, 4)), "women"),
        "small_face": (file_of(laid(face, 900, 700, 160)), "A woman"),
        "duplicate": (file_of(laid(face, 520, 512, 512).resize((500, 492))), "The same woman"),
    }
    return {reason: Pair("here", reason or "good", *pair) for reason, pair in pictures.items()}


def write_shard(path: Path, pairs: list[Pair]) -> None:
    with tarfile.open(path, "w") as shard:
        for number, pair in enumerate(pairs):
            for suffix, data in (("jpg", pair.image), ("txt", pair.caption.encode()), ("json", b"{}")):
                info = tarfile.TarInfo(f"{number:09d}.{suffix}")
                info.size = len(data)
                shard.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize("reason", [r for r in ("", *REASONS) if r != "duplicate"])
def test_every_reason_has_its_pair(cases: dict[str, Pair], reason: str) -> None:
    found = judge(cases[reason], RULES)
    assert found["reason"] == reason, found
    if reason == "too_many_faces":
        assert found["n_faces"] == 4
    if reason == "small_face":
        assert 0 < found["face_share"] < 0.04
    if reason == "":
        assert found["is_large"] and found["keywords"] == ["person:woman"] and 0.1 < found["face_share"] < 1


def test_a_picture_that_ends_early_is_unreadable(cases: dict[str, Pair]) -> None:
    good = cases[""]
    assert judge(Pair("", "", good.image[:4000], "A woman"), RULES)["reason"] == "unreadable"


def test_rules_that_keep_nothing_are_refused() -> None:
    for wrong in ({"least_px": 0}, {"large_px": 10}, {"most_faces": 0}, {"least_share": 1.0}):
        with pytest.raises(BadInput):
            ImageRules(**wrong)


def test_hashes_are_those_of_imagehash(face: Image.Image) -> None:
    imagehash = pytest.importorskip("imagehash", reason="imagehash, which these hashes are compared with, is not here")
    for picture in (face, face.crop((0, 0, 300, 200)), laid(face, 400, 300, 1, 0)):
        assert f"{perceptual_hash(np.asarray(picture)):016x}" == str(imagehash.phash(picture))


def test_copies_have_close_hashes_and_others_do_not(face: Image.Image) -> None:
    def bits(a: Image.Image, b: Image.Image) -> int:
        return (perceptual_hash(np.asarray(a)) ^ perceptual_hash(np.asarray(b))).bit_count()

    again = Image.open(io.BytesIO(file_of(face.resize((400, 400)))))
    assert bits(face, again) <= SAME_BITS < 12 < bits(face, laid(face, 512, 512, 200))


def test_pairs_lie_in_shards_folders_and_tables(cases: dict[str, Pair], tmp_path: Path) -> None:
    good, other = cases[""], cases["no_face"]
    (tmp_path / "sub").mkdir()
    write_shard(tmp_path / "00000.tar", [good, other])
    (tmp_path / "a.jpg").write_bytes(good.image)
    (tmp_path / "a.txt").write_text(" A woman looks up\n")
    (tmp_path / "sub" / "b.png").write_bytes(other.image)
    lines = ['{"file_name": "sub/b.png", "text": "nobody"}', "no JSON", "[1]"]
    (tmp_path / "metadata.jsonl").write_text("\n".join(lines))
    found = {(p.source, p.key): (p.image, p.caption) for p in read_pairs(tmp_path)}
    assert found == {
        ("00000.tar", "000000000"): (good.image, good.caption),
        ("00000.tar", "000000001"): (other.image, other.caption),
        ("a.jpg", "a.jpg"): (good.image, "A woman looks up"),
        ("sub/b.png", "sub/b.png"): (other.image, "nobody"),
    }
    assert [p.key for p in read_pairs(tmp_path / "00000.tar")] == ["000000000", "000000001"]
    for empty in (tmp_path / "nowhere", tmp_path / "metadata.jsonl"):
        with pytest.raises(BadInput):
            next(read_pairs(empty))


def test_tables_hold_pictures_or_name_them(cases: dict[str, Pair], tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not here: pip install 'eadnet[curate]'")
    from pyarrow import parquet

    image = cases[""].image
    (tmp_path / "kept.bin").write_bytes(image)
    rows = [
        {"url": "http://x/1.jpg", "caption": "as bytes", "jpg": image, "path": None},
        {"url": "http://x/2.jpg", "caption": "as a file", "jpg": None, "path": "kept.bin"},
        {"url": "http://x/3.jpg", "caption": "never fetched", "jpg": None, "path": None},
    ]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "t.parquet")
    nested = [{"text": "datasets", "image": {"bytes": image, "path": "x.jpg"}}]
    parquet.write_table(pyarrow.Table.from_pylist(nested), tmp_path / "u.parquet")
    (tmp_path / "v.parquet").write_bytes(b"PAR1 no table")
    found = [(p.key, p.image, p.caption) for p in read_pairs(tmp_path)]
    assert [(key, caption) for key, _, caption in found[:3]] == [(r["url"], r["caption"]) for r in rows]
    assert [i for _, i, _ in found] == [image, image, b"", image, b""]
    assert found[3][0] == "row 0"


@pytest.fixture
def source(cases: dict[str, Pair], tmp_path: Path) -> Path:
    """Two shards with every case, and one that is cut off."""
    pytest.importorskip("pyarrow", reason="pyarrow is not here: pip install 'eadnet[curate]'")
    folder = tmp_path / "in"
    folder.mkdir()
    write_shard(folder / "00000.tar", list(cases.values()))
    write_shard(folder / "00001.tar", [cases[""], cases["no_face"]])
    (folder / "00002.tar").write_bytes((folder / "00000.tar").read_bytes()[:1000])
    return folder


def content(folder: Path) -> dict[str, bytes]:
    kept = (p for p in folder.iterdir() if p.suffix in (".tar", ".parquet"))
    return {p.name: p.read_bytes() for p in kept}


def test_a_run_says_why_of_every_pair(source: Path, cases: dict[str, Pair], tmp_path: Path) -> None:
    from eadnet_core.curation.manifest import read_rows

    report = curate_images(source, tmp_path / "out", RULES)
    rows = read_rows(tmp_path / "out" / "manifest.parquet")
    assert [row["reason"] for row in rows] == [*cases, "duplicate", "no_face", "unreadable"]
    assert rows[8]["same_as"] == rows[9]["same_as"] == "00000.tar: 000000000"
    ((key, members),) = read_shards([tmp_path / "out" / "images-000000.tar"])
    assert members["jpg"] == cases[""].image and members["txt"] == b"A woman looks up"
    assert json.loads(members["json"])["keywords"] == ["person:woman"] and key == rows[0]["shard_key"]
    assert [key for key, _ in read_shards([tmp_path / "out" / "large-000000.tar"])] == [key]
    assert (report.n_pairs, report.n_kept, report.n_large, report.n_judged) == (12, 1, 1, 12)
    assert json.loads((tmp_path / "out" / "report.json").read_text())["reasons"] == dict(report.reasons)
    assert "| no face | 2 | " in report.table() and not list((tmp_path / "out").glob(".*"))


def test_a_run_that_is_stopped_goes_on(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped in the second block; its files then equal those of a run that was not."""
    monkeypatch.setattr(image_run, "BLOCK", 4)
    curate_images(source, tmp_path / "whole", RULES)

    def stop(done: int) -> None:
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        curate_images(source, tmp_path / "out", RULES, on_pair=stop)
    assert content(tmp_path / "out") == {}
    assert curate_images(source, tmp_path / "out", RULES).n_judged == 4
    assert content(tmp_path / "out") == content(tmp_path / "whole")
    assert curate_images(source, tmp_path / "out", RULES).n_judged == 0
    stricter = curate_images(source, tmp_path / "out", ImageRules(least_px=513, large_px=513))
    assert stricter.n_judged == 12 and stricter.n_kept == 0
    assert set(content(tmp_path / "out")) == {"manifest.parquet"}


def test_two_processes_decide_as_one(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_run, "BLOCK", 4)
    for n in (1, 2):
        curate_images(source, tmp_path / str(n), RULES, n)
    assert content(tmp_path / "1") == content(tmp_path / "2")


def test_pairs_are_taken_as_they_are_needed(
    cases: dict[str, Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 200 pairs no more than a block is held: memory does not grow with their number."""
    pytest.importorskip("pyarrow", reason="pyarrow is not here: pip install 'eadnet[curate]'")
    monkeypatch.setattr(image_run, "BLOCK", 4)
    taken = 0

    def pairs(_: Path) -> Iterator[Pair]:
        nonlocal taken
        for _ in range(200):
            taken += 1
            yield cases["unreadable"]

    monkeypatch.setattr(image_run, "read_pairs", pairs)
    ahead = []
    curate_images(tmp_path, tmp_path / "out", RULES, on_pair=lambda done: ahead.append(taken - done))
    assert len(ahead) == 200 and max(ahead) <= 4


def test_the_command(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out"
    given = ["curate", "images", str(source), "--output", str(output), "--least", "200", "--large", "600"]
    assert cli.main([*given, "--languages", "en,de"]) == 0
    printed = capsys.readouterr().out
    assert "| looks like an earlier picture | 2 | 1 |" in printed and "1 pairs are in" in printed
    assert cli.main([*given, "--languages", "en,xx"]) == 2
    assert "language 'xx'" in capsys.readouterr().err
    assert cli.main([*given, "--faces", "0"]) == 2
    assert cli.main(["curate", "images", str(tmp_path / "none"), "--output", str(output)]) == 2
