"""The browser part's own tests, run by node's test runner, one pytest test per file."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SCRIPTS = sorted([*(ROOT / "web" / "js").glob("*.js"), *(ROOT / "eadnet_core" / "live").rglob("*.js")])
OLDEST_NODE = 20
"""Node 20 knows the array methods that the page uses, and has a test runner with timers to turn by hand."""


@pytest.fixture(scope="module")
def node() -> str:
    program = shutil.which("node")
    if program is None:
        pytest.skip("node is not installed: the tests of web/js need Node.js 20 or later")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.lstrip("v").split(".")[0]) < OLDEST_NODE:
        pytest.skip(f"node {version} is too old: the tests of web/js need Node.js 20 or later")
    return program


@pytest.mark.parametrize("path", sorted(HERE.glob("*.test.mjs")), ids=lambda p: p.name.removesuffix(".test.mjs"))
def test_javascript(node: str, path: Path) -> None:
    done = subprocess.run([node, "--test", "--test-reporter=spec", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.name)
def test_every_script_of_a_page_is_one(node: str, path: Path) -> None:
    """A page that imports one script with a mistake in it loads none."""
    code = path.read_text(encoding="utf-8")
    done = subprocess.run([node, "--check", "--input-type=module", "-"], input=code, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["dom.js", "pad_plane.js", "emotion_plane.js"])
def test_the_live_page_has_the_pads_own_code(name: str) -> None:
    """The library is installed without the pack's folder `web`: the page's copies are the same to the byte."""
    copied = (ROOT / "eadnet_core" / "live" / "page" / name).read_bytes()
    assert copied == (ROOT / "web" / "js" / name).read_bytes(), f"copy web/js/{name} to eadnet_core/live/page"
