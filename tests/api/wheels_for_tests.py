"""Wheels made by the tests, a catalogue of tiny providers, and installs over HTTP. No package index is asked."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from api.bundling import make_wheel, repack, sha256
from api.bundling import pinned as pinned_line
from api.calling import tone
from api.serving import Running

ROOT = Path(__file__).parents[2]
NOTHING = ("broken_nothing",)
"""A plugin that is not there, so that the server's own environment provides nothing."""
THIRD_PARTY = ("msgspec", "pluggy", "numpy")
"""What core asks for."""

PLUGIN = """
import os, time
from typing import Annotated

from msgspec import Meta, Struct

from open_speech_core.hookspecs import hookimpl
from open_speech_core.providers import Transcriber, TranscriberEngine
from open_speech_core.types import Capabilities, Info, Model, ProviderInfo, Segment

{at_import}

class Fields(Struct, frozen=True, kw_only=True):
    {name}_hold_s: Annotated[float, Meta(ge=0, le=60)] = 0.0

class Teller(TranscriberEngine):
    def __init__(self, home):
        self.home = home

    def transcribe(self, request, context):
        import tiny_pinned
        start = time.monotonic()
        if request.options.{name}_hold_s:
            self.home.mkdir(parents=True, exist_ok=True)
            (self.home / "busy").touch()
        yield Info(language="en")
        context.cancelled.wait(request.options.{name}_hold_s)
        yield Segment(start=0.0, end=0.1, text=f"{version} {{tiny_pinned.VERSION}} {{start}} {{time.monotonic()}}")

    def self_test(self):
        {in_self_test}

class Provider(Transcriber):
    info = ProviderInfo(name="{provider}", title="{name}", licence="MIT")
    capabilities = Capabilities(weight="light")
    RequestOptions = Fields

    def models(self):
        {in_models}
        return (Model(id="{name}-model", kind="transcriber", rate=16000),)

    def load(self, spec):
        {in_load}
        return Teller(self.home)

@hookimpl
def open_speech_register_transcribers():
    return [Provider]
"""


def package(folder: Path) -> dict[str, str]:
    """Read a package's files as they stand in a wheel."""
    return {
        file.relative_to(folder.parent).as_posix(): file.read_text()
        for file in folder.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


class Shop:
    """A folder with an index, a wheelhouse and a catalogue, all of the tests' own making."""

    def __init__(self, folder: Path, index: Path) -> None:
        self.index = index
        self.house = folder / "house"
        self._folder = folder
        self._entries: dict[str, dict[str, Any]] = {}
        needs = ("msgspec>=0.19", "pluggy>=1.5", "numpy>=1.26")
        version = distribution("open-speech-core").version
        self.house.mkdir()
        core = package(ROOT / "core" / "open_speech_core")
        make_wheel(self.house, "open-speech-core", version=version, files=core, requires=needs)

    def stock(self, name: str, version: str = "1.0", pinned: str = "1.0", **faults: str) -> None:
        """Put a plugin into the wheelhouse that needs ``tiny-pinned`` of one version, and into the catalogue."""
        body = {"at_import": "", "in_self_test": "pass", "in_models": "", "in_load": "", "provider": name} | faults
        source = PLUGIN.format(name=name, version=version, **body)
        needs = ("open-speech-core>=1,<2", f"tiny-pinned=={pinned}")
        self.wheel(f"tiny-{name}", version, {f"tiny_{name}/__init__.py": source}, needs, name)
        self.pin(name, pinned)
        self.enter(name, f"tiny-{name}", version, f"tiny_{name}")

    def wheel(self, name: str, version: str, files: Mapping[str, str], needs: tuple[str, ...], plugin: str) -> None:
        """Put a plugin's wheel into the wheelhouse."""
        entry_point = f"{plugin} = {name.replace('-', '_')}"
        make_wheel(self.house, name, version=version, files=files, requires=needs, entry_point=entry_point)

    def pin(self, name: str, pinned: str, digest: str = "") -> None:
        """Write the requirements of an entry; ``digest`` stands in the place of the right one."""
        wheels = [next(self.index.glob(f"{each}-*.whl")) for each in THIRD_PARTY]
        wheels.append(self.index / f"tiny_pinned-{pinned}-py3-none-any.whl")
        *lines, last = map(pinned_line, wheels)
        if digest:
            last = last.replace(sha256(wheels[-1]), digest)
        (self._folder / f"{name}.txt").write_text("".join([*lines, last]))

    def enter(self, name: str, distribution: str, version: str, module: str, **more: Any) -> None:
        """Put an entry into the catalogue."""
        self._entries[name] = {
            "name": name,
            "title": name.title(),
            "kinds": ["transcriber"],
            "distribution": distribution,
            "version": version,
            "module": module,
            "requirements": f"{name}.txt",
            "licence": "MIT",
            "models": [f"{name}-model"],
            **more,
        }
        (self._folder / "catalogue.json").write_text(json.dumps(list(self._entries.values())))

    def change(self, name: str, **fields: Any) -> None:
        """Change an entry of the catalogue."""
        entry = self._entries[name]
        self.enter(**{**{key: entry[key] for key in ("name", "distribution", "version", "module")}, **entry, **fields})

    def settings(self, uv: bool = True) -> dict[str, str]:
        """Give the environment of a server that installs from here, by uv or by pip."""
        tools = self._folder / "tools"
        tools.mkdir(exist_ok=True)
        if uv and not (tools / "uv").exists():
            (tools / "uv").symlink_to(uv_program())
        return {
            "OS_PROVIDER_CATALOGUE": str(self._folder / "catalogue.json"),
            "OS_WHEELHOUSE": str(self.house),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.index),
            "UV_CACHE_DIR": str(self.index.parent / "cache"),
            "PATH": f"{tools}:/usr/bin:/bin" if uv else "/usr/bin:/bin",
            "STT_VAD_ENABLED": "false",
        }


