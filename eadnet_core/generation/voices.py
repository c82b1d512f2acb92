"""What the speakers of a conversation say and when, and the sound of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from ..config import FPS
from ..emotion.script import Script
from ..emotion.track import EmotionTrack
from ..errors import BadInput
from ..media.sound.audio import Audio, n_frames_of, read_audio, read_channels
from ..media.sound.mix import Placed, heard, mixed, starts
from ..media.sound.speech import Speech, hear
from ..media.sound.turns import in_channels, in_turns
from ..request import SHORTER_VOICES
from .plan import timed
from .speakers import Speaker

_FATES = {
    "silence": "its face listens",
    "hold": "its face is held",
    "loop": "it begins anew",
    "bounce": "its face moves to and fro",
}


@dataclass(frozen=True)
class ConversationOptions:
    """What is said of all speakers together. Raises BadInput for a value out of its range.

    shorter  one of request.SHORTER_VOICES
    look     how far who listens turns to who speaks: 0 not at all .. 1 as a rule
    """

    shorter: str = "silence"
    look: float = 1.0

    def __post_init__(self) -> None:
        if self.shorter not in SHORTER_VOICES:
            raise BadInput(f"shorter is {self.shorter!r:.80}; give one of {', '.join(SHORTER_VOICES)}.")
        if isinstance(self.look, bool) or not isinstance(self.look, (int, float)) or not 0 <= self.look <= 1:
            raise BadInput(f"look is {self.look!r:.80}; give a number in 0 .. 1.")

    def of_video(self) -> ConversationOptions:
        """The same for a video: its heads move by themselves, so that a face is neither held nor moved to and fro."""
        return replace(self, shorter="silence") if self.shorter in ("hold", "bounce") else self


class Voices:
    """What each speaker says and when, and the sound of all of them."""

    def __init__(
        self,
        speakers: Sequence[Speaker],
        common: Audio | None,
        asked: EmotionTrack | Script,
        conversation: ConversationOptions,
    ) -> None:
        """Reads the voices. Raises BadInput where nothing says who speaks, and for a channel that is not there."""
        self.speakers, self.common, self.asked = speakers, common, asked
        self.shorter = conversation.shorter
        self.notes: list[str] = []
        self.turns = asked.speakers if isinstance(asked, EmotionTrack) else ()
        self._check()
        self.own = self._placed()
        ends = [placed.end_s for placed in self.own if placed is not None]
        ends += [] if common is None else [common.duration_s]
        self.duration_s = min(ends) if self.shorter == "cut" else max(ends)
        parts = [placed for placed in self.own if placed is not None]
        self.sound = mixed([*([] if common is None else [Placed(common)]), *parts], self.duration_s)
        self.n_frames = n_frames_of(self.sound.n_original, self.sound.rate_hz)
        self.channels = self._channels()
        self._note_lengths(ends)

    def _check(self) -> None:
        names = [speaker.name for speaker in self.speakers]
        strangers = [name for name in self.turns if name not in names]
        if strangers:
            raise BadInput(
                f"The emotion track lets '{strangers[0]}' speak, but the speakers are {', '.join(names)}. Give the "
                "same names in both."
            )
        channels = [speaker for speaker in self.speakers if speaker.channel is not None]
        if self.common is None:
            if channels or self.turns:
                what = f"'{channels[0].name}' has a channel" if channels else "the emotion track says who speaks when"
                raise BadInput(f"There is no sound of the whole clip, but {what}. Give the audio.")
            if all(speaker.voice is None for speaker in self.speakers):
                raise BadInput("Nobody has a voice. Give a voice to a speaker, or the audio of the whole clip.")
        elif not channels and not self.turns:
            raise BadInput(
                "Nothing says who speaks in the audio. Give each speaker a channel of it, or an emotion track whose "
                "keyframes name a speaker; or give voices instead of the audio."
            )

    def _placed(self) -> list[Placed | None]:
        """The voices that are sounds of their own, each at its time."""
        found: list[Placed | None] = []
        before_s = 0.0
        for speaker in self.speakers:
            if speaker.voice is None:
                found.append(None)
                continue
            sound = speaker.voice if isinstance(speaker.voice, Audio) else read_audio(speaker.voice)
            start_s = before_s if speaker.start_s is None else speaker.start_s
            found.append(Placed(sound, start_s, self.shorter == "loop"))
            before_s = found[-1].end_s if found[-1] else 0.0
        return found

    def _channels(self) -> dict[int, Audio]:
        """What is said in each channel that somebody has, by its number from 1."""
        wanted = sorted({speaker.channel for speaker in self.speakers if speaker.channel is not None})
        if not wanted or self.common is None:
            return {}
        channels = read_channels(self.common)
        if wanted[-1] > len(channels):
            raise BadInput(f"channel is {wanted[-1]}, but the audio has {len(channels)}. Give 1 .. {len(channels)}.")
        return dict(zip(wanted, in_channels([channels[number - 1] for number in wanted]), strict=True))

    def _note_lengths(self, ends: Sequence[float]) -> None:
        longest = max(ends)
        if self.shorter == "cut" and longest - self.duration_s > 1 / FPS:
            self.notes.append(f"The clip ends with the shortest voice, after {self.duration_s:.2f} s.")
        for speaker, placed in zip(self.speakers, self.own, strict=True):
            if placed is None or self.shorter == "cut" or self.duration_s - placed.end_s <= 1 / FPS:
                continue
            fate = _FATES[self.shorter]
            self.notes.append(f"The voice of '{speaker.name}' ends at {placed.end_s:.2f} s; from there {fate}.")

    def speaks(self, number: int) -> bool:
        """Whether a speaker says anything at all."""
        speaker = self.speakers[number]
        return speaker.voice is not None or speaker.channel is not None or speaker.name in self.turns

    def heard(self, number: int) -> Audio:
        """What a speaker says, silence around it, as long as the clip."""
        speaker, placed = self.speakers[number], self.own[number]
        length = self.sound.n_original, self.sound.rate_hz
        if placed is not None:
            notes = placed.sound.notes
            return Audio(heard(placed, self.duration_s), *length, notes=notes)
        if not self.speaks(number) or self.common is None:
            return Audio(np.zeros_like(self.sound.samples), *length)
        common = self.common if speaker.channel is None else self.channels[speaker.channel]
        if speaker.channel is None:
            assert isinstance(self.asked, EmotionTrack)
            common = in_turns(common, self.asked.turns(speaker.name, common.duration_s))
        n_samples = len(self.sound.samples)
        samples = np.pad(common.samples[:n_samples], (0, max(0, n_samples - len(common.samples))))
        return Audio(samples, *length)

    def words(self, number: int, speech: Speech) -> EmotionTrack:
        """What a speaker shows over the clip: with a voice of its own, its words begin with it."""
        speaker, placed = self.speakers[number], self.own[number]
        asked: EmotionTrack | Script
        if speaker.words is None:
            asked = self.asked.of(speaker.name) if isinstance(self.asked, EmotionTrack) else self.asked
            if isinstance(self.asked, EmotionTrack) and self.turns:
                return timed(asked, speech)  # times of the whole clip
        else:
            asked = EmotionTrack.parse(speaker.words) if isinstance(speaker.words, str) else speaker.words
        if placed is None:
            return timed(asked, speech)
        track = timed(asked, hear(placed.sound, speech.gate_db, speech.has_speech_gate))
        return _laid(track, placed, self.duration_s)

    def span(self, number: int) -> tuple[int, int] | None:
        """The frames in which a voice of its own is heard, from the first up to the second; None without a voice."""
        placed = self.own[number]
        if placed is None:
            return None
        start = round(placed.start_s * FPS)
        return start, max(round(placed.end_s * FPS), start + 1)


def _laid(track: EmotionTrack, placed: Placed, duration_s: float) -> EmotionTrack:
    """A track whose times count from where a voice begins, each time it does."""
    begins = starts(placed, duration_s)
    if begins == [0.0]:
        return track
    keyframes = []
    for start_s, end_s in pairwise([*begins, duration_s]):
        inside = [k for k in track.keyframes if k.time_s < end_s - start_s or k is track.keyframes[0]]
        keyframes += [replace(k, time_s=k.time_s + start_s) for k in inside]
    return EmotionTrack(tuple(keyframes) or track.keyframes)
