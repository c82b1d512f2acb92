"""Long clips that cannot be lost: segments on disk, going on after a stop, one segment made anew between the others."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from eadnet_core.errors import BadInput, Cancelled
from eadnet_core.families.family import Model
from eadnet_core.generation.output import FADE_FRAMES, fade, write_part, write_video
from eadnet_core.generation.pipeline import prepare
from eadnet_core.media.video.files import VideoWriter, check_writable, read_metadata, read_video
from eadnet_core.media.video.join import join_videos
from eadnet_core.media.video.lock import Lock
from eadnet_core.media.video.parts import part_output
from eadnet_core.media.video.segments import LOCK, MANIFEST, SegmentFolder, check_segments, segment_folder
from eadnet_core.request import GenerateOptions, Progress

OPTIONS = GenerateOptions(steps=2, face_box=(20.0, 20.0, 108.0, 108.0), segment_frames=8, sync_guidance=0.2)


def frames_of(path: Path) -> np.ndarray:
    return np.stack(list(read_video(path)))


class Clip:
    """A clip of 30 frames in 4 segments, at tiny size."""

    def __init__(self, model: Model, portrait: np.ndarray, samples: np.ndarray, output: Path) -> None:
        self.model, self.portrait, self.samples, self.output = model, portrait, samples, output

    def write(self, output: Path | None = None, options: GenerateOptions = OPTIONS, **more: Any) -> Any:
        output = output or self.output
        is_open = bool(more.get("resume")) or more.get("redo") is not None
        given = {"model": self.model, "sample_rate": 16_000, "output": output, "resume": is_open}
        return write_video(prepare(self.portrait, self.samples, "glad", options, **given), output, **more)

    def stop_after(self, n_segments: int) -> None:
        """Stop where so many segments are finished."""

        def is_enough() -> bool:
            manifest = segment_folder(self.output) / MANIFEST
            return json.loads(manifest.read_text())["segments"][n_segments - 1]["state"] == "finished"

        with pytest.raises(Cancelled):
            self.write(cancel=is_enough)


@pytest.fixture
def clip(tiny_model: Model, portrait: np.ndarray, voice_samples: np.ndarray, tmp_path: Path) -> Clip:
    model = dataclasses.replace(tiny_model, real_cosine=1.0)  # lets SyncNet guidance pull everywhere
    return Clip(model, portrait, voice_samples, tmp_path / "out.mp4")


def test_what_was_stopped_goes_on_to_the_same_file(clip: Clip, tmp_path: Path) -> None:
    clip.write(tmp_path / "whole.mp4")
    assert not segment_folder(tmp_path / "whole.mp4").exists()
    clip.stop_after(2)
    assert not clip.output.exists()
    ticks: list[Progress] = []
    clip.write(resume=True, on_progress=ticks.append)
    assert clip.output.read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.mp4", "whole.mp4"]
    assert ticks[0].done > 30 and ticks[-1].done == ticks[-1].total == 90
    assert read_video(clip.output).n_frames == 30


def test_segments_are_the_frames_of_one_stream(clip: Clip) -> None:
    """Joined frames are those of the segments, to the bit, in number and in order."""
    clip.write(keep_segments=True)
    folder = segment_folder(clip.output)
    manifest = json.loads((folder / MANIFEST).read_text())
    parts = [frames_of(folder / segment["video"]) for segment in manifest["segments"]]
    assert [len(part) for part in parts] == [8, 8, 8, 6]
    assert np.array_equal(np.concatenate(parts), frames_of(clip.output))
    assert load_file(folder / manifest["segments"][3]["latents"])["x0"].shape == (16, 6, 16, 16)
    assert read_metadata(clip.output)["settings"]["options"]["seed"] == 0


def test_segments_are_not_begun_anew_by_mistake(clip: Clip) -> None:
    clip.stop_after(1)
    with pytest.raises(BadInput, match="--resume"):
        clip.write()
    other = dataclasses.replace(OPTIONS, seed=3)
    with pytest.raises(BadInput, match=r"made otherwise: options.seed was 0, is 3\."):
        clip.write(options=other, resume=True)
    clip.samples = clip.samples * np.float32(0.5)
    with pytest.raises(BadInput, match="audio is another one"):
        clip.write(resume=True)
    assert json.loads((segment_folder(clip.output) / MANIFEST).read_text())["segments"][0]["state"] == "finished"


def test_damaged_files_are_made_again(clip: Clip, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clip.write(tmp_path / "whole.mp4")
    clip.stop_after(2)
    (segment_folder(clip.output) / "segment-00000.mp4").write_bytes(b"damaged")
    clip.write(resume=True)
    assert "Segment 0" in caplog.text and "made again" in caplog.text
    assert clip.output.read_bytes() == (tmp_path / "whole.mp4").read_bytes()


def test_a_stop_before_the_first_segment_leaves_nothing_and_before_the_end_only_the_folder(
    clip: Clip, tmp_path: Path
) -> None:
    with pytest.raises(Cancelled):
        clip.write(cancel=lambda: True)
    assert list(tmp_path.iterdir()) == []
    clip.stop_after(1)
    assert list(tmp_path.iterdir()) == [segment_folder(clip.output)]
    with pytest.raises(BadInput, match="Not all segments"):
        clip.write(redo=0, options=dataclasses.replace(OPTIONS, seed=1))


def test_one_segment_is_made_anew_without_a_seam(clip: Clip) -> None:
    clip.write(keep_segments=True)
    before, old = frames_of(clip.output), latents_of(clip.output)
    other = dataclasses.replace(OPTIONS, seed=5)
    clip.write(redo=1, options=other)
    after, new = frames_of(clip.output), latents_of(clip.output)
    assert np.array_equal(before[:8], after[:8]) and np.array_equal(before[16:], after[16:])
    changed = (new["x0"] - old["x0"]).abs().amax(dim=(0, 2, 3))
    assert changed[8:16].min() > 0 and changed[[8, 15]].max() < changed[11]
    settings = read_metadata(clip.output)["settings"]
    assert settings["segment_seeds"] == {"1": 5} and settings["options"]["seed"] == 0
    with pytest.raises(BadInput, match="was made with seed 5"):
        clip.write(redo=1, options=other)
    with pytest.raises(BadInput, match=r"numbered 0 \.\. 3"):
        clip.write(redo=4, options=other)


def latents_of(output: Path) -> dict[str, torch.Tensor]:
    """x0 and motion of a whole clip whose segments were kept."""
    folder = segment_folder(output)
    manifest = json.loads((folder / MANIFEST).read_text())
    parts = [load_file(folder / segment["latents"]) for segment in manifest["segments"]]
    return {"x0": torch.cat([p["x0"] for p in parts], 1), "motion": torch.cat([p["motion"] for p in parts])}


@pytest.mark.parametrize("steps", [1, 3])
def test_parts_that_are_made_alone_are_those_of_one_run(clip: Clip, tmp_path: Path, steps: int) -> None:
    """In any order, one of them stopped, one never made, and one of another seed lying about."""
    options = dataclasses.replace(OPTIONS, steps=steps, sync_guidance=0.0)
    clip.write(tmp_path / "whole.mp4", options)

    def work(seed: int = 0) -> Any:
        return prepare(
            clip.portrait,
            clip.samples,
            "glad",
            dataclasses.replace(options, seed=seed),
            model=clip.model,
            sample_rate=16_000,
        )

    write_part(work(seed=9), clip.output, 2, 3)
    write_part(work(), clip.output, 3, 4)
    write_part(work(), clip.output, 1, 2)
    made = {path.parent.name: path.stat().st_mtime_ns for path in tmp_path.glob(".out-*/segment-*.mp4")}
    assert sorted(made) == [".out-00001.eadnet", ".out-00002.eadnet", ".out-00003.eadnet"]
    write_part(work(), clip.output, 1, 3)
    kept = segment_folder(part_output(clip.output, 1))
    assert (kept / "segment-00001.mp4").stat().st_mtime_ns == made[".out-00001.eadnet"]
    clip.write(options=options, resume=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.mp4", "whole.mp4"]
    apart = np.abs(frames_of(clip.output).astype(int) - frames_of(tmp_path / "whole.mp4"))
    assert apart.max() <= 1, "but for rounding they are the same"


def test_a_part_that_is_being_made_is_not_taken(clip: Clip) -> None:
    lock = Lock(segment_folder(part_output(clip.output, 1)) / LOCK, "out.mp4")
    try:
        with pytest.raises(BadInput, match="is being made"):
            clip.write(resume=True)
    finally:
        lock.release()


def test_redo_needs_segments_that_were_kept(clip: Clip) -> None:
    with pytest.raises(BadInput, match="--keep-segments"):
        clip.write(redo=0)


def test_scores_see_the_segments_of_an_earlier_run(clip: Clip, tmp_path: Path) -> None:
    whole = clip.write(tmp_path / "whole.mp4", report=tmp_path / "a.png")
    clip.stop_after(2)
    again = clip.write(resume=True, report=tmp_path / "b.png")
    one, two = (json.loads(json.dumps(s.to_json())) for s in (whole, again))
    numbers = [k for k, v in one.items() if isinstance(v, (int, float))]
    assert numbers and all(two[k] == pytest.approx(one[k], rel=1e-3, abs=1e-3) for k in numbers)


def test_fades_are_whole_inside_and_nothing_at_the_border() -> None:
    weight = fade(60, True, True)
    assert weight[0] == pytest.approx(1 / (FADE_FRAMES + 1)) and np.array_equal(weight, weight[::-1])
    assert weight[FADE_FRAMES : 60 - FADE_FRAMES].min() == 1
    assert fade(1, True, True).tolist() == [1.0]


# ---- the folder by itself


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out.eadnet").mkdir()
    (tmp_path / "out.eadnet" / "letter.txt").write_text("dear")
    with pytest.raises(BadInput, match="--resume"):
        check_segments(tmp_path / "out.mp4", resume=False)
    with pytest.raises(BadInput, match="no folder of segments"):
        SegmentFolder(tmp_path / "out.mp4", {}, 10, 5, resume=True)
    assert (tmp_path / "out.eadnet" / "letter.txt").exists()


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "[" * 100_000,
        '{"format": "eadnet-segments", "version": 1}',
        '{"format": "eadnet-segments", "version": 1, "output": "out.mp4", "owns_output": false, "recipe": {}, '
        '"sampler": null, "segments": [{"start_frame": 0, "stop_frame": 5, "state": "finished", "seed": 0, '
        '"video": "/etc/hostname", "latents": "a", "video_sha256": "", "latents_sha256": ""}]}',
    ],
)
def test_a_damaged_manifest_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "out.eadnet").mkdir()
    (tmp_path / "out.eadnet" / "manifest.json").write_text(text)
    with pytest.raises(BadInput, match="Remove the folder"):
        SegmentFolder(tmp_path / "out.mp4", {}, 10, 5, resume=True)


def test_a_link_that_leads_nowhere_is_an_output_that_exists(tmp_path: Path) -> None:
    (tmp_path / "out.mp4").symlink_to(tmp_path / "gone" / "z.mp4")
    with pytest.raises(BadInput, match="exists already"):
        check_writable(tmp_path / "out.mp4")


def test_an_output_of_somebody_else_is_not_replaced(tmp_path: Path) -> None:
    with SegmentFolder(tmp_path / "out.mp4", {}, 4, 4) as folder:
        folder.add(0, 0, (32, 32), [np.zeros((4, 32, 32, 3), np.uint8)], {"x0": torch.zeros(1)})
    (tmp_path / "out.mp4").write_bytes(b"precious")
    with pytest.raises(BadInput, match="exists already"):
        SegmentFolder(tmp_path / "out.mp4", {}, 4, 4, resume=True)
    assert (tmp_path / "out.mp4").read_bytes() == b"precious"


def test_joined_times_are_even(tmp_path: Path) -> None:
    """With frames that refer to later ones, the times of one part would run into those of the next."""
    rng = np.random.default_rng(0)
    names, frames = [tmp_path / f"segment-{i}.mp4" for i in range(3)], []
    for name, length in zip(names, (7, 1, 12), strict=True):
        moving = np.stack([np.roll(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8), i, 1) for i in range(length)])
        with VideoWriter(name, (64, 48), is_part=True) as writer:
            writer.write(moving)
        frames.append(frames_of(name))
    join_videos(names, tmp_path / "joined.mp4")
    joined = read_video(tmp_path / "joined.mp4")
    assert np.array_equal(frames_of(tmp_path / "joined.mp4"), np.concatenate(frames))
    assert joined.fps == 25.0
    assert read_video(tmp_path / "joined.mp4", fps=25).n_frames == 20
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*(n.name for n in names), "joined.mp4"])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_runs_that_are_killed_lose_nothing(tiny_folder: Path, tmp_path: Path) -> None:
    """SIGKILL at three random moments; `bench/resume.py` does it at twenty."""
    script = Path(__file__).parents[2] / "bench" / "resume.py"
    given = ["--kills", "3", "--seconds", "1.2", "--segment-frames", "8", "--model", str(tiny_folder)]
    command = [sys.executable, str(script), *given, "--json", str(tmp_path / "found.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["kills"] == 3 and found["finished_videos"] >= 1
    assert found["lost_segments"] == found["differing_videos"] == 0
