"""From public files to an anatomy: readers, carried shapes, a whole small tree, and the real files where they are."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eadnet_core.errors import BadInput
from eadnet_core.heads.anatomy import Anatomy, Part, offsets_of
from eadnet_core.heads.derive import Sources, derive, derive_into, pack_offsets
from eadnet_core.heads.expressions import EYES, LOWER_TEETH, Carrier, Registration
from eadnet_core.heads.makehuman import read_mesh, read_part, read_target, read_vertices
from eadnet_core.heads.sources import SourceFile, find_folders, listed
from eadnet_core.heads.visible import seen_teeth

N_ICT = EYES[1].stop
"""Vertices of ICT-FaceKit's mesh up to the last that is used."""

MESH = """# a mesh
v 0 5 0
v 1 5 0
v 1 6 0
v 0 6 0
vt 0 0
vt 1 0
vt 1 1
vt 0 1
g body
f 1/1 2/2 3/3 4/4
g helper-tongue
f 1/1 2/2 3/3
"""

PART = """# a part
name hair
obj_file hair.obj
x_scale 0 1 1.0
y_scale 1 2 0.5
z_depth 61
verts 0
 0 1 2 0.5 0.25 0.25 0.1 0.2 0.3
 3
material hair.mhmat
delete_verts
 0 2 - 3
"""


def test_a_mesh_is_read_and_its_polygons_cut(tmp_path: Path) -> None:
    (tmp_path / "base.obj").write_text(MESH)
    mesh = read_mesh(tmp_path / "base.obj")
    assert mesh.vertices.tolist() == [[0, 5, 0], [1, 5, 0], [1, 6, 0], [0, 6, 0]]
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 2]]
    assert mesh.groups.tolist() == ["body", "body", "helper-tongue"]
    vertices, texels, faces = mesh.render(mesh.groups == "body")
    assert vertices.tolist() == texels.tolist() == [0, 1, 2, 3] and faces.tolist() == [[0, 1, 2], [0, 2, 3]]
    np.testing.assert_array_equal(read_vertices(tmp_path / "base.obj"), mesh.vertices)


def test_a_target_and_a_part_are_read(tmp_path: Path) -> None:
    (tmp_path / "nose.target").write_text("# moves\n1 .5 0 -.25\n\n9 1 1 1\n")
    assert read_target(tmp_path / "nose.target", 3).tolist() == [[0, 0, 0], [0.5, 0, -0.25], [0, 0, 0]]
    (tmp_path / "hair.mhclo").write_text(PART)
    part = read_part(tmp_path / "hair.mhclo")
    assert part.object == tmp_path / "hair.obj" and part.depth == 61
    assert part.reference.tolist() == [[0, 1, 2], [3, 3, 3]] and part.weights[1].tolist() == [1, 0, 0]
    assert part.axes.tolist() == [[0, 1, 1], [1, 2, 0.5], [0, 0, 0]] and part.hides.tolist() == [0, 2, 3]
    np.testing.assert_allclose(part.offsets[0], (0.1, 0.2, 0.3))


@pytest.mark.parametrize("text", ["", "v 0 one 0\n", "verts 0\n 1 2\n"])
def test_what_cannot_be_read_is_said(text: str, tmp_path: Path) -> None:
    path = tmp_path / "damaged"
    for read in (read_mesh, read_vertices, read_part):
        with pytest.raises(BadInput, match="damaged' cannot be read"):
            read(path)
    path.write_text(text)
    for read in (read_mesh, read_vertices, read_part):
        with pytest.raises(BadInput, match=r"damaged' is no (mesh|part) that can be read .*download heads"):
            read(path)


def small_registration() -> Registration:
    """Vertex 0 follows the mean of two, vertex 1 takes identities alone; a quarter turn about z, tenfold smaller."""
    return Registration(
        vertices=np.array([0, 1]),
        starts=np.array([0, 2, 3]),
        followed=np.array([5, 6, 7]),
        weights=np.array([0.5, 0.5, 1.0]),
        expression=np.array([1.0, 0.0]),
        identity=np.array([0.5, 1.0]),
        rotation=np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]),
        scale=0.1,
        shift=np.array([1.0, 2, 3]),
    )


