"""A folder of judges at tiny size, in the layout and quantisation of the published files; weights are drawn."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from eadnet_core.nets.face_api import FaceExpression, FaceIdentity


def write_judges(folder: Path, seed: int = 0) -> Path:
    """All files that `weights.judges.FILES` names."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    _write_manifest(folder, "face_expression_model", _expression(FaceExpression()))
    _write_manifest(folder, "face_recognition_model", _identity(FaceIdentity()))
    _write_graph(folder, "emotion", 1, 7, ("Softmax", "Identity"))
    _write_graph(folder, "faceres", 3, 1024, ())
    return folder


def _theirs(tensor: torch.Tensor, is_depthwise: bool = False) -> np.ndarray:
    """Filters as [h, w, in, out], or [h, w, in, 1] of a depthwise one."""
    if tensor.ndim == 4:
        return tensor.permute((2, 3, 0, 1) if is_depthwise else (2, 3, 1, 0)).numpy()
    return tensor.T.numpy() if tensor.ndim == 2 else tensor.numpy()


def _expression(net: nn.Module) -> dict[str, np.ndarray]:
    found = {}
    for name, tensor in net.state_dict().items():
        theirs = name.replace(".", "/").replace("blocks/", "dense")
        for own, other in (
            ("depthwise/weight", "depthwise_filter"),
            ("pointwise/weight", "pointwise_filter"),
            ("pointwise/bias", "bias"),
            ("fc/weight", "fc/weights"),
            ("conv0/weight", "conv0/filters"),
        ):
            theirs = theirs.replace(own, other)
        found[theirs] = _theirs(tensor, "depthwise" in name)
    return found


def _identity(net: nn.Module) -> dict[str, np.ndarray]:
    found = {}
    for name, tensor in net.state_dict().items():
        theirs = name.replace(".", "/").replace("conv/weight", "conv/filters")
        for own in ("weights", "biases"):
            theirs = theirs.replace(f"/{own}", f"/scale/{own}")
        found["fc" if name == "fc.weight" else theirs] = _theirs(tensor)
    return found


def _write_manifest(folder: Path, name: str, weights: dict[str, np.ndarray]) -> None:
    entries, content = zip(*(_stored(key, value) for key, value in weights.items()), strict=True)
    (folder / f"{name}.bin").write_bytes(b"".join(content))
    manifest = [{"paths": [f"{name}.bin"], "weights": list(entries)}]
    (folder / f"{name}-weights_manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def _stored(name: str, values: np.ndarray) -> tuple[dict[str, Any], bytes]:
    """An entry of a manifest, and 8-bit numbers."""
    low, scale = float(values.min()), max(float(np.ptp(values)) / 255, 1e-6)
    numbers = np.rint((values - low) / scale).astype(np.uint8)
    quantization = {"dtype": "uint8", "scale": scale, "min": low}
    entry = {"name": name, "shape": list(values.shape), "dtype": "float32", "quantization": quantization}
    return entry, numbers.tobytes()


def text(value: str) -> dict[str, str]:
    """A string as graphs hold it."""
    return {"s": base64.b64encode(value.encode()).decode()}


def sides(height: int, width: int) -> dict[str, Any]:
    """Strides or sizes as graphs hold them."""
    return {"list": {"i": ["1", str(height), str(width), "1"]}}


def _write_graph(folder: Path, name: str, channels: int, outputs: int, more: Sequence[str]) -> None:
    rng = np.random.default_rng(channels)
    weights = {
        "filters": (rng.normal(size=(3, 3, channels, outputs)) * 0.05).astype(np.float16),
        "bias": rng.normal(size=outputs).astype(np.float16),
    }
    entries = [
        {"name": key, "shape": list(value.shape), "dtype": "float32", "quantization": {"dtype": "float16"}}
        for key, value in weights.items()
    ]
    entries.append({"name": "axes", "shape": [2], "dtype": "int32"})
    content = b"".join(value.tobytes() for value in weights.values()) + np.array([1, 2], np.int32).tobytes()
    relu = {"list": {"s": [text("BiasAdd")["s"], text("Relu")["s"]]}}
    attributes = {"strides": sides(8, 8), "padding": text("SAME"), "fused_ops": relu}
    nodes: list[dict[str, Any]] = [{"name": key, "op": "Const"} for key in (*weights, "axes")]
    nodes.append({"name": "input", "op": "Placeholder"})
    nodes.append({"name": "conv", "op": "_FusedConv2D", "input": ["input", "filters", "bias"], "attr": attributes})
    nodes.append({"name": "global_pooling/Mean", "op": "Mean", "input": ["conv", "axes"]})
    for op in more:
        nodes.append({"name": op, "op": op, "input": [nodes[-1]["name"]]})
    (folder / f"{name}.bin").write_bytes(content)
    manifest = [{"paths": [f"{name}.bin"], "weights": entries}]
    model = {"modelTopology": {"node": nodes}, "weightsManifest": manifest}
    (folder / f"{name}.json").write_text(json.dumps(model), encoding="utf-8")
