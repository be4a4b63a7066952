"""Law 5: every route is closed unless it is in the one set of open routes, however it is asked for."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from litestar import Litestar
from litestar.di import Provide

from api.calling import TRANSCRIPTIONS, assert_envelope, checked, refused, speak, tone, transcribe
from api.serving import ECHO, Running, StartServer, clean_environment, free_port
from open_speech_api.app import CONTROLLERS, create_app
from open_speech_api.schema import INJECTED
from open_speech_api.security.gate import is_open
from open_speech_api.settings import read_settings
from open_speech_core.plugins import discover
from open_speech_static import folder

KEY, OTHER = "sk-right", "schlüssel"
OPEN_PAGES = {"/", "/health", "/health/ready", "/openapi.json", "/docs", "/docs/", "/web", "/web/"}
"""Written down once more, so that opening a route is a change here too."""
ASSETS = {
    f"/{path.relative_to(folder()).as_posix()}" for path in folder().rglob("*") if path.parent.name in ("web", "docs")
}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "WEBSOCKET", "get", "BREW")
Headers = list[tuple[bytes, bytes]]


def routes() -> list[str]:
    """Give every path the application knows, with an example for each parameter, and some that it does not."""
    injected = {name: Provide(lambda: None, sync_to_thread=False) for name in INJECTED}
    app = Litestar(list(CONTROLLERS), dependencies=injected, openapi_config=None)
    known = {route.path_format for route in app.routes}
    examples = {path.replace("{rest}", "/org/model").replace("{file}", "/app.js") for path in known}
    return sorted({path.replace("//", "/") for path in examples} | {"/nothing", "/v1/nothing", "/metrics", "/ws"})


def spellings(path: str) -> list[str]:
    """Give ways in which a proxy or an attacker may write a path, as they arrive in the scope."""
    first = path[1:2]
    return [
        path,
        path.upper(),
        path.title(),
        f"/{path}",
        path.replace("/", "//"),
        f"{path}/",
        f"{path}//",
        f"/.{path}",
        f"/health/..{path}",
        f"/web/..{path}",
        f"/web/../..{path}",
        f"/docs/x/../..{path}",
        f"/web/%2e%2e{path}",
        f"/web/%2E%2E%2F{path[1:]}",
        f"/web/\\..{path}",
        f"/{first}{path[2:]}?x=/health",
        f"{path};/health",
        f"{path}%00",
        f"{path}#/health",
        f"/health{path}" if path != "/" else "/health//",
        f"http://127.0.0.1{path}",
        path[1:],
        "*",
        "",
    ]


ROUTES = routes()
TRICKS: list[Headers] = [
    [],
    [(b"upgrade", b"websocket"), (b"connection", b"Upgrade")],
    [(b"x-original-url", b"/health"), (b"x-rewrite-url", b"/health"), (b"x-forwarded-path", b"/health")],
    [(b"x-http-method-override", b"OPTIONS"), (b"x-forwarded-for", b"127.0.0.1"), (b"host", b"localhost")],
    [
        (b"sec-websocket-protocol", b"realtime, openai-insecure-api-key.wrong"),
        (b"access-control-request-method", b"GET"),
    ],
    [(b"cookie", b"api_key=sk-right"), (b"x-api-key", b"sk-right"), (b"api-key", b"sk-right")],
]
WRONG: list[Headers] = [
    [],
    [(b"authorization", b"Bearer wrong")],
    [(b"authorization", b"Bearer ")],
    [(b"authorization", b"Bearer")],
    [(b"authorization", b"")],
    [(b"authorization", b"sk-right")],
    [(b"authorization", b"Basic " + base64.b64encode(b"x:sk-right"))],
    [(b"authorization", b"Bearer sk-righ")],
    [(b"authorization", b"Bearer sk-right\x00")],
    [(b"authorization", b"Bearer sk-right,sk-right")],
    [(b"authorization", b"Bearer SK-RIGHT")],
    [(b"authorization", "Bearer ключ".encode())],
    [(b"authorization", b"Bearer \xff\xfe\x80")],
    [(b"authorization", b"Bearer sk-right," + OTHER.encode())],
]
RIGHT: list[Headers] = [
    [(b"authorization", b"Bearer sk-right")],
    [(b"authorization", b"bearer sk-right")],
    [(b"authorization", b"BEARER  sk-right ")],
    [(b"Authorization", b"Bearer " + OTHER.encode())],
]


def make_app(tmp_path: Path, **environ: str) -> Any:
    server_settings, _ = read_settings({"OS_DATA_DIR": str(tmp_path), "OS_RUN_DIR": str(tmp_path / "run"), **environ})
    return create_app(server_settings, discover(ECHO), {})


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The whole application, asked without a network, so that nothing tidies what is asked."""
    return make_app(tmp_path_factory.mktemp("locked"), OS_API_KEY=f"{KEY}, {OTHER}")


