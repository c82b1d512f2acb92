"""Mutations of good files, bytes to bytes by a seeded draw: what bench/hostile.py gives the readers."""

from __future__ import annotations

import copy
import json
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any


def flip(data: bytes, draw: random.Random) -> bytes:
    """Up to 64 bits, half of the time among the first 256 bytes."""
    made, reach = bytearray(data), len(data) if draw.random() < 0.5 else min(256, len(data))
    for _ in range(draw.choice((1, 4, 16, 64))):
        made[draw.randrange(reach)] ^= 1 << draw.randrange(8)
    return bytes(made)


def cut(data: bytes, draw: random.Random) -> bytes:
    """The beginning alone, sometimes nothing."""
    return data[: draw.choice((0, 1, draw.randrange(64), draw.randrange(len(data)), len(data) - 1))]


def field(data: bytes, draw: random.Random) -> bytes:
    """A number beside a four-letter name, or anywhere among the first 64 bytes, becomes 0, 1, or the greatest."""
    names = [i for i in range(len(data) - 4) if data[i : i + 4].isalpha()][:400] or [0]
    place = draw.choice(names) + draw.choice((-4, 4, 8, 12)) if draw.random() < 0.7 else draw.randrange(64)
    place, size = max(0, min(place, len(data) - 8)), draw.choice((1, 2, 4, 8))
    value = draw.choice((b"\0" * 8, b"\xff" * 8, b"\x7f" + b"\xff" * 7, b"\1" + b"\0" * 7, b"\0" * 7 + b"\1"))
    return data[:place] + value[:size] + data[place + size :]


def shuffle(data: bytes, draw: random.Random) -> bytes:
    """A piece doubled, dropped, swapped with another, or zeros or text put in."""
    a, b = sorted(draw.randrange(len(data)) for _ in range(2))
    c = min(len(data), b + draw.randrange(1, 4096))
    text = draw.choice((b"\0" * 4096, b"%s%n {{7*7}} \r\n" * 50, data[a:b]))
    swapped = data[:a] + data[b:c] + data[a:b] + data[c:]
    return draw.choice((data[:b] + data[a:], data[:a] + data[b:], swapped, data[:a] + text + data[a:], data * 2))


def png_size(data: bytes, draw: random.Random) -> bytes:
    """A picture that says another size, its checksum right."""
    sizes = (0, 1, 2, 191, 20_000, 65_535, 2**31 - 1)
    body = b"IHDR" + struct.pack(">II", draw.choice(sizes), draw.choice(sizes)) + data[24:29]
    return data[:12] + body + struct.pack(">I", zlib.crc32(body)) + data[33:]


def wav_format(data: bytes, draw: random.Random) -> bytes:
    """A format, rate or width that no file of sound has."""
    values = [1, 1, 16_000, 32_000, 2, 16]
    which = draw.randrange(6)
    values[which] = draw.choice((0, 1, 3, 7, 255, 65_535) if which in (0, 1, 4, 5) else (0, 1, 7, 2**31, 2**32 - 1))
    return data[:20] + struct.pack("<HHIIHH", *values) + data[36:]


def weights_header(data: bytes, draw: random.Random) -> bytes:
    """Tensors that overlap, lie outside, or say another dtype or shape; metadata of another shape."""
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    name = draw.choice([key for key in header if key != "__metadata__"])
    which, value = draw.choice(
        [("dtype", d) for d in ("F64", "BF16", "BOOL", "Q4", "")]
        + [("shape", s) for s in ([], [2**62, 4], [-1], [0], ["a"])]
        + [("data_offsets", o) for o in ([0, 0], [8, 4], [0, 2**63], [-8, 8], [0])]
        + [("config", c) for c in ('{"width": 1000000000}', "[]", "null", "{", '{"heads": 0}', "[" * 5000)]
    )
    header["__metadata__" if which == "config" else name][which] = value
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + size :]


VALUES: tuple[Any, ...] = (None, True, -1, 0, 2**63, 1e308, -0.0, "", "\0", "a" * 100_000, "../../x", [], {}, [[[[]]]])
RAW = ("NaN", "Infinity", "1e999", "9" * 5000, "[" * 100_000, '{"a":' * 3000, '"\\ud800"', "'x'", "/* */ 1")
MARK = '"@@"'


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of everything inside a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside:
        yield value, key
        yield from places(item)


def json_value(data: bytes, draw: random.Random) -> bytes:
    """A value replaced by one of another kind, by text that is not JSON, or dropped, or a key that nobody knows."""
    value = json.loads(data)
    where, key = draw.choice(list(places(value)))
    kind = draw.randrange(4)
    if kind == 0:
        where[key] = copy.deepcopy(draw.choice(VALUES))
    elif kind == 1:
        where[key] = MARK[1:-1]
    elif kind == 2:
        del where[key]
    elif isinstance(where, dict):
        where["__class__"] = copy.deepcopy(where[key])
    else:
        where *= 40
    return json.dumps(value).replace(MARK, draw.choice(RAW), 1).encode()


def encoded(data: bytes, draw: random.Random) -> bytes:
    """Text in another encoding."""
    text = data.decode()
    return draw.choice((b"\xff\xfe" + text.encode("utf-16-le"), text.encode("utf-32"), b"\xef\xbb\xbf" + data, b"\xe9"))


Mutation = Callable[[bytes, random.Random], bytes]
BYTES: list[Mutation] = [flip, flip, cut, field, field, shuffle]
OWN: dict[str, list[Mutation]] = {"png": [png_size], "wav": [wav_format] * 2, "safetensors": [weights_header] * 4}
OWN["json"] = OWN["workflow"] = [json_value] * 6 + [encoded]


def hostile(kind: str, good: dict[str, bytes], seed: int) -> tuple[str, bytes]:
    """(name of the mutation, bytes) of input number `seed` of a kind; one in twelve is a file of another kind."""
    draw = random.Random(f"{kind} {seed}")
    if draw.random() < 1 / 12 and kind != "workflow":
        other = draw.choice([k for k in good if k != kind])
        return f"{other} under another name", good[other]
    mutation = draw.choice(BYTES + OWN.get(kind, []))
    made = mutation(good[kind], draw)
    return mutation.__name__, made
