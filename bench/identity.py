"""Measures a base's identity adapter: held-out clips dubbed with their own sound, with and without it.

The reference is the clip's portrait, which shows the same head at another moment, so that the true mouth is not shown.
Seen are the mouth's SSIM and PSNR against the true clip, how far its mean colour is from the true one, and what the
sound does to the lips. No net that trained the adapter judges it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from eadnet_core import load_model
from eadnet_core.evaluation.heldout import Clip, draw_cases
from eadnet_core.evaluation.shipped import SEED, read_shipped
from eadnet_core.families.base import BaseModel
from eadnet_core.media.face.aligned_crop import crop_aligned, keep_mask, latent_mask, paste_aligned
from eadnet_core.media.face.alignment import aligned_box
from eadnet_core.media.face.follow import follow
from eadnet_core.media.pixels import to_pixels, to_unit
from eadnet_core.media.sound.whisper_mel import whisper_mel
from eadnet_core.metrics.face import correlation, read_faces
from eadnet_core.metrics.fidelity import mouth_psnr, ssim
from eadnet_core.metrics.lip_sync import score_lip_sync
from eadnet_core.metrics.motion import crop_region
from eadnet_core.nets.adapters import Strengths
from eadnet_core.nets.latentsync.whisper import SoundFeatures
from eadnet_core.sampling.conditions import FrameConditions
from eadnet_core.sampling.prediction import prediction_of
from eadnet_core.weights.experts import load_experts

SIZE_PX = 128


def main() -> None:
    """Print a line for each strength; write figures and a sheet where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, required=True, help="folder of a base with identity.safetensors")
    parser.add_argument("--clips", type=int, default=4, help="held-out clips, at most 12 (default: 4)")
    parser.add_argument("--frames", type=int, default=32, help="of each (default: 32)")
    parser.add_argument("--steps", type=int, default=20, help="(default: 20)")
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.0, 1.0])
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--sheet", type=Path, help="write true and made frames here (.png)")
    args = parser.parse_args()
    model = load_model(str(args.base), "cpu")
    assert isinstance(model, BaseModel)
    groups = [[case for case in group if case.is_main] for group in draw_cases(12, SEED)]
    # one clip of each head first
    drawn = list(read_shipped(groups, SIZE_PX))
    clips = [group[i] for i in range(4) for group in drawn][: args.clips]
    sync = load_experts("cpu", "mini").sync
    found: dict[str, dict[str, float]] = {}
    sheet = [np.concatenate(list(clip.truth.frames[: args.frames : 4]), 1) for clip in clips[:2]]
    for strength in args.strengths:
        rows = []
        for clip in clips:
            true = clip.truth.frames[: args.frames]
            made = dub(model, clip, args.frames, args.steps, strength)
            mouths = [crop_region(each, "mouth") for each in (made, true)]
            rows.append(
                {
                    "mouth_ssim": ssim(*mouths),
                    "mouth_psnr_db": mouth_psnr(made, true),
                    "mouth_colour_distance": float(np.abs(mouths[0].mean((1, 2)) - mouths[1].mean((1, 2))).mean()),
                    "mouth_correlation": correlation(read_faces(made).opening, clip.truth.mouth_opening[: args.frames]),
                    "lse_c": score_lip_sync(sync, made, clip.truth.samples[: 640 * args.frames]).lse_c,
                }
            )
            sheet += [np.concatenate(list(made[::4]), 1)] if len(rows) <= 2 else []
        found[f"{strength:g}"] = {name: float(np.nanmean([row[name] for row in rows])) for name in rows[0]}
        print(strength, ", ".join(f"{name} {value:.3f}" for name, value in found[f"{strength:g}"].items()), flush=True)
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if args.sheet:
        Image.fromarray(np.concatenate(sheet)).save(args.sheet)


@torch.inference_mode()
def dub(model: BaseModel, clip: Clip, n_frames: int, steps: int, strength: float) -> np.ndarray:
    """A true clip whose lower half is made anew from its sound and its portrait: uint8 [T, 128, 128, 3]."""
    frames, size_px = clip.truth.frames[:n_frames], model.config.size_px
    boxes = [aligned_box(face) for face in follow(frames).crops if face is not None]
    pairs = zip(frames, boxes, strict=True)
    pictures = to_unit(np.stack([crop_aligned(picture, box, size_px) for picture, box in pairs]))
    (face,) = follow(clip.truth.reference[None]).crops
    assert face is not None
    portrait = to_unit(crop_aligned(clip.truth.reference, aligned_box(face), size_px)[None])
    masked = model.vae.encode(pictures * keep_mask(size_px).float())[0]
    reference = model.vae.encode(portrait)[0].expand_as(masked)
    mask = latent_mask(size_px).float().expand(n_frames, -1, -1, -1)
    context = torch.cat([mask, masked, reference], 1).transpose(0, 1)[None]
    tokens = SoundFeatures(model.audio_encoder, whisper_mel(clip.truth.samples[: 640 * n_frames])).frames(0, n_frames)
    window = model.config.denoiser.window_frames
    noise = torch.randn(1, masked.shape[1], 1, *masked.shape[2:], generator=torch.Generator().manual_seed(0))
    parts = []
    for start in range(0, n_frames, window):
        here = slice(start, start + window)
        given = FrameConditions(context[:, :, here], tokens[None, here])
        parts.append(sampled(model, noise.expand(-1, -1, given.n_frames, -1, -1), given, steps, strength))
    made = model.vae.decode(torch.cat(parts, 2)[0].transpose(0, 1))
    return np.stack(
        [
            paste_aligned(picture, box, square)
            for picture, box, square in zip(frames, boxes, to_pixels(made), strict=True)
        ]
    )


def sampled(model: BaseModel, x: Tensor, given: FrameConditions, steps: int, strength: float) -> Tensor:
    """x0 of one window, without guidance."""
    prediction = prediction_of(model.config.denoiser)
    grid = prediction.grid(steps)
    for index, time in enumerate(grid.times):
        t = torch.tensor([time])
        output = model.denoiser(x, t, given, strengths=Strengths(identity=strength))
        assert isinstance(output, Tensor)
        x = grid.step(x, prediction.to_x0(output, x, t), index)
    return x


if __name__ == "__main__":
    main()
