"""Pieces of work in several processes: in order, few in hand, and what fails is not lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from eadnet_core.corpus.pool import ordered
from eadnet_core.errors import BadInput


@pytest.mark.parametrize("n_workers", [1, 2])
def test_results_are_in_order_few_are_in_hand_and_a_failure_is_raised(n_workers: int) -> None:
    taken = []

    def items() -> Iterator[str]:
        for number in range(12):
            taken.append(number)
            yield "x" if number == 9 else str(number)

    results = ordered(int, items(), n_workers, in_hand=2)
    for number in range(9):
        assert next(results) == number
        assert len(taken) <= number + 2 * n_workers
    with pytest.raises(ValueError, match="invalid literal"):
        next(results)


def test_no_processes_are_refused() -> None:
    with pytest.raises(BadInput, match="workers is 0; give 1 or more"):
        next(ordered(int, ["1"], 0))
