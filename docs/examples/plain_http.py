"""Without OpenAI's client: a form in, JSON out; JSON in, audio out."""

from pathlib import Path

import httpx

with httpx.Client(base_url="http://127.0.0.1:8100/v1", timeout=600) as client:
    with open("speech.wav", "rb") as file:
        form = {"model": "whisper-1", "language": "en"}
        answer = client.post("/audio/transcriptions", files={"file": file}, data=form)
    if answer.is_error:
        raise SystemExit(answer.json()["error"]["message"])
    text = answer.json()["text"]
    print(text, answer.headers["server-timing"], sep="\n")

    answer = client.post("/audio/speech", json={"model": "tts-1", "voice": "alloy", "input": text})
    Path("again.mp3").write_bytes(answer.raise_for_status().content)
