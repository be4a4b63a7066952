"""Reading the tree from an environment: all bad values are reported at once, old names still count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_origin

import msgspec
from msgspec import Struct

from open_speech_core.options import OptionProblem, parse

from .tree import Section, ServerSettings, Settings
from .values import FieldMeta, expectation, meta_of, plain, required

PREFIXES = ("OS_", "STT_", "TTS_")

OLD_NAMES: dict[str, str] = {
    f"OS_{name}": f"STT_{name}"
    for name in (
        "PORT", "HOST", "API_KEY", "CORS_ORIGINS", "TRUST_PROXY", "MAX_UPLOAD_MB", "RATE_LIMIT",
        "RATE_LIMIT_BURST", "SSL_ENABLED", "SSL_CERTFILE", "SSL_KEYFILE", "MODEL_TTL", "MAX_LOADED_MODELS",
        "STREAM_CHUNK_MS", "STREAM_VAD_THRESHOLD", "STREAM_ENDPOINTING_MS", "STREAM_MAX_CONNECTIONS",
    )
} | {
    "STT_MODEL": "STT_DEFAULT_MODEL",
    "TTS_MODEL": "TTS_DEFAULT_MODEL",
    "TTS_VOICE": "TTS_DEFAULT_VOICE",
    "TTS_SPEED": "TTS_DEFAULT_SPEED",
}  # fmt: skip
"""New name to old name."""


class SettingsError(Exception):
    """Settings that nobody can start with; its text names all of them."""

    def __init__(self, problems: tuple[OptionProblem, ...]) -> None:
        self.problems = problems
        count = "1 setting is" if len(problems) == 1 else f"{len(problems)} settings are"
        lines = [f"  {problem.variable}{_shown(problem.value)}: {problem.reason}" for problem in problems]
        super().__init__("\n".join([f"{count} wrong:", *lines]))


class Variable(Struct, frozen=True, kw_only=True):
    """One field of the tree and the variable it is read from."""

    name: str
    section: type[Section]
    field: str
    type: Any
    default: Any
    meta: FieldMeta


def variables() -> Iterator[Variable]:
    """Give every variable, in the order of the tree."""
    for part in msgspec.structs.fields(Settings):
        for field in msgspec.structs.fields(part.type):
            meta = meta_of(field.type)
            yield Variable(
                name=meta.variable or part.type.prefix + field.name.upper(),
                section=part.type,
                field=field.name,
                type=field.type,
                default=field.default,
                meta=meta,
            )


def canonical_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Add our variables under their present names in capitals, so that plugins read what the server reads."""
    canonical = _in_capitals(environ)
    for new, old in OLD_NAMES.items():
        if not _is_set(canonical, new) and _is_set(canonical, old):
            canonical[new] = canonical[old]
    return canonical


def read_settings(environ: Mapping[str, str]) -> tuple[Settings, tuple[str, ...]]:
    """Read all settings; give them with the warnings worth showing.

    Raises:
        SettingsError: one or more values are bad.
    """
    canonical = canonical_environ(environ)
    problems: list[OptionProblem] = []
    values: dict[type[Section], dict[str, Any]] = {}
    for variable in variables():
        section = values.setdefault(variable.section, {})
        raw = canonical.get(variable.name, "").strip()
        if not raw:
            continue
        try:
            section[variable.field] = _read(raw, variable.type)
        except msgspec.ValidationError:
            name, value = _written(variable.name, environ), "" if variable.meta.secret else raw
            reason = f"must be {expectation(variable.type)}"
            problems.append(OptionProblem(variable=name, value=value, reason=reason))
    parts = {part.name: part.type(**values[part.type]) for part in msgspec.structs.fields(Settings)}
    settings = Settings(**parts)
    problems += _conflicts(settings.server)
    if problems:
        raise SettingsError(tuple(problems))
    return settings, tuple(_old_name_warnings(environ))


def _in_capitals(environ: Mapping[str, str]) -> dict[str, str]:
    """Copy an environment, with our own variables in capitals too; a name in capitals wins."""
    canonical = dict(environ)
    for name, value in environ.items():
        upper = name.upper()
        if upper.startswith(PREFIXES) and not _is_set(canonical, upper):
            canonical[upper] = value
    return canonical


def _is_set(environ: Mapping[str, str], name: str) -> bool:
    return bool(environ.get(name, "").strip())


def _written(name: str, environ: Mapping[str, str]) -> str:
    """Give the name under which a setting stands in the environment: an old one where only that is set."""
    given = _in_capitals(environ)
    return name if _is_set(given, name) else OLD_NAMES.get(name, name)


def _read(raw: str, type_: Any) -> Any:
    if get_origin(plain(type_)) is Literal:
        raw = raw.lower()
    return parse(raw, required(type_))


def _conflicts(server: ServerSettings) -> Iterator[OptionProblem]:
    """Find values that are right alone and wrong together, or that name nothing."""
    if server.api_key is not None and not server.api_keys:
        yield OptionProblem(variable="OS_API_KEY", value="", reason="holds commas and no key")
    if server.auth_required and server.api_key is None:
        yield OptionProblem(variable="OS_AUTH_REQUIRED", value="true", reason="needs a key in OS_API_KEY")
    pair = {"OS_SSL_CERTFILE": server.ssl_certfile, "OS_SSL_KEYFILE": server.ssl_keyfile}
    for name, path in pair.items():
        if path is None and any(pair.values()):
            reason = "must be set too: certificate and key go together"
            yield OptionProblem(variable=name, value="", reason=reason)
        if path is not None and not Path(path).expanduser().is_file():
            yield OptionProblem(variable=name, value=path, reason="there is no such file")


def _old_name_warnings(environ: Mapping[str, str]) -> Iterator[str]:
    given = _in_capitals(environ)
    for new, old in OLD_NAMES.items():
        if not _is_set(given, old):
            continue
        if _is_set(given, new):
            yield f"{old} is ignored: {new}, its new name, is set too"
        else:
            yield f"{old} is an old name; please rename it to {new}"


def _shown(value: str) -> str:
    text = value if len(value) <= 80 else f"{value[:80]}..."
    return f" = {text!r}" if text else ""
