"""Files to nets and back: safetensors only, strict, and an error that says which file was expected.

Every file holds one part and, in its metadata, what is needed to rebuild it:
{"format": "eadnet", "part": ..., "config": JSON, "scores": JSON, ...}. Weights may be stored in half precision; nets
are always built in float32 and stay so unless a dtype is asked for.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from .config import (
    ClassifierConfig,
    ModelConfig,
    SyncNetConfig,
    TextReaderConfig,
    VAEConfig,
    VideoFeaturesConfig,
    from_dict,
    to_dict,
)
from .emotion.reader import TextReader
from .errors import BadInput, CheckpointError

if TYPE_CHECKING:
    from .nets.audio_encoder import AudioEncoder
    from .nets.denoiser import Denoiser
    from .nets.emotion_encoder import EmotionEncoder
    from .nets.syncnet import SyncNet
    from .nets.vae import VAE

ASSETS = Path(__file__).parent / "assets"
FORMAT = "eadnet"
MODEL_PARTS = ("vae", "denoiser", "syncnet", "text_reader")
EXPERT_PARTS = ("sync_expert", "emotion_expert", "face_expert")


def _build_denoiser(config: ModelConfig) -> nn.Module:
    from .nets.audio_encoder import AudioEncoder
    from .nets.denoiser import Denoiser
    from .nets.emotion_encoder import EmotionEncoder

    return nn.ModuleDict(
        {
            "denoiser": Denoiser(config.denoiser),
            "audio": AudioEncoder(config.audio),
            "emotion": EmotionEncoder(config.emotion),
        }
    )


def _build_vae(config: VAEConfig) -> nn.Module:
    from .nets.vae import VAE

    return VAE(config)


def _build_syncnet(config: SyncNetConfig) -> nn.Module:
    from .nets.syncnet import SyncNet

    return SyncNet(config)


def _build_video_features(config: VideoFeaturesConfig) -> nn.Module:
    from .nets.video_features import VideoFeatures

    return VideoFeatures(config)


def _build_text_encoder(config: TextReaderConfig) -> nn.Module:
    from .nets.text_encoder import TextEncoder

    return TextEncoder(config)


def _build_classifier(config: ClassifierConfig) -> nn.Module:
    from .nets.classifier import Classifier

    return Classifier(config)


@dataclass(frozen=True)
class Part:
    """One kind of weight file: the config it is built from, and how."""

    config: type
    build: Callable[[Any], nn.Module]


PARTS: dict[str, Part] = {
    "vae": Part(VAEConfig, _build_vae),
    "denoiser": Part(ModelConfig, _build_denoiser),
    "syncnet": Part(SyncNetConfig, _build_syncnet),
    "text_reader": Part(TextReaderConfig, _build_text_encoder),
    "video_features": Part(VideoFeaturesConfig, _build_video_features),
    "expression": Part(ClassifierConfig, _build_classifier),
    "sync_expert": Part(SyncNetConfig, _build_syncnet),
    "emotion_expert": Part(ClassifierConfig, _build_classifier),
    "face_expert": Part(ClassifierConfig, _build_classifier),
}
"""Every part by name; the denoiser's file also holds the audio and emotion encoders that are trained with it."""


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
    path = Path(path)
    if not isinstance(module, nn.Module):
        module = nn.ModuleDict(dict(module))
    values = {"config": to_dict(config) if is_dataclass(config) else config, **(metadata or {})}
    text = {"format": FORMAT, "part": part, **{key: json.dumps(value) for key, value in values.items()}}
    state = {key: _stored(value, half) for key, value in module.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    save_file(state, str(partial), text)
    os.replace(partial, path)


def _stored(value: Tensor, half: bool) -> Tensor:
    value = value.detach().cpu().contiguous().clone()
    if not half or not value.is_floating_point():
        return value
    halved = value.half()
    return halved if bool(halved.isfinite().all()) else value


def read_metadata(path: str | Path, part: str | None = None) -> dict[str, Any]:
    """Metadata of a weight file with its JSON read; raises CheckpointError unless it is an EAD-Net file of `part`."""
    path = Path(path)
    text = _header(path)[0]
    if text.get("format") != FORMAT or "part" not in text:
        expected = f"'{part}.safetensors' written by EAD-Net" if part else "a file written by EAD-Net"
        raise CheckpointError(f"'{path}' does not say that it is an EAD-Net weight file; expected {expected}.")
    if part is not None and text["part"] != part:
        raise CheckpointError(f"'{path}' holds the part '{text['part']}'; expected a file that holds '{part}'.")
    try:
        values = {key: json.loads(value) for key, value in text.items() if key not in ("format", "part")}
    except json.JSONDecodeError as error:
        raise CheckpointError(f"'{path}' has damaged metadata ({error}); get the file again.") from error
    return {"format": text["format"], "part": text["part"], **values}


def load_part(path: str | Path, part: str, device: str | torch.device = "cpu") -> tuple[nn.Module, dict[str, Any]]:
    """One part as (module in float32, in eval mode, without gradients; metadata).

    Raises CheckpointError for a missing, damaged or foreign file, and for any key or shape that does not fit.
    """
    path = Path(path)
    metadata = read_metadata(path, part)
    kind = PARTS[part]
    try:
        config = from_dict(kind.config, metadata.get("config", {}))
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"'{path}' has a config that this version cannot read ({error}); it may need a newer eadnet."
        ) from error
    module = kind.build(config)
    load_state(module, path, part)
    return module.eval().requires_grad_(False).to(device), metadata


