"""The live page in a real Chromium: lips move with a fake microphone, words change the face, strangers are refused.

Head, lids and gaze are held still, so that what changes on the canvas is lips and feeling alone.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from eadnet_core.generation.stages import score_pictures
from eadnet_core.media.sound.audio import read_audio
from eadnet_core.weights.experts import load_experts
from eadnet_core.weights.folders import ASSETS

HERE = Path(__file__).parent
MODULES = HERE.parent / "nodes" / "browser" / "node_modules"
LIMIT_S = 300
SLOW_MS = 150
"""A machine that takes longer for a chunk of 200 ms has too little left for a browser: its time is not tested."""
pytest.importorskip("aiohttp", reason="aiohttp is not installed: pip install 'eadnet[live]'")
pytestmark = pytest.mark.timeout(2 * LIMIT_S)


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[str, int]]:
    """Address of a page, and the number of the process of its own that serves it."""
    command = [sys.executable, "-m", "eadnet_core", "live", "--port", "0", "--picture-px", "128", "--dtype", "float32"]
    command += ["--sessions", "2"]
    command += ["--portrait", str(ASSETS / "sample" / "portrait.png"), "--head", "0", "--blink", "0", "--gaze", "0"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stdout is not None
        try:
            found = re.search(r"http://\S+", server.stdout.readline())
            assert found is not None
            yield found[0], server.pid
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def seen(served: tuple[str, int], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the page showed; skipped where there is no browser."""
    chromium = os.environ.get("CHROMIUM") or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None
    )
    node = shutil.which("node")
    if chromium is None or node is None or not (MODULES / "playwright-core").is_dir():
        pytest.skip("a browser test needs chromium, Node.js 20, and: npm install --prefix tests/nodes/browser")
    folder = tmp_path_factory.mktemp("live-page")
    shots = os.environ.get("EADNET_SHOTS", str(folder))
    paths = {"SHOTS": shots, "SAVED": str(folder / "made.mp4"), "PLAYWRIGHT": f"{MODULES.parent}/"}
    given = {**os.environ, **paths, "ADDRESS": served[0], "SERVER": str(served[1]), "CHROMIUM": chromium}
    given["SPEECH"] = str(ASSETS / "sample" / "speech.wav")
    command = [node, str(HERE / "live_page.mjs")]
    done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    return {**json.loads(done.stdout.splitlines()[-1]), "file": paths["SAVED"]}


def test_the_portrait_is_shown_and_stays_as_still_as_asked(seen: dict[str, Any]) -> None:
    assert seen["lives"] and not seen["errors"] and not seen["problem"]
    assert seen["idle"]["whole"] < 0.2


def test_words_change_the_face(seen: dict[str, Any]) -> None:
    assert re.fullmatch(r"Now angry, \d+ %, by the words\.", seen["on"])
    assert seen["feeling"]["whole"] > 1.0
    assert seen["makingMs"] > SLOW_MS or seen["feelingMs"] < 1000


def test_the_pad_changes_the_face_by_pointer_and_keys(seen: dict[str, Any]) -> None:
    assert seen["placeOfWords"].endswith("angry")
    assert seen["clicked"]["place"] == "0.85, 0.50, happy" and seen["clicked"]["on"].startswith("Now happy, ")
    assert seen["keyed"] == "0.80, 0.51, happy" and seen["outline"] == "solid"
    assert seen["dragged"].startswith("-0.9") and seen["onAfterDrag"].startswith("Now sad, ")  # no flood cut it off


def test_a_text_is_said(seen: dict[str, Any]) -> None:
    if not seen["canSay"]:
        pytest.skip("nobody here speaks a text: pip install 'eadnet[say]'")
    assert seen["saying"] == "Saying: So this is where you live." and seen["said"]["lower"] > 2.0


@pytest.mark.parametrize("name", ["light", "dark", "narrow"])
def test_the_page_fits_its_window(seen: dict[str, Any], name: str) -> None:
    assert seen[f"overflow-{name}"] == 0


def test_sound_and_picture_stay_within_a_frame(seen: dict[str, Any]) -> None:
    """Each picture is due where its sound is played, to the millisecond, and is drawn then."""
    whens = np.array([sound["when"] for sound in seen["noted"]["sounds"]])
    pictures = seen["noted"]["pictures"]
    assert len(pictures) > 10 and len(whens) > 10
    frames = [25 * (p["at"] - whens[whens <= p["at"] + 1e-6].max(initial=-1.0)) for p in pictures[5:]]
    assert all(abs(n - round(n)) < 0.025 and n < 5 for n in frames)
    late_s = np.array([p["drawn"] - p["at"] for p in pictures])
    assert np.median(late_s) < 0.04 and (late_s >= 0).all()
    assert seen["makingMs"] > SLOW_MS or np.quantile(late_s, 0.9) < 0.04


def test_lips_follow_the_microphone(seen: dict[str, Any]) -> None:
    assert seen["speaking"]["lower"] > 2.0 and seen["speaking"]["lower"] > 5 * seen["idle"]["lower"]
    assert re.fullmatch(r"\d+ ms", seen["latency"])


def test_what_is_recorded_holds_what_the_microphone_heard(seen: dict[str, Any]) -> None:
    with av.open(seen["file"]) as video:
        heard = np.concatenate([f.to_ndarray()[0] for f in video.decode(audio=0)])
    assert 0.02 < np.abs(heard).max() < 1.1  # AAC overshoots a little


def test_lips_and_sound_of_a_recording_lie_within_a_frame(seen: dict[str, Any]) -> None:
    with av.open(seen["file"]) as video:
        frames = [f.to_ndarray(format="rgb24") for f in video.decode(video=0)]
    scores = score_pictures(frames, read_audio(seen["file"]), load_experts("cpu", "mini"))
    assert seen["makingMs"] > SLOW_MS or abs(scores.offset) <= 1


def test_two_pages_listen_and_a_third_is_told(seen: dict[str, Any]) -> None:
    assert seen["secondLives"] and "Somebody else" in seen["third"]


def test_a_page_that_crashes_frees_its_place_and_one_that_floods_is_cut_off(seen: dict[str, Any]) -> None:
    assert seen["flood"] == 4008 and seen["undisturbed"]


def test_a_reload_goes_on_and_a_lost_server_is_told(seen: dict[str, Any]) -> None:
    assert seen["beforeReload"] > 10 and seen["reloaded"] and "Reload the page" in seen["dropped"]


def test_a_page_of_another_origin_gets_nothing(seen: dict[str, Any]) -> None:
    assert seen["stranger"] == {"socket": "refused", "read": "refused"}
