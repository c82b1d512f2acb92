"""Public weights in the formats that their publishers write, made on the spot at tiny size: good ones and bad ones."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from eadnet_core.cli import main
from eadnet_core.config import PRESETS, ModelConfig, WhisperConfig
from eadnet_core.errors import BadInput, CheckpointError
from eadnet_core.families.load import load_model
from eadnet_core.machine import has_matrix_units
from eadnet_core.nets.adapters import is_adapter_key
from eadnet_core.nets.emotion_encoder import EmotionEncoder
from eadnet_core.nets.latentsync.denoiser import LatentSyncDenoiser
from eadnet_core.nets.latentsync.whisper import WhisperEncoder
from eadnet_core.sampling.conditions import FrameConditions
from eadnet_core.weights import convert as public_weights
from eadnet_core.weights.convert import SOURCES, convert, load_video_mae, read_public
from eadnet_core.weights.experts import load_reader
from eadnet_core.weights.files import save_adapters
from eadnet_core.weights.folders import info, licence
from eadnet_core.weights.parts import PARTS

State = dict[str, Tensor]


def assert_same(found: torch.Tensor, expected: torch.Tensor) -> None:
    """To the bit; on CPUs with AMX, whose kernels round by where weights lie in memory, but for the last digits."""
    if has_matrix_units():
        torch.testing.assert_close(found, expected)
    else:
        assert torch.equal(found, expected)


def bare(config: ModelConfig) -> ModelConfig:
    return replace(config, denoiser=replace(config.denoiser, has_adapters=False))


@pytest.fixture(scope="module")
def unet(tiny: Any) -> State:
    torch.manual_seed(0)
    return LatentSyncDenoiser(bare(tiny.base).denoiser).state_dict()


@pytest.fixture
def tiny_sources(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`convert` at tiny size: its own sizes and a preset "tiny-base"."""
    for name, part in (("vae", "sd_vae"), ("whisper", "whisper"), ("syncnet", "stable_syncnet")):
        monkeypatch.setitem(SOURCES, name, replace(SOURCES[name], config=tiny.part_config(part)))
    monkeypatch.setitem(PRESETS, "tiny-base", tiny.base)


def openai_names(net: nn.Module) -> State:
    names = {"positions": "positional_embedding", "layers": "blocks", "attention_norm": "attn_ln"}
    names |= {"query": "attn.query", "key": "attn.key", "value": "attn.value", "out": "attn.out"}
    names |= {"feed_norm": "mlp_ln", "feed_in": "mlp.0", "feed_out": "mlp.2"}
    found = {
        "encoder." + ".".join(names.get(part, part) for part in key.split(".")): value
        for key, value in net.state_dict().items()
    }
    return found | {"encoder.ln_post.weight": torch.ones(32), "decoder.token_embedding.weight": torch.zeros(5, 32)}


@pytest.fixture
def public_files(tmp_path: Path, tiny: Any, unet: State) -> dict[str, Path]:
    """What a user has after downloading: LatentSync's two .pt, a diffusers folder, OpenAI's tiny.pt."""
    folder = tmp_path / "public"
    folder.mkdir()
    vae: Any = tiny.net("sd_vae")
    vae.autoencoder.save_pretrained(folder / "vae")
    torch.save({"global_step": 7, "state_dict": unet}, folder / "latentsync_unet.pt")
    torch.save({"dims": {"n_mels": 80}, "model_state_dict": openai_names(tiny.net("whisper"))}, folder / "tiny.pt")
    torch.save({"global_step": 7, "state_dict": tiny.net("stable_syncnet").state_dict()}, folder / "stable_syncnet.pt")
    return {
        "unet": folder / "latentsync_unet.pt",
        "vae": folder / "vae",
        "whisper": folder / "tiny.pt",
        "syncnet": folder / "stable_syncnet.pt",
    }


def same(found: State, expected: State) -> bool:
    """Equal keys, dtypes and bits."""
    return found.keys() == expected.keys() and all(
        value.dtype == expected[key].dtype
        and torch.equal(value.flatten().view(torch.uint8), expected[key].flatten().view(torch.uint8))
        for key, value in found.items()
    )


