"""Audio and emotion encoders: which sound reaches which frame, blends of emotion, unconditioned tokens."""

from __future__ import annotations

import pytest
import torch

from eadnet_core.config import AudioConfig, EmotionConfig
from eadnet_core.nets.audio_encoder import AudioEncoder
from eadnet_core.nets.emotion_encoder import EmotionEncoder
from eadnet_core.nets.layers import MEL_SILENCE, GroupNorm

AUDIO = AudioConfig(width=16)


@pytest.fixture
def audio() -> AudioEncoder:
    torch.manual_seed(0)
    return AudioEncoder(AUDIO).eval()


@pytest.fixture
def emotion() -> EmotionEncoder:
    torch.manual_seed(0)
    return EmotionEncoder(EmotionConfig(width=64, tokens=3)).eval()


@pytest.mark.parametrize("n_frames", [1, 2, 7, 40])
def test_audio_tokens_per_frame(audio: AudioEncoder, n_frames: int) -> None:
    assert audio(torch.randn(2, 4 * n_frames, 80)).shape == (2, n_frames, 6, 16)


def test_a_frame_hears_a_quarter_second_around_it_and_no_more(audio: AudioEncoder) -> None:
    mel = torch.randn(1, 4 * 30, 80, requires_grad=True)
    audio(mel)[0, 15].square().sum().backward()
    assert mel.grad is not None
    heard = torch.nonzero(mel.grad[0].abs().sum(1))[:, 0]
    before_s, after_s = (60 - heard.min()) / 100, (heard.max() - 63) / 100
    assert 0.2 <= before_s <= 0.3
    assert 0.2 <= after_s <= 0.3


@torch.no_grad()
def test_tokens_of_neighbouring_frames_overlap(audio: AudioEncoder) -> None:
    """Token s of a frame is token s - 2 of the next, but for the learned offset mark."""
    tokens = audio(torch.randn(1, 40, 80)) - audio.offsets
    torch.testing.assert_close(tokens[:, 3:6, 2:], tokens[:, 4:7, :-2])


@torch.no_grad()
def test_audio_tokens_do_not_depend_on_where_the_window_begins(audio: AudioEncoder) -> None:
    mel = torch.randn(1, 4 * 40, 80)
    part = audio(mel[:, 4 * 8 : 4 * 32])
    torch.testing.assert_close(part[:, 8:16], audio(mel)[:, 16:24], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_silence_beyond_the_ends_is_silence(audio: AudioEncoder) -> None:
    mel = torch.full((1, 4 * 30, 80), MEL_SILENCE)
    steps = audio(mel)[0, :, 2:4]
    torch.testing.assert_close(steps[0], steps[15], atol=0.3, rtol=0.3)


def test_every_audio_parameter_gets_a_gradient(audio: AudioEncoder) -> None:
    audio(torch.randn(2, 40, 80)).square().mean().backward()
    assert all(p.grad is not None and float(p.grad.abs().max()) > 0 for p in audio.parameters())


@torch.no_grad()
def test_blended_codes_are_blended_tokens(emotion: EmotionEncoder) -> None:
    a, b = torch.rand(1, 2, 27), torch.rand(1, 2, 27)
    torch.testing.assert_close(emotion(0.3 * a + 0.7 * b), 0.3 * emotion(a) + 0.7 * emotion(b), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_emotion_tokens_have_about_unit_variance(emotion: EmotionEncoder) -> None:
    code = torch.zeros(8, 1, 27)
    code[torch.arange(8), 0, torch.arange(8)] = 1
    code[1:, :, 8] = 0.7
    code[1:, :, 11:15] = 0.6
    assert 0.6 < float(emotion(code).std()) < 1.5


def test_null_tokens_are_learned_and_no_emotion(emotion: EmotionEncoder) -> None:
    null = emotion.null(2, 5)
    assert null.shape == (2, 5, 3, 64)
    assert torch.equal(null[0, 0], null[1, 4])
    assert not torch.allclose(null, emotion(torch.zeros(2, 5, 27)))
    null.sum().backward()
    assert emotion.null_tokens.grad is not None


def test_emotion_table_is_the_same_in_every_build() -> None:
    config = EmotionConfig(width=16)
    torch.manual_seed(1)
    first = EmotionEncoder(config).table
    torch.manual_seed(2)
    assert torch.equal(first, EmotionEncoder(config).table)


def test_narrow_groups_in_bfloat16_are_normalised_as_wide_ones() -> None:
    """On a CPU they go another way than torch's kernel, and come out as near to float32 as from that."""
    torch.manual_seed(0)
    norm = GroupNorm(8, 64)
    torch.nn.init.normal_(norm.weight), torch.nn.init.normal_(norm.bias)
    x = (torch.randn(3, 64, 16, 16) + 3 * torch.randn(3, 64, 1, 1)).to(memory_format=torch.channels_last)
    exact = norm(x)
    norm.to(torch.bfloat16)
    made, torchs = norm(x.to(torch.bfloat16)), torch.nn.GroupNorm.forward(norm, x.to(torch.bfloat16))
    assert made.dtype == torch.bfloat16 and made.is_contiguous(memory_format=torch.channels_last)
    assert not torch.equal(made, torchs)
    assert (made - exact).abs().mean() < 1.5 * (torchs - exact).abs().mean()
