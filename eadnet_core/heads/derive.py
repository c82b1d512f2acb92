"""From public files to the anatomy: MakeHuman's mesh, targets, parts and pictures, ICT-FaceKit's shapes on that mesh.

The files are those that `sources.tsv` lists. What is kept, cut and reduced is our design; the readers follow
MakeHuman's formats.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BadInput
from ..paths import shown, writing
from . import textures
from .anatomy import Offsets, Part, offsets_of, part_of
from .expressions import MIN_EXPRESSION_DM, Registration, carry_expressions, carry_identity, open_carrier
from .makehuman import FittedPart, Mesh, read_mesh, read_part, read_target
from .sources import SOURCES, SourceFile, listed
from .visible import seen_teeth

CUT_DM = 4.6
"""Below this height of the base mesh, in decimetres, no body is kept."""
HALF_WIDTH_DM = 2.6
CLOTH_CUT_DM, CLOTH_HALF_WIDTH_DM = CUT_DM - 0.5, 3.0
MIN_TARGET_DM, MIN_MOVE_DM = 1e-4, 1e-5
"""A target that moves nothing farther is left out; so is a vertex of a target."""

Arrays = dict[str, Any]
"""The arrays of a file by their names."""


@dataclass(frozen=True)
class Sources:
    """Where the public files are.

    folders  the folder of each source's checkout, or of what was downloaded of it, by the names of `sources.SOURCES`
    files    the files that are used of each, in order
    """

    folders: dict[str, Path]
    files: dict[str, tuple[SourceFile, ...]]

    @classmethod
    def of(cls, folders: dict[str, Path]) -> Sources:
        """Folders with the files that `sources.tsv` lists."""
        return cls(folders, {name: listed(name) for name in folders})

    def path(self, source: str, path: str) -> Path:
        """Where a file of a source lies."""
        return self.folders[source] / path

    def all(self, source: str, suffix: str) -> list[Path]:
        """The files of a source whose paths end in a suffix, in order."""
        return [self.path(source, file.path) for file in self.files[source] if file.path.endswith(suffix)]

    def makehuman(self, pattern: str) -> list[Path]:
        """MakeHuman's files that match a pattern below `data/`, in order."""
        return [path for path in self.all("makehuman-core", "") if path.match(f"data/{pattern}")]

    @cached_property
    def base(self) -> Mesh:
        return read_mesh(self.path("makehuman-core", "data/3dobjs/base.obj"))


def derive_into(folders: dict[str, Path], output: Path, on_step: Callable[[str], None]) -> None:
    """Derive the anatomy in a folder beside `output`, which is there when everything is.

    folders  by the names of `sources.SOURCES`: where each one's files are
    on_step  told what begins
    Raises BadInput where `output` is in the way and for a file that cannot be read, MediaError where writing fails.
    """
    if output.exists():
        raise BadInput(f"'{shown(output)}' is there, and is no whole anatomy. Remove it, or give another --output.")
    partial = output.with_name(output.name + ".partial")
    with writing(partial):
        if partial.exists():
            shutil.rmtree(partial)
        derive(Sources.of(folders), Registration.open(), partial, on_step)
        os.replace(partial, output)


def derive(sources: Sources, registration: Registration, output: Path, on_step: Callable[[str], None]) -> None:
    """Write the anatomy to `output`; raises BadInput for a file that is missing or cannot be read."""
    output.mkdir(parents=True, exist_ok=True)
    on_step("base mesh and parts")
    base, parts = derive_meshes(sources)
    on_step("targets")
    targets = derive_targets(sources, base["need"])
    on_step("expressions and identities")
    shapes = sources.all("ICT-FaceKit", ".obj")
    average = average_head(base["base"], offsets_of(targets))
    carrier = open_carrier(registration, shapes[0].parent, sources.base, base["need"], average)
    expressions = pack_offsets(carry_expressions(shapes, carrier), MIN_EXPRESSION_DM)
    identity = carry_identity(shapes, carrier)
    on_step("what is seen of teeth")
    opened = base["base"].copy()
    offsets_of(expressions).add(opened, "ict/jawOpen", 1.0)
    for name, arrays in parts.items():
        if name.startswith("teeth"):
            arrays["vis"] = seen_teeth(part_of(arrays), opened)
        elif name == "eyes":
            arrays["vis"] = _front_of_eyes(part_of(arrays), base["base"])
    for name, arrays in {"base": base, "targets": targets, "expr_ict": expressions, "identity_ict": identity}.items():
        np.savez_compressed(output / f"{name}.npz", **arrays)
    for name, arrays in parts.items():
        np.savez_compressed(output / f"part_{name}.npz", **arrays)
    on_step("pictures")
    write_pictures(sources, base, output)
    for source in SOURCES.values():
        shutil.copyfile(sources.path(source.name, source.licence_file), output / f"LICENSE.{source.name}.txt")


