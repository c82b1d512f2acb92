"""Motions and styles in safetensors: what a file says of itself, and its arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from ..errors import BadInput
from ..paths import shown


def read_tensors(path: Path, kind: str) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Metadata and arrays of a file of one kind, "motion" or "style".

    Raises BadInput for another file, and for arrays that numpy has no type for, such as bfloat16.
    """
    what, wanted = f"{kind.title()} '{shown(path)}'", f"Give what `eadnet {kind}` wrote."
    try:
        with safe_open(path, "numpy") as file:
            about = file.metadata() or {}
            names = tuple(file.keys()) if f"eadnet_{kind}" in about else ()
            arrays = {name: file.get_tensor(name) for name in names}
    except (OSError, SafetensorError, ValueError, TypeError, AttributeError) as error:
        raise BadInput(f"{what} cannot be read ({error}). {wanted}") from error
    if f"eadnet_{kind}" not in about:
        raise BadInput(f"{what} holds tensors, but no {kind}. {wanted}")
    return about, arrays
