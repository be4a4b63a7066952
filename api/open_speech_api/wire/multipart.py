"""Forms as they stream in: the file to disk, the texts bounded in memory.

RFC 7578 by the push parser of ``multipart``; the limits, the encodings and the words of the errors are ours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from msgspec import Struct

from open_speech_core.errors import InvalidRequest, OpenSpeechError

from .fields import FormValue, fold, plain_name
from .parser import Event, FormLimitReached, FormMalformed, Segment, open_parser, parse_header
from .spool import Spool, slices, too_large

BOUNDARY_CHARACTERS = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'()+_,-./:=? ")
"""RFC 2046, section 5.1.1."""
CHARSETS: Mapping[str, str] = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "ascii",
    "ascii": "ascii",
    "iso-8859-1": "latin-1",
    "latin1": "latin-1",
    "latin-1": "latin-1",
    "windows-1252": "cp1252",
}
"""Charsets a text part may name. Python's own table has codecs that no client means, some of them slow."""


class FormLimits(Struct, frozen=True, kw_only=True):
    """Bounds of what is not the file."""

    text_bytes: int = 64 * 1024
    """Of one text."""
    texts_bytes: int = 1024 * 1024
    """Of all texts together, long ones aside."""
    parts: int = 200
    long_fields: frozenset[str] = frozenset({"known_speaker_references"})
    """Fields whose texts are data URLs."""
    long_text_bytes: int = 3 * 1024 * 1024
    """Of one such text: 10 s of 48 kHz stereo in base64."""
    long_texts: int = 4
    overhead_bytes: int = 8 * 1024 * 1024
    """Of headers, boundaries and whatever follows the last of them."""

    @property
    def beside_file_bytes(self) -> int:
        """What a whole body may have beside its file."""
        return self.texts_bytes + self.long_texts * self.long_text_bytes + self.overhead_bytes


class Form(Struct, frozen=True, kw_only=True):
    """A form whose file is on disk. The file belongs to the caller now."""

    path: Path
    filename: str
    """As the client said it: for messages and history, never for a path or the format."""
    size_bytes: int
    fields: Mapping[str, FormValue]


async def read_open_form(
    chunks: AsyncIterator[bytes], content_type: str, *, folder: Path, max_file_bytes: int, file_field: str
) -> tuple[Path | None, Mapping[str, FormValue]]:
    """Read a form whose file may be left out, or sent empty and without a name, as browsers do.

    Gives the file and the fields; raises what ``read_form`` does.
    """
    boundary = boundary_of(content_type)
    reader = _FormReader(folder, max_file_bytes, file_field, FormLimits(), optional=True)
    try:
        fields = await reader.read(chunks, boundary)
        if file_field in fields:
            raise _sent_as_text(file_field)
    except BaseException:
        reader.discard()
        raise
    return reader.path, fields


async def read_form(
    chunks: AsyncIterator[bytes],
    content_type: str,
    *,
    folder: Path,
    max_file_bytes: int,
    file_field: str = "file",
    limits: FormLimits | None = None,
) -> Form:
    """Read a whole ``multipart/form-data`` body; whatever fails, its file is deleted.

    What ``chunks`` raises (the client has left) passes through.

    Raises:
        InvalidRequest: the body is no such form, a text is too long or badly encoded, or the file is
            missing, sent twice or sent as text.
        UploadTooLarge: the file, or the whole body, is larger than it may be.
        StorageFull: the disk took no more.
    """
    boundary = boundary_of(content_type)
    reader = _FormReader(folder, max_file_bytes, file_field, limits or FormLimits())
    try:
        fields = await reader.read(chunks, boundary)
        return reader.form(fields)
    except BaseException:
        reader.discard()
        raise


def check_content_length(content_length: str | None, *, max_file_bytes: int, param: str = "file") -> None:
    """Refuse by its header a body that cannot be within the limit; an absent or odd header says nothing."""
    if content_length is None or not (content_length.isascii() and content_length.isdigit()):
        return
    if len(content_length) > 18 or int(content_length) > max_file_bytes + FormLimits().beside_file_bytes:
        raise too_large(max_file_bytes, param)


def boundary_of(content_type: str) -> bytes:
    """Give the boundary; raise ``InvalidRequest`` when the type is another or has none."""
    kind, parameters = parse_header(content_type)
    if kind != "multipart/form-data":
        raise InvalidRequest(
            f"the body must be multipart/form-data, not {kind[:80] or 'without a type'!r}", param="file"
        )
    boundary = parameters.get("boundary", "")
    if not 1 <= len(boundary) <= 200 or not BOUNDARY_CHARACTERS.issuperset(boundary):
        raise InvalidRequest("Content-Type: multipart/form-data needs a valid boundary", param="file")
    return boundary.encode("ascii")


class _Text:
    """A text part while it arrives."""

    def __init__(self, segment: Segment, name: str) -> None:
        self.name = name
        self.charset = (segment.charset or "utf-8").strip().lower()
        self.data = bytearray()
        if self.charset not in CHARSETS:
            raise InvalidRequest(f"{name}: unknown charset {self.charset[:40]!r}; send UTF-8", param=name)

    def decoded(self) -> str:
        try:
            return self.data.decode(CHARSETS[self.charset])
        except UnicodeDecodeError as error:
            raise InvalidRequest(f"{self.name}: the bytes are not {self.charset}", param=self.name) from error


