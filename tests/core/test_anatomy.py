"""The anatomy of the 3-D heads: what is read, what is refused, and that ours is as the real one."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from eadnet_core.errors import BadInput
from eadnet_core.heads.anatomy import DEFAULT_FOLDER, FOLDER_VARIABLE, Anatomy, anatomy_folder


@pytest.fixture(params=["tiny_anatomy", "real_anatomy"])
def anatomy(request: pytest.FixtureRequest) -> Anatomy:
    return request.getfixturevalue(request.param)


def test_every_index_points_at_something(anatomy: Anatomy) -> None:
    n = len(anatomy.base)
    assert anatomy.base.dtype == np.float32 and anatomy.base.shape == (n, 3)
    assert len(anatomy.source_indices) == n and anatomy.render_vertices.max() < n
    assert anatomy.faces.max() < len(anatomy.uv) == len(anatomy.render_vertices)
    assert anatomy.identity_modes.shape == (100, len(anatomy.identity_vertices), 3)
    for offsets in (anatomy.targets, anatomy.expressions):
        assert offsets.indices.max() < n and offsets.starts[-1] == len(offsets.values)
    for name in anatomy.part_names():
        part = anatomy.part(name)
        assert part.reference.max() < n and part.axes[:, :2].max() < n and part.hides.max(initial=0) < n
        assert len(part.visible) == len(part.faces) and part.faces.max() < len(part.uv) == len(part.render_vertices)
        assert np.isfinite(part.fit(anatomy.base)).all() and part.fit(anatomy.base).shape == part.offsets.shape


def test_each_kind_has_what_a_head_needs(anatomy: Anatomy) -> None:
    for kind in ("hair_", "brow_", "lash_", "teeth_", "cloth_", "eyes", "tongue01"):
        for name in anatomy.part_names(kind):
            if not name.startswith("eyes"):
                picture = anatomy.texture(name)
                assert picture.dtype == np.uint8 and picture.shape[2] == 4
        assert anatomy.part_names(kind)
    assert anatomy.texture_names("skin_") and anatomy.texture_names("eye_")
    for name in ("mouth", "lips"):
        mask = anatomy.mask(name)
        assert mask.ndim == 2 and mask.dtype == np.uint8 and mask.min() == 0 and mask.max() > 200


def test_the_tiny_one_has_the_names_of_the_real_one(tiny_anatomy: Anatomy, real_anatomy: Anatomy) -> None:
    assert tiny_anatomy.expressions.names == real_anatomy.expressions.names
    odd = [name for name in tiny_anatomy.targets if name not in real_anatomy.targets]
    assert all(name.split("/")[0] in ("chin", "nose", "eyes", "head") for name in odd)
    assert set(tiny_anatomy.part_names()) <= set(real_anatomy.part_names())


def test_the_jaw_opens_downward_and_a_weight_scales(anatomy: Anatomy) -> None:
    moved = anatomy.base.copy()
    anatomy.expressions.add(moved, "ict/jawOpen", 0.5)
    step = moved - anatomy.base
    assert step[:, 1].min() < -0.1
    indices, values = anatomy.expressions.of("ict/jawOpen")
    np.testing.assert_allclose(step[indices], 0.5 * values, atol=1e-5)
    assert "ict/jawOpen" in anatomy.expressions and "ict/jaw" not in anatomy.expressions


def test_parts_follow_the_base_mesh(anatomy: Anatomy) -> None:
    part = anatomy.part("eyes")
    shift = np.array([0.1, -0.2, 0.3], np.float32)
    np.testing.assert_allclose(part.fit(anatomy.base + shift), part.fit(anatomy.base) + shift, atol=1e-4)


def test_where_it_is_looked_for(monkeypatch: pytest.MonkeyPatch, tiny_anatomy_folder: Path) -> None:
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    assert anatomy_folder() == DEFAULT_FOLDER
    monkeypatch.setenv(FOLDER_VARIABLE, str(tiny_anatomy_folder))
    assert Anatomy.open().folder == tiny_anatomy_folder
    assert anatomy_folder("elsewhere") == Path("elsewhere")


def test_what_is_missing_or_damaged_is_said(tiny_anatomy_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"holds no anatomy.*`eadnet download heads`.*--heads FOLDER, or EADNET_HEADS"):
        Anatomy.open(tmp_path)
    folder = tmp_path / "copy"
    shutil.copytree(tiny_anatomy_folder, folder)
    anatomy = Anatomy.open(folder)
    for name, kind in (("hair_afro01", anatomy.part), ("skin_blue", anatomy.texture), ("ears", anatomy.mask)):
        with pytest.raises(BadInput, match=rf"has no (part|texture|mask) '{name}'; it has \w+, "):
            kind(name)
    with pytest.raises(BadInput, match="no 'ict/wink' among 47 names"):
        anatomy.expressions.of("ict/wink")
    (folder / "part_eyes.npz").write_bytes(b"PK but no archive")
    with pytest.raises(BadInput, match=r"part_eyes\.npz' is no file of the anatomy, or damaged"):
        anatomy.part("eyes")
    np.savez(folder / "targets.npz", names=np.array(["a"]))
    with pytest.raises(BadInput, match=r"targets\.npz' .*no array 'idx'"):
        Anatomy.open(folder)
    (folder / "targets.npz").unlink()
    with pytest.raises(BadInput, match=r"lacks targets\.npz"):
        Anatomy.open(folder)
