"""How somebody speaks: traits in the motion, the knob of vividness, files, the corpus, the adapter, and clips."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from eadnet_core import cli
from eadnet_core.corpus.clips import write_script
from eadnet_core.corpus.speech import SpeechBank
from eadnet_core.corpus.styles import in_style
from eadnet_core.emotion.code import emotion_code
from eadnet_core.emotion.track import EmotionTrack
from eadnet_core.errors import BadInput, CheckpointError
from eadnet_core.evaluation.clips import training_frame
from eadnet_core.families.family import Model
from eadnet_core.families.load import load_model
from eadnet_core.generation.plan import Plan, plan
from eadnet_core.media.sound.audio import read_audio
from eadnet_core.media.sound.speech import hear
from eadnet_core.motion.generate import generate_motion
from eadnet_core.motion.live import LiveMotion
from eadnet_core.motion.style import EVERYBODY, LIVELY, Style, Traits, mixed, together
from eadnet_core.motion.style_file import read_style_file, write_style
from eadnet_core.nets.adapters import Strengths
from eadnet_core.nets.denoiser import Denoiser
from eadnet_core.nets.style import StyleAdapter, StyleConfig
from eadnet_core.perception.style import as_seen, style_of
from eadnet_core.request import GenerateOptions
from eadnet_core.sampling.conditions import FrameConditions
from eadnet_core.taxonomy import CONTROLS, FACE_TRAITS, MOTION, TRAITS

if TYPE_CHECKING:
    from tests.conftest import Tiny

N = 3000
SYLLABLES = np.clip(np.sin(np.arange(N) / 2.5) ** 3 * (np.sin(np.arange(N) / 40) > -0.5), 0, 1).astype(np.float32)
CALM = np.repeat(emotion_code("neutral", 0.0)[None], N, 0)
SMILER = Style.of({"smile": 1.5, "brows": -1.0, "lips": 0.7}, "by hand")


def moving(**traits: float) -> np.ndarray:
    return generate_motion(SYLLABLES, CALM, np.random.default_rng(2), traits=Traits(**traits))


def n_blinks(track: np.ndarray) -> int:
    return int((np.diff((track[:, MOTION.index("blink")] > 0.5).astype(int)) > 0).sum())


def test_each_trait_of_the_head_moves_what_it_is_named_for() -> None:
    average = moving()
    assert moving(gestures=1.0)[:, 0].std() > 1.3 * average[:, 0].std()
    assert np.abs(np.diff(moving(tempo=2.0)[:, 0])).mean() > 1.2 * np.abs(np.diff(average[:, 0])).mean()
    nods = [np.square(moving(nods=z)[:, 1] - average[:, 1]).sum() for z in (0.5, 1.5)]
    assert 0 < nods[0] < nods[1]
    assert n_blinks(moving(blinks=1.5)) > 1.5 * n_blinks(average) > 2.5 * n_blinks(moving(blinks=-1.5))
    gaze = [moving(gaze=z)[:, MOTION.index("gaze_x")] for z in (-1.0, 0.0, 1.0)]
    assert gaze[0].std() < gaze[1].std() < gaze[2].std()
    assert [np.count_nonzero(np.diff(one)) for one in gaze] == sorted(np.count_nonzero(np.diff(one)) for one in gaze)


@pytest.mark.parametrize("trait", FACE_TRAITS)
def test_traits_of_the_face_are_not_of_the_head(trait: str) -> None:
    assert np.array_equal(moving(**{trait: 2.0}), moving())


def test_a_live_head_has_a_style_too() -> None:
    still, lively = (
        LiveMotion(4, traits=traits).next(SYLLABLES, CALM) for traits in (Traits(), Traits(gestures=1.0, blinks=1.5))
    )
    assert lively[:, 0].std() > 1.3 * still[:, 0].std()
    assert n_blinks(lively) > 1.4 * n_blinks(still)


@pytest.mark.parametrize("seed", range(6))
def test_more_vividness_is_never_calmer(seed: int) -> None:
    """Variance of head, eyes and lids follows the knob for every seed, not only on average."""
    drawn = [EVERYBODY.drawn(vividness, seed) for vividness in (0.0, 0.5, 1.0, 1.5, 2.0)]
    assert np.array_equal(drawn[0].vector, np.zeros(len(TRAITS)))
    for name in LIVELY:
        values = [getattr(one, name) for one in drawn]
        assert values == sorted(values) and values[-1] > 0
    head = [
        generate_motion(SYLLABLES, CALM, np.random.default_rng(seed), traits=one)[:, :3].var(0).sum() for one in drawn
    ]
    assert all(b > a for a, b in itertools.pairwise(head)), head


def test_a_known_style_is_itself_at_vividness_0_and_spreads_as_far_as_it_is_unsure() -> None:
    style = Style(np.full(8, 0.5), np.linspace(0.1, 0.8, 8))
    assert np.allclose(style.drawn(0.0, 1).vector, 0.5)
    away = np.array([np.abs(style.drawn(1.0, seed).vector - 0.5) for seed in range(200)]).mean(0)
    assert np.all(np.diff(away) > 0)
    assert SMILER.drawn(2.0, 3) == SMILER.drawn(0.0, 3), "what is sure stays"


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
def test_a_file_holds_what_was_written(tmp_path: Path, suffix: str) -> None:
    style = Style(np.linspace(-1, 1, 8), np.linspace(0, 1, 8), "clip.mp4")
    path = write_style(tmp_path / f"s{suffix}", style)
    read = read_style_file(path)
    assert read.source == "clip.mp4"
    np.testing.assert_allclose(np.stack([read.mean, read.sd]), np.stack([style.mean, style.sd]), atol=6e-4)
    with pytest.raises(BadInput, match="exists already"):
        write_style(path, style)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"eadnet_style": 1, "traits": {"grin": {"mean": 1}}}', "traits.grin"),
        ('{"eadnet_style": 1, "traits": {"smile": {"mean": 7}}}', "less than or equal to 3"),
        ('{"eadnet_style": 2}', "eadnet_style"),
        ("[]", "cannot be used"),
    ],
)
def test_a_file_that_is_no_style_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "s.json"
    path.write_text(text)
    with pytest.raises(BadInput, match=said):
        read_style_file(path)


def test_tensors_that_are_no_style_are_refused_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out, eight = tmp_path / "s.safetensors", str(tmp_path / "o.json"), torch.zeros(8)
    for tensors, about, said in (
        ({"mean": eight.bfloat16(), "sd": eight}, {"eadnet_style": "1"}, "cannot be read"),
        ({"mean": eight.to(torch.float8_e4m3fn), "sd": eight}, {"eadnet_style": "1"}, "cannot be read"),
        ({"mean": eight.reshape(2, 4), "sd": eight}, {"eadnet_style": "1"}, "the shape (2, 4)"),
        ({"mean": eight}, {"eadnet_style": "1"}, "without mean and sd"),
        ({"mean": eight, "sd": eight}, {"eadnet_motion": "1"}, "holds tensors, but no style"),
    ):
        save_file({name: tensor.clone() for name, tensor in tensors.items()}, path, about)
        assert cli.main(["style", str(path), "--output", out]) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("Give what `eadnet style` wrote") == 1
    save_file({"mean": eight, "sd": eight.clone()}, path, {"eadnet_style": "1", "source": "a\n\x1b[31m" + 9000 * "b"})
    assert cli.main(["style", str(path), "--output", out]) == 0
    assert "\x1b" not in capsys.readouterr().out and read_style_file(out).source.startswith("a\n")


def test_a_style_may_be_written_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text(json.dumps({"eadnet_style": 1, "traits": {"smile": {"mean": 1.5}}}))
    style = read_style_file(path)
    assert style.mean[TRAITS.index("smile")] == 1.5 and np.count_nonzero(style.mean) == 1 and not style.sd.any()


def test_mixed_and_more_of_one_person() -> None:
    other = Style(np.zeros(8), np.full(8, 0.6), "b.mp4")
    both = mixed([SMILER, other], [1, 3])
    np.testing.assert_allclose(both.mean, 0.25 * SMILER.mean)
    assert both.source == "by hand + b.mp4"
    with pytest.raises(BadInput, match="weights"):
        mixed([SMILER, other], [0, 0])
    parts = [(np.full(8, 0.4), np.full(8, 0.8))] * 4
    assert together(parts[:1]).sd[0] > together(parts).sd[0]
    assert together(parts).mean[0] > together(parts[:1]).mean[0], "each part is drawn to the average, all of them less"


def test_the_corpus_speaks_in_styles() -> None:
    """Lips grow and pressed ones stay, smiles are a habit, brows rise or knit on stress; words and feelings stay."""
    speech = SpeechBank(3, 6)
    script = write_script(5, n_frames=100, split="train", speech=speech, emotion="neutral")
    column = {name: script.controls[:, i] for i, name in enumerate(CONTROLS)}

    def made(**traits: float) -> dict[str, np.ndarray]:
        done = in_style(script, Traits(**traits), np.random.default_rng(0))
        assert np.array_equal(done.codes, script.codes) and np.array_equal(done.samples, script.samples)
        return {name: done.controls[:, i] for i, name in enumerate(CONTROLS)}

    average, ample = made(), made(lips=1.0)
    assert all(np.array_equal(average[name], column[name]) for name in CONTROLS[:25])
    assert ample["jaw"].mean() > 1.15 * average["jaw"].mean()
    assert np.array_equal(ample["press"], average["press"])
    assert made(smile=1.0)["AU12"].mean() > average["AU12"].mean() + 0.15
    assert made(smile=-1.0)["AU15"].mean() > average["AU15"].mean() + 0.15
    raised = made(brows=1.0)["AU2"] - average["AU2"]
    assert raised.max() > 0.3 and np.median(raised) < 0.25
    assert made(brows=-1.0)["AU4"].max() > average["AU4"].max() + 0.3


# The adapter


def given(config: Any, style: list[float] | None, n_frames: int = 4) -> FrameConditions:
    generator = torch.Generator().manual_seed(2)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn((2, n_frames, *shape), generator=generator)

    told = None if style is None else torch.tensor([style, style])
    return FrameConditions(
        context=draw(2 * config.latent_channels + 1, config.cells, config.cells).transpose(1, 2),
        audio=draw(4, config.audio_width),
        emotion=draw(2, config.emotion_width),
        motion=draw(8),
        motion_known=torch.ones(2, n_frames),
        style=told,
    )


@pytest.fixture(scope="module")
def denoiser(tiny: Tiny) -> Denoiser:
    """With an adapter that does something."""
    torch.manual_seed(0)
    net = Denoiser(tiny.config.denoiser).eval()
    adapter: Any = tiny.net("style")
    with torch.no_grad():
        for attention in adapter.attentions:
            attention.attention.to_out.weight.normal_(0, 0.2)
    net.add_style(adapter)
    return net


@torch.no_grad()
def out(net: Denoiser, style: list[float] | None, strength: float = 1.0) -> torch.Tensor:
    config = net.config
    x_t = torch.randn(
        2, config.latent_channels, 4, config.cells, config.cells, generator=torch.Generator().manual_seed(3)
    )
    return net(x_t, torch.ones(2), given(config, style), strengths=Strengths(style=strength))  # type: ignore[return-value]


def of(**traits: float) -> list[float]:
    return Traits(**traits).vector.tolist()


def test_an_adapter_begins_as_nothing_to_the_bit(tiny: Tiny) -> None:
    torch.manual_seed(0)
    net = Denoiser(tiny.config.denoiser).eval()
    before = out(net, of(smile=1.0))
    net.add_style(tiny.net("style"))  # type: ignore[arg-type]
    assert torch.equal(out(net, of(smile=1.0)), before)


def test_off_is_bit_equal_and_the_average_person_too(denoiser: Denoiser) -> None:
    nobody = out(denoiser, None)
    assert torch.equal(out(denoiser, of(smile=2.0), strength=0.0), nobody)
    assert torch.equal(out(denoiser, of()), nobody)
    assert torch.equal(out(denoiser, of(gestures=2.0, blinks=-1.0)), nobody), "the head's traits are no business of it"


def test_traits_of_the_face_and_their_strength_change_what_comes_out(denoiser: Denoiser) -> None:
    nobody = out(denoiser, None)
    moved = [float((out(denoiser, of(smile=1.0), strength) - nobody).abs().mean()) for strength in (0.5, 1.0)]
    assert 1e-6 < moved[0] < moved[1]
    assert not torch.equal(out(denoiser, of(brows=1.0)), out(denoiser, of(smile=1.0)))


def test_an_adapter_of_other_widths_is_refused(
    denoiser: Denoiser, tiny: Tiny, tiny_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="widths"):
        denoiser.add_style(StyleAdapter(StyleConfig()))
    for path in tiny_folder.glob("*.safetensors"):
        (tmp_path / path.name).symlink_to(path)
    save = replace(tiny.part_config("style"), places=(16, 16, 16))  # type: ignore[type-var]
    from eadnet_core.weights.files import save_part

    save_part(tmp_path / "style.safetensors", "style", StyleAdapter(save), save)
    with pytest.raises(CheckpointError, match="Train it again"):
        load_model(str(tmp_path), "cpu")


# Clips


def planned(model: Model, voice_samples: np.ndarray, style: Style | None, **options: Any) -> Plan:
    speech = hear(read_audio(voice_samples, 16_000))
    picture = np.full((128, 128, 3), 128, np.uint8)
    return plan(model, training_frame(picture), speech, EmotionTrack.parse(""), GenerateOptions(**options), style=style)


def test_nobody_in_particular_is_as_before(tiny_model: Model, voice_samples: np.ndarray) -> None:
    usual = planned(tiny_model, voice_samples, None)
    off = planned(tiny_model, voice_samples, SMILER, style_strength=0.0)
    assert usual.performance.style is None and off.performance.style is None and not usual.style
    assert np.array_equal(usual.performance.motion, off.performance.motion)


def test_a_style_moves_head_and_face_of_one_clip(tiny_model: Model, voice_samples: np.ndarray) -> None:
    style = Style.of({"gestures": 1.5, "smile": 1.0}, "anna.mp4")
    usual, styled, half = (
        planned(tiny_model, voice_samples, one, style_strength=strength)
        for one, strength in ((None, 1.0), (style, 1.0), (style, 0.5))
    )
    size = [made.performance.motion[:, 0].std() for made in (usual, half, styled)]
    assert size[0] < size[1] < size[2]
    assert styled.performance.style is not None and styled.performance.style[TRAITS.index("smile")] == 1.0
    assert styled.style["source"] == "anna.mp4" and styled.style["traits"]["gestures"] == 1.5
    assert any("no style adapter" in note for note in styled.notes), "this tiny model has none"


def test_vividness_alone_draws_somebody(tiny_model: Model, voice_samples: np.ndarray) -> None:
    one, same, other = (planned(tiny_model, voice_samples, None, style_vividness=1.0, seed=seed) for seed in (1, 1, 2))
    assert one.style == same.style and one.style != other.style
    assert one.style["source"] == "everybody"


def test_a_clip_of_a_model_with_an_adapter(tiny: Tiny, tiny_folder: Path, tmp_path: Path, voice_samples: Any) -> None:
    """The folder's file is found, the clip changes, and the part of a performance keeps its style."""
    from eadnet_core.generation.animation import sample_latents
    from eadnet_core.weights.folders import weight_files

    for path in tiny_folder.glob("*.safetensors"):
        (tmp_path / path.name).symlink_to(path)
    adapter: Any = tiny.net("style")
    with torch.no_grad():
        adapter.attentions[0].attention.to_out.weight.normal_(0, 0.2)
    from eadnet_core.weights.files import save_part

    save_part(tmp_path / "style.safetensors", "style", adapter, tiny.part_config("style"))
    assert "style.safetensors" in [path.name for path in weight_files(tmp_path)]
    model = load_model(str(tmp_path), "cpu")
    assert model.has_style
    reference = np.full((128, 128, 3), 128, np.uint8)
    made = []
    for strength in (0.0, 1.0):
        one = planned(model, voice_samples, SMILER, style_strength=strength)
        assert not any("no style adapter" in note for note in one.notes)
        short = one.performance.part(0, 6)
        short = replace(short, motion=np.zeros_like(short.motion))
        made.append(sample_latents(model, reference, short, one.options))
    assert not torch.equal(made[0], made[1])


