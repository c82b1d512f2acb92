"""MakeHuman's text files: meshes (.obj), variations (.target) and fitted parts (.mhclo)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import BadInput
from ..paths import shown

_NUMBER = re.compile(r"-?\d")


@dataclass(frozen=True)
class Mesh:
    """A mesh as a file has it, its polygons cut into triangles.

    vertices  [N, 3] float32
    uv        [T, 2] float32  texture points, v upward
    faces     [F, 3]          vertices of each triangle
    uv_faces  [F, 3]          texture points of each triangle
    groups    [F]             the name of the group that each triangle is in
    """

    vertices: np.ndarray
    uv: np.ndarray
    faces: np.ndarray
    uv_faces: np.ndarray
    groups: np.ndarray

    def render(self, is_kept: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Vertices [R] and texture points [R] of every pair that occurs, and triangles [F, 3] of these pairs."""
        faces, uv_faces = (
            (self.faces, self.uv_faces) if is_kept is None else (self.faces[is_kept], self.uv_faces[is_kept])
        )
        pairs = np.stack([faces.ravel(), uv_faces.ravel()], 1)
        found, inverse = np.unique(pairs, axis=0, return_inverse=True)
        return found[:, 0], found[:, 1], inverse.reshape(-1, 3)


@dataclass(frozen=True)
class FittedPart:
    """A part as its .mhclo describes it; `heads.anatomy.Part` says what the arrays mean.

    axes    [3, 3]  zeros where an axis has no scale
    object  its mesh
    """

    object: Path
    reference: np.ndarray
    weights: np.ndarray
    offsets: np.ndarray
    axes: np.ndarray
    hides: np.ndarray
    depth: int


def read_mesh(path: Path) -> Mesh:
    """A Wavefront .obj; raises BadInput for a file without vertices or with other text than it should have."""
    vertices: list[list[float]] = []
    uv: list[list[float]] = []
    faces: list[list[int]] = []
    uv_faces: list[list[int]] = []
    groups: list[str] = []
    group = ""
    try:
        for line in _lines(path):
            words = line.split()
            if not words:
                continue
            if words[0] == "v":
                vertices.append([float(word) for word in words[1:4]])
            elif words[0] == "vt":
                uv.append([float(word) for word in words[1:3]])
            elif words[0] == "g":
                group = words[1] if len(words) > 1 else ""
            elif words[0] == "f":
                corners = [word.split("/") for word in words[1:]]
                points = [int(corner[0]) - 1 for corner in corners]
                texels = [int(corner[1]) - 1 if len(corner) > 1 and corner[1] else 0 for corner in corners]
                for k in range(1, len(points) - 1):
                    faces.append([points[0], points[k], points[k + 1]])
                    uv_faces.append([texels[0], texels[k], texels[k + 1]])
                    groups.append(group)
        if not vertices:
            raise ValueError("no vertices")
    except (ValueError, IndexError) as error:
        raise _unreadable(path, "mesh", error) from error
    return Mesh(
        vertices=np.array(vertices, np.float32),
        uv=np.array(uv or [[0, 0]], np.float32),
        faces=np.array(faces, int).reshape(-1, 3),
        uv_faces=np.array(uv_faces, int).reshape(-1, 3),
        groups=np.array(groups, str),
    )


def read_vertices(path: Path) -> np.ndarray:
    """The vertices of a Wavefront .obj alone, [N, 3] float32; raises BadInput as `read_mesh` does."""
    try:
        rows = [line.split()[1:4] for line in _lines(path) if line.startswith("v ")]
        if not rows:
            raise ValueError("no vertices")
        return np.array(rows, np.float32)
    except ValueError as error:
        raise _unreadable(path, "mesh", error) from error


def read_target(path: Path, n_vertices: int) -> np.ndarray:
    """How far each vertex of the base mesh moves, [n_vertices, 3] float32; raises BadInput for an unreadable file."""
    moves = np.zeros((n_vertices, 3), np.float32)
    try:
        for line in _lines(path):
            words = line.split()
            if len(words) == 4 and words[0][0] != "#" and int(words[0]) < n_vertices:
                moves[int(words[0])] = [float(word) for word in words[1:]]
    except ValueError as error:
        raise _unreadable(path, "target", error) from error
    return moves


def read_part(path: Path) -> FittedPart:
    """A .mhclo; raises BadInput for an unreadable file."""
    rows: list[tuple[list[int], list[float], list[float]]] = []
    hides: list[str] = []
    axes = np.zeros((3, 3))
    named: dict[str, str] = {}
    section = ""
    try:
        for line in _lines(path):
            words = line.split()
            if not words or words[0] == "#":
                continue
            if words[0] in ("x_scale", "y_scale", "z_scale"):
                axes["xyz".index(words[0][0])] = [float(word) for word in words[1:4]]
            elif words[0] in ("obj_file", "z_depth", "material"):
                named[words[0]] = words[1]
            elif words[0] in ("verts", "delete_verts"):
                section = words[0]
            elif section == "verts" and not _NUMBER.match(words[0]):
                section = ""
            elif section == "verts":
                rows.append(_fitted_row(words))
            elif section == "delete_verts":
                hides += words
        references, weights, offsets = zip(*rows, strict=True)
        return FittedPart(
            object=path.parent / named["obj_file"],
            reference=np.array(references),
            weights=np.array(weights, np.float32),
            offsets=np.array(offsets, np.float32),
            axes=axes,
            hides=np.array(_ranges(hides), int),
            depth=int(named.get("z_depth", 50)),
        )
    except (ValueError, KeyError, IndexError) as error:
        raise _unreadable(path, "part", error) from error


def _fitted_row(words: list[str]) -> tuple[list[int], list[float], list[float]]:
    """Reference vertices, weights and offset of one line: a single number is a vertex that is followed as it is."""
    if len(words) == 1:
        return [int(words[0])] * 3, [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]
    return [int(w) for w in words[:3]], [float(w) for w in words[3:6]], [float(w) for w in words[6:9]]


def _ranges(words: list[str]) -> list[int]:
    """Numbers of a list such as `3 7 - 9`, in order.

    >>> _ranges("7 - 9 3".split())
    [3, 7, 8, 9]
    """
    numbers: set[int] = set()
    last, is_range = 0, False
    for word in words:
        if word == "-":
            is_range = True
            continue
        number = int(word)
        numbers.update(range(last, number + 1) if is_range else [number])
        last, is_range = number, False
    return sorted(numbers)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="ignore").splitlines()
    except OSError as error:
        raise BadInput(
            f"'{shown(path)}' cannot be read ({error.strerror}). Get it with `eadnet download heads`."
        ) from error


def _unreadable(path: Path, kind: str, reason: object) -> BadInput:
    return BadInput(f"'{shown(path)}' is no {kind} that can be read ({reason}). Get it with `eadnet download heads`.")
