"""Providers come and go while the server runs: what an install does, what a failed one leaves, and who may ask."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest

from api.calling import SPEECH, checked, decoded, pitch, refused
from api.serving import Running, StartServer
from api.wheels_for_tests import (
    NOTHING,
    ROOT,
    Heard,
    Shop,
    await_environments,
    begin,
    environments,
    finish,
    heard_meanwhile,
    install,
    look,
    package,
    providers_of,
)

INSTALL = "/api/providers/install"
MORSE = ROOT / "docs" / "examples" / "morse" / "open_speech_morse"


def provider(server: Running, name: str) -> dict[str, object]:
    """Give a provider as it is listed."""
    listed = checked(server.client.get("/api/providers")).json()["providers"]
    return next(each for each in listed if each["name"] == name)


def ids(server: Running, path: str, key: str) -> list[str]:
    return [each["id"] for each in checked(server.client.get(path)).json()[key]]


# what an install brings


def test_a_strangers_plugin_from_a_wheel_is_served_at_once(start_server: StartServer, shop: Shop) -> None:
    needs = ("open-speech-core>=1,<2", "numpy")
    shop.wheel("open-speech-morse", "0.1.0", package(MORSE), needs, "morse")
    shop.pin("morse", "1.0")
    shop.enter(
        "morse", "open-speech-morse", "0.1.0", "open_speech_morse",
        kinds=["synthesizer", "transcriber"], models=["morse-key"], imports=["numpy.fft"],
    )  # fmt: skip
    server = start_server(NOTHING, shop.settings())
    said = server.client.post("/api/models/morse-key/load")
    assert "open-speech providers install morse" in refused(said, 400, "provider_missing", "model")
    assert "pitch_hz" not in server.client.get("/openapi.json").text
    job = install(server, "morse")
    assert (job["provider"], job["version"], job["step"], job["error"]) == ("morse", "0.1.0", "", None)
    assert {"morse-key works", "morse-ear works"} <= set(job["output"].splitlines())
    assert job["started_at"] < job["ended_at"] <= time.time()
    for path, key in (("/v1/models", "data"), ("/api/models", "models"), ("/v1/audio/models", "models")):
        assert {"morse-key", "morse-ear"} <= set(ids(server, path, key)), path
    assert {"low", "high", "alloy"} <= set(ids(server, "/v1/audio/voices", "voices"))
    assert "pitch_hz" in server.client.get("/openapi.json").text
    assert provider(server, "morse") | {
        "installed": True, "state": "installed", "where": "own", "removable": True, "version": "0.1.0", "update": None,
    } == provider(server, "morse")  # fmt: skip
    spoken = server.client.post(SPEECH, json={"model": "morse-key", "voice": "low", "input": "e", "pitch_hz": 600})
    assert spoken.status_code == 200
    assert pitch(*decoded(spoken.content)) == pytest.approx(600, rel=0.05)
    wrong = server.client.post(SPEECH, json={"model": "morse-key", "voice": "low", "input": "e", "pitch_hz": 5})
    assert "100" in refused(wrong, 400, "invalid_request", "pitch_hz")
    unknown = server.client.post(SPEECH, json={"model": "morse-key", "voice": "nobody", "input": "e"})
    refused(unknown, 400, "voice_not_found", "voice")
    plugins = checked(server.client.get("/api/plugins")).json()["plugins"]
    assert {(each["name"], each["where"], each["error"]) for each in plugins if each["name"] == "morse"} == {
        ("morse", "own", None)
    }


def test_pip_does_what_uv_does(start_server: StartServer, shop: Shop) -> None:
    shop.stock("alpha", pinned="2.0")
    server = start_server(NOTHING, shop.settings(uv=False))
    job = install(server, "alpha")
    assert "Successfully installed" in job["output"]
    assert Heard(server, "alpha").pinned == "2.0"
    assert not list(providers_of(server).glob("*/lib/python*/site-packages/pip")), "it works from outside"


def test_what_is_installed_is_installed_no_second_time_unless_asked(start_server: StartServer, shop: Shop) -> None:
    shop.stock("alpha")
    server = start_server(NOTHING, shop.settings())
    install(server, "alpha")
    needless = server.client.post(INSTALL, json={"model": "alpha-model"})
    assert (needless.status_code, needless.json()["status"]) == (200, "done")
    assert "installed already" in look(server, needless.json()["job_id"])["output"]
    assert environments(server) == ["alpha-1"]
    Heard(server, "alpha")
    install(server, "alpha", again=True)
    await_environments(server, "alpha-2")
    assert Heard(server, "alpha").version == "1.0"


def test_what_is_part_of_the_servers_environment_is_done_already(start_server: StartServer, shop: Shop) -> None:
    shop.enter("echo", "open-speech-echo", "1.0.0", "open_speech_echo")
    shop.pin("echo", "1.0")
    server = start_server(environ=shop.settings())
    answer = server.client.post(INSTALL, json={"provider": "echo", "again": True})
    assert (answer.status_code, answer.json()["status"]) == (200, "done")
    assert environments(server) == []
    refused(server.client.delete("/api/providers/echo"), 400, "feature_not_supported", "provider")


def test_a_call_ends_on_the_old_version_while_the_new_one_takes_over(start_server: StartServer, shop: Shop) -> None:
    shop.stock("alpha", "1.0", pinned="1.0")
    settings = shop.settings()
    first = start_server(NOTHING, settings)
    folder = {"OS_PROVIDERS_DIR": str(providers_of(first))}
    install(first, "alpha")
    first.stop()
    shop.stock("alpha", "1.10", pinned="2.0")
    server = start_server(NOTHING, settings | folder)
    assert provider(server, "alpha")["update"] == "1.10"
    assert Heard(server, "alpha").version == "1.0", "an environment outlives the server"
    old = Path(folder["OS_PROVIDERS_DIR"]) / "alpha-1"
    with heard_meanwhile(server, "alpha", hold_s=6.0) as call:
        install(server, "alpha")
        new = Heard(server, "alpha")
        assert not call.done()
        assert old.is_dir(), "its worker still runs"
        long = call.result()
    assert (long.version, long.pinned) == ("1.0", "1.0")
    assert (new.version, new.pinned) == ("1.10", "2.0")
    assert new.end < long.end
    deadline = time.monotonic() + 10
    while old.exists():
        assert time.monotonic() < deadline, "the old environment was not removed"
        time.sleep(0.05)
    assert Heard(server, "alpha").version == "1.10"
    assert provider(server, "alpha")["update"] is None


def test_a_removed_provider_is_gone_and_one_in_use_is_not_removed(start_server: StartServer, shop: Shop) -> None:
    shop.stock("alpha")
    server = start_server(NOTHING, shop.settings())
    install(server, "alpha")
    with heard_meanwhile(server, "alpha", hold_s=1.0) as call:
        refused(server.client.delete("/api/providers/alpha"), 409, "model_in_use", "provider")
        assert call.result().version == "1.0"
    removed = checked(server.client.delete("/api/providers/alpha"))
    assert (removed.status_code, removed.json()) == (200, {"status": "removed", "provider": "alpha"})
    assert environments(server) == []
    assert not [worker for worker in server.workers() if "alpha-1" in worker.cmdline()[0]], "its process is gone"
    assert "alpha_hold_s" not in server.client.get("/openapi.json").text
    assert provider(server, "alpha")["state"] == "available"
    state = server.client.get("/api/models/alpha-model").json()
    assert (state["state"], state["provider_available"]) == ("provider_missing", False)
    refused(server.client.delete("/api/providers/alpha"), 404, "provider_not_found", "provider")
    install(server, "alpha")
    assert Heard(server, "alpha").version == "1.0"


# what a failed one leaves

FAULTS = {
    "fails to import": ({"at_import": 'raise ImportError(f"no engine in {__file__}")'}, "no engine in <path>"),
    "hangs": ({"in_models": "time.sleep(60)"}, "describing showed no progress for 2 s"),
    "ends": ({"in_models": "os._exit(3)"}, "the worker ended unexpectedly"),
    "cannot load": ({"in_load": 'raise OSError("libsecret.so")'}, "'omega-model' could not be loaded: OSError"),
    "fails its self-test": (
        {"in_self_test": 'raise AssertionError(f"heard nothing, {__file__}")'},
        "the self-test of 'omega-model' failed: AssertionError: heard nothing, <path>",
    ),
    "is somebody else": ({"provider": "sigma"}, "tiny_omega registers no transcriber called 'omega'"),
}


@pytest.fixture(scope="module")
def omega(tmp_path_factory: pytest.TempPathFactory, index: Path) -> Iterator[tuple[Running, Shop]]:
    """A server with a good provider, and the wheelhouse in which it will be spoilt."""
    folder = tmp_path_factory.mktemp("omega")
    shop = Shop(folder, index)
    shop.stock("omega")
    server = Running(folder, NOTHING, {**shop.settings(), "OS_LOAD_TIMEOUT_S": "2", "OS_API_KEY": "sesame-opens"})
    server.client.headers["authorization"] = "Bearer sesame-opens"
    install(server, "omega")
    yield server, shop
    server.stop()


def fails(omega: tuple[Running, Shop], step: str, words: str) -> None:
    """Assert that an install fails for this reason, and that the provider which is there serves on."""
    server, shop = omega
    before = environments(server)
    job = finish(server, begin(server, "omega", again=True))
    assert (job["status"], job["step"]) == ("failed", step), job
    assert words in f"{job['error']}\n{job['output']}", job
    told = json.dumps(job)
    assert str(providers_of(server)) not in told
    assert str(shop.index) not in told
    assert "sesame" not in told
    assert environments(server) == before
    assert Heard(server, "omega").version == "1.0"
    assert provider(server, "omega")["state"] == "installed"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_provider_that_is_no_good_is_not_put_in_force(omega: tuple[Running, Shop], fault: str) -> None:
    spoilt, words = FAULTS[fault]
    omega[1].stock("omega", **spoilt)
    fails(omega, "verifying", words)


def test_a_package_with_another_hash_is_not_installed(omega: tuple[Running, Shop]) -> None:
    omega[1].stock("omega")
    omega[1].pin("omega", "1.0", digest="0" * 64)
    fails(omega, "installing third-party packages", "ended with")


def test_a_package_that_no_index_has_is_told(omega: tuple[Running, Shop]) -> None:
    omega[1].stock("omega")
    pins = Path(omega[1].settings()["OS_PROVIDER_CATALOGUE"]).with_name("omega.txt")
    pins.write_text(pins.read_text().replace("tiny-pinned==1.0", "tiny-pinned==7.7"))
    fails(omega, "installing third-party packages", "tiny-pinned==7.7")


def test_a_package_that_lacks_what_it_asks_for_is_told(omega: tuple[Running, Shop]) -> None:
    omega[1].stock("omega")
    pins = Path(omega[1].settings()["OS_PROVIDER_CATALOGUE"]).with_name("omega.txt")
    pins.write_text(pins.read_text().partition("tiny-pinned")[0])
    fails(omega, "checking what each package asks for", "tiny-pinned")


def test_a_wheel_that_is_not_there_is_named_with_the_way_to_get_it(omega: tuple[Running, Shop]) -> None:
    (omega[1].house / "tiny_omega-1.0-py3-none-any.whl").unlink(missing_ok=True)
    fails(omega, "looking for wheels", "the wheel of tiny-omega 1.0 is not in the folder that OS_WHEELHOUSE names")


def test_an_engine_that_cannot_be_imported_is_not_installed(start_server: StartServer, shop: Shop) -> None:
    shop.stock("alpha")
    shop.change("alpha", imports=["tiny_pinned", "tiny_pinned.engine"])
    server = start_server(NOTHING, shop.settings())
    job = finish(server, begin(server, "alpha"))
    assert (job["status"], job["step"]) == ("failed", "importing the engine")
    assert "No module named 'tiny_pinned.engine'" in job["output"]
    assert str(providers_of(server)) not in json.dumps(job)
    assert environments(server) == []
    assert provider(server, "alpha")["state"] == "available"


@pytest.mark.parametrize("uv", [True, False], ids=["uv", "pip"])
def test_an_index_that_cannot_be_reached_is_told(start_server: StartServer, shop: Shop, uv: bool) -> None:
    shop.stock("alpha")
    settings = online(shop, "http://127.0.0.1:1/simple", uv)
    server = start_server(NOTHING, settings | {"PIP_RETRIES": "0"})
    job = finish(server, begin(server, "alpha"))
    assert (job["status"], job["step"]) == ("failed", "installing third-party packages")
    assert "127.0.0.1:1" in job["output"] or "Connection refused" in job["output"]
    assert environments(server) == []


# ending it


@pytest.fixture
def silent() -> Iterator[str]:
    """An index that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/simple"


