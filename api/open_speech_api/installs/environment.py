"""Making a virtual environment: which Python, which commands, what they may see and what they may say."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

from open_speech_core.errors import InvalidRequest, LoadFailed

KEPT = frozenset(
    {
        "PATH", "HOME", "LANG", "TZ", "TMPDIR", "NETRC", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
    }
)  # fmt: skip
KEPT_PREFIXES = ("PIP_", "LC_", "XDG_")
DIVERTING = frozenset({"PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_SRC", "PIP_PYTHON", "PIP_LOG"})
"""What would make pip write outside the environment it is to fill."""
NEWEST_MINOR = 20
LONGEST_LINE_BYTES = 1 << 16

BOUND = """
import ctypes, os, runpy, signal, sys
try:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
except (AttributeError, OSError):
    pass
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
name = sys.argv[2]
sys.argv[:3] = [name]
runpy.run_module(name, run_name="__main__", alter_sys=True)
"""
"""Runs a module so that it ends with the server, even when that is killed."""


def fits(wanted: str, version: tuple[int, int]) -> bool:
    """Say whether a Python version lies in a range such as ``>=3.11,<3.14``."""
    for part in wanted.split(","):
        match = re.fullmatch(r"\s*(>=|<)\s*(\d+)\.(\d+)\s*", part)
        if match is None:
            raise ValueError(f"{wanted!r} is no range of Python versions")
        bound = (int(match[2]), int(match[3]))
        if (match[1] == ">=" and version < bound) or (match[1] == "<" and version >= bound):
            return False
    return True


async def find_interpreter(wanted: str, environ: Mapping[str, str]) -> str:
    """Give a Python in a range: the server's own, one on the path, one that uv has. Raises ``InvalidRequest``."""
    if fits(wanted, sys.version_info[:2]):
        return sys.executable
    for minor in range(NEWEST_MINOR, 8, -1):
        if not fits(wanted, (3, minor)):
            continue
        if found := shutil.which(f"python3.{minor}", path=environ.get("PATH")):
            return found
    if uv := shutil.which("uv", path=environ.get("PATH")):
        said: list[str] = []
        with contextlib.suppress(LoadFailed):
            await run([uv, "python", "find", "--no-python-downloads", wanted], filtered(environ), said.append)
        if said and Path(known := said[-1].strip()).is_file():
            return known
    raise InvalidRequest(f"this needs Python {wanted}, and none is on this machine", param="provider")


def filtered(environ: Mapping[str, str]) -> dict[str, str]:
    """Give what pip needs to reach its index, and no secret of ours."""
    return {
        name: value
        for name, value in environ.items()
        if name.upper() not in DIVERTING and (name.upper() in KEPT or name.upper().startswith(KEPT_PREFIXES))
    }


def module(interpreter: str, name: str, *arguments: str) -> list[str]:
    """Give the command that runs a module and ends with this process."""
    return [interpreter, "-I", "-c", BOUND, str(os.getpid()), name, *arguments]


async def run(command: list[str], environ: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Run a command, telling its output line by line; its process group never outlives this call.

    Raises ``LoadFailed``.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=dict(environ),
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        async for line in _lines(process.stdout):
            say(line)
        if code := await process.wait():
            raise LoadFailed(f"a step of the install ended with {code}; its output says why")
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


def find_wheel(wheelhouse: Path, distribution: str, version: str | None = None) -> Path:
    """Find one of our own wheels. Raises ``LoadFailed`` naming it."""
    start = f"{distribution.replace('-', '_')}-{version or ''}"
    found = sorted(wheelhouse.glob(f"{start}{'-' if version else ''}*.whl"), key=lambda wheel: wheel.stat().st_mtime)
    if not found:
        wanted = f"{distribution} {version}" if version else distribution
        raise LoadFailed(f"the wheel of {wanted} is not in OS_WHEELHOUSE")
    return found[-1]


def redact(text: str, environ: Mapping[str, str]) -> str:
    """Take secrets and paths out of what a command said."""
    for name, value in environ.items():
        if len(value) >= 6 and any(word in name for word in ("KEY", "TOKEN", "SECRET", "PASSWORD")):
            text = text.replace(value, "***")
    text = re.sub(r"://[^/\s@]+@", "://***@", text)
    return re.sub(r"(?<![\w:/.])(?:file://)?(?:/[\w.+@~-]+){2,}/?", "<path>", text)
