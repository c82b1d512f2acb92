"""The extension: which nodes there are, in the order of a graph."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from . import bridge, expression_route, faces_route, live_route, preview_route, sample_files, track_route
from .audio import AudioEncoder
from .batch import Batch
from .denoiser import Denoiser
from .emotion import EmotionPrompt, EmotionTrack
from .expression import ExpressionEditor
from .face import Face
from .fit import FitFace
from .language import Director, LLMEmotionCaption
from .loaders import Loader
from .mask import Mask
from .metrics import SyncScore
from .motion import LoadMotion, MotionFromVideo, MotionSettings, SaveMotion
from .reference import EmotionBlend, EmotionFromReference
from .sampler import Sampler
from .speak import Speak
from .speakers import Conversation, Speaker
from .style import LoadStyle, SaveStyle, Style, StyleBlend, StyleFromVideo
from .video import DecodePaste, RenderVideo

NODES: list[type[io.ComfyNode]] = [
    Speak,
    Loader,
    Face,
    AudioEncoder,
    EmotionPrompt,
    LLMEmotionCaption,
    EmotionTrack,
    Director,
    EmotionFromReference,
    EmotionBlend,
    ExpressionEditor,
    MotionFromVideo,
    MotionSettings,
    SaveMotion,
    LoadMotion,
    Denoiser,
    Sampler,
    DecodePaste,
    RenderVideo,
    Mask,
    SyncScore,
    Batch,
    Speaker,
    Conversation,
    FitFace,
    StyleFromVideo,
    Style,
    StyleBlend,
    SaveStyle,
    LoadStyle,
]


class EADNetExtension(ComfyExtension):
    """What ComfyUI asks for the nodes."""

    def __init__(self) -> None:
        bridge.register_model_folder()
        preview_route.register()
        expression_route.register()
        faces_route.register()
        live_route.register()
        track_route.register()
        sample_files.register()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return NODES
