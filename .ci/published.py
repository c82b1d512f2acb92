"""`python .ci/published.py FOLDER`: what the ComfyUI registry would be given, in a new folder.

As `comfy node pack` does it: the files that git tracks, without those that .comfyignore names.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def published_files(root: Path = ROOT) -> list[str]:
    """Paths inside the repository, with /, sorted. Raises CalledProcessError where `root` is no git checkout."""
    tracked, left_out = _listed(root), _listed(root, "--ignored", "--exclude-from=.comfyignore")
    return sorted(name for name in tracked - left_out if (root / name).is_file())


def _listed(root: Path, *more: str) -> set[str]:
    command = ["git", "-C", str(root), "ls-files", "--cached", "-z", *more]
    found = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=True).stdout
    return set(filter(None, found.split("\0")))


def publish(folder: Path) -> None:
    """Copy them into `folder`, which is made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in published_files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    publish(Path(sys.argv[1]))
