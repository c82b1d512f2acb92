"""What a triangle of a head is made of, and which region of the picture it belongs to."""

from __future__ import annotations

import numpy as np

SKIN, EYE, TEETH, TONGUE, CLOTH, MOUTH, EXTRA, HAIR, BROW, LASH, CORNEA, GLASS = range(12)
"""Materials from HAIR on let light through: they are drawn front to back over the rest."""
N_MATERIALS = 12

REGIONS = ("background", "skin", "lips", "mouth", "teeth", "eyes", "hair", "brows", "clothes", "extra")
"""What a pixel of the region map shows; "mouth" is its lining and the tongue, "extra" a hat or a frame of glasses.
Lashes and lenses are part of what lies behind them."""
R_BACKGROUND, R_SKIN, R_LIPS, R_MOUTH, R_TEETH, R_EYES, R_HAIR, R_BROWS, R_CLOTHES, R_EXTRA = range(10)

REGION_OF_MATERIAL = np.array(
    [
        R_SKIN,
        R_EYES,
        R_TEETH,
        R_MOUTH,
        R_CLOTHES,
        R_MOUTH,
        R_EXTRA,
        R_HAIR,
        R_BROWS,
        R_BROWS,
        R_EYES,
        R_EXTRA,
    ],
    np.uint8,
)
"""Region of each material; lips are told from skin by their mask."""
