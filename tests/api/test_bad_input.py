"""Whatever is sent: a clear answer, nothing left behind, and the server as healthy as before."""

from __future__ import annotations

import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from api.calling import (
    SPEECH,
    TRANSCRIPTIONS,
    TRANSLATIONS,
    checked,
    refused,
    silent_flac,
    speak,
    speech_file,
    tone,
    transcribe,
    wav,
)
from api.serving import ECHO, STARTER, Running, StartServer

BOUNDARY = "XXfrontierXX"
FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
JSON = {"content-type": "application/json"}
AUDIO = tone(1.0)
BOTH = pytest.mark.parametrize(
    "plugins", [ECHO, pytest.param(STARTER, marks=pytest.mark.model)], ids=["echo", "starter"]
)
"""For tests with a server of their own: echo, and real engines."""


@pytest.fixture(params=["echo", pytest.param("starter", marks=pytest.mark.model)])
def server(request: pytest.FixtureRequest) -> Running:
    """Echo, and real engines in workers; both by OpenAI's names."""
    found = request.getfixturevalue(f"{request.param}_server")
    assert isinstance(found, Running)
    return found


def part(name: bytes | str, body: bytes | str, *, filename: bytes | None = None, more: bytes = b"") -> bytes:
    name = name.encode() if isinstance(name, str) else name
    body = body.encode() if isinstance(body, str) else body
    file = b"" if filename is None else b'; filename="' + filename + b'"'
    head = b'Content-Disposition: form-data; name="' + name + b'"' + file + more
    return b"--" + BOUNDARY.encode() + b"\r\n" + head + b"\r\n\r\n" + body + b"\r\n"


END = b"--" + BOUNDARY.encode() + b"--\r\n"
FILE = part("file", AUDIO, filename=b"a.wav")


def post(server: Running, *parts: bytes, end: bytes = END, path: str = TRANSCRIPTIONS) -> httpx.Response:
    return checked(server.client.post(path, content=b"".join(parts) + end, headers=FORM))


def video_only() -> bytes:
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream: Any = out.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p")
        for _ in range(3):
            out.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        out.mux(stream.encode(None))
    return file.getvalue()


# Files


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"\0",
        b"RIFF",
        bytes(100_000),
        np.random.default_rng(7).bytes(200_000),
        b"Dear server, this is no music at all.\n" * 300,
        b'{"not": "audio"}',
        b"<html><body>404</body></html>",
        b"#EXTM3U\n#EXTINF:10,\n/etc/passwd\n",
        b"ffconcat version 1.0\nfile '/etc/passwd'\n",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"PK\x03\x04" + bytes(1000),
        wav(b""),
        AUDIO[:44],
        AUDIO[:20],
        b"ID3\x04\x00\x00\x00\x00\x00\x00" + bytes(5000),
        b"OggS" + bytes(5000),
        b"fLaC" + bytes(5000),
        silent_flac(0),
        b"\x1a\x45\xdf\xa3" + bytes(5000),
    ],
    ids=lambda data: f"{data[:12]!r}-{len(data)}",
)
@pytest.mark.parametrize("stream", ["true", "false"])
def test_what_is_no_audio_is_refused(server: Running, file: bytes, stream: str) -> None:
    response = transcribe(server, file, model="whisper-1", stream=stream)
    message = refused(response, 400, "invalid_audio", "file")
    assert "root:" not in message
    assert response.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "name", ["a.wav", "a.mp3", "a", "../../etc/passwd", "a\u2028b.wav", "x" * 3000 + ".wav", ".wav", "%00"]
)
def test_a_files_name_and_type_mean_nothing(server: Running, name: str) -> None:
    assert transcribe(server, AUDIO, name=name, model="whisper-1").status_code == 200


def test_a_video_without_sound_is_refused(server: Running) -> None:
    refused(transcribe(server, video_only(), model="whisper-1", name="a.mp4"), 400, "invalid_audio", "file")


@pytest.mark.parametrize("keep", [0.9, 0.5, 0.1])
def test_a_truncated_file_is_heard_as_far_as_it_goes(server: Running, data: Path, keep: float) -> None:
    whole = speech_file(data)
    response = transcribe(server, whole[: int(len(whole) * keep)], model="whisper-1", response_format="verbose_json")
    assert response.status_code == 200, response.text
    assert response.json()["duration"] == pytest.approx(11.0 * keep, abs=1.2)


