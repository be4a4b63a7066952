"""The machine a bundle is for: which wheels fit it, and what requirements' markers say there."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

from msgspec import Struct
from packaging.markers import default_environment

from packaging import tags

from .manifest import BadBundle

LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
"""Names of early glibc versions (PEP 600)."""
OLDEST_GLIBC_MINOR = 5
NEWEST_PATCH = 99
"""Patch that another Python is taken to have: a recent one."""
KNOWN = "manylinux_2_28_x86_64, manylinux2014_aarch64, musllinux_1_2_x86_64 or macosx_14_0_arm64"

Python = tuple[int, int]


class Machine(Struct, frozen=True, kw_only=True):
    """A CPython on a platform."""

    python: Python
    platforms: tuple[str, ...]
    """Platform tags of wheels that fit, the best first."""

    @property
    def version(self) -> str:
        return f"{self.python[0]}.{self.python[1]}"

    @property
    def platform(self) -> str:
        """The tag that names this platform: not ``linux_x86_64``, which says nothing of the C library."""
        return next((tag for tag in self.platforms if not tag.startswith("linux_")), self.platforms[0])

    @property
    def family(self) -> tuple[str, str, str]:
        """Operating system, C library and processor."""
        return family(self.platform)

    def tags(self) -> frozenset[tags.Tag]:
        """Give the tags of all wheels that fit."""
        return frozenset(
            (
                *tags.cpython_tags(self.python, platforms=self.platforms),
                *tags.compatible_tags(self.python, f"cp{self.python[0]}{self.python[1]}", self.platforms),
            )
        )

    def markers(self) -> dict[str, str]:
        """Give what markers compare with."""
        system, _, processor = self.family
        here = default_environment()
        same = sys.version_info[:2] == self.python
        full = here["python_full_version"] if same else f"{self.version}.{NEWEST_PATCH}"
        return {
            "implementation_name": "cpython",
            "implementation_version": full,
            "os_name": "posix",
            "platform_machine": processor,
            "platform_release": "",
            "platform_system": "Darwin" if system == "darwin" else "Linux",
            "platform_version": "",
            "python_full_version": full,
            "platform_python_implementation": "CPython",
            "python_version": self.version,
            "sys_platform": system,
        }


def this_machine(python: Python | None = None) -> Machine:
    """Describe this machine, with its own Python or another."""
    return Machine(python=python or sys.version_info[:2], platforms=tuple(tags.platform_tags()))


def parse_platform(text: str) -> tuple[str, ...]:
    """Give all platform tags that fit a machine of this one. Raises ``BadBundle``."""
    if match := re.fullmatch(r"manylinux_2_(\d{1,3})_(\w+)", text):
        return tuple(_glibc(int(match[1]), match[2]))
    for minor, name in LEGACY.items():
        if match := re.fullmatch(rf"{name}_(\w+)", text):
            return tuple(_glibc(minor, match[1]))
    if match := re.fullmatch(r"musllinux_1_(\d{1,2})_(\w+)", text):
        return tuple(f"musllinux_1_{minor}_{match[2]}" for minor in range(int(match[1]), -1, -1))
    if match := re.fullmatch(r"macosx_(\d{2})_(\d{1,2})_(x86_64|arm64)", text):
        return tuple(tags.mac_platforms((int(match[1]), int(match[2])), match[3]))
    raise BadBundle(f"{text!r} is no platform we know; one is {KNOWN}")


def parse_python(text: str) -> Python:
    """Read ``3.12``. Raises ``BadBundle``."""
    if (match := re.fullmatch(r"3\.(\d{1,2})", text)) is None:
        raise BadBundle(f"{text!r} is no version of Python; one is 3.12")
    return 3, int(match[1])


def family(platform: str) -> tuple[str, str, str]:
    """Give operating system, C library and processor of a platform tag."""
    if match := re.fullmatch(r"macosx_\d+_\d+_(\w+)", platform):
        return "darwin", "", match[1]
    if match := re.fullmatch(r"musllinux_\d+_\d+_(\w+)", platform):
        return "linux", "musl", match[1]
    processor = re.sub(r"^(manylinux_\d+_\d+|manylinux\d+|linux)_", "", platform)
    return "linux", "glibc", processor


def _glibc(minor: int, processor: str) -> Iterator[str]:
    for each in range(minor, OLDEST_GLIBC_MINOR - 1, -1):
        yield f"manylinux_2_{each}_{processor}"
        if each in LEGACY:
            yield f"{LEGACY[each]}_{processor}"
    yield f"linux_{processor}"
