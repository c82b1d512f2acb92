"""Where the face is."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from . import bridge
from .boxes import BoundingBox, box_text
from .expression import kept_still
from .options import option_input
from .own_words import own_words
from .sockets import EADFace
from .video_source import picture_input, to_source, video_frames

CROP_PX = 256


class Face(io.ComfyNode):
    """Finds the face in a portrait, or in every frame of a video."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return bridge.schema(
            node_id="EADNet_Face",
            display_name="EAD-Net Face",
            description="Finds the face in a portrait or in a video, and shows what was found. Runs on the CPU.",
            inputs=[
                picture_input(
                    "image",
                    "The portrait, a batch to choose from, or a video to dub: from Load Video, or its frames. A video "
                    "in a file is read as it is needed, so that its length costs no memory.",
                ),
                io.Int.Input(
                    "index",
                    default=0,
                    min=-1,
                    max=100_000,
                    tooltip="Which picture of the batch is the portrait, counted from 0. -1 takes every picture as "
                    "the frames of a video that is to be dubbed; the face is then followed from frame to "
                    "frame, which costs a search in each. A connected video is always followed. Default: 0.",
                ),
                io.String.Input(
                    "box",
                    default="",
                    tooltip="The face by hand, x0,y0,x1,y1 in pixels, from the middle of the forehead to the chin. "
                    "It wins over the search and costs nothing; in a video it says which face is followed. Default: "
                    "empty, search.",
                ),
                option_input("face_threshold"),
                option_input("on_missing"),
                io.Float.Input(
                    "fps",
                    default=25.0,
                    min=1.0,
                    max=240.0,
                    step=0.001,
                    tooltip="For the frames of a video: how many of them make a second; they are brought to the 25 "
                    "that the model works at. Ignored for a portrait, and a connected video brings its own. No cost. "
                    "Default: 25.",
                ),
                option_input("accept_any_face", optional=True),
                BoundingBox.Input(
                    "bboxes",
                    optional=True,
                    tooltip="The face as another node found or drew it, such as Bounding Box or a face detection. The "
                    "largest box of the picture is used as box would be, and box wins over it. No cost.",
                    extra_dict={"forceInput": True},
                ),
            ],
            outputs=[
                EADFace.Output("face", tooltip="Where the face lies, for Sampler, Decode and Render."),
                io.Image.Output("crop", tooltip="What the model sees of the picture, 256 x 256 px."),
                io.Image.Output("annotated", tooltip="The picture with what was found drawn on it."),
            ],
        )

    @classmethod
    def execute(
        cls,
        image: Any,
        index: int,
        box: str,
        face_threshold: float,
        on_missing: str,
        fps: float,
        accept_any_face: bool = False,
        bboxes: Any = None,
    ) -> io.NodeOutput:
        box = box if box.strip() else box_text(bboxes, index)
        from ..eadnet_core.media.annotate import draw_face
        from ..eadnet_core.media.face.crop import crop
        from ..eadnet_core.media.face.subject import find_subject

        pictures, rate = to_source(image)
        is_batch = isinstance(image, torch.Tensor)
        bar = bridge.Bar(len(pictures) if isinstance(pictures, torch.Tensor) else video_frames(image))
        with own_words(_names()):
            found = find_subject(
                pictures,
                index if is_batch else -1,
                bridge.box_of(box),
                face_threshold,
                on_missing,
                rate or fps,
                bar,
                accept_any_face=accept_any_face,
            )
        seen = crop(found.picture(0), found.nearest(0), CROP_PX)
        label = "" if found.is_still else f"{len(found.crops)} frames, {len(found.missed)} without a face"
        drawn = draw_face(found.picture(0), found.crops[0], label)
        shown = {} if bridge.is_expanded() else {"eadnet_still": [kept_still(found.picture(0))]}
        return io.NodeOutput(found, bridge.to_image(seen[None]), bridge.to_image(drawn), ui=shown)


def _names() -> dict[str, str]:
    """The core's names for what this node has, {in the core: here}; Speak has a picture alone."""
    if not bridge.is_expanded():
        return {"face_box": "box", "'portrait'": "'image'"}
    there = "in the node EAD-Net Face of the workflow emotional_talking_head"
    return {"face_box": f"box ({there})", "'portrait'": "'image'"}
