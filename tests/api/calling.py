"""What the tests over a real server send, and how they read what comes back."""

from __future__ import annotations

import io
import json
import re
import struct
import wave
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from api.serving import Running

SECRETS = re.compile(
    r"/(work|tmp|home|usr|root|proc|var|secret)/|\.py\b|Traceback|site-packages|\bFile \"|object at 0x"
)
"""What no answer may hold: paths of the server and traces of its code."""
TRANSCRIPTIONS = "/v1/audio/transcriptions"
TRANSLATIONS = "/v1/audio/translations"
SPEECH = "/v1/audio/speech"


def tone(seconds: float, rate: int = 16_000, *, amplitude: float = 0.5) -> bytes:
    """Give a WAV with one tone, which echo's detector takes for speech from end to end."""
    times = np.arange(int(seconds * rate)) / rate
    return wav((np.sin(2 * np.pi * 440 * times) * amplitude * 32767).astype("<i2").tobytes(), rate)


def wav(pcm: bytes, rate: int = 16_000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(pcm)
    return file.getvalue()


def transcribe(
    server: Running,
    file: bytes | None = None,
    *,
    path: str = TRANSCRIPTIONS,
    name: str = "a.wav",
    headers: dict[str, str] | None = None,
    **fields: Any,
) -> httpx.Response:
    """Post a form; three seconds of tone unless given another file. A name's ``__`` stands for ``[]``."""
    sent = {key.replace("__", "[]"): value for key, value in {"model": "echo", **fields}.items() if value is not ...}
    files = {"file": (name, tone(3.0) if file is None else file)}
    return checked(server.client.post(path, files=files, data=sent, headers=headers))


def speak(server: Running, text: str = "Hello there.", *, query: str = "", **fields: Any) -> httpx.Response:
    body = {"model": "echo-voice", "input": text, "voice": "sine", **fields}
    return checked(
        server.client.post(SPEECH + query, json={key: value for key, value in body.items() if value is not ...})
    )


def received(response: httpx.Response) -> dict[str, Any]:
    """Give what echo's engine was handed (``echo_request=true``)."""
    assert response.status_code == 200, response.text
    found = json.loads(response.json()["text"])
    assert isinstance(found, dict)
    return found


def checked(response: httpx.Response, *, healthy: bool = True) -> httpx.Response:
    """Assert what holds of every answer: its headers, and that it gives nothing away.

    Readiness alone says no without an error object; its tests say ``healthy=False``.
    """
    assert re.fullmatch(r"req_[0-9a-f]{32}", response.headers["x-request-id"])
    assert re.search(r"\btotal;dur=\d+\.\d", response.headers["server-timing"])
    assert response.headers["openai-processing-ms"].isdigit()
    if response.status_code >= 400 and healthy:
        assert response.headers["content-type"] == "application/json"
        assert_envelope(response.json())
        answered = response.text.replace(response.request.url.path[:100], "")
        assert not SECRETS.search(answered), response.text
    return response


def assert_envelope(body: Any) -> None:
    """Assert OpenAI's error object: four keys, all there."""
    assert set(body) == {"error"}
    error = body["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)
    assert error["message"]
    assert isinstance(error["type"], str)
    assert isinstance(error["code"], str)
    assert error["param"] is None or isinstance(error["param"], str)


def refused(response: httpx.Response, status: int, code: str, param: str | None = ...) -> str:  # type: ignore[assignment]
    """Assert a refusal and give its message."""
    checked(response)
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error["code"] == code, error
    if param is not ...:
        assert error["param"] == param, error
    return str(error["message"])


def events(text: str) -> list[Any]:
    """Read server-sent events: each frame one ``data:`` line; the last may be the terminator, given as None."""
    assert text.endswith("\n\n")
    frames = text[:-2].split("\n\n")
    assert all(frame.startswith("data: ") and "\n" not in frame for frame in frames), frames
    return [None if frame == "data: [DONE]" else json.loads(frame[6:]) for frame in frames]


def timing(response: httpx.Response) -> dict[str, float]:
    """Give ``Server-Timing`` in milliseconds by name."""
    parts = (part.strip().split(";dur=") for part in response.headers["server-timing"].split(","))
    return {name: float(ms) for name, ms in parts}


def decoded(data: bytes, format: str | None = None) -> tuple[np.ndarray[Any, Any], int]:
    """Decode a whole audio file, as float32 mono with its rate."""
    import av

    with av.open(io.BytesIO(data), format=format) as container:
        stream = container.streams.audio[0]
        blocks = [frame.to_ndarray() for frame in container.decode(stream)]
        rate, planar = stream.rate, stream.format.is_planar
        assert stream.layout.nb_channels == 1, "one channel"
        del planar
    samples = np.concatenate([block.reshape(-1) for block in blocks])
    if samples.dtype.kind == "i":
        samples = samples.astype(np.float32) / np.iinfo(samples.dtype).max
    return samples.astype(np.float32), rate


def pitch(samples: np.ndarray[Any, Any], rate: int) -> float:
    """Give the loudest frequency in Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate / len(samples))


def speech_file(data: Path, name: str = "jfk.flac") -> bytes:
    return (data / "speech" / name).read_bytes()


def silent_flac(seconds: float, rate: int = 8_000) -> bytes:
    """Give a FLAC of silence that does not say how long it is: 14 bytes hold eight seconds (RFC 9639)."""
    block = 65_535
    info = struct.pack(">HH", block, block) + bytes(6) + (rate << 44 | 15 << 36).to_bytes(8, "big") + bytes(16)
    frames = bytearray(b"fLaC\x80\x00\x00\x22" + info)
    for number in range(int(seconds * rate / block)):
        head = b"\xff\xf8\x74\x08" + _flac_number(number) + struct.pack(">H", block - 1)
        frame = head + bytes([_crc(head, 8, 0x07)]) + b"\x00\x00\x00"
        frames += frame + struct.pack(">H", _crc(frame, 16, 0x8005))
    return bytes(frames)


def _flac_number(number: int) -> bytes:
    if number < 0x80:
        return bytes([number])
    if number < 0x800:
        return bytes([0xC0 | number >> 6, 0x80 | number & 0x3F])
    return bytes([0xE0 | number >> 12, 0x80 | number >> 6 & 0x3F, 0x80 | number & 0x3F])


def _crc(data: bytes, bits: int, polynomial: int) -> int:
    value, top = 0, 1 << bits - 1
    for byte in data:
        value ^= byte << bits - 8
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value & top else 0)) & (1 << bits) - 1
    return value
