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

from typing import TYPE_CHECKING, Any

from .errors import BadInput, Cancelled, CheckpointError, EADNetError, FaceNotFound, MediaError
from .request import GenerateOptions, GenerationReport, Progress, Segment

if TYPE_CHECKING:
    from .families.load import load_model
    from .generation.conversation import prepare_conversation
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
    "prepare_conversation",
    "write_video",
]


def __getattr__(name: str) -> Any:
    """The names that need torch, loaded when they are first asked for."""
    if name in ("generate", "prepare"):
        from .generation import pipeline

        return getattr(pipeline, name)
    if name == "prepare_conversation":
        from .generation.conversation import prepare_conversation

        return prepare_conversation
    if name == "load_model":
        from .families.load import load_model

        return load_model
    if name == "write_video":
        from .generation.output import write_video

        return write_video
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
