"""Conditions are cut, joined, held and stacked in all their fields, those that somebody adds included."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

import pytest
import torch
from torch import Tensor

from eadnet_core.sampling.conditions import PER_CLIP, FrameConditions, per_frame
from eadnet_core.sampling.guidance import branches, in_branches

N_FRAMES = 6


@dataclass(frozen=True)
class WithGaze(FrameConditions):
    """What a new condition looks like, beside one of the clip and one that the net is not given."""

    gaze: Tensor | None = field(default=None, metadata=per_frame(-2))
    style: Tensor | None = field(default=None, metadata=PER_CLIP)
    weight: Tensor | None = field(default=None, metadata=per_frame(-1, for_net=False))


def conditions(first: int = 0, n_frames: int = N_FRAMES) -> WithGaze:
    """Every value tells the number of its frame."""
    number = torch.arange(first, first + n_frames).float()
    wide = number[:, None, None].expand(-1, 3, 4)
    return WithGaze(
        context=number[:, None, None].expand(5, -1, 2, 2),
        audio=wide,
        emotion=wide,
        motion=number[:, None].expand(-1, 8),
        motion_known=number,
        null_emotion=torch.full((3, 4), -1.0),
        guidance=torch.tensor([0.3, 0.15]),
        sync_audio=number[:, None].expand(-1, 7),
        voice=number,
        view={"pictures": number[:, None, None, None].expand(-1, 2, 2, 3).byte(), "turned": wide},
        gaze=number[:, None].expand(-1, 2),
        style=torch.tensor([7.0]),
        weight=number,
    )


def assert_frames(found: WithGaze, expected: list[int]) -> None:
    """Every field holds these frames."""
    assert found.n_frames == len(expected)
    for f in fields(found):
        axis, value = f.metadata["axis"], getattr(found, f.name)
        if axis is None:
            assert torch.equal(value, getattr(conditions(), f.name)), f.name
            continue
        for each in value.values() if isinstance(value, dict) else [value]:
            rows = each.movedim(axis, 0).flatten(1) if each.dim() > 1 else each[:, None]
            assert torch.equal(rows.float(), torch.tensor(expected).float()[:, None].expand_as(rows)), f.name


def test_all_fields_are_cut_joined_held_and_cloned() -> None:
    whole = conditions()
    assert_frames(whole.frames(2, 5), [2, 3, 4])
    assert_frames(whole.frames(2, 5).after(whole.frames(0, 2)), [0, 1, 2, 3, 4])
    assert_frames(whole.after(None), list(range(N_FRAMES)))
    assert_frames(whole.frames(1, 3).held(2, 1), [1, 1, 1, 2, 2])
    cut = whole.frames(2, 4).cloned()
    assert_frames(cut, [2, 3])
    assert cut.view["turned"].untyped_storage().nbytes() == 2 * 3 * 4 * 4, "no more than its own frames"


def test_a_batch_has_all_that_the_net_is_given_and_nothing_else() -> None:
    one, two = conditions(0, 4), conditions(4, 4)
    batch = WithGaze.stack([one, two])
    for name in ("context", "audio", "emotion", "motion", "motion_known", "null_emotion", "guidance", "gaze", "style"):
        assert torch.equal(getattr(batch, name), torch.stack([getattr(one, name), getattr(two, name)])), name
    assert batch.sync_audio is batch.voice is batch.weight is None and batch.view == {}
    assert batch.n_frames == 4
    cut = batch.frames(1, 3)
    assert cut.context.shape == (2, 5, 2, 2, 2) and cut.gaze is not None and cut.gaze.shape == (2, 2, 2)
    again = WithGaze.concatenate([batch, batch])
    assert again.audio.shape[0] == again.context.shape[0] == 4 and again.gaze is not None and len(again.gaze) == 4


def test_branches_see_what_they_should() -> None:
    batch = FrameConditions.stack([conditions(1, 4), conditions(5, 4)])
    silent, heard, felt = in_branches(batch, branches(2.0, 1.5)).audio.split(2)
    assert not silent.any() and torch.equal(heard, batch.audio) and torch.equal(felt, batch.audio)
    given = in_branches(batch, branches(2.0, 1.5))
    assert given.emotion is not None and batch.emotion is not None and given.motion is not None
    assert torch.equal(given.emotion[:4], torch.full((4, 4, 3, 4), -1.0))
    assert torch.equal(given.emotion[4:], batch.emotion)
    assert len(given.motion) == len(given.context) == 6


def test_precision_is_that_of_the_net_alone() -> None:
    half = conditions().to(torch.bfloat16)
    assert half.audio.dtype == half.gaze.dtype == half.context.dtype == torch.bfloat16  # type: ignore[union-attr]
    assert half.voice is not None and half.voice.dtype == torch.float32 and half.view["pictures"].dtype == torch.uint8


def test_frames_that_lack_a_condition_are_not_joined_to_those_that_have_it() -> None:
    with pytest.raises(ValueError, match="'gaze'"):
        conditions().after(replace(conditions(), gaze=None))
    with pytest.raises(ValueError, match="'view'"):
        conditions().after(replace(conditions(), view={}))


@dataclass(frozen=True)
class Undeclared(FrameConditions):
    gaze: Tensor | None = None


def test_a_condition_that_says_nothing_of_its_frames_is_refused() -> None:
    given = Undeclared(context=torch.zeros(5, 4, 2, 2), audio=torch.zeros(4, 3, 4))
    for use in (lambda: given.frames(0, 2), lambda: given.after(given), lambda: Undeclared.stack([given])):
        with pytest.raises(TypeError, match="'gaze' does not say where its frames lie"):
            use()
