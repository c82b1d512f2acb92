"""What a graph or a request may not do: reach an address, leave ComfyUI's folders, or bring the server down."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TOLD = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
KINDS = {"STRING", "COMBO", "VIDEO", "COMFY_DYNAMICCOMBO_V3"}
"""Types of inputs that can hold a name, a path or an address; the others hold numbers or tensors."""

ESCAPES = [
    "../secret.png",
    "..",
    ".",
    "a/../../secret.png",
    "..\\secret.png",
    "/etc/passwd",
    "//etc/passwd",
    "C:\\secret.png",
    "C:secret.png",
    "\\\\host\\share\\secret.png",
    "//host/share/secret.png",
    "\\\\?\\C:\\secret.png",
    "inside\0.png",
    "..\0/secret.png",
    "inside.png\n",
    "link.png",
    "folder/secret.png",
    "",
]
MISSING = ["%2e%2e%2fsecret.png", "..%2fsecret.png", "%2fetc%2fpasswd", "http:%2f%2fhost", "a" * 300, "a/" * 3000 + "b"]


@pytest.fixture
def folder(host: Any) -> Iterator[Path]:
    """ComfyUI's input folder, with a picture, a secret beside the folder, and links to it."""
    inside, secret = host.base / "input", host.base / "secret.png"
    secret.write_bytes(b"secret")
    (inside / "inside.png").write_bytes(b"picture")
    links = {inside / "link.png": secret, inside / "folder": host.base}
    for link, target in links.items():
        link.symlink_to(target)
    yield inside
    for link in links:
        link.unlink()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A port of this machine where nobody must come by."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.setblocking(False)
        yield made


def nobody_came(listener: socket.socket) -> bool:
    time.sleep(0.05)
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return True
    return False


def test_every_input_and_route_stands_in_the_table(host: Any) -> None:
    """A new one fails here until SECURITY.md answers for it."""
    named = []
    for node_id, node in host.nodes.NODE_CLASS_MAPPINGS.items():
        if node_id.startswith("EADNet_"):
            for port in node.GET_SCHEMA().inputs:
                fields = [i for option in getattr(port, "options", None) or [] for i in getattr(option, "inputs", [])]
                named += [f"{node_id}.{port.id}"] if port.get_io_type() in KINDS else []
                named += [f"{node_id}.{port.id}.{i.id}" for i in fields if i.get_io_type() in KINDS]
    routes = [
        f"{method.upper()} {path}"
        for file in (ROOT / "nodes").glob("*.py")
        for method, path in re.findall(r'routes\.(\w+)\("([^"]+)"\)', file.read_text(encoding="utf-8"))
    ]
    assert len(routes) == 9 and len(named) > 15
    assert [name for name in [*dict.fromkeys(named), *routes] if f"`{name}`" not in TOLD] == []


@pytest.mark.parametrize("name", ESCAPES)
def test_no_name_leads_out_of_the_input_folder(host: Any, folder: Path, name: str) -> None:
    bridge = host.module("nodes.bridge")
    for given, subfolder in ((name, ""), ("secret.png", name.removesuffix("secret.png") or "..")):
        with pytest.raises((ValueError, FileNotFoundError)) as caught:
            bridge.input_file(given, subfolder, "input")
        assert isinstance(caught.value, FileNotFoundError) or "must lie in ComfyUI's input" in str(caught.value)
    assert bridge.input_file("inside.png", "", "input") == str(folder / "inside.png")


@pytest.mark.parametrize("name", ESCAPES[:-1])
def test_escapes_are_refused_by_name(host: Any, folder: Path, name: str) -> None:
    with pytest.raises(ValueError, match="must lie in ComfyUI's input"):
        host.module("nodes.bridge").input_file(name, "", "input")


