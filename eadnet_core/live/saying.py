"""What a page asks the portrait to say: texts in, speech out, sentence by sentence, to be mixed into what is heard."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ..config import SAMPLE_RATE_HZ
from ..errors import EADNetError
from ..media.tts.voices import Tts, parts_of, said

MOST_WAITING = 4
"""Texts that may wait for the one that is said."""
AHEAD_S = 10.0
"""Of speech that is made before it is heard."""
TICK_S = 0.05

Answer = Callable[[dict[str, Any]], Awaitable[None]]
"""Tells the page something."""


class Saying:
    """Texts of one page, one after the other.

    tts  who speaks; or, in words, why nobody can
    """

    def __init__(self, tts: Tts | str, answer: Answer) -> None:
        self._tts, self._answer = tts, answer
        self._texts: deque[str] = deque()
        self._came = asyncio.Event()
        self._speech: deque[np.ndarray] = deque()
        self._asked = 0
        """How often silence was asked for: what was begun before is not said."""
        self._worker = ThreadPoolExecutor(1, "eadnet-tts")

    @property
    def has_speech(self) -> bool:
        """Whether something waits to be heard."""
        return bool(self._speech)

    async def ask(self, text: str) -> None:
        """Say a text after those that wait; an empty one ends them all."""
        if not text:
            self._asked += 1
            self._texts.clear()
            self._speech.clear()
            self._came.set()
        elif isinstance(self._tts, str):
            await self._answer({"error": self._tts})
        elif len(self._texts) >= MOST_WAITING:
            await self._answer({"error": f"{MOST_WAITING} texts wait already. Let one of them be said first."})
        else:
            self._texts.append(text)
            self._came.set()

    def take(self, n: int) -> np.ndarray:
        """The next n samples, silence where nothing is said."""
        out = np.zeros(n, np.float32)
        filled = 0
        while self._speech and filled < n:
            first = self._speech.popleft()
            part = first[: n - filled]
            out[filled : filled + len(part)] = part
            filled += len(part)
            if len(part) < len(first):
                self._speech.appendleft(first[len(part) :])
        return out

    async def run(self) -> None:
        """Let texts be said as they come, each when the one before has been heard; never ends."""
        while True:
            await self._came.wait()
            self._came.clear()
            while self._texts:
                text = self._texts.popleft()
                await self._answer({"saying": text})
                await self._say(text, self._asked)
            await self._answer({"saying": None})

    async def _say(self, text: str, asked: int) -> None:
        assert not isinstance(self._tts, str)
        loop = asyncio.get_running_loop()
        try:
            for part in parts_of(said(text)):
                await self._until_left(AHEAD_S)
                samples = await loop.run_in_executor(self._worker, self._tts.speak, part)
                if asked != self._asked:
                    return
                self._speech.append(samples)
        except EADNetError as error:
            await self._answer({"error": f"This cannot be said: {error}"})
        await self._until_left(0)

    async def _until_left(self, seconds: float) -> None:
        """Wait until no more speech than that waits to be heard."""
        while sum(map(len, self._speech)) > seconds * SAMPLE_RATE_HZ:
            await asyncio.sleep(TICK_S)

    def close(self) -> None:
        """Say nothing more."""
        self._worker.shutdown(wait=False, cancel_futures=True)
