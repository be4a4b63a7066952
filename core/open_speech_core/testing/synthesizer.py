"""Laws of synthesizers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from open_speech_core.audio import view
from open_speech_core.errors import InvalidRequest
from open_speech_core.providers import AnyProvider, SynthesizerEngine
from open_speech_core.testing.laws import Ledger, Report
from open_speech_core.testing.memory import CALLS, check_memory
from open_speech_core.testing.rig import Rig
from open_speech_core.types import Audio, Float32, LoadSpec, Model, Samples, SynthesizeRequest, Timing

TEXT = "The quick brown fox jumps over the lazy dog. Then it rests for a while. Nobody minds."
HEARD = {
    "one letter": "a",
    "mixed scripts": "Привет, 世界, مرحبا, hello, 123.45 €",
    "one long word": "a" * 300,
    "one long sentence": "and then they went on to the next house " * 15,
}
"""What every voice speaks, if it does not refuse it."""
SILENT = {"no text": "", "blanks": " \n\t "}
"""What nobody can speak: refused, or silence."""
STRANGE = {
    "punctuation": "... ?! --- ;",
    "emoji": "😀👩‍👩‍👧‍👦🏳️‍🌈",
    "control characters": "a\0b\x1bc\u202ed\ufeff",
    "a lone accent": "\u0301",
}
"""What some speak and some leave out or refuse; never anything else."""
MAX_LEVEL = 1.0 + 1e-4
QUIET_RMS = 1e-4
TOLERANCE_S = 0.1
"""How far a word may lie beyond the end of the audio."""
VOICES = 3
"""Voices that are tried."""


def check_synthesizer(
    provider: AnyProvider, model: Model, *, spec: LoadSpec | None = None, text: str = TEXT, calls: int = CALLS
) -> Report:
    """Load ``model`` and check every law of a synthesizer. Raise ``Violation``.

    After ``calls`` calls it must be as large as after the first of them; 0 leaves that out.
    """
    ledger = Ledger(f"synthesizer {provider.info.name}:{model.id}")
    with Rig(provider, model, spec, ledger) as rig:
        check = _Check(rig)
        for what, strange in STRANGE.items():
            check.direct(f"on {what}", strange, lenient=True)
        spoken = check.speaks(text)
        for what, words in HEARD.items():
            check.refused_or_heard(what, words)
        for what, nothing in SILENT.items():
            check.refused_or_silent(what, nothing)
        for voice in provider.voices(model)[1:VOICES]:
            check.speaks(text, voice=voice.id)
        check.speed(text, len(spoken))
        check.streams(text)
        check.frames(text)
        if np.array_equal(check.speaks(text), spoken):
            check.threads(text, spoken)
        else:
            ledger.skip("threads do not mix", "two equal calls gave different samples")
            rig.at_once(lambda: check.speaks(text))
        rig.check_cancel(check.request(text))
        check.frames(HEARD["one long sentence"])
        rig.check_promise()
        check_memory(lambda: check.direct("once more", "Yes."), ledger, calls=calls)
    return ledger.report()


class _Check:
    def __init__(self, rig: Rig) -> None:
        assert isinstance(rig.engine, SynthesizerEngine)
        self._rig = rig
        self._engine = rig.engine
        self._ledger = rig.ledger
        self._voice = rig.provider.voices(rig.model)[0].id

    def request(self, text: str, *, voice: str | None = None, speed: float = 1.0) -> SynthesizeRequest:
        options = self._rig.options()
        return SynthesizeRequest(text=text, voice=voice or self._voice, speed=speed, options=options)

    def direct(self, what: str, text: str, *, lenient: bool = False, **fields: Any) -> list[Audio | Timing]:
        request = self.request(text, **fields)
        items = self._ledger.run(
            "survives any text" if lenient else "speaks",
            f"synthesize {what}",
            lambda: self._rig.direct(self._engine.synthesize, request),
            *((InvalidRequest,) if lenient else ()),
        )
        _check_items(items or (), self._rig.model.rate, what, self._ledger)
        return items or []

    def refused_or_heard(self, what: str, text: str) -> None:
        items = self.direct(f"on {what}", text, lenient=True)
        if items:
            level = _level(_joined(items))
            self._ledger.require("refuses or is heard", level > QUIET_RMS, f"{what}: audio at RMS {level:.6f}")

    def refused_or_silent(self, what: str, text: str) -> None:
        level = _level(_joined(self.direct(f"on {what}", text, lenient=True)))
        self._ledger.require("says nothing to nothing", level <= QUIET_RMS, f"{what}: audio at RMS {level:.6f}")

    def speaks(self, text: str, **fields: Any) -> Float32:
        samples = _joined(self.direct("on a text", text, **fields))
        level = _level(samples)
        heard = f"{len(samples)} frames at RMS {level:.6f}, {fields}"
        self._ledger.require("is heard", level > QUIET_RMS, heard)
        return samples

    def speed(self, text: str, frames: int) -> None:
        if not self._rig.provider.capabilities.speed_control:
            return self._ledger.skip("speed shortens", "capabilities.speed_control is False")
        ratio = len(self.speaks(text, speed=2.0)) / frames
        self._ledger.require("speed shortens", 0.3 < ratio < 0.8, f"at speed 2: {ratio:.2f} of its length")

    def streams(self, text: str) -> None:
        if not self._rig.provider.capabilities.streaming:
            return self._ledger.skip("streams", "capabilities.streaming is False")
        blocks = sum(isinstance(item, Audio) for item in self.direct("in pieces", text))
        self._ledger.require("streams", blocks > 1, f"three sentences came in {blocks} piece")

    def frames(self, text: str) -> None:
        answer = self._rig.call(self.request(text))
        self._ledger.require("works through frames", answer.error is None, answer.message)
        pieces = [item for item in answer.items if isinstance(item, Samples)]
        self._ledger.require("works through frames", bool(pieces), "no samples arrived")
        rates = {piece.rate for piece in pieces}
        self._ledger.require("has the model's rate", rates == {self._rig.model.rate}, f"rates {rates}")
        longest = max(len(view(piece.data)) for piece in pieces)
        self._ledger.require("items are at most 1 s", longest <= self._rig.model.rate, f"{longest} frames")

    def threads(self, text: str, expected: Float32) -> None:
        same = self._rig.at_once(lambda: bool(np.array_equal(self.speaks(text), expected)))
        self._ledger.require("threads do not mix", all(same), "a call beside others gave other samples")


def _level(samples: Float32) -> float:
    """Give the RMS."""
    return float(np.sqrt(np.mean(np.square(samples)))) if len(samples) else 0.0


def _joined(items: Iterable[object]) -> Float32:
    blocks = [item.samples for item in items if isinstance(item, Audio)]
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def _check_items(items: Sequence[object], rate: int, what: str, ledger: Ledger) -> None:
    for item in items:
        ledger.require("gives Audio or Timing", isinstance(item, Audio | Timing), f"{what}: {item!r}")
        if isinstance(item, Audio):
            _check_audio(item, rate, what, ledger)
    length_s = len(_joined(items)) / rate
    previous = 0.0
    for timing in (item for item in items if isinstance(item, Timing)):
        good = previous <= timing.start <= timing.end <= length_s + TOLERANCE_S
        ledger.require("word times are in order", good, f"{what}: {timing!r} of {length_s:.2f} s")
        previous = timing.start


def _check_audio(item: Audio, rate: int, what: str, ledger: Ledger) -> None:
    samples = item.samples
    shape = getattr(samples, "shape", None)
    kind = getattr(samples, "dtype", None)
    ledger.require("samples are float32", kind == np.float32, f"{what}: {kind}")
    ledger.require("samples are one channel", shape is not None and len(shape) == 1, f"{what}: shape {shape}")
    ledger.require("samples are finite", bool(np.isfinite(samples).all()), f"{what}: NaN or infinite")
    peak = float(np.abs(samples).max(initial=0.0))
    ledger.require("samples are -1 to 1", peak <= MAX_LEVEL, f"{what}: peak {peak:.4f}")
    ledger.require("has the model's rate", item.rate == rate, f"{what}: {item.rate} Hz, not {rate}")
