"""LatentSync's diffusion U-Net (arXiv 2412.09262), with our adapters beside its own weights.

Frames are processed as pictures, [B T, C, h, w]; the motion modules, the group norms of the residual blocks and of our
adapters STDA and TFRM look across time.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ...config import DenoiserConfig
from ...sampling.conditions import FrameConditions
from ...sampling.guidance import Place
from ...sampling.prediction import prediction_of
from ..adapters import FULL_STRENGTH, FrameNorm, Strengths
from ..condition_mixer import ConditionMixer
from ..identity import IdentityTokens
from .blocks import DownBlock, LayerContext, MidBlock, Shortcuts, TimeEmbedding, UpBlock


class LatentSyncDenoiser(nn.Module):
    """U-Net over latents, conditioned on the sound and, through adapters, on emotion and motion of every frame.

    Without `has_adapters` the keys are those of LatentSync's own weights. The adapters are residual branches under
    their own key prefixes (`conditions.`, `emotion.`, `stda.`, `tfrm.`, `identity.`). With `zero_init_adapters` their
    last projection starts at zero, so that a base with untrained adapters equals the base to the bit.
    """

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.time_scale = prediction_of(config).time_scale
        self.conditions = ConditionMixer(config) if config.has_adapters else None
        self.identity = IdentityTokens(config) if config.has_identity else None
        self.time_embedding = TimeEmbedding(widths[0])
        self.conv_in = nn.Conv2d(3 * config.latent_channels + 1, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList(
            DownBlock(config, level, widths[max(level - 1, 0)]) for level in range(len(widths))
        )
        self.mid_block = MidBlock(config)
        self.up_blocks = nn.ModuleList(
            UpBlock(config, level, widths[min(level + 1, len(widths) - 1)]) for level in reversed(range(len(widths)))
        )
        self.conv_norm_out = FrameNorm(config, widths[0])
        self.conv_out = nn.Conv2d(widths[0], config.latent_channels, 3, padding=1)
        self.memory_format = torch.contiguous_format

    def forward(
        self,
        sample: Tensor,
        time: Tensor,
        conditions: FrameConditions,
        place: Place | None = None,
        *,
        strengths: Strengths = FULL_STRENGTH,
        return_aux: bool = False,
        recompute: bool = False,
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """The raw output of the net; `sampling.prediction` turns it into clean latents.

        sample      [B, C, T, h, w]  noisy latents
        time        [B]              0 .. 999 (`Epsilon`) or 0 .. 1 (`Flow`)
        conditions  of a batch; without emotion the adapters that read it and the motion are left out
        place       not looked at: nothing is kept from call to call
        strengths   of STDA, of TFRM and of the identity adapter
        recompute   keep only the inputs of layers for a backward pass: the same gradients, less memory, a third more
                    time
        returns     [B, C, T, h, w]; with return_aux also {"graph_regulariser": scalar, "bottleneck": [B, T, C_mid]}

        Raises BadInput for more frames than the motion modules know.
        """
        n_frames = sample.shape[2]
        x, context = self.begin(sample, time, conditions, strengths, Shortcuts(is_recomputed=recompute))
        skips: list[list[Tensor]] = []
        graph = x.new_zeros(())
        for down in self.down_blocks:
            x, outputs, loss = down(x, context)
            skips.append(outputs)
            graph = graph + loss
        x, loss = self.mid_block(x, context)
        graph = graph + loss
        bottleneck = x
        for up in self.up_blocks:
            x, loss = up(x, skips.pop(), context)
            graph = graph + loss
        out = self.finish(x, n_frames)
        if not return_aux:
            return out
        pooled = rearrange(bottleneck.mean((2, 3)), "(b t) c -> b t c", t=n_frames)
        return out, {"graph_regulariser": graph, "bottleneck": pooled}

    def begin(
        self, sample: Tensor, time: Tensor, given: FrameConditions, strengths: Strengths, shortcuts: Shortcuts
    ) -> tuple[Tensor, LayerContext]:
        """Features [B T, C, h, w] after the first convolution, and what every layer is given; see `forward`.

        With shortcuts that share branches the features are those of one branch.
        """
        condition = None
        if self.conditions is not None and given.emotion is not None:
            condition = self.conditions(time, given.audio, given.emotion, given.motion, given.motion_known)
        reference, identity = given.context[:, -self.config.latent_channels :, 0], None
        if self.identity is not None and strengths.identity > 0:
            identity = self.identity(reference).repeat_interleave(given.n_frames, 0)
        context = LayerContext(
            n_frames=given.n_frames,
            condition=condition,
            audio=given.audio.flatten(0, 1),
            emotion=None if given.emotion is None else given.emotion.flatten(0, 1),
            reference=reference,
            identity=identity,
            strengths=strengths,
            time=self.time_embedding(time * self.time_scale),
            shortcuts=shortcuts,
        )
        n_first = len(sample) // shortcuts.n_branches
        x = rearrange(torch.cat([sample[:n_first], given.context[:n_first]], 1), "b c t h w -> (b t) c h w")
        return self.conv_in(x.contiguous(memory_format=self.memory_format)), context

    def finish(self, x: Tensor, n_frames: int) -> Tensor:
        """Features of the finest level -> the output: [B T, C, h, w] -> [B, C_latent, T, h, w]"""
        x = self.conv_out(F.silu(self.conv_norm_out(x, n_frames)))
        return rearrange(x, "(b t) c h w -> b c t h w", t=n_frames)
