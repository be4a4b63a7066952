"""Devices of torch, and torchaudio beside a torch it was not built for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any, NoReturn

from open_speech_core.errors import LoadFailed
from open_speech_core.providers import Context

EXTENSION = "torchaudio._extension"


def choose_device(asked: str, gpus: int | None = None) -> str:
    """Give torch's name of a device, of so many GPUs; by default, of those that torch finds.

    Raises ``LoadFailed`` when it is not there.
    """
    name, _, number = asked.partition(":")
    if name not in ("auto", "cpu", "cuda") or not (number or "0").isdecimal():
        raise LoadFailed(f"device {asked!r} is unknown; this model runs on cpu, cuda or cuda:N")
    if name == "cpu":
        return "cpu"
    if gpus is None:
        torch: Any = importlib.import_module("torch")
        gpus = int(torch.cuda.device_count()) if torch.cuda.is_available() else 0
    if name == "auto" and not gpus:
        return "cpu"
    if int(number or 0) >= gpus:
        raise LoadFailed(f"device {asked!r} was asked for, but torch finds {gpus} GPUs")
    return f"cuda:{number or 0}"


@contextmanager
def cancelled_by(context: Context, layers: Iterable[Any]) -> Iterator[None]:
    """Look before each of these layers works whether the caller has left. Raises ``Cancelled`` out of the library.

    For a library that cannot be told, and one call at a time: the layers belong to all its calls.
    """

    def look(*_: object) -> None:
        context.check()

    with ExitStack() as hooks:
        for layer in layers:
            hooks.callback(layer.register_forward_pre_hook(look).remove)
        yield


def import_torchaudio() -> None:
    """Import torchaudio, if it is installed, so that others can; where its extension does not load, without that.

    The package index's torchaudio is built for CUDA; beside a torch for the CPU its import raises ``OSError``.
    Libraries import it wherever it is installed, and need its filters in plain torch alone, or nothing of it.
    """
    try:
        importlib.import_module("torchaudio")
    except ImportError:
        return
    except OSError:
        for name in [each for each in sys.modules if each.partition(".")[0] == "torchaudio"]:
            del sys.modules[name]
        sys.modules[EXTENSION] = _without_extension()
        importlib.import_module("torchaudio")


def _without_extension() -> ModuleType:
    """Make the module that torchaudio would have made, had it been built without its extension."""
    module = ModuleType(EXTENSION)
    module.__dict__.update(
        _IS_TORCHAUDIO_EXT_AVAILABLE=False, _IS_ALIGN_AVAILABLE=False, _load_lib=_no_library, fail_if_no_align=_refuse
    )
    return module


def _no_library(name: str) -> bool:
    return False


def _refuse(function: object) -> object:
    def refuse(*_args: object, **_more: object) -> NoReturn:
        raise RuntimeError("torchaudio's extension could not be loaded")

    return refuse
