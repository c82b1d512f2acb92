"""What adapters are taught beside the base's noise: lips, motion, emotions; and gradients that do not undo the lips."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from eadnet_core import cli
from eadnet_core.config import StableSyncNetConfig, VideoFeaturesConfig
from eadnet_core.emotion.code import emotion_code
from eadnet_core.errors import BadInput
from eadnet_core.nets.adapters import is_adapter_key
from eadnet_core.nets.emotion_encoder import EmotionEncoder
from eadnet_core.nets.latentsync.stable_syncnet import StableSyncNet
from eadnet_core.nets.video_features import VideoFeatures
from eadnet_core.taxonomy import EMOTIONS
from eadnet_core.training.adapter_losses import (
    AdapterLossWeights,
    Judges,
    emotion_labels,
    emotion_loss,
    load_judges,
    projected,
)
from eadnet_core.training.adapters import AdapterBatch, AdapterMix, AdapterObjective
from eadnet_core.training.base_clips import open_base
from eadnet_core.weights.files import save_part

SYNC = StableSyncNetConfig(
    frames=2,
    size_px=32,
    visual_widths=(8, 8, 8, 8, 8),
    visual_strides=((1, 2), *((2, 2),) * 4),
    visual_attention=(False,) * 5,
    mel_widths=(8,) * 7,
    mel_attention=(False,) * 7,
    norm_groups=4,
)
FEATURES = VideoFeaturesConfig(in_channels=4, frames=4, width=24, layers=1, heads=2)


@pytest.fixture(scope="module")
def judged(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a base with judges that see windows as short as its own."""
    folder = Path(tiny.write_base(tmp_path_factory.mktemp("judged")))
    torch.manual_seed(0)
    save_part(folder / "syncnet.safetensors", "stable_syncnet", StableSyncNet(SYNC), SYNC)
    save_part(folder / "video_features.safetensors", "video_features", VideoFeatures(FEATURES), FEATURES)
    return folder


def batch_of(config: Any, n: int = 2) -> AdapterBatch:
    draw = torch.Generator().manual_seed(1)

    def noise(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw)

    t, cells, one = FEATURES.frames, config.denoiser.cells, torch.ones(n)
    code = torch.from_numpy(np.stack([emotion_code(EMOTIONS[1 + i], 0.8) for i in range(n)]))
    return AdapterBatch(
        latents=noise(n, t, 4, cells, cells),
        context=noise(n, 9, t, cells, cells),
        tokens=noise(n, t, 50, config.denoiser.audio_width),
        code=code[:, None].repeat(1, t, 1),
        motion=noise(n, t, 8),
        keep_audio=one,
        keep_emotion=one,
        keep_motion=one,
        mel=noise(n, 1, 80, 52),
        has_mel=one,
    )


def objective_of(folder: Path, weights: AdapterLossWeights) -> tuple[AdapterObjective, AdapterBatch]:
    torch.manual_seed(0)
    config, net = open_base(folder)
    with torch.no_grad():
        for key, value in net.named_parameters():
            if is_adapter_key(key):
                value.add_(0.02 * torch.randn_like(value))
    judges = load_judges(folder, config, weights)
    objective = AdapterObjective(net, EmotionEncoder(config.emotion), AdapterMix(), weights, judges)
    return objective, batch_of(config)


def test_every_judge_reaches_the_adapters_and_none_is_trained(judged: Path) -> None:
    weights = AdapterLossWeights(sync=0.1, trepa=0.1, emotion=0.1, judged_below=1000)
    objective, batch = objective_of(judged, weights)
    losses = objective(batch)
    assert {"sync", "trepa", "emotion", "noise"} <= set(losses)
    trained = [w for w in objective.denoiser.parameters() if w.requires_grad]
    for name in ("sync", "trepa", "emotion"):
        grads = torch.autograd.grad(losses[name], trained, retain_graph=True, allow_unused=True)
        assert any(g is not None and bool(g.any()) for g in grads), name
    assert objective.judges is not None and not any(w.requires_grad for w in objective.judges.parameters())
    plain = losses["noise"] + 0.01 * losses["graph"] + 0.1 * losses["temporal_difference"]
    judged_sum = 0.1 * (losses["sync"] + losses["trepa"] + losses["emotion"])
    assert losses["loss"].item() == pytest.approx((plain + judged_sum).item(), rel=1e-5)


def test_judges_look_at_clear_windows_with_their_sound_alone(judged: Path) -> None:
    objective, batch = objective_of(judged, AdapterLossWeights(sync=0.1, trepa=0.1, judged_below=0))
    assert not {"sync", "trepa"} & set(objective(batch)), "all is noisier than 0"
    objective, batch = objective_of(judged, AdapterLossWeights(sync=0.1, trepa=0.1, judged_below=1000))
    for silent in (replace(batch, keep_audio=torch.zeros(2)), replace(batch, has_mel=torch.zeros(2))):
        assert "sync" not in objective(silent) and "trepa" in objective(silent)


