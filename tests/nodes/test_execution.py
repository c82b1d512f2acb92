"""The nodes in a real ComfyUI: what runs again, what cancel does, what stays untouched."""

from __future__ import annotations

import dataclasses
import math
import time
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from eadnet_core.media.video.files import read_video


def outputs_of(host: Any, suffix: str) -> list[Any]:
    return sorted((host.base / "output").glob(f"*{suffix}"), key=lambda path: path.stat().st_mtime)


def test_a_graph_makes_a_video_of_exactly_the_sounds_length(host: Any, talk: Any) -> None:
    host.run(talk.prompt())
    video = read_video(outputs_of(host, ".mp4")[-1])
    assert (video.n_frames, video.fps) == (20, 25.0)
    assert video.audio().duration_s == pytest.approx(0.8, abs=0.05)


def test_another_emotion_runs_nothing_before_the_sampler_again(host: Any, talk: Any) -> None:
    host.executor = host.new_executor()
    everything = host.run(talk.prompt())
    again = host.run(talk.prompt())
    changed = host.run(talk.prompt(emotion__text="sad"))
    assert set(everything) == set(talk.prompt())
    assert again == []
    assert sorted(changed) == ["emotion", "render", "sampler", "save"]


def test_a_changed_weight_file_is_loaded_again(host: Any, talk: Any) -> None:
    host.run(talk.prompt())
    path = host.base / "models" / "eadnet" / "tiny" / "vae.safetensors"
    path.touch()
    assert "model" in host.run(talk.prompt())