def test_moves_are_weighed_turned_and_scaled() -> None:
    rng = np.random.default_rng(2)
    names = ("upper-teeth", "lower-teeth", "tongue", "l-eye", "r-eye")
    stiff = {name: np.array([2, 3]) if name == "lower-teeth" else np.zeros(0, int) for name in names}
    carrier = Carrier(small_registration(), rng.normal(0, 1, (N_ICT, 3)), rng.normal(0, 1, (4, 3)), np.arange(2), stiff)
    moves = np.zeros((N_ICT, 3))
    moves[5:8] = [(2, 0, 0), (4, 0, 0), (0, 0, 6)]
    moves[LOWER_TEETH] = (0, 10, 0)
    carried = carrier.carry(moves, is_identity=False)
    np.testing.assert_allclose(carried, [(0, 0.3, 0), (0, 0, 0), (-1, 0, 0), (-1, 0, 0)], atol=1e-6)
    np.testing.assert_allclose(carrier.carry(moves, is_identity=True)[:2], [(0, 0.15, 0), (0, 0, 0.6)], atol=1e-6)


def test_stiff_parts_turn_without_bending() -> None:
    rng = np.random.default_rng(3)
    empty = np.zeros(0, int)
    stiff = {name: empty for name in ("upper-teeth", "tongue", "l-eye", "r-eye")} | {"lower-teeth": np.arange(4)}
    neutral = rng.normal(0, 1, (N_ICT, 3))
    turn = np.array([(0.8, -0.6, 0), (0.6, 0.8, 0), (0, 0, 1)])
    carrier = Carrier(small_registration(), neutral, rng.normal(0, 1, (4, 3)), np.arange(2), stiff)
    moved = carrier.base + carrier.carry(neutral @ turn.T - neutral, is_identity=False)
    far = carrier.base[1:] - carrier.base[0]
    np.testing.assert_allclose(np.linalg.norm(moved[1:] - moved[0], axis=1), np.linalg.norm(far, axis=1), atol=1e-6)
    about = carrier.registration.rotation @ turn @ carrier.registration.rotation.T
    np.testing.assert_allclose(moved[1:] - moved[0], far @ about.T, atol=1e-6)


def test_the_shipped_registration_follows_vertices_that_are_there() -> None:
    registration = Registration.open()
    assert len(registration.vertices) + 1 == len(registration.starts)
    assert (np.diff(registration.starts) > 0).all() and registration.starts[-1] == len(registration.followed)
    assert registration.vertices.max() < 19_158 and registration.followed.max() < 14_062
    np.testing.assert_allclose(registration.rotation @ registration.rotation.T, np.eye(3), atol=1e-12)
    assert 0.09 < registration.scale < 0.095


