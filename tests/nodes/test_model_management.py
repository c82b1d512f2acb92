"""The nets under ComfyUI's model management: the same numbers, movable layer by layer, at any precision."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
import torch

from eadnet_core.emotion.code import emotion_code
from eadnet_core.families.load import auto_dtype, load_model
from eadnet_core.families.mini import MINI
from eadnet_core.generation.stages import preview

CODE = emotion_code("happy", 1.0)


@pytest.fixture
def hosted(host: Any) -> Any:
    return host.call("EADNet_Loader", model="tiny", precision="fp32", attention="sdpa")[0]


def drawn(host: Any, model: Any) -> Any:
    picture = (torch.rand(128, 128, 3, generator=torch.Generator().manual_seed(0)) * 255).byte().numpy()
    return host.module("eadnet_core.generation.stages").preview(model, picture, CODE, 4)


def test_the_host_changes_no_number(host: Any, hosted: Any, tiny_folder: Any) -> None:
    picture = (torch.rand(128, 128, 3, generator=torch.Generator().manual_seed(0)) * 255).byte().numpy()
    plain = preview(load_model(str(tiny_folder), "cpu"), picture, CODE, 4)
    made = drawn(host, host.module("nodes.bridge").resident(hosted))
    assert (plain == made).all()


def test_nearly_all_weights_lie_in_layers_that_can_stay_behind(host: Any, hosted: Any) -> None:
    """A small card holds only some layers; what lies in none of ComfyUI's kinds is moved by the bridge: little.

    Most of it are the maps of the mean face, as large in a tiny model as in any.
    """
    nets = hosted.patcher.model
    loose = [net for net in nets.modules() if not hasattr(net, "comfy_cast_weights")]
    weights = sum(value.numel() for net in loose for value in net.parameters(recurse=False))
    maps_bytes = sum(value.nbytes for net in loose for value in net.buffers(recurse=False))
    assert 0 < weights < 0.1 * sum(value.numel() for value in nets.parameters())
    assert maps_bytes < 20e6


def test_a_partial_load_gives_the_same(host: Any, hosted: Any) -> None:
    bridge = host.module("nodes.bridge")
    whole = drawn(host, bridge.resident(hosted))
    hosted.patcher.detach()
    hosted.patcher.load(torch.device("cpu"), lowvram_model_memory=64)
    bridge._move_loose_weights(hosted.patcher.model, torch.device("cpu"))
    assert hosted.patcher.model.lowvram_patch_counter >= 0
    assert (drawn(host, bridge.resident(hosted)) == whole).all()


@pytest.mark.parametrize("precision", ["bf16", "fp16", "auto"])
def test_other_precisions_are_close(host: Any, hosted: Any, precision: str) -> None:
    bridge = host.module("nodes.bridge")
    whole = drawn(host, bridge.resident(hosted))
    (other,) = host.call("EADNet_Loader", model="tiny", precision=precision, attention="auto")
    own = auto_dtype(torch.device("cpu"), MINI)
    assert other.model.dtype == (own if precision == "auto" else bridge.PRECISIONS[precision])
    assert abs(drawn(host, bridge.resident(other)).astype(int) - whole).mean() < 2


def test_weights_can_be_differentiated_through_although_nodes_run_in_inference_mode(host: Any, hosted: Any) -> None:
    """SyncNet guidance needs it; tensors made in inference mode forbid it."""
    assert not any(value.is_inference() for value in hosted.patcher.model.state_dict().values())


FLAGS = """
import sys
sys.path.insert(0, {comfyui!r})
sys.argv = ["main.py", *{flags!r}]
import comfy.options
comfy.options.enable_args_parsing()
import utils.extra_config, comfy.cli_args, asyncio, nodes, folder_paths, os
import utils.extra_config as extra
folder_paths.models_dir = {models!r}
if {extra!r}:
    extra.load_extra_path_config({extra!r})
asyncio.run(nodes.load_custom_node({root!r}))
loader = nodes.NODE_CLASS_MAPPINGS["EADNet_Loader"].PREPARE_CLASS_CLONE(None)
made = loader.execute(model={model!r}, precision="auto", attention="auto").args[0]
bridge = sys.modules[[name for name in sys.modules if name.endswith(".nodes.bridge")][0]]
print("loaded", bridge.list_models(), bridge.resident(made).device, made.model.dtype)
"""


def run_with(flags: list[str], models: str, model: str, extra: str = "") -> str:
    from pathlib import Path

    root = str(Path(__file__).parents[2])
    code = FLAGS.format(
        comfyui=os.environ["COMFYUI_PATH"], flags=flags, models=models, model=model, extra=extra, root=root
    )
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_flags_are_honoured(host: Any) -> None:
    models = str(host.base / "models")
    own = "torch.bfloat16" if torch.cpu.get_capabilities().get("amx_bf16") else "torch.float32"
    assert f"cpu {own}" in run_with(["--cpu"], models, "tiny")
    assert "cpu torch.float32" in run_with(["--cpu", "--fp32-unet"], models, "tiny")
    assert "cpu torch.bfloat16" in run_with(["--cpu", "--bf16-unet"], models, "tiny")


def test_extra_model_paths_are_respected(host: Any, tmp_path: Any, tiny_folder: Any) -> None:
    (tmp_path / "elsewhere" / "my heads").mkdir(parents=True)
    for path in tiny_folder.iterdir():
        (tmp_path / "elsewhere" / "my heads" / path.name).symlink_to(path)
    config = tmp_path / "extra.yaml"
    config.write_text(f"mine:\n  base_path: {tmp_path}\n  eadnet: elsewhere\n")
    said = run_with(["--cpu"], str(tmp_path / "models"), "my heads", str(config))
    assert "loaded ['mini', 'mini-256', 'my heads']" in said
