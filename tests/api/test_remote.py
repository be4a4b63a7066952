"""A provider in another environment: described once, then served without importing it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from api.serving import Running
from open_speech_api.runtime.links import ProcessLink
from open_speech_api.runtime.worker import Limits, Worker
from open_speech_core.errors import InvalidRequest, PluginError
from open_speech_core.options import decode_request_options, schema_of
from open_speech_core.remote import Environment, read_environments, write_environment
from open_speech_core.types import API_VERSION, Description

NOTHING = ("broken_nothing",)
"""A plugin that is not there, so that this environment provides nothing."""


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a virtual environment with an interpreter of its own that has core and echo."""
    folder = tmp_path_factory.mktemp("providers") / "echo"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    # The packages of this environment, without installing them again.
    (site / "here.pth").write_text("\n".join([sysconfig.get_path("purelib"), *_editable()]))
    return folder


def _editable() -> list[str]:
    root = Path(__file__).parents[2]
    return [str(root / "core"), str(root / "plugins" / "echo")]


def describe(interpreter: Path, plugin: str) -> list[Description]:
    async def ask() -> list[Description]:
        worker = Worker(ProcessLink({"PATH": os.environ["PATH"]}, str(interpreter)), Limits())
        await worker.start()
        try:
            return await worker.describe(plugin)
        finally:
            worker.kill()
            await worker.gone.wait()

    return asyncio.run(ask())


def install(other: Path) -> list[Description]:
    descriptions = describe(other / "bin" / "python", "open_speech_echo")
    write_environment(other, Environment(interpreter="bin/python", descriptions=tuple(descriptions)))
    return descriptions


def test_a_worker_describes_every_provider_of_a_plugin(other: Path) -> None:
    found = {description.kind: description for description in install(other)}
    assert set(found) == {"transcriber", "synthesizer", "detector", "diarizer", "processor"}
    assert all(description.api == API_VERSION for description in found.values())
    assert [model.id for model in found["synthesizer"].models] == ["echo-voice"]
    assert found["synthesizer"].voices["echo-voice"]


def test_a_plugin_that_is_not_there_is_an_error_not_a_death(other: Path) -> None:
    with pytest.raises(PluginError, match="cannot be used"):
        describe(other / "bin" / "python", "no_such_plugin")


def test_options_keep_their_types_across_environments(other: Path) -> None:
    install(other)
    remotes = {remote.kind: remote for _, remote in read_environments(other.parent, Path("home")) if remote}
    remote = remotes["transcriber"]
    from open_speech_echo.provider import EchoTranscriber

    assert schema_of(remote.RequestOptions)["properties"] == schema_of(EchoTranscriber.RequestOptions)["properties"]
    with pytest.raises(InvalidRequest) as caught:
        decode_request_options(remote.RequestOptions, {"step_ms": "soon"}, strict=False)
    assert caught.value.param == "step_ms"


def test_a_remote_provider_is_served_under_its_own_interpreter(
    other: Path, data: Path, start_server: Callable[..., Running]
) -> None:
    install(other)
    server = start_server(NOTHING, {"OS_PROVIDERS_DIR": str(other.parent)})
    with (data / "speech" / "jfk.flac").open("rb") as file:
        answer = server.client.post(
            "/v1/audio/transcriptions",
            files={"file": ("a.flac", file)},
            data={"model": "echo", "echo_text": "far"},
        )
    assert answer.json() == {"text": "far"}
    interpreters = {worker.cmdline()[0] for worker in server.workers()}
    assert str(other / "bin" / "python") in interpreters
    spoken = server.client.post("/v1/audio/speech", json={"model": "echo-voice", "input": "hi", "voice": "sine"})
    assert spoken.status_code == 200
    refused = server.client.post(
        "/v1/audio/speech", json={"model": "echo-voice", "input": "hi", "voice": "sine", "step_ms": "soon"}
    )
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "step_ms"


def test_a_broken_description_is_reported_and_skipped(tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "description.json").write_text("{")
    ((record, remote),) = read_environments(tmp_path, tmp_path)
    assert remote is None
    assert record.error is not None
    assert "cannot be read" in record.error


def test_a_description_of_another_api_names_the_core_it_wants(other: Path, tmp_path: Path) -> None:
    (description, *_) = install(other)
    (tmp_path / "old").mkdir()
    old = msgspec.structs.replace(description, api=(API_VERSION[0] + 1, 0))
    write_environment(tmp_path / "old", Environment(interpreter="bin/python", descriptions=(old,)))
    ((record, remote),) = read_environments(tmp_path, tmp_path)
    assert remote is None
    assert record.error is not None
    assert f"API {API_VERSION[0] + 1}.0" in record.error
