"""A file that one run at a time may hold. The system lets go of it when the run ends, however it ends."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ...errors import BadInput
from ...paths import check_path, write_failure

logger = logging.getLogger(__name__)

_BYTE = 1 << 30
"""Where Windows locks a byte: beyond the text, which others shall be able to read."""
_TRIES = 10
_PAUSE_S = 0.02


class Lock:
    """A file held by an open descriptor of this run.

    Another thread of the process is another run, and processes that are started do not get the descriptor. What the
    file says (process, since) is for messages: after a crash it may remain, and means nothing.
    """

    def __init__(self, path: Path, name: str) -> None:
        """Take it, or raise BadInput that names who holds it; `name` is what is written, for the message."""
        self.path = path
        self._file = _held(path, name)
        self._file.truncate(0)
        values = {"process": os.getpid(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        with contextlib.suppress(OSError):  # a full disk is told where it matters
            self._file.write(json.dumps(values).encode())
            self._file.flush()

    def release(self) -> None:
        """Let go, and remove the file; harmless a second time."""
        if self._file.closed:
            return
        if os.name == "nt":  # which removes no open file
            self._file.close()
        with contextlib.suppress(OSError):
            if os.name == "nt" or _is_at(self._file, self.path):
                self.path.unlink()
        with contextlib.suppress(OSError):
            self._file.close()


@contextlib.contextmanager
def held_folder(folder: Path, lock_name: str) -> Iterator[None]:
    """An output folder, made and held inside the block by a lock file in it.

    Raises BadInput where another run holds it, where it is a file, and where it cannot be made.
    """
    check_path(folder, "Output")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = Lock(folder / lock_name, folder.name)
    except FileExistsError as error:
        raise BadInput(f"Output '{folder}' is a file. Give a folder.") from error
    except OSError as error:
        raise write_failure(error, folder) from error
    try:
        yield
    finally:
        lock.release()


def check_free(path: Path, name: str) -> None:
    """Raise BadInput where a run holds this lock, without taking it."""
    with contextlib.suppress(OSError), path.open("r+b") as file:
        if not _take(file):
            raise _in_use(file, name)


def _held(path: Path, name: str) -> IO[bytes]:
    """The file, open and locked."""
    for attempt in range(_TRIES):
        path.parent.mkdir(exist_ok=True)
        try:
            file = path.open("a+b")
        except FileNotFoundError:  # a run that ended took the folder away
            continue
        if _take(file):
            if _is_at(file, path):
                return file
        elif attempt > 2:
            with file:
                raise _in_use(file, name)
        else:
            time.sleep(_PAUSE_S)  # `check_free` of a third run may hold it for a moment
        file.close()
    raise BadInput(f"'{path}' cannot be locked: it keeps vanishing. Give another output.")


def _in_use(file: IO[bytes], name: str) -> BadInput:
    holder = _holder(file)
    return BadInput(f"'{name}' is being made by {holder}. Wait until that is done, or give another output.")


def _is_at(file: IO[bytes], path: Path) -> bool:
    """Whether the open file still has this name: the run before may have removed it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _holder(file: IO[bytes]) -> str:
    try:
        file.seek(0)
        values = json.loads(file.read())
        own = "this process" if values["process"] == os.getpid() else f"process {values['process']}"
        return f"{own}, since {values['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another run"


def _take(file: IO[bytes]) -> bool:
    """Lock the file for this descriptor; False where another has it."""
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(_BYTE)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK):
            return False
        logger.warning("'%s' cannot be locked (%s): do not start a second run on it", file.name, error.strerror)
    return True
