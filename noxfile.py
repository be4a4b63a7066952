"""The jobs of this repository: ``nox -l`` lists them, ``nox -s NAME`` runs one.

Every environment is installed from ``requirements.lock`` with our own distributions editable on top.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).parent
DISTRIBUTIONS = [
    "core",
    "static",
    "api",
    *sorted(p.parent.relative_to(ROOT).as_posix() for p in ROOT.glob("plugins/*/pyproject.toml")),
]
PYTHONS = ["3.11", "3.12", "3.13"]
SERVER_REQUIREMENTS = "api/open_speech_api/installs/requirements/server.txt"
TYPED = ["core/open_speech_core", "api/open_speech_api", "plugins/echo/open_speech_echo"]

WITHOUT_TORCH = "starter,kokoro,resemblyzer,echo,effects,denoise"
"""The extras of which `requirements.lock` has all; it is what every change is tested with."""
TORCH_PYTHONS = ["3.11", "3.12"]
"""What the engines on torch run under."""

QWEN_LOCK = "requirements-qwen.lock"
"""All of one environment: it shares nothing with ``requirements.lock``. Without the packages of CUDA."""

nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["tests"]


def install(session: nox.Session, *locks: str) -> None:
    """Install the locked versions, then our distributions, editable and without their dependencies."""
    for lock in ("requirements.lock", *locks):
        session.install("-r", lock)
    editable = [argument for folder in DISTRIBUTIONS for argument in ("-e", f"./{folder}")]
    session.install("--no-build-isolation", "--no-deps", *editable)


def check_style(session: nox.Session) -> None:
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


def check_types(session: nox.Session) -> None:
    session.run("mypy", *TYPED)
    session.run("pyright")


@nox.session
def dev(session: nox.Session) -> None:
    """Make the environment to work in; activate it afterwards."""
    install(session)
    session.log("activate it: source %s/bin/activate", session.virtualenv.location)


@nox.session
def tests(session: nox.Session) -> None:
    """Run all that a change must pass: style, types, tests. Arguments after ``--`` go to pytest."""
    install(session)
    check_style(session)
    check_types(session)
    session.run("pytest", *session.posargs)


@nox.session
def engines(session: nox.Session) -> None:
    """Run the tests of the engines that need torch, in an environment that has them all."""
    if f"{sys.version_info.major}.{sys.version_info.minor}" not in TORCH_PYTHONS:
        session.skip(f"the engines on torch need Python {' or '.join(TORCH_PYTHONS)}")
    install(session, "requirements-engines.lock")
    session.run("pytest", "tests/plugins", "-m", "torch", *session.posargs)


@nox.session
def qwen(session: nox.Session) -> None:
    """Run the tests of Qwen3-TTS, whose library pins what others want newer, in an environment of its own."""
    if f"{sys.version_info.major}.{sys.version_info.minor}" not in TORCH_PYTHONS:
        session.skip(f"the engines on torch need Python {' or '.join(TORCH_PYTHONS)}")
    session.install("-r", QWEN_LOCK)
    session.install("--no-build-isolation", "--no-deps", "-e", "./core", "-e", "./plugins/qwen")
    session.run("pytest", "tests/plugins/test_qwen_engine.py", "-m", "qwen", *session.posargs)


@nox.session(python=PYTHONS)
def pythons(session: nox.Session) -> None:
    """Run the tests under every Python we promise; one that is not installed is skipped."""
    install(session)
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format."""
    install(session)
    check_style(session)


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy and pyright, both strict."""
    install(session)
    check_types(session)


@nox.session
def wheels(session: nox.Session) -> None:
    """Build a wheel of every distribution into ``dist/`` and check what is in them."""
    install(session)
    shutil.rmtree(ROOT / "dist", ignore_errors=True)
    for folder in DISTRIBUTIONS:
        session.run("python", "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", folder)
    session.run("pytest", "tests/packaging", *session.posargs)


@nox.session
def alone(session: nox.Session) -> None:
    """Show that each plugin serves, installed with the server alone; names after ``--`` choose some of them.

    Each has a clean environment, deleted when it was shown; those on torch take up to 6 GB meanwhile.
    """
    install(session)
    session.run("python", "-m", "tests.alone", *session.posargs, env={"TMPDIR": session.create_tmp()})


@nox.session
def docs(session: nox.Session) -> None:
    """Run every example of the documentation."""
    install(session)
    session.run("pytest", "tests/docs", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure speed and memory; prints a table and writes JSON. Arguments go to the benchmark."""
    install(session)
    session.run("python", "-m", "tests.bench", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Load, use and unload for a long while; fails when memory or descriptors grow."""
    install(session)
    session.run("python", "-m", "tests.bench", "soak", *session.posargs)


@nox.session
def lock(session: nox.Session) -> None:
    """Write ``requirements.lock`` anew: the newest versions that fit every Python from 3.11 on.

    And those of them that the server needs, with digests, for bundles.
    """
    session.install("uv>=0.9")
    ours = [f"open-speech-{Path(folder).name}" for folder in DISTRIBUTIONS]
    skip = [argument for name in ("open-speech-server", *ours) for argument in ("--no-emit-package", name)]
    wanted = Path(session.create_tmp()) / "requirements.in"
    wanted.write_text(f".[{WITHOUT_TORCH},dev]\n")
    session.run(
        *("uv", "pip", "compile", str(wanted), "--universal", "--python-version", "3.11", "--upgrade"),
        *("--no-header", "--no-annotate", "--quiet", "--output-file", "requirements.lock", *skip),
    )
    wanted.write_text("./core\n./static\n./api\n./plugins/silero\n")
    session.run(
        *("uv", "pip", "compile", str(wanted), "--universal", "--python-version", "3.11", "--generate-hashes"),
        *("--constraint", "requirements.lock", "--no-header", "--no-annotate", "--quiet", *skip),
        *("--output-file", SERVER_REQUIREMENTS),
    )


@nox.session
def catalogue(session: nox.Session) -> None:
    """Pin, with hashes, what each provider of the catalogue needs; names after ``--`` choose some of them.

    The versions are those of the locks; what the locks do not name keeps the version it has until its file is deleted.
    """
    session.install("uv>=0.9")
    folder = ROOT / "api" / "open_speech_api" / "installs"
    wanted = Path(session.create_tmp()) / "requirements.in"
    for entry in json.loads((folder / "catalogue.json").read_text()):
        if session.posargs and entry["name"] not in session.posargs:
            continue
        plugin = ROOT / "plugins" / entry["distribution"].removeprefix("open-speech-")
        extra = f"[{entry['extra']}]" if entry.get("extra") else ""
        names = (QWEN_LOCK,) if entry["name"] == "qwen3" else ("requirements.lock", "requirements-engines.lock")
        locks = [argument for lock in names for argument in ("-c", lock)]
        own = entry.get("own", ["open-speech-core"])
        folders = [ROOT / "core", *(ROOT / "plugins" / name.removeprefix("open-speech-") for name in own[1:])]
        wanted.write_text("".join(f"{folder}\n" for folder in folders) + f"{plugin}{extra}\n")
        ours = [argument for name in (*own, entry["distribution"]) for argument in ("--no-emit-package", name)]
        session.run(
            *("uv", "pip", "compile", str(wanted), "--universal", "--python-version", "3.11", "--generate-hashes"),
            *("--no-build", "--custom-compile-command", "nox -s catalogue", "--no-annotate", "--quiet", *ours, *locks),
            *("--output-file", str(folder / entry["requirements"])),
        )
