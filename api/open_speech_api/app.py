"""The application: everything it needs is given to ``create_app``; nothing is global."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.di import Provide
from litestar.types import ASGIApp, ControllerRouterHandler, Receive, Scope, Send

from open_speech_core.errors import InvalidRequest, OpenSpeechError
from open_speech_core.options import OptionProblem
from open_speech_core.plugins import Discovery
from open_speech_core.registry import Registry, build_registry
from open_speech_core.types import Kind

from .bundles.locks import locked
from .bundles.manifest import BadBundle
from .bundles.placing import sweep as sweep_weights
from .controllers.catalogue import CatalogueController
from .controllers.choosing import setting_of
from .controllers.health import HealthController
from .controllers.legacy import LegacyController
from .controllers.library import LibraryController
from .controllers.models import ModelsController
from .controllers.pages import PagesController
from .controllers.providers import ProvidersController
from .controllers.speech import SpeechController
from .controllers.transcription import TranscriptionController
from .failures import HANDLERS
from .installs import Entry, Installs, Place
from .installs.catalogue import read_catalogue
from .installs.folders import Folders, Made
from .library import Library
from .observers import Observers
from .runtime import weights
from .runtime.downloads import Downloads
from .runtime.memory import Memory
from .runtime.pool import Pool
from .runtime.preloads import Preloads
from .runtime.target import Policy, Target
from .runtime.targets import Targets
from .runtime.worker import Limits
from .runtime.workers import make_workers
from .schema import Schema
from .security.gate import Gate
from .security.hosts import is_loopback
from .services import Services, installed_at, make_run_folder
from .settings import Settings, SettingsError

log = logging.getLogger(__name__)

CONTROLLERS: tuple[ControllerRouterHandler, ...] = (
    HealthController,
    TranscriptionController,
    SpeechController,
    CatalogueController,
    ModelsController,
    LegacyController,
    ProvidersController,
    LibraryController,
    PagesController,
)
JSON_BODY_MAX_BYTES = 1 << 20
"""JSON bodies are small; uploads are read by our own reader with its own limits."""


class Application:
    """The server as an ASGI application, and its end."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    async def end(self) -> None:
        """Let running requests finish for as long as the settings say, end every worker, clear the run folder.

        Not left to the lifespan: it ends after the last connection was closed, and some clients never close theirs.
        """
        await _end(self._services)


def create_app(settings: Settings, plugins: Discovery, environ: Mapping[str, str]) -> Application:
    """Wire a server of ``settings`` and ``plugins``; ``environ`` is what plugins' options are read from."""
    providers = settings.server.folder("providers").absolute()
    left = _sweep(settings, providers)
    registry = build_registry(plugins, environ=environ, data_dir=settings.server.data_root, providers_dir=providers)
    services = make_services(settings, registry, plugins, environ)
    schema = Schema(CONTROLLERS, registry, services.version)
    app = Litestar(
        route_handlers=CONTROLLERS,
        dependencies={
            "services": Provide(lambda: services, sync_to_thread=False),
            "schema": Provide(lambda: schema, sync_to_thread=False),
        },
        exception_handlers=dict(HANDLERS),
        openapi_config=None,
        lifespan=[lambda _: _lifespan(services, left)],
        request_max_body_size=JSON_BODY_MAX_BYTES,
        cors_config=_cors(settings),
        logging_config=None,
    )
    return Application(Gate(app, settings, services.observers.tell), services)


def _sweep(settings: Settings, providers: Path) -> list[Made]:
    """Put out of force what a killed install left, unless a bundle is being installed at this moment.

    Gives the environments that are to be removed, which takes long.
    """
    root = settings.server.data_root
    with suppress(BadBundle), locked(root, "busy") if root.is_dir() else nullcontext():
        sweep_weights(root / "models")
        return Folders(providers).superseded()
    return []


