"""Ways to the plugins and frames that core's tests use."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from open_speech_core.providers import AnyProvider
from open_speech_core.worker.engines import instantiate

HERE = Path(__file__).parent


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Give the module name of a broken plugin, importable while the test runs."""
    monkeypatch.syspath_prepend(str(HERE))
    yield lambda name: f"broken_plugins.{name}"
    for module in [name for name in sys.modules if name.startswith("broken_plugins")]:
        del sys.modules[module]


@pytest.fixture
def echo(tmp_path: Path) -> Callable[..., AnyProvider]:
    """Make a provider of echo: its class and environment."""

    def make(cls: type[AnyProvider], **environ: str) -> AnyProvider:
        return instantiate(cls, tmp_path, environ)

    return make
