"""A transcription asked for in JSON, as Open WebUI can: ``{model, language, input_audio: {data, format}}``.

The audio is a base64 text of any length, so the body is never held whole: texts longer than
``TEXT_BYTES`` are decoded to disk as they pass, and the JSON is parsed with a mark in their place.
"""

from __future__ import annotations

import binascii
import re
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, TypeVar, cast

import msgspec
from msgspec import Meta, Struct

from open_speech_core.errors import InvalidRequest

from .fields import FormValue
from .multipart import Form
from .spool import Spool, slices

TEXT_BYTES = 64 * 1024
"""Longest text that stays in memory."""
OUTLINE_BYTES = 1024 * 1024
"""Longest JSON without its audio."""
PARAM = "input_audio"

ParsedT = TypeVar("ParsedT")

_TEXT = re.compile(rb'(?:[^"\\]|\\.)*+', re.DOTALL)
"""A JSON text up to its closing quote; what is escaped is none."""


async def read_json_audio(chunks: AsyncIterator[bytes], *, folder: Path, max_file_bytes: int) -> Form:
    """Read a whole JSON body; whatever fails, its file is deleted. What ``chunks`` raises passes through.

    Raises:
        InvalidRequest: not such JSON, no audio in it, or its audio is not base64.
        UploadTooLarge: the audio is larger than it may be.
        StorageFull: the disk took no more.
    """
    spool = Spool(folder, max_bytes=max_file_bytes, param=PARAM)
    try:
        fields, filename = await _read(chunks, spool)
        await spool.finish()
    except BaseException:
        spool.discard()
        raise
    return Form(path=spool.path, filename=filename, size_bytes=spool.size_bytes, fields=fields)


async def _read(chunks: AsyncIterator[bytes], spool: Spool) -> tuple[dict[str, FormValue], str]:
    outline, audio = _Outline(), _Base64()
    async for chunk in chunks:
        for piece in slices(chunk):
            for text in outline.feed(piece):
                await spool.write(audio.decode(text))
    body = _parsed(outline.finish(), dict[str, object])
    asked = _parsed(outline.finish(), _Asked).input_audio
    if asked.data != outline.mark:
        if outline.marked:
            raise InvalidRequest(f"a text beside {PARAM} is longer than {TEXT_BYTES} bytes", param=PARAM)
        await spool.write(audio.decode(asked.data.encode()))
    await spool.write(audio.finish())
    values = ((name, _form_value(raw)) for name, raw in body.items() if name != PARAM)
    fields = {name: value for name, value in values if value is not None}
    return fields, f"audio.{asked.format[:16]}" if asked.format else "audio"


class _InputAudio(Struct, frozen=True, kw_only=True):
    data: Annotated[str, Meta(min_length=1)]
    format: str | None = None


class _Asked(Struct, frozen=True, kw_only=True):
    input_audio: _InputAudio


def _parsed(outline: bytes, cls: type[ParsedT]) -> ParsedT:
    try:
        return msgspec.json.decode(outline, type=cls)
    except msgspec.ValidationError as error:
        raise InvalidRequest(
            f"{PARAM}: the body must be a JSON object with {PARAM}, an object whose 'data' is base64",
            param=PARAM,
        ) from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest("the body is not valid JSON") from error


def _form_value(raw: object) -> FormValue | None:
    """Give JSON as a form would have said it; null and empty texts are absent."""
    if raw is None or raw == "":
        return None
    if isinstance(raw, str):
        return raw
    if isinstance(raw, dict):
        values = ((name, _form_value(part)) for name, part in cast("dict[str, object]", raw).items())
        return {name: value for name, value in values if value is not None}
    return msgspec.json.encode(raw).decode()


class _Outline:
    """A JSON body in which one long text is replaced by a mark and given away in pieces."""

    def __init__(self) -> None:
        self.mark = secrets.token_hex(16)
        self.marked = False
        self._outline = bytearray()
        self._text: bytearray | None = None
        """The text we are in, while it is short."""
        self._passing = False
        """The text we are in is the long one."""
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what belongs to the long text, without JSON's escapes."""
        data, self._rest = self._rest + chunk, b""
        position = 0
        while position < len(data):
            if self._text is None and not self._passing:
                position = self._outside(data, position)
                continue
            end = self._end_of_text(data, position)
            yield from self._inside(data[position:end])
            if data[end : end + 1] != b'"':
                self._rest = data[end:]
                return
            self._close()
            position = end + 1

    def finish(self) -> bytes:
        """Give the JSON; a body that ended inside a text is not valid JSON and fails there."""
        return bytes(self._outline)

    def _outside(self, data: bytes, position: int) -> int:
        quote = data.find(b'"', position)
        end = len(data) if quote < 0 else quote + 1
        self._append(data[position:end])
        if quote >= 0:
            self._text = bytearray()
        return end

    def _end_of_text(self, data: bytes, position: int) -> int:
        """Find the closing quote, or else the end of what can be taken: half an escape must wait."""
        if not self._passing:
            return _TEXT.match(data, position).end()  # type: ignore[union-attr]  # it matches anything
        quote = data.find(b'"', position)
        if quote >= 0:
            return quote
        return len(data) - 1 if data.endswith(b"\\") else len(data)

    def _inside(self, part: bytes) -> Iterator[bytes]:
        if self._passing:
            yield _unescaped(part)
            return
        assert self._text is not None
        self._text += part
        if len(self._text) <= TEXT_BYTES:
            return
        if self.marked:
            raise InvalidRequest(f"a text beside {PARAM} is longer than {TEXT_BYTES} bytes", param=PARAM)
        text, self._text = bytes(self._text), None
        self.marked = self._passing = True
        yield _unescaped(text)

    def _close(self) -> None:
        self._append(self.mark.encode() if self._passing else bytes(self._text or b""))
        self._append(b'"')
        self._text, self._passing = None, False

    def _append(self, part: bytes) -> None:
        self._outline += part
        if len(self._outline) > OUTLINE_BYTES:
            raise InvalidRequest(f"the JSON beside {PARAM} is longer than {OUTLINE_BYTES} bytes", param=PARAM)


def _unescaped(text: bytes) -> bytes:
    """Undo the one escape that base64 may hold: some encoders write every slash as ``\\/``.

    Any other leaves its backslash, which is no base64.
    """
    return text.replace(b"\\/", b"/")


class _Base64:
    """Base64 in pieces, with or without padding and a data URL's head."""

    def __init__(self) -> None:
        self._rest = b""
        self._started = False
        self._ended = False

    def decode(self, text: bytes) -> bytes:
        """Give the bytes of the whole quartets so far. A data URL's head is whole in the first piece."""
        if not self._started:
            self._started = True
            text = _without_head(text)
        text = self._rest + text
        whole = len(text) // 4 * 4
        self._rest = text[whole:]
        return self._quartets(text[:whole])

    def finish(self) -> bytes:
        """Give the last bytes."""
        rest = self._rest
        return self._quartets(rest + b"=" * (-len(rest) % 4)) if rest else b""

    def _quartets(self, text: bytes) -> bytes:
        if text and self._ended:
            raise _not_base64()
        self._ended = text.endswith(b"=")
        try:
            return binascii.a2b_base64(text, strict_mode=True)
        except binascii.Error as error:
            raise _not_base64() from error


def _without_head(text: bytes) -> bytes:
    if not text.startswith(b"data:"):
        return text
    head, comma, data = text.partition(b",")
    if not comma or not head.endswith(b";base64"):
        raise _not_base64()
    return data


def _not_base64() -> InvalidRequest:
    return InvalidRequest(f"{PARAM}: 'data' is not valid base64", param=PARAM)
