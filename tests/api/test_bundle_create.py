"""Making a bundle: what is in it, where it comes from, and what cannot be made."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import loopback_hub
from api.bundling import (
    FILES,
    LICENCE_TEXT,
    MODEL,
    ROOT,
    SECRET,
    Things,
    build,
    entry,
    make_wheel,
    pinned,
    repack,
    sha256,
)
from api.test_cli import COMMAND, environment, run, say
from open_speech_api.bundles.creating import SERVER_REQUIREMENTS
from open_speech_api.bundles.machine import Machine, parse_platform
from open_speech_api.bundles.manifest import Manifest, read_manifest
from open_speech_api.bundles.requirements import read_pins

FOLDER = "org--teller"
OURS = ("core", "static", "api", "plugins/silero")
NATIVE = (
    "cp312-cp312-manylinux_2_28_x86_64",
    "cp312-cp312-manylinux_2_28_aarch64",
    "cp313-cp313-manylinux_2_28_aarch64",
)
AARCH64 = ("--python", "3.12", "--platform", "manylinux_2_28_aarch64")


def paths(manifest: Manifest) -> set[str]:
    return {file.path for file in manifest.files}


def test_it_holds_exactly_what_was_asked_for(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    on_disk = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
    assert paths(manifest) == on_disk - {"manifest.json"}
    weights = {path for path in paths(manifest) if path.startswith("weights/")}
    assert weights == {f"weights/teller/{FOLDER}/{name}" for name in FILES}
    names = {path.split("/")[1].split("-")[0] for path in paths(manifest) if path.startswith("wheels/")}
    assert names == {"open_speech_core", "tiny_teller", "msgspec", "numpy", "pluggy"}
    assert [(model.id, model.provider, model.paths) for model in manifest.models] == [(MODEL, "teller", (FOLDER,))]
    assert manifest.python == f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert not bundle.with_name("made.part").exists()


def test_every_digest_is_that_of_its_file(bundle: Path) -> None:
    for file in read_manifest(bundle).files:
        assert (sha256(bundle / file.path), (bundle / file.path).stat().st_size) == (file.sha256, file.bytes)
    for line in (bundle / "SHA256SUMS").read_text().splitlines():
        expected, _, path = line.partition("  ")
        assert sha256(bundle / path) == expected


def test_requirements_are_pinned_for_this_machine_alone(bundle: Path) -> None:
    lines = (bundle / "requirements" / "teller.txt").read_text().splitlines()
    wheels = {sha256(wheel) for wheel in (bundle / "wheels").iterdir()}
    assert {line.split("==")[0] for line in lines} == {"msgspec", "numpy", "pluggy"}
    assert all(line.count("--hash") == 1 and line.rpartition(":")[2] in wheels for line in lines)
    (provider,) = read_manifest(bundle).providers
    minor = sys.version_info[1]
    assert (provider.python, provider.requirements) == (f">=3.{minor},<3.{minor + 1}", "requirements/teller.txt")


def test_licences_are_named_and_their_texts_are_there(bundle: Path) -> None:
    text = (bundle / "LICENCES.txt").read_text()
    assert "weights of org/teller" in text
    assert LICENCE_TEXT in text
    assert "tiny-teller 1.0         CC0-1.0" in text
    found = {file.path.split("/")[-1].split("-")[0]: file.licence for file in read_manifest(bundle).of_kind("wheel")}
    assert found["tiny_teller"] == "CC0-1.0"
    assert all(found.values())


def test_the_token_goes_to_the_hub_and_nowhere_else(tmp_path: Path, things: Things) -> None:
    with loopback_hub.serving(FILES) as hub:
        done = run(tmp_path, "bundle", "create", "made", "--model", MODEL, environ=things.environ(hub.url))
        assert hub.tokens == {f"Bearer {SECRET}"}
    assert done.returncode == 0, say(done)
    for path in (tmp_path / "made").rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes(), path
    assert SECRET not in say(done) + done.stdout.decode()


def test_the_digest_is_printed_and_a_pipe_sees_no_bar(tmp_path: Path, things: Things) -> None:
    done = run(tmp_path, "bundle", "create", "made", "--provider", "teller", environ=things.environ())
    assert done.stdout.decode() == f"{sha256(tmp_path / 'made' / 'manifest.json')}\n"
    assert say(done).startswith("made is whole: provider teller 1.0; 5 wheels, ")
    assert say(done).count("\n") == 1


def test_weights_that_are_here_are_copied_and_others_left(tmp_path: Path, things: Things) -> None:
    home = tmp_path / "data" / "models" / "teller"
    for folder in (FOLDER, "org--other"):
        (home / folder).mkdir(parents=True)
        for name, content in FILES.items():
            (home / folder / name).write_bytes(content)
    (home / FOLDER / ".hidden").write_text("of the hub's client")
    with loopback_hub.serving(FILES) as hub:
        done = run(tmp_path, "bundle", "create", "made", "--model", MODEL, environ=things.environ(hub.url))
        assert hub.asked == 0
    assert done.returncode == 0, say(done)
    weights = {path for path in paths(read_manifest(tmp_path / "made")) if path.startswith("weights/")}
    assert weights == {f"weights/teller/{FOLDER}/{name}" for name in FILES}
    assert (home / FOLDER / ".hidden").exists()


def test_after_a_kill_the_download_is_gone_on_with(tmp_path: Path, things: Things) -> None:
    command = ("bundle", "create", "made", "--model", MODEL)
    with loopback_hub.serving(FILES) as hub:
        environ = environment(tmp_path, **things.environ(hub.url))
        hub.stalls_at = 2000
        killed = subprocess.Popen([*COMMAND, *command], cwd=tmp_path, env=environ, stderr=subprocess.DEVNULL)
        assert hub.stalled.wait(60)
        killed.kill()
        killed.wait()
        assert not (tmp_path / "made").exists()
        (tmp_path / "made.part" / "wheels" / "stray.whl").write_text("of an earlier run")
        hub.stalls_at = None
        hub.going_on.set()
        hub.gets.clear()
        done = run(tmp_path, *command, environ=environ)
        assert [path for path, _ in hub.gets] == ["weights.bin"], "what had come is not fetched again"
    assert done.returncode == 0, say(done)
    made = tmp_path / "made"
    assert (made / "weights" / "teller" / FOLDER / "weights.bin").read_bytes() == FILES["weights.bin"]
    assert not (made / "wheels" / "stray.whl").exists()
    assert not made.with_name("made.part").exists()


def test_what_the_hub_refuses_is_told(tmp_path: Path, things: Things) -> None:
    with loopback_hub.serving(FILES) as hub:
        hub.refusal = (403, "GatedRepo")
        done = run(tmp_path, "bundle", "create", "made", "--model", MODEL, environ=things.environ(hub.url))
    assert done.returncode == 1
    assert say(done).splitlines()[-1] == f"Error: {MODEL!r} is gated: accept its terms on the hub and set HF_TOKEN"
    assert not (tmp_path / "made").exists()


@pytest.mark.slow
def test_a_provider_that_is_not_here_is_tried_out_to_fetch_its_weights(tmp_path: Path, things: Things) -> None:
    environ = things.environ(has_teller=False)
    with loopback_hub.serving(FILES) as hub:
        environ["HF_ENDPOINT"] = hub.url
        done = run(tmp_path, "bundle", "create", "made", "--model", f"fetcher:{MODEL}", environ=environ)
    assert done.returncode == 0, say(done)
    manifest = read_manifest(tmp_path / "made")
    assert f"weights/fetcher/{FOLDER}/weights.bin" in paths(manifest)
    assert any("huggingface_hub" in path for path in paths(manifest))
    assert not (tmp_path / "data" / "providers").exists()


@pytest.fixture
def elsewhere(things: Things, tmp_path: Path) -> dict[str, str]:
    """Settings of a machine that can make bundles for another processor, one of which would be without something."""
    index = tmp_path / "index"
    index.mkdir()
    others = [
        make_wheel(index, "msgspec", version="0.22.0", tag="cp312-cp312-manylinux_2_17_aarch64"),
        make_wheel(index, "numpy", version="2.5.5", tag="cp312-cp312-manylinux_2_28_aarch64"),
        make_wheel(index, "pluggy", version="1.7.0"),
    ]
    here, best, _ = (make_wheel(index, "tiny-native", tag=tag) for tag in NATIVE)
    (tmp_path / "native.txt").write_text(
        "".join(map(pinned, others))
        + pinned(best, "platform_machine == 'aarch64' and python_version >= '3.12'").rstrip()
        + f" --hash=sha256:{sha256(here)}\n"
        + f"never-here==1.0 ; python_full_version < '3.12' --hash=sha256:{'0' * 64}\n"
    )
    (tmp_path / "lacking.txt").write_text("".join(map(pinned, others[:2])))
    (tmp_path / "loose.txt").write_text("msgspec>=0.19\n")
    entries = [entry(name, distribution="tiny-teller", module="tiny_teller") for name in ("native", "lacking", "loose")]
    (tmp_path / "catalogue.json").write_text(json.dumps(entries))
    return {
        **things.environ(),
        "OS_PROVIDER_CATALOGUE": str(tmp_path / "catalogue.json"),
        "PIP_FIND_LINKS": str(index),
    }


def test_wheels_and_markers_are_those_of_the_other_machine(tmp_path: Path, elsewhere: dict[str, str]) -> None:
    done = run(tmp_path, "bundle", "create", "made", "--provider", "native", *AARCH64, environ=elsewhere)
    assert done.returncode == 0, say(done)
    manifest = read_manifest(tmp_path / "made")
    assert (manifest.python, manifest.platform) == ("3.12", "manylinux_2_28_aarch64")
    assert "wheels/tiny_native-1.0-cp312-cp312-manylinux_2_28_aarch64.whl" in paths(manifest)
    assert not [path for path in paths(manifest) if "x86_64" in path or "never" in path]
    refused = run(tmp_path, "bundle", "install", "made")
    assert refused.returncode == 1
    assert "the bundle is for manylinux_2_28_aarch64; this machine is " in say(refused)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "say what it shall hold"),
        (("--provider", "nobody"), 2, "'nobody' is not in the catalogue"),
        (("--provider", "../teller"), 2, "is not in the catalogue"),
        (("--model", "no such"), 2, "no provider of the catalogue is known to have 'no such'"),
        (("--model", "teller:no/such"), 1, "teller knows no model 'no/such'"),
        (("--provider", "teller", "--python", "3.9"), 1, "teller needs Python >=3.11,<3.15; this bundle is for 3.9"),
        (("--provider", "teller", "--python", "three"), 2, "'three' is no version of Python"),
        (("--provider", "teller", "--platform", "win_amd64"), 2, "'win_amd64' is no platform we know"),
        (("--provider", "teller", "--platform", "macosx_14_0_arm64"), 1, "not all wheels for Python"),
    ],
)
def test_what_cannot_be_made_is_told(
    tmp_path: Path, things: Things, arguments: tuple[str, ...], code: int, message: str
) -> None:
    done = run(tmp_path, "bundle", "create", "made", *arguments, environ=things.environ())
    assert done.returncode == code, say(done)
    assert message in say(done)
    assert "Traceback" not in say(done)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("provider", "message"),
    [
        ("lacking", "the wheels of lacking are not enough: open-speech-core 1.0.0 requires pluggy>=1.5"),
        ("loose", "loose.txt does not pin msgspec to one version with digests"),
    ],
)
def test_requirements_that_would_fail_elsewhere_fail_here(
    tmp_path: Path, elsewhere: dict[str, str], provider: str, message: str
) -> None:
    done = run(tmp_path, "bundle", "create", "made", "--provider", provider, *AARCH64, environ=elsewhere)
    assert done.returncode == 1
    assert message in say(done)


def test_a_wheel_with_another_digest_is_not_taken(tmp_path: Path, things: Things) -> None:
    index = tmp_path / "index"
    shutil.copytree(things.index, index)
    with next(index.glob("pluggy-*")).open("ab") as file:
        file.write(b"!")
    environ = {**things.environ(), "PIP_FIND_LINKS": str(index)}
    done = run(tmp_path, "bundle", "create", "made", "--provider", "teller", environ=environ)
    assert done.returncode == 1
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in say(done)


def test_a_missing_wheel_of_ours_and_a_folder_in_use_are_told(tmp_path: Path, things: Things) -> None:
    environ = {**things.environ(), "OS_WHEELHOUSE": str(tmp_path)}
    done = run(tmp_path, "bundle", "create", "made", "--provider", "teller", environ=environ)
    assert done.returncode == 1
    assert "Error: the wheel of open-speech-core is not in the folder that OS_WHEELHOUSE names" in say(done)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "thesis.txt").write_text("mine")
    done = run(tmp_path, "bundle", "create", "used", "--provider", "teller", environ=things.environ())
    assert done.returncode == 1
    assert "is there already" in say(done)
    assert (tmp_path / "used" / "thesis.txt").read_text() == "mine"


@pytest.mark.slow
def test_pip_alone_installs_the_server_from_it(tmp_path: Path) -> None:
    index, house = tmp_path / "index", tmp_path / "house"
    index.mkdir()
    house.mkdir()
    build(house, *OURS)
    needs = [Requirement(text).name for name in OURS for text in requires(f"open-speech-{Path(name).name}") or ()]
    requirements = tmp_path / "server.txt"
    requirements.write_text("".join(map(pinned, sorted(repack(needs, index)))))
    command = (
        "import sys, pathlib, open_speech_api.bundles.creating as creating;"
        "creating.SERVER_REQUIREMENTS = pathlib.Path(sys.argv.pop(1));"
        "from open_speech_api.cli import main; main()"
    )
    own = {"OS_WHEELHOUSE": str(house), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index)}
    environ = environment(tmp_path, **own)
    made = [sys.executable, "-c", command, str(requirements), "bundle", "create", str(tmp_path / "made"), "--server"]
    subprocess.run(made, env=environ, check=True)
    from_it = ("--no-index", "--find-links", str(tmp_path / "made" / "wheels"))
    pip = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--require-hashes", *from_it]
    done = subprocess.run(
        [*pip, "-r", str(tmp_path / "made" / "requirements" / "server.txt")],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "open-speech-api-0.1.0" in done.stdout
    assert "open-speech-silero" in done.stdout


@pytest.mark.parametrize("python", [(3, 11), (3, 12), (3, 13)])
@pytest.mark.parametrize("platform", ["manylinux_2_28_x86_64", "manylinux_2_28_aarch64", "macosx_14_0_arm64"])
def test_the_server_s_requirements_are_the_locked_ones_and_all_it_needs(python: tuple[int, int], platform: str) -> None:
    machine = Machine(python=python, platforms=parse_platform(platform))
    pins = {pin.name: pin.version for pin in read_pins(SERVER_REQUIREMENTS, machine)}
    locked = (Requirement(line) for line in (ROOT / "requirements.lock").read_text().splitlines())
    versions = {
        each.name: str(each.specifier)
        for each in locked
        if not each.marker or each.marker.evaluate({**machine.markers(), "extra": ""})
    }
    assert {name: f"=={version}" for name, version in pins.items()} == {name: versions[name] for name in pins}
    waiting = [f"open-speech-{Path(name).name}" for name in OURS]
    seen: set[str] = set()
    while waiting:
        if (name := canonicalize_name(waiting.pop())) in seen:
            continue
        seen.add(name)
        for wanted in map(Requirement, requires(name) or ()):
            if wanted.marker is None or wanted.marker.evaluate({**machine.markers(), "extra": ""}):
                waiting.append(wanted.name)
    assert {name for name in seen if not name.startswith("open-speech")} == set(pins)
