"""A base in LatentSync's shape, at tiny size and with random weights, through the same nodes as the mini."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import pytest
import torch

from eadnet_core.media.video.files import read_video

OWN = {"sampler__steps": 1, "sampler__guidance_audio": -1.0, "sampler__guidance_emotion": -1.0}


@pytest.fixture
def base(host: Any, tiny_base_folder: Any) -> str:
    folder = host.base / "models" / "eadnet" / "a base"
    if not folder.exists():
        shutil.copytree(tiny_base_folder, folder)
    return folder.name


def texts(host: Any) -> str:
    """Everything that the nodes of the last run showed as text."""
    shown = [data["output"] for event, data in host.server.events if event == "executed" and data.get("output")]
    return "\n".join(line for output in shown for line in output.get("text", ()))


def test_the_graph_of_the_mini_takes_a_base(host: Any, talk: Any, base: str) -> None:
    assert base in host.module("nodes.bridge").list_models()
    host.executor = host.new_executor()
    host.run(talk.prompt(model__model=base, **OWN))
    made = max((host.base / "output").glob("*.mp4"), key=lambda path: path.stat().st_mtime)
    assert read_video(made).n_frames == 20
    said = texts(host)
    assert "OpenRAIL++ (tiny)" in said and "MIT (tiny)" in said
    assert "'tiny' performs the words, it paints the mouth." in said


def test_a_base_that_is_loaded_in_part_gives_the_same(
    host: Any, base: str, portrait_image: torch.Tensor, voice: dict[str, Any]
) -> None:
    bridge = host.module("nodes.bridge")
    (hosted,) = host.call("EADNet_Loader", model=base, precision="fp32", attention="sdpa")
    face = host.call(
        "EADNet_Face", image=portrait_image, index=0, box="", face_threshold=0.5, on_missing="hold", fps=25.0
    )
    (speech, *_) = host.call("EADNet_AudioEncoder", audio=voice, speech_gate=True, gate_threshold=-26.0)
    feeling = {"text": "", "preset": "from text", "intensity": 1.0, "valence": 0.0, "arousal": 0.0, "use_pad": False}
    (emotion, *_) = host.call("EADNet_EmotionPrompt", **feeling)

    def sampled() -> np.ndarray:
        given = {"steps": 1, "seed": 0, "guidance_audio": -1.0, "guidance_emotion": -1.0, "sync_guidance": 0.0}
        given |= {"sync_low": 0.3, "sync_high": 0.75}
        (made,) = host.call("EADNet_Sampler", model=hosted, face=face[0], speech=speech, emotion=emotion, **given)
        return made.clip.x0.numpy()

    whole = sampled()
    hosted.patcher.detach()
    hosted.patcher.load(torch.device("cpu"), lowvram_model_memory=64)
    bridge._move_loose_weights(hosted.patcher.model, torch.device("cpu"))
    assert np.array_equal(sampled(), whole)
