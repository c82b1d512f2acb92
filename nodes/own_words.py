"""What the core says, in the words of a node: each names its own widgets."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from ..eadnet_core.errors import EADNetError


@contextlib.contextmanager
def own_words(names: dict[str, str]) -> Iterator[None]:
    """Errors of the core with a node's names in place of the core's, {name in the core: name of the widget}."""
    try:
        yield
    except EADNetError as error:
        raise type(error)(in_own_words(str(error), names)) from error


def in_own_words(text: str, names: dict[str, str]) -> str:
    """A text of the core with a node's names."""
    for name, widget in names.items():
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", widget, text)
    return text