@pytest.mark.parametrize("form", ["pt", "old_pt", "parallel", "safetensors"])
def test_every_form_of_the_unet_is_read_to_the_bit(tmp_path: Path, tiny: Any, unet: State, form: str) -> None:
    path = tmp_path / ("unet.safetensors" if form == "safetensors" else "latentsync_unet.pt")
    if form == "safetensors":
        save_file(unet, path)
    elif form == "parallel":
        torch.save({"state_dict": {f"module.{key}": value for key, value in unet.items()}}, path)
    else:
        inner = {"global_step": 100, "state_dict": unet}
        torch.save(inner, path, _use_new_zipfile_serialization=form == "pt")
    found = read_public("unet", path, bare(tiny.base))
    assert same(found.state, unet)
    assert found.n_left_out == 0
    assert f"{len(unet)} tensors" in str(found)


def test_whisper_is_read_from_openai_and_from_transformers(tmp_path: Path, tiny: Any, public_files: Any) -> None:
    from transformers import WhisperConfig as PublicConfig
    from transformers import WhisperForConditionalGeneration

    net, config = tiny.net("whisper"), tiny.part_config("whisper")
    found = read_public("whisper", public_files["whisper"], config)
    assert same(found.state, net.state_dict())
    assert found.n_left_out == 2
    sizes = {"d_model": 32, "encoder_layers": 4, "decoder_layers": 1, "max_source_positions": 100, "vocab_size": 60}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 128, "decoder_ffn_dim": 64}
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    theirs = WhisperForConditionalGeneration(PublicConfig(**sizes, **heads, **ids))
    theirs.save_pretrained(tmp_path / "whisper-tiny")
    read = read_public("whisper", tmp_path / "whisper-tiny", config)
    again = WhisperEncoder(config)
    again.load_state_dict(read.state)
    assert torch.equal(again.conv1.weight, theirs.model.encoder.conv1.weight)
    assert read.n_left_out > 0


def test_the_vae_is_read_from_a_folder_a_file_of_it_and_a_single_file(tiny: Any, public_files: Any) -> None:
    config, expected = tiny.part_config("sd_vae"), tiny.net("sd_vae").state_dict()
    folder = public_files["vae"]
    for path in (folder, folder / "diffusion_pytorch_model.safetensors"):
        assert same(read_public("vae", path, config).state, expected)
    single = folder.parent / "vae-ft-mse-840000.ckpt"
    torch.save({"state_dict": {"encoder.down.0.block.0.norm1.weight": torch.ones(8)}}, single)
    with pytest.raises(CheckpointError, match=r"missing autoencoder\.decoder") as error:
        read_public("vae", single, config)
    assert "unexpected none" in str(error.value)


def test_stable_syncnet_is_read(tiny: Any, public_files: Any) -> None:
    found = read_public("syncnet", public_files["syncnet"], tiny.part_config("stable_syncnet"))
    assert same(found.state, tiny.net("stable_syncnet").state_dict())


