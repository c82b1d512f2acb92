"""A real ComfyUI in this process, with the pack loaded by ComfyUI's own loader, on a CPU and in a folder of its own."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "eadnet_core" / "assets" / "sample"
COMFYUI = os.environ.get("COMFYUI_PATH", "")


class FakeServer:
    """What the executor tells a server; kept as (event, data)."""

    def __init__(self) -> None:
        self.client_id: str | None = "test"
        self.last_node_id: str | None = None
        self.last_prompt_id: str | None = None
        self.sockets_metadata: dict[str, Any] = {}
        self.events: list[tuple[str, Any]] = []

    def send_sync(self, event: str, data: Any, client_id: str | None = None) -> None:
        self.events.append((str(event), data))


class Host:
    """ComfyUI, and the pack as it loaded it."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self._import()
        self.server = FakeServer()
        self.executor = self.new_executor()

    def _import(self) -> None:
        sys.path.insert(0, COMFYUI)
        import utils.extra_config  # noqa: F401 - before comfy/utils.py can shadow it
        from comfy.cli_args import args

        args.cpu, args.base_directory = True, str(self.base)
        import execution
        import folder_paths

        import nodes

        folder_paths.models_dir = str(self.base / "models")
        folder_paths.set_input_directory(str(self.base / "input"))
        folder_paths.set_output_directory(str(self.base / "output"))
        folder_paths.set_temp_directory(str(self.base / "temp"))
        asyncio.run(nodes.init_builtin_extra_nodes())
        assert asyncio.run(nodes.load_custom_node(str(ROOT)))
        self.nodes, self.execution = nodes, execution
        self.package = next(name for name in sys.modules if name.endswith(".nodes.bridge")).rsplit(".", 2)[0]

    def new_executor(self) -> Any:
        """A prompt executor with an empty cache."""
        kind = self.execution.CacheType.CLASSIC
        return self.execution.PromptExecutor(self.server, cache_type=kind, cache_args={"lru": 0, "ram": 0})

    def module(self, name: str) -> ModuleType:
        """A module of the pack, such as "nodes.bridge"."""
        return importlib.import_module(f"{self.package}.{name}")

    def node(self, node_id: str) -> Any:
        """A node class of the pack."""
        return self.nodes.NODE_CLASS_MAPPINGS[node_id]

    def call(self, node_id: str, **inputs: Any) -> tuple[Any, ...]:
        """Run one node by itself; its outputs."""
        with torch.inference_mode():
            return self.node(node_id).PREPARE_CLASS_CLONE(None).execute(**inputs).args

    def validate(self, prompt: dict[str, Any]) -> tuple[Any, ...]:
        """What ComfyUI says of a prompt before it runs: (is valid, error, outputs, errors by node)."""
        return asyncio.run(self.execution.validate_prompt("test", prompt, None))

    def run(self, prompt: dict[str, Any]) -> list[str]:
        """Run a prompt; the ids of the nodes that executed, in order. Raises Failed with what the dialog would say."""
        valid, error, outputs, by_node = self.validate(prompt)
        assert valid, (error, by_node)
        self.server.events.clear()
        self.executor.execute(prompt, "test", {"client_id": "test"}, outputs)
        for event, data in self.server.events:
            if event in ("execution_error", "execution_interrupted"):
                raise Failed(event, data.get("exception_message", ""), data.get("node_type", ""))
        return [data["node"] for event, data in self.server.events if event == "executing" and data["node"]]


class Failed(Exception):
    """(event, message, node type)"""


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Iterator[Host]:
    if not COMFYUI:
        pytest.skip("COMFYUI_PATH is not set: no ComfyUI to run in (see CONTRIBUTING.md, make test-comfyui)")
    if importlib.util.find_spec("aiohttp") is None:
        pytest.skip("this Python lacks ComfyUI's packages: run it with COMFYUI_PYTHON (make test-comfyui)")
    base = tmp_path_factory.mktemp("comfyui")
    for name in ("custom_nodes", "input", "output", "temp", "user", "models/eadnet"):
        (base / name).mkdir(parents=True)
    shutil.copytree(tiny_folder, base / "models" / "eadnet" / "tiny")
    made = Host(base)
    assets = base / "assets"
    shutil.copytree(tiny_folder, assets / "mini")
    (assets / "sample").symlink_to(SAMPLE)
    made.module("eadnet_core.checkpoints").ASSETS = assets  # the shipped mini at tiny size
    yield made


