"""Sound files decoded to their end in blocks of samples, by PyAV, or by libsndfile where PyAV is missing.

No announced length is believed: what counts is what could be decoded.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ...errors import BadInput
from ..containers import has_pyav
from .form import SoundReader, Unreadable
from .pyav_reader import open_with_pyav
from .sndfile_reader import open_with_libsndfile


@contextlib.contextmanager
def open_sound(path: Path) -> Iterator[SoundReader]:
    """The sound of a file, decoded while it is iterated; the second time it is the same to the bit.

    The track is the default one, else the first; time zero is the start of the picture where the file has one, else of
    the sound. Raises BadInput for a file without sound that can be read.
    """
    with contextlib.ExitStack() as stack:
        yield _entered(stack, path)


def _entered(stack: contextlib.ExitStack, path: Path) -> SoundReader:
    if not has_pyav():
        return stack.enter_context(open_with_libsndfile(path))
    try:
        return stack.enter_context(open_with_pyav(path))
    except Unreadable as error:
        try:
            return stack.enter_context(open_with_libsndfile(path))
        except BadInput:
            raise error from error.__cause__
