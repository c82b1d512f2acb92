"""Every trainer on a tiny cache: it learns, stops and goes on, and writes a file that `checkpoints` reads."""

from __future__ import annotations

import csv
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn

from eadnet_core.config import ModelConfig
from eadnet_core.emotion.code import label_code
from eadnet_core.errors import BadInput, CheckpointError, EADNetError
from eadnet_core.sampling.guidance import branches
from eadnet_core.taxonomy import EMOTIONS
from eadnet_core.training import distillation, emotion_bank, mini
from eadnet_core.training.batch import Batch
from eadnet_core.training.data import Cache, CacheInfo, open_or_create, read_texts
from eadnet_core.training.denoiser import DenoiserObjective, Frozen, measure_scales, train_denoiser
from eadnet_core.training.denoiser_batches import Mix, clips_batch, draw_clips
from eadnet_core.training.denoiser_step import draw_noise, scaled, unscaled
from eadnet_core.training.distillation import DistilMix, distil_denoiser
from eadnet_core.training.faces import FaceCache
from eadnet_core.training.loop import Recipe, TrainOptions, fit
from eadnet_core.training.losses import DenoiserLossWeights
from eadnet_core.training.syncnet import best_offset, train_sync_expert, train_syncnet, window_starts
from eadnet_core.training.video_features import train_video_features
from eadnet_core.weights.files import load_part, read_metadata, save_part
from eadnet_core.weights.parts import PARTS

if TYPE_CHECKING:
    from tests.conftest import Tiny


N_CLIPS, N_FRAMES, SIZE = 8, 16, 128


