"""A real ComfyUI in this process, with the pack loaded by ComfyUI's own loader, on a CPU and in a folder of its own."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.util
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
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


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests in a browser come last: one file of them takes a minute and more, and says nothing until it has ended."""
    items.sort(key=lambda item: item.path.parent.name == "browser")


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
        folder_paths.set_user_directory(str(self.base / "user"))
        asyncio.run(nodes.init_builtin_extra_nodes())
        assert asyncio.run(nodes.load_custom_node(str(ROOT)))
        self.nodes, self.execution = nodes, execution
        self.package = next(name for name in sys.modules if name.endswith(".nodes.bridge")).rsplit(".", 2)[0]

    def new_executor(self) -> Any:
        """A prompt executor with an empty cache."""
        kind = self.execution.CacheType.CLASSIC
        return self.execution.PromptExecutor(
            self.server, cache_type=kind, cache_args={"lru": 0, "ram": 0, "ram_inactive": 0}
        )

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
    made.module("eadnet_core.weights.folders").ASSETS = assets  # the shipped mini at tiny size
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


@pytest.fixture(scope="session")
def as_prompt() -> Any:
    """`to_api`, for tests."""
    return to_api


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


WIDGET_TYPES = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}


DYNAMIC = "COMFY_DYNAMICCOMBO_V3"
"""A choice that brings inputs of its own."""


