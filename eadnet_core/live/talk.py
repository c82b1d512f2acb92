"""One page that talks with the portrait: sound and words in, chunks out, over a WebSocket (`wire`).

While sound comes, the sound is the clock, so that nothing drifts. When none has come for a while, silence is fed by
the clock on the wall, and the portrait lives on. What the page asked it to say is mixed into either. A machine that is
too slow paints fewer frames, and in the end drops sound, or says a text later.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ..config import FPS, SAMPLE_RATE_HZ
from ..emotion.code import emotion_at
from ..errors import BadInput, EADNetError
from ..media.tts.voices import Tts
from ..perception.words import reading_values
from ..taxonomy import circumplex
from .guard import Budget
from .portrait import LivePortrait
from .recording import Recorder, Recording
from .saying import Saying
from .session import LiveSession
from .streams import pcm_of
from .wire import chunk_message, request_of

IDLE_S = 0.25
"""Without sound for so long, silence is fed."""
TICK_S = 0.02
PACES = ((0.1, 1), (0.3, 2), (float("inf"), 5))
"""Seconds that sound is late, up to which one of so many frames is painted."""
MOST_WAITING_S = 0.8
"""Of sound that waits; beyond, the oldest is dropped."""
SOUND_AT_ONCE_S, SOUND_RATE = 4.0, 1.05
"""A page may send sound as fast as it sounds, and so much ahead; one that sends more is cut off."""
REQUESTS_AT_ONCE, REQUESTS_PER_S = 20, 5
SEND_TIMEOUT_S = 10.0
FLOOD, TOO_SLOW_READER = 4008, 4010
"""Codes that a WebSocket is closed with (4000 .. 4999 are free for applications)."""

logger = logging.getLogger(__name__)


class Closed(Exception):
    """The talk is over: a code and a reason for the page."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class Talk:
    """A session and the page it belongs to.

    socket  aiohttp's WebSocketResponse, prepared
    tts     who speaks texts; or, in words, why nobody can
    """

    def __init__(self, socket: Any, session: LiveSession, recorder: Recorder, tts: Tts | str) -> None:
        self.socket, self.session, self.recorder, self.tts = socket, session, recorder, tts
        self._saying = Saying(tts, self._send)
        self._sound: deque[tuple[float, np.ndarray]] = deque()
        self._marks: deque[tuple[int, float]] = deque()
        self._n_given = self._n_dropped = 0
        self._heard_at = self._due = time.monotonic()
        self._felt: str | tuple[float, float] | None = None
        self._recording: Recording | None = None
        self._record: bool | None = None
        self._seconds = Budget(SOUND_AT_ONCE_S, SOUND_RATE)
        self._requests = Budget(REQUESTS_AT_ONCE, REQUESTS_PER_S)
        self._worker = ThreadPoolExecutor(1, "eadnet-live")

    async def run(self) -> None:
        """Until the page goes, or is cut off."""
        await self._send(hello(self.session, self.tts))
        tasks = [asyncio.create_task(work) for work in (self._pump(), self._listen(), self._saying.run())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        except Closed as end:
            logger.warning("a page was cut off: %s", end.reason)
            await self.socket.close(code=end.code, message=end.reason.encode())
        except ConnectionError:
            pass  # the page is gone
        finally:
            self._saying.close()
            for task in tasks:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Closed, ConnectionError):
                    await task
            await asyncio.get_running_loop().run_in_executor(self._worker, self._stop_recording)
            self._worker.shutdown(wait=False)

    async def _listen(self) -> None:
        """Take what the page sends; returns when it is gone."""
        from aiohttp import WSMsgType

        async for message in self.socket:
            if message.type == WSMsgType.BINARY:
                self._take(message.data)
            elif message.type == WSMsgType.TEXT:
                await self._ask(message.data)

    def _take(self, data: bytes) -> None:
        data = data[: len(data) // 2 * 2]
        n = len(data) // 2
        if not self._seconds.take(n / SAMPLE_RATE_HZ):
            raise Closed(FLOOD, "more sound than can be said")
        self._heard_at = time.monotonic()
        self._sound.append((self._heard_at, pcm_of(data)))
        while self._waiting_s() > MOST_WAITING_S:
            self._n_dropped += len(self._sound.popleft()[1])

    async def _ask(self, text: str) -> None:
        if not self._requests.take(1):
            raise Closed(FLOOD, "more requests than can be followed")
        try:
            asked = request_of(text)
        except BadInput as error:
            await self._send({"error": str(error)})
            return
        if "record" in asked:
            self._record = asked["record"]
        elif "say" in asked:
            await self._saying.ask(asked["say"])
        else:
            self._felt = asked["feel"] if "feel" in asked else asked["feel_at"]

    def _waiting_s(self) -> float:
        """Sound that the session has not been given."""
        return sum(len(samples) for _, samples in self._sound) / SAMPLE_RATE_HZ

    def _late_s(self) -> float:
        """How far what is heard lies behind its time."""
        is_late = self._saying.has_speech and not self._sound
        return time.monotonic() - self._due if is_late else self._waiting_s()

    def _behind_s(self, frame: int) -> float:
        """How long ago the first sound of a frame came; 0 where it has not."""
        first = frame * (SAMPLE_RATE_HZ // FPS)
        while self._marks and self._marks[0][0] <= first:
            self._marks.popleft()
        return time.monotonic() - self._marks[0][1] if self._marks else 0.0

    async def _pump(self) -> None:
        """Feed the session and send its chunks."""
        while True:
            self._feed()
            await self._follow()
            self.session.paint_every = next(every for most_s, every in PACES if self._late_s() <= most_s)
            made = await self._in_worker(self._make, self._behind_s(self.session.next_frame))
            if made is None:
                await asyncio.sleep(TICK_S)
                continue
            try:
                await asyncio.wait_for(self.socket.send_bytes(made), SEND_TIMEOUT_S)
            except asyncio.TimeoutError as error:
                raise Closed(TOO_SLOW_READER, "the page does not take what is sent") from error

    def _feed(self) -> None:
        """Give the session what the next chunk lacks: sound that came, or silence for the time in which none came."""
        now = time.monotonic()
        while self._sound and (n := self.session.missing_samples):
            came, samples = self._sound.popleft()
            if len(samples) > n:
                self._sound.appendleft((came, samples[n:]))
            self._give(samples[:n], came)
        is_silent = not self._sound and now - self._heard_at > IDLE_S
        if is_silent:
            n = min(self.session.missing_samples, int((now - self._due) * SAMPLE_RATE_HZ))
            self._due += n / SAMPLE_RATE_HZ
            self._give(np.zeros(n, np.float32), self._due)
        # What is said waits for a machine that is too slow; of silence it is not given more.
        patience_s = MOST_WAITING_S if is_silent and self._saying.has_speech else 0.0
        self._due = max(self._due, now - patience_s)

    def _give(self, samples: np.ndarray, came: float) -> None:
        said = self._saying.take(len(samples))
        self.session.add((samples + said).clip(-1, 1))
        self._n_given += len(samples)
        self._marks.append((self._n_given, came))

    async def _follow(self) -> None:
        """Do what the page asked for; of several feelings the last counts."""
        if self._felt is not None:
            felt, self._felt = self._felt, None
            await self._in_worker(self.session.feel, felt if isinstance(felt, str) else emotion_at(*felt))
            await self._send({"on": on(self.session, "words" if isinstance(felt, str) else "pad")})
        if self._record is not None:
            wanted, self._record = self._record, None
            await self._send(await self._in_worker(self._start_recording if wanted else self._stop_recording))

    def _start_recording(self) -> dict[str, Any]:
        if self._recording is None:
            try:
                self._recording = self.recorder.begin()
            except (EADNetError, OSError) as error:
                return {"error": f"This cannot be recorded: {error}"}
        return {"recording": True}

    def _stop_recording(self) -> dict[str, Any]:
        recording, self._recording = self._recording, None
        if recording is None:
            return {"recording": False}
        recording.close()
        return {"recording": False, "file": recording.path.name, "seconds": recording.n_frames / FPS}

    def _make(self, behind_s: float) -> bytes | None:
        """The next chunk as a message, if its sound is there; in the worker's thread."""
        began = time.monotonic()
        chunk = next(self.session.chunks(), None)
        if chunk is None:
            return None
        behind_s += time.monotonic() - began
        if self._recording is not None and not self._recording.is_full:
            self._recording.add(chunk)
        numbers = {
            "behind_ms": round(1000 * behind_s),
            "made_ms": round(1000 * sum(chunk.seconds.values())),
            "dropped_ms": round(1000 * self._n_dropped / SAMPLE_RATE_HZ),
        }
        return chunk_message(chunk, numbers)

    async def _send(self, value: dict[str, Any]) -> None:
        await self.socket.send_str(json.dumps(value))

    async def _in_worker(self, call: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._worker, call, *arguments)


def on(session: LiveSession, by: str) -> dict[str, Any]:
    """Which emotion is on, and what asked for it."""
    return {**reading_values(session.on), "by": by}


def hello(session: LiveSession, tts: Tts | str) -> dict[str, Any]:
    """What the page is told first: sizes in pixels, the box that changes, the delay, the emotions, and who speaks."""
    portrait: LivePortrait = session.portrait
    height, width = portrait.picture.shape[:2]
    box = portrait.painter.box
    return {
        "hello": {
            "width": width,
            "height": height,
            "box": [box.left, box.top, box.right - box.left, box.bottom - box.top],
            "fps": FPS,
            "sample_rate_hz": SAMPLE_RATE_HZ,
            "delay_ms": round(1000 * session.delay_s),
            "model": portrait.model.name,
            "emotions": circumplex(),
            "on": on(session, "words"),
            "tts": {"problem": tts} if isinstance(tts, str) else {"name": tts.name},
        }
    }
