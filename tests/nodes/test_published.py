"""The published tree in a real ComfyUI server: its first workflow, as it is shipped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from eadnet_core.media.video.files import read_video

FIRST = Path(__file__).parents[2] / "workflows" / "first_run.json"


def test_the_first_workflow_runs_from_the_published_tree(published_server: Any, as_prompt: Any) -> None:
    prompt = as_prompt(json.loads(FIRST.read_text(encoding="utf-8")), published_server.describe)
    done = published_server.run(prompt)
    shown = [item for output in done["outputs"].values() for item in output.get("images", [])]
    video = next(item for item in shown if item["filename"].endswith(".mp4"))
    made = read_video(published_server.base / video["type"] / video["subfolder"] / video["filename"])
    assert made.n_frames == 146
    log = published_server.log.read_text(encoding="utf-8", errors="replace")
    assert "IMPORT FAILED" not in log and "Traceback" not in log
