"""Weight files: what is saved comes back, and whatever does not fit is named."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from eadnet_core.config import SyncNetConfig
from eadnet_core.errors import BadInput, CheckpointError
from eadnet_core.families.base import BASE
from eadnet_core.families.load import auto_dtype, load_model
from eadnet_core.families.mini import MINI
from eadnet_core.weights import folders
from eadnet_core.weights.device import find_device
from eadnet_core.weights.files import drop_shared, load_part, open_weights, read_metadata, save_part
from eadnet_core.weights.parts import PARTS


@pytest.mark.parametrize("part", sorted(PARTS))
def test_a_part_comes_back_with_its_config_and_scores(tmp_path: Path, part: str, tiny: Any) -> None:
    net = tiny.net(part)
    path = tmp_path / f"{part}.safetensors"
    save_part(path, part, net, tiny.part_config(part), {"scores": {"accuracy": 0.5}}, half=False)
    loaded, metadata = load_part(path, part)
    assert metadata["scores"] == {"accuracy": 0.5}
    for key, value in net.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value), key
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())


def test_half_precision_is_read_as_float32(tmp_path: Path, tiny: Any) -> None:
    path = tiny.write(tmp_path, "syncnet")
    assert all(v.dtype == torch.float16 for v in load_file(path).values())
    loaded, _ = load_part(path, "syncnet")
    net = tiny.net("syncnet")
    for key, value in loaded.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.allclose(value, net.state_dict()[key], rtol=1e-3, atol=1e-6)


def test_values_that_half_precision_cannot_hold_stay_exact(tmp_path: Path, tiny: Any) -> None:
    net = tiny.net("vae")
    next(net.parameters()).data.fill_(1e6)
    save_part(tmp_path / "vae.safetensors", "vae", net, tiny.config.vae)
    loaded, _ = load_part(tmp_path / "vae.safetensors", "vae")
    assert next(loaded.parameters()).flatten()[0].item() == 1e6


def test_missing_and_unexpected_keys_are_listed_up_to_five(tmp_path: Path, tiny: Any) -> None:
    path = tiny.write(tmp_path, "vae")
    state = load_file(path)
    with open_weights(path) as file:
        metadata = file.metadata()
    removed = sorted(state)[:7]
    broken = {k: v for k, v in state.items() if k not in removed} | {"extra.weight": torch.zeros(1)}
    save_file(broken, path, metadata)
    with pytest.raises(CheckpointError) as error:
        load_part(path, "vae")
    text = str(error.value)
    assert str(path) in text
    assert "'vae'" in text
    assert "extra.weight" in text
    assert all(key in text for key in removed[:5])
    assert removed[5] not in text
    assert "and 2 more" in text


def test_a_wrong_shape_is_named(tmp_path: Path, tiny: Any) -> None:
    path = tmp_path / "syncnet.safetensors"
    save_part(path, "syncnet", tiny.net("syncnet"), dataclasses.replace(tiny.config.syncnet, embedding=32))
    with pytest.raises(CheckpointError, match=r"frame_out.weight \(16, \d+\) instead of \(32, \d+\)"):
        load_part(path, "syncnet")


def test_another_part_is_refused(tmp_path: Path, tiny: Any) -> None:
    path = tiny.write(tmp_path, "vae")
    with pytest.raises(CheckpointError, match=r"holds the part 'vae'.*'syncnet'"):
        load_part(path, "syncnet")


def test_a_config_of_another_version_is_refused(tmp_path: Path, tiny: Any) -> None:
    path = tmp_path / "syncnet.safetensors"
    values = {**dataclasses.asdict(SyncNetConfig()), "wings": 2}
    save_part(path, "syncnet", tiny.net("syncnet"), values)
    with pytest.raises(CheckpointError, match="wings"):
        load_part(path, "syncnet")


@pytest.mark.parametrize("content", [b"", b"\x80\x02}q\x00.", b"not a weight file at all" * 10])
def test_files_that_are_not_safetensors_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "vae.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        load_part(path, "vae")


def test_a_truncated_file_is_refused(tmp_path: Path, tiny: Any) -> None:
    path = tiny.write(tmp_path, "vae")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        load_part(path, "vae")


def test_foreign_safetensors_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "vae.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="does not say that it is an EAD-Net weight file"):
        read_metadata(path)


def test_a_missing_model_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"vae\.safetensors"):
        load_model("no-such-model", "cpu")
    with pytest.raises(CheckpointError, match=r"No weight file '.*\.safetensors'"):
        load_model(str(tmp_path), "cpu")


def test_no_half_written_file_is_left(tmp_path: Path, tiny: Any) -> None:
    tiny.write(tmp_path, "vae")
    assert [p.name for p in tmp_path.iterdir()] == ["vae.safetensors"]


def test_unknown_and_absent_devices_are_named() -> None:
    with pytest.raises(BadInput, match="'toaster'"):
        find_device("toaster")
    if not torch.cuda.is_available():
        with pytest.raises(BadInput, match="--device cpu"):
            find_device("cuda")


def test_a_model_folder_loads_and_is_described(tiny_folder: Path, tiny: Any) -> None:
    model = load_model(str(tiny_folder), "cpu")
    assert model.config.vae == tiny.config.vae
    assert model.config.denoiser == tiny.config.denoiser
    assert model.real_cosine == 0.6
    parts = {p.part: p for p in folders.info(str(tiny_folder))}
    assert set(parts) == {*folders.MODEL_PARTS, "emotion_bank", folders.SYNC_EXPERT, "style_reader"}
    assert parts["vae"].n_weights == sum(value.numel() for value in model.vae.state_dict().values())
    assert parts["vae"].size_bytes == parts["vae"].path.stat().st_size


def test_parts_of_different_models_are_refused(tiny_folder: Path, tmp_path: Path, tiny: Any) -> None:
    for path in tiny_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    other = dataclasses.replace(tiny.config.vae, latent_channels=8)
    save_part(tmp_path / "vae.safetensors", "vae", PARTS["vae"].build(other), other)
    with pytest.raises(CheckpointError, match="do not belong together"):
        load_model(str(tmp_path), "cpu")


def test_auto_is_bfloat16_only_for_the_mini_on_a_cpu_that_multiplies_in_it(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu = torch.device("cpu")
    for has_amx, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda has=has_amx: {"amx_bf16": has}, raising=False)
        assert auto_dtype(cpu, MINI) == dtype
        assert auto_dtype(cpu, BASE) == torch.float32
        assert auto_dtype(torch.device("cuda"), MINI) == torch.float32
        assert load_model(str(tiny_folder), "cpu", "auto").dtype == dtype
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert auto_dtype(cpu, MINI) == torch.float32


def rewritten(path: Path, **metadata: str) -> Path:
    """A weight file with other metadata around the same weights."""
    with open_weights(path) as file:
        known = file.metadata()
    save_file(load_file(path), path, {**known, **metadata})
    return path


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"width": 10**9}, "more than 10000000"),
        ({"layers": 10**6}, "more than 1000"),
        ({"layers": 10**400}, "more than 1000"),
        ({"heads": 0}, "can be built|does not fit"),
        ({"width": "a"}, "can be built"),
        ({"width": -4}, "can be built|does not fit"),
        ({"width": 9_000_000}, "does not fit"),
        ([], "'config' is no object"),
        (None, "'config' is no object"),
    ],
)
@pytest.mark.timeout(60)
def test_a_config_that_no_net_has_is_refused_before_it_takes_memory(
    tmp_path: Path, tiny: Any, config: object, words: str
) -> None:
    path = rewritten(tiny.write(tmp_path, "text_reader"), config=json.dumps(config))
    with pytest.raises(CheckpointError, match=words):
        load_part(path, "text_reader")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 5000, "{", "9" * 5000])
def test_metadata_that_is_no_json_is_refused(tmp_path: Path, tiny: Any, text: str) -> None:
    path = rewritten(tiny.write(tmp_path, "text_reader"), config=text)
    with pytest.raises(CheckpointError, match="damaged metadata"):
        read_metadata(path)


@pytest.mark.parametrize("name", ["../tiny", "/tmp", "a/b", ".."])
def test_a_model_extends_another_by_its_name_alone(tmp_path: Path, tiny: Any, name: str) -> None:
    rewritten(tiny.write(tmp_path, "vae"), extends=json.dumps(name))
    with pytest.raises(CheckpointError, match="no model's name"):
        folders.find_part(tmp_path, "denoiser")


def extending(tmp_path: Path, tiny: Any) -> tuple[Path, Path]:
    """A file of a model "base", and one of a model that extends it, in which a single tensor differs."""
    base, path = (tiny.write(tmp_path / name, "syncnet") for name in ("base", "larger"))
    weights = load_file(path)
    weights["log_scale"] = weights["log_scale"] + 1
    with open_weights(path) as file:
        metadata = file.metadata()
    save_file(weights, path, {**metadata, "extends": json.dumps("base")})
    return base, path


def test_a_file_leaves_out_what_the_model_that_it_extends_has(tmp_path: Path, tiny: Any) -> None:
    base, path = extending(tmp_path, tiny)
    whole = load_part(path, "syncnet")[0].state_dict()
    drop_shared(path, "syncnet")
    assert list(load_file(path)) == ["log_scale"]
    again = load_part(path, "syncnet")[0].state_dict()
    assert all(torch.equal(again[key], value) for key, value in whole.items())
    base.unlink()
    with pytest.raises(CheckpointError, match="No weight file"):
        load_part(path, "syncnet")


def test_weights_left_out_are_taken_from_no_other_model(tmp_path: Path, tiny: Any) -> None:
    base, path = extending(tmp_path, tiny)
    drop_shared(path, "syncnet")
    with open_weights(base) as file:
        metadata = file.metadata()
    save_file({key: value + 1 for key, value in load_file(base).items()}, base, metadata)
    with pytest.raises(CheckpointError, match="Get both from the same place"):
        load_part(path, "syncnet")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_weights_in_other_float_types_are_read_as_float32(tmp_path: Path, tiny: Any, dtype: torch.dtype) -> None:
    path = tiny.write(tmp_path, "syncnet")
    with open_weights(path) as file:
        metadata = file.metadata()
    save_file({key: value.to(dtype) for key, value in load_file(path).items()}, path, metadata)
    net, _ = load_part(path, "syncnet")
    assert {p.dtype for p in net.parameters()} == {torch.float32}


def test_a_key_given_twice_is_refused_or_the_last_counts(tmp_path: Path, tiny: Any) -> None:
    path = tiny.write(tmp_path, "syncnet")
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = data[8 : 8 + size].decode().rstrip()
    name = next(key for key in json.loads(header) if key != "__metadata__")
    again = header[:-1] + f', "{name}": {json.dumps(json.loads(header)[name])}' + "}"
    path.write_bytes(len(again).to_bytes(8, "little") + again.encode() + data[8 + size :])
    try:
        net, _ = load_part(path, "syncnet")
    except CheckpointError as error:
        assert "safetensors" in str(error)
    else:
        assert name in net.state_dict()
