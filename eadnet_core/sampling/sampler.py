"""The sampling loop: noise in, x0 of a clip of any length out, segment by segment.

Step k of a frame needs nothing but step k - 1 of its window, so the steps run as a wavefront: each step advances along
the clip as far as the step before it allows, over one window plan for the whole clip. What comes out does not depend
on how the clip is cut into segments (no overlaps, no cross-fades, every frame denoised once per step), and what is held
at a time is one segment plus about one window per step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor

from ..config import DenoiserConfig
from ..errors import Cancelled
from .conditions import FrameConditions, hold_ends
from .guidance import SYNC_NOISE_RANGE, Net, Place, SyncGuide, guide_sync, passes, predict_x0, sync_steps
from .prediction import Guided, prediction_of
from .schedule import TimeGrid
from .windows import SHIFT_FRAMES, Window, batches, fuse, plan

OnStep = Callable[[int, int, Tensor], None]
"""(frame-steps done, frame-steps in all, latest x0 [C, T, h, w]); called after each batch of windows."""


@dataclass(frozen=True)
class SamplerOptions:
    """How to sample; the scales are those of nested guidance."""

    steps: int = 4
    shift: float = 1.0
    spacing: str = "leading"
    """One of schedule.SPACINGS: where the steps of a net that predicts noise lie."""
    guidance_audio: float = 1.0
    guidance_emotion: float = 1.0
    window_frames: int = 16
    windows: str = "shifted"
    """Or "fixed": whether their cuts move from step to step."""
    batch_windows: int = 4
    sync_range: tuple[float, float] = SYNC_NOISE_RANGE


def draw_noise(config: DenoiserConfig, seed: int) -> Tensor:
    """The noise [C, 1, h, w] that all frames of a clip share; drawn on the CPU, so that a seed is the same everywhere.

    Noise of its own for each frame shows up as jitter (1.99 against 0.85 of the true clips' in our measurement).
    """
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((config.latent_channels, 1, config.cells, config.cells), generator=generator)


@dataclass(frozen=True)
class ConditionSource:
    """Conditions of a clip, made on request: `read(start, stop)` is called once for each run of frames, in order."""

    n_frames: int
    read: Callable[[int, int], FrameConditions]


class Sampled(NamedTuple):
    """Frames that are finished.

    x0          [C, T, h, w]
    conditions  what these frames were made from
    """

    x0: Tensor
    conditions: FrameConditions


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Known:
    """Frames whose x0 is given: the windows see them at every noise level, and they come out as they went in.

    x0       [C, T, h, w]  of the whole clip; what it holds elsewhere is not looked at
    is_held  [T]           True where it is given
    """

    x0: Tensor
    is_held: Tensor

    def hold(self, x0: Tensor, start: int) -> Tensor:
        """x0 [C, t, h, w] of the frames from `start` on, with the given ones put in."""
        part = slice(start, start + x0.shape[1])
        return torch.where(self.is_held[part, None, None], self.x0[:, part], x0)


def grid_of(config: DenoiserConfig, options: SamplerOptions) -> TimeGrid:
    """The times of a run."""
    return prediction_of(config).grid(options.steps, options.shift, options.spacing)


def plans(options: SamplerOptions, n_frames: int, n_steps: int) -> list[list[Window]]:
    """The windows of each step."""
    shift = SHIFT_FRAMES if options.windows == "shifted" else 0
    return [plan(n_frames, options.window_frames, k, shift) for k in range(n_steps)]


def fills_windows(config: DenoiserConfig, options: SamplerOptions) -> bool:
    """Whether windows at the ends of a clip are filled up to the usual length."""
    return config.norm_over_frames and options.windows == "shifted"


def computed_frames(config: DenoiserConfig, options: SamplerOptions, n_frames: int) -> list[int]:
    """How many frames the net is given in each step of a clip, those that fill windows up included."""
    n_steps = len(grid_of(config, options))
    if not fills_windows(config, options):
        return [n_frames] * n_steps
    return [len(windows) * options.window_frames for windows in plans(options, n_frames, n_steps)]


class Wavefront:
    """The frames in flight, each at its own noise level: a ring whose size does not depend on the clip's length.

    reached[k] is the number of frames that have been through step k; the buffers hold the frames from `first` on.
    """

    def __init__(
        self,
        net: Net,
        config: DenoiserConfig,
        source: ConditionSource,
        noise: Tensor,
        options: SamplerOptions,
        sync: SyncGuide | None = None,
        on_step: OnStep | None = None,
        cancel: Callable[[], bool] | None = None,
        known: Known | None = None,
    ) -> None:
        self.net, self.config, self.source, self.noise, self.options = net, config, source, noise, options
        self.sync, self.on_step, self.cancel, self.known = sync, on_step, cancel or _never, known
        self.prediction, self.grid = prediction_of(config), grid_of(config, options)
        self.synced = sync_steps(self.grid.noise_fraction, options.sync_range) if sync is not None else frozenset()
        weights = options.guidance_audio, options.guidance_emotion
        self.needed = passes(config, *weights, needs_correction=bool(self.synced))
        self.plans = plans(options, source.n_frames, len(self.grid))
        self.is_filled = fills_windows(config, options)
        self.reached = [0] * len(self.grid)
        self.sync_tails: dict[int, Tensor] = {}
        self.first = 0
        self.x = noise[:, :0]
        self.conditions: FrameConditions | None = None

    def advance(self, stop: int) -> Sampled:
        """Run every step as far as needed for frames up to `stop` to be finished; give back those not yet given."""
        targets = self._targets(stop)
        self._load(targets[0])
        for k, target in enumerate(targets):
            windows = [w for w in self.plans[k] if w.start >= self.reached[k] and w.stop <= target]
            if windows:
                self._step(k, windows)
        assert self.conditions is not None
        n_done, n_held = stop - self.first, self.conditions.n_frames
        finished = Sampled(self.x[:, :n_done].clone(), self.conditions.frames(0, n_done))
        self.x = self.x[:, n_done:].clone()
        self.conditions = self.conditions.frames(n_done, n_held).cloned()
        self.first = stop
        return finished

    def begin(self, start: int) -> None:
        """Go on from frame `start` as if those before had been given back; called before anything else.

        At each step a frame depends on the frames of its window alone. So each step begins at the window that `start`
        needs, and the few frames before it are dropped. SyncNet guidance sees frames before those, too: with it frames
        come out a little otherwise.
        """
        first = start
        for k in reversed(range(len(self.grid))):
            first = max(window.start for window in self.plans[k] if window.start <= first)
            self.reached[k] = first
        self.first = first
        if first < start:
            self.advance(start)

    def state(self) -> dict[str, Tensor]:
        """Everything in flight but the view, so that `restore` goes on from here to the bit, in another process too.

        It lies on the CPU.
        """
        found = {"first": torch.tensor(self.first), "reached": torch.tensor(self.reached), "x": self.x}
        found |= {f"sync_tail.{k}": tail for k, tail in self.sync_tails.items()}
        if self.conditions is not None:
            values = {f.name: getattr(self.conditions, f.name) for f in fields(self.conditions)}
            found |= {f"conditions.{name}": value for name, value in values.items() if isinstance(value, Tensor)}
        return {name: value.detach().cpu().contiguous().clone() for name, value in found.items()}

    def restore(self, state: Mapping[str, Tensor], view: dict[str, Tensor] | None = None) -> None:
        """Go on from a `state` of the same clip with the same options.

        view  of the frames in flight, see `in_flight`
        """
        given = {name: value.to(self.noise.device) for name, value in state.items()}
        self.first, self.reached, self.x = int(given["first"]), given["reached"].tolist(), given["x"]
        tails = {name: value for name, value in given.items() if name.startswith("sync_tail.")}
        self.sync_tails = {int(name.partition(".")[2]): value for name, value in tails.items()}
        values = {name.partition(".")[2]: v for name, v in given.items() if name.startswith("conditions.")}
        is_any = self.x.shape[1] > 0
        self.conditions = FrameConditions(**values, view=view or {}) if is_any else None  # type: ignore[arg-type]

    @staticmethod
    def in_flight(state: Mapping[str, Tensor]) -> tuple[int, int]:
        """(start, stop) of the frames that a `state` holds."""
        first = int(state["first"])
        return first, first + state["x"].shape[1]

    def _targets(self, stop: int) -> list[int]:
        """How far each step must get: the last one to `stop`, each earlier one to where the next one's windows end."""
        targets = [0] * len(self.grid)
        for k in reversed(range(len(self.grid))):
            stop = next(w.stop for w in self.plans[k] if w.stop >= stop)
            targets[k] = stop
        return targets

    def _load(self, stop: int) -> None:
        """Bring in new frames as pure noise with their conditions."""
        start = self.first + self.x.shape[1]
        if stop <= start:
            return
        length = stop - start
        noise = self.noise[:, start:stop] if self.noise.shape[1] > 1 else self.noise.expand(-1, length, -1, -1)
        self.x = torch.cat([self.x, self.grid.start(noise)], dim=1)
        self.conditions = self.source.read(start, stop).after(self.conditions)

    def _step(self, k: int, windows: list[Window]) -> None:
        assert self.conditions is not None
        start, stop = windows[0].start, windows[-1].stop
        predicted: list[Guided] = []
        order: list[Window] = []
        n_done = sum(self.reached)
        for group in batches(windows, self.options.batch_windows):
            if self.cancel():
                raise Cancelled(f"Stopped at frame {self.first} of {self.source.n_frames}; finished frames are kept.")
            predicted.append(self._predict(k, group))
            order += group
            n_done += sum(window.length for window in group)
            self._tell(n_done, predicted[-1].x0[-1])
        x0 = fuse([piece for p in predicted for piece in p.x0], order)
        corrections = [piece for p in predicted if p.correction is not None for piece in p.correction]
        noises = [piece for p in predicted if p.noise is not None for piece in p.noise]
        if k in self.synced and self.sync is not None:
            x0 = self._synced(k, x0, fuse(corrections, order) if corrections else None, start)
            noises = []
        if self.known is not None:
            x0 = self.known.hold(x0, start)
            noises = []
        a, b = start - self.first, stop - self.first
        self.x[:, a:b] = self.grid.step(self.x[:, a:b], x0, k, fuse(noises, order) if noises else None)
        self.reached[k] = stop

    def _predict(self, k: int, group: list[Window]) -> Guided:
        """What the net makes of windows of equal length.

        Where norms pool over frames, a short one is filled up to the usual length with its frame at the clip's end
        held still, and what comes out for those frames is dropped: it looks to the net as in training.
        """
        assert self.conditions is not None
        n_short = self.options.window_frames - group[0].length if self.is_filled else 0
        fills = [(n_short, 0) if w.start == 0 and w.stop < self.source.n_frames else (0, n_short) for w in group]
        spans = [(w.start - self.first, w.stop - self.first) for w in group]
        samples = [self.x[:, a:b] for a, b in spans]
        conditions = [self.conditions.frames(a, b) for a, b in spans]
        if n_short:
            samples = [hold_ends(x, *fill, dim=1) for x, fill in zip(samples, fills, strict=True)]
            conditions = [c.held(*fill) for c, fill in zip(conditions, fills, strict=True)]
        x_t, time, place = torch.stack(samples), self.grid.times[k], self._place(k, group, fills)
        found = predict_x0(self.net, self.prediction, x_t, time, conditions, self.needed, place)
        if not n_short:
            return found
        kept = [slice(before, before + group[0].length) for before, _ in fills]
        cut = [None if v is None else torch.stack([x[:, s] for x, s in zip(v, kept, strict=True)]) for v in found]
        return Guided(*cut)  # type: ignore[arg-type]

    def _place(self, k: int, group: list[Window], fills: list[tuple[int, int]]) -> Place:
        filled = zip(group, fills, strict=True)
        frames = [
            [w.start] * before + [*range(w.start, w.stop)] + [w.stop - 1] * after for w, (before, after) in filled
        ]
        return Place(k, len(self.grid), tuple(map(tuple, frames)), tuple(self.needed))

    def _tell(self, n_done: int, x0: Tensor) -> None:
        if self.on_step is not None:
            self.on_step(n_done, self.source.n_frames * len(self.grid), x0)

    def _synced(self, k: int, x0: Tensor, correction: Tensor | None, start: int) -> Tensor:
        """SyncNet guidance, with the last frames of the run before in view so that no window is lost at a seam."""
        assert self.sync is not None and self.conditions is not None
        tail = self.sync_tails.get(k, x0[:, :0])
        behind = min(tail.shape[1], start - self.first)
        tail = tail[:, tail.shape[1] - behind :]
        seen = torch.cat([tail, x0], dim=1)
        if correction is not None:
            correction = torch.cat([torch.zeros_like(tail), correction], dim=1)
        a = start - behind - self.first
        guided = guide_sync(seen, correction, self.conditions.frames(a, a + seen.shape[1]), self.sync)[:, behind:]
        self.sync_tails[k] = guided[:, max(0, guided.shape[1] - self.sync.n_frames + 1) :].clone()
        return guided
