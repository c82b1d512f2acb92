"""ICT-FaceKit's FACS shapes and identity modes, carried to MakeHuman's mesh.

`registration.npz` says which of ICT-FaceKit's vertices each of MakeHuman's follows. It was found once: MediaPipe's 466
landmarks on a rendering of each mesh, a thin plate spline between them, two projections along the normals, and the
nearest points in place and normal. Landmarks differ a little from machine to machine, and small differences move
nearest points; so the result is stored, as the sparse weights that reproduce it to .0006 decimetres. Teeth, tongue and
eyes are stiff: they follow the best rotation (or, between identities, the best affine map) of ICT-FaceKit's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .makehuman import Mesh, read_vertices

NEUTRAL = "generic_neutral_mesh"
SKIPPED = ("Look", "Pupil")
"""Shapes of the eyes' direction: gaze turns the eyes themselves."""
MIN_EXPRESSION_DM, MIN_IDENTITY_DM = 2e-4, 1e-3
WEIGHT_UNIT = 1 / 15_000
UPPER_TEETH, LOWER_TEETH, TONGUE = slice(17_039, 19_247), slice(19_247, 21_451), slice(14_062, 17_039)
EYES = (slice(21_451, 22_221), slice(23_021, 23_791))
"""Where ICT-FaceKit's stiff parts lie among its vertices; left eye first."""