def fill(cache: Cache) -> Cache:
    """Random but sensible clips: smooth pictures, sound with energy, codes of one emotion."""
    rng = np.random.default_rng(0)
    n = cache.info.n_clips
    coarse = rng.integers(0, 256, (n, N_FRAMES, 8, 8, 3), dtype=np.uint8)
    cache.array("frames", "r+")[:] = coarse.repeat(SIZE // 8, 2).repeat(SIZE // 8, 3)
    cache.array("references", "r+")[:] = cache.array("frames")[:, 0]
    for name in ("mel", "motion", "pose", "mouth_opening", "mouth_width"):
        cache.array(name, "r+")[:] = rng.normal(0, 0.3, cache.array(name).shape)
    for name in ("energy", "blink", "visemes", "controls", "reference_controls"):
        cache.array(name, "r+")[:] = rng.uniform(0.2, 1, cache.array(name).shape)
    emotion = np.arange(n) % len(EMOTIONS)
    cache.array("emotion", "r+")[:] = emotion
    codes = np.zeros((n, 27), np.float32)
    codes[np.arange(n), emotion], codes[:, 8] = 1, 0.7
    cache.array("codes", "r+")[:] = codes[:, None]
    cache.array("text_codes", "r+")[:] = codes[:, None]
    cache.array("is_pure", "r+")[:] = 1
    cache.array("rendered", "r+")[:] = 1
    cache.flush()
    return cache


@pytest.fixture(scope="module")
def config(tiny: Tiny) -> ModelConfig:
    return replace(tiny.config, denoiser=replace(tiny.config.denoiser, window_frames=N_FRAMES))


@pytest.fixture(scope="module")
def cache(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Cache:
    folder = tmp_path_factory.mktemp("cache")
    made = fill(open_or_create(folder, CacheInfo(N_CLIPS, N_FRAMES, SIZE, 0, "train", 4)))
    return made


def options(folder: Path, steps: int = 2, **changes: object) -> TrainOptions:
    values = {"warmup_steps": 1, "batch": 3, "log_every": 1, "device": "cpu", "progress": False, **changes}
    return TrainOptions(max_steps=steps, run_folder=folder / "runs", **values)  # type: ignore[arg-type]


def logged(folder: Path, part: str, name: str) -> list[float]:
    with (folder / "runs" / part / "log.csv").open() as file:
        return [float(row["value"]) for row in csv.DictReader(file) if row["name"] == name]


# The loop


@dataclass(frozen=True)
class Points(Batch):
    """x [B, 1]."""

    x: torch.Tensor


class Line(nn.Module):
    """Fit y = w x to y = 3 x."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.line.weight)

    def forward(self, batch: Points) -> dict[str, torch.Tensor]:
        return {"loss": (self.line(batch.x) - 3 * batch.x).square().mean()}


def line_recipe(draw: object = None) -> Recipe:
    objective = Line()

    def drawn(rng: np.random.Generator, n: int) -> Points:
        return Points(torch.from_numpy(rng.normal(size=(n, 1)).astype(np.float32)))

    return Recipe("line", objective.line, objective, draw or drawn, 8, 0.1)  # type: ignore[arg-type]


def test_the_loop_learns_and_averages(tmp_path: Path) -> None:
    averaged, at = fit(line_recipe(), options(tmp_path, 200, ema=0.9, betas=(0.9, 0.99), weight_decay=0.0))
    assert at.step == 200
    assert averaged.weight.item() == pytest.approx(3, abs=0.05)  # type: ignore[operator, union-attr]
    assert not any(p.requires_grad for p in averaged.parameters())


def test_a_stopped_run_ends_like_an_unbroken_one(tmp_path: Path) -> None:
    whole, _ = fit(line_recipe(), options(tmp_path / "whole", 30))

    def stop_at_ten(rng: np.random.Generator, n: int) -> Points:
        stop_at_ten.calls += 1  # type: ignore[attr-defined]
        if stop_at_ten.calls > 10:  # type: ignore[attr-defined]
            raise KeyboardInterrupt
        return line_recipe().draw(rng, n)  # type: ignore[return-value]

    stop_at_ten.calls = 0  # type: ignore[attr-defined]
    with pytest.raises(KeyboardInterrupt):
        fit(line_recipe(stop_at_ten), options(tmp_path / "broken", 30))
    resumed, at = fit(line_recipe(), options(tmp_path / "broken", 30))
    assert at.step == 30
    assert torch.equal(whole.weight, resumed.weight)  # type: ignore[arg-type]


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    first, _ = fit(line_recipe(), options(tmp_path, 5))
    again, at = fit(line_recipe(), options(tmp_path, 5))
    assert at.step == 5
    assert torch.equal(first.weight, again.weight)  # type: ignore[arg-type]


def test_a_checkpoint_of_another_net_is_refused(tmp_path: Path) -> None:
    fit(line_recipe(), options(tmp_path, 5))
    wider = Line()
    wider.line = nn.Linear(2, 1)
    with pytest.raises(BadInput, match=r"'.*line/checkpoint' is of another line .* delete '.*line' to begin anew"):
        fit(Recipe("line", wider.line, wider, line_recipe().draw, 8, 0.1), options(tmp_path, 5))


def test_a_larger_mini_does_not_go_on_from_the_checkpoint_of_the_mini(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their autoencoders have weights of the same shapes, so that nothing else would tell them apart."""
    folders = []
    monkeypatch.setattr(mini, "render_cache", lambda *_: tmp_path)

    def note(config: ModelConfig, cache: Path, output: Path, given: TrainOptions, start: Path) -> None:
        save_part(output, "vae", PARTS["vae"].build(config.vae), config.vae, {})
        folders.append(given.run_folder)

    monkeypatch.setattr(mini, "train_vae", note)
    mini.train_mini_256(tmp_path)
    assert folders == [tmp_path / "runs" / "mini-256"]


def test_minutes_bound_a_run_and_the_rate_decays_to_zero(tmp_path: Path) -> None:
    limits = TrainOptions(
        max_minutes=0.02, warmup_steps=1, log_every=1, device="cpu", progress=False, run_folder=tmp_path / "runs"
    )
    _, at = fit(line_recipe(), limits)
    assert 1.2 <= at.seconds < 8
    rates = logged(tmp_path, "line", "learning_rate")
    assert rates[0] == pytest.approx(0.1)
    assert rates[-1] < 0.02


def test_divergence_is_an_error_that_names_the_folder(tmp_path: Path) -> None:
    def broken(rng: np.random.Generator, n: int) -> Points:
        return Points(torch.full((n, 1), float("nan")))

    with pytest.raises(EADNetError, match=r"'line' diverged.*line"):
        fit(line_recipe(broken), options(tmp_path, 3))


def test_options_without_a_budget_are_refused() -> None:
    with pytest.raises(BadInput, match="max_steps, max_minutes"):
        TrainOptions()


# Batches


def test_a_batch_moves_and_stacks_every_field_and_keeps_plain_values(cache: Cache, config: ModelConfig) -> None:
    batch = draw_clips(cache, config.denoiser, Mix(), np.random.default_rng(0), 2)
    moved = batch.to(torch.device("meta"))
    assert type(moved) is type(batch) and moved.clips.start == batch.clips.start
    for part in (moved, moved.clips):
        values = [getattr(part, f.name) for f in fields(part)]
        assert all(value.is_meta for value in values if isinstance(value, torch.Tensor))
    assert batch.clips.latents.device.type == "cpu" and moved.clips.mel.shape == batch.clips.mel.shape
    assert Points.stack([Points(torch.ones(1)), Points(torch.zeros(1))]).x.tolist() == [[1], [0]]


# Caches


def test_training_never_draws_the_clips_that_watch_it(cache: Cache) -> None:
    drawn = cache.draw_clips(np.random.default_rng(0), 500)
    assert set(drawn) == {4, 5, 6, 7}
    assert list(cache.monitor_clips()) == [0, 1, 2, 3]


def test_text_codes_are_filled_by_clip(tmp_path: Path) -> None:
    made = open_or_create(tmp_path, CacheInfo(4, 2, 16, 0, "train", 4, n_texts=2))
    (tmp_path / "texts" / "000000.json").write_text('{"2": ["a", "bb"], "3": ["ccc", "dddd"]}')
    read_texts(made, lambda texts: np.array([[len(text)] * 27 for text in texts]))
    assert made.array("text_codes")[2:, :, 0].tolist() == [[1, 2], [3, 4]]
    assert not made.array("text_codes")[:2].any()


def test_a_folder_keeps_its_cache(tmp_path: Path) -> None:
    info = CacheInfo(4, 2, 16, 0, "train", 4)
    open_or_create(tmp_path, info)
    with pytest.raises(BadInput, match="already holds another cache"):
        open_or_create(tmp_path, replace(info, seed=1))
    with pytest.raises(BadInput, match="No clip cache"):
        Cache(tmp_path / "nothing")


def test_rendering_goes_on_where_it_stopped(tmp_path: Path, tiny_anatomy_folder: Path) -> None:
    pytest.importorskip("espeakng_loader")
    from eadnet_core.training.data import build_cache

    settings = {"n_clips": 4, "n_frames": 4, "size_px": 32, "speech_utterances": 2, "heads": tiny_anatomy_folder}
    made = build_cache(tmp_path, **settings, progress=False)  # type: ignore[arg-type]
    assert made.n_ready == 4
    frames = made.array("frames").copy()
    assert frames.std() > 20
    assert np.allclose(made.array("action_units"), made.array("action_units").clip(0, 1.2))
    assert (made.array("codes")[:, :, :8].sum(-1) > 0.99).all()
    made.array("rendered", "r+")[:] = 0
    made.array("frames", "r+")[:] = 0
    again = build_cache(tmp_path, **settings, progress=False)  # type: ignore[arg-type]
    assert np.array_equal(again.array("frames"), frames)


# The nets


@pytest.mark.parametrize(
    ("train", "part", "score"),
    [
        (train_syncnet, "syncnet", "offset_exact"),
        (train_sync_expert, "sync_expert", "pairwise"),
        (train_video_features, "video_features", "masked_error"),
    ],
)
def test_each_judge_trains(
    cache: Cache, tmp_path: Path, config: ModelConfig, train: object, part: str, score: str
) -> None:
    scores = train(config, cache.folder, tmp_path / f"{part}.safetensors", options(tmp_path))  # type: ignore[operator]
    assert score in scores
    _, metadata = load_part(tmp_path / f"{part}.safetensors", part)
    assert metadata["scores"][score] == pytest.approx(scores[score], abs=1e-3)
    assert np.isfinite(logged(tmp_path, part, "loss")).all()
    if "sync" in part:
        assert metadata["real_cosine"] == pytest.approx(scores["real_cosine"])


def test_the_emotion_bank_trains_on_scripts_and_the_errors_of_the_reader(
    cache: Cache, faces: FaceCache, tmp_path: Path, tiny: Tiny, config: ModelConfig
) -> None:
    caches = tmp_path / "caches"
    caches.mkdir()
    for name, folder in (("performances", cache.folder), ("faces", faces.folder)):
        (caches / name).symlink_to(folder, target_is_directory=True)
    tiny.write(tmp_path, "control_reader")
    output = tmp_path / "emotion_bank.safetensors"
    scores = emotion_bank.train_emotion_bank(config, caches / "performances", output, options(tmp_path))
    bank, metadata = load_part(output, "emotion_bank")
    assert {"frame_accuracy", "clip_accuracy", "intensity_correlation"} <= scores.keys() == metadata["scores"].keys()
    assert bank.entries.shape == (64, 27)  # type: ignore[union-attr]
    for name in ("emotion", "code"):
        values = logged(tmp_path, "emotion_bank", name)
        assert values and np.isfinite(values).all() and min(values) >= 0, name


def test_the_denoiser_trains_with_every_loss(cache: Cache, tmp_path: Path, tiny: Tiny, config: ModelConfig) -> None:
    for part in ("syncnet", "video_features"):
        tiny.write(tmp_path, part)
    weights = DenoiserLossWeights(emotion_bottleneck=0.1)
    mix = Mix(supervise_every=1, supervise_below=1.1, lengths=((1, 1.0),))
    output = tmp_path / "denoiser.safetensors"
    scores = train_denoiser(config, cache.folder, output, options(tmp_path, alarm_every=2), weights=weights, mix=mix)
    for name in (
        "diffusion",
        "temporal_difference",
        "sync",
        "trepa",
        "graph",
        "emotion_bottleneck",
        "controls",
        "visemes",
    ):
        values = logged(tmp_path, "denoiser", name)
        assert values and np.isfinite(values).all(), name
    assert {"generated_error", "emotion_accuracy", "right_minus_wrong_audio_t1"} <= scores.keys()
    nets, metadata = load_part(output, "denoiser")
    assert set(nets) == {"denoiser", "audio", "emotion"}  # type: ignore[call-overload]
    assert nets["denoiser"].latent_scale.std() > 0  # type: ignore[index]
    assert read_metadata(output)["corpus_seed"] == metadata["corpus_seed"] == 0


def test_a_loss_of_weight_zero_is_not_computed_and_needs_no_judge(
    cache: Cache, tmp_path: Path, tiny: Tiny, config: ModelConfig
) -> None:
    off = DenoiserLossWeights(
        sync=0, trepa=0, graph=0, temporal_difference=0, emotion_bottleneck=0, controls=0, visemes=0
    )
    train_denoiser(config, cache.folder, tmp_path / "denoiser.safetensors", options(tmp_path), weights=off)
    assert logged(tmp_path, "denoiser", "loss") == pytest.approx(logged(tmp_path, "denoiser", "diffusion"))
    for name in ("sync", "trepa", "graph", "temporal_difference", "controls", "visemes"):
        assert logged(tmp_path, "denoiser", name) == []
    with pytest.raises(CheckpointError, match=r"syncnet\.safetensors"):
        train_denoiser(config, cache.folder, tmp_path / "denoiser.safetensors", options(tmp_path))


def test_a_training_starts_from_the_weights_of_another(
    cache: Cache, tmp_path: Path, tiny: Tiny, config: ModelConfig
) -> None:
    off = DenoiserLossWeights(sync=0, trepa=0)
    bare = replace(config, denoiser=replace(config.denoiser, stda=(False,) * 3, tfrm_middle=False))
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    train_denoiser(bare, cache.folder, first, options(tmp_path / "a"), weights=off, parts=tmp_path)
    barely = options(tmp_path / "b", learning_rate=1e-9)
    train_denoiser(config, cache.folder, second, barely, weights=off, parts=tmp_path, start=first)
    before, after = (load_part(path, "denoiser")[0].state_dict() for path in (first, second))
    assert before.keys() < after.keys()
    for key, value in before.items():
        torch.testing.assert_close(after[key], value, atol=1e-3, rtol=1e-3)
    with pytest.raises(CheckpointError, match=r"second\.safetensors.*stda"):
        train_denoiser(
            bare, cache.folder, tmp_path / "c", options(tmp_path / "c"), weights=off, parts=tmp_path, start=second
        )


def test_scaled_latents_have_the_promised_spread_and_invert(cache: Cache, tiny: Tiny, config: ModelConfig) -> None:
    denoiser = tiny.net("denoiser")["denoiser"]  # type: ignore[index]
    measure_scales(cache, config.denoiser, denoiser)
    batch = clips_batch(cache, config.denoiser, np.arange(4, 8))
    x0 = scaled(batch.latents, denoiser)
    assert x0.square().mean().sqrt().item() == pytest.approx(config.denoiser.residual_std, rel=0.1)
    assert torch.allclose(unscaled(x0, denoiser), batch.latents, atol=1e-4)


def test_what_is_left_out_of_a_masked_clip_is_told(cache: Cache, config: ModelConfig) -> None:
    batch = clips_batch(cache, config.denoiser, np.arange(4, 6), boxes=("mouth", None))
    assert batch.has_masked.tolist() == [1, 0]
    inside = batch.mask[0] > 0
    assert not batch.masked[0][..., inside].any() and torch.equal(
        batch.masked[0][..., ~inside], batch.latents[0][..., ~inside]
    )


def test_batches_follow_their_mix(cache: Cache, config: ModelConfig) -> None:
    rng = np.random.default_rng(0)
    batch = draw_clips(cache, config.denoiser, Mix(), rng, 600).clips
    for name, share in (("keep_audio", 0.91), ("keep_emotion", 0.91), ("keep_motion", 0.92)):
        assert getattr(batch, name).mean().item() == pytest.approx(share, abs=0.05)
    both = (1 - batch.keep_audio) * (1 - batch.keep_emotion)
    assert both.mean().item() == pytest.approx(0.03, abs=0.025)
    masked = batch.has_masked > 0
    assert batch.mask[~masked].min() == 1 and batch.mask[masked].mean() < 1
    assert batch.masked[~masked].abs().max() == 0
    every = draw_clips(
        cache, config.denoiser, Mix(drop_audio=0, drop_emotion=0, drop_both=0, drop_motion=0), rng, 50
    ).clips
    assert all(getattr(every, name).min() == 1 for name in ("keep_audio", "keep_emotion", "keep_motion"))
    whole, short = (draw_clips(cache, config.denoiser, Mix(lengths=((n, 1.0),)), rng, 6).clips for n in (1, 2))
    assert short.latents.shape[:2] == (2 * len(whole.latents), config.denoiser.window_frames // 2)
    assert short.mel.shape[1] == whole.mel.shape[1]


def test_labels_tell_the_label_alone(cache: Cache, config: ModelConfig) -> None:
    def codes(share: float) -> tuple[torch.Tensor, torch.Tensor]:
        batch = draw_clips(cache, config.denoiser, Mix(label_share=share), np.random.default_rng(1), 300).clips
        labels = np.stack([label_code(EMOTIONS[emotion]) for emotion in batch.emotion.tolist()])
        return batch.code, torch.from_numpy(labels)[:, None].expand_as(batch.code)

    given, labels = codes(1.0)
    assert torch.equal(given, labels)
    given, labels = codes(0.25)
    assert (given == labels).all(2).all(1).float().mean().item() == pytest.approx(0.25, abs=0.08)
    given, labels = codes(0.0)
    assert not (given == labels).all(2).any()


def test_noise_has_unit_variance_and_shares_what_it_should() -> None:
    noise = draw_noise(torch.zeros(64, 4, 8, 8, 8), shared=0.5)
    assert noise.var().item() == pytest.approx(1, abs=0.05)
    assert (noise[:, :, 0] * noise[:, :, 5]).mean().item() == pytest.approx(0.5, abs=0.05)


def test_dropped_conditions_do_not_reach_the_net(cache: Cache, tiny: Tiny, config: ModelConfig) -> None:
    nets = tiny.net("denoiser")
    objective = DenoiserObjective(
        nets,
        config,
        Frozen(),
        DenoiserLossWeights(sync=0, trepa=0, emotion_bottleneck=0, controls=0, visemes=0),
        Mix(),
    )  # type: ignore[arg-type]
    drawn = draw_clips(cache, config.denoiser, Mix(), np.random.default_rng(0), 2)
    dropped = {name: torch.zeros(2) for name in ("keep_audio", "keep_emotion", "keep_motion")}
    clips = replace(clips_batch(cache, config.denoiser, np.arange(4, 6)), **dropped)

    def loss(changed: dict[str, torch.Tensor]) -> float:
        torch.manual_seed(0)
        return float(objective(replace(drawn, clips=replace(clips, **changed)))["loss"].detach())

    other = {"mel": clips.mel + 1, "code": clips.code.flip(-1), "motion": clips.motion + 1}
    assert loss({}) == loss(other)
    assert loss({}) != loss({**other, "keep_audio": torch.ones(2)})


def test_frozen_judges_stay_in_eval_mode_without_gradients(tiny: Tiny) -> None:
    judges = Frozen(syncnet=tiny.net("syncnet"))
    judges.train()
    assert not judges["syncnet"].training
    assert not any(p.requires_grad for p in judges.parameters())


def test_windows_keep_their_sound_inside_the_clip(config: ModelConfig) -> None:
    sizes = config.syncnet
    starts = window_starts(sizes, N_FRAMES)
    assert starts.min() * 4 - sizes.mel_context >= 0
    assert (starts.max() + sizes.frames) * 4 + sizes.mel_context <= 4 * N_FRAMES


def test_best_offset_ignores_silence() -> None:
    similarity = np.eye(10)
    similarity[:, 3] = 5
    audible = np.ones(10, dtype=bool)
    audible[3] = False
    assert best_offset(similarity, audible) == 0


# Distillation


@pytest.fixture(scope="module")
def teacher(tiny: Tiny, config: ModelConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A denoiser whose predictions depend on sound and emotion."""
    torch.manual_seed(3)
    nets = PARTS["denoiser"].build(config)
    with torch.no_grad():
        for parameter in nets.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    path = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    save_part(path, "denoiser", nets, config, {"steps": 7})
    return path


def test_a_student_learns_to_guide_in_one_pass(
    cache: Cache, tmp_path: Path, tiny: Tiny, config: ModelConfig, teacher: Path
) -> None:
    output, mix = tmp_path / "denoiser.safetensors", DistilMix(truth=0.0, smoothing=0.0, fit_batches=2)
    barely = options(tmp_path, learning_rate=1e-8)
    scores = distil_denoiser(config, cache.folder, output, barely, teacher=teacher, mix=mix)
    assert scores["guided_error"] < 0.9, "1 is a student that guides nothing; these clips were not seen"
    assert {"viseme_correlation", "emotion_accuracy"} <= scores.keys()
    nets, about = load_part(output, "denoiser")
    assert nets["denoiser"].config.guides_itself  # type: ignore[index]
    assert about["teacher_steps"] == 7 and about["steps"] == 2
    for name in ("latents", "temporal_difference", "controls", "graph"):
        values = logged(tmp_path, "distillation", name)
        assert values and np.isfinite(values).all(), name


def test_the_fit_finds_what_the_last_features_hold(cache: Cache, config: ModelConfig, teacher: Path) -> None:
    """Of the very clips that are judged: what is left cannot be told from a frame's last features."""
    taught, _ = load_part(teacher, "denoiser")
    own = replace(config, denoiser=replace(config.denoiser, guides_itself=True))
    nets = PARTS["denoiser"].build(own).eval()
    nets.load_state_dict(taught.state_dict(), strict=False)
    judged = nets, taught, cache, own.denoiser, torch.device("cpu"), branches(1.3, 1.15)
    assert distillation.guided_error(*judged) == pytest.approx(1.0)
    clips = clips_batch(cache, own.denoiser, cache.monitor_clips(4))
    distillation.fit_guidance(nets, taught, [clips, clips], own.denoiser)
    assert distillation.guided_error(*judged) < 0.85


def test_a_teacher_of_other_sizes_or_none_is_refused(
    cache: Cache, tmp_path: Path, config: ModelConfig, teacher: Path
) -> None:
    other = replace(config, denoiser=replace(config.denoiser, tfrm_nodes=3))
    with pytest.raises(CheckpointError, match=r"tfrm_nodes is 2, the config's is 3"):
        distil_denoiser(other, cache.folder, tmp_path / "denoiser.safetensors", options(tmp_path), teacher=teacher)
    with pytest.raises(CheckpointError, match=r"teacher\.safetensors"):
        distil_denoiser(config, cache.folder, tmp_path / "denoiser.safetensors", options(tmp_path))


def test_weights_are_drawn_in_their_range_and_only_for_whole_clips(cache: Cache, config: ModelConfig) -> None:
    clips = clips_batch(cache, config.denoiser, np.arange(8).repeat(32))
    none = torch.zeros(len(clips.latents))
    torch.manual_seed(0)
    weights = distillation.draw_weights(DistilMix(usual=0.0), clips)
    for i, (low, high) in enumerate((distillation.AUDIO, distillation.EMOTION)):
        assert low <= float(weights[:, i].min()) < low + 0.2 and high - 0.2 < float(weights[:, i].max()) <= high
    assert 0.02 < float((weights == 1).all(1).float().mean()) < 0.2
    for name in ("keep_audio", "keep_emotion"):
        assert bool((distillation.draw_weights(DistilMix(), replace(clips, **{name: none})) == 1).all())
    near = distillation.draw_weights(DistilMix(usual=1.0, unguided=0.0), clips).mean(0)
    assert near.tolist() == pytest.approx([1.3, 1.15], abs=0.02)


def test_the_target_of_one_frame_is_not_smoothed_and_a_slope_stays() -> None:
    one, slope = torch.randn(2, 3, 1, 2, 2), torch.arange(6.0).view(1, 1, 6, 1, 1)
    assert torch.equal(distillation.smoothed(one, 0.1), one)
    assert distillation.smoothed(slope, 0.1).flatten()[1:-1].tolist() == pytest.approx([1, 2, 3, 4])


def test_a_teacher_is_not_trained_for_a_denoiser_that_is_there(tmp_path: Path, tiny: Tiny) -> None:
    """An older folder holds no teacher; that must not cost an hour."""
    assert mini._in_order(["denoiser"])[-2:] == ["teacher", "denoiser"]
    (tmp_path / "mini").mkdir()
    for part in ("text_reader", "syncnet", "video_features", "denoiser"):
        tiny.write(tmp_path / "mini", part)
    scores = mini.train_mini(tmp_path, parts=["denoiser"])
    assert set(scores) == {"text_reader", "syncnet", "video_features", "denoiser"}
    assert not (tmp_path / "caches").exists()
