"""Language models in folders on this machine, through transformers: chat models, and ones that see pictures too.

Only what the user put there is read: safetensors and JSON, no pickle, no code of the model's own, no download.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel

from ...errors import BadInput
from .chat import Chat, Message, ProviderError
from .grammar import Constrained, pattern_of
from .options import ChatOptions

PICTURE_SIDE_PX = 384
"""Pictures are made this small before a model sees them: a face needs no more, and every patch costs time."""


Check = Callable[[], object]
"""Called before every token; what it raises ends the answer."""


def local_text(folder: str | os.PathLike[str], device: str = "auto", check: Check | None = None) -> Chat:
    """A chat with the model in a folder (Qwen2.5, Llama, Gemma, ...); it sees no pictures. Raises BadInput."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = _checked(folder)
    tokenizer = _open(path, AutoTokenizer)
    _check_template(path, tokenizer)
    net = _open(path, AutoModelForCausalLM, use_safetensors=True)
    net = net.eval().to(_device(device))

    def chat(messages: Sequence[Message], form: type[BaseModel], options: ChatOptions) -> str:
        prompt = _prompt(tokenizer, messages, lambda m: m.text)
        inputs = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)
        return _answer(net, tokenizer, inputs, form, options, check)

    return chat


def local_vision(folder: str | os.PathLike[str], device: str = "auto", check: Check | None = None) -> Chat:
    """A chat with the image-text-to-text model in a folder (Qwen2.5-VL, SmolVLM, LLaVA, ...). Raises BadInput."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    path = _checked(folder)
    processor = _open(path, AutoProcessor)
    if not hasattr(processor, "tokenizer"):
        raise BadInput(f"The model in '{path.name}' sees no pictures. Give it as a text model, or give another folder.")
    _check_template(path, processor)
    net = _open(path, AutoModelForImageTextToText, use_safetensors=True)
    net = net.eval().to(_device(device))

    def content(message: Message) -> Any:
        return [*({"type": "image"} for _ in message.pictures), {"type": "text", "text": message.text}]

    def chat(messages: Sequence[Message], form: type[BaseModel], options: ChatOptions) -> str:
        prompt = _prompt(processor, messages, content)
        pictures = [_small(p) for m in messages for p in m.pictures]
        inputs = processor(text=[prompt], images=pictures or None, return_tensors="pt", add_special_tokens=False)
        return _answer(net, processor.tokenizer, inputs, form, options, check)

    return chat


def _checked(folder: str | os.PathLike[str]) -> Path:
    path = Path(folder)
    if not (path / "config.json").is_file():
        raise BadInput(
            f"'{path}' holds no language model: there is no config.json. Give a folder as transformers saves it, with "
            "config.json, the tokenizer and *.safetensors. Nothing is downloaded."
        )
    if not any(path.glob("*.safetensors")):
        raise BadInput(f"'{path}' holds no *.safetensors; weights in other formats are not opened. Convert them.")
    return path


def _open(path: Path, kind: Any, **more: bool) -> Any:
    """What a class of transformers loads from a folder, its many kinds of failure as one."""
    from safetensors import SafetensorError

    try:
        return kind.from_pretrained(path, local_files_only=True, trust_remote_code=False, **more)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, TypeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:300]
        raise BadInput(f"The model in '{path.name}' cannot be opened ({type(error).__name__}: {reason}).") from error


def _check_template(path: Path, owner: Any) -> None:
    if not getattr(owner, "chat_template", None):
        raise BadInput(f"The model in '{path.name}' has no chat template. Give an instruct or chat model.")


def _device(name: str) -> str:
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def _prompt(owner: Any, messages: Sequence[Message], content: Callable[[Message], Any]) -> str:
    """The conversation in the model's own template; one that knows no system role gets it at the head of the user's."""
    from jinja2.exceptions import TemplateError

    # Models that think aloud otherwise would spend the answer's tokens on it.
    more = {"enable_thinking": False} if "enable_thinking" in str(owner.chat_template) else {}

    def render(given: Sequence[Message]) -> str:
        turns = [{"role": m.role, "content": content(m)} for m in given]
        return owner.apply_chat_template(turns, tokenize=False, add_generation_prompt=True, **more)

    try:
        return render(messages)
    except TemplateError:
        system, first, *rest = messages
        return render([Message(first.role, f"{system.text}\n\n{first.text}", first.pictures), *rest])


def _answer(
    net: Any, tokenizer: Any, inputs: Any, form: type[BaseModel], options: ChatOptions, check: Check | None
) -> str:
    """What the net says, held to the form."""
    from transformers import LogitsProcessorList

    inputs = inputs.to(net.device)
    n_prompt = inputs["input_ids"].shape[1]
    room = getattr(net.config.get_text_config(), "max_position_embeddings", None)
    if room is not None and n_prompt + options.max_tokens > room:
        raise ProviderError(
            f"The model takes {room} tokens; the question has {n_prompt} and the answer may have {options.max_tokens}."
        )
    end = tokenizer.eos_token_id
    rule = Constrained(
        pattern_of(form),
        lambda ids: tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False),
        n_prompt,
        options.max_tokens,
        end,
        tokenizer.all_special_ids,
        options.temperature,
        options.seed,
        check,
    )
    with torch.inference_mode():
        said = net.generate(
            **inputs,
            max_new_tokens=options.max_tokens,
            do_sample=False,
            eos_token_id=end,
            pad_token_id=end,
            logits_processor=LogitsProcessorList([rule]),
        )
    return tokenizer.decode(said[0, n_prompt:], skip_special_tokens=True, clean_up_tokenization_spaces=False)


def _small(picture: np.ndarray) -> Any:
    from PIL import Image

    image = Image.fromarray(picture)
    image.thumbnail((PICTURE_SIDE_PX, PICTURE_SIDE_PX))
    return image
