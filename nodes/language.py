"""Language models at work: a face described in words, and a script directed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comfy_api.latest import io

from ..eadnet_core.emotion.llm.options import DEFAULT_ENDPOINT, PROVIDERS, ChatOptions
from ..eadnet_core.emotion.llm.providers import Opened, open_provider
from ..eadnet_core.errors import BadInput
from . import bridge
from .emotion import reader, waveform
from .reference import reference_reader
from .sockets import EADEmotion

if TYPE_CHECKING:
    import numpy as np

    from ..eadnet_core.emotion.caption import Provider
    from ..eadnet_core.emotion.director import Directed

OPTIONS = ("max_tokens", "temperature", "seed", "timeout_s", "retries")


class LLMEmotionCaption(io.ComfyNode):
    """Words, pictures or a voice described as a face, by a provider."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        weight = io.Float.Input(
            "prosody_weight",
            default=0.0,
            min=0.0,
            max=1.0,
            step=0.05,
            tooltip="Share of the voice's own emotion beside words or pictures: 0 none, 1 the voice alone. No cost. "
            "Default: 0.",
        )
        return bridge.schema(
            node_id="EADNet_LLMEmotionCaption",
            display_name="EAD-Net LLM Emotion Caption",
            description="Describes an emotion as a face in one to three sentences, from words, pictures of a face, or "
            "a voice. The rules provider works offline and needs no model of language.",
            inputs=[
                provider_input([weight], sees=True),
                io.String.Input(
                    "text",
                    multiline=True,
                    default="",
                    tooltip="Words to describe: an artist's line. The rules take them before pictures and voice; a "
                    "language model is shown all that is connected. No cost by rule. Default: empty.",
                ),
                io.Image.Input(
                    "images",
                    optional=True,
                    tooltip="Pictures of a face in the order of time; at most 8 of them, spread over the batch, are "
                    "looked at, cut to the face.",
                ),
                io.Audio.Input(
                    "audio",
                    optional=True,
                    tooltip="A voice: its pitch, loudness, pace and brightness tell arousal, and hint at valence.",
                ),
            ],
            outputs=[
                io.String.Output("caption", tooltip="The face in one to three sentences."),
                EADEmotion.Output("emotion", tooltip="The emotion, for the Sampler or an Emotion Track."),
            ],
        )

    @classmethod
    def execute(cls, provider: dict[str, Any], text: str, images: Any = None, audio: Any = None) -> io.NodeOutput:
        from ..eadnet_core.emotion.caption import Description, Scene, caption_of
        from ..eadnet_core.emotion.code import emotion_code
        from ..eadnet_core.emotion.track import EmotionTrack, Keyframe

        if not text.strip() and images is None and audio is None:
            raise BadInput("There is nothing to describe: write words into text, or connect images or audio.")
        pictures, voice = None if images is None else _faces(images), _voice(audio)
        if text.strip() or pictures is not None or voice is not None:
            found = _describer(provider)(Scene(text, pictures, voice=voice))
        else:
            neutral = emotion_code("neutral", 0.0)
            found = Description(caption_of(neutral), neutral, "rules", ("too little is spoken to tell a feeling",))
        values = found.to_json()
        summary = (
            f"{values['label']}, intensity {values['intensity']:.2f}, valence {values['valence']:+.2f}, "
            f"arousal {values['arousal']:+.2f} ({found.provider})\n{found.caption}"
        )
        track = EmotionTrack((Keyframe(0.0, text, None, tuple(map(float, found.code))),))
        said = "\n".join([summary, *(f"Note: {note}" for note in found.notes)])
        return io.NodeOutput(found.caption, track, ui={"text": [said]})


