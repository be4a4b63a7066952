"""What the numbers were taken on."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
from msgspec import Struct

LIBRARIES = ("faster-whisper", "ctranslate2", "piper-tts", "onnxruntime", "granian", "litestar", "av")
LOOK_S = 1.0
QUIET_PERCENT = 5.0


class Machine(Struct, frozen=True, kw_only=True):
    """One computer, and how quiet it was."""

    processor: str
    cores: int
    """That this process may use."""
    memory_gb: float
    system: str
    python: str
    libraries: dict[str, str]
    busy_percent: float = 0.0
    """Of all cores, used by others: the most that was seen between measurements; well above 0, it is preliminary."""


def look() -> Machine:
    """Describe this machine."""
    return Machine(
        processor=_processor(),
        cores=usable_cores(),
        memory_gb=round(psutil.virtual_memory().total / 1e9, 1),
        system=f"{platform.system()} {platform.release().partition('-')[0]} {platform.machine()}",
        python=platform.python_version(),
        libraries={name: _version(name) for name in LIBRARIES},
    )


def await_quiet(within_s: float) -> float:
    """Wait until others leave the machine alone, or for so long; give what they used of all cores last, in percent.

    Nothing of ours may run meanwhile.
    """
    deadline = time.monotonic() + within_s
    while (busy := float(psutil.cpu_percent(LOOK_S))) > QUIET_PERCENT and time.monotonic() < deadline:
        pass
    return busy


def usable_cores() -> int:
    """Count the cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    """Give the processor's name and whether it is a virtual machine's."""
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return platform.processor() or platform.machine()
    lines = dict(
        (key.strip(), value.strip())
        for key, _, value in (line.partition(":") for line in info.read_text().splitlines())
    )
    virtual = ", virtual machine" if "hypervisor" in lines.get("flags", "").split() else ""
    return lines.get("model name", platform.machine()) + virtual
