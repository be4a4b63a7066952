"""``open-speech bundle``: providers and weights in a directory, for machines without a network."""

from __future__ import annotations

import os
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .progress import steps

if TYPE_CHECKING:
    from open_speech_api.bundles.creating import Wish
    from open_speech_api.bundles.machine import Machine
    from open_speech_api.bundles.manifest import Manifest
    from open_speech_api.installs import Entry
    from open_speech_api.settings import Settings
    from open_speech_core.registry import Registry
    from open_speech_core.types import Kind

T = TypeVar("T")

DIRECTORY = click.Path(file_okay=False, path_type=Path)
EXISTING = click.Path(exists=True, file_okay=False, path_type=Path)
digest_option = click.option(
    "--digest", metavar="SHA256", help="What `create` printed; the bundle is refused if it has another."
)


@click.group(short_help="Carry providers and models to machines without a network.")
def bundle() -> None:
    """Carry providers and models to machines without a network.

    `create` makes a directory where there is one, `install` installs from it where there is none.
    """


@bundle.command()
@click.argument("directory", type=DIRECTORY)
@click.option("--provider", "names", multiple=True, metavar="NAME", help="Provider of the catalogue. Repeatable.")
@click.option("--model", "ids", multiple=True, metavar="ID", help="Model, its provider comes with it. Repeatable.")
@click.option("--server", is_flag=True, help="Add what pip needs to install the server itself.")
@click.option("--python", metavar="VERSION", help="Python of the other machine, such as 3.12. Default: this one's.")
@click.option(
    "--platform", metavar="TAG", help="Platform of the other machine, such as manylinux_2_28_x86_64. Default: this."
)
def create(
    directory: Path,
    names: tuple[str, ...],
    ids: tuple[str, ...],
    server: bool,
    python: str | None,
    platform: str | None,
) -> None:
    """Make a bundle in DIRECTORY, which must be new, and print its digest.

    Our own wheels are taken from OS_WHEELHOUSE, all others from the package index. Weights that are on this machine
    are copied, others fetched.
    """
    from open_speech_api.bundles.creating import create as run

    from .installed import own_registry, own_settings

    if not (names or ids or server):
        raise click.UsageError("say what it shall hold: --provider, --model or --server")
    settings = own_settings()
    registry = own_registry(settings)
    with steps() as progress:
        wish = _wish(settings, registry, names, ids, server, _machine(python, platform))
        manifest = _run(run(directory.absolute(), wish, registry, _environ(), progress))
    click.echo(_summary(directory, manifest), err=True)
    _print_digest(directory)


@bundle.command()
@click.argument("directory", type=EXISTING)
@digest_option
def verify(directory: Path, digest: str | None) -> None:
    """Read every byte of the bundle in DIRECTORY: nothing may be damaged, missing, or more than it should be.

    The exit code is 1 if it is not whole. Prints its digest.
    """
    from open_speech_api.bundles.manifest import BadBundle
    from open_speech_api.bundles.verifying import verify as run

    try:
        with steps() as progress:
            progress.step("Checking the bundle")
            manifest = run(directory, digest, progress.count)
    except BadBundle as error:
        raise click.ClickException(error.message) from None
    click.echo(_summary(directory, manifest), err=True)
    _print_digest(directory)


@bundle.command()
@click.argument("directory", type=EXISTING)
@digest_option
def install(directory: Path, digest: str | None) -> None:
    """Install the providers and weights of the bundle in DIRECTORY, making no connection.

    All of it is compared with its digests before anything changes. A running server sees it at its next start.
    """
    from open_speech_api.bundles.installing import install as run

    from .installed import own_registry, own_settings

    settings = own_settings()
    with steps() as progress:
        work = run(directory.absolute(), digest, settings, own_registry(settings), _environ(), progress)
        manifest = _run(work)
    held = [*(entry.name for entry in manifest.providers), *(model.id for model in manifest.models)]
    click.echo(f"Installed: {', '.join(held) or 'nothing'}. Restart a server that runs.", err=True)
    for line in _advice(settings, own_registry(settings), manifest):
        click.echo(line, err=True)


