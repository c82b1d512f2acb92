"""Emotion From Reference and Emotion Blend inside ComfyUI."""

from __future__ import annotations

from typing import Any

import pytest
import torch


def prompt_emotion(host: Any, preset: str) -> Any:
    emotion, _ = host.call(
        "EADNet_EmotionPrompt", text="", preset=preset, intensity=1.0, valence=0.0, arousal=0.0, use_pad=False
    )
    return emotion


def test_a_photo_becomes_an_emotion_with_a_caption(host: Any, portrait_image: torch.Tensor) -> None:
    emotion, caption = host.call("EADNet_EmotionFromReference", images=portrait_image, vividness=1.0, weight=1.0)
    assert emotion.at([0.0]).shape == (1, 27)
    assert caption.startswith("The face looks")
    assert emotion.keyframes[0].text == "as in the reference"


def test_vividness_zero_is_neutral(host: Any, portrait_image: torch.Tensor) -> None:
    emotion, caption = host.call("EADNet_EmotionFromReference", images=portrait_image, vividness=0.0, weight=1.0)
    assert emotion.at([0.0])[0, 0] == 1.0 and caption == "The face looks neutral."


def test_weight_mixes_with_what_is_connected(host: Any, portrait_image: torch.Tensor) -> None:
    angry = prompt_emotion(host, "angry")

    def code(weight: float) -> Any:
        inputs = {"images": portrait_image, "vividness": 1.0, "weight": weight, "emotion": angry}
        return torch.from_numpy(host.call("EADNet_EmotionFromReference", **inputs)[0].at([0.5])[0])

    torch.testing.assert_close(code(0.0), torch.from_numpy(angry.at([0.5])[0]))
    torch.testing.assert_close(code(0.5), 0.5 * (code(0.0) + code(1.0)))


def test_pictures_without_a_face_are_refused(host: Any) -> None:
    with pytest.raises(Exception, match="No face was found in images"):
        host.call("EADNet_EmotionFromReference", images=torch.full((2, 200, 200, 3), 0.5), vividness=1.0, weight=1.0)


def test_a_keyframe_opens_no_file(host: Any) -> None:
    keyframes = '[{"time": 0, "reference": {"path": "/etc/passwd"}}]'
    with pytest.raises(Exception, match="opens no files"):
        host.call("EADNet_EmotionTrack", keyframes=keyframes, cross_fade=0.5)


def test_a_blend_lies_between_its_ends(host: Any) -> None:
    happy, sad = prompt_emotion(host, "happy"), prompt_emotion(host, "sad")

    def code(weight: float) -> Any:
        emotion, caption = host.call("EADNet_EmotionBlend", first=happy, second=sad, weight=weight)
        assert caption.startswith("The face looks")
        return torch.from_numpy(emotion.at([0.0])[0])

    torch.testing.assert_close(code(0.0), torch.from_numpy(happy.at([0.0])[0]))
    torch.testing.assert_close(code(1.0), torch.from_numpy(sad.at([0.0])[0]))
    torch.testing.assert_close(code(0.4), 0.6 * code(0.0) + 0.4 * code(1.0))


def test_both_lead_to_a_video_and_rerun_little(host: Any, talk: Any) -> None:
    """Another weight runs nothing before the blend again."""

    def graph(weight: float) -> dict[str, Any]:
        prompt = talk.prompt(sampler__emotion=["blend", 0])
        prompt["reference"] = {
            "class_type": "EADNet_EmotionFromReference",
            "inputs": {"images": ["image", 0], "vividness": 1.0, "weight": 1.0},
        }
        prompt["blend"] = {
            "class_type": "EADNet_EmotionBlend",
            "inputs": {"first": ["emotion", 0], "second": ["reference", 0], "weight": weight},
        }
        return prompt

    host.executor = host.new_executor()
    assert set(host.run(graph(0.5))) == set(graph(0.5))
    assert sorted(host.run(graph(0.7))) == ["blend", "render", "sampler", "save"]


def test_every_amplitude_reaches_the_options(host: Any) -> None:
    (model,) = host.call("EADNet_Loader", model="tiny", precision="auto", attention="auto")
    settings = {"stda_strength": 1.0, "tfrm_strength": 1.0, "window_frames": 0}
    amplitudes = {"head": 0.1, "blink": 0.2, "lips": 0.3, "gaze": 0.4, "emotion_scale": 0.5}
    (clone,) = host.call("EADNet_Denoiser", model=model, **settings, **amplitudes)
    assert {name: getattr(clone.options, name) for name in amplitudes} == amplitudes
