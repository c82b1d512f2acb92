"""Sizes and settings of every network, as frozen dataclasses; `PRESETS` names the ones we know."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any

from .errors import BadInput
from .taxonomy import ACTION_UNITS, EMOTION_CODE_SIZE, EMOTIONS, FIRST_EMOTIONS, MOTION

FPS = 25
"""Frames per second every network works at."""
SAMPLE_RATE_HZ = 16_000
N_MELS = 80
MEL_RATE_HZ = 100
"""Mel steps per second; 4 per video frame."""

EYE_LINE_Y, EYE_HALF_DISTANCE, MOUTH_Y = 0.44, 0.13, 0.71
"""Where eyes and mouth lie in the square training frame, in frame widths (centre x = 0.5)."""
BOX_TOP_Y, BOX_BOTTOM_Y = 0.19, 0.84
"""Heights in the training frame of a face box's top (the middle of the forehead) and bottom (the chin)."""
MASK_BOXES = {"full": (0.0, 0.0, 1.0, 1.0), "face": (0.125, 0.1875, 0.875, 1.0), "mouth": (0.1875, 0.5625, 0.8125, 1.0)}
"""x0, y0, x1, y1 of the region that is generated, in frame widths; whole latent cells at 16 cells."""

PERFORMANCE_LENGTHS = ("hold", "loop", "bounce")
"""Where a performance is shorter than the clip: its last pose stays while lids and eyes go on by themselves, it begins
again, or it runs to and fro."""
ATTENTION_BACKENDS = ("sdpa", "xformers", "plain")
"""Kernels of all attention: torch's own, the package xformers, or the formula as it stands."""
DENOISER_LAYOUTS = ("eadnet", "latentsync")
TEMPORAL_KINDS = ("stda", "plain")


@dataclass(frozen=True)
class VAEConfig:
    """The picture side of a mini: reads a reference picture, decodes motion latents; widths finest first."""

    latent_channels: int = 16
    size_px: int = 128
    """Side of the pictures that it looks at and of what it paints, 128 or 256; flow comes at half of 128 either way."""
    reference_widths: tuple[int, int, int] = (16, 48, 96)
    decoder_widths: tuple[int, int, int] = (40, 64, 128)
    is_aligned: bool = True
    """Whether every face is laid onto one shape by its landmarks; without, only the middle of the frame is enlarged."""
    has_light: bool = True
    """Whether what is moved is shaded; without, it keeps the reference's light."""
    has_paint: bool = True
    """Whether what the reference does not show is painted; without, all of a frame is moved."""

    def __post_init__(self) -> None:
        if self.size_px not in (128, 256):
            raise BadInput(f"size_px is {self.size_px}, which a mini's pictures do not have; choose 128 or 256.")


@dataclass(frozen=True)
class AudioConfig:
    """Log-mel [B, 4 T, 80] -> S tokens per frame."""

    width: int = 128
    tokens_per_frame: int = 6
    layers: int = 4


@dataclass(frozen=True)
class EmotionConfig:
    """Emotion code -> E tokens."""

    code_size: int = len(FIRST_EMOTIONS) + 3 + len(ACTION_UNITS)
    width: int = 128
    tokens: int = 4
    emotions: tuple[str, ...] = FIRST_EMOTIONS
    """The emotions that the net knows, in the order of its labels."""


