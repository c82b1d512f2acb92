"""Scores of a clip, counted while its frames are on their way to the file; for each face its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BadInput
from ..families.base import BaseModel
from ..media.face.subject import Subject
from ..paths import check_path, writing
from ..request import Segment
from ..weights.experts import Experts, load_experts
from .conversation import Conversation
from .pipeline import Generation
from .recipe import Work

if TYPE_CHECKING:
    from ..metrics.report import Scores

LEAST_SCORED_FRAMES = 5


def scorers_of(work: Work, path: Path | None, experts: Experts | None) -> list[Scoring]:
    """What scores each face; none where no picture of it is asked for."""
    if path is None:
        return []
    if not isinstance(work, Conversation):
        return [Scoring(work, path, experts)]
    experts = experts or load_experts(work.faces[0].model.device, work.faces[0].model.folder)
    paths = [path.with_name(f"{path.stem}-{name}{path.suffix}") for name in work.report.names]
    return [Scoring(face, own, experts) for face, own in zip(work.faces, paths, strict=True)]


class Scoring:
    """Scores the frames on their way to the file, and draws the report."""

    def __init__(self, generation: Generation, path: Path, experts: Experts | None) -> None:
        from ..metrics.base_sync import BaseSyncMeter
        from ..metrics.report import Scorer

        if generation.report.n_frames < LEAST_SCORED_FRAMES:
            raise BadInput(f"A report needs at least {LEAST_SCORED_FRAMES} frames; this clip has fewer.")
        check_path(path, "Report")
        if path.suffix.lower() != ".png" or not path.absolute().parent.is_dir():
            raise BadInput(f"Report '{path}' cannot be written: give a .png in a folder that exists.")
        self.generation, self.path = generation, path
        self.scorer = Scorer(experts or load_experts(generation.model.device, generation.model.folder))
        model = generation.model
        own = model.syncnet if isinstance(model, BaseModel) else None
        self.base = BaseSyncMeter(own) if own is not None else None

    def add(self, segment: Segment, shown: Subject) -> None:
        """Take in finished frames in order.

        shown  the subject as the model was shown it, which knows where the face lies in each
        """
        self.scorer.add(segment.face_frames)
        if self.base is None:
            return
        for number, frame in enumerate(segment.frames[..., :3], segment.start_frame):
            self.base.add(shown.framing.cut(frame, shown.nearest(shown.index(number)), self.base.size_px)[None])

    def finish(self, name: str) -> Scores:
        """The scores of all frames; the picture of them is drawn."""
        from ..metrics.report import draw_report

        labels = {reading["label"] for reading in self.generation.report.emotions}
        asked = labels.pop() if len(labels) == 1 else None
        samples = self.generation.sound.samples
        scores = self.scorer.finish(samples, name, asked)
        if self.base is not None:
            scores = replace(scores, base_sync=self.base.finish(samples))
        with writing(self.path, "The video is whole; score it again with `eadnet score`."):
            draw_report(scores).save(self.path)
        return scores
