"""One mesh out of many parts: body, eyes, teeth, hair and so on, with how each shape moves every vertex."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from .accessories import Accessory, hat_height, make_glasses, make_hat
from .complexion import paint_skin
from .identity import ETHNICITIES, Person
from .looks import BALD, Looks
from .materials import (
    BROW,
    CLOTH,
    CORNEA,
    EXTRA,
    EYE,
    GLASS,
    HAIR,
    LASH,
    MOUTH,
    N_MATERIALS,
    SKIN,
    TEETH,
    TONGUE,
)
from .mouth import set_teeth, set_tongue, upper_lip
from .raster import KERNEL, Surface, vertex_normals
from .rig import SHAPES
from .stock import Stock

_BODY = "body"
_STILL = ("cloth", "glasses", "hat", "teeth", "tongue")
"""Parts that no shape moves; teeth and tongue follow the jaw (see `mouth`)."""


@dataclass(frozen=True)
class Mesh:
    """A head ready to be moved and drawn.

    surface          triangles and textures
    render_vertices  [N]      the vertex of each render vertex
    rest             [V, 3]   decimetres
    starts           [K + 1]  where each shape's moves begin
    indices          [M]      the vertices that move
    values           [M, 3]   how far, at weight 1
    slots            name -> first vertex, number of vertices
    n_body           render vertices of the body, which come first
    """

    surface: Surface
    render_vertices: np.ndarray
    rest: np.ndarray
    starts: np.ndarray
    indices: np.ndarray
    values: np.ndarray
    slots: dict[str, tuple[int, int]]
    n_body: int

    def of(self, name: str) -> slice:
        """The vertices of a part."""
        first, count = self.slots[name]
        return slice(first, first + count)


def assemble(rng: np.random.Generator, stock: Stock, person: Person, looks: Looks, body: np.ndarray) -> Mesh:
    """Fit everything to the body's vertices [V, 3] and join it."""
    kinds = {
        "eyes": EYE,
        looks.teeth: TEETH,
        "tongue01": TONGUE,
        looks.cloth: CLOTH,
        looks.brow: BROW,
        looks.lash: LASH,
    }
    if looks.hair != BALD:
        kinds[f"hair_{looks.hair}"] = HAIR
    there = stock.anatomy.part_names()
    builder = _Builder(stock, body)
    builder.add_body(looks.cloth if looks.cloth in there else "")
    for name, material in kinds.items():
        if name in there:
            builder.add_part(name, material, looks)
    for name, accessory in _accessories(rng, stock, looks, body).items():
        builder.add_accessory(name, accessory)
    if looks.hat is not None:
        builder.hide_hair_under_hat()
    starts, indices, values = builder.shape_moves(person)
    texels, textures, tints = _textures(rng, stock, looks, kinds)
    surface = Surface(
        np.ascontiguousarray(np.concatenate(builder.faces).astype(np.int32)),
        np.concatenate(builder.materials).astype(np.int32),
        np.concatenate(builder.uv).astype(np.float32),
        texels,
        textures,
        tints,
    )
    return Mesh(
        surface,
        np.concatenate(builder.render_vertices).astype(np.int32),
        np.ascontiguousarray(np.concatenate(builder.rest).astype(np.float32)),
        starts,
        indices,
        values,
        builder.slots,
        len(stock.anatomy.render_vertices),
    )


