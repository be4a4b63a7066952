"""Speech as server-sent events: pieces in base64, which make up one file."""

import base64
import json

import httpx

body = {"model": "tts-1", "voice": "alloy", "input": "Hello. And goodbye.", "stream_format": "sse"}

with (
    httpx.stream("POST", "http://127.0.0.1:8100/v1/audio/speech", json=body, timeout=60) as answer,
    open("hello.mp3", "wb") as file,
):
    answer.raise_for_status()
    for line in answer.iter_lines():
        if not line.startswith("data: ") or line == "data: [DONE]":
            continue
        event = json.loads(line.removeprefix("data: "))
        if "error" in event:
            raise SystemExit(event["error"]["message"])
        if event["type"] == "speech.audio.delta":
            file.write(base64.b64decode(event["audio"]))
