"""A small anatomy in the files of the real one: a turned solid for a head, parts beside it, plain pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

PROFILE = np.array(
    [
        (4.62, 2.50, 0.95, 0.35),
        (5.20, 2.30, 0.85, 0.30),
        (5.70, 1.60, 0.65, 0.20),
        (6.00, 0.55, 0.50, 0.35),
        (6.30, 0.50, 0.55, 0.60),
        (6.50, 0.58, 0.75, 0.70),
        (6.65, 0.64, 0.80, 0.75),
        (6.80, 0.70, 0.80, 0.75),
        (7.00, 0.76, 0.90, 0.70),
        (7.20, 0.80, 0.90, 0.60),
        (7.35, 0.80, 0.88, 0.55),
        (7.60, 0.77, 0.88, 0.55),
        (8.00, 0.72, 0.85, 0.50),
        (8.30, 0.52, 0.65, 0.50),
        (8.48, 0.10, 0.15, 0.50),
    ]
)
"""Rings from the shoulders to the crown: height, half width, half depth, middle in depth; decimetres."""
AROUND = 24
EYES = ((0.31, 7.28), (-0.31, 7.28))
MOUTH_Y = 6.72
SIDED = "browDown browInnerUp browOuterUp cheekPuff cheekRaiser cheekSquint eyeBlink eyeSquint eyeWide mouthDimple "
SIDED += "mouthFrown mouthLowerDown mouthPress mouthSmile mouthStretch mouthUpperUp noseSneer"
MIDDLE = "jawForward jawLeft jawOpen jawRight mouthClose mouthFunnel mouthLeft mouthPucker mouthRight mouthRollLower "
MIDDLE += "mouthRollUpper mouthShrugLower mouthShrugUpper"
EXPRESSIONS = sorted([f"{name}_{side}" for name in SIDED.split() for side in "LR"] + MIDDLE.split())
FEATURES = ("chin/chin-width", "nose/nose-scale-horiz", "eyes/l-eye-scale", "eyes/r-eye-scale", "head/head-fat")


def write_tiny_anatomy(folder: Path) -> Path:
    """Write it, 361 vertices in all; the same at every call. Returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(5)
    base, uv, faces = turned(PROFILE, AROUND)
    n = len(base)
    arrays = {"base": base, "need": np.arange(n, dtype=np.int32) * 3, "r_v": np.arange(n, dtype=np.int32)}
    np.savez(folder / "base.npz", **arrays, r_uv=uv, r_f=faces)
    _write_moves(folder, base, rng)
    for name, points, grid_uv, triangles in _parts():
        _write_part(folder / f"part_{name}.npz", base, points, grid_uv, triangles)
    _write_pictures(folder, rng)
    return folder


