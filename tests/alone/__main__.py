"""``python -m tests.alone``: a clean environment for each plugin, and a table of what each served."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ..api.serving import Running
from .environment import PLUGINS, Environment, brought, build_wheels
from .trials import TRIALS, Trial

TORCH_PYTHONS = ((3, 11), (3, 12))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.alone", description=__doc__)
    parser.add_argument("plugins", nargs="*", choices=[[], *TRIALS], metavar="PLUGIN", help="default: all")
    parser.add_argument("--list", action="store_true", help="name the plugins there are trials for, and end")
    arguments = parser.parse_args()
    if arguments.list:
        print(*TRIALS, sep="\n")
        return 0
    if lacking := set(PLUGINS) - set(TRIALS):
        parser.error(f"no trial for {', '.join(sorted(lacking))}; add it to tests/alone/trials.py")
    with tempfile.TemporaryDirectory(prefix="alone-") as folder:
        wheels = build_wheels(Path(folder) / "wheels")
        rows = [_row(name, wheels, Path(folder)) for name in arguments.plugins or TRIALS]
    print("\n| plugin | installed in, s | MB | served in, s | what |\n|---|---|---|---|---|")
    print(*(row for row, _good in rows), sep="\n")
    return 0 if all(good for _row, good in rows) else 1


def _row(name: str, wheels: Mapping[str, Path], folder: Path) -> tuple[str, bool]:
    """Run one trial; give its line of the table and whether all was well."""
    trial = TRIALS[name]
    if trial.torch and sys.version_info[:2] not in TORCH_PYTHONS:
        return f"| {name} | | | | skipped: it needs Python 3.11 or 3.12 |", True
    scratch = folder / name
    scratch.mkdir()
    print(f"{name} ...", flush=True)
    try:
        row = _tried(name, trial, wheels, scratch)
    except Exception as error:
        traceback.print_exc()
        return f"| {name} | | | | FAILED: {next(iter(str(error).splitlines()), repr(error))} |", False
    finally:
        shutil.rmtree(scratch)
    print(row, flush=True)
    return row, True


def _tried(name: str, trial: Trial, wheels: Mapping[str, Path], scratch: Path) -> str:
    environment = Environment(scratch / "env")
    own = f"{name}[{trial.extra}]" if trial.extra else name
    installed_s = environment.install(["api", own], wheels, trial.locks, trial.weights)
    _assert_ours(environment, ["api", name])
    if trial.beside:
        with _started(environment, scratch / "alone", trial.environ) as server:
            _assert_found(server, [name])
            _assert_refused(server)
        environment.install(trial.beside, wheels, trial.locks)
        _assert_ours(environment, ["api", name, *trial.beside])
    trial.prepare(environment, scratch / "serving" / "data" / "models")
    since = time.monotonic()
    with _started(environment, scratch / "serving", trial.environ) as server:
        _assert_found(server, [name, *trial.beside])
        try:
            served = trial.serve(server)
        except Exception:
            print(server.log(), file=sys.stderr)
            raise
    served_s = time.monotonic() - since
    return f"| {name} | {installed_s:.0f} | {_size_mb(environment.folder)} | {served_s:.0f} | {served} |"


@contextmanager
def _started(environment: Environment, folder: Path, environ: Mapping[str, str]) -> Iterator[Running]:
    """Run the environment's own command, without a hub and without the repository's modules."""
    folder.mkdir(exist_ok=True)
    own = {"HOME": str(folder), "HF_HOME": str(folder / "hub"), "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
    server = Running(
        folder,
        environ={**own, "PYTHONNOUSERSITE": "1", **environ},
        command=[str(environment.command), "serve"],
    )
    server.client.timeout = 300
    try:
        yield server
    finally:
        server.stop()


def _assert_ours(environment: Environment, wanted: Iterable[str]) -> None:
    """Assert that of ours only what is wanted was installed, and what that asks for."""
    found, expected = environment.ours(), brought(wanted)
    assert found == expected, f"installed of ours: {sorted(found)}, not {sorted(expected)}"


def _assert_found(server: Running, names: Iterable[str]) -> None:
    """Assert that the server has just these plugins, and what they bring, and nothing against them."""
    listed = {each["name"]: each["error"] for each in server.client.get("/api/plugins").json()["plugins"]}
    assert set(listed) == {name for name in brought(names) if name in PLUGINS}, listed
    assert not any(listed.values()), listed


def _assert_refused(server: Running) -> None:
    """Assert that a server without an engine says so."""
    spoken = server.client.post("/v1/audio/speech", json={"input": "Yes.", "model": "tts-1", "voice": "alloy"})
    heard = server.client.post("/v1/audio/transcriptions", files={"file": ("a.wav", b"RIFF")})
    for answer, kind in ((spoken, "synthesizer"), (heard, "transcriber")):
        assert answer.status_code == 404, answer.text
        assert f"no {kind} is installed" in answer.json()["error"]["message"], answer.text


def _size_mb(folder: Path) -> int:
    files = (Path(root, name) for root, _folders, names in os.walk(folder) for name in names)
    return round(sum(file.lstat().st_size for file in files) / 1e6)


if __name__ == "__main__":
    sys.exit(main())
