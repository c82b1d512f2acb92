"""A picture's own pixels are moved, lit and painted over, in one pass that gives what torch's steps give."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from eadnet_core.families import painting
from eadnet_core.families.decoding import DECODE_FRAMES
from eadnet_core.families.family import Model
from eadnet_core.families.painting import Painter
from eadnet_core.families.performance import Painted
from eadnet_core.generation.forecast import TRIAL_BYTES, TRIAL_FRAMES
from eadnet_core.generation.pipeline import prepare
from eadnet_core.generation.plan import decoded_reference, paster
from eadnet_core.media.face import repaint as repaint_module
from eadnet_core.media.face.crop import FaceCrop
from eadnet_core.media.face.paste import FEATHER, coverage
from eadnet_core.media.face.subject import Subject
from eadnet_core.nets.canonical import Maps, places
from eadnet_core.nets.vae import Change
from eadnet_core.request import GenerateOptions

CELLS = 64
WHOLE = FaceCrop(150.0, 130.0, 200.0)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    noise = torch.rand(1, 3, 20, 24, generator=torch.Generator().manual_seed(0))
    smooth = F.interpolate(noise, size=(240, 300), mode="bicubic").clamp(0, 1)[0]
    return (255 * smooth).round().to(torch.uint8).permute(1, 2, 0).numpy()


def maps() -> Maps:
    here = places(torch.empty(0), CELLS)
    return Maps(here, here)


def nothing(n_frames: int = 1, cells: int = CELLS) -> Change:
    flow, light, alpha, paint = (torch.zeros(n_frames, n, cells, cells) for n in (2, 3, 1, 3))
    return Change(flow, light, alpha, paint)


@pytest.mark.parametrize("angle", (0.0, 0.3))
@pytest.mark.parametrize("side", (90.0, 200.0, 640.0))
def test_what_does_not_move_stays_to_the_bit(picture: np.ndarray, side: float, angle: float) -> None:
    painter = Painter(maps(), picture, FaceCrop(150.0, 130.0, side, angle))
    (part,) = painter.paint(nothing())
    assert part.shape == picture[painter.box.part].shape
    assert np.array_equal(part, picture[painter.box.part])


def test_pixels_come_from_where_the_flow_points(picture: np.ndarray) -> None:
    painter = Painter(maps(), picture, WHOLE)
    change = nothing()
    change.flow[:, 0] = 10 / (WHOLE.side_px / 2)
    change.flow[:, 1] = -4 / (WHOLE.side_px / 2)
    (part,) = painter.paint(change)
    middle = part[80:140, 80:140].astype(int)
    top, left = painter.box.top + 80, painter.box.left + 80
    assert np.abs(middle - picture[top - 4 : top + 56, left + 10 : left + 70]).max() <= 1


def test_a_tilted_face_is_moved_along_its_own_axes(picture: np.ndarray) -> None:
    angle = np.pi / 2
    painter = Painter(maps(), picture, FaceCrop(150.0, 130.0, 200.0, angle))
    change = nothing()
    change.flow[:, 0] = 6 / 100  # to the face's right, which is down in the picture
    (part,) = painter.paint(change)
    top, left = painter.box.top + 80, painter.box.left + 80
    assert np.abs(part[80:140, 80:140].astype(int) - picture[top + 6 : top + 66, left : left + 60]).max() <= 1


def test_light_and_paint_are_laid_on(picture: np.ndarray) -> None:
    painter = Painter(maps(), picture, WHOLE)
    change = nothing()
    change.light[:] = float(np.log(0.5))
    change.alpha[..., :32] = 0.25
    change.paint[:, 0] = 1.0
    (part,) = painter.paint(change)
    was = picture[painter.box.part].astype(float)
    dark, painted = part[90:110, 130:150], part[90:110, 50:70]
    assert np.abs(dark - was[90:110, 130:150] / 2).max() <= 1
    assert np.abs(painted - (0.75 * was[90:110, 50:70] / 2 + 0.25 * np.array([255, 127.5, 127.5]))).max() <= 1


@pytest.mark.parametrize("side", (150.0, 620.0))
def test_is_what_torch_s_steps_give(picture: np.ndarray, side: float) -> None:
    """Smooth changes, for which it does not matter in which order they are enlarged and laid on."""
    generator = torch.Generator().manual_seed(1)
    change = nothing(2, 256)
    for part, size in ((change.flow, 0.05), (change.light, 0.3)):
        noise = torch.randn(2, part.shape[1], 4, 4, generator=generator)
        part.copy_(size * F.interpolate(noise, size=256, mode="bicubic"))
    where = FaceCrop(150.0, 130.0, side)
    painter = Painter(maps(), picture, where)
    made = painter.paint(change)
    rows, columns = painter.box.part
    y, x = torch.meshgrid(
        torch.arange(rows.start, rows.stop) + 0.5, torch.arange(columns.start, columns.stop) + 0.5, indexing="ij"
    )
    frame = torch.stack([(x - 150) / side * 2, (y - 130) / side * 2], -1)[None].expand(2, -1, -1, -1)
    laid = F.grid_sample(torch.cat([change.flow, change.light.exp()], 1), frame, align_corners=False)
    there = torch.stack([x, y], -1) + side / 2 * laid[:, :2].permute(0, 2, 3, 1)
    whole = torch.from_numpy(picture).permute(2, 0, 1)[None].float().expand(2, -1, -1, -1)
    grid = there / torch.tensor([150.0, 120.0]) - 1
    moved = F.grid_sample(whole, grid, mode="bicubic", padding_mode="border", align_corners=False) * laid[:, 2:]
    inner = (frame.abs().amax(-1) < 0.8)[0]  # the frame's edge fades into the picture
    error = np.abs(made[:, inner] - moved.clamp(0, 255).permute(0, 2, 3, 1)[:, inner].numpy())
    assert error.mean() < 0.6 and np.quantile(error, 0.999) < 3


def splines(picture: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A picture [H, W, 3] at places [h, w], in numbers of pixels, by Keys' cubic splines in double precision."""

    def weight(t: np.ndarray) -> np.ndarray:
        a, t = -0.75, np.abs(t)
        far = a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a
        return np.where(t <= 1, (a + 2) * t**3 - (a + 3) * t**2 + 1, np.where(t < 2, far, 0.0))

    height, width = picture.shape[:2]
    x, y = x.astype(float).clip(0, width - 1), y.astype(float).clip(0, height - 1)
    made = np.zeros((*x.shape, 3))
    for dy in range(-1, 3):
        for dx in range(-1, 3):
            near_x, near_y = np.floor(x) + dx, np.floor(y) + dy
            pixels = picture[near_y.clip(0, height - 1).astype(int), near_x.clip(0, width - 1).astype(int)]
            made += (weight(x - near_x) * weight(y - near_y))[..., None] * pixels
    return made


