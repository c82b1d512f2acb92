"""What a first clip loads, and what it leaves alone because it takes time to import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from eadnet_core.nets.latentsync.blocks import TimeEmbedding
from eadnet_core.weights.files import load_part
from eadnet_core.weights.folders import ASSETS

CLIP = """
import sys
import numpy as np
from eadnet_core import load_model, prepare, write_video
from eadnet_core.weights.folders import ASSETS

sound = np.zeros(640, np.float32)
work = prepare(ASSETS / "sample" / "portrait.png", sound, "delighted", model=load_model("mini"), sample_rate=16_000)
work.forecast()
write_video(work, sys.argv[1])
print("LOADED", *{name.split(".")[0] for name in sys.modules}, *(n for n in sys.modules if n.startswith("torch._")))
"""
SLOW = ("diffusers", "librosa", "skimage", "sympy", "torch._dynamo", "torch._inductor", "transformers")
"""A mini needs nothing of them. diffusers with what it imports takes 2.3 s, librosa .1 s (docs/speed.md)."""


def test_a_clip_imports_nothing_that_a_mini_does_not_need(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CLIP, str(tmp_path / "clip.mp4")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    loaded = done.stdout.split("LOADED")[1].split()
    assert "torch" in loaded and not set(SLOW) & set(loaded)


def test_a_loaded_net_draws_no_first_weights() -> None:
    """They would be overwritten, and seeds of others would depend on what was loaded before."""
    before = torch.random.get_rng_state()
    load_part(ASSETS / "faces" / "mesh.safetensors", "face_mesh")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_loaded_net_keeps_its_order_in_memory() -> None:
    """Pictures lie channels last in the denoiser, which takes other kernels, and gives other bits."""
    net, _ = load_part(ASSETS / "mini" / "denoiser.safetensors", "denoiser")
    weight = net.get_parameter("denoiser.conv_in.weight")
    assert weight.dtype == torch.float32 and weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("width", [32, 320])
def test_time_embedding_is_diffusers_to_the_bit(width: int) -> None:
    from diffusers.models.embeddings import TimestepEmbedding, get_timestep_embedding

    theirs, ours = TimestepEmbedding(width, 4 * width), TimeEmbedding(width)
    ours.load_state_dict(theirs.state_dict())
    time = torch.tensor([0, 1, 499, 999])
    waves = get_timestep_embedding(time, width, flip_sin_to_cos=True, downscale_freq_shift=0)
    with torch.no_grad():
        assert torch.equal(ours(time), theirs(waves))
