"""What the emotion bank lends to whom, as a picture, and in which order blends are seen.

    python bench/emotion_bank.py [--output docs/images/emotion_bank.png]

Nothing is rendered and no espeak-ng is needed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from eadnet_core.evaluation.blends import corpus_order, lent, made_order
from eadnet_core.evaluation.heldout import draw_cases
from eadnet_core.evaluation.shipped import SEED, read_shipped
from eadnet_core.families.family import with_model_defaults
from eadnet_core.families.load import load_model
from eadnet_core.families.mini import MiniModel
from eadnet_core.metrics.plot import INK, SOFT_INK, Page
from eadnet_core.request import GenerateOptions
from eadnet_core.taxonomy import EMOTIONS
from eadnet_core.weights.experts import load_reference_reader

CELL, LEFT, TOP = 74, 116, 92
PALE, FULL = np.array((247, 249, 252)), np.array((20, 92, 158))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("docs/images/emotion_bank.png"))
    args = parser.parse_args()
    bank, model = load_reference_reader().bank, load_model("mini", "cpu")
    assert isinstance(model, MiniModel)
    shares = lent(bank)
    draw(shares).save(args.output)
    print_borrowed(shares)
    (clip, *_), *_ = read_shipped(draw_cases(4, SEED), 128)
    options = with_model_defaults(model, GenerateOptions())
    print_order("faces of the corpus", corpus_order(bank))
    print_order("faces that the mini makes", made_order(model, bank, clip.truth.reference, options))


def print_borrowed(shares: np.ndarray) -> None:
    print("| shown | its own entries | borrows most from |\n|---|---|---|")
    for row, emotion in enumerate(EMOTIONS):
        others = [i for i in np.argsort(-shares[row]) if i != row][:2]
        lenders = ", ".join(f"{EMOTIONS[i]} {shares[row, i]:.3f}" for i in others)
        print(f"| {emotion} | {shares[row, row]:.2f} | {lenders} |")


def print_order(what: str, ranks: dict[str, float]) -> None:
    values = np.array(list(ranks.values()))
    worst = min(ranks, key=ranks.__getitem__)
    print(f"{what}: Spearman mean {values.mean():.3f}, least {values.min():.3f} ({worst}), {len(values)} pairs")


def draw(shares: np.ndarray) -> object:
    """A matrix: rows the emotion that is shown, columns the entries that lend."""
    n = len(EMOTIONS)
    page = Page(LEFT + n * CELL + 24, TOP + n * CELL + 24)
    page.text(LEFT + n * CELL / 2, 22, "whose entries of the bank lend to faint faces, per cent", 15, INK, "mm")
    page.text(16, TOP - 22, "shown", 15, INK, "lm")
    for i, name in enumerate(EMOTIONS):
        page.text(LEFT + (i + 0.5) * CELL, TOP - 16, name, 13, SOFT_INK, "mm")
        page.text(LEFT - 10, TOP + (i + 0.5) * CELL, name, 13, SOFT_INK, "rm")
    for row in range(n):
        for column in range(n):
            share = shares[row, column]
            x, y = LEFT + column * CELL, TOP + row * CELL
            color = tuple(int(v) for v in PALE + (FULL - PALE) * share**0.5)
            page.polygon([(x, y), (x + CELL - 2, y), (x + CELL - 2, y + CELL - 2), (x, y + CELL - 2)], color)
            ink = (255, 255, 255) if share > 0.3 else INK
            page.text(x + CELL / 2, y + CELL / 2, f"{100 * share:.1f}" if share >= 0.0005 else "0", 14, ink, "mm")
    return page.finish()


if __name__ == "__main__":
    main()
