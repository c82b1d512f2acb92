"""Styles inside ComfyUI: read off a video, set by hand, mixed, saved, loaded, and given to Sampler and Speak."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SAMPLE = Path(__file__).parents[2] / "eadnet_core" / "assets" / "sample"
TRAITS = ("gestures", "tempo", "nods", "blinks", "gaze", "brows", "smile", "lips")


@pytest.fixture
def style_json(host: Any) -> Iterator[Path]:
    """A style in the input folder; what a test saves goes with it, since a list of files is a list of choices."""
    path = host.base / "input" / "anna.json"
    path.write_text(json.dumps({"eadnet_style": 1, "source": "anna", "traits": {"gestures": {"mean": 2.0, "sd": 0.3}}}))
    yield path
    for made in (path, *(host.base / "output").glob("eadnet/manner_*")):
        made.unlink(missing_ok=True)


def by_hand(host: Any, **traits: float) -> Any:
    style = traits.pop("style", None)
    return host.call("EADNet_Style", style=style, **{f"{name}_sd": traits.get(name, 0.0) for name in TRAITS})[0]


def test_a_video_becomes_a_style(host: Any) -> None:
    video = host.module("nodes.video").InputImpl.VideoFromFile(str(SAMPLE / "feeling.mp4"))
    (style,) = host.call("EADNet_StyleFromVideo", fps=25.0, box="", video=video)
    assert style.source == "feeling.mp4" and style.mean.shape == (8,) and (style.sd > 0).all()
    with pytest.raises(Exception, match="either images or video"):
        host.call("EADNet_StyleFromVideo", fps=25.0, box="")


def test_sliders_are_added_to_a_style(host: Any) -> None:
    smiling = by_hand(host, smile=1.5)
    both = by_hand(host, style=smiling, smile=2.0, nods=-1.0)
    assert both.mean[TRAITS.index("smile")] == 3.0, "no trait goes beyond 3"
    assert both.mean[TRAITS.index("nods")] == -1.0 and both.source == "by hand"
    (mixed,) = host.call("EADNet_StyleBlend", first=smiling, second=by_hand(host), weight=0.5)
    assert mixed.mean[TRAITS.index("smile")] == 0.75


def test_a_saved_style_is_loaded_and_nothing_is_saved_elsewhere(host: Any, style_json: Path) -> None:
    (loaded,) = host.call("EADNet_LoadStyle", file=style_json.name)
    host.call("EADNet_SaveStyle", style=loaded, filename_prefix="eadnet/manner")
    (again,) = host.call("EADNet_LoadStyle", file="eadnet/manner_00001.json [output]")
    np.testing.assert_allclose(again.mean, loaded.mean, atol=1e-3)
    for prefix in ("../x", "/tmp/x", "eadnet/..", ""):
        with pytest.raises(Exception, match=r"filename_prefix|folder is"):
            host.call("EADNet_SaveStyle", style=loaded, filename_prefix=prefix)


@pytest.mark.parametrize("name", ["../secrets.json", "/etc/passwd", "eadnet/../../x.json [output]", "missing.json"])
def test_no_other_style_is_opened(host: Any, name: str) -> None:
    said = host.node("EADNet_LoadStyle").validate_inputs(name)
    assert isinstance(said, str) and len(said) > 20


def test_what_is_said_of_files_is_said_of_styles(host: Any) -> None:
    said = host.node("EADNet_LoadStyle").validate_inputs("(save a style first)")
    assert "choose a style" in said and "Save Style" in said


def test_the_sampler_and_speak_follow_it(host: Any, talk: Any, style_json: Path) -> None:
    """A style makes another clip, and only what depends on it runs again."""
    load = {"class_type": "EADNet_LoadStyle", "inputs": {"file": style_json.name}}
    host.executor = host.new_executor()
    host.run(talk.prompt())
    assert sorted(host.run({**talk.prompt(sampler__style=["load", 0]), "load": load})) == [
        *("load", "render", "sampler", "save"),
    ]
    full = talk.prompt()
    prompt = {key: full[key] for key in ("image", "audio", "short")} | {"load": load}
    widgets = {"text": "happy", "intensity": 1.0, "head": 1.0, "lips": 1.0, "style": ["load", 0]}
    inputs = {"image": ["image", 0], "audio": ["short", 0], **widgets}
    prompt["speak"] = {"class_type": "EADNet_Speak", "inputs": inputs}
    host.executor = host.new_executor()
    assert "load" in host.run(prompt)
