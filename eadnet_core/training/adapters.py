"""Training of the adapters on top of a base whose weights stay as they are.

Adapters are STDA, TFRM, emotion attention and frame conditions, with the emotion encoder. The loss is the base's own,
the squared error of the predicted noise, with TFRM's regulariser and the error's change from frame to frame, and what
`adapter_losses` adds. Layers are computed again in the backward pass, so that what is kept is little more than the
weights.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from ..config import DenoiserConfig, ModelConfig
from ..media.face.aligned_crop import MASKS, MOUTH_BOX, latent_mask
from ..media.sound.sync_features import SYNCNET_MEL_STEPS, syncnet_mel_windows
from ..nets.adapters import ADAPTERS, is_adapter_key
from ..nets.emotion_encoder import EmotionEncoder
from ..nets.latentsync.blocks import Level
from ..nets.latentsync.denoiser import LatentSyncDenoiser
from ..nets.stda import strip_turns
from ..sampling.conditions import FrameConditions
from ..sampling.prediction import prediction_of
from ..taxonomy import EMOTIONS
from ..weights.device import find_device
from ..weights.files import write_weights
from .adapter_losses import AdapterLossWeights, Judges, emotion_labels, emotion_loss, load_judges, projected
from .base_clips import encode_folder, open_base, read_clip, weights_hash
from .batch import Batch
from .denoiser_step import draw_noise
from .loop import Losses, Recipe, TrainOptions, fit, metadata_of
from .losses import region
from .processes import is_first

log = logging.getLogger(__name__)

BATCH = 1
"""Windows of 16 frames per step."""
LEARNING_RATE = 1e-4
COPIES = 5
"""Of each trained weight: itself, its gradient, two moments of AdamW, its running mean."""


@dataclass(frozen=True)
class AdapterBatch(Batch):
    """Windows of T frames, with all that the denoiser is given.

    latents       [B, T, C, h, w]       what is to be generated
    context       [B, 2C + 1, T, h, w]  mask | masked latents | reference latents
    tokens        [B, T, S, D_a]        of the sound encoder
    code          [B, T, 27]            emotion
    motion        [B, T, 8]             taxonomy.MOTION
    keep_audio    [B]                   1 where the sound is given, 0 where it is dropped
    keep_emotion  [B]                   0 also where the clip has no code
    keep_motion   [B]                   0 also where the clip has no motion
    mel           [B, 1, 80, 52]        what a SyncNet hears of the window
    has_mel       [B]                   0 where the window's sound ends before that
    """

    latents: Tensor
    context: Tensor
    tokens: Tensor
    code: Tensor
    motion: Tensor
    keep_audio: Tensor
    keep_emotion: Tensor
    keep_motion: Tensor
    mel: Tensor
    has_mel: Tensor


@dataclass(frozen=True)
class AdapterMix:
    """What a batch is made of, and what the losses weigh."""

    drop_audio: float = 0.05
    drop_emotion: float = 0.1
    drop_motion: float = 0.1
    full_mask: float = 0.5
    """Share of windows of which the whole face is generated, brows and eyes too; of the others the lower half."""
    portrait: float = 0.5
    """Share of windows whose reference is another picture of the head, where the clip has one: it may feel otherwise,
    so that the emotion is learned from what is asked."""
    shared_noise: float = 0.5
    """Share of the noise's variance that all frames have in common."""
    temporal_difference: float = 0.1
    graph: float = 0.01


