"""Two providers that pin different versions of one package, installed over HTTP, serve side by side."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from api.serving import Running, StartServer

ROOT = Path(__file__).parents[2]
NOTHING = ("broken_nothing",)
PLUGIN = """
from open_speech_core.hookspecs import hookimpl
from open_speech_core.providers import Transcriber, TranscriberEngine
from open_speech_core.types import Capabilities, Info, Model, ProviderInfo, Segment

class Teller(TranscriberEngine):
    def transcribe(self, request, context):
        import tiny_pinned
        yield Info(language="en")
        yield Segment(start=0.0, end=0.1, text=tiny_pinned.VERSION)

class Provider(Transcriber):
    info = ProviderInfo(name="NAME", title="NAME", licence="MIT")
    capabilities = Capabilities(weight="light")
    def models(self):
        return (Model(id="NAME-model", kind="transcriber", rate=16000),)
    def load(self, spec):
        return Teller()

@hookimpl
def open_speech_register_transcribers():
    return [Provider]
"""


def pip_wheel(out: Path, *what: str) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-build-isolation", "--no-deps", "-w", str(out), *what]
    subprocess.run(command, check=True)


def project(folder: Path, name: str, version: str, body: str, needs: str = "") -> str:
    package = name.replace("-", "_")
    (folder / package).mkdir(parents=True)
    (folder / package / "__init__.py").write_text(body)
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        f'[project]\nname = "{name}"\nversion = "{version}"\ndependencies = [{needs}]\n'
    )
    return str(folder)


@pytest.fixture(scope="session")
def installable(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Build wheels of two tiny plugins and what they need; give the settings of a server that may install them."""
    top = tmp_path_factory.mktemp("installable")
    index, house = top / "index", top / "house"
    pip_wheel(index, "msgspec", "numpy", "pluggy")
    entries = []
    ours = [str(ROOT / "core")]
    for name, version in (("alpha", "1.0"), ("beta", "2.0")):
        pip_wheel(index, project(top / f"pin{version}", "tiny-pinned", version, f'VERSION = "{version}"\n'))
        ours.append(
            project(top / name, f"tiny-{name}", "1.0", PLUGIN.replace("NAME", name), f'"tiny-pinned=={version}"')
        )
        pins = [wheel for wheel in index.glob("*.whl") if "tiny_pinned" not in wheel.name or version in wheel.name]
        lines = [
            f"{wheel.name.split('-')[0]}=={wheel.name.split('-')[1]} "
            f"--hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}"
            for wheel in pins
        ]
        (top / f"{name}.txt").write_text("\n".join(lines))
        entries.append(
            {
                "name": name,
                "title": name,
                "kinds": ["transcriber"],
                "distribution": f"tiny-{name}",
                "version": "1.0",
                "module": f"tiny_{name}",
                "requirements": f"{name}.txt",
                "licence": "MIT",
            }
        )
    pip_wheel(house, *ours)
    (top / "catalogue.json").write_text(json.dumps(entries))
    return {
        "OS_PROVIDER_CATALOGUE": str(top / "catalogue.json"),
        "OS_WHEELHOUSE": str(house),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(index),
    }


def installed(server: Running, name: str) -> dict[str, str]:
    started = server.client.post("/api/providers/install", json={"provider": name})
    assert started.status_code == 202, started.text
    while (job := server.client.get(f"/api/providers/install/{started.json()['job_id']}").json()) and (
        job["status"] == "installing"
    ):
        time.sleep(0.1)
    return dict(job)


def heard(server: Running, name: str, recording: bytes) -> httpx.Response:
    return server.client.post(
        "/v1/audio/transcriptions", files={"file": ("a.wav", recording)}, data={"model": f"{name}-model"}
    )


def test_engines_that_cannot_share_a_package_serve_at_once(
    start_server: StartServer, installable: dict[str, str]
) -> None:
    import io
    import wave

    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(b"\0\1" * 16000)
    server = start_server(NOTHING, {**installable, "STT_VAD_ENABLED": "false"})
    for name in ("alpha", "beta"):
        job = installed(server, name)
        assert job["status"] == "done", job
    with ThreadPoolExecutor(2) as callers:
        answers = list(callers.map(lambda name: heard(server, name, sound.getvalue()), ("alpha", "beta")))
    assert [answer.json() for answer in answers] == [{"text": "1.0"}, {"text": "2.0"}]


@pytest.mark.parametrize("name", ["unknown", "pkg; rm", "https://x.test/a.whl", "../x", "-r", "--index-url", ""])
def test_only_a_name_of_the_catalogue_is_installed(echo_server: Running, name: str) -> None:
    answer = echo_server.client.post("/api/providers/install", json={"provider": name})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "provider"


def test_an_unknown_job_is_404(echo_server: Running) -> None:
    answer = echo_server.client.get("/api/providers/install/none")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "install_job_not_found")
