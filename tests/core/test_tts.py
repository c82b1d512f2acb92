"""Text to speech: espeak-ng by its package or its program, an endpoint in OpenAI's protocol, and errors."""

from __future__ import annotations

import io
import json
import stat
import sys
import threading
import wave
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eadnet_core import cli
from eadnet_core.cli.tts import sound_of
from eadnet_core.emotion.llm.chat import ProviderError, ProviderRefused
from eadnet_core.emotion.llm.endpoints import Endpoint
from eadnet_core.errors import BadInput
from eadnet_core.media.sound.audio import Audio
from eadnet_core.media.tts import voices
from eadnet_core.media.tts.voices import open_tts, parts_of

RATE_HZ = 24_000


def spoken(seconds: float = 0.5) -> bytes:
    """A tone as a WAV file."""
    tone = 8000 * np.sin(2 * np.pi * 220 * np.arange(int(seconds * RATE_HZ)) / RATE_HZ)
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(tone.astype("<i2").tobytes())
    return out.getvalue()


class Server:
    """A speech endpoint on the loopback address, which answers what it is told to."""

    def __init__(self) -> None:
        self.status, self.body, self.location = 200, spoken(), ""
        self.asked: list[dict[str, Any]] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                owner.asked.append({"path": self.path, "key": self.headers["Authorization"], **body})
                self.send_response(owner.status)
                if owner.location:
                    self.send_header("Location", owner.location)
                self.send_header("Content-Length", str(len(owner.body)))
                self.end_headers()
                self.wfile.write(owner.body)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


def nobody(monkeypatch: pytest.MonkeyPatch, path: str = "") -> None:
    """No package of espeak-ng, and no program outside `path`."""
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    monkeypatch.setenv("PATH", path)


def test_an_endpoint_is_asked_in_its_protocol_and_its_sound_brought_to_16_khz(server: Server) -> None:
    tts = open_tts(Endpoint(server.url, "kokoro", "sk-1", "af_heart"))
    samples = tts.speak(" So you\ncame. ")
    assert tts.name == "kokoro, af_heart"
    assert samples.dtype == np.float32 and len(samples) == pytest.approx(8000, abs=2)
    assert 0.2 < np.abs(samples).max() < 0.3
    asked = {"model": "kokoro", "input": "So you came.", "voice": "af_heart", "response_format": "wav"}
    assert server.asked == [{"path": "/v1/audio/speech", "key": "Bearer sk-1", **asked}]


def test_another_voice_than_the_entrys_can_be_named(server: Server) -> None:
    open_tts(Endpoint(server.url, "kokoro", voice="af_heart"), "bm_lewis").speak("Hello.")
    assert (server.asked[0]["voice"], server.asked[0]["key"]) == ("bm_lewis", None)


def test_a_wav_whose_length_nobody_knew_is_read(server: Server) -> None:
    """Endpoints that stream write the header before the sound."""
    whole = spoken()
    server.body = whole[:4] + b"\xff\xff\xff\xff" + whole[8:40] + b"\xff\xff\xff\xff" + whole[44:]
    assert len(open_tts(Endpoint(server.url, "m", voice="v")).speak("Hello.")) == pytest.approx(8000, abs=2)


@pytest.mark.parametrize(
    ("status", "body", "error", "what"),
    [
        (200, b'{"error": "no such voice"}', ProviderError, "no sound"),
        (200, b"", ProviderError, "no sound"),
        (401, b"", ProviderRefused, "Check the key"),
        (404, b"", ProviderRefused, "Check the address"),
        (400, b"no voice sk-1", ProviderError, r"400: no voice \*\*\*"),
    ],
)
def test_what_is_no_speech_is_said(server: Server, status: int, body: bytes, error: type, what: str) -> None:
    server.status, server.body = status, body
    with pytest.raises(error, match=what):
        open_tts(Endpoint(server.url, "m", "sk-1", "v")).speak("Hello.")


def test_too_much_sound_and_a_redirect_are_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    tts = open_tts(Endpoint(server.url, "m", voice="v"))
    monkeypatch.setattr(voices, "MOST_REPLY_BYTES", 1000)
    with pytest.raises(ProviderError, match="say less"):
        tts.speak("Hello.")
    server.status, server.location = 307, "http://127.0.0.1:9/elsewhere"
    with pytest.raises(ProviderError, match="307"):
        tts.speak("Hello.")


