"""A run that is watched, over HTTP: its video grows, words change it, and the file says what was felt when."""

from __future__ import annotations

import asyncio
import io
import json
import time
from pathlib import Path
from typing import Any

import av
import pytest

from eadnet_core.media.video.files import read_metadata

aiohttp = pytest.importorskip("aiohttp", reason="this Python lacks ComfyUI's packages (make test-comfyui)")
WORKFLOW = Path(__file__).parents[2] / "workflows" / "first_run.json"
N_FRAMES = 100
LIMIT_S = 900
pytestmark = pytest.mark.timeout(LIMIT_S + 60)


async def watched(server: Any, prompt: dict[str, Any], words: dict[str, Any]) -> dict[str, Any]:
    """Run a prompt as the page does: what the growing video held, and what the server answered."""
    here = f"127.0.0.1:{server.port}"
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(LIMIT_S)) as client,
        client.ws_connect(f"ws://{here}/ws?clientId=watcher") as socket,
    ):
        async with client.post(f"http://{here}/prompt", json={"prompt": prompt, "client_id": "watcher"}) as queued:
            prompt_id = (await queued.json())["prompt_id"]
        async for message in socket:
            said = json.loads(message.data) if message.type == aiohttp.WSMsgType.TEXT else {}
            if said.get("type") == "eadnet_live":
                break
            assert said.get("type") != "execution_error", said
        address, name = f"http://{here}/eadnet/live", said["data"]["name"]
        request = {"name": name, **words}
        async with client.post(address, json=request) as answered:
            answer = {"status": answered.status, **await answered.json()}
        async with client.get(f"{address}/{name}") as growing:
            assert growing.status == 200 and growing.content_type == "video/mp4"
            first = await growing.content.readany()
            async with client.get(f"http://{here}/history/{prompt_id}") as history:
                is_over = bool(await history.json())
            video = first + await growing.content.read()
        async with client.post(address, json=request) as late:
            too_late = {"status": late.status, **await late.json()}
    seen = {"node": said["data"]["node"], "is_over": is_over, "video": video, "answer": answer, "late": too_late}
    return {**seen, "done": await asyncio.to_thread(server.finished, prompt_id)}


@pytest.fixture(scope="module")
def seen(server: Any, as_prompt: Any) -> dict[str, Any]:
    """A run of the simple node, calm at first and furious from some moment on."""
    prompt = as_prompt(json.loads(WORKFLOW.read_text(encoding="utf-8")), server.describe)
    speak = next(id for id, node in prompt.items() if node["class_type"] == "EADNet_Speak")
    inputs = prompt[speak]["inputs"]
    scale = {"image": inputs["image"], "upscale_method": "bilinear", "width": 256, "height": 256, "crop": "disabled"}
    cut = {"audio": inputs["audio"], "start_index": 0.0, "duration": N_FRAMES / 25}
    prompt["small"] = {"class_type": "ImageScale", "inputs": scale}
    prompt["short"] = {"class_type": "TrimAudioDuration", "inputs": cut}
    inputs |= {"live": True, "text": "calm", "image": ["small", 0], "audio": ["short", 0]}
    words = {"text": "furious", "intensity": 1.2, "frames": 1, "image": "eadnet_portrait.png"}
    found = asyncio.run(asyncio.wait_for(watched(server, prompt, words), LIMIT_S))
    return {**found, "speak": speak, "prompt": prompt}


def test_the_video_grows_with_its_sound(seen: dict[str, Any]) -> None:
    assert seen["node"] == seen["speak"] and not seen["is_over"]
    with av.open(io.BytesIO(seen["video"])) as video:
        assert sum(1 for _ in video.decode(video=0)) == N_FRAMES
    with av.open(io.BytesIO(seen["video"])) as video:
        heard = sum(frame.samples for frame in video.decode(audio=0))
        assert abs(heard / 16_000 - N_FRAMES / 25) < 0.1


def test_words_take_effect_and_the_file_says_when(server: Any, seen: dict[str, Any]) -> None:
    assert seen["answer"]["status"] == 200 and seen["answer"]["read"]["text"] == "furious"
    assert seen["late"]["status"] == 400 and "over" in seen["late"]["error"]
    assert seen["done"]["status"]["status_str"] == "success"
    images = [item for output in seen["done"]["outputs"].values() for item in output.get("images", [])]
    (shown,) = {item["filename"] for item in images if item["type"] == "temp" and item["filename"].endswith(".mp4")}
    settings = read_metadata(server.base / "temp" / shown)["settings"]
    calm, furious = settings["emotion_track"]
    assert (calm["text"], furious["text"], furious["fade_s"]) == ("calm", "furious", 0.4)
    assert 1 < furious["time_s"] < N_FRAMES / 25 + 0.4


def test_a_run_that_was_steered_is_not_taken_for_what_its_inputs_make(server: Any, seen: dict[str, Any]) -> None:
    again = server.run(seen["prompt"])
    cached = next(data["nodes"] for name, data in again["status"]["messages"] if name == "execution_cached")
    assert seen["speak"] not in cached
    once_more = server.run(seen["prompt"])
    cached = next(data["nodes"] for name, data in once_more["status"]["messages"] if name == "execution_cached")
    assert seen["speak"] in cached


@pytest.mark.parametrize("name", ["eadnet_000000000000", "..%2f..%2fuser%2feadnet%2fendpoints.json", "x" * 3000])
def test_no_other_file_is_sent_and_no_other_run_steered(server: Any, name: str) -> None:
    status, _ = server.request(f"/eadnet/live/{name}")
    assert status == 404
    time.sleep(0.1)
    status, answer = server.request("/eadnet/live", {"name": name, "text": "furious"})
    assert status == 400 and "over" in answer["error"]
