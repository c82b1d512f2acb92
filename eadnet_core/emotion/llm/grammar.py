"""JSON that cannot come out wrong: what a pydantic model allows as one pattern, and decoding held to it.

Our design: of a local model's next tokens the likeliest is taken that leaves the answer a beginning of something the
pattern matches. A small model needs no talent for JSON then, only for faces.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import regex
import torch
from pydantic import BaseModel

CLOSING_TOKENS = 100
"""With so few left, open strings and lists are closed as soon as they may be, so that the answer ends in time."""


def pattern_of(form: type[BaseModel]) -> str:
    """A regular expression of the JSON texts that fit a model of strings, choices, bounded numbers and lists of such.

    >>> class Mood(BaseModel):
    ...     feels: bool | None = None
    >>> pattern_of(Mood)
    Traceback (most recent call last):
    ValueError: no pattern for {'anyOf': [{'type': 'boolean'}, {'type': 'null'}], 'default': None, 'title': 'Feels'}
    """
    schema = form.model_json_schema()
    return _pattern(schema, schema.get("$defs", {}))


def _pattern(schema: dict[str, Any], known: dict[str, Any]) -> str:
    if "$ref" in schema:
        return _pattern(known[schema["$ref"].rpartition("/")[2]], known)
    kind = schema.get("type")
    if "enum" in schema:
        return '"(?:' + "|".join(regex.escape(choice) for choice in schema["enum"]) + ')"'
    if kind == "string":
        return f'"[^"\\\\\\x00-\\x1f]{{{schema.get("minLength", 0)},{schema["maxLength"]}}}"'
    if kind == "number":
        return ("-?" if schema["minimum"] < 0 else "") + r"(?:0(?:\.\d{1,2})?|1(?:\.0)?)"
    if kind == "integer":
        return r"(?:0|[1-9]\d{0,5})"
    if kind == "array":
        item = _pattern(schema["items"], known)
        return rf"\[{item}(?:, {item}){{{schema['minItems'] - 1},{schema['maxItems'] - 1}}}\]"
    if kind == "object":
        return r"\{" + ", ".join(f'"{k}": {_pattern(v, known)}' for k, v in schema["properties"].items()) + r"\}"
    raise ValueError(f"no pattern for {schema}")


class Constrained:
    """A transformers logits processor that lets one token through: the likeliest that keeps to the pattern.

    decode       token ids -> text
    n_prompt     tokens of the prompt, which are not part of the answer
    max_tokens   length of the answer
    end, special the token that ends an answer, and those that stand for no text
    temperature  above 0 the order of the tokens is drawn at random, with `seed`
    check        called before every token
    """

    def __init__(
        self,
        pattern: str,
        decode: Callable[[Sequence[int]], str],
        n_prompt: int,
        max_tokens: int,
        end: int,
        special: Sequence[int],
        temperature: float = 0.0,
        seed: int = 0,
        check: Callable[[], object] | None = None,
    ) -> None:
        self._pattern = regex.compile(pattern)
        self._decode, self._n_prompt, self._max_tokens = decode, n_prompt, max_tokens
        self._end, self._special, self._temperature = end, set(special), temperature
        self._draw, self._check = torch.Generator().manual_seed(seed), check

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores [1, V] with -inf at all tokens but one."""
        if self._check is not None:
            self._check()
        said = input_ids[0, self._n_prompt :].tolist()
        chosen = self._next(said, scores[0].float().cpu())
        only = torch.full_like(scores, -torch.inf)
        only[0, chosen] = 0.0
        return only

    def _next(self, said: list[int], scores: torch.Tensor) -> int:
        text = self._decode(said)
        if self._pattern.fullmatch(text):
            return self._end
        if self._temperature > 0:
            noise = torch.empty_like(scores).exponential_(generator=self._draw)
            scores = scores / self._temperature - noise.log()
        closer = self._closer(text) if self._max_tokens - len(said) <= CLOSING_TOKENS else None
        for token in scores.argsort(descending=True).tolist():
            if token in self._special:
                continue
            more = self._decode([*said, token])
            if len(more) <= len(text) or (closer is not None and more[len(text)] != closer):
                continue
            if self._pattern.fullmatch(more, partial=True):
                return token
        return self._end

    def _closer(self, text: str) -> str | None:
        return next((c for c in '"]' if self._pattern.fullmatch(text + c, partial=True)), None)
