"""Fit This Face: a rendered head that speaks, the mouth that is learned from it, and the folder that comes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from eadnet_core.errors import BadInput, CheckpointError, FaceNotFound
from eadnet_core.evaluation.shipped import FOLDER
from eadnet_core.families.load import load_model
from eadnet_core.families.mini import MiniModel
from eadnet_core.generation.fitting import Fitting, _frame_like, check_fit_output, fit_face, read_mouths, save_fitted
from eadnet_core.media.face.crop import FaceCrop
from eadnet_core.media.face.landmarks import read_landmarks
from eadnet_core.media.video.files import read_video

N_FRAMES, STEP = 36, 2


@pytest.fixture(scope="module")
def mini() -> MiniModel:
    model = load_model("mini", "cpu")
    assert isinstance(model, MiniModel)
    return model


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """The portrait of a head that ships, then frames of it that speak with an emotion."""
    return np.stack([f for i, f in enumerate(read_video(FOLDER / "01.mp4").frames()) if i % STEP == 0][:N_FRAMES])


@pytest.fixture(scope="module")
def fitted(mini: MiniModel, pictures: np.ndarray) -> tuple[MiniModel, Fitting]:
    shares: list[float] = []
    made = fit_face(pictures[0], lambda: pictures, mini, seconds=2.0, on_step=shares.append)
    assert shares == sorted(shares) and shares[-1] == 1.0
    return made


def test_frames_that_it_did_not_see_are_painted_nearer(fitted: tuple[MiniModel, Fitting]) -> None:
    fitting = fitted[1]
    assert fitting.n_frames >= 6 and fitting.n_checked >= 2
    assert fitting.is_better and fitting.after < 0.97 * fitting.before, fitting


def test_only_teeth_are_changed(fitted: tuple[MiniModel, Fitting], mini: MiniModel) -> None:
    own, base = fitted[0].vae.state_dict(), mini.vae.state_dict()
    changed = {key for key in base if not torch.equal(own[key], base[key])}
    assert changed == {"lips_and_lids.teeth"}


def test_its_folder_is_a_model(fitted: tuple[MiniModel, Fitting], tmp_path: Path) -> None:
    path = save_fitted(tmp_path / "face", *fitted, source="a.mp4")
    assert path.stat().st_size < 400_000
    again = load_model(str(tmp_path / "face"), "cpu")
    assert isinstance(again, MiniModel) and again.name == "mini"
    one, other = (model.vae.lips_and_lids.teeth for model in (again, fitted[0]))
    torch.testing.assert_close(one, other, atol=2e-3, rtol=2e-3)  # the file is in half precision
    with pytest.raises(BadInput, match="holds a model already"):
        check_fit_output(tmp_path / "face")
    check_fit_output(tmp_path / "face", overwrite=True)


def test_it_does_not_go_with_other_weights(
    fitted: tuple[MiniModel, Fitting], tiny_folder: Path, tmp_path: Path
) -> None:
    save_fitted(tmp_path / "face", *fitted, source="a.mp4")
    (tmp_path / "mini").mkdir()
    for file in tiny_folder.glob("*.safetensors"):
        (tmp_path / "mini" / file.name).write_bytes(file.read_bytes())
    with pytest.raises(CheckpointError, match="is not the file that it was written beside"):
        load_model(str(tmp_path / "face"), "cpu")
    with pytest.raises(BadInput, match="must lie beside"):
        save_fitted(tmp_path / "other", *fitted, source="a.mp4")


def test_a_head_is_brought_to_the_portraits_place(pictures: np.ndarray) -> None:
    """A turned and smaller picture of the same face has the same crop."""
    side = pictures.shape[1]
    points = read_landmarks(pictures[0], [FaceCrop(side / 2, side / 2, side)])[0].points
    angle, scale = 0.3, 0.5
    turned = points.copy()
    x, y = (scale * points[:, :2]).T
    turned[:, 0], turned[:, 1] = x * np.cos(angle) - y * np.sin(angle) + 7, x * np.sin(angle) + y * np.cos(angle) - 3
    own, found = _frame_like(points, points), _frame_like(turned, points)
    assert found.side_px == pytest.approx(scale * own.side_px, rel=1e-4)
    assert found.angle - own.angle == pytest.approx(angle, abs=1e-4)
    cx, cy = scale * np.array(own.center)
    expected = cx * np.cos(angle) - cy * np.sin(angle) + 7, cx * np.sin(angle) + cy * np.cos(angle) - 3
    assert found.center == pytest.approx(expected, abs=0.01)


class TestRefusals:
    def test_a_mouth_that_stays_shut(self, mini: MiniModel, pictures: np.ndarray) -> None:
        still = np.repeat(pictures[:1], 3, 0)
        with pytest.raises(BadInput, match=r"Only 0 of 3 frames show an open mouth .* Give a video"):
            fit_face(pictures[0], lambda: still, mini, seconds=1.0)

    def test_nothing_and_nobody(self, mini: MiniModel, pictures: np.ndarray) -> None:
        grey = np.full((2, 64, 64, 3), 120, np.uint8)
        with pytest.raises(BadInput, match="There is no picture"):
            read_mouths(pictures[0], lambda: [], mini.vae)
        with pytest.raises(FaceNotFound, match="No face in any of 2 frames"):
            read_mouths(pictures[0], lambda: grey, mini.vae)
        with pytest.raises(FaceNotFound, match="No face was found in the portrait"):
            read_mouths(grey[0], lambda: pictures, mini.vae)

    @pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
    def test_seconds(self, seconds: float, mini: MiniModel, pictures: np.ndarray) -> None:
        with pytest.raises(BadInput, match="give how long to fit"):
            fit_face(pictures[0], lambda: pictures, mini, seconds)

    def test_stopping(self, mini: MiniModel, pictures: np.ndarray) -> None:
        def stop(share: float) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fit_face(pictures[0], lambda: pictures, mini, 1.0, stop)

    def test_a_folder_that_cannot_be(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "file").write_text("")
        for folder in (tmp_path / "file", tmp_path / "file" / "anna"):
            with pytest.raises(BadInput, match="file' is no folder"):
                check_fit_output(folder)
        check_fit_output(tmp_path / "faces" / "anna")  # as docs/commands.md has it: it is made
        monkeypatch.setattr("os.access", lambda *_: False)
        with pytest.raises(BadInput, match="nobody may write to it"):
            check_fit_output(tmp_path / "faces" / "anna")
