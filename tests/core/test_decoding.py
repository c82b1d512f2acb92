"""Parts of a clip decoded side by side: in order, each on one of torch's threads, and the same pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from eadnet_core.emotion.code import emotion_code
from eadnet_core.families.decoding import side_by_side
from eadnet_core.families.load import load_model
from eadnet_core.families.performance import Performance
from eadnet_core.generation.animation import Animation
from eadnet_core.request import GenerateOptions

CPU = torch.device("cpu")


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    assert torch.get_num_threads() == 2, "the caller's own threads stay"
    torch.set_num_threads(before)


def test_each_job_has_one_of_torchs_threads_and_no_gradients(two_threads: None) -> None:
    def job(i: int) -> tuple[int, int, bool]:
        return i, torch.get_num_threads(), torch.is_inference_mode_enabled()

    jobs: list[Callable[[], tuple[int, int, bool]]] = [lambda i=i: job(i) for i in range(7)]  # type: ignore[misc]
    assert list(side_by_side(jobs, CPU)) == [(i, 1, True) for i in range(7)]


def test_jobs_are_drawn_as_they_are_needed_and_what_fails_is_raised(two_threads: None) -> None:
    drawn: list[int] = []

    def jobs() -> Iterator[Callable[[], int]]:
        for i in range(9):
            drawn.append(i)
            yield lambda i=i: 6 // (4 - i)  # type: ignore[misc]

    made = side_by_side(jobs(), CPU)
    assert next(made) == 1 and len(drawn) == 3, "two at work, and one more"
    with pytest.raises(ZeroDivisionError):
        list(made)
    assert len(drawn) < 9


def test_one_job_alone_has_all_threads(two_threads: None) -> None:
    assert list(side_by_side([torch.get_num_threads], CPU)) == [2]


@pytest.mark.parametrize("is_video", [False, True])
def test_two_threads_decode_what_one_does(tiny_folder: Path, two_threads: None, is_video: bool) -> None:
    model = load_model(str(tiny_folder), "cpu")
    size, n_frames = model.config.size_px, 6
    pictures = np.random.default_rng(0).integers(0, 256, (n_frames, size, size, 3), np.uint8)
    read: list[int] = []

    def crops(start: int, stop: int) -> np.ndarray:
        read.append(start)
        return pictures[start:stop]

    code = np.repeat(emotion_code("happy", 0.7)[None], n_frames, 0)
    rest = np.zeros((n_frames, 8), np.float32)
    asked = Performance(np.zeros(n_frames * 640, np.float32), np.ones(n_frames, np.float32), code, rest)
    animation = Animation(model, crops if is_video else pictures[0], asked, GenerateOptions(steps=1))
    (latents,) = animation
    made = []
    for n_threads in (1, 2):
        torch.set_num_threads(n_threads)
        read.clear()
        made.append(np.concatenate(list(animation.frames(latents, at_once=2))))
        assert read == ([0, 2, 4] if is_video else []), "pictures of a video are read in order"
    assert made[0].shape == (n_frames, size, size, 3)
    assert np.abs(made[0].astype(int) - made[1]).max() <= 1, "threads decide the last bits of products"
