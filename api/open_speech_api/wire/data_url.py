"""Data URLs (RFC 2397), in which clients send short recordings."""

from __future__ import annotations

import base64
import binascii

from open_speech_core.errors import InvalidRequest

MARK = ";base64"


def read_data_url(url: str, *, param: str) -> bytes:
    """Give the bytes of a data URL in base64. Its media type is not read: formats are found from bytes.

    Raises:
        InvalidRequest: it is none, or holds nothing.
    """
    head, comma, data = url.strip().partition(",")
    if not head.lower().startswith("data:") or not comma:
        raise InvalidRequest(f"{param}: each must be a data URL, such as 'data:audio/wav;base64,...'", param=param)
    if not head.lower().endswith(MARK):
        raise InvalidRequest(f"{param}: a data URL must be in base64: 'data:audio/wav;base64,...'", param=param)
    try:
        # Some encoders break lines.
        found = base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(f"{param}: a data URL does not hold base64", param=param) from error
    if not found:
        raise InvalidRequest(f"{param}: a data URL is empty", param=param)
    return found