@pytest.mark.parametrize("name", MISSING)
def test_odd_names_are_names(host: Any, folder: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        host.module("nodes.bridge").input_file(name, "", "input")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("kind", ["output", "user", "/", "..", "models", "", "a" * 9999])
def test_only_input_and_temp_are_opened(host: Any, kind: str) -> None:
    with pytest.raises(ValueError, match="give 'input' or 'temp'"):
        host.module("nodes.bridge").input_file("inside.png", "", kind)


@pytest.mark.parametrize("name", [*ESCAPES[:-3], *MISSING, "../models/eadnet/tiny", "tiny/../tiny", "tiny/", "mini\0"])
def test_models_are_chosen_by_name_alone(host: Any, name: str) -> None:
    bridge = host.module("nodes.bridge")
    with pytest.raises(ValueError, match="Put its folder"):
        bridge.model_folder(name)
    with pytest.raises(ValueError, match="Put its folder"):
        bridge.language_model_folder(name)
    with pytest.raises(Exception, match="Put its folder"):
        host.call("EADNet_Loader", model=name, precision="auto", attention="auto")


def test_a_sample_is_not_written_through_a_link(host: Any) -> None:
    samples, outside = host.module("nodes.sample_files"), host.base / "outside.png"
    target = host.base / "input" / "eadnet_portrait.png"
    target.unlink(missing_ok=True)
    target.symlink_to(outside)
    assert samples.copy_missing(["eadnet_portrait.png"]) == []
    assert not outside.exists() and target.is_symlink()
    target.unlink()
    assert samples.copy_missing(["eadnet_portrait.png"]) == ["eadnet_portrait.png"]
    assert target.read_bytes() == (ROOT / "eadnet_core" / "assets" / "sample" / "portrait.png").read_bytes()
    assert samples.copy_missing(["eadnet_portrait.png"]) == []


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {"prompt": []},
        {"prompt": {"1": None, "2": {"inputs": "eadnet_portrait.png"}, "3": {"inputs": [["eadnet_portrait.png"]]}}},
        {"prompt": {"1": {"inputs": {"image": ["eadnet_portrait.png"], "x": "../eadnet_portrait.png", "y": {}}}}},
    ],
)
def test_a_malformed_prompt_passes_and_copies_nothing(host: Any, data: Any) -> None:
    target = host.base / "input" / "eadnet_portrait.png"
    target.unlink(missing_ok=True)
    assert host.module("nodes.sample_files").copy_for_prompt(data) is data
    assert not target.exists()


def caption_prompt(**fields: Any) -> dict[str, Any]:
    inputs = {"provider": "openai", **{f"provider.{key}": value for key, value in fields.items()}, "text": "very sad"}
    return {
        "caption": {"class_type": "EADNet_LLMEmotionCaption", "inputs": inputs},
        "show": {"class_type": "PreviewAny", "inputs": {"source": ["caption", 0]}},
    }


REST = {"model": "qwen2.5vl", "max_tokens": 400, "temperature": 0.0, "seed": 0, "retries": 0, "timeout_s": 2.0}


