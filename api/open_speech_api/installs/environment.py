"""The commands of an install: how they run and end, what they may see, and what of their words may be told."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from pathlib import Path

from open_speech_core.errors import FeatureNotSupported, InstallFailed

from .indexes import pip_environ, uv_environ

KEPT = frozenset(
    {
        "PATH", "HOME", "LANG", "TZ", "TMPDIR", "NETRC", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "XDG_CACHE_HOME", "XDG_CONFIG_HOME",
        "XDG_CONFIG_DIRS", "XDG_DATA_HOME",
    }
)  # fmt: skip
"""What a command needs to reach an index and to keep its cache."""
PLAIN = {"NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
LONGEST_LINE_BYTES = 1 << 16
OLDEST_MINOR, NEWEST_MINOR = 9, 20
"""Of the Pythons that are looked for on the path."""
WHO = "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)"
SECRET_WORDS = ("KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL")
SECRET_MIN_CHARACTERS = 6
"""Shorter ones stand in words that are none."""

PART = r"/[\w.+@~-]+"
"""Of a path."""

BOUND = """
import os, signal, subprocess, sys, threading
def end():
    os.read(0, 1)
    os.killpg(0, signal.SIGKILL)
threading.Thread(target=end, daemon=True).start()
code = subprocess.call(sys.argv[1:], stdin=subprocess.DEVNULL)
os._exit(code if code >= 0 else 128 - code)
"""
"""Runs a command so that it and its children end with the server, even when that is killed: then the pipe breaks."""


def filtered(environ: Mapping[str, str]) -> dict[str, str]:
    """Give what pip or uv needs to reach an index, and no secret of ours."""
    kept = {name: value for name, value in environ.items() if name.upper() in KEPT or name.startswith("LC_")}
    return {**kept, **PLAIN, **pip_environ(environ), **uv_environ(environ)}


def module(interpreter: str, name: str, *arguments: str) -> list[str]:
    """Give the command that runs a module, whatever lies in the working directory or the user's own packages."""
    return [interpreter, "-I", "-m", name, *arguments]


async def run(
    command: list[str], environ: Mapping[str, str], say: Callable[[str], None], *, cwd: Path | None = None
) -> None:
    """Run a command, telling its output line by line; its process group outlives neither this call nor the server.

    Raises ``InstallFailed``.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-c", BOUND, *command),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=dict(environ),
        cwd=cwd,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        async for line in _lines(process.stdout):
            say(line)
        if code := await process.wait():
            raise InstallFailed(f"a step of the install ended with {code}; its output says why")
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(process.wait())


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Give whole lines, so that what must not be told is never cut in two; a line without end is cut after all."""
    rest = b""
    while block := await stream.read(1 << 16):
        *lines, rest = (rest + block).splitlines(keepends=True)
        if rest.endswith((b"\n", b"\r")) or len(rest) > LONGEST_LINE_BYTES:
            lines, rest = [*lines, rest], b""
        for line in lines:
            yield line.decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")


def fits(wanted: str, version: tuple[int, int]) -> bool:
    """Say whether a Python version lies in a range such as ``>=3.11,<3.14``. Raises ``ValueError`` for another form."""
    inside = True
    for part in wanted.split(","):
        match = re.fullmatch(r"\s*(>=|<)\s*(\d+)\.(\d+)\s*", part)
        if match is None:
            raise ValueError(f"{wanted!r} is no range of Python versions such as '>=3.11,<3.14'")
        bound = (int(match[2]), int(match[3]))
        inside &= version >= bound if match[1] == ">=" else version < bound
    return inside


async def find_interpreter(wanted: str, environ: Mapping[str, str]) -> str:
    """Give a Python in a range: the server's own, else one on the path, else one that uv knows of.

    Raises:
        FeatureNotSupported: this machine has none; nothing is downloaded.
    """
    if fits(wanted, sys.version_info[:2]):
        return sys.executable
    path = environ.get("PATH")
    minors = [minor for minor in range(NEWEST_MINOR, OLDEST_MINOR - 1, -1) if fits(wanted, (3, minor))]
    for minor in minors:
        # It may be a shim that starts whichever Python the working directory asks for, or none: it is asked.
        if (command := shutil.which(f"python3.{minor}", path=path)) is not None:
            said = await _answer([command, "-I", "-c", WHO], environ)
            if said.startswith(f"3.{minor} "):
                return said.partition(" ")[2]
    if uv := shutil.which("uv", path=path):
        said = await _answer([uv, "python", "find", "--no-python-downloads", "--no-project", wanted], environ)
        if Path(said).is_file():
            return said
    raise FeatureNotSupported(
        f"this needs Python {wanted}, and this machine has none; the server runs on {sys.version_info[0]}."
        f"{sys.version_info[1]}",
        param="provider",
    )


async def _answer(command: list[str], environ: Mapping[str, str]) -> str:
    """Give the last line a command prints; empty when it fails."""
    said: list[str] = [""]
    try:
        await run(command, filtered(environ), said.append)
    except InstallFailed:
        return ""
    return said[-1].strip()


def find_wheel(wheelhouse: Path, distribution: str, version: str | None = None) -> Path:
    """Find one of our own wheels, the newest unless a version is named.

    Raises ``InstallFailed`` saying how to get it.
    """
    wanted = _normal(distribution)
    found = [
        (parts[1], wheel)
        for wheel in wheelhouse.glob("*.whl")
        if len(parts := wheel.name.split("-")) >= 5 and _normal(parts[0]) == wanted and version in (None, parts[1])
    ]
    if not found:
        named = f"{distribution} {version}" if version else distribution
        raise InstallFailed(
            f"the wheel of {named} is not in the folder that OS_WHEELHOUSE names; in a clone, this fills it: "
            "pip wheel --no-deps -w FOLDER ./core ./plugins/*"
        )
    return max(found, key=lambda pair: _ordered(pair[0]))[1]


def _normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _ordered(version: str) -> tuple[tuple[int, ...], bool, str]:
    """Order versions as far as ours go: by their numbers, then what is no release before what is."""
    numbers = re.match(r"\d+(\.\d+)*", version)
    release = numbers[0] if numbers else ""
    return tuple(map(int, release.split("."))) if release else (), version == release, version


def redact(text: str, environ: Mapping[str, str], places: Iterable[Path] = ()) -> str:
    """Take secrets and paths out of what a command said; ``places`` are ours, whose names may hold anything."""
    for name, value in environ.items():
        if any(word in name.upper() for word in SECRET_WORDS):
            for secret in (value, *(part.strip() for part in value.split(","))):
                if len(secret) >= SECRET_MIN_CHARACTERS:
                    text = text.replace(secret, "***")
    text = re.sub(r"://[^/\s@]+@", "://***@", text)
    for place in places:
        text = re.sub(rf"(?:file://)?{re.escape(str(place))}(?:{PART})*/?", "<path>", text)
    return re.sub(rf"(?<![\w/.])(?:file://)?(?:{PART}){{2,}}/?", "<path>", text)
