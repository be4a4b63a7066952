"""Store a voice once, then speak in it by its name."""

import httpx
from openai import OpenAI

client = OpenAI(base_url="http://127.0.0.1:8100/v1", api_key="not needed")

with open("speech.wav", "rb") as file:
    form = {"name": "anne", "consent": "Anne agreed on 2 May 2026.", "overwrite": "true"}
    answer = httpx.post("http://127.0.0.1:8100/api/voices/library", data=form, files={"audio": file}, timeout=60)
print(answer.raise_for_status().json()["duration_s"])

spoken = client.audio.speech.create(
    model="tts-1", voice="alloy", input="Hello, it is me.", extra_body={"voice_library_ref": "anne"}
)
spoken.write_to_file("hello.mp3")
