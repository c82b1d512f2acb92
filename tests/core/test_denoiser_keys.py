"""The keys and shapes of both denoisers' weights: what lies in weight files must fit them for ever."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from eadnet_core.nets.denoiser import Denoiser
from eadnet_core.nets.latentsync.denoiser import LatentSyncDenoiser
from eadnet_core.weights.parts import PARTS

GOLDEN = {
    "ours": "46d7691a61a051c2cc3a65d1ddb8f210ca4e58f6823af65571d21f519964e720",
    "latentsync": "9b751c89a83511507a347008ef0bad81377821d10012018ba41cc07dfa95e37f",
    "latentsync, bare": "15942fbb80ab23f20085b10297a64ea10ab32fb6a6c642ee7cdaf0ce3a131252",
}
"""SHA-256 of a line "key HxW..." for each weight, sorted, at the sizes of tests/conftest.py."""


@pytest.mark.parametrize("name", GOLDEN)
def test_keys_and_shapes_are_those_of_the_weight_files(tiny: Any, name: str) -> None:
    if name == "ours":
        net: Denoiser | LatentSyncDenoiser = Denoiser(tiny.config.denoiser)
    else:
        net = LatentSyncDenoiser(replace(tiny.base.denoiser, has_adapters="bare" not in name))
    lines = [f"{key} {'x'.join(map(str, value.shape))}" for key, value in sorted(net.state_dict().items())]
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == GOLDEN[name]


def test_the_layout_of_a_config_chooses_the_class(tiny: Any) -> None:
    ours: Any = PARTS["denoiser"].build(tiny.config)
    assert isinstance(ours["denoiser"], Denoiser)
    assert isinstance(PARTS["denoiser"].build(tiny.base), LatentSyncDenoiser)
