"""Speech parts lips that an emotion presses, and changes nothing else."""

from __future__ import annotations

import numpy as np
import torch

from eadnet_core.corpus.mouth import lip_gap
from eadnet_core.heads.rig import STATE, STATE_INDEX
from eadnet_core.motion.articulation import PRESSING, parted
from eadnet_core.taxonomy import CONTROLS, EMOTION

JAW = [0.0, 0.1, 0.3, 0.8]


def furious() -> torch.Tensor:
    controls = torch.zeros(len(JAW), len(CONTROLS))
    for unit, value in EMOTION["angry"].action_units.items():
        controls[:, CONTROLS.index(unit)] = value
    controls[:, CONTROLS.index("jaw")] = torch.tensor(JAW)
    return controls


def gap(controls: torch.Tensor) -> np.ndarray:
    states = np.zeros((len(controls), len(STATE)), np.float32)
    states[:, [STATE_INDEX[name] for name in CONTROLS]] = controls.numpy()
    return lip_gap(states)


def test_a_furious_mouth_opens_when_it_speaks_and_is_pressed_in_between() -> None:
    before, after = gap(furious()), gap(parted(furious()))
    assert after[0] == before[0]
    assert before[2] < 0.03 < after[2], "closed by its anger alone"
    assert (np.diff(after) > 0).all()


def test_only_what_presses_yields() -> None:
    kept = [i for i, name in enumerate(CONTROLS) if name not in PRESSING]
    assert torch.equal(parted(furious())[:, kept], furious()[:, kept])


def test_a_silent_mouth_and_one_that_nothing_presses_stay_as_they_are() -> None:
    silent = furious()[:1]
    assert torch.equal(parted(silent), silent)
    calm = torch.zeros(3, len(CONTROLS))
    calm[:, CONTROLS.index("jaw")] = 1
    assert torch.equal(parted(calm), calm)
