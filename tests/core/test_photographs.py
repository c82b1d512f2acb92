"""Light on skin, and smiles, as photographs have them."""

from __future__ import annotations

import torch

from eadnet_core.nets.photographs import on_skin, with_smile
from eadnet_core.taxonomy import CONTROLS

SMILE = CONTROLS.index("AU12")


def test_a_fold_is_as_red_as_the_skin_and_grey_on_a_grey_picture() -> None:
    light = torch.tensor((-0.4, 0.3)).view(1, 1, 1, 2).expand(-1, 3, -1, -1)
    skin = torch.tensor((0.7, 0.53, 0.47)).view(1, 3, 1, 1).expand(-1, -1, 32, 32) * 2 - 1
    dark, bright = on_skin(light, skin).unbind(-1)
    assert dark[0, 0] > -0.3 and dark[0, 2] < -0.45, "shade keeps the red of skin"
    assert bright[0, 0] < bright[0, 2], "what is lit is paler"
    assert torch.allclose(on_skin(light, skin).mean(1), light.mean(1), atol=1e-6)
    grey = torch.zeros(1, 3, 32, 32)
    assert torch.allclose(on_skin(light, grey), light)


def test_smiles_of_portraits_are_read_larger_and_never_larger_than_whole() -> None:
    read = torch.full((6, len(CONTROLS)), 0.35)
    read[:, SMILE] = torch.tensor((-0.05, 0.1, 0.15, 0.35, 0.8, 1.1))
    said = with_smile(read)
    assert torch.allclose(said[:, SMILE], torch.tensor((-0.05, 0.1, 0.195, 0.56, 1.0, 1.1)))
    said[:, SMILE] = read[:, SMILE]
    assert torch.equal(said, read), "nothing else"