@dataclass(frozen=True)
class DenoiserConfig:
    """The diffusion U-Net; widths, blocks and attention per level, finest level first."""

    layout: str = "eadnet"
    """"eadnet", our own blocks, or "latentsync", blocks that LatentSync's public weights fit into."""
    has_adapters: bool = True
    """Whether a "latentsync" net has STDA, TFRM, emotion attention and frame conditions beside the base; ours always
    has them."""
    latent_channels: int = 16
    cells: int = 16
    widths: tuple[int, ...] = (64, 128, 192)
    blocks: tuple[int, ...] = (1, 1, 1)
    """Layers of each level on the way down."""
    up_blocks: tuple[int, ...] = (1, 1, 1)
    """Layers of each level on the way up, each with one skip: at most one more than on the way down."""
    norm_groups: int = 8
    norm_over_frames: bool = False
    """Whether the residual blocks' group norms pool over the clip's frames (as LatentSync's) or see frames alone."""
    feed_forward_multiplier: int = 1
    self_attention: tuple[bool, ...] = (False, False, False)
    """Spatial self-attention of each level; the middle always has it. "latentsync" has it where it has the other."""
    cross_attention: tuple[bool, ...] = (False, True, False)
    """Audio and emotion attention of each level; the middle always has it."""
    stda: tuple[bool, ...] = (False, True, True)
    temporal: str = "stda"
    """What stands where `stda` is set: "stda", or "plain", attention of each cell over the frames, its rival."""
    stda_block_frames: tuple[int, ...] = (4, 16, 16)
    """t_loc of each level: frames that a row or column strip spans."""
    tfrm: tuple[bool, ...] = (False, True, False)
    """Levels that end with a TFRM."""
    tfrm_middle: bool = True
    """Whether the middle has one."""
    tfrm_nodes: int = 4
    tfrm_width: int = 64
    heads: int = 8
    condition_width: int = 256
    audio_width: int = 128
    emotion_width: int = 128
    motion_size: int = len(MOTION)
    window_frames: int = 16
    prediction: str = "residual"
    """"residual" (x0, the latents themselves; flow time 0 .. 1) or "epsilon": see `sampling.prediction`."""
    residual_std: float = 0.82
    has_identity: bool = False
    """Whether a "latentsync" net has the identity adapter: attention to tokens of who is seen."""
    identity_tokens: int = 4
    identity_width: int = 64
    guides_itself: bool = False
    """Whether the net predicts beside its output how sound and emotion move it, so that guidance takes one pass."""
    zero_init_adapters: bool = False
    """Whether the last projections of STDA, TFRM and emotion attention start at zero, as adapters on a trained base."""
    attention_backend: str = "sdpa"

    def __post_init__(self) -> None:
        if self.layout not in DENOISER_LAYOUTS:
            raise BadInput(f"layout is {self.layout!r}; choose one of {', '.join(DENOISER_LAYOUTS)}.")
        if self.temporal not in TEMPORAL_KINDS:
            raise BadInput(f"temporal is {self.temporal!r}; choose one of {', '.join(TEMPORAL_KINDS)}.")
        if self.guides_itself and self.layout != "eadnet":
            raise BadInput(f"guides_itself is True, which the layout {self.layout!r} does not know; leave it False.")
        if self.layout == "eadnet" and not self.has_adapters:
            raise BadInput("has_adapters is False, which only the layout 'latentsync' knows; leave it True.")


@dataclass(frozen=True)
class SyncNetConfig:
    """Two encoders, frames of the mouth region and log-mel, into one space."""

    space: str = "latents"
    """"latents" (supervises and guides) or "pixels" (the scoring expert)."""
    in_channels: int = 16
    frames: int = 5
    mel_context: int = 4
    """Mel steps added on both sides of the 4 * frames steps of the window."""
    widths: tuple[int, ...] = (64, 96, 128)
    embedding: int = 128


@dataclass(frozen=True)
class WhisperConfig:
    """Whisper's sound encoder; the defaults are those of "tiny", whose features LatentSync reads."""

    n_mels: int = N_MELS
    steps: int = 1500
    """Steps of one segment at 50 Hz: 30 s."""
    width: int = 384
    heads: int = 6
    layers: int = 4


@dataclass(frozen=True)
class SDVAEConfig:
    """Stable Diffusion's image autoencoder, 8 pixels to a cell; the defaults are those of sd-vae-ft-mse."""

    latent_channels: int = 4
    widths: tuple[int, ...] = (128, 256, 512, 512)
    layers: int = 2
    norm_groups: int = 32
    scale: float = 0.18215
    """Brings latents to about unit variance."""