@pytest.mark.parametrize("step", (1, 3, 40))
def test_is_what_the_same_sums_in_double_precision_give(step: int) -> None:
    """Sixteen neighbours together, light, paint and the frame's edge: at most one level of 255, where one rounds up."""
    draw, size, top, left, h, w = np.random.default_rng(step), (90, 700), 7, 30, 71, 640
    noise = draw.integers(0, 256, (*size, 3), np.uint8)
    n_rows, n_columns = -(-h // step) + 1, -(-w // step) + 1
    places = np.zeros((n_rows, n_columns, repaint_module.N_PLACED), np.float32)
    ys, xs = np.meshgrid(np.arange(n_rows) * step, np.arange(n_columns) * step, indexing="ij")
    places[..., 0] = xs + left - 0.5 + draw.normal(0, 3, xs.shape)
    places[..., 1] = ys + top - 0.5 + draw.normal(0, 3, xs.shape)
    places[..., 2] = draw.uniform(0, 1, xs.shape)
    places[..., 4:7] = draw.uniform(0.5, 1.5, (*xs.shape, 3))
    places[..., 8:11] = draw.uniform(0, 255, (*xs.shape, 3))
    columns = np.stack([(np.arange(w) + 0.5) / w, np.full(w, 0.01)]).astype(np.float32)
    rows = np.stack([np.full(h, -0.02), (np.arange(h) + 0.5) / h]).astype(np.float32)
    edges, out = np.array([0.1, 0.0, 0.9, 1.0], np.float32), np.zeros((h, 3 * w), np.uint8)
    where = columns, rows, edges, np.float32(FEATHER)
    repaint_module.repaint(repaint_module.padded(noise), top, left, *where, places, step, out)
    (j, fy), (i, fx) = ((np.arange(n) // step, (np.arange(n) % step + 0.5) / step) for n in (h, w))
    fy, fx = fy[:, None, None], fx[None, :, None]
    upper = places[j][:, i] * (1 - fx) + places[j][:, i + 1] * fx
    lower = places[j + 1][:, i] * (1 - fx) + places[j + 1][:, i + 1] * fx
    known = upper * (1 - fy) + lower * fy
    lit = splines(noise, known[..., 0], known[..., 1]) * known[..., 4:7]
    made = (lit + known[..., 2:3] * (known[..., 8:11] - lit)).clip(0, 255)
    u, v = (torch.from_numpy(columns[k][None] + rows[k][:, None]) for k in (0, 1))
    weight = coverage(u, v, tuple(edges.tolist())).numpy()[..., None]
    was = noise[top : top + h, left : left + w].astype(float)
    error = np.abs(out.reshape(h, w, 3) - np.floor(was + weight * (made - was) + 0.5))
    assert error.max() <= 1 and (error > 0).mean() < 1e-3
    assert (weight == 0).any() and (weight == 1).any()


def test_a_band_of_a_frame_is_that_part_of_the_frame(picture: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    painter, change = Painter(maps(), picture, FaceCrop(150.0, 130.0, 640.0, 0.1)), nothing(2)
    change.flow.normal_(0, 0.02, generator=torch.Generator().manual_seed(2))
    made = painter.paint(change)
    monkeypatch.setattr(painting, "BANDS", 1)
    assert np.array_equal(painter.paint(change), made)


def test_several_threads_make_the_same(picture: np.ndarray) -> None:
    painter, change, n_threads = Painter(maps(), picture, WHOLE), nothing(5), torch.get_num_threads()
    change.flow.normal_(0, 0.02)
    try:
        torch.set_num_threads(1)
        one = painter.paint(change)
        torch.set_num_threads(2)
        assert np.array_equal(painter.paint(change), one)
    finally:
        torch.set_num_threads(n_threads)


@pytest.mark.parametrize("value", (float("nan"), float("inf"), -1e30))
def test_what_is_no_number_reads_no_other_memory(picture: np.ndarray, value: float) -> None:
    change = nothing()
    for part in (change.flow, change.light, change.alpha, change.paint):
        part[..., 20:40, 20:40] = value
    painter = Painter(maps(), picture, WHOLE)
    (part,) = painter.paint(change)
    assert np.array_equal(part[:20], picture[painter.box.part][:20])


def test_a_face_beside_the_picture_paints_nothing(picture: np.ndarray) -> None:
    painter = Painter(maps(), picture, FaceCrop(-400.0, 130.0, 100.0))
    assert painter.paint(nothing(2)).size == 0


def test_a_clip_of_a_portrait_is_painted_into_its_own_pixels(tiny_model: Model, picture: np.ndarray) -> None:
    """No square is cut out, moved and pasted back: what is beside the frame stays."""
    subject = Subject(picture[None], (FaceCrop(150.0, 130.0, 180.0, 0.2),))
    options, motion = replace(GenerateOptions(), mask="full"), np.zeros((2, 8), np.float32)
    source = decoded_reference(tiny_model, subject, options)
    assert isinstance(source, Painted)
    scene = tiny_model.family.scene(tiny_model, source, options)
    with torch.inference_mode():
        view = scene.look(0, torch.from_numpy(motion))
        parts = scene.decode(torch.randn(16, 2, 16, 16, generator=torch.Generator().manual_seed(0)), view)
    full = paster(tiny_model, subject, subject, motion, options)(parts, 0)
    assert full.shape == (2, *picture.shape)
    outside = np.ones(picture.shape[:2], bool)
    x0, y0, x1, y1 = subject.nearest(0).bounds(subject.size)
    outside[y0:y1, x0:x1] = False
    assert np.array_equal(full[:, outside], np.repeat(picture[outside][None], 2, 0))
    assert np.array_equal(full[:, y0:y1, x0:x1], parts)


def test_a_video_is_not(tiny_model: Model, picture: np.ndarray) -> None:
    where = FaceCrop(150.0, 130.0, 180.0)
    subject = Subject(np.repeat(picture[None], 2, 0), (where, where))
    assert not isinstance(decoded_reference(tiny_model, subject, GenerateOptions()), Painted)


def test_a_pixel_of_a_large_portrait_costs_what_one_of_a_small_portrait_does(picture: np.ndarray) -> None:
    """In bytes that are kept, and in processor time of a frame, after a first one that compiles."""
    kept, taken = [], []
    for times in (3, 12):
        large = picture.repeat(times, 0).repeat(times, 1)
        where = FaceCrop(150.0 * times, 120.0 * times, 240.0 * times)
        painter = Painter(maps(), large, where)
        n_pixels = large.size / 3
        arrays = {id(value): value for value in vars(painter).values() if isinstance(value, np.ndarray)}
        small = sum(value.nbytes for value in arrays.values() if value.nbytes < 3 * n_pixels)
        kept.append((sum(value.nbytes for value in arrays.values()) - small) / n_pixels)
        assert small < 10e6, "what is known of places does not grow with the pixels"
        change, spent = nothing(), []
        change.flow.normal_(0, 0.01, generator=torch.Generator().manual_seed(0))
        for _ in range(4):
            began = time.process_time()
            part = painter.paint(change)
            spent.append((time.process_time() - began) / part[0].size)
        taken.append(min(spent[1:]))
    assert max(kept) < 8, "the picture, and the picture with a fourth byte"
    assert taken[1] < 2 * taken[0]


def test_a_forecast_makes_few_frames_of_a_large_portrait(
    tiny_model: Model, voice_samples: np.ndarray, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixteen frames of 36 megapixels would be most of what a short clip takes, and 1.7 GB."""
    painted = [0]
    paint = Painter.paint

    def counted(self: Painter, change: Change) -> np.ndarray:
        painted[-1] += len(change.flow)
        return paint(self, change)

    monkeypatch.setattr(Painter, "paint", counted)
    for times in (1, 8):
        large = picture.repeat(times, 0).repeat(times, 1)
        options = GenerateOptions(face_box=(80.0 * times, 60.0 * times, 220.0 * times, 200.0 * times), steps=1)
        prepare(large, voice_samples, "", options, model=tiny_model, sample_rate=16_000).forecast()
        painted.append(0)
    small, large_one, _ = painted
    n_bytes = 3 * 240 * 300 * 8**2
    assert small == DECODE_FRAMES + TRIAL_FRAMES
    assert large_one <= 2 * max(2, TRIAL_BYTES // n_bytes)


LOADED = """
import importlib.util, sys
from pathlib import Path
import numpy as np
path = Path(sys.argv[1])
spec = importlib.util.spec_from_file_location(str(path.parent), path)
module = sys.modules[str(path.parent)] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(module._kept(np.float32(3), np.float32(2)))
"""


def test_compiled_code_outlives_a_move_of_its_folder(tmp_path: Path) -> None:
    """ComfyUI names a pack's modules by the folder, and `__pycache__` moves along."""
    folder = tmp_path / "before"
    folder.mkdir()
    shutil.copy2(repaint_module.__file__, folder / "repaint.py")
    for place in (folder, tmp_path / "after"):
        if place != folder:
            folder.rename(place)
        command = [sys.executable, "-c", LOADED, str(place / "repaint.py")]
        environment = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "NUMBA_DISABLE_JIT")}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stdout.strip() == "2.0" and list(place.rglob("*.nbi"))


def test_where_no_folder_can_be_written_code_is_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose user owns neither the package nor a home."""
    monkeypatch.setattr(repaint_module._Cache._impl_class, "_locator_classes", [])
    assert repaint_module._kernel(lambda value: value + 1)(2) == 3
