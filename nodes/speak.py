"""The whole graph in one node, for a first run."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io, ui

from ..eadnet_core.media.sound.speech_gate import GATE_DB
from . import bridge, denoiser, sampler
from .loaders import Loader
from .options import new_widgets, option_input
from .sockets import EADEmotion, EADMotion, EADStyle
from .video_source import picture_input


class Speak(io.ComfyNode):
    """Becomes the nodes of the full graph when it runs, so that what did not change is not computed again."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return bridge.schema(
            node_id="EADNet_Speak",
            display_name="EAD-Net Speak",
            description="A portrait, a voice and words in, a talking video out. Shows the video;"
            " connect Save Video to keep it. The other nodes do the same with every setting.",
            inputs=[
                picture_input(
                    "image", "A frontal portrait of any size, or a video to dub, which takes longer.", raw_link=True
                ),
                io.Audio.Input("audio", raw_link=True, tooltip="The voice; the video will be exactly as long."),
                io.String.Input(
                    "text",
                    multiline=True,
                    default="she has just won and cannot stop smiling",
                    tooltip="How the face should feel, in your own words. Empty is neutral. No cost. "
                    "Default: an example.",
                ),
                io.Float.Input(
                    "intensity",
                    default=1.0,
                    min=0.0,
                    max=1.5,
                    step=0.05,
                    display_mode=io.NumberDisplay.slider,
                    tooltip="Strength of the emotion: 0 neutral, 1 as the words say, above 1 exaggerated. "
                    "No cost. Default: 1.",
                ),
                option_input("head", display_mode=io.NumberDisplay.slider),
                option_input("lips", display_mode=io.NumberDisplay.slider),
                io.Combo.Input(
                    "model",
                    options=bridge.list_models(),
                    default=bridge.SHIPPED,
                    optional=True,
                    tooltip="Which model speaks. 'mini' (128 px) and 'mini-256' (256 px, slower) ship with this pack; "
                    "others are folders in models/eadnet, and cost their files' memory. Default: mini.",
                ),
                option_input("seed", control_after_generate="fixed", optional=True),
                EADEmotion.Input(
                    "emotion",
                    optional=True,
                    raw_link=True,
                    tooltip="An emotion from the Expression Editor, a Track or a Blend, instead of the text.",
                ),
                EADMotion.Input(
                    "motion",
                    optional=True,
                    raw_link=True,
                    tooltip="How somebody moves in a clip, from Motion From Video or Load Motion: head, gaze and "
                    "blinks follow it.",
                ),
                EADStyle.Input(
                    "style",
                    optional=True,
                    raw_link=True,
                    tooltip="How somebody speaks, from Style From Video, Style or Load Style.",
                ),
                sampler.live_input("The video grows in this node"),
            ],
            outputs=[io.Video.Output("video", tooltip="The talking video, for Save Video and others.")],
            is_output_node=True,
            enable_expand=True,
        )

    @classmethod
    def validate_inputs(cls, model: str = bridge.SHIPPED) -> bool | str:
        return Loader.validate_inputs(model)

    @classmethod
    def fingerprint_inputs(cls, model: str = bridge.SHIPPED, live: bool = False, **_: Any) -> str:
        return f"{Loader.fingerprint_inputs(model, 'auto', 'auto')} {sampler.Sampler.fingerprint_inputs(live)}"

    @classmethod
    def execute(
        cls,
        image: list[Any],
        audio: list[Any],
        text: str,
        intensity: float,
        head: float,
        lips: float,
        model: str = bridge.SHIPPED,
        seed: int = 0,
        emotion: list[Any] | None = None,
        motion: list[Any] | None = None,
        style: list[Any] | None = None,
        live: bool = False,
    ) -> io.NodeOutput:
        from comfy_execution.graph_utils import GraphBuilder

        graph = GraphBuilder()
        loader = graph.node("EADNet_Loader", model=model, precision="auto", attention="auto")
        face = graph.node("EADNet_Face", image=image, index=0, box="", face_threshold=0.5, on_missing="hold", fps=25.0)
        heard = graph.node("EADNet_AudioEncoder", audio=audio, speech_gate=True, gate_threshold=GATE_DB)
        moved = {**new_widgets(denoiser.SETTINGS), "head": head, "lips": lips}
        if emotion is None:
            feeling = {"preset": "from text", "valence": 0.0, "arousal": 0.0, "use_pad": False}
            felt = graph.node("EADNet_EmotionPrompt", text=text, intensity=intensity, **feeling).out(0)
        else:
            felt, moved["emotion_scale"] = emotion, intensity
        net = graph.node("EADNet_Denoiser", model=loader.out(0), **moved)
        sampled = graph.node(
            "EADNet_Sampler",
            model=net.out(0),
            face=face.out(0),
            speech=heard.out(0),
            emotion=felt,
            **{**new_widgets(sampler.SETTINGS), "seed": seed, "live": live},
            **({} if motion is None else {"motion": motion}),
            **({} if style is None else {"style": style}),
        )
        name = bridge.temp_name()
        video = graph.node(
            "EADNet_RenderVideo", name, latents=sampled.out(0), face=face.out(0), portrait=image, audio=audio, fps=25.0
        )
        # Said before the video is there, and again by every cached run: web/js/cached_video.js shows it then.
        shown = {"eadnet_video": [ui.SavedResult(f"{name}.mp4", "", io.FolderType.temp)]}
        return io.NodeOutput(video.out(0), expand=graph.finalize(), ui=shown)
