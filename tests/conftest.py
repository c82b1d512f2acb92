"""Factories: the real classes at tiny size, and a synthetic model folder written through `checkpoints.save_part`."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from eadnet_core.config import (
    PRESETS,
    AudioConfig,
    DenoiserConfig,
    EmotionBankConfig,
    EmotionConfig,
    FaceFinderConfig,
    FaceMeshConfig,
    ModelConfig,
    PersonConfig,
    SDVAEConfig,
    StableSyncNetConfig,
    SyncNetConfig,
    TextReaderConfig,
    VAEConfig,
    VideoFeaturesConfig,
    WhisperConfig,
)
from eadnet_core.families.family import Model
from eadnet_core.families.load import load_model
from eadnet_core.heads.anatomy import FOLDER_VARIABLE, Anatomy
from eadnet_core.nets.adapters import is_adapter_key
from eadnet_core.nets.emotion_encoder import EmotionEncoder
from eadnet_core.nets.latentsync.denoiser import LatentSyncDenoiser
from eadnet_core.nets.style import StyleConfig
from eadnet_core.weights.files import save_adapters, save_part, write_weights
from eadnet_core.weights.folders import MODEL_PARTS, SYNC_EXPERT
from eadnet_core.weights.parts import PARTS

ROOT = Path(__file__).parent.parent

LONGEST = ("quality", "evaluate_emotion", "adapter_training", "acceleration", "training", "portraits", "report")
"""Test files that take longest, so begin first: no process is left alone with one of them at the end."""

TINY = ModelConfig(
    name="tiny",
    size_px=128,
    vae=VAEConfig(decoder_widths=(16, 16, 16), reference_widths=(8, 16, 16)),
    audio=AudioConfig(width=16, tokens_per_frame=4, layers=2),
    emotion=EmotionConfig(width=16, tokens=2),
    denoiser=DenoiserConfig(
        widths=(16, 32, 32),
        blocks=(1, 1, 1),
        tfrm_nodes=2,
        tfrm_width=16,
        condition_width=32,
        audio_width=16,
        emotion_width=16,
        window_frames=8,
    ),
    syncnet=SyncNetConfig(widths=(16, 16, 16), embedding=16),
    video_features=VideoFeaturesConfig(width=32, layers=1, heads=2),
)
"""Every net of the mini at a few thousand weights; the same training frame and cells."""

TINY_BASE = ModelConfig(
    name="tiny-base",
    size_px=64,
    emotion=EmotionConfig(width=16, tokens=2),
    denoiser=replace(
        PRESETS["base-256"].denoiser,
        cells=8,
        widths=(32, 32, 64, 64),
        tfrm_nodes=2,
        tfrm_width=16,
        condition_width=32,
        audio_width=32,
        emotion_width=16,
    ),
)
"""Every block of LatentSync's U-Net, and every adapter, at 3 million weights."""