class SmallTree:
    """A few files in the formats of the three sources: a block for a head, one part of each kind, grey pictures."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, list[SourceFile]] = {"makehuman-core": [], "mpfb2": [], "ICT-FaceKit": []}

    def path(self, source: str, path: str) -> Path:
        self.files[source].append(SourceFile(source, path, 0, ""))
        there = self.folder / source / path
        there.parent.mkdir(parents=True, exist_ok=True)
        return there

    def write(self) -> Sources:
        for source, licence in (
            ("makehuman-core", "NOTICE.md"),
            ("mpfb2", "LICENSE.ASSETS.md"),
            ("ICT-FaceKit", "LICENSE"),
        ):
            self.path(source, licence).write_text("a licence\n")
        self.path("makehuman-core", "data/3dobjs/base.obj").write_text(self.base())
        kinds = {"hair/short01": "short01", "eyebrows/eyebrow001": "eyebrow001", "eyelashes/eyelashes01": "eyelashes01"}
        kinds |= {"eyes/high-poly": "high-poly", "teeth/teeth_base": "teeth_base", "tongue/tongue01": "tongue01"}
        for place, name in (kinds | {"clothes/male_casualsuit02": "male_casualsuit02"}).items():
            self.part(f"data/{place}/{name}")
        for name in ("hair/short01/short01_diffuse", "eyebrows/eyebrow001/eyebrow001", "eyes/materials/brown_eye"):
            self.picture("makehuman-core", f"data/{name}.png")
        for name in ("eyelashes/eyelashes01/eyelashes01", "teeth/teeth_base/teeth", "tongue/tongue01/tongue01_diffuse"):
            self.picture("makehuman-core", f"data/{name}.png")
        self.picture("makehuman-core", "data/clothes/male_casualsuit02/male_casualsuit02_diffuse.png")
        self.picture("makehuman-core", "data/skins/young_asian_male/skin.png")
        for name in ("macrodetails/caucasian-male-young", "macrodetails/caucasian-female-young", "nose/nose-up"):
            self.path("makehuman-core", f"data/targets/{name}.target").write_text("6 0 .1 0\n")
        self.path("makehuman-core", "data/targets/nose/nose-still.target").write_text("6 0 .00001 0\n")
        for name in ("inside-mouth", "lips"):
            self.picture("mpfb2", f"src/mpfb/data/textures/mpfb_{name}.jpg")
        neutral = np.random.default_rng(1).normal(0, 1, (N_ICT, 3)).round(3)
        for k, name in enumerate(("generic_neutral_mesh", "identity000", "jawOpen")):
            rows = "\n".join(f"v {x:.3f} {y - 0.5 * k:.3f} {z:.3f}" for x, y, z in neutral)
            self.path("ICT-FaceKit", f"FaceXModel/{name}.obj").write_text(rows + "\nf 1 2 3\n")
        folders = {name: self.folder / name for name in self.files}
        return Sources(folders, {name: tuple(files) for name, files in self.files.items()})

    def base(self) -> str:
        """Two quads, one above the other, and one below that is cut; the tongue is the upper quad again."""
        rows = [f"v {x} {y} {z}" for y, z in ((3, 0), (5, 0), (6.5, 1), (7.5, 1)) for x in (-1, 1)]
        quads = "f 1/1 2/2 4/3 3/4\nf 3/1 4/2 6/3 5/4\nf 5/1 6/2 8/3 7/4\n"
        groups = "".join(
            f"g helper-{name}\nf 7/1 8/2 6/3\n" for name in ("upper-teeth", "lower-teeth", "l-eye", "r-eye")
        )
        return (
            "\n".join(rows)
            + f"\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\ng body\n{quads}{groups}g helper-tongue\nf 5/1 6/2 8/3\n"
        )

    def part(self, path: str) -> None:
        name = Path(path).name
        rows = "".join(f" {k}\n" for k in (4, 5, 7, 6))
        axes = "x_scale 4 5 2.0\ny_scale 4 6 1.0\nz_scale 4 7 1.0\n"
        head = f"name {name}\nobj_file {name}.obj\n{axes}z_depth 50\nverts 0\n"
        self.path("makehuman-core", f"{path}.mhclo").write_text(head + rows + "delete_verts\n 0 - 2\n")
        corners = "v -1 6.5 1\nv 1 6.5 1\nv 1 7.5 1\nv -1 7.5 1\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"
        self.path("makehuman-core", f"{path}.obj").write_text(corners + "f 1/1 2/2 3/3 4/4\n")

    def picture(self, source: str, path: str) -> None:
        Image.new("RGB", (32, 32), (160, 120, 90)).save(self.path(source, path))


def test_a_small_tree_becomes_an_anatomy(tmp_path: Path) -> None:
    sources, steps = SmallTree(tmp_path / "sources").write(), []
    registration = replace(small_registration(), vertices=np.array([6, 7]))
    derive(sources, registration, tmp_path / "pack", steps.append)
    anatomy = Anatomy.open(tmp_path / "pack")
    assert anatomy.source_indices.tolist() == [2, 3, 4, 5, 6, 7], "the lowest quad reaches below the cut"
    assert len(anatomy.faces) == 4 and len(steps) == 5
    assert set(anatomy.targets) == {
        "macrodetails/caucasian-male-young",
        "macrodetails/caucasian-female-young",
        "nose/nose-up",
    }
    assert anatomy.expressions.names == ("ict/jawOpen",) and anatomy.identity_modes.shape[0] == 1
    moved = anatomy.base.copy()
    anatomy.expressions.add(moved, "ict/jawOpen", 1.0)
    np.testing.assert_allclose((moved - anatomy.base)[4:], np.tile((0.1, 0, 0), (2, 1)), atol=1e-3)
    names = ["brow_01", "cloth_male_casualsuit02", "eyes", "hair_short01", "lash_01", "teeth_base", "tongue01"]
    assert anatomy.part_names() == names
    for name in names:
        np.testing.assert_allclose(anatomy.part(name).fit(anatomy.base)[:, 1].max(), 7.5, atol=1e-6)
        assert anatomy.part(name).hides.tolist() == [0], "vertices that are cut off are not hidden"
    with (
        np.load(tmp_path / "pack" / "part_teeth_base.npz") as teeth,
        np.load(tmp_path / "pack" / "part_eyes.npz") as eyes,
    ):
        assert len(teeth["vis"]) == len(eyes["vis"]) == 2
    assert anatomy.texture("skin_young_asian_male").shape == (1536, 1536, 4)
    assert anatomy.texture("hair_short01").shape == (32, 32, 4) and anatomy.mask("lips").shape == (512, 512)
    assert (tmp_path / "pack" / "LICENSE.ICT-FaceKit.txt").read_text() == "a licence\n"


def test_teeth_behind_teeth_are_not_seen() -> None:
    """Two upper triangles one behind the other, and a lower one."""
    corner = np.array([(-0.1, 0, 0), (0.1, 0, 0), (0, 0.1, 0)])
    ahead, behind, below = np.array([(0, 0.2, 0.1), (0, 0.21, 0.09), (0, -0.3, 0)])
    points = np.concatenate([corner + ahead, 0.2 * corner + behind, corner + below])
    numbers = np.arange(9)
    part = Part(
        reference=np.repeat(numbers[:, None], 3, 1),
        weights=np.tile((1.0, 0, 0), (9, 1)),
        offsets=np.zeros((9, 3)),
        axes=np.zeros((3, 3)),
        render_vertices=numbers,
        uv=np.zeros((9, 2)),
        faces=numbers.reshape(3, 3),
        hides=numbers[:0],
        depth=50,
        visible=np.ones(3, bool),
    )
    assert seen_teeth(part, points).tolist() == [True, False, True]


def test_what_is_in_the_way_stays(tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    with pytest.raises(BadInput, match="pack' is there, and is no whole anatomy"):
        derive_into({}, tmp_path / "pack", str)


def test_offsets_survive_being_packed() -> None:
    moves = {"a": np.eye(4, 3), "b": np.zeros((4, 3)), "c": np.full((4, 3), 0.25)}
    offsets = offsets_of(pack_offsets(moves, 1e-5))
    for name, move in moves.items():
        moved = np.zeros((4, 3), np.float32)
        offsets.add(moved, name, 1.0)
        np.testing.assert_array_equal(moved, move)


@pytest.fixture(scope="module")
def real_sources() -> Sources:
    folder = os.environ.get("EADNET_HEADS_SOURCES")
    if not folder:
        pytest.skip(
            "EADNET_HEADS_SOURCES is not set to a folder with makehuman-core, mpfb2 and ICT-FaceKit checked out"
        )
    return Sources.of(find_folders(Path(folder)))


def test_the_real_files_give_the_real_anatomy(real_sources: Sources, real_anatomy: Anatomy, tmp_path: Path) -> None:
    derive(real_sources, Registration.open(), tmp_path, str)
    made = Anatomy.open(tmp_path)
    for name in ("base", "source_indices", "render_vertices", "uv", "faces"):
        np.testing.assert_array_equal(getattr(made, name), getattr(real_anatomy, name))
    for name in ("indices", "values", "starts"):
        np.testing.assert_array_equal(getattr(made.targets, name), getattr(real_anatomy.targets, name))
    assert made.part_names() == real_anatomy.part_names()
    for name in made.part_names():
        for field, value in vars(made.part(name)).items():
            np.testing.assert_array_equal(value, getattr(real_anatomy.part(name), field), err_msg=f"{name}.{field}")
    assert made.expressions.names == real_anatomy.expressions.names
    for name in made.expressions:
        moved, wanted = (np.zeros_like(made.base) for _ in range(2))
        made.expressions.add(moved, name, 1.0)
        real_anatomy.expressions.add(wanted, name, 1.0)
        np.testing.assert_allclose(moved, wanted, atol=4e-4, err_msg=name)
    np.testing.assert_array_equal(made.identity_vertices, real_anatomy.identity_vertices)
    np.testing.assert_allclose(made.identity_modes, real_anatomy.identity_modes, atol=6e-4)
    assert made.texture_names() == real_anatomy.texture_names()
    for name in made.texture_names():
        # Pillow's resampling and JPEG may differ a little from version to version.
        difference = np.abs(made.texture(name).astype(int) - real_anatomy.texture(name))
        assert difference.mean() < 0.5, name


def test_the_list_is_what_is_read() -> None:
    sources = Sources.of({name: Path(name) for name in ("makehuman-core", "mpfb2", "ICT-FaceKit")})
    assert len(sources.all("makehuman-core", ".target")) == 432
    assert len(sources.all("ICT-FaceKit", ".obj")) == 148 == len(listed("ICT-FaceKit")) - 1
    assert len(sources.makehuman("hair/*/*.mhclo")) == 8 and len(sources.makehuman("skins/*/*.png")) == 11
