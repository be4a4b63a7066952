"""The pages: their blocks, their links, and the parts of them that are made from code.

A part stands between ``<!-- begin WHAT -->`` and ``<!-- end -->``; WHAT is ``file PATH`` (a file under ``docs/``,
shown whole), ``errors`` or ``commands``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
SETTINGS = DOCS / "settings.md"
PAGES = tuple(sorted({README, ROOT / "CONTRIBUTING.md", SETTINGS, *DOCS.glob("*.md")}))
RENEW = "renew it: python -m tests.docs"
LANGUAGES = {".py": "python", ".toml": "toml"}
COMMAND = "open-speech"
WIDTH = 80

_PART = re.compile(r"(<!-- begin (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


class Block(Struct, frozen=True, kw_only=True):
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str
    made: bool
    """It stands in a part that is made from code."""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """Give a page's fenced blocks in order."""
    text = page.read_text(encoding="utf-8")
    parts = [match.span() for match in _PART.finditer(text)]
    for match in _BLOCK.finditer(text):
        yield Block(
            page=page.relative_to(ROOT).as_posix(),
            line=text.count("\n", 0, match.start()) + 1,
            language=match.group(1),
            text=match.group(2),
            made=any(start < match.start() < end for start, end in parts),
        )


def links(page: Path) -> list[str]:
    """Give where a page's links lead to, those in blocks left out."""
    return _LINK.findall(_BLOCK.sub("", page.read_text(encoding="utf-8")))


def parts(page: Path) -> list[str]:
    """Say what a page's parts are made from."""
    return [match.group(2) for match in _PART.finditer(page.read_text(encoding="utf-8"))]


def renewed(page: Path) -> str:
    """Give a page as it should be now."""
    if page == SETTINGS:
        from open_speech_api.settings import render_settings_markdown

        return render_settings_markdown()
    return _PART.sub(lambda match: match[1] + _made(match[2]) + match[3], page.read_text(encoding="utf-8"))


def _made(what: str) -> str:
    kind, _, path = what.partition(" ")
    if kind == "file":
        return _file(DOCS / path)
    return {"errors": _errors, "commands": _commands}[kind]()


def _file(path: Path) -> str:
    return f"```{LANGUAGES[path.suffix]}\n{path.read_text(encoding='utf-8')}```\n"


def _errors() -> str:
    from open_speech_api.errors import table

    rows = [f"| {status} | `{code}` | {meaning} |" for code, status, meaning in sorted(table(), key=lambda row: row[1])]
    return "\n".join(["| status | `code` | meaning |", "|---|---|---|", *rows, ""])


def command_names() -> list[tuple[str, ...]]:
    """Give the words of every command, the bare one first."""
    import click

    from open_speech_api.cli import commands

    def walk(group: click.Group, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        for name, command in sorted(group.commands.items()):
            yield (*words, name)
            if isinstance(command, click.Group):
                yield from walk(command, (*words, name))

    return [(), *walk(commands, ())]


def _commands() -> str:
    return "".join(f"## {' '.join((COMMAND, *words))}\n\n```\n{_help(words)}```\n\n" for words in command_names())


def _help(words: tuple[str, ...]) -> str:
    from click.testing import CliRunner

    from open_speech_api.cli import commands

    arguments = [*words, "--help"]
    done = CliRunner().invoke(commands, arguments, prog_name=COMMAND, terminal_width=WIDTH)
    assert done.exit_code == 0, done.output
    return done.output