class AdapterObjective(nn.Module):
    """The losses of one batch; only adapters, the emotion encoder and the reader of emotions get gradients."""

    def __init__(
        self,
        denoiser: LatentSyncDenoiser,
        emotion: EmotionEncoder,
        mix: AdapterMix,
        weights: AdapterLossWeights | None = None,
        judges: Judges | None = None,
    ) -> None:
        super().__init__()
        self.denoiser, self.emotion, self.mix, self.judges = denoiser, emotion, mix, judges
        self.weights = weights or AdapterLossWeights()
        for name, weight in denoiser.named_parameters():
            weight.requires_grad_(is_adapter_key(name))
        self.emotion_head = nn.Linear(denoiser.config.widths[-1], len(EMOTIONS)) if self.weights.emotion else None

    def forward(self, batch: AdapterBatch) -> Losses:
        """The noise's error, its change from frame to frame, TFRM's regulariser, what else has a weight; their sum."""
        latents = rearrange(batch.latents, "b t c h w -> b c t h w")
        prediction = prediction_of(self.denoiser.config)
        t = prediction.draw_times(len(latents), device=latents.device)
        noise = draw_noise(latents, self.mix.shared_noise)
        x_t = prediction.add_noise(latents, noise, t)
        n_frames = latents.shape[2]
        null = self.emotion.null(len(latents), n_frames, latents.device)
        emotion = torch.where(batch.keep_emotion[:, None, None, None] > 0, self.emotion(batch.code), null)
        known = batch.keep_motion[:, None].expand(-1, n_frames)
        audio = batch.tokens * batch.keep_audio[:, None, None, None]
        motion = batch.motion * known[:, :, None]
        given = FrameConditions(batch.context, audio, emotion, motion, known)
        found, aux = self.denoiser(x_t, t, given, return_aux=True, recompute=True)
        error = prediction.training_error(found.float(), latents, noise, x_t, t)
        losses: Losses = {"noise": error.square().mean(), "graph": aux["graph_regulariser"].float()}
        losses["temporal_difference"] = error.diff(dim=2).square().mean() if n_frames > 1 else error.new_zeros(())
        total = losses["noise"] + self.mix.graph * losses["graph"]
        total = total + self.mix.temporal_difference * losses["temporal_difference"]
        judged = self._judged(prediction.to_x0(found.float(), x_t, t), latents, t, batch)
        for name, value in judged.items():
            total = total + getattr(self.weights, name) * value
        losses |= judged
        if self.emotion_head is not None:
            told = emotion_loss(
                self.emotion_head(aux["bottleneck"].float().mean(1)), emotion_labels(batch.code, batch.keep_emotion)
            )
            losses["emotion"] = told
            total = total + self.weights.emotion * told
            if self.weights.is_projected and torch.is_grad_enabled():
                mouth = region(MOUTH_BOX, latents.shape[-1]).to(error)
                lips = (mouth * error.square()).mean() + self.weights.sync * judged.get("sync", error.new_zeros(()))
                trained = [weight for weight in self.denoiser.parameters() if weight.requires_grad]
                change, losses["gradients"] = projected(told, lips, [*trained, *self.emotion.parameters()])
                total = total + self.weights.emotion * change
        return {"loss": total, **losses}

    def _judged(self, x0: Tensor, target: Tensor, t: Tensor, batch: AdapterBatch) -> Losses:
        """What the judges say of the windows that are clear enough, in float32."""
        losses: Losses = {}
        if self.judges is None:
            return losses
        prediction, below = prediction_of(self.denoiser.config), self.weights.judged_below
        below = prediction.judged_below if below is None else below
        with torch.autocast(x0.device.type, enabled=False):
            clear = prediction.fraction(t) < below
            heard = clear & (batch.keep_audio > 0) & (batch.has_mel > 0)
            if self.weights.sync and bool(heard.any()):
                losses["sync"] = self.judges.sync(x0[heard], batch.mel[heard])
            if self.weights.trepa and bool(clear.any()):
                losses["trepa"] = self.judges.trepa(x0[clear], target[clear])
        return losses


def trained_modules(denoiser: LatentSyncDenoiser, emotion: EmotionEncoder | None, file: str) -> nn.ModuleDict:
    """The adapters of one file alone, by the prefix of their keys in it with "/" for "."."""
    found, marks = nn.ModuleDict({} if emotion is None else {"emotion": emotion}), ADAPTERS[file]
    for name, module in denoiser.named_modules():
        *parents, last = name.split(".")
        if last in marks and marks.isdisjoint(parents):
            found[f"denoiser/{name.replace('.', '/')}"] = module
    return found


def draw_windows(
    clips: list[Path], config: DenoiserConfig, mix: AdapterMix, rng: np.random.Generator, n: int
) -> AdapterBatch:
    """`n` windows of random clips, each with another part of its clip as the reference, as LatentSync is trained."""
    return AdapterBatch.stack([_window(clips[rng.integers(len(clips))], config, mix, rng) for _ in range(n)])


def windows_of(
    clips: Sequence[Path], config: DenoiserConfig, mix: AdapterMix, rng: np.random.Generator
) -> AdapterBatch:
    """A random window of each of these clips, as `draw_windows`."""
    return AdapterBatch.stack([_window(clip, config, mix, rng) for clip in clips])


