"""The page of `eadnet live`: a server on the loopback address, with a token in its address."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BadInput
from ..media.tts.voices import Tts
from .guard import HEADERS, HOSTS, Guard, new_token
from .portrait import LivePortrait
from .recording import Recorder
from .session import AHEAD_FRAMES, CHUNK_FRAMES, LiveSession
from .talk import Talk
from .wire import MOST_MESSAGE_BYTES, jpeg

PAGE = Path(__file__).parent / "page"
KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
HEARTBEAT_S = 10.0
"""A page that does not answer for so long is gone."""
OCCUPIED = 4009
"""Code that a page is sent away with where all sessions are taken."""
PLACE_WAIT_S = 3.0
"""A page that is reloaded comes before the server has seen that it went."""
MOST_REQUEST_BYTES = 4096
"""Of anything but a WebSocket's messages."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LivePage:
    """What is served.

    tts                  who speaks texts; or, in words, why nobody can
    sessions             pages that may talk at once
    stop_when_idle_min   without a page for so many minutes, the server stops; None: never
    """

    portrait: LivePortrait
    emotion: str = ""
    chunk_frames: int = CHUNK_FRAMES
    ahead_frames: int = AHEAD_FRAMES
    tts: Tts | str = "Nobody was told to speak texts."
    sessions: int = 1
    stop_when_idle_min: float | None = None


async def serve(page: LivePage, port: int, ready: Callable[[str], None]) -> None:
    """Serve until cancelled, or alone for too long.

    port   0 takes one that is free
    ready  called with the page's address, token included
    Raises BadInput for a port that is taken, and ModuleNotFoundError without aiohttp.
    """
    from aiohttp import web

    LiveSession(page.portrait, page.emotion, page.chunk_frames, page.ahead_frames)  # fails here, not at the first page
    with tempfile.TemporaryDirectory(prefix="eadnet-live-") as folder:
        server = _Server(page, Recorder(Path(folder), page.portrait))
        runner = web.AppRunner(server.app(), access_log=None, handle_signals=False, logger=_refusals())
        await runner.setup()
        try:
            site = web.TCPSite(runner, HOSTS[0], port)
            try:
                await site.start()
            except OSError as error:
                raise BadInput(f"Port {port} cannot be listened at ({error.strerror}). Give another --port.") from error
            server.guard = Guard(new_token(), runner.addresses[0][1])
            ready(server.guard.address)
            await server.until_left_alone()
        finally:
            await runner.cleanup()


def _refusals() -> logging.Logger:
    """What aiohttp logs to: what is no request at all takes a line here, and no traceback."""
    refusals = logging.getLogger(f"{__name__}.requests")
    refusals.addFilter(_in_a_line)
    return refusals


def _in_a_line(record: logging.LogRecord) -> bool:
    from aiohttp.http_exceptions import HttpProcessingError

    if record.exc_info is not None and isinstance(record.exc_info[1], HttpProcessingError):
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        record.msg, record.args, record.exc_info = "a request was refused: it is no HTTP", (), None
    return True


async def serve_until_told(page: LivePage, port: int, ready: Callable[[str], None]) -> None:
    """`serve`, until the process is told to end or its terminal is closed, too: recordings go with the server."""
    serving, loop = asyncio.ensure_future(serve(page, port, ready)), asyncio.get_running_loop()
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
            with contextlib.suppress(NotImplementedError):  # Windows sends neither
                loop.add_signal_handler(number, serving.cancel)
    await asyncio.wait({serving})
    if not serving.cancelled():
        serving.result()


class _Server:
    def __init__(self, page: LivePage, recorder: Recorder) -> None:
        self.page, self.recorder = page, recorder
        self.guard: Guard | None = None
        self._talks: set[Any] = set()
        self._places = asyncio.Semaphore(page.sessions)
        self._left_at = time.monotonic()
        self._picture = jpeg(page.portrait.picture)
        self._files = {path.name: path.read_bytes() for path in PAGE.iterdir() if path.suffix in KINDS}

    def app(self) -> Any:
        from aiohttp import web

        app = web.Application(middlewares=[self._guarded()], client_max_size=MOST_REQUEST_BYTES)
        app.router.add_get("/{token}/", self._page)
        app.router.add_get("/{token}/talk", self._talk)
        app.router.add_get("/{token}/portrait.jpg", self._portrait)
        app.router.add_get("/{token}/recordings/{name}", self._recording)
        app.router.add_get("/{token}/{name}", self._page)
        app.on_shutdown.append(self._hang_up)
        return app

    def _guarded(self) -> Any:
        from aiohttp import web

        @web.middleware
        async def guarded(request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
            token = request.path.removeprefix("/").partition("/")[0]
            reason = "not ready" if self.guard is None else self.guard.refusal(token, request.headers)
            if reason is not None:
                logger.warning("a request was refused: %s", reason)
                return web.Response(status=403, text="Refused.", headers=HEADERS)
            try:
                response = await handler(request)
            except web.HTTPException as error:
                response = web.Response(status=error.status, text=error.reason)
            if not response.prepared:
                response.headers.update(HEADERS)
            return response

        return guarded

    async def _page(self, request: Any) -> Any:
        from aiohttp import web

        name = request.match_info.get("name", "index.html")
        if name not in self._files:
            return web.Response(status=404, text="There is no such file.")
        return web.Response(body=self._files[name], content_type=KINDS[Path(name).suffix], charset="utf-8")

    async def _portrait(self, request: Any) -> Any:
        from aiohttp import web

        return web.Response(body=self._picture, content_type="image/jpeg")

    async def _recording(self, request: Any) -> Any:
        from aiohttp import web

        path = self.recorder.find(request.match_info["name"])
        if path is None:
            return web.Response(status=404, text="There is no such recording.")
        return web.FileResponse(path, headers={**HEADERS, "Content-Disposition": f'attachment; filename="{path.name}"'})

    async def _talk(self, request: Any) -> Any:
        from aiohttp import web

        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=MOST_MESSAGE_BYTES, compress=False)
        if not socket.can_prepare(request).ok:
            return web.Response(status=400, text="This address is for a WebSocket.")
        await socket.prepare(request)
        try:
            await asyncio.wait_for(self._places.acquire(), PLACE_WAIT_S)
        except asyncio.TimeoutError:
            await socket.close(code=OCCUPIED, message=b"somebody else talks with this portrait")
            return socket
        self._talks.add(socket)
        try:
            page = self.page
            session = LiveSession(page.portrait, page.emotion, page.chunk_frames, page.ahead_frames)
            await Talk(socket, session, self.recorder, page.tts).run()
        finally:
            self._places.release()
            self._talks.discard(socket)
            self._left_at = time.monotonic()
        return socket

    async def _hang_up(self, _: Any) -> None:
        for socket in list(self._talks):
            await socket.close(code=1001, message=b"the server stops")

    async def until_left_alone(self) -> None:
        """Return when no page has been there for as long as was asked; never by default."""
        limit_s = None if self.page.stop_when_idle_min is None else 60 * self.page.stop_when_idle_min
        while True:
            alone_s = 0.0 if self._talks else time.monotonic() - self._left_at
            if limit_s is not None and alone_s >= limit_s:
                logger.info("nobody has been here for %g minutes", self.page.stop_when_idle_min)
                return
            await asyncio.sleep(0.5 if limit_s is None else min(0.5, max(0.01, limit_s - alone_s)))
