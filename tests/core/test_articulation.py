"""Speech parts lips that an emotion presses; a nose and a lip that are lifted together do not add up."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from eadnet_core.corpus.mouth import lip_gap
from eadnet_core.families.load import load_model
from eadnet_core.families.mini import MiniModel
from eadnet_core.heads.rig import STATE, STATE_INDEX
from eadnet_core.motion.articulation import PRESSING, parted, wrinkled
from eadnet_core.nets.motion_basis import terms
from eadnet_core.taxonomy import CONTROLS, EMOTION, EMOTIONS
from eadnet_core.training.denoiser_scores import nearest_emotion

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


def shown(emotion: str, strength: float = 1.0) -> torch.Tensor:
    controls = torch.zeros(1, len(CONTROLS))
    for unit, value in EMOTION[emotion].action_units.items():
        controls[:, CONTROLS.index(unit)] = value * strength
    return controls


@pytest.mark.parametrize("emotion", [name for name in EMOTIONS if name != "disgusted"])
def test_what_does_not_lift_nose_and_lip_together_stays_as_it_is(emotion: str) -> None:
    assert torch.equal(wrinkled(shown(emotion)), shown(emotion))


@pytest.mark.parametrize("strength", (0.4, 0.7, 1.0))
def test_disgust_stays_disgust_and_grows_with_its_strength(strength: float) -> None:
    found = wrinkled(shown("disgusted", strength))
    assert EMOTIONS[int(nearest_emotion(found)[0])] == "disgusted"
    stronger = wrinkled(shown("disgusted", strength + 0.1))
    assert all(stronger[0, CONTROLS.index(unit)] > found[0, CONTROLS.index(unit)] for unit in ("AU9", "AU10", "AU4"))


def test_wings_of_a_mean_nose_keep_below_its_bridge() -> None:
    """A point of the skin moves no more than half of the way to its neighbour above."""
    model = load_model("mini", device="cpu")
    assert isinstance(model, MiniModel)
    basis, no_pose = model.vae.motion_basis, torch.zeros(1, 5)

    def rise(controls: torch.Tensor) -> float:
        moved = torch.einsum("bk,kchw->bchw", terms(controls, no_pose), basis.flow)
        return float(moved[0, 1, 41, 25].neg())  # the wing on the left of the picture

    added, shared = shown("disgusted"), wrinkled(shown("disgusted"))
    assert rise(added) > 0.14 > 0.11 > rise(shared) > 0.06
