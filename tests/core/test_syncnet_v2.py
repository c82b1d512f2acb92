"""Scores by the original SyncNet: its formula, its windows, and the file it comes from."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from eadnet_core.errors import BadInput, CheckpointError
from eadnet_core.media.face.crop import FaceCrop
from eadnet_core.metrics.syncnet_v2 import SyncNetV2Scorer, picture_geometry, score_distances, score_syncnet_v2
from eadnet_core.nets.syncnet_v2 import SyncNetV2
from eadnet_core.weights.convert import load_syncnet_v2


@pytest.fixture(scope="module")
def net() -> SyncNetV2:
    torch.manual_seed(0)
    return SyncNetV2().eval().requires_grad_(False)


@pytest.fixture(scope="module")
def public_file(net: SyncNetV2, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the public one was written: by an old torch, which counted no batches."""
    path = tmp_path_factory.mktemp("public") / "syncnet_v2.model"
    state = {key: value for key, value in net.state_dict().items() if not key.endswith("num_batches_tracked")}
    torch.save(state, path, _use_new_zipfile_serialization=False)
    return path


@pytest.mark.parametrize("offset", [0, 4, -6])
def test_offset_is_found_with_its_sign(offset: int) -> None:
    sound = torch.randn(90, 32, generator=torch.Generator().manual_seed(0))
    picture = sound[20 + offset : 60 + offset]  # the picture at t shows what is heard at t + offset
    score = score_distances(picture, sound[20:60])
    assert score.offset == offset and score.n_windows == 40 and score.curve.shape == (31,)
    # beyond the ends there is nothing to find, only zeros
    missed = abs(offset) / 40
    assert score.lse_d == pytest.approx(missed * np.sqrt(32), abs=0.2)
    assert score.lse_c == pytest.approx(float(np.median(score.curve)) - score.lse_d, abs=1e-5)
    assert set(score.to_json()) == {"lse_c", "lse_d", "offset", "n_windows"}


def test_distance_is_euclidean() -> None:
    score = score_distances(torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 4.0]]), max_offset=1)
    np.testing.assert_allclose(score.curve, [3.0, 5.0, 3.0], atol=1e-4)


def test_blocks_of_any_length_give_the_same_score(net: SyncNetV2) -> None:
    rng = np.random.default_rng(1)
    pictures = rng.integers(0, 256, (27, 224, 224, 3), dtype=np.uint8)
    samples = (0.1 * rng.standard_normal(640 * 27)).astype(np.float32)
    scores = []
    for sizes in ([27], [1, 10, 16]):
        scorer = SyncNetV2Scorer(net)
        for block in np.split(pictures, np.cumsum(sizes)[:-1]):
            scorer.add(block)
        scores.append(scorer.finish(samples))
    assert scores[0].n_windows == 22
    np.testing.assert_array_equal(scores[0].curve, scores[1].curve)
    shorter = SyncNetV2Scorer(net)
    shorter.add(pictures[:8])
    assert shorter.finish(samples[: 640 * 7 + 5]).n_windows == 2  # the sound ends first


def test_a_clip_without_a_window_says_what_is_needed(net: SyncNetV2) -> None:
    scorer = SyncNetV2Scorer(net)
    scorer.add(np.zeros((5, 224, 224, 3), np.uint8))
    with pytest.raises(BadInput, match="at least 6 frames with sound, but the clip has 5"):
        scorer.finish(np.zeros(640 * 9, np.float32))


def test_the_square_lies_where_the_original_cuts_it() -> None:
    face = FaceCrop(200.0, 100.0, 100.0, angle=0.3)
    square = picture_geometry(face)
    x, y = face.point(0.5, 0.515)  # the middle of the face box, whose half is 32.5
    assert (square.center_x, square.center_y) == pytest.approx((x, y + 0.4 * 32.5))
    assert square.side_px == pytest.approx(2.8 * 32.5) and square.angle == 0.0


def test_frames_are_cut_and_turned_to_blue_first(net: SyncNetV2, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []
    monkeypatch.setattr(SyncNetV2, "embed_frames", lambda _, x: seen.append(x) or torch.zeros(len(x), 4))
    monkeypatch.setattr(SyncNetV2, "embed_audio", lambda _, x: torch.zeros(len(x), 4))
    frame = np.zeros((100, 120, 3), np.uint8)
    frame[..., 0], frame[..., 1] = 200, 50
    score_syncnet_v2(net, [frame] * 8, np.zeros(640 * 8, np.float32), FaceCrop(60.0, 40.0, 60.0))
    assert seen[0].shape == (3, 3, 5, 224, 224)
    assert [seen[0][0, c].unique().tolist() for c in range(3)] == [[0.0], [50.0], [200.0]]


def test_the_public_file_is_read(net: SyncNetV2, public_file: Path) -> None:
    again = load_syncnet_v2(public_file)
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in net.state_dict().items())
    assert not again.training


class Code:
    """Would run on unpickling."""

    def __reduce__(self) -> tuple:
        return print, ("code of a weight file was run",)


def test_files_that_do_not_fit_are_refused(net: SyncNetV2, public_file: Path, tmp_path: Path, capfd) -> None:
    with pytest.raises(CheckpointError, match=r"No weight file.*syncnet_v2\.model"):
        load_syncnet_v2(tmp_path / "none.model")
    (tmp_path / "cut.model").write_bytes(public_file.read_bytes()[:5000])
    (tmp_path / "code.model").write_bytes(pickle.dumps(Code()))
    for name, said in (("cut.model", "damaged"), ("code.model", "was not loaded.*could run code")):
        with pytest.raises(CheckpointError, match=said):
            load_syncnet_v2(tmp_path / name)
    assert "was run" not in capfd.readouterr().out
    state = dict(net.state_dict())
    state["netfcaud.0.weight"] = torch.zeros(3)
    del state["netfclip.0.bias"]
    torch.save(state, tmp_path / "other.model")
    with pytest.raises(CheckpointError, match=r"missing netfclip\.0\.bias; .* wrong shape netfcaud\.0\.weight"):
        load_syncnet_v2(tmp_path / "other.model")
    torch.save([1], tmp_path / "list.model")
    with pytest.raises(CheckpointError, match="holds list"):
        load_syncnet_v2(tmp_path / "list.model")