def uv_program() -> str:
    """Find the uv that came with the development environment."""
    import uv

    return uv.find_uv_bin()


def fill_index(index: Path) -> None:
    """Make the third-party packages: what core needs, and two versions of one that cannot stand beside each other."""
    index.mkdir()
    repack(THIRD_PARTY, index)
    for version in ("1.0", "2.0"):
        files = {"tiny_pinned/__init__.py": f'VERSION = "{version}"\n'}
        make_wheel(index, "tiny-pinned", version=version, files=files)


def begin(server: Running, name: str, **more: object) -> str:
    """Begin an install; give its job's number."""
    started = server.client.post("/api/providers/install", json={"provider": name, **more})
    assert started.status_code == 202, started.text
    assert started.json()["status"] == "installing"
    return str(started.json()["job_id"])


def look(server: Running, job_id: str) -> dict[str, Any]:
    return dict(server.client.get(f"/api/providers/install/{job_id}").json())


def finish(server: Running, job_id: str, within_s: float = 60.0) -> dict[str, Any]:
    """Wait until an install has ended."""
    deadline = time.monotonic() + within_s
    while (job := look(server, job_id))["status"] == "installing":
        assert time.monotonic() < deadline, job
        time.sleep(0.05)
    return job


def install(server: Running, name: str, **more: object) -> dict[str, Any]:
    job = finish(server, begin(server, name, **more))
    assert job["status"] == "done", job
    return job


class Heard:
    """What a tiny plugin said: its version, that of the package it needs, and when its call began and ended."""

    def __init__(self, server: Running, name: str, hold_s: float = 0.0) -> None:
        answer = server.client.post(
            "/v1/audio/transcriptions",
            files={"file": ("a.wav", tone(1.0))},
            data={"model": f"{name}-model", f"{name}_hold_s": str(hold_s)},
        )
        assert answer.status_code == 200, answer.text
        self.version, self.pinned, start, end = answer.json()["text"].split()
        self.start, self.end = float(start), float(end)


@contextmanager
def heard_meanwhile(server: Running, name: str, hold_s: float) -> Iterator[Future[Heard]]:
    """Hold a call for so long; the block begins when the engine is at work."""
    busy = providers_of(server).parent / "models" / name / "busy"
    busy.unlink(missing_ok=True)
    with ThreadPoolExecutor(1) as caller:
        call = caller.submit(Heard, server, name, hold_s)
        deadline = time.monotonic() + 30
        while not busy.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield call


def environments(server: Running) -> list[str]:
    """Name the folders of environments that are there, half ones included."""
    return sorted(path.name for path in providers_of(server).glob("*") if path.is_dir() and path.name != "jobs")


def providers_of(server: Running) -> Path:
    return server.run_folder.parent / "data" / "providers"


def await_environments(server: Running, *names: str, within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while (found := environments(server)) != sorted(names):
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