async def _ask(app: Any, method: str, path: str, headers: Headers, body: bytes) -> list[dict[str, Any]]:
    socket = method == "WEBSOCKET"
    arriving = (
        [{"type": "websocket.connect"}] if socket else [{"type": "http.request", "body": body, "more_body": False}]
    )
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "websocket" if socket else "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1234),
        "server": ("127.0.0.1", 80),
        "scheme": "ws" if socket else "http",
        "http_version": "1.1",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "subprotocols": [],
        "extensions": {},
    }
    if not socket:
        scope["method"] = method

    async def receive() -> Any:
        if arriving:
            return arriving.pop(0)
        await asyncio.sleep(30)
        return {"type": "websocket.disconnect", "code": 1001} if socket else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


def ask(app: Any, method: str, path: str, headers: Headers = [], body: bytes = b'{"model":"nope"}') -> int:  # noqa: B006
    """Give the status; 401 stands for a socket that was refused as well."""
    kind = [(b"content-type", b"application/json")]
    sent = asyncio.run(_ask(app, method, path, [*kind, *headers], body))
    if sent[0]["type"] == "websocket.close":
        return 401 if sent[0]["code"] == 4401 else 404
    assert sent[0]["type"] == "http.response.start", sent
    return int(sent[0]["status"])


def may_pass(method: str, path: str) -> bool:
    return method in ("GET", "HEAD") and (path in OPEN_PAGES or path in ASSETS or _like_an_asset(path))


def _like_an_asset(path: str) -> bool:
    """A file of the pages that is not there is a 404 for everybody."""
    parts = path.split("/")
    return parts[1:2] in (["web"], ["docs"]) and all(
        part.isidentifier() or "." in part.strip(".") for part in parts[2:]
    )


@pytest.mark.parametrize("path", ROUTES)
def test_nothing_answers_without_a_key(locked: Any, path: str) -> None:
    for method in METHODS:
        for spelled in spellings(path):
            for headers in TRICKS:
                status = ask(locked, method, spelled, headers)
                if not may_pass(method, spelled):
                    assert status == 401, (method, spelled, headers, status)


@pytest.mark.parametrize("path", ROUTES)
def test_nothing_answers_with_a_wrong_key(locked: Any, path: str) -> None:
    for method in METHODS:
        for headers in WRONG:
            if not may_pass(method, path):
                assert ask(locked, method, path, headers) == 401, (method, path, headers)


@pytest.mark.parametrize("path", [path for path in ROUTES if path not in OPEN_PAGES])
def test_every_route_answers_with_a_key(locked: Any, path: str) -> None:
    for headers in RIGHT:
        statuses = {method: ask(locked, method, path, headers) for method in ("GET", "POST", "DELETE", "WEBSOCKET")}
        assert 401 not in statuses.values(), (path, headers, statuses)


@pytest.mark.parametrize("path", sorted(OPEN_PAGES | ASSETS))
def test_open_pages_answer_everybody(locked: Any, path: str) -> None:
    for headers in ([], *WRONG):
        assert ask(locked, "GET", path, headers) in (200, 302), (path, headers)
        assert ask(locked, "POST", path, headers) == 401
    assert ask(locked, "POST", path, RIGHT[0]) == 405


def test_the_routes_are_all_of_them() -> None:
    """The matrix covers what is registered; a floor, so that an empty list cannot pass."""
    assert {"/v1/audio/speech", TRANSCRIPTIONS, "/v1/models", "/v1/audio/models/load", "/health"} <= set(ROUTES)
    assert len(ROUTES) > 15


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["http", "websocket", "lifespan", "HTTP"]),
    st.sampled_from(["GET", "HEAD", "POST", "get"]),
    st.one_of(
        st.text(max_size=30).map(lambda text: f"/{text}"),
        st.lists(st.sampled_from(["web", "docs", "health", "..", ".", "", "v1", "models", "%2e%2e", "\\", "a.js"]))
        .map(lambda parts: "/" + "/".join(parts)),
    ),
)  # fmt: skip
def test_an_open_path_is_a_page_or_a_plain_file(kind: str, method: str, path: str) -> None:
    if is_open(kind, method, path):
        assert kind == "http"
        assert method in ("GET", "HEAD")
        assert path in OPEN_PAGES or path.startswith(("/web/", "/docs/"))
        assert ".." not in path.split("/")
        assert "%" not in path
        assert "\\" not in path


