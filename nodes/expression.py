"""A still that an artist poses: sliders in, the picture with that expression and the emotion that it shows out."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import folder_paths
from comfy_api.latest import io, ui

from ..eadnet_core.emotion.expression import MUSCLES, SLIDERS, Expression, Slider
from . import bridge
from .options import option_input
from .own_words import own_words
from .sockets import EADEmotion

if TYPE_CHECKING:
    import numpy as np

    from ..eadnet_core.families.family import Model

NAMES = {"face_box": "box", "'portrait'": "'image'", ", or lower face_threshold": ""}
"""What the core says of a face that it does not find, as this node calls it."""


def slider_input(slider: Slider) -> io.Input:
    """The widget of a slider."""
    rest = "0 leaves the picture as it is." if slider.name in MUSCLES else "0 adds nothing."
    return io.Float.Input(
        slider.name,
        default=0.0,
        min=slider.low,
        max=slider.high,
        step=slider.step,
        display_mode=io.NumberDisplay.slider,
        tooltip=f"{slider.text}. {rest} No cost. Default: 0.",
    )


class ExpressionEditor(io.ComfyNode):
    """Poses the face of a still."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return bridge.schema(
            node_id="EADNet_ExpressionEditor",
            display_name="EAD-Net Expression Editor",
            description="Poses the face in a picture by sliders, which its panel shows at once: brows, eyes, mouth, "
            "head and eight feelings. Gives the picture, and the emotion for Speak, tracks and the Sampler.",
            inputs=[
                io.Image.Input("image", tooltip="A picture of a face, any size; of a batch each picture is posed."),
                io.String.Input(
                    "box",
                    default="",
                    tooltip="The face by hand, x0,y0,x1,y1 in pixels, from the middle of the forehead to the chin. "
                    "It wins over the search and costs nothing. Default: empty, search.",
                ),
                option_input("accept_any_face"),
                *map(slider_input, SLIDERS),
            ],
            outputs=[
                io.Image.Output("posed", display_name="image", tooltip="The picture at its own size, the face posed."),
                EADEmotion.Output("emotion", tooltip="What the face shows, for Speak, tracks, Blend and the Sampler."),
                io.String.Output("caption", tooltip="What the face shows, in words."),
            ],
        )

    @classmethod
    def execute(cls, image: Any, box: str, accept_any_face: bool, **sliders: float) -> io.NodeOutput:
        from ..eadnet_core.emotion.face_words import caption
        from ..eadnet_core.emotion.track import EmotionTrack, Keyframe
        from ..eadnet_core.generation.still import Still
        from ..eadnet_core.media.face.find import locate
        from ..eadnet_core.media.image import read_image

        expression, where = Expression(sliders), bridge.box_of(box)
        posed, codes = [], []
        bar = bridge.Bar(len(image))
        for number, given in enumerate(bridge.to_pictures(image), start=1):
            picture = read_image(given)
            with own_words(NAMES):
                still = Still(mini(), picture, locate(picture, where, accept_any_face=accept_any_face))
            posed.append(still.whole(expression))
            codes.append(expression.code(still.own))
            bar(number)
        track = EmotionTrack((Keyframe(0.0, "as posed", code=tuple(map(float, codes[0]))),))
        shown = {"eadnet_still": [kept_still(read_image(bridge.to_pictures(image[:1])))]}
        return io.NodeOutput(bridge.to_image(stacked(posed)), track, caption(codes[0]), ui=shown)


def stacked(pictures: list[np.ndarray]) -> np.ndarray:
    """[B, H, W, 3] of pictures of one size."""
    import numpy as np

    return np.stack(pictures)


@lru_cache(maxsize=1)
def mini() -> Model:
    """The shipped mini on the CPU: a frame of a face costs less than bringing it to a card and back."""
    from ..eadnet_core.families.load import load_model

    return load_model(bridge.SHIPPED, "cpu", "auto")


def kept_still(picture: np.ndarray) -> ui.SavedResult:
    """A picture in temp/, for a panel whose picture comes from no file; named by what is in it."""
    from PIL import Image

    name = f"eadnet_still_{hashlib.sha256(picture.tobytes()).hexdigest()[:16]}.png"
    folder = folder_paths.get_temp_directory()
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        os.makedirs(folder, exist_ok=True)
        Image.fromarray(picture).save(path, compress_level=1)
    return ui.SavedResult(name, "", io.FolderType.temp)
