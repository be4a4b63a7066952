"""Installers: uv where it is on the path, else the pip of the server's own environment. Both do the same.

Nothing is compiled to bytecode ahead: workers do that to the part of an engine's libraries which they import.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from open_speech_core.errors import InstallFailed

from .environment import module
from .indexes import no_index

PYTHON = "bin/python"
"""Within an environment."""


class Tool(Protocol):
    """Gives the commands of an install."""

    def make(self, folder: Path, interpreter: str) -> list[str]:
        """Make an environment without packages in a folder, which may be there."""
        ...

    def add_pinned(self, folder: Path, requirements: Path) -> list[str]:
        """Install what a file pins, wheels only; a package without a hash, or with another, ends it."""
        ...

    def add_wheels(self, folder: Path, wheels: Iterable[Path]) -> list[str]:
        """Install wheels that lie here, and nothing they ask for."""
        ...

    def check(self, folder: Path) -> list[str]:
        """Fail where a package lacks what it asks for."""
        ...


class Uv:
    """Takes a third of pip's time, and shares what it has unpacked before."""

    def __init__(self, program: str, environ: Mapping[str, str]) -> None:
        self._program = program
        self._where = ("--no-index",) if no_index(environ) else ()

    def make(self, folder: Path, interpreter: str) -> list[str]:
        own = ("--allow-existing", "--no-project", "--no-python-downloads", "--quiet")
        return [self._program, "venv", *own, "--python", interpreter, str(folder)]

    def add_pinned(self, folder: Path, requirements: Path) -> list[str]:
        # With hashes it does not matter which index a file comes from.
        strict = ("--require-hashes", "--only-binary", ":all:", "--index-strategy", "unsafe-best-match")
        return self._pip(folder, "install", *self._where, *strict, "-r", str(requirements))

    def add_wheels(self, folder: Path, wheels: Iterable[Path]) -> list[str]:
        own = ("--no-deps", "--no-index", "--offline", "--reinstall")
        return self._pip(folder, "install", *own, *map(str, wheels))

    def check(self, folder: Path) -> list[str]:
        return self._pip(folder, "check")

    def _pip(self, folder: Path, verb: str, *arguments: str) -> list[str]:
        python = ("--python", str(folder / PYTHON), "--no-python-downloads", "--no-progress")
        return [self._program, "pip", verb, *python, *arguments]


class Pip:
    """Works on another environment, which so needs no pip of its own."""

    def make(self, folder: Path, interpreter: str) -> list[str]:
        return module(interpreter, "venv", "--without-pip", str(folder))

    def add_pinned(self, folder: Path, requirements: Path) -> list[str]:
        strict = ("--require-hashes", "--only-binary", ":all:")
        return self._pip(folder, "install", "--no-compile", *strict, "-r", str(requirements))

    def add_wheels(self, folder: Path, wheels: Iterable[Path]) -> list[str]:
        return self._pip(folder, "install", "--no-compile", "--no-deps", "--no-index", *map(str, wheels))

    def check(self, folder: Path) -> list[str]:
        return self._pip(folder, "check")

    def _pip(self, folder: Path, verb: str, *arguments: str) -> list[str]:
        return module(sys.executable, "pip", "--python", str(folder / PYTHON), verb, *arguments)


def find_tool(environ: Mapping[str, str]) -> Tool:
    """Choose an installer. Raises ``InstallFailed`` when there is none."""
    if uv := shutil.which("uv", path=environ.get("PATH")):
        return Uv(uv, environ)
    if importlib.util.find_spec("pip") is None:
        raise InstallFailed("neither uv nor pip is here; install one of them beside the server")
    return Pip()