def test_a_clip_in_sync_costs_less_than_another_sound(judged: Path) -> None:
    config, _ = open_base(judged)
    judges = load_judges(judged, config, AdapterLossWeights(sync=1.0, trepa=1.0))
    latents = torch.randn(1, 4, 16, 8, 8)
    assert float(judges.trepa(latents, latents)) == pytest.approx(0, abs=1e-6)
    assert float(judges.trepa(latents, torch.randn_like(latents))) > 0
    assert judges.syncnet is not None and judges.vae is not None
    with torch.no_grad():
        seen = judges.vae.decode(latents[:, :, :2].transpose(1, 2).flatten(0, 1))
        small = torch.nn.functional.interpolate(seen, (32, 32), mode="bilinear", antialias=True)
        mel = torch.randn(1, 1, 80, 52)
        cosine = float(judges.syncnet.similarity(small[None], mel))
        expected = -np.log(cosine) if cosine > 0.05 else -np.log(0.05) + (0.05 - cosine) / 0.05
        assert float(judges.sync(latents, mel)) == pytest.approx(expected, rel=1e-4)


def test_what_is_left_of_a_gradient_does_not_hurt_the_lips() -> None:
    weight = torch.tensor([1.0, 2.0], requires_grad=True)
    apart = torch.tensor([3.0], requires_grad=True)
    emotion, lips = (weight * torch.tensor([1.0, -1.0])).sum() + apart.sum(), (weight * torch.tensor([0.0, 2.0])).sum()
    change, cosine = projected(emotion, lips, [weight, apart])
    assert float(change) == 0 and float(cosine) == pytest.approx(-1 / 3**0.5)
    (emotion + change).backward()
    assert weight.grad is not None and weight.grad.tolist() == pytest.approx([1.0, 0.0])
    assert apart.grad is not None and apart.grad.tolist() == [1.0]
    emotion, lips = (weight * torch.tensor([1.0, 1.0])).sum(), (weight * torch.tensor([0.0, 2.0])).sum()
    change, cosine = projected(emotion, lips, [weight, apart])
    assert float(cosine) > 0 and not torch.autograd.grad(change, weight)[0].any(), "they agree: nothing is taken"


def test_projection_leaves_the_losses_and_changes_gradients(judged: Path) -> None:
    found = {}
    for is_projected in (False, True):
        weights = AdapterLossWeights(emotion=1.0, is_projected=is_projected)
        objective, batch = objective_of(judged, weights)
        torch.manual_seed(3)
        losses = objective(batch)
        losses["loss"].backward()
        found[is_projected] = (losses, [w.grad for w in objective.denoiser.parameters() if w.grad is not None])
    plain, kept = found[False][0], found[True][0]
    assert float(plain["loss"]) == pytest.approx(float(kept["loss"]))
    assert -1 <= float(kept["gradients"]) <= 1 and "gradients" not in plain
    same = all(torch.allclose(a, b) for a, b in zip(found[False][1], found[True][1], strict=True))
    assert same == (float(kept["gradients"]) >= 0)


def test_clips_without_a_code_teach_no_emotion() -> None:
    code = torch.from_numpy(np.stack([emotion_code("sad", 0.4), emotion_code("happy", 1.0)]))[:, None]
    labels = emotion_labels(code, torch.tensor([1.0, 0.0]))
    assert labels.tolist() == [EMOTIONS.index("sad"), -100]
    logits = torch.zeros(2, len(EMOTIONS))
    assert float(emotion_loss(logits, labels)) == pytest.approx(np.log(len(EMOTIONS)))
    assert float(emotion_loss(logits, torch.tensor([-100, -100]))) == 0


def test_a_judge_that_is_missing_or_sees_too_much_is_named(
    judged: Path, tiny_base_folder: Path, tmp_path: Path
) -> None:
    config, _ = open_base(tiny_base_folder)
    with pytest.raises(BadInput, match=r"--sync-loss 0\.1 needs it"):
        load_judges(tiny_base_folder, config, AdapterLossWeights(sync=0.1))
    with pytest.raises(BadInput, match="--trepa-loss 2 needs it"):
        load_judges(tiny_base_folder, config, AdapterLossWeights(trepa=2.0))
    short = replace(config, denoiser=replace(config.denoiser, window_frames=3))
    with pytest.raises(BadInput, match="judges 4 frames"):
        load_judges(judged, short, AdapterLossWeights(trepa=1.0))
    assert load_judges(tiny_base_folder, config, AdapterLossWeights(emotion=1.0)).vae is None


def test_the_command_hands_the_weights_on(judged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (judged / "video_features.safetensors").rename(tmp_path / "away")
    given = ["--preset", "tiny-base", "--train", "adapters", "--base", str(judged), "--data", str(tmp_path)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(__import__("eadnet_core.config", fromlist=["PRESETS"]).PRESETS, "tiny-base", open_base(judged)[0])
        assert cli.main(["train", "denoiser", *given, "--trepa-loss", "0.5"]) == 2
    (tmp_path / "away").rename(judged / "video_features.safetensors")
    assert "--trepa-loss 0.5 needs it" in capsys.readouterr().err


def test_judges_may_be_absent() -> None:
    assert list(Judges(None, None, None).parameters()) == []
