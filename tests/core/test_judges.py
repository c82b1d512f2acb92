"""The judges: files as they are published become nets; getting them; what is said of folders that are not right."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from eadnet_core.errors import CheckpointError
from eadnet_core.metrics.judging import LABELS, Cuts, cut_square, read_expressions, read_identities, resized
from eadnet_core.nets.face_api import FaceExpression, FaceIdentity
from eadnet_core.nets.tfjs_graph import GraphNet, pad_same
from eadnet_core.weights.download import PublicFile
from eadnet_core.weights.judge_files import ARCHIVES, Archive, download_judges
from eadnet_core.weights.judges import FILES, Judges, find_judges, load_judges
from eadnet_core.weights.tfjs import read_weights


@pytest.fixture(scope="module")
def judges(judges_folder: Path) -> Judges:
    return load_judges(judges_folder)


def test_published_files_are_those_that_are_got() -> None:
    assert sorted(name for archive in ARCHIVES for name in archive.kept) == sorted(FILES)
    for archive in ARCHIVES:
        assert archive.file.url.startswith("https://registry.npmjs.org/@vladmandic/")
        assert all(len(bytes.fromhex(known)) == 32 for known in (archive.file.sha256, *archive.kept.values()))


def test_weights_come_back_in_their_places_to_half_a_step_of_8_bits(judges: Judges) -> None:
    torch.manual_seed(3)
    for net, read in ((FaceExpression(), judges.expression), (FaceIdentity(), judges.identity)):
        for name, true in net.state_dict().items():
            step = float(true.max() - true.min()) / 255
            assert (read.state_dict()[name] - true).abs().max() <= 0.51 * step + 1e-6, name


def test_expressions_are_probabilities_and_one_face_has_one_identity(judges: Judges) -> None:
    rng = np.random.default_rng(0)
    cuts = [Cuts(*(rng.integers(0, 256, (n, n, 3), dtype=np.uint8) for n in (150, 224))) for _ in range(2)]
    for seen in read_expressions(cuts, judges).values():
        assert seen.shape == (2, len(LABELS)) and np.allclose(seen.sum(1), 1, atol=1e-5)
    identities = read_identities([cuts[0], cuts[0], cuts[1]], judges)
    assert {net: values.shape for net, values in identities.items()} == {"faceapi": (3, 128), "human": (3, 1024)}
    for values in identities.values():
        assert np.allclose(values[0], values[1], rtol=1e-4) and not np.allclose(values[0], values[2], rtol=1e-4)


def test_quantised_numbers_are_restored(tmp_path: Path) -> None:
    content = np.array([0, 10, 255], np.uint8).tobytes() + np.array([1.5], np.float16).tobytes()
    content += np.array([7], np.uint16).tobytes() + np.array([-2], np.int32).tobytes()
    (tmp_path / "a.bin").write_bytes(content[:2])
    (tmp_path / "b.bin").write_bytes(content[2:])
    entries = [
        {"name": "q", "shape": [3], "dtype": "float32", "quantization": {"dtype": "uint8", "scale": 0.5, "min": -1.0}},
        {"name": "h", "shape": [], "dtype": "float32", "quantization": {"dtype": "float16"}},
        {"name": "w", "shape": [1], "dtype": "float32", "quantization": {"dtype": "uint16", "scale": 2.0, "min": 1.0}},
        {"name": "i", "shape": [1], "dtype": "int32"},
    ]
    groups = [{"paths": ["a.bin", "b.bin"], "weights": entries}]
    weights = read_weights(tmp_path, groups)
    assert weights["q"].tolist() == [-1.0, 4.0, 126.5] and weights["h"].item() == 1.5
    assert weights["w"].tolist() == [15.0] and weights["i"].tolist() == [-2]
    (tmp_path / "b.bin").write_bytes(content[2:-1])
    with pytest.raises(CheckpointError, match=r"ends before 'i': 10 bytes, and 11 are needed"):
        read_weights(tmp_path, groups)
    entries[0]["quantization"] = {"dtype": "uint4"}
    with pytest.raises(CheckpointError, match="'uint4', which is not known"):
        read_weights(tmp_path, groups)


def test_a_graph_computes_what_torch_does(tiny_judges: ModuleType) -> None:
    sides, text = tiny_judges.sides, tiny_judges.text
    torch.manual_seed(0)
    filters, depthwise, scale = torch.randn(3, 3, 2, 4), torch.randn(3, 3, 2, 1), torch.randn(4)
    valid = {"strides": sides(2, 2), "padding": text("VALID")}
    same = {"strides": sides(2, 2), "padding": text("SAME")}
    nodes = [
        {"name": "sum", "op": "AddV2", "input": ["pool", "scale"]},  # before what it needs: the order is the file's own
        {"name": "x", "op": "Placeholder"},
        *({"name": name, "op": "Const"} for name in ("filters", "depthwise", "scale")),
        {"name": "deep", "op": "DepthwiseConv2dNative", "input": ["x", "depthwise"], "attr": same},
        {"name": "conv", "op": "Conv2D", "input": ["deep", "filters"], "attr": valid},
        {"name": "pool", "op": "MaxPool", "input": ["conv"], "attr": {**same, "ksize": sides(3, 3)}},
    ]
    weights = {"filters": filters, "depthwise": depthwise, "scale": scale}
    x = torch.randn(2, 2, 12, 12)
    deep = F.conv2d(F.pad(x, (0, 1, 0, 1)), depthwise.permute(2, 3, 0, 1), stride=2, groups=2)
    conv = F.conv2d(deep, filters.permute(3, 2, 0, 1), stride=2)
    pool = F.max_pool2d(F.pad(conv, (0, 1, 0, 1), value=-torch.inf), 3, 2)
    assert torch.allclose(GraphNet(nodes, weights)(x, "sum"), pool + scale[:, None, None], atol=1e-5)
    with pytest.raises(CheckpointError, match=r"unknown operations \['Erf'\].*without weights \['lost'\]"):
        GraphNet([*nodes, {"name": "e", "op": "Erf"}, {"name": "lost", "op": "Const"}], weights)


def test_padding_puts_the_odd_pixel_below_and_right() -> None:
    padded = pad_same(torch.ones(1, 1, 4, 5), (3, 3), (2, 2))
    assert padded.shape == (1, 1, 5, 7) and padded[0, 0, -1].sum() == 0 and padded[0, 0, 0].tolist() == [0, *[1] * 5, 0]


def test_cuts_and_sizes() -> None:
    ramp = np.repeat(np.arange(100, dtype=np.uint8)[None, :, None], 100, 0).repeat(3, 2)
    same = cut_square(ramp, np.array([50.0, 50.0]), 20.0, 0.0, 20)
    assert (same == ramp[40:60, 40:60]).all()
    turned = cut_square(ramp, np.array([50.0, 50.0]), 20.0, np.pi / 2, 20)
    assert (turned[:, 0, 0] == turned[:, -1, 0]).all() and turned[0, 0, 0] > turned[-1, 0, 0]
    assert (cut_square(ramp, np.array([0.0, 0.0]), 20.0, 0.0, 20)[:, :10] == 0).all()
    x = torch.arange(6.0)[None, None, None].expand(1, 1, 6, 6)
    assert resized(x, 4)[0, 0, 0].tolist() == [0.0, 1.5, 3.0, 4.5]


def test_a_folder_that_is_not_right_is_said(
    judges_folder: Path, tiny_judges: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EADNET_JUDGES", raising=False)
    assert find_judges() is None
    monkeypatch.setenv("EADNET_JUDGES", str(judges_folder))
    assert find_judges() == judges_folder
    with pytest.raises(CheckpointError, match=r"no folder of judges.*emotion\.json.*eadnet download judges"):
        find_judges(tmp_path)
    broken = tiny_judges.write_judges(tmp_path / "broken")
    (broken / "emotion.json").write_text("{", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"emotion\.json' cannot be read"):
        load_judges(broken)
    manifest = json.loads((judges_folder / "face_recognition_model-weights_manifest.json").read_text(encoding="utf-8"))
    manifest[0]["weights"][0]["name"] = "other"
    (broken / "face_recognition_model-weights_manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(CheckpointError, match="face_recognition_model are of another version"):
        load_judges(broken)


@pytest.fixture
def registry() -> Iterator[tuple[list[str], dict[str, bytes], str]]:
    """(what was asked for, what there is by path, the address) of a server on this machine."""
    asked: list[str] = []
    there: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = there.get(self.path, b"")
            self.send_response(200 if body else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield asked, there, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_an_archive_is_got_once_and_only_known_files_are_kept(
    registry: tuple[list[str], dict[str, bytes], str], tmp_path: Path
) -> None:
    asked, there, address = registry
    files = {"package/model/a.bin": b"wanted" * 50, "package/model/b.bin": b"not wanted", "../evil": b"outside"}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    body = there["/a.tgz"] = packed.getvalue()
    file = PublicFile("a 1", "a.tgz", len(body), hashlib.sha256(body).hexdigest(), "MIT", "", f"{address}/a.tgz")
    archive = Archive(file, "package/model", {"a.bin": hashlib.sha256(b"wanted" * 50).hexdigest()})
    seen: list[int] = []
    for _ in range(2):
        download_judges(tmp_path / "judges", seen.append, [archive])
    assert asked == ["/a.tgz"] and seen[-1] == len(body)
    assert [path.name for path in tmp_path.rglob("*")] == ["judges", "a.bin"]
    assert (tmp_path / "judges" / "a.bin").read_bytes() == b"wanted" * 50
    with pytest.raises(CheckpointError, match=r"a\.tgz holds no c\.bin"):
        download_judges(tmp_path / "judges", None, [replace(archive, kept={"c.bin": "0" * 64})])
