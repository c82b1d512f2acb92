"""The house rules that a machine can check: who may import whom, what importing costs, what no file may hold."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
CORE = ROOT / "eadnet_core"
FILES = sorted(p for p in CORE.rglob("*.py"))

FLOORS: tuple[tuple[str, ...], ...] = (
    ("__main__",),
    ("cli",),
    ("curation", "evaluation", "training", "live"),
    ("generation", "corpus"),
    ("perception", "heads"),
    ("families", "metrics"),
    ("media",),
    ("weights",),
    ("nets", "motion"),
    ("emotion", "sampling"),
    ("request",),
    ("option",),
    ("config", "paths"),
    ("errors", "taxonomy", "machine", "assets"),
)
"""Rooms of eadnet_core from the top floor down; a room is a file or a folder. A file imports files of its own room and
of floors below, nothing beside and nothing above. So a video needs neither `training` nor `corpus` nor `evaluation`."""
PUBLIC = ("errors", "families", "generation", "request")
"""Rooms that the package's own __init__.py may take its public names from."""

DISTRIBUTIONS = {"PIL": "pillow", "skimage": "scikit-image", "tomllib": "tomli"}
"""Import names that are not their package's name with _ for -."""
SPEAKING = {"cli"}
"""Folders of programs: they print and set up logging."""
MAX_LINES = {"nets": 500, "wording.py": 500}
"""Lines of a file, by folder or by name; 400 elsewhere. Word lists are long without being hard to read."""


def module_of(path: Path) -> str:
    """'nets.stda' of eadnet_core/nets/stda.py; '' of eadnet_core/__init__.py."""
    parts = path.relative_to(CORE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """'nets' of 'nets.stda'; '' of the package itself."""
    return module.split(".")[0]


def floor_of(room: str) -> int:
    """Number of a room's floor, 0 at the top; -1 of a room that FLOORS does not know."""
    return next((number for number, rooms in enumerate(FLOORS) if room in rooms), -1)


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[tuple[ast.stmt, str, bool]]:
    """(statement, absolute module name, is_ours) of every import in a file, those inside functions included."""
    modules = {module_of(p) for p in FILES}
    package = module_of(path) if path.name == "__init__.py" else module_of(path).rpartition(".")[0]
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name, False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node, node.module or "", False
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".") if package else []
            above = parts[: len(parts) - (node.level - 1)]
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{base}.{alias.name}" if base else alias.name
                yield node, inner if inner in modules else base, True


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def may_import(here: str, there: str) -> bool:
    if not here:
        return there in PUBLIC
    return here == there or floor_of(there) > floor_of(here)


def picture(wrong: list[tuple[str, str]]) -> str:
    """The floors, and under each the imports of its files that do not point downwards."""
    lines = []
    for number, rooms in enumerate(FLOORS):
        lines.append(f"floor {len(FLOORS) - number:2}  {'   '.join(rooms)}")
        lines += [f"            {a}  ->  {b}" for a, b in wrong if room_of(a) in rooms]
    return "\n".join(lines)


def test_every_file_stands_on_a_floor() -> None:
    rooms = {room_of(module_of(path)) for path in FILES} - {""}
    assert rooms == {room for floor in FLOORS for room in floor}


def test_imports_point_downwards() -> None:
    wrong = sorted(
        {
            (module_of(path), module)
            for path in FILES
            for _, module, is_ours in imports(path)
            if is_ours and not may_import(room_of(module_of(path)), room_of(module))
        }
    )
    assert not wrong, f"imports that do not point downwards:\n{picture(wrong)}"


@pytest.mark.parametrize("folder", ["eadnet_core", "nodes", "bench"])
def test_no_files_import_each_other_in_a_circle(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    circles = [" -> ".join(circle) for circle in circles_of(arrows(files, ROOT / folder))]
    assert not circles, "files that import one another, imports inside functions included:\n" + "\n".join(circles)


def arrows(files: list[Path], top: Path) -> dict[str, set[str]]:
    """Which files of a folder each file imports, by path without its suffix; relative and absolute imports."""
    names = {path.relative_to(top.parent).with_suffix("").as_posix().removesuffix("/__init__"): path for path in files}
    found: dict[str, set[str]] = {name: set() for name in names}
    for name, path in names.items():
        inside = path.relative_to(top.parent).parent.as_posix().split("/")
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.ImportFrom):
                base = inside[: len(inside) - node.level + 1] if node.level else []
                base += (node.module or "").split(".") if node.module else []
                targets = {"/".join([*base, alias.name]) for alias in node.names} | {"/".join(base)}
            elif isinstance(node, ast.Import):
                targets = {alias.name.replace(".", "/") for alias in node.names}
            else:
                continue
            exact = {target for target in targets if target in names and "/" in target}
            found[name] |= (exact if len(exact) < 2 else exact - {"/".join(base)}) - {name}
    return found