def test_options_say_only_which_methods_there_are(locked: Any) -> None:
    for path in ROUTES:
        assert ask(locked, "OPTIONS", path) in (204, 404)


# Over the wire


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    server = Running(tmp_path_factory.mktemp("keyed"), environ={"OS_API_KEY": f"{KEY},{OTHER}"})
    yield server
    server.await_quiet()
    server.stop()


def raw(server: Running, method: str, path: bytes, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    """Send a path as it is, which clients would tidy."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection._validate_path = lambda url: None  # type: ignore[attr-defined]
    connection.putrequest(method, path.decode("latin-1"), skip_accept_encoding=True)
    for name, value in (headers or {}).items():
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, body


@pytest.mark.parametrize(
    "path",
    [
        b"/v1/models",
        b"/v1/models/",
        b"//v1/models",
        b"/v1//models",
        b"/V1/MODELS",
        b"/v1/%6dodels",
        b"/%76%31/models",
        b"/health/../v1/models",
        b"/web/../v1/models",
        b"/web/%2e%2e/v1/models",
        b"/web/..%2fv1%2fmodels",
        b"/./v1/models",
        b"/v1/models?x=/health",
        b"/v1/models;/health",
        b"/v1/models%00",
        b"/v1/models/echo",
        b"/v1/audio/voices",
        b"/nope",
        b"/health%2f..%2fv1%2fmodels",
        b"/web/\\..\\..\\v1/models",
        b"http://127.0.0.1/v1/models",
        b"/docs/..;/v1/models",
    ],
)
def test_paths_on_the_wire_stay_closed(keyed: Running, path: bytes) -> None:
    for method in ("GET", "POST", "HEAD", "DELETE"):
        status, body = raw(keyed, method, path)
        assert status in (400, 401, 404, 405), (method, path, status)
        assert b"echo" not in body.replace(path, b""), "the list of models"
        if method == "GET" and not path.startswith((b"/web", b"/docs")):
            assert status in (401, 400)


@pytest.mark.parametrize("path", ["/v1/realtime", "/v1/audio/stream", "/health", "/", "/v1/models", "/nothing"])
def test_a_websocket_is_refused_before_it_opens(keyed: Running, path: str) -> None:
    handshake = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
    }
    assert raw(keyed, "GET", path.encode(), handshake)[0] in (401, 403)
    wrong = {**handshake, "Authorization": "Bearer wrong"}
    assert raw(keyed, "GET", path.encode(), wrong)[0] in (401, 403)


def test_half_a_handshake_opens_nothing(keyed: Running) -> None:
    for headers in ({"Upgrade": "websocket"}, {"Upgrade": "websocket", "Connection": "Upgrade"}):
        assert raw(keyed, "GET", b"/v1/models", headers)[0] in (400, 401, 403)


@pytest.mark.parametrize("key", [KEY, OTHER])
def test_each_key_is_let_in(keyed: Running, key: str) -> None:
    header = {"authorization": f"Bearer {key}".encode()}
    response = checked(keyed.client.get("/v1/models", headers=cast("Any", header)))
    assert response.status_code == 200
    form: Any = {"files": {"file": ("a.wav", tone(1.0))}, "data": {"model": "echo"}}
    assert keyed.client.post(TRANSCRIPTIONS, headers=cast("Any", header), **form).json() == {"text": "one"}


def test_a_refusal_is_openais_error(keyed: Running) -> None:
    for response in (transcribe(keyed), speak(keyed), keyed.client.get("/v1/models"), keyed.client.get("/nothing")):
        message = refused(response, 401, "invalid_api_key", None)
        assert response.json()["error"]["type"] == "authentication_error"
        assert response.headers["www-authenticate"] == "Bearer"
        assert KEY not in message


def test_no_key_stands_in_the_log(keyed: Running) -> None:
    keyed.client.get("/v1/models", headers={"authorization": f"Bearer {KEY}"})
    keyed.client.get("/v1/models", headers={"authorization": "Bearer guessed-key"})
    log = keyed.log()
    assert KEY not in log
    assert OTHER not in log
    assert "guessed-key" not in log


def test_models_are_loaded_from_here_only_without_a_key(tmp_path: Path) -> None:
    app = make_app(tmp_path, OS_HOST="0.0.0.0")
    for action in ("load", "unload"):
        assert ask(app, "POST", f"/v1/audio/models/{action}") == 403
        assert ask(app, "POST", f"/v1/audio/models/{action}", body=b"{}") == 403
    assert ask(app, "GET", "/v1/models") == 200, "the rest is open"
    for environ in ({"OS_HOST": "127.0.0.1"}, {"OS_HOST": "::1"}, {}):
        assert ask(make_app(tmp_path, **environ), "POST", "/v1/audio/models/load") == 404, "no such model"
    with_key = make_app(tmp_path, OS_HOST="0.0.0.0", OS_API_KEY=KEY)
    assert ask(with_key, "POST", "/v1/audio/models/load", RIGHT[0]) == 404


def test_everywhere_without_a_key_over_the_wire(start_server: StartServer) -> None:
    server = start_server(environ={"OS_HOST": "0.0.0.0", "OS_SSL_ENABLED": "false"})
    for action in ("load", "unload"):
        response = server.client.post(f"/v1/audio/models/{action}", json={"model": "echo"})
        assert "OS_API_KEY" in refused(response, 403, "forbidden", None)
    refused(server.client.delete("/v1/models/echo"), 403, "forbidden", None)
    assert transcribe(server).json() == {"text": "one two three"}


# TLS


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    server = Running(tmp_path_factory.mktemp("tls"), environ={"OS_SSL_ENABLED": "true", "OS_API_KEY": KEY})
    yield server
    server.await_quiet()
    server.stop()


def trusting(server: Running) -> ssl.SSLContext:
    (certificate,) = (
        path for path in server.certificates.iterdir() if path.suffix == ".pem" and b"BEGIN CERT" in path.read_bytes()
    )
    return ssl.create_default_context(cafile=str(certificate))


@pytest.mark.parametrize("http2", [True, False])
def test_https_with_the_certificate_that_was_made(secure: Running, http2: bool) -> None:
    with httpx.Client(
        base_url=secure.url, verify=trusting(secure), http1=not http2, http2=http2, trust_env=False, timeout=30
    ) as client:
        response = checked(client.get("/health"))
        assert response.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
        assert client.get("/v1/models").status_code == 401
        client.headers["authorization"] = f"Bearer {KEY}"
        assert client.get("/v1/models").status_code == 200
        answer = client.post(
            TRANSCRIPTIONS, files={"file": ("a.wav", tone(3.0))}, data={"model": "echo", "stream": "true"}
        )
        assert answer.text.endswith("data: [DONE]\n\n")
        body = {"model": "echo-voice", "input": "x" * 50, "response_format": "pcm"}
        assert len(client.post("/v1/audio/speech", json=body).content) == 2 * 3 * 24_000


def test_plain_http_at_a_tls_port_gets_nothing(secure: Running) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.get(secure.url.replace("https", "http") + "/health", trust_env=False, timeout=5)


def test_a_stranger_does_not_trust_it(secure: Running) -> None:
    with pytest.raises(httpx.ConnectError, match=r"(?i)certificate"):
        httpx.get(secure.url + "/health", trust_env=False, timeout=5)


# Starting


def start(environ: dict[str, str], tmp_path: Path) -> subprocess.CompletedProcess[str]:
    given = {"OS_PORT": str(free_port()), "OS_DATA_DIR": str(tmp_path), **environ}
    return subprocess.run(
        [sys.executable, "-c", "from open_speech_api.cli import main; main()", "serve"],
        env={**clean_environment(), **given},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("key", [None, "", " ", ",", " , ,"])
def test_without_the_key_that_is_required_nothing_starts(tmp_path: Path, key: str | None) -> None:
    environ = {"OS_AUTH_REQUIRED": "true"} | ({} if key is None else {"OS_API_KEY": key})
    ended = start(environ, tmp_path)
    assert ended.returncode != 0
    assert "OS_API_KEY" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_taken_port_is_said(tmp_path: Path, echo_server: Running) -> None:
    ended = start({"OS_PORT": str(echo_server.port)}, tmp_path)
    assert ended.returncode != 0
    assert f"127.0.0.1:{echo_server.port}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_error_envelopes_in_process(locked: Any) -> None:
    sent = asyncio.run(_ask(locked, "GET", "/v1/models", [], b""))
    assert_envelope(json.loads(sent[1]["body"]))
    names = [name for name, _ in sent[0]["headers"]]
    assert {b"x-request-id", b"server-timing", b"www-authenticate"} <= set(names)
    assert os.environ.get("OS_API_KEY") is None, "the tests' own environment does not matter"
