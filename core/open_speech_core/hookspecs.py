"""The hooks a plugin may implement. pluggy registers; it never carries audio.

Each is called once, in the process that discovered the plugin, and must be cheap: no model library is
imported, nothing is loaded. Import ``hookimpl`` from here and register the module under the entry-point
group ``open_speech``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pluggy

from .providers import Detector, Diarizer, Processor, Synthesizer, Transcriber
from .types import Event, ModelSource

PROJECT = "open_speech"
"""Name of the pluggy project and of the entry-point group."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def open_speech_register_transcribers() -> Iterable[type[Transcriber[Any]]]:  # type: ignore[empty-body]
    """Give classes that turn speech into text."""


@hookspec
def open_speech_register_synthesizers() -> Iterable[type[Synthesizer[Any]]]:  # type: ignore[empty-body]
    """Give classes that turn text into speech."""


@hookspec
def open_speech_register_detectors() -> Iterable[type[Detector[Any]]]:  # type: ignore[empty-body]
    """Give classes that find speech (voice activity detection)."""


@hookspec
def open_speech_register_diarizers() -> Iterable[type[Diarizer[Any]]]:  # type: ignore[empty-body]
    """Give classes that say who spoke when."""


@hookspec
def open_speech_register_processors() -> Iterable[type[Processor[Any]]]:  # type: ignore[empty-body]
    """Give classes that change samples: noise reduction, loudness, effects."""


@hookspec
def open_speech_model_sources() -> Iterable[ModelSource]:  # type: ignore[empty-body]
    """Give the weights this package ships, found without importing anything heavy."""


@hookspec
def open_speech_observe(event: Event) -> None:
    """See a finished request.

    Called from one background thread through a bounded queue; when it is full, events are dropped and
    counted. It cannot fail a request.
    """
