"""A model fitted to one person: the teeth that it paints become that person's own, as a video shows them.

Behind the lips of a portrait mean teeth are painted (ADR 28, 35). A video of the person shows real ones. They move
with skull and jaw, so every frame with an open mouth says what some places of teeth at rest look like. The mean teeth
are changed by gradient until what they paint is what the frames show; elsewhere they stay.

What comes out is a model folder with one file, which extends the model that was fitted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import monotonic

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import BadInput, FaceNotFound
from ..families.mini import MiniModel
from ..media.face.controls import read_controls
from ..media.face.crop import FaceCrop, crop
from ..media.face.find import find_faces
from ..media.face.follow import Track, follow
from ..media.face.landmark_masks import lip_opening
from ..media.face.landmarks import Landmarks, read_landmarks
from ..media.pixels import to_unit
from ..metrics.face import head_turn
from ..nets.canonical import Maps, places, sample_at, sampled, stretched
from ..nets.lips_and_lids import (
    LIPS_ABOVE,
    LIPS_BELOW,
    TEETH_PX,
    Lines,
    LipsAndLids,
    Opening,
    heights_over,
    light_in_mouth,
    tooth_places,
)
from ..nets.motion_basis import N_POSE, absolute_terms
from ..nets.vae import VAE
from ..paths import shown
from ..weights.files import drop_shared, extended_folder, read_metadata, save_part
from ..weights.folders import find_part

PART = "vae"
SIZE_PX = TEETH_PX
"""Side of the canonical frame in which mouths are compared."""
LEAST_OPEN, MOST_TURN = 0.06, 0.2
"""Gap of the lips in eye distances from which a mouth shows its inside, and radians up to which a head faces us."""
LEAST_FRAMES, MOST_FRAMES = 8, 240
"""Frames with an open mouth that are needed, and that are looked at: more are thinned out evenly."""
STIFF = (33, 133, 362, 263, 168, 6, 197, 195)
"""Landmarks that nothing but the head moves: corners of the eyes and the ridge of the nose."""
RATE, SHIFT_RATE = 0.02, 0.002
"""Learning rates of teeth, and of how far each frame's lie beside where its controls say."""
STAY, HELD = 0.02, 20.0
"""Weights of the mean teeth, so that a few frames do not throw them over, and of teeth that stay where they are."""
INSIDE_EDGE_PX = 1.0
"""So far inside its lips a mouth is believed."""
CHECKED, WATCHED, WATCH_EVERY = 0.25, 0.15, 10
"""Shares of the frames: the last ones are only checked; by those before them, which are watched every few steps, the
best teeth on the way are chosen."""
MOST_SECONDS, LEAST_STEPS = 3600.0, 60
"""So many steps are taken on a slow machine, too."""
BATCH = 16
_MOUTH = (0.24, 0.58, 0.76, 0.98)
"""x0, y0, x1, y1 of the canonical frame that is computed."""

Pictures = Callable[[], Iterable[np.ndarray]]
"""Hands out the pictures of a clip, uint8 [H, W, 3], from the first one on, each time that it is called."""
OnStep = Callable[[float], None]
"""Called with the share of the work that is done, 0 .. 1; may raise to stop."""


@dataclass(frozen=True)
class Mouths:
    """Open mouths of one person in the canonical frame of one picture; N = SIZE_PX, in the rows and columns of a mouth.

    seen      [n, 3, h, w]  0 .. 1
    opening   [n, 1, h, w]  how each place lies to the lips
    controls  [n, 28]       as they were read off the frames
    pose      [n, 5]        yaw and pitch beside the portrait's, radians; the rest was taken out
    light     [1, 3, 1, 1]  `light_in_mouth` of the picture
    """

    seen: Tensor
    opening: Opening
    controls: Tensor
    pose: Tensor
    light: Tensor

    @property
    def inside(self) -> Tensor:
        """1 where the mouth shows its inside: [n, 1, h, w]."""
        o = self.opening
        return (torch.minimum(torch.minimum(o.below, o.above), o.beside) > INSIDE_EDGE_PX * 2 / SIZE_PX).float()

    def chosen(self, which: Tensor) -> Mouths:
        """Some of them."""
        own = {name: getattr(self, name)[which] for name in ("seen", "controls", "pose")}
        return replace(self, opening=self.opening.chosen(which), **own)


