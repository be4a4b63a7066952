"""Wheels of ours, built once, and clean environments in which pip installs them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-engines.lock")
PLUGINS = tuple(sorted(path.parent.name for path in ROOT.glob("plugins/*/pyproject.toml")))
FOLDERS = {
    **{name: ROOT / name for name in ("core", "static", "api")},
    **{name: ROOT / "plugins" / name for name in PLUGINS},
}


def build_wheels(out: Path) -> Mapping[str, Path]:
    """Build a wheel of every distribution of ours; give them by folder name."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(out)]
    subprocess.run([*command, *map(str, FOLDERS.values())], check=True)
    return {name: next(out.glob(f"open_speech_{name}-*.whl")) for name in FOLDERS}


def brought(names: Iterable[str]) -> frozenset[str]:
    """Name the folders whose distributions an install of these brings, by what each asks for."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        asked = tomllib.loads((FOLDERS[name] / "pyproject.toml").read_text())["project"]["dependencies"]
        waiting += [match[1] for line in asked if (match := re.match(r"open-speech-([a-z]+)", line))]
    return frozenset(found)


class Environment:
    """One virtual environment; ``remove`` deletes it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def command(self) -> Path:
        """The server's command."""
        return self.folder / "bin" / "open-speech"

    def install(
        self, names: Iterable[str], wheels: Mapping[str, Path], locks: Iterable[str], others: Iterable[str] = ()
    ) -> float:
        """Install wheels of ours by folder name, an extra behind it in brackets, and packages of others.

        All at the locked versions. What these ask for of ours comes from the wheels too, which are constraints:
        nothing comes that nobody asked for. Give the seconds it took.
        """
        constraints = self.folder / "constraints.txt"
        ours = [f"open-speech-{name} @ {wheel.as_uri()}" for name, wheel in wheels.items()]
        constraints.write_text("\n".join([*_pins(locks), *ours, ""]))
        # Of a requirement with an extra, pip does not take the place from a constraint.
        wanted = [f"open-speech-{name} @ {wheels[name.partition('[')[0]].as_uri()}" for name in names]
        since = time.monotonic()
        self._run("-m", "pip", "install", "--quiet", "-c", str(constraints), *wanted, *others)
        taken = time.monotonic() - since
        self._run("-m", "pip", "check")
        return taken

    def ours(self) -> frozenset[str]:
        """Name the folders whose distributions are installed."""
        code = "from importlib.metadata import distributions\nfor each in distributions(): print(each.name)"
        names = (line.strip().lower().replace("_", "-") for line in self._run("-c", code).splitlines())
        return frozenset(name.removeprefix("open-speech-") for name in names if name.startswith("open-speech-"))

    def package(self, name: str) -> Path:
        """Give the folder of an installed package."""
        code = f"from importlib.util import find_spec; print(find_spec({name!r}).origin)"
        return Path(self._run("-c", code).strip()).parent

    def write_model(self, module: str, *arguments: str) -> None:
        """Write random weights with ``tests/plugins/<module>.py`` and the libraries that are installed here."""
        code = (
            "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1])\n"
            "from open_speech_core.runtimes.torch import import_torchaudio; import_torchaudio()\n"
            f"import {module}; {module}.write(Path(sys.argv[2]), *sys.argv[3:])"
        )
        self._run("-c", code, str(ROOT / "tests" / "plugins"), *arguments)

    def remove(self) -> None:
        shutil.rmtree(self.folder)

    def _run(self, *arguments: str) -> str:
        """Run this environment's Python away from the repository; give what it prints."""
        done = subprocess.run([self.python, "-I", *arguments], cwd=self.folder, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)[:300]} failed: {(done.stdout + done.stderr)[-3000:]}")
        return done.stdout


def _pins(locks: Iterable[str]) -> list[str]:
    """Give the lines of the locks; of a package that two name, the first lock's."""
    found: dict[str, list[str]] = {}
    for lock in locks:
        lines: dict[str, list[str]] = {}
        for line in (ROOT / lock).read_text().splitlines():
            if match := re.match(r"[A-Za-z0-9._-]+", line):
                lines.setdefault(match[0].lower(), []).append(line)
        found = {**lines, **found}
    return [line for lines in found.values() for line in lines]
