"""The anatomy of the heads: one base mesh, how it varies and moves, the parts that are fitted to it, their textures.

It is a folder of arrays and pictures that `eadnet download heads` derives from public data; nothing of it is part of
the package.
"""

from __future__ import annotations

import contextlib
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ..errors import BadInput
from ..paths import shown

FOLDER_VARIABLE = "EADNET_HEADS"
DEFAULT_FOLDER = Path("public") / "heads" / "pack"
"""Where `eadnet download heads` puts the anatomy."""
REQUIRED = ("base.npz", "targets.npz", "expr_ict.npz", "identity_ict.npz", "mask_mouth.png", "mask_lips.png")
TEXTURE_SUFFIXES = (".png", ".jpg")


def anatomy_folder(folder: str | Path | None = None) -> Path:
    """Where the anatomy is: `folder` if given, else what EADNET_HEADS names, else where the download puts it."""
    return Path(folder or os.environ.get(FOLDER_VARIABLE) or DEFAULT_FOLDER)


def is_anatomy(folder: Path) -> bool:
    """Whether a folder holds every file that an anatomy cannot do without."""
    return all((folder / name).is_file() for name in REQUIRED)


@dataclass(frozen=True)
class Offsets:
    """Named moves of the base mesh's vertices, each of a few of them.

    names    N names
    indices  [M] int32      the vertices that move, name after name
    values   [M, 3] float32 how far, in decimetres
    starts   [N + 1]        where each name's begin, and the end
    """

    names: tuple[str, ...]
    indices: np.ndarray
    values: np.ndarray
    starts: np.ndarray

    @cached_property
    def rows(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.names)}

    def __contains__(self, name: str) -> bool:
        return name in self.rows

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def of(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """The vertices that a name moves [K], and how far [K, 3]; raises BadInput for a name that is not there."""
        if name not in self.rows:
            raise BadInput(f"The anatomy has no '{shown(name)}' among {len(self)} names such as '{self.names[0]}'.")
        piece = slice(self.starts[self.rows[name]], self.starts[self.rows[name] + 1])
        return self.indices[piece], self.values[piece]

    def add(self, vertices: np.ndarray, name: str, weight: float) -> None:
        """Move `vertices` [V, 3] in place by `weight` times a name's offsets; raises BadInput as `of` does."""
        indices, values = self.of(name)
        vertices[indices] += weight * values


@dataclass(frozen=True)
class Part:
    """A mesh that is fitted to the base mesh: hair, brows, lashes, eyes, teeth, tongue, clothes.

    reference        [N, 3]      three vertices of the base mesh
    weights          [N, 3]      their weights
    offsets          [N, 3]      from that point, in decimetres, times the scale
    axes             [3, 3]      by axis: two vertices of the base mesh, and their distance at which the scale is 1;
                                 a distance of 0 is no scale
    render_vertices  [R]         the part's vertex of each pair of vertex and texture point
    uv               [R, 2]      0 .. 1, v upward
    faces            [F, 3]      triangles of render vertices
    hides            [H]         vertices of the base mesh that lie beneath (clothes)
    depth            order in which clothes lie over one another
    visible          [F] bool    triangles that can ever be seen
    """

    reference: np.ndarray
    weights: np.ndarray
    offsets: np.ndarray
    axes: np.ndarray
    render_vertices: np.ndarray
    uv: np.ndarray
    faces: np.ndarray
    hides: np.ndarray
    depth: int
    visible: np.ndarray

    def fit(self, vertices: np.ndarray) -> np.ndarray:
        """The part's vertices [N, 3] on the base mesh `vertices` [V, 3] (MakeHuman's .mhclo rule)."""
        scale = np.ones(3, np.float32)
        for axis in range(3):
            first, second, distance = self.axes[axis]
            if distance > 0:
                scale[axis] = abs(vertices[int(first), axis] - vertices[int(second), axis]) / distance
        points = sum(vertices[self.reference[:, k]] * self.weights[:, k, None] for k in range(3))
        return points + self.offsets * scale


@dataclass(frozen=True)
class Anatomy:
    """What every head is made of.

    folder             where it was read
    base               [V, 3] float32  the base mesh in decimetres: x to the head's left, y up, z forward
    source_indices     [V]             the vertices' numbers in MakeHuman's mesh
    render_vertices    [R]             the vertex of each pair of vertex and texture point
    uv                 [R, 2]          0 .. 1, v upward
    faces              [F, 3]          triangles of render vertices
    targets            MakeHuman's variations: sex, age, ethnicity, features
    expressions        FACS shapes, named `ict/...`
    identity_vertices  [K]             the vertices that the identity modes move
    identity_modes     [M, K, 3]       in decimetres a standard deviation
    """

    folder: Path
    base: np.ndarray
    source_indices: np.ndarray
    render_vertices: np.ndarray
    uv: np.ndarray
    faces: np.ndarray
    targets: Offsets
    expressions: Offsets
    identity_vertices: np.ndarray
    identity_modes: np.ndarray

    @classmethod
    def open(cls, folder: str | Path | None = None) -> Anatomy:
        """Read the anatomy in `anatomy_folder(folder)`.

        Raises BadInput where there is none, where a file is missing, and where one is damaged.
        """
        place = anatomy_folder(folder)
        missing = [name for name in REQUIRED if not (place / name).is_file()]
        if missing:
            found = "lacks " + ", ".join(missing) if len(missing) < len(REQUIRED) else "holds no anatomy"
            raise BadInput(
                f"'{shown(place)}' {found}, of which the 3-D heads are made. Get it with `eadnet download heads`, or "
                f"name a folder that has it: --heads FOLDER, or {FOLDER_VARIABLE} in the environment."
            )
        base, identity = read_arrays(place / "base.npz"), read_arrays(place / "identity_ict.npz")
        with reading(place):
            return cls(
                folder=place,
                base=base["base"],
                source_indices=base["need"],
                render_vertices=base["r_v"],
                uv=base["r_uv"],
                faces=base["r_f"],
                targets=read_offsets(place / "targets.npz"),
                expressions=read_offsets(place / "expr_ict.npz"),
                identity_vertices=identity["idx"].astype(np.int32),
                identity_modes=identity["val"].astype(np.float32),
            )

    def part_names(self, kind: str = "") -> list[str]:
        """The parts whose names begin with `kind`, such as 'hair_', 'brow_', 'lash_', 'teeth_', 'cloth_'."""
        return sorted(path.stem.removeprefix("part_") for path in self.folder.glob(f"part_{kind}*.npz"))

    def texture_names(self, kind: str = "") -> list[str]:
        """The textures whose names begin with `kind`: 'skin_', 'eye_', and the kinds of parts."""
        found = (path for suffix in TEXTURE_SUFFIXES for path in self.folder.glob(f"tex_{kind}*{suffix}"))
        return sorted(path.stem.removeprefix("tex_") for path in found)

    def part(self, name: str) -> Part:
        """A part by its name; raises BadInput where it is not there or damaged."""
        path = self.folder / f"part_{name}.npz"
        if not path.is_file():
            raise self._absent("part", name, self.part_names())
        arrays = read_arrays(path)
        with reading(path):
            return part_of(arrays)

    def texture(self, name: str) -> np.ndarray:
        """A texture, [H, W, 4] uint8 sRGB and alpha; raises BadInput where it is not there or damaged."""
        paths = [self.folder / f"tex_{name}{suffix}" for suffix in TEXTURE_SUFFIXES]
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            raise self._absent("texture", name, self.texture_names())
        return read_picture(path, "RGBA")

    def mask(self, name: str) -> np.ndarray:
        """Where 'mouth' (its inside) or 'lips' lie in the skin's texture, [H, W] uint8; raises BadInput otherwise."""
        path = self.folder / f"mask_{name}.png"
        if not path.is_file():
            raise self._absent("mask", name, sorted(p.stem.removeprefix("mask_") for p in self.folder.glob("mask_*")))
        return read_picture(path, "L")

    def _absent(self, kind: str, name: str, known: list[str]) -> BadInput:
        return BadInput(
            f"The anatomy in '{shown(self.folder)}' has no {kind} '{shown(name)}'; it has {_listed(known)}."
        )


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Look arrays up by name inside; one that is not there becomes BadInput that names the file or folder."""
    try:
        yield
    except KeyError as error:
        raise damaged(path, f"no array {error}") from error


def damaged(path: Path, reason: object) -> BadInput:
    """The error of a file of the anatomy that cannot be used."""
    return BadInput(
        f"'{shown(path)}' is no file of the anatomy, or damaged ({reason}). Remove it, and run `eadnet download heads` "
        "again."
    )


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz, nothing pickled; raises BadInput for a damaged file."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise damaged(path, error) from error


def read_offsets(path: Path) -> Offsets:
    """Offsets by name; raises BadInput for a damaged file."""
    arrays = read_arrays(path)
    with reading(path):
        return offsets_of(arrays)


def offsets_of(arrays: dict[str, np.ndarray]) -> Offsets:
    """Offsets by name of a file's arrays; raises KeyError for one that is not there."""
    return Offsets(
        names=tuple(str(name) for name in arrays["names"]),
        indices=arrays["idx"].astype(np.int32),
        values=arrays["val"].astype(np.float32),
        starts=arrays["ptr"],
    )


def part_of(arrays: dict[str, np.ndarray]) -> Part:
    """A part of a file's arrays; raises KeyError for one that is not there."""
    return Part(
        reference=arrays["ref"],
        weights=arrays["w"],
        offsets=arrays["off"],
        axes=arrays["sc"],
        render_vertices=arrays["r_v"],
        uv=arrays["r_uv"],
        faces=arrays["r_f"],
        hides=arrays["dele"],
        depth=int(arrays["z"]),
        visible=arrays["vis"] if "vis" in arrays else np.ones(len(arrays["r_f"]), bool),
    )


def read_picture(path: Path, mode: str) -> np.ndarray:
    """A picture in one of Pillow's modes, uint8; raises BadInput for a damaged file."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return np.asarray(image.convert(mode)).copy()
    except (OSError, ValueError, SyntaxError) as error:
        raise damaged(path, error) from error


def _listed(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") if names else "none"
