"""Which servers may be asked: the file in which the machine's owner gives an address a name, and a key if it needs one.

A workflow holds names alone. An address that came with one could carry pictures, words and a key to anybody.
"""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError

from ...errors import BadInput
from .options import DEFAULT_ENDPOINT

FILE_VARIABLE = "EADNET_ENDPOINTS"
"""Environment variable that names another file than the command line's own; the nodes do not look at it."""
MAX_BYTES = 1_000_000
NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
"""What a name is made of: no address is one."""


@dataclass(frozen=True)
class Endpoint:
    """An OpenAI-compatible server. Raises BadInput for an address that is none, and for a key that cannot be sent.

    url    such as "http://127.0.0.1:11434/v1"
    model  which of its models answers
    key    sent to this address alone, and shown nowhere
    voice  that a speech endpoint speaks with
    """

    url: str
    model: str = ""
    key: str = field(default="", repr=False)
    voice: str = ""

    def __post_init__(self) -> None:
        if not _is_address(self.url):
            raise BadInput(
                f"The endpoint is '{_shown(self.url)}'; give the http or https address of an OpenAI-compatible server "
                "without a key or a question in it, such as http://127.0.0.1:11434/v1."
            )
        if not re.fullmatch(r"[\x21-\x7e]*", self.key):
            raise BadInput(f"The key of {_shown(self.url)} holds spaces or other signs that no key has. Copy it again.")


class _Entry(BaseModel):
    """One endpoint in the file."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    url: str = Field(min_length=1, max_length=2000)
    model: str = Field(default="", max_length=200)
    voice: str = Field(default="", max_length=200)
    key: SecretStr | None = None
    key_from: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")


BUILT_IN = {DEFAULT_ENDPOINT: _Entry(url="http://127.0.0.1:11434/v1", model="qwen2.5vl")}
"""What there is where the owner has written no file: Ollama on this machine, without a key."""
_FILE = TypeAdapter(dict[Annotated[str, Field(pattern=NAME)], _Entry], config=ConfigDict(hide_input_in_errors=True))


def owners_file() -> Path:
    """The command line's own file: what EADNET_ENDPOINTS names, else endpoints.toml in ~/.config/eadnet.

    Raises BadInput where the variable names a file that is not there.
    """
    named = os.environ.get(FILE_VARIABLE)
    if named:
        if not Path(named).is_file():
            raise BadInput(f"{FILE_VARIABLE} names '{named}', which is not a file. Correct the variable, or unset it.")
        return Path(named)
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "eadnet" / "endpoints.toml"


def find_endpoint(name: str, path: Path, model: str = "") -> Endpoint:
    """The endpoint of a name in the owner's file, asked with its own model or with another.

    Raises BadInput for an address, which only the file may hold, for a name that is not in the file, and for a file
    that cannot be used.
    """
    entries = _read(path)
    known = ", ".join(sorted(entries)) or "none"
    if not re.fullmatch(NAME, name):
        given = f"it is '{_shown(name)}'" if name.strip() else "none is given"
        raise BadInput(
            f"endpoint must be a name, and {given}: a workflow holds no address. Put the address into '{path}' under a "
            f"name, as in {_example(path)}, and give that name, or one that is there: {known}."
        )
    if name not in entries:
        raise BadInput(
            f"There is no endpoint '{name}'; known: {known}. Write its address into '{path}', as in {_example(path)}."
        )
    found = _endpoint(name, entries[name], path)
    return replace(found, model=model.strip() or found.model)


def key_from(variable: str) -> str:
    """The key in an environment variable. Raises BadInput where it is not set."""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise BadInput(f"The key is to come from the environment variable '{variable}', which is not set. Set it.")
    return key


def _endpoint(name: str, entry: _Entry, path: Path) -> Endpoint:
    try:
        key = entry.key.get_secret_value() if entry.key else key_from(entry.key_from) if entry.key_from else ""
        return Endpoint(entry.url, entry.model, key, entry.voice)
    except BadInput as error:
        raise BadInput(f"Endpoint '{name}' in '{path}': {error}") from None


def _read(path: Path) -> dict[str, _Entry]:
    """The entries of a file, or the built-in one where there is none. Errors quote nothing of it: it may hold keys."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return BUILT_IN
    except OSError as error:
        raise BadInput(f"The endpoints in '{path}' cannot be read ({error.strerror}). Check its permissions.") from None
    if len(data) > MAX_BYTES:
        raise BadInput(f"'{path}' is larger than {MAX_BYTES // 1000} kB: that is no list of endpoints.")
    try:
        entries = _FILE.validate_python(_parse(data, path))
    except ValidationError as error:
        found = [f"{'.'.join(map(str, e['loc'])) or 'it'}: {e['msg']}" for e in error.errors(include_input=False)]
        raise BadInput(f"'{path}' is no list of endpoints ({'; '.join(found[:3])}). Write {_example(path)}.") from None
    except BadInput:
        raise
    except (ValueError, RecursionError) as error:
        reason = "too deeply nested" if isinstance(error, RecursionError) else error
        raise BadInput(
            f"'{path}' cannot be read as {path.suffix[1:].upper()} ({reason}). Write {_example(path)}."
        ) from None
    _check_keys(entries, mode, path)
    return entries


def _example(path: Path) -> str:
    """An entry as it stands in the file."""
    if path.suffix == ".toml":
        return 'my-server = {url = "http://127.0.0.1:8000/v1", model = "..."}'
    return '{"my-server": {"url": "http://127.0.0.1:8000/v1", "model": "..."}}'


def _parse(data: bytes, path: Path) -> Any:
    if path.suffix != ".toml":
        return json.loads(data)
    try:
        if sys.version_info >= (3, 11):
            import tomllib
        else:
            import tomli as tomllib
    except ImportError:
        raise BadInput(
            f"'{path}' needs Python 3.11 or the package tomli. Install tomli, or write the same as JSON and let "
            f"{FILE_VARIABLE} name that file."
        ) from None
    return tomllib.loads(data.decode("utf-8"))


def _check_keys(entries: dict[str, _Entry], mode: int, path: Path) -> None:
    """Refuse keys that others on this machine could read, or send elsewhere by changing the address beside them."""
    both = [name for name, entry in entries.items() if entry.key and entry.key_from]
    if both:
        raise BadInput(f"Endpoint '{both[0]}' in '{path}' has both a key and key_from. Leave one of them.")
    is_open = mode & 0o077 if any(entry.key for entry in entries.values()) else mode & 0o022
    has_keys = any(entry.key or entry.key_from for entry in entries.values())
    if os.name == "posix" and has_keys and is_open:
        raise BadInput(
            f"'{path}' names a key, and others on this machine may read or change it (mode {mode & 0o777:o}). "
            f"Run: chmod 600 '{path}'."
        )


def _is_address(url: str) -> bool:
    """Whether it is an http address of a host, without user, key, question or fragment."""
    try:
        parts = urlsplit(url)
        is_host = bool((parts.hostname or "").encode("idna")) and (parts.port is None or parts.port > 0)
    except ValueError:  # UnicodeError, of a name that no host can have, is one
        return False
    is_plain = url.isascii() and not any(c <= " " or c in '\x7f\\@?#"<>' for c in url)
    return parts.scheme in ("http", "https") and is_host and is_plain


def _shown(text: str) -> str:
    """What an error shows of a value that may be an address with a key in it: scheme and host of one, at most."""
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError:
        return "..."
    said = f"{parts.scheme}://{host}" if host else text.split("@")[-1].split("?")[0]
    return "".join(c for c in said[:80] if c.isprintable())