def _window(path: Path, config: DenoiserConfig, mix: AdapterMix, rng: np.random.Generator) -> AdapterBatch:
    """One window of a clip, without B in front of its fields."""
    clip = read_clip(path)
    start = int(rng.integers(len(clip.latents) - config.window_frames + 1))
    other = reference_start(start, len(clip.latents), config.window_frames, rng)
    here, there = (slice(first, first + config.window_frames) for first in (start, other))
    kind = MASKS[int(rng.random() < mix.full_mask)]
    mask = latent_mask(8 * config.cells, kind).float().expand(config.window_frames, -1, -1, -1)
    reference = clip.latents[there]
    if len(clip.portrait) and rng.random() < mix.portrait:
        reference = clip.portrait.expand_as(reference)
    context = torch.cat([mask, clip.masked[kind][here], reference], 1)
    mel, has_mel = _heard(clip.sync_mel, start)
    keep = {name: float(rng.random() >= getattr(mix, f"drop_{name}")) for name in ("audio", "emotion", "motion")}
    return AdapterBatch(
        latents=clip.latents[here],
        context=context.transpose(0, 1),
        tokens=clip.tokens[here],
        code=clip.code[here],
        motion=clip.motion[here],
        keep_audio=torch.tensor(keep["audio"]),
        keep_emotion=clip.has_code * keep["emotion"],
        keep_motion=clip.has_motion * keep["motion"],
        mel=mel,
        has_mel=has_mel,
    )


def reference_start(start: int, n_frames: int, window: int, rng: np.random.Generator) -> int:
    """First frame of a window that shares no frame with the one at `start`; in a clip too short for that, the furthest.

    A reference that showed the frames themselves would teach to copy their lips, and not to hear.

    >>> reference_start(2, 20, 16, np.random.default_rng(0)), reference_start(4, 16, 8, np.random.default_rng(0))
    (4, 8)
    """
    starts = np.arange(n_frames - window + 1)
    apart = np.abs(starts - start)
    free = starts[apart >= window]
    return int(rng.choice(free) if len(free) else starts[::-1][apart[::-1].argmax()])


def _heard(mel: Tensor, first: int) -> tuple[Tensor, Tensor]:
    """What a SyncNet hears from a frame on, [1, 80, 52], of a sound [80, N], and whether that is sound to its end."""
    try:
        return syncnet_mel_windows(mel, [first])[0], torch.ones(())
    except IndexError:
        return torch.zeros(1, mel.shape[0], SYNCNET_MEL_STEPS), torch.zeros(())


@dataclass(frozen=True)
class MemoryForecast:
    """Bytes that a training takes where the base is; what the system and the kernels' scratch take comes on top."""

    base: int
    trained: int
    """Adapters with gradients, moments and mean."""
    kept: int
    """What the forward pass keeps: the inputs of layers, and what lies between them."""
    layer: int
    """The insides of the largest layer, when it is computed again."""

    @property
    def total(self) -> int:
        return self.base + self.trained + self.kept + self.layer

    def __str__(self) -> str:
        """One sentence.

        >>> str(MemoryForecast(5_000_000_000, 2_000_000_000, 500_000_000, 500_000_000))
        'about 8.0 GB: 5.0 GB the base, 2.0 GB the adapters and their optimiser, 1.0 GB the pass of a batch'
        """
        base, trained, batch = (n / 1e9 for n in (self.base, self.trained, self.kept + self.layer))
        return (
            f"about {self.total / 1e9:.1f} GB: {base:.1f} GB the base, {trained:.1f} GB the adapters and their "
            f"optimiser, {batch:.1f} GB the pass of a batch"
        )


