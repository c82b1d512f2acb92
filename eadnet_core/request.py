"""What a user asks for and what comes back, as plain values: options, progress, segments, the report.

Light on purpose: the command line reads its defaults here without loading torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .config import SamplingConfig
from .errors import BadInput

if TYPE_CHECKING:
    import numpy as np

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels of the picture."""


@dataclass(frozen=True)
class GenerateOptions:
    """Every setting of a generation, with its default; None is the model's own (`config.SAMPLING`).

    Raises BadInput for a value out of its range.
    """

    steps: int | None = None
    """Denoising steps, 1 .. 100; time grows with them. The mini takes 1, a base 20."""
    guidance_audio: float | None = None
    """Weight of the sound, 0 .. 10; 1 is the net's own and costs nothing, another value one more pass per step. The
    mini takes 1.3, a base 1.5."""
    guidance_emotion: float | None = None
    """Weight of the emotion, 0 .. 10; costs as guidance_audio. The minis and a base with adapters take 1.5."""
    sync_guidance: float = 0.0
    """Pull of the SyncNet on the mouth, 0 .. 1; 0.2 helps the mini's lips a little."""
    sync_low: float = 0.30
    sync_high: float = 1.0
    """The noise range in which it pulls, 0 clean .. 1 pure noise."""
    stda_strength: float = 1.0
    tfrm_strength: float = 1.0
    """Scale of what STDA and TFRM add, 0 left out .. 1 as trained .. 2."""
    window_frames: int = 0
    """Frames of a window, 0 as trained; other lengths change how far motion is seen together."""
    windows: str = "shifted"
    """How a long clip is cut for the net: shifted from step to step, so that no seam stays in place, or fixed, as
    LatentSync does."""
    hearing: str = "overlapped"
    """How a base hears a sound of more than 30 s: overlapped, or exact as LatentSync, whose lips glitch every 30 s."""
    speed: str = "exact"
    """How a base computes: exact, every bit as LatentSync; shared, where what the predictions of guidance have in
    common is computed once and the last bits differ; or compiled, the same through torch.compile, minutes at first."""
    reuse: int = 1
    """A base computes its deep layers in one step of so many, 1 .. 8, and takes their features from the step before in
    the others: faster, and the picture differs."""
    times: str = "leading"
    """Where the steps of a base lie: leading as LatentSync, or trailing from pure noise on, for 5 steps or so."""
    is_tiled: bool = False
    """A base's autoencoder works a picture at a time, larger ones in tiles of 256 pixels: less memory, more time."""
    head: float = 1.0
    """Amplitude of head motion, 0 none .. 1 as trained .. 2."""
    blink: float = 1.0
    """Rate of blinks, 0 none .. 1 natural .. 3."""
    gaze: float = 1.0
    """Amplitude of the eyes' jumps, 0 they look where the portrait's do .. 1 as trained .. 1.5."""
    lips: float = 1.0
    """Amplitude of speech, 0 mouth at rest .. 1 as trained .. 2; above 1 adds to guidance_audio."""
    emotion_scale: float = 1.0
    """Amplitude of the emotion, 0 neutral .. 1 as the words say; guidance_emotion goes beyond."""
    prosody_weight: float = 0.0
    """Share of the emotion that the voice itself tells, 0 the words alone .. 1 the voice alone."""
    has_speech_gate: bool = True
    """Keep the mouth at rest where nobody speaks."""
    seed: int = 0
    face_box: Box | None = None
    """The face by hand; it always wins over the detector. In a video it says which face is followed."""
    face_index: int = 0
    """Which face, where there are several: 0 the most prominent, 1 the next, ..."""
    mask: str = "auto"
    """What is pasted back: mouth, face or full; auto is full in a portrait, and in a video face where an emotion was
    asked for and mouth where none was."""
    on_missing: str = "hold"
    """A video's frames without a face: hold the face where it was, pass_through, or stop with an error."""
    length: str = "shortest"
    """Where a video and its sound differ: end with the shortest, or go on to the end of the audio or of the video."""
    shift: float = 1.0
    """Above 1 spends more of the steps near pure noise."""
    segment_frames: int = 250
    """Frames that are finished and handed out together; memory grows with them."""
    batch_windows: int | None = None
    """Windows in one forward pass; more is faster on a GPU and takes more memory. The mini takes 4, a base 1."""

    def __post_init__(self) -> None:
        for name, (low, high, is_whole) in _RANGES.items():
            value = getattr(self, name)
            if value is None and name in MODELS_OWN:
                continue
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
            if not is_number or not low <= value <= high or (is_whole and int(value) != value):
                kind = "a whole number" if is_whole else "a number"
                raise BadInput(f"{name} is {value!r}; give {kind} in {low} .. {high}.")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise BadInput(f"{name} is {getattr(self, name)!r}; give one of {', '.join(choices)}.")
        if self.sync_low > self.sync_high:
            raise BadInput(f"sync_low {self.sync_low} lies above sync_high {self.sync_high}; exchange them.")

    def of(self, own: SamplingConfig) -> GenerateOptions:
        """The same with the model's own numbers in place of None.

        >>> GenerateOptions(steps=7).of(SamplingConfig(20, 1.5, 1.5, 1)).steps
        7
        >>> GenerateOptions().of(SamplingConfig(20, 1.5, 1.5, 1)).steps
        20
        """
        return replace(self, **{name: getattr(own, name) for name in MODELS_OWN if getattr(self, name) is None})


