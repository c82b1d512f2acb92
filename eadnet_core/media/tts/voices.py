"""Text to speech: espeak-ng on this machine, or an OpenAI-compatible endpoint that the machine's owner named."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...config import SAMPLE_RATE_HZ
from ...emotion.llm.chat import ProviderError
from ...emotion.llm.endpoints import Endpoint
from ...emotion.llm.post import post
from ...errors import BadInput
from ..sound.audio import read_audio

DEFAULT_VOICE = "en-us"
"""Of espeak-ng."""
MOST_LETTERS = 4000
"""Of one text: what the endpoints take."""
LEAST_PART = 60
"""Letters of a part: a shorter sentence is spoken with the next."""
TIMEOUT_S = 60.0
MOST_REPLY_BYTES = 1 << 25
"""Of an endpoint's sound: 11 minutes at 24 kHz."""
_VOICE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]{0,63}")
_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])")


@dataclass(frozen=True)
class Tts:
    """Who speaks.

    name   for people, with the voice
    speak  text -> samples, float32 [N] mono 16 kHz. Raises BadInput, or ProviderError
    """

    name: str
    speak: Callable[[str], np.ndarray]


def open_tts(endpoint: Endpoint | None = None, voice: str = "") -> Tts:
    """Who speaks: an endpoint's model, or without one espeak-ng, by its package or its program.

    voice  another than the endpoint's own; one of espeak-ng's, "en-us" by default
    Raises BadInput where nobody can speak, with what to do.
    """
    if endpoint is not None:
        return _by_endpoint(endpoint, voice.strip() or endpoint.voice)
    voice = voice.strip() or DEFAULT_VOICE
    if not _VOICE.fullmatch(voice):
        raise BadInput(f"espeak-ng has no voice '{voice[:80]}'. Give one such as en-us, en-gb-x-rp+f2 or de.")
    name = f"espeak-ng, {voice}"
    if importlib.util.find_spec("espeakng_loader") is not None:
        return Tts(name, partial(_by_library, voice=voice))
    program = shutil.which("espeak-ng")
    if program is None:
        raise BadInput(
            "Nothing here can speak a text. Install espeak-ng (pip install 'eadnet[say]', or the program espeak-ng of "
            "your system), or name a speech endpoint: --say-endpoint NAME (docs/live.md)."
        )
    return Tts(name, partial(_by_program, program=program, voice=voice))


def parts_of(text: str) -> list[str]:
    """A text sentence by sentence, so that the first is heard soon; short ones stay with the next.

    >>> parts_of("Dr. Who? " + "A long sentence that goes on and on, and then on for a while. And this.")
    ['Dr. Who? A long sentence that goes on and on, and then on for a while.', 'And this.']
    """
    parts: list[str] = []
    for sentence in filter(None, (piece.strip() for piece in _END.split(text))):
        if parts and len(parts[-1]) < LEAST_PART:
            parts[-1] += f" {sentence}"
        else:
            parts.append(sentence)
    return parts


def said(text: str) -> str:
    """A text that can be spoken. Raises BadInput for none, and for one that is too long."""
    text = " ".join(text.split())
    if not any(letter.isalnum() for letter in text):
        raise BadInput("There is nothing to say: the text holds no word.")
    if len(text) > MOST_LETTERS:
        raise BadInput(f"The text has {len(text)} letters; say it in {MOST_LETTERS} at most.")
    return text


def _by_endpoint(endpoint: Endpoint, voice: str) -> Tts:
    """As `POST /audio/speech` of OpenAI's interface does it."""
    model, entry = endpoint.model.strip(), "Add it to the endpoint's entry"
    if not model:
        raise BadInput(f"The speech endpoint needs the name of a model, such as kokoro. {entry}.")
    if not voice:
        raise BadInput(f"The speech endpoint needs the name of a voice, such as alloy. {entry}, or give --say-voice.")
    address = endpoint.url.rstrip("/").removesuffix("/audio/speech") + "/audio/speech"

    def speak(text: str) -> np.ndarray:
        body: dict[str, Any] = {"model": model, "input": said(text), "voice": voice, "response_format": "wav"}
        sound, host = post(address, endpoint.key, body, TIMEOUT_S, MOST_REPLY_BYTES)
        if len(sound) == MOST_REPLY_BYTES:
            raise ProviderError(
                f"{host} answered with more than {MOST_REPLY_BYTES >> 20} MB of sound: say less at once"
            )
        try:
            return _decoded(sound)
        except BadInput as error:
            raise ProviderError(f"{host} answered with something that is no sound") from error

    return Tts(f"{model}, {voice}", speak)


def _by_library(text: str, voice: str) -> np.ndarray:
    """In this process."""
    from soxr import resample

    from .espeak import LOCK, Espeak

    with LOCK, Espeak() as espeak:
        wave = espeak.speak(said(text), voice, {})
        rate_hz = espeak.rate_hz
    samples = resample(wave.astype(np.float32) / 32768, rate_hz, SAMPLE_RATE_HZ, quality="HQ")
    return np.clip(samples, -1, 1).astype(np.float32)


def _by_program(text: str, program: str, voice: str) -> np.ndarray:
    """By the program, which is given the text where no option can be."""
    command = [program, "-v", voice, "--stdin", "--stdout"]
    try:
        done = subprocess.run(command, input=said(text).encode(), capture_output=True, timeout=TIMEOUT_S, check=True)
        return _decoded(done.stdout)
    except (OSError, subprocess.SubprocessError, BadInput) as error:
        why = " ".join((getattr(error, "stderr", None) or b"").decode(errors="replace").split())[:200] or error
        raise BadInput(f"'{program}' made no speech with the voice '{voice}' ({why}). Try another voice.") from error


def _decoded(sound: bytes) -> np.ndarray:
    """A sound file's samples, float32 [N] mono 16 kHz. Raises BadInput."""
    with tempfile.TemporaryDirectory(prefix="eadnet-tts-") as folder:
        path = Path(folder) / "speech.wav"
        path.write_bytes(sound)
        return read_audio(path).samples
