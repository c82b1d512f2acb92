"""Weights that others publish, from their own files into ours: read safely, renamed, strict.

No code of a file is ever run: a pickle is read by torch's reader of weights alone, and one that holds anything else is
refused. Nothing here downloads; `downloads` does, when asked.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from ..config import PRESETS, SMALL_BASE, SDVAEConfig, StableSyncNetConfig, WhisperConfig
from ..errors import BadInput, CheckpointError
from ..nets.syncnet_v2 import SyncNetV2
from .files import narrowed, open_weights, write_weights
from .parts import build_empty, misfit

FOLDER_FILES = (
    "diffusion_pytorch_model.safetensors",
    "model.safetensors",
    "diffusion_pytorch_model.bin",
    "pytorch_model.bin",
)
"""What diffusers and transformers call the weights in a folder, safetensors first."""
WRAPPERS = ("state_dict", "model_state_dict")
"""Keys under which a checkpoint may keep its weights."""
PARALLEL = "module."
"""What training on several GPUs leaves before every key."""


@dataclass(frozen=True)
class Source:
    """One kind of public weights, and the file of a base's folder that it becomes."""

    part: str
    file: str
    """Name in the folder, without .safetensors."""
    config: Any
    """Sizes of the net; None where the preset says them."""
    rename: Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
    expected: str
    licence: str


def _same_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return dict(state)


def _vae_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    from ..nets.latentsync.sd_vae import from_diffusers, from_single_file

    is_single_file = any("encoder.down." in key for key in state)
    return from_single_file(state) if is_single_file else from_diffusers(state)


def _whisper_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    from ..nets.latentsync.whisper import from_openai, from_transformers

    is_openai = any(key.startswith("encoder.blocks.") for key in state)
    return from_openai(state) if is_openai else from_transformers(state)


SOURCES: dict[str, Source] = {
    "unet": Source(
        "denoiser",
        "denoiser",
        None,
        _same_names,
        "latentsync_unet.pt of LatentSync 1.5 or 1.6, or a safetensors file with its keys",
        "OpenRAIL++ (ByteDance/LatentSync)",
    ),
    "vae": Source(
        "sd_vae",
        "vae",
        SDVAEConfig(),
        _vae_names,
        "sd-vae-ft-mse as a diffusers folder or a single file",
        "MIT (stabilityai/sd-vae-ft-mse)",
    ),
    "whisper": Source(
        "whisper",
        "whisper",
        WhisperConfig(),
        _whisper_names,
        "Whisper tiny as OpenAI's tiny.pt or a transformers folder",
        "MIT (openai/whisper)",
    ),
    "syncnet": Source(
        "stable_syncnet",
        "syncnet",
        StableSyncNetConfig(),
        _same_names,
        "stable_syncnet.pt of LatentSync",
        "OpenRAIL++ (ByteDance/LatentSync)",
    ),
}
"""By the name of the option of `eadnet convert`."""


@dataclass(frozen=True)
class Found:
    """What was read from a public file."""

    source: str
    path: Path
    state: dict[str, Tensor]
    """Under our keys, in the file's dtypes; not copied into memory before it is used where the file allows that."""
    n_left_out: int
    """Tensors of the file that we have no use for, such as Whisper's decoder."""

    def __str__(self) -> str:
        n_weights = sum(value.numel() for value in self.state.values())
        dtypes = ", ".join(sorted({str(value.dtype).removeprefix("torch.") for value in self.state.values()}))
        left_out = f", {self.n_left_out} left out" if self.n_left_out else ""
        return f"{self.path}: {len(self.state)} tensors, {n_weights / 1e6:.1f} M weights ({dtypes}){left_out}"


def read_public(source: str, path: str | Path, config: Any = None) -> Found:
    """Public weights under our keys.

    source  a key of SOURCES
    path    the file, or the folder it lies in
    config  sizes of the net instead of the published ones

    Raises CheckpointError for a missing or damaged file, for a pickle with more than weights in it, and for any key or
    shape that does not fit.
    """
    kind = SOURCES[source]
    found_at = find_weights(path)
    state = read_tensors(found_at)
    expected = build_empty(kind.part, kind.config if config is None else config).state_dict()
    renamed = dict(state) if state.keys() == expected.keys() else kind.rename(state)
    if problem := misfit(expected, renamed):
        raise CheckpointError(f"'{found_at}' does not fit: {problem}. Expected {kind.expected}.")
    return Found(source, found_at, renamed, len(state) - len(renamed))