def online(shop: Shop, index: str, uv: bool = True) -> dict[str, str]:
    """Give the settings of a server that asks an index."""
    return {**shop.settings(uv), "PIP_NO_INDEX": "", "PIP_FIND_LINKS": "", "PIP_INDEX_URL": index}


def until(server: Running, job_id: str, step: str, within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while (job := look(server, job_id))["step"] != step:
        assert time.monotonic() < deadline, job
        time.sleep(0.02)


def of_installs(server: Running) -> list[psutil.Process]:
    """Give the processes that an install started, whoever their parent is now."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if any(str(providers_of(server)) in part for part in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_an_install_is_cancelled_and_nothing_of_it_is_left(start_server: StartServer, shop: Shop, silent: str) -> None:
    shop.stock("alpha")
    server = start_server(NOTHING, online(shop, silent))
    job_id = begin(server, "alpha")
    until(server, job_id, "installing third-party packages")
    assert of_installs(server)
    assert provider(server, "alpha") | {"state": "installing", "job_id": job_id} == provider(server, "alpha")
    ended = checked(server.client.delete(f"{INSTALL}/{job_id}"))
    assert (ended.status_code, ended.json()["status"]) == (200, "cancelled")
    assert not of_installs(server)
    assert environments(server) == []
    assert server.client.delete(f"{INSTALL}/{job_id}").json()["status"] == "cancelled"
    assert provider(server, "alpha") | {"state": "available", "job_id": None} == provider(server, "alpha")


def test_an_install_that_takes_too_long_is_ended(start_server: StartServer, shop: Shop, silent: str) -> None:
    shop.stock("alpha")
    server = start_server(NOTHING, online(shop, silent) | {"OS_INSTALL_TIMEOUT_S": "1.5"})
    job = finish(server, begin(server, "alpha"))
    assert (job["status"], job["error"]) == ("failed", "the install took longer than 1.5 s")
    assert not of_installs(server)
    assert environments(server) == []


def test_installs_of_one_provider_at_once_are_one(start_server: StartServer, shop: Shop, silent: str) -> None:
    shop.stock("alpha")
    shop.stock("beta")
    server = start_server(NOTHING, online(shop, silent))
    with ThreadPoolExecutor(4) as callers:
        jobs = set(callers.map(lambda _: begin(server, "alpha"), range(4)))
    assert len(jobs) == 1
    other = begin(server, "beta")
    assert other not in jobs
    refused(server.client.delete("/api/providers/alpha"), 404, "provider_not_found", "provider")
    assert environments(server) == ["alpha-1", "beta-1"]
    assert server.client.get("/health").elapsed.total_seconds() < 0.5


@pytest.mark.parametrize("uv", [True, False], ids=["uv", "pip"])
def test_a_killed_server_leaves_no_process_and_no_half_environment(
    start_server: StartServer, shop: Shop, silent: str, uv: bool
) -> None:
    shop.stock("alpha")
    server = start_server(NOTHING, online(shop, silent, uv))
    job_id = begin(server, "alpha")
    until(server, job_id, "installing third-party packages")
    started = of_installs(server)
    assert started
    server.process.kill()
    server.process.wait()
    _, alive = psutil.wait_procs(started, timeout=2)
    assert not alive
    assert not of_installs(server)
    after = start_server(NOTHING, {**shop.settings(), "OS_PROVIDERS_DIR": str(providers_of(server))})
    job = look(after, job_id)
    assert (job["status"], job["error"]) == ("failed", "the server ended during this install")
    await_environments(server)
    install(after, "alpha")
    assert Heard(after, "alpha").version == "1.0"


def test_a_server_that_stops_ends_its_installs(start_server: StartServer, shop: Shop, silent: str) -> None:
    shop.stock("alpha")
    server = start_server(NOTHING, online(shop, silent))
    until(server, begin(server, "alpha"), "installing third-party packages")
    started = of_installs(server)
    assert server.stop() < 5
    assert not psutil.wait_procs(started, timeout=2)[1]
    assert environments(server) == []


# who may ask, and for what


@pytest.mark.parametrize(
    "name",
    [
        *("unknown", "pkg; rm", "https://x.test/a.whl", "../x", "..", "%2e%2e", "-r", "--index-url", "", "a\0b"),
        *("install", "p" * 4096),
    ],
)
def test_only_a_name_of_the_catalogue_is_installed(echo_server: Running, name: str) -> None:
    message = refused(echo_server.client.post(INSTALL, json={"provider": name}), 400, "invalid_request", "provider")
    assert "piper" in message, "it says what is in the catalogue"
    assert len(message) < 400


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "provider"),
        ({"provider": None, "model": None}, "provider"),
        ({"model": "nobody/nothing"}, "model"),
        ({"model": "pkg; rm -rf"}, "model"),
        ({"provider": 5}, "provider"),
        ({"provider": ["piper"]}, "provider"),
        ({"provider": "unknown", "again": "yes"}, "again"),
    ],
)
def test_a_wrong_wish_names_the_field(echo_server: Running, body: dict[str, object], param: str) -> None:
    refused(echo_server.client.post(INSTALL, json=body), 400, "invalid_request", param)


@pytest.mark.parametrize("name", ["none", "*", "a\0b", "p" * 4096, "0" * 32])
def test_an_unknown_job_is_404(echo_server: Running, name: str) -> None:
    path = f"{INSTALL}/{quoted(name)}"
    for answer in (echo_server.client.get(path), echo_server.client.delete(path)):
        refused(answer, 404, "install_job_not_found")


@pytest.mark.parametrize("name", ["nobody", "*", "jobs", "a\0b", "p" * 4096, "piper-1"])
def test_only_what_was_installed_is_removed(echo_server: Running, name: str) -> None:
    answer = echo_server.client.delete(f"/api/providers/{quoted(name)}")
    refused(answer, 404, "provider_not_found", "provider")


def quoted(name: str) -> str:
    return quote(name, safe="")


def test_nobody_installs_where_anybody_could(start_server: StartServer, shop: Shop) -> None:
    shop.stock("alpha")
    server = start_server(NOTHING, {**shop.settings(), "OS_HOST": "0.0.0.0", "OS_SSL_ENABLED": "false"})
    everything_is_refused(server, "OS_API_KEY")


def test_installing_can_be_switched_off(start_server: StartServer, shop: Shop) -> None:
    shop.stock("alpha")
    server = start_server(NOTHING, {**shop.settings(), "OS_PROVIDER_INSTALL": "false"})
    everything_is_refused(server, "OS_PROVIDER_INSTALL")


def everything_is_refused(server: Running, words: str) -> None:
    for answer in (
        server.client.post(INSTALL, json={"provider": "alpha"}),
        server.client.delete(f"{INSTALL}/none"),
        server.client.delete("/api/providers/alpha"),
    ):
        assert words in refused(answer, 403, "feature_disabled")
    assert words in str(provider(server, "alpha")["problem"])
    assert not providers_of(server).exists()


def test_a_machine_without_a_fitting_python_refuses_and_names_the_range(start_server: StartServer, shop: Shop) -> None:
    shop.stock("alpha")
    shop.change("alpha", python=">=3.30,<3.31")
    server = start_server(NOTHING, shop.settings())
    answer = server.client.post(INSTALL, json={"provider": "alpha"})
    assert ">=3.30,<3.31" in refused(answer, 400, "feature_not_supported", "provider")


def test_what_the_disk_has_no_room_for_is_refused(start_server: StartServer, shop: Shop) -> None:
    shop.stock("alpha")
    shop.change("alpha", size_mb=10**9)
    server = start_server(NOTHING, shop.settings())
    answer = server.client.post(INSTALL, json={"provider": "alpha"})
    assert "1000000000 MB" in refused(answer, 507, "storage_full")


def test_a_folder_that_cannot_be_written_is_told(start_server: StartServer, shop: Shop, tmp_path: Path) -> None:
    shop.stock("alpha")
    (tmp_path / "file").write_text("")
    server = start_server(NOTHING, {**shop.settings(), "OS_PROVIDERS_DIR": str(tmp_path / "file")})
    job = finish(server, begin(server, "alpha"))
    assert (job["status"], job["error"]) == ("failed", "OS_PROVIDERS_DIR cannot be written: File exists")


def test_folders_may_be_named_from_where_the_server_was_started(start_server: StartServer, shop: Shop) -> None:
    shop.stock("alpha")
    settings = shop.settings()
    relative = {name: os.path.relpath(settings[name]) for name in ("OS_PROVIDER_CATALOGUE", "OS_WHEELHOUSE")}
    providers = os.path.relpath(shop.house.parent / "providers")
    server = start_server(NOTHING, {**settings, **relative, "OS_PROVIDERS_DIR": providers})
    install(server, "alpha")
    assert Heard(server, "alpha").version == "1.0"
    assert server.client.delete("/api/providers/alpha").status_code == 200
