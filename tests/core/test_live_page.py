"""The page's server: who is let in, what is refused, and that the portrait lives on."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from eadnet_core import cli
from eadnet_core.emotion.llm.chat import ProviderError
from eadnet_core.errors import BadInput
from eadnet_core.families.family import Model
from eadnet_core.live.portrait import LivePortrait
from eadnet_core.live.server import LivePage, serve, serve_until_told
from eadnet_core.live.wire import MOST_MESSAGE_BYTES, request_of
from eadnet_core.media.tts.voices import Tts
from eadnet_core.media.video.tags import DIGITAL_SOURCE_TYPE
from eadnet_core.request import GenerateOptions

aiohttp = pytest.importorskip("aiohttp", reason="aiohttp is not installed: pip install 'eadnet[live]'")
SECOND = b"\0\0" * 16_000


@pytest.fixture(scope="module")
def shown(tiny_model: Model) -> LivePortrait:
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    return LivePortrait(tiny_model, picture, GenerateOptions(face_box=(16.0, 12.0, 48.0, 54.0)))


@asynccontextmanager
async def served(page: LivePage) -> AsyncIterator[tuple[str, Any]]:
    """The address of a page that is served, and a client."""
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    server = asyncio.create_task(serve(page, 0, ready.set_result))
    async with aiohttp.ClientSession() as client:
        yield await ready, client
    server.cancel()
    with pytest.raises(asyncio.CancelledError):
        await server


def talk_of(run: Callable[[str, Any], Awaitable[None]], page: LivePage) -> None:
    async def main() -> None:
        async with served(page) as (address, client):
            await run(address, client)

    asyncio.run(asyncio.wait_for(main(), 120))


async def answer(socket: Any, name: str) -> Any:
    """The next message in words that holds a name; chunks are passed over."""
    while True:
        message = await socket.receive()
        if message.type == aiohttp.WSMsgType.TEXT and name in (said := json.loads(message.data)):
            return said
        assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), message


async def chunk_of(socket: Any) -> tuple[dict[str, Any], bytes]:
    """Header and rest of the next chunk."""
    while (message := await socket.receive()).type != aiohttp.WSMsgType.BINARY:
        assert message.type == aiohttp.WSMsgType.TEXT, message
    n = int.from_bytes(message.data[:4], "little")
    return json.loads(message.data[4 : 4 + n]), message.data[4 + n :]


async def code_of(socket: Any) -> int:
    """What the server closes with."""
    while not socket.closed:
        await socket.receive()
    return socket.close_code


def test_the_page_and_its_files_are_behind_the_token(shown: LivePortrait) -> None:
    async def run(address: str, client: Any) -> None:
        for name, kind in {"": "text/html", "live.js": "text/javascript", "live.css": "text/css"}.items():
            async with client.get(address + name) as response:
                assert response.status == 200 and response.content_type == kind
                assert "default-src 'none'" in response.headers["Content-Security-Policy"]
                assert response.headers["Referrer-Policy"] == "no-referrer"
        async with client.get(address + "portrait.jpg") as response:
            assert (await response.read())[:2] == b"\xff\xd8"
        recordings = ("none.mp4", "..%2f..%2fface.mp4", "%00.mp4", 300 * "x" + ".mp4")
        for name in ("server.py", "%2e%2e/guard.py", *(f"recordings/{name}" for name in recordings)):
            async with client.get(address + name) as response:
                assert response.status in (403, 404)

    talk_of(run, LivePage(shown))


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("wrong-token/", {}),
        ("", {}),
        ("{token}/", {"Host": "evil.example:{port}"}),
        ("{token}/", {"Origin": "https://evil.example"}),
        ("{token}/talk", {"Origin": "null"}),
        ("{token}/live.js", {"Origin": "http://127.0.0.1:1"}),
    ],
)
def test_what_is_not_the_pages_own_is_refused(shown: LivePortrait, path: str, headers: dict[str, str]) -> None:
    async def run(address: str, client: Any) -> None:
        base, token = address.rstrip("/").rsplit("/", 1)
        port = base.rpartition(":")[2]
        url = f"{base}/{path.format(token=token)}"
        async with client.get(url, headers={k: v.format(port=port) for k, v in headers.items()}) as response:
            assert response.status == 403 and await response.text() == "Refused."

    talk_of(run, LivePage(shown))


def test_a_socket_from_another_origin_or_without_the_token_is_refused(shown: LivePortrait) -> None:
    async def run(address: str, client: Any) -> None:
        for url, origin in ((address + "talk", "http://evil.example"), (address[:-2] + "/talk", None)):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await client.ws_connect(url, origin=origin)
            assert refused.value.status == 403

    talk_of(run, LivePage(shown))


def test_a_portrait_that_nobody_speaks_to_lives(shown: LivePortrait) -> None:
    async def run(address: str, client: Any) -> None:
        async with client.ws_connect(address + "talk") as socket:
            hello = (await answer(socket, "hello"))["hello"]
            assert (hello["width"], hello["height"], hello["delay_ms"]) == (64, 64, 320)
            starts = [(await chunk_of(socket))[0]["start"] for _ in range(3)]
            assert starts == [0, 5, 10]

    talk_of(run, LivePage(shown))


def test_sound_comes_back_with_its_pictures(shown: LivePortrait) -> None:
    samples = (8000 * np.sin(np.arange(16_000) * 0.07)).astype("<i2")

    async def run(address: str, client: Any) -> None:
        async with client.ws_connect(address + "talk") as socket:
            await answer(socket, "hello")
            for start in range(0, 11_200, 1600):  # more would be dropped: it comes sooner than it sounds
                await socket.send_bytes(samples[start : start + 1600].tobytes())
            heard = np.zeros(0, "<i2")
            while len(heard) < 9_600:
                header, rest = await chunk_of(socket)
                assert len(header["sizes"]) == -(-5 // header["every"]) and header["behind_ms"] >= 0
                pictures, sound = rest[: sum(header["sizes"])], rest[sum(header["sizes"]) :]
                assert pictures[:2] == b"\xff\xd8" and len(sound) == 2 * header["n_samples"]
                heard = np.append(heard, np.frombuffer(sound, "<i2"))
            first = int(np.argmax(np.abs(heard) > 100))
            n = min(6000, len(heard) - first)
            shift = int(np.argmax(np.abs(samples) > 100))
            assert n > 3000 and np.abs(heard[first : first + n].astype(int) - samples[shift : shift + n]).max() <= 2

    talk_of(run, LivePage(shown))


def test_words_are_read_and_bad_requests_answered(shown: LivePortrait) -> None:
    async def run(address: str, client: Any) -> None:
        async with client.ws_connect(address + "talk") as socket:
            hello = (await answer(socket, "hello"))["hello"]
            assert (hello["on"]["label"], hello["on"]["by"]) == ("neutral", "words")
            await socket.send_str('{"feel": "happy"}')
            assert (await answer(socket, "on"))["on"]["label"] == "happy"
            await socket.send_str("not json")
            assert "JSON" in (await answer(socket, "error"))["error"]
            fear = next(e for e in hello["emotions"] if e["name"] == "fear")
            await socket.send_str(json.dumps({"feel_at": [fear["valence"], fear["arousal"]]}))
            on = (await answer(socket, "on"))["on"]
            assert (on["label"], on["by"], on["valence"]) == ("fear", "pad", fear["valence"])

    talk_of(run, LivePage(shown))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[]", "none of"),
        ('{"x": "y"}', "none of feel, feel_at, say, record"),
        ('{"feel": "a", "record": true}', "none of"),
        ('{"feel": 3}', "in words"),
        (json.dumps({"feel": "a" * 501}), "500"),
        (json.dumps({"say": "a" * 1001}), "1000"),
        ('{"say": null}', "in words"),
        ('{"record": 1}', "true or false"),
        ('{"feel_at": [0.5]}', "no point"),
        ('{"feel_at": [0, 1.01]}', "no point"),
        ('{"feel_at": [NaN, 0]}', "no point"),
        ('{"feel_at": [true, 0]}', "no point"),
    ],
)
def test_requests_are_checked(text: str, what: str) -> None:
    with pytest.raises(BadInput, match=what):
        request_of(text)


def tone(text: str) -> np.ndarray:
    """A voice that says .1 s for each word, louder for each."""
    parts = [0.1 * (i + 1) * np.sin(np.arange(1600) * 0.07) for i in range(len(text.split()))]
    return np.concatenate(parts).astype(np.float32)


async def until_said(socket: Any) -> tuple[np.ndarray, list[Any]]:
    """What is heard until a text has been said, and what the page was told meanwhile."""
    heard, told = np.zeros(0, "<i2"), []
    while not told or told[-1] is not None:
        message = await socket.receive()
        if message.type == aiohttp.WSMsgType.TEXT:
            told += [json.loads(message.data)["saying"]]
        else:
            n = int.from_bytes(message.data[:4], "little")
            header = json.loads(message.data[4 : 4 + n])
            heard = np.append(heard, np.frombuffer(message.data[-2 * header["n_samples"] :], "<i2"))
    return heard, told


def test_a_text_is_said_and_heard(shown: LivePortrait) -> None:
    async def run(address: str, client: Any) -> None:
        async with client.ws_connect(address + "talk") as socket:
            assert (await answer(socket, "hello"))["hello"]["tts"] == {"name": "a tone"}
            await socket.send_str('{"say": "one two three"}')
            heard, told = await until_said(socket)
            while not heard.any() or heard[-320:].any():  # what is given is heard some chunks later
                _, rest = await chunk_of(socket)
                heard = np.append(heard, np.frombuffer(rest[-6400:], "<i2"))
            assert told == ["one two three", None]
            first = int(np.flatnonzero(heard)[0]) - 1
            said = (32767 * tone("one two three")).astype("<i2")
            # A machine that is too slow says it with pauses; no sample of it is lost.
            assert np.array_equal(heard[heard != 0], said[said != 0]) and first >= 0

    talk_of(run, LivePage(shown, tts=Tts("a tone", tone)))


def test_what_cannot_be_said_is_told(shown: LivePortrait) -> None:
    def fails(text: str) -> np.ndarray:
        raise ProviderError("lab.example cannot be reached")

    async def run(address: str, client: Any) -> None:
        async with client.ws_connect(address + "talk") as socket:
            await socket.send_str('{"say": "Hello."}')
            assert "lab.example cannot be reached" in (await answer(socket, "error"))["error"]
            await socket.send_str('{"say": "?"}')
            assert "no word" in (await answer(socket, "error"))["error"]

    async def without(address: str, client: Any) -> None:
        async with client.ws_connect(address + "talk") as socket:
            assert (await answer(socket, "hello"))["hello"]["tts"] == {"problem": "Install espeak-ng."}
            await socket.send_str('{"say": "Hello."}')
            assert (await answer(socket, "error"))["error"] == "Install espeak-ng."

    talk_of(run, LivePage(shown, tts=Tts("nobody", fails)))
    talk_of(without, LivePage(shown, tts="Install espeak-ng."))


def test_what_is_being_said_can_be_stopped_and_few_texts_wait(shown: LivePortrait) -> None:
    async def run(address: str, client: Any) -> None:
        async with client.ws_connect(address + "talk") as socket:
            for _ in range(7):
                await socket.send_str(json.dumps({"say": "word " * 199}))
            assert "wait already" in (await answer(socket, "error"))["error"]
            await socket.send_str('{"say": ""}')
            while (await answer(socket, "saying"))["saying"] is not None:
                pass  # 20 s of speech are not waited for

    talk_of(run, LivePage(shown, tts=Tts("a tone", tone)))


def test_a_flood_is_cut_off_and_the_next_page_let_in(shown: LivePortrait) -> None:
    async def run(address: str, client: Any) -> None:
        async with client.ws_connect(address + "talk") as socket:
            for _ in range(6):
                await socket.send_bytes(SECOND)
            assert await code_of(socket) == 4008
        async with client.ws_connect(address + "talk") as socket:
            for _ in range(40):
                await socket.send_str('{"feel": "happy"}')
            assert await code_of(socket) == 4008
        async with client.ws_connect(address + "talk") as socket:
            await socket.send_bytes(b"\0" * (MOST_MESSAGE_BYTES + 1))
            assert await code_of(socket) == 1009
        async with client.ws_connect(address + "talk") as socket:
            assert await answer(socket, "hello")

    talk_of(run, LivePage(shown))


def test_one_page_at_a_time_unless_more_are_allowed(shown: LivePortrait) -> None:
    async def alone(address: str, client: Any) -> None:
        async with client.ws_connect(address + "talk") as first:
            await answer(first, "hello")
            async with client.ws_connect(address + "talk") as second:
                assert await code_of(second) == 4009
            await chunk_of(first)
        async with client.ws_connect(address + "talk") as third:  # the first one's place is free
            await answer(third, "hello")

    async def together(address: str, client: Any) -> None:
        async with client.ws_connect(address + "talk") as first, client.ws_connect(address + "talk") as second:
            for socket in (first, second):
                await chunk_of(socket)

    talk_of(alone, LivePage(shown))
    talk_of(together, LivePage(shown, sessions=2))


def test_a_dropped_connection_frees_its_place(shown: LivePortrait) -> None:
    async def run(address: str, client: Any) -> None:
        socket = await client.ws_connect(address + "talk")
        await chunk_of(socket)
        socket._response.connection.transport.abort()  # no goodbye
        for _ in range(200):
            async with client.ws_connect(address + "talk") as other:
                message = await other.receive()
                if message.type == aiohttp.WSMsgType.TEXT:
                    return
            await asyncio.sleep(0.05)
        pytest.fail("the place is still taken")

    talk_of(run, LivePage(shown))


def test_a_recording_is_a_video_that_says_it_is_synthetic(shown: LivePortrait, tmp_path: Path) -> None:
    async def run(address: str, client: Any) -> None:
        async with client.ws_connect(address + "talk") as socket:
            await socket.send_str('{"record": true}')
            assert (await answer(socket, "recording"))["recording"] is True
            for _ in range(3):
                await chunk_of(socket)
            await socket.send_str('{"record": false}')
            said = await answer(socket, "recording")
            assert said["seconds"] >= 0.4
            async with client.get(f"{address}recordings/{said['file']}") as response:
                assert response.headers["Content-Disposition"].startswith("attachment")
                (tmp_path / "made.mp4").write_bytes(await response.read())

    talk_of(run, LivePage(shown))
    with av.open(str(tmp_path / "made.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) >= 10
        assert video.metadata["digital_source_type"] == DIGITAL_SOURCE_TYPE


def test_it_stops_when_it_is_left_alone(shown: LivePortrait) -> None:
    asyncio.run(asyncio.wait_for(serve(LivePage(shown, stop_when_idle_min=0.002), 0, lambda _: None), 30))


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no such signals")
@pytest.mark.parametrize("number", ["SIGTERM", "SIGHUP"])
def test_recordings_go_where_the_process_is_told_to_end(
    shown: LivePortrait, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: str
) -> None:
    def end(address: str) -> None:
        assert len(list(tmp_path.iterdir())) == 1
        os.kill(os.getpid(), getattr(signal, number))

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = signal.signal(getattr(signal, number), lambda *_: None)
    try:
        asyncio.run(asyncio.wait_for(serve_until_told(LivePage(shown), 0, end), 30))
    finally:
        signal.signal(getattr(signal, number), before)
    assert not list(tmp_path.iterdir())


def test_a_port_that_is_taken_is_said(shown: LivePortrait) -> None:
    async def run(address: str, client: Any) -> None:
        with pytest.raises(BadInput, match="--port"):
            await serve(LivePage(shown), int(address.split(":")[2].split("/")[0]), lambda _: None)

    talk_of(run, LivePage(shown))


def test_the_token_is_never_logged(shown: LivePortrait, caplog: pytest.LogCaptureFixture) -> None:
    found = []

    async def run(address: str, client: Any) -> None:
        found.append(address.rstrip("/").rsplit("/", 1)[1])
        async with client.get(address, headers={"Origin": "https://evil.example"}) as response:
            assert response.status == 403

    with caplog.at_level(logging.DEBUG):
        talk_of(run, LivePage(shown))
    assert len(found[0]) == 32 and found[0] not in caplog.text and "another origin" in caplog.text


@pytest.mark.parametrize(
    ("request_line", "headers", "status", "said"),
    [
        (b"OPTIONS * HTTP/1.1", b"Host: 127.0.0.1", 403, "wrong token"),
        (b"GET /\xff/ HTTP/1.1", b"Host: 127.0.0.1", 400, "no HTTP"),
        (b"GET / HTTP/1.1", b"X: " + 20_000 * b"a", 400, "no HTTP"),
    ],
)
def test_what_is_no_request_takes_a_line_in_the_log(
    shown: LivePortrait,
    caplog: pytest.LogCaptureFixture,
    request_line: bytes,
    headers: bytes,
    status: int,
    said: str,
) -> None:
    async def run(address: str, client: Any) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(address.split(":")[2].split("/")[0]))
        writer.write(request_line + b"\r\n" + headers + b"\r\n\r\n")
        assert int((await reader.readline()).split()[1]) == status
        writer.close()

    with caplog.at_level(logging.INFO):
        talk_of(run, LivePage(shown))
    assert said in caplog.text and "Traceback" not in caplog.text


@pytest.mark.parametrize("minutes", ["0", "nan", "-1"])
def test_no_time_without_a_page_is_refused(minutes: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["live", "--portrait", "face.png", "--stop-when-idle", minutes]) == 2
    assert "--stop-when-idle above 0" in capsys.readouterr().err


def test_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "face.png")
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    assert cli.main(["live", "--portrait", str(tmp_path / "face.png")]) == 2
    assert "eadnet[live]" in capsys.readouterr().err
