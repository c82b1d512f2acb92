"""Contact sheets of the corpus, and the sample portrait and speech that ship with the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ..config import SAMPLE_RATE_HZ
from ..emotion.code import emotion_code
from ..errors import BadInput
from ..taxonomy import ACTION_UNITS, EMOTIONS
from . import rig
from .clips import SPLITS, render, write_script
from .identity import INDEX, draw_identity
from .renderer import render_frames
from .speech import SpeechBank, synthesize

SHEETS = ("emotions", "identities", "mouths", "clips")
SAMPLE_IDENTITY = (SPLITS["heldout"], 1, 9008)
"""Seed of the sample portrait: a head that no network was trained on."""
SAMPLE_TEXT = "I kept your letter in my pocket all winter. Tonight, on the bridge, I finally read it."
SAMPLE_VOICE = "en-us+f2"
_MOUTHS: tuple[dict[str, float], ...] = (
    {},
    {"jaw": 0.3, "open": 0.3},
    {"jaw": 0.7, "open": 0.6},
    {"jaw": 1.0, "open": 1.0},
    {"round": 1.0, "jaw": 0.3, "open": 0.3},
    {"wide": 1.0, "jaw": 0.15, "open": 0.2, "teeth": 0.6},
    {"press": 1.0},
    {"tuck": 1.0, "upper": 0.5},
)


def draw_sheet(path: Path | str, kind: str = "clips", *, seed: int = 0, rows: int = 6, size_px: int = 128) -> Path:
    """Write a contact sheet as PNG.

    kind  "emotions": heads by the eight emotions; "identities": heads caught at random moments; "mouths": heads by
          lip shapes; "clips": reference picture and every second frame of clips
    """
    if kind not in SHEETS:
        raise BadInput(f"Unknown sheet '{kind}'. Choose one of {', '.join(SHEETS)}.")
    if kind == "clips":
        pictures = _clip_rows(seed, rows, size_px)
    elif kind == "identities":
        pictures = [[_moment(np.random.default_rng([seed, r, c]), size_px) for c in range(8)] for r in range(rows)]
    else:
        pictures = [_row(kind, np.random.default_rng([seed, r]), r, size_px) for r in range(rows)]
    from PIL import Image

    sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in pictures], axis=0)
    Image.fromarray(sheet).save(path)
    return Path(path)


def write_sample(folder: Path | str, size_px: int = 512) -> None:
    """Write portrait.png and speech.wav, the inputs that ship with the package."""
    import soundfile
    from PIL import Image

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    identity = draw_identity(np.random.default_rng(SAMPLE_IDENTITY))
    identity[INDEX["blur"]] = 0.0
    Image.fromarray(_draw(identity, [_state("neutral")], size_px)[0]).save(folder / "portrait.png", optimize=True)
    speech = synthesize(SAMPLE_TEXT, SAMPLE_VOICE, rate=150, pitch=52)
    soundfile.write(folder / "speech.wav", speech.samples, SAMPLE_RATE_HZ, subtype="PCM_16")


def write_sample_clips(folder: Path | str, size_px: int = 256) -> None:
    """Write clip.mp4, a head that speaks for 3.2 s, to be dubbed and scored, and feeling.mp4, a surprised one to borrow
    from."""
    from ..media.sound.audio import read_audio
    from ..media.video.files import write_video

    speech = SpeechBank(0, 8, "heldout")
    calm = write_script(10, n_frames=80, split="heldout", speech=speech, emotion="neutral", head=0.7)
    surprised = write_script(14, n_frames=50, split="heldout", speech=speech, emotion="surprised", level=2, head=0.7)
    for name, script in (("clip", calm), ("feeling", surprised)):
        frames = render([script], size_px)[0][0].numpy()
        sound = read_audio(script.samples, SAMPLE_RATE_HZ)
        write_video(Path(folder) / f"{name}.mp4", frames, audio=sound, overwrite=True)


def _row(kind: str, rng: np.random.Generator, row: int, size_px: int) -> list[np.ndarray]:
    identity = draw_identity(rng)
    if kind == "emotions":
        return _draw(identity, [_state(emotion) for emotion in EMOTIONS], size_px)
    emotion = EMOTIONS[row % len(EMOTIONS)]
    return _draw(identity, [_state(emotion, **mouth) for mouth in _MOUTHS], size_px)


def _moment(rng: np.random.Generator, size_px: int) -> np.ndarray:
    identity = draw_identity(rng)
    turn = {"yaw": rng.normal(0, 0.12), "pitch": rng.normal(0, 0.06), "roll": rng.normal(0, 0.05)}
    speaks = {"jaw": rng.uniform(0, 0.8), "open": rng.uniform(0, 0.6)} if rng.random() < 0.5 else {}
    state = _state(str(rng.choice(EMOTIONS)), intensity=rng.uniform(0.3, 1.0), **turn, **speaks)
    return _draw(identity, [state], size_px)[0]


def _clip_rows(seed: int, rows: int, size_px: int) -> list[list[np.ndarray]]:
    bank = SpeechBank(seed, 24, "train")
    scripts = [write_script(seed * 1000 + r, n_frames=16, split="train", speech=bank) for r in range(rows)]
    frames, references = render(scripts, size_px)
    return [[reference.numpy(), *clip[::2].numpy()] for clip, reference in zip(frames, references, strict=True)]


def _state(emotion: str, intensity: float = 1.0, **controls: float) -> np.ndarray:
    state = np.zeros(len(rig.STATE), dtype=np.float32)
    units = emotion_code(emotion, 0.0 if emotion == "neutral" else intensity)[-len(ACTION_UNITS) :]
    for name, value in zip(ACTION_UNITS, units, strict=True):
        state[rig.STATE_INDEX[name]] = value
    for name, value in controls.items():
        state[rig.STATE_INDEX[name]] += value
    return state


def _draw(identity: np.ndarray, states: list[np.ndarray], size_px: int) -> list[np.ndarray]:
    heads, moments = torch.from_numpy(identity[None]), torch.from_numpy(np.stack(states)[None])
    return list(render_frames(heads, moments, size_px)[0].permute(0, 2, 3, 1).numpy())
