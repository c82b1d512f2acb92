"""One weight file and back: safetensors only, strict, and an error that says which file was expected.

A file may leave out what the model that it extends has to the bit: `drop_shared` does, `load_part` takes it from there.

Every file holds one part and, in its metadata, what is needed to rebuild it:
{"format": "eadnet", "part": ..., "config": JSON, "scores": JSON, ...}. Weights may be stored in half precision; nets
are always built in float32 and stay so unless a dtype is asked for.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..config import ModelConfig, from_dict, to_dict
from ..errors import CheckpointError
from ..paths import readable_by_others
from .parts import PARTS, build_empty, misfit

if TYPE_CHECKING:
    from ..nets.latentsync.denoiser import LatentSyncDenoiser

FORMAT = "eadnet"
ASSETS = Path(__file__).parent.parent / "assets"
SHARED = "shared_sha256"
"""In the metadata of a file that leaves weights out: their SHA-256."""
MOST_LAYERS, MOST_WIDTH = 1000, 10_000_000
"""No config has more: a file with larger numbers was not written by a training."""


def save_part(
    path: str | Path,
    part: str,
    module: nn.Module | Mapping[str, nn.Module],
    config: Any,
    metadata: Mapping[str, Any] | None = None,
    *,
    half: bool = True,
) -> None:
    """Write one part.

    module    the net, or nets by name where a part is made of several ({"denoiser", "audio", "emotion"})
    config    the dataclass that rebuilds it
    metadata  JSON values by name: "scores", "corpus_seed", ...
    half      store float weights in float16; those that it cannot hold stay as they are
    The file appears under its name only when it is complete.
    """
    if not isinstance(module, nn.Module):
        module = nn.ModuleDict(dict(module))
    state = {key: _stored(value, half) for key, value in module.state_dict().items()}
    write_weights(path, part, state, config, metadata)


def save_adapters(
    path: str | Path,
    denoiser: LatentSyncDenoiser,
    emotion_encoder: nn.Module,
    config: ModelConfig,
    metadata: Mapping[str, Any] | None = None,
    *,
    half: bool = False,
) -> None:
    """Write what was trained on top of a base: its denoiser's adapters and the emotion encoder; as `save_part`."""
    from ..nets.adapters import is_adapter_key

    state = {
        f"denoiser.{key}": value for key, value in denoiser.state_dict().items() if is_adapter_key(key, "adapters")
    }
    state |= {f"emotion.{key}": value for key, value in emotion_encoder.state_dict().items()}
    write_weights(path, "adapters", {key: _stored(value, half) for key, value in state.items()}, config, metadata)


def write_weights(
    path: str | Path,
    part: str,
    state: Mapping[str, Tensor],
    config: Any,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write the weights of one part as they are, contiguous tensors on the CPU; see `save_part`."""
    path = Path(path)
    values = {"config": to_dict(config) if is_dataclass(config) else config, **(metadata or {})}
    text = {"format": FORMAT, "part": part, **{key: json.dumps(value) for key, value in values.items()}}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with readable_by_others(partial):
        save_file(dict(state), str(partial), text)
    os.replace(partial, path)


def _stored(value: Tensor, half: bool) -> Tensor:
    value = value.detach().cpu().contiguous().clone()
    return narrowed(value) if half else value


def narrowed(value: Tensor) -> Tensor:
    """A float tensor in float16 where that can hold it; anything else as it is, contiguous."""
    if not value.is_floating_point():
        return value.contiguous()
    halved = value.half()
    return halved.contiguous() if bool(halved.isfinite().all()) else value.contiguous()


def read_metadata(path: str | Path, part: str | None = None) -> dict[str, Any]:
    """Metadata of a weight file with its JSON read; raises CheckpointError unless it is an EAD-Net file of `part`."""
    path = Path(path)
    text = read_header(path)[0]
    if text.get("format") != FORMAT or "part" not in text:
        expected = f"'{part}.safetensors' written by EAD-Net" if part else "a file written by EAD-Net"
        raise CheckpointError(f"'{path}' does not say that it is an EAD-Net weight file; expected {expected}.")
    if part is not None and text["part"] != part:
        raise CheckpointError(f"'{path}' holds the part '{text['part']}'; expected a file that holds '{part}'.")
    try:
        values = {key: json.loads(value) for key, value in text.items() if key not in ("format", "part")}
        for key in ("config", "scores"):
            if not isinstance(values.get(key, {}), dict):
                raise ValueError(f"'{key}' is no object")
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"'{path}' has damaged metadata ({error}); get the file again.") from error
    return {"format": text["format"], "part": text["part"], **values}


def load_part(path: str | Path, part: str, device: str | torch.device = "cpu") -> tuple[nn.Module, dict[str, Any]]:
    """One part as (module in float32, in eval mode, without gradients; metadata).

    Raises CheckpointError for a missing, damaged or foreign file, and for any key or shape that does not fit.
    """
    path = Path(path)
    metadata = read_metadata(path, part)
    config = read_config(path, PARTS[part].config, metadata)
    module = build_for(path, part, config)
    expected = module.state_dict()
    state = read_state(path, part, expected, _shared(path, part, metadata, expected))
    module.load_state_dict({key: _laid_out(value, expected[key]) for key, value in state.items()}, assign=True)
    return module.eval().requires_grad_(False).to(device), metadata


def _laid_out(value: Tensor, like: Tensor) -> Tensor:
    """A copy in the dtype and the order in memory of a net's own weight, so that the file may be written anew."""
    return torch.empty_strided(like.shape, like.stride(), dtype=like.dtype).copy_(value)


def read_config(path: Path, kind: type, metadata: dict[str, Any]) -> Any:
    """The config in a file's metadata as the dataclass `kind`; raises CheckpointError for one of another version."""
    try:
        return from_dict(kind, metadata.get("config", {}))
    except (TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"'{path}' has a config that this version cannot read ({error}); it may need a newer eadnet."
        ) from error


def build_for(path: str | Path, part: str, config: Any) -> nn.Module:
    """The net of a file's config by `parts.build_empty`; raises CheckpointError for a config that no net has."""
    try:
        _check_numbers(config)
        return build_empty(part, config)
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RuntimeError, AssertionError) as error:
        raise CheckpointError(
            f"'{path}' has a config of which no '{part}' can be built ({type(error).__name__}: {str(error)[:200]}); "
            "get the file again."
        ) from error


