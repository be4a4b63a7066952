"""From the command to the first ``/health``, and what the time goes into."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ..api.serving import MAIN, STARTER, clean_environment, free_port
from . import estimates
from .health import await_health
from .results import Result, judged
from .stage import Stage

SHOWN = 10


def measure(stage: Stage) -> Iterator[Result]:
    """Start again and again, files in the cache; then once more with the interpreter's own account."""
    command = _command()
    seconds = [_start(stage, [*command]) for _ in range(stage.rounds(15, 3) + 1)][1:]
    account = stage.folder / "importtime.txt"
    slowed_s = _start(stage, [sys.executable, "-X", "importtime", "-c", MAIN, *STARTER], account)
    imports = _self_ms(account)
    total_ms = sum(imports.values())
    yield judged(
        "startup/command to first /health",
        estimates.median(seconds),
        "s",
        at_most=1.5,
        notes=[
            f"`{'open-speech serve' if len(command) == 2 else 'the server without its command'}`, "
            f"slowest {max(seconds):.2f} s",
            f"under -X importtime, which slows it, {slowed_s:.2f} s, of which {total_ms / 1000:.2f} s were imports: "
            + ", ".join(f"{name} {ms:.0f} ms" for name, ms in imports.most_common(SHOWN)),
        ],
    )


def _command() -> tuple[str, ...]:
    """Give the command a person types; without its script, the server alone."""
    script = Path(sys.executable).with_name("open-speech")
    return (str(script), "serve") if script.is_file() else (sys.executable, "-c", MAIN, *STARTER)


def _start(stage: Stage, command: list[str], errors: Path | None = None) -> float:
    """Start, wait for the first answer, end; give the seconds between."""
    port = free_port()
    settings = {"OS_PORT": str(port), "OS_DATA_DIR": str(stage.folder / "data"), "OS_LOG_LEVEL": "warning"}
    with (errors or Path(os.devnull)).open("wb") as sink:
        process = subprocess.Popen(
            command,
            env=clean_environment() | settings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=sink,
        )
        try:
            return await_health(port, process)
        finally:
            process.terminate()
            process.wait(15)


def _self_ms(account: Path) -> Counter[str]:
    """Sum the times modules took by themselves, by the package they belong to."""
    sums: Counter[str] = Counter()
    for line in account.read_text(errors="replace").splitlines():
        if not line.startswith("import time:") or "self [us]" in line:
            continue
        own_us, _, name = line.removeprefix("import time:").split("|")
        package = name.strip().partition(".")[0]
        sums["the standard library" if package in sys.stdlib_module_names else package] += int(own_us)
    return Counter({name: round(us / 1000) for name, us in sums.items()})