def make_services(settings: Settings, registry: Registry, plugins: Discovery, environ: Mapping[str, str]) -> Services:
    """Make the server's parts; nothing runs yet."""
    policy = Policy(
        queue_max=settings.server.queue_max,
        queue_wait_s=settings.server.queue_wait_s,
        ttl_s=settings.models.ttl_s,
        max_loaded=settings.models.max_loaded,
    )
    limits = Limits(step_s=settings.server.step_timeout_s, load_s=settings.server.load_timeout_s)
    make = make_workers(environ, limits)
    targets = Targets(settings, registry, environ)
    downloads = Downloads(make, targets.note)
    memory = Memory(settings.server.data_root / "measured.json", environ, settings.models.memory_mb)
    pool = Pool(policy, make, fetch=downloads.fetch, memory=memory)
    return Services(
        settings=settings,
        registry=registry,
        pool=pool,
        preloads=Preloads(pool),
        installs=Installs(
            catalogue=_catalogue(settings),
            place=_place(settings),
            registry=registry,
            pool=pool,
            downloads=downloads,
            make=make,
            environ=environ,
            targets=targets,
        ),
        downloads=downloads,
        memory=memory,
        targets=targets,
        library=Library(settings.server.folder("voices").absolute(), settings.server.voice_library_max_count),
        run_folder=make_run_folder(settings.server.run_dir),
        observers=Observers(plugins.manager),
        version=own_version(),
        installed_at=installed_at(),
        local_only=is_loopback(settings.server.host),
    )


def _place(settings: Settings) -> Place:
    server = settings.server
    return Place(
        providers=server.folder("providers").absolute(),
        wheelhouse=server.folder("wheelhouse").absolute(),
        models=server.data_root / "models",
        timeout_s=server.install_timeout_s,
    )


def _catalogue(settings: Settings) -> tuple[Entry, ...]:
    """Read what may be installed. Raises ``SettingsError`` when the owner's list is not right."""
    owners = settings.server.provider_catalogue
    try:
        return read_catalogue(None if owners is None else Path(owners).expanduser().absolute())
    except InvalidRequest as error:
        problem = OptionProblem(variable="OS_PROVIDER_CATALOGUE", value=owners or "", reason=error.message)
        raise SettingsError((problem,)) from error


@asynccontextmanager
async def _lifespan(services: Services, left: list[Made]) -> AsyncIterator[None]:
    services.observers.start()
    background = [
        asyncio.create_task(services.pool.sweep()),
        asyncio.create_task(_preload(services)),
        asyncio.create_task(services.installs.tidy(left)),
        asyncio.create_task(asyncio.to_thread(services.memory.prepare)),
        *(asyncio.create_task(asyncio.to_thread(weights.sweep, root)) for root in services.targets.roots()),
    ]
    try:
        yield
    finally:
        for task in background:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await _end(services)


async def _end(services: Services) -> None:
    """End what runs; may be called again."""
    await services.installs.close()
    await services.downloads.close()
    await services.pool.drain(services.settings.server.drain_s)
    services.observers.stop()
    shutil.rmtree(services.run_folder, ignore_errors=True)


async def _preload(services: Services) -> None:
    wanted: tuple[tuple[Kind, tuple[str, ...]], ...] = (
        ("transcriber", services.settings.stt.preload_models),
        ("synthesizer", services.settings.tts.preload_models),
    )
    await services.preloads.run(
        target for kind, ids in wanted for id in ids if (target := _preloadable(services, kind, id)) is not None
    )


def _preloadable(services: Services, kind: Kind, id: str) -> Target | None:
    try:
        return services.targets.engine(services.registry.resolve(kind, id, setting=setting_of(services, kind)))
    except OpenSpeechError as error:
        services.preloads.fail(id, error)
        return None


def own_version() -> str:
    """Give the version of the installed server."""
    try:
        return version("open-speech-api")
    except PackageNotFoundError:
        return "0"


def _cors(settings: Settings) -> CORSConfig:
    origins = list(settings.server.cors_origins)
    return CORSConfig(
        allow_origins=origins,
        allow_credentials="*" not in origins,
        expose_headers=["x-request-id", "server-timing", "x-cache", "x-ignored-fields"],
    )