def test_cancel_ends_within_a_step(host: Any, talk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import comfy.model_management as mm

    bridge = host.module("nodes.bridge")
    asked: list[float] = []
    follow = bridge.Bar.follow

    def cancel_at_once(self: Any, progress: Any) -> None:
        follow(self, progress)
        if not asked:
            asked.append(time.monotonic())
            mm.interrupt_current_processing()

    monkeypatch.setattr(bridge.Bar, "follow", cancel_at_once)
    with pytest.raises(Exception, match="execution_interrupted"):
        host.run(talk.prompt(sampler__steps=50, sampler__seed=99))
    assert len(asked) == 1
    progress = [data for event, data in host.server.events if event == "progress"]
    assert len(progress) <= 2
    mm.interrupt_current_processing(False)


def test_the_denoiser_node_leaves_its_input_untouched(host: Any) -> None:
    (model,) = host.call("EADNet_Loader", model="tiny", precision="auto", attention="auto")
    before = dataclasses.replace(model.options)
    settings = {"stda_strength": 0.5, "tfrm_strength": 0.0, "window_frames": 12, "head": 0.0, "blink": 2.0, "lips": 1.5}
    (clone,) = host.call("EADNet_Denoiser", model=model, **settings)
    assert model.options == before
    assert {name: getattr(clone.options, name) for name in settings} == settings
    assert clone.patcher is not model.patcher
    assert clone.patcher.is_clone(model.patcher)


def test_strengths_reach_the_net(host: Any, talk: Any, portrait_image: torch.Tensor, voice: Any) -> None:
    (model,) = host.call("EADNet_Loader", model="tiny", precision="fp32", attention="sdpa")
    face, *_ = host.call(
        "EADNet_Face", image=portrait_image, index=0, box="", face_threshold=0.5, on_missing="hold", fps=25.0
    )
    speech, _ = host.call("EADNet_AudioEncoder", audio=voice, speech_gate=True, gate_threshold=-26.0)
    emotion, _ = host.call(
        "EADNet_EmotionPrompt", text="", preset="sad", intensity=1.0, valence=0.0, arousal=0.0, use_pad=False
    )
    latents = []
    for strength in (1.0, 0.0):
        changed = model.with_options(stda_strength=strength)
        (made,) = host.call(
            "EADNet_Sampler",
            model=changed,
            face=face,
            speech=speech,
            emotion=emotion,
            steps=1,
            seed=0,
            guidance_audio=1.0,
            guidance_emotion=1.0,
            sync_guidance=0.3,
            sync_low=0.0,
            sync_high=1.0,
        )
        latents.append(made.clip.x0)
    assert latents[0].shape[1:] == (15, 16, 16)
    assert not torch.equal(*latents)


def test_pictures_are_scored_and_the_video_is_shown(host: Any, talk: Any) -> None:
    prompt = talk.prompt()
    prompt["decode"] = {
        "class_type": "EADNet_DecodePaste",
        "inputs": {"latents": ["sampler", 0], "face": ["face", 0], "portrait": ["image", 0]},
    }
    prompt["score"] = {
        "class_type": "EADNet_SyncScore",
        "inputs": {
            "asked_emotion": "happy",
            "fps": 25.0,
            "box": "",
            "images": ["decode", 0],
            "audio": ["short", 0],
        },
    }
    host.run(prompt)
    shown = [data for event, data in host.server.events if event == "executed"]
    report = next(data["output"] for data in shown if data["node"] == "score")
    assert "shows:" in report["text"][0]
    assert report["images"][0]["filename"].endswith(".png")
    video = next(data["output"] for data in shown if data["node"] == "render")
    assert video["animated"] == [True]


def test_the_simple_node_becomes_the_graph_and_keeps_what_did_not_change(host: Any, talk: Any) -> None:
    widgets = {"text": "happy", "intensity": 1.0, "head": 1.0, "lips": 1.0}
    full = talk.prompt()
    prompt = {key: full[key] for key in ("image", "audio", "short")}
    inputs = {"image": ["image", 0], "audio": ["short", 0], **widgets}
    prompt["speak"] = {"class_type": "EADNet_Speak", "inputs": inputs}
    host.executor = host.new_executor()
    first = host.run(prompt)
    shown = [data for event, data in host.server.events if event == "executed"]
    assert any(data.get("display_node") == "speak" and "images" in data["output"] for data in shown)
    prompt["speak"]["inputs"] = {**inputs, "text": "sad"}
    second = host.run(prompt)
    assert len(first) >= 11
    assert 0 < len([name for name in second if name not in ("speak",)]) <= 3, second


def speak_prompt(talk: Any, **widgets: Any) -> dict[str, Any]:
    full = talk.prompt()
    given = {"text": "happy", "intensity": 1.0, "head": 1.0, "lips": 1.0, **widgets}
    speak = {"class_type": "EADNet_Speak", "inputs": {"image": ["image", 0], "audio": ["short", 0], **given}}
    return {**{key: full[key] for key in ("image", "audio", "short")}, "speak": speak}


def test_a_cached_run_of_the_simple_node_names_its_video(host: Any, talk: Any) -> None:
    host.executor = host.new_executor()
    host.run(speak_prompt(talk))
    assert host.run(speak_prompt(talk)) == []
    (own,) = [data["output"] for event, data in host.server.events if event == "executed" and data["node"] == "speak"]
    (video,) = own["eadnet_video"]
    assert video["type"] == "temp"
    assert read_video(host.base / "temp" / video["filename"]).n_frames == 20


def test_the_simple_node_takes_a_model_and_a_seed(host: Any, talk: Any) -> None:
    host.executor = host.new_executor()
    host.run(speak_prompt(talk, model="tiny", seed=1))
    other_take = host.run(speak_prompt(talk, model="tiny", seed=2))
    assert 0 < len([name for name in other_take if name != "speak"]) <= 2, other_take
    valid, _, _, by_node = host.validate(speak_prompt(talk, model="../secrets"))
    assert not valid and "models/eadnet" in str(by_node)


def test_one_picture_of_a_batch_speaks_in_its_own_picture(host: Any, talk: Any) -> None:
    """The batch goes to Face and to Render as it is; Face chooses."""
    prompt = talk.prompt(face__index=1, render__portrait=["pair", 0], face__image=["pair", 0])
    prompt["flipped"] = {"class_type": "ImageInvert", "inputs": {"image": ["image", 0]}}
    prompt["pair"] = {"class_type": "ImageBatch", "inputs": {"image1": ["flipped", 0], "image2": ["image", 0]}}
    host.run(prompt)
    video = read_video(outputs_of(host, ".mp4")[-1])
    (shown,) = [frame for i, frame in enumerate(video) if i == 0]
    portrait = np.array(Image.open(host.base / "input" / "portrait.png").convert("RGB"))
    assert abs(shown[:40, :40].astype(int).mean() - portrait[:40, :40].mean()) < 8


@pytest.mark.parametrize(
    ("ends_with", "sound_s", "frames", "said"),
    [
        ("audio", 1.2, 30, "its last frame stays"),
        ("shortest", 1.2, 20, "the sound is cut"),
        ("clip", 0.4, 20, "its end is silent"),
        ("audio", 0.4, 10, "the clip is cut"),
        ("audio", 0.8, 20, None),
    ],
)
def test_a_sound_of_another_length_follows_the_widget_and_is_said(
    host: Any, talk: Any, ends_with: str, sound_s: float, frames: int, said: str | None
) -> None:
    prompt = talk.prompt(render__ends_with=ends_with, render__audio=["other", 0])
    trimmed = {"audio": ["audio", 0], "start_index": 0.0, "duration": sound_s}
    prompt["other"] = {"class_type": "TrimAudioDuration", "inputs": trimmed}
    host.run(prompt)
    video = read_video(outputs_of(host, ".mp4")[-1])
    assert video.n_frames == frames
    assert video.audio().duration_s == pytest.approx(frames / 25, abs=0.06)
    notes = [d["output"].get("text") for e, d in host.server.events if e == "executed" and d["node"] == "render"]
    assert (said is None and not any(notes)) or said in str(notes)


def test_a_file_tells_its_settings_unless_comfyui_keeps_none(
    host: Any, talk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import av
    from comfy.cli_args import args

    def tags() -> dict[str, str]:
        host.executor = host.new_executor()
        host.run(talk.prompt())
        newest = max((host.base / "temp").glob("eadnet_*.mp4"), key=lambda path: path.stat().st_mtime)
        with av.open(str(newest)) as container:
            return dict(container.metadata)

    assert "tiny" in tags()["comment"]
    monkeypatch.setattr(args, "disable_metadata", True)
    kept = tags()
    assert "comment" not in kept and "trainedAlgorithmicMedia" in str(kept)


def test_an_error_names_the_nodes_own_widgets(host: Any, portrait_image: torch.Tensor, voice: Any) -> None:
    face = {"index": 0, "face_threshold": 0.5, "on_missing": "hold", "fps": 25.0}
    nobody = torch.zeros_like(portrait_image)
    for image, box in ((nobody, ""), (portrait_image, "1,1,2,2"), (portrait_image, "900,900,990,990")):
        with pytest.raises(Exception, match=r"\bbox\b") as caught:
            host.call("EADNet_Face", image=image, box=box, **face)
        assert "face_box" not in str(caught.value) and "'portrait'" not in str(caught.value)
    with pytest.raises(Exception, match=r"\bbox\b") as caught:
        host.call(
            "EADNet_SyncScore", asked_emotion="any", fps=25.0, box="", images=nobody.repeat(6, 1, 1, 1), audio=voice
        )
    assert "face_box" not in str(caught.value) and "lower face_threshold" not in str(caught.value)


def test_a_track_draws_its_waveform_and_holds_between_keyframes(host: Any, voice: Any) -> None:
    keyframes = '[{"time": 0, "text": "happy"}, {"time": 0.4, "text": "angry", "intensity": 0.5}]'
    with torch.inference_mode():
        node = host.node("EADNet_EmotionTrack").PREPARE_CLASS_CLONE(None)
        made = node.execute(keyframes=keyframes, cross_fade=0.1, audio=voice)
    assert made.ui["eadnet_duration"] == [0.6] and made.ui["eadnet_keyframes"] == [keyframes]
    assert max(made.ui["eadnet_waveform"]) == 1.0
    codes = made.args[0].at([0.0, 0.29, 0.4])
    assert (codes[0] == codes[1]).all()
    assert codes[2][8] == pytest.approx(0.5)


def test_a_track_hands_the_words_of_a_transcript_to_the_page_and_is_the_same_with_them(host: Any) -> None:
    keyframes, said = '[{"time": 1, "text": "sad"}]', "1\n00:00:01,000 --> 00:00:02,000\nHello\n"
    with torch.inference_mode():
        node = host.node("EADNet_EmotionTrack").PREPARE_CLASS_CLONE(None)
        made = node.execute(keyframes=keyframes, cross_fade=0.1, transcript=said)
        without = node.execute(keyframes=keyframes, cross_fade=0.1)
        with pytest.raises(ValueError, match="transcript cannot be read"):
            node.execute(keyframes=keyframes, cross_fade=0.1, transcript="?")
    assert made.ui["eadnet_words"] == [["Hello", 1.0, 2.0]] and without.ui["eadnet_words"] == []
    assert made.args == without.args


def test_a_point_of_the_pad_is_its_emotion(host: Any) -> None:
    emotion, caption = host.call(
        "EADNet_EmotionPrompt", text="", preset="from text", intensity=1.0, valence=-0.65, arousal=0.75, use_pad=True
    )
    assert "angry" in caption
    assert emotion.at([0.0])[0, 9] == pytest.approx(-0.65)


def test_a_caption_of_words_of_a_face_and_of_a_voice(host: Any, portrait_image: torch.Tensor, voice: Any) -> None:
    rules = {"provider": "rules", "prosody_weight": 0.0}
    said, _ = host.call("EADNet_LLMEmotionCaption", provider=rules, text="very sad")
    assert said.startswith("The face looks very sad.") and "lip corners" in said.lower()
    seen, _ = host.call("EADNet_LLMEmotionCaption", provider=rules, text="", images=portrait_image)
    heard, emotion = host.call("EADNet_LLMEmotionCaption", provider=rules, text="", audio=voice)
    assert seen.startswith("The face looks") and heard.startswith("The face looks")
    assert -1.0 <= float(emotion.at([0.0])[0, 10]) <= 1.0


def test_a_script_is_directed(host: Any, voice: Any) -> None:
    script = "[calm] Good morning. [furious: 0.8] What is that?"
    times = '[{"text": "good", "start_s": 0, "end_s": 0.1}, {"text": "morning", "start_s": 0.1, "end_s": 0.2}, '
    times += '{"text": "what", "start_s": 0.4, "end_s": 0.5}]'
    rules = {"provider": "rules"}
    track, keyframes = host.call("EADNet_Director", provider=rules, script=script, audio=voice, transcript=times)
    assert [(k.text, k.time_s) for k in track.keyframes] == [("calm", 0.0), ("furious", 0.4)]
    assert track.at([0.5])[0, 8] == pytest.approx(0.8)
    again, _ = host.call("EADNet_EmotionTrack", keyframes=keyframes, cross_fade=0.5)
    assert (again.at([0.0, 0.3, 0.5]) == track.at([0.0, 0.3, 0.5])).all()
    spread, _ = host.call("EADNet_Director", provider=rules, script=script, audio=voice, transcript="")
    assert 0.0 < spread.keyframes[1].time_s < 0.6


def test_a_keyframe_can_follow_the_voice(host: Any, voice: Any) -> None:
    keyframes = '[{"time": 0, "text": "auto"}]'
    track, _ = host.call("EADNet_EmotionTrack", keyframes=keyframes, cross_fade=0.5, audio=voice)
    assert track.keyframes[0].code is not None
    with pytest.raises(Exception, match="connect the voice"):
        host.call("EADNet_EmotionTrack", keyframes=keyframes, cross_fade=0.5)


@pytest.mark.parametrize("provider", ["local_text", "openai"])
def test_a_language_model_is_asked_for_by_its_own_fields(
    host: Any, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that is not there is an error that says where to put it; a server that is not there, a note."""
    file = host.base / "endpoints.json"
    file.write_text('{"nobody": {"url": "http://127.0.0.1:9/v1"}}')
    monkeypatch.setattr(host.module("nodes.bridge"), "endpoints_file", lambda: file)
    chosen = {"provider": provider, "model": "none", "endpoint": "nobody", "retries": 0, "timeout_s": 2.0}
    if provider == "local_text":
        with pytest.raises(Exception, match=r"models/LLM|LLM"):
            host.call("EADNet_LLMEmotionCaption", provider=chosen, text="sad")
        return
    with torch.inference_mode():
        done = host.node("EADNet_LLMEmotionCaption").PREPARE_CLASS_CLONE(None).execute(provider=chosen, text="sad")
    assert "cannot be reached" in done.ui["text"][0] and "(rules)" in done.ui["text"][0]


def test_a_choice_of_provider_travels_with_its_fields_alone(host: Any) -> None:
    prompt = {
        "caption": {
            "class_type": "EADNet_LLMEmotionCaption",
            "inputs": {"provider": "rules", "provider.prosody_weight": 0.5, "text": "very sad"},
        },
        "show": {"class_type": "PreviewAny", "inputs": {"source": ["caption", 0]}},
    }
    assert host.run(prompt) == ["caption", "show"]
    prompt["caption"]["inputs"] |= {"provider": "local_text"}
    valid, *_ = host.validate(prompt)
    assert not valid


def test_a_video_is_dubbed_in_all_its_frames(host: Any, portrait_image: torch.Tensor, voice: Any) -> None:
    frames = torch.cat([portrait_image.roll(2 * i, dims=2) for i in range(12)])
    (model,) = host.call("EADNet_Loader", model="tiny", precision="auto", attention="auto")
    face, *_ = host.call("EADNet_Face", image=frames, index=-1, box="", face_threshold=0.5, on_missing="hold", fps=25.0)
    assert len(face.crops) == 12
    assert face.crops[11].center_x - face.crops[0].center_x == pytest.approx(22, abs=6)
    speech, _ = host.call("EADNet_AudioEncoder", audio=voice, speech_gate=True, gate_threshold=-26.0)
    emotion, _ = host.call(
        "EADNet_EmotionPrompt", text="", preset="neutral", intensity=1.0, valence=0.0, arousal=0.0, use_pad=False
    )
    settings = {"steps": 1, "seed": 0, "guidance_audio": 1.0, "guidance_emotion": 1.0}
    (latents,) = host.call(
        "EADNet_Sampler",
        model=model,
        face=face,
        speech=speech,
        emotion=emotion,
        sync_guidance=0.0,
        sync_low=0.3,
        sync_high=0.75,
        **settings,
    )
    (images,) = host.call("EADNet_DecodePaste", latents=latents, face=face, portrait=frames)
    assert images.shape == (15, 256, 256, 3)
    assert torch.equal(images[5, :3], (frames[5, :3] * 255).round() / 255)
    assert math.isfinite(float(images.mean()))


def test_free_memory_leaves_nothing_of_the_model(host: Any, talk: Any) -> None:
    import gc
    import weakref

    import comfy.model_management as mm

    host.executor = host.new_executor()
    host.run(talk.prompt())
    nets = [
        weakref.ref(m.model.model)
        for m in mm.current_loaded_models
        if "denoiser" in getattr(m.model.model, "keys", list)()
    ]
    assert nets
    mm.unload_all_models()
    host.executor.reset()
    host.executor = host.new_executor()
    gc.collect()
    assert not mm.current_loaded_models
    assert all(ref() is None for ref in nets)