def load_state(module: nn.Module, path: str | Path, part: str) -> None:
    """Fill `module` from `path`, strictly: every key present, none left over, every shape equal."""
    path = Path(path)
    with _opened(path) as file:
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
    expected = module.state_dict()
    missing = sorted(expected.keys() - state.keys())
    unexpected = sorted(state.keys() - expected.keys())
    misfit = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(value.shape)}"
        for key, value in expected.items()
        if key in state and state[key].shape != value.shape
    ]
    if missing or unexpected or misfit:
        raise CheckpointError(
            f"'{path}' does not fit the part '{part}': "
            f"missing {_some(missing)}; unexpected {_some(unexpected)}; wrong shape {_some(misfit)}. "
            f"Expected a '{part}.safetensors' written for this config."
        )
    module.load_state_dict(state)


def _some(names: list[str]) -> str:
    if not names:
        return "none"
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _opened(path: Path) -> Any:
    if not path.is_file():
        raise CheckpointError(f"No weight file '{path}'.")
    try:
        return safe_open(str(path), framework="pt")
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"'{path}' is not a readable safetensors file ({error}); get the file again. Pickles are never loaded."
        ) from error


def _header(path: Path) -> tuple[dict[str, str], dict[str, tuple[list[int], str]]]:
    """(metadata, shape and dtype by key) without reading the weights."""
    with _opened(path) as file:
        slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118 - not a dict
        return file.metadata() or {}, {key: (s.get_shape(), s.get_dtype()) for key, s in slices.items()}


@dataclass(frozen=True)
class Model:
    """Everything that generates: the nets of one model, ready on one device."""

    name: str
    folder: Path
    config: ModelConfig
    vae: VAE
    denoiser: Denoiser
    audio_encoder: AudioEncoder
    emotion_encoder: EmotionEncoder
    syncnet: SyncNet
    reader: TextReader
    real_cosine: float
    """Mean cosine of the SyncNet on real clips: where SyncNet guidance stops pulling."""
    device: torch.device
    dtype: torch.dtype


@dataclass(frozen=True)
class Experts:
    """The nets that score; trained apart from everything that supervises or guides."""

    sync: SyncNet
    emotion: nn.Module
    face: nn.Module
    device: torch.device


def find_model(name: str) -> Path:
    """The folder of a shipped model, or of a path; raises CheckpointError that lists what was looked for."""
    folder = ASSETS / name
    if name and not os.path.dirname(name) and folder.is_dir():
        return folder
    if Path(name).is_dir():
        return Path(name)
    shipped = sorted(p.name for p in ASSETS.iterdir() if p.is_dir() and any(p.glob("*.safetensors")))
    raise CheckpointError(
        f"No model '{name}': it is neither shipped ({', '.join(shipped) or 'none is installed'}) nor a folder. "
        f"A model folder holds {', '.join(f'{p}.safetensors' for p in MODEL_PARTS)}."
    )


