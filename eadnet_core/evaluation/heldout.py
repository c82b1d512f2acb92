"""The clips that an evaluation runs on: fresh from a seed, of people, voices, sentences and words never trained on.

The corpus is imported when clips are drawn, since it needs packages of its own and the anatomy; see `shipped` for clips
that need neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..config import SyncNetConfig
from ..heads.anatomy import Anatomy
from ..metrics.compare import Truth
from ..metrics.lip_sync import speech_windows
from ..taxonomy import EMOTIONS, LEVELS, MOTION

if TYPE_CHECKING:
    from ..corpus.clips import ClipScript, Film

CLIPS_PER_GROUP = 4
"""Clips of different emotions that share portrait, voice and reference picture."""
CLIP_FRAMES = 75
N_UTTERANCES = 96
LEAST_SPEECH = 30
"""Windows of speech that a long clip must hold, to show an offset; else another voice is drawn."""


@dataclass(frozen=True)
class Case:
    """A clip to be drawn; see `corpus.clips.write_script`. `level` counts for neutral too, but shows nothing."""

    seed: int
    identity_seed: int
    voice_seed: int
    emotion: str
    level: int
    reference_emotion: str = "neutral"
    n_frames: int = CLIP_FRAMES
    is_main: bool = True
    """False for a clip that only completes the three levels of another one."""
    tells_level: bool = False
    """Whether the prompt must say how strong the emotion is, and not only name a scene: levels are compared by it."""


@dataclass(frozen=True)
class Clip:
    """A clip drawn: what is true of it, and what a generation of it is given.

    prompt               an artist's words, in held-out wording
    motion               [T, 8]   the true track, relative to the reference picture
    controls             [T, 28]  what the face does, columns `taxonomy.CONTROLS`
    reference_controls   [28]     the same of the reference picture
    tone, sex, age       of the head; see `corpus.stage.People`
    """

    case: Case
    truth: Truth
    prompt: str
    motion: np.ndarray
    controls: np.ndarray
    reference_controls: np.ndarray
    tone: str
    sex: str
    age: float


class Scene:
    """A held-out head and voice on which any emotion can be asked, and drawn to compare."""

    def __init__(
        self, number: int, seed: int, speech: object, n_frames: int, size_px: int, heads: Path | None = None
    ) -> None:
        """`speech` is a SpeechBank of the held-out split; another voice is taken where this one hardly speaks."""
        rng = np.random.default_rng([seed, 3, number])
        self.size_px, self._speech, self._heads = size_px, speech, heads
        clip, identity, voice = (int(value) for value in rng.integers(2**31, size=3))
        self._case = Case(clip, identity, voice, "neutral", 0, n_frames=n_frames)
        while _count_speech(self._script("neutral", 0).samples, n_frames) < least_speech(n_frames):
            self._case = replace(self._case, voice_seed=self._case.voice_seed + 1)
        self.samples: np.ndarray = self._script("neutral", 0).samples

    @cached_property
    def reference(self) -> np.ndarray:
        """The portrait, uint8 [size, size, 3], neutral."""
        return self._film("neutral", 0, self._case.n_frames).reference

    def mouth_opening(self, emotion: str, level: int) -> np.ndarray:
        """What the mouth truly does [T] when this voice speaks with an emotion."""
        return self._script(emotion, level).mouth_opening

    def frames(self, emotion: str, level: int, every: int = 1) -> np.ndarray:
        """True frames with an emotion, one in `every`: uint8 [T', size, size, 3]."""
        return self._film(emotion, level, every).frames

    def _film(self, emotion: str, level: int, every: int) -> Film:
        from ..corpus.clips import film

        script = self._script(emotion, level)
        return film(replace(script, states=script.states[::every]), self.size_px, self._heads)

    def _script(self, emotion: str, level: int) -> ClipScript:
        return _write(replace(self._case, emotion=emotion, level=level), self._case.voice_seed, self._speech)


def draw_scenes(
    n: int, seed: int, n_frames: int, size_px: int, first: int = 0, heads: Path | None = None
) -> Iterator[Scene]:
    """Scenes number `first` and on, each another head and voice. Raises BadInput without espeak-ng or the anatomy."""
    from ..corpus.speech import SpeechBank

    Anatomy.open(heads)
    speech = SpeechBank(seed, N_UTTERANCES, "heldout")
    for number in range(first, first + n):
        yield Scene(number, seed, speech, n_frames, size_px, heads)


def draw_cases(clips: int, seed: int) -> list[list[Case]]:
    """Groups of cases: four different emotions on one portrait and voice, balanced over emotions and levels.

    Each group also holds, as not main, the other two levels of its first emotion that has levels.

    >>> [len(group) for group in draw_cases(8, seed=0)]
    [6, 6]
    """
    rng = np.random.default_rng([seed, 1])
    groups: list[list[Case]] = []
    emotions: list[str] = []
    for index in range(clips // CLIPS_PER_GROUP):
        emotions = emotions or [str(name) for name in rng.permutation(EMOTIONS)]
        chosen, emotions = emotions[:CLIPS_PER_GROUP], emotions[CLIPS_PER_GROUP:]
        identity_seed, voice_seed, *seeds = (int(s) for s in rng.integers(2**31, size=2 + CLIPS_PER_GROUP))
        main = [
            Case(seeds[i], identity_seed, voice_seed, name, (index // 2 + EMOTIONS.index(name)) % len(LEVELS))
            for i, name in enumerate(chosen)
        ]
        place = next(i for i, case in enumerate(main) if case.emotion != "neutral")
        main[place] = first = replace(main[place], tells_level=True)
        others = [replace(first, level=i, is_main=False) for i in range(len(LEVELS)) if i != first.level]
        groups.append(main + others)
    return groups


def with_emotional_references(groups: Sequence[Sequence[Case]], seed: int) -> list[list[Case]]:
    """The main cases, with portraits that already show some other emotion, one for each group."""
    rng = np.random.default_rng([seed, 2])
    changed = []
    for group in groups:
        main = [case for case in group if case.is_main]
        free = [name for name in EMOTIONS[1:] if name not in {case.emotion for case in main}]
        reference = str(rng.choice(free))
        changed.append([replace(case, reference_emotion=reference) for case in main])
    return changed


def with_length(groups: Sequence[Sequence[Case]], n_frames: int) -> list[list[Case]]:
    """The main cases, with another length."""
    return [[replace(case, n_frames=n_frames) for case in group if case.is_main] for group in groups]


def draw_clips(
    groups: Sequence[Sequence[Case]], seed: int, size_px: int, heads: Path | None = None
) -> Iterator[list[Clip]]:
    """The clips of one group after the other, so that only one group is held at a time.

    heads  folder of the anatomy
    Raises BadInput without espeak-ng or the anatomy.
    """
    from ..corpus.speech import SpeechBank

    speech = SpeechBank(seed, N_UTTERANCES, "heldout")
    for group in groups:
        yield _draw_group(group, speech, size_px, heads)


def _draw_group(group: Sequence[Case], speech: object, size_px: int, heads: Path | None) -> list[Clip]:
    from ..corpus.clips import film

    voice_seed = group[0].voice_seed
    scripts = [_write(case, voice_seed, speech) for case in group]
    while _count_speech(scripts[0].samples, group[0].n_frames) < least_speech(group[0].n_frames):
        voice_seed += 1
        scripts = [_write(case, voice_seed, speech) for case in group]
    made = (film(script, size_px, heads) for script in scripts)
    return [_clip(case, script, one) for case, script, one in zip(group, scripts, made, strict=True)]


def least_speech(n_frames: int) -> int:
    """Windows of speech that a clip must hold; a short one has fewer windows than `LEAST_SPEECH`.

    >>> least_speech(75), least_speech(16)
    (30, 8)
    """
    return min(LEAST_SPEECH, n_frames // 2)


def _count_speech(samples: np.ndarray, n_frames: int) -> int:
    return int(np.count_nonzero(speech_windows(samples, n_frames, SyncNetConfig().frames)))


def _write(case: Case, voice_seed: int, speech: object) -> ClipScript:
    from ..corpus.clips import write_script

    return write_script(
        case.seed,
        n_frames=case.n_frames,
        split="heldout",
        speech=speech,  # type: ignore[arg-type]
        emotion=case.emotion,
        level=case.level,
        identity_seed=case.identity_seed,
        voice_seed=voice_seed,
        reference_emotion=case.reference_emotion,
    )


def _clip(case: Case, script: ClipScript, made: Film) -> Clip:
    truth = Truth(
        frames=made.frames,
        reference=made.reference,
        samples=script.samples,
        mouth_opening=made.mouth_opening,
        blink=script.motion[:, MOTION.index("blink")],
        yaw=script.motion[:, MOTION.index("yaw")],
        emotion=script.emotion,
    )
    return Clip(
        case,
        truth,
        _prompt(case, script.prompts),
        script.motion,
        script.controls,
        script.reference_controls,
        made.people.tone,
        made.people.sex,
        made.people.age,
    )


def _prompt(case: Case, prompts: Sequence[str]) -> str:
    """The first of a clip's prompts that says what it must."""
    from ..corpus.wording import SCENES

    scenes = SCENES[case.emotion]["heldout"] if case.tells_level else ()
    return next((prompt for prompt in prompts if prompt not in scenes), prompts[0])