def test_broken_bytes_in_the_middle_do_not_end_the_world(server: Running, data: Path) -> None:
    whole = bytearray(speech_file(data))
    middle = len(whole) // 2
    whole[middle : middle + 2000] = np.random.default_rng(1).bytes(2000)
    response = transcribe(server, bytes(whole), model="whisper-1")
    assert response.status_code in (200, 400), response.text


@pytest.mark.parametrize("frames", [1, 2, 159, 1600])
def test_a_moment_of_sound_is_enough(server: Running, frames: int) -> None:
    assert transcribe(server, wav(AUDIO[44 : 44 + 2 * frames]), model="whisper-1").status_code == 200


@BOTH
def test_days_of_silence_in_a_small_file_are_refused(start_server: StartServer, plugins: tuple[str, ...]) -> None:
    server = start_server(plugins, {"OS_MAX_AUDIO_S": "100"})
    days = silent_flac(3 * 86_400)
    assert len(days) < 1_000_000
    assert transcribe(server, silent_flac(90), model="whisper-1").status_code == 200
    since = time.monotonic()
    message = refused(transcribe(server, days, model="whisper-1"), 400, "invalid_audio", "file")
    assert "100 s" in message
    assert time.monotonic() - since < 5
    assert transcribe(server, silent_flac(90), model="whisper-1").status_code == 200


def test_eight_hours_are_taken(echo_server: Running) -> None:
    body = transcribe(echo_server, silent_flac(8 * 3600 + 8), response_format="verbose_json").json()
    assert body["duration"] == pytest.approx(8 * 3600, abs=10)
    assert body["text"] == ""


@pytest.mark.model
@pytest.mark.slow
def test_eight_hours_are_taken_by_real_engines(starter_server: Running) -> None:
    response = starter_server.client.post(
        TRANSCRIPTIONS,
        files={"file": ("a.flac", silent_flac(8 * 3600 + 8))},
        data={"response_format": "verbose_json"},
        timeout=110,
    )
    assert checked(response).json()["duration"] == pytest.approx(8 * 3600, abs=10)


@BOTH
def test_a_file_over_the_limit(start_server: StartServer, plugins: tuple[str, ...]) -> None:
    server = start_server(plugins, {"OS_MAX_UPLOAD_MB": "1"})
    for extra in (0, 30_000_000):
        response = transcribe(server, bytes(1_000_001 + extra), model="whisper-1")
        assert "1 MB" in refused(response, 413, "upload_too_large", "file")
    body = {"input_audio": {"data": "A" * 2_000_000}}
    refused(checked(server.client.post(TRANSCRIPTIONS, json=body)), 413, "upload_too_large")
    assert transcribe(server, tone(10.0), model="whisper-1").status_code == 200


# Forms


