"""Latents to pictures: all at once as IMAGE, or streamed into a video file."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import Any

import torch
from comfy_api.latest import InputImpl, io, ui

from ..eadnet_core.config import FPS
from ..eadnet_core.errors import BadInput
from . import bridge
from .options import option_input
from .sockets import EADFace, EADLatents, SampledClip
from .video_source import pasted_into, picture_input

ENDS = ("audio", "shortest", "clip")


class DecodePaste(io.ComfyNode):
    """Every frame as IMAGE, for further nodes."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return bridge.schema(
            node_id="EADNet_DecodePaste",
            display_name="EAD-Net Decode & Paste Back",
            description="Decodes the clip and pastes the face back into the picture. All frames are held in memory: 3"
            " MB a frame at 512 x 512 px. For long clips use Render Video.",
            inputs=[*_clip_inputs(), option_input("background", optional=True)],
            outputs=[
                io.Image.Output(
                    "images", tooltip="The finished frames, 25 per second; with an alpha where it is transparent."
                )
            ],
        )

    @classmethod
    def execute(cls, latents: SampledClip, face: Any, portrait: Any, background: str = "moving") -> io.NodeOutput:
        pictures = pasted_into(face, portrait)
        width, height = (face if pictures is None else face.on(pictures)).size
        shape = (latents.clip.n_frames, height, width, 4 if background == "transparent" else 3)
        _check_memory(shape)
        frames = bridge.empty_image(shape)
        done = 0
        for part in decoded(latents, face, pictures, background):
            frames[done : done + len(part)] = bridge.to_image(part)
            done += len(part)
        return io.NodeOutput(frames)


