"""The sample pictures, voices and clips, put into ComfyUI's input folder when a workflow asks, and only then."""

from __future__ import annotations

import logging
import os
import re
import shutil
from pathlib import Path
from typing import Any

import folder_paths

log = logging.getLogger(__name__)

SAMPLES = {
    "eadnet_portrait.png": "portrait.png",
    "eadnet_speech.wav": "speech.wav",
    "eadnet_clip.mp4": "clip.mp4",
    "eadnet_feeling.mp4": "feeling.mp4",
    "eadnet_couple.jpg": "couple.jpg",
    "eadnet_reply.wav": "reply.wav",
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
        if request.content_type != "application/json":  # another origin's page cannot send that unasked
            return web.json_response({"error": "Send JSON."}, status=415)
        return web.json_response({"copied": copy_missing(list(SAMPLES))})


def copy_for_prompt(data: dict[str, Any]) -> dict[str, Any]:
    """Copy the samples that a prompt names, also in a manifest; hands the prompt on as it is."""
    prompt = data.get("prompt") if isinstance(data, dict) else None
    nodes = prompt.values() if isinstance(prompt, dict) else ()
    inputs = [node.get("inputs") for node in nodes if isinstance(node, dict)]
    values = [value for given in inputs if isinstance(given, dict) for value in given.values()]
    texts = [value for value in values if isinstance(value, str)]
    named = {
        name for name in SAMPLES if any(re.search(rf"(?<![\w./\\-]){re.escape(name)}(?![\w.-])", t) for t in texts)
    }
    copy_missing(sorted(named))
    return data


def copy_missing(names: list[str]) -> list[str]:
    """Copy samples that are not in the input folder; returns those copied. A file of the user's own stays.

    A new file alone is written to, never what a symbolic link of that name points to.
    """
    copied = []
    for name in names:
        target = os.path.join(folder_paths.get_input_directory(), name)
        try:
            if not os.path.lexists(target) and _copy(SAMPLES[name], target):
                log.info("EAD-Net: the sample '%s' was put into the input folder", name)
                copied.append(name)
        except OSError as error:
            log.warning("EAD-Net: the sample '%s' was not put into the input folder (%s)", name, error.strerror)
    return copied


def _copy(sample: str, target: str) -> bool:
    """Whether a sample became a new file, whole or not at all; False where another was quicker."""
    from ..eadnet_core.weights.folders import ASSETS

    os.makedirs(os.path.dirname(target), exist_ok=True)
    try:
        with open(target, "xb") as file, (ASSETS / "sample" / sample).open("rb") as source:
            shutil.copyfileobj(source, file)
    except FileExistsError:
        return False
    except OSError:
        Path(target).unlink(missing_ok=True)
        raise
    return True
