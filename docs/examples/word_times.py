from openai import OpenAI

client = OpenAI(base_url="http://127.0.0.1:8100/v1", api_key="not needed")

with open("speech.wav", "rb") as file:
    answer = client.audio.transcriptions.create(
        model="whisper-1", file=file, response_format="verbose_json", timestamp_granularities=["word"]
    )
for word in answer.words or []:
    print(f"{word.start:6.2f} {word.end:6.2f}  {word.word}")
