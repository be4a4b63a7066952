"""Which provider serves which id: listed ids, claims, aliases, conflicts and defaults.

Ids are looked up in this order: ``provider:id``, a listed id, an alias, a provider's claim. Of two providers
that list one id, the later by distribution name loses that id only, and the conflict is reported.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from msgspec import Struct, structs

from .errors import LoadFailed, ModelNotFound, PluginError
from .plugins import Discovery, FoundProvider, PluginRecord
from .providers import AnyProvider
from .remote import Found, RemoteProvider, read_environments
from .types import Kind, Model, ModelSource, Voice
from .worker.engines import instantiate

log = logging.getLogger(__name__)

PREFERRED: dict[Kind, str] = {
    "transcriber": "deepdml/faster-whisper-large-v3-turbo-ct2",
    "synthesizer": "kokoro",
    "detector": "silero-vad-v6",
}
"""The product's documented defaults; in use when claimed, preferred when on disk."""

DEFAULT_ALIASES: dict[Kind, frozenset[str]] = {
    "transcriber": frozenset(
        {
            "default",
            "whisper-1",
            "gpt-transcribe",
            "gpt-4o-transcribe",
            "gpt-4o-mini-transcribe",
            "gpt-4o-mini-transcribe-2025-12-15",
            "gpt-4o-transcribe-diarize",
            "gpt-realtime-whisper",
        }
    ),
    "synthesizer": frozenset({"default", "tts-1", "tts-1-hd", "gpt-4o-mini-tts", "gpt-4o-mini-tts-2025-12-15"}),
}
"""OpenAI's model names; each means the default model of its kind."""

OPENAI_VOICES = (
    "alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer", "verse", "marin", "cedar",
)  # fmt: skip


class Resolved(Struct, frozen=True, kw_only=True):
    """A model and who serves it."""

    provider: AnyProvider
    model: Model
    plugin: PluginRecord

    @property
    def id(self) -> str:
        return self.model.id

    @property
    def key(self) -> str:
        """Name that is unique over kinds and providers."""
        return f"{self.model.kind}/{self.provider.info.name}:{self.model.id}"


class DefaultChoice(Struct, frozen=True, kw_only=True):
    """The default model of a kind, and why."""

    id: str | None
    reason: str


