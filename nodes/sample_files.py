"""The sample portrait, voice and clips, put into ComfyUI's input folder when a workflow asks, and only then."""

from __future__ import annotations

import logging
import os
import shutil
from typing import Any

import folder_paths

log = logging.getLogger(__name__)

SAMPLES = {
    "eadnet_portrait.png": "portrait.png",
    "eadnet_speech.wav": "speech.wav",
    "eadnet_clip.mp4": "clip.mp4",
    "eadnet_feeling.mp4": "feeling.mp4",
}
"""Name in the input folder -> name in eadnet_core/assets/sample."""


def register() -> None:
    """Let the server copy samples for a prompt that names them, and at POST /eadnet/samples."""
    from aiohttp import web
    from server import PromptServer

    server = getattr(PromptServer, "instance", None)
    if server is None:
        return
    server.add_on_prompt_handler(copy_for_prompt)

    @server.routes.post("/eadnet/samples")
    async def samples(request: web.Request) -> web.Response:
        return web.json_response({"copied": copy_missing(list(SAMPLES))})


def copy_for_prompt(data: dict[str, Any]) -> dict[str, Any]:
    """Copy the samples that a prompt names; hands the prompt on as it is."""
    prompt = data.get("prompt")
    nodes = prompt.values() if isinstance(prompt, dict) else ()
    named = {
        value
        for node in nodes
        if isinstance(node, dict)
        for value in dict(node.get("inputs") or {}).values()
        if isinstance(value, str) and value in SAMPLES
    }
    copy_missing(sorted(named))
    return data


def copy_missing(names: list[str]) -> list[str]:
    """Copy samples that are not in the input folder; returns those copied. A file of the user's own stays."""
    from ..eadnet_core.weights.folders import ASSETS

    copied = []
    for name in names:
        target = os.path.join(folder_paths.get_input_directory(), name)
        if not os.path.exists(target):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copyfile(ASSETS / "sample" / SAMPLES[name], target)
            log.info("EAD-Net: the sample '%s' was put into the input folder", name)
            copied.append(name)
    return copied