Fit = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""The matrix [3, 3] that takes points [K, 3] about their middle to others."""


@dataclass(frozen=True)
class Registration:
    """Which of ICT-FaceKit's vertices each vertex of MakeHuman's mesh follows.

    vertices    [N]     a vertex's number in MakeHuman's mesh; it may come twice
    starts      [N+1]   where the vertices begin that it follows
    followed    [M]     their numbers in ICT-FaceKit's mesh
    weights     [M]     their weights
    expression  [N]     how much of an expression it takes
    identity    [N]     how much of an identity mode it takes
    rotation    [3, 3]  from ICT-FaceKit's axes to MakeHuman's
    scale               from ICT-FaceKit's unit, the centimetre, to the decimetre
    shift       [3]     in decimetres
    """

    vertices: np.ndarray
    starts: np.ndarray
    followed: np.ndarray
    weights: np.ndarray
    expression: np.ndarray
    identity: np.ndarray
    rotation: np.ndarray
    scale: float
    shift: np.ndarray

    @classmethod
    def open(cls) -> Registration:
        """The one that the package brings."""
        with np.load(Path(__file__).parent / "registration.npz", allow_pickle=False) as arrays:
            return cls(
                vertices=arrays["vertices"].astype(int),
                starts=arrays["starts"].astype(int),
                followed=arrays["followed"].astype(int),
                weights=arrays["weights"] * WEIGHT_UNIT,
                expression=arrays["expression"],
                identity=arrays["identity"],
                rotation=arrays["rotation"],
                scale=float(arrays["scale"]),
                shift=arrays["shift"],
            )

    def turn(self, moves: np.ndarray) -> np.ndarray:
        """Moves of ICT-FaceKit's vertices [K, 3] in MakeHuman's axes, decimetres."""
        return moves @ self.rotation.T * self.scale

    def place(self, points: np.ndarray) -> np.ndarray:
        """Points of MakeHuman's space [K, 3] in ICT-FaceKit's."""
        return (points - self.shift) @ self.rotation / self.scale


@dataclass(frozen=True)
class Carrier:
    """What carries moves of ICT-FaceKit's mesh to the vertices that are kept of MakeHuman's.

    neutral  [I, 3]  ICT-FaceKit's mesh
    base     [V, 3]  MakeHuman's mesh in the average of woman and man, to which the registration belongs
    rows     [N]     the registration's vertices among the V
    stiff            MakeHuman's vertices of each stiff part among the V, by its name
    """

    registration: Registration
    neutral: np.ndarray
    base: np.ndarray
    rows: np.ndarray
    stiff: dict[str, np.ndarray]

    def carry(self, moves: np.ndarray, is_identity: bool) -> np.ndarray:
        """Moves of ICT-FaceKit's vertices [I, 3] as moves of MakeHuman's [V, 3], decimetres."""
        registration = self.registration
        moves = moves.astype(np.float64)
        pulls = registration.turn(moves)[registration.followed] * registration.weights[:, None]
        factors = registration.identity if is_identity else registration.expression
        carried = np.zeros((len(self.base), 3))
        np.add.at(carried, self.rows, np.add.reduceat(pulls, registration.starts[:-1]) * factors[:, None])
        follows = {"upper-teeth": UPPER_TEETH, "lower-teeth": LOWER_TEETH, "tongue": LOWER_TEETH}
        if is_identity:
            follows |= {"tongue": TONGUE, "l-eye": EYES[0], "r-eye": EYES[1]}
        for name, part in follows.items():
            fit = _affine if is_identity else _rotation
            carried[self.stiff[name]] = self._stiffly(self.neutral[part], moves[part], self.stiff[name], fit)
        return carried

    def _stiffly(self, points: np.ndarray, moves: np.ndarray, vertices: np.ndarray, fit: Fit) -> np.ndarray:
        """How `vertices` move with the map that takes `points` [K, 3] where `moves` takes them."""
        moved = points + moves
        matrix = fit(points - points.mean(0), moved - moved.mean(0))
        before = self.registration.place(self.base[vertices])
        after = (before - points.mean(0)) @ matrix.T + moved.mean(0)
        return self.registration.turn(after - before)


def open_carrier(
    registration: Registration, folder: Path, mesh: Mesh, need: np.ndarray, average: np.ndarray
) -> Carrier:
    """What carries moves to the vertices that are kept.

    folder   ICT-FaceKit's FaceXModel
    mesh     MakeHuman's base mesh
    need     [V]     the numbers of its vertices that are kept
    average  [V, 3]  these vertices in the average of woman and man
    Raises BadInput for a mesh that cannot be read.
    """
    renumbered = np.full(len(mesh.vertices), -1)
    renumbered[need] = np.arange(len(need))
    stiff = {}
    for name in ("upper-teeth", "lower-teeth", "tongue", "l-eye", "r-eye"):
        vertices = renumbered[np.unique(mesh.faces[mesh.groups == f"helper-{name}"])]
        stiff[name] = vertices[vertices >= 0]
    return Carrier(
        registration=registration,
        neutral=read_vertices(folder / f"{NEUTRAL}.obj"),
        base=average.astype(np.float64),
        rows=renumbered[registration.vertices],
        stiff=stiff,
    )


def carry_expressions(paths: list[Path], carrier: Carrier) -> dict[str, np.ndarray]:
    """Moves [V, 3] of every FACS shape, by its name in the anatomy; raises BadInput for a file that cannot be read."""
    wanted = [path for path in paths if not any(word in path.stem for word in (*SKIPPED, "identity", NEUTRAL))]
    return {f"ict/{path.stem}": carrier.carry(_moves(path, carrier), is_identity=False) for path in wanted}


def carry_identity(paths: list[Path], carrier: Carrier) -> dict[str, np.ndarray]:
    """The arrays of identity_ict.npz; raises BadInput for a file that cannot be read."""
    wanted = [path for path in paths if path.stem.startswith("identity")]
    modes = np.array([carrier.carry(_moves(path, carrier), is_identity=True) for path in wanted])
    moved = np.nonzero(np.abs(modes).max((0, 2)) > MIN_IDENTITY_DM)[0]
    return {"idx": moved.astype(np.uint16), "val": modes[:, moved].astype(np.float16)}


def _moves(path: Path, carrier: Carrier) -> np.ndarray:
    """A shape of ICT-FaceKit without its neutral one, in half precision."""
    return (read_vertices(path) - carrier.neutral).astype(np.float16)


def _rotation(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The best rotation (Kabsch)."""
    left, _, right = np.linalg.svd(after.T @ before)
    return left @ np.diag([1, 1, np.sign(np.linalg.det(left @ right))]) @ right


def _affine(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The best linear map (least squares)."""
    return np.linalg.lstsq(before, after, rcond=None)[0].T
