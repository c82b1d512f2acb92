"""How speech and expression share the lips, and what a face does with its nose when it is disgusted."""

from __future__ import annotations

from torch import Tensor

from ..taxonomy import CONTROLS

PRESSING = ("AU17", "AU23")
"""Units that push the lower lip up and press both together."""
YIELDS, WIDE = 0.8, 0.3
"""How much of them goes where speech opens the mouth, and the jaw or parting of lips from which all of that goes."""
LIFTING = ("AU9", "AU10")
"""Units that lift the same skin, from the lip to the wings of the nose."""
LESS = {"AU9": 0.4, "AU10": 0.5, "AU25": 1.0}
"""How much of a unit goes where both lift at full strength."""
WITH = {"AU4": 0.45, "AU6": 0.7, "AU17": 1.0}
"""How strong a unit is there at least."""
_PRESSING = [CONTROLS.index(unit) for unit in PRESSING]
_OPENING = [CONTROLS.index("jaw"), CONTROLS.index("open")]
_LIFTING = [CONTROLS.index(unit) for unit in LIFTING]


def parted(controls: Tensor) -> Tensor:
    """Controls [T, 28] of lips that speak though an emotion presses them: they press between the sounds that open them.

    Added up, as the corpus adds them, a furious mouth hardly opens. People who shout press their lips in between
    (coarticulation; our design, ADR 31).
    """
    asked = (controls[:, _OPENING].amax(1, keepdim=True) / WIDE).clamp(0, 1)
    found = controls.clone()
    found[:, _PRESSING] *= 1 - YIELDS * asked
    return found


def lifted(controls: Tensor) -> Tensor:
    """Controls [T, 28] of a nose and an upper lip that share their lift, and of nothing else: what `wrinkled` takes."""
    both = controls[:, _LIFTING].amin(1).clamp(0, 1)
    found = controls.clone()
    for unit, share in LESS.items():
        found[:, CONTROLS.index(unit)] *= 1 - share * both
    return found


def wrinkled(controls: Tensor) -> Tensor:
    """Controls [T, 28] of a nose and an upper lip that do not add up where both are lifted; brows and chin join in.

    Added up, as the corpus adds them, the wings of the nose rise past its tip, and a photograph crumples there. A
    disgusted face lowers its brows, raises cheeks and chin and shows less teeth (our design, ADR 49).
    """
    found, both = lifted(controls), controls[:, _LIFTING].amin(1).clamp(0, 1)
    for unit, share in WITH.items():
        found[:, CONTROLS.index(unit)] = found[:, CONTROLS.index(unit)].maximum(share * both)
    return found
