"""How speech and expression share the lips."""

from __future__ import annotations

from torch import Tensor

from ..taxonomy import CONTROLS

PRESSING = ("AU17", "AU23")
"""Units that push the lower lip up and press both together."""
YIELDS, WIDE = 0.8, 0.3
"""How much of them goes where speech opens the mouth, and the jaw or parting of lips from which all of that goes."""
_PRESSING = [CONTROLS.index(unit) for unit in PRESSING]
_OPENING = [CONTROLS.index("jaw"), CONTROLS.index("open")]


def parted(controls: Tensor) -> Tensor:
    """Controls [T, 28] of lips that speak though an emotion presses them: they press between the sounds that open them.

    Added up, as the corpus adds them, a furious mouth hardly opens. People who shout press their lips in between
    (coarticulation; our design, ADR 31).
    """
    asked = (controls[:, _OPENING].amax(1, keepdim=True) / WIDE).clamp(0, 1)
    found = controls.clone()
    found[:, _PRESSING] *= 1 - YIELDS * asked
    return found
