"""One text with every licence of a bundle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from .weights import Collected
from .wheels import Wheel, licence_texts

RULE = "=" * 100
TEXT_NAMES = ("licen", "copying", "notice", "model_card", "readme")
LONGEST_TEXT_BYTES = 1 << 20


def render(wheels: Iterable[Wheel], models: Iterable[Collected]) -> str:
    """Give a list of who has which licence, then the texts."""
    wheels, models = sorted(wheels, key=lambda wheel: wheel.name), list(models)
    names = [(f"{wheel.name} {wheel.version}", wheel.licence) for wheel in wheels]
    names += [(f"weights of {each.model.id}", each.model.licence) for each in models]
    width = max((len(name) for name, _ in names), default=0)
    lines = ["Licences of all that is in this bundle.", ""]
    lines += [f"{name.ljust(width)}  {licence or 'not named; see its text'}" for name, licence in names]
    for title, text in (*_of_wheels(wheels), *_of_models(models)):
        lines += ["", RULE, title, RULE, "", text.strip()]
    return "\n".join(lines) + "\n"


def _of_wheels(wheels: list[Wheel]) -> Iterator[tuple[str, str]]:
    for wheel in wheels:
        for name, text in licence_texts(wheel.file):
            yield f"{wheel.name} {wheel.version}: {name}", text


def _of_models(models: list[Collected]) -> Iterator[tuple[str, str]]:
    """Give the texts that lie beside the weights."""
    for each in models:
        for file in sorted(each.texts_in.iterdir()) if each.texts_in is not None else ():
            if _is_text(file):
                yield f"weights of {each.model.id}: {file.name}", file.read_text(encoding="utf-8", errors="replace")


def _is_text(file: Path) -> bool:
    named = file.name.lower().startswith(TEXT_NAMES)
    return named and file.is_file() and file.stat().st_size <= LONGEST_TEXT_BYTES
