"""Laws of transcribers."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from open_speech_core.providers import AnyProvider, TranscriberEngine
from open_speech_core.testing import signals
from open_speech_core.testing.laws import Ledger, Report
from open_speech_core.testing.memory import CALLS, check_memory
from open_speech_core.testing.rig import Rig
from open_speech_core.types import (
    AudioIn,
    Float32,
    Info,
    LoadSpec,
    MappedFile,
    Model,
    Segment,
    TranscribeRequest,
    Word,
)

TOLERANCE_S = 0.02
"""How far a time may lie beyond the end of the audio."""
PROMPT = "Привет, 世界, مرحبا 😀"


def check_transcriber(
    provider: AnyProvider,
    model: Model,
    *,
    spec: LoadSpec | None = None,
    speech: Float32 | None = None,
    calls: int = CALLS,
) -> Report:
    """Load ``model`` and check every law of a transcriber. Raise ``Violation``.

    ``speech``, at the model's rate, makes the checks stronger; without it a babble stands in. After ``calls`` calls
    it must be as large as after the first of them; 0 leaves that out.
    """
    ledger = Ledger(f"transcriber {provider.info.name}:{model.id}")
    rate = model.rate
    speech = signals.babble(rate, 5.0) if speech is None else speech
    with Rig(provider, model, spec, ledger) as rig:
        check = _Check(rig)
        for what, samples in {
            "no samples": signals.silence(rate, 0),
            "one sample": np.full(1, 0.5, np.float32),
            "10 ms": signals.noise(rate, 0.01),
            "silence": signals.silence(rate, 2.0),
            "noise at full scale": signals.noise(rate, 1.0),
            "a whole span": signals.silence(rate, min(model.span_s or 30.0, 30.0)),
        }.items():
            check.direct(f"on {what}", signals.samples(samples, rate))
        audio = signals.samples(speech, rate)
        first = check.direct("on speech", audio)
        check.direct("with all fields", audio, prompt=PROMPT, temperature=0.5, language="en", logprobs=True)
        check.words(audio)
        check.frames(audio)
        if _text(check.direct("on speech again", audio)) == _text(first):
            check.mapped(speech, _text(first))
            check.threads(audio, _text(first))
        else:
            ledger.skip("a stretch of a file is the same", "two equal calls gave different texts")
        rig.check_cancel(check.request(audio))
        # Nothing is slower than a span full of what is not speech.
        check.frames(signals.samples(signals.babble(rate, min(model.span_s or 30.0, 30.0)), rate))
        rig.check_promise()
        short = signals.samples(speech[: rate // 2], rate)
        check_memory(lambda: check.direct("once more", short), ledger, calls=calls)
    return ledger.report()


class _Check:
    def __init__(self, rig: Rig) -> None:
        assert isinstance(rig.engine, TranscriberEngine)
        self._rig = rig
        self._engine = rig.engine
        self._ledger = rig.ledger

    def request(self, audio: AudioIn, **fields: Any) -> TranscribeRequest:
        return TranscribeRequest(audio=audio, options=self._rig.options(), **fields)

    def direct(self, what: str, audio: AudioIn, **fields: Any) -> list[Info | Segment]:
        request = self.request(audio, **fields)
        work = partial(self._rig.direct, self._engine.transcribe, request)
        items = self._ledger.run("survives any audio", f"transcribe {what}", work)
        assert items is not None
        _check_items(items, _duration_s(audio), what, self._ledger)
        return items

    def words(self, audio: AudioIn) -> None:
        if not self._rig.provider.capabilities.word_timestamps:
            return self._ledger.skip("gives words", "capabilities.word_timestamps is False")
        items = self.direct("with word times", audio, word_timestamps=True)
        spoken = [item for item in items if isinstance(item, Segment) and item.text.strip()]
        wordless = [item for item in spoken if not item.words]
        self._ledger.require("gives words", not wordless, f"words were asked for, {wordless[:1]!r} has none")

    def frames(self, audio: AudioIn) -> None:
        answer = self._rig.call(self.request(audio))
        self._ledger.require("works through frames", answer.error is None, answer.message)
        _check_items(answer.items, _duration_s(audio), "through frames", self._ledger)

    def mapped(self, speech: Float32, expected: str) -> None:
        rate, lead = self._rig.model.rate, 1000
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "samples")
            block = np.concatenate([signals.noise(rate, 1.0)[:lead], speech, signals.noise(rate, 0.5)])
            block.astype("<f4").tofile(path)
            audio = MappedFile(path=str(path), offset=lead, frames=len(speech), rate=rate)
            got = _text(self.direct("on a stretch of a file", audio))
        self._ledger.require("a stretch of a file is the same", got == expected, f"{got!r}, not {expected!r}")

    def threads(self, audio: AudioIn, expected: str) -> None:
        texts = self._rig.at_once(lambda: _text(self.direct("from several threads", audio)))
        self._ledger.require(
            "threads do not mix", set(texts) == {expected}, f"{sorted(set(texts))!r}, not {expected!r}"
        )


def _duration_s(audio: AudioIn) -> float:
    frames = audio.frames if isinstance(audio, MappedFile) else len(audio.data) // 4
    return frames / audio.rate


def _text(items: Iterable[object]) -> str:
    return "".join(item.text for item in items if isinstance(item, Segment))


def _check_items(items: Sequence[object], duration_s: float, what: str, ledger: Ledger) -> None:
    first = items[0] if items else None
    ledger.require("Info comes first", isinstance(first, Info), f"{what}: the first item is {first!r}")
    previous = 0.0
    for item in items[1:]:
        ledger.require("then come segments", isinstance(item, Segment), f"{what}: {item!r} follows Info")
        assert isinstance(item, Segment)
        _check_times(item, previous, duration_s, what, ledger)
        _check_figures(item, what, ledger)
        previous = item.start
        before = 0.0
        for word in item.words or ():
            _check_times(word, before, duration_s, f"{what}, word", ledger)
            before = word.start


def _check_times(item: Segment | Word, previous: float, duration_s: float, what: str, ledger: Ledger) -> None:
    times = f"{what}: {item.start} to {item.end} of {duration_s:.3f} s"
    ledger.require("times are finite", math.isfinite(item.start) and math.isfinite(item.end), times)
    ledger.require("start comes before end", _in_order(item), times)
    inside = item.start >= 0 and item.end <= duration_s + TOLERANCE_S
    ledger.require("times lie in the span", inside, times)
    ledger.require("times do not go back", item.start >= previous, f"{times}, after {previous}")


def _in_order(item: Segment | Word) -> bool:
    return item.start < item.end if isinstance(item, Segment) else item.start <= item.end


def _check_figures(item: Segment, what: str, ledger: Ledger) -> None:
    shares = [item.no_speech_prob, *(word.probability for word in item.words or ())]
    wrong = [share for share in shares if share is not None and not 0 <= share <= 1]
    ledger.require("probabilities are 0 to 1", not wrong, f"{what}: {wrong}")
    logs = [item.avg_logprob, *(token.logprob for token in item.logprobs or ())]
    above = [value for value in logs if value is not None and not value <= 1e-6]
    ledger.require("log-probabilities are at most 0", not above, f"{what}: {above}")
