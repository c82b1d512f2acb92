"""The pack's own socket types, and what travels through each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from comfy_api.latest import io

if TYPE_CHECKING:
    from ..eadnet_core.families.family import Model
    from ..eadnet_core.generation.stages import Clip
    from ..eadnet_core.request import GenerateOptions

EADModel = io.Custom("EAD_MODEL")
"""HostedModel"""
EADFace = io.Custom("EAD_FACE")
"""eadnet_core.media.face.subject.Subject"""
EADAudio = io.Custom("EAD_AUDIO")
"""eadnet_core.generation.stages.Speech"""
EADEmotion = io.Custom("EAD_EMOTION")
"""eadnet_core.emotion.track.EmotionTrack, its words read"""
EADMotion = io.Custom("EAD_MOTION")
"""eadnet_core.motion.driving.Driving"""
EADStyle = io.Custom("EAD_STYLE")
"""eadnet_core.motion.style.Style"""
EADSpeakers = io.Custom("EAD_SPEAKERS")
"""tuple of eadnet_core.generation.speakers.Speaker"""
EADLatents = io.Custom("EAD_LATENTS")
"""SampledClip"""


@dataclass(frozen=True)
class HostedModel:
    """A model whose nets ComfyUI keeps, and the settings that go with it."""

    model: Model
    patcher: Any
    """comfy.model_patcher.ModelPatcher of a ModuleDict of the nets; held here, or ComfyUI would forget it."""
    options: GenerateOptions

    def with_options(self, **values: Any) -> HostedModel:
        """A clone with other settings; the weights are shared, the original is untouched."""
        return replace(self, patcher=self.patcher.clone(), options=replace(self.options, **values))


@dataclass(frozen=True)
class SampledClip:
    """Latents, and the model that can decode them."""

    hosted: HostedModel
    clip: Clip