def circles_of(graph: dict[str, set[str]]) -> list[list[str]]:
    """One walk round each circle that is found."""
    done: set[str] = set()
    found: list[list[str]] = []

    def walk(name: str, trail: list[str]) -> None:
        if name in trail:
            found.append([*trail[trail.index(name) :], name])
        elif name not in done:
            for other in sorted(graph[name]):
                walk(other, [*trail, name])
            done.add(name)

    for name in graph:
        walk(name, [])
    return found


def test_a_circle_is_found() -> None:
    assert circles_of({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == [["b", "c", "b"]]
    assert circles_of({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_own_imports_are_relative(path: Path) -> None:
    banned = {"eadnet_core", "comfy", "comfy_api", "folder_paths", "server", "nodes"}
    found = [module for _, module, is_ours in imports(path) if not is_ours and module.split(".")[0] in banned]
    assert not found, f"{relative(path)} imports {found}: use a relative import, and nothing of the host"


def declared() -> tuple[set[str], set[str]]:
    """Distribution names (of the runtime, of the extras) as pyproject.toml and requirements.txt declare them."""
    extras = project()["project"]["optional-dependencies"]
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return set(names(lines)), {name for extra in extras.values() for name in names(extra)}


def names(requirements: list[str]) -> Iterator[str]:
    for line in requirements:
        if match := re.match(r"[A-Za-z0-9._-]+", line):
            yield match[0].lower().replace("_", "-")


@cache
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_third_party_imports_are_declared(path: Path) -> None:
    runtime, extras = declared()
    at_top = {id(node) for node in parse(path).body}
    for node, module, is_ours in imports(path):
        top = module.split(".")[0]
        if is_ours or top in sys.stdlib_module_names:
            continue
        name = DISTRIBUTIONS.get(top, top.replace("_", "-").lower())
        where = f"{relative(path)}:{node.lineno}: {module}"
        assert name in runtime | extras, f"{where} is in neither requirements.txt nor an extra of pyproject.toml"
        if name not in runtime:
            assert id(node) not in at_top, f"{where} belongs to an extra: import it in the function that needs it"


def test_every_constraint_is_exact_and_covers_what_is_declared() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.match(r"[a-z0-9-]+==[0-9][^ ]*( ; .+)?$", pin) for pin in pins)
    runtime, extras = declared()
    assert runtime | extras - {"xformers"} <= set(names(pins))  # xformers is never installed by make
    assert "torch==2.13.0" in pins


def test_requirements_have_lower_bounds_only() -> None:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+>=[0-9.]+", line) for line in wanted)


def test_every_package_and_data_file_is_shipped() -> None:
    tool = project()["tool"]["setuptools"]
    packages = {".".join(p.parent.relative_to(ROOT).parts): p.parent for p in FILES if p.name == "__init__.py"}
    assert sorted(tool["packages"]) == sorted(packages)
    folders = [*packages.values()]
    for path in (
        p
        for p in CORE.rglob("*")
        if p.is_file() and p.suffix not in (".py", ".partial") and p.parent.name != "__pycache__"
    ):
        home = next(p for p in path.parents if p in folders)
        patterns = tool["package-data"].get(".".join(home.relative_to(ROOT).parts), [])
        inside = path.relative_to(home).as_posix()
        assert any(fnmatch(inside, pattern) for pattern in patterns), f"{relative(path)} is in no package-data"


def test_every_folder_with_code_is_a_package() -> None:
    assert not [relative(p) for p in FILES if not (p.parent / "__init__.py").is_file()]


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_files_are_named_for_a_subject_and_stay_short(path: Path) -> None:
    assert path.stem not in {"utils", "util", "helpers", "helper", "common", "misc"}
    n_lines = len(path.read_text(encoding="utf-8").splitlines())
    limit = MAX_LINES.get(path.name, MAX_LINES.get(path.parent.name, 400))
    assert n_lines <= limit, f"{relative(path)} has {n_lines} lines: split it by subject"


def functions(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """(qualified name, node) of every function and method; functions inside functions are their owner's business."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from functions(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, (ast.If, ast.Try)):
            yield from functions(node.body, prefix)


def is_public(name: str) -> bool:
    return not any(part.startswith("_") for part in name.split("."))


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_public_functions_and_classes_are_documented(path: Path) -> None:
    if path.name != "__init__.py":
        assert ast.get_docstring(parse(path)), f"{relative(path)} does not say why it exists"
    missing = [
        name
        for name, node in functions(parse(path).body)
        if is_public(name) and not is_property(node) and not ast.get_docstring(node)
    ]
    missing += [
        node.name
        for node in parse(path).body
        if isinstance(node, ast.ClassDef) and is_public(node.name) and not ast.get_docstring(node)
    ]
    assert not missing, f"{relative(path)}: no docstring on {', '.join(missing)}"


def is_property(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """A property may speak by its name, as a field does."""
    return any(getattr(d, "id", getattr(d, "attr", "")).endswith("property") for d in node.decorator_list)


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_functions_stay_short(path: Path) -> None:
    lengths = {name: n_code_lines(node) for name, node in functions(parse(path).body)}
    too_long = {name: n for name, n in lengths.items() if n > 50}
    assert not too_long, f"{relative(path)}: longer than 50 lines: {too_long}"


def n_code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring, which may be as long as its shapes need."""
    end = node.end_lineno or node.lineno
    first = node.body[0]
    has_docstring = ast.get_docstring(node, clean=False) is not None
    return end - node.lineno + 1 - ((first.end_lineno or 0) - first.lineno + 1 if has_docstring else 0)


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_nothing_forbidden_is_called(path: Path) -> None:
    found = []
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Global):
            found.append(f"{node.lineno}: global")
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        if name in ("print", "logging.basicConfig") and not {path.name, path.parent.name} & SPEAKING:
            found.append(f"{node.lineno}: {name} (the program speaks; the library logs, or returns the value)")
        if name in ("exec", "eval") or name.startswith(("pickle.", "dill.", "joblib.", "os.system")):
            found.append(f"{node.lineno}: {name}")
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if name == "torch.load" and given.get("weights_only") != "True":
            found.append(f"{node.lineno}: torch.load without weights_only=True")
        if given.get("shell") == "True":
            found.append(f"{node.lineno}: shell=True")
    assert not found, f"{relative(path)}: {found}"


PROBE = """
import json, logging, os, sys, time
import torch
environment, before = dict(os.environ), set(sys.modules)
touched = []
ACTS = ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.exec", "os.fork", "os.posix_spawn", "os.system")
ACTS += ("subprocess.", "urllib.", "socket.connect", "socket.getaddrinfo", "socket.gethostby", "socket.send")
# Not socket.bind: urllib3 tries one to see whether there is IPv6.

def watch(event, args):
    if event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        touched.append(str(args[0]))
    elif event.startswith(ACTS):
        touched.append(f"{event} {args[0]}")

sys.addaudithook(watch)
began = time.process_time()
import eadnet_core
spent = time.process_time() - began
is_quiet = not logging.getLogger().handlers and dict(os.environ) == environment
public = getattr(eadnet_core, "__all__", [])
for name in public:
    getattr(eadnet_core, name)
"""
TORCH_CACHE = "made_by_torch"
"""A folder that torch makes by itself when more of it is imported."""
REPORT = """
loaded = sorted(set(sys.modules) - before)
print(json.dumps({"spent": spent, "touched": touched, "is_quiet": is_quiet, "loaded": loaded}))
"""


def probe(tmp_path: Path, more: str = "") -> dict:
    """What a fresh interpreter tells about importing the package, then running `more`."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE + more + REPORT],
        cwd=tmp_path,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / TORCH_CACHE)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_import_is_quick_and_leaves_no_trace(tmp_path: Path) -> None:
    found = [probe(tmp_path) for _ in range(3)]
    assert min(f["spent"] for f in found) < 0.1, "importing eadnet_core may take 0.1 s beyond torch"
    touched = [event for event in found[0]["touched"] if not event.endswith(TORCH_CACHE)]
    assert touched == [], "importing eadnet_core wrote a file, ran a program or reached for the network"
    assert found[0]["is_quiet"], "importing eadnet_core set up logging or changed the environment"


def test_generating_loads_neither_training_nor_corpus(tmp_path: Path) -> None:
    loaded = probe(tmp_path, "\nimport eadnet_core.generation.pipeline\n")["loaded"]
    extras = {name.replace("-", "_") for name in declared()[1]} - {"accelerate"}  # diffusers may look for accelerate
    wrong = [m for m in loaded if m.startswith(("eadnet_core.training", "eadnet_core.corpus")) or m in extras]
    assert not wrong


def test_only_the_library_is_importable(tmp_path: Path) -> None:
    """An editable install must not put the repository root on sys.path: `nodes` would shadow the host's module."""
    code = (
        "import sys, importlib.util as u, eadnet_core\n"
        "print(u.find_spec('tests'), u.find_spec('bench'), *sys.path, sep='\\n')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    tests, bench, *path = done.stdout.splitlines()
    assert (tests, bench) == ("None", "None")
    assert str(ROOT) not in path


def test_one_version() -> None:
    init = parse(CORE / "__init__.py").body
    version = next(
        ast.literal_eval(n.value) for n in init if isinstance(n, ast.Assign) and "__version__" in ast.unparse(n)
    )
    assert version == project()["project"]["version"]
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