@dataclass(frozen=True)
class StableSyncNetConfig:
    """LatentSync's SyncNet: 16 frames' lower halves and 52 mel steps into one space; widths, strides (rows, columns)
    and attention of each block of its two encoders."""

    frames: int = 16
    size_px: int = 256
    """Side of the aligned squares whose lower halves it looks at."""
    visual_widths: tuple[int, ...] = (64, 128, 256, 256, 512, 1024, 2048, 2048)
    visual_strides: tuple[tuple[int, int], ...] = ((1, 2), *((2, 2),) * 7)
    visual_attention: tuple[bool, ...] = (False, False, False, False, True, True, False, False)
    mel_widths: tuple[int, ...] = (32, 64, 128, 256, 512, 1024, 2048)
    mel_strides: tuple[tuple[int, int], ...] = ((2, 1), (2, 2), (2, 2), (1, 1), (2, 2), (2, 2), (2, 3))
    mel_attention: tuple[bool, ...] = (False, False, False, True, True, False, False)
    norm_groups: int = 32


@dataclass(frozen=True)
class VideoFeaturesConfig:
    """Masked video autoencoder over latents, what TREPA compares."""

    in_channels: int = 16
    cells: int = 16
    frames: int = 16
    patch: tuple[int, int, int] = (2, 4, 4)
    width: int = 128
    layers: int = 4
    heads: int = 4
    mask_ratio: float = 0.75


@dataclass(frozen=True)
class FaceFinderConfig:
    """MediaPipe's face finder: what it takes and how far away it sees are fixed."""

    range: str = "near"
    """"near", 128 px, faces that fill a fifth of the picture or more; or "far", 192 px, down to a fifteenth."""

    def __post_init__(self) -> None:
        if self.range not in ("near", "far"):
            raise BadInput(f"range is {self.range!r}; choose near or far.")


@dataclass(frozen=True)
class FaceMeshConfig:
    """MediaPipe's landmarks of a face."""

    points: int = 468


@dataclass(frozen=True)
class PersonConfig:
    """MediaPipe's selfie segmentation: who is in front; nothing of it can be chosen."""

    size_px: int = 256


@dataclass(frozen=True)
class EmotionBankConfig:
    """The reader of a reference's emotion: a small net that sees controls, and the bank that its queries look into."""

    width: int = 96
    entries: int = 64
    query_width: int = 32
    emotions: tuple[str, ...] = FIRST_EMOTIONS
    """The emotions that the net knows, in the order of its labels."""


@dataclass(frozen=True)
class TextReaderConfig:
    """The small BERT that reads emotion words, in the shape of MiniLM with a shorter vocabulary."""

    n_pieces: int = 15_000
    vocabulary_bytes: int = 0
    """Length of the vocabulary as text, one word piece a line."""
    width: int = 384
    layers: int = 6
    heads: int = 12
    hidden: int = 1536
    max_tokens: int = 128
    pooled_layers: tuple[int, ...] = (0, 2, 4, 6)
    """After how many layers the mean over the tokens is taken; the head sees them side by side."""
    emotions: tuple[str, ...] = FIRST_EMOTIONS
    """The emotions that the net knows, in the order of its labels."""


@dataclass(frozen=True)
class ModelConfig:
    """Everything needed to build one EAD-Net."""

    name: str = "mini"
    size_px: int = 128
    vae: VAEConfig = field(default_factory=VAEConfig)
    audio: AudioConfig = field(default_factory=AudioConfig)
    emotion: EmotionConfig = field(default_factory=EmotionConfig)
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    syncnet: SyncNetConfig = field(default_factory=SyncNetConfig)
    video_features: VideoFeaturesConfig = field(default_factory=VideoFeaturesConfig)


def latentsync_denoiser(cells: int) -> DenoiserConfig:
    """LatentSync's U-Net over `cells` x `cells` latents, with adapters that start as nothing; TFRM at 16 x 16 cells."""
    return DenoiserConfig(
        layout="latentsync",
        latent_channels=4,
        cells=cells,
        widths=(320, 640, 1280, 1280),
        blocks=(2, 2, 2, 2),
        up_blocks=(3, 3, 3, 3),
        norm_groups=32,
        norm_over_frames=True,
        feed_forward_multiplier=4,
        self_attention=(True, True, True, False),
        cross_attention=(True, True, True, False),
        stda=(True, True, True, False),
        stda_block_frames=(4 if cells > 32 else 16, 16, 16, 16),
        tfrm=tuple(cells >> level == 16 for level in range(4)),
        tfrm_width=256,
        audio_width=384,
        prediction="epsilon",
        zero_init_adapters=True,
    )


