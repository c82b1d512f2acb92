"""Pictures of a wide range or gamut (PQ, HLG, BT.2020) shown on a screen of BT.709: one look-up table for each kind.

FFmpeg's filter lut3d applies the table to every pixel, in both backends.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

WHITE_NITS = 203.0
"""Luminance of reference white in HDR (ITU-R BT.2408); becomes the peak of SDR."""
PEAK_NITS = 1000.0
"""What is brighter becomes white: the nominal peak of HLG (BT.2100), and of most PQ masters."""
_GAMMA = 2.4
"""Of an SDR screen (BT.1886)."""
N_POINTS = 49
"""Along each side of the table."""
_LUMA_2020 = np.array([0.2627, 0.6780, 0.0593])
_LUMA_709 = np.array([0.2126, 0.7152, 0.0722])
_TO_709 = np.array(
    [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]]
)
"""Linear BT.2020 to linear BT.709 (ITU-R BT.2087)."""
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
_HLG_A, _HLG_B, _HLG_C = 0.17883277, 0.28466892, 0.55991073

KINDS = {"smpte2084": "PQ", "arib-std-b67": "HLG"}
"""FFmpeg's names of the transfer functions of HDR, and the user's; BT.2020 with another one is SDR of a wide gamut."""


def pq_to_nits(code: np.ndarray) -> np.ndarray:
    """Luminance, 0 .. 10000 nits, of PQ code values 0 .. 1 (SMPTE ST 2084, ITU-R BT.2100 table 4).

    >>> np.round(pq_to_nits(np.array([0.0, 0.5806889, 1.0]))).tolist()
    [0.0, 203.0, 10000.0]
    """
    power = np.power(np.clip(code, 0.0, 1.0), 1 / _M2)
    return 10_000.0 * np.power(np.maximum(power - _C1, 0.0) / (_C2 - _C3 * power), 1 / _M1)


def nits_to_pq(nits: np.ndarray) -> np.ndarray:
    """The inverse of `pq_to_nits`."""
    power = np.power(np.clip(nits, 0.0, 10_000.0) / 10_000.0, _M1)
    return np.power((_C1 + _C2 * power) / (1.0 + _C3 * power), _M2)


def hlg_to_nits(code: np.ndarray) -> np.ndarray:
    """Luminance [..., 3] of HLG code values [..., 3] on a screen of PEAK_NITS (ITU-R BT.2100 table 5).

    >>> np.round(hlg_to_nits(np.array([[0.75] * 3, [1.0] * 3])))[:, 0].tolist()
    [203.0, 1000.0]
    """
    scene = np.where(code <= 0.5, np.square(code) / 3.0, (np.exp((code - _HLG_C) / _HLG_A) + _HLG_B) / 12.0)
    luma = (scene @ _LUMA_2020)[..., None]
    return PEAK_NITS * np.power(np.maximum(luma, 1e-9), 0.2) * scene


def compress(nits: np.ndarray) -> np.ndarray:
    """Luminance 0 .. PEAK_NITS brought into 0 .. WHITE_NITS: the dark and middle stay, highlights roll off.

    The EETF of ITU-R BT.2390 (5.4.1), for a screen of WHITE_NITS with a black of 0.

    >>> np.round(compress(np.array([0.0, 60.0, 203.0, 1000.0, 4000.0])), 1).tolist()
    [0.0, 60.0, 159.0, 203.0, 203.0]
    """
    peak = nits_to_pq(np.array(PEAK_NITS))
    most = nits_to_pq(np.array(WHITE_NITS)) / peak
    given = np.minimum(nits_to_pq(nits) / peak, 1.0)
    knee = 1.5 * most - 0.5
    t = (given - knee) / (1.0 - knee)
    curve = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * most
    return pq_to_nits(np.where(given < knee, given, curve) * peak)


def to_sdr(code: np.ndarray, transfer: str) -> np.ndarray:
    """BT.709 code values [..., 3], 0 .. 1, of BT.2020 code values [..., 3] with a transfer function (FFmpeg's name).

    Luminance is compressed and hues are kept; what BT.709 cannot show is mixed with grey of its own luminance.
    """
    code = np.clip(code, 0.0, 1.0)
    if transfer in KINDS:
        nits = pq_to_nits(code) if transfer == "smpte2084" else hlg_to_nits(code)
        luma = (nits @ _LUMA_2020)[..., None]
        linear = nits * compress(luma) / np.maximum(luma, 1e-6) / WHITE_NITS
    else:
        linear = np.power(code, _GAMMA)
    shown = linear @ _TO_709.T
    grey = np.clip((shown @ _LUMA_709)[..., None], 0.0, 1.0)
    excess = shown - grey
    over, under = shown.max(-1, keepdims=True), shown.min(-1, keepdims=True)
    room = np.minimum(
        np.where(over > 1.0, (1.0 - grey) / np.maximum(over - grey, 1e-9), 1.0),
        np.where(under < 0.0, grey / np.maximum(grey - under, 1e-9), 1.0),
    )
    return np.power(np.clip(grey + room * excess, 0.0, 1.0), 1 / _GAMMA)


@lru_cache(maxsize=3)
def cube(transfer: str) -> str:
    """The table of `to_sdr` in the .cube format (Adobe, Cube LUT specification 1.0): red runs fastest."""
    steps = np.linspace(0.0, 1.0, N_POINTS)
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
    table = to_sdr(np.stack([red, green, blue], -1), transfer).reshape(-1, 3)
    rows = "".join(f"{r:.6f} {g:.6f} {b:.6f}\n" for r, g, b in table.tolist())
    return f"LUT_3D_SIZE {N_POINTS}\n{rows}"
