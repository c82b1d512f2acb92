"""Who may talk to the page's server, and how much: a token, the page's own origin, and budgets that refill."""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

TOKEN_BYTES = 24
HOSTS = ("127.0.0.1", "localhost")
"""Names of the loopback address. Another name that leads there is somebody's trick (DNS rebinding)."""
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
"""With every answer: nothing from elsewhere runs in the page, and nothing of it is told, framed or kept elsewhere."""


def new_token() -> str:
    """A token that nobody guesses, 32 characters of an address."""
    return secrets.token_urlsafe(TOKEN_BYTES)


@dataclass(frozen=True)
class Guard:
    """What every request must show.

    token  the first part of its path
    port   of the server
    """

    token: str
    port: int

    @property
    def address(self) -> str:
        """Of the page."""
        return f"http://{HOSTS[0]}:{self.port}/{self.token}/"

    def refusal(self, token: str, headers: Mapping[str, str]) -> str | None:
        """Why a request is refused, or None.

        >>> guard = Guard("secret", 8765)
        >>> guard.refusal("secret", {"Host": "127.0.0.1:8765"})
        >>> guard.refusal("secret", {"Host": "127.0.0.1:8765", "Origin": "https://evil.example"})
        'another origin'
        >>> guard.refusal("guess", {"Host": "127.0.0.1:8765"}), guard.refusal("secret", {"Host": "evil.example"})
        ('wrong token', 'another host')
        """
        if not hmac.compare_digest(token.encode(), self.token.encode()):
            return "wrong token"
        hosts = [f"{name}:{self.port}" for name in HOSTS]
        if headers.get("Host") not in hosts:
            return "another host"
        origin = headers.get("Origin")
        if origin is not None and origin != f"http://{headers['Host']}":
            return "another origin"
        return None


class Budget:
    """So much at once, and so much a second: what is beyond is refused."""

    def __init__(self, at_once: float, per_second: float, now: Callable[[], float] = time.monotonic) -> None:
        self.at_once, self.per_second, self._now = at_once, per_second, now
        self._left, self._then = at_once, now()

    def take(self, amount: float) -> bool:
        """Whether there was that much left; it is gone then.

        >>> clock = iter([0.0, 0.0, 0.0, 1.0])
        >>> budget = Budget(10, 5, lambda: next(clock))
        >>> budget.take(8), budget.take(8), budget.take(7)
        (True, False, True)
        """
        now = self._now()
        self._left = min(self.at_once, self._left + (now - self._then) * self.per_second)
        self._then = now
        if amount > self._left:
            return False
        self._left -= amount
        return True
