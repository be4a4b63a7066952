from openai import OpenAI

client = OpenAI(base_url="http://127.0.0.1:8100/v1", api_key="not needed")

answer = client.audio.speech.create(model="tts-1", voice="alloy", input="Hello from my own machine.", speed=1.2)
answer.write_to_file("hello.mp3")
