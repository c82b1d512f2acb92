"""Who a procedural head is: about a hundred numbers drawn from one seed, from bone structure to the wall behind it.

No real person's likeness enters: every value is drawn from the ranges in this file.
"""

from __future__ import annotations

import colorsys

import numpy as np

IDENTITY = (
    # bone structure, in frame widths at scale 1
    "scale", "center_x", "center_y", "face_width", "face_height", "squareness", "jaw_taper", "chin", "neck_width",
    "eye_size", "eye_spacing", "eye_tilt", "eye_height", "brow_height", "brow_arch", "brow_tilt", "brow_thickness",
    "nose_length", "nose_width", "mouth_width", "mouth_y", "upper_lip", "lower_lip", "ear_size", "smirk_side",
    # surface
    "skin_r", "skin_g", "skin_b", "lip_r", "lip_g", "lip_b", "blush", "freckles", "age", "iris_r", "iris_g", "iris_b",
    "brow_darkness", "beard", "moustache", "lashes",
    # hair and dress
    "hair_r", "hair_g", "hair_b", "hair_volume", "hair_length", "hair_line", "hair_part", "hair_wave", "hair_shine",
    "hair_bald", "glasses", "glasses_size", "glasses_square", "cloth_r", "cloth_g", "cloth_b", "cloth2_r", "cloth2_g",
    "cloth2_b", "collar",
    # place and picture
    "light_angle", "light_strength", "light_warmth", "background_kind", "bg_r", "bg_g", "bg_b", "bg2_r", "bg2_g",
    "bg2_b", "bg_angle", "blur", "contrast", "saturation", "texture", "texture_scale",
    *(f"phase{i}" for i in range(8)),
    # relief and skin
    "cheekbone", "brow_ridge", "nose_bridge", "nose_tip", "lid_fold", "shine", "pores", "stubble", "teeth_white",
    # hair and dress, continued
    "hair_kind", "hair_curl", "hair_sweep", "cloth_kind",
    # lamp and lens
    "light_height", "light_hardness", "fill", "fill_warmth", "rim", "vignette", "noise",
)  # fmt: skip
"""Names of the identity vector's columns."""

HAIR_KINDS = ("swept", "parted", "fringe", "curly", "bun", "cropped")
"""What `hair_kind` counts: how the hair is worn, whatever its length."""
CLOTH_KINDS = ("crew neck", "shirt", "jacket", "v-neck", "turtleneck")
BACKGROUND_KINDS = ("plain", "lights", "panels", "brushed", "window", "shelves", "foliage", "room")

INDEX = {name: i for i, name in enumerate(IDENTITY)}

_SKIN_TONES = np.array(
    [
        (0.98, 0.87, 0.79), (0.95, 0.80, 0.70), (0.91, 0.73, 0.60), (0.84, 0.64, 0.49), (0.74, 0.54, 0.39),
        (0.62, 0.43, 0.30), (0.50, 0.33, 0.23), (0.38, 0.25, 0.18), (0.29, 0.19, 0.14),
    ]
)  # fmt: skip
_HAIR_COLOURS = np.array(
    [
        (0.07, 0.06, 0.06), (0.14, 0.09, 0.07), (0.24, 0.14, 0.09), (0.36, 0.22, 0.13), (0.52, 0.34, 0.18),
        (0.74, 0.57, 0.33), (0.86, 0.73, 0.50), (0.52, 0.20, 0.09), (0.62, 0.60, 0.58), (0.88, 0.87, 0.85),
    ]
)  # fmt: skip
_IRIS_COLOURS = np.array(
    [
        (0.20, 0.11, 0.06),
        (0.32, 0.19, 0.09),
        (0.42, 0.33, 0.16),
        (0.25, 0.42, 0.26),
        (0.27, 0.47, 0.66),
        (0.45, 0.52, 0.56),
    ]
)


def draw_identity(rng: np.random.Generator) -> np.ndarray:
    """One head's numbers, float32 [P], columns named by `IDENTITY`."""
    v: dict[str, float] = {}
    _bones(v, rng)
    _surface(v, rng)
    _hair_and_dress(v, rng)
    _place(v, rng)
    for i in range(8):
        v[f"phase{i}"] = rng.uniform(0, 2 * np.pi)
    _relief(v, rng)
    _style(v, rng)
    _lamp_and_lens(v, rng)
    return np.array([v[name] for name in IDENTITY], dtype=np.float32)


