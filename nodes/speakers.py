"""Several faces in one picture or video, each with its own voice and words."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from typing import Any

import torch
from comfy_api.latest import InputImpl, io, ui

from ..eadnet_core.errors import BadInput
from ..eadnet_core.request import SHORTER_VOICES
from . import bridge
from .options import option_input
from .own_words import own_words
from .sockets import EADEmotion, EADModel, EADMotion, EADSpeakers, EADStyle, HostedModel
from .video_source import picture_input, video_file, video_frames

STARTS = ("at start_s", "after the speaker before")
OWN_OPTIONS = ("head", "blink", "gaze", "lips")
MOST_SPEAKERS = 12


class Speaker(io.ComfyNode):
    """One face, its voice and its words; chained, one for each face."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return bridge.schema(
            node_id="EADNet_Speaker",
            display_name="EAD-Net Speaker",
            description="One of several faces: which one, its voice, and how it feels. Chain one for each face into "
            "Conversation.",
            inputs=[
                EADSpeakers.Input("speakers", optional=True, tooltip="The speakers before this one."),
                io.String.Input(
                    "face",
                    default="",
                    tooltip="Which face: left, right, a number from 0 counted from left to right, or a box x0,y0,x1,y1 "
                    "in pixels. No cost. Default: empty, the next one to the right.",
                ),
                io.Audio.Input(
                    "audio",
                    optional=True,
                    tooltip="The voice of this face alone. Without: its channel or its turns in the sound of "
                    "Conversation; without those it listens.",
                ),
                io.String.Input(
                    "text",
                    multiline=True,
                    default="",
                    tooltip="How the face should feel, in your own words; auto follows the voice. No cost. Default: "
                    "empty, the emotion of Conversation, else neutral.",
                ),
                EADEmotion.Input(
                    "emotion",
                    optional=True,
                    tooltip="An emotion from Emotion Track, the Expression Editor or others, instead of the text.",
                ),
                io.Combo.Input(
                    "starts",
                    options=list(STARTS),
                    default=STARTS[0],
                    optional=True,
                    tooltip="When the voice begins: at start_s, or where that of the speaker before ends. No cost. "
                    "Default: at start_s.",
                ),
                io.Float.Input(
                    "start_s",
                    default=0.0,
                    min=0.0,
                    max=36_000.0,
                    step=0.04,
                    optional=True,
                    tooltip="Seconds after which the voice begins. No cost. Default: 0.",
                ),
                io.Int.Input(
                    "channel",
                    default=0,
                    min=0,
                    max=8,
                    optional=True,
                    tooltip="Which channel of the sound of Conversation is this voice: 1 left, 2 right. 0: none of "
                    "them. No cost. Default: 0.",
                ),
                io.String.Input(
                    "name",
                    default="",
                    optional=True,
                    tooltip="What an emotion track calls this speaker. No cost. Default: empty, the number from 1.",
                ),
                *(option_input(name, optional=True) for name in OWN_OPTIONS),
                EADMotion.Input(
                    "motion",
                    optional=True,
                    tooltip="How somebody moves in a clip, from Motion From Video or Load Motion. Without: generated.",
                ),
                EADStyle.Input(
                    "style",
                    optional=True,
                    tooltip="How this one speaks, from Style From Video, Style or Load Style. Without: nobody in "
                    "particular.",
                ),
            ],
            outputs=[EADSpeakers.Output("speakers", tooltip="All speakers so far, for the next one or Conversation.")],
        )

    @classmethod
    def execute(
        cls,
        face: str,
        text: str,
        speakers: Any = None,
        audio: Any = None,
        emotion: Any = None,
        starts: str = STARTS[0],
        start_s: float = 0.0,
        channel: int = 0,
        name: str = "",
        motion: Any = None,
        style: Any = None,
        **options: Any,
    ) -> io.NodeOutput:
        from ..eadnet_core.generation.speakers import Speaker as Wanted
        from ..eadnet_core.generation.table import name_of
        from ..eadnet_core.media.face.several import parse_place

        before = tuple(speakers or ())
        if len(before) >= MOST_SPEAKERS:
            raise BadInput(f"There are {len(before)} speakers already; at most {MOST_SPEAKERS} fit into one picture.")
        number = len(before)
        begins_s = 0.0 if audio is None else None if starts == STARTS[1] else start_s
        words = text.strip() if emotion is None else emotion
        own = Wanted(
            name=name_of(name.strip()) if name.strip() else str(number + 1),
            face=parse_place(face) if face.strip() else number,
            voice=None if audio is None else bridge.to_sound(audio),
            channel=channel or None,
            start_s=begins_s,
            words=words or None,
            options=options,
            performance=motion,
            style=style,
        )
        if own.name in {one.name for one in before}:
            raise BadInput(f"name '{own.name}' is that of a speaker before. Give each a name of its own.")
        return io.NodeOutput((*before, own))


