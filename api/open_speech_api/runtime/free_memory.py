"""How much memory the machine and the container have free, and how much a process takes."""

from __future__ import annotations

import contextlib
from pathlib import Path

MB = 1 << 20
CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")
UNLIMITED = 1 << 60
"""Version 1 of cgroups writes a number near 2**63 for no limit."""


def host_free_mb() -> int:
    """Give what the machine has for new processes, as the kernel estimates it."""
    import psutil

    return int(psutil.virtual_memory().available) // MB


def taken_mb(pid: int) -> int:
    """Give a process's share of memory: PSS on Linux, USS elsewhere; 0 when it has ended."""
    import psutil

    try:
        memory = psutil.Process(pid).memory_full_info()
    except psutil.Error:
        return 0
    return int(getattr(memory, "pss", memory.uss)) // MB


def container_free_mb(cgroups: Path = CGROUPS, own: Path = OWN_CGROUPS) -> int | None:
    """Give the least that an enclosing cgroup leaves, file cache that can go included; None without a limit."""
    free = [left for folder, v2 in _folders(cgroups, own) if (left := _left_bytes(folder, v2)) is not None]
    return max(0, min(free)) // MB if free else None


def _folders(cgroups: Path, own: Path) -> list[tuple[Path, bool]]:
    """Name the folders of our memory cgroup and of all above it, and whether they are of version 2."""
    found: list[tuple[Path, bool]] = []
    with contextlib.suppress(OSError):
        for line in own.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            v2 = controllers == ""
            if v2 or "memory" in controllers.split(","):
                root = cgroups if v2 else cgroups / "memory"
                inner = root / path.lstrip("/")
                # Inside a container's own namespace the path may not exist; the root is then ours.
                found += [(folder, v2) for folder in (inner, *inner.parents) if folder.is_relative_to(root)]
    return found


def _left_bytes(folder: Path, v2: bool) -> int | None:
    names = ("memory.max", "memory.current") if v2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    try:
        limit, used = ((folder / name).read_text().strip() for name in names)
        if limit == "max" or int(limit) >= UNLIMITED:
            return None
        return int(limit) - int(used) + _inactive_file(folder, "inactive_file" if v2 else "total_inactive_file")
    except (OSError, ValueError):
        return None


def _inactive_file(folder: Path, name: str) -> int:
    for line in (folder / "memory.stat").read_text().splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0