class _FormReader:
    """The state of one form; ``read`` is called once."""

    def __init__(
        self, folder: Path, max_file_bytes: int, file_field: str, limits: FormLimits, *, optional: bool = False
    ) -> None:
        self._folder = folder
        self._max_file_bytes = max_file_bytes
        self._file_field = file_field
        self._limits = limits
        self._optional = optional
        self._pairs: list[tuple[str, str]] = []
        self._spool: Spool | None = None
        self._filename = ""
        self._text: _Text | None = None
        self._written = ""
        self._bytes = 0
        self._texts_bytes = 0
        self._long_texts = 0

    def discard(self) -> None:
        if self._spool is not None:
            self._spool.discard()

    @property
    def path(self) -> Path | None:
        """The file, if one came."""
        return None if self._spool is None else self._spool.path

    def form(self, fields: Mapping[str, FormValue]) -> Form:
        """Give all of it; raise ``InvalidRequest`` where no file came."""
        if self._spool is None:
            raise InvalidRequest(f"{self._file_field}: the form has no such file", param=self._file_field)
        return Form(
            path=self._spool.path,
            filename=self._filename,
            size_bytes=self._spool.size_bytes,
            fields=fields,
        )

    async def read(self, chunks: AsyncIterator[bytes], boundary: bytes) -> Mapping[str, FormValue]:
        parser = open_parser(boundary, parts=self._limits.parts)
        opening = _Opening(boundary)
        try:
            async for chunk in chunks:
                self._count(chunk)
                for piece in slices(opening.passed(chunk)):
                    for event in parser.parse(piece):
                        await self._take(event)
            parser.close()
        except FormMalformed as error:
            raise self._refusal(error) from error
        fields = fold(self._pairs)
        if self._spool is not None:
            await self._spool.finish()
        return fields

    def _count(self, chunk: bytes) -> None:
        """Stop a body that only its headers or what follows its last boundary make too large."""
        self._bytes += len(chunk)
        if self._bytes > self._max_file_bytes + self._limits.beside_file_bytes:
            raise too_large(self._max_file_bytes, self._file_field)

    async def _take(self, event: Event) -> None:
        if event is None:
            self._end()
        elif not isinstance(event, (bytes, bytearray)):
            self._begin(event)
        elif self._text is not None:
            self._add_text(self._text, event)
        elif self._spool is not None:
            await self._spool.write(event)

    def _begin(self, segment: Segment) -> None:
        self._written = written = segment.name or ""
        name = plain_name(written)
        if not name or not written.isprintable() or any("\n" in value for _, value in segment.headerlist):
            raise InvalidRequest("a part of the form has no name, or one with control characters", param=None)
        if not segment.filename:
            if name == self._file_field and not (self._optional and segment.filename is not None):
                raise _sent_as_text(name)
            self._text = _Text(segment, name)
            return
        if written != self._file_field:
            raise InvalidRequest(f"{name}: is no file; the file belongs in {self._file_field!r}", param=name)
        if self._spool is not None:
            raise InvalidRequest(f"{name}: only one file may be sent", param=name)
        self._filename = segment.filename
        self._spool = Spool(self._folder, max_bytes=self._max_file_bytes, param=name)

    def _add_text(self, text: _Text, data: bytes | bytearray) -> None:
        text.data += data
        limits = self._limits
        long = text.name in limits.long_fields
        allowed = limits.long_text_bytes if long else limits.text_bytes
        if len(text.data) > allowed:
            raise InvalidRequest(f"{text.name}: longer than {allowed} bytes", param=text.name)
        if not long:
            self._texts_bytes += len(data)
        if self._texts_bytes > limits.texts_bytes:
            raise InvalidRequest(
                f"{text.name}: all texts together are longer than {limits.texts_bytes} bytes", param=text.name
            )

    def _end(self) -> None:
        text, self._text = self._text, None
        written, self._written = self._written, ""
        if text is None:
            return
        self._long_texts += text.name in self._limits.long_fields
        if self._long_texts > self._limits.long_texts:
            raise InvalidRequest(f"{text.name}: at most {self._limits.long_texts} may be sent", param=text.name)
        self._pairs.append((written, text.decoded()))

    def _refusal(self, error: Exception) -> OpenSpeechError:
        name = plain_name(self._written) or self._file_field
        if isinstance(error, FormLimitReached) and "count" in str(error) and "header" not in str(error):
            return InvalidRequest(f"more than {self._limits.parts} parts in the form", param=name)
        return InvalidRequest(f"the multipart form is malformed: {str(error.args[0])[:120]}", param=name)


def _sent_as_text(name: str) -> InvalidRequest:
    return InvalidRequest(f"{name}: came as text; send it as a file, with a file name", param=name)


class _Opening:
    """Sees to it that a body starts with its boundary; no client sends RFC 2046's preamble.

    The parser judges a preamble by how the body happens to be cut, so it is not given one.
    """

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"--" + boundary
        self._head: bytes | None = b""

    def passed(self, chunk: bytes) -> bytes:
        """Give what may be parsed now; nothing until the beginning is known."""
        if self._head is None:
            return chunk
        self._head += chunk
        if len(self._head) < len(self._delimiter) + 2:
            return b""
        if not self._head.startswith((self._delimiter, b"\r\n" + self._delimiter)):
            raise InvalidRequest("the body does not start with its boundary", param="file")
        head, self._head = self._head, None
        return head