def base(name: str, size_px: int) -> ModelConfig:
    """A full-size model on LatentSync's weights; the sizes of its VAE, sound encoder and SyncNet lie in their files."""
    return ModelConfig(
        name=name,
        size_px=size_px,
        vae=VAEConfig(latent_channels=4),
        audio=AudioConfig(width=384, tokens_per_frame=50),
        denoiser=latentsync_denoiser(size_px // 8),
    )


_EMOTION = EmotionConfig(code_size=EMOTION_CODE_SIZE, emotions=EMOTIONS)
SMALL_VAE = SDVAEConfig(latent_channels=16, widths=(16, 32, 48, 64), layers=1, norm_groups=8, scale=1.0)
SMALL_WHISPER = WhisperConfig(steps=200, width=64, heads=4, layers=2)
SMALL_SYNCNET = StableSyncNetConfig(
    frames=8,
    size_px=64,
    visual_widths=(16, 24, 32, 48, 64, 128),
    visual_strides=((1, 2), *((2, 2),) * 5),
    visual_attention=(False,) * 6,
    mel_widths=(16, 24, 32, 48, 64, 96, 128),
    mel_attention=(False,) * 7,
    norm_groups=8,
)
"""The nets beside the denoiser of `base-small`; its autoencoder's scale is measured when it is trained."""
SMALL_BASE = ModelConfig(
    name="base-small",
    size_px=64,
    audio=AudioConfig(width=64, tokens_per_frame=30),
    emotion=EmotionConfig(width=64, tokens=4, code_size=EMOTION_CODE_SIZE, emotions=EMOTIONS),
    denoiser=replace(
        latentsync_denoiser(8),
        latent_channels=16,
        widths=(48, 96, 128, 128),
        blocks=(1, 1, 1, 1),
        up_blocks=(1, 1, 1, 1),
        norm_groups=16,
        feed_forward_multiplier=2,
        stda_block_frames=(8, 8, 8, 8),
        tfrm=(True, False, False, False),
        tfrm_width=64,
        heads=4,
        condition_width=128,
        audio_width=64,
        emotion_width=64,
        window_frames=8,
        prediction="residual",
        residual_std=1.0,
    ),
    video_features=VideoFeaturesConfig(in_channels=16, cells=8, frames=8, width=96, layers=3),
)
"""A base small enough to be trained on a CPU, of LatentSync's layout and keys. Why it predicts x0: ADR 42."""
PRESETS: dict[str, ModelConfig] = {
    "mini": ModelConfig(emotion=_EMOTION),
    "mini-256": ModelConfig(name="mini-256", size_px=256, vae=VAEConfig(size_px=256), emotion=_EMOTION),
    "base-256": replace(base("base-256", 256), emotion=_EMOTION),
    "base-512": replace(base("base-512", 512), emotion=_EMOTION),
    "base-small": SMALL_BASE,
}
"""What is trained: with the emotions of today. A weight file says itself which it knows."""


@dataclass(frozen=True)
class SamplingConfig:
    """What a kind of model is sampled with where nobody says otherwise."""

    steps: int
    guidance_audio: float
    guidance_emotion: float
    batch_windows: int


SAMPLING: dict[str, SamplingConfig] = {
    "mini": SamplingConfig(steps=1, guidance_audio=1.3, guidance_emotion=1.15, batch_windows=4),
    "base": SamplingConfig(steps=20, guidance_audio=1.5, guidance_emotion=1.5, batch_windows=1),
}
"""By family: the minis, and what LatentSync uses. At emotion guidance 1.35 a mini's faces are read more often,
move their lips less, and lose more of their identity (ADR 28). Lips speak more plainly at audio guidance 1.3."""


def to_dict(config: Any) -> dict[str, Any]:
    """A config as plain JSON values."""
    return asdict(config)


def from_dict(kind: Any, values: dict[str, Any]) -> Any:
    """The config dataclass `kind` from plain JSON values; unknown keys are an error (TypeError names them)."""
    types = {f.name: f for f in fields(kind)}
    built = {}
    for key, value in values.items():
        default: Any = types[key].default_factory if key in types else None
        if isinstance(value, dict) and is_dataclass(default):
            value = from_dict(default, value)
        built[key] = _tuples(value)
    return kind(**built)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value