class Director(io.ComfyNode):
    """A script as emotions over its speech."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return bridge.schema(
            node_id="EADNet_Director",
            display_name="EAD-Net Director",
            description="Reads the script of a speech and directs the face: at which word it changes, and to what. "
            "Directions in square brackets are followed.",
            inputs=[
                provider_input([], sees=False),
                io.String.Input(
                    "script",
                    multiline=True,
                    default="[calm] I thought you had gone. [delighted] And now you stand here!",
                    tooltip="The words that are spoken, with directions in square brackets, such as [whispering, "
                    "afraid] or [furious: 0.8]. Without any, each sentence is read. No cost by rule. "
                    "Default: an example.",
                ),
                io.Audio.Input("audio", tooltip="The speech that the script is of; it tells when each word is said."),
                io.String.Input(
                    "transcript",
                    multiline=True,
                    default="",
                    tooltip="The words with their times, as SubRip, WebVTT, or the JSON of Whisper. Empty spreads the "
                    "words over the voiced parts of the speech. No cost. Default: empty.",
                ),
            ],
            outputs=[
                EADEmotion.Output("emotion", tooltip="The emotions over time, for the Sampler."),
                io.String.Output("keyframes", tooltip="The same as JSON, for an Emotion Track to change by hand."),
            ],
        )

    @classmethod
    def execute(cls, provider: dict[str, Any], script: str, audio: Any, transcript: str = "") -> io.NodeOutput:
        from ..eadnet_core.media.sound.speech import hear

        done = _direct(provider, script, transcript, hear(bridge.to_sound(audio)).voice)
        lines = [f"{k.time_s:.2f} s  {k.text or 'neutral'}" for k in done.track.keyframes]
        said = "\n".join([*lines, f"({done.provider})", *(f"Note: {note}" for note in done.notes)])
        track = done.track.read(reader().codes)
        return io.NodeOutput(track, done.track.to_json(), ui={"text": [said], **(waveform(audio) or {})})


def provider_input(rules: list[Any], sees: bool) -> Any:
    """The choice of a provider; each brings the inputs that it alone needs.

    rules  the inputs of the rules;  sees  whether a model that sees pictures is of use

    Those of "openai" are all optional: a prompt saved when they held an address has no "endpoint", and shall reach
    `_open`, which says what to do. Only some of them optional would change their order, and so the values of files.
    """
    local = io.Combo.Input(
        "model",
        options=bridge.list_language_models(),
        tooltip="A folder in models/LLM as transformers saves a model: config.json, tokenizer, safetensors. Nothing is "
        "downloaded. Memory and time grow with it. Default: the first one.",
    )
    endpoint = [
        io.String.Input(
            "endpoint",
            default=DEFAULT_ENDPOINT,
            optional=True,
            tooltip="Name of an OpenAI-compatible server, never its address: addresses and their keys stand in "
            "user/eadnet/endpoints.json, which workflows cannot change. Text and pictures are sent there. Time and "
            "price are the server's. Default: ollama, on this machine.",
        ),
        io.String.Input(
            "model",
            default="qwen2.5vl",
            optional=True,
            tooltip="A model of that server; empty takes the endpoint's own. Time grows with it. Default: qwen2.5vl.",
        ),
    ]
    of_provider = {
        "rules": rules,
        "local_text": [local, *_answering()],
        "local_vision": [local, *_answering()],
        "openai": [*endpoint, *_answering(is_optional=True), _timeout()],
    }
    return io.DynamicCombo.Input(
        "provider",
        options=[
            io.DynamicCombo.Option(name, of_provider[name]) for name in PROVIDERS if sees or name != "local_vision"
        ],
        tooltip="Who decides. 'rules' works offline with what is shipped; the local ones ask a language model in "
        "models/LLM; 'openai' asks a server. Where a model gives no useful answer the rules do, with a note. The rules "
        "take no time worth naming, a model seconds to minutes. Default: rules.",
    )


def _answering(is_optional: bool = False) -> list[Any]:
    """How a language model answers."""
    usual = ChatOptions()
    return [
        io.Int.Input(
            "max_tokens",
            optional=is_optional,
            default=usual.max_tokens,
            min=16,
            max=4096,
            tooltip="Length of an answer; time grows with it. Default: 400.",
        ),
        io.Float.Input(
            "temperature",
            optional=is_optional,
            default=usual.temperature,
            min=0.0,
            max=2.0,
            step=0.05,
            tooltip="0 always the likeliest words; above, answers vary with the seed. No cost. Default: 0.",
        ),
        io.Int.Input(
            "seed",
            optional=is_optional,
            default=usual.seed,
            min=0,
            max=2**31 - 1,
            tooltip="Of the draws above temperature 0. No cost. Default: 0.",
        ),
        io.Int.Input(
            "retries",
            optional=is_optional,
            default=usual.retries,
            min=0,
            max=10,
            tooltip="How often a wrong answer is asked for again before the rules decide; each takes the time of an "
            "answer. Default: 2.",
        ),
    ]


def _timeout() -> Any:
    return io.Float.Input(
        "timeout_s",
        optional=True,
        default=ChatOptions().timeout_s,
        min=0.1,
        max=3600.0,
        step=0.1,
        tooltip="Seconds an answer may take. Default: 60.",
    )


def _open(provider: dict[str, Any]) -> tuple[Opened | None, ChatOptions]:
    """The language model of a choice, and how it is asked."""
    from ..eadnet_core.emotion.llm.endpoints import find_endpoint

    name = provider["provider"]
    options = ChatOptions(**{key: provider[key] for key in OPTIONS if provider.get(key) is not None})
    if name == "openai":
        named, model = (str(provider.get(key) or "") for key in ("endpoint", "model"))
        return open_provider(name, endpoint=find_endpoint(named, bridge.endpoints_file(), model)), options
    if name == "rules":
        return None, options
    folder = bridge.language_model_folder(provider["model"])
    return open_provider(name, folder, device=bridge.room_for(folder), check=bridge.check_cancel), options


def _describer(provider: dict[str, Any]) -> Provider:
    from ..eadnet_core.emotion.caption import asked, rules

    ruled = rules(reader().codes, _see, provider.get("prosody_weight", 0.0))
    opened, options = _open(provider)
    if opened is None:
        return ruled
    see, measure = (None, _measure) if opened.sees_pictures else (_see, None)
    return asked(opened.chat, opened.name, reader().codes, ruled, options, see, measure)


def _direct(provider: dict[str, Any], script: str, transcript: str, voice: np.ndarray) -> Directed:
    from ..eadnet_core.emotion.director import by_model, by_rule
    from ..eadnet_core.emotion.script import parse_script
    from ..eadnet_core.emotion.transcript import parse_transcript

    parsed = parse_script(script, parse_transcript(transcript) if transcript.strip() else ())
    direct = by_rule(reader().codes)
    opened, options = _open(provider)
    if opened is not None:
        direct = by_model(opened.chat, opened.name, direct, options)
    return direct(parsed, voice)


def _faces(images: Any) -> np.ndarray:
    from ..eadnet_core.media.image import read_image
    from ..eadnet_core.perception.clips import shown_faces

    return shown_faces([read_image(picture) for picture in bridge.to_pictures(images)])


def _see(pictures: np.ndarray) -> np.ndarray:
    """By what reads references."""
    from ..eadnet_core.perception.faces import read_pictures

    return read_pictures(pictures, reference_reader())


def _measure(pictures: np.ndarray) -> np.ndarray:
    """By what reads references, action unit by action unit."""
    from ..eadnet_core.perception.faces import measure_pictures

    return measure_pictures(pictures, reference_reader())


def _voice(audio: Any) -> Any:
    if audio is None:
        return None
    from ..eadnet_core.emotion.prosody import mean_reading, read_voice
    from ..eadnet_core.media.sound.speech import hear

    speech = hear(bridge.to_sound(audio))
    return mean_reading(read_voice(speech.sound.samples, speech.voice))
