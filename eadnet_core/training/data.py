"""Clip caches: rendered corpus clips as numpy memmaps, which training gathers from at random.

A cache is a folder with one .npy file per array. Clips come in groups of `CLIPS_PER_IDENTITY` that share a head and
differ in emotion, voice and sentence. Rendering is resumable and goes in order, so a training may start on the part
that is finished (`Cache.n_ready`) while the rest is still being drawn.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..config import N_MELS
from ..corpus.pool import ordered
from ..errors import BadInput
from ..heads.anatomy import Anatomy
from ..heads.rig import STATE, STATE_INDEX
from ..media.pixels import to_unit
from ..media.sound.audio import MEL_STEPS_PER_FRAME
from ..taxonomy import ACTION_UNITS, CONTROLS, EMOTION_CODE_SIZE, EMOTIONS, MOTION

log = logging.getLogger(__name__)

CLIPS_PER_IDENTITY = 4
_FREE_SHARE = 0.3
"""Share of clips whose emotion is left to the corpus, which blends some and changes some half-way."""
_HEAD_RANGE = (0.2, 1.4)
"""Amplitudes of head motion, so that it can be asked for."""
_GROUPS_PER_JOB = 4


@dataclass(frozen=True)
class CacheInfo:
    """What a cache holds."""

    n_clips: int
    n_frames: int
    size_px: int
    seed: int
    split: str
    speech_utterances: int
    n_texts: int = 4
    has_pictures: bool = True


class Cache:
    """Read access to a cache; arrays are opened when first asked for and never copied whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        path = self.folder / "cache.json"
        if not path.exists():
            raise BadInput(f"No clip cache in {self.folder}: cache.json is missing. Build one with build_cache.")
        self.info = CacheInfo(**json.loads(path.read_text()))

    def array(self, name: str, mode: Literal["r", "r+"] = "r") -> np.memmap:
        """The memmap called `name`."""
        key = (name, mode)
        if key not in self._arrays:
            path = self.folder / f"{name}.npy"
            if not path.exists():
                raise BadInput(f"The clip cache in {self.folder} holds no '{name}'.")
            self._arrays[key] = np.lib.format.open_memmap(path, mode=mode)
        return self._arrays[key]

    def flush(self) -> None:
        """Write every open array to disk."""
        for array in self._arrays.values():
            array.flush()

    @cached_property
    def _arrays(self) -> dict[tuple[str, str], np.memmap]:
        return {}

    @property
    def n_ready(self) -> int:
        """Clips rendered so far, counted from the first without a gap."""
        return _leading(self.array("rendered"))

    @property
    def n_monitor(self) -> int:
        """Clips kept out of training to watch it by: the first few identities."""
        wanted = min(64, max(CLIPS_PER_IDENTITY, self.info.n_clips // 8))
        return wanted // CLIPS_PER_IDENTITY * CLIPS_PER_IDENTITY

    def draw_clips(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Indices [n] of random training clips among those that are finished."""
        ready = self.n_ready
        if ready <= self.n_monitor:
            raise BadInput(f"The clip cache in {self.folder} has {ready} finished clips; more are needed.")
        return rng.integers(self.n_monitor, ready, n)

    def monitor_clips(self, n: int | None = None) -> np.ndarray:
        """Indices of the first `n` (default: all) clips kept out of training."""
        return np.arange(min(n or self.n_monitor, self.n_monitor))

    def images(self, name: str, index: Any) -> Tensor:
        """uint8 pictures array[index] as float32 [..., 3, H, W] in -1 .. 1."""
        return to_unit(self.array(name)[index])

    def tensor(self, name: str, index: Any) -> Tensor:
        """array[index] as float32."""
        return torch.from_numpy(np.array(self.array(name)[index], dtype=np.float32))


def build_cache(
    folder: Path,
    *,
    n_clips: int,
    n_frames: int = 16,
    size_px: int = 128,
    seed: int = 0,
    split: str = "train",
    speech_utterances: int = 400,
    has_pictures: bool = True,
    workers: int = 1,
    threads: int = 1,
    progress: bool = True,
    heads: Path | None = None,
) -> Cache:
    """Render `n_clips` corpus clips into `folder`; goes on where an earlier call stopped.

    Without pictures a cache holds what happens in its clips, which is all that a denoiser learns from.
    `workers` processes (1: this one) use `threads` threads each. `heads` is the folder of the anatomy; without pictures
    none is needed. Raises BadInput where the folder holds another cache, and where the anatomy is missing.
    """
    if has_pictures:
        Anatomy.open(heads)
    n_clips -= n_clips % CLIPS_PER_IDENTITY
    info = CacheInfo(n_clips, n_frames, size_px, seed, split, speech_utterances, has_pictures=has_pictures)
    cache = open_or_create(Path(folder), info)
    rendered = np.asarray(cache.array("rendered"))
    per_job = _GROUPS_PER_JOB * CLIPS_PER_IDENTITY
    starts = [start for start in range(0, info.n_clips, per_job) if not rendered[start : start + per_job].all()]
    from tqdm import tqdm

    bar = tqdm(total=info.n_clips, initial=int(rendered.sum()), desc="render", unit="clip", disable=not progress)
    for done in ordered(partial(_render_job, cache.folder, threads, heads), starts, workers):
        bar.update(done)
    bar.close()
    return cache


def open_or_create(folder: Path, info: CacheInfo) -> Cache:
    """The cache in `folder`, with empty arrays where it is new; raises BadInput where another one lies there."""
    path = folder / "cache.json"
    if path.exists():
        cache = Cache(folder)
        if cache.info != info:
            raise BadInput(f"{folder} already holds another cache ({cache.info}). Give another folder or delete it.")
        return cache
    (folder / "texts").mkdir(parents=True, exist_ok=True)
    n, frames, size = info.n_clips, info.n_frames, info.size_px
    pictures = (("frames", np.uint8, (n, frames, size, size, 3)), ("references", np.uint8, (n, size, size, 3)))
    for name, kind, shape in (
        *(pictures if info.has_pictures else ()),
        ("controls", np.float32, (n, frames, len(CONTROLS))),
        ("reference_controls", np.float32, (n, len(CONTROLS))),
        ("mel", np.float16, (n, frames * MEL_STEPS_PER_FRAME, N_MELS)),
        ("energy", np.float32, (n, frames)),
        ("visemes", np.float32, (n, frames, 9)),
        ("action_units", np.float32, (n, frames, len(ACTION_UNITS))),
        ("motion", np.float32, (n, frames, len(MOTION))),
        ("pose", np.float32, (n, frames, 3)),
        ("blink", np.float32, (n, frames)),
        ("mouth_opening", np.float32, (n, frames)),
        ("mouth_width", np.float32, (n, frames)),
        ("codes", np.float32, (n, frames, EMOTION_CODE_SIZE)),
        ("text_codes", np.float32, (n, info.n_texts, EMOTION_CODE_SIZE)),
        ("reference_states", np.float32, (n, len(STATE))),
        ("emotion", np.int8, (n,)),
        ("level", np.int8, (n,)),
        ("is_pure", np.uint8, (n,)),
        ("rendered", np.uint8, (n,)),
    ):
        np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=kind, shape=shape).flush()
    path.write_text(json.dumps(asdict(info)))
    return Cache(folder)


@lru_cache(maxsize=2)
def _speech_bank(seed: int, n_utterances: int, split: str) -> Any:
    """The speech of this process: making it takes seconds, and every job of a worker needs it."""
    from ..corpus.speech import SpeechBank

    return SpeechBank(seed, n_utterances, "heldout" if split == "heldout" else "train")


def _render_job(folder: Path, threads: int, heads: Path | None, start: int) -> int:
    """Render the clips start .. of one job into the cache; returns how many."""
    from ..corpus.clips import film

    torch.set_num_threads(threads)
    cache = Cache(folder)
    info = cache.info
    stop = min(start + _GROUPS_PER_JOB * CLIPS_PER_IDENTITY, info.n_clips)
    scripts = [s for first in range(start, stop, CLIPS_PER_IDENTITY) for s in _scripts_of_identity(info, first)]
    for i, script in enumerate(scripts, start):
        _write_tracks(cache, i, script)
        if info.has_pictures:
            made = film(script, info.size_px, heads)
            cache.array("frames", "r+")[i], cache.array("references", "r+")[i] = made.frames, made.reference
            cache.array("mouth_opening", "r+")[i] = made.mouth_opening
    texts = {start + offset: _texts(script, info.n_texts) for offset, script in enumerate(scripts)}
    (folder / "texts" / f"{start:06d}.json").write_text(json.dumps(texts, ensure_ascii=False))
    cache.flush()
    cache.array("rendered", "r+")[start:stop] = 1
    return stop - start


def _scripts_of_identity(info: CacheInfo, first: int) -> list[Any]:
    """Scripts of the clips of one head, each with another emotion; a few drift or blend.

    Half of the clips have a neutral reference picture, the others one with an emotion of its own.
    """
    from ..corpus.clips import write_script

    rng = np.random.default_rng((info.seed, first, 0xC11D))
    seeds = rng.integers(0, 2**31 - 1, CLIPS_PER_IDENTITY + 1)
    emotions = rng.permutation(len(EMOTIONS))[:CLIPS_PER_IDENTITY]
    has_neutral_reference = rng.permutation(CLIPS_PER_IDENTITY) < CLIPS_PER_IDENTITY // 2
    return [
        write_script(
            int(seeds[i]),
            n_frames=info.n_frames,
            split=info.split,
            speech=_speech_bank(info.seed, info.speech_utterances, info.split),
            emotion=None if rng.random() < _FREE_SHARE else EMOTIONS[emotions[i]],
            identity_seed=int(seeds[-1]),
            reference_emotion="neutral" if has_neutral_reference[i] else str(rng.choice(EMOTIONS[1:])),
            head=float(rng.uniform(*_HEAD_RANGE)),
        )
        for i in range(CLIPS_PER_IDENTITY)
    ]


def _write_tracks(cache: Cache, i: int, script: Any) -> None:
    """Everything of clip `i` but its pictures."""
    from ..corpus.noise import augment
    from ..media.sound.audio import frame_energy, log_mel

    n_frames = cache.info.n_frames
    rng = np.random.default_rng((cache.info.seed, i, 0xA0D10))
    values = {
        "controls": script.controls,
        "reference_controls": script.reference_controls,
        "mel": log_mel(augment(script.samples, rng), n_frames),
        "energy": frame_energy(script.samples, n_frames),
        "visemes": script.visemes,
        "action_units": script.action_units,
        "motion": script.motion,
        "pose": script.states[:, [STATE_INDEX[name] for name in ("yaw", "pitch", "roll")]],
        "blink": script.states[:, STATE_INDEX["blink"]],
        "mouth_opening": script.mouth_opening,
        "mouth_width": script.mouth_width,
        "codes": script.codes,
        "text_codes": script.code,
        "reference_states": script.reference_state,
        "emotion": EMOTIONS.index(script.emotion),
        "level": script.level,
        "is_pure": script.is_pure,
    }
    for name, value in values.items():
        cache.array(name, "r+")[i] = value


def _texts(script: Any, n_texts: int) -> list[str]:
    """The caption and prompts of a clip, repeated or cut to `n_texts`."""
    texts = [script.caption, *script.prompts]
    return [texts[i % len(texts)] for i in range(n_texts)]


def read_texts(cache: Cache, read: Callable[[list[str]], np.ndarray]) -> None:
    """Fill the codes that `read` (texts -> codes [n, 27]) finds in every clip's caption and prompts."""
    codes = cache.array("text_codes", "r+")
    for file in sorted((cache.folder / "texts").glob("*.json")):
        texts = {int(i): lines for i, lines in json.loads(file.read_text()).items()}
        found = np.asarray(read([line for lines in texts.values() for line in lines]), dtype=np.float32)
        codes[list(texts)] = found.reshape(len(texts), cache.info.n_texts, -1)


def _leading(flags: np.ndarray) -> int:
    """How many flags are set before the first that is not."""
    unset = np.flatnonzero(np.asarray(flags) == 0)
    return int(unset[0]) if len(unset) else len(flags)
