"""Whisper's features: which steps a frame hears, no glitch where segments meet, and both kinds of public file."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from eadnet_core.config import WhisperConfig
from eadnet_core.media.sound.whisper_mel import whisper_mel
from eadnet_core.nets.latentsync.whisper import (
    HELD_SEGMENTS,
    SoundFeatures,
    WhisperEncoder,
    encode_sound,
    frame_tokens,
    from_openai,
    from_transformers,
)

SHORT = WhisperConfig(steps=100, width=32, heads=2, layers=2)
"""Segments of 2 s, so that a test of many segments is quick."""


def encoder(config: WhisperConfig = SHORT, seed: int = 0) -> WhisperEncoder:
    torch.manual_seed(seed)
    return WhisperEncoder(config).eval()


def voice(seconds: float, seed: int = 0) -> np.ndarray:
    n = round(16_000 * seconds)
    swing = np.sin(2 * np.pi * 3 * np.arange(n) / 16_000)
    return (0.2 * np.random.default_rng(seed).standard_normal(n) * swing).astype(np.float32)


def steps_of(net: WhisperEncoder, mel: Tensor, mode: str = "overlapped") -> Tensor:
    return torch.cat(list(encode_sound(net, mel, mode)))


def jumps(steps: Tensor) -> Tensor:
    return steps.diff(dim=0).abs().mean((1, 2))


def test_mel_covers_the_sound_and_is_relative_to_its_loudest_moment() -> None:
    samples = voice(1.5)
    mel = whisper_mel(samples)
    assert mel.shape == (80, 150) and mel.dtype == torch.float32
    assert mel.max() - mel.min() <= 2.0 + 1e-6  # 8 decades, divided by 4
    quieter = whisper_mel(samples / 10)
    torch.testing.assert_close(quieter, mel - 0.5, atol=1e-4, rtol=0)
    assert whisper_mel(samples[:10]).shape == (80, 4)


def test_mel_of_a_long_sound_does_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = voice(3.1)
    whole = whisper_mel(samples)
    monkeypatch.setattr("eadnet_core.media.sound.whisper_mel._BLOCK_STEPS", 37)
    assert torch.equal(whisper_mel(samples), whole)


def test_levels_are_those_before_and_after_every_block() -> None:
    net = encoder()
    mel = whisper_mel(voice(2.0))
    levels = net(mel[None])
    assert levels.shape == (1, 100, 3, 32) and net.n_levels == 3
    assert torch.equal(net.layers[0](levels[:, :, 0]), levels[:, :, 1])
    assert torch.equal(net.layers[1](levels[:, :, 1]), levels[:, :, 2])


def test_a_frame_reads_ten_steps_and_the_ends_repeat() -> None:
    steps = torch.arange(20.0)[:, None, None] + torch.tensor([0.0, 100.0])[:, None]
    tokens = frame_tokens(steps, 0, 10)
    assert tokens.shape == (10, 20, 1)
    assert tokens[4, ::2, 0].tolist() == [4, 5, 6, 7, 8, 9, 10, 11, 12, 13]
    assert tokens[4, 1::2, 0].tolist() == [104, 105, 106, 107, 108, 109, 110, 111, 112, 113]
    assert tokens[0, ::2, 0].tolist() == [0, 0, 0, 0, 0, 1, 2, 3, 4, 5]
    assert tokens[9, ::2, 0].tolist() == [14, 15, 16, 17, 18, 19, 19, 19, 19, 19]


@pytest.mark.parametrize("mode", ["exact", "overlapped"])
@pytest.mark.parametrize("seconds", [0.03, 1.0, 2.0, 2.01, 3.9, 7.33])
def test_every_step_comes_once_and_frames_are_read_from_anywhere(mode: str, seconds: float) -> None:
    net, mel = encoder(), whisper_mel(voice(seconds))
    steps = steps_of(net, mel, mode)
    assert steps.shape == (max(1, mel.shape[1] // 2), 3, 32)
    n_frames = round(25 * seconds) + 3
    whole, features = frame_tokens(steps, 0, n_frames), SoundFeatures(net, mel, mode)
    for first in (n_frames - 1, *range(0, n_frames, 7), 0):
        last = min(first + 7, n_frames)
        assert torch.equal(features.frames(first, last), whole[first:last])


def test_few_segments_are_held_not_the_sound() -> None:
    net, mel = encoder(), whisper_mel(voice(30.0))
    for mode in ("exact", "overlapped"):
        features = SoundFeatures(net, mel, mode)
        for first in range(0, 750, 16):
            features.frames(first, first + 16)
            assert len(features._segments) <= HELD_SEGMENTS + 1


def test_both_modes_agree_on_a_sound_of_one_segment() -> None:
    net, mel = encoder(), whisper_mel(voice(1.7))
    assert torch.equal(steps_of(net, mel, "exact"), steps_of(net, mel))


def test_an_unknown_mode_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="overlapped, exact"):
        next(encode_sound(encoder(), torch.zeros(80, 10), "fast"))


def test_no_glitch_where_exact_segments_meet() -> None:
    net, mel = encoder(WhisperConfig(width=32, heads=2, layers=2)), whisper_mel(voice(61.0))
    exact, overlapped = steps_of(net, mel, "exact"), steps_of(net, mel)
    usual = jumps(overlapped).median()
    assert jumps(exact)[1499] > 4 * usual  # from the last position to the first
    assert jumps(overlapped)[1400:1600].max() < 1.5 * usual


def test_steps_at_30_s_are_closer_to_those_of_a_segment_around_them() -> None:
    net, mel = encoder(WhisperConfig(width=32, heads=2, layers=2)), whisper_mel(voice(61.0))
    net.positions.data.zero_()  # what is left is what a step has heard, wherever its segment begins
    exact, overlapped = steps_of(net, mel, "exact")[1499:1501], steps_of(net, mel)[1499:1501]
    around = net(mel[None, :, 1500:4500])[0, 749:751]
    assert (overlapped - around).abs().mean() < 0.2 * (exact - around).abs().mean()


def test_weights_of_a_transformers_model_fit_and_mean_the_same() -> None:
    from transformers import WhisperConfig as PublicConfig
    from transformers import WhisperModel

    torch.manual_seed(1)
    sizes = {"d_model": 32, "encoder_layers": 2, "decoder_layers": 1, "max_source_positions": 100, "vocab_size": 60}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 128, "decoder_ffn_dim": 64}
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    model = WhisperModel(PublicConfig(**sizes, **heads, **ids)).eval()
    net = encoder()
    net.load_state_dict(from_transformers(model.state_dict()))
    mel = whisper_mel(voice(2.0))
    with torch.no_grad():
        theirs = model.encoder(mel[None], output_hidden_states=True).hidden_states
    torch.testing.assert_close(net(mel[None])[:, :, 0], theirs[0])
    torch.testing.assert_close(net(mel[None])[:, :, 1], theirs[1])


def test_weights_in_the_names_of_openai_fit() -> None:
    net = encoder()
    names = {
        "positions": "positional_embedding",
        "layers": "blocks",
        "attention_norm": "attn_ln",
        "query": "attn.query",
    }
    names |= {"key": "attn.key", "value": "attn.value", "out": "attn.out", "feed_norm": "mlp_ln"}
    names |= {"feed_in": "mlp.0", "feed_out": "mlp.2"}
    state = {
        "encoder." + ".".join(names.get(part, part) for part in key.split(".")): value
        for key, value in net.state_dict().items()
    }
    assert "encoder.blocks.1.attn.key.weight" in state
    found = from_openai({**state, "encoder.ln_post.weight": torch.ones(32), "decoder.ln.weight": torch.ones(32)})
    assert found.keys() == net.state_dict().keys()
    assert all(found[key] is state_value for key, state_value in zip(found, state.values(), strict=True))
