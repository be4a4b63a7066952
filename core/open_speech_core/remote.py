"""Providers that live in another environment, known to the server by what they wrote about themselves.

An environment is a folder under ``OS_PROVIDERS_DIR`` holding ``description.json``: an ``Environment``. Reading
it starts no process and imports nothing; calls go to a worker under the environment's own interpreter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from .errors import LoadFailed, PluginError
from .options import RESERVED_FIELDS, option_problems, struct_of
from .plugins import PluginRecord
from .providers import Engine, Provider
from .types import API_VERSION, Artifacts, Description, LoadSpec, Model, Voice

DESCRIPTION = "description.json"

Found: TypeAlias = "tuple[PluginRecord, RemoteProvider | None]"


class Environment(Struct, frozen=True, kw_only=True):
    """What an install leaves beside a virtual environment."""

    interpreter: str
    """Python of the environment; relative to the folder, or absolute."""
    descriptions: tuple[Description, ...]


class RemoteProvider(Provider[Any]):
    """A provider made from its description; it is never loaded in this process.

    Raises ``PluginError`` when its options are not what options may be.
    """

    def __init__(self, description: Description, home: Path) -> None:
        self.kind = description.kind
        self.info = description.info
        self.capabilities = description.capabilities
        self.aliases = description.aliases
        self.openai_voices = description.openai_voices
        self.Options = struct_of("Options", description.options_schema)
        self.RequestOptions = struct_of("RequestOptions", description.request_options_schema)
        if problems := option_problems(self.RequestOptions, RESERVED_FIELDS):
            raise PluginError(f"its options: {'; '.join(problems)}")
        self._description = description
        super().__init__(None, home)

    def models(self) -> Iterable[Model]:
        return self._description.models

    def voices(self, model: Model) -> tuple[Voice, ...]:
        return self._description.voices.get(model.id, ())

    def artifacts(self, model: Model) -> Artifacts:
        """Say that all is there: only its own worker can look, and its load says what is missing."""
        return Artifacts(complete=True)

    def load(self, spec: LoadSpec) -> Engine:
        raise LoadFailed(f"{self.info.title} lives in an environment of its own and is loaded by a worker there")


def write_environment(folder: Path, environment: Environment) -> None:
    """Write the description beside an environment, whole or not at all."""
    target = folder / DESCRIPTION
    partial = target.with_suffix(".tmp")
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(environment)))
    partial.replace(target)


def read_environments(providers_dir: Path, home: Path) -> Iterator[Found]:
    """Give a record and a provider for each description found; a bad one is a record with its error."""
    if not providers_dir.is_dir():
        return
    for file in sorted(providers_dir.glob(f"*/{DESCRIPTION}")):
        try:
            environment = msgspec.json.decode(file.read_bytes(), type=Environment)
        except (OSError, msgspec.MsgspecError) as error:
            yield _bad(file.parent.name, f"its description cannot be read: {error}"), None
            continue
        interpreter = str(file.parent / environment.interpreter)
        for description in environment.descriptions:
            yield _remote(description, interpreter, home)


def _remote(description: Description, interpreter: str, home: Path) -> Found:
    record = PluginRecord(
        name=description.info.name,
        module=description.plugin,
        distribution=description.distribution,
        version=description.version,
        interpreter=interpreter,
    )
    major, minor = description.api
    if major != API_VERSION[0]:
        error = f"it is written for API {major}.{minor}; this core has {API_VERSION[0]}"
        return _bad(record.name, error), None
    try:
        return record, RemoteProvider(description, home / description.info.name)
    except PluginError as error:
        return _bad(record.name, error.message), None


def _bad(name: str, error: str) -> PluginRecord:
    return PluginRecord(name=name, module="", distribution=name, version="", error=error)
