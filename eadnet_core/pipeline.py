"""A portrait, a voice and words in, finished segments of the full picture out: where everything meets.

`prepare` reads and checks all inputs and knows the exact number of frames; the Generation it returns is iterated for
segments. `generate` is both in one call, `write_video` streams the segments into a file.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .animate import Performance, animate
from .checkpoints import Experts, Model, load_experts, load_model, load_reader
from .config import FPS
from .emotion.code import Emotion, describe, emotion_code
from .emotion.motion import generate_motion
from .emotion.prosody import is_auto, mixed, read_voice, voice_codes, with_voice
from .emotion.script import Script
from .emotion.track import EmotionTrack
from .errors import BadInput
from .forecast import OUTPUT_BYTES, Forecast, forecast
from .media.audio import Audio, frame_energy, read_audio, speech_gate
from .media.crop import FaceCrop, Paster, crop
from .media.face import locate
from .media.image import read_image
from .media.video import VideoWriter, check_writable
from .request import Cancel, GenerateOptions, GenerationReport, OnProgress, Segment
from .sampling.guidance import sync_steps
from .sampling.schedule import time_grid

if TYPE_CHECKING:
    from .metrics.report import Scores

log = logging.getLogger(__name__)

Source = str | os.PathLike[str] | np.ndarray | torch.Tensor
"""A file, or the pixels or samples themselves."""
Words = str | EmotionTrack | Script | Sequence[Any]
"""One prompt for the whole clip, what `EmotionTrack.parse` takes: keyframes (time_s, prompt[, intensity]), or a script.
The prompt "auto" leaves the emotion to the voice."""
LEAST_SCORED_FRAMES = 5


def generate(
    portrait: Source, audio: Source | Audio, emotion: Words = "", options: GenerateOptions | None = None, **more: Any
) -> Iterator[Segment]:
    """Yield finished segments in order, round(duration * 25) frames in all, however long the sound is.

    `more` are the keywords of `prepare`, and on_progress and cancel of `Generation.segments`.
    """
    run = {name: more.pop(name) for name in ("on_progress", "cancel") if name in more}
    yield from prepare(portrait, audio, emotion, options, **more).segments(**run)


def prepare(
    portrait: Source,
    audio: Source | Audio,
    emotion: Words = "",
    options: GenerateOptions | None = None,
    *,
    model: str | Model = "mini",
    device: str = "auto",
    sample_rate: int | None = None,
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
) -> Generation:
    """Read and check everything that a generation needs, cheapest checks first.

    portrait     path, or pixels [H, W, 3]
    audio        path, Audio of `media.audio`, or samples [N] or [C, N] with their sample_rate in Hz
    emotion      words, or keyframes of words; empty means neutral
    model        name of a shipped model, folder of your own, or a Model that is loaded already
    output       where `write_video` will write; checked before any work is done for it
    Raises BadInput, FaceNotFound or CheckpointError, each with what to do.
    """
    options = options or GenerateOptions()
    clock = _Clock()
    if output is not None:
        check_writable(output, overwrite)
    asked = emotion if isinstance(emotion, (EmotionTrack, Script)) else EmotionTrack.parse(emotion)
    picture = np.array(read_image(portrait))  # a copy: Pillow's and callers' pixels may be read-only
    sound = audio if isinstance(audio, Audio) else read_audio(audio, sample_rate)
    clock.stop("read")
    geometry = locate(picture, options.face_box)
    clock.stop("face")
    if not isinstance(model, Model):
        model = load_model(model, device)
    clock.stop("load")
    track = in_time(asked, sound).read(model.reader.codes)
    clock.stop("emotion")
    report = GenerationReport(
        model=model.name,
        device=str(model.device),
        n_frames=sound.n_frames(),
        fps=FPS,
        width_px=picture.shape[1],
        height_px=picture.shape[0],
        face_crop=asdict(geometry),
        options=options,
        emotions=_readings(track),
        notes=_notes(model, options),
        seconds=clock.seconds,
    )
    code = felt(track, sound, report.n_frames, options)
    performance = _perform(sound, code, options, report)
    clock.stop("plan")
    return Generation(model, picture, geometry, sound, performance, options, report)


def _perform(sound: Audio, code: np.ndarray, options: GenerateOptions, report: GenerationReport) -> Performance:
    """Speech gate and motion of a sound."""
    n_frames = len(code)
    voice = speech_gate(sound.samples, n_frames) if options.has_speech_gate else np.ones(n_frames, np.float32)
    if not voice.any():
        report.notes.append(
            "No speech was found in the sound, so the mouth stays at rest; has_speech_gate=False lets it."
        )
    return perform(sound, voice, code, options)


def perform(sound: Audio, voice: np.ndarray, code: np.ndarray, options: GenerateOptions) -> Performance:
    """What a head does to a sound whose speech gate [T] and emotion codes [T, 27] are known."""
    energy = frame_energy(sound.samples, len(code)) * voice
    motion = generate_motion(energy, code, np.random.default_rng(options.seed), options.head, options.blink)
    return Performance(sound.samples, voice, code, motion)


def _notes(model: Model, options: GenerateOptions) -> list[str]:
    """Settings that cannot have the effect they were given for."""
    steps = time_grid(model.config.denoiser.prediction, options.steps, options.shift).noise_fraction
    if options.sync_guidance > 0 and not sync_steps(steps, (options.sync_low, options.sync_high)):
        return [f"sync_guidance has no effect with {options.steps} steps: none lies in its noise range."]
    return []


@dataclass
class Generation:
    """Everything a clip is made from, ready to run; `report` is filled while it runs."""

    model: Model
    picture: np.ndarray
    geometry: FaceCrop
    sound: Audio
    performance: Performance
    options: GenerateOptions
    report: GenerationReport

    def __iter__(self) -> Iterator[Segment]:
        return self.segments()

    def forecast(self) -> Forecast:
        """Time, memory and disk this will take; measured by running one batch of windows."""
        size = self.report.width_px, self.report.height_px
        return forecast(self.model, self.report.n_frames, size, self.options)

    def segments(self, on_progress: OnProgress | None = None, cancel: Cancel | None = None) -> Iterator[Segment]:
        """Yield finished segments in order; at most OUTPUT_BYTES of full pictures are held at a time.

        Raises Cancelled when `cancel` returns True; what was yielded before is finished.
        """
        size = self.model.config.size_px
        clock = _Clock(self.report.seconds)
        reference = crop(self.picture, self.geometry, size)
        paster = Paster(self.picture, self.geometry, size)
        clock.stop("face")
        per_segment = max(1, OUTPUT_BYTES // self.picture.nbytes)
        own = self.report.seconds
        for start, frames in animate(self.model, reference, self.performance, self.options, on_progress, cancel, own):
            for first in range(0, len(frames), per_segment):
                part = frames[first : first + per_segment]
                clock.start()
                pasted = np.stack([paster.paste(frame) for frame in part])
                clock.stop("paste")
                yield Segment(pasted, start + first, part)


def write_video(
    generation: Generation,
    output: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
    cancel: Cancel | None = None,
    report: str | os.PathLike[str] | None = None,
    experts: Experts | None = None,
) -> Scores | None:
    """Stream a generation into one video file with its original sound; the file appears when it is whole.

    report   picture of the scores to draw; experts: what scores, default those shipped with the model
    returns  the scores where a report was asked for
    Raises BadInput for an output that cannot be written, MediaError if ffmpeg ends, Cancelled.
    """
    about = generation.report
    scorer = _Scoring(generation, Path(report), experts) if report is not None else None
    clock = _Clock(about.seconds)
    size = about.width_px, about.height_px
    settings = about.settings()
    with VideoWriter(output, size, FPS, generation.sound, settings, overwrite) as writer:
        for segment in generation.segments(on_progress, cancel):
            clock.start()
            writer.write(segment.frames)
            clock.stop("write")
            if scorer is not None:
                scorer.add(segment.face_frames)
        clock.start()
    clock.stop("write")
    for note in about.notes:
        log.info("note: %s", note)
    return scorer.finish(Path(output).name) if scorer is not None else None


class _Scoring:
    """Scores the frames on their way to the file, and draws the report."""

    def __init__(self, generation: Generation, path: Path, experts: Experts | None) -> None:
        from .metrics.report import Scorer

        if generation.report.n_frames < LEAST_SCORED_FRAMES:
            raise BadInput(f"A report needs at least {LEAST_SCORED_FRAMES} frames; this clip has fewer.")
        if path.suffix.lower() != ".png" or not path.absolute().parent.is_dir():
            raise BadInput(f"Report '{path}' cannot be written: give a .png in a folder that exists.")
        self.generation, self.path = generation, path
        self.scorer = Scorer(experts or load_experts(generation.model.device, generation.model.folder))
        self.add = self.scorer.add

    def finish(self, name: str) -> Scores:
        from .metrics.report import draw_report

        labels = {reading["label"] for reading in self.generation.report.emotions}
        asked = labels.pop() if len(labels) == 1 else None
        scores = self.scorer.finish(self.generation.sound.samples, name, asked)
        draw_report(scores).save(self.path)
        return scores


def in_time(asked: EmotionTrack | Script, sound: Audio) -> EmotionTrack:
    """The track of a script over its speech; keyframes that say "auto" hold what the voice tells."""
    if isinstance(asked, EmotionTrack) and not any(map(is_auto, asked.keyframes)):
        return asked
    voice = speech_gate(sound.samples, sound.n_frames())
    track = asked.track(voice) if isinstance(asked, Script) else asked
    return with_voice(track, read_voice(sound.samples, voice))


def felt(track: EmotionTrack, sound: Audio, n_frames: int, options: GenerateOptions) -> np.ndarray:
    """Emotion codes [T, 27] of a track that has been read, the voice's own mixed in, at the amplitude asked for."""
    code = emotion_codes(track, n_frames)
    if options.prosody_weight > 0:
        readings = read_voice(sound.samples, speech_gate(sound.samples, sound.n_frames()))
        if readings:
            times_s = (np.arange(n_frames) + 0.5) / FPS
            code = mixed(code, voice_codes(readings, times_s), options.prosody_weight)
    neutral = emotion_code("neutral", 0.0)
    return neutral + np.float32(options.emotion_scale) * (code - neutral)


