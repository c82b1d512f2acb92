"""Asking a language model behind an OpenAI-compatible endpoint: Ollama, LM Studio, vLLM, llama.cpp, or a service."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from ...errors import BadInput
from .chat import Chat, Message, ProviderError
from .endpoints import Endpoint
from .options import ChatOptions
from .post import Refused, post

PICTURE_SIDE_PX = 512
_ESCAPE = re.compile(r"\\+u([0-9a-fA-F]{4})")


def openai(endpoint: Endpoint) -> Chat:
    """A chat with the model of an endpoint. Raises BadInput for one without a model.

    An endpoint that knows no `response_format` is asked again without. Redirects are not followed, and a proxy is not
    taken to a server on this machine: what is said, and the key, go to the host that was named.
    """
    if not endpoint.model.strip():
        raise BadInput("The endpoint needs the name of a model, such as qwen2.5vl:7b.")
    address = endpoint.url.rstrip("/").removesuffix("/chat/completions") + "/chat/completions"

    def answer(body: dict[str, Any], timeout_s: float) -> str:
        text, host = post(address, endpoint.key, body, timeout_s)
        return _content(text, host, endpoint.key)

    def chat(messages: Sequence[Message], form: type[BaseModel], options: ChatOptions) -> str:
        schema = {"name": form.__name__, "schema": form.model_json_schema()}
        body = {
            "model": endpoint.model.strip(),
            "messages": [_message(m) for m in messages],
            "max_tokens": options.max_tokens,
            "temperature": options.temperature,
            "seed": options.seed,
            "response_format": {"type": "json_schema", "json_schema": schema},
        }
        try:
            return answer(body, options.timeout_s)
        except Refused as error:
            if error.status not in (400, 422):
                raise
        del body["response_format"]
        return answer(body, options.timeout_s)

    return chat


def _content(text: bytes, host: str, key: str) -> str:
    try:
        content = json.loads(text)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
        raise ProviderError(f"{host} answered with something that is not a chat completion") from error
    if not isinstance(content, str):
        raise ProviderError(f"{host} answered without a text")
    if key and key in _unescaped(content):
        raise ProviderError(f"{host} answered with the endpoint's own key, which is not shown")
    return content


def _unescaped(text: str) -> str:
    """A text with JSON's escapes read, however often they were escaped: an answer is JSON inside of JSON."""
    text = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
    return text.replace("\\", "")


def _message(message: Message) -> dict[str, Any]:
    if not message.pictures:
        return {"role": message.role, "content": message.text}
    parts: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": _jpeg(p)}} for p in message.pictures]
    return {"role": message.role, "content": [*parts, {"type": "text", "text": message.text}]}


def _jpeg(picture: Any) -> str:
    """A data URL of at most PICTURE_SIDE_PX on a side."""
    from PIL import Image

    image = Image.fromarray(picture)
    image.thumbnail((PICTURE_SIDE_PX, PICTURE_SIDE_PX))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
