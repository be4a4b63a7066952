"""The parts of an install: what pip and uv are told, what is redacted, which wheel and Python, what records hold."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from api.wheels_for_tests import Shop
from open_speech_api.installs.catalogue import choose, read_catalogue
from open_speech_api.installs.environment import (
    LONGEST_LINE_BYTES,
    filtered,
    find_interpreter,
    find_wheel,
    fits,
    redact,
    run,
)
from open_speech_api.installs.folders import Folders, mark_of
from open_speech_api.installs.indexes import no_index, pip_settings, uv_environ
from open_speech_api.installs.jobs import KEPT, OUTPUT_MAX_CHARACTERS, Jobs
from open_speech_core.errors import FeatureNotSupported, InstallFailed, InvalidRequest
from open_speech_core.remote import DESCRIPTION

NO_FILES = {"PIP_CONFIG_FILE": os.devnull}


# commands


def told(command: list[str], environ: dict[str, str] | None = None) -> list[str]:
    said: list[str] = []
    asyncio.run(run(command, environ or {}, said.append))
    return said


def test_a_command_is_told_line_by_line_and_its_failure_is_an_error() -> None:
    program = "import os; os.write(1, b'one\\ntwo\\rthree'); os.write(2, b'\\nfour \\xff\\n')"
    assert [line.strip() for line in told([sys.executable, "-c", program])] == [
        "one",
        "two",
        "three",
        "four \N{REPLACEMENT CHARACTER}",
    ]
    with pytest.raises(InstallFailed, match="ended with 3"):
        told([sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(InstallFailed, match="ended with 137"):
        told([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"])


def test_a_line_without_end_is_bounded() -> None:
    said = told([sys.executable, "-c", f"print('x' * {3 * LONGEST_LINE_BYTES})"])
    assert sum(map(len, said)) == 3 * LONGEST_LINE_BYTES + 1
    assert max(map(len, said)) <= 2 * LONGEST_LINE_BYTES + 1


def test_a_cancelled_command_takes_its_children_along(tmp_path: Path) -> None:
    child = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"

    async def work() -> int:
        task = asyncio.create_task(run([sys.executable, "-c", parent], {}, lambda _: None))
        for _ in range(500):
            await asyncio.sleep(0.02)
            if (tmp_path / "pid").exists() and (pid := (tmp_path / "pid").read_text()):
                break
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return int(pid)

    pid = asyncio.run(work())
    deadline = time.monotonic() + 2
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_commands_see_what_leads_to_an_index_and_nothing_of_ours() -> None:
    seen = filtered(
        NO_FILES
        | {
            "PATH": "/bin", "http_proxy": "http://proxy.test", "OS_API_KEY": "secret", "HF_TOKEN": "secret",
            "PIP_INDEX_URL": "https://index.test/simple", "PIP_TARGET": "/elsewhere", "PIP_USER": "1",
            "PIP_CONSTRAINT": "/c.txt", "UV_OFFLINE": "1", "UV_TARGET": "/elsewhere", "PYTHONPATH": "/elsewhere",
            "UV_INDEX_OURS_PASSWORD": "theirs",
        }
    )  # fmt: skip
    assert "secret" not in seen.values()
    assert "/elsewhere" not in seen.values()
    assert seen["PIP_CONFIG_FILE"] == os.devnull, "what its files say was read, and of that only where packages are"
    wanted = {"PATH": "/bin", "http_proxy": "http://proxy.test", "PIP_INDEX_URL": "https://index.test/simple"}
    assert wanted.items() <= seen.items()
    assert {"UV_OFFLINE": "1", "UV_INDEX_OURS_PASSWORD": "theirs"}.items() <= seen.items()
    assert "PIP_CONSTRAINT" not in seen


def test_uv_is_told_what_pip_was_told(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / ".config" / "pip").mkdir(parents=True)
    (home / ".config" / "pip" / "pip.conf").write_text(
        "[global]\nindex-url = https://index.test/simple\nextra_index_url =\n  https://a.test/simple\n  https://b.test/simple\n"
        "[install]\nfind-links = wheels\nno-index = true\ntarget = /elsewhere\n"
    )
    environ = {
        "HOME": str(home),
        "XDG_CONFIG_DIRS": str(tmp_path),
        "PIP_FIND_LINKS": "/x /y",
        "PIP_DEFAULT_TIMEOUT": "9",
    }
    settings = pip_settings(environ)
    assert settings["index-url"] == "https://index.test/simple"
    assert settings["find-links"] == "/x /y", "a variable counts more than a file"
    assert "target" not in settings
    assert no_index(environ)
    uv = uv_environ(environ)
    assert uv["UV_DEFAULT_INDEX"] == "https://index.test/simple"
    assert uv["UV_INDEX"] == "https://a.test/simple https://b.test/simple"
    assert uv["UV_FIND_LINKS"] == "/x,/y"
    assert uv["UV_HTTP_TIMEOUT"] == "9"
    assert uv_environ(environ | {"UV_DEFAULT_INDEX": "https://own.test"})["UV_DEFAULT_INDEX"] == "https://own.test"
    del environ["PIP_FIND_LINKS"]
    assert pip_settings(environ)["find-links"] == str(Path("wheels").absolute())


def test_a_file_of_pip_that_cannot_be_read_is_as_none(tmp_path: Path) -> None:
    (tmp_path / "pip.conf").write_bytes(b"\xff\xfe no section\n")
    environ = {"HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path), "PIP_CONFIG_FILE": str(tmp_path / "pip.conf")}
    assert "index-url" not in pip_settings(environ)


# what may be told


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Looking in links: /opt/wheels", "Looking in links: <path>"),
        ("Looking in links:/opt/wheels", "Looking in links:<path>"),
        ('File "/home/ann/x y.py", line 3', 'File "<path> y.py", line 3'),
        ("from file:///srv/wheels/a-1.0.whl", "from <path>"),
        ("a @ file:///srv/wheels/a.whl (from x)", "a @ <path> (from x)"),
        ("https://user:pass@index.test/simple/a/", "https://***@index.test/simple/a/"),
        ("https://index.test/simple/a/", "https://index.test/simple/a/"),
        ("key=sesame-opens!", "key=***!"),
        ("second-secret", "***"),
        ("true and/or false, 3/4 done, ./core ./plugins/*", "true and/or false, 3/4 done, ./core ./plugins/*"),
        ("/data/my own folder/providers/a-1/bin/python", "<path>"),
    ],
)
def test_paths_and_secrets_are_taken_out(said: str, shown: str) -> None:
    environ = {"OS_API_KEY": "sesame-opens, second-secret", "SOME_KEY": "true", "HOME": "/home/ann"}
    assert redact(said, environ, [Path("/data/my own folder/providers")]) == shown


@given(st.lists(st.text("abcdefg.-_", min_size=1, max_size=9), min_size=2, max_size=6), st.sampled_from(" \"'=(:,@"))
def test_no_path_is_left_whatever_stands_before_it(parts: list[str], before: str) -> None:
    path = "/" + "/".join(parts)
    assert path not in redact(f"x{before}{path} y", {})


# wheels and Pythons


def test_the_newest_wheel_counts_unless_a_version_is_named(tmp_path: Path) -> None:
    for version in ("1.9", "1.10", "1.10rc1", "0.20"):
        (tmp_path / f"open_speech_core-{version}-py3-none-any.whl").touch()
    (tmp_path / "open_speech_core_extra-9.0-py3-none-any.whl").touch()
    assert find_wheel(tmp_path, "open-speech-core").name == "open_speech_core-1.10-py3-none-any.whl"
    assert find_wheel(tmp_path, "Open.Speech_Core", "1.9").name == "open_speech_core-1.9-py3-none-any.whl"
    for missing in (("open-speech-core", "1.1"), ("open-speech", None)):
        with pytest.raises(InstallFailed, match="pip wheel --no-deps"):
            find_wheel(tmp_path, *missing)
    with pytest.raises(InstallFailed, match="open-speech-core"):
        find_wheel(tmp_path / "nowhere", "open-speech-core")


@pytest.mark.parametrize(
    ("wanted", "version", "inside"),
    [
        (">=3.11", (3, 11), True), (">=3.11", (3, 10), False), (">=3.11,<3.14", (3, 14), False),
        (">=3.11, <3.14", (3, 13), True), ("<4.0", (3, 99), True), (">=3.9,<3.10", (3, 10), False),
    ],
)  # fmt: skip
def test_a_python_lies_in_a_range_or_not(wanted: str, version: tuple[int, int], inside: bool) -> None:
    assert fits(wanted, version) is inside


@pytest.mark.parametrize("wanted", ["", "3.11", "==3.11", ">=3", ">=3.11.2", ">=3.11;<4.0"])
def test_another_form_of_range_is_an_error(wanted: str) -> None:
    with pytest.raises(ValueError, match="no range of Python"):
        fits(wanted, (3, 11))


def command(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_an_interpreter_is_looked_for_on_the_path_and_asked_what_it_is(tmp_path: Path) -> None:
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    assert asyncio.run(find_interpreter(">=3.11", environ)) == sys.executable
    with pytest.raises(FeatureNotSupported, match=r">=3\.17,<3\.20"):
        asyncio.run(find_interpreter(">=3.17,<3.20", environ))
    command(tmp_path, "python3.19", "echo shim: no such version >&2; exit 127")
    command(tmp_path, "python3.18", "echo 3.12 /x/python3.12")
    command(tmp_path, "python3.17", "echo a warning >&2; echo 3.17 '/x y/python3.17'")
    assert asyncio.run(find_interpreter(">=3.17,<3.20", environ)) == "/x y/python3.17"
    (tmp_path / "python3.17").unlink()
    (tmp_path / "found").touch()
    command(tmp_path, "uv", f"test \"$5\" = '>=3.17,<3.20' && echo {tmp_path}/found")
    assert asyncio.run(find_interpreter(">=3.17,<3.20", environ)) == f"{tmp_path}/found"


# the catalogue


def test_an_owners_catalogue_adds_and_replaces(shop: Shop) -> None:
    shop.stock("alpha")
    shop.enter("piper", "my-piper", "9.0", "my_piper")
    shop.pin("piper", "1.0")
    entries = {entry.name: entry for entry in read_catalogue(Path(shop.settings()["OS_PROVIDER_CATALOGUE"]))}
    assert {"alpha", "piper", "whisper"} <= set(entries)
    assert entries["piper"].distribution == "my-piper"
    assert Path(entries["alpha"].requirements).is_absolute()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "../x"}, "name"),
        ({"name": "install"}, "name"),
        ({"name": "A"}, "name"),
        ({"name": "a" * 65}, "name"),
        ({"distribution": "-r x"}, "distribution"),
        ({"version": "1.0; rm"}, "version"),
        ({"module": "os; import x"}, "module"),
        ({"imports": ["x as y"]}, "imports"),
        ({"own": ["a/b"]}, "own"),
        ({"kinds": []}, "kinds"),
        ({"kinds": ["singer"]}, "kinds"),
        ({"python": "3.11"}, "no range"),
        ({"requirements": "nowhere.txt"}, "nowhere.txt"),
        ({"further": 1}, "further"),
    ],
)
def test_a_catalogue_that_is_not_right_says_where(tmp_path: Path, fields: dict[str, object], said: str) -> None:
    entry = {
        "name": "a", "title": "A", "kinds": ["transcriber"], "distribution": "a", "version": "1.0", "module": "a",
        "requirements": "a.txt", "licence": "MIT",
    }  # fmt: skip
    (tmp_path / "a.txt").touch()
    file = tmp_path / "catalogue.json"
    file.write_text(json.dumps([entry]))
    assert choose(read_catalogue(file), "a").title == "A"
    file.write_text(json.dumps([entry | fields]))
    with pytest.raises(InvalidRequest, match=said):
        read_catalogue(file)


def test_other_code_and_other_pins_are_another_environment(shop: Shop) -> None:
    shop.stock("alpha", "1.0", pinned="1.0")
    file = Path(shop.settings()["OS_PROVIDER_CATALOGUE"])
    made = mark_of(choose(read_catalogue(file), "alpha"))
    assert "tiny-pinned==1.0" in made.pins
    shop.change("alpha", title="Another name", models=["more"])
    assert made.is_of(choose(read_catalogue(file), "alpha"))
    narrowed = structs.replace(made, pins=tuple(pin for pin in made.pins if "pluggy" not in pin))
    assert narrowed.is_of(choose(read_catalogue(file), "alpha")), "a bundle names what its machine needs"
    shop.pin("alpha", "2.0")
    assert not made.is_of(choose(read_catalogue(file), "alpha"))
    shop.stock("alpha", "1.1", pinned="1.0")
    assert not made.is_of(choose(read_catalogue(file), "alpha"))
    shop.stock("alpha", "1.0", pinned="1.0")
    assert made.is_of(choose(read_catalogue(file), "alpha"))
    assert not structs.replace(made, core="0.9").is_of(choose(read_catalogue(file), "alpha"))


# folders and records


def test_of_a_name_the_highest_number_with_a_description_is_in_force(shop: Shop, tmp_path: Path) -> None:
    shop.stock("alpha")
    shop.enter("alpha-2", "tiny-alpha", "1.0", "tiny_alpha", requirements="alpha.txt")
    alpha, other = (
        choose(read_catalogue(Path(shop.settings()["OS_PROVIDER_CATALOGUE"])), each) for each in ("alpha", "alpha-2")
    )
    folders = Folders(tmp_path / "providers")
    assert folders.find("alpha") is None
    made = [folders.make(alpha) for _ in range(11)]
    assert [each.path.name for each in made] == [f"alpha-{number}" for number in range(1, 12)]
    assert folders.make(other).path.name == "alpha-2-1"
    assert folders.find("alpha") is None, "none is described yet"
    for each in (made[1], made[9]):
        (each.path / DESCRIPTION).write_text("{}")
    assert folders.find("alpha") == made[9]
    (tmp_path / "providers" / "handmade").mkdir()
    (tmp_path / "providers" / "handmade" / DESCRIPTION).write_text("{}")
    left = {each.path.name for each in folders.superseded()}
    assert left == {each.path.name for each in made if each != made[9]} | {"alpha-2-1"}
    assert not made[1].in_force
    unfinished = {each.path.name for each in folders.unfinished()}
    assert unfinished == left - {"alpha-2"}, "one that was in force once is finished"
    assert folders.find("alpha") == made[9]
    for each in folders.superseded():
        each.remove()
    assert {path.name for path in (tmp_path / "providers").iterdir()} == {"alpha-10", "handmade"}


def test_a_folder_goes_though_a_dying_process_still_writes_there(shop: Shop, tmp_path: Path) -> None:
    shop.stock("alpha")
    entry = choose(read_catalogue(Path(shop.settings()["OS_PROVIDER_CATALOGUE"])), "alpha")
    made = Folders(tmp_path / "providers").make(entry)
    deep = made.path / "lib"
    deep.mkdir()
    for number in range(2000):
        (deep / str(number)).touch()
    until = time.monotonic() + 0.3

    def write() -> None:
        while time.monotonic() < until:
            with contextlib.suppress(FileNotFoundError):
                deep.mkdir(exist_ok=True)
                (deep / f"late-{time.monotonic_ns()}").touch()

    writer = threading.Thread(target=write)
    writer.start()
    made.remove()
    writer.join()
    assert not made.path.exists()


def test_records_survive_and_one_that_ran_has_failed(tmp_path: Path) -> None:
    times = iter(range(100, 200))
    jobs = Jobs(tmp_path / "jobs", clock=lambda: next(times))
    done, running = jobs.begin("alpha", "1.0"), jobs.begin("beta", "2.0")
    done.say("a line\n")
    jobs.end(done, "done")
    jobs.keep(running)
    (tmp_path / "jobs" / "broken.json").write_text("{")
    again = Jobs(tmp_path / "jobs", clock=lambda: next(times))
    kept = again.find(done.job_id)
    assert kept == done
    assert (kept.output, kept.started_at, kept.ended_at) == ("a line\n", 100, 102)
    ended = again.find(running.job_id)
    assert ended is not None
    assert (ended.status, ended.error, ended.ended_at) == ("failed", "the server ended during this install", 103)
    assert again.running("beta") is None


def test_records_are_bounded_in_number_and_length(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path / "jobs")
    running = jobs.begin("slow", "1.0")
    ended = [jobs.begin(f"p{number}", "1.0") for number in range(KEPT + 5)]
    for job in ended:
        jobs.end(job, "done")
    last = jobs.begin("last", "1.0")
    assert jobs.find(running.job_id) is running, "one that runs is never forgotten"
    assert jobs.find(ended[4].job_id) is None
    assert jobs.find(ended[5].job_id) is ended[5]
    assert len(list((tmp_path / "jobs").glob("*.json"))) == KEPT + 2
    last.say("x" * OUTPUT_MAX_CHARACTERS)
    last.say("the end")
    assert len(last.output) == OUTPUT_MAX_CHARACTERS
    assert last.output.endswith("the end")


def test_records_that_cannot_be_written_live_as_long_as_the_server(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    jobs = Jobs(tmp_path / "file" / "jobs")
    job = jobs.begin("alpha", "1.0")
    assert jobs.find(job.job_id) is job