@pytest.mark.parametrize("field", ["url", "endpoint"])
def test_an_address_in_a_prompt_reaches_nobody_and_says_what_to_do(
    host: Any, listener: socket.socket, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As saved by the node that had a `url`, in the API's format, and with an address where a name belongs."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    with pytest.raises(Exception, match="endpoint must be a name") as caught:
        host.run(caption_prompt(**{field: address}, **REST))
    _, said, node = caught.value.args
    assert f"Put the address into '{host.module('nodes.bridge').endpoints_file()}' under a name" in said
    assert node == "EADNet_LLMEmotionCaption" and len(said.strip().splitlines()) == 1
    assert nobody_came(listener)


def test_a_file_of_the_page_with_an_address_opens_with_every_value_in_its_place(host: Any, as_prompt: Any) -> None:
    values = ["openai", "http://elsewhere.example/v1", "big", 123, 0.5, 7, 1, 45.0, "very sad"]
    node = {"id": 1, "type": "EADNet_LLMEmotionCaption", "inputs": [], "widgets_values": values}
    shown = {"id": 2, "type": "PreviewAny", "inputs": [{"name": "source", "link": 1}], "widgets_values": []}
    graph = {"nodes": [node, shown], "links": [[1, 1, 0, 2, 0, "STRING"]]}
    info = {node["type"]: host.node(node["type"]).GET_NODE_INFO_V1(), "PreviewAny": {"input": {"required": {}}}}
    prompt = as_prompt(graph, info.__getitem__)
    given = prompt["1"]["inputs"]
    assert [given[f"provider.{name}"] for name in ("model", "max_tokens", "timeout_s")] == ["big", 123, 45.0]
    assert host.validate(prompt)[0]
    with pytest.raises(Exception, match=r"http://elsewhere\.example.*Put the address into"):
        host.run(prompt)


def test_the_owners_file_is_what_reaches_a_server(host: Any, listener: socket.socket) -> None:
    file = host.module("nodes.bridge").endpoints_file()
    assert file == host.base / "user" / "eadnet" / "endpoints.json"
    file.parent.mkdir()
    try:
        file.write_text(json.dumps({"here": {"url": f"http://127.0.0.1:{listener.getsockname()[1]}/v1"}}))
        host.run(caption_prompt(endpoint="here", **{**REST, "timeout_s": 0.2}))
        assert not nobody_came(listener)
    finally:
        file.unlink()
        file.parent.rmdir()


class Addressed:
    """A VIDEO that another pack might make: its source is no file."""

    def __init__(self, source: str) -> None:
        self.source = source

    def get_stream_source(self) -> str:
        return self.source


@pytest.mark.parametrize("source", ["{}/clip.mp4", "rtsp{}/x", "concat:/etc/passwd", "file:/etc/passwd", "/not/there"])
def test_a_video_that_is_no_file_is_not_opened(host: Any, listener: socket.socket, source: str) -> None:
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    video = Addressed(source.format(address if source[0] == "{" else address.removeprefix("http")))
    with pytest.raises(Exception, match="not a file on this machine"):
        host.call("EADNet_SyncScore", asked_emotion="any", fps=25.0, box="", video=video)
    assert nobody_came(listener)


@pytest.mark.parametrize("prefix", ["../out", "{}/out", "a/../../out", "..\\out"])
def test_outputs_go_to_temp_and_save_video_stays_in_output(host: Any, talk: Any, prefix: str) -> None:
    before = {path for path in host.base.rglob("*") if path.is_file()}
    host.executor = host.new_executor()
    prompt = talk.prompt(save__filename_prefix=prefix.format(host.base), short__duration=0.08)
    with contextlib.suppress(Exception):  # ComfyUI refuses some, and takes a backslash for a letter
        host.run(prompt)
    made = {path for path in host.base.rglob("*") if path.is_file()} - before
    assert made
    assert all(path.parent in (host.base / "temp", host.base / "output") for path in made)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '[{"a": ' * 20_000,
        '[{"time": 0, "reference": {"path": "/etc/passwd"}}]',
        f'[{{"time": {"9" * 400}}}]',
    ],
    ids=["nested lists", "nested objects", "a file", "a number beyond floats"],
)
def test_hostile_keyframes_are_one_line(host: Any, text: str) -> None:
    with pytest.raises(Exception, match="keyframe") as caught:
        host.call("EADNet_EmotionTrack", keyframes=text, cross_fade=0.5)
    assert isinstance(caught.value, ValueError) and len(str(caught.value)) < 600


@pytest.mark.parametrize("text", ["nan,0,1,1", "0,0,inf,1", "-inf,0,1,1", "1e999,0,1,1", "9" * 5000, "a" * 100_000])
def test_hostile_boxes_are_one_line(host: Any, text: str) -> None:
    with pytest.raises(ValueError, match="give four") as caught:
        host.module("nodes.bridge").box_of(text)
    assert len(str(caught.value)) < 250