def emotion_codes(track: EmotionTrack, n_frames: int, scale: float = 1.0) -> np.ndarray:
    """Emotion code [T, 27] in the middle of every frame of a track that has been read; scale 0 neutral .. 1 as read."""
    neutral = emotion_code("neutral", 0.0)
    return neutral + np.float32(scale) * (track.at((np.arange(n_frames) + 0.5) / FPS) - neutral)


def _readings(track: EmotionTrack) -> list[dict[str, Any]]:
    """How every keyframe was read."""
    codes = track.at([k.time_s for k in track.keyframes])
    return [
        {"start_s": k.time_s, **reading_values(describe(code, k.text))}
        for k, code in zip(track.keyframes, codes, strict=True)
    ]


def reading_values(reading: Emotion) -> dict[str, Any]:
    """How a text was read, as JSON values."""
    values = {name: round(float(getattr(reading, name)), 4) for name in ("intensity", "valence", "arousal")}
    return {"text": reading.text, "label": reading.label, **values}


def read_emotions(texts: Sequence[str], model: str = "mini") -> list[dict[str, Any]]:
    """How texts are read, in their order: text, label, intensity, valence, arousal."""
    return [reading_values(reading) for reading in load_reader(model).read(texts)]


class _Clock:
    """Adds the time since the last call to a stage."""

    def __init__(self, seconds: dict[str, float] | None = None) -> None:
        self.seconds: dict[str, float] = {} if seconds is None else seconds
        self.start()

    def start(self) -> None:
        self.last = time.perf_counter()

    def stop(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self.last
        self.last = now
