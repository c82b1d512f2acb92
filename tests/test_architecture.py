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

ALLOWED: dict[str, set[str]] = {
    "assets": set(),
    "errors": set(),
    "machine": set(),
    "files": {"errors"},
    "emotion.taxonomy": set(),
    "config": {"errors", "emotion.taxonomy"},
    "request": {"errors", "emotion.taxonomy", "config"},
    "performance": set(),
    "emotion": {"errors", "emotion.taxonomy", "config"},
    "nets": {"errors", "emotion.taxonomy", "config", "emotion"},
    "sampling": {"errors", "emotion.taxonomy", "config", "emotion"},
    "media": {"errors", "files", "emotion.taxonomy", "config", "emotion"},
    "downloads": {"errors"},
    "parts": {"errors", "emotion.taxonomy", "config", "emotion", "nets"},
    "weight_files": {"errors", "emotion.taxonomy", "config", "emotion", "nets", "parts"},
    "public_weights": {"errors", "emotion.taxonomy", "config", "emotion", "nets", "parts", "weight_files"},
    "checkpoints": {"errors", "emotion.taxonomy", "config", "emotion", "nets", "machine", "parts", "weight_files"},
    "metrics": {
        "errors",
        "files",
        "emotion.taxonomy",
        "config",
        "request",
        "emotion",
        "nets",
        "media",
        "checkpoints",
        "machine",
    },
}
ALLOWED["head"] = {*ALLOWED["metrics"], "sampling", "performance"}
ALLOWED["inpaint"] = {*ALLOWED["head"], "head"}
ALLOWED["animate"] = {*ALLOWED["inpaint"], "inpaint"}
ALLOWED["forecast"] = {*ALLOWED["animate"], "animate"}
ALLOWED["reference"] = {*ALLOWED["metrics"], "metrics"}
ALLOWED["pipeline"] = {*ALLOWED["forecast"], "forecast", "metrics", "reference"}
ALLOWED["output"] = {*ALLOWED["pipeline"], "pipeline"}
ALLOWED["stages"] = {*ALLOWED["output"], "output"}
ALLOWED["captioning"] = {*ALLOWED["stages"], "stages"}
"""A generated video needs this much and no more: neither `training` nor `corpus` is in it."""
ALLOWED["eadnet_core"] = {*ALLOWED["output"], "output"}
"""The package's own __init__.py: the public names."""
ALLOWED["corpus"] = {"errors", "emotion.taxonomy", "config", "emotion", "media"}
ALLOWED["training"] = {*ALLOWED["animate"], "animate", "metrics", "corpus", "weight_files"}
ALLOWED["heldout"] = {*ALLOWED["corpus"], "corpus", "metrics"}
ALLOWED["evaluate"] = {*ALLOWED["output"], "output", "heldout", "corpus"}
ALLOWED["evaluate_emotion"] = {*ALLOWED["evaluate"], "evaluate"}
ALLOWED["demo"] = {*ALLOWED["output"], "output", "assets"}
ALLOWED["cli"] = set(ALLOWED) - {"eadnet_core"}
ALLOWED["__main__"] = {"cli"}
"""Which part of eadnet_core may import which; a part is a file or a folder, the longest name that fits a module."""

DISTRIBUTIONS = {"PIL": "pillow", "skimage": "scikit-image"}
"""Import names that are not their package's name with _ for -."""
SPEAKING = {"cli", "demo.py"}
"""Folders and files that are programs: they print and set up logging."""
MAX_LINES = {"nets": 500, "wording.py": 500}
"""Lines of a file, by folder or by name; 400 elsewhere. Word lists are long without being hard to read."""


def module_of(path: Path) -> str:
    """'nets.stda' of eadnet_core/nets/stda.py; '' of eadnet_core/__init__.py."""
    parts = path.relative_to(CORE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(module: str) -> str:
    """The part that a module belongs to; '' for one that ALLOWED does not know."""
    if not module:
        return "eadnet_core"
    return max((p for p in ALLOWED if module == p or module.startswith(p + ".")), key=len, default="")


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


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_imports_point_downwards(path: Path) -> None:
    here = part_of(module_of(path))
    assert here, f"{relative(path)} has no place in ALLOWED: say there what it may import"
    for node, module, is_ours in imports(path):
        there = part_of(module)
        assert not is_ours or there == here or there in ALLOWED[here], (
            f"{relative(path)}:{node.lineno}: '{here}' must not import '{module}'; allowed: {sorted(ALLOWED[here])}"
        )


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_own_imports_are_relative(path: Path) -> None:
    banned = {"eadnet_core", "comfy", "comfy_api", "folder_paths", "server", "nodes"}
    found = [module for _, module, is_ours in imports(path) if not is_ours and module.split(".")[0] in banned]
    assert not found, f"{relative(path)} imports {found}: use a relative import, and nothing of the host"


def test_the_parts_have_no_circle() -> None:
    done: list[str] = []
    while len(done) < len(ALLOWED):
        ready = [p for p in ALLOWED if p not in done and ALLOWED[p] - {p} <= set(done)]
        assert ready, f"parts that import one another: {sorted(set(ALLOWED) - set(done))}"
        done += ready


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
    for path in (p for p in CORE.rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc", ".partial")):
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

def watch(event, args):
    if event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        touched.append(str(args[0]))
    elif event in ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "socket.connect", "subprocess.Popen"):
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
