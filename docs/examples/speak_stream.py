"""Sound arrives while later sentences are still being made: raw 16-bit mono samples at 24 kHz.

Write them to a player's standard input instead of a file, and it speaks at once.
"""

from openai import OpenAI

client = OpenAI(base_url="http://127.0.0.1:8100/v1", api_key="not needed")
text = "The first sentence is on its way. The second one is being made. So is the third."

speech = client.audio.speech.with_streaming_response.create(
    model="tts-1", voice="alloy", input=text, response_format="pcm"
)
with speech as answer, open("hello.pcm", "wb") as player:
    for chunk in answer.iter_bytes():
        player.write(chunk)