def _bones(v: dict[str, float], rng: np.random.Generator) -> None:
    n = rng.normal
    clip = np.clip
    v["scale"] = clip(n(1.06, 0.045), 0.95, 1.16)
    v["center_x"] = clip(n(0.5, 0.014), 0.46, 0.54)
    v["center_y"] = clip(n(0.53, 0.014), 0.49, 0.57)
    v["face_width"] = clip(n(0.272, 0.017), 0.235, 0.315)
    v["face_height"] = clip(n(0.375, 0.014), 0.34, 0.41)
    v["squareness"] = rng.uniform(2.0, 2.5)
    v["jaw_taper"] = rng.uniform(0.2, 0.46)
    v["chin"] = n(0, 0.012)
    v["neck_width"] = rng.uniform(0.115, 0.175)
    v["eye_size"] = clip(n(1.1, 0.09), 0.9, 1.32)
    v["eye_spacing"] = clip(n(0.13, 0.008), 0.112, 0.15)
    v["eye_tilt"] = n(0.0, 0.09)
    v["eye_height"] = clip(n(1.0, 0.12), 0.72, 1.3)
    v["brow_height"] = clip(n(0.068, 0.007), 0.054, 0.086)
    v["brow_arch"] = rng.uniform(0.15, 1.1)
    v["brow_tilt"] = n(0.0, 0.06)
    v["brow_thickness"] = rng.uniform(0.0105, 0.0185)
    v["nose_length"] = clip(n(0.15, 0.011), 0.125, 0.18)
    v["nose_width"] = clip(n(0.043, 0.006), 0.03, 0.06)
    v["mouth_width"] = clip(n(0.106, 0.009), 0.086, 0.13)
    v["mouth_y"] = clip(n(0.18, 0.008), 0.162, 0.2)
    v["upper_lip"] = rng.uniform(0.012, 0.024)
    v["lower_lip"] = rng.uniform(0.018, 0.032)
    v["ear_size"] = rng.uniform(0.8, 1.2)
    v["smirk_side"] = float(rng.choice([-1.0, 1.0]))


def _surface(v: dict[str, float], rng: np.random.Generator) -> None:
    tone = rng.uniform(0, len(_SKIN_TONES) - 1)
    skin = _interpolate(_SKIN_TONES, tone) + rng.normal(0, 0.012, 3)
    _colour(v, "skin", skin)
    red = np.array([0.74, 0.33, 0.33]) if rng.random() < 0.75 else np.array([0.70, 0.14, 0.22])
    strength = rng.uniform(0.25, 0.75)
    _colour(v, "lip", skin * (1 - strength) + red * strength * (0.35 + 0.65 * skin.mean() / 0.75))
    v["blush"] = rng.uniform(0, 0.35)
    v["freckles"] = rng.uniform(0.3, 1.0) if rng.random() < 0.15 else 0.0
    v["age"] = rng.beta(1.3, 2.2)
    _colour(v, "iris", _IRIS_COLOURS[rng.integers(len(_IRIS_COLOURS))] + rng.normal(0, 0.03, 3))
    v["brow_darkness"] = rng.uniform(0.55, 1.0)
    bearded = rng.random() < 0.22
    v["beard"] = rng.uniform(0.25, 0.95) if bearded else 0.0
    v["moustache"] = rng.uniform(0.3, 0.9) if (bearded and rng.random() < 0.8) or rng.random() < 0.05 else 0.0
    v["lashes"] = rng.uniform(0.2, 1.0)


def _hair_and_dress(v: dict[str, float], rng: np.random.Generator) -> None:
    hair = _HAIR_COLOURS[rng.integers(len(_HAIR_COLOURS))] * rng.uniform(0.85, 1.15) + rng.normal(0, 0.015, 3)
    if rng.random() < 0.04:
        hair = np.array(colorsys.hsv_to_rgb(rng.random(), 0.55, 0.6))
    _colour(v, "hair", hair)
    v["hair_volume"] = rng.uniform(0.018, 0.075)
    v["hair_length"] = float(rng.choice([0.02, 0.14, 0.3, 0.42, 0.7], p=[0.38, 0.14, 0.16, 0.16, 0.16])) + rng.normal(
        0, 0.03
    )
    v["hair_line"] = rng.uniform(0.2, 0.31)
    v["hair_part"] = rng.uniform(-0.9, 0.9)
    v["hair_wave"] = rng.uniform(0, 1) ** 2 * 0.024
    v["hair_shine"] = rng.uniform(0.05, 0.45)
    v["hair_bald"] = 1.0 if v["hair_length"] < 0.1 and rng.random() < 0.15 else 0.0
    v["glasses"] = 1.0 if rng.random() < 0.17 else 0.0
    v["glasses_size"] = rng.uniform(0.066, 0.082)
    v["glasses_square"] = rng.uniform(2.0, 5.0)
    _colour(v, "cloth", _random_colour(rng, (0.1, 0.7), (0.2, 0.95)))
    _colour(v, "cloth2", _random_colour(rng, (0.05, 0.6), (0.3, 1.0)))
    v["collar"] = rng.uniform(0, 1)