class Conversation(io.ComfyNode):
    """A video in which several faces speak."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return bridge.schema(
            node_id="EADNet_Conversation",
            display_name="EAD-Net Conversation",
            description="Several faces of one picture or video speak, each with its own voice and words; who stands by "
            "stays as it is. Shows the video, a few frames in memory at a time; connect Save Video to keep it.",
            inputs=[
                EADModel.Input("model", tooltip="The model, from the Loader or the Denoiser, whose settings all take."),
                picture_input("image", "A picture of all faces, or a video to dub, which takes longer."),
                EADSpeakers.Input("speakers", tooltip="Who speaks, from chained Speaker nodes; time grows with them."),
                io.Audio.Input(
                    "audio",
                    optional=True,
                    tooltip="One sound in which several speak, by channels or by turns. Without: the voices of the "
                    "speakers, added up.",
                ),
                EADEmotion.Input(
                    "emotion",
                    optional=True,
                    tooltip="The emotion of speakers who have none of their own. An Emotion Track whose keyframes have "
                    "a speaker also says who speaks when.",
                ),
                io.Combo.Input(
                    "shorter",
                    options=list(SHORTER_VOICES),
                    default=SHORTER_VOICES[0],
                    optional=True,
                    tooltip="Where one voice is shorter than another: silence, its face listens; hold, it keeps its "
                    "last pose; loop, the voice begins anew; bounce, its face moves to and fro; cut, the clip ends "
                    "with it. No cost. Default: silence.",
                ),
                io.Float.Input(
                    "look",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    optional=True,
                    display_mode=io.NumberDisplay.slider,
                    tooltip="How far who listens turns to who speaks, in a picture: 0 not at all. No cost. Default: 1.",
                ),
                option_input("seed", control_after_generate=True, optional=True),
                option_input("length", optional=True),
                option_input("face_threshold", optional=True),
                io.Boolean.Input(
                    "lock_background",
                    default=False,
                    optional=True,
                    tooltip="Keep every pixel outside the heads as it is in the picture, or in the video's frame, up "
                    "to what encoding changes. That costs about 0.1 s a frame and face. Default: off.",
                ),
            ],
            outputs=[
                io.Video.Output("video", tooltip="The finished video, for Save Video and others."),
                io.String.Output("report", tooltip="What was made of each face, as JSON."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        model: HostedModel,
        image: Any,
        speakers: Any,
        audio: Any = None,
        emotion: Any = None,
        shorter: str = SHORTER_VOICES[0],
        look: float = 1.0,
        seed: int = 0,
        length: str = "shortest",
        face_threshold: float = 0.5,
        lock_background: bool = False,
    ) -> io.NodeOutput:
        from ..eadnet_core.emotion.track import EmotionTrack
        from ..eadnet_core.generation.conversation import ConversationOptions, prepare_conversation
        from ..eadnet_core.generation.output import write_video
        from ..eadnet_core.media.video.segments import segment_folder

        ready = bridge.resident(model)
        background = "locked" if lock_background else model.options.background
        options = dataclasses.replace(
            model.options, seed=seed, length=length, face_threshold=face_threshold, background=background
        )
        if background == "transparent":
            raise BadInput("The video of Conversation cannot be transparent. Choose another background.")
        sound = None if audio is None else bridge.to_sound(audio)
        track = EmotionTrack.parse("") if emotion is None else emotion
        together = ConversationOptions(shorter, look)
        search = bridge.Bar(1 if isinstance(image, torch.Tensor) else video_frames(image))
        with own_words({"face_box": "face", "--emotion-track": "emotion", "'portrait'": "'image'"}):
            made = prepare_conversation(
                _picture(image), speakers, sound, track, options, together, model=ready, on_search=search
            )
        path, report = bridge.temp_file(".mp4"), made.report
        bar = bridge.Bar(sum(face.n_ticks for face in made.faces), shows_video=True)
        try:
            run: dict[str, Any] = {"on_progress": bar.follow, "cancel": bridge.check_cancel}
            write_video(made, path, **run, has_settings=bridge.keeps_settings())
        except BaseException:
            shutil.rmtree(segment_folder(path), ignore_errors=True)  # nobody can go on with it
            raise
        shown = ui.PreviewVideo([ui.SavedResult(os.path.basename(path), "", io.FolderType.temp)]).as_dict()
        notes = [*report.notes]
        for name, own in zip(report.names, report.speakers, strict=True):
            notes += [f"{name}: {note}" for note in own.notes]
        said = json.dumps(report.to_dict(), ensure_ascii=False)
        return io.NodeOutput(InputImpl.VideoFromFile(path), said, ui=shown | ({"text": notes} if notes else {}))


def _picture(image: Any) -> Any:
    """One picture [H, W, C], or a video. Raises BadInput for the frames of a video as IMAGE."""
    from ..eadnet_core.config import FPS
    from ..eadnet_core.media.video.files import read_video

    if not isinstance(image, torch.Tensor):
        return read_video(video_file(image), FPS)
    pictures = bridge.to_pictures(image)
    if len(pictures) > 1:
        raise BadInput(
            f"'image' holds {len(pictures)} pictures. Give one of them, or connect the video itself (Load Video)."
        )
    return pictures[0].numpy()
