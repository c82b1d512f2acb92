"""Parts of a clip decoded side by side: in order, each on one of torch's threads, and the same pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from eadnet_core.families.decoding import DECODE_FRAMES, side_by_side
from eadnet_core.families.load import load_model
from eadnet_core.families.mini import MiniModel, MiniScene
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


@pytest.mark.parametrize("is_video", [False, True])
def test_two_threads_decode_what_one_does(tiny_folder: Path, two_threads: None, is_video: bool) -> None:
    model = load_model(str(tiny_folder), "cpu")
    assert isinstance(model, MiniModel)
    size, n_frames = model.config.size_px, DECODE_FRAMES + 2
    pictures = np.random.default_rng(0).integers(0, 256, (n_frames, size, size, 3), np.uint8)
    scene = MiniScene(model, (lambda a, b: pictures[a:b]) if is_video else pictures[0], GenerateOptions())
    motion = 0.1 * torch.randn(n_frames, 8, generator=torch.Generator().manual_seed(0))
    frames = []
    with torch.inference_mode():
        view = scene.look(0, motion)
        x0 = (model.vae.motion_latents(0.5 * torch.rand(n_frames, 28)) / scene.scale[:, 0]).transpose(0, 1)
        for n_threads in (1, 2):
            torch.set_num_threads(n_threads)
            frames.append(scene.decode(x0, view))
    assert frames[0].shape == (n_frames, size, size, 3)
    assert np.abs(frames[0].astype(int) - frames[1]).max() <= 1, "threads decide the last bits of products before it"
