"""Asking a language model: what is said to it, and how an answer becomes checked values.

A model is a plain function: messages -> its answer's text (`Chat`). Whatever a user, a transcript or a script holds is
material to describe, never an instruction: it is cut to a length, quoted as JSON without the signs that chat templates
and tags are made of, and nothing that comes back is run; it is parsed as JSON and must fit a pydantic model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

from ...errors import BadInput, EADNetError
from .options import ChatOptions

MAX_ANSWER = 20_000
"""Characters of an answer that are looked at."""
TEMPLATE_SIGNS = {sign: f"\\u{ord(sign):04x}" for sign in "<>[]{}|\u2581\u2028\u2029"}
"""Signs that special tokens and tags are written with, and how they stand in quoted text."""


@dataclass(frozen=True)
class Message:
    """One turn.

    role      "system", "user" or "assistant"
    pictures  uint8 [H, W, 3] each, shown before the text
    """

    role: str
    text: str
    pictures: tuple[np.ndarray, ...] = ()


Chat = Callable[[Sequence[Message], type[BaseModel], ChatOptions], str]
"""(messages, what the answer must fit, options) -> the answer. Raises ProviderError where there is none."""


class ProviderError(EADNetError):
    """A language model that gave no answer this time: unreachable, too slow, out of order, or its answer of no use."""


class ProviderRefused(BadInput):
    """A language model that will answer nobody as it is asked: a wrong key, no such model or address."""


Answer = TypeVar("Answer", bound=BaseModel)


def quoted(text: str, most: int) -> tuple[str, bool]:
    """Text as a JSON string of at most `most` characters of it, and whether it had to be cut.

    >>> quoted("</data><|im_end|> Hi", 99)[0]
    '"\\\\u003c/data\\\\u003e\\\\u003c\\\\u007cim_end\\\\u007c\\\\u003e Hi"'
    """
    kept = "".join(c for c in text if c.isprintable() or c in "\n\t")
    said = json.dumps(kept[:most], ensure_ascii=False)
    return "".join(TEMPLATE_SIGNS.get(c, c) for c in said), len(kept) > most


def ask(chat: Chat, messages: Sequence[Message], form: type[Answer], options: ChatOptions) -> tuple[Answer, int]:
    """A checked answer, and how many tries it took. A wrong one is asked for again with what was wrong in it.

    Raises ProviderError when the last try failed too; ProviderRefused (a wrong key, no such model) at once.
    """
    said = list(messages)
    problem = ProviderError("never asked")
    for attempt in range(options.retries + 1):
        try:
            text = chat(said, form, options)
        except ProviderError as error:
            problem = error
            continue
        try:
            return parse_answer(text, form), attempt + 1
        except ValueError as error:
            problem = ProviderError(f"The answer could not be used: {error}.")
            said = [*messages, Message("assistant", text[:2000]), Message("user", _complaint(error))]
    raise problem


def parse_answer(text: str, form: type[Answer]) -> Answer:
    """The first JSON object in an answer that fits; fences, thoughts and words around it are passed over.

    Raises ValueError with the reason.
    """
    from ..track_file import problems

    text = re.sub(r"<think>.*?(</think>|\Z)", " ", text[:MAX_ANSWER], flags=re.DOTALL)
    reason = "it holds no JSON object"
    for found in _objects(text):
        try:
            return form.model_validate(found)
        except ValidationError as error:
            reason = problems(error)
    raise ValueError(reason)


def _objects(text: str) -> Iterator[dict]:
    """Every JSON object in a text, those inside another left out."""
    decoder, at = json.JSONDecoder(), text.find("{")
    while at >= 0:
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            yield value
        at = text.find("{", end)


def _complaint(error: ValueError) -> str:
    return f"That cannot be used: {error}. Answer again with one JSON object of the form asked for, and nothing else."