PIECES = "[PAD]\n[UNK]\n[CLS]\n[SEP]\nso\nhappy\n##ly\nsad\nsun\n##shine"
READER = TextReaderConfig(
    n_pieces=10,
    vocabulary_bytes=len(PIECES),
    width=16,
    layers=1,
    heads=2,
    hidden=32,
    max_tokens=16,
    pooled_layers=(0, 1),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bring the tests of `LONGEST` to the front; the others stay in order."""
    names = [f"test_{name}" for name in LONGEST]
    items.sort(key=lambda item: names.index(item.path.stem) if item.path.stem in names else len(names))


class Tiny:
    """Untrained nets at tiny size, their configs, and weight files of them."""

    config = TINY
    base = TINY_BASE

    def part_config(self, part: str) -> object:
        """What TINY holds for one part."""
        pixels = SyncNetConfig(space="pixels", in_channels=3, widths=(32, 32, 32), embedding=16)
        configs: dict[str, object] = {
            "vae": TINY.vae,
            "control_reader": TINY.vae,
            "face_finder": FaceFinderConfig(),
            "face_mesh": FaceMeshConfig(),
            "person": PersonConfig(),
            "denoiser": TINY,
            "syncnet": TINY.syncnet,
            "video_features": TINY.video_features,
            "sd_vae": SDVAEConfig(widths=(8, 8, 16, 16), layers=1, norm_groups=4),
            "whisper": WhisperConfig(steps=100, width=32, heads=2, layers=4),
            "stable_syncnet": StableSyncNetConfig(
                frames=2,
                visual_widths=(16, 16),
                visual_strides=((2, 2), (2, 2)),
                visual_attention=(False, True),
                mel_widths=(16, 16),
                mel_strides=((2, 1), (2, 2)),
                mel_attention=(True, False),
                norm_groups=8,
            ),
        }
        configs |= {"emotion_bank": EmotionBankConfig(width=16, entries=16, query_width=8)}
        configs |= {"sync_expert": pixels, "text_reader": READER}
        style = StyleConfig(widths=(8, 8), hidden=8, tokens=2, token_width=8, places=(32, 32, 32))
        configs |= {"style": style, "style_reader": style}
        return configs[part]

    def net(self, part: str, seed: int = 0) -> nn.Module:
        """One part with random weights."""
        torch.manual_seed(seed)
        net = PARTS[part].build(self.part_config(part)).eval()
        if part == "text_reader":
            net.vocabulary.copy_(torch.tensor(list(PIECES.encode())))
        return net

    def write(self, folder: Path, part: str, **metadata: object) -> Path:
        """One weight file; returns its path."""
        path = folder / f"{part}.safetensors"
        save_part(path, part, self.net(part), self.part_config(part), metadata)
        return path

    def write_base(self, folder: Path, *, has_adapters: bool = False) -> Path:
        """The folder of a base without a SyncNet, as `eadnet convert` makes it; trained adapters beside it or none."""
        torch.manual_seed(0)
        denoiser = LatentSyncDenoiser(TINY_BASE.denoiser)
        with torch.no_grad():
            for key, value in denoiser.named_parameters():
                if is_adapter_key(key):
                    value.add_(0.02 * torch.randn_like(value))
        bare = replace(TINY_BASE, denoiser=replace(TINY_BASE.denoiser, has_adapters=False))
        state = {key: value for key, value in denoiser.state_dict().items() if not is_adapter_key(key)}
        write_weights(folder / "denoiser.safetensors", "denoiser", state, bare, {"licence": "OpenRAIL++ (tiny)"})
        for name, part in (("vae", "sd_vae"), ("whisper", "whisper")):
            path = folder / f"{name}.safetensors"
            save_part(path, part, self.net(part), self.part_config(part), {"licence": "MIT (tiny)"})
        self.write(folder, "text_reader")
        if has_adapters:
            encoder = EmotionEncoder(TINY_BASE.emotion)
            save_adapters(folder / "adapters.safetensors", denoiser, encoder, TINY_BASE)
        return folder


@pytest.fixture(scope="session")
def tiny() -> Tiny:
    return Tiny()


@pytest.fixture(scope="session")
def tiny_folder(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every part that `load_model` reads, at tiny size and with random weights."""
    folder = tmp_path_factory.mktemp("tiny-model")
    for part in (*MODEL_PARTS, "emotion_bank", "style_reader", SYNC_EXPERT):
        tiny.write(folder, part, scores={}, real_cosine=0.6)
    return folder


@pytest.fixture(scope="session")
def tiny_model(tiny_folder: Path) -> Model:
    return load_model(str(tiny_folder), "cpu")


@pytest.fixture(scope="session")
def tiny_base_folder(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_base(tmp_path_factory.mktemp("tiny-base"))


@pytest.fixture(scope="session")
def tiny_base(tiny_base_folder: Path) -> Model:
    """A base as public weights make it: lips alone."""
    return load_model(str(tiny_base_folder), "cpu")


@pytest.fixture(scope="session")
def tiny_adapted(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A base with adapters that do something."""
    return load_model(str(tiny.write_base(tmp_path_factory.mktemp("tiny-adapted"), has_adapters=True)), "cpu")


@pytest.fixture(scope="session")
def tiny_anatomy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small anatomy of our own in the files of the real one; the same every time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tests"))
        return importlib.import_module("tiny_anatomy").write_tiny_anatomy(tmp_path_factory.mktemp("tiny-anatomy"))


@pytest.fixture(scope="session")
def tiny_anatomy(tiny_anatomy_folder: Path) -> Anatomy:
    return Anatomy.open(tiny_anatomy_folder)


@pytest.fixture(scope="module")
def tiny_heads(tiny_anatomy_folder: Path) -> Iterator[Path]:
    """The small anatomy as the one that EADNET_HEADS names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER_VARIABLE, str(tiny_anatomy_folder))
        yield tiny_anatomy_folder


@pytest.fixture(scope="session")
def real_anatomy() -> Anatomy:
    """The anatomy that EADNET_HEADS names, else the one beside the repository; the test is skipped without."""
    folder = Path(os.environ.get(FOLDER_VARIABLE) or ROOT.parent / "shared" / "heads3d")
    if not (folder / "base.npz").is_file():
        pytest.skip("EADNET_HEADS is not set to the folder of an anatomy: `eadnet download heads` makes one")
    return Anatomy.open(folder)


@pytest.fixture
def portrait() -> np.ndarray:
    """A smooth random picture, uint8 [128, 128, 3]."""
    coarse = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(3))
    picture = nn.functional.interpolate(coarse, size=(128, 128), mode="bicubic")[0].clamp(0, 1)
    return (picture.permute(1, 2, 0) * 255).byte().numpy()


@pytest.fixture
def voice_samples() -> np.ndarray:
    """1.2 s of a sound that swings like syllables, float32 mono 16 kHz."""
    t = np.arange(19_200) / 16_000
    return (0.4 * np.sin(2 * np.pi * 180 * t) * np.sin(2 * np.pi * 2 * t) ** 2).astype(np.float32)