MODELS_OWN = ("steps", "guidance_audio", "guidance_emotion", "batch_windows")
"""Options whose default is the model's own."""
CHOICES: dict[str, tuple[str, ...]] = {
    "windows": ("shifted", "fixed"),
    "hearing": ("overlapped", "exact"),
    "speed": ("exact", "shared", "compiled"),
    "times": ("leading", "trailing"),
    "mask": ("auto", "mouth", "face", "full"),
    "on_missing": ("hold", "pass_through", "stop"),
    "length": ("shortest", "audio", "video"),
}
"""What the options that are words can be."""
_RANGES: dict[str, tuple[float, float, bool]] = {
    "steps": (1, 100, True),
    "guidance_audio": (0, 10, False),
    "guidance_emotion": (0, 10, False),
    "sync_guidance": (0, 1, False),
    "sync_low": (0, 1, False),
    "sync_high": (0, 1, False),
    "stda_strength": (0, 2, False),
    "tfrm_strength": (0, 2, False),
    "window_frames": (0, 128, True),
    "head": (0, 2, False),
    "blink": (0, 3, False),
    "gaze": (0, 1.5, False),
    "lips": (0, 2, False),
    "emotion_scale": (0, 1, False),
    "prosody_weight": (0, 1, False),
    "seed": (0, 2**63 - 1, True),
    "face_index": (0, 99, True),
    "reuse": (1, 8, True),
    "shift": (0.1, 20, False),
    "segment_frames": (1, 10_000, True),
    "batch_windows": (1, 256, True),
}


@dataclass(frozen=True)
class Progress:
    """Where a run stands; done and total count frames times (steps + 1), the decoding being one step."""

    stage: str
    done: int
    total: int
    preview: Callable[[], np.ndarray]
    """Draws the latest estimate of the newest frame, uint8 [H, W, 3] in the training frame; costs nothing uncalled."""


OnProgress = Callable[[Progress], None]
Cancel = Callable[[], bool]


@dataclass(frozen=True)
class Segment:
    """Finished frames of the full picture."""

    frames: np.ndarray
    """uint8 [T, H, W, 3]"""
    start_frame: int
    face_frames: np.ndarray
    """uint8 [T, size, size, 3]: the same in the training frame, what the scores are computed from."""


@dataclass
class GenerationReport:
    """What was made and how; filled while it runs."""

    model: str
    device: str
    n_frames: int
    fps: int
    width_px: int
    height_px: int
    face_crop: dict[str, float]
    """Where the training frame lies on the picture: middle and side in pixels, turn in radians."""
    options: GenerateOptions
    emotions: list[dict[str, Any]] = field(default_factory=list)
    """How each prompt was read: start_s, text, label, intensity, valence, arousal."""
    faces: list[dict[str, Any]] = field(default_factory=list)
    """Of a video, for every frame: whether the face was found, held or passed, and where it lies."""
    notes: list[str] = field(default_factory=list)
    """Every value that had to change, and every input that was repaired."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time by stage."""

    @property
    def seconds_per_second(self) -> float:
        """Wall time of all stages but the loading of the model, per second of video."""
        return sum(s for stage, s in self.seconds.items() if stage != "load") * self.fps / self.n_frames

    def settings(self) -> dict[str, Any]:
        """What made the clip, as plain JSON values: the report without timings and what is said of every frame."""
        return {name: value for name, value in asdict(self).items() if name not in ("seconds", "faces")}

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return {**asdict(self), "seconds_per_second": self.seconds_per_second}
