"""How somebody speaks: read off a clip, set by hand, mixed, saved and loaded."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from comfy_api.latest import io

from ..eadnet_core.errors import BadInput
from ..eadnet_core.motion.style import MOST, mixed
from ..eadnet_core.motion.style import Style as Gaussian
from ..eadnet_core.taxonomy import TRAITS
from . import bridge
from .reference import reference_reader, share_input
from .saved_files import SavedFiles
from .sockets import EADStyle
from .video_source import fps_input, video_file

if TYPE_CHECKING:
    from ..eadnet_core.nets.style import StyleEncoder

STYLES = SavedFiles("style")
WORDS = {
    "gestures": "How far the head sways",
    "tempo": "How quickly the head sways",
    "nods": "Nods on stressed words, their size and number",
    "blinks": "Rate of blinks",
    "gaze": "How far and how often the eyes jump",
    "brows": "Brows on stressed words: raised, or below 0 drawn together",
    "smile": "Habit to smile; below 0 the corners of the mouth hang",
    "lips": "How far the lips go; those that press stay pressed",
}
"""Traits for tooltips."""


class StyleFromVideo(io.ComfyNode):
    """The style of who speaks in a clip."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return bridge.schema(
            node_id="EADNet_StyleFromVideo",
            display_name="EAD-Net Style From Video",
            description="Reads how somebody speaks off a clip: size of gestures, nods, blinks, brows, smiles, lips. "
            "Connect it to Speak or the Sampler, and a portrait speaks so. The manner is taken, not the face. Runs on "
            "the CPU.",
            inputs=[
                fps_input(),
                io.String.Input(
                    "box",
                    default="",
                    tooltip="The face by hand, x0,y0,x1,y1 in pixels of the first frame, from the middle of the "
                    "forehead to the chin. It says whose style is read. No cost. Default: empty, the most prominent.",
                ),
                io.Image.Input("images", optional=True, tooltip="The frames of a clip, in order; or connect a video."),
                io.Video.Input("video", optional=True, tooltip="The clip with its sound, 2 s and more, 20 s at best."),
                io.Audio.Input("audio", optional=True, tooltip="The voice of images; a video brings its own."),
            ],
            outputs=[EADStyle.Output("style", tooltip="The style, for Speak, the Sampler, Blend or Save.")],
        )

    @classmethod
    def execute(cls, fps: float, box: str, images: Any = None, video: Any = None, audio: Any = None) -> io.NodeOutput:
        from ..eadnet_core.media.image import read_image
        from ..eadnet_core.perception.driving import Where
        from ..eadnet_core.perception.style import read_style, read_style_of

        if (images is None) == (video is None):
            raise BadInput("Connect either images or video: one clip is read.")
        where, n_frames = Where(bridge.box_of(box)), len(images) if video is None else video.get_frame_count()
        bar, encoder, reader = bridge.Bar(2 * n_frames), style_reader(), reference_reader()
        if video is None:
            pictures = bridge.to_pictures(images)
            sound = None if audio is None else bridge.to_sound(audio)
            style, notes = read_style_of(
                lambda: map(read_image, pictures), fps, sound, encoder, reader, "images", where, bar
            )
        else:
            style, notes = read_style(video_file(video), encoder, reader, where, bar)
        return io.NodeOutput(style, ui={"text": [style.summary(), *notes]})


class Style(io.ComfyNode):
    """A style by hand."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return bridge.schema(
            node_id="EADNet_Style",
            display_name="EAD-Net Style",
            description="Sets by hand how somebody speaks, or changes a style that was read. Each trait is in standard "
            "deviations from the average person: 1 is one in six, 2 one in forty.",
            inputs=[
                *(
                    io.Float.Input(
                        f"{name}_sd",
                        default=0.0,
                        min=-MOST,
                        max=MOST,
                        step=0.1,
                        display_mode=io.NumberDisplay.slider,
                        tooltip=f"{WORDS[name]}. It is added to that of the connected style. No cost. Default: 0.",
                    )
                    for name in TRAITS
                ),
                EADStyle.Input(
                    "style", optional=True, tooltip="A style to change, from a video or a file. Without: the average."
                ),
            ],
            outputs=[EADStyle.Output("style_out", display_name="style", tooltip="For Speak, the Sampler or Save.")],
        )

    @classmethod
    def execute(cls, style: Any = None, **traits: float) -> io.NodeOutput:
        made = Gaussian.of({name.removesuffix("_sd"): value for name, value in traits.items()}, "by hand")
        if style is not None:
            made = Gaussian((style.mean + made.mean).clip(-MOST, MOST), style.sd, style.source)
        return io.NodeOutput(made, ui={"text": [made.summary()]})


class StyleBlend(io.ComfyNode):
    """Two styles as one."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return bridge.schema(
            node_id="EADNet_StyleBlend",
            display_name="EAD-Net Style Blend",
            description="Mixes how two people speak by a weight. Two clips of one person give a surer style.",
            inputs=[
                EADStyle.Input("first", tooltip="A style, from a video, a file or by hand."),
                EADStyle.Input("second", tooltip="The style that is mixed in."),
                share_input(),
            ],
            outputs=[EADStyle.Output("style", tooltip="The mixture, for Speak, the Sampler or Save.")],
        )

    @classmethod
    def execute(cls, first: Any, second: Any, weight: float) -> io.NodeOutput:
        made = mixed([first, second], [1.0 - weight, weight])
        return io.NodeOutput(made, ui={"text": [made.summary()]})


class SaveStyle(io.ComfyNode):
    """A style as a file in ComfyUI's output folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return bridge.schema(
            node_id="EADNet_SaveStyle",
            display_name="EAD-Net Save Style",
            description="Saves a style as JSON in ComfyUI's output folder, to be edited, shared and loaded again.",
            inputs=[
                EADStyle.Input("style", tooltip="The style, from a video, a file or by hand."),
                STYLES.prefix_input(),
            ],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, style: Any, filename_prefix: str) -> io.NodeOutput:
        from ..eadnet_core.motion.style_file import write_style

        path, name = STYLES.new(filename_prefix)
        write_style(path, style)
        return io.NodeOutput(ui={"text": [f"{name}: {style.summary()}"]})


class LoadStyle(io.ComfyNode):
    """A style from a file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return bridge.schema(
            node_id="EADNet_LoadStyle",
            display_name="EAD-Net Load Style",
            description="Loads a style that Save Style or `eadnet style` wrote.",
            inputs=[STYLES.file_input()],
            outputs=[EADStyle.Output("style", tooltip="The style, for Speak, the Sampler or Blend.")],
        )

    @classmethod
    def validate_inputs(cls, file: str) -> bool | str:
        return STYLES.check(file)

    @classmethod
    def fingerprint_inputs(cls, file: str) -> str:
        return STYLES.state(file)

    @classmethod
    def execute(cls, file: str) -> io.NodeOutput:
        from ..eadnet_core.motion.style_file import read_style_file

        style = read_style_file(STYLES.path(file))
        return io.NodeOutput(style, ui={"text": [style.summary()]})


@lru_cache(maxsize=1)
def style_reader() -> StyleEncoder:
    """What reads styles for the shipped model: .2 MB on the CPU."""
    from ..eadnet_core.weights.experts import load_style_reader

    return load_style_reader(bridge.SHIPPED)