def _place(v: dict[str, float], rng: np.random.Generator) -> None:
    v["light_angle"] = rng.uniform(-np.pi, np.pi)
    v["light_strength"] = rng.uniform(0.05, 0.34)
    v["light_warmth"] = rng.normal(0, 0.03)
    v["background_kind"] = float(rng.integers(len(BACKGROUND_KINDS)))
    _colour(v, "bg", _random_colour(rng, (0.03, 0.55), (0.15, 0.95)))
    near = rng.uniform(0.25, 0.8) if v["background_kind"] >= 2 else rng.uniform(0.0, 0.5)
    wall = np.array([v["bg_r"], v["bg_g"], v["bg_b"]])
    _colour(v, "bg2", near * wall + (1 - near) * _random_colour(rng, (0.03, 0.55), (0.15, 0.95)))
    v["bg_angle"] = rng.uniform(-np.pi, np.pi)
    v["blur"] = max(0.0, rng.normal(0.2, 0.2))
    v["contrast"] = np.clip(rng.normal(1.0, 0.08), 0.8, 1.15)
    v["saturation"] = np.clip(rng.normal(1.0, 0.15), 0.3, 1.35) if rng.random() > 0.06 else 0.0
    v["texture"] = rng.uniform(0.0, 0.012) if rng.random() < 0.8 else rng.uniform(0.012, 0.035)
    v["texture_scale"] = rng.uniform(6, 26)


def _relief(v: dict[str, float], rng: np.random.Generator) -> None:
    v["cheekbone"] = rng.uniform(0.5, 1.3)
    v["brow_ridge"] = rng.uniform(0.3, 1.2)
    v["nose_bridge"] = rng.uniform(0.7, 1.2)
    v["nose_tip"] = rng.uniform(0.75, 1.25)
    v["lid_fold"] = rng.uniform(0.1, 1.0)
    v["shine"] = rng.uniform(0.25, 1.0)
    v["pores"] = rng.uniform(0.3, 1.0) * (0.7 + 0.5 * v["age"])
    v["stubble"] = rng.uniform(0.3, 0.9) if v["beard"] == 0.0 and rng.random() < 0.16 else 0.0
    v["teeth_white"] = rng.uniform(0.8, 1.0)


def _style(v: dict[str, float], rng: np.random.Generator) -> None:
    is_short = v["hair_length"] < 0.1
    shares = [0.28, 0.18, 0.1, 0.16, 0.1, 0.18] if is_short else [0.1, 0.36, 0.26, 0.2, 0.08, 0.0]
    v["hair_kind"] = float(rng.choice(len(HAIR_KINDS), p=shares))
    v["hair_curl"] = rng.uniform(0, 1)
    v["hair_sweep"] = float(rng.choice([-1.0, 1.0])) * rng.uniform(0.5, 1.0)
    v["cloth_kind"] = float(rng.integers(len(CLOTH_KINDS)))


def _lamp_and_lens(v: dict[str, float], rng: np.random.Generator) -> None:
    v["light_height"] = rng.uniform(0.15, 0.7)
    v["light_hardness"] = rng.uniform(0, 1)
    v["fill"] = rng.uniform(0.2, 0.7)
    v["fill_warmth"] = rng.normal(-0.03, 0.05)
    v["rim"] = rng.uniform(0.2, 1.0) if rng.random() < 0.6 else 0.0
    v["vignette"] = rng.uniform(0.0, 0.35)
    v["noise"] = rng.uniform(0.002, 0.014)


def _interpolate(table: np.ndarray, position: float) -> np.ndarray:
    low = int(min(position, len(table) - 2))
    return table[low] + (table[low + 1] - table[low]) * (position - low)


def _random_colour(rng: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]) -> np.ndarray:
    return np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(*saturation), rng.uniform(*value)))


def _colour(v: dict[str, float], name: str, rgb: np.ndarray) -> None:
    for channel, value in zip("rgb", np.clip(rgb, 0.02, 0.99), strict=True):
        v[f"{name}_{channel}"] = float(value)