class _Builder:
    """Collects parts; vertices and render vertices are numbered through."""

    def __init__(self, stock: Stock, body: np.ndarray) -> None:
        self.stock, self.body = stock, body
        self.render_vertices: list[np.ndarray] = []
        self.uv: list[np.ndarray] = []
        self.faces: list[np.ndarray] = []
        self.materials: list[np.ndarray] = []
        self.rest: list[np.ndarray] = []
        self.slots: dict[str, tuple[int, int]] = {}
        self.n_vertices = self.n_render = 0

    def add_body(self, cloth: str) -> None:
        """The body without what clothes hide, moved in a little below their edge."""
        anatomy, features = self.stock.anatomy, self.stock.features
        faces, materials = anatomy.faces, np.where(features.is_mouth, MOUTH, SKIN)
        inward = np.zeros_like(self.body)
        if cloth:
            part = self.stock.part(cloth)
            hidden = np.zeros(len(self.body), bool)
            hidden[part.hides] = True
            keep = ~hidden[anatomy.render_vertices[faces]].all(1)
            faces, materials = faces[keep], materials[keep]
            inward = self._under(part.fit(self.body))
        self._add(_BODY, self.body - inward, anatomy.render_vertices, anatomy.uv, faces, materials)

    def _under(self, cloth: np.ndarray) -> np.ndarray:
        from scipy.spatial import cKDTree

        anatomy = self.stock.anatomy
        normals = np.empty((len(self.body), 3), np.float32)
        vertex_normals(self.body, anatomy.render_vertices[anatomy.faces].astype(np.int32), normals)
        low = self.body[:, 1] < cloth[np.abs(cloth[:, 0]) < 0.7][:, 1].max() + 0.05
        away = np.ones(len(self.body), np.float32)
        away[low] = cKDTree(cloth).query(self.body[low])[0] / 0.25
        edge = np.clip((cloth[np.abs(cloth[:, 0]) < 0.7][:, 1].max() + 0.05 - self.body[:, 1]) / 0.1, 0, 1)
        return (np.clip(1 - away, 0, 1) * edge * 0.09)[:, None] * normals

    def add_part(self, name: str, material: int, looks: Looks) -> None:
        part = self.stock.part(name)
        rest, faces = part.fit(self.body), part.faces[part.visible]
        lip = upper_lip(self.stock.features, self.body)
        if material == TEETH:
            lower = self.stock.lower_set(name)
            rest = set_teeth(rest, lower, lip, self.height)
            of_lower = lower[part.render_vertices[faces]]
            faces = faces[of_lower.all(1) | ~of_lower.any(1)]
        elif material == TONGUE:
            rest = set_tongue(rest, self.height)
        materials = np.full(len(faces), material)
        if material == EYE:  # the cornea is what the eye's texture leaves clear
            texture = self.stock.texture(f"eye_{looks.eye.removeprefix('eye_')}")
            middle = part.uv[faces].mean(1)
            x = (middle[:, 0] * texture.shape[1]).astype(int).clip(0, texture.shape[1] - 1)
            y = ((1 - middle[:, 1]) * texture.shape[0]).astype(int).clip(0, texture.shape[0] - 1)
            materials[texture[y, x, 3] < 128] = CORNEA
        self._add(name, rest, part.render_vertices, part.uv, faces, materials)

    @property
    def height(self) -> float:
        """From the eyes to the crown."""
        crown = self.body[self.stock.anatomy.render_vertices, 1].max()
        return float(crown - self.eyes[:, 1].mean())

    @property
    def eyes(self) -> np.ndarray:
        """Centres of the eyeballs [2, 3], the head's left first."""
        return eye_centres(self.stock.part("eyes").fit(self.body))

    def add_accessory(self, name: str, accessory: Accessory) -> None:
        n = np.arange(len(accessory.vertices))
        self._add(name, accessory.vertices, n, accessory.uv, accessory.faces, accessory.materials)

    def _add(
        self,
        name: str,
        rest: np.ndarray,
        render_vertices: np.ndarray,
        uv: np.ndarray,
        faces: np.ndarray,
        materials: np.ndarray,
    ) -> None:
        self.slots[name] = (self.n_vertices, len(rest))
        self.rest.append(rest)
        self.render_vertices.append(render_vertices + self.n_vertices)
        self.uv.append(uv)
        self.faces.append(faces + self.n_render)
        self.materials.append(materials)
        self.n_vertices += len(rest)
        self.n_render += len(render_vertices)

    def hide_hair_under_hat(self) -> None:
        """Leave out the triangles of hair that reach above the hat's rim."""
        rest, vertices = np.concatenate(self.rest), np.concatenate(self.render_vertices)
        height = hat_height(rest, self.eyes, brow_height(self.stock, self.body))[vertices]
        for i, (faces, materials) in enumerate(zip(self.faces, self.materials, strict=True)):
            if len(materials) and materials[0] == HAIR:
                keep = (height[faces] < 0).all(1)
                self.faces[i], self.materials[i] = faces[keep], materials[keep]

    def shape_moves(self, person: Person) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """How each of SHAPES moves every part: starts [K + 1], indices [M], values [M, 3]."""
        starts, indices, values = [0], [], []
        for shape in SHAPES:
            moves = _body_moves(self.stock, person, shape, len(self.body))
            found = [self._part_moves(name, moves) for name in self.slots]
            indices += [index for index, _ in found]
            values += [value for _, value in found]
            starts.append(starts[-1] + sum(len(index) for index, _ in found))
        return np.array(starts), np.concatenate(indices).astype(np.int32), np.concatenate(values).astype(np.float32)

    def _part_moves(self, name: str, moves: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        first = self.slots[name][0]
        nothing = np.empty(0, np.int32), np.empty((0, 3), np.float32)
        if moves is None or name.startswith(_STILL):
            return nothing
        if name == _BODY:
            index = np.flatnonzero((moves[:, 0] != 0) | (moves[:, 1] != 0) | (moves[:, 2] != 0))
            return index + first, moves[index]
        part = self.stock.part(name)
        index, value = _carried(moves, part.reference, part.weights)
        return index + first, value


def _body_moves(stock: Stock, person: Person, shape: str, n: int) -> np.ndarray | None:
    """How a shape moves the base mesh [V, 3], or None; MakeHuman's units are mixed as the person's ethnicity is."""
    anatomy = stock.anatomy
    moves = np.zeros((n, 3), np.float32)
    if f"ict/{shape}" in anatomy.expressions:
        anatomy.expressions.add(moves, f"ict/{shape}", 1.0)
        return moves
    names = [f"expression/units/{ethnicity}/{shape}" for ethnicity in ETHNICITIES]
    there = [(name, share) for name, share in zip(names, person.ethnicity, strict=True) if name in anatomy.targets]
    for name, share in there:
        anatomy.targets.add(moves, name, float(share))
    return moves if there else None


def eye_centres(eyes: np.ndarray) -> np.ndarray:
    """Centres [2, 3] of the eyeballs' vertices, the head's left (x > 0) first."""
    halves = eyes[eyes[:, 0] > 0], eyes[eyes[:, 0] < 0]
    return np.stack([(half.min(0) + half.max(0)) / 2 for half in halves])


def brow_height(stock: Stock, body: np.ndarray) -> float:
    """Height of the brows' upper edge."""
    from .features import landmark_slice

    points = stock.features.points(body)
    return float(points[landmark_slice("brow_left")][:5, 1].max())


def _accessories(rng: np.random.Generator, stock: Stock, looks: Looks, body: np.ndarray) -> dict[str, Accessory]:
    anatomy = stock.anatomy
    eyes = eye_centres(stock.part("eyes").fit(body))
    distance = float(eyes[0, 0] - eyes[1, 0])
    found = {}
    if looks.rims is not None:
        wide = float(np.abs(body[np.abs(body[:, 1] - eyes[0, 1]) < 0.2 * distance][:, 0]).max())
        back = eyes[0, 2] - 1.55 * distance
        ears = np.array([(side * wide * 0.86, eyes[0, 1] + 0.12 * distance, back) for side in (1, -1)])
        skin = body[np.unique(anatomy.render_vertices)]
        found["glasses"] = make_glasses(rng, skin, eyes, ears)
    if looks.hat is not None:
        faces = anatomy.render_vertices[anatomy.faces[~stock.features.is_mouth]]
        found["hat"] = make_hat(rng, body, faces, eyes, brow_height(stock, body))
    return found


def _textures(
    rng: np.random.Generator, stock: Stock, looks: Looks, kinds: dict[str, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All textures one after another, where each material's is, and the factors of their colours."""
    skin, tint = paint_skin(rng, stock, looks)
    pictures = {SKIN: skin, MOUTH: skin, EXTRA: _accessory_texture(looks)}
    for name, material in kinds.items():
        pictures[material] = stock.texture(looks.eye if material == EYE else name)
    texels, textures, offset = [], np.zeros((N_MATERIALS, 3), np.int64), 0
    for material, picture in pictures.items():
        if material == MOUTH:
            continue
        texels.append(picture.reshape(-1, 4))
        textures[material] = (offset, picture.shape[1], picture.shape[0])
        offset += len(texels[-1])
    textures[MOUTH] = textures[SKIN]
    texels.append(np.zeros((2048, 4), np.uint8))
    return np.concatenate(texels), textures, _tints(looks, tint)


def _accessory_texture(looks: Looks) -> np.ndarray:
    """Frame colour on the left, hat colour on the right, [2, 8, 4]."""
    out = np.full((2, 8, 4), 255, np.uint8)
    for columns, colour in ((slice(0, 4), looks.rims), (slice(4, 8), looks.hat)):
        if colour is not None:
            out[:, columns, :3] = (np.clip(colour, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8)
    return out


def _tints(looks: Looks, skin: np.ndarray) -> np.ndarray:
    tints = np.ones((N_MATERIALS, 4), np.float32)
    tints[SKIN, :3] = skin
    tints[MOUTH, :3] = (0.30, 0.20, 0.20)
    tints[EYE, :3] = (0.80, 0.78, 0.77)
    tints[TEETH, :3] = looks.tooth_tint
    tints[TONGUE, :3] = (0.55, 0.42, 0.42)
    tints[CLOTH, :3] = looks.cloth_tint
    tints[HAIR] = (*(looks.hair_colour * 4), 1.25)
    tints[BROW] = (*(np.minimum(looks.hair_colour, 0.06) * 1.3), 1.3 * looks.brow_strength)
    tints[LASH] = (0.03, 0.03, 0.03, 1.0)
    tints[GLASS, 3] = looks.tinted
    return tints


@njit(**KERNEL)
def add_shapes(weights, starts, indices, values, out):
    """Add each shape's moves times its weight to the vertices out [V, 3] in place."""
    for k in range(weights.shape[0]):
        w = weights[k]
        if abs(w) < 1e-4:
            continue
        for q in range(starts[k], starts[k + 1]):
            i = indices[q]
            out[i, 0] += w * values[q, 0]
            out[i, 1] += w * values[q, 1]
            out[i, 2] += w * values[q, 2]


@njit(**KERNEL)
def _carried(moves, reference, weights):
    """Which vertices of a part the base mesh's moves [V, 3] carry along, and how far."""
    n = reference.shape[0]
    index, value, found = np.empty(n, np.int32), np.empty((n, 3), np.float32), 0
    for i in range(n):
        x, y, z = 0.0, 0.0, 0.0
        for k in range(3):
            j, w = reference[i, k], weights[i, k]
            x += w * moves[j, 0]
            y += w * moves[j, 1]
            z += w * moves[j, 2]
        if x != 0 or y != 0 or z != 0:
            index[found] = i
            value[found, 0], value[found, 1], value[found, 2] = x, y, z
            found += 1
    return index[:found].copy(), value[:found].copy()
