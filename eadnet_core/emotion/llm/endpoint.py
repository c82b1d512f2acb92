"""Asking a language model behind an OpenAI-compatible endpoint: Ollama, LM Studio, vLLM, llama.cpp, or a service."""

from __future__ import annotations

import base64
import http.client
import io
import ipaddress
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel

from ...errors import BadInput
from .chat import Chat, Message, ProviderError, ProviderRefused
from .endpoints import Endpoint
from .options import ChatOptions

MAX_REPLY_BYTES = 4_000_000
PICTURE_SIDE_PX = 512
_PIECE_BYTES = 65_536
_ESCAPE = re.compile(r"\\+u([0-9a-fA-F]{4})")
_WRONG = {401: "the key was refused", 403: "the key was refused", 404: "there is no such model or address"}


def openai(endpoint: Endpoint) -> Chat:
    """A chat with the model of an endpoint. Raises BadInput for one without a model.

    An endpoint that knows no `response_format` is asked again without. Redirects are not followed, and a proxy is not
    taken to a server on this machine: what is said, and the key, go to the host that was named.
    """
    if not endpoint.model.strip():
        raise BadInput("The endpoint needs the name of a model, such as qwen2.5vl:7b.")
    address = endpoint.url.rstrip("/").removesuffix("/chat/completions") + "/chat/completions"

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
            return _post(address, endpoint.key, body, options.timeout_s)
        except _Refused as error:
            if error.status not in (400, 422):
                raise
        del body["response_format"]
        return _post(address, endpoint.key, body, options.timeout_s)

    return chat


class _Refused(ProviderError):
    """An HTTP status that is not 200."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Leave a redirect as the error that it is here."""


def _opener(host: str) -> urllib.request.OpenerDirector:
    """What opens addresses of a host; proxies of the environment would carry away what is meant for this machine."""
    direct = [urllib.request.ProxyHandler({})] if _is_this_machine(host) else []
    return urllib.request.build_opener(_NoRedirects, *direct)


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _post(address: str, key: str, body: dict[str, Any], timeout_s: float) -> str:
    """The text of the first choice. Raises ProviderError, or ProviderRefused for what another try would not change."""
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    parts = urlsplit(address)
    host = parts.netloc
    request = urllib.request.Request(address, json.dumps(body).encode(), headers)
    try:
        with _opener(parts.hostname or "").open(request, timeout=timeout_s) as reply:
            text = _without(key, _read(reply, timeout_s))
    except urllib.error.HTTPError as error:
        status, said = error.code, _without(key, _said(error, timeout_s)).decode(errors="replace")
        if status in _WRONG:
            what = "the key" if status in (401, 403) else "the address and the model"
            raise ProviderRefused(
                f"{host} answered {status}: {_WRONG[status]}. Check {what} of the endpoint."
            ) from error
        raise _Refused(f"{host} answered {status}: {' '.join(said.split())[:200]}", status) from error
    except TimeoutError as error:
        raise ProviderError(f"{host} did not answer within {timeout_s:g} s") from error
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            raise ProviderError(f"{host} did not answer within {timeout_s:g} s") from error
        why = " ".join(_without(key, str(reason).encode()).decode().split())[:200]
        raise ProviderError(f"{host} cannot be reached ({why})") from None if key else error
    return _content(text, host, key)


def _read(reply: Any, timeout_s: float) -> bytes:
    """The body, at most MAX_REPLY_BYTES of it. Raises TimeoutError when all of it took longer, however it drips."""
    end, body = time.monotonic() + timeout_s, b""
    while len(body) < MAX_REPLY_BYTES and (piece := reply.read1(_PIECE_BYTES)):
        body += piece
        if time.monotonic() > end:
            raise TimeoutError
    return body[:MAX_REPLY_BYTES]


def _said(error: urllib.error.HTTPError, timeout_s: float) -> bytes:
    """The body of a refusal, as far as it comes."""
    try:
        return _read(error, timeout_s)
    except (OSError, http.client.HTTPException):
        return b""


def _without(key: str, text: bytes) -> bytes:
    """What a server said, should it repeat the key: answers are shown, and saved with workflows."""
    return text.replace(key.encode(), b"***") if key else text


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