def test_videomae_is_read_strictly(tmp_path: Path) -> None:
    from transformers import VideoMAEConfig, VideoMAEForPreTraining

    torch.manual_seed(0)
    sizes = {"image_size": 32, "num_frames": 4, "hidden_size": 16, "num_hidden_layers": 2, "intermediate_size": 32}
    decoder = {"decoder_hidden_size": 16, "decoder_num_hidden_layers": 1, "decoder_intermediate_size": 32}
    heads = {"num_attention_heads": 2, "decoder_num_attention_heads": 2}
    model = VideoMAEForPreTraining(VideoMAEConfig(**sizes, **decoder, **heads)).eval()
    model.save_pretrained(tmp_path)
    net = load_video_mae(tmp_path)
    frames = torch.rand(1, 4, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(net(frames).last_hidden_state, model.videomae(frames).last_hidden_state)
    path = tmp_path / "model.safetensors"
    state = load_file(path)
    removed = next(k for k in sorted(state) if k.startswith("videomae.") and k.endswith("layernorm_before.weight"))
    save_file({key: value for key, value in state.items() if key != removed}, path, {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"missing .*layernorm_before"):
        load_video_mae(tmp_path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(CheckpointError, match="no readable folder of VideoMAE"):
        load_video_mae(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        load_video_mae(tmp_path)


class Code:
    """An object whose pickle runs a command when it is loaded."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("is_zipped", [True, False])
def test_a_pickle_with_code_in_it_is_refused_and_not_run(tmp_path: Path, tiny: Any, is_zipped: bool) -> None:
    path, proof = tmp_path / "latentsync_unet.pt", tmp_path / "code-was-run"
    inner = {"state_dict": {"conv_in.weight": torch.zeros(1), "extra": Code(proof)}}
    torch.save(inner, path, _use_new_zipfile_serialization=is_zipped)
    with pytest.raises(CheckpointError, match=r"latentsync_unet\.pt' was not loaded.*could run code.*mkdir"):
        read_public("unet", path, bare(tiny.base))
    assert not proof.exists()


@pytest.mark.parametrize("kept", [0.5, 0.98])
def test_a_truncated_file_is_refused(tiny: Any, public_files: Any, kept: float) -> None:
    path = public_files["syncnet"]
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(CheckpointError, match=r"stable_syncnet\.pt' is damaged or cut short"):
        read_public("syncnet", path, tiny.part_config("stable_syncnet"))


@pytest.mark.parametrize("content", [b"", b"<html>Access denied</html>"])
def test_what_is_no_weight_file_is_refused(tmp_path: Path, tiny: Any, content: bytes) -> None:
    path = tmp_path / "tiny.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"tiny\.pt' (was not loaded|is damaged)"):
        read_public("whisper", path, tiny.part_config("whisper"))


@pytest.mark.parametrize("content", [{"epoch": 3}, [1, 2], {"state_dict": {"a": 1}}, {"state_dict": {}}])
def test_a_file_without_weights_says_what_it_holds(tmp_path: Path, tiny: Any, content: Any) -> None:
    path = tmp_path / "unet.pt"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match="holds no table of weights"):
        read_public("unet", path, bare(tiny.base))


def test_misfits_are_listed_up_to_five_with_what_was_expected(tmp_path: Path, tiny: Any, unet: State) -> None:
    path = tmp_path / "latentsync_unet.pt"
    removed = [key for key in sorted(unet) if key.startswith("down_blocks")][:7]
    broken = {key: value for key, value in unet.items() if key not in removed} | {"time_proj.extra": torch.zeros(1)}
    broken["conv_out.weight"] = torch.zeros(16, 32, 3, 3)
    torch.save({"state_dict": broken}, path)
    with pytest.raises(CheckpointError) as error:
        read_public("unet", path, bare(tiny.base))
    text = str(error.value)
    assert all(key in text for key in removed[:5]) and removed[5] not in text and "and 2 more" in text
    assert "unexpected time_proj.extra" in text
    assert "conv_out.weight (16, 32, 3, 3) instead of (4, 32, 3, 3)" in text
    assert str(path) in text and "Expected latentsync_unet.pt of LatentSync 1.5 or 1.6" in text


def test_another_size_of_whisper_is_refused(public_files: Any) -> None:
    with pytest.raises(CheckpointError, match=r"wrong shape .*conv1.*Expected Whisper tiny"):
        read_public("whisper", public_files["whisper"], WhisperConfig(width=48, heads=2))


def test_paths_without_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"No weight file or folder .*nothing"):
        read_public("unet", tmp_path / "nothing")
    with pytest.raises(CheckpointError, match=r"holds none of .*model\.safetensors"):
        read_public("vae", tmp_path)


def test_converted_files_hold_the_bits_of_the_public_ones(
    tmp_path: Path, tiny: Any, unet: State, public_files: Any, tiny_sources: None
) -> None:
    mixed = dict(unet)
    mixed["conv_in.bias"] = mixed["conv_in.bias"].bfloat16()
    mixed["conv_out.bias"] = torch.tensor([float("nan"), -0.0, 1e-42, float("inf")])
    torch.save({"global_step": 7, "state_dict": mixed}, public_files["unet"])
    output = tmp_path / "base"
    convert(public_files, output, "tiny-base")
    assert {p.name for p in output.iterdir()} == {f"{SOURCES[name].file}.safetensors" for name in SOURCES}
    assert same(load_file(output / "denoiser.safetensors"), mixed)
    for name, part in (("vae", "sd_vae"), ("whisper", "whisper"), ("syncnet", "stable_syncnet")):
        file = output / f"{SOURCES[name].file}.safetensors"
        assert same(load_file(file), tiny.net(part).state_dict())
        again = read_public(name, file, tiny.part_config(part))
        assert same(again.state, tiny.net(part).state_dict())
    with safe_open(output / "denoiser.safetensors", "pt") as file:
        assert not any(is_adapter_key(key) for key in file.keys())  # noqa: SIM118 - not a dict
    assert {part.part for part in info(str(output))} == {SOURCES[name].part for name in SOURCES}
    assert "OpenRAIL++" in licence(output) and "MIT" in licence(output)


def test_half_precision_halves_what_it_can_hold(tmp_path: Path, tiny: Any, unet: State, tiny_sources: None) -> None:
    large = dict(unet, **{"conv_out.bias": torch.full((4,), 1e6)})
    torch.save({"state_dict": large}, tmp_path / "unet.pt")
    convert({"unet": tmp_path / "unet.pt"}, tmp_path / "base", "tiny-base", half=True)
    state = load_file(tmp_path / "base" / "denoiser.safetensors")
    assert [key for key, value in state.items() if value.dtype != torch.float16] == ["conv_out.bias"]
    assert torch.equal(state["conv_in.weight"], unet["conv_in.weight"].half())


def test_nothing_is_written_unless_everything_fits(tmp_path: Path, public_files: Any, tiny_sources: None) -> None:
    output = tmp_path / "base"
    public_files["whisper"].write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"tiny\.pt"):
        convert(public_files, output, "tiny-base")
    assert not output.exists()
    convert({"unet": public_files["unet"]}, output, "tiny-base")
    with pytest.raises(BadInput, match=r"denoiser\.safetensors' exists already"):
        convert({"unet": public_files["unet"]}, output, "tiny-base")
    with pytest.raises(BadInput, match="Nothing to convert"):
        convert({}, output)
    with pytest.raises(BadInput, match=r"'mini' is no base.*base-256"):
        convert({"unet": public_files["unet"]}, output, "mini")


@pytest.fixture
def base_folder(tmp_path: Path, public_files: Any, tiny_sources: None) -> Path:
    convert({name: public_files[name] for name in ("unet", "vae", "whisper")}, tmp_path / "base", "tiny-base")
    return tmp_path / "base"


def random_input() -> tuple[torch.Tensor, torch.Tensor, FrameConditions]:
    """Noisy latents, a time and two frames' sound for the denoiser of a tiny base."""
    given = FrameConditions(torch.randn(1, 9, 2, 8, 8), torch.randn(1, 2, 50, 32))
    return torch.randn(1, 4, 2, 8, 8), torch.tensor([500]), given


@torch.no_grad()
def test_a_base_folder_opens_as_a_model(base_folder: Path, tiny: Any, unet: State) -> None:
    model = load_model(str(base_folder), "cpu", attention_backend="plain")
    assert model.config == bare(tiny.base)
    assert model.emotion_encoder is None and model.syncnet is None
    assert same(model.denoiser.state_dict(), unet)
    assert {m.backend for m in model.denoiser.modules() if hasattr(m, "backend")} == {"plain"}
    assert not any(p.requires_grad or p.is_meta for net in (model.denoiser, model.vae) for p in net.parameters())
    assert not any(b.is_meta for b in model.denoiser.buffers())
    net = LatentSyncDenoiser(replace(bare(tiny.base).denoiser, attention_backend="plain")).eval()
    net.load_state_dict(unet)
    given = random_input()
    assert_same(model.denoiser(*given), net(*given))
    assert model.vae.decode(torch.zeros(1, 4, 2, 2)).shape == (1, 3, 16, 16)
    assert model.audio_encoder(torch.zeros(1, 80, 200)).shape == (1, 100, 5, 32)
    assert (model.reader.codes(["furious"]) == load_reader("mini").codes(["furious"])).all()
    half = load_model(str(base_folder), "cpu", torch.bfloat16)
    assert {p.dtype for p in half.denoiser.parameters()} == {torch.bfloat16}


def test_a_base_folder_opens_with_its_syncnet(base_folder: Path, tiny: Any, public_files: Any) -> None:
    convert({"syncnet": public_files["syncnet"]}, base_folder)
    model = load_model(str(base_folder), "cpu")
    assert same(model.syncnet.state_dict(), tiny.net("stable_syncnet").state_dict())


@torch.no_grad()
def test_adapters_lie_in_their_own_file_and_are_checked(base_folder: Path, tiny: Any, unet: State) -> None:
    torch.manual_seed(3)
    denoiser, encoder = LatentSyncDenoiser(tiny.base.denoiser).eval(), EmotionEncoder(tiny.base.emotion)
    denoiser.load_state_dict(unet, strict=False)
    for key, p in denoiser.named_parameters():
        if is_adapter_key(key):
            p.add_(0.01)
    path = base_folder / "adapters.safetensors"
    save_adapters(path, denoiser, encoder, tiny.base, {"steps": 3})
    keys = set(load_file(path))
    wanted = {f"denoiser.{key}" for key in denoiser.state_dict() if is_adapter_key(key)}
    assert keys == wanted | {f"emotion.{key}" for key in encoder.state_dict()}
    model = load_model(str(base_folder), "cpu")
    assert same(model.denoiser.state_dict(), denoiser.state_dict())
    assert same(model.emotion_encoder.state_dict(), encoder.state_dict())
    sample, time, heard = random_input()
    emotion = encoder(torch.rand(1, 2, tiny.base.emotion.code_size))
    felt = replace(heard, emotion=emotion, motion=torch.zeros(1, 2, 8), motion_known=torch.ones(1, 2))
    assert_same(model.denoiser(sample, time, felt), denoiser(sample, time, felt))
    assert not torch.equal(model.denoiser(sample, time, felt), model.denoiser(sample, time, heard))
    other = replace(tiny.base, name="other", denoiser=replace(tiny.base.denoiser, heads=4))
    save_adapters(path, LatentSyncDenoiser(other.denoiser), encoder, other)
    with pytest.raises(CheckpointError, match=r"trained on another base \(other\)"):
        load_model(str(base_folder), "cpu")
    state = load_file(path)
    state.pop("emotion.null_tokens")
    public_weights.write_weights(path, "adapters", state, tiny.base)
    with pytest.raises(CheckpointError, match=r"missing emotion\.null_tokens"):
        load_model(str(base_folder), "cpu")


def test_a_base_without_its_vae_says_how_to_make_it(base_folder: Path) -> None:
    (base_folder / "vae.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"no vae\.safetensors.*eadnet convert --vae"):
        load_model(str(base_folder), "cpu")


def test_convert_on_the_command_line(
    tmp_path: Path, unet: State, public_files: Any, tiny_sources: None, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--unet", str(public_files["unet"]), "--vae", str(public_files["vae"]), "--preset", "tiny-base"]
    arguments = ["convert", *given, "--output", str(tmp_path / "base")]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert f"latentsync_unet.pt: {len(unet)} tensors" in said and str(tmp_path / "base" / "vae.safetensors") in said
    assert main(arguments) == 2
    assert "exists already" in capsys.readouterr().err


def test_the_parts_of_a_base_are_parts() -> None:
    assert {source.part for source in SOURCES.values()} <= set(PARTS)
