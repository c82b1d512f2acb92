"""The judges: nets from outside that read expression and identity, from the files that their makers publish.

Nobody in the project made or trained them, and nothing is trained against them: they measure what videos show.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import CheckpointError
from ..nets.face_api import FaceExpression, FaceIdentity
from ..nets.tfjs_graph import GraphNet
from .tfjs import read_json, read_weights

FILES = (
    "face_expression_model-weights_manifest.json",
    "face_expression_model.bin",
    "face_recognition_model-weights_manifest.json",
    "face_recognition_model.bin",
    "emotion.json",
    "emotion.bin",
    "faceres.json",
    "faceres.bin",
)
"""What a folder of judges holds: four nets of two packages, as they are published."""
HUMAN_EMOTION, HUMAN_IDENTITY = "Identity", "global_pooling/Mean"
"""Nodes of human's graphs that hold seven probabilities, and 1024 numbers of a face."""


@dataclass(frozen=True)
class Judges:
    """The four nets, ready to read.

    expression        [B, 3, 112, 112] RGB 0 .. 255 -> [B, 7]
    identity          [B, 3, 150, 150] RGB 0 .. 255 -> [B, 128]
    human_expression  [B, 1, 64, 64] grey -1 .. 1, HUMAN_EMOTION -> [B, 7]
    human_identity    [B, 3, 224, 224] RGB 0 .. 255, HUMAN_IDENTITY -> [B, 1024]
    """

    expression: nn.Module
    identity: nn.Module
    human_expression: nn.Module
    human_identity: nn.Module
    device: torch.device


def find_judges(folder: str | Path | None = None) -> Path | None:
    """The folder of judges: the one that is given, else the one that EADNET_JUDGES names, else None.

    Raises CheckpointError for a folder that lacks files, and names them.
    """
    chosen = folder or os.environ.get("EADNET_JUDGES")
    if not chosen:
        return None
    missing = [name for name in FILES if not (Path(chosen) / name).is_file()]
    if missing:
        raise CheckpointError(
            f"'{chosen}' is no folder of judges: {', '.join(missing[:5])} missing. Run: eadnet download judges."
        )
    return Path(chosen)


def load_judges(folder: Path, device: torch.device | str = "cpu") -> Judges:
    """The four nets of a folder. Raises CheckpointError for a file that is damaged, or of another version."""
    place = torch.device(device)
    nets = (_expression(folder), _identity(folder), _graph(folder, "emotion"), _graph(folder, "faceres"))
    expression, identity, human_expression, human_identity = (
        net.eval().requires_grad_(False).to(place) for net in nets
    )
    return Judges(expression, identity, human_expression, human_identity, place)


def _manifest(folder: Path, name: str) -> dict[str, Tensor]:
    return read_weights(folder, read_json(folder / f"{name}-weights_manifest.json"))


def _filled(net: nn.Module, weights: Mapping[str, Tensor], names: Mapping[str, str], source: str) -> nn.Module:
    """Load weights under the names of the net: filters from [h, w, in, out], matrices transposed."""
    state = {}
    for name, tensor in weights.items():
        ours = name
        for theirs, own in names.items():
            ours = ours.replace(theirs, own)
        if name.endswith("depthwise_filter"):
            tensor = tensor.permute(2, 3, 0, 1)
        elif tensor.ndim == 4:
            tensor = tensor.permute(3, 2, 0, 1)
        elif tensor.ndim == 2:
            tensor = tensor.T
        state[ours.replace("/", ".")] = tensor
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(f"The weights of {source} are of another version: {error}"[:600]) from error
    return net


def _expression(folder: Path) -> nn.Module:
    name = "face_expression_model"
    names = {f"dense{i}/": f"blocks/{i}/" for i in range(4)} | {"/filters": "/weight", "fc/weights": "fc/weight"}
    names |= {"/depthwise_filter": "/depthwise/weight", "/pointwise_filter": "/pointwise/weight"}
    weights = _manifest(folder, name)
    separable = {key.removesuffix("depthwise_filter") for key in weights if key.endswith("depthwise_filter")}
    weights = {
        key.replace("/bias", "/pointwise/bias") if key.removesuffix("bias") in separable else key: value
        for key, value in weights.items()
    }
    return _filled(FaceExpression(), weights, names, name)


def _identity(folder: Path) -> nn.Module:
    name = "face_recognition_model"
    weights = _manifest(folder, name)
    weights["fc/weight"] = weights.pop("fc")
    names = {"/filters": "/weight", "/scale/": "/"}
    return _filled(FaceIdentity(), weights, names, name)


def _graph(folder: Path, name: str) -> GraphNet:
    model = read_json(folder / f"{name}.json")
    return GraphNet(model["modelTopology"]["node"], read_weights(folder, model["weightsManifest"]))
