"""Model folders to nets and back to what they say about themselves.

The folder of a model of ours holds MODEL_PARTS, and where it has its own emotion_bank and EXPERT_PARTS, which score.
That of a base holds other parts under the same names: denoiser (LatentSync's weights), vae (Stable Diffusion's),
whisper, and where somebody made them syncnet (StableSyncNet), adapters and text_reader.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .config import ModelConfig, from_dict
from .emotion.reader import TextReader
from .errors import BadInput, CheckpointError
from .machine import has_matrix_units
from .parts import PARTS
from .weight_files import build_for, load_part, read_config, read_header, read_metadata, read_state
from .weight_files import save_part as save_part

if TYPE_CHECKING:
    from .nets.denoiser import Denoiser
    from .nets.emotion_bank import EmotionBank
    from .nets.syncnet import SyncNet

ASSETS = Path(__file__).parent / "assets"
MODEL_PARTS = ("vae", "denoiser", "syncnet", "text_reader")
EXPERT_PARTS = ("sync_expert", "emotion_expert", "face_expert")
BASE_PARTS = {"denoiser": "denoiser", "vae": "sd_vae", "whisper": "whisper", "syncnet": "stable_syncnet"}
"""Part in each file of a base's folder; the SyncNet may be missing."""


@dataclass(frozen=True)
class Model:
    """Everything that generates: the nets of one model, ready on one device."""

    name: str
    folder: Path
    config: ModelConfig
    vae: Any
    """nets.vae.VAE; of a base nets.sd_vae.SDVAE"""
    denoiser: Denoiser
    audio_encoder: Any
    """nets.audio_encoder.AudioEncoder; of a base nets.whisper.WhisperEncoder"""
    emotion_encoder: Any
    """nets.emotion_encoder.EmotionEncoder; None of a base without adapters, which hears no emotion"""
    syncnet: Any
    """nets.syncnet.SyncNet; of a base nets.stable_syncnet.StableSyncNet, or None where its file is missing"""
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


def find_part(folder: Path, part: str) -> Path:
    """The weight file of a part: in the folder of the model, or in that of the model beside it which it extends.

    A model extends another whose latents it shares: its autoencoder says so ("extends", the name of the other).
    """
    path = folder / f"{part}.safetensors"
    if path.is_file() or not (folder / "vae.safetensors").is_file():
        return path
    extended = read_metadata(folder / "vae.safetensors").get("extends")
    if not extended:
        return path
    if extended == ".." or Path(str(extended)).name != extended:
        raise CheckpointError(
            f"'{folder / 'vae.safetensors'}' extends {str(extended)!r:.80}, which is no model's name: get it again."
        )
    beside = folder.parent / extended
    return (beside if beside.is_dir() else ASSETS / extended) / path.name


def weight_files(folder: Path) -> list[Path]:
    """Every weight file of a model: those in its folder, then the parts that it takes from the model it extends."""
    own = sorted(folder.glob("*.safetensors"))
    taken = [path for part in MODEL_PARTS if (path := find_part(folder, part)).parent != folder]
    return own + taken


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


def find_dtype(device: torch.device, is_base: bool = False) -> torch.dtype:
    """The dtype of "auto": bfloat16 where a CPU multiplies matrices in it (AMX), for a model of ours; else float32.

    There a convolution of the mini takes a seventh of the time, and its pictures stay the same to the eye
    (docs/speed.md). A base is exact, and what a GPU does well in is left to the user.
    """
    return torch.bfloat16 if device.type == "cpu" and not is_base and has_matrix_units() else torch.float32


def load_model(
    name: str = "mini",
    device: str | torch.device = "auto",
    dtype: torch.dtype | str = torch.float32,
    attention_backend: str | None = None,
) -> Model:
    """A shipped model by name, or your own by the path of its folder.

    dtype              what the nets compute in, or "auto" for what `find_dtype` says of the device
    attention_backend  one of config.ATTENTION_BACKENDS instead of the one in the model's config
    """
    folder, place = find_model(name), find_device(device)
    if isinstance(dtype, str):
        dtype = find_dtype(place, is_base(folder)) if dtype == "auto" else getattr(torch, dtype)
    if is_base(folder):
        return _load_base(folder, place, dtype, attention_backend)
    parts = {part: load_part(find_part(folder, part), part, place) for part in MODEL_PARTS}
    nets: Any = parts["denoiser"][0]
    vae: Any = parts["vae"][0]
    syncnet: Any = parts["syncnet"][0]
    values = {**parts["denoiser"][1]["config"], "vae": parts["vae"][1]["config"]}
    config = from_dict(ModelConfig, {**values, "syncnet": parts["syncnet"][1]["config"]})
    if extended := parts["vae"][1].get("extends"):
        size_px = config.denoiser.cells * config.vae.downscale
        config = replace(config, name=f"{extended}-{size_px}", size_px=size_px)
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


def is_base(folder: str | Path) -> bool:
    """Whether a model folder holds a denoiser in LatentSync's shape."""
    path = Path(folder) / "denoiser.safetensors"
    if not path.is_file():
        return False
    denoiser = read_metadata(path, "denoiser").get("config", {}).get("denoiser", {})
    return isinstance(denoiser, dict) and denoiser.get("layout") == "latentsync"