def forecast_memory(net: LatentSyncDenoiser, config: ModelConfig, batch: int = BATCH) -> MemoryForecast:
    """What a step will take in float32, from a forward pass over tensors that have shapes and no values."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    c = config.denoiser
    channels, cells = c.latent_channels, (c.window_frames, c.cells, c.cells)
    frames = (batch, c.window_frames)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        saved = _Saved(net, [mode.from_tensor(weight) for weight in net.parameters()])
        with saved, torch.autograd.graph.saved_tensors_hooks(saved.pack, lambda x: x):
            given = FrameConditions(
                torch.empty(batch, 2 * channels + 1, *cells),
                torch.empty(*frames, config.audio.tokens_per_frame, c.audio_width),
                torch.empty(*frames, config.emotion.tokens, c.emotion_width, requires_grad=True),
                torch.empty(*frames, c.motion_size),
                torch.ones(frames),
            )
            net(torch.empty(batch, channels, *cells), torch.zeros(batch), given, return_aux=True)
    strip_turns.cache_clear()  # those of this pass have no values
    sizes = {name: value.numel() * value.element_size() for name, value in net.state_dict().items()}
    trained = sum(size for name, size in sizes.items() if is_adapter_key(name))
    inside = list(saved.inside.values())
    kept = saved.total - sum(inside) + sum(saved.inputs.values())
    return MemoryForecast(sum(sizes.values()) - trained, COPIES * trained, kept, max(inside))


class _Saved:
    """Counts what autograd keeps of a pass, in all and inside each layer that `recompute` would leave out."""

    def __init__(self, net: LatentSyncDenoiser, weights: list[Tensor]) -> None:
        self.net = net
        # weights come as themselves or as their fakes; both are held, as a freed number may go to another tensor
        self._held = [weight.untyped_storage() for weight in (*net.parameters(), *weights)]
        self._fakes = weights
        self.weights = {storage._cdata for storage in self._held}
        self.seen: dict[int, Any] = {}
        self.total = 0
        self.inside: dict[tuple[int, int], int] = {}
        self.inputs: dict[tuple[int, int], int] = {}
        self._began = 0
        self._hooks: list[Any] = []

    def __enter__(self) -> None:
        for level, module in enumerate(m for m in self.net.modules() if isinstance(m, Level)):
            for parts in (module.resnets, module.conditions, module.attentions, module.motion_modules, module.stda):
                for i, part in enumerate(parts[:1] if module is self.net.mid_block else parts):
                    self._hooks.append(part.register_forward_pre_hook(self._begin))
                    end = self._ender((level, i), is_first=parts is module.resnets)
                    self._hooks.append(part.register_forward_hook(end))

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def pack(self, value: Tensor) -> Tensor:
        """Count a tensor that is kept, once, and weights never."""
        storage = value.untyped_storage()
        if storage._cdata not in self.weights and storage._cdata not in self.seen:
            self.seen[storage._cdata] = storage  # holds on to it, so that its number is not given away
            self.total += storage.nbytes()
        return value

    def _begin(self, *_: Any) -> None:
        self._began = self.total

    def _ender(self, layer: tuple[int, int], *, is_first: bool) -> Any:
        def end(_: nn.Module, inputs: tuple[Any, ...], __: Any) -> None:
            self.inside[layer] = self.inside.get(layer, 0) + self.total - self._began
            if is_first:
                self.inputs[layer] = inputs[0].numel() * inputs[0].element_size()

        return end


def train_adapters(
    base: Path,
    data: Path,
    output: Path,
    options: TrainOptions,
    mix: AdapterMix | None = None,
    weights: AdapterLossWeights | None = None,
) -> dict[str, float]:
    """Train adapters on the clips of a folder and write them to `output`; returns how long: steps, minutes, clips.

    base    the denoiser's file, or the folder with it; vae.safetensors and whisper.safetensors lie beside it
    data    folder of shards or videos, see `base_clips`
    output  adapters.safetensors; beside the base it is opened with it by `load_model`
    weights of what judges beside the base say; by default none is asked
    """
    mix, weights = mix or AdapterMix(), weights or AdapterLossWeights()
    torch.manual_seed(options.seed)  # fresh adapters are random
    config, denoiser = open_base(base)
    judges = load_judges(base if base.is_dir() else base.parent, config, weights)
    torch.manual_seed(options.seed)
    emotion = EmotionEncoder(config.emotion)
    objective = AdapterObjective(denoiser, emotion, mix, weights, judges)
    log.info("training takes %s", forecast_memory(denoiser, config, options.batch or BATCH))
    device, window = find_device(options.device), config.denoiser.window_frames
    clips = encode_folder(data, Path(options.run_folder) / "encoded", base, config.size_px, device, window)
    trained = trained_modules(denoiser, emotion, "adapters")
    if objective.emotion_head is not None:
        trained["head"] = objective.emotion_head
    recipe = Recipe(
        "adapters",
        trained,
        objective,
        draw=None,
        pick=lambda rng, numbers: windows_of([clips[i] for i in numbers], config.denoiser, mix, rng),
        n_samples=len(clips),
        batch=BATCH,
        learning_rate=LEARNING_RATE,
        base_hash=weights_hash(base, "denoiser"),
    )
    averaged, at = fit(recipe, options)
    state = dict(named_weights(averaged))
    if is_first():
        write_weights(output, "adapters", state, config, {**metadata_of(options.seed, at), "n_clips": len(clips)})
    return {"steps": at.step, "minutes": round(at.seconds / 60, 1), "clips": len(clips)}


def named_weights(trained: Any) -> Iterator[tuple[str, Tensor]]:
    """Keys and weights of `trained_modules` as a file holds them."""
    for name, module in trained.items():
        if name == "head":  # reads emotions in training alone
            continue
        for key, value in module.state_dict().items():
            yield f"{name.replace('/', '.')}.{key}", value.detach().cpu().contiguous().clone()
