"""What every video says about itself: that a model made it, and with what settings."""

from __future__ import annotations

import json
from typing import Any

DIGITAL_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's code for media made by a trained model; stands in the tags and in the XMP packet of every file written."""
_XMP_BOX = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
"""The uuid box in which MP4 files carry XMP (XMP specification part 3, 1.1.6)."""
_XMP = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:CreatorTool="EAD-Net"
 Iptc4xmpExt:DigitalSourceType="{DIGITAL_SOURCE_TYPE}"/>
</rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


def synthetic_tags(settings: dict[str, Any]) -> dict[str, str]:
    """The tags of a file that was made with `settings` (JSON values); without any, the mark alone."""
    return {
        **({"comment": json.dumps(settings, ensure_ascii=False)} if settings else {}),
        "description": f"Synthetic media, made by EAD-Net. Digital source type: {DIGITAL_SOURCE_TYPE}",
        "digital_source_type": DIGITAL_SOURCE_TYPE,
    }


def ffmetadata(tags: dict[str, str]) -> str:
    r"""Tags in ffmpeg's own text format: a file, since a command line is too short for a long prompt on some systems.

    >>> ffmetadata({"title": "a = b; c"})
    ';FFMETADATA1\ntitle=a \\= b\\; c\n'
    """
    lines = [";FFMETADATA1"]
    for key, value in tags.items():
        lines.append(f"{key}=" + "".join("\\" + c if c in "=;#\\\n" else c for c in value))
    return "\n".join(lines) + "\n"


def parse_ffmetadata(text: str) -> dict[str, str]:
    """The inverse of `ffmetadata`.

    >>> parse_ffmetadata(ffmetadata({"title": "a = b; c", "comment": "two\\nlines"}))
    {'title': 'a = b; c', 'comment': 'two\\nlines'}
    """
    tags: dict[str, str] = {}
    key, value, escaped, in_value = "", "", False, False
    for c in text + "\n":
        if escaped or (c not in "=\\\n"):
            key, value = (key, value + c) if in_value else (key + c, value)
            escaped = False
        elif c == "\\":
            escaped = True
        elif c == "=" and not in_value:
            in_value = True
        elif c == "\n":
            if in_value:
                tags[key] = value
            key, value, in_value = "", "", False
        else:
            value += c
    return tags


def xmp_box() -> bytes:
    """The box to put behind an MP4 file that says so in XMP."""
    packet = _XMP.encode()
    return (24 + len(packet)).to_bytes(4, "big") + b"uuid" + _XMP_BOX + packet