def _load_base(folder: Path, device: torch.device, dtype: torch.dtype, attention_backend: str | None) -> Model:
    for file in ("vae", "whisper"):
        if not (folder / f"{file}.safetensors").is_file():
            raise CheckpointError(
                f"'{folder}' has the denoiser of a base but no {file}.safetensors. Make it from the public weights: "
                f"eadnet convert --{file} FILE --output '{folder}' (eadnet download gets them; see README)."
            )
    config, denoiser, emotion_encoder = _base_denoiser(folder, device, dtype)
    if attention_backend is not None:
        set_attention_backend(denoiser, attention_backend)
    nets = {}
    for file in ("vae", "whisper", "syncnet"):
        path, part = folder / f"{file}.safetensors", BASE_PARTS[file]
        if path.is_file():
            net = build_for(path, part, read_config(path, PARTS[part].config, read_metadata(path, part)))
            nets[file] = _filled(net, read_state(path, part, net.state_dict()), device, dtype)
    return Model(
        name=config.name,
        folder=folder,
        config=config,
        vae=nets["vae"],
        denoiser=denoiser,
        audio_encoder=nets["whisper"],
        emotion_encoder=emotion_encoder,
        syncnet=nets.get("syncnet"),
        reader=load_reader(str(folder)),
        real_cosine=1.0,
        device=device,
        dtype=dtype,
    )


def _base_denoiser(folder: Path, device: torch.device, dtype: torch.dtype) -> tuple[ModelConfig, Any, Any]:
    """(config, denoiser, emotion encoder): with adapters and the encoder where adapters.safetensors is there."""
    from .nets.adapters import is_adapter_key
    from .nets.emotion_encoder import EmotionEncoder

    path, beside = folder / "denoiser.safetensors", folder / "adapters.safetensors"
    config = base = read_config(path, ModelConfig, read_metadata(path, "denoiser"))
    if beside.is_file():
        config = read_config(beside, ModelConfig, read_metadata(beside, "adapters"))
        if replace(config.denoiser, has_adapters=False) != base.denoiser:
            raise CheckpointError(
                f"'{beside}' was trained on another base ({config.name}) than the denoiser beside it ({base.name}): "
                "use the two that belong together, or remove the adapters."
            )
    denoiser = build_for(path, "denoiser", config)
    weights = denoiser.state_dict()
    state = read_state(path, "denoiser", {key: value for key, value in weights.items() if not is_adapter_key(key)})
    if not beside.is_file():
        return config, _filled(denoiser, state, device, dtype), None
    encoder = EmotionEncoder(config.emotion)
    wanted = {f"denoiser.{key}": value for key, value in weights.items() if is_adapter_key(key)}
    wanted |= {f"emotion.{key}": value for key, value in encoder.state_dict().items()}
    trained: dict[str, dict[str, Tensor]] = {"denoiser": state, "emotion": {}}
    for key, value in read_state(beside, "adapters", wanted).items():
        net, _, inner = key.partition(".")
        trained[net][inner] = value
    return config, _filled(denoiser, state, device, dtype), _filled(encoder, trained["emotion"], device, dtype)


def _filled(net: nn.Module, state: dict[str, Tensor], device: torch.device, dtype: torch.dtype) -> nn.Module:
    """A net of `parts.build_empty` with its weights on the device, in the dtype; no weight is in memory twice for long.

    Weights are copied even where device and dtype fit: in a mapped file they are not aligned as kernels like it.
    """
    for key in list(state):
        state[key] = state[key].to(device, dtype, copy=True)
    net.load_state_dict(state, assign=True)
    return net.eval().requires_grad_(False).to(device, dtype)


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
    said = {str(value) for path in weight_files(Path(folder)) if (value := read_metadata(path).get("licence"))}
    if Path(folder).parent == ASSETS:
        said |= {"Apache-2.0"}
    return "; ".join(sorted(said)) or f"not stated in the weight files; look beside them in '{folder}'"


def load_reader(name: str = "mini") -> TextReader:
    """Only the reader of emotion words of a model, on the CPU; a base without one has that of the mini."""
    folder = find_model(name)
    path = find_part(folder, "text_reader")
    if not path.is_file() and is_base(folder):
        path = ASSETS / "mini" / path.name
    encoder: Any = load_part(path, "text_reader")[0]
    return TextReader(encoder)


def load_bank(name: str = "mini") -> EmotionBank:
    """Only the emotion bank of a model, on the CPU; a model without one has that of the mini."""
    path = find_model(name) / "emotion_bank.safetensors"
    bank: Any = load_part(path if path.is_file() else ASSETS / "mini" / path.name, "emotion_bank")[0]
    return bank


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
    """Every weight file of a model, without loading the weights."""
    found = []
    for path in weight_files(find_model(name)):
        metadata = read_metadata(path)
        tensors = read_header(path)[1]
        counts = [torch.Size(shape).numel() for shape, _ in tensors.values()]
        dtypes = tuple(sorted({dtype for _, dtype in tensors.values()}))
        found.append(PartInfo(metadata["part"], path, path.stat().st_size, sum(counts), dtypes, metadata))
    return found
