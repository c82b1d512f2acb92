"""A real ComfyUI server with the pack, over HTTP: every shipped workflow, the preview, cancel, bad input, the log."""

from __future__ import annotations

import base64
import io
import json
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from eadnet_core.media.video.files import read_video

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))
VIDEO_NODES = {"EADNet_Speak", "EADNet_RenderVideo", "EADNet_Conversation", "CreateVideo"}
SAMPLE_S, REPLY_S = 5.84, 2.32
"""Length of the sample speech, and of the reply to it."""


def load(name: str) -> dict[str, Any]:
    return json.loads((ROOT / "workflows" / f"{name}.json").read_text(encoding="utf-8"))


def spoken_s(workflow: dict[str, Any]) -> float | None:
    """Length of the sound of a workflow that makes a video; None for one that makes none."""
    nodes = {node["type"]: node for node in workflow["nodes"]}
    if not VIDEO_NODES & set(nodes):
        return None
    if "EADNet_Conversation" in nodes:
        return SAMPLE_S + REPLY_S
    return nodes["TrimAudioDuration"]["widgets_values"][1] if "TrimAudioDuration" in nodes else SAMPLE_S


def files_of(server: Any, done: dict[str, Any], suffix: str) -> list[Path]:
    shown = [item for output in done["outputs"].values() for item in output.get("images", [])]
    return [
        server.base / item["type"] / item["subfolder"] / item["filename"]
        for item in shown
        if item["filename"].endswith(suffix)
    ]


def talking(server: Any, as_prompt: Any, **widgets: Any) -> dict[str, Any]:
    """The full graph as a prompt, with widgets of any node changed."""
    prompt = as_prompt(load("emotional_talking_head"), server.describe)
    for node in prompt.values():
        node["inputs"].update({key: value for key, value in widgets.items() if key in node["inputs"]})
    return prompt


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_shipped_workflow_runs_as_it_is(server: Any, as_prompt: Any, path: Path) -> None:
    workflow = json.loads(path.read_text(encoding="utf-8"))
    done = server.run(as_prompt(workflow, server.describe))
    length = spoken_s(workflow)
    if length is None:
        assert files_of(server, done, ".png")
        return
    videos = files_of(server, done, ".mp4")
    assert videos
    for video in map(read_video, videos):
        assert video.n_frames == round(length * 25)
        assert video.fps == 25.0
        assert video.audio().duration_s == pytest.approx(length, abs=0.06)


def test_a_second_run_is_wholly_cached(server: Any, as_prompt: Any) -> None:
    prompt = talking(server, as_prompt, text="happy")
    server.run(prompt)
    done = server.run(prompt)
    cached = next(data for event, data in done["status"]["messages"] if event == "execution_cached")
    assert set(cached["nodes"]) >= {key for key, node in prompt.items() if node["class_type"].startswith("EADNet_")}


def test_another_feeling_computes_only_what_depends_on_it(server: Any, as_prompt: Any) -> None:
    prompt = talking(server, as_prompt, text="happy")
    server.run(prompt)
    done = server.run(talking(server, as_prompt, text="angry"))
    cached = next(data for event, data in done["status"]["messages"] if event == "execution_cached")
    ran = {node["class_type"] for key, node in prompt.items() if key not in cached["nodes"]}
    assert ran == {"EADNet_EmotionPrompt", "EADNet_Sampler", "EADNet_RenderVideo", "SaveVideo"}


def test_every_node_is_described(server: Any) -> None:
    for node_id in json.loads((Path(__file__).parent / "schema.json").read_text(encoding="utf-8")):
        assert server.describe(node_id)["category"] == "EAD-Net"


def test_help_and_texts_are_served(server: Any) -> None:
    status, page = server.request("/extensions/eadnet/docs/EADNet_Sampler.md")
    assert status == 200 and b"Sampler" in page
    assert "EADNet_Sampler" in server.get("/i18n")["zh"]["nodeDefs"]


def test_templates_are_listed_and_served(server: Any) -> None:
    """The page offers them under the pack's name, with their stills."""
    assert sorted(server.get("/workflow_templates")["eadnet"]) == sorted(path.stem for path in WORKFLOWS)
    for path in WORKFLOWS:
        assert server.get(f"/api/workflow_templates/eadnet/{path.name}")["version"] == 0.4
        status, still = server.request(f"/api/workflow_templates/eadnet/{path.stem}.jpg")
        assert status == 200 and still[:2] == b"\xff\xd8"


def test_cancel_ends_a_run(server: Any, as_prompt: Any) -> None:
    _, answer = server.queue(talking(server, as_prompt, steps=100, seed=int(time.time())))
    end = time.monotonic() + 60
    while not server.get("/queue")["queue_running"] and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(1.0)
    began = time.monotonic()
    server.request("/interrupt", {"prompt_id": answer["prompt_id"]})
    done = server.finished(answer["prompt_id"], 60)
    assert time.monotonic() - began < 10
    assert done["status"]["messages"][-1][0] == "execution_interrupted"


def test_a_missing_model_says_where_to_put_it(server: Any, as_prompt: Any) -> None:
    prompt = talking(server, as_prompt)
    loader = next(key for key, node in prompt.items() if node["class_type"] == "EADNet_Loader")
    prompt = {key: node for key, node in prompt.items() if node["class_type"] != "PreviewImage"}
    prompt[loader]["inputs"]["model"] = "../../secrets"
    status, answer = server.queue(prompt)
    assert status == 400
    assert "models/eadnet" in json.dumps(answer["node_errors"][loader])


