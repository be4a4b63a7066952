"""Files of requirements: read with markers for any machine, written for one with a digest for each wheel."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from .machine import Machine
from .manifest import BadBundle

_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_LINE = re.compile(r"[a-z0-9][a-z0-9._-]*==[A-Za-z0-9.!+_-]+ --hash=sha256:[0-9a-f]{64}")


class Pin(Struct, frozen=True, kw_only=True):
    """One exact requirement and the digests its wheels may have."""

    name: str
    """Normalised."""
    version: str
    hashes: frozenset[str]

    def line(self) -> str:
        return " ".join([f"{self.name}=={self.version}", *(f"--hash=sha256:{each}" for each in sorted(self.hashes))])


def read_pins(file: Path, machine: Machine) -> list[Pin]:
    """Read what a file requires on a machine. Raises ``BadBundle`` for a line that is no pin with digests."""
    pins: list[Pin] = []
    for line in _lines(file):
        text = _HASH.sub("", line).strip()
        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            raise BadBundle(f"{file.name} holds {text[:100]!r}, which is no requirement") from None
        hashes = frozenset(_HASH.findall(line))
        specifiers = [each for each in wanted.specifier if each.operator == "==" and not each.version.endswith("*")]
        if wanted.url or len(specifiers) != 1 or len(wanted.specifier) != 1 or not hashes:
            raise BadBundle(f"{file.name} does not pin {wanted.name} to one version with digests")
        if wanted.marker is None or wanted.marker.evaluate(machine.markers()):
            pins.append(Pin(name=canonicalize_name(wanted.name), version=specifiers[0].version, hashes=hashes))
    return pins


def write_pins(file: Path, pins: Iterable[Pin]) -> None:
    file.write_text("".join(f"{pin.line()}\n" for pin in sorted(pins, key=lambda pin: pin.name)), encoding="utf-8")


def check_written(file: Path) -> None:
    """Raise ``BadBundle`` unless every line is one that ``write_pins`` writes: no option, no address."""
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        if _LINE.fullmatch(line) is None:
            raise BadBundle(f"{file.name} holds {line[:100]!r}, which is no pinned requirement")


def _lines(file: Path) -> Iterator[str]:
    """Give logical lines without comments."""
    joined = re.sub(r"\\\r?\n", " ", file.read_text(encoding="utf-8"))
    for line in joined.splitlines():
        if text := re.sub(r"(^|\s)#.*", "", line).strip():
            yield text
