"""The page in a headless Chromium against a real ComfyUI, in both renderers. Screenshots stay in pytest's folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
LIMIT_S = 1800
pytestmark = pytest.mark.timeout(LIMIT_S + 60)


@pytest.fixture(scope="session")
def chromium() -> str:
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if path is None:
        pytest.skip("no chromium is installed: apt-get install chromium, or name one in CHROMIUM")
    return path


@pytest.fixture(scope="session")
def node() -> str:
    if not (path := shutil.which("node")):
        pytest.skip("node is not installed: the tests in a browser need Node.js 20 or later")
    if not (HERE / "node_modules" / "playwright-core").is_dir():
        pytest.skip("playwright-core is not installed: npm install --prefix tests/nodes/browser")
    return path


@pytest.mark.parametrize("renderer", ["classic", "nodes2"])
@pytest.mark.parametrize("path", sorted(HERE.glob("*.test.mjs")), ids=lambda p: p.name.removesuffix(".test.mjs"))
def test_in_a_browser(server: Any, node: str, chromium: str, path: Path, renderer: str, tmp_path: Path) -> None:
    in_a_browser(server, node, chromium, path, renderer, tmp_path)


def test_a_renamed_folder_works_as_well(renamed: Any, node: str, chromium: str, tmp_path: Path) -> None:
    """Manager names the folder after the registry's id, and artists as they like."""
    in_a_browser(renamed, node, chromium, HERE / "run.test.mjs", "classic", tmp_path)


def in_a_browser(server: Any, node: str, chromium: str, path: Path, renderer: str, shots: Path) -> None:
    """Run a file of tests on a server's page."""
    environment = {
        **os.environ,
        "COMFYUI_URL": f"http://127.0.0.1:{server.port}",
        "RENDERER": renderer,
        "SHOTS": str(shots),
        "CHROMIUM": chromium,
    }
    command = [node, "--test", "--test-reporter=spec", str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT_S, cwd=HERE)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
