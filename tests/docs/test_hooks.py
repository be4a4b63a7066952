"""The example of each hook works, alone and in a server; so does the one with weights."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from api.calling import decoded, tone, transcribe
from api.serving import Running
from docs.pages import DOCS
from open_speech_core import hookspecs
from open_speech_core.errors import DownloadFailed, WeightsMissing
from open_speech_core.plugins import Discovery, discover
from open_speech_core.providers import Context
from open_speech_core.registry import build_registry
from open_speech_core.testing import cases, check_plugin
from open_speech_core.types import Event, LoadSpec
from open_speech_core.worker.engines import instantiate

EXAMPLES = DOCS / "examples"
HOOKS = sorted(path.stem for path in (EXAMPLES / "hooks").glob("*.py"))
PROVIDERS = ("transcribers", "synthesizers", "detectors", "diarizers", "processors")
BELL_BYTES = 96_000


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (EXAMPLES / "hooks", EXAMPLES):
        monkeypatch.syspath_prepend(str(folder))


def python_path() -> str:
    return os.pathsep.join([str(EXAMPLES / "hooks"), str(EXAMPLES), str(DOCS.parent / "tests")])


def found(module: str) -> Discovery:
    discovery = discover([module])
    assert [plugin.error for plugin in discovery.plugins] == [None]
    return discovery


def test_there_is_an_example_of_every_hook() -> None:
    manager = discover(HOOKS).manager
    hooks = {name for name in vars(hookspecs) if name.startswith("open_speech_")}
    assert {hook for hook in hooks if getattr(manager.hook, hook).get_hookimpls()} == hooks
    assert len(HOOKS) == len(hooks)


@pytest.mark.parametrize("module", [*PROVIDERS, "bell"])
def test_each_provider_keeps_the_laws(module: str) -> None:
    check_plugin(module)


@pytest.mark.parametrize("module", PROVIDERS)
def test_each_engine_keeps_the_laws(module: str) -> None:
    (parameter,) = cases(module)
    parameter.values[0].check()  # type: ignore[union-attr]


def test_a_server_serves_them(start_server: Callable[..., Running]) -> None:
    server = start_server(tuple(HOOKS), {"PYTHONPATH": python_path()})
    assert transcribe(server, tone(3.0), model="stopwatch").json()["text"] == "3.0 seconds"
    body = {"model": "beeps", "input": "one two three", "response_format": "wav"}
    samples, rate = decoded(server.client.post("/v1/audio/speech", json=body).raise_for_status().content)
    assert len(samples) / rate == pytest.approx(0.75, abs=0.02)


def test_weights_of_a_package_become_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("open_speech_piper")
    shutil.copy(EXAMPLES / "hooks" / "model_sources.py", tmp_path / "alba_voice.py")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "en_GB-alba-medium.onnx").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    registry = build_registry(discover(["alba_voice", "open_speech_piper"]), environ={}, data_dir=tmp_path)
    assert registry.default("synthesizer", None).id == "piper/en_GB-alba-medium"


def test_the_observer_logs_what_is_slow(caplog: pytest.LogCaptureFixture) -> None:
    hook = found("observe").manager.hook.open_speech_observe
    with caplog.at_level(logging.WARNING):
        for seconds in (1.0, 12.0):
            hook(event=Event(route="/v1/audio/speech", model="m", status=200, seconds=seconds, request_id="r"))
    assert [record.getMessage() for record in caplog.records] == ["/v1/audio/speech took 12.0 s with m (r)"]


@pytest.fixture
def bell_url(tmp_path: Path) -> Iterator[str]:
    """The bell's recording on a web server."""
    times = np.arange(BELL_BYTES // 4) / 24_000
    (0.4 * np.sin(2 * np.pi * 500 * times) * np.exp(-3 * times)).astype("<f4").tofile(tmp_path / "bell.f32")
    (tmp_path / "short.f32").write_bytes(b"\0" * 100)
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_bell_is_fetched_before_its_first_use(start_server: Callable[..., Running], bell_url: str) -> None:
    server = start_server(("bell",), {"PYTHONPATH": python_path(), "BELL_URL": f"{bell_url}/bell.f32"})
    body = {"model": "bell", "input": "ding dong", "response_format": "wav"}
    samples, rate = decoded(server.client.post("/v1/audio/speech", json=body).raise_for_status().content)
    assert len(samples) / rate == pytest.approx(2.0, abs=0.02)


def test_a_bell_that_is_not_whole_is_refused(tmp_path: Path, bell_url: str) -> None:
    (offered,) = found("bell").providers
    provider = instantiate(offered.cls, tmp_path / "home", {"BELL_URL": f"{bell_url}/short.f32"})
    (model,) = provider.models()
    with pytest.raises(DownloadFailed, match="100 bytes"):
        provider.download(model, Context())
    assert not provider.artifacts(model).complete
    with pytest.raises(WeightsMissing):
        provider.load(LoadSpec(model=model))