@pytest.mark.parametrize(
    ("parts", "param"),
    [
        ([], "file"),
        ([part("model", "echo")], "file"),
        ([part("file", AUDIO)], "file"),
        ([part("file", "text")], "file"),
        ([FILE, FILE], "file"),
        ([part("audio", AUDIO, filename=b"a.wav")], "audio"),
        ([part("file[]", AUDIO, filename=b"a.wav")], "file"),
        ([part("file", AUDIO, filename=b"\xff\xfe.wav")], "file"),
        ([FILE, part("", "x")], None),
        ([FILE, part(b"na\x00me", "x")], None),
        ([FILE, part("prompt", b"caf\xe9")], "prompt"),
        ([FILE, part("prompt", b"\xff\xfe\x00d")], "prompt"),
        ([FILE, part("prompt", "x", more=b"\r\nContent-Type: text/plain; charset=klingon")], "prompt"),
        ([FILE, part("prompt", "x", more=b"\r\nContent-Type: text/plain; charset=utf-7")], "prompt"),
        ([FILE, part("prompt", "x" * 70_000)], "prompt"),
        ([FILE, *[part(f"f{n}", "x") for n in range(300)]], ...),
        ([FILE, part("chunking_strategy[type]", "server_vad"), part("chunking_strategy", "auto")], "chunking_strategy"),
        ([FILE, part("chunking_strategy[a][b][c][d][e][f]", "x")], "chunking_strategy"),
        ([FILE, part("chunking_strategy", '{"type":')], "chunking_strategy"),
        ([FILE, part("chunking_strategy", "[" * 10_000)], "chunking_strategy"),
        ([FILE, part("chunking_strategy", "{" + '"a":{' * 20_000)], "chunking_strategy"),
        ([FILE, part("chunking_strategy[type]", "semantic")], "chunking_strategy"),
        ([FILE, part("known_speaker_names[]", "x")] + [part("known_speaker_names[]", "x")] * 4, "known_speaker_names"),
    ],
    ids=lambda value: None if not isinstance(value, list) else f"{len(value)}-{b''.join(value)[-60:-20]!r}",
)
def test_a_bad_form_is_refused_by_name(server: Running, parts: list[bytes], param: Any) -> None:
    response = post(server, *parts)
    refused(response, 400, "invalid_request", param)
    assert response.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "parts",
    [
        [FILE, part("language", ""), part("prompt", ""), part("temperature", ""), part("response_format", "null")],
        [FILE, part("timestamp_granularities[]", "word"), part("response_format", "verbose_json")],
        [FILE, part("include[]", "logprobs")],
        [FILE, part("languages[]", "en"), part("keywords[]", "hi")],
        [part("model", "whisper-1"), FILE],
        [FILE, part("unknown", "x"), part("other[a]", "x"), part("[]", "x"), part("a[b", "x")],
        [FILE, part("prompt", "Gr\u00fc\u00dfe"), part("temperature", "0.0")],
        [FILE, part("prompt", b"caf\xe9", more=b"\r\nContent-Type: text/plain; charset=iso-8859-1")],
        [FILE, part("chunking_strategy[threshold]", "0.4")],
        [FILE, part("chunking_strategy", "{}")],
        [part("file", AUDIO, filename=b"a.wav", more=b"\r\nContent-Type: text/html; charset=klingon")],
    ],
)
def test_odd_forms_that_clients_send_are_taken(server: Running, parts: list[bytes]) -> None:
    response = post(server, *parts)
    assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    "content_type",
    [
        None, "", "text/plain", "multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed; boundary=x",
        "application/x-www-form-urlencoded", "audio/wav", "multipart/form-data; boundary=\xff", "m" * 5000, ";;;",
        f"multipart/form-data; boundary={'x' * 300}", "multipart/form-data; boundary=other",
    ],
)  # fmt: skip
def test_bodies_of_another_type(server: Running, content_type: str | None) -> None:
    headers: Any = {} if content_type is None else {"content-type": content_type.encode("latin-1")}
    for path in (TRANSCRIPTIONS, TRANSLATIONS):
        refused(server.client.post(path, content=FILE + END, headers=headers), 400, "invalid_request", "file")