def find_weights(path: str | Path) -> Path:
    """The weight file of a path: itself, or the one in a folder of diffusers or transformers."""
    path = Path(path)
    if path.is_file():
        return path
    if path.is_dir():
        for name in FOLDER_FILES:
            if (path / name).is_file():
                return path / name
        raise CheckpointError(f"The folder '{path}' holds none of {', '.join(FOLDER_FILES)}.")
    raise CheckpointError(f"No weight file or folder '{path}'.")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a file by key, without the wrapping that checkpoints have around them.

    A zipped .pt stays on the disk and is mapped, so that 5 GB are not read before they are used.
    """
    if path.suffix == ".safetensors":
        with open_weights(path) as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        said = [line.strip() for line in str(error).splitlines() if "nsupported" in line or "not an allowed" in line]
        raise CheckpointError(
            f"'{path}' was not loaded: it is damaged, or a pickle with more in it than weights, which could run code"
            f"{f' ({said[0]})' if said else ''}. Get it from its publisher again, or as safetensors."
        ) from error
    except (RuntimeError, EOFError, OSError) as error:
        raise CheckpointError(f"'{path}' is damaged or cut short ({_first_line(error)}); get it again.") from error
    return _unwrapped(loaded, path)


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _unwrapped(loaded: Any, path: Path) -> dict[str, Tensor]:
    inner = loaded
    for key in WRAPPERS:
        if isinstance(inner, Mapping) and isinstance(inner.get(key), Mapping):
            inner = inner[key]
    if not isinstance(inner, Mapping) or not inner or not all(isinstance(v, Tensor) for v in inner.values()):
        raise CheckpointError(
            f"'{path}' holds no table of weights, neither by itself nor under {' or '.join(WRAPPERS)}: it holds "
            f"{_described(inner)}."
        )
    if all(key.startswith(PARALLEL) for key in inner):
        return {key.removeprefix(PARALLEL): value for key, value in inner.items()}
    return dict(inner)


def _described(value: Any) -> str:
    return f"the keys {', '.join(map(str, list(value)[:5]))}" if isinstance(value, Mapping) else type(value).__name__


def convert(
    files: Mapping[str, str | Path], output: str | Path, preset: str = "base-512", *, half: bool = False
) -> list[Found]:
    """Write public weights as files of a base's folder; everything is read and checked before anything is written.

    files   path of each of SOURCES that is to be written
    preset  the base that the "unet" becomes
    half    store float16, which most GPUs compute in and half the size; default: the bits of the file
    """
    known = [
        name for name, config in PRESETS.items() if config.denoiser.layout == "latentsync" and config is not SMALL_BASE
    ]
    if preset not in known:
        raise BadInput(f"'{preset}' is no base that public weights fit; give one of {', '.join(known)}.")
    if not files:
        raise BadInput(f"Nothing to convert: give one of {', '.join(f'--{name}' for name in SOURCES)}.")
    targets = {name: Path(output) / f"{SOURCES[name].file}.safetensors" for name in files}
    for target in targets.values():
        if target.exists():
            raise BadInput(f"'{target}' exists already: remove it, or give another folder.")
    base = replace(PRESETS[preset], denoiser=replace(PRESETS[preset].denoiser, has_adapters=False))
    found = [read_public(name, path, base if name == "unet" else None) for name, path in files.items()]
    for one in found:
        kind = SOURCES[one.source]
        state = {key: narrowed(value) if half else value.contiguous() for key, value in one.state.items()}
        metadata = {"licence": kind.licence, "source": one.path.name}
        write_weights(targets[one.source], kind.part, state, kind.config or base, metadata)
    return found


def load_syncnet_v2(path: str | Path, device: str | torch.device = "cpu") -> SyncNetV2:
    """The original SyncNet from its public `syncnet_v2.model`, for `metrics.syncnet_v2`; without gradients.

    Raises CheckpointError for a missing, damaged or foreign file.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"No weight file '{path}'. Download syncnet_v2.model of the original SyncNet first.")
    net = SyncNetV2()
    expected = net.state_dict()
    # counts of training batches, which files of old torch versions lack, do not matter
    state = {key: value for key, value in expected.items() if key.endswith("num_batches_tracked")} | read_tensors(path)
    if problem := misfit(expected, state):
        raise CheckpointError(f"'{path}' does not fit: {problem}. Expected syncnet_v2.model of the original SyncNet.")
    net.load_state_dict(state)
    return net.eval().requires_grad_(False).to(device)


def load_video_mae(folder: str | Path) -> nn.Module:
    """VideoMAE's encoder from a transformers folder, in eval mode, without gradients: what TREPA compares in pixels.

    Raises CheckpointError where the folder is missing or damaged, or where a weight of the encoder is missing.
    """
    from transformers import VideoMAEModel

    folder = Path(folder)
    find_weights(folder)
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"'{folder}' has no config.json; expected a transformers folder of VideoMAE.")
    try:
        loaded: Any = VideoMAEModel.from_pretrained(
            str(folder), local_files_only=True, weights_only=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, SafetensorError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"'{folder}' is no readable folder of VideoMAE ({_first_line(error)}).") from error
    net, report = loaded
    missing, wrong = sorted(report["missing_keys"]), sorted(map(str, report["mismatched_keys"]))
    if missing or wrong:
        raise CheckpointError(
            f"'{folder}' does not fit: missing {', '.join(missing[:5]) or 'none'}; wrong shape "
            f"{', '.join(wrong[:5]) or 'none'}. Expected a transformers folder of VideoMAE."
        )
    return net.eval().requires_grad_(False)
