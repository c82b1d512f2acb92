"""Where nets run, in what precision, and by which kernel of attention."""

from __future__ import annotations

import torch
from torch import nn

from ..errors import BadInput
from .files import save_part as save_part


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


def set_attention_backend(net: nn.Module, backend: str) -> None:
    """Let every attention of a net use another backend. Raises BadInput for an unknown or missing one, at once."""
    from ..nets.layers import attention

    probe = torch.zeros(1, 1, 1, 8)
    attention(probe, probe, probe, backend)
    for module in net.modules():
        if hasattr(module, "backend"):
            module.backend = backend  # type: ignore[assignment]
