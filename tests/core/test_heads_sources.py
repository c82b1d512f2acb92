"""`eadnet download heads` against a server on this machine: what is taken of an archive, and what goes wrong."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from eadnet_core.errors import BadInput, CheckpointError
from eadnet_core.heads.anatomy import REQUIRED
from eadnet_core.heads.sources import SOURCES, Source, SourceFile, download_source, find_folders, listed, missing

CONTENTS = {"LICENSE": b"CC0\n", "data/base.obj": bytes(range(256)) * 400, "data/nose.target": b"0 1 2 3\n"}
FILES = tuple(
    SourceFile("tiny", path, len(content), hashlib.sha256(content).hexdigest()) for path, content in CONTENTS.items()
)


def archive(contents: dict[str, bytes]) -> bytes:
    """A commit's archive as GitHub packs it, with files that nobody asked for."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as members:
        for path, content in {"README": b"more", **contents, "zoo/../../../escaped": b"out"}.items():
            member = tarfile.TarInfo(f"tiny-0123/{path}")
            member.size = len(content)
            members.addfile(member, io.BytesIO(content))
    return packed.getvalue()


@dataclass
class Host:
    """A server with one archive, which it cuts at `cut` bytes, and the paths it was asked for."""

    content: bytes = field(default_factory=lambda: archive(CONTENTS))
    cut: int | None = None
    asked: list[str] = field(default_factory=list)
    source: Source = field(default_factory=lambda: Source("tiny", "some/tiny", "0123", "CC0", "LICENSE"))


@pytest.fixture
def host() -> Iterator[Host]:
    state = Host()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(state.content[: state.cut])

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    state.source = Source("tiny", "some/tiny", "0123", "CC0", "LICENSE", host=url)
    yield state
    server.shutdown()
    server.server_close()


def there(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_what_is_used_is_taken_once_and_nothing_else(host: Host, tmp_path: Path) -> None:
    sizes: list[int] = []
    download_source(host.source, FILES, tmp_path / "a" / "tiny", sizes.append)
    assert there(tmp_path) == {f"a/tiny/{path}": content for path, content in CONTENTS.items()}
    assert host.asked == ["/some/tiny/tar.gz/0123"] and sizes == [len(content) for content in CONTENTS.values()]
    download_source(host.source, FILES, tmp_path / "a" / "tiny")
    assert len(host.asked) == 1


def test_what_came_before_a_break_is_kept(host: Host, tmp_path: Path) -> None:
    host.content = archive({"LICENSE": CONTENTS["LICENSE"]})
    with pytest.raises(CheckpointError, match=r"tar\.gz/0123 .*1 of 3 files came, data/base\.obj did not.* is kept"):
        download_source(host.source, FILES, tmp_path)
    host.content, host.cut = archive(CONTENTS), 300
    with pytest.raises(CheckpointError, match="0 of 2 files came"):
        download_source(host.source, FILES, tmp_path)
    host.cut = None
    download_source(host.source, FILES, tmp_path)
    assert there(tmp_path) == CONTENTS


def test_another_file_is_refused_and_not_written(host: Host, tmp_path: Path) -> None:
    host.content = archive(CONTENTS | {"data/nose.target": b"0 9 9 9\n"})
    with pytest.raises(CheckpointError, match=r"data/nose\.target of some/tiny is another file than is known"):
        download_source(host.source, FILES, tmp_path)
    assert "data/nose.target" not in there(tmp_path)


def test_a_server_out_of_reach_is_said(tmp_path: Path) -> None:
    nowhere = Source("tiny", "some/tiny", "0123", "CC0", "LICENSE", host="http://127.0.0.1:9")
    with pytest.raises(CheckpointError, match=r"0 of 3 files came.*Check the connection"):
        download_source(nowhere, FILES, tmp_path)


def test_too_little_room_is_said_before_anything_is_asked(host: Host, tmp_path: Path) -> None:
    huge = (SourceFile("tiny", "huge", 1 << 60, "0" * 64),)
    with pytest.raises(BadInput, match="1152921504607 MB of some/tiny are to come"):
        download_source(host.source, huge, tmp_path)
    assert host.asked == []


def test_damaged_files_are_missing_ones(tmp_path: Path) -> None:
    for path, content in CONTENTS.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(content)
    assert missing(tmp_path, FILES) == []
    (tmp_path / "data/nose.target").write_bytes(b"0 1 2 3\r\n")
    assert [file.path for file in missing(tmp_path, FILES)] == ["data/nose.target"]


def test_checkouts_are_checked(tmp_path: Path) -> None:
    with pytest.raises(
        BadInput, match="no folder 'makehuman-core': check vidya-hub/makehuman-core out there at commit"
    ):
        find_folders(tmp_path)
    (tmp_path / "makehuman-core-06e129ac920593f9f315e03d6d5b3f843504de7f").mkdir()
    with pytest.raises(BadInput, match=r"lacks 581 files of vidya-hub/makehuman-core .* such as NOTICE\.md"):
        find_folders(tmp_path)


def test_the_list_names_every_source_and_its_licence() -> None:
    for source in SOURCES.values():
        files = listed(source.name)
        assert source.licence_file in [file.path for file in files] and len(source.commit) == 40
        assert len({file.path for file in files}) == len(files)
        for file in files:
            assert len(bytes.fromhex(file.sha256)) == 32 and file.size_bytes > 0
            assert ".." not in file.path.split("/") and not file.path.startswith("/")
    assert not listed("elsewhere")


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "eadnet_core", "download", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_command_says_what_is_there_and_what_is_not(tmp_path: Path) -> None:
    done = run("heads", "--from", "nowhere", folder=tmp_path)
    assert done.returncode == 2 and "'nowhere' has no folder 'makehuman-core'" in done.stderr
    assert "MIT, Copyright (c) 2020 USC" in done.stdout and "CC0 1.0" in done.stdout
    done = run("whisper-tiny", "--from", "nowhere", folder=tmp_path)
    assert done.returncode == 2 and "--from goes with 'heads' alone" in done.stderr
    pack = tmp_path / "public" / "heads" / "pack"
    pack.mkdir(parents=True)
    for name in REQUIRED:
        (pack / name).write_bytes(b"")
    done = run("heads", folder=tmp_path)
    assert done.returncode == 0 and "is there already" in done.stdout
