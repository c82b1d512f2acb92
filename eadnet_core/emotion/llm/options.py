"""Which language models there are, and how one answers; light, for the command line reads it."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import BadInput

PROVIDERS = ("rules", "local_text", "local_vision", "openai")
"""Who describes: the shipped rules, a chat model in a folder, one that sees pictures, an OpenAI-compatible endpoint."""
DEFAULT_ENDPOINT = "ollama"
"""Name of the endpoint that is asked where no other is named."""


@dataclass(frozen=True)
class ChatOptions:
    """How a model answers. Raises BadInput for a value out of its range."""

    max_tokens: int = 400
    """Length of an answer, 16 .. 4096."""
    temperature: float = 0.0
    """0: always the likeliest word .. 2."""
    seed: int = 0
    timeout_s: float = 60.0
    """How long an endpoint may take for one answer, 0.1 .. 3600."""
    retries: int = 2
    """How often a wrong answer, or none, is asked for again, 0 .. 10."""

    def __post_init__(self) -> None:
        ranges = {"max_tokens": (16, 4096), "temperature": (0, 2), "timeout_s": (0.1, 3600), "retries": (0, 10)}
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise BadInput(f"{name} is {getattr(self, name)!r}; give a number in {low} .. {high}.")
