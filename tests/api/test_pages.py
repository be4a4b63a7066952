"""The pages and the schema: everything from here, nothing from elsewhere."""

from __future__ import annotations

import json
import re
from http.client import HTTPConnection
from typing import Any

import httpx
import pytest

from api.calling import assert_envelope, checked
from api.serving import Running, StartServer
from open_speech_static import folder

ASSETS = sorted(
    f"/{path.relative_to(folder()).as_posix()}"
    for part in ("web", "docs")
    for path in (folder() / part).rglob("*")
    if path.is_file()
)
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
}


@pytest.mark.parametrize("page", ["/web", "/docs", "/web/", "/docs/"])
def test_a_page_is_served_with_its_policy(echo_server: Running, page: str) -> None:
    response = checked(echo_server.client.get(page))
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe-eval" not in policy
    assert "http" not in policy
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("asset", ASSETS)
def test_every_asset_is_served(echo_server: Running, asset: str) -> None:
    response = checked(echo_server.client.get(asset))
    assert response.status_code == 200
    assert response.content == (folder() / asset[1:]).read_bytes()
    suffix = "." + asset.rpartition(".")[2]
    if suffix in TYPES:
        assert response.headers["content-type"] == TYPES[suffix]
    assert "content-security-policy" in response.headers


@pytest.mark.parametrize("page", ["/web", "/docs"])
def test_what_a_page_loads_is_here(echo_server: Running, page: str) -> None:
    """Follow every script, style and import from the page; no address of another host is among them."""
    wanted, seen = [page], set()
    while wanted:
        path = wanted.pop()
        if path in seen:
            continue
        seen.add(path)
        response = echo_server.client.get(path)
        assert response.status_code == 200, path
        kind = response.headers["content-type"]
        patterns = {"text/html": r'(?:src|href)="([^"#]+)"', "text/javascript": r'^import [^"\n]*"([^"]+)"'}
        pattern = patterns.get(kind.partition(";")[0])
        if pattern is None or "openapi-explorer" in path:
            continue
        for found in re.findall(pattern, response.text, re.MULTILINE):
            if found.startswith("data:"):
                continue
            target = httpx.URL(echo_server.url).join(path if path != page else page + "/").join(found)
            if kind.startswith("text/html") and target.path in ("/docs", "/web", "/openapi.json"):
                continue
            assert f"{target.scheme}://{target.host}:{target.port}" == echo_server.url, found
            wanted.append(target.path)
    assert len(seen) >= 3


@pytest.mark.parametrize(
    "path",
    [
        "/web/../pages.py",
        "/web/%2e%2e/__init__.py",
        "/web/..%2f__init__.py",
        "/web/..%2F..%2F..%2Fetc%2Fpasswd",
        "/web//etc/passwd",
        "/web/%2Fetc%2Fpasswd",
        "/docs/....//__init__.py",
        "/docs/..\\__init__.py",
        "/docs/%5c..%5c__init__.py",
        "/web/../docs/../__init__.py",
        "/web/.",
        "/web/..",
        "/web/%00",
        "/web/index.html%00.js",
        "/web/nothing.js",
        "/docs/" + "x" * 5000,
        "/web/__init__.py",
    ],
)
def test_nothing_outside_the_pages_is_served(echo_server: Running, path: str) -> None:
    # Not by httpx, which tidies a path before it is sent.
    connection = HTTPConnection("127.0.0.1", echo_server.port, timeout=10)
    connection.putrequest("GET", path, skip_host=False)
    connection.endheaders()
    response = connection.getresponse()
    body = response.read()
    connection.close()
    assert response.status == 404
    assert_envelope(json.loads(body))
    assert b"import" not in body
    assert b"root:" not in body


def test_the_root_leads_to_the_page(echo_server: Running) -> None:
    response = checked(echo_server.client.get("/"))
    assert response.status_code in (302, 307)
    assert response.headers["location"] == "/web"


@pytest.fixture(scope="module")
def document(echo_server: Running) -> Any:
    response = checked(echo_server.client.get("/openapi.json"))
    assert response.headers["content-type"] == "application/json"
    return response.json()


def resolved(document: Any, schema: Any) -> Any:
    while "$ref" in schema:
        found = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    return schema


def test_the_schema_is_whole(document: Any) -> None:
    assert document["openapi"].startswith("3.1.")
    assert {"title", "version"} <= set(document["info"])
    names: list[str] = []
    for path, operations in document["paths"].items():
        assert path.startswith("/")
        for method, operation in operations.items():
            assert method in ("get", "post", "put", "delete", "patch")
            names.append(operation["operationId"])
            assert {"200", "201", "204"} & set(operation["responses"])
            assert operation["summary"]
            declared = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"}
            assert declared == set(re.findall(r"{(\w+)}", path))
            for parameter in operation.get("parameters", ()):
                assert parameter["in"] in ("path", "query", "header", "cookie")
                assert "schema" in parameter
            failure = operation["responses"]["default"]["content"]["application/json"]["schema"]
            assert set(resolved(document, failure)["properties"]) == {"error"}
    assert len(names) == len(set(names))

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                assert resolved(document, node)
            for each in node.values():
                walk(each)
        elif isinstance(node, list):
            for each in node:
                walk(each)

    walk(document)


