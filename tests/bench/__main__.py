"""``python -m tests.bench`` and ``python -m tests.bench soak``: arguments, order, and where results go."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from msgspec import structs

from . import (
    engines,
    health,
    kokoro,
    leaving,
    live,
    long_audio,
    memory,
    neighbour,
    overhead,
    page,
    ratio,
    results,
    startup,
    throughput,
    utterances,
)
from .machine import await_quiet, look
from .results import Report, Result
from .soak import soak
from .stage import Measurement, Stage

ROOT = Path(__file__).parents[2]
MEASUREMENTS: Mapping[str, Measurement] = MappingProxyType(
    {
        "startup": startup.measure,
        "memory": memory.measure,
        "overhead": overhead.measure,
        "ratio": ratio.measure,
        "utterances": utterances.measure,
        "throughput": throughput.measure,
        "health": health.measure,
        "neighbour": neighbour.measure,
        "live": live.measure,
        "leaving": leaving.measure,
        "long_audio": long_audio.measure,
        "engines": engines.measure,
        "kokoro": kokoro.measure,
    }
)
SOAK_MINUTES = 30.0
SHORT_SOAK_MINUTES = 1.0
REASON_CHARS = 200
PATIENCE_S = 60.0
"""Longest wait for a quiet machine before each measurement."""


def main(arguments: list[str]) -> int:
    """Run what was asked for; give the exit status."""
    # As an exception, so that servers are stopped and folders removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if arguments[:1] == ["soak"]:
        return _soak(arguments[1:])
    asked = _parser().parse_args(arguments)
    if asked.list:
        print("\n".join(MEASUREMENTS))
        return 0
    if asked.read:
        report = results.load(asked.read)
        print(results.table(report.results))
    else:
        report = _run(asked.only or list(MEASUREMENTS), asked.quick, _command(asked.only or [], asked.quick))
        print(f"\n{results.table(report.results)}\n\nwritten: {results.save(report, asked.out)}")
    if asked.write_docs:
        page.write(asked.write_docs, report)
    for failure in report.failures:
        print(f"not measured: {failure}", file=sys.stderr)
    return 1 if report.failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description="Measure speed and memory. `soak` first: the long run."
    )
    parser.add_argument("--quick", action="store_true", help="few samples: does it work, roughly how fast")
    parser.add_argument("--only", action="append", choices=list(MEASUREMENTS), help="only this; may be repeated")
    parser.add_argument("--list", action="store_true", help="name the measurements")
    parser.add_argument("--out", type=Path, default=ROOT / "bench-results", help="folder for the JSON")
    parser.add_argument("--read", type=Path, nargs="+", help="read results from JSON instead; the last file wins")
    parser.add_argument("--write-docs", type=Path, metavar="PAGE", help="write the table into this page")
    return parser


def speech_folder() -> Path:
    """Find real speech, outside the project; end with the reason when it is not there."""
    data = Path(os.environ.get("OPEN_SPEECH_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not (data / "speech" / "jfk.flac").is_file():
        raise SystemExit(f"no speech to measure with: {data}/speech is not there (set OPEN_SPEECH_TEST_DATA)")
    return data / "speech"


def _command(only: list[str], quick: bool) -> str:
    """Give the command that repeats a run, without where its results went."""
    words = ["python -m tests.bench", *(["--quick"] if quick else []), *(f"--only {name}" for name in only)]
    return " ".join(words)


def _run(names: list[str], quick: bool, command: str) -> Report:
    found: list[Result] = []
    failures: list[str] = []
    started = datetime.now(UTC).isoformat(timespec="seconds").removesuffix("+00:00") + "Z"
    busy: list[float] = []
    with tempfile.TemporaryDirectory(prefix="open-speech-bench-", ignore_cleanup_errors=True) as folder:
        stage = Stage(speech_folder(), Path(folder), quick=quick)
        for name in names:
            busy.append(await_quiet(0 if quick else PATIENCE_S))
            since = time.monotonic()
            try:
                for result in MEASUREMENTS[name](stage):
                    found.append(result)
                    print(results.table([result]).splitlines()[-1], flush=True)
            except Exception as error:  # one that fails must not cost the others
                traceback.print_exc()
                failures.append(f"{name}: {type(error).__name__}: {str(error).strip()[-REASON_CHARS:]}")
            busy.append(await_quiet(0))
            print(f"  ({name} took {time.monotonic() - since:.0f} s)", flush=True)
    return Report(
        started=started,
        command=command,
        quick=quick,
        machine=structs.replace(look(), busy_percent=max(busy)),
        results=tuple(found),
        failures=tuple(failures),
    )


def _soak(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench soak", description=soak.__doc__)
    parser.add_argument("--minutes", type=float, default=SOAK_MINUTES)
    parser.add_argument("--quick", action="store_true", help="one minute")
    asked = parser.parse_args(arguments)
    minutes = SHORT_SOAK_MINUTES if asked.quick else asked.minutes
    with tempfile.TemporaryDirectory(prefix="open-speech-soak-", ignore_cleanup_errors=True) as folder:
        problems = soak(Stage(speech_folder(), Path(folder), quick=asked.quick), minutes * 60)
    print("\n".join(problems) or "nothing piled up")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
