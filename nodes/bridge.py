"""The only file that knows ComfyUI's insides: devices, model management, progress, cancel, folders, IMAGE and AUDIO."""

from __future__ import annotations

import dataclasses
import math
import os
import re
import time
import uuid
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any

import comfy.model_management as mm
import comfy.model_patcher
import comfy.ops
import comfy.utils
import folder_paths
import torch
from comfy.cli_args import args
from comfy_api.latest import io
from comfy_execution.utils import get_executing_context

from ..eadnet_core.errors import BadInput
from ..eadnet_core.request import GenerateOptions, Progress
from . import host_features
from .sockets import HostedModel

if TYPE_CHECKING:
    import numpy as np

    from ..eadnet_core.families.family import Family, Model
    from ..eadnet_core.media.sound.audio import Audio
    from ..eadnet_core.weights.experts import Experts

FOLDER = "eadnet"
LANGUAGE_FOLDER = "LLM"
NO_LANGUAGE_MODEL = "(put a model folder into models/LLM)"
SHIPPED = "mini"
ALL_SHIPPED = (SHIPPED, "mini-256")
CATEGORY = "EAD-Net"
PREVIEW_EVERY_S = 0.2
PREVIEW_SIZE = 384
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def schema(**values: Any) -> io.Schema:
    """The schema of a node of this pack, as far as this ComfyUI knows its keywords."""
    return host_features.schema(category=CATEGORY, **values)


# Folders


def register_model_folder() -> None:
    """Make models/eadnet known, beside whatever extra_model_paths.yaml says."""
    folder_paths.add_model_folder_path(FOLDER, os.path.join(folder_paths.models_dir, FOLDER))
    folder_paths.folder_names_and_paths[FOLDER][1].add(".safetensors")
    folder_paths.add_model_folder_path(LANGUAGE_FOLDER, os.path.join(folder_paths.models_dir, LANGUAGE_FOLDER))


def endpoints_file() -> Path:
    """Where the machine's owner names the servers that may be asked; no route of ComfyUI reads or writes there."""
    return Path(folder_paths.get_user_directory()) / FOLDER / "endpoints.json"


def list_models() -> list[str]:
    """The shipped models, and every folder in models/eadnet that holds a denoiser."""
    files = folder_paths.get_filename_list(FOLDER)
    own = [os.path.dirname(name) or "." for name in files if os.path.basename(name) == "denoiser.safetensors"]
    return [*ALL_SHIPPED, *sorted(own)]


def model_folder(name: str) -> str:
    """What `eadnet_core.weights.folders.find_model` takes for an entry of `list_models`. Raises BadInput for others."""
    if name in ALL_SHIPPED:
        return name
    if name not in list_models():
        places = " or ".join(folder_paths.get_folder_paths(FOLDER))
        raise BadInput(
            f"No model '{name}'. Put its folder, with denoiser.safetensors and the other parts in it, into {places}, "
            f"press R to refresh, and choose it again; '{SHIPPED}' is always there."
        )
    return os.path.dirname(folder_paths.get_full_path_or_raise(FOLDER, os.path.join(name, "denoiser.safetensors")))


def list_language_models() -> list[str]:
    """Every folder in models/LLM that holds a model; where there is none, a line that says so."""
    return sorted(_language_folders()) or [NO_LANGUAGE_MODEL]


def language_model_folder(name: str) -> str:
    """The path of an entry of `list_language_models`. Raises BadInput for others."""
    found = _language_folders()
    if name not in found:
        places = " or ".join(folder_paths.get_folder_paths(LANGUAGE_FOLDER))
        raise BadInput(
            f"No language model '{name}'. Put its folder, with config.json, tokenizer and *.safetensors in it, into "
            f"{places}, press R to refresh, and choose it; or take the provider 'rules'."
        )
    return found[name]


def _language_folders() -> dict[str, str]:
    found: dict[str, str] = {}
    for base in folder_paths.get_folder_paths(LANGUAGE_FOLDER):
        for name in os.listdir(base) if os.path.isdir(base) else []:
            if os.path.isfile(os.path.join(base, name, "config.json")):
                found.setdefault(name, os.path.join(base, name))
    return found