@pytest.mark.parametrize("end", [b"", b"--", b"--" + BOUNDARY.encode(), b"\r\n", FILE[:-2], FILE[:100]])
def test_forms_that_end_early(server: Running, end: bytes) -> None:
    refused(post(server, FILE[: len(FILE) // 2], end=end), 400, "invalid_request")
    refused(post(server, part("model", "echo"), end=end), 400, "invalid_request")


def test_no_body_at_all(server: Running) -> None:
    for path in (TRANSCRIPTIONS, TRANSLATIONS, SPEECH):
        refused(checked(server.client.post(path)), 400, "invalid_request")
        refused(checked(server.client.post(path, headers=JSON)), 400, "invalid_request")
        refused(checked(server.client.post(path, headers=FORM)), 400, "invalid_request")


@BOTH
def test_a_huge_text_costs_no_memory(start_server: StartServer, plugins: tuple[str, ...]) -> None:
    server = start_server(plugins)
    transcribe(server, AUDIO, model="whisper-1")
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss

    def body() -> Iterator[bytes]:
        yield FILE + part("prompt", b"")[:-2]
        for _ in range(150):
            yield b"x" * 1_000_000
        yield b"\r\n" + END

    since = time.monotonic()
    # The server refuses early and reads on only for a while; a client still sending then is cut off.
    try:
        response = server.client.post(TRANSCRIPTIONS, content=body(), headers=FORM)
    except (httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
        assert time.monotonic() - since < 30
    else:
        refused(response, 400, "invalid_request", "prompt")
    assert process.memory_info().rss - before < 40_000_000
    assert transcribe(server, AUDIO, model="whisper-1").status_code == 200


def test_chunked_without_a_length(server: Running) -> None:
    def body() -> Iterator[bytes]:
        whole = part("model", "whisper-1") + FILE + END
        for start in range(0, len(whole), 1000):
            yield whole[start : start + 1000]

    response = checked(server.client.post(TRANSCRIPTIONS, content=body(), headers=FORM))
    assert "content-length" not in response.request.headers
    assert response.status_code == 200


@pytest.mark.parametrize("length", [b"99999999999999999999999999", b"-1", b"abc", b"1e9", b"200000000"])
def test_a_length_that_lies(echo_server: Running, length: bytes) -> None:
    head = b"POST " + TRANSCRIPTIONS.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: " + length + b"\r\n"
    head += f"Content-Type: {FORM['content-type']}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", echo_server.port), timeout=20) as connection:
        connection.sendall(head + b"x" * 100)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(10_000)
    assert answer == b"" or answer.split(b" ")[1] in (b"400", b"413"), answer


TEXT_FIELDS: dict[str, list[str]] = {
    "model": ["no-such-model", "../../etc/passwd", "a/b/c", "\u202e", "x" * 5000, "echo:nope", ":", "whisper-1\x00"],
    "language": ["klingonish", "xx-yy-zz", "12", "\u4e2d", "e" * 5000, '["en"]'],
    "languages[]": ["klingonish", "12"],
    "response_format": ["xml", "JSON ", "1", "json,text", "[]", "x" * 5000],
    "temperature": ["hot", "-0.1", "1.1", "nan", "inf", "1e400", "[0]", "0,5", "true", "{}"],
    "include[]": ["tokens", "logprobs,tokens", "[1]", '{"a":1}'],
    "timestamp_granularities[]": ["sentence", "word,sentence", '["word",1]'],
    "stream": ["maybe", "2", "[]", "yes please"],
    "chunking_strategy": ["manual", '{"type":"server_vad","threshold":2}', '{"type":3}', "[]", '"x"'],
    "chunking_strategy[threshold]": ["2", "high"],
    "chunking_strategy[silence_duration_ms]": ["-1", "1.5", "9" * 30],
    "chunking_strategy[prefix_padding_ms]": ["-1", "soon", "9" * 30],
    "known_speaker_references[]": ["http://example.com/a.wav", "file:///etc/passwd", "data:audio/wav;base64,AAAA"],
    "diarize": ["maybe", "[]"],
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in TEXT_FIELDS.items() for value in values]
)
def test_a_wrong_value_in_any_field_of_a_form(server: Running, field: str, value: str) -> None:
    name, _, key = field.partition("[")
    strategy = (
        [part("chunking_strategy[type]", "server_vad")] if key != "]" and name == "chunking_strategy" and key else []
    )
    response = post(server, FILE, *strategy, part(field, value))
    error = response.json()["error"]
    assert response.status_code == (404 if name == "model" else 400), response.text
    assert error["param"] == name
    assert len(error["message"]) < 700


@pytest.mark.parametrize("field", ["model", "prompt", "response_format", "temperature"])
def test_a_wrong_value_in_any_field_of_a_translation(server: Running, field: str) -> None:
    value = {"prompt": b"\xff"}.get(field, b"\x01wrong")
    response = post(server, FILE, part(field, value), path=TRANSLATIONS)
    assert response.status_code == (404 if field == "model" else 400), response.text
    assert response.json()["error"]["param"] == field


@pytest.mark.parametrize(
    "content",
    [
        b"", b"null", b"[]", b"1", b'""', b"{}", b"{", b'{"model":1}', b'{"input_audio":1}', b'{"input_audio":{}}',
        b'{"input_audio":{"data":1}}', b'{"input_audio":{"data":""}}', b'{"input_audio":{"data":"?"}}',
        b'{"input_audio":{"data":"AAAA"}', b"\xff\xfe{}", b"[" * 100_000, b'{"a":' * 100_000,
        b'{"input_audio":{"data":"AAAA"},"model":"\\ud800"}', b'{"input_audio":{"data":"\\ud800"}}',
        b'{"input_audio":{"data":"AA' + b"A" * 100_000 + b'"', b'{"prompt":"' + b"x" * 2_000_000 + b'"}',
    ],
    ids=lambda content: f"{content[:40]!r}-{len(content)}",
)  # fmt: skip
def test_bad_json_audio(server: Running, content: bytes) -> None:
    response = checked(server.client.post(TRANSCRIPTIONS, content=content, headers=JSON))
    assert response.status_code == 400, response.text


# JSON


@pytest.mark.parametrize(
    "content",
    [
        b"", b"null", b"[]", b"1", b'"text"', b"{", b"}", b"{}", b"{'input':'x'}", b'{"input":"x",}', b"\xff\xfe{}",
        b'{"input":"\\ud800"}', b'{"input":"\\udc00\\ud800"}', b'{"input":"a\x00b"}', b'{"input":"\xff"}',
        b'{"input":"\xed\xa0\x80"}', b'{"input":NaN}', b'{"input":"x","speed":NaN}', b'{"input":"x","speed":1e999}',
        b"[" * 100_000, b'{"a":' * 100_000, b'{"input":"x","a":' + b"[" * 100_000,
        b'{"input":"x"} trailing', b'{"input":"x","speed":' + b"9" * 400 + b"}",
    ],
    ids=lambda content: f"{content[:40]!r}-{len(content)}",
)  # fmt: skip
def test_bad_json(server: Running, content: bytes) -> None:
    response = checked(server.client.post(SPEECH, content=content, headers=JSON))
    refused(response, 400, "invalid_request")


@pytest.mark.parametrize(
    "text", ["\x00", "a\x00b", "\x1b[31m", "\u202eabc", "\ufeff", "\U0010ffff", "🎉" * 10, "\u0301" * 50]
)
def test_odd_texts_are_spoken_or_refused(server: Running, text: str) -> None:
    response = speak(server, text, model="tts-1", voice="alloy")
    assert response.status_code in (200, 400), response.text


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "text/plain", "application/x-www-form-urlencoded", ""]
)
def test_json_of_any_declared_type(server: Running, content_type: str) -> None:
    body = json.dumps({"input": "Hi.", "response_format": "pcm"}).encode()
    response = checked(server.client.post(SPEECH, content=body, headers={"content-type": content_type}))
    assert response.status_code in (200, 400)


