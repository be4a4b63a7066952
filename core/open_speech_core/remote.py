"""Providers that live in another environment, known to the server by what they wrote about themselves.

An environment is a folder under ``OS_PROVIDERS_DIR`` holding ``description.json``: an ``Environment``. Reading
it starts no process and imports nothing; calls go to a worker under the environment's own interpreter.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct, structs

from .errors import LoadFailed, PluginError
from .options import RESERVED_FIELDS, from_environment, option_problems, struct_of
from .plugins import PluginRecord
from .providers import Engine, Provider
from .types import API_VERSION, Artifacts, Description, Kind, LoadSpec, Model, ModelSource, Voice

log = logging.getLogger(__name__)

DESCRIPTION = "description.json"
ARTIFACTS = "artifacts.json"
HERE_ONLY: tuple[Kind, ...] = ("detector", "processor")
"""Kinds that work on blocks of samples inside a media worker, whose environment is the server's own."""

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

    def __init__(
        self,
        description: Description,
        home: Path,
        folder: Path | None = None,
        environ: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
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
        self._folder = folder
        self._artifacts = {**description.artifacts, **_remembered(folder)}
        # Its worker reads them too, and says what is wrong with them.
        super().__init__(from_environment(self.Options, self.info.env_prefix, environ, []), home)

    @property
    def sources(self) -> tuple[ModelSource, ...]:
        """Give the weights that packages of its environment ship."""
        return self._description.sources

    def models(self) -> Iterable[Model]:
        return self._description.models

    def voices(self, model: Model) -> tuple[Voice, ...]:
        return self._description.voices.get(model.id, ())

    def check_voice(self, model: Model, voice: str) -> None:
        """Take a blend when its parts are voices; how they are mixed its own engine judges."""
        if not self.capabilities.voice_blend:
            return super().check_voice(model, voice)
        for part in voice.split("+"):
            name = part.partition("(")[0].strip()
            if name not in self.openai_voices:
                super().check_voice(model, name or voice)
        return None

    def artifacts(self, model: Model) -> Artifacts:
        """Give what its worker said last, as far as it is still there; only its own worker can look for more."""
        said = self._artifacts.get(model.id)
        if said is None:
            return Artifacts(complete=not self._artifacts)
        return structs.replace(said, complete=said.complete and all(Path(path).exists() for path in said.paths))

    def note(self, model: Model, there: Artifacts) -> None:
        """Remember what a download left, here and, if it has a folder, across restarts."""
        self._artifacts[model.id] = there
        if self._folder is not None:
            # Other providers of the environment keep theirs in the same file.
            kept = {**_remembered(self._folder), model.id: there}
            write_whole(self._folder / ARTIFACTS, msgspec.json.encode(kept))

    def load(self, spec: LoadSpec) -> Engine:
        raise LoadFailed(f"{self.info.title} lives in an environment of its own and is loaded by a worker there")


def write_environment(folder: Path, environment: Environment) -> None:
    """Write the description beside an environment, whole or not at all."""
    write_whole(folder / DESCRIPTION, msgspec.json.format(msgspec.json.encode(environment)))


def write_whole(target: Path, content: bytes) -> None:
    """Replace a file, whole or not at all."""
    partial = target.with_suffix(".tmp")
    partial.write_bytes(content)
    partial.replace(target)


def _remembered(folder: Path | None) -> dict[str, Artifacts]:
    """Read what downloads left; a file nobody can read is as none."""
    if folder is not None:
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            return msgspec.json.decode((folder / ARTIFACTS).read_bytes(), type=dict[str, Artifacts])
    return {}


def read_environments(
    providers_dir: Path, home: Path, environ: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Found]:
    """Give a record and a provider for each description found; a bad one is a record with its error.

    ``environ`` has the owner's options.
    """
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
            if description.kind in HERE_ONLY:
                log.debug("%s of %s cannot serve from another environment", description.kind, description.info.name)
                continue
            yield _remote(description, interpreter, home, file.parent, environ)


def _remote(description: Description, interpreter: str, home: Path, folder: Path, environ: Mapping[str, str]) -> Found:
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
    if not Path(interpreter).exists():
        return _bad(record.name, "its Python is gone from this machine; install it again"), None
    try:
        return record, RemoteProvider(description, home / description.info.name, folder, environ)
    except PluginError as error:
        return _bad(record.name, error.message), None


def _bad(name: str, error: str) -> PluginRecord:
    return PluginRecord(name=name, module="", distribution=name, version="", error=error)
