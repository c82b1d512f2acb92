"""Bad graphs and bad files: the message of the error dialog says what to do, and odd but valid input just works."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import pytest
import torch

from eadnet_core.weights.folders import MODEL_PARTS

FACE = {"index": 0, "box": "", "face_threshold": 0.5, "on_missing": "hold", "fps": 25.0}
HEARD = {"speech_gate": True, "gate_threshold": -26.0}
SAMPLER = {"steps": 1, "seed": 0, "guidance_audio": 1.0, "guidance_emotion": 1.0, "sync_guidance": 0.0}
RANGE = {"sync_low": 0.3, "sync_high": 0.75}


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 0.2 + 0.4


def sound(seconds: float, rate: int = 16_000, channels: int = 1, kind: Any = torch.float32) -> dict[str, Any]:
    t = torch.arange(round(seconds * rate)) / rate
    wave = 0.4 * torch.sin(2 * torch.pi * 180 * t) * torch.sin(2 * torch.pi * 2 * t) ** 2
    wave = wave if kind.is_floating_point else (wave * 32767).to(kind)
    return {"waveform": wave.expand(1, channels, -1).clone(), "sample_rate": rate}


def sampled(host: Any, face: Any, speech: Any, **changes: Any) -> Any:
    (model,) = host.call("EADNet_Loader", model="tiny", precision="auto", attention="auto")
    words = {"text": "", "preset": "happy", "intensity": 1.0, "valence": 0.0, "arousal": 0.0, "use_pad": False}
    emotion, _ = host.call("EADNet_EmotionPrompt", **words)
    settings = {**SAMPLER, **RANGE, **changes}
    return host.call("EADNet_Sampler", model=model, face=face, speech=speech, emotion=emotion, **settings)[0]


def test_no_face(host: Any) -> None:
    with pytest.raises(Exception, match=r"No face in 'image'.*a box \(x0,y0,x1,y1.*face_threshold"):
        host.call("EADNet_Face", image=noise(1, 128, 128, 3), **FACE)


def test_no_face_in_a_video(host: Any) -> None:
    with pytest.raises(Exception, match=r"No face in any of 8 frames.*Lower face_threshold"):
        host.call("EADNet_Face", image=noise(8, 64, 64, 3), **{**FACE, "index": -1})
    with pytest.raises(Exception, match=r"frame 0.*'hold' or 'pass_through'"):
        host.call("EADNet_Face", image=noise(8, 64, 64, 3), **{**FACE, "index": -1, "on_missing": "stop"})


HERE = {"x": 60, "y": 50, "width": 120, "height": 140}


@pytest.mark.parametrize(
    "bboxes", [HERE, [HERE], [[{**HERE, "width": 9}, {**HERE, "score": 0.9}]]], ids=("one", "a list", "of each picture")
)
def test_a_box_of_another_node_is_what_the_widget_would_be(host: Any, bboxes: Any) -> None:
    blank = noise(1, 256, 256, 3)
    written, *_ = host.call("EADNet_Face", image=blank, **{**FACE, "box": "60,50,180,190"})
    drawn, *_ = host.call("EADNet_Face", image=blank, **FACE, bboxes=bboxes)
    assert drawn.crops == written.crops
    both, *_ = host.call("EADNet_Face", image=blank, **{**FACE, "box": "10,10,90,100"}, bboxes=bboxes)
    assert both.crops != written.crops, "box wins"


def test_each_picture_has_its_own_box(host: Any) -> None:
    other = {**HERE, "x": 20}
    batch = noise(2, 256, 256, 3)
    second, *_ = host.call("EADNet_Face", image=batch, **{**FACE, "index": 1}, bboxes=[[HERE], [other]])
    written, *_ = host.call("EADNet_Face", image=batch, **{**FACE, "index": 1, "box": "20,50,140,190"})
    assert second.crops == written.crops


@pytest.mark.parametrize(
    ("bboxes", "said"),
    [
        ([], "no box for picture 0"),
        ([[]], "no box for picture 0"),
        ({**HERE, "width": 0}, "no box for picture 0"),
        ({"x": 1}, "x, y, width and height"),
        ("here", "x, y, width and height"),
    ],
)
def test_boxes_that_hold_none(host: Any, portrait_image: torch.Tensor, bboxes: Any, said: str) -> None:
    with pytest.raises(Exception, match=said):
        host.call("EADNet_Face", image=portrait_image, **FACE, bboxes=bboxes)


def test_frames_without_a_face_pass_through(host: Any, portrait_image: torch.Tensor) -> None:
    blank = noise(1, 256, 256, 3)
    frames = torch.cat([portrait_image] * 6 + [blank] * 10)
    policy = {**FACE, "index": -1, "on_missing": "pass_through"}
    face, *_ = host.call("EADNet_Face", image=frames, **policy)
    assert face.crops[0] is not None and face.crops[15] is None
    assert set(face.missed) == set(range(6, 16))
    held, *_ = host.call("EADNet_Face", image=frames, **{**policy, "on_missing": "hold"})
    assert None not in held.crops


def test_an_index_beyond_the_batch(host: Any, portrait_image: torch.Tensor) -> None:
    with pytest.raises(Exception, match=r"index is 3, but there are 1 pictures: give 0 .. 0, or -1"):
        host.call("EADNet_Face", image=portrait_image, **{**FACE, "index": 3})


@pytest.mark.parametrize("box", ["1,2,3", "a,b,c,d", "5,5,6,6", "900,900,990,990"])
def test_a_box_that_cannot_be(host: Any, portrait_image: torch.Tensor, box: str) -> None:
    with pytest.raises(Exception, match=r"box.*(give|middle)"):
        host.call("EADNet_Face", image=portrait_image, **{**FACE, "box": box})


def test_a_batch_of_portraits_is_one_by_its_index(host: Any, portrait_image: torch.Tensor) -> None:
    batch = torch.cat([noise(1, 256, 256, 3), portrait_image])
    face, crop, annotated = host.call("EADNet_Face", image=batch, **{**FACE, "index": 1})
    assert face.is_still
    assert crop.shape == (1, 256, 256, 3) and annotated.shape == (1, 256, 256, 3)


def test_silence_is_said_and_keeps_the_mouth_at_rest(host: Any) -> None:
    node = host.node("EADNet_AudioEncoder").PREPARE_CLASS_CLONE(None)
    made = node.execute(audio={"waveform": torch.zeros(1, 2, 44_100), "sample_rate": 44_100}, **HEARD)
    assert "speech_gate off" in made.ui["text"][0]
    assert made.args[0].voice.max() == 0


def test_empty_and_broken_sound(host: Any) -> None:
    with pytest.raises(Exception, match=r"no samples"):
        host.call("EADNet_AudioEncoder", audio={"waveform": torch.zeros(1, 1, 0), "sample_rate": 16_000}, **HEARD)
    broken = sound(1.0)
    broken["waveform"][0, 0, 5] = float("nan")
    with pytest.raises(Exception, match=r"NaN or infinite"):
        host.call("EADNet_AudioEncoder", audio=broken, **HEARD)


def test_stereo_int16_is_heard_as_its_mono_float(host: Any) -> None:
    plain, _ = host.call("EADNet_AudioEncoder", audio=sound(1.0), **HEARD)
    stereo, _ = host.call("EADNet_AudioEncoder", audio=sound(1.0, channels=2, kind=torch.int16), **HEARD)
    assert np.abs(plain.sound.samples - stereo.sound.samples).max() < 1e-3
    assert len(stereo.voice) == 25


def test_ten_minutes_of_sound_are_counted_exactly(host: Any) -> None:
    speech, _ = host.call("EADNet_AudioEncoder", audio=sound(600.0), **HEARD)
    assert len(speech.voice) == 15_000


def test_images_that_would_not_fit_are_refused_before_any_work(
    host: Any, portrait_image: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    face, *_ = host.call("EADNet_Face", image=portrait_image, **FACE)
    speech, _ = host.call("EADNet_AudioEncoder", audio=sound(0.4), **HEARD)
    latents = sampled(host, face, speech)
    monkeypatch.setattr(host.module("nodes.bridge"), "free_memory_bytes", lambda: 5_000_000)
    with pytest.raises(Exception, match=r"10 frames of 256 x 256 px need .* Use EAD-Net Render Video"):
        host.call("EADNet_DecodePaste", latents=latents, face=face, portrait=portrait_image)


def test_an_8k_portrait_of_odd_size_works(host: Any, portrait_image: torch.Tensor) -> None:
    large = torch.nn.functional.interpolate(portrait_image.movedim(-1, 1), size=(4321, 7681)).movedim(1, -1)
    box = "2300,800,5400,3700"
    face, *_ = host.call("EADNet_Face", image=large, **{**FACE, "box": box})
    speech, _ = host.call("EADNet_AudioEncoder", audio=sound(0.08), **HEARD)
    latents = sampled(host, face, speech)
    (video,) = host.call("EADNet_RenderVideo", latents=latents, face=face, portrait=large, audio=sound(0.08), fps=25.0)
    assert video.get_dimensions() == (7682, 4322)


def test_a_larger_portrait_is_pasted_into_and_another_shape_refused(host: Any, portrait_image: torch.Tensor) -> None:
    face, *_ = host.call("EADNet_Face", image=portrait_image, **FACE)
    speech, _ = host.call("EADNet_AudioEncoder", audio=sound(0.08), **HEARD)
    latents = sampled(host, face, speech)
    larger = torch.nn.functional.interpolate(portrait_image.movedim(-1, 1), scale_factor=2.0).movedim(1, -1)
    (images,) = host.call("EADNet_DecodePaste", latents=latents, face=face, portrait=larger)
    assert images.shape == (2, 512, 512, 3)
    with pytest.raises(Exception, match=r"shapes differ. Connect the picture that the face was found in"):
        host.call("EADNet_DecodePaste", latents=latents, face=face, portrait=larger[:, :300])
    with pytest.raises(Exception, match=r"'portrait' holds 3 pictures.*Connect the same pictures"):
        host.call("EADNet_DecodePaste", latents=latents, face=face, portrait=torch.cat([portrait_image] * 3))


def test_other_frame_rates_keep_the_length(host: Any, portrait_image: torch.Tensor) -> None:
    from eadnet_core.media.video.files import read_video

    face, *_ = host.call("EADNet_Face", image=portrait_image, **FACE)
    voice = sound(1.0)
    speech, _ = host.call("EADNet_AudioEncoder", audio=voice, **HEARD)
    latents = sampled(host, face, speech)
    for fps, n_frames in ((29.97, 30), (12.0, 12), (50.0, 50)):
        (video,) = host.call(
            "EADNet_RenderVideo", latents=latents, face=face, portrait=portrait_image, audio=voice, fps=fps
        )
        made = read_video(video.get_stream_source())
        assert made.n_frames == n_frames
        assert made.fps == pytest.approx(fps, abs=0.02)


def test_a_folder_that_is_no_model(host: Any) -> None:
    message = host.node("EADNet_Loader").validate_inputs(model="../tiny")
    assert "Put its folder" in message and "models/eadnet" in message
    with pytest.raises(Exception, match="Put its folder"):
        host.call("EADNet_Loader", model="gone", precision="auto", attention="auto")


def test_a_missing_and_a_damaged_weight_file_are_named(host: Any) -> None:
    folder = host.base / "models" / "eadnet" / "broken"
    shutil.copytree(host.base / "models" / "eadnet" / "tiny", folder)
    try:
        for part in MODEL_PARTS[2:]:
            (folder / f"{part}.safetensors").unlink()
        with pytest.raises(Exception, match=r"No weight file '.*syncnet.safetensors'.*get 'syncnet.safetensors' from"):
            host.call("EADNet_Loader", model="broken", precision="auto", attention="auto")
        (folder / "vae.safetensors").write_bytes(b"\x80\x04not weights")
        with pytest.raises(Exception, match=r"vae.safetensors' is not a readable safetensors.*get the file again"):
            host.call("EADNet_Loader", model="broken", precision="auto", attention="auto")
    finally:
        shutil.rmtree(folder)


def test_an_attention_that_is_not_installed(host: Any) -> None:
    pytest.importorskip("torch")
    try:
        import xformers  # noqa: F401
    except ImportError:
        with pytest.raises(Exception, match=r"xformers, which is not installed.*'sdpa'"):
            host.call("EADNet_Loader", model="tiny", precision="auto", attention="xformers")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("not json", "keyframes cannot be read"),
        ('{"time": 0}', "keyframes cannot be read"),
        ('[{"text": "happy"}]', "keyframes cannot be read"),
        ("[]", "at least one keyframe"),
        ('[{"time": -1, "text": "happy"}]', "time_s of emotion keyframe 0 is -1"),
        ('[{"time": 1, "text": "a"}, {"time": 1, "text": "b"}]', "give each its own time"),
        ('[{"time": 1, "text": "a", "intensity": 3}]', "it must be 0 .. 1"),
        ('[{"time": 1, "text": "a", "colour": 3}]', "unknown 'colour'"),
    ],
)
def test_keyframes_that_cannot_be_read(host: Any, text: str, problem: str) -> None:
    with pytest.raises(Exception, match=problem):
        host.call("EADNet_EmotionTrack", keyframes=text, cross_fade=0.5)


def test_nothing_to_describe_and_nothing_to_score(host: Any, portrait_image: torch.Tensor) -> None:
    with pytest.raises(Exception, match="nothing to describe"):
        host.call("EADNet_LLMEmotionCaption", provider={"provider": "rules"}, text=" ")
    score = {"asked_emotion": "any", "fps": 25.0, "box": ""}
    with pytest.raises(Exception, match="Connect either images or a video"):
        host.call("EADNet_SyncScore", **score)
    with pytest.raises(Exception, match="connect the voice to audio"):
        host.call("EADNet_SyncScore", images=portrait_image, **score)
    with pytest.raises(Exception, match="too few to score; give at least 5"):
        host.call("EADNet_SyncScore", images=portrait_image, audio=sound(1.0), **score)


def test_a_range_that_is_upside_down(host: Any, portrait_image: torch.Tensor) -> None:
    face, *_ = host.call("EADNet_Face", image=portrait_image, **FACE)
    speech, _ = host.call("EADNet_AudioEncoder", audio=sound(0.08), **HEARD)
    with pytest.raises(Exception, match=r"sync_low 0.9 lies above sync_high 0.1; exchange them"):
        sampled(host, face, speech, sync_low=0.9, sync_high=0.1)
