"""What newer ComfyUIs can do with a node, in one place: an older one is told only what it knows."""

from __future__ import annotations

import dataclasses
from typing import Any

from comfy_api.latest import io

ALIASES = {
    "Speak": ["talking head", "lip sync", "avatar", "talking photo", "voice to video", "对口型", "数字人"],
    "Loader": ["talking head model", "lip sync model", "加载模型"],
    "Face": ["face detection", "face box", "crop face", "portrait", "人脸"],
    "AudioEncoder": ["voice", "speech", "speech detection", "语音"],
    "EmotionPrompt": ["emotion", "feeling", "expression", "mood", "表情", "情绪"],
    "LLMEmotionCaption": ["emotion", "language model", "caption", "sentiment", "情绪"],
    "EmotionTrack": ["emotion", "timeline", "keyframes", "expression over time", "情绪"],
    "Denoiser": ["head movement", "blink", "gaze", "lips", "头部动作"],
    "Sampler": ["talking head", "lip sync", "avatar", "对口型"],
    "DecodePaste": ["vae decode", "paste face", "talking head frames", "解码"],
    "RenderVideo": ["talking head video", "lip sync", "dub", "dubbing", "对口型", "配音"],
    "Mask": ["face mask", "mouth mask", "head alpha", "matte", "segment", "remove background", "遮罩", "抠像"],
    "SyncScore": ["lip sync score", "lse", "syncnet", "对口型"],
    "Director": ["script", "emotion", "screenplay", "transcript", "剧本"],
    "EmotionFromReference": ["emotion", "expression transfer", "face reference", "表情"],
    "EmotionBlend": ["emotion", "mix", "expression blend", "表情"],
    "ExpressionEditor": ["expression editor", "face pose", "live portrait", "emotion sliders", "smile", "表情编辑"],
    "MotionFromVideo": ["motion capture", "head pose", "driving video", "gaze", "blink", "live portrait", "动作捕捉"],
    "MotionSettings": ["driving video", "head movement", "motion strength", "动作"],
    "SaveMotion": ["motion", "head pose", "export", "动作"],
    "LoadMotion": ["motion", "head pose", "import", "动作"],
    "StyleFromVideo": ["speaking style", "manner", "gestures", "driving video", "风格"],
    "Style": ["speaking style", "gestures", "smile", "blink rate", "head movement", "风格"],
    "StyleBlend": ["speaking style", "mix", "风格"],
    "SaveStyle": ["speaking style", "export", "风格"],
    "LoadStyle": ["speaking style", "import", "风格"],
    "Speaker": ["two speakers", "several faces", "dialogue", "podcast", "multi person", "说话人", "多人"],
    "Conversation": ["two speakers", "several faces", "dialogue", "lip sync", "dub", "podcast", "对话", "多人对口型"],
    "FitFace": ["fit", "fine-tune", "own teeth", "personal", "拟合", "牙齿"],
    "Batch": ["batch", "many videos", "csv", "lip sync", "dub", "批量"],
}
"""Words that find a node in the search, beside its name (ComfyUI 0.11)."""

ESSENTIALS = {"Speak": "Video Tools"}
"""The shelf of the Essentials tab that holds a node (0.15)."""

SAYS = {
    "AudioEncoder",
    "Director",
    "EmotionBlend",
    "EmotionFromReference",
    "EmotionPrompt",
    "EmotionTrack",
    "Face",
    "FitFace",
    "LLMEmotionCaption",
    "LoadMotion",
    "Loader",
    "MotionFromVideo",
    "LoadStyle",
    "Sampler",
    "Style",
    "StyleBlend",
    "StyleFromVideo",
}
"""Nodes that show what they did without ending a graph: a reloaded page and a cached run show it again (0.19)."""

ADVANCED = {
    "Loader": {"precision", "attention"},
    "Face": {"face_threshold", "on_missing", "accept_any_face"},
    "Speaker": {"blink", "gaze", "lips", "name"},
    "Conversation": {"face_threshold", "length"},
    "AudioEncoder": {"gate_threshold"},
    "Denoiser": {
        "stda_strength",
        "tfrm_strength",
        "window_frames",
        "mouth_by",
        "lip_corners",
        "mask_edge",
        "identity_strength",
        "style_strength",
    },
    "MotionSettings": {"smoothing_s"},
    "Sampler": {"sync_guidance", "sync_low", "sync_high"},
}
"""Widgets that are folded away until an artist asks for them (0.10)."""

_SCHEMA_FIELDS = {field.name for field in dataclasses.fields(io.Schema)}


def schema(**values: Any) -> io.Schema:
    """io.Schema with the features of this file, less what this ComfyUI does not know.

    An unknown keyword would keep the whole pack from loading.
    """
    name = values["node_id"].removeprefix("EADNet_")
    known = {
        "search_aliases": ALIASES.get(name, []),
        "essentials_category": ESSENTIALS.get(name),
        "has_intermediate_output": name in SAYS,
        **values,
    }
    made = io.Schema(**{key: value for key, value in known.items() if key in _SCHEMA_FIELDS})
    for port in made.inputs:
        if port.id in ADVANCED.get(name, ()) and hasattr(port, "advanced"):
            port.advanced = True
    return made
