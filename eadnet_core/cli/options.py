"""The table of every option in docs/options.md: `python -m eadnet_core.cli.options > docs/options.md`."""

from __future__ import annotations

import sys

from ..option import Option, shown
from ..request import OPTIONS
from .arguments import flag_of
from .generate import DUB, GENERATE

INTRODUCTION = """# The options

Every setting of a generation, as `eadnet_core/request.py` declares it. Written by
`python -m eadnet_core.cli.options > docs/options.md`.

`GenerateOptions` and the nodes call an option by its name. Where the default is the model's own, the widget of a node
holds one below the range. Flags are those of `eadnet generate` and `eadnet dub`. An option without one is for nodes and
library.
"""


def options_page() -> str:
    """The text of docs/options.md: each option with its flag, commands, values, default and what it does."""
    lines = ["| option | flag | of | values | default | what it does |", "|---|---|---|---|---|---|"]
    for name, option in OPTIONS.items():
        of = [command for command, names in {"generate": GENERATE, "dub": DUB}.items() if name in names]
        flag = f"`{flag_of(option)}`" if of else ""
        cells = [f"`{name}`", flag, ", ".join(of), _values(option), _default(option), option.text]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([INTRODUCTION, *lines, ""])


def _values(option: Option) -> str:
    if option.choices:
        return ", ".join(f"`{choice}`" for choice in option.choices)
    if isinstance(option.default, bool):
        return f"{shown(True)}, {shown(False)}"
    if option.within is None:
        return f"x0, y0, x1, y1 in {option.unit}"
    low, high = option.within
    return f"{low:,} .. {high:,}".replace(",", " ") + (f" {option.unit}" if option.unit else "")


def _default(option: Option) -> str:
    if option.is_own:
        return ", ".join(f"{family} {shown(value)}" for family, value in option.own.items())
    return f"`{option.default}`" if option.choices else shown(option.default).replace("None", "none")


if __name__ == "__main__":
    sys.stdout.write(options_page())
