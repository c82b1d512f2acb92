"""Several speakers: chained nodes, one video, whoever stands by as in the picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

SAMPLE = Path(__file__).parents[2] / "eadnet_core" / "assets" / "sample"


@pytest.fixture(scope="module")
def couple() -> torch.Tensor:
    """Two people side by side, 192 px each, as IMAGE."""
    picture = np.array(Image.open(SAMPLE / "portrait.png").convert("RGB").resize((192, 192)))
    return torch.from_numpy(np.concatenate([picture, picture[:, ::-1]], 1)[None].copy()).float() / 255


def voice(seconds: float) -> dict[str, Any]:
    t = torch.arange(int(seconds * 16_000)) / 16_000
    return {"waveform": 0.3 * torch.sin(1000 * t)[None, None], "sample_rate": 16_000}


def test_two_speakers_make_one_video(host: Any, couple: torch.Tensor) -> None:
    (model,) = host.call("EADNet_Loader", model="tiny", precision="fp32", attention="auto")
    (first,) = host.call("EADNet_Speaker", face="", text="happy", audio=voice(0.2))
    after = {"audio": voice(0.12), "starts": "after the speaker before", "head": 0.5, "name": "ben"}
    after["style"] = host.call("EADNet_Style", style=None, nods_sd=2.0)[0]
    (both,) = host.call("EADNet_Speaker", face="right", text="", speakers=first, **after)
    assert [(s.name, s.face, s.start_s) for s in both] == [("1", 0, 0.0), ("ben", "right", None)]
    video, report = host.call("EADNet_Conversation", model=model, image=couple, speakers=both, seed=3)
    assert video.get_dimensions() == (384, 192) and video.get_duration() == pytest.approx(0.32, abs=0.05)
    made = json.loads(report)
    assert [speaker["name"] for speaker in made["speakers"]] == ["1", "ben"] and made["n_frames"] == 8
    assert [speaker["options"]["seed"] for speaker in made["speakers"]] == [3, 4]
    assert [speaker["style"].get("traits", {}).get("nods") for speaker in made["speakers"]] == [None, 2.0]
    assert made["speakers"][1]["options"]["head"] == 0.5 and made["speakers"][0]["emotions"][0]["text"] == "happy"


def test_what_speakers_cannot_be(host: Any, couple: torch.Tensor) -> None:
    (one,) = host.call("EADNet_Speaker", face="", text="", name="ben")
    with pytest.raises(Exception, match="is that of a speaker before"):
        host.call("EADNet_Speaker", face="", text="", name="ben", speakers=one)
    with pytest.raises(Exception, match="give left, right, a number"):
        host.call("EADNet_Speaker", face="middle", text="")
    with pytest.raises(Exception, match="has a voice and a channel"):
        host.call("EADNet_Speaker", face="", text="", audio=voice(0.2), channel=1)
    (model,) = host.call("EADNet_Loader", model="tiny", precision="fp32", attention="auto")
    with pytest.raises(Exception, match="Nobody has a voice"):
        host.call("EADNet_Conversation", model=model, image=couple, speakers=one)
    with pytest.raises(Exception, match="'image' holds 2 pictures"):
        host.call("EADNet_Conversation", model=model, image=couple.repeat(2, 1, 1, 1), speakers=one)
