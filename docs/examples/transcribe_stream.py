from openai import OpenAI

client = OpenAI(base_url="http://127.0.0.1:8100/v1", api_key="not needed")

with open("speech.wav", "rb") as file:
    for event in client.audio.transcriptions.create(model="whisper-1", file=file, stream=True):
        if event.type == "transcript.text.delta":
            print(event.delta, end="", flush=True)
print()