class Registry:
    """Every provider of this server. ``generation`` changes whenever what it says may have changed."""

    def __init__(
        self,
        *,
        plugins: Iterable[PluginRecord] = (),
        providers: Iterable[tuple[PluginRecord, AnyProvider]] = (),
        sources: Iterable[ModelSource] = (),
        remotes: Iterable[PluginRecord] = (),
    ) -> None:
        self.plugins = tuple(plugins)
        self._remotes = tuple(remotes)
        self.conflicts: tuple[str, ...] = ()
        self.generation = 1
        self._providers = tuple(sorted(providers, key=lambda pair: (pair[0].distribution, pair[1].info.name)))
        self._own_sources = tuple(sources)
        self._sources = self._find_sources()
        self._listed = self._index()

    @property
    def providers(self) -> tuple[AnyProvider, ...]:
        return tuple(provider for _, provider in self._providers)

    @property
    def pairs(self) -> tuple[tuple[PluginRecord, AnyProvider], ...]:
        """Give each provider with the plugin it came with."""
        return self._providers

    @property
    def sources(self) -> tuple[ModelSource, ...]:
        return tuple(self._sources.values())

    def replace_remotes(self, found: Iterable[Found]) -> None:
        """Take what other environments hold now in place of what they held."""
        remotes = list(found)
        here = [pair for pair in self._providers if pair[0].interpreter is None]
        here += [(record, remote) for record, remote in remotes if remote is not None]
        kept = [each for each in self.plugins if each not in self._remotes]
        self._remotes = tuple(record for record, _ in remotes)
        self.plugins = (*kept, *self._remotes)
        self._providers = tuple(sorted(here, key=lambda pair: (pair[0].distribution, pair[1].info.name)))
        self._sources = self._find_sources()
        self._listed = self._index()
        self.generation += 1

    def _find_sources(self) -> dict[tuple[Kind, str], ModelSource]:
        """Gather the weights that packages ship, here and in other environments, the preferred first."""
        found = list(self._own_sources)
        for _, provider in self._providers:
            if isinstance(provider, RemoteProvider):
                found += provider.sources
        sources: dict[tuple[Kind, str], ModelSource] = {}
        for source in _by_preference(found):
            sources.setdefault((source.kind, source.id), source)
        return sources

    def _index(self) -> dict[tuple[Kind, str], Resolved]:
        listed: dict[tuple[Kind, str], Resolved] = {}
        conflicts: list[str] = []
        for plugin, provider in self._providers:
            for model in provider.models():
                found = Resolved(provider=provider, model=model, plugin=plugin)
                first = listed.setdefault((model.kind, model.id), found)
                if first is not found:
                    conflicts.append(
                        f"{model.kind} {model.id!r} of {plugin.distribution} is hidden by {first.plugin.distribution}; "
                        f"ask for {provider.info.name}:{model.id}"
                    )
        self.conflicts = tuple(conflicts)
        return listed

    def of_kind(self, kind: Kind) -> Iterator[tuple[PluginRecord, AnyProvider]]:
        """Give the providers of a kind, by distribution name."""
        return ((plugin, provider) for plugin, provider in self._providers if provider.kind == kind)

    def models(self, kind: Kind) -> list[Resolved]:
        """Give the listed models of a kind, those found on this machine and those that sources ship, in that order."""
        found = [resolved for (of, _), resolved in self._listed.items() if of == kind]
        known = {resolved.id for resolved in found}
        for plugin, provider in self.of_kind(kind):
            own = [Resolved(provider=provider, model=each, plugin=plugin) for each in _local(provider)]
            found += [each for each in own if each.id not in known]
            known.update(each.id for each in own)
        for of, id in self._sources:
            if of == kind and id not in known and (claimed := self._claim(kind, id)) is not None:
                found.append(claimed)
        return found

    def listed(self, kind: Kind, id: str) -> Resolved | None:
        """Give who lists exactly this id."""
        return self._listed.get((kind, id))

    def resolve(self, kind: Kind, id: str, *, setting: str | None = None) -> Resolved:
        """Find who serves ``id``; ``setting`` is the configured default, which OpenAI's names mean.

        Raises:
            ModelNotFound: nobody lists or claims it.
        """
        if not id or id in DEFAULT_ALIASES.get(kind, ()):
            if (choice := self.default(kind, setting)).id is None:
                raise ModelNotFound(f"no {kind} is installed: {choice.reason}", param="model")
            id = choice.id
        if (found := self._named(kind, id, setting)) is None:
            shown = id if len(id) <= 100 else f"{id[:100]}..."
            raise ModelNotFound(f"The model {shown!r} does not exist or is no {kind}.", param="model")
        return found

    def _named(self, kind: Kind, id: str, setting: str | None = None) -> Resolved | None:
        found = self._qualified(kind, id) or self._listed.get((kind, id)) or self._alias(kind, id, setting)
        return found or self._claim(kind, id)

    def _qualified(self, kind: Kind, id: str) -> Resolved | None:
        name, colon, rest = id.partition(":")
        if not colon:
            return None
        for plugin, provider in self.of_kind(kind):
            if provider.info.name == name:
                return _own(plugin, provider, rest)
        return None

    def _alias(self, kind: Kind, id: str, setting: str | None) -> Resolved | None:
        for plugin, provider in self.of_kind(kind):
            if target := _target(provider, id):
                return self._listed.get((kind, target)) or _own(plugin, provider, target)
            if provider.info.name == id:
                return self._first(kind, provider, setting)
        return None

    def _first(self, kind: Kind, provider: AnyProvider, setting: str | None) -> Resolved | None:
        """Give a provider's model: the configured one if it is its own, else one on disk, else its first."""
        configured = self._named(kind, setting) if setting else None
        if configured is not None and configured.provider is provider:
            return configured
        own = [found for found in self.models(kind) if found.provider is provider and not found.model.helper]
        return next((found for found in own if self.on_disk(found)), own[0] if own else None)

    def _claim(self, kind: Kind, id: str) -> Resolved | None:
        for plugin, provider in self.of_kind(kind):
            if (model := _resolved(provider, id)) is not None:
                listed = self._listed.get((kind, model.id))
                return listed or Resolved(provider=provider, model=model, plugin=plugin)
        return None

    def source(self, resolved: Resolved) -> ModelSource | None:
        """Give the installed weights of a model, if a package ships them and they are there."""
        source = self._sources.get((resolved.model.kind, resolved.id))
        return source if source is not None and Path(source.path).exists() else None

    def on_disk(self, resolved: Resolved) -> bool:
        """Say whether a load would find all it needs here."""
        return self.source(resolved) is not None or resolved.provider.artifacts(resolved.model).complete

    def default(self, kind: Kind, setting: str | None) -> DefaultChoice:
        """Choose the default model of a kind, and say why. A setting that is OpenAI's name leaves the choice open."""
        if setting is not None and setting not in DEFAULT_ALIASES.get(kind, ()):
            return DefaultChoice(id=setting, reason="set by configuration")
        preferred = self._find(kind, PREFERRED.get(kind, ""))
        if preferred is not None and self.on_disk(preferred):
            return DefaultChoice(id=preferred.id, reason="the documented default, and its weights are here")
        for source in self._sources.values():
            found = self._find(kind, source.id) if source.default_for == kind else None
            if found is not None and self.source(found) is not None:
                return DefaultChoice(id=found.id, reason="an installed package ships its weights")
        if preferred is not None:
            return DefaultChoice(id=preferred.id, reason="the documented default; its weights will be downloaded")
        listed = [found for found in self.models(kind) if not found.model.helper]
        for found in listed:
            if self.on_disk(found):
                return DefaultChoice(id=found.id, reason="the first installed model that is ready")
        if listed:
            return DefaultChoice(id=listed[0].id, reason="the first installed model; its weights will be downloaded")
        return DefaultChoice(id=None, reason=f"no plugin registers a {kind}")

    def _find(self, kind: Kind, id: str) -> Resolved | None:
        return (self._listed.get((kind, id)) or self._claim(kind, id)) if id else None

    def voices(self, resolved: Resolved) -> tuple[Voice, ...]:
        return resolved.provider.voices(resolved.model)

    def voice(self, resolved: Resolved, asked: str | None, setting: str | None = None) -> str:
        """Turn the voice a caller named, OpenAI's names included, into one the model has.

        Raises:
            VoiceNotFound: the model has no such voice.
        """
        voices = [voice.id for voice in self.voices(resolved)]
        if not asked or asked == "default":
            return setting if setting in voices else voices[0] if voices else ""
        if asked not in voices and asked in OPENAI_VOICES:
            own = resolved.provider.openai_voices.get(asked)
            if own in voices:
                return own
            # The provider's choice may not be here: files of voices come and go.
            return voices[OPENAI_VOICES.index(asked) % len(voices)] if voices else ""
        resolved.provider.check_voice(resolved.model, asked)
        return asked

    def serving(
        self,
        resolved: Resolved,
        asked: str | None,
        setting: str | None = None,
        *,
        designed: bool = False,
        cloned: bool = False,
    ) -> tuple[Resolved, str]:
        """Give the model that serves a request for ``resolved``, and the voice it speaks with.

        Where a model has siblings the request chooses among them: with a reference (``cloned``), with a voice that is
        named, with instructions and no name (``designed``), else with the default voice. The voice is empty when
        the reference or the description is the voice.

        Raises:
            VoiceNotFound: the model has no such voice.
        """
        can = resolved.provider.capabilities
        cloned = cloned and can.voice_clone
        designed = designed and can.voice_design and (not asked or asked == "default") and not cloned
        siblings = resolved.model.siblings
        if siblings is not None:
            id = siblings.cloned if cloned else siblings.designed if designed else siblings.named
            resolved = _own(resolved.plugin, resolved.provider, id) or resolved
        return resolved, "" if cloned or designed else self.voice(resolved, asked, setting)