def _check_numbers(config: Any) -> None:
    """Raises ValueError for numbers that would take memory or time without end."""
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value):
            _check_numbers(value)
        for number in value if isinstance(value, tuple) else (value,):
            most = MOST_LAYERS if field.name in ("layers", "blocks") else MOST_WIDTH
            if isinstance(number, int) and number > most:
                raise ValueError(f"{field.name} is more than {most}")


def read_state(
    path: str | Path, part: str, expected: dict[str, Tensor], shared: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """The weights in a file, and `shared` ones that it leaves out.

    Raises CheckpointError unless keys and shapes are those of `expected`.
    """
    path = Path(path)
    state = {**(shared or {}), **_tensors(path)}
    if problem := misfit(expected, state):
        raise CheckpointError(
            f"'{path}' does not fit the part '{part}': {problem}. Expected a '{path.name}' written for this config."
        )
    return state


def _tensors(path: Path) -> dict[str, Tensor]:
    with open_weights(path) as file:
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict


def extended_folder(path: Path, metadata: Mapping[str, Any]) -> Path | None:
    """The folder of the model that a file's model extends: beside its own, else shipped. None if it extends none.

    Raises CheckpointError for what is no model's name.
    """
    name = metadata.get("extends")
    if not name:
        return None
    if name == ".." or Path(str(name)).name != name:
        raise CheckpointError(f"'{path}' extends {str(name)!r:.80}, which is no model's name: get it again.")
    beside = path.parent.parent / name
    return beside if beside.is_dir() else ASSETS / name


def drop_shared(path: Path, part: str) -> None:
    """Leave out of a file what the model that it extends has to the bit, and note its SHA-256."""
    metadata = read_metadata(path, part)
    folder = extended_folder(path, metadata)
    if folder is None or not (folder / path.name).is_file():
        return
    there, state = _tensors(folder / path.name), _tensors(path)
    shared = {key: value for key, value in state.items() if key in there and _is_same(value, there[key])}
    own = {key: value for key, value in state.items() if key not in shared}
    values = {key: value for key, value in metadata.items() if key not in ("format", "part", "config")}
    write_weights(path, part, own, metadata["config"], {**values, SHARED: _digest(shared)})


def _is_same(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one, other)


def _shared(path: Path, part: str, metadata: dict[str, Any], expected: dict[str, Tensor]) -> dict[str, Tensor]:
    """What a file leaves out, from the model that it extends. Raises CheckpointError where that is another one."""
    folder = extended_folder(path, metadata) if SHARED in metadata else None
    if folder is None:
        return {}
    own = read_header(path)[1]
    read_metadata(folder / path.name, part)
    shared = {key: value for key, value in _tensors(folder / path.name).items() if key in expected and key not in own}
    if _digest(shared) != metadata[SHARED]:
        raise CheckpointError(
            f"'{path}' shares weights with '{folder / path.name}', which is not the file that it was written beside. "
            "Get both from the same place."
        )
    return shared


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of keys and bytes, in the order of the keys."""
    digest = hashlib.sha256()
    for key in sorted(tensors):
        digest.update(key.encode())
        digest.update(tensors[key].contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def open_weights(path: Path) -> Any:
    """A safetensors file, for a `with`; raises CheckpointError where it is missing or damaged."""
    if not path.is_file():
        raise CheckpointError(
            f"No weight file '{path}'. A model's folder holds a file for each part: get '{path.name}' from where the "
            "model came from, or give a folder that has it."
        )
    try:
        return safe_open(str(path), framework="pt")
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"'{path}' is not a readable safetensors file ({error}); get the file again. Pickles are never loaded."
        ) from error


def read_header(path: Path) -> tuple[dict[str, str], dict[str, tuple[list[int], str]]]:
    """(metadata, shape and dtype by key) without reading the weights."""
    with open_weights(path) as file:
        slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118 - not a dict
        return file.metadata() or {}, {key: (s.get_shape(), s.get_dtype()) for key, s in slices.items()}
