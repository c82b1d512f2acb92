"""A graph model of TensorFlow.js as a torch net: the operations of its file, one after the other.

For nets that are published as graphs and not as code, and that only measure: nothing here is trained.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import CheckpointError

Node = Mapping[str, Any]


def pad_same(x: Tensor, kernel: Sequence[int], stride: Sequence[int], value: float = 0.0) -> Tensor:
    """Pad [B, C, h, w] as TensorFlow's "SAME" does: the odd pixel goes below and to the right."""
    height, width = (
        max(0, (-(-size // step) - 1) * step + side - size)
        for size, step, side in zip(x.shape[-2:], stride, kernel, strict=True)
    )
    return F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2), value=value)


class GraphNet(nn.Module):
    """The operations of a graph on weights in TensorFlow's layout; knows those that the judges' files use."""

    def __init__(self, nodes: Sequence[Node], weights: Mapping[str, Tensor]) -> None:
        """nodes    in the order of the file, which need not be that of the computation
        weights  of its constants by name, see `weights.tfjs`
        Raises CheckpointError for an operation that is not known and for a constant without a weight.
        """
        super().__init__()
        self._nodes = {node["name"]: node for node in nodes}
        self._weights = dict(weights)
        unknown = sorted({node["op"] for node in nodes} - {*_OPERATIONS, "Const", "Placeholder"})
        missing = [node["name"] for node in nodes if node["op"] == "Const" and node["name"] not in weights]
        if unknown or missing:
            raise CheckpointError(
                f"This graph cannot be run: unknown operations {unknown[:5]}, constants without weights {missing[:5]}. "
                "Get the pinned version: eadnet download judges."
            )

    def forward(self, x: Tensor, output: str) -> Tensor:
        """What the node `output` computes of the graph's one input.

        x        [B, C, h, w]
        returns  [B, C, h, w] or [B, N]
        """
        done: dict[str, Tensor] = {}
        todo = [output]
        while todo:
            node = self._nodes[todo[-1]]
            inputs = [name.split(":")[0].lstrip("^") for name in node.get("input", ())]
            waiting = [name for name in inputs if name not in done]
            if waiting:
                todo += waiting
                continue
            done[todo.pop()] = self._value(node, [done[name] for name in inputs], x)
        return done[output]

    def _value(self, node: Node, inputs: list[Tensor], x: Tensor) -> Tensor:
        if node["op"] == "Placeholder":
            return x
        if node["op"] == "Const":
            return self._weights[node["name"]].to(x.device)
        return _OPERATIONS[node["op"]](node.get("attr", {}), *inputs)


def _text(value: str) -> str:
    return base64.b64decode(value).decode()


def _sides(attributes: Mapping[str, Any], name: str) -> tuple[int, int]:
    """(height, width) of [1, height, width, 1]."""
    values = attributes[name]["list"]["i"]
    return int(values[1]), int(values[2])


def _padded(attributes: Mapping[str, Any], x: Tensor, kernel: Sequence[int], value: float = 0.0) -> Tensor:
    if _text(attributes["padding"]["s"]) == "VALID":
        return x
    return pad_same(x, kernel, _sides(attributes, "strides"), value)


def _conv(attributes: Mapping[str, Any], x: Tensor, filters: Tensor, bias: Tensor | None = None) -> Tensor:
    x = F.conv2d(
        _padded(attributes, x, filters.shape[:2]),
        filters.permute(3, 2, 0, 1).contiguous(),
        bias,
        _sides(attributes, "strides"),
    )
    return _activated(attributes, x)


def _depthwise(attributes: Mapping[str, Any], x: Tensor, filters: Tensor) -> Tensor:
    height, width, channels, multiplier = filters.shape
    kernel = filters.permute(2, 3, 0, 1).reshape(channels * multiplier, 1, height, width)
    return F.conv2d(
        _padded(attributes, x, (height, width)), kernel, None, _sides(attributes, "strides"), groups=channels
    )


def _matmul(attributes: Mapping[str, Any], x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    return _activated(attributes, x @ kernel + bias)


def _activated(attributes: Mapping[str, Any], x: Tensor) -> Tensor:
    fused = [_text(name) for name in attributes.get("fused_ops", {}).get("list", {}).get("s", ())]
    return F.relu(x) if "Relu" in fused else x


def _pool(attributes: Mapping[str, Any], x: Tensor) -> Tensor:
    kernel = _sides(attributes, "ksize")
    return F.max_pool2d(_padded(attributes, x, kernel, -torch.inf), kernel, _sides(attributes, "strides"))


def _broadcast(x: Tensor, other: Tensor) -> Tensor:
    """A vector of channels beside a picture."""
    return other[:, None, None] if x.ndim == 4 and other.ndim == 1 else other


_OPERATIONS: dict[str, Callable[..., Tensor]] = {
    "_FusedConv2D": _conv,
    "Conv2D": _conv,
    "DepthwiseConv2dNative": _depthwise,
    "_FusedMatMul": _matmul,
    "MaxPool": _pool,
    "Add": lambda _, a, b: a + _broadcast(a, b),
    "AddV2": lambda _, a, b: a + _broadcast(a, b),
    "Mul": lambda _, a, b: a * _broadcast(a, b),
    "Minimum": lambda _, a, b: torch.minimum(a, b),
    "Maximum": lambda _, a, b: torch.maximum(a, b),
    "Relu": lambda _, a: F.relu(a),
    "Sigmoid": lambda _, a: torch.sigmoid(a),
    "Softmax": lambda _, a: torch.softmax(a, -1),
    "Mean": lambda _, a, __: a.mean((2, 3)),
    "Identity": lambda _, a: a,
}
