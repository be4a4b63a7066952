"""Laws of diarizers."""

from __future__ import annotations

import numpy as np

from open_speech_core.providers import AnyProvider, DiarizerEngine
from open_speech_core.testing import signals
from open_speech_core.testing.laws import Ledger, Report
from open_speech_core.testing.memory import CALLS, check_memory
from open_speech_core.testing.rig import Rig
from open_speech_core.types import DiarizeRequest, Float32, LoadSpec, Model, SpeakerTurn

TOLERANCE_S = 0.02


def check_diarizer(
    provider: AnyProvider,
    model: Model,
    *,
    spec: LoadSpec | None = None,
    speech: Float32 | None = None,
    calls: int = CALLS,
) -> Report:
    """Load ``model`` and check every law of a diarizer. Raise ``Violation``.

    After ``calls`` calls it must be as large as after the first of them; 0 leaves that out.
    """
    ledger = Ledger(f"diarizer {provider.info.name}:{model.id}")
    rate = model.rate
    speech = signals.babble(rate, 5.0) if speech is None else speech
    with Rig(provider, model, spec, ledger) as rig:
        for what, samples in {
            "no samples": signals.silence(rate, 0),
            "one sample": np.full(1, 0.5, np.float32),
            "silence": signals.silence(rate, 2.0),
            "noise at full scale": signals.noise(rate, 2.0),
            "speech": speech,
        }.items():
            _check_direct(rig, what, samples, None)
        speakers = {turn.speaker for turn in _check_direct(rig, "speech of one", speech, 1)}
        ledger.require("keeps to the speakers asked for", len(speakers) <= 1, f"one was asked: {speakers}")
        request = DiarizeRequest(audio=signals.samples(speech, rate), options=rig.options())
        answer = rig.call(request)
        ledger.require("works through frames", answer.error is None, answer.message)
        rig.at_once(lambda: _check_direct(rig, "several threads", speech, None))
        rig.check_cancel(request)
        rig.check_promise()
        check_memory(lambda: _check_direct(rig, "once more", speech[:rate], None), ledger, calls=calls)
    return ledger.report()


def _check_direct(rig: Rig, what: str, samples: Float32, speakers: int | None) -> list[SpeakerTurn]:
    engine = rig.engine
    assert isinstance(engine, DiarizerEngine)
    request = DiarizeRequest(audio=signals.samples(samples, rig.model.rate), speakers=speakers, options=rig.options())
    turns = rig.ledger.run("survives any audio", f"diarize {what}", lambda: rig.direct(engine.diarize, request))
    assert turns is not None
    end_s = len(samples) / rig.model.rate + TOLERANCE_S
    previous = 0.0
    for turn in turns:
        rig.ledger.require_type("gives turns", turn, SpeakerTurn)
        good = previous <= turn.start < turn.end <= end_s
        rig.ledger.require("turns are in order", good, f"{what}: {turn!r} of {end_s:.2f} s")
        rig.ledger.require("speakers have names", bool(turn.speaker), f"{what}: {turn!r}")
        previous = turn.start
    return turns
