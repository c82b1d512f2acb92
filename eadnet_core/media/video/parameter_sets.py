"""H.264 parameter sets inside the stream: what joins segments that two releases of the encoder made."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.packet import Packet


def parameter_sets(configuration: bytes) -> list[bytes]:
    """The sequence and picture parameter sets of an avcC record (ISO/IEC 14496-15, 5.3.3.1).

    >>> record = bytes([1, 100, 0, 31, 0xFF, 0xE1, 0, 2]) + b"gd" + bytes([1, 0, 1]) + b"h"
    >>> parameter_sets(record)
    [b'gd', b'h']
    """
    found, at = [], 5
    for mask in (0x1F, 0xFF):
        n_sets, at = configuration[at] & mask, at + 1
        for _ in range(n_sets):
            length = int.from_bytes(configuration[at : at + 2], "big")
            found.append(configuration[at + 2 : at + 2 + length])
            at += 2 + length
    return found


def with_parameter_sets(packet: Packet, configuration: bytes) -> Packet:
    """A copy of a key frame's packet that begins with its own parameter sets, each behind its length in 4 bytes."""
    from av.packet import Packet

    sets = b"".join(len(s).to_bytes(4, "big") + s for s in parameter_sets(configuration))
    copy = Packet(sets + bytes(packet))
    copy.pts, copy.dts, copy.duration, copy.time_base = packet.pts, packet.dts, packet.duration, packet.time_base
    copy.is_keyframe = True
    return copy
