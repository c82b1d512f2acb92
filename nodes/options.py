"""Options as inputs of nodes: range, step, default and tooltip as `eadnet_core.request.OPTIONS` says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from comfy_api.latest import io

from ..eadnet_core.option import Option, shown
from ..eadnet_core.request import OPTIONS


def option_input(name: str, id: str | None = None, **widget: Any) -> io.Input:
    """The input of an option, called `id` where that is not the option's name; `widget` is what the page adds to it."""
    option = OPTIONS[name]
    given = {"id": id or name, "default": widget_default(name), "tooltip": tooltip(name), **widget}
    if option.choices:
        return io.Combo.Input(options=list(option.choices), **given)
    if option.within is None:
        return io.Boolean.Input(**given)
    low, high = option.within
    low = widget_default(name) if option.is_own else low
    if option.is_whole:
        return io.Int.Input(min=low, max=high, **given)
    return io.Float.Input(min=float(low), max=float(high), step=option.step, **given)


def widget_default(name: str) -> Any:
    """What a new widget holds: a widget knows no None, so one below the range is the model's own value."""
    option = OPTIONS[name]
    if option.within is None or not option.is_own:
        return option.default
    low = option.within[0] - 1
    return low if option.is_whole else float(low)


def new_widgets(names: Iterable[str]) -> dict[str, Any]:
    """`widget_default` by name."""
    return {name: widget_default(name) for name in names}


def given_options(widgets: dict[str, Any]) -> dict[str, Any]:
    """Options from widgets of their names: None where a widget says the model's own."""
    return {
        name: None if OPTIONS[name].is_own and value == widget_default(name) else value
        for name, value in widgets.items()
    }


def tooltip(name: str) -> str:
    """What an option does and costs, the models' own values, and the default."""
    option, default = OPTIONS[name], widget_default(name)
    own = f" {shown(default)} takes the model's own: {_own(option)}." if option.is_own else ""
    return f"{option.text}{own} Default: {shown(default)}."


def _own(option: Option) -> str:
    mini, base = option.own["mini"], option.own["base"]
    return f"mini and base {shown(mini)}" if mini == base else f"mini {shown(mini)}, a base {shown(base)}"
