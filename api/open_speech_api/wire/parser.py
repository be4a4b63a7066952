"""The ``multipart`` library as we use it, with types: it is one untyped module."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, TypeAlias, cast

import multipart as _multipart  # type: ignore[import-untyped]

# A distribution of another name can put a package beside the module; type checkers then look at that one.
_library = cast("Any", _multipart)


class Segment(Protocol):
    """The headers of one part."""

    headerlist: list[tuple[str, str]]
    name: str | None
    filename: str | None
    charset: str | None


Event: TypeAlias = Segment | bytes | bytearray | None
"""The beginning of a part, bytes of its body, its end."""


class FormParser(Protocol):
    def parse(self, chunk: bytes) -> Iterable[Event]:
        """Take a piece of the body; exhaust what is given before the next."""
        ...

    def close(self) -> None:
        """End the body; raise ``FormMalformed`` when it is not whole."""
        ...


FormMalformed: type[Exception] = _library.MultipartError
FormLimitReached: type[Exception] = _library.ParserLimitReached


def open_parser(boundary: bytes, *, parts: int) -> FormParser:
    """Start on a body; what it raises is a ``FormMalformed``."""
    return cast("FormParser", _library.PushMultipartParser(boundary, max_segment_count=parts))


def parse_header(value: str) -> tuple[str, dict[str, str]]:
    """Split a header such as ``Content-Type`` into its value, in lower case, and its parameters."""
    return cast("tuple[str, dict[str, str]]", _library.parse_options_header(value))