def turned(profile: np.ndarray, around: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices, texture points and triangles of a closed turned solid, its seam at the back."""
    turn = np.arange(around + 1) / around
    angle = (turn - 0.5) * 2 * np.pi
    y, width, depth, middle = (profile[:, k, None] for k in range(4))
    still = np.zeros(around + 1)
    points = np.stack([width * np.sin(angle), y + still, middle + depth * np.cos(angle)], -1)
    height = (y - y.min()) / np.ptp(y) + still
    uv = np.stack([np.broadcast_to(turn, height.shape), height], -1)
    faces = grid_faces(len(profile), around + 1)
    return _f32(points.reshape(-1, 3)), _f32(uv.reshape(-1, 2)), faces


def grid_faces(rows: int, columns: int) -> np.ndarray:
    """Triangles of a grid of points, seen from outside against the clock."""
    first = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    quads = np.stack([first, first + 1, first + columns + 1, first + columns], 1)
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32)


def _write_moves(folder: Path, base: np.ndarray, rng: np.random.Generator) -> None:
    x, y, z = base.T
    front = np.clip((z - 0.9) * 2, 0, 1)
    jaw = front * np.clip((MOUTH_Y - y) * 8, 0, 1) * (y > 6.2)
    shapes = {}
    for name in EXPRESSIONS:
        centre_y = {"b": 7.5, "e": 7.28, "c": 7.0, "n": 7.0}.get(name[0], MOUTH_Y)
        centre_x = {"L": 0.31, "R": -0.31}.get(name[-1] if "_" in name else "", 0.0)
        near = front * np.exp(-((x - centre_x) ** 2 + (y - centre_y) ** 2) * 12)
        shapes[f"ict/{name}"] = near[:, None] * rng.normal(0, 0.08, 3)
    shapes["ict/jawOpen"] = jaw[:, None] * (0, -0.3, -0.05)
    _write_offsets(folder / "expr_ict.npz", shapes)
    head = np.clip(y - 6, 0, 1)[:, None]
    people = [
        f"{race}-{sex}-{age}"
        for race in ("african", "asian", "caucasian")
        for sex in ("female", "male")
        for age in ("old", "young")
    ]
    people += [
        f"universal-{sex}-{age}-averagemuscle-{weight}"
        for sex in ("female", "male")
        for age in ("old", "young")
        for weight in ("maxweight", "minweight")
    ]
    names = [f"macrodetails/{name}" for name in people]
    names += [f"{name}-{way}" for name in FEATURES for way in ("decr", "incr")]
    names += [f"expression/units/caucasian/eye-{side}-closure" for side in ("left", "right")]
    _write_offsets(
        folder / "targets.npz", {name: head * (base - (0, 7, 0.5)) * rng.normal(0, 0.03, 3) for name in sorted(names)}
    )
    moved = np.nonzero(y > 6.2)[0].astype(np.uint16)
    modes = rng.normal(0, 0.01, (100, 1, 3)) * (base[moved] - (0, 7, 0.5))
    np.savez(folder / "identity_ict.npz", idx=moved, val=modes.astype(np.float16))


def _write_offsets(path: Path, shapes: dict[str, np.ndarray]) -> None:
    indices = [np.nonzero(np.abs(shape).max(1) > 1e-5)[0] for shape in shapes.values()]
    values = [shape[kept].astype(np.float16) for shape, kept in zip(shapes.values(), indices, strict=True)]
    starts = np.cumsum([0, *map(len, indices)])
    np.savez(
        path,
        names=np.array(list(shapes)),
        idx=np.concatenate(indices).astype(np.uint16),
        val=np.concatenate(values),
        ptr=starts,
    )


def _parts() -> list[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """(name, points, texture points, triangles) of every part."""
    balls = [
        turned(
            np.array(
                [
                    (ey + 0.15 * np.sin(a), 0.15 * np.cos(a) + 1e-3, 0.13 * np.cos(a) + 1e-3, 1.30)
                    for a in np.linspace(-1.5, 1.5, 7)
                ]
            ),
            8,
        )
        for _, ey in EYES
    ]
    eyes = _joined(
        [(points + _f32((ex, 0, 0)), uv, faces) for (points, uv, faces), (ex, _) in zip(balls, EYES, strict=True)]
    )
    bows = {
        kind: _joined([_sheet((side * 0.31, y), (0.16, 0.03), 1.5) for side in (1, -1)])
        for kind, y in (("brow", 7.48), ("lash", 7.34))
    }
    teeth = _joined([_sheet((0, MOUTH_Y + rise), (0.25, 0.04), 1.35) for rise in (0.05, -0.05)])
    above = PROFILE[PROFILE[:, 0] > 7.5] * (1, 1.08, 1.08, 1) + (0.05, 0, 0, -0.05)
    shirt = PROFILE[PROFILE[:, 0] < 5.8] * (1, 1.03, 1.08, 1)
    named = {"eyes": eyes, "eyeslow": eyes, "tongue01": _sheet((0, MOUTH_Y - 0.06), (0.15, 0.05), 1.2)}
    named |= {f"{kind}_{k:02d}": bow for kind, bow in bows.items() for k in (1, 2)}
    named |= {f"teeth_{name}": teeth for name in ("base", "shape01", "shape02")}
    named |= {f"hair_{name}": turned(above, 12) for name in ("short01", "long01")}
    named |= {f"cloth_{name}": turned(shirt, 12) for name in ("female_casualsuit01", "male_casualsuit02")}
    return [(name, *mesh) for name, mesh in named.items()]


def _sheet(
    centre: tuple[float, float], half: tuple[float, float], z: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    u, v = (axis.ravel() for axis in np.meshgrid(np.linspace(0, 1, 7), np.linspace(0, 1, 3)))
    x = centre[0] + half[0] * (2 * u - 1)
    points = np.stack([x, centre[1] + half[1] * (2 * v - 1), z - 0.6 * x**2], 1)
    return _f32(points), _f32(np.stack([u, v], 1)), grid_faces(3, 7)


def _joined(meshes: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    starts = np.cumsum([0, *(len(points) for points, _, _ in meshes)])
    points, uv = (np.concatenate([mesh[k] for mesh in meshes]) for k in (0, 1))
    return points, uv, np.concatenate([faces + start for (_, _, faces), start in zip(meshes, starts[:-1], strict=True)])


def _write_part(path: Path, base: np.ndarray, points: np.ndarray, uv: np.ndarray, faces: np.ndarray) -> None:
    """Each vertex hangs on the nearest vertex of the base mesh."""
    nearest = np.argmin(((points[:, None] - base) ** 2).sum(2), 1).astype(np.int32)
    top, bottom = int(base[:, 1].argmax()), int(base[:, 1].argmin())
    axes = _f32([(0, 0, 0), (bottom, top, np.ptp(base[:, 1])), (0, 0, 0)])
    hides = np.nonzero(base[:, 1] < 5)[0] if "cloth" in path.name else np.zeros(0)
    arrays = {"ref": np.repeat(nearest[:, None], 3, 1), "w": _f32(np.tile((1, 0, 0), (len(points), 1)))}
    arrays |= {"off": _f32(points - base[nearest]), "sc": axes, "r_v": np.arange(len(points), dtype=np.int32)}
    if "teeth" in path.name:
        arrays["vis"] = np.ones(len(faces), bool)
    np.savez(path, **arrays, r_uv=uv, r_f=faces.astype(np.int32), dele=hides.astype(np.int32), z=np.array(50))


def _write_pictures(folder: Path, rng: np.random.Generator) -> None:
    skins = {"african": (96, 62, 46), "asian": (205, 160, 128), "caucasian": (222, 176, 152)}
    flat = {f"skin_young_{race}_{sex}": colour for race, colour in skins.items() for sex in ("female", "male")}
    flat |= {"skin_old_caucasian_male": (210, 168, 146), "teeth_base": (225, 215, 195), "tongue01": (180, 90, 90)}
    flat |= {"teeth_shape01": (225, 215, 195), "teeth_shape02": (225, 215, 195)}
    flat |= {"cloth_female_casualsuit01": (60, 90, 130), "cloth_male_casualsuit02": (120, 60, 60)}
    for name, colour in flat.items():
        grain = rng.normal(0, 5, (64, 64, 1)) + np.array(colour)
        Image.fromarray(grain.clip(0, 255).astype(np.uint8)).save(folder / f"tex_{name}.jpg", quality=95)
    v, u = np.mgrid[0:64, 0:64] / 63
    for name in ("brow_01", "brow_02", "lash_01", "lash_02", "hair_short01", "hair_long01"):
        strands = np.stack([120 + 60 * np.sin(40 * u + 9 * v), np.full_like(u, 230)], -1)
        Image.fromarray(strands.astype(np.uint8), "LA").save(folder / f"tex_{name}.png")
    radius = np.hypot(u - 0.5, (v - 0.5) * 2)
    for name, iris in (("brown", (90, 50, 25)), ("blue", (70, 110, 160))):
        eye = np.where(radius[..., None] < 0.08, (10, 8, 8), np.where(radius[..., None] < 0.22, iris, (235, 230, 228)))
        opaque = np.full((64, 64, 1), 255)
        Image.fromarray(np.concatenate([eye, opaque], 2).astype(np.uint8), "RGBA").save(folder / f"tex_eye_{name}.png")
    height = (MOUTH_Y - PROFILE[0, 0]) / np.ptp(PROFILE[:, 0])
    v, u = np.mgrid[0:256, 0:256] / 255
    for name, half in (("lips", (0.06, 0.025)), ("mouth", (0.045, 0.008))):
        inside = ((u - 0.5) / half[0]) ** 2 + ((1 - v - height) / half[1]) ** 2 < 1
        Image.fromarray((inside * 255).astype(np.uint8), "L").save(folder / f"mask_{name}.png")


def _f32(values: object) -> np.ndarray:
    return np.asarray(values, np.float32)
