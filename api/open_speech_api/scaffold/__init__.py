"""Writes the folder of a new plugin: one that works, says little, and keeps the laws."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template

from open_speech_core.errors import InvalidRequest
from open_speech_core.types import KINDS, Kind

TEMPLATES = Path(__file__).parent
SUFFIX = ".txt"
"""Templates are no modules: their names are still to come."""
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
PACKAGE_FILES = frozenset({"__init__.py", "provider.py", "engine.py", "py.typed"})


def write_plugin(folder: Path, name: str, kind: Kind) -> tuple[Path, ...]:
    """Write the plugin's files; give them in order.

    Raises:
        InvalidRequest: the name is none for a package, or the folder is there already.
    """
    words = check_name(name)
    if folder.exists():
        raise InvalidRequest(f"{folder.name!r} is there already", param="name")
    written = [_write(folder, template, words) for template in _templates(kind)]
    return tuple(sorted(written))


def check_name(name: str) -> Mapping[str, str]:
    """Give the words that stand in templates. Raises ``InvalidRequest``."""
    if NAME.fullmatch(name) is None or keyword.iskeyword(name):
        raise InvalidRequest(
            f"{name!r} is no name for a plugin: lower-case letters, digits and '-', such as 'my-engine'", param="name"
        )
    module = name.replace("-", "_")
    title = name.replace("-", " ").title()
    return {"name": name, "module": module, "Title": title, "Class": title.replace(" ", ""), "PREFIX": module.upper()}


def _templates(kind: Kind) -> Iterator[Path]:
    if kind not in KINDS:
        raise InvalidRequest(f"{kind!r} is no kind; there are {', '.join(KINDS)}", param="kind")
    for part in ("every", kind):
        yield from (TEMPLATES / part).glob(f"*{SUFFIX}")


def _write(folder: Path, template: Path, words: Mapping[str, str]) -> Path:
    """Write one file where it belongs: the package's, the tests', or the folder's own."""
    name = template.name.removesuffix(SUFFIX)
    place = folder
    if name in PACKAGE_FILES:
        place = folder / f"open_speech_{words['module']}"
    elif name == "test.py":
        place, name = folder / "tests", f"test_{words['module']}.py"
    place.mkdir(parents=True, exist_ok=True)
    file = place / name
    file.write_text(Template(template.read_text(encoding="utf-8")).substitute(words), encoding="utf-8")
    return file
