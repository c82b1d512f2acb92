"""Where the head, the person, the face or the mouth is in pictures, for compositing."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from ..eadnet_core.errors import BadInput
from . import bridge
from .options import option_input
from .own_words import own_words
from .video_source import picture_input, to_source, video_frames

KINDS = ("head", "person", "face", "mouth")


class Mask(io.ComfyNode):
    """One mask of a face for every picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return bridge.schema(
            node_id="EADNet_Mask",
            display_name="EAD-Net Mask",
            description="Makes a mask of the face in every picture: the alpha of its head or person, the face, or the "
            "mouth. For compositing and inpainting. Runs on the CPU.",
            inputs=[
                picture_input(
                    "images",
                    "Finished frames, or any pictures of one face. The frames of a VIDEO are read one at a time, at "
                    "its own rate; the masks of all are held in memory, 8 MB each in 1080p.",
                ),
                io.Combo.Input(
                    "kind",
                    options=list(KINDS),
                    default=KINDS[0],
                    tooltip="head is the alpha of the head, with hair, down to the jaw; person the alpha of all of the "
                    "person; face lies inside the oval of the face; mouth is the lips and what lies between. An alpha "
                    "takes most time, about 0.1 s a frame. Default: head.",
                ),
                io.String.Input(
                    "box",
                    default="",
                    optional=True,
                    tooltip="The face by hand, x0,y0,x1,y1 in pixels, from the middle of the forehead to the chin. In "
                    "several pictures it says which face is followed. No cost. Default: empty, search.",
                ),
                option_input("face_threshold", optional=True),
                option_input("on_missing", optional=True),
                option_input("accept_any_face", optional=True),
            ],
            outputs=[io.Mask.Output("mask", tooltip="White where it is: one mask for each picture.")],
        )

    @classmethod
    def execute(
        cls,
        images: Any,
        kind: str,
        box: str = "",
        face_threshold: float = 0.5,
        on_missing: str = "hold",
        accept_any_face: bool = False,
    ) -> io.NodeOutput:
        from ..eadnet_core.generation.mask_video import masks_over_time
        from ..eadnet_core.media.face.subject import find_subject

        pictures = to_source(images, None)[0]
        search = bridge.Bar(len(pictures) if isinstance(pictures, torch.Tensor) else video_frames(images))
        with own_words({"face_box": "box", "'portrait'": "'images'"}):
            found = find_subject(
                pictures,
                -1,
                bridge.box_of(box),
                face_threshold,
                on_missing,
                on_picture=search,
                accept_any_face=accept_any_face,
            )
        width, height = found.size
        _check_memory(len(found.crops), width, height)
        masks = torch.empty(len(found.crops), height, width)
        bar = bridge.Bar(len(masks))
        for number, made in enumerate(masks_over_time(found, (kind,))):
            masks[number] = torch.from_numpy(made[kind]).float() / 255
            bar(number + 1)
        return io.NodeOutput(bridge.to_device(masks))


def _check_memory(n_frames: int, width: int, height: int) -> None:
    needed, free = 4 * n_frames * width * height, bridge.free_memory_bytes()
    if needed > 0.8 * free:
        raise BadInput(
            f"{n_frames} masks of {width} x {height} px need {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB "
            "are free. Cut or shrink the video, or write the mask as a video with `eadnet mask`."
        )