def test_the_schema_has_every_route_and_nothing_of_ours(document: Any) -> None:
    assert set(document["paths"]) == {
        "/health", "/health/ready", "/v1/models", "/v1/models/{rest}", "/v1/audio/models", "/v1/audio/models/load",
        "/v1/audio/models/unload", "/v1/audio/voices", "/v1/audio/speech", "/v1/audio/speech/clone",
        "/v1/audio/transcriptions", "/v1/audio/translations", "/api/effects",
        "/api/models", "/api/models/{rest}", "/api/ps", "/api/ps/{rest}", "/api/pull/{rest}",
        "/api/plugins", "/api/providers", "/api/providers/install", "/api/providers/install/{job_id}",
        "/api/providers/{name}", "/api/voices/library", "/api/voices/library/{name}",
        "/api/voices/library/{name}/audio",
    }  # fmt: skip
    names = {
        parameter["name"]
        for operations in document["paths"].values()
        for operation in operations.values()
        for parameter in operation.get("parameters", ())
    }
    assert names == {"rest", "model", "stream", "wait", "job_id", "name", "envelope"}, (
        "parts of the server are no parameters"
    )
    assert "Services" not in document["components"]["schemas"]


def body_of(document: Any, path: str, content_type: str) -> Any:
    body = document["paths"][path]["post"]["requestBody"]
    assert body["required"] is True
    assert set(body["content"]) == {content_type}
    return resolved(document, body["content"][content_type]["schema"])


def test_forms_are_described(document: Any) -> None:
    form = body_of(document, "/v1/audio/transcriptions", "multipart/form-data")
    assert form["required"] == ["file"]
    assert form["properties"]["file"]["format"] == "binary"
    assert {
        "file", "model", "language", "prompt", "response_format", "temperature", "include", "timestamp_granularities",
        "stream", "chunking_strategy", "known_speaker_names", "known_speaker_references",
    } <= set(form["properties"])  # fmt: skip
    assert set(form["properties"]["response_format"]["enum"]) == {
        "json", "text", "srt", "verbose_json", "vtt", "diarized_json", "rttm",
    }  # fmt: skip
    echo = form["properties"]["echo_text"]
    assert echo["x-providers"] == ["echo"], "a provider's own fields are there too"
    translation = body_of(document, "/v1/audio/translations", "multipart/form-data")
    assert {"file", "model", "prompt", "response_format", "temperature"} <= set(translation["properties"])
    assert "stream" not in translation["properties"]
    assert "echo_text" in translation["properties"]
    clone = body_of(document, "/v1/audio/speech/clone", "multipart/form-data")
    assert clone["required"] == ["input"], "a stored voice may stand for the file"
    assert {"reference_audio", "voice_library_ref", "transcript"} <= set(clone["properties"])
    voice = body_of(document, "/api/voices/library", "multipart/form-data")
    assert voice["required"] == ["audio", "name"]
    assert set(voice["properties"]) == {"audio", "name", "transcript", "consent", "overwrite"}


def test_speech_is_described(document: Any) -> None:
    body = body_of(document, "/v1/audio/speech", "application/json")
    assert body["required"] == ["input"]
    assert {
        "input", "model", "voice", "instructions", "response_format", "speed", "stream_format",
    } <= set(body["properties"])  # fmt: skip
    assert (body["properties"]["speed"]["minimum"], body["properties"]["speed"]["maximum"]) == (0.25, 4.0)
    assert body["properties"]["step_ms"]["x-providers"] == ["echo"]
    answers = document["paths"]["/v1/audio/speech"]["post"]["responses"]["200"]["content"]
    assert {"audio/mpeg", "audio/opus", "audio/aac", "audio/flac", "audio/wav", "audio/pcm"} <= set(answers)
    assert "text/event-stream" in answers


def test_answers_are_described(document: Any) -> None:
    answers = document["paths"]["/v1/audio/transcriptions"]["post"]["responses"]["200"]["content"]
    assert {"application/json", "text/plain", "text/vtt", "text/event-stream"} == set(answers)
    kinds = [set(resolved(document, each)["properties"]) for each in answers["application/json"]["schema"]["anyOf"]]
    assert {"text", "languages", "logprobs"} in kinds
    assert {"task", "language", "duration", "text", "segments", "words", "usage"} in kinds
    stored = document["paths"]["/api/voices/library"]["post"]["responses"]
    assert set(stored) == {"201", "default"}
    shown = resolved(document, stored["201"]["content"]["application/json"]["schema"])
    assert {"name", "content_type", "size_bytes", "created_at", "duration_s"} <= set(shown["properties"])


def test_other_plugins_bring_other_fields(start_server: StartServer) -> None:
    pytest.importorskip("open_speech_piper")
    document = start_server(("open_speech_piper",)).client.get("/openapi.json").json()
    properties = body_of(document, "/v1/audio/speech", "application/json")["properties"]
    assert properties["noise_scale"]["x-providers"] == ["piper"]
    assert "step_ms" not in properties