def derive_meshes(sources: Sources) -> tuple[Arrays, dict[str, Arrays]]:
    """The arrays of base.npz, and of every part by its name (without what is seen of them)."""
    mesh = sources.base
    corners = mesh.vertices[mesh.faces]
    is_near = (corners[:, :, 1].min(1) > CUT_DM) & (np.abs(corners[:, :, 0]).max(1) < HALF_WIDTH_DM)
    render_vertices, texels, faces = mesh.render((mesh.groups == "body") & is_near)
    parts = {name: _cut_part(name, read_part(path), mesh.vertices) for name, path in part_files(sources).items()}
    kept = [render_vertices, *(part[name].ravel() for part in parts.values() for name in ("ref", "sc_vertices"))]
    need = np.unique(np.concatenate(kept))
    renumbered = np.full(len(mesh.vertices), -1)
    renumbered[need] = np.arange(len(need))
    base = {
        "base": mesh.vertices[need],
        "r_v": renumbered[render_vertices].astype(np.int32),
        "r_uv": mesh.uv[texels],
        "r_f": faces.astype(np.int32),
        "need": need.astype(np.int32),
    }
    for part in parts.values():
        hides = renumbered[part["dele"]]
        part["ref"] = renumbered[part["ref"]].astype(np.int32)
        part["dele"] = hides[hides >= 0].astype(np.int32)
        axes = np.concatenate([renumbered[part.pop("sc_vertices")], part["sc"][:, None]], 1)
        part["sc"] = axes.astype(np.float32)
    return base, parts


def part_files(sources: Sources) -> dict[str, Path]:
    """The .mhclo of every part, by the part's name."""
    files = {f"hair_{path.stem}": path for path in sources.makehuman("hair/*/*.mhclo")}
    for path in sources.makehuman("eyebrows/*/*.mhclo"):
        files[f"brow_{path.stem[-2:]}"] = path
    for path in sources.makehuman("eyelashes/*/*.mhclo"):
        files[f"lash_{path.stem[-2:]}"] = path
    for path in sources.makehuman("eyes/*/*.mhclo"):
        files["eyes" if path.stem == "high-poly" else "eyeslow"] = path
    files |= {path.stem: path for kind in ("teeth", "tongue") for path in sources.makehuman(f"{kind}/*/*.mhclo")}
    return files | {f"cloth_{path.stem}": path for path in sources.makehuman("clothes/*/*.mhclo")}


def _cut_part(name: str, part: FittedPart, base: np.ndarray) -> Arrays:
    """A part's arrays with the vertex numbers of MakeHuman's mesh; of clothes, the upper part."""
    mesh = read_mesh(part.object)
    is_kept = None
    if name.startswith("cloth"):
        corners = (base[part.reference] * part.weights[..., None]).sum(1)[mesh.faces]
        is_kept = corners[:, :, 1].min(1) > CLOTH_CUT_DM
        is_kept &= np.abs(corners[:, :, 0]).max(1) < CLOTH_HALF_WIDTH_DM
    vertices, texels, faces = mesh.render(is_kept)
    used, render_vertices = np.unique(vertices, return_inverse=True)
    return {
        "ref": part.reference[used],
        "w": part.weights[used],
        "off": part.offsets[used],
        "sc": part.axes[:, 2],
        "sc_vertices": part.axes[:, :2].astype(int),
        "r_v": render_vertices.astype(np.int32),
        "r_uv": mesh.uv[texels],
        "r_f": faces.astype(np.int32),
        "dele": part.hides,
        "z": np.array(part.depth),
    }


