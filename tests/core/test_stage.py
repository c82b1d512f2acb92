"""A head on its stage: steady at rest, the same at every size, itself in every clip; on the small anatomy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eadnet_core.corpus.clips import HEADS_PER_SPLIT
from eadnet_core.corpus.sheet import SHEETS, draw_sheet
from eadnet_core.corpus.stage import TONES, Stage, open_stage
from eadnet_core.errors import BadInput
from eadnet_core.heads.anatomy import Anatomy
from eadnet_core.heads.rig import STATE, STATE_INDEX
from eadnet_core.heads.stock import Stock

HEAD = HEADS_PER_SPLIT + 3


def states(n_frames: int = 1, **controls: float) -> np.ndarray:
    made = np.zeros((n_frames, len(STATE)), np.float32)
    for name, value in controls.items():
        made[:, STATE_INDEX[name]] = value
    return made


@pytest.fixture
def stage(tiny_anatomy_folder: Path) -> Stage:
    return open_stage(HEAD, 64, tiny_anatomy_folder)


def test_a_head_at_rest_does_not_flicker(stage: Stage) -> None:
    frames, gaps = stage.draw(states(3))
    assert (frames == frames[:1]).all() and np.ptp(gaps) == 0


def test_the_number_decides(stage: Stage, tiny_anatomy_folder: Path) -> None:
    other, again = (open_stage(n, 64, tiny_anatomy_folder) for n in (HEAD + 1, HEAD))
    assert (again.draw(states())[0] == stage.draw(states())[0]).all() and again.people == stage.people
    assert np.abs(other.draw(states())[0].astype(int) - stage.draw(states())[0]).mean() > 5


def test_effects_can_be_left_out(tiny_anatomy_folder: Path) -> None:
    made = [open_stage(HEAD + n, 64, tiny_anatomy_folder) for n in range(4)]
    assert any((s.draw(states())[0] != s.draw(states(), has_effects=False)[0]).any() for s in made)


def test_every_state_gets_its_picture_and_the_gap_of_its_lips(stage: Stage) -> None:
    frames, gaps = stage.draw(np.concatenate([states(), states(jaw=1.0), states(blink=1.0)]))
    assert frames.shape == (3, 64, 64, 3) and gaps.shape == (3,)
    assert (frames[0] != frames[1]).any() and (frames[0] != frames[2]).any()


def test_it_says_who_is_seen(stage: Stage) -> None:
    assert stage.people.tone in TONES and stage.people.sex in ("female", "male") and 0 <= stage.people.age <= 1


def test_a_missing_anatomy_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="`eadnet download heads`"):
        open_stage(HEAD, 64, tmp_path)


@pytest.mark.parametrize("kind", [kind for kind in SHEETS if kind != "clips"])
def test_sheets_are_drawn(kind: str, tiny_anatomy_folder: Path, tmp_path: Path) -> None:
    from PIL import Image

    path = draw_sheet(tmp_path / "sheet.png", kind, rows=1, size_px=32, heads=tiny_anatomy_folder)
    assert Image.open(path).size == (8 * 32, 32)


def test_an_unknown_sheet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"Unknown sheet 'heads'\. Choose one of emotions"):
        draw_sheet(tmp_path / "sheet.png", "heads")


def test_one_backdrop_looks_alike_behind_any_two_heads(tiny_anatomy_folder: Path) -> None:
    """Whatever their lamps: the sample picture of two has no seam."""
    stock, behind = Stock(Anatomy.open(tiny_anatomy_folder), 64), np.full((64, 64, 3), 0.2, np.float32)
    pictures = [Stage(stock, HEAD + n, behind).draw(states(), has_effects=False)[0][0] for n in range(2)]
    assert np.abs(pictures[0][0, 0].astype(int) - pictures[1][0, 0]).max() <= 1
    assert np.abs(pictures[0].astype(int) - pictures[1]).max() > 20
