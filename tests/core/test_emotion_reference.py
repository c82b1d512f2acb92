"""Emotions borrowed from faces: the bank, references in tracks, files and commands, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from eadnet_core.cli import main
from eadnet_core.config import EmotionBankConfig
from eadnet_core.corpus.clips import draw_head_seed
from eadnet_core.corpus.stage import open_stage
from eadnet_core.emotion.code import INTENSITY, describe, emotion_code
from eadnet_core.emotion.reference import Reference
from eadnet_core.emotion.spacing import evenly_spaced
from eadnet_core.emotion.track import EmotionTrack, Keyframe
from eadnet_core.emotion.track_file import read_track
from eadnet_core.errors import BadInput, FaceNotFound
from eadnet_core.evaluation.heldout import Clip, draw_cases
from eadnet_core.evaluation.shipped import SEED, read_shipped
from eadnet_core.families.family import Model
from eadnet_core.generation.pipeline import prepare
from eadnet_core.heads.anatomy import Anatomy
from eadnet_core.heads.rig import STATE, STATE_INDEX
from eadnet_core.media.video.files import write_video
from eadnet_core.nets.emotion_bank import EmotionBank, first_entries
from eadnet_core.perception.faces import LOOKED_AT, faces_in, look_by, pictures_of, read_faces
from eadnet_core.request import GenerateOptions
from eadnet_core.taxonomy import ACTION_UNITS, CONTROLS, EMOTIONS
from eadnet_core.weights.experts import ReferenceReader, load_reference_reader
from eadnet_core.weights.folders import ASSETS

PORTRAIT, CLIP = ASSETS / "sample" / "portrait.png", ASSETS / "sample" / "clip.mp4"


@pytest.fixture(scope="module")
def reader() -> ReferenceReader:
    return load_reference_reader("mini")


@pytest.fixture(scope="module")
def bank(reader: ReferenceReader) -> EmotionBank:
    return reader.bank


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    """Every third group of the held-out clips that ship, at 128 px."""
    return [clip for group in read_shipped(draw_cases(48, SEED)[::3], 128) for clip in group]


def feeling(emotion: str, **controls: float) -> torch.Tensor:
    """Controls [28] of a face that shows an emotion fully, and of whatever else it does."""
    units = dict(zip(ACTION_UNITS, emotion_code(emotion, 1.0)[-len(ACTION_UNITS) :], strict=True))
    return torch.tensor([float(controls.get(name, units.get(name, 0.0))) for name in CONTROLS])


class TestBank:
    def test_what_comes_out_lies_between_the_entries(self) -> None:
        torch.manual_seed(0)
        net = EmotionBank(EmotionBankConfig(width=16, entries=16, query_width=8)).eval()
        with torch.no_grad():
            logits = net(20 * torch.randn(5, 28))
            codes, low, high = net.code(50 * logits), net.entries.min(0).values, net.entries.max(0).values
        assert codes.shape == (5, 27)
        assert (codes >= low - 1e-5).all() and (codes <= high + 1e-5).all()
        torch.testing.assert_close(codes[:, :8].sum(1), torch.ones(5))

    def test_every_emotion_has_entries_of_every_strength(self) -> None:
        entries = first_entries(64, EMOTIONS).numpy()
        for i in range(len(EMOTIONS)):
            own = entries[entries[:, i] == 1]
            assert len(own) == 8 and (i == 0 or sorted(own[:, INTENSITY]) == pytest.approx(np.arange(1, 9) / 8))

    def test_a_word_and_a_blink_are_no_feeling(self, bank: EmotionBank) -> None:
        still, word = feeling("happy"), feeling("happy", jaw=0.9, open=0.9, AU25=1.0)
        blink = feeling("happy", blink=1.0)
        alone = bank.read(still[None])
        torch.testing.assert_close(bank.read(torch.stack([word, still, blink, still, still])), alone)
        assert not torch.allclose(bank.read(torch.stack([word, word, still])), alone)
        assert EMOTIONS[int(alone[:8].argmax())] == "happy" and alone[INTENSITY] > 0.8

    def test_the_shipped_one_reads_heads_it_never_saw(self, reader: ReferenceReader, real_anatomy: Anatomy) -> None:
        right = []
        for number in range(6):
            states = np.zeros((len(EMOTIONS), len(STATE)), np.float32)
            states[:, [STATE_INDEX[name] for name in CONTROLS]] = torch.stack([feeling(name) for name in EMOTIONS])
            head = draw_head_seed(np.random.default_rng([991, number]), "heldout")
            faces = open_stage(head, 128, real_anatomy.folder).draw(states)[0]
            right += [read_faces(face[None], reader)[:8].argmax() == i for i, face in enumerate(faces)]
        assert np.mean(right) >= 0.9  # measured: .99 of 24 heads

    def test_the_shipped_one_reads_clips_that_speak(self, reader: ReferenceReader, clips: list[Clip]) -> None:
        some = [clip.truth.frames[evenly_spaced(len(clip.truth.frames), 6)] for clip in clips]
        read = np.stack([read_faces(faces, reader) for faces in some])
        asked, level = (
            np.array([EMOTIONS.index(c.case.emotion) for c in clips]),
            np.array([c.case.level for c in clips]),
        )
        assert (read[:, :8].argmax(1) == asked).mean() >= 0.85  # measured: all of these, .96 of all 72
        strength = [read[(asked > 0) & (level == i), INTENSITY].mean() for i in range(3)]
        assert 0.3 < strength[0] < strength[1] - 0.15 < strength[2] - 0.15
        assert read[asked == 0, INTENSITY].mean() < 0.15, "speech alone"

    def test_the_shipped_clip_feels_what_it_was_drawn_with(self, reader: ReferenceReader) -> None:
        faces = faces_in(pictures_of(ASSETS / "sample" / "feeling.mp4"))
        reading = describe(read_faces(faces, reader))
        assert reading.label == "surprised" and reading.intensity > 0.5

    def test_no_entry_leaves_the_space_of_codes(self, bank: EmotionBank) -> None:
        entries = bank.entries.numpy()
        assert entries.min(0)[8] >= 0 and entries[:, 11:].min() >= 0 and entries[:, [8, *range(11, 27)]].max() <= 1
        assert np.abs(entries[:, 9:11]).max() <= 1 and (entries[:, :8].sum(1) == 1).all()

    def test_it_is_small(self) -> None:
        assert (ASSETS / "mini" / "emotion_bank.safetensors").stat().st_size < 1_000_000


class TestPictures:
    def test_a_clip_is_looked_at_evenly_and_in_part(self) -> None:
        whole = pictures_of(CLIP)
        assert len(whole) == LOOKED_AT
        some = pictures_of(CLIP, 0.2, 0.6)
        assert len(some) == 10
        assert np.array_equal(pictures_of(CLIP, 0.2, 0.21)[0], some[0])

    def test_a_photo_is_one_picture(self) -> None:
        assert len(pictures_of(PORTRAIT)) == 1
        assert faces_in(pictures_of(PORTRAIT)).shape == (1, 128, 128, 3)

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: pictures_of(PORTRAIT, 1.0), "is a photo, which has no time"),
            (lambda: pictures_of(CLIP, 900.0), "cannot be looked at from 900 s on"),
            (lambda: pictures_of("nowhere.mp4"), "nowhere.mp4"),
            (lambda: pictures_of("nowhere.png"), "does not exist"),
            (lambda: faces_in([]), "There is no picture"),
        ],
    )
    def test_what_cannot_be_looked_at_is_refused(self, call: object, message: str) -> None:
        with pytest.raises(BadInput, match=message):
            call()  # type: ignore[operator]

    def test_without_a_face_it_says_so(self) -> None:
        grey = np.full((2, 200, 200, 3), 128, np.uint8)
        with pytest.raises(FaceNotFound, match=r"No face was found in images: 2 of its pictures.*frontal face"):
            faces_in(grey, "images")

    def test_pictures_without_a_face_are_left_out(self) -> None:
        portrait = pictures_of(PORTRAIT)[0]
        assert len(faces_in([np.full_like(portrait, 128), portrait])) == 1

    def test_files_and_the_reader_are_read_once(self, reader: ReferenceReader, tmp_path: Path) -> None:
        path, other = tmp_path / "face.png", tmp_path / "other.png"
        for place in (path, other):
            Image.open(PORTRAIT).save(place)
        asked: list[int] = []
        look = look_by(lambda: asked.append(1) or reader)
        first = look(Reference(str(path)))
        path.unlink()
        np.testing.assert_array_equal(look(Reference(str(path), weight=0.3)), first)
        np.testing.assert_array_equal(look(Reference(str(other))), first)
        assert asked == [1]

    def test_pictures_are_evenly_spaced(self) -> None:
        places = evenly_spaced(100, LOOKED_AT)
        assert places == sorted(set(places)) and len(places) == LOOKED_AT
        assert evenly_spaced(3, LOOKED_AT) == [0, 1, 2] and evenly_spaced(1, LOOKED_AT) == [0]


class TestReferences:
    happy = emotion_code("happy", 0.8)

    def track(self, **more: object) -> EmotionTrack:
        given = {"time_s": 0, "text": "sad", "code": emotion_code("sad", 1.0), "reference": {"path": "x.mp4", **more}}
        return EmotionTrack.parse([given])

    def test_weight_goes_from_the_words_to_the_face(self) -> None:
        def code(weight: float) -> np.ndarray:
            return self.track(weight=weight).seen(lambda _: self.happy).at([0.0])[0]

        np.testing.assert_allclose(code(0.0), emotion_code("sad", 1.0), atol=1e-6)
        np.testing.assert_allclose(code(1.0), self.happy, atol=1e-6)
        np.testing.assert_allclose(code(0.25), 0.75 * emotion_code("sad", 1.0) + 0.25 * self.happy, atol=1e-6)

    def test_vividness_scales_what_is_seen(self) -> None:
        def intensity(vividness: float) -> float:
            return float(self.track(vividness=vividness).seen(lambda _: self.happy).at([0.0])[0, INTENSITY])

        assert [intensity(v) for v in (0.0, 0.5, 1.0, 2.0)] == pytest.approx([0.0, 0.4, 0.8, 1.6])

    def test_the_report_names_the_face(self) -> None:
        (keyframe,) = self.track().seen(lambda _: self.happy).keyframes
        assert keyframe.text == "sad + as in x.mp4" and keyframe.reference is None

    def test_a_track_nobody_looked_at_cannot_be_used(self) -> None:
        with pytest.raises(ValueError, match="call seen"):
            self.track().at([0.0])

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            ({"weight": 1.5}, "weight of reference 'x.mp4' is 1.5; it must be 0 .. 1"),
            ({"vividness": -1}, "must be 0 .. 2"),
            ({"start_s": 3, "end_s": 2}, "ends at 2 s, before it begins"),
            ({"colour": 1}, "give a path, or an object with path"),
            ({"path": ""}, "path of a reference"),
        ],
    )
    def test_wrong_values_are_refused(self, more: dict[str, object], message: str) -> None:
        with pytest.raises(BadInput, match=message):
            self.track(**more)

    def test_a_file_looks_beside_itself(self, tmp_path: Path) -> None:
        frames = [{"time_s": 0, "text": "calm"}, {"time_s": 1, "reference": {"path": "a.mp4", "weight": 0.5}}]
        (tmp_path / "track.json").write_text(json.dumps({"keyframes": frames}))
        first, second = read_track(tmp_path / "track.json").keyframes
        assert first.reference is None
        assert second.reference == Reference(str(tmp_path / "a.mp4"), weight=0.5)
        again = EmotionTrack.from_json(EmotionTrack((first, second)).to_json())
        assert again.keyframes == (first, second)

    def test_a_faulty_one_in_a_file_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "track.json").write_text('[{"time_s": 0, "reference": {"path": "a.mp4", "weight": 2}}]')
        with pytest.raises(BadInput, match=r"keyframes.0.reference.weight"):
            read_track(tmp_path / "track.json")


class TestBlends:
    def test_two_tracks_mix_at_every_time(self) -> None:
        first = EmotionTrack.parse(
            [
                {"time_s": 0.5, "text": "a", "code": emotion_code("sad", 1.0)},
                {"time_s": 2.0, "text": "b", "code": emotion_code("happy", 0.4), "fade_s": 0.6},
                {"time_s": 2.5, "text": "c", "code": emotion_code("fear", 0.9), "fade_s": 0.0},
            ]
        )
        second = EmotionTrack.parse([(0.0, ""), (3.0, "d")]).read(lambda texts: np.eye(27)[: len(texts)])
        times = np.linspace(0, 4, 401)
        mixed = first.blended(second, 0.3)
        np.testing.assert_allclose(mixed.at(times), 0.7 * first.at(times) + 0.3 * second.at(times), atol=1e-5)
        assert mixed.keyframes[-1].text == "c + d"

    def test_soft_fades_stay_soft(self) -> None:
        soft = {"time_s": 2.0, "code": emotion_code("happy", 1.0), "ease": "smooth"}
        track = EmotionTrack.parse([{"time_s": 0.0, "code": emotion_code("sad", 1.0)}, soft])
        times = np.linspace(0, 2, 101)
        alone = track.blended(EmotionTrack((Keyframe(0.0, code=tuple(emotion_code("sad", 1.0))),)), 0.0)
        np.testing.assert_allclose(alone.at(times), track.at(times), atol=0.02)

    @pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan")])
    def test_the_weight_is_a_share(self, weight: float) -> None:
        track = EmotionTrack((Keyframe(0.0, code=(0.0,) * 27),))
        with pytest.raises(BadInput, match="weight of a blend"):
            track.blended(track, weight)


class TestThroughThePipeline:
    def test_a_reference_sets_the_emotion(
        self, tiny_model: Model, portrait: np.ndarray, tmp_path: Path, clips: list[Clip]
    ) -> None:
        path = tmp_path / "angry.png"
        angry = next(clip for clip in clips if clip.case.emotion == "angry")
        Image.fromarray(angry.truth.frames[0]).resize((384, 384), Image.Resampling.LANCZOS).save(path)
        options = GenerateOptions(steps=1, face_box=(20.0, 20.0, 100.0, 110.0))
        samples = np.zeros(16_000, np.float32)

        def code(**more: float) -> np.ndarray:
            reference = Reference(str(path), **more)
            made = prepare(portrait, samples, "", options, model=tiny_model, sample_rate=16_000, reference=reference)
            assert made.report.emotions[0]["text"] == "as in angry.png"
            return made.performance.code[0]

        neutral = emotion_code("neutral", 0.0)
        np.testing.assert_allclose(code(weight=0.0), neutral, atol=1e-6)
        np.testing.assert_allclose(code(weight=0.5), 0.5 * (neutral + code()), atol=1e-5)
        assert np.abs(code() - neutral).max() > 0.05

    def test_the_command_takes_a_clip(self, tiny_folder: Path, tmp_path: Path) -> None:
        frames = np.repeat(np.array(Image.open(PORTRAIT).convert("RGB").resize((256, 256)))[None], 6, 0)
        write_video(tmp_path / "face.mp4", frames, 25)
        command = ["generate", "--portrait", str(PORTRAIT), "--audio", str(ASSETS / "sample" / "speech.wav")]
        command += ["--output", str(tmp_path / "o.mp4"), "--model", str(tiny_folder), "--device", "cpu", "--dry-run"]
        borrowed = ["--emotion-from", str(tmp_path / "face.mp4"), "--emotion-from-span", "0,0.1"]
        assert main([*command, *borrowed, "--emotion", "sad", "--vividness", "1.5"]) == 0

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            (["--vividness", "1.5"], "belong to an --emotion-from FILE"),
            (["--emotion-from", str(CLIP), "--emotion-from-weight", "2"], "must be 0 .. 1"),
            (["--emotion-from", "nowhere.mp4"], "nowhere.mp4"),
        ],
    )
    def test_the_command_refuses(
        self, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], given: list[str], message: str
    ) -> None:
        command = ["generate", "--portrait", str(PORTRAIT), "--audio", str(ASSETS / "sample" / "speech.wav")]
        command += ["--output", str(tmp_path / "o.mp4"), "--model", str(tiny_folder), "--device", "cpu", "--dry-run"]
        assert main([*command, *given]) == 2
        assert message in capsys.readouterr().err

    def test_a_face_can_be_read_alone(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["emotion", "--from", str(PORTRAIT), "--json", str(tmp_path / "read.json")]) == 0
        (reading,) = json.loads((tmp_path / "read.json").read_text())
        assert reading["label"] in EMOTIONS and reading["text"].startswith("The face looks")
        assert reading["label"] in capsys.readouterr().out


class TestGaze:
    def test_amplitudes_are_linear_and_zero_is_none(self) -> None:
        from eadnet_core.motion.generate import generate_motion

        codes = np.tile(emotion_code("neutral", 0.0), (300, 1))
        made = {
            g: generate_motion(np.zeros(300), codes, np.random.default_rng(1), gaze=g) for g in (0.0, 0.5, 1.0, 2.0)
        }
        assert not made[0.0][:, 6:].any() and made[1.0][:, 6:].std() > 0.05
        np.testing.assert_allclose(made[0.5][:, 6:], 0.5 * made[1.0][:, 6:], atol=1e-6)
        np.testing.assert_array_equal(made[0.0][:, :6], made[2.0][:, :6])
        assert np.abs(made[2.0]).max() <= 1.0
