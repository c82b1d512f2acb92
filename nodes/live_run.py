"""A run that is watched: its video grows in a file while it is made, and takes words that are changed meanwhile."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from ..eadnet_core.config import SAMPLE_RATE_HZ
from . import bridge

if TYPE_CHECKING:
    from ..eadnet_core.emotion.track import Keyframe
    from ..eadnet_core.families.family import Model
    from ..eadnet_core.generation.stages import Clip

SHOWN_PX = 512
"""Longest side of the growing video."""
KEPT_RUNS = 3
"""Runs whose growing video can still be asked for."""
EVENT = "eadnet_live"
"""What the page is told when such a run begins: {node, name}."""


class LiveRun:
    """One run.

    name      that its video is asked for by, which nobody guesses
    is_done   nothing is added to the file any more
    """

    def __init__(self, sound: np.ndarray, settings: dict[str, Any]) -> None:
        """sound: float32 [N] mono 16 kHz."""
        self.name = bridge.temp_name()
        self.path = bridge.temp_file(".growing.mp4", f"live.{self.name}")
        self.is_done = False
        self.n_listeners = 0
        self._sound, self._settings = sound, settings
        self._words: Keyframe | None = None
        self._file = open(self.path, "wb")  # noqa: SIM115  closed by `close`
        self._writer: Any = None

    def say(self, words: Keyframe) -> None:
        """Let the clip feel something else from its next segment on; the code of the words is read."""
        self._words = words

    def words(self) -> Keyframe | None:
        """What was said since this was asked last."""
        words, self._words = self._words, None
        return words

    def show(self, frames: np.ndarray, start: int) -> None:
        """Append finished pictures, uint8 [t, H, W, 3], with the sound that belongs to them."""
        from ..eadnet_core.config import FPS
        from ..eadnet_core.media.image import fitted
        from ..eadnet_core.media.video.fragments import FragmentWriter

        frames = np.stack([fitted(one, SHOWN_PX) for one in frames])
        if self._writer is None:
            self._writer = FragmentWriter(self._file, (frames.shape[2], frames.shape[1]), self._settings)
        per_frame = SAMPLE_RATE_HZ // FPS
        sound = self._sound[start * per_frame : (start + len(frames)) * per_frame]
        self._writer.write(frames, np.pad(sound, (0, len(frames) * per_frame - len(sound))))
        self._file.flush()

    def close(self) -> None:
        """End the video."""
        if self._writer is not None:
            self._writer.close()
        self._file.close()
        self.is_done = True


class LiveRuns:
    """The runs of this process."""

    def __init__(self) -> None:
        self._runs: dict[str, LiveRun] = {}
        self.n_turns = 0
        """How often words were changed in any run: a run that was steered is not what its inputs alone make."""

    def begin(self, sound: np.ndarray, settings: dict[str, Any]) -> LiveRun:
        """A new run; the files of old ones are removed."""
        while len(self._runs) >= KEPT_RUNS:
            old = self._runs.pop(next(iter(self._runs)))
            if old.is_done and os.path.exists(old.path):
                os.remove(old.path)
        run = LiveRun(sound, settings)
        self._runs[run.name] = run
        return run

    def find(self, name: str) -> LiveRun | None:
        """A run by its name."""
        return self._runs.get(name)


RUNS = LiveRuns()


def sample_watched(
    model: Model, inputs: tuple[Any, ...], options: Any, bar: bridge.Bar, settings: dict[str, Any]
) -> Clip:
    """Sample a clip, inputs (face, speech, emotion, motion, style), while its video grows in the page."""
    from ..eadnet_core.generation.steering import Steer, sample_live

    face, speech, emotion, motion, style = inputs
    run = RUNS.begin(speech.sound.samples, settings)
    bridge.tell_page(EVENT, {"node": bridge.shown_node(), "name": run.name})
    try:
        steer = Steer(run.words, run.show, bar.follow, bridge.check_cancel)
        return sample_live(model, face, speech, emotion, options, steer, motion, style)
    finally:
        run.close()
