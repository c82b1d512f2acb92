"""Runs the examples in the docstrings of eadnet_core.

Not pytest's own doctest collection: that would import each file by its path, as a second copy of the package.
"""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import eadnet_core

MODULES = sorted(
    m.name
    for m in pkgutil.walk_packages(eadnet_core.__path__, "eadnet_core.")
    if not m.ispkg and not m.name.endswith(".__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_hold(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder()
    n_examples = sum(len(t.examples) for name in MODULES for t in finder.find(importlib.import_module(name)))
    assert n_examples >= 10