class RenderVideo(io.ComfyNode):
    """The clip as VIDEO, in memory that does not grow with its length."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return bridge.schema(
            node_id="EADNet_RenderVideo",
            display_name="EAD-Net Render Video",
            description="Decodes, pastes back and writes the video with its sound, a few frames at a time: memory "
            "stays flat however long the clip is. Shows the video; connect Save Video to keep it.",
            inputs=[
                *_clip_inputs(),
                io.Audio.Input(
                    "audio", tooltip="The sound of the video, untouched: the one that went into the Audio Encoder."
                ),
                io.Float.Input(
                    "fps",
                    default=25.0,
                    min=1.0,
                    max=120.0,
                    step=0.001,
                    tooltip="Frames per second of the video. The model makes 25; at other rates frames are repeated "
                    "or left out. The length stays the same. More frames take a little more time. "
                    "Default: 25.",
                ),
                io.Combo.Input(
                    "ends_with",
                    options=list(ENDS),
                    default="audio",
                    optional=True,
                    tooltip="With what the video ends where sound and clip differ in length: with the sound, the last "
                    "frame staying; with the shortest of the two; or with the clip, the sound cut or its end silent. "
                    "The node says what it did. No cost. Default: audio.",
                ),
                io.Boolean.Input(
                    "lock_background",
                    default=False,
                    optional=True,
                    tooltip="Keep every pixel outside the head as it is in the picture, or in the video's frame, up to "
                    "what encoding changes. That costs about 0.1 s a frame. Default: off.",
                ),
                io.Boolean.Input(
                    "transparent_background",
                    default=False,
                    optional=True,
                    tooltip="Leave nothing behind the person: ProRes 4444 with an alpha, a .mov in output/eadnet. The "
                    "node names the file; it is not shown, and Save Video cannot copy it. That costs about 0.1 s a "
                    "frame in a video. Default: off.",
                ),
            ],
            outputs=[io.Video.Output("video", tooltip="The finished video, for Save Video and others.")],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        latents: SampledClip,
        face: Any,
        portrait: Any,
        audio: Any,
        fps: float,
        ends_with: str = "audio",
        lock_background: bool = False,
        transparent_background: bool = False,
    ) -> io.NodeOutput:
        from ..eadnet_core.generation.stages import render

        pictures = pasted_into(face, portrait)
        size = (face if pictures is None else face.on(pictures)).size
        background = "transparent" if transparent_background else "locked" if lock_background else "moving"
        path, shown = _place(background, cls.hidden.unique_id or "")
        settings = {"model": latents.hosted.model.name, "options": vars(latents.hosted.options)}
        if latents.clip.track is not None:
            settings["emotion_track"] = json.loads(latents.clip.track.to_json())
        fitted, note = fitted_sound(audio, latents.clip.n_frames, ends_with)
        sound = bridge.to_sound(fitted)
        frames = decoded(latents, face, pictures, background)
        render(path, frames, size, sound, fps, bridge.kept_settings(settings), has_alpha=transparent_background)
        texts = [*shown.pop("text", []), *([note] if note else [])]
        return io.NodeOutput(InputImpl.VideoFromFile(path), ui=shown | ({"text": texts} if texts else {}))


def _place(background: str, node_id: str) -> tuple[str, dict[str, Any]]:
    """The path of the video, and what the node shows: the video; or its name, for one that no page plays."""
    if background == "transparent":
        path, name = bridge.new_output(bridge.FOLDER, "transparent", ".mov")
        return str(path), {"text": [f"output/{name}: ProRes 4444 with an alpha."]}
    temp = bridge.temp_file(".mp4", node_id)
    return temp, ui.PreviewVideo([ui.SavedResult(os.path.basename(temp), "", io.FolderType.temp)]).as_dict()


def _clip_inputs() -> list[Any]:
    """What a clip becomes pictures from."""
    return [
        EADLatents.Input("latents", tooltip="The clip, from the Sampler."),
        EADFace.Input("face", tooltip="Where the face lies, from the Face node."),
        picture_input(
            "portrait",
            "What to paste into: the picture or video that went into the Face node, or the same picture enlarged or "
            "graded.",
        ),
    ]


def decoded(latents: SampledClip, face: Any, pictures: Any, background: str) -> Any:
    """Finished pictures, uint8 [t, H, W, 3], or RGBA where the background is transparent, with the node's progress."""
    from ..eadnet_core.generation.stages import decode_clip

    model = bridge.resident(latents.hosted)
    bar, done = bridge.Bar(latents.clip.n_frames), 0
    clip = replace(latents.clip, options=replace(latents.clip.options, background=background))
    for part in decode_clip(model, face, clip, pictures):
        done += len(part)
        bar(done)
        yield part


def fitted_sound(audio: dict[str, Any], n_frames: int, ends_with: str) -> tuple[dict[str, Any], str | None]:
    """AUDIO for a clip of `n_frames` at 25 per second, by one of `ENDS`; what became of a difference, or None."""
    waveform, rate_hz = audio["waveform"], int(audio["sample_rate"])
    sound_s, clip_s = waveform.shape[-1] / rate_hz, n_frames / FPS
    if abs(sound_s - clip_s) <= 1 / FPS:
        return audio, None
    said = f"The sound lasts {sound_s:.2f} s, the clip {clip_s:.2f} s; with ends_with '{ends_with}' "
    if ends_with == "audio" or (ends_with == "shortest" and sound_s < clip_s):
        return audio, said + ("its last frame stays." if sound_s > clip_s else "the clip is cut.")
    n_samples = round(clip_s * rate_hz)
    missing = max(0, n_samples - waveform.shape[-1])
    fitted = torch.nn.functional.pad(waveform[..., :n_samples], (0, missing))
    return {**audio, "waveform": fitted}, said + ("its end is silent." if missing else "the sound is cut.")


def _check_memory(shape: tuple[int, ...]) -> None:
    n_frames, height, width, channels = shape
    needed = 4 * n_frames * height * width * channels
    free = bridge.free_memory_bytes()
    if needed > 0.8 * free:
        raise BadInput(
            f"{n_frames} frames of {width} x {height} px need {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB "
            "are free. Use EAD-Net Render Video, which streams to a file, or a smaller portrait."
        )
