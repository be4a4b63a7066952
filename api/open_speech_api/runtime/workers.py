"""How a target becomes a worker: its link, its environment, its limits."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

from .links import InlineLink, Link, ProcessLink
from .target import Target
from .worker import Limits, Worker

PASSED_ON = frozenset(
    {
        "PATH", "HOME", "USER", "LANG", "LANGUAGE", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH",
        "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES", "OS_LOG_LEVEL", "OS_WORKER_NICE",
    }
)  # fmt: skip
"""Variables every worker gets; all others only if its provider declares them."""
PASSED_ON_PREFIXES = ("LC_", "OPENBLAS_", "NVIDIA_")


def make_workers(environ: Mapping[str, str], limits: Limits) -> Callable[[Target], Worker]:
    """Give the pool's way of making workers."""
    return functools.partial(_make, base_environment(environ), environ.get("PYTHONPATH"), limits)


def base_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Filter the server's environment to what every worker may see."""
    return {name: value for name, value in environ.items() if name in PASSED_ON or name.startswith(PASSED_ON_PREFIXES)}


SHORT_SPIN = {"GOMP_SPINCOUNT": "10000", "KMP_BLOCKTIME": "1"}
"""A team of threads may spin below a tenth of a millisecond between its tasks: Whisper on two threads takes an eighth
longer without, and beside a busy core no longer with it. The libraries' own defaults spin for up to 200 ms."""
NO_SPIN = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}


def thread_environment(threads: int) -> dict[str, str]:
    """Bound native thread pools, and how long they spin: for long, it collapses when processes compete."""
    return {
        "OMP_NUM_THREADS": str(threads),
        **(SHORT_SPIN if threads > 1 else NO_SPIN),
        "MKL_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "false",
        # Each arena of glibc's malloc keeps memory of its own.
        "MALLOC_ARENA_MAX": "2",
    }


def _make(base: Mapping[str, str], python_path: str | None, limits: Limits, target: Target) -> Worker:
    return Worker(_link(base, python_path, target), limits)


def _link(base: Mapping[str, str], python_path: str | None, target: Target) -> Link:
    if target.inline:
        return InlineLink()
    environment = {**base, **thread_environment(target.spec.load.threads), **target.environment}
    if python_path and target.interpreter is None:
        environment["PYTHONPATH"] = python_path
    return ProcessLink(environment, target.interpreter)