def test_a_body_too_large(server: Running) -> None:
    for size in ((1 << 20) + 1, 20_000_000):
        content = b'{"input":"' + b"x" * size + b'"}'
        refused(checked(server.client.post(SPEECH, content=content, headers=JSON)), 413, "upload_too_large")


JSON_FIELDS: dict[str, list[Any]] = {
    "model": [1, [], {}, True],
    "input": [1, [], {}, True, None],
    "voice": [1, [], True, {"id": 1}, {}, {"id": None}],
    "instructions": [1, [], {}, "x" * 4097],
    "response_format": [1, [], "ogg", "MP3 "],
    "speed": ["1", [], 0, -1, 5, True],
    "stream_format": [1, "none"],
    "language": [1, []],
    "input_type": ["html", 1],
    "sample_rate": ["16000", 1, 1_000_000, 16_000.5, -24_000],
    "seed": ["x", 1.5, [], 1 << 63, 10**30],
    "effects": ["x", {}, [1] * 17],
    "voice_design": [1],
    "reference_audio": [1, {}],
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in JSON_FIELDS.items() for value in values]
)
def test_a_wrong_type_in_any_field_of_speech(server: Running, field: str, value: Any) -> None:
    response = checked(server.client.post(SPEECH, json={"input": "Hi.", field: value}))
    refused(response, 400, "invalid_request", field)


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"model": "no-such-model"}, 404, "model_not_found", "model"),
        ({"model": "../../etc/passwd"}, 404, "model_not_found", "model"),
        ({"voice": "nobody"}, 400, "voice_not_found", "voice"),
        ({"voice": "../../etc/passwd"}, 400, "voice_not_found", "voice"),
        ({"voice": "x" * 5000}, 400, "voice_not_found", "voice"),
        ({"response_format": "midi"}, 400, "invalid_request", "response_format"),
    ],
)
def test_unknown_names(server: Running, fields: dict[str, str], status: int, code: str, param: str) -> None:
    message = refused(checked(server.client.post(SPEECH, json={"input": "Hi.", **fields})), status, code, param)
    assert len(message) < 500