def room_for(folder: str) -> str:
    """Free what the weights of a folder take on the device that computes; returns that device."""
    device = mm.get_torch_device()
    files = (entry for entry in os.scandir(folder) if entry.name.endswith(".safetensors"))
    mm.free_memory(1.2 * sum(entry.stat().st_size for entry in files), device)
    return str(device)


def input_file(name: str, subfolder: str, kind: str) -> str:
    """The path of a file in input/ or temp/. Raises BadInput for anything else, however the name is spelled."""
    base = folder_paths.get_directory_by_type(kind) if kind in ("input", "temp") else None
    if base is None:
        raise BadInput(f"type is '{kind[:20]}'; give 'input' or 'temp'.")
    base = os.path.realpath(base)
    # Names first: merely to look at \\host\share asks that host.
    path = os.path.realpath(os.path.join(base, subfolder, name)) if is_below(name) and is_below(subfolder) else base
    if path == base or os.path.commonpath([base, path]) != base:
        raise BadInput("The file must lie in ComfyUI's input or temp folder; give its name and subfolder there.")
    if not os.path.isfile(path):
        raise FileNotFoundError(f"'{name[:80]}' is not in ComfyUI's {kind} folder.")
    return path


def output_folder(name: str) -> tuple[Path, str]:
    """A folder in output/, and its name there with slashes. Raises BadInput for anything else."""
    base = os.path.realpath(folder_paths.get_output_directory())
    path = os.path.realpath(os.path.join(base, name.strip())) if is_below(name) else base
    if path == base or os.path.commonpath([base, path]) != base:
        raise BadInput(f"folder is '{name[:80]}'; give the name of a folder in ComfyUI's output folder.")
    return Path(path), os.path.relpath(path, base).replace(os.sep, "/")


def new_output(folder: str, stem: str, suffix: str) -> tuple[Path, str]:
    """A path in a folder of output/, which is made, that no file has: a number follows the stem; and its name there."""
    place, name = output_folder(folder)
    place.mkdir(parents=True, exist_ok=True)
    number = 1
    while os.path.lexists(place / f"{stem}_{number:05}{suffix}"):
        number += 1
    file = f"{stem}_{number:05}{suffix}"
    return place / file, f"{name}/{file}"


def is_below(name: str) -> bool:
    """Whether a name stays below the folder it is looked for in, on any system: no drive, host, root or way up."""
    path = PureWindowsPath(name)
    return not (path.drive or path.root or ".." in path.parts or any(c < " " for c in name))


def temp_name() -> str:
    """A name that no file has yet."""
    return f"eadnet_{uuid.uuid4().hex[:12]}"


def temp_file(suffix: str, node_id: str = "") -> str:
    """A path in temp/ that no file has.

    Its name is the last part of the id of a node that another node became, where that is a `temp_name`.
    """
    folder = folder_paths.get_temp_directory()
    os.makedirs(folder, exist_ok=True)
    parent, _, name = node_id.rpartition(".")
    path = os.path.join(folder, name + suffix)
    if parent and re.fullmatch(r"eadnet_[0-9a-f]{12}", name) and not os.path.exists(path):
        return path
    return os.path.join(folder, temp_name() + suffix)


# Models


def precision_of(name: str, n_weights: int, family: Family) -> torch.dtype:
    """The dtype of a choice; "auto" follows ComfyUI's flags and the device, and on a CPU the model too."""
    from ..eadnet_core.families.load import auto_dtype

    if name != "auto":
        return PRECISIONS[name]
    device = mm.get_torch_device()
    found = mm.unet_dtype(
        device=device,
        model_params=n_weights,
        supported_dtypes=[torch.bfloat16, torch.float16, torch.float32],
    )
    is_asked = args.force_fp32 or args.fp32_unet
    return found if device.type != "cpu" or found != torch.float32 or is_asked else auto_dtype(device, family)