def test_free_memory_is_honoured(server: Any, as_prompt: Any) -> None:
    status, _ = server.request("/free", {"unload_models": True, "free_memory": True})
    assert status == 200
    server.run(talking(server, as_prompt, text="happy"))


def preview(server: Any, **values: Any) -> tuple[int, Any]:
    return server.request("/eadnet/preview", {"text": "happy", "preset": "from text", "intensity": 1.0, **values})


def test_the_preview_shows_the_portrait(server: Any) -> None:
    server.request("/eadnet/samples", {})
    status, answer = preview(server, image="eadnet_portrait.png", type="input")
    assert status == 200, answer
    assert answer["read"]["label"] == "happy"
    data = base64.b64decode(answer["frames"][0].removeprefix("data:image/jpeg;base64,"))
    assert Image.open(io.BytesIO(data)).size == (128, 128)
    status, strip = preview(server, frames=25, valence=-0.7, arousal=0.65)
    assert status == 200 and len(strip["frames"]) == 25
    assert strip["read"]["label"] == "fear"


def test_the_preview_says_which_words_were_not_understood(server: Any) -> None:
    status, answer = preview(server, text="asdf qwer")
    assert status == 200 and answer["read"]["label"] == "neutral"
    assert "was not understood" in answer["read"]["note"]
    assert "note" not in preview(server, text="asdf qwer", preset="happy")[1]["read"]
    assert "note" not in preview(server, text="\u6124\u6012")[1]["read"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"image": "../../../etc/passwd"}, 400),
        ({"image": "/etc/passwd"}, 400),
        ({"image": "passwd", "subfolder": "../../../etc"}, 400),
        ({"image": "a.png", "type": "output"}, 400),
        ({"image": "a.png", "type": "/"}, 400),
        ({"image": "not_there.png"}, 404),
        ({"frames": 1000}, 400),
        ({"intensity": "NaN"}, 400),
        ({"preset": "joyful"}, 400),
        ({"text": "x" * 5000}, 400),
        ({"box": "1,2,3"}, 400),
    ],
)
def test_the_preview_refuses_what_it_must(server: Any, values: dict[str, Any], expected: int) -> None:
    time.sleep(0.1)  # stays below the rate that is refused as such
    status, answer = preview(server, **values)
    assert status == expected, answer
    assert len(answer["error"]) > 20


def test_the_preview_takes_only_json_and_only_from_this_page(server: Any) -> None:
    assert server.request("/eadnet/preview", b"{}", {"Content-Type": "text/plain"})[0] == 415
    status, _ = server.request(
        "/eadnet/preview", {"text": "happy"}, {"Origin": "http://elsewhere.example", "Host": "127.0.0.1"}
    )
    assert status == 403


def test_only_the_newest_preview_is_computed(server: Any) -> None:
    time.sleep(1.1)
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(preview(server, frames=25)[0])) for _ in range(6)]
    for thread in threads:
        thread.start()
        time.sleep(0.02)
    for thread in threads:
        thread.join()
    assert answers.count(200) >= 1
    assert answers.count(409) >= 3
    assert set(answers) <= {200, 409}


def test_too_many_previews_are_refused(server: Any) -> None:
    time.sleep(1.1)
    answers = [preview(server, preset="joyful") for _ in range(40)]
    assert 429 in {status for status, _ in answers}


UNREAD_PROMPT = re.compile(
    r"Traceback \(most recent call last\):\n(?:[ \t].*\n)*?"
    r".*server\.py\", line \d+, in post_prompt\n.*request\.json\(\)\n(?:[ \t].*\n)*"
    r"(?:UnicodeDecodeError|json\.decoder\.JSONDecodeError).*"
)
"""ComfyUI's own answer to a prompt that is no JSON, as tests/nodes/test_hostile.py sends some."""


def unclean(log: str) -> list[str]:
    """What of a server's log should not be there, with the lines around it."""
    log = UNREAD_PROMPT.sub("", log)
    found = re.finditer(r"IMPORT FAILED|Traceback|eadnet.*(?:[Ww]arning|WARNING)", log)
    return [log[max(0, match.start() - 300) : match.end() + 1500] for match in found]


def test_only_a_prompt_that_cannot_be_read_may_leave_a_traceback() -> None:
    head = 'Traceback (most recent call last):\n  File "web_protocol.py", line 577, in _handle_request\n'
    unread = (
        head + '  File "/x/server.py", line 1075, in post_prompt\n    json_data =  await request.json()\n    ^^^^\n'
    )
    unread += "json.decoder.JSONDecodeError: Expecting value: line 1\n"
    ours = (
        head
        + '  File "/x/eadnet/nodes/preview.py", line 5, in preview\n    1 / 0\nZeroDivisionError: division by zero\n'
    )
    assert unclean(unread + unread) == []
    assert len(unclean(unread + ours + unread)) == 1
    assert len(unclean(unread.replace("json.decoder.JSONDecodeError", "RecursionError"))) == 1


def test_the_log_is_clean(server: Any) -> None:
    found = unclean(server.log.read_text(errors="replace"))
    assert not found, "\n---\n".join(found)