def derive_targets(sources: Sources, need: np.ndarray) -> Arrays:
    """The arrays of targets.npz; `need` [V] are the numbers of the vertices that are kept."""
    root = sources.path("makehuman-core", "data/targets")
    moves = {}
    for path in sources.all("makehuman-core", ".target"):
        name = path.relative_to(root).with_suffix("").as_posix()
        moves[name] = read_target(path, len(sources.base.vertices))[need]
    return pack_offsets({k: v for k, v in moves.items() if np.abs(v).max() >= MIN_TARGET_DM}, MIN_MOVE_DM)


def pack_offsets(moves: dict[str, np.ndarray], threshold_dm: float) -> Arrays:
    """Moves [V, 3] by name as the arrays of `anatomy.Offsets`, in half precision, without vertices that hardly move.

    >>> packed = pack_offsets({"a": np.array([[0, 0, 0], [0, 2, 0]])}, 1e-5)
    >>> packed["idx"].tolist(), packed["val"].tolist(), packed["ptr"].tolist()
    ([1], [[0.0, 2.0, 0.0]], [0, 1])
    """
    rows = [np.nonzero(np.abs(move).max(1) > threshold_dm)[0] for move in moves.values()]
    values = [move[row].astype(np.float16) for move, row in zip(moves.values(), rows, strict=True)]
    return {
        "names": np.array(list(moves)),
        "idx": np.concatenate(rows).astype(np.uint16),
        "val": np.concatenate(values),
        "ptr": np.cumsum([0, *map(len, rows)]),
    }


def average_head(base: np.ndarray, targets: Offsets) -> np.ndarray:
    """The base mesh [V, 3] half way between young woman and young man."""
    vertices = base.copy()
    for sex in ("male", "female"):
        targets.add(vertices, f"macrodetails/caucasian-{sex}-young", 0.5)
    return vertices


def _front_of_eyes(part: Part, base: np.ndarray) -> np.ndarray:
    """The triangles of the eyes' front halves, [F] bool."""
    fitted = part.fit(base)
    middles = []
    for side in (1, -1):
        depths = fitted[fitted[:, 0] * side > 0][:, 2]
        middles.append((depths.min() + depths.max()) / 2)
    return fitted[part.render_vertices][part.faces][:, :, 2].max(1) > min(middles)


def write_pictures(sources: Sources, base: Arrays, output: Path) -> None:
    """Write tex_*.png, tex_*.jpg and mask_*.png."""
    for name, path in part_files(sources).items():
        kind = name.split("_")[0]
        if kind in ("hair", "brow", "lash"):
            picture = textures.strands(_beside(path), 1024 if kind == "hair" else 256)
            picture.save(output / f"tex_{name}.png")
        elif kind == "cloth":
            textures.shrink(_beside(path), "RGB", 512).save(output / f"tex_{name}.jpg", quality=textures.CLOTH_QUALITY)
        elif kind == "teeth":
            textures.teeth(path.parent / "teeth.png").save(output / f"tex_{name}.jpg", quality=textures.JPEG_QUALITY)
        elif kind == "tongue01":
            textures.shrink(_beside(path), "RGB", 256).save(output / f"tex_{name}.jpg", quality=textures.CLOTH_QUALITY)
    for path in sources.makehuman("eyes/materials/*.png"):
        textures.shrink(path, "RGBA", 512).save(output / f"tex_eye_{path.stem.removesuffix('_eye')}.png")
    heights = base["base"][base["r_v"]][:, 1]
    area = textures.skin_area(heights, base["r_uv"], base["r_f"])
    for path in sources.makehuman("skins/*/*.png"):
        name = f"tex_skin_{path.parent.name}.jpg"
        textures.skin(path, area).save(output / name, quality=textures.JPEG_QUALITY)
    for name, source, size_px in (("mouth", "inside-mouth", 256), ("lips", "lips", 512)):
        path = sources.path("mpfb2", f"src/mpfb/data/textures/mpfb_{source}.jpg")
        textures.mask(path, size_px).save(output / f"mask_{name}.png")


def _beside(path: Path) -> Path:
    """The picture of a part: `<part>_diffuse.png` or `<part>.png`."""
    diffuse = path.with_name(f"{path.stem}_diffuse.png")
    return diffuse if diffuse.is_file() else path.with_suffix(".png")
