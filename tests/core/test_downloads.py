"""`eadnet download` against a hub on this machine: what a client of the real one asks for, and what goes wrong."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from eadnet_core.errors import BadInput
from eadnet_core.weights.download import DOWNLOADS, PublicFile, download, find_public, mismatch

CONTENT = bytes(range(256)) * 40_000
FILE = PublicFile(
    "someone/weights", "part/tiny.pt", len(CONTENT), hashlib.sha256(CONTENT).hexdigest(), "MIT", "eadnet convert --vae"
)


@dataclass
class Hub:
    """A server that answers as the hub does, cuts the first `n_cuts` downloads short, and remembers what was asked."""

    content: bytes = CONTENT
    n_cuts: int = 0
    has_ranges: bool = True
    ranges: list[str | None] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def hub() -> Iterator[Hub]:
    state = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/someone/weights/resolve/main/part/tiny.pt":
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            wanted = self.headers.get("Range")
            start = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted and state.has_ranges else 0
            body = state.content[start:]
            self.send_response(206 if wanted and state.has_ranges else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            state.ranges.append(wanted)
            if state.n_cuts:
                state.n_cuts -= 1
                self.wfile.write(body[: len(body) // 2])
                self.close_connection = True
            else:
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield state
    server.shutdown()
    server.server_close()


PROGRAM = """
import sys
from eadnet_core.weights import download as downloads
from eadnet_core.cli import main
downloads.DOWNLOADS["tiny"] = downloads.PublicFile({values})
sys.exit(main(["download", *sys.argv[1:]]))
"""


def run(hub: Hub, folder: Path, file: PublicFile = FILE) -> subprocess.CompletedProcess[str]:
    """`eadnet download` in a process of its own: the hub's address is read when its client is imported."""
    values = ", ".join(repr(getattr(file, field)) for field in file.__dataclass_fields__)
    environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(values=values), "tiny", "--output", str(folder)],
        env={**environment, "HF_ENDPOINT": hub.url},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_file_is_got_once_and_continued_where_it_broke_off(hub: Hub, tmp_path: Path) -> None:
    hub.n_cuts = 2
    done = run(hub, tmp_path)
    assert done.returncode == 0, done.stderr
    path = tmp_path / "tiny" / "part" / "tiny.pt"
    assert path.read_bytes() == CONTENT
    assert [p.name for p in path.parent.iterdir()] == ["tiny.pt"]
    half, rest = len(CONTENT) // 2, len(CONTENT) - len(CONTENT) // 2
    assert hub.ranges == [f"bytes={n}-" for n in (0, half, half + rest // 2)]
    assert "licence: MIT" in done.stdout
    assert f"next: eadnet convert --vae '{path}' --output FOLDER" in done.stdout
    assert run(hub, tmp_path).returncode == 0
    assert len(hub.ranges) == 3


def test_a_stopped_download_is_continued_by_the_next_run(hub: Hub, tmp_path: Path) -> None:
    path = tmp_path / "tiny" / "part" / "tiny.pt"
    path.parent.mkdir(parents=True)
    partial = path.with_name("tiny.pt.partial")
    partial.write_bytes(CONTENT[:1000])
    assert run(hub, tmp_path).returncode == 0
    assert path.read_bytes() == CONTENT and hub.ranges == ["bytes=1000-"]
    path.unlink()
    partial.write_bytes(CONTENT[:1000])
    hub.has_ranges = False
    assert run(hub, tmp_path).returncode == 0
    assert path.read_bytes() == CONTENT


def test_another_file_than_is_known_is_removed_and_said(hub: Hub, tmp_path: Path) -> None:
    hub.content = CONTENT[:-1] + b"x"
    done = run(hub, tmp_path)
    assert done.returncode == 2
    assert "the SHA-256" in done.stderr and FILE.sha256 in done.stderr and "was removed" in done.stderr
    assert not (tmp_path / "tiny" / "part" / "tiny.pt").exists()


def test_a_hub_out_of_reach_a_missing_file_and_an_unknown_name_are_said(hub: Hub, tmp_path: Path) -> None:
    for there, file in ((Hub(url="http://127.0.0.1:9"), FILE), (hub, replace(FILE, path="gone.pt"))):
        done = run(there, tmp_path, file=file)
        assert done.returncode == 2
        assert "0 of 10 MB are there. Check the connection" in done.stderr and "Traceback" not in done.stderr
    assert "404" in done.stderr
    with pytest.raises(BadInput, match=r"'latentsync'.*latentsync-1\.6"):
        find_public("latentsync")


def test_too_little_room_is_said_before_anything_is_asked(tmp_path: Path) -> None:
    huge = PublicFile("someone/weights", "huge.pt", 1 << 60, "0" * 64, "MIT", "")
    with pytest.raises(BadInput, match=r"1152921504\.61 GB of huge\.pt are to come"):
        download(huge, tmp_path)


def test_what_is_known_of_files_is_well_formed_and_compared(tmp_path: Path) -> None:
    for file in DOWNLOADS.values():
        assert len(bytes.fromhex(file.sha256)) == 32 and file.size_bytes > 1e6
    path = tmp_path / "tiny.pt"
    path.write_bytes(CONTENT)
    assert mismatch(path, FILE) == ""
    path.write_bytes(CONTENT[1:])
    assert mismatch(path, FILE) == f"{len(CONTENT) - 1} bytes instead of {len(CONTENT)}"
