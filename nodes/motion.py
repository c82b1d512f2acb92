"""How somebody moves in a clip: read, saved, loaded, and set up to drive a portrait."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..eadnet_core.config import PERFORMANCE_LENGTHS
from ..eadnet_core.errors import BadInput
from . import bridge
from .reference import reference_reader
from .saved_files import SavedFiles
from .sockets import EADMotion
from .video_source import fps_input, video_file

MOTIONS = SavedFiles("motion")
PARTS = {
    "head": "how the head turns",
    "gaze": "the sideways gaze",
    "blinks": "the blinks",
    "expression": "the expression over time",
}
"""The parts of `eadnet_core.motion.record.PARTS`, for tooltips."""


def _share(name: str, most: float, text: str, default: float = 1.0, step: float = 0.05) -> Any:
    tooltip = f"{text} No cost. Default: {default:g}."
    return io.Float.Input(name, default=default, min=0.0, max=most, step=step, tooltip=tooltip)


class MotionFromVideo(io.ComfyNode):
    """Head, gaze, blinks and expression read off a clip."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return bridge.schema(
            node_id="EADNet_MotionFromVideo",
            display_name="EAD-Net Motion From Video",
            description="Reads how somebody moves in a clip: head, sideways gaze, blinks and expression. Connect it to "
            "Speak or the Sampler, and the portrait moves so. The motion is taken, not the face. Runs on the CPU.",
            inputs=[
                fps_input(),
                io.String.Input(
                    "box",
                    default="",
                    tooltip="The face by hand, x0,y0,x1,y1 in pixels of the first frame, from the middle of the "
                    "forehead to the chin. It says whose motion is read. No cost. Default: empty, the most prominent.",
                ),
                io.Image.Input("images", optional=True, tooltip="The frames of a clip, in order; or connect a video."),
                io.Video.Input("video", optional=True, tooltip="The clip, read a frame at a time; or connect images."),
            ],
            outputs=[EADMotion.Output("motion", tooltip="The motion, for Speak, the Sampler, Settings or Save.")],
        )

    @classmethod
    def execute(cls, fps: float, box: str, images: Any = None, video: Any = None) -> io.NodeOutput:
        from ..eadnet_core.media.image import read_image
        from ..eadnet_core.motion.driving import Driving
        from ..eadnet_core.perception.driving import Where, read_clip, read_pictures

        if (images is None) == (video is None):
            raise BadInput("Connect either images or video: one clip is read.")
        where, n_frames = Where(bridge.box_of(box)), len(images) if video is None else video.get_frame_count()
        bar, reader = bridge.Bar(2 * n_frames), reference_reader()
        if video is None:
            pictures = bridge.to_pictures(images)
            motion = read_pictures(lambda: map(read_image, pictures), fps, reader, True, "images", where, bar)
        else:
            motion = read_clip(video_file(video), reader, True, where=where, on_picture=bar)
        return io.NodeOutput(Driving(motion), ui={"text": [motion.summary(), *motion.notes]})


class MotionSettings(io.ComfyNode):
    """How a motion is used."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return bridge.schema(
            node_id="EADNet_MotionSettings",
            display_name="EAD-Net Motion Settings",
            description="Sets how a motion drives a portrait: how much of it, which parts, how large and smooth, and "
            "what happens where the voice is longer. Without this node head, gaze and blinks are taken whole.",
            inputs=[
                EADMotion.Input("motion", tooltip="The motion, from a video or a file; it stays as it was."),
                _share("strength", 1.0, "Share beside the generated motion: 0 that alone, 1 the clip's alone. Blinks "
                       "come whole, from 0.5 on."),
                _share("scale", 2.0, "Amplitude of head and gaze: 0 none, 1 as in the clip, 2 twice as large. A head "
                       "is softly held within 19, 11 and 8 degrees."),
                *(
                    io.Boolean.Input(
                        f"take_{part}",
                        default=part != "expression",
                        tooltip=f"Take {what} of the clip; off, that is generated. No cost. "
                        f"Default: {'off' if part == 'expression' else 'on'}.",
                    )
                    for part, what in PARTS.items()
                ),
                io.Combo.Input(
                    "if_short",
                    options=list(PERFORMANCE_LENGTHS),
                    default="hold",
                    tooltip="Where the voice is longer: hold the last pose while lids and eyes go on by themselves, "
                    "loop, or bounce to and fro. No cost. Default: hold.",
                ),
                _share("smoothing_s", 1.0, "Seconds to each side over which the angles of the head are averaged; more "
                       "takes shake away, and quick nods with it.", 0.08, 0.02),
            ],
            outputs=[EADMotion.Output("motion_out", display_name="motion", tooltip="For Speak or the Sampler.")],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, motion: Any, strength: float, scale: float, if_short: str, smoothing_s: float, **parts: bool
    ) -> io.NodeOutput:
        from ..eadnet_core.motion.driving import Driving, DrivingOptions

        _check_given(motion)
        take = tuple(part for part in PARTS if parts[f"take_{part}"])
        if not take:
            raise BadInput("Nothing is taken of the motion. Turn on one of the take switches.")
        return io.NodeOutput(Driving(motion.motion, DrivingOptions(strength, scale, take, if_short, smoothing_s)))


def _check_given(motion: Any) -> None:
    """An Emotion Track without a motion gives none. Raises BadInput."""
    if motion is None:
        raise BadInput(
            "motion holds nothing: the Emotion Track before this node has neither a motion nor edits. Connect a motion "
            "to it, or draw one in its lanes."
        )


class SaveMotion(io.ComfyNode):
    """A motion as a file in ComfyUI's output folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return bridge.schema(
            node_id="EADNet_SaveMotion",
            display_name="EAD-Net Save Motion",
            description="Saves a motion as JSON in ComfyUI's output folder, to be edited, shared and loaded again.",
            inputs=[
                EADMotion.Input("motion", tooltip="The motion, from a video, Settings or a file."),
                MOTIONS.prefix_input(),
            ],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, motion: Any, filename_prefix: str) -> io.NodeOutput:
        from ..eadnet_core.motion.record_file import write_motion

        _check_given(motion)
        path, name = MOTIONS.new(filename_prefix)
        write_motion(path, motion.motion)
        return io.NodeOutput(ui={"text": [f"{name}: {motion.motion.summary()}"]})


class LoadMotion(io.ComfyNode):
    """A motion from a file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return bridge.schema(
            node_id="EADNet_LoadMotion",
            display_name="EAD-Net Load Motion",
            description="Loads a motion that Save Motion or `eadnet motion` wrote.",
            inputs=[MOTIONS.file_input()],
            outputs=[EADMotion.Output("motion", tooltip="The motion, for Speak, the Sampler or Settings.")],
        )

    @classmethod
    def validate_inputs(cls, file: str) -> bool | str:
        return MOTIONS.check(file)

    @classmethod
    def fingerprint_inputs(cls, file: str) -> str:
        return MOTIONS.state(file)

    @classmethod
    def execute(cls, file: str) -> io.NodeOutput:
        from ..eadnet_core.motion.driving import Driving
        from ..eadnet_core.motion.record_file import read_motion

        motion = read_motion(MOTIONS.path(file))
        return io.NodeOutput(Driving(motion), ui={"text": [motion.summary(), *motion.notes]})
