"""Latents of a clip cache: what the autoencoder makes of its frames, references and greyed-out boxes."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..config import MASK_BOXES
from ..machine import has_matrix_units
from ..media.pixels import to_unit
from ..motion.turn import turn_head
from .data import Cache

MASKED_EVERY = 3
"""One clip in three also holds its latents with a box greyed out."""
MASKED_BOXES = ("face", "mouth")
"""Which box, in turn."""
_ENCODE_FRAMES = 128
_AT_ONCE = 32


def box_mask(name: str, size: int) -> np.ndarray:
    """Bool [size, size], true inside the mask box called `name`.

    >>> box_mask("mouth", 16).sum(), box_mask("full", 4).all()
    (np.int64(70), np.True_)
    """
    x0, y0, x1, y1 = (round(value * size) for value in MASK_BOXES[name])
    mask = np.zeros((size, size), dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


def masked_box_of(clip: np.ndarray) -> np.ndarray:
    """Which of `MASKED_BOXES` is greyed out in the masked latents of clips [n] (multiples of `MASKED_EVERY`)."""
    return np.asarray(clip) // MASKED_EVERY % len(MASKED_BOXES)


@torch.no_grad()
def encode_latents(cache: Cache, vae: Any, *, device: str = "cpu", progress: bool = True) -> None:
    """Add the latents of frames, references and (one clip in three) masked frames; resumable.

    Latents of another VAE, or of one trained further, are replaced. Writes float16 latents [n, T, C, h, w],
    reference_latents [n, C, h, w], turned_latents [n, T, C, h, w] (the reference with its head turned as in each frame)
    and masked_latents [ceil(n / 3), T, C, h, w].
    """
    from tqdm import tqdm

    vae = vae.to(device).eval()
    arrays = _latent_arrays(cache, vae, device)
    encoded = arrays["encoded"]
    maker, made_by = cache.folder / "latents_made_by", fingerprint(vae)
    if not maker.exists() or maker.read_text() != made_by:
        encoded[:] = 0
        maker.write_text(made_by)
    first = cache.n_encoded
    per_batch = max(1, _ENCODE_FRAMES // cache.info.n_frames)
    bar = tqdm(total=cache.info.n_clips, initial=first, desc="encode", unit="clip", disable=not progress)
    for start in range(first, cache.n_ready, per_batch):
        stop = min(start + per_batch, cache.n_ready)
        pixels = np.asarray(cache.array("frames")[start:stop])
        shape = arrays["latents"][start:stop].shape
        references = to_unit(np.asarray(cache.array("references")[start:stop]))
        each = references.repeat_interleave(cache.info.n_frames, 0)
        turned = turn_head(each, cache.tensor("motion", slice(start, stop)).flatten(0, 1))
        arrays["latents"][start:stop] = _encode(vae, to_unit(pixels).flatten(0, 1), device).reshape(shape)
        arrays["reference_latents"][start:stop] = _encode(vae, references, device)
        arrays["turned_latents"][start:stop] = _encode(vae, turned, device).reshape(shape)
        for clip in range(-(-start // MASKED_EVERY) * MASKED_EVERY, stop, MASKED_EVERY):
            greyed = np.array(pixels[clip - start])
            greyed[:, box_mask(MASKED_BOXES[int(masked_box_of(np.array(clip)))], cache.info.size_px)] = 127
            arrays["masked_latents"][clip // MASKED_EVERY] = _encode(vae, to_unit(greyed), device)
        encoded[start:stop] = 1
        bar.update(stop - start)
    bar.close()


def fingerprint(module: nn.Module) -> str:
    """Eight hex digits that differ for other weights."""
    total = 0
    for value in module.state_dict().values():
        total = zlib.crc32(value.detach().cpu().contiguous().numpy().tobytes(), total)
    return f"{total:08x}"


def _encode(vae: Any, images: Tensor, device: str) -> np.ndarray:
    """Latents [B, C, h, w] of pictures, a few at a time: on a CPU they are quicker where they fit its caches."""
    found = []
    with torch.autocast("cpu", torch.bfloat16, enabled=device == "cpu" and has_matrix_units()):
        for part in images.split(_AT_ONCE):
            found.append(vae.encode(part.to(device).contiguous(memory_format=torch.channels_last))[0].float().cpu())
    return torch.cat(found).numpy().astype(np.float16)


def _latent_arrays(cache: Cache, vae: Any, device: str) -> dict[str, np.memmap]:
    """The writable arrays of `encode_latents`, made anew where missing or of another shape."""
    n, frames = cache.info.n_clips, cache.info.n_frames
    cell = _encode(vae, to_unit(np.asarray(cache.array("references")[:1])), device).shape[1:]
    shapes: dict[str, tuple[Any, tuple[int, ...]]] = {
        "latents": (np.float16, (n, frames, *cell)),
        "reference_latents": (np.float16, (n, *cell)),
        "turned_latents": (np.float16, (n, frames, *cell)),
        "masked_latents": (np.float16, (-(-n // MASKED_EVERY), frames, *cell)),
        "encoded": (np.uint8, (n,)),
    }
    for name, (kind, shape) in shapes.items():
        path = cache.folder / f"{name}.npy"
        if not path.exists() or np.load(path, mmap_mode="r").shape != shape:
            np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=shape).flush()
    return {name: cache.array(name, "r+") for name in shapes}