def attention_of(name: str) -> str:
    """The core's backend of a choice; "auto" takes xformers where ComfyUI uses it."""
    return name if name != "auto" else ("xformers" if mm.xformers_enabled() else "sdpa")


class EADNets(torch.nn.ModuleDict):
    """Nets by name; ComfyUI's log shows what it loads by the name of its class."""


def host(model: Model) -> HostedModel:
    """Give the nets of a model on the CPU to ComfyUI's model management.

    Layers become ComfyUI's own kinds, which compute with weights that lie elsewhere: on a small card a plain torch net
    would be left half on the CPU and fail.
    """
    performer = model.family.performer(model)
    nets = EADNets({**_nets(model), **(_nets(performer, "performer_") if performer else {})})
    for net in nets.modules():
        castable = getattr(comfy.ops.manual_cast, type(net).__name__, None)
        if castable is not None and type(net).__module__.startswith("torch.nn."):
            net.__class__ = castable
            vars(net).update(weight_function=[], bias_function=[])
    patcher = comfy.model_patcher.ModelPatcher(nets, mm.get_torch_device(), mm.unet_offload_device())
    return HostedModel(model, patcher, GenerateOptions())


def _nets(model: Model, prefix: str = "") -> dict[str, torch.nn.Module]:
    """The nets that a model generates with, by name."""
    parts = {
        "vae": model.vae,
        "denoiser": model.denoiser,
        "audio": model.audio_encoder,
        "emotion": model.emotion_encoder,
        "syncnet": model.syncnet,
    }
    return {prefix + name: net for name, net in parts.items() if net is not None}


def resident(hosted: HostedModel) -> Model:
    """The model with its nets where they compute; call it before each use."""
    from ..eadnet_core.families.family import sampler_options

    config, own = hosted.model.config.denoiser, sampler_options(hosted.model, hosted.options)
    largest = max(width * (config.cells >> level) ** 2 for level, width in enumerate(config.widths))
    activations = 3 * own.window_frames * own.batch_windows * largest * hosted.model.dtype.itemsize * 16
    patcher = hosted.patcher
    with torch.inference_mode(False):  # SyncNet guidance differentiates, which tensors made in inference mode forbid
        mm.load_models_gpu([patcher], memory_required=activations)
        _move_loose_weights(patcher.model, patcher.load_device)
    return hosted.model.on(patcher.load_device)


def _move_loose_weights(nets: torch.nn.Module, device: torch.device) -> None:
    """Bring along the few parameters and buffers that lie in no layer of ComfyUI's: partial loads leave them behind."""
    for net in nets.modules():
        if hasattr(net, "comfy_cast_weights"):
            continue
        for value in [*net.parameters(recurse=False), *net.buffers(recurse=False)]:
            if value.device != device:
                value.data = value.data.to(device)


@dataclasses.dataclass(frozen=True)
class HostedExperts:
    """The scoring nets, and what keeps them in ComfyUI's account while they are used."""

    experts: Experts
    patcher: Any


def experts(name: str) -> HostedExperts:
    """The scoring nets of a model where they compute: small, so all of them or none."""
    from ..eadnet_core.weights.experts import load_experts

    with torch.inference_mode(False):
        found = load_experts("cpu", name)
        nets = EADNets({"sync": found.sync, "vae": found.reader.vae, "bank": found.reader.bank})
        patcher = comfy.model_patcher.ModelPatcher(nets, mm.get_torch_device(), mm.unet_offload_device())
        mm.load_models_gpu([patcher], force_full_load=True)
    return HostedExperts(dataclasses.replace(found, device=next(nets.parameters()).device), patcher)


# Progress and cancel


def check_cancel() -> bool:
    """Raise ComfyUI's own exception if the user cancelled; False otherwise, as the core's Cancel callback."""
    mm.throw_exception_if_processing_interrupted()
    return False


