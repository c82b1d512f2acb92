"""Sampling in order: a chunk of frames at a time, each step with its own memory of the frames before (ADR 30)."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from ..families.family import sampler_options
from ..families.mini import MiniModel
from ..generation.animation import strengths_of
from ..nets.causal import Memory
from ..request import GenerateOptions
from ..sampling.conditions import FrameConditions
from ..sampling.guidance import Place, passes, predict_x0
from ..sampling.prediction import prediction_of
from ..sampling.sampler import draw_noise, grid_of


class CausalSampler:
    """Noise to latents, chunk after chunk; options as of the sampler of a clip, without windows.

    A chunk and what is remembered are together as long as the windows that the net was trained on.
    """

    def __init__(self, model: MiniModel, options: GenerateOptions, chunk_frames: int) -> None:
        config, own = model.config.denoiser, sampler_options(model, options)
        self.model, self.grid = model, grid_of(config, own)
        self.prediction = prediction_of(config)
        self.needed = passes(config, own.guidance_audio, own.guidance_emotion)
        self.strengths = strengths_of(options)
        self.noise = draw_noise(config, options.seed).to(model.device)
        n_kept = max(0, own.window_frames - chunk_frames)
        self.memories = [Memory(n_kept) for _ in range(len(self.grid))]

    def next(self, conditions: FrameConditions) -> Tensor:
        """x0 [C, T, h, w] of the next frames."""
        x = self.grid.start(self.noise.expand(-1, conditions.n_frames, -1, -1))
        for k, memory in enumerate(self.memories):
            net = partial(self._net, memory)
            found = predict_x0(net, self.prediction, x[None], self.grid.times[k], [conditions], self.needed)
            x = self.grid.step(x, found.x0[0], k, None if found.noise is None else found.noise[0])
        return x

    def _net(
        self, memory: Memory, sample: Tensor, time: Tensor, conditions: FrameConditions, place: Place | None = None
    ) -> Tensor:
        dtype = self.model.dtype
        out = self.model.denoiser(
            sample.to(dtype), time, conditions.to(dtype), place, strengths=self.strengths, memory=memory
        )
        assert isinstance(out, Tensor)
        return out.float()
