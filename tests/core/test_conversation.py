"""Several faces in one picture: each speaks with its own voice, whoever stands by stays, and segments hold."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eadnet_core import assets
from eadnet_core.emotion.track import EmotionTrack
from eadnet_core.errors import BadInput, Cancelled, FaceNotFound
from eadnet_core.families.family import Model
from eadnet_core.generation.conversation import Conversation, ConversationOptions, prepare_conversation
from eadnet_core.generation.output import write_video
from eadnet_core.generation.pipeline import prepare
from eadnet_core.generation.recipe import recipe
from eadnet_core.generation.speakers import Speaker
from eadnet_core.media.face.crop import FaceCrop
from eadnet_core.media.face.territories import painted, shares
from eadnet_core.media.sound.audio import Audio, read_audio
from eadnet_core.media.video.files import VideoWriter, read_video
from eadnet_core.media.video.segments import MANIFEST, segment_folder
from eadnet_core.motion.style import Style
from eadnet_core.request import GenerateOptions, Progress

SIDE = 192
OPTIONS = GenerateOptions(steps=1, segment_frames=8)
STILL = ConversationOptions(look=0.0)


@pytest.fixture(scope="module")
def row() -> np.ndarray:
    """Three people side by side, the second one mirrored: uint8 [192, 576, 3]."""
    one = Image.open(Path(assets.__file__).parent / "sample" / "portrait.png").convert("RGB").resize((SIDE, SIDE))
    pixels = np.asarray(one)
    return np.concatenate([pixels, pixels[:, ::-1], pixels], axis=1)


@pytest.fixture
def voice(voice_samples: np.ndarray) -> Audio:
    """1.2 s: 30 frames."""
    return read_audio(voice_samples, 16_000)


@pytest.fixture
def short(voice_samples: np.ndarray) -> Audio:
    """.6 s: 15 frames."""
    return read_audio(voice_samples[:9600], 16_000)


def frames_of(work: Any) -> np.ndarray:
    return np.concatenate([segment.frames for segment in work.segments()])


def talk(row: np.ndarray, speakers: list[Speaker], model: Model, **more: Any) -> Conversation:
    given = {"options": OPTIONS, "conversation": STILL, "model": model, **more}
    return prepare_conversation(row, speakers, **given)


def test_a_bystander_is_the_picture_to_the_bit(row: np.ndarray, voice: Audio, tiny_model: Model) -> None:
    speakers = [Speaker("anna", "left", voice, words="happy"), Speaker("ben", 2, voice, words="sad")]
    made = talk(row, speakers, tiny_model)
    frames = frames_of(made)
    assert frames.shape == (30, SIDE, 3 * SIDE, 3)
    assert [round(other["center_x"] / SIDE, 1) for other in made.report.bystanders] == [1.5]
    assert (frames[:, :, SIDE : 2 * SIDE] == row[None, :, SIDE : 2 * SIDE]).all()
    changed = (frames != row[None]).any((0, 1, 3))
    assert changed[:SIDE].any() and changed[2 * SIDE :].any()


def test_each_face_is_what_it_would_be_alone(row: np.ndarray, voice: Audio, short: Audio, tiny_model: Model) -> None:
    speakers = [Speaker("anna", 0, voice, words="happy"), Speaker("ben", 2, short, start_s=0.6, words="sad")]
    frames = frames_of(talk(row, speakers, tiny_model))
    box = talk(row, speakers, tiny_model).faces[0].subject.nearest(0)
    x0, x1 = round(box.center_x - 40), round(box.center_x + 40)
    alone = prepare(row, voice, "happy", dataclasses.replace(OPTIONS, face_box=_box(box)), model=tiny_model)
    assert np.array_equal(frames[:, :, x0:x1], frames_of(alone)[:, :, x0:x1])


def test_a_style_is_of_its_speaker_alone(row: np.ndarray, voice: Audio, tiny_model: Model) -> None:
    plain = [Speaker("anna", 0, voice, words="happy"), Speaker("ben", 2, voice, words="happy")]
    lively = dataclasses.replace(plain[0], style=Style.of({"gestures": 3.0, "nods": 3.0}, "anna"))
    before, after = (talk(row, [first, plain[1]], tiny_model) for first in (plain[0], lively))
    was, now = ([face.performance.motion for face in made.faces] for made in (before, after))
    assert np.abs(now[0] - was[0]).max() > 0.01
    assert np.array_equal(now[1], was[1])
    assert [face.report.style.get("source") for face in after.faces] == ["anna", None]
    assert recipe(after) != recipe(before)


def _box(place: FaceCrop) -> tuple[float, float, float, float]:
    half = 0.325 * place.side_px
    y = place.center_y + 0.015 * place.side_px
    return place.center_x - half, y - half, place.center_x + half, y + half


def test_a_listener_rests_its_mouth_and_lives(row: np.ndarray, voice: Audio, tiny_model: Model) -> None:
    long = read_audio(np.tile(voice.samples, 4), 16_000)
    made = talk(row, [Speaker("anna", 0, long), Speaker("ben", 2)], tiny_model, conversation=ConversationOptions())
    talking, listening = (face.performance for face in made.faces)
    assert talking.voice.any() and not listening.voice.any()
    assert listening.motion[:, :5].std(0).max() > 0 and listening.motion[:, 6].min() < -0.4, "it looks at who speaks"
    assert made.report.speaks_s[0] and not made.report.speaks_s[1]
    assert not [note for note in made.faces[1].report.notes if "No speech" in note]
    assert made.faces[0].options.seed != made.faces[1].options.seed


@pytest.mark.parametrize(
    ("shorter", "n_frames", "speaks"),
    [("silence", 30, 15), ("hold", 30, 15), ("loop", 30, 30), ("bounce", 30, 15), ("cut", 15, 15)],
)
def test_a_shorter_voice(
    row: np.ndarray, voice: Audio, short: Audio, tiny_model: Model, shorter: str, n_frames: int, speaks: int
) -> None:
    speakers = [Speaker("anna", 0, voice), Speaker("ben", 2, short)]
    options = dataclasses.replace(OPTIONS, has_speech_gate=False)
    made = talk(row, speakers, tiny_model, options=options, conversation=ConversationOptions(shorter, 0.0))
    done = made.faces[1].performance
    assert made.report.n_frames == n_frames == len(done.motion)
    assert (done.samples != 0).sum() / 640 == pytest.approx(speaks, abs=1)
    is_held = bool((done.motion[16:, :5] == done.motion[15:16, :5]).all()) and n_frames > 15
    assert is_held == (shorter == "hold")
    if shorter == "bounce":
        there = done.motion[:15]
        assert np.array_equal(done.motion[15:29], there[-2::-1]) and np.array_equal(done.motion[29], there[1])
        assert np.ptp(there, axis=0).max() > 0 and np.array_equal(done.code[15:29], done.code[13::-1])
        assert not done.voice[15:].any() and made.report.notes[0].endswith("from there its face moves to and fro.")
    assert (made.report.notes != []) == (shorter != "nothing")


def test_turns_in_one_sound(row: np.ndarray, voice: Audio, tiny_model: Model) -> None:
    lines = [("anna", 0.0, "happy"), ("ben", 0.6, "sad"), (None, 0.9, "calm")]
    track = EmotionTrack.parse([{"time_s": t, "text": said, "speaker": name} for name, t, said in lines])
    made = talk(row, [Speaker("anna", 0), Speaker("ben", 2)], tiny_model, audio=voice, emotion=track)
    anna, ben = (face.performance.samples for face in made.faces)
    assert anna[:9_000].any() and not anna[9_800:].any() and ben[9_800:].any() and not ben[:9_400].any()
    assert [[e["text"] for e in face.report.emotions] for face in made.faces] == [["happy", "calm"], ["sad", "calm"]]
    assert made.sound is voice, "the video keeps the sound as it is"
    with pytest.raises(BadInput, match="has one face"):
        prepare(row, voice, track, OPTIONS, model=tiny_model)


def test_channels_of_one_sound(row: np.ndarray, voice_samples: np.ndarray, tiny_model: Model) -> None:
    left, right = voice_samples.copy(), voice_samples[::-1].copy()
    left[9_600:], right[:9_600] = 0.05 * right[9_600:], 0.05 * left[:9_600]  # each microphone hears the other
    both = read_audio(np.stack([left, right]), 16_000)
    made = talk(row, [Speaker("anna", 0, channel=1), Speaker("ben", 2, channel=2)], tiny_model, audio=both)
    anna, ben = (np.abs(face.performance.samples) for face in made.faces)
    assert anna[:8_000].max() > 0.3 and anna[12_000:].max() < 0.01
    assert ben[12_000:].max() > 0.3 and ben[:7_000].max() < 0.01
    with pytest.raises(BadInput, match="has 2"):
        talk(row, [Speaker("anna", 0, channel=3)], tiny_model, audio=both)
    with pytest.raises(BadInput, match="are the same"):
        same = read_audio(np.stack([left, left]), 16_000)
        talk(row, [Speaker("anna", 0, channel=1), Speaker("ben", 2, channel=2)], tiny_model, audio=same)


def test_what_contradicts_itself_is_said(row: np.ndarray, voice: Audio, tiny_model: Model) -> None:
    two = [Speaker("anna", 0), Speaker("ben", 1)]
    with pytest.raises(BadInput, match="Nothing says who speaks"):
        talk(row, two, tiny_model, audio=voice)
    with pytest.raises(BadInput, match="Nobody has a voice"):
        talk(row, two, tiny_model)
    with pytest.raises(BadInput, match="There is no sound of the whole clip"):
        talk(row, [Speaker("anna", 0, channel=1)], tiny_model)
    with pytest.raises(BadInput, match="lets 'carl' speak"):
        talk(row, two, tiny_model, audio=voice, emotion=EmotionTrack.parse([{"time_s": 0, "speaker": "carl"}]))
    with pytest.raises(BadInput, match="are the same face"):
        talk(row, [Speaker("anna", 0, voice), Speaker("ben", "left", voice)], tiny_model)
    with pytest.raises(FaceNotFound, match="4 faces are needed, and 3 are seen"):
        talk(row, [Speaker("anna", 3, voice)], tiny_model)
    with pytest.raises(BadInput, match="say which one face"):
        talk(row, two, tiny_model, audio=voice, options=dataclasses.replace(OPTIONS, face_index=1))
    with pytest.raises(BadInput, match="has a voice and a channel"):
        Speaker("anna", 0, voice, channel=1)
    with pytest.raises(BadInput, match="the same for all faces"):
        Speaker("anna", 0, voice, options={"background": "locked"})
    with pytest.raises(BadInput, match="shorter is 'remap'"):
        ConversationOptions("remap")


def test_an_alpha_of_all_who_speak(row: np.ndarray, voice: Audio, tiny_model: Model) -> None:
    options = dataclasses.replace(OPTIONS, background="transparent")
    speakers = [Speaker("anna", 0, voice), Speaker("ben", 2, voice)]
    first = next(talk(row, speakers, tiny_model, options=options).segments())
    alpha = first.frames[0, :, :, 3]
    assert alpha.shape == (SIDE, 3 * SIDE) and not alpha[:, SIDE + 40 : 2 * SIDE - 40].any()
    assert alpha[90, SIDE // 2] > 200 and alpha[90, 2 * SIDE + SIDE // 2] > 200


class Clip:
    """Two faces over 30 frames in 4 segments."""

    def __init__(self, row: np.ndarray, voice: Audio, short: Audio, model: Model, output: Path) -> None:
        self.speakers = [Speaker("anna", 0, voice, words="glad"), Speaker("ben", 1, short, start_s=0.6)]
        self.row, self.model, self.output = row, model, output

    def write(self, seed: int = 0, output: Path | None = None, **more: Any) -> Conversation:
        output = output or self.output
        is_open = bool(more.get("resume")) or more.get("redo") is not None
        options = dataclasses.replace(OPTIONS, seed=seed)
        made = talk(self.row, self.speakers, self.model, options=options, output=output, resume=is_open)
        write_video(made, output, **more)
        return made


@pytest.fixture
def clip(row: np.ndarray, voice: Audio, short: Audio, tiny_model: Model, tmp_path: Path) -> Clip:
    return Clip(row, voice, short, tiny_model, tmp_path / "out.mp4")


def test_a_stopped_clip_goes_on_to_the_same_bytes(clip: Clip, tmp_path: Path) -> None:
    ticks: list[Progress] = []

    def is_enough() -> bool:
        manifest = segment_folder(clip.output) / MANIFEST
        return json.loads(manifest.read_text())["segments"][1]["state"] == "finished"

    with pytest.raises(Cancelled):
        clip.write(cancel=is_enough)
    made = clip.write(resume=True, on_progress=ticks.append)
    whole = tmp_path / "whole.mp4"
    clip.write(output=whole)
    assert clip.output.read_bytes() == whole.read_bytes()
    assert ticks[-1].done == ticks[-1].total == 2 * 30 * 2 and ticks[0].done > 60
    report = made.report.to_dict()
    assert [speaker["name"] for speaker in report["speakers"]] == ["anna", "ben"]
    assert report["speakers"][0]["emotions"][0]["text"] == "glad" and report["seconds_per_second"] > 0
    json.dumps(report)


def test_one_segment_made_anew_changes_both_faces_and_no_other(clip: Clip) -> None:
    clip.write(keep_segments=True)
    before = np.stack(list(read_video(clip.output)))
    clip.write(seed=5, redo=1)
    after = np.stack(list(read_video(clip.output)))
    changed = (before != after).any((2, 3))
    assert not changed[:8].any() and not changed[16:].any()
    assert (before[8:16, :, :SIDE] != after[8:16, :, :SIDE]).any()
    assert (before[8:16, :, SIDE : 2 * SIDE] != after[8:16, :, SIDE : 2 * SIDE]).any()


def test_two_faces_of_a_video(row: np.ndarray, voice: Audio, tiny_model: Model, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, (3 * SIDE, SIDE)) as writer:
        for number in range(12):
            writer.write(np.roll(row, number // 4, axis=0))
    speakers = [Speaker("anna", "right", voice), Speaker("ben", 0, voice)]
    assert ConversationOptions("bounce").of_video().shorter == "silence", "its heads move by themselves"
    made = talk(read_video(path, 25), speakers, tiny_model, options=dataclasses.replace(OPTIONS, mask="mouth"))
    assert made.report.n_frames == 12 and len(made.report.speakers[0].faces) == 12
    centers = [face.subject.nearest(0).center_x / SIDE for face in made.faces]
    assert centers == pytest.approx([2.5, 0.5], abs=0.1)
    frames, source = frames_of(made), np.stack(list(read_video(path, 25)))
    assert (frames[:, :, SIDE : 2 * SIDE] == source[:, :, SIDE : 2 * SIDE]).all()
    assert (frames[:, :, :SIDE] != source[:, :, :SIDE]).any() and (frames[:, :, -SIDE:] != source[:, :, -SIDE:]).any()


def test_whose_a_pixel_is() -> None:
    size, left, right = (120, 100), FaceCrop(35.0, 50.0, 60.0), FaceCrop(85.0, 50.0, 60.0)
    black, white, grey = (np.full((100, 120, 3), level, np.uint8) for level in (0, 200, 100))
    both = painted(black, [white, grey], shares(size, [left, right]))
    assert np.array_equal(both, painted(black, [grey, white], shares(size, [right, left])))
    assert (both[50, 25:50] == 200).all() and (both[50, 70:95] == 100).all()
    beside = shares(size, [left], [right])
    assert (painted(black, [white], beside)[:, 60:] == 0).all()