def build_registry(
    discovery: Discovery, *, environ: Mapping[str, str], data_dir: Path, providers_dir: Path | None = None
) -> Registry:
    """Make the providers that were found here and in other environments.

    A provider whose settings are bad is reported with its plugin and left out.
    """
    home = data_dir / "models"
    plugins = list(discovery.plugins)
    providers: list[tuple[PluginRecord, AnyProvider]] = []
    for found in discovery.providers:
        try:
            provider = _made(found, home, environ)
        except (LoadFailed, PluginError) as error:
            plugins = [_with_error(record, found.plugin, error.message) for record in plugins]
        else:
            providers.append((found.plugin, provider))
    remotes: list[PluginRecord] = []
    for record, remote in read_environments(providers_dir, home, environ) if providers_dir else ():
        remotes.append(record)
        if remote is not None:
            providers.append((record, remote))
    return Registry(plugins=(*plugins, *remotes), providers=providers, sources=discovery.sources, remotes=remotes)


def _made(found: FoundProvider, home: Path, environ: Mapping[str, str]) -> AnyProvider:
    """Make a provider that can name its models. Raises ``LoadFailed`` or ``PluginError``."""
    provider = instantiate(found.cls, home / found.cls.info.name, dict(environ))
    try:
        for model in provider.models():
            provider.voices(model)
    except Exception as error:  # fence: plugin load
        log.debug("models of %s", provider.info.name, exc_info=True)
        raise PluginError(f"its models cannot be listed: {type(error).__name__}: {error}") from error
    return provider


def _with_error(record: PluginRecord, plugin: PluginRecord, error: str) -> PluginRecord:
    return structs.replace(record, error=error) if record == plugin else record


def _resolved(provider: AnyProvider, id: str) -> Model | None:
    """Ask a provider whether it claims an id; one that fails claims nothing."""
    try:
        return provider.resolve(id)
    except Exception:  # fence: plugin load
        log.exception("%s could not say whether it knows a model", provider.info.name)
        return None


def _local(provider: AnyProvider) -> tuple[Model, ...]:
    """Ask a provider what else lies here; one that fails has nothing."""
    try:
        return tuple(provider.local())
    except Exception:  # fence: plugin load
        log.exception("%s could not look for its models", provider.info.name)
        return ()


def _own(plugin: PluginRecord, provider: AnyProvider, id: str) -> Resolved | None:
    model = next((model for model in provider.models() if model.id == id), None) or _resolved(provider, id)
    return Resolved(provider=provider, model=model, plugin=plugin) if model is not None else None


def _target(provider: AnyProvider, alias: str) -> str | None:
    """Give the id that an alias means, with the owner's options in it."""
    target = provider.aliases.get(alias)
    if target is not None and "{" in target:
        return target.format(**structs.asdict(provider.options))
    return target


def _by_preference(sources: Iterable[ModelSource]) -> list[ModelSource]:
    return sorted(sources, key=lambda source: (-source.priority, source.id))
