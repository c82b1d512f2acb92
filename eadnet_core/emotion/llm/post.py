"""Sending JSON to a server that the owner of the machine named: no redirects, no proxy here, no key shown."""

from __future__ import annotations

import http.client
import ipaddress
import json
import time
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from .chat import ProviderError, ProviderRefused

MAX_REPLY_BYTES = 4_000_000
_PIECE_BYTES = 65_536
_WRONG = {401: "the key was refused", 403: "the key was refused", 404: "there is no such model or address"}


class Refused(ProviderError):
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


def post(
    address: str, key: str, body: dict[str, Any], timeout_s: float, most_bytes: int = MAX_REPLY_BYTES
) -> tuple[bytes, str]:
    """A server's answer, at most most_bytes of it and without the key, and the server's name.

    Raises ProviderError, or ProviderRefused for what another try would not change.
    """
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    parts = urlsplit(address)
    host = parts.netloc
    request = urllib.request.Request(address, json.dumps(body).encode(), headers)
    try:
        with _opener(parts.hostname or "").open(request, timeout=timeout_s) as reply:
            return _without(key, _read(reply, timeout_s, most_bytes)), host
    except urllib.error.HTTPError as error:
        status, said = error.code, _without(key, _said(error, timeout_s)).decode(errors="replace")
        if status in _WRONG:
            what = "the key" if status in (401, 403) else "the address and the model"
            raise ProviderRefused(
                f"{host} answered {status}: {_WRONG[status]}. Check {what} of the endpoint."
            ) from error
        raise Refused(f"{host} answered {status}: {' '.join(said.split())[:200]}", status) from error
    except TimeoutError as error:
        raise ProviderError(f"{host} did not answer within {timeout_s:g} s") from error
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            raise ProviderError(f"{host} did not answer within {timeout_s:g} s") from error
        why = " ".join(_without(key, str(reason).encode()).decode().split())[:200]
        raise ProviderError(f"{host} cannot be reached ({why})") from None if key else error


def _read(reply: Any, timeout_s: float, most_bytes: int = MAX_REPLY_BYTES) -> bytes:
    """The body, at most most_bytes of it. Raises TimeoutError when all of it took longer, however it drips."""
    end, body = time.monotonic() + timeout_s, bytearray()
    while len(body) < most_bytes and (piece := reply.read1(_PIECE_BYTES)):
        body += piece
        if time.monotonic() > end:
            raise TimeoutError
    return bytes(body[:most_bytes])


def _said(error: urllib.error.HTTPError, timeout_s: float) -> bytes:
    """The body of a refusal, as far as it comes."""
    try:
        return _read(error, timeout_s)
    except (OSError, http.client.HTTPException):
        return b""


def _without(key: str, text: bytes) -> bytes:
    """What a server said, should it repeat the key: answers are shown, and saved with workflows."""
    return text.replace(key.encode(), b"***") if key else text
