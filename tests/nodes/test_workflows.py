"""The shipped workflows as files: what the page needs to open them, and nothing that nobody has."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))
BLUEPRINTS = sorted((ROOT / "subgraphs").glob("*.json"))
GRAPHS = WORKFLOWS + BLUEPRINTS
NODES = json.loads((Path(__file__).parent / "schema.json").read_text(encoding="utf-8"))
PAGE = (ROOT / "docs" / "workflows.md").read_text(encoding="utf-8")
FIXED = ("first_run", "emotional_talking_head")
"""Names that guides point at; those of the others begin with their step."""
LINK = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COMFY_DYNAMICCOMBO_V3"}
FROM_NODES_ALONE = {("EADNet_EmotionTrack", "transcript")}
"""Texts that no widget holds: another node gives them."""
CORE_NODES = {
    "CreateVideo",
    "GetVideoComponents",
    "ImageScale",
    "ImageStitch",
    "LoadAudio",
    "LoadImage",
    "LoadVideo",
    "MarkdownNote",
    "PreviewImage",
    "SaveVideo",
    "TrimAudioDuration",
}
"""Nodes of ComfyUI 0.8.0 itself: nothing else may be needed."""


SOURCES = {
    "IMAGE": ("LoadImage", ["eadnet_portrait.png", "image"]),
    "AUDIO": ("LoadAudio", ["eadnet_speech.wav", None, None]),
    "VIDEO": ("LoadVideo", ["eadnet_clip.mp4", "image"]),
}
"""What is wired to the sockets of a blueprint here."""


SAMPLES = {f"eadnet_{path.name}" for path in (ROOT / "eadnet_core" / "assets" / "sample").iterdir()}


def load(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def load_graph(path: Path) -> dict[str, Any]:
    """A workflow; or the inside of a blueprint as one, with a loader at each socket and Save Video at its video."""
    workflow = load(path)
    return wired(workflow["definitions"]["subgraphs"][0]) if path in BLUEPRINTS else workflow


def wired(inside: dict[str, Any]) -> dict[str, Any]:
    nodes = {node["id"]: node for node in inside["nodes"]}
    links = []
    for number, port in enumerate(inside["inputs"]):
        if port["type"] in SOURCES:
            kind, values = SOURCES[port["type"]]
            outputs = [{"name": kind, "type": port["type"], "links": port["linkIds"]}]
            nodes[-100 - number] = {"type": kind, "inputs": [], "outputs": outputs, "widgets_values": values}
    save = {"type": "SaveVideo", "outputs": [], "widgets_values": ["eadnet", "auto", "auto"]}
    nodes[-20] = save | {"inputs": [{"name": "video", "type": "VIDEO", "link": None}]}
    for link in inside["links"]:
        number, source, slot, target, port, kind = (link[key] for key in LINK)
        if source == -10 and kind in SOURCES:
            source, slot = -100 - slot, 0
        if source == -10:  # a widget of the blueprint's node
            nodes[target]["inputs"][port]["link"] = None
        elif target == -20 and kind != "VIDEO":
            nodes[source]["outputs"][slot]["links"].remove(number)
        else:
            nodes[target]["inputs"][port]["link"] = number
            links.append([number, source, slot, target, port, kind])
    return {"nodes": [{**node, "id": number} for number, node in nodes.items()], "links": links}


def test_the_page_explains_each_in_the_order_of_learning() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert sorted(listed) == [path.stem for path in WORKFLOWS]
    assert tuple(listed[:2]) == FIXED
    assert [name[:8] for name in listed[2:]] == [f"step_{number:02}_" for number in range(3, len(listed) + 1)]


def test_no_second_folder_hides_them() -> None:
    other = {"example_workflows", "example", "examples", "workflow"}
    assert not [name for name in other if (ROOT / name).exists()]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_it_has_a_picture_beside_it(path: Path) -> None:
    with Image.open(path.with_suffix(".jpg")) as picture:
        assert picture.size == (512, 512)
    assert 10_000 < path.with_suffix(".jpg").stat().st_size <= 40_000


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_it_is_in_the_pages_format(path: Path) -> None:
    workflow = load(path)
    assert workflow["version"] == 0.4
    assert {"last_node_id", "last_link_id", "groups", "config", "extra", "links"} <= set(workflow)
    ids = [node["id"] for node in workflow["nodes"]]
    assert len(set(ids)) == len(ids) and workflow["last_node_id"] == max(ids)
    for node in workflow["nodes"]:
        assert {"type", "pos", "size", "flags", "order", "mode", "inputs", "outputs", "properties"} <= set(node)
        assert node["mode"] == 0


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_its_nodes_exist_and_have_all_their_widgets(path: Path) -> None:
    """One missing value would shift all that follow it."""
    for node in load_graph(path)["nodes"]:
        if node["type"] not in NODES:
            assert node["type"] in CORE_NODES
            continue
        described = NODES[node["type"]]
        kinds = {name: kind for name, kind, *_ in described["inputs"]}
        assert [port["name"] for port in node["inputs"]] == list(kinds)
        held = [name for name, kind in kinds.items() if kind in WIDGETS]
        widgets = [name for name in held if (node["type"], name) not in FROM_NODES_ALONE]
        assert len(node["widgets_values"]) == len(widgets) + ("seed" in widgets)
        assert [port["type"] for port in node["outputs"]] == [kind for _, kind in described["outputs"]]


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_its_links_fit_both_ends(path: Path) -> None:
    workflow = load_graph(path)
    nodes = {node["id"]: node for node in workflow["nodes"]}
    for number, source, slot, target, port, kind in workflow["links"]:
        assert number in nodes[source]["outputs"][slot]["links"]
        assert nodes[target]["inputs"][port]["link"] == number
        assert nodes[source]["outputs"][slot]["type"] == kind
        assert kind in nodes[target]["inputs"][port]["type"].split(",")
    linked = {link[0] for link in workflow["links"]}
    held = {port["link"] for node in workflow["nodes"] for port in node["inputs"] if port.get("link") is not None}
    assert held == linked


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_it_explains_itself_and_asks_only_for_the_samples(path: Path) -> None:
    nodes = load(path)["nodes"]
    assert any(node["type"] == "MarkdownNote" and len(node["widgets_values"][0]) > 80 for node in nodes)
    files = {node["widgets_values"][0] for node in nodes if node["type"].startswith("Load")}
    assert files <= SAMPLES
    models = {node["widgets_values"][0] for node in nodes if node["type"] == "EADNet_Loader"}
    assert models <= {"mini"}


def test_the_page_knows_every_sample() -> None:
    named = re.search(r"SAMPLES = \[(.*)\]", (ROOT / "web" / "js" / "samples.js").read_text("utf8"))
    assert named
    assert set(json.loads(f"[{named[1]}]")) == SAMPLES


PANELS = {("EADNet_EmotionTrack", "emotion_track"), ("EADNet_ExpressionEditor", "expression")}
"""Widgets that the page's code adds to a node."""
SHOWING = {"SaveVideo", "PreviewImage"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_its_form_names_widgets_and_a_result(path: Path) -> None:
    """App mode leaves out what it does not find, and says nothing."""
    workflow = load(path)
    nodes = {node["id"]: node for node in workflow["nodes"]}
    assert workflow["extra"]["linearMode"] is False, "it opens as a graph"
    form = workflow["extra"]["linearData"]
    for number, name in form["inputs"]:
        ports = {port["name"]: port["link"] for port in nodes[number]["inputs"] if "widget" in port}
        assert (nodes[number]["type"], name) in PANELS or ports[name] is None
    shown = [nodes[number]["type"] for number in form["outputs"]]
    assert shown and set(shown) <= SHOWING
    assert shown[0] == "SaveVideo" or not any(node["type"] == "SaveVideo" for node in nodes.values())


@pytest.mark.parametrize("path", BLUEPRINTS, ids=lambda path: path.stem)
def test_a_blueprint_is_one_node_that_says_what_it_is_for(path: Path) -> None:
    blueprint = load(path)
    (node,) = blueprint["nodes"]
    (inside,) = blueprint["definitions"]["subgraphs"]
    assert node["type"] == inside["id"]
    assert node["title"] == inside["name"] == path.stem
    for side in ("inputs", "outputs"):
        assert [(p["name"], p["type"]) for p in node[side]] == [(p["name"], p["type"]) for p in inside[side]]
    assert blueprint["extra"]["BlueprintDescription"] == inside["description"]
    assert "talking head" in blueprint["extra"]["BlueprintSearchAliases"]


def test_the_page_of_workflows_names_every_blueprint() -> None:
    assert sorted(re.findall(r"^\| \*(.+?)\* \|", PAGE, re.MULTILINE)) == [path.stem for path in BLUEPRINTS]


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_comfyui_accepts_it(host: Any, as_prompt: Any, path: Path) -> None:
    """As the page would send it, with the samples in place."""

    def describe(kind: str) -> dict[str, Any]:
        node = host.nodes.NODE_CLASS_MAPPINGS[kind]
        if hasattr(node, "GET_NODE_INFO_V1"):
            return node.GET_NODE_INFO_V1()
        inputs = node.INPUT_TYPES()
        return {"input": inputs, "input_order": {group: list(ports) for group, ports in inputs.items()}}

    prompt = as_prompt(load_graph(path), describe)
    host.module("nodes.sample_files").copy_for_prompt({"prompt": prompt})
    valid, error, outputs, by_node = host.validate(prompt)
    assert valid and outputs and not by_node, (error, by_node)