@pytest.mark.parametrize(("text", "what"), [(" \n", "no word"), ("?!", "no word"), ("a " * 4000, "letters")])
def test_what_cannot_be_said_is_refused_before_anybody_is_asked(server: Server, text: str, what: str) -> None:
    with pytest.raises(BadInput, match=what):
        open_tts(Endpoint(server.url, "m", voice="v")).speak(text)
    assert not server.asked


def test_an_endpoint_needs_a_model_and_a_voice() -> None:
    with pytest.raises(BadInput, match="name of a model"):
        open_tts(Endpoint("http://127.0.0.1:9/v1", "", voice="alloy"))
    with pytest.raises(BadInput, match="--say-voice"):
        open_tts(Endpoint("http://127.0.0.1:9/v1", "m"))


def test_espeak_speaks_by_its_package() -> None:
    pytest.importorskip("espeakng_loader", reason="the package espeakng_loader of the say extra is not installed")
    tts = open_tts()
    samples = tts.speak("So this is where you live.")
    assert tts.name == "espeak-ng, en-us" and 0.8 < len(samples) / 16_000 < 4 and np.abs(samples).max() > 0.1
    assert np.array_equal(samples, tts.speak("So this is where you live."))
    assert not np.array_equal(samples, open_tts(voice="de").speak("So this is where you live."))
    with pytest.raises(BadInput, match="no voice 'xx-none'"):
        open_tts(voice="xx-none").speak("Hello.")


@pytest.mark.skipif(sys.platform == "win32", reason="a script is no program on Windows")
def test_espeak_speaks_by_its_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "speech.wav").write_bytes(spoken())
    program = tmp_path / "espeak-ng"
    lines = ["import sys", "from pathlib import Path", f"folder = Path({str(tmp_path)!r})"]
    lines += ["(folder / 'asked').write_text(' '.join(sys.argv[1:]) + '|' + sys.stdin.read())"]
    lines += ["sys.exit('no such voice') if 'xx' in sys.argv else None"]
    lines += ["sys.stdout.buffer.write((folder / 'speech.wav').read_bytes())"]
    program.write_text("\n".join([f"#!{sys.executable}", *lines]))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    nobody(monkeypatch, str(tmp_path))
    assert len(open_tts(voice="de").speak("--version")) == pytest.approx(8000, abs=2)
    assert (tmp_path / "asked").read_text() == "-v de --stdin --stdout|--version"
    with pytest.raises(BadInput, match="no such voice"):
        open_tts(voice="xx").speak("Hello.")


@pytest.mark.parametrize("voice", ["-h", "a b", "../x", "de;ls"])
def test_a_voice_of_espeak_is_a_name(voice: str) -> None:
    with pytest.raises(BadInput, match="no voice"):
        open_tts(voice=voice)


def test_without_a_voice_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody(monkeypatch)
    with pytest.raises(BadInput, match=r"eadnet\[say\].*--say-endpoint"):
        open_tts()


def test_sentences_are_spoken_one_by_one() -> None:
    long = "This is a sentence that is long enough to be spoken all alone."
    assert parts_of(f"{long} {long}\n{long}") == [long] * 3
    assert parts_of("One. Two! Three?") == ["One. Two! Three?"]
    assert [len(part) for part in parts_of("一二三四五六七八九。" * 8)] == [65, 21]


def test_the_command_says_a_text_by_the_owners_endpoint(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "endpoints.json").write_text(json.dumps({"lab": {"url": server.url, "model": "m", "voice": "alloy"}}))
    monkeypatch.setenv("EADNET_ENDPOINTS", str(tmp_path / "endpoints.json"))
    given = ["generate", "--portrait", "face.png", "--output", "made.mp4", "--say", "Hello.", "--say-endpoint", "lab"]
    sound = sound_of(cli.build_parser().parse_args(given))
    assert isinstance(sound, Audio) and sound.n_frames() == 13 and server.asked[0]["input"] == "Hello."
    assert sound.notes == ("The speech is synthetic: m, alloy.",)  # from here into the report and the video's tags


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (["--say", "Hello.", "--audio", "a.wav"], "either --say TEXT"),
        (["--audio", "a.wav", "--say-voice", "de"], "belong to --say"),
        (["--say", "Hello.", "--say-endpoint", "http://127.0.0.1/v1"], "endpoint must be a name"),
    ],
)
def test_options_that_contradict_one_another_are_refused(
    more: list[str], what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["generate", "--portrait", "face.png", "--output", str(tmp_path / "made.mp4")]
    assert cli.main([*given, *more]) == 2
    assert what in capsys.readouterr().err