def find_device(device: str | torch.device = "auto") -> torch.device:
    """The torch device of a name; "auto" takes CUDA, then MPS, then the CPU. Raises BadInput if it is not there."""
    if str(device) != "auto":
        try:
            found = torch.device(device)
        except RuntimeError as error:
            raise BadInput(f"Unknown device '{device}': expected auto, cpu, cuda or mps.") from error
        is_absent = {"cuda": not torch.cuda.is_available(), "mps": not torch.backends.mps.is_available()}
        if is_absent.get(found.type, False):
            raise BadInput(f"Device '{device}' is not available to this torch; use --device cpu.")
        return found
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def load_model(
    name: str = "mini",
    device: str | torch.device = "auto",
    dtype: torch.dtype = torch.float32,
    attention_backend: str | None = None,
) -> Model:
    """A shipped model by name, or your own by the path of its folder.

    attention_backend  one of nets.layers.ATTENTION_BACKENDS instead of the one in the model's config
    """
    folder, place = find_model(name), find_device(device)
    parts = {part: load_part(folder / f"{part}.safetensors", part, place) for part in MODEL_PARTS}
    nets: Any = parts["denoiser"][0]
    vae: Any = parts["vae"][0]
    syncnet: Any = parts["syncnet"][0]
    values = {**parts["denoiser"][1]["config"], "vae": parts["vae"][1]["config"]}
    config = from_dict(ModelConfig, {**values, "syncnet": parts["syncnet"][1]["config"]})
    if config.vae.latent_channels != config.denoiser.latent_channels:
        raise CheckpointError(
            f"The parts in '{folder}' do not belong together: the VAE has {config.vae.latent_channels} latent "
            f"channels, the denoiser {config.denoiser.latent_channels}."
        )
    if attention_backend is not None:
        set_attention_backend(nets["denoiser"], attention_backend)
    for net in (vae, nets["denoiser"]):
        net.to(memory_format=torch.channels_last)
    for net in (vae, nets):
        net.to(dtype)
    encoder: Any = parts["text_reader"][0]
    return Model(
        name=config.name,
        folder=folder,
        config=config,
        vae=vae,
        denoiser=nets["denoiser"],
        audio_encoder=nets["audio"],
        emotion_encoder=nets["emotion"],
        syncnet=syncnet,
        reader=TextReader(encoder),
        real_cosine=float(parts["syncnet"][1].get("real_cosine", 1.0)),
        device=place,
        dtype=dtype,
    )


def set_attention_backend(net: nn.Module, backend: str) -> None:
    """Let every attention of a net use another backend. Raises BadInput for an unknown or missing one, at once."""
    from .nets.layers import attention

    probe = torch.zeros(1, 1, 1, 8)
    attention(probe, probe, probe, backend)
    for module in net.modules():
        if hasattr(module, "backend"):
            module.backend = backend  # type: ignore[assignment]


def licence(folder: str | Path) -> str:
    """What the weight files of a model say about their licence; the shipped model's is that of this package."""
    files = sorted(Path(folder).glob("*.safetensors"))
    said = {str(value) for path in files if (value := read_metadata(path).get("licence"))}
    if Path(folder).parent == ASSETS:
        said |= {"Apache-2.0"}
    return "; ".join(sorted(said)) or f"not stated in the weight files; look beside them in '{folder}'"


def load_reader(name: str = "mini") -> TextReader:
    """Only the reader of emotion words of a model, on the CPU."""
    encoder: Any = load_part(find_model(name) / "text_reader.safetensors", "text_reader")[0]
    return TextReader(encoder)


def load_experts(device: str | torch.device = "auto", name: str | Path = "mini") -> Experts:
    """The scoring nets beside a model; a model without its own is scored by those that are shipped."""
    folder, place = find_model(str(name)), find_device(device)
    if not any((folder / f"{part}.safetensors").exists() for part in EXPERT_PARTS):
        folder = find_model("mini")
    nets: Any = [load_part(folder / f"{part}.safetensors", part, place)[0] for part in EXPERT_PARTS]
    return Experts(sync=nets[0], emotion=nets[1], face=nets[2], device=place)


@dataclass(frozen=True)
class PartInfo:
    """What `eadnet info` shows of one weight file."""

    part: str
    path: Path
    size_bytes: int
    n_weights: int
    dtypes: tuple[str, ...]
    metadata: dict[str, Any]


def info(name: str = "mini") -> list[PartInfo]:
    """Every weight file in a model's folder, without loading the weights."""
    folder = find_model(name)
    found = []
    for path in sorted(folder.glob("*.safetensors")):
        metadata = read_metadata(path)
        tensors = _header(path)[1]
        counts = [torch.Size(shape).numel() for shape, _ in tensors.values()]
        dtypes = tuple(sorted({dtype for _, dtype in tensors.values()}))
        found.append(PartInfo(metadata["part"], path, path.stat().st_size, sum(counts), dtypes, metadata))
    return found
