"""What a user asks for and what comes back, as plain values: options, progress, segments, the report.

Light on purpose: the command line reads its defaults here without loading torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from .config import SamplingConfig
from .errors import BadInput
from .option import Option, option

if TYPE_CHECKING:
    import numpy as np

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels of the picture."""
SHORTER_VOICES = ("silence", "hold", "loop", "bounce", "cut")
"""Where one of several voices is shorter than another: its face listens, or keeps its last pose; the voice begins anew;
the face goes to and fro through how it moved while it spoke, its mouth at rest; or the clip ends with the shortest."""


@dataclass(frozen=True)
class GenerateOptions:
    """Every setting of a generation, with its default; None is the model's own (`config.SAMPLING`).

    Raises BadInput for a value out of its range.
    """

    steps: int | None = option(
        None,
        "Denoising steps; time grows in proportion.",
        "denoising steps; time grows with them",
        within=(1, 100),
        is_whole=True,
        is_own=True,
    )
    guidance_audio: float | None = option(
        None,
        "Weight of the sound. 1 is the net as it was trained; above 1 follows the sound more closely. It is free on "
        "the mini; a base takes one more pass per step unless it is 1.",
        "weight of the sound; on a base, other than 1 costs a pass more per step",
        within=(0, 10),
        step=0.1,
        is_own=True,
    )
    guidance_emotion: float | None = option(
        None,
        "Weight of the emotion. 1 is the net as it was trained; above 1 exaggerates. It is free on the mini; a base "
        "takes one more pass per step unless it is 1.",
        "weight of the emotion; on a base, other than 1 costs a pass more per step",
        within=(0, 10),
        step=0.1,
        is_own=True,
    )
    sync_guidance: float = option(
        0.0,
        "Pull of the SyncNet on the mouth. 0 off, 0.2 helps the mini a little; costs a pass through the small SyncNet "
        "in every second step of its range. The mini makes its guidance in three passes for it.",
        "pull of the SyncNet on the mouth, 0 off, 0.2 helps the mini a little",
        within=(0, 1),
        step=0.05,
    )
    sync_low: float = option(
        0.30,
        "Where the SyncNet stops pulling, as a share of the noise: 0 clean, 1 pure noise. Lower costs a pass in more "
        "steps.",
        within=(0, 1),
        step=0.05,
    )
    sync_high: float = option(
        1.0,
        "Where the SyncNet begins to pull, as a share of the noise. Above sync_low. Higher costs a pass in more steps.",
        within=(0, 1),
        step=0.05,
    )
    stda_strength: float = option(
        1.0,
        "How much the strips of attention along rows, columns and time add. 0 leaves them out and is a little faster, "
        "1 as trained, 2 twice as much.",
        within=(0, 2),
        step=0.05,
    )
    tfrm_strength: float = option(
        1.0,
        "How much the learned graph over frames adds, which steadies a clip. 0 leaves it out and is a little faster, "
        "1 as trained.",
        within=(0, 2),
        step=0.05,
    )
    identity_strength: float = option(
        1.0,
        "How much a base's identity adapter adds, where its folder has identity.safetensors: lips that look like this "
        "person's. 0 leaves it out and is a little faster, 1 as trained.",
        within=(0, 1),
        step=0.05,
    )
    style_strength: float = option(
        1.0,
        "How much the style of a speaker counts: 0 leaves it out, 1 as it is, 2 twice as much. Without effect where no "
        "style is given and style_vividness is 0. It costs about 6 % of the sampling.",
        within=(0, 2),
        step=0.05,
    )
    style_vividness: float = option(
        0.0,
        "How far a clip's style is drawn from the mean: 0 the mean, 1 as people differ, 2 twice as far. Higher moves "
        "head, eyes and brows more, each seed in its own way. Without a style the average person is the mean. No cost.",
        within=(0, 2),
        step=0.05,
    )
    window_frames: int = option(
        0,
        "Frames that are denoised together, 25 to the second. 0 as trained (mini: 16). Longer windows see more at once "
        "and take more memory.",
        within=(0, 128),
        is_whole=True,
        unit="frames",
    )
    windows: str = option(
        "shifted",
        "How a long clip is cut: shifted from step to step, or fixed as LatentSync does. Shifted, no seam stays in "
        "place.",
        choices=("shifted", "fixed"),
    )
    hearing: str = option(
        "overlapped",
        "How a base hears beyond 30 s: overlapped, or exact as LatentSync does. Exact, the lips glitch every 30 s.",
        choices=("overlapped", "exact"),
    )
    speed: str = option(
        "exact",
        "How a base computes: exact to LatentSync's bit; shared: what the predictions of guidance have in common is "
        "computed once; or compiled: that through torch.compile, which takes minutes at first. Shared and compiled "
        "differ from exact in the last bits.",
        choices=("exact", "shared", "compiled"),
    )
    reuse: int = option(
        1,
        "A base computes its deep layers in one step of N, the others reuse them: faster, and not the same.",
        within=(1, 8),
        is_whole=True,
        unit="steps",
    )
    times: str = option(
        "leading",
        "Where a base's steps lie: leading as LatentSync's, or trailing, for 5 steps or so. Trailing begins at pure "
        "noise.",
        choices=("leading", "trailing"),
    )
    is_tiled: bool = option(
        False,
        "A base's autoencoder works a picture at a time, larger ones in tiles of 256 pixels: less memory, more time.",
    )
    head: float = option(
        1.0,
        "Amplitude of head motion: 0 still, 1 natural, 2 twice as much. No cost.",
        "amplitude of head motion, 0 none, 1 as trained",
        within=(0, 2),
        step=0.05,
    )
    blink: float = option(
        1.0,
        "Rate of blinks: 0 none, 1 natural (about 20 a minute), 3 nervous. No cost.",
        "rate of blinks, 0 none, 1 natural",
        within=(0, 3),
        step=0.05,
    )
    gaze: float = option(
        1.0,
        "Amplitude of the eyes' jumps: 0 they look where the portrait's do, 1 natural, 1.5 half as far again. No cost.",
        "amplitude of the eyes' jumps, 0 none, 1 as trained",
        within=(0, 1.5),
        step=0.05,
    )
    lips: float = option(
        1.0,
        "Amplitude of speech: 0 mouth at rest, 1 as trained. Above 1 adds to the guidance by the sound, which costs "
        "a base one more pass per step.",
        "amplitude of speech, 0 none, 1 as trained",
        within=(0, 2),
        step=0.05,
    )
    emotion_scale: float = option(
        1.0,
        "Amplitude of every emotion that the Sampler is given: 0 neutral, 1 as asked. No cost.",
        "amplitude of the emotion, 0 neutral, 1 as the words say",
        within=(0, 1),
        step=0.05,
    )
    prosody_weight: float = option(
        0.0,
        "Share of the emotion that the voice tells, 0 the words alone, 1 the voice alone.",
        within=(0, 1),
        step=0.05,
    )
    has_speech_gate: bool = option(
        True,
        "Keep the mouth at rest where nobody speaks: silence, music, noise. Off, the mouth follows every sound. No "
        "cost.",
        "let the mouth move in silence and to music",
    )
    seed: int = option(
        0,
        "Start of the random numbers: the same seed gives the same clip, another one another performance. No cost.",
        "same seed, same video",
        within=(0, 2**63 - 1),
        is_whole=True,
    )
    face_box: Box | None = option(  # noqa: RUF009  a field, as all the others
        None,
        "The face by hand, in pixels, from the middle of the forehead to the chin. It always wins over the detector; "
        "in a video it says which face is followed.",
        unit="px",
    )
    face_index: int = option(
        0,
        "Which face, where there are several: 0 the most prominent. 1 is the next, and so on.",
        within=(0, 99),
        is_whole=True,
    )
    face_threshold: float = option(
        0.5,
        "How sure the search for a face must be, 0 to 1. Lower it where a face is missed, raise it where a pattern is "
        "taken for one. No cost.",
        within=(0, 1),
        step=0.05,
    )
    accept_any_face: bool = option(
        False,
        "Take the faces of animals, masks and cartoons too, which are refused otherwise. No cost.",
    )
    mask: str = option(
        "auto",
        "What is pasted back into the frames. auto is full in a portrait; in a video it is face where an emotion is "
        "given, else mouth.",
        choices=("auto", "mouth", "face", "full"),
        default_means="the face where an emotion is given, else the mouth",
    )
    background: str = option(
        "moving",
        "What lies behind the head. moving: near the head it moves a little with it; locked: outside the head every "
        "pixel is that of the picture, or of the video's frame; transparent: none, for compositing. "
        "The last two cost about 0.1 s a frame.",
        "behind the head: moving with it a little, locked to the picture's own pixels, or transparent",
        choices=("moving", "locked", "transparent"),
    )
    mouth_by: str = option(
        "base",
        "Who makes the mouth where a base is given words, which the mini performs. base paints it over the "
        "performance; blend paints the lips alone. mini leaves it performed: the base does not run, which saves most "
        "of the time.",
        "with words and a base: the base paints the mouth, the lips alone (blend), or the mini makes it too",
        choices=("base", "mini", "blend"),
    )
    lip_corners: float = option(
        1.0,
        "How far the lip corners that a base painted are moved back to where the performance has them. 0 leaves them "
        "as painted, 1 keeps smiles and frowns whole. A little time, to find landmarks in every frame.",
        within=(0, 1),
        step=0.05,
    )
    mask_edge: str = option(
        "landmarks",
        "Where the mouth that a base painted ends, within the base's own mask: landmarks follows jaw and cheeks of "
        "each frame, fixed is the mask's own shape. For a base that is given words. A little time, as lip_corners.",
        choices=("landmarks", "fixed"),
    )
    on_missing: str = option(
        "hold",
        "For videos: what happens to a frame without a face. hold keeps the face where it was, pass_through leaves the "
        "frame as it is, stop ends with an error. No cost.",
        "frames without a face: hold it where it was, pass them through, or stop",
        choices=("hold", "pass_through", "stop"),
    )
    length: str = option(
        "shortest",
        "End with the shortest, or go on to the end of the audio or the video. For a video and a sound that differ in "
        "length. No cost.",
        choices=("shortest", "audio", "video"),
    )
    shift: float = option(1.0, "Above 1 spends more of the steps near pure noise. No cost.", within=(0.1, 20), step=0.1)
    segment_frames: int = option(
        250,
        "Frames that are finished together; memory grows with them.",
        within=(1, 10_000),
        is_whole=True,
        unit="frames",
    )
    batch_windows: int | None = option(
        None,
        "Windows in one forward pass; memory grows with them. More is faster on a GPU.",
        within=(1, 256),
        is_whole=True,
        unit="windows",
        is_own=True,
    )

    def __post_init__(self) -> None:
        for name, known in OPTIONS.items():
            known.check(getattr(self, name))
        if self.sync_low > self.sync_high:
            raise BadInput(f"sync_low {self.sync_low} lies above sync_high {self.sync_high}; exchange them.")

    def of(self, own: SamplingConfig) -> GenerateOptions:
        """The same with the model's own numbers in place of None.

        >>> GenerateOptions(steps=7).of(SamplingConfig(20, 1.5, 1.5, 1)).steps
        7
        >>> GenerateOptions().of(SamplingConfig(20, 1.5, 1.5, 1)).steps
        20
        """
        unset = [name for name, known in OPTIONS.items() if known.is_own and getattr(self, name) is None]
        return replace(self, **{name: getattr(own, name) for name in unset})


OPTIONS: dict[str, Option] = {f.name: replace(f.metadata["option"], name=f.name) for f in fields(GenerateOptions)}
"""Every option by its name, in the order of the fields."""


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
    """uint8 [T, H, W, 3]; RGBA with straight alpha where the background is transparent"""
    start_frame: int
    faces: tuple[Callable[[], np.ndarray], ...]
    """What makes `face_frames` and `other_faces`: few ask for them."""

    @property
    def face_frames(self) -> np.ndarray:
        """uint8 [T, size, size, 3]: the same in the training frame, what the scores are computed from."""
        return self.faces[0]()

    @property
    def other_faces(self) -> tuple[np.ndarray, ...]:
        """The training frames of the second speaker and all others, where there are several."""
        return tuple(made() for made in self.faces[1:])


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
    performance: dict[str, Any] = field(default_factory=dict)
    """What drives the clip: `Driving.recipe` and its source; empty where nothing does."""
    style: dict[str, Any] = field(default_factory=dict)
    """The traits of who speaks, by name, and what they were read from; empty for nobody in particular."""
    performer: str | None = None
    """The model that performs the words where the one that was asked for cannot."""

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