BODIES = {
    "nested lists": b"[" * 60_000,
    "nested lists, long": b"[" * 200_000,
    "nested objects": b'{"a":' * 12_000,
    "long": b'{"text": "' + b"x" * 1_000_000 + b'"}',
    "empty": b"",
    "cut off": b'{"text": "hap',
    "no object": b"[1, 2]",
    "null": b"null",
    "no UTF-8": b'{"text": "\xff\xfe"}',
    "UTF-16": '{"text": 5}'.encode("utf-16"),
    "surrogate": b'{"image": "\\ud800"}',
    "NUL": b'{"image": "a\\u0000.png"}',
    "huge number": b'{"frames": 1' + b"0" * 400 + b"}",
    "longer number": b'{"frames": 1' + b"0" * 5000 + b"}",
    "infinite": b'{"intensity": 1e999}',
    "NaN": b'{"valence": NaN, "arousal": 0}',
    "wrong types": b'{"text": {}, "preset": [], "box": {"a": 1}, "image": ["a"], "frames": "many"}',
    "NaN box": b'{"box": "nan,nan,nan,nan"}',
    "drive": b'{"image": "C:\\\\secret.png"}',
    "share": b'{"image": "\\\\\\\\host\\\\share\\\\x.png"}',
}
EXPRESSED = {
    BODIES["huge number"]: b'{"size": 1' + b"0" * 400 + b"}",
    BODIES["longer number"]: b'{"size": 1' + b"0" * 5000 + b"}",
    BODIES["infinite"]: b'{"values": {"corners": 1e999}}',
    BODIES["NaN"]: b'{"values": {"corners": NaN}}',
    BODIES["wrong types"]: b'{"values": [1], "box": {"a": 1}, "image": ["a"], "size": "much"}',
}
"""The same of what the expression editor asks for."""


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
@pytest.mark.parametrize(
    "path",
    [
        "/eadnet/preview",
        "/eadnet/expression",
        "/eadnet/track",
        "/eadnet/track_face",
        "/eadnet/faces",
        "/eadnet/live",
    ],
)
def test_a_malformed_request_is_a_400_that_says_why(server: Any, body: bytes, path: str) -> None:
    time.sleep(0.1)  # stays below the rate that is refused as such
    body = EXPRESSED.get(body, body) if path == "/eadnet/expression" else body
    said_before = len(server.log.read_text(errors="replace"))
    status, answer = server.request(path, body)
    assert status == 400, answer
    assert 10 < len(answer["error"]) < 400
    assert "Traceback" not in server.log.read_text(errors="replace")[said_before:]


@pytest.mark.parametrize("charset", ["nonsense", "utf-7", "idna"])
def test_a_charset_of_the_request_is_not_believed(server: Any, charset: str) -> None:
    time.sleep(0.1)
    headers = {"Content-Type": f"application/json; charset={charset}"}
    assert server.request("/eadnet/preview", b'{"frames": 0}', headers)[0] == 400


@pytest.mark.parametrize(
    "path",
    [
        "/eadnet/preview",
        "/eadnet/expression",
        "/eadnet/track",
        "/eadnet/track_face",
        "/eadnet/faces",
        "/eadnet/samples",
    ],
)
def test_another_origins_page_gets_nowhere(server: Any, path: str) -> None:
    """ComfyUI refuses its origin on the loopback address; elsewhere its browser must ask before it may send JSON."""
    time.sleep(0.1)
    elsewhere = {"Origin": "http://elsewhere.example", "Host": f"127.0.0.1:{server.port}"}
    assert server.request(path, {}, elsewhere)[0] == 403
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        assert server.request(path, b"{}", {"Content-Type": kind})[0] == 415


@pytest.mark.parametrize(
    "path", ["../eadnet/endpoints.json", "..%2Feadnet%2Fendpoints.json", "%2e%2e/eadnet/endpoints.json"]
)
def test_no_route_of_comfyui_reads_or_writes_the_endpoints(server: Any, path: str) -> None:
    """A user of ComfyUI's has a folder beside it, and none of that name can be made."""
    file = server.base / "user" / "eadnet" / "endpoints.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text('{"own": {"url": "http://127.0.0.1:9", "key": "sk-secret"}}')
    try:
        for headers in ({}, {"comfy-user": "eadnet"}, {"comfy-user": "../eadnet"}):
            status, answer = server.request(f"/userdata/{path}", headers=headers)
            assert status >= 400 and b"secret" not in json.dumps(answer, default=str).encode()
            assert server.request(f"/userdata/{path}?overwrite=true", b"{}", headers)[0] >= 400
        assert "sk-secret" in file.read_text()
    finally:
        file.unlink()
        file.parent.rmdir()