@pytest.mark.parametrize("query", ["stream=maybe", "stream=[]", "stream=2"])
def test_a_wrong_query(server: Running, query: str) -> None:
    refused(checked(server.client.post(f"{SPEECH}?{query}", json={"input": "Hi."})), 400, "invalid_request", "stream")


@pytest.mark.parametrize(
    "query", ["stream=true&stream=false", "stream[]=true", "%ff=%fe", "a=b&a=c", "stream=&x", "=&=&==", "&" * 2000]
)
def test_odd_queries_break_nothing(server: Running, query: str) -> None:
    for method, path in (("POST", SPEECH), ("GET", "/v1/audio/voices"), ("GET", "/v1/models")):
        response = checked(
            server.client.request(method, f"{path}?{query}", json={"input": "Hi.", "response_format": "pcm"})
        )
        assert response.status_code in (200, 400), response.text


# At random


FUZZ = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
NAMES = st.sampled_from(
    [*TEXT_FIELDS, "prompt", "file", "step_ms", "echo_text", "fail_at", "x", "a[b]", "a[", "[]", "]"]
)
VALUES = st.one_of(
    st.text(max_size=40),
    st.sampled_from(["true", "1", "0.5", "json", "srt", "word", "echo", "null", "{}", "[]", '{"type":"server_vad"}']),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=8,
)


def never_ours(response: httpx.Response) -> None:
    """Assert that whatever was sent, the fault is the sender's or there is none."""
    checked(response)
    assert response.status_code < 500, response.text


@FUZZ
@given(st.binary(max_size=400), st.sampled_from([FORM, JSON, {}, {"content-type": "text/plain"}]))
@example(b"--" + BOUNDARY.encode(), FORM)
def test_random_bodies(echo_server: Running, body: bytes, headers: dict[str, str]) -> None:
    for path in (TRANSCRIPTIONS, TRANSLATIONS, SPEECH):
        never_ours(echo_server.client.post(path, content=body, headers=headers))


@FUZZ
@given(st.lists(st.tuples(NAMES, VALUES), max_size=6), st.binary(max_size=60))
def test_random_forms(echo_server: Running, fields: list[tuple[str, str]], tail: bytes) -> None:
    pieces = [part(name, value.encode("utf-8", "surrogatepass")) for name, value in fields]
    content = FILE + b"".join(pieces) + tail + END
    never_ours(echo_server.client.post(TRANSCRIPTIONS, content=content, headers=FORM))


@FUZZ
@given(st.dictionaries(st.sampled_from([*JSON_FIELDS, "step_ms", "x"]), json_values, max_size=4), st.text(max_size=30))
def test_random_json(echo_server: Running, fields: dict[str, Any], text: str) -> None:
    content = json.dumps({"input": text, "response_format": "pcm", "step_ms": 0, **fields}).encode()
    never_ours(echo_server.client.post(SPEECH, content=content, headers=JSON))


@FUZZ
@given(st.data())
def test_random_damage_to_audio(echo_server: Running, data: st.DataObject) -> None:
    audio = bytearray(AUDIO[:4000])
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, 200))
        audio[at : at + 2] = data.draw(st.binary(max_size=8))
    never_ours(transcribe(echo_server, bytes(audio)))


@FUZZ
@given(
    st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=40),
    st.sampled_from(["GET", "POST", "PUT"]),
)
def test_random_paths(echo_server: Running, path: str, method: str) -> None:
    from urllib.parse import quote

    never_ours(echo_server.client.request(method, "/v1/" + quote(path, safe="/%")))


def test_many_bad_callers_at_once_leave_a_good_one_alone(echo_server: Running) -> None:
    stop = threading.Event()
    failures: list[str] = []

    def annoy() -> None:
        while not stop.is_set():
            try:
                with socket.create_connection(("127.0.0.1", echo_server.port), timeout=5) as connection:
                    connection.sendall(b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nContent-Le")
            except OSError as error:
                failures.append(repr(error))

    callers = [threading.Thread(target=annoy) for _ in range(4)]
    for caller in callers:
        caller.start()
    try:
        assert all(transcribe(echo_server, AUDIO).status_code == 200 for _ in range(20))
    finally:
        stop.set()
        for caller in callers:
            caller.join()
    assert not failures
