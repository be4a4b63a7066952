"""Running what a page shows, as a reader would, against a test's server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from api.serving import clean_environment

SHOWN = "127.0.0.1:8100"
"""Address in all pages."""
CURLRC = "fail-with-body\nsilent\nshow-error\n"
"""A status of 400 and above fails a block."""


def pointed_at(text: str, port: int) -> str:
    return text.replace(SHOWN, f"127.0.0.1:{port}")


def run_shell(text: str, folder: Path, port: int, environ: Mapping[str, str] | None = None) -> str:
    """Run a block of bash in ``folder``, whose ``.venv`` is this environment; give what it printed."""
    (folder / ".curlrc").write_text(CURLRC)
    if not (folder / ".venv").exists():
        (folder / ".venv").symlink_to(sys.prefix)
    own = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "CURL_HOME": str(folder),
        "NO_PROXY": "127.0.0.1",
        "OS_PORT": str(port),
        "OS_DATA_DIR": str(folder / "data"),
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", pointed_at(text, port)],
        cwd=folder,
        env={**clean_environment(), **own, **(environ or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def run_python(text: str, name: str, port: int) -> None:
    """Run a script here, in the present folder."""
    exec(compile(pointed_at(text, port), name, "exec"), {"__name__": "__main__"})
