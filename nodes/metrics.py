"""How well it did."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io, ui

from ..eadnet_core.errors import BadInput
from ..eadnet_core.taxonomy import EMOTIONS
from . import bridge
from .own_words import own_words
from .video_source import fps_input, video_file

NAMES = {
    "face_box": "box",
    ", or lower face_threshold": "",
    "set accept_any_face to take it all the same. Else give": "give",
}
"""What the core says of a face that it does not find, in this node's words: it has a box alone."""


class SyncScore(io.ComfyNode):
    """Lip sync, emotion, motion and identity of a clip."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return bridge.schema(
            node_id="EADNet_SyncScore",
            display_name="EAD-Net Sync Score",
            description="Scores pictures or a video against a voice: lip sync (LSE-C, LSE-D, offset), emotion,"
            " identity. The net that judges lip sync was trained apart from all that generate; emotion is read as "
            "references are. The figures compare clips scored here, not other papers'.",
            inputs=[
                io.Combo.Input(
                    "asked_emotion",
                    options=["any", *EMOTIONS],
                    default="any",
                    tooltip="The emotion the clip should show; it is marked in the report. No cost. Default: any.",
                ),
                fps_input(),
                io.String.Input(
                    "box",
                    default="",
                    tooltip="The face by hand, x0,y0,x1,y1 in pixels, from the middle of the forehead to the chin. "
                    "It costs nothing and spares the search. Default: empty, search in the first frame.",
                ),
                io.Image.Input("images", optional=True, tooltip="The frames to score; or connect a video."),
                io.Video.Input("video", optional=True, tooltip="The video to score; or connect images."),
                io.Audio.Input(
                    "audio", optional=True, tooltip="The voice; a video's own sound is taken if not connected."
                ),
            ],
            outputs=[
                io.Float.Output("lse_c", tooltip="Confidence of the lip sync: higher is better. NaN without speech."),
                io.Float.Output(
                    "lse_d", tooltip="Distance between lips and sound: lower is better. NaN without speech."
                ),
                io.Float.Output("offset", tooltip="Frames by which the sound is off at best sync; 0 is right."),
                io.Float.Output("identity", tooltip="Likeness of the face to its first frame, 0 to 1."),
                io.Image.Output("report", tooltip="All figures and their course, as a picture."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls, asked_emotion: str, fps: float, box: str, images: Any = None, video: Any = None, audio: Any = None
    ) -> io.NodeOutput:
        import numpy as np

        from ..eadnet_core.generation.stages import score_pictures
        from ..eadnet_core.metrics.report import draw_report

        pictures, sound = _source(images, video, audio, fps)
        asked = None if asked_emotion == "any" else asked_emotion
        hosted = bridge.experts(bridge.SHIPPED)
        with own_words(NAMES):
            scores = score_pictures(pictures, sound, hosted.experts, bridge.box_of(box), asked, bridge.check_cancel)
        report = bridge.to_image(np.array(draw_report(scores)))
        shown = {**ui.PreviewImage(report, cls=cls).as_dict(), "text": [_summary(scores)]}
        return io.NodeOutput(scores.lse_c, scores.lse_d, float(scores.offset), scores.identity, report, ui=shown)


def _source(images: Any, video: Any, audio: Any, fps: float) -> tuple[Any, Any]:
    """(pictures uint8 at 25 per second, sound) of whatever is connected. Raises BadInput."""
    from ..eadnet_core.media.face.subject import Subject
    from ..eadnet_core.media.video.files import read_video

    if (images is None) == (video is None):
        raise BadInput("Connect either images or a video to EAD-Net Sync Score.")
    if video is not None:
        path = video_file(video)
        reader = read_video(path, 25)
        return reader, bridge.to_sound(audio) if audio is not None else reader.audio()
    if audio is None:
        raise BadInput("Images have no sound: connect the voice to audio.")
    sound, pictures = bridge.to_sound(audio), bridge.to_pictures(images)
    shown = Subject(pictures, (None,) * len(pictures), fps)
    n_frames = min(sound.n_frames(), round(len(pictures) * 25 / fps))
    return (shown.picture(i) for i in range(n_frames)), sound


def _summary(scores: Any) -> str:
    from math import isfinite

    sync = "no speech to compare"
    if isfinite(scores.lse_c):
        sync = f"LSE-C {scores.lse_c:.3f}, LSE-D {scores.lse_d:.3f}, offset {scores.offset:+d} frames"
    return f"{sync}\nshows: {scores.emotion} {scores.emotion_intensity:.2f}; identity {scores.identity:.3f}"
