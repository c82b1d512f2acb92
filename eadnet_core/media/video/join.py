"""Several videos made into one without decoding them: what a clip that was written in segments ends with."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from ...errors import MediaError
from ..sound.audio import Audio
from .files import MP4_OPTIONS, SOUND_OPTIONS, check_writable, ffmpeg, publish, sound_file
from .tags import ffmetadata


def join_videos(
    parts: Sequence[Path],
    path: str | os.PathLike[str],
    audio: Audio | None = None,
    settings: dict[str, Any] | None = None,
    overwrite: bool = False,
    duration_s: Fraction | None = None,
) -> Path:
    """Join files that one VideoWriter after the other made of one size and rate; every frame stays as it is encoded.

    parts       in order, all in one folder, which is also worked in; their names hold no quotes
    duration_s  cuts a sound that goes on after the last frame; by default all of it is kept
    The file appears under its name when it is whole. Raises MediaError with what ffmpeg said.
    """
    path = check_writable(path, overwrite)
    with tempfile.TemporaryDirectory(dir=parts[0].parent, prefix=".join-") as name:
        folder = Path(name)
        listed, tags, joined = folder / "parts.ffconcat", folder / "tags.txt", folder / f"joined{path.suffix.lower()}"
        listed.write_text("ffconcat version 1.0\n" + "".join(f"file '../{part.name}'\n" for part in parts), "utf-8")
        tags.write_text(ffmetadata(settings or {}), "utf-8")
        command = [ffmpeg(), "-v", "error", "-nostdin", "-f", "concat", "-safe", "0", "-i", str(listed)]
        command += ["-f", "ffmetadata", "-i", str(tags)]
        if audio is not None:
            command += ["-i", str(sound_file(folder, audio)), "-map", "2:a:0", *SOUND_OPTIONS]
        command += ["-map", "0:v:0", "-c:v", "copy", "-map_metadata", "1", "-map_chapters", "-1"]
        if duration_s is not None:
            command += ["-t", f"{float(duration_s):.6f}"]
        done = subprocess.run([*command, *MP4_OPTIONS, str(joined)], capture_output=True, check=False)
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip().splitlines()[-3:] or ["it said nothing"]
            raise MediaError(f"ffmpeg could not join '{path}' ({' | '.join(said)}). Check disk space, then run again.")
        publish(joined, path, overwrite)
    return path
