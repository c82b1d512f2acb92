"""Contact sheets of the corpus, and the sample portrait and speech that ship with the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..config import SAMPLE_RATE_HZ
from ..emotion.code import emotion_code
from ..errors import BadInput
from ..heads.anatomy import Anatomy, anatomy_folder
from ..heads.backdrop import draw_backdrop
from ..heads.rig import STATE, STATE_INDEX
from ..heads.stock import Stock
from ..taxonomy import ACTION_UNITS, EMOTIONS
from .clips import HEADS_PER_SPLIT, draw_head_seed, film, render, write_script
from .speech import SpeechBank, synthesize
from .stage import Stage, open_stage

SHEETS = ("emotions", "identities", "mouths", "clips")
SAMPLE_HEAD = 2 * HEADS_PER_SPLIT + 9015
"""Number of the sample portrait's head: one of the held-out split, that no network was trained on."""
SAMPLE_NEIGHBOUR = 2 * HEADS_PER_SPLIT + 9025
"""Number of the other head in the sample picture of two, held out as well."""
SAMPLE_TEXT = "I kept your letter in my pocket all winter. Tonight, on the bridge, I finally read it."
SAMPLE_VOICE = "en-us+f2"
SAMPLE_BACKDROP = 11
"""Seed of the backdrop behind both."""
REPLY_TEXT = "I know. I saw you from the window."
REPLY_VOICE = "en-us+m3"
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


def draw_sheet(
    path: Path | str,
    kind: str = "clips",
    *,
    seed: int = 0,
    rows: int = 6,
    size_px: int = 128,
    heads: Path | str | None = None,
) -> Path:
    """Write a contact sheet as PNG or JPEG.

    kind   "emotions": heads by the eight emotions; "identities": heads caught at random moments; "mouths": heads by
           lip shapes; "clips": reference picture and every second frame of clips
    heads  folder of the anatomy; default: what EADNET_HEADS names, else where `eadnet download heads` put it
    Raises BadInput for another kind, and without the anatomy.
    """
    if kind not in SHEETS:
        raise BadInput(f"Unknown sheet '{kind}'. Choose one of {', '.join(SHEETS)}.")
    from PIL import Image

    if kind == "clips":
        pictures = _clip_rows(seed, rows, size_px, heads)
    elif kind == "identities":
        rngs = [[np.random.default_rng([seed, r, c]) for c in range(8)] for r in range(rows)]
        pictures = [[_moment(rng, size_px, heads) for rng in row] for row in rngs]
    else:
        pictures = [_row(kind, np.random.default_rng([seed, r]), r, size_px, heads) for r in range(rows)]
    sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in pictures], axis=0)
    Image.fromarray(sheet).save(path, quality=90)
    return Path(path)


def write_sample(folder: Path | str, size_px: int = 512, heads: Path | str | None = None) -> None:
    """Write portrait.png and speech.wav, the inputs that ship with the package."""
    import soundfile
    from PIL import Image

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    stage = open_stage(SAMPLE_HEAD, size_px, heads)
    Image.fromarray(stage.draw(_state("neutral")[None], has_effects=False)[0][0]).save(
        folder / "portrait.png", optimize=True
    )
    speech = synthesize(SAMPLE_TEXT, SAMPLE_VOICE, rate=150, pitch=52)
    soundfile.write(folder / "speech.wav", speech.samples, SAMPLE_RATE_HZ, subtype="PCM_16")


def write_sample_couple(folder: Path | str, size_px: int = 384, heads: Path | str | None = None) -> None:
    """Write couple.jpg, the head of the sample portrait and another before one backdrop [size, 2 size], and reply.wav,
    what the other says."""
    import soundfile
    from PIL import Image

    stock = Stock(Anatomy.open(anatomy_folder(heads)), size_px)
    behind = draw_backdrop(np.random.default_rng(SAMPLE_BACKDROP), 2 * size_px)[size_px // 2 :][:size_px]
    halves = behind[:, :size_px], behind[:, size_px:]
    people = zip((SAMPLE_HEAD, SAMPLE_NEIGHBOUR), halves, strict=True)
    stages = [Stage(stock, number, half) for number, half in people]
    pictures = [stage.draw(_state("neutral")[None], has_effects=False)[0][0] for stage in stages]
    Image.fromarray(np.concatenate(pictures, 1)).save(Path(folder) / "couple.jpg", quality=95, subsampling=0)
    speech = synthesize(REPLY_TEXT, REPLY_VOICE, rate=150, pitch=40)
    soundfile.write(Path(folder) / "reply.wav", speech.samples, SAMPLE_RATE_HZ, subtype="PCM_16")


def write_sample_clips(folder: Path | str, size_px: int = 256, heads: Path | str | None = None) -> None:
    """Write clip.mp4, a head that speaks for 3.2 s, to be dubbed and scored, and feeling.mp4, a surprised one to borrow
    from."""
    from ..media.sound.audio import read_audio
    from ..media.video.files import write_video

    speech = SpeechBank(0, 8, "heldout")
    calm = write_script(10, n_frames=80, split="heldout", speech=speech, emotion="neutral", head=0.7)
    surprised = write_script(14, n_frames=50, split="heldout", speech=speech, emotion="surprised", level=2, head=0.7)
    for name, script in (("clip", calm), ("feeling", surprised)):
        frames = film(script, size_px, heads, has_effects=False).frames
        sound = read_audio(script.samples, SAMPLE_RATE_HZ)
        write_video(Path(folder) / f"{name}.mp4", frames, audio=sound, overwrite=True)


def _row(kind: str, rng: np.random.Generator, row: int, size_px: int, heads: Path | str | None) -> list[np.ndarray]:
    stage = open_stage(draw_head_seed(rng, "train"), size_px, heads)
    if kind == "emotions":
        return list(stage.draw(np.stack([_state(emotion) for emotion in EMOTIONS]))[0])
    emotion = EMOTIONS[row % len(EMOTIONS)]
    return list(stage.draw(np.stack([_state(emotion, **mouth) for mouth in _MOUTHS]))[0])


def _moment(rng: np.random.Generator, size_px: int, heads: Path | str | None) -> np.ndarray:
    stage = open_stage(draw_head_seed(rng, "train"), size_px, heads)
    turn = {"yaw": rng.normal(0, 0.12), "pitch": rng.normal(0, 0.06), "roll": rng.normal(0, 0.05)}
    speaks = {"jaw": rng.uniform(0, 0.8), "open": rng.uniform(0, 0.6)} if rng.random() < 0.5 else {}
    state = _state(str(rng.choice(EMOTIONS)), intensity=rng.uniform(0.3, 1.0), **turn, **speaks)
    return stage.draw(state[None])[0][0]


def _clip_rows(seed: int, rows: int, size_px: int, heads: Path | str | None) -> list[list[np.ndarray]]:
    bank = SpeechBank(seed, 24, "train")
    scripts = [write_script(seed * 1000 + r, n_frames=16, split="train", speech=bank) for r in range(rows)]
    frames, references = render(scripts, size_px, heads)
    return [[reference, *clip[::2]] for clip, reference in zip(frames, references, strict=True)]


def _state(emotion: str, intensity: float = 1.0, **controls: float) -> np.ndarray:
    state = np.zeros(len(STATE), dtype=np.float32)
    units = emotion_code(emotion, 0.0 if emotion == "neutral" else intensity)[-len(ACTION_UNITS) :]
    for name, value in zip(ACTION_UNITS, units, strict=True):
        state[STATE_INDEX[name]] = value
    for name, value in controls.items():
        state[STATE_INDEX[name]] += value
    return state
