"""What people read first: the README is short, sentences are short, and links lead to files that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README_LINES = 120
SENTENCE_WORDS = 30
NOT_OURS = {"build", "dist", "node_modules", "runs"}
PAGES = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(part.startswith(".") or part in NOT_OURS for part in path.relative_to(ROOT).parts)
)
SHORT = [
    ROOT / "README.md",
    *(ROOT / "docs" / f"{name}.md" for name in ("base", "commands", "parity", "speed")),
    *sorted((ROOT / "docs" / "adr").glob("*.md")),
    *sorted((ROOT / "web" / "docs").glob("*.md")),
    ROOT / "eadnet_core" / "assets" / "mini" / "MODEL_CARD.md",
]
LINK = re.compile(r"!?\[([^\]]*)\]\(([^)\s]+)[^)]*\)")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def sentences(text: str) -> list[str]:
    """The sentences of a page without its code blocks, tables, headings and comments."""
    text = re.sub(r"```.*?```|<!--.*?-->", "\n\n", text, flags=re.DOTALL)
    text = re.sub(r"^\s*(\||#).*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"^\s*([-*]|\d+\.)\s+", "\n\n", text, flags=re.MULTILINE)
    text = re.sub(r"`[^`]*`", "code", LINK.sub(r"\1", text)).replace("*", "")
    found = []
    for paragraph in re.split(r"\n\s*\n", text):
        found += re.split(r"(?<=[.!?])[\"”)]?\s+", " ".join(paragraph.split()))
    return [sentence for sentence in found if sentence]


def test_only_sentences_are_counted() -> None:
    page = "# Title\n\nOne *short*\nsentence. A [link](x.md)!\n\n- An item: `a b`\n\n| a | table |\n\n```\ncode\n```\n"
    assert sentences(page) == ["One short sentence.", "A link!", "An item: code"]


def test_the_readme_is_one_screen() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= README_LINES


@pytest.mark.parametrize("page", SHORT, ids=named)
def test_sentences_are_short(page: Path) -> None:
    long = [s for s in sentences(page.read_text("utf-8")) if len(s.split()) > SENTENCE_WORDS]
    assert not long, f"sentences of over {SENTENCE_WORDS} words"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_to_files(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    targets = [target.partition("#")[0] for _, target in LINK.findall(text) if "://" not in target]
    dead = [target for target in targets if target and not (page.parent / target).exists()]
    assert not dead, "links to files that do not exist"
