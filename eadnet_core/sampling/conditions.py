"""What frames are generated from, as one value that is cut, joined, held and stacked field by field.

Every field says where its frames lie, and every operation goes through all fields: a condition that is added cannot be
forgotten in one of them. The same class holds the conditions of a clip and, stacked, those of a batch of windows: axes
are counted from the end, where a batch makes no difference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

Given = TypeVar("Given", bound="FrameConditions")


def per_frame(axis: int, *, for_net: bool = True) -> dict[str, Any]:
    """Metadata of a field of conditions.

    axis     of its frames, counted from the end
    for_net  whether the net is given it; what it is not given needs a default and is left out of batches
    """
    return {"axis": axis, "for_net": for_net}


PER_CLIP = {"axis": None, "for_net": True}
"""Metadata of a field that is the same for all frames of a clip."""


@dataclass(frozen=True)
class FrameConditions:
    """Everything that T frames of a clip are generated from; in a batch, everything with B in front.

    context       [2C + 1, T, h, w]  mask | masked picture | reference of each frame, ready for the net
    audio         [T, S, D_a]        all zeros where unconditioned
    emotion       [T, E, D_e]        the tokens of `null_emotion` where unconditioned; None: the net does without
    motion        [T, 8]             taxonomy.MOTION; None where emotion is
    motion_known  [T]                1 where the motion is given, 0 where it is free; None where emotion is
    null_emotion  [E, D_e]           the learned tokens of "no emotion given"
    guidance      [2] or None        weights of sound and emotion, less 1, that the net applies by itself; see `Branch`
    style         [8] or None        taxonomy.TRAITS of who speaks; None: nobody in particular
    sync_audio    [T, D] or None     SyncNet embedding of the sound that belongs to the frames from t on
    voice         [T] or None        speech gate, 0 silence .. 1 speech
    view          each [T, ...]      what the frames are decoded with, by name; see families.performance.View
    """

    context: Tensor = field(metadata=per_frame(-3))
    audio: Tensor = field(metadata=per_frame(-3))
    emotion: Tensor | None = field(default=None, metadata=per_frame(-3))
    motion: Tensor | None = field(default=None, metadata=per_frame(-2))
    motion_known: Tensor | None = field(default=None, metadata=per_frame(-1))
    null_emotion: Tensor | None = field(default=None, metadata=PER_CLIP)
    guidance: Tensor | None = field(default=None, metadata=PER_CLIP)
    style: Tensor | None = field(default=None, metadata=PER_CLIP)
    sync_audio: Tensor | None = field(default=None, metadata=per_frame(-2, for_net=False))
    voice: Tensor | None = field(default=None, metadata=per_frame(-1, for_net=False))
    view: dict[str, Tensor] = field(default_factory=dict, metadata=per_frame(0, for_net=False))

    @property
    def n_frames(self) -> int:
        return self.audio.shape[-3]

    def frames(self: Given, start: int, stop: int) -> Given:
        """The conditions of frames start .. stop - 1."""
        return self._each(lambda x, axis: x.narrow(axis, start, stop - start))

    def after(self: Given, other: Given | None) -> Given:
        """`other` followed by self. Raises ValueError where one of them lacks what the other has."""
        if other is None:
            return self
        joined = {}
        for f in fields(self):
            axis, values = _axis(f), [getattr(other, f.name), getattr(self, f.name)]
            if axis is not None:
                joined[f.name] = _combined(f.name, values, partial(torch.cat, dim=axis))
        return replace(self, **joined)

    def held(self: Given, before: int, after: int) -> Given:
        """The same with its first frame repeated `before` times in front of it, and its last one behind."""
        return self._each(lambda x, axis: hold_ends(x, before, after, axis))

    def cloned(self: Given) -> Given:
        """The same in memory of its own, so that what it was cut from can be let go of."""
        return self._each(lambda x, _: x.clone())

    def to(self: Given, dtype: torch.dtype) -> Given:
        """The same in another precision, but for what the net is not given."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if _is_for_net(f)}
        return replace(self, **{name: value.to(dtype) for name, value in values.items() if value is not None})

    @staticmethod
    def stack(clips: Sequence[Given]) -> Given:
        """One batch of clips of equal length, without what the net is not given. Raises ValueError as `after`."""
        return _batch(clips, torch.stack)

    @staticmethod
    def concatenate(batches: Sequence[Given]) -> Given:
        """One batch of several, the first one's clips first. Raises ValueError as `after`."""
        return _batch(batches, torch.cat)

    def _each(self: Given, change: Callable[[Tensor, int], Tensor]) -> Given:
        """Every field that has frames, changed by a function of its value and the axis of its frames."""
        changed: dict[str, Any] = {}
        for f in fields(self):
            axis, value = _axis(f), getattr(self, f.name)
            if axis is None or value is None:
                continue
            if isinstance(value, Mapping):
                changed[f.name] = {name: change(each, axis) for name, each in value.items()}
            else:
                changed[f.name] = change(value, axis)
        return replace(self, **changed)


def hold_ends(x: Tensor, before: int, after: int, dim: int) -> Tensor:
    """The first slice along `dim` repeated in front of x, and the last one behind it.

    >>> hold_ends(torch.tensor([1, 2, 3]), 2, 1, 0).tolist()
    [1, 1, 1, 2, 3, 3]
    """
    last = x.shape[dim] - 1
    places = torch.cat([torch.zeros(before), torch.arange(last + 1), torch.full((after,), last)])
    return x.index_select(dim, places.to(x.device, torch.long))


def _batch(each: Sequence[Given], combine: Callable[[list[Tensor]], Tensor]) -> Given:
    values = {}
    for f in fields(each[0]):
        if _is_for_net(f):
            values[f.name] = _combined(f.name, [getattr(one, f.name) for one in each], combine)
        else:
            values[f.name] = f.default if f.default_factory is MISSING else f.default_factory()
    return replace(each[0], **values)


def _combined(name: str, values: list[Any], combine: Callable[[list[Tensor]], Tensor]) -> Any:
    """One value of several of the same field: tensors, tensors by name, or None in all of them."""
    names = [value.keys() if isinstance(value, Mapping) else value is None for value in values]
    if any(one != names[0] for one in names):
        raise ValueError(f"'{name}' differs in kind: {names}. Give the same conditions for all frames.")
    if values[0] is None:
        return None
    if isinstance(values[0], Mapping):
        return {key: combine([value[key] for value in values]) for key in values[0]}
    return combine(values)


def _axis(f: Field[Any]) -> int | None:
    return _declared(f)["axis"]


def _is_for_net(f: Field[Any]) -> bool:
    return _declared(f)["for_net"]


def _declared(f: Field[Any]) -> Mapping[str, Any]:
    if "axis" not in f.metadata:
        raise TypeError(
            f"'{f.name}' does not say where its frames lie: give it the metadata per_frame(axis) or PER_CLIP."
        )
    return f.metadata
