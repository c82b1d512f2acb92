"""Manifests of a batch: tables as spreadsheets write them, and errors that say row and what to do."""

from __future__ import annotations

import codecs
import json
from dataclasses import fields
from pathlib import Path

import pytest

from eadnet_core.errors import BadInput
from eadnet_core.generation.rows import OF_VIDEOS, OPTION_COLUMNS, Row, parse_rows, read_rows
from eadnet_core.request import GenerateOptions


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("anna.png", "ben.png", "hello.wav", "喜.wav"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def rows_of(folder: Path, text: str | bytes, name: str = "rows.csv") -> list[Row]:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_rows(path)


def test_a_row_of_each_kind_of_table_is_the_same(folder: Path) -> None:
    lines = ["portrait,voice,words,name,seed,head", 'anna.png,hello.wav,"calm, then furious",Anna 喜,7,0.5']
    table = [["portrait", "voice", "words", "name", "seed", "head"]]
    table += [["anna.png", "hello.wav", "calm, then furious", "Anna 喜", "7", "0.5"]]
    values = dict(zip(table[0], table[1], strict=True)) | {"seed": 7, "head": 0.5}
    (row,) = rows_of(folder, "\n".join(lines))
    assert row == Row(
        2, "Anna 喜", folder / "anna.png", folder / "hello.wav", "calm, then furious", GenerateOptions(seed=7, head=0.5)
    )
    for text, name in (
        ("\r\n".join(lines).encode("utf-8-sig"), "bom.csv"),
        (codecs.BOM_UTF16_LE + "\n".join(lines).encode("utf-16-le"), "utf16.csv"),
        ("\n".join("\t".join(cells) for cells in table), "rows.tsv"),
        ("\n".join(";".join(cells) for cells in table), "semicolons.csv"),
        ("\n" + json.dumps(values, ensure_ascii=False) + "\n\n", "rows.jsonl"),
    ):
        assert rows_of(folder, text, name) == [row], name


def test_what_a_row_leaves_out_is_the_default(folder: Path) -> None:
    base = GenerateOptions(head=0.25, seed=3)
    text = "voice,portrait,seed,words\n\nhello.wav,anna.png,,\n,,,\nhello.wav,ben.png,5,sad\n"
    first, second = parse_rows(text, lambda cell: folder / cell, base)
    assert (first.number, first.name, first.words, first.options) == (3, "anna-hello", "auto", base)
    assert (second.number, second.name, second.options) == (5, "ben-hello", GenerateOptions(head=0.25, seed=5))


def test_every_option_of_a_portrait_has_a_column(folder: Path) -> None:
    assert {*OPTION_COLUMNS, *OF_VIDEOS} == {f.name for f in fields(GenerateOptions)}
    given = {"steps": 2.0, "face_box": [1, 2, 3, 4], "is_tiled": True, "has_speech_gate": False, "windows": "fixed"}
    (row,) = rows_of(folder, json.dumps({"portrait": "anna.png", "voice": "hello.wav", **given}), "x.jsonl")
    wanted = GenerateOptions(
        steps=2, face_box=(1.0, 2.0, 3.0, 4.0), is_tiled=True, has_speech_gate=False, windows="fixed"
    )
    assert row.options == wanted
    text = "portrait,voice,steps,face_box,is_tiled,has_speech_gate,windows\n"
    (row,) = rows_of(folder, text + 'anna.png,hello.wav,2,"1,2,3,4",yes,off,fixed\n')
    assert row.options == wanted


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ("no.png,hello.wav,,a,", r"Row 2: portrait 'no\.png' is no file .*Correct the path"),
        (".,hello.wav,,a,", "Row 2: portrait '.' is no file"),
        (",hello.wav,,a,", "Row 2: portrait is empty"),
        ("anna.png,hello.wav,,../a,", "Row 2: name '../a' holds what a file name may not"),
        ("anna.png,hello.wav,,a\\b,", "may not"),
        ("anna.png,hello.wav,,..,", "begins or ends in a dot"),
        ("anna.png,hello.wav,,.hidden,", "begins or ends in a dot"),
        ("anna.png,hello.wav,,NUL.x,", "is taken"),
        ("anna.png,hello.wav,,Batch,", "is taken"),
        ("anna.png,hello.wav,,.mp4,", "is empty"),
        (f"anna.png,hello.wav,,{'喜' * 70},", "at most 200 bytes"),
        ("anna.png,hello.wav,,a,x", "Row 2: seed is 'x'; give a whole number"),
        ("anna.png,hello.wav,,a,-1", "Row 2: seed is -1; give a whole number in"),
        ("anna.png,hello.wav,a, then b,a,1", "Row 2 has 6 cells, but there are 5 columns"),
        ('anna.png,"hello.wav,,a,', r"Row 2 is no row of a CSV file .*double quotes"),
    ],
)
def test_a_bad_row_is_told_with_its_number(folder: Path, cells: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        rows_of(folder, f"portrait,voice,words,name,seed\n{cells}\n")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("rows.csv", "", "has no rows"),
        ("rows.csv", "portrait,voice\n", "has no rows"),
        ("rows.jsonl", "\n", "has no rows"),
        ("rows.xlsx", "PK", r"ends in '\.xlsx'"),
        ("rows.csv", "portrait,voice,sead\n", r"Row 1: no column is called 'sead'\. There are portrait, voice, words"),
        ("rows.csv", "portrait,voice,mask\n", "no column is called 'mask'"),
        ("rows.csv", "portrait,voice,voice\n", "voice stands there twice"),
        ("rows.csv", "portrait,words\n", "column voice is missing"),
        ("rows.csv", "portrait,voice,words\na,b,愤怒".encode("gbk"), r"Save it as UTF-8\. In a spreadsheet"),
        ("rows.jsonl", "{", "Row 1 is not JSON .*one object in braces"),
        ("rows.jsonl", '{"a":' * 50_000, "Row 1 is not JSON"),
        ("rows.jsonl", '{"portrait": 3, "voice": "hello.wav"}', "portrait is 3; give text"),
        ("rows.jsonl", '{"portrait": "anna.png", "voice": "hello.wav", "name": "\\ud800"}', "half a character"),
        ("rows.jsonl", '{"portrait": "anna.png", "voice": "hello.wav", "head": true}', "head is True; give a number"),
        ("rows.jsonl", '{"portrait": "anna.png", "voice": "hello.wav", "head": NaN}', "head is nan; give a number"),
        ("rows.jsonl", '{"portrait": "anna.png", "voice": "hello.wav", "seed": 1.5}', "seed is 1.5; give a whole"),
        ("rows.jsonl", '{"portrait": "anna.png", "voice": "hello.wav", "is_tiled": "?"}', "give on or off"),
        ("rows.jsonl", '{"portrait": "anna.png", "voice": "hello.wav", "face_box": [1, 2]}', "four numbers"),
        ("rows.jsonl", '{"portrait": "a\\u0000b", "voice": "hello.wav"}', "portrait 'a.*b' cannot be used|is no file"),
    ],
)
def test_a_bad_manifest_says_what_to_do(folder: Path, name: str, content: str | bytes, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        rows_of(folder, content, name)


def test_all_bad_rows_are_told_at_once_and_five_are_shown(folder: Path) -> None:
    lines = [f"{i}.png,hello.wav,n{i}" for i in range(7)]
    with pytest.raises(BadInput) as caught:
        rows_of(folder, "\n".join(["portrait,voice,name", "anna.png,hello.wav,fine", *lines]))
    text = str(caught.value)
    assert "7 of 8 rows cannot be used, and nothing was begun." in text
    assert "Row 3: " in text and "Row 7: " in text and "Row 8: " not in text and "2 more rows" in text


@pytest.mark.parametrize("second", ["a", "A", "a.mp4"])
def test_two_rows_of_one_name_are_refused(folder: Path, second: str) -> None:
    with pytest.raises(BadInput, match=r"Row 3: name '.*' is that of row 2"):
        rows_of(folder, f"portrait,voice,name\nanna.png,hello.wav,a\nben.png,hello.wav,{second}\n")


def test_letters_that_look_alike_are_one_name(folder: Path) -> None:
    with pytest.raises(BadInput, match="is that of row 2"):
        rows_of(folder, "portrait,voice,name\nanna.png,hello.wav,\u00e9\nben.png,hello.wav,e\u0301\n")