@dataclass(frozen=True)
class Fitting:
    """What came of it.

    n_frames       frames with an open mouth that were learned from
    n_checked      frames after them that were not
    before, after  mean difference of what is painted in those, 0 .. 1
    """

    n_frames: int
    n_checked: int
    before: float
    after: float
    seconds: float

    @property
    def is_better(self) -> bool:
        """Whether it paints frames better that it did not learn from."""
        return self.after < self.before


def fit_face(
    portrait: np.ndarray, pictures: Pictures, model: MiniModel, seconds: float = 60.0, on_step: OnStep | None = None
) -> tuple[MiniModel, Fitting]:
    """The same model with the teeth of the person in pictures, and how much nearer it paints.

    portrait  uint8 [H, W, 3]: the person, as clips will be made of
    pictures  of the same person, speaking
    seconds   of fitting, after the pictures were looked at
    Raises BadInput for too few frames with an open mouth, FaceNotFound without a face.
    """
    if not 0 < seconds <= MOST_SECONDS:
        raise BadInput(f"seconds is {seconds:g}; give how long to fit, more than 0 and at most {MOST_SECONDS:g}.")
    say = on_step or (lambda share: None)
    vae = model.vae
    mouths = read_mouths(portrait, pictures, vae, lambda share: say(share / 2))
    number = torch.arange(len(mouths.seen)) / len(mouths.seen)
    checked, watched = number >= 1 - CHECKED, (number >= 1 - CHECKED - WATCHED) & (number < 1 - CHECKED)
    last = mouths.chosen(checked)
    before = _difference(_Mouth(vae, 0), last)
    began = monotonic()
    learned = _fitted(
        vae, mouths.chosen(~(checked | watched)), mouths.chosen(watched), seconds, lambda x: say((1 + x) / 2)
    )
    after = _difference(learned, last)
    fitted = VAE(vae.config).eval().requires_grad_(False)
    fitted.load_state_dict(vae.state_dict())
    learned.give(fitted.lips_and_lids)
    fitted.to(model.device, model.dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    counts = int((~checked).sum()), len(last.seen)
    return replace(model, vae=fitted), Fitting(*counts, before, after, round(monotonic() - began, 1))


def check_fit_output(folder: str | Path, overwrite: bool = False) -> None:
    """Refuse a folder that could not be written, before any work is done for it. Raises BadInput."""
    folder = Path(folder)
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        raise BadInput(
            f"'{shown(folder)}' cannot be written: '{shown(there)}' is no folder, or nobody may write to it."
        )
    path = folder / f"{PART}.safetensors"
    if path.exists() and (not overwrite or "fitted" not in read_metadata(path)):
        raise BadInput(f"'{shown(folder)}' holds a model already. Give another folder, or --overwrite an earlier fit.")


def save_fitted(folder: str | Path, fitted: MiniModel, fitting: Fitting, source: str) -> Path:
    """Write a model folder that extends the one that was fitted; `--model FOLDER` loads it. Raises BadInput.

    Its one file holds what differs, and a SHA-256 of what it takes from the other model.

    source  what it was fitted to, for people
    """
    folder, base = Path(folder), find_part(fitted.folder, PART)
    about = read_metadata(base, PART)
    root = extended_folder(base, about) or base.parent
    output, extends = folder / base.name, {"extends": root.name}
    there = extended_folder(output, extends)
    if there is None or there.resolve() != root.resolve():
        raise BadInput(f"'{shown(folder)}' must lie beside '{shown(root)}', whose weights it shares.")
    own = {"fitted": {"source": source, **asdict(fitting)}}
    save_part(output, PART, fitted.vae, fitted.config.vae, {**extends, **own})
    drop_shared(output, PART)
    return output


def read_mouths(portrait: np.ndarray, pictures: Pictures, vae: VAE, on_step: OnStep | None = None) -> Mouths:
    """The open mouths in pictures, laid as the face of a portrait [H, W, 3] is. Raises BadInput, FaceNotFound.

    Lips of a portrait are laid onto those of the mean face, and teeth behind them come to lie where its expression
    says: a fit belongs to one portrait. Pictures are looked at three times, one at a time.
    """
    own = _landmarks_of(portrait)
    if next(iter(pictures()), None) is None:
        raise BadInput("There is no picture. Give a video of the person, some seconds of speech.")
    track = follow(pictures(), on_missing="hold")
    n = len(track.crops)
    found = _points(pictures(), track, on_step)
    seen = np.array(sorted(found))
    points = np.stack([found[i] for i in seen])
    yaw, pitch = head_turn(points.astype(np.float64))
    away = np.hypot(yaw - np.median(yaw), pitch - np.median(pitch))
    gaps = lip_opening(points)
    use = np.flatnonzero((gaps > LEAST_OPEN) & (away < MOST_TURN))
    if len(use) < LEAST_FRAMES:
        raise BadInput(
            f"Only {len(use)} of {n} frames show an open mouth that faces the camera; {LEAST_FRAMES} are needed. Give "
            "a video in which the person speaks or laughs, some seconds long."
        )
    use = use[np.unique(np.linspace(0, len(use) - 1, min(len(use), MOST_FRAMES)).round().astype(int))]
    rest = int(np.argmin(gaps + away))
    return _laid(pictures(), {int(seen[i]): points[i] for i in use}, (int(seen[rest]), points[rest]), own, vae)


def _landmarks_of(portrait: np.ndarray) -> np.ndarray:
    """[468, 3] in pixels of the most prominent face."""
    found = [face.landmarks for face in find_faces(portrait) if face.landmarks is not None]
    if not found:
        raise FaceNotFound("No face was found in the portrait. Give a picture of the person's face.")
    return found[0].points


def _points(pictures: Iterable[np.ndarray], track: Track, on_step: OnStep | None) -> dict[int, np.ndarray]:
    """Landmarks [468, 3] by the number of the frame, of those in which the face was found."""
    found, missed = {}, set(track.missed)
    for number, (picture, place) in enumerate(zip(pictures, track.crops, strict=False)):
        if number not in missed and isinstance(place, FaceCrop):
            found[number] = read_landmarks(picture, [place])[0].points
        if on_step is not None:
            on_step((number + 1) / len(track.crops))
    return found


def _laid(
    pictures: Iterable[np.ndarray],
    chosen: dict[int, np.ndarray],
    rest: tuple[int, np.ndarray],
    own: np.ndarray,
    vae: VAE,
) -> Mouths:
    """Mouths of the frames `chosen`, a number and landmarks in pixels each, laid as a face whose landmarks are `own`.

    rest  the frame whose light counts, with a shut mouth
    """
    squares: dict[int, np.ndarray] = {}
    places_of = {number: _frame_like(points, own) for number, points in {**chosen, rest[0]: rest[1]}.items()}
    for number, picture in enumerate(pictures):
        if number in places_of:
            squares[number] = crop(picture, places_of[number], 2 * SIZE_PX)
    device = vae.pose_size.device
    reference = torch.from_numpy(_in_frame(own, Landmarks(own, 1.0).frame()))[None].to(device)
    maps = vae.lay(reference)
    numbers = sorted(chosen)
    points = np.stack([_in_frame(chosen[i], places_of[i]) for i in numbers])
    opening = _opening(torch.from_numpy(points), maps, vae.lines(reference, maps))
    rows, columns = _window()
    faces = np.stack([squares[i] for i in numbers])
    pictured = maps.repeat(len(numbers)).lay(to_unit(faces, device).float())
    seen = F.avg_pool2d(pictured, 2)[..., rows, columns].clamp(-1, 1) / 2 + 0.5
    still = maps.lay(to_unit(squares[rest[0]][None], device).float())
    controls = read_controls(faces, vae).to(device)
    pose = torch.zeros(len(numbers), N_POSE, device=device)
    turned = np.stack(head_turn(np.stack([own, *(chosen[i] for i in numbers)]).astype(np.float64)), 1)
    pose[:, :2] = torch.from_numpy(turned[1:] - turned[:1]).float()
    return Mouths(seen, opening, controls, pose, light_in_mouth(still))


def _frame_like(points: np.ndarray, rest: np.ndarray) -> FaceCrop:
    """The training frame in which a skull, by landmarks [468, 3], lies as that of `rest` lies in its own frame."""
    frame = Landmarks(rest, 1.0).frame()
    one, other = (np.asarray(p[list(STIFF), :2], np.float64) for p in (points, rest))
    a, b = one - one.mean(0), other - other.mean(0)
    turn = complex((a * b).sum(), (b[:, 0] * a[:, 1] - b[:, 1] * a[:, 0]).sum()) / float((b * b).sum())
    offset = complex(frame.center_x - other[:, 0].mean(), frame.center_y - other[:, 1].mean()) * turn
    angle = float(np.angle(turn))
    return FaceCrop(
        float(one[:, 0].mean() + offset.real),
        float(one[:, 1].mean() + offset.imag),
        frame.side_px * abs(turn),
        frame.angle + angle,
    )


def _in_frame(points: np.ndarray, frame: FaceCrop) -> np.ndarray:
    """Landmarks [468, 2 or 3] in pixels as [468, 2] float32 in frame widths."""
    cos, sin = np.cos(frame.angle) / frame.side_px, np.sin(frame.angle) / frame.side_px
    x, y = points[:, 0] - frame.center_x, points[:, 1] - frame.center_y
    return np.stack([x * cos + y * sin + 0.5, y * cos - x * sin + 0.5], 1).astype(np.float32)


def _opening(points: Tensor, maps: Maps, portrait: Lines) -> Opening:
    """How the mouth's window lies to the inner lips of landmarks [n, 468, 2] in frame widths."""
    own = sample_at(maps.repeat(len(points)).to_canonical, points.to(maps.to_canonical) * 2 - 1)
    rows, columns = _window()
    x, y = places(own, SIZE_PX)[..., rows, columns].split(1, 1)
    above, below = (heights_over(x[0, 0, 0], own[:, list(ids)])[:, None, None] for ids in (LIPS_ABOVE, LIPS_BELOW))
    ends = own[:, [LIPS_ABOVE[0], LIPS_ABOVE[-1]], 0, None, None]
    beside = torch.minimum(x - ends.amin(1)[:, None], ends.amax(1)[:, None] - x)
    return Opening(y - above, below - y, beside, portrait.shown(x[:1]).expand_as(beside))


def _window() -> tuple[slice, slice]:
    x0, y0, x1, y1 = (round(edge * SIZE_PX) for edge in _MOUTH)
    return slice(y0, y1), slice(x0, x1)


class _Mouth(nn.Module):
    """What a mouth shows, its teeth to be changed: `LipsAndLids.mouths` of a window, shifted a little in each frame."""

    def __init__(self, vae: VAE, n_frames: int) -> None:
        super().__init__()
        self.base = base = vae.lips_and_lids
        self.stiff = stretched(vae.canonical.template.float()[list(STIFF)])[None]
        self.teeth = nn.Parameter(torch.zeros_like(base.teeth, dtype=torch.float32))
        self.shifts = nn.Parameter(torch.zeros(n_frames, 2, 2, device=base.teeth.device))

    def forward(self, mouths: Mouths, numbers: Tensor | None = None) -> Tensor:
        """What mouths show, 0 .. 1 [n, 3, h, w]; `numbers` those of frames whose shifts were learned."""
        rows, columns = _window()
        controls, pose = mouths.controls, mouths.pose
        here = places(controls, SIZE_PX)[..., rows, columns]
        asked = absolute_terms(controls, pose)
        shown = mouths.opening.lined(sampled(torch.einsum("bk,kchw->bchw", asked, self.base.inside.float()), here))
        teeth = self.base.teeth.float() + self.teeth
        skull, jaw = self.base.bones(controls, pose)
        held = sample_at(skull, self.stiff.expand(len(skull), -1, -1)).mean(1)[:, :, None, None]
        for row, moved in ((1, jaw), (0, skull)):
            where = tooth_places(here, moved, row == 0) - held
            if numbers is not None:
                where = where + self.shifts[numbers, row, :, None, None]
            found = sampled(teeth[row].expand(len(controls), -1, -1, -1), where)
            shown = mouths.opening.with_teeth(shown, found, row == 0)
        return (mouths.light * mouths.opening.shaded(shown)).clamp(0, 1)

    def strays(self) -> Tensor:
        """How far teeth are from the mean ones, and frames from where their controls say."""
        return STAY * self.teeth.square().mean() + HELD * self.shifts.square().mean()

    @torch.no_grad()
    def give(self, layers: LipsAndLids) -> None:
        """Put what was learned into other layers."""
        layers.teeth += self.teeth.to(layers.teeth)


def _off(made: Tensor, seen: Tensor, inside: Tensor) -> Tensor:
    return ((made - seen).abs() * inside).sum() / (3 * inside.sum()).clamp(min=1)


@torch.no_grad()
def _difference(mouth: _Mouth, mouths: Mouths) -> float:
    return float(_off(mouth(mouths), mouths.seen, mouths.inside))


def _fitted(vae: VAE, mouths: Mouths, watched: Mouths, seconds: float, say: OnStep) -> _Mouth:
    """Change the teeth for so many seconds; of all on the way, those that paint the watched mouths best are given."""
    n, generator = len(mouths.seen), torch.Generator().manual_seed(0)
    with torch.inference_mode(False), torch.enable_grad():
        mouth = _Mouth(vae, n)
        groups = [
            {"params": [mouth.teeth], "lr": RATE},
            {"params": [mouth.shifts], "lr": SHIFT_RATE},
        ]
        optimizer, began, share = torch.optim.Adam(groups), monotonic(), 0.0
        rates = [group["lr"] for group in optimizer.param_groups]
        best, step = (_difference(mouth, watched), mouth.teeth.detach().clone()), 0
        while share < 1:
            numbers = torch.randperm(n, generator=generator)[:BATCH]
            made = mouth(mouths.chosen(numbers), numbers)
            seen, inside = mouths.seen[numbers], mouths.inside[numbers]
            across, down = ((made - seen).diff(dim=d).abs() for d in (-1, -2))
            edges = (across * inside[..., 1:]).sum() + (down * inside[..., 1:, :]).sum()
            loss = _off(made, seen, inside) + 0.5 * edges / (3 * inside.sum()).clamp(min=1) + mouth.strays()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * min(1.0, 2 * (1 - share))
            optimizer.step()
            step += 1
            share = min(1.0, (monotonic() - began) / seconds, step / LEAST_STEPS)
            if step % WATCH_EVERY == 0 or share == 1:
                best = min(best, (_difference(mouth, watched), mouth.teeth.detach().clone()), key=lambda x: x[0])
            say(share)
        mouth.teeth.data.copy_(best[1])
    return mouth.requires_grad_(False)
