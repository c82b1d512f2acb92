"""espeak-ng through ctypes: speech in many languages, and when each of its phonemes sounds.

espeak-ng is GPL-3.0-or-later. It is an optional tool, loaded at run time and never shipped with this package; what it
speaks is free of its licence.
"""

from __future__ import annotations

import _ctypes
import ctypes
import sys
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import BadInput


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    """espeak_EVENT of speak_lib.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_SYNCHRONOUS = 2
_PHONEME_EVENTS_IPA_NO_EXIT = 1 | 2 | 0x8000
RATE, VOLUME, PITCH, RANGE = 1, 2, 3, 4
"""Numbers of espeak's parameters: words per minute, 0 .. 200, 0 .. 100, 0 .. 100."""
_LIST_TERMINATED, _PHONEME = 0, 7
_CHARS_UTF8 = 1
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))
LOCK = threading.Lock()
"""Of the library: one text at a time."""


def _locate_espeak() -> tuple[str, str]:
    """Paths of the espeak-ng library and of its data."""
    try:
        import espeakng_loader
    except ImportError as error:
        raise BadInput(
            "This speech needs the library of espeak-ng, but the package 'espeakng_loader' is not installed. "
            "Install it: pip install 'eadnet[say]'."
        ) from error
    return espeakng_loader.get_library_path(), espeakng_loader.get_data_path()


def _unload(library: ctypes.CDLL) -> None:
    if sys.platform == "win32":
        _ctypes.FreeLibrary(library._handle)
    else:
        _ctypes.dlclose(library._handle)


class Espeak:
    """One loaded copy of the espeak library, as a context.

    espeak keeps oscillator phases and random numbers in static variables that not even espeak_Terminate resets, so
    that the same call gives other samples after other calls. Loading the library anew for each utterance costs
    0.6 ms and makes every utterance a function of its arguments alone.
    """

    def __init__(self) -> None:
        self.chunks: list[NDArray[np.int16]] = []
        self.events: list[tuple[int, str]] = []
        """(sample index, IPA) of each phoneme; IPA is empty for a pause."""

    def __enter__(self) -> Espeak:
        library_path, data_path = _locate_espeak()
        self.library = ctypes.CDLL(library_path)
        mode = _PHONEME_EVENTS_IPA_NO_EXIT
        self.rate_hz: int = self.library.espeak_Initialize(_SYNCHRONOUS, 0, data_path.encode(), mode)
        if self.rate_hz <= 0:
            _unload(self.library)
            raise BadInput(f"espeak-ng found no usable data in {data_path}. Reinstall the package espeakng_loader.")
        if hasattr(self.library, "espeak_ng_SetRandSeed"):
            self.library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        self.callback = _CALLBACK(self._collect)
        self.library.espeak_SetSynthCallback(self.callback)
        return self

    def __exit__(self, *_: object) -> None:
        self.library.espeak_Terminate()
        _unload(self.library)

    def _collect(self, wave: Any, n_samples: int, events: Any) -> int:
        if wave and n_samples > 0:
            self.chunks.append(np.ctypeslib.as_array(wave, shape=(n_samples,)).copy())
        index = 0
        while events[index].type != _LIST_TERMINATED:
            event = events[index]
            if event.type == _PHONEME:
                # The 8 bytes hold UTF-8 that may be cut within a character.
                raw = ctypes.string_at(ctypes.addressof(event.id), 8).split(b"\0")[0]
                ipa = raw.decode("utf-8", errors="ignore")
                if not ipa.startswith("("):  # "(fr)" tells of a change of language, not of a sound
                    self.events.append((event.sample, ipa))
            index += 1
        return 0

    def speak(self, text: str, voice: str, parameters: dict[int, int]) -> NDArray[np.int16]:
        """Samples at `rate_hz`. Raises BadInput for an unknown voice, and for text without sound."""
        if self.library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise BadInput(f"espeak-ng has no voice '{voice}'. Use one such as 'en-us', 'en-gb-x-rp+f2' or 'de+m3'.")
        for number, value in parameters.items():
            self.library.espeak_SetParameter(number, value, 0)
        data = text.encode()
        self.library.espeak_Synth(data, ctypes.c_size_t(len(data) + 1), 0, 1, 0, _CHARS_UTF8, None, None)
        self.library.espeak_Synchronize()
        if not self.chunks or not any(ipa for _, ipa in self.events):
            raise BadInput(f"espeak-ng made no sound from the text {text!r} with voice '{voice}'.")
        return np.concatenate(self.chunks)