class Bar:
    """A node's progress bar; each tick is a point where Cancel takes effect.

    shows_video  whether the node shows a video of its own when it is done. Then no pictures are sent before: Nodes 2.0
                 would load the last of them as the video, and show neither. The same goes for the simple node's parts
    """

    def __init__(self, total: int, shows_video: bool = False) -> None:
        self._total, self._bar = total, comfy.utils.ProgressBar(total)
        self._previewed = math.inf if shows_video or is_expanded() else 0.0

    def __call__(self, done: int, total: int | None = None, preview: Any = None) -> None:
        check_cancel()
        self._bar.update_absolute(done, total or self._total, preview)

    def follow(self, progress: Progress) -> None:
        """The core's OnProgress: with a picture of what is being made, a few times a second."""
        now = time.monotonic()
        picture = None
        if now - self._previewed >= PREVIEW_EVERY_S:
            self._previewed = now
            from PIL import Image

            picture = ("JPEG", Image.fromarray(progress.preview()), PREVIEW_SIZE)
        self(progress.done, progress.total, picture)


def shown_node() -> str:
    """Id of the node in the page's graph that the running node is, or belongs to; empty where nothing runs."""
    context = get_executing_context()
    return "" if context is None else context.node_id.partition(".")[0]


def tell_page(event: str, data: dict[str, Any]) -> None:
    """Send an event to the page that queued the running graph; to nobody where that was no page."""
    from server import PromptServer

    server = getattr(PromptServer, "instance", None)
    if server is not None and server.client_id is not None:
        server.send_sync(event, data, server.client_id)


def is_expanded() -> bool:
    """Whether the running node belongs to a graph that another node became; ComfyUI writes their ids with dots."""
    context = get_executing_context()
    return context is not None and "." in context.node_id


# IMAGE and AUDIO


def to_image(pixels: np.ndarray) -> torch.Tensor:
    """uint8 [B, H, W, 3] or [H, W, 3] -> IMAGE [B, H, W, 3] float32 0 .. 1."""
    batch = torch.from_numpy(pixels if pixels.ndim == 4 else pixels[None])
    return batch.to(mm.intermediate_device()).float().div_(255.0)


def to_device(values: torch.Tensor) -> torch.Tensor:
    """Values where IMAGEs and MASKs lie."""
    return values.to(mm.intermediate_device())


def empty_image(shape: tuple[int, ...]) -> torch.Tensor:
    """An IMAGE to be filled."""
    return torch.empty(shape, dtype=torch.float32, device=mm.intermediate_device())


def to_pictures(image: torch.Tensor) -> torch.Tensor:
    """IMAGE -> [B, H, W, C] float32 on the CPU; the core's reader lays transparent pixels over grey."""
    return image.detach().cpu().float()


def to_sound(audio: dict[str, Any]) -> Audio:
    """AUDIO -> the core's sound: any dtype, any number of channels, the first of a batch."""
    from ..eadnet_core.media.sound.audio import read_audio

    waveform = audio["waveform"]
    waveform = waveform[:1] if waveform.ndim == 3 else waveform
    return read_audio(waveform, int(audio["sample_rate"]))


def kept_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """What a file says of how it was made; nothing where ComfyUI was started with --disable-metadata."""
    return settings if keeps_settings() else {}


def keeps_settings() -> bool:
    """Whether files may say how they were made."""
    return not args.disable_metadata


def free_memory_bytes() -> int:
    """Memory that is free on the device where IMAGEs lie."""
    return int(mm.get_free_memory(mm.intermediate_device()))


def box_of(text: str) -> tuple[float, float, float, float] | None:
    """The face box of a text widget, "x0,y0,x1,y1"; empty is none. Raises BadInput."""
    if not text.strip():
        return None
    try:
        x0, y0, x1, y1 = (float(v) for v in text.replace(";", ",").split(","))
    except ValueError:
        raise BadInput(f"box is '{text[:80]}'; give four numbers x0,y0,x1,y1 in pixels, or leave it empty.") from None
    if not all(map(math.isfinite, (x0, y0, x1, y1))):
        raise BadInput(f"box is '{text[:80]}'; give four finite numbers x0,y0,x1,y1 in pixels.")
    return x0, y0, x1, y1