def ports(described: dict[str, Any], values: list[Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(name, value or None for a socket) of a node's inputs, as /object_info describes them; takes from `values`.

    Where they have ended, the defaults: a later ComfyUI has more widgets than a saved node of its own, as Save Video.
    """
    inputs = described.get("input", described)
    for group in ("required", "optional"):
        for name in described.get("input_order", inputs).get(group, []):
            kind, *more = inputs[group][name]
            options = more[0] if more else {}
            if kind == DYNAMIC:
                chosen = values.pop(0) if values else options["options"][0]["key"]
                yield prefix + name, chosen
                brings = next(option["inputs"] for option in options["options"] if option["key"] == chosen)
                yield from ports(brings, values, f"{prefix}{name}.")
            elif (isinstance(kind, list) or kind in WIDGET_TYPES) and not options.get("forceInput"):
                yield prefix + name, values.pop(0) if values else options.get("default")
                if options.get("control_after_generate") and values:
                    assert values.pop(0) in ("fixed", "increment", "decrement", "randomize")
            else:
                yield prefix + name, None


def to_api(workflow: dict[str, Any], describe: Any) -> dict[str, Any]:
    """A workflow in the page's format as a prompt, as the page would send it; `describe(type)` is /object_info."""
    sources = {link[0]: [str(link[1]), link[2]] for link in workflow["links"]}
    prompt = {}
    for node in workflow["nodes"]:
        if node["type"] in ("MarkdownNote", "Note"):
            continue
        linked = {port["name"]: sources[port["link"]] for port in node["inputs"] if port.get("link") is not None}
        values = dict(ports(describe(node["type"]), list(node["widgets_values"])))
        inputs = {name: value for name, value in values.items() if value is not None}
        prompt[str(node["id"])] = {"class_type": node["type"], "inputs": inputs | linked}
    return prompt


class Server:
    """ComfyUI in a process of its own, with the pack and a tiny mini, spoken to over HTTP."""

    def __init__(self, base: Path, pack: Path, name: str = "eadnet") -> None:
        self.base, self.log = base, base / "server.log"
        for folder in ("custom_nodes", "input", "output", "models", "user"):
            (base / folder).mkdir(parents=True, exist_ok=True)
        (base / "custom_nodes" / name).symlink_to(pack)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [os.environ["COMFYUI_PYTHON"], "main.py", "--cpu", "--listen", "127.0.0.1", "--port", str(self.port)]
        command += ["--base-directory", str(base), "--disable-auto-launch", "--disable-api-nodes"]
        # A file: connections to one in memory end with a traceback when another thread collects them.
        command += ["--database-url", f"sqlite:///{base / 'comfyui.db'}"]
        command += shlex.split(os.environ.get("COMFYUI_ARGS", ""))
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        environment.setdefault("OMP_WAIT_POLICY", "passive")  # threads that spin for each other starve a busy machine
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=COMFYUI, stdout=log, stderr=log, env=environment)

    def wait(self, limit_s: float = 300.0) -> None:
        """Until the server answers. Raises AssertionError with its log."""
        end = time.monotonic() + limit_s
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(OSError):
                self.get("/system_stats")
                return
            time.sleep(0.3)
        raise AssertionError(self.log.read_text(errors="replace")[-3000:])

    def request(self, path: str, data: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """(status, JSON) of a GET, or of a POST of JSON or bytes."""
        body = data if data is None or isinstance(data, bytes) else json.dumps(data).encode()
        headers = {"Content-Type": "application/json", **(headers or {})} if data is not None else headers or {}
        asked = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, headers)
        try:
            with urllib.request.urlopen(asked, timeout=300) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        try:
            return status, json.loads(text) if text else None
        except ValueError:
            return status, text

    def get(self, path: str) -> Any:
        """The JSON of a GET that must succeed."""
        status, answer = self.request(path)
        assert status == 200, (path, status, answer)
        return answer

    def describe(self, kind: str) -> dict[str, Any]:
        """/object_info of one node."""
        return self.get(f"/object_info/{kind}")[kind]

    def queue(self, prompt: dict[str, Any]) -> tuple[int, Any]:
        """POST a prompt."""
        return self.request("/prompt", {"prompt": prompt, "client_id": "test"})

    def finished(self, prompt_id: str, limit_s: float = 300.0) -> dict[str, Any]:
        """The history of a prompt when it has ended."""
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            history = self.get(f"/history/{prompt_id}")
            if prompt_id in history:
                return history[prompt_id]
            time.sleep(0.05)
        raise AssertionError(f"prompt {prompt_id} did not end within {limit_s} s")

    def run(self, prompt: dict[str, Any]) -> dict[str, Any]:
        """Queue a prompt that must succeed; its history."""
        status, answer = self.queue(prompt)
        assert status == 200, answer
        done = self.finished(answer["prompt_id"])
        assert done["status"]["status_str"] == "success", done["status"]["messages"][-1]
        return done

    def stop(self) -> None:
        """End the process."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Iterator[Server]:
    with started(tmp_path_factory, tiny_folder, "eadnet") as made:
        yield made


@pytest.fixture
def renamed(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Iterator[Server]:
    """The same, in a folder with a name of the user's own."""
    with started(tmp_path_factory, tiny_folder, "my_talking-faces.2") as made:
        yield made


@contextlib.contextmanager
def started(factory: pytest.TempPathFactory, model: Path, name: str) -> Iterator[Server]:
    """A server with the pack in a folder of that name, and a model as its mini."""
    if not COMFYUI or not os.environ.get("COMFYUI_PYTHON"):
        pytest.skip("COMFYUI_PATH and COMFYUI_PYTHON are not set: no ComfyUI to start (make test-comfyui)")
    pack = factory.mktemp("pack")
    link_pack(pack, model)
    made = Server(factory.mktemp("base"), pack, name)
    try:
        made.wait()
        yield made
    finally:
        made.stop()


def link_pack(pack: Path, model: Path) -> None:
    """The pack by links, with another model as its mini."""
    core, assets = pack / "eadnet_core", pack / "eadnet_core" / "assets"
    assets.mkdir(parents=True)
    for name in ("__init__.py", "nodes", "web", "locales", "workflows", "subgraphs", "pyproject.toml"):
        (pack / name).symlink_to(ROOT / name)
    for path in (ROOT / "eadnet_core").iterdir():
        if path.name not in ("assets", "__pycache__"):
            (core / path.name).symlink_to(path)
    for name in ("__init__.py", "faces", "sample"):
        (assets / name).symlink_to(ROOT / "eadnet_core" / "assets" / name)
    (assets / "mini").symlink_to(model)


@pytest.fixture(scope="session")
def published_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """ComfyUI with what the registry would be given, the shipped mini included, and nothing else of the repository."""
    if not COMFYUI or not os.environ.get("COMFYUI_PYTHON"):
        pytest.skip("COMFYUI_PATH and COMFYUI_PYTHON are not set: no ComfyUI to start (make test-comfyui)")
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout, and what is published is what git tracks")
    pack = tmp_path_factory.mktemp("registry") / "eadnet-0.1.0"
    subprocess.run([sys.executable, str(ROOT / ".ci" / "published.py"), str(pack)], check=True)
    made = Server(tmp_path_factory.mktemp("base"), pack, "eadnet-0.1.0")
    try:
        made.wait()
        yield made
    finally:
        made.stop()
