"""Sound in, what the model hears of it out."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..eadnet_core.media.sound.speech_gate import GATE_DB
from . import bridge
from .options import option_input
from .sockets import EADAudio


class AudioEncoder(io.ComfyNode):
    """Brings a sound to what the model hears, and finds where somebody speaks."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return bridge.schema(
            node_id="EADNet_AudioEncoder",
            display_name="EAD-Net Audio Encoder",
            description="Brings any sound to 16 kHz mono and finds the speech in it. The clip will be exactly as long"
            " as the sound: round(duration x 25) frames.",
            inputs=[
                io.Audio.Input("audio", tooltip="The voice: any rate, any number of channels."),
                option_input("has_speech_gate", "speech_gate"),
                io.Float.Input(
                    "gate_threshold",
                    default=GATE_DB,
                    min=-60.0,
                    max=-6.0,
                    step=1.0,
                    tooltip="Level in dB, relative to the loud moments of this sound, below which it counts as "
                    "silence. Raise it for a noisy recording, lower it where soft words are lost. No cost. "
                    "Default: "
                    f"{GATE_DB:.0f} dB.",
                ),
            ],
            outputs=[
                EADAudio.Output("speech", tooltip="What the model hears, for the Sampler."),
                io.Image.Output(
                    "waveform", tooltip="The waveform, blue where the gate hears speech, the gate above it."
                ),
            ],
        )

    @classmethod
    def execute(cls, audio: dict[str, Any], speech_gate: bool, gate_threshold: float) -> io.NodeOutput:
        from ..eadnet_core.media.annotate import draw_speech
        from ..eadnet_core.media.sound.speech import hear

        speech = hear(bridge.to_sound(audio), gate_threshold, speech_gate)
        picture = draw_speech(speech.sound.samples, speech.voice, speech.sound.duration_s)
        ui = None
        if not speech.voice.any():
            ui = {
                "text": [
                    "No speech was found: the mouth will stay at rest. Lower gate_threshold, or turn speech_gate off."
                ]
            }
        return io.NodeOutput(speech, bridge.to_image(picture), ui=ui)
