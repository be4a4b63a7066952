"""A request's body as it arrives, and what is left of it after a refusal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import cast

from open_speech_api.security.draining import drain
from open_speech_core.errors import Cancelled, UploadTooLarge

from .waiting import AnyRequest

JSON_MAX_BYTES = 1 << 20
"""JSON bodies are small; audio is sent as a form, or short and in base64."""


class Body:
    """The chunks of one body. Litestar's own stream has one limit for all; ours is checked by the reader."""

    def __init__(self, request: AnyRequest) -> None:
        self._request = request
        self._ended = False

    async def chunks(self) -> AsyncIterator[bytes]:
        """Give chunks as they come. Raises ``Cancelled`` when the client leaves before the end."""
        while not self._ended:
            message = await self._request.receive()
            if message["type"] == "http.disconnect":
                self._ended = True
                raise Cancelled("the client left while sending")
            self._ended = not message.get("more_body", False)
            yield cast("bytes", message.get("body", b""))

    async def drain(self) -> None:
        """Read on for a moment after a refusal."""
        if not self._ended:
            await drain(self._request.receive)


async def read_small(request: AnyRequest, max_bytes: int = JSON_MAX_BYTES) -> bytes:
    """Read a JSON body. Raises ``UploadTooLarge`` above ``max_bytes``."""
    body = Body(request)
    read = bytearray()
    async for chunk in body.chunks():
        read += chunk
        if len(read) > max_bytes:
            await body.drain()
            raise UploadTooLarge(f"the body is larger than {max_bytes} bytes")
    return bytes(read)
