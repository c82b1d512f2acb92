"""The user's files: names that a file system takes, ordinary files to read, and disks that are full."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from .errors import BadInput, MediaError

_SHOWN = 160
"""Characters of a path that a message shows."""
_FULL = {errno.ENOSPC, errno.EDQUOT}
_FULL_WORDS = ("No space left", "os error 28", "os error 112", "os error 122", "quota exceeded", "not enough space")
"""What libraries say that do not hand the number of the error on: Linux and macOS 28, Windows 112, a quota 122."""


def shown(path: str | os.PathLike[str]) -> str:
    """A path in one line of a message, its middle left out where it is long.

    >>> shown("a\\nb.mp4"), len(shown("a" * 5000))
    ('a\\\\nb.mp4', 160)
    """
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in os.fspath(path))
    half = _SHOWN // 2
    return text if len(text) <= _SHOWN else f"{text[: half - 2]}...{text[1 - half :]}"


def check_path(path: str | os.PathLike[str], what: str) -> Path:
    """Refuse a path that the file system cannot hold, whether or not there is a file.

    what  what the file is to the user, such as "Output"
    Raises BadInput for a name or path that is too long (in bytes), a circle of links, NUL, and a folder that is closed.
    """
    path = Path(path)
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return path
    except ValueError as error:
        raise BadInput(f"{what} '{shown(path)}' cannot be a path ({error}). Give another name.") from error
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise BadInput(f"{what} '{shown(path)}' cannot be used: {error.strerror}. Give another path.") from error
        longest = max(len(os.fsencode(part)) for part in path.parts)
        raise BadInput(
            f"{what} '{shown(path)}' is too long for the file system: its longest name has {longest} bytes, of mostly "
            "255 that are possible. Give a shorter name."
        ) from error
    return path


def check_source(path: str | os.PathLike[str], what: str) -> Path:
    """Refuse what `check_path` refuses, and pipes and devices: opening them may wait for ever. Raises BadInput."""
    path = check_path(path, what)
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise BadInput(f"{what} '{shown(path)}' is a pipe or a device. Save what it holds as a file, and give that.")
    return path


def is_disk_full(error: BaseException) -> bool:
    """Whether an error of the system, or of a library, says that a disk or a quota is full."""
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    return any(words in str(error) for words in _FULL_WORDS)


def write_failure(error: BaseException, path: str | os.PathLike[str], kept: str = "") -> MediaError:
    """The error for a file that the system refused to write; `kept` says what was saved, and how to go on."""
    path, kept = Path(path), kept or "Then run again."
    folder = next((p for p in path.absolute().parents if p.is_dir()), Path())
    if is_disk_full(error):
        free = shutil.disk_usage(folder).free / 1e6
        return MediaError(
            f"The disk is full: '{shown(path)}' cannot be written, {free:.1f} MB are free. Free some. {kept}"
        )
    reason = getattr(error, "strerror", None) or error
    return MediaError(f"'{shown(path)}' cannot be read or written ({reason}). Check disk and permissions. {kept}")


@contextlib.contextmanager
def writing(path: str | os.PathLike[str], kept: str = "") -> Iterator[None]:
    """Write a file inside; where the system refuses, half a file goes and `write_failure` is raised."""
    try:
        yield
    except OSError as error:
        with contextlib.suppress(OSError):
            if Path(path).is_file() and not Path(path).is_symlink():
                Path(path).unlink()
        raise write_failure(error, path, kept) from error


@contextlib.contextmanager
def readable_by_others(path: str | os.PathLike[str]) -> Iterator[None]:
    """Let a library write a file inside, and give it the permissions that new files have here.

    safetensors puts a temporary file in the place of what was there, and that one is its owner's alone.
    """
    path = Path(path)
    is_new = not path.exists()
    path.touch()
    mode = stat.S_IMODE(path.stat().st_mode)
    try:
        yield
    except BaseException:
        if is_new:
            path.unlink(missing_ok=True)
        raise
    path.chmod(mode)
