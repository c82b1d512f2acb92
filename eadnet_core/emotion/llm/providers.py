"""The language models a user can choose from, by name, opened one way for the command line and the nodes.

Light on purpose: the command line reads its choices and defaults here.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import BadInput
from .options import PROVIDERS

if TYPE_CHECKING:
    from .chat import Chat
    from .endpoints import Endpoint


@dataclass(frozen=True)
class Opened:
    """A language model that can be asked.

    name           what stands as provider in results
    sees_pictures  whether it is shown pictures; it is told in words what the classifier sees otherwise
    """

    chat: Chat
    name: str
    sees_pictures: bool


def open_provider(
    provider: str,
    folder: str | os.PathLike[str] = "",
    endpoint: Endpoint | None = None,
    device: str = "auto",
    check: Callable[[], object] | None = None,
) -> Opened | None:
    """The language model of a choice; None for the rules.

    folder    of the local ones, as transformers saves a model
    endpoint  the server of "openai", with its model
    check     called before every token of a local model; what it raises ends the answer
    Raises BadInput for an unknown provider, and for a folder or endpoint that cannot be used.
    """
    if provider == "rules":
        return None
    if provider == "openai":
        from .endpoint import openai

        if endpoint is None:
            raise BadInput("The provider openai needs an endpoint.")
        return Opened(openai(endpoint), endpoint.model.strip(), True)
    if provider not in PROVIDERS:
        raise BadInput(f"There is no provider '{provider}'; give one of {', '.join(PROVIDERS)}.")
    if not str(folder):
        raise BadInput(f"The provider {provider} needs the folder of a model.")
    from .local_models import local_text, local_vision

    load = local_vision if provider == "local_vision" else local_text
    return Opened(load(folder, device, check), Path(folder).name, provider == "local_vision")
