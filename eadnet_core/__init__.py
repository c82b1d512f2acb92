"""EAD-Net: emotional talking heads from a portrait, a voice and words.

Letters used for tensor dimensions everywhere in this package:

| letter | dimension | letter | dimension |
|---|---|---|---|
| B | batch | C | channels |
| T | video frames | H, W | pixels |
| S | audio tokens per frame | h, w | latent cells |
| E | emotion tokens per frame | N | audio samples |
| D | width of a token | K | graph nodes per frame |
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import BadInput, Cancelled, CheckpointError, EADNetError, FaceNotFound, MediaError
from .request import GenerateOptions, GenerationReport, Progress, Segment

if TYPE_CHECKING:
    from .families.load import load_model
    from .generation.output import write_video
    from .generation.pipeline import generate, prepare

__version__ = "0.1.0"
__all__ = [
    "BadInput",
    "Cancelled",
    "CheckpointError",
    "EADNetError",
    "FaceNotFound",
    "GenerateOptions",
    "GenerationReport",
    "MediaError",
    "Progress",
    "Segment",
    "generate",
    "load_model",
    "prepare",
    "write_video",
]
_LAZY = {
    "generate": "generation.pipeline",
    "load_model": "families.load",
    "prepare": "generation.pipeline",
    "write_video": "generation.output",
}
"""Names that need torch, by the module that is loaded when they are first asked for."""


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f".{_LAZY[name]}", __name__), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