@pytest.fixture
def portrait_image() -> torch.Tensor:
    """The sample portrait as IMAGE, 256 x 256 px."""
    picture = Image.open(SAMPLE / "portrait.png").convert("RGB").resize((256, 256))
    return torch.from_numpy(np.array(picture)).float()[None] / 255


@pytest.fixture
def voice() -> dict[str, Any]:
    """0.6 s of the sample speech as AUDIO."""
    import soundfile

    samples, rate = soundfile.read(SAMPLE / "speech.wav", dtype="float32")
    return {"waveform": torch.from_numpy(samples[: rate * 3 // 5])[None, None], "sample_rate": rate}


@pytest.fixture
def talk(host: Host) -> Any:
    """Builds the prompt of the full graph on the tiny model; keyword arguments change widgets: node_input=value."""
    for name in ("portrait.png", "speech.wav"):
        shutil.copyfile(SAMPLE / name, host.base / "input" / name)
    return SimpleNamespace(prompt=talk_prompt)


def talk_prompt(**changes: Any) -> dict[str, Any]:
    """The full graph in API format; `sampler__steps=2` changes the widget `steps` of the node "sampler"."""
    prompt: dict[str, Any] = {
        "image": ("LoadImage", {"image": "portrait.png"}),
        "audio": ("LoadAudio", {"audio": "speech.wav"}),
        "short": ("TrimAudioDuration", {"audio": ["audio", 0], "start_index": 0.0, "duration": 0.8}),
        "model": ("EADNet_Loader", {"model": "tiny", "precision": "auto", "attention": "auto"}),
        "face": (
            "EADNet_Face",
            {"image": ["image", 0], "index": 0, "box": "", "face_threshold": 0.5, "on_missing": "hold", "fps": 25.0},
        ),
        "speech": ("EADNet_AudioEncoder", {"audio": ["short", 0], "speech_gate": True, "gate_threshold": -26.0}),
        "emotion": (
            "EADNet_EmotionPrompt",
            {
                "text": "happy",
                "preset": "from text",
                "intensity": 1.0,
                "valence": 0.0,
                "arousal": 0.0,
                "use_pad": False,
            },
        ),
        "net": (
            "EADNet_Denoiser",
            {
                "model": ["model", 0],
                "stda_strength": 1.0,
                "tfrm_strength": 1.0,
                "window_frames": 0,
                "head": 1.0,
                "blink": 1.0,
                "lips": 1.0,
            },
        ),
        "sampler": (
            "EADNet_Sampler",
            {
                "model": ["net", 0],
                "face": ["face", 0],
                "speech": ["speech", 0],
                "emotion": ["emotion", 0],
                "steps": 2,
                "seed": 0,
                "guidance_audio": 1.0,
                "guidance_emotion": 1.0,
                "sync_guidance": 0.0,
                "sync_low": 0.3,
                "sync_high": 0.75,
            },
        ),
        "render": (
            "EADNet_RenderVideo",
            {
                "latents": ["sampler", 0],
                "face": ["face", 0],
                "portrait": ["image", 0],
                "audio": ["short", 0],
                "fps": 25.0,
            },
        ),
        "save": ("SaveVideo", {"video": ["render", 0], "filename_prefix": "t", "format": "auto", "codec": "auto"}),
    }
    made = {key: {"class_type": kind, "inputs": dict(inputs)} for key, (kind, inputs) in prompt.items()}
    for name, value in changes.items():
        node, _, widget = name.partition("__")
        made[node]["inputs"][widget] = value
    return made
