"""Laws of detectors and processors: state of one stream, whatever pieces it comes in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import numpy as np

from open_speech_core.audio import view
from open_speech_core.providers import (
    AnyProvider,
    DetectorEngine,
    DetectorSession,
    ProcessorEngine,
    ProcessorSession,
)
from open_speech_core.testing import signals
from open_speech_core.testing.laws import Ledger, Report
from open_speech_core.testing.memory import CALLS, check_memory
from open_speech_core.testing.rig import Rig
from open_speech_core.types import Activity, Float32, LoadSpec, Model, Samples, SessionConfig

SAME = 1e-4
"""How far results may differ when a stream comes in other pieces."""
SPEECH_PROBABILITY = 0.5
LONG_S = 60
"""Length of a stream whose steps are timed."""


def check_detector(
    provider: AnyProvider,
    model: Model,
    *,
    spec: LoadSpec | None = None,
    speech: Float32 | None = None,
    calls: int = CALLS,
) -> Report:
    """Load ``model`` and check every law of a detector. Raise ``Violation``.

    With ``speech``, at the model's rate, it must be heard as such. After ``calls`` streams it must be as large as
    after the first of them; 0 leaves that out.
    """
    ledger = Ledger(f"detector {provider.info.name}:{model.id}")
    rate = model.rate
    with Rig(provider, model, spec, ledger) as rig:
        engine = rig.engine
        assert isinstance(engine, DetectorEngine)
        config = SessionConfig(rate=rate, options=rig.options())

        def detect(samples: Float32, sizes: Sequence[int]) -> Float32:
            return _detect(engine.open(config), samples, sizes, ledger)

        tried = signals.babble(rate, 3.0) if speech is None else speech
        _check_pieces(detect, tried, rate, ledger)
        calm = detect(signals.silence(rate, 2.0), [rate])
        loudest = float(calm.max(initial=0.0))
        ledger.require("silence is silence", loudest < SPEECH_PROBABILITY, f"up to {loudest:.2f}")
        if speech is None:
            ledger.skip("speech is speech", "no speech was given")
        else:
            heard = float(detect(speech, [rate]).max(initial=0.0))
            ledger.require("speech is speech", heard > SPEECH_PROBABILITY, f"at most {heard:.2f}")
        _check_two(lambda: engine.open(config), tried, ledger)
        results = rig.at_once(lambda: detect(tried, [512]))
        same = all(np.allclose(result, results[0], atol=SAME) for result in results)
        ledger.require("threads do not mix", same, "a session beside others gave other results")
        _check_frames(rig, config, tried)
        check_memory(lambda: detect(tried, [rate]), ledger, calls=calls)
    return ledger.report()


def check_processor(
    provider: AnyProvider, model: Model, *, spec: LoadSpec | None = None, rate: int | None = None, calls: int = CALLS
) -> Report:
    """Load ``model`` and check every law of a processor. Raise ``Violation``.

    After ``calls`` streams it must be as large as after the first of them; 0 leaves that out.
    """
    ledger = Ledger(f"processor {provider.info.name}:{model.id}")
    rate = rate or model.rate
    with Rig(provider, model, spec, ledger) as rig:
        engine = rig.engine
        assert isinstance(engine, ProcessorEngine)
        config = SessionConfig(rate=rate, options=rig.options())

        def process(samples: Float32, sizes: Sequence[int]) -> Float32:
            return _process(engine.open(config), samples, sizes, ledger)

        # It ends aloud: a processor may cut silence.
        tried = signals.babble(rate, 2.9)
        made = _check_pieces(process, tried, rate, ledger)
        ledger.require("no tail is lost", len(made) >= len(tried), f"{len(tried)} frames in, {len(made)} out")
        results = rig.at_once(lambda: process(tried, [512]))
        same = all(np.allclose(result, results[0], atol=SAME) for result in results)
        ledger.require("threads do not mix", same, "a session beside others gave other results")
        _check_frames(rig, config, tried)
        check_memory(lambda: process(tried, [rate]), ledger, calls=calls)
    return ledger.report()


def _check_pieces(
    run: Callable[[Float32, Sequence[int]], Float32], samples: Float32, rate: int, ledger: Ledger
) -> Float32:
    """Run the stream whole and in pieces, and the shortest streams; the result of the whole."""
    law = "survives any pieces"
    for what, short in {"no samples": samples[:0], "one sample": samples[:1]}.items():
        ledger.run(law, f"a stream of {what}", partial(run, short, [rate]))
    whole = run(samples, [len(samples)])
    for sizes in ([160], [1, 511, 0, 1000, 7], [rate]):
        pieces = ledger.run(law, f"pieces of {sizes} frames", partial(run, samples, sizes))
        assert pieces is not None
        same = len(pieces) == len(whole) and bool(np.allclose(pieces, whole, atol=SAME))
        ledger.require("pieces do not matter", same, f"pieces of {sizes} frames gave another result")
    return whole


def _pieces(samples: Float32, sizes: Sequence[int]) -> Iterator[Float32]:
    """Cut read-only pieces, as they arrive from a server."""
    start = turn = 0
    while start < len(samples):
        size = sizes[turn % len(sizes)]
        yield view(samples[start : start + size].tobytes())
        start, turn = start + size, turn + 1


def _detect(session: DetectorSession, samples: Float32, sizes: Sequence[int], ledger: Ledger) -> Float32:
    found: list[Activity] = []
    for piece in _pieces(samples, sizes):
        found += session.feed(piece)
    found += session.flush()
    session.close()
    return _check_activity(found, len(samples), ledger)


def _check_activity(found: Sequence[Activity], frames: int, ledger: Ledger) -> Float32:
    """Check that hops follow each other to the end of the stream; their probabilities."""
    offset, hop = 0, found[0].hop if found else 1
    for activity in found:
        ledger.require("hops are constant", activity.hop == hop > 0, f"{activity.hop}, before {hop}")
        ledger.require("hops follow each other", activity.offset == offset, f"{activity.offset}, not {offset}")
        offset += hop * len(activity.probabilities)
    ledger.require("covers the stream", frames <= offset < frames + hop, f"{offset} of {frames} frames")
    values = np.array([share for activity in found for share in activity.probabilities], np.float32)
    ledger.require("probabilities are 0 to 1", bool(((values >= 0) & (values <= 1)).all()), f"{values!r}")
    return values


def _process(session: ProcessorSession, samples: Float32, sizes: Sequence[int], ledger: Ledger) -> Float32:
    made: list[Float32] = []
    for piece in _pieces(samples, sizes):
        made += session.feed(piece)
    made += session.flush()
    session.close()
    for block in made:
        good = block.dtype == np.float32 and block.ndim == 1
        ledger.require("samples are float32", good, f"{block.dtype} of shape {block.shape}")
        ledger.require("samples are finite", bool(np.isfinite(block).all()), "NaN or infinite")
        peak = float(np.abs(block).max(initial=0.0))
        ledger.require("samples are -1 to 1", peak <= 1.0 + SAME, f"peak {peak:.4f}")
    return np.concatenate(made) if made else np.zeros(0, np.float32)


def _check_steps(rig: Rig, config: SessionConfig) -> None:
    """Send a long stream through frames: no step of it may be longer than was promised."""
    session = rig.open(config)
    second = signals.babble(config.rate, 1.0).tobytes()
    for _ in range(LONG_S):
        rig.feed(session, second, config.rate)
    rig.flush(session)
    rig.close(session)
    rig.check_promise()


def _check_two(open_session: Callable[[], DetectorSession], samples: Float32, ledger: Ledger) -> None:
    """Feed two sessions by turns: each must answer as if alone."""
    alone = _probabilities([open_session().feed(samples)])
    one, two = open_session(), open_session()
    heard: list[Sequence[Activity]] = []
    for piece in _pieces(samples, [1000]):
        heard.append(tuple(one.feed(piece)))
        tuple(two.feed(piece[::-1].copy()))
    same = np.allclose(_probabilities(heard), alone, atol=SAME)
    ledger.require("sessions do not mix", bool(same), "a session fed beside another gave other results")


def _probabilities(answers: Iterable[Iterable[Activity]]) -> Float32:
    shares = [share for answer in answers for activity in answer for share in activity.probabilities]
    return np.array(shares, np.float32)


def _check_frames(rig: Rig, config: SessionConfig, samples: Float32) -> None:
    session = rig.open(config)
    answers = [rig.feed(session, piece.tobytes(), config.rate) for piece in _pieces(samples, [config.rate])]
    answers.append(rig.flush(session))
    rig.close(session)
    _check_steps(rig, config)
    wrong = next((answer.message for answer in answers if answer.error is not None), None)
    rig.ledger.require("works through frames", wrong is None, wrong or "")
    items = [item for answer in answers for item in answer.items]
    strange = [item for item in items if not isinstance(item, Activity | Samples)]
    rig.ledger.require("works through frames", bool(items) and not strange, f"it sent {strange[:1]!r}")
