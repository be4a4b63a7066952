"""What this machine has: cores, memory, GPUs, disk."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from open_speech_api.runtime.cores import usable_cores

from .report import Gpu, Machine

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")
NVIDIA_SMI = ("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits")
PATIENCE_S = 10.0
"""A GPU driver may take seconds to wake up."""


def find_machine() -> Machine:
    """Look at this machine; what cannot be found out is 0 or empty."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return Machine(cores=usable_cores(), memory_mb=free_memory_mb(), load=round(load, 1), gpus=find_gpus())


def find_gpus() -> tuple[Gpu, ...]:
    """Ask NVIDIA's own tool, which comes with the driver."""
    if shutil.which(NVIDIA_SMI[0]) is None:
        return ()
    try:
        answer = subprocess.run(NVIDIA_SMI, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    found: list[Gpu] = []
    for line in answer.stdout.splitlines():
        name, _, memory = line.rpartition(",")
        found.append(Gpu(name=name.strip(), memory_mb=int(memory) if memory.strip().isdecimal() else 0))
    return tuple(found)


def free_memory_mb(meminfo: Path = MEMINFO, cgroup: Path = CGROUP) -> int:
    """Give the memory that may still be used, bounded by the cgroup; 0 when unknown."""
    free = [size for size in (_available(meminfo), _cgroup_free(cgroup)) if size is not None]
    return min(free, default=0) // 1_000_000


def free_disk_mb(folder: Path) -> int:
    """Give the free disk where ``folder`` is or would be made; 0 when unknown."""
    there = next((path for path in (folder, *folder.parents) if path.exists()), None)
    try:
        return shutil.disk_usage(there).free // 1_000_000 if there else 0
    except OSError:
        return 0


def _available(meminfo: Path) -> int | None:
    try:
        lines = meminfo.read_text().splitlines()
    except OSError:
        return None
    sizes = {name: rest.split()[0] for name, _, rest in (line.partition(":") for line in lines) if rest.strip()}
    return int(sizes["MemAvailable"]) * 1024 if "MemAvailable" in sizes else None


def _cgroup_free(cgroup: Path) -> int | None:
    try:
        return int((cgroup / "memory.max").read_text()) - int((cgroup / "memory.current").read_text())
    except (OSError, ValueError):
        return None