def test_a_style_is_read_off_what_a_face_does(tiny: Tiny) -> None:
    encoder: Any = tiny.net("style_reader")
    controls = np.zeros((N, 28), np.float32)
    short, long = (style_of(controls[:n], moving()[:n], SYLLABLES[:n], encoder, "x") for n in (100, 600))
    assert short.source == "x" and (long.sd <= short.sd + 1e-6).all()


def test_styles_are_mixed_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in (("a", 2.0), ("b", -1.0)):
        write_style(tmp_path / f"{name}.json", Style.of({"nods": value}, name))
    files = [str(tmp_path / "a.json"), str(tmp_path / "b.json")]
    target = tmp_path / "ab.json"
    assert cli.main(["style", *files, "--weights", "2,1", "--output", str(target)]) == 0
    assert read_style_file(target).mean[TRAITS.index("nods")] == 1.0
    assert "nods" in capsys.readouterr().out
    assert cli.main(["style", *files, "--weights", "2", "--output", str(tmp_path / "c.json")]) == 2
    assert "one for each" in capsys.readouterr().err


def test_what_pictures_show_of_a_style_is_brought_to_its_true_size() -> None:
    quiet, plain = (Style(np.full(8, value, np.float32), np.full(8, 0.1, np.float32)) for value in (-0.3, 0.0))
    seen, other = as_seen(quiet), as_seen(plain)
    change = dict(zip(TRAITS, (other.mean - seen.mean) / 0.3, strict=True))
    assert change["brows"] > 2.5, "brows that are read hardly move"
    assert change["tempo"] == change["nods"] == 0 and float(seen.mean[TRAITS.index("nods")]) == 0
    assert (seen.sd >= 0.4).all(), "a short clip of pictures is never as sure as its reader says"
    assert abs(as_seen(Style(np.full(8, 3.0, np.float32), np.ones(8, np.float32))).mean).max() <= 3
