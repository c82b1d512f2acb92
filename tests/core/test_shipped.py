"""Held-out clips as files: written, read again at two sizes, and what is said where they do not do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eadnet_core.errors import BadInput
from eadnet_core.evaluation import shipped
from eadnet_core.evaluation.clips import evaluate
from eadnet_core.evaluation.heldout import Case, draw_cases, draw_clips, with_length
from eadnet_core.heads.anatomy import FOLDER_VARIABLE
from eadnet_core.metrics.fidelity import psnr

pytest.importorskip(
    "espeakng_loader", reason="held-out clips speak with the package espeakng_loader of the train extra"
)

N_FRAMES = 36


def few(clips: int, seed: int) -> list[list[Case]]:
    return [group[:2] for group in with_length(draw_cases(clips, seed), N_FRAMES)]


@pytest.fixture(scope="module")
def folder(tiny_anatomy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of one group, 64 px wide."""
    folder = tmp_path_factory.mktemp("heldout")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shipped, "draw_cases", few)
        patch.setattr(shipped, "SIZE_PX", 64)
        shipped.write_shipped(folder, 4, tiny_anatomy_folder)
    return folder


@pytest.fixture
def without_anatomy(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr(shipped, "DEFAULT_FOLDER", Path("nowhere"))
    monkeypatch.setattr(shipped, "FOLDER", folder)


@pytest.mark.usefixtures("without_anatomy")
def test_what_is_read_is_what_was_drawn(tiny_anatomy_folder: Path) -> None:
    cases = few(4, shipped.SEED)
    drawn, read = (next(shipped.open_clips(cases, shipped.SEED, 64, heads)) for heads in (tiny_anatomy_folder, None))
    for one, other in zip(drawn, read, strict=True):
        assert (one.case, one.prompt, one.tone, one.sex) == (other.case, other.prompt, other.tone, other.sex)
        assert psnr(other.truth.frames, one.truth.frames) > 30
        np.testing.assert_allclose(other.truth.samples, one.truth.samples, atol=1 / 20_000)
        np.testing.assert_array_equal(other.motion, one.motion)
        np.testing.assert_array_equal(other.truth.mouth_opening, one.truth.mouth_opening)
        np.testing.assert_allclose(other.controls, one.controls, atol=1e-3)


@pytest.mark.usefixtures("without_anatomy")
def test_they_are_reduced_by_means() -> None:
    (whole, _), (half, _) = (next(shipped.open_clips(few(4, 0), shipped.SEED, size)) for size in (64, 32))
    assert half.truth.frames.shape == (N_FRAMES, 32, 32, 3) and half.truth.reference.shape == (32, 32, 3)
    means = whole.truth.frames.reshape(N_FRAMES, 32, 2, 32, 2, 3).mean((2, 4))
    assert np.abs(half.truth.frames - means).max() <= 0.5
    with pytest.raises(BadInput, match="64 px wide and cannot be shown at 48 px"):
        next(shipped.open_clips(few(4, 0), shipped.SEED, 48))


@pytest.mark.usefixtures("without_anatomy")
def test_what_is_not_shipped_says_what_to_do() -> None:
    for groups, seed in ((few(4, 1), 1), (with_length(few(4, shipped.SEED), 30), shipped.SEED)):
        with pytest.raises(BadInput, match=r"2 clips of seed 0 .*--clips 2 --seed 0.*`eadnet download heads`.*--heads"):
            shipped.open_clips(groups, seed, 64)
    with pytest.raises(BadInput, match="must be drawn"):
        evaluate(clips=4, seed=7)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no held-out clips"):
        shipped.check_shipped(few(4, 0), 0, tmp_path)


@pytest.mark.usefixtures("without_anatomy")
def test_a_named_anatomy_is_never_passed_over(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no anatomy"):
        list(draw_clips(few(4, 0), 0, 64, tmp_path))
    assert shipped.has_anatomy(tmp_path) and not shipped.has_anatomy()


@pytest.mark.usefixtures("without_anatomy")
def test_an_empty_variable_names_no_anatomy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, "")
    assert not shipped.has_anatomy()