def _advice(settings: Settings, registry: Registry, manifest: Manifest) -> Iterator[str]:
    """Say which setting a server wants that would else wait for weights from a hub."""
    defaults: tuple[tuple[Kind, str | None, str], ...] = (
        ("transcriber", settings.stt.model, "STT_MODEL"),
        ("synthesizer", settings.tts.model, "TTS_MODEL"),
    )
    for kind, setting, variable in defaults:
        held = next((model.id for model in manifest.models if model.kind == kind), None)
        default = registry.default(kind, setting).id
        if held is not None and default is not None and not _is_here(registry, kind, default):
            yield f"Set {variable}={held}: the default, {default}, is not on this machine."


def _is_here(registry: Registry, kind: Kind, id: str) -> bool:
    from open_speech_core.errors import ModelNotFound

    try:
        return registry.on_disk(registry.resolve(kind, id))
    except ModelNotFound:
        return False


def _wish(
    settings: Settings, registry: Registry, names: tuple[str, ...], ids: tuple[str, ...], server: bool, machine: Machine
) -> Wish:
    """Find out what is meant: each model brings its provider."""
    from open_speech_api.app import own_version
    from open_speech_api.bundles.creating import Wish
    from open_speech_api.installs.catalogue import choose, read_catalogue
    from open_speech_core.errors import InvalidRequest

    owners = settings.server.provider_catalogue
    try:
        catalogue = read_catalogue(None if owners is None else Path(owners).expanduser())
        entries = {name: choose(catalogue, name, None) for name in names}
        models: dict[tuple[str, str], None] = {}
        for id in ids:
            entry, own = _owner(catalogue, registry, id)
            entries[entry.name] = entry
            models[entry.name, own] = None
    except InvalidRequest as error:
        raise click.UsageError(error.message) from None
    return Wish(
        entries=tuple(entries.values()),
        models=tuple(models),
        server=server,
        machine=machine,
        wheelhouse=settings.server.folder("wheelhouse"),
        version=own_version(),
    )


def _owner(catalogue: tuple[Entry, ...], registry: Registry, id: str) -> tuple[Entry, str]:
    """Find the entry of a model's provider: named before a colon, in the catalogue, or known to what is here."""
    from open_speech_core.errors import InvalidRequest, ModelNotFound
    from open_speech_core.types import KINDS

    entries = {entry.name: entry for entry in catalogue}
    name, colon, rest = id.partition(":")
    if colon and name in entries:
        return entries[name], rest
    if listed := next((entry for entry in catalogue if id in entry.models), None):
        return listed, id
    for kind in KINDS:
        try:
            found = registry.resolve(kind, id)
        except ModelNotFound:
            continue
        if (entry := entries.get(found.provider.info.name)) is not None:
            return entry, found.id
    raise InvalidRequest(f"no provider of the catalogue is known to have {id[:100]!r}; name it as PROVIDER:{id[:100]}")


def _machine(python: str | None, platform: str | None) -> Machine:
    from open_speech_api.bundles.machine import Machine, parse_platform, parse_python, this_machine
    from open_speech_api.bundles.manifest import BadBundle

    here = this_machine()
    try:
        return Machine(
            python=parse_python(python) if python else here.python,
            platforms=parse_platform(platform) if platform else here.platforms,
        )
    except BadBundle as error:
        raise click.UsageError(error.message) from None


def _environ() -> dict[str, str]:
    from open_speech_api.settings import canonical_environ

    return canonical_environ(os.environ)


def _run(work: Coroutine[Any, Any, T]) -> T:
    import asyncio

    from open_speech_api.bundles.manifest import BadBundle
    from open_speech_core.errors import OpenSpeechError

    try:
        return asyncio.run(work)
    except (BadBundle, OpenSpeechError) as error:
        raise click.ClickException(error.message) from None
    except OSError as error:
        raise click.ClickException(f"{error.strerror or error}: {error.filename}") from None


def _summary(directory: Path, manifest: Manifest) -> str:
    parts = ["the server"] if manifest.server else []
    parts += [f"provider {entry.name} {entry.version}" for entry in manifest.providers]
    parts += [f"model {model.id} ({model.licence or 'licence unknown'})" for model in manifest.models]
    wheels = len(manifest.of_kind("wheel"))
    return (
        f"{directory} is whole: {', '.join(parts)}; {wheels} wheels, {manifest.size / 1e6:.1f} MB, "
        f"for Python {manifest.python} on {manifest.platform}."
    )


def _print_digest(directory: Path) -> None:
    from open_speech_api.bundles.manifest import digest

    click.echo(digest(directory))
