"""What the ComfyUI registry is given: all that the nodes need, no more, and it works with nothing else beside it."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile

from eadnet_core.media.sound.audio import read_audio
from eadnet_core.media.video.files import read_video

ROOT = Path(__file__).parent.parent
SECONDS = 1.0
"""How much of the sample speech is spoken here."""


def load_publisher() -> ModuleType:
    spec = importlib.util.spec_from_file_location("published", ROOT / ".ci" / "published.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published tree, in a folder whose name is no Python name."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout, and what is published is what git tracks")
    folder = tmp_path_factory.mktemp("custom_nodes") / "eadnet-0.1.0"
    load_publisher().publish(folder)
    return folder


def module_of(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def own_imports(module: str, path: Path, modules: set[str]) -> Iterator[str]:
    """The modules of the pack that a file imports, those inside functions included, and the packages around it."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    yield package
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            above = package.split(".")[: len(package.split(".")) - (node.level - 1)]
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{name.name}" if f"{base}.{name.name}" in modules else base for name in node.names)


def test_what_is_published_is_what_the_nodes_reach(tree: Path) -> None:
    files = {module_of(p, ROOT): p for top in ("nodes", "eadnet_core") for p in (ROOT / top).rglob("*.py")}
    reached, todo = set(), [name for name in files if name.split(".")[0] == "nodes"]
    while todo:
        if (name := todo.pop()) in files and name not in reached:
            reached.add(name)
            todo += own_imports(name, files[name], set(files))
    published = {module_of(p, tree) for top in ("nodes", "eadnet_core") for p in (tree / top).rglob("*.py")}
    assert not reached - published, "the nodes import what .comfyignore leaves out"
    assert not published - reached - {"eadnet_core.assets"}, "no node imports these: name them in .comfyignore"


def test_what_the_nodes_show_is_published_and_nothing_of_the_workshop(tree: Path) -> None:
    wanted = ("LICENSE", "NOTICE", "README.md", "pyproject.toml", "requirements.txt", "locales/zh/nodeDefs.json")
    wanted += ("web/js/eadnet.js", "web/docs/EADNet_Speak.md", "workflows/first_run.json", "workflows/first_run.jpg")
    wanted += ("subgraphs/Talking portrait.json",)
    assert not [name for name in wanted if not (tree / name).is_file()]
    tops = {p.name for p in tree.iterdir()} - {name.split("/")[0] for name in wanted}
    assert tops <= {"__init__.py", "CHANGELOG.md", "SECURITY.md", "eadnet_core", "nodes"}


IMPORT = """
import importlib, importlib.util, json, os, sys, threading, time
from pathlib import Path
root = Path(sys.argv[1])
sys.modules["eadnet_core"] = None  # an absolute import, which would find another copy, fails
before, environment, happened = set(sys.modules), dict(os.environ), []
ACTS = ("socket.", "subprocess.", "urllib.", "shutil.", "tempfile.", "ctypes.", "os.fork", "os.exec", "os.posix_spawn")
ACTS += ("os.system", "os.mkdir", "os.remove", "os.rename", "os.putenv")

def watch(event, args):
    writes = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if writes or event.startswith(ACTS):
        happened.append(f"{event} {args!r:.200}")

sys.addaudithook(watch)
began = time.perf_counter()
name = str(root).replace(".", "_x_")  # as ComfyUI names it
spec = importlib.util.spec_from_file_location(name, root / "__init__.py", submodule_search_locations=[str(root)])
pack = sys.modules[name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pack)
spent = time.perf_counter() - began
loaded = sorted(set(sys.modules) - before)
"""


def in_tree(tree: Path, folder: Path, code: str) -> str:
    """Run code in a fresh interpreter that has loaded the pack as ComfyUI does; the last line that it printed."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-c", IMPORT + code, str(tree)]
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()[-1]


def test_the_packs_root_is_loaded_in_no_time_and_starts_nothing(tree: Path, tmp_path: Path) -> None:
    code = "\nquiet = threading.active_count() == 1 and dict(os.environ) == environment"
    code += "\nprint(json.dumps([spent, happened, quiet, loaded]))"
    found = [json.loads(in_tree(tree, tmp_path, code)) for _ in range(3)]
    assert min(spent for spent, *_ in found) < 0.1
    _, happened, is_quiet, loaded = found[0]
    assert happened == [], "loading the pack wrote a file, ran a program or opened a socket"
    assert is_quiet, "loading the pack started a thread or changed the environment"
    assert len(loaded) == 1, "loading the pack imports nothing: ComfyUI's start pays for it"


def test_every_published_module_can_be_imported_under_that_name(tree: Path, tmp_path: Path) -> None:
    code = "\nfor path in sorted((root / 'eadnet_core').rglob('*.py')):"
    code += "\n    inner = '.'.join(path.relative_to(root).with_suffix('').parts).removesuffix('.__init__')"
    code += "\n    importlib.import_module(f'{name}.{inner}')"
    code += "\nprint(sum(key.startswith(name + '.eadnet_core') for key in sys.modules))"
    n_files = len(list((tree / "eadnet_core").rglob("*.py")))
    assert int(in_tree(tree, tmp_path, code)) == n_files


GENERATE = """
core = importlib.import_module(f"{name}.eadnet_core")
sample = root / "eadnet_core" / "assets" / "sample"
made = core.prepare(sample / "portrait.png", "speech.wav", "delighted, cannot stop smiling", output="said.mp4")
core.write_video(made, "said.mp4")
asked = ("socket.connect", "socket.getaddrinfo", "socket.gethostby", "socket.send", "urllib.")
print(json.dumps([event for event in happened if event.startswith(asked)]))  # urllib3 binds one to see if there is IPv6
"""


def test_it_makes_the_first_video_where_nothing_else_lies_beside_it(tree: Path, tmp_path: Path) -> None:
    samples, rate = soundfile.read(tree / "eadnet_core" / "assets" / "sample" / "speech.wav")
    soundfile.write(tmp_path / "speech.wav", samples[: round(SECONDS * rate)], rate)
    assert json.loads(in_tree(tree, tmp_path, GENERATE)) == [], "a generation reached for the network"
    video = read_video(tmp_path / "said.mp4")
    assert video.n_frames == round(25 * SECONDS)
    first, *_, last = video.frames()
    assert np.abs(first.astype(int) - last).max() > 30, "the portrait does not move"
    assert read_audio(tmp_path / "said.mp4").duration_s == pytest.approx(SECONDS, abs=0.06)
