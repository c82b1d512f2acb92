"""The owner's file of endpoints: names, addresses and keys; what a graph may name, and what an error may show."""

from __future__ import annotations

import json
import os
import traceback
from pathlib import Path
from typing import Any

import pytest

from eadnet_core import cli
from eadnet_core.emotion.llm.endpoints import MAX_BYTES, Endpoint, find_endpoint, owners_file
from eadnet_core.errors import BadInput

LAB = {"url": "https://lab.example/v1", "model": "small", "key_from": "LAB_KEY"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a file of endpoints may be written; nothing is there yet."""
    return tmp_path / "endpoints.json"


def write(file: Path, entries: Any, mode: int = 0o600) -> Path:
    file.write_text(entries if isinstance(entries, str) else json.dumps(entries), encoding="utf-8")
    file.chmod(mode)
    return file


def test_without_a_file_there_is_ollama_on_this_machine_and_nothing_else(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("EADNET_API_KEY", "sk-secret")
    assert find_endpoint("ollama", file) == Endpoint("http://127.0.0.1:11434/v1", "qwen2.5vl", "")
    with pytest.raises(BadInput, match="no endpoint 'openai'; known: ollama"):
        find_endpoint("openai", file)


def test_the_file_is_the_whole_list(file: Path) -> None:
    write(file, {"here": {"url": "http://127.0.0.1:8000/v1"}})
    assert find_endpoint("here", file, " big ") == Endpoint("http://127.0.0.1:8000/v1", "big")
    with pytest.raises(BadInput, match="known: here"):
        find_endpoint("ollama", file)
    with pytest.raises(BadInput, match="known: none"):
        find_endpoint("ollama", write(file, {}))


def test_a_key_comes_from_the_entry_or_from_the_variable_it_names(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_KEY", "sk-lab\n")
    write(file, {"lab": LAB, "own": {"url": "http://own.example/v1", "key": "sk-own"}})
    assert find_endpoint("lab", file).key == "sk-lab"
    assert find_endpoint("own", file).key == "sk-own"
    assert "sk-" not in repr(find_endpoint("own", file))
    monkeypatch.delenv("LAB_KEY")
    with pytest.raises(BadInput, match="'LAB_KEY', which is not set"):
        find_endpoint("lab", file)
    assert find_endpoint("own", file).key == "sk-own"


@pytest.mark.parametrize(
    "given",
    [
        "http://evil.example/v1",
        "https://sk-secret@evil.example/v1?key=sk-secret",
        "//evil.example/v1",
        "evil.example:8000",
        "evil.example/v1",
        "\\\\evil.example\\share",
        "file:///etc/passwd",
        "ftp://evil.example",
        "http://127.0.0.1:11434/v1",
        "http://[::1]:80/",
        "http://[",
        "%68ttp://evil.example",
        "../endpoints",
        "ollama\n",
        "ollama\0",
        "ollama ",
        "a" * 65,
        "a" * 1_000_000,
        "\ud800",
        "",
        "  ",
    ],
)
def test_what_is_no_name_is_refused_with_what_to_do(file: Path, given: str) -> None:
    write(file, {"lab": LAB})
    with pytest.raises(BadInput, match="endpoint must be a name") as caught:
        find_endpoint(given, file)
    said = str(caught.value)
    assert f"Put the address into '{file}' under a name" in said and "lab" in said
    assert len(said.splitlines()) == 1 and len(said) < 600 and "secret" not in said


@pytest.mark.parametrize(
    "url",
    [
        "localhost:11434",
        "file:///etc/passwd",
        "http://sk-secret@host/v1",
        "http://:sk-secret@host/v1",
        "http://host/v1?key=sk-secret",
        "http://host/v1#sk-secret",
        "http://host:99999/v1",
        "http://host:x/v1",
        "http:///v1",
        "http://ho st/v1",
        "http://host/v1\r\nHost: evil.example",
        "http://host\\@evil.example/v1",
        "http://[::1/v1",
        "http://a..b/v1",
        "http://127.0.0.1:9/\u00fc",
        "http://" + "a" * 70 + "/v1",
    ],
)
def test_addresses_that_are_none_are_refused(file: Path, url: str) -> None:
    with pytest.raises(BadInput) as caught:
        find_endpoint("lab", write(file, {"lab": {"url": url, "model": "m"}}))
    assert "Endpoint 'lab'" in str(caught.value) and "secret" not in str(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777])
def test_a_key_that_others_could_read_is_refused(file: Path, mode: int) -> None:
    with pytest.raises(BadInput, match=rf"mode {mode:o}.*chmod 600 '.*endpoints.json'"):
        find_endpoint("own", write(file, {"own": {"url": "http://own.example/v1", "key": "sk-own"}}, mode))


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
def test_an_address_that_others_could_change_gets_no_key(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_KEY", "sk-lab")
    with pytest.raises(BadInput, match="chmod 600"):
        find_endpoint("lab", write(file, {"lab": LAB}, 0o664))
    assert find_endpoint("lab", write(file, {"lab": LAB}, 0o644)).key == "sk-lab"
    assert find_endpoint("here", write(file, {"here": {"url": "http://127.0.0.1:8000"}}, 0o666)).key == ""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "cannot be read as JSON"),
        ("[" * 200_000, "nested too deeply|too deeply nested"),
        ('{"lab": ' * 20_000, "too deeply nested"),
        ("\xff sk-secret", "cannot be read as JSON"),
        ('{"lab": "sk-secret"}', "no list of endpoints"),
        ('["sk-secret"]', "no list of endpoints"),
        ('{"lab": {"url": "http://h/v1", "token": "sk-secret"}}', "lab.token"),
        ('{"lab": {"key": "sk-secret"}}', "lab.url"),
        ('{"lab": {"url": "http://h/v1", "key": ["sk-secret"]}}', "lab.key"),
        ('{"lab": {"url": "http://h/v1", "key": "sk secret"}}', "signs that no key has"),
        ('{"lab": {"url": "http://h/v1", "key": "sk-secret\\r\\nX: 1"}}', "signs that no key has"),
        ('{"lab": {"url": "http://h/v1", "key": "sk-secret", "key_from": "X"}}', "both a key and key_from"),
        ('{"lab": {"url": "http://h/v1", "key_from": "sk-secret"}}', "lab.key_from"),
        ('{"http://h": {"url": "http://h/v1"}}', "should match pattern"),
        (" " * (MAX_BYTES + 1), "larger than"),
    ],
)
def test_a_file_that_cannot_be_used_says_why_and_shows_no_key(file: Path, text: str, problem: str) -> None:
    """Not in the message, and not in the traceback that ComfyUI logs."""
    with pytest.raises(BadInput, match=problem) as caught:
        find_endpoint("lab", write(file, text))
    assert str(file) in str(caught.value) and len(str(caught.value).splitlines()) == 1
    assert "secret" not in "".join(traceback.format_exception(caught.value))


def test_a_folder_in_its_place_is_one_line(file: Path) -> None:
    file.mkdir()
    with pytest.raises(BadInput, match="cannot be read"):
        find_endpoint("ollama", file)


def test_toml_says_the_same(tmp_path: Path) -> None:
    file = tmp_path / "endpoints.toml"
    write(file, '[lab]\nurl = "https://lab.example/v1"\nmodel = "small"\nkey = "sk-lab"\n')
    assert find_endpoint("lab", file) == Endpoint("https://lab.example/v1", "small", "sk-lab")
    write(file, '[lab]\nkey = "sk-secret\n')
    with pytest.raises(BadInput, match="cannot be read as TOML") as caught:
        find_endpoint("lab", file)
    assert "secret" not in "".join(traceback.format_exception(caught.value))


def test_the_command_lines_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EADNET_ENDPOINTS", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert owners_file() == tmp_path / "eadnet" / "endpoints.toml"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert owners_file() == Path.home() / ".config" / "eadnet" / "endpoints.toml"
    monkeypatch.setenv("EADNET_ENDPOINTS", str(tmp_path / "mine.json"))
    with pytest.raises(BadInput, match="EADNET_ENDPOINTS names"):
        owners_file()
    written = write(tmp_path / "mine.json", {})
    assert owners_file() == written


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (["--url", "http://127.0.0.1:9/v1"], "belong to --provider openai"),
        (["--provider", "openai", "--endpoint", "a", "--url", "http://127.0.0.1:9/v1"], "not both"),
        (["--provider", "openai", "--key-from", "LAB_KEY"], "--key-from belongs to --url"),
        (["--provider", "openai", "--url", "http://127.0.0.1:9", "--key-from", "NOT_SET"], "'NOT_SET', which is not"),
        (["--provider", "openai", "--url", "ftp://127.0.0.1:9"], "http or https address"),
        (["--provider", "openai", "--endpoint", "http://evil.example/v1"], "endpoint must be a name"),
        (["--provider", "openai", "--endpoint", "gone"], "no endpoint 'gone'; known: ollama"),
    ],
)
def test_options_that_contradict_one_another_end_in_one_line(
    more: list[str],
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "clip.mp4").write_bytes(b"")
    given = ["caption", str(tmp_path), "--output", str(tmp_path / "captions.jsonl")]
    assert cli.main([*given, *more]) == 2
    assert problem in capsys.readouterr().err
    assert not (tmp_path / "captions.jsonl").exists()
