"""Echo does exactly what it says it does: other tests stand on it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech_core.audio import view
from open_speech_core.errors import Cancelled
from open_speech_core.providers import Context
from open_speech_core.types import (
    Audio,
    DiarizeRequest,
    LoadSpec,
    Samples,
    Segment,
    SessionConfig,
    SynthesizeRequest,
    Timing,
    TranscribeRequest,
)
from open_speech_echo.options import CallOptions, EchoOptions, GainOptions, TranscribeOptions
from open_speech_echo.provider import (
    EchoDetector,
    EchoDiarizer,
    EchoProcessor,
    EchoSynthesizer,
    EchoTranscriber,
)

RATE = 16_000


def load(cls: Any, *, model: int = 0, **options: Any) -> Any:
    provider = cls(EchoOptions(**options), Path())
    return provider.load(LoadSpec(model=provider.models()[model]))


def samples(values: Any) -> Samples:
    return Samples(data=np.asarray(values, "<f4").tobytes(), rate=RATE)


def segments(seconds: float, *, model: int = 0, fields: dict[str, Any] | None = None, **options: Any) -> list[Segment]:
    request = TranscribeRequest(
        audio=samples(np.zeros(round(seconds * RATE))), options=TranscribeOptions(**options), **(fields or {})
    )
    info, *found = load(EchoTranscriber, model=model).transcribe(request, Context())
    assert info.language == (fields or {}).get("language", "en")
    return found


def speak(text: str, *, rate: int = 24_000, voice: str = "sine", speed: float = 1.0) -> list[Any]:
    request = SynthesizeRequest(text=text, voice=voice, speed=speed, options=CallOptions())
    return list(load(EchoSynthesizer, rate=rate).synthesize(request, Context()))


def test_each_second_is_a_segment_that_says_its_number() -> None:
    found = segments(2.5)
    assert [(part.start, part.end, part.text) for part in found] == [
        (0.0, 1.0, " one"),
        (1.0, 2.0, " two"),
        (2.0, 2.5, " three"),
    ]


def test_numbers_are_spelled_digit_by_digit() -> None:
    assert segments(31.0)[-1].text == " three one"


def test_words_share_a_segment_evenly_when_they_were_asked_for() -> None:
    assert segments(1.0)[0].words is None
    (word_three, word_one) = segments(31.0, fields={"word_timestamps": True})[-1].words or ()
    assert (word_three.word, word_three.start, word_three.end) == (" three", 30.0, 30.5)
    assert (word_one.word, word_one.start, word_one.end) == (" one", 30.5, 31.0)


def test_log_probabilities_come_when_they_were_asked_for() -> None:
    assert segments(1.0)[0].logprobs is None
    (token,) = segments(1.0, fields={"logprobs": True})[0].logprobs or ()
    assert (token.token, bytes(token.bytes)) == (" one", b" one")


def test_a_text_can_be_put_in_its_mouth() -> None:
    (only,) = segments(3.0, echo_text="  Ünïcode & all ")
    assert (only.text, only.start, only.end) == ("  Ünïcode & all ", 0.0, 3.0)


def test_it_says_what_it_was_given() -> None:
    options = TranscribeOptions(echo_request=True)
    request = TranscribeRequest(
        audio=samples([0.5, -0.5, 0.25, 0.0]), language="de", prompt="p", temperature=0.25, options=options
    )
    said = list(load(EchoTranscriber).transcribe(request, Context()))[1].text
    assert msgspec.json.decode(said) == {
        "frames": 4,
        "rate": RATE,
        "rms": 0.375,
        "peak": 0.5,
        "language": "de",
        "languages": [],
        "keywords": [],
        "prompt": "p",
        "temperature": 0.25,
        "task": "transcribe",
        "word_timestamps": False,
        "logprobs": False,
        "options": msgspec.to_builtins(options),
    }


@given(
    text=st.text(alphabet=st.characters(exclude_categories=("Cs", "Z", "Cc")), min_size=1, max_size=40),
    speed=st.floats(0.25, 4.0),
    rate=st.sampled_from([8000, 16_000, 22_050, 24_000, 48_000]),
)
def test_speech_has_exactly_the_documented_length(text: str, speed: float, rate: int) -> None:
    blocks = [item for item in speak(text, rate=rate, speed=speed) if isinstance(item, Audio)]
    assert sum(len(block.samples) for block in blocks) == round(rate * (0.06 / speed) * len(text))
    assert {block.rate for block in blocks} <= {rate}


def test_blocks_are_a_quarter_second_and_join_without_a_seam() -> None:
    blocks = [item.samples for item in speak("a" * 10) if isinstance(item, Audio)]
    assert [len(block) for block in blocks] == [6000, 6000, 2400]
    times = np.arange(14_400) / 24_000
    assert np.allclose(np.concatenate(blocks), 0.5 * np.sin(2 * np.pi * 440 * times), atol=1e-6)


@pytest.mark.parametrize(("voice", "hertz"), [("sine", 440), ("square", 220), ("high", 880)])
def test_each_voice_has_its_tone(voice: str, hertz: int) -> None:
    wave = np.concatenate([item.samples for item in speak("a" * 20, voice=voice) if isinstance(item, Audio)])
    spectrum = np.abs(np.fft.rfft(wave))
    assert np.argmax(spectrum) * 24_000 / len(wave) == pytest.approx(hertz, abs=2)


def test_word_times_follow_the_characters() -> None:
    timings = [item for item in speak("to be, to be", speed=2.0) if isinstance(item, Timing)]
    assert [timing.word for timing in timings] == ["to", "be,", "to", "be"]
    assert [round(timing.start / 0.03) for timing in timings] == [0, 3, 7, 10]


@pytest.mark.parametrize("text", ["", " \n "])
def test_a_blank_text_gives_nothing(text: str) -> None:
    assert speak(text) == []


def test_equal_requests_give_equal_bits() -> None:
    first, second = (
        [item.samples.tobytes() if isinstance(item, Audio) else item for item in speak("Twice the same.")]
        for _ in range(2)
    )
    assert first == second
    assert segments(5.0) == segments(5.0)


@given(sizes=st.lists(st.integers(0, 2000), min_size=1, max_size=8))
def test_the_detector_hears_the_same_whatever_the_pieces(sizes: list[int]) -> None:
    tone = np.linspace(0, 0.1, sum(sizes), dtype=np.float32)
    session = load(EchoDetector).open(SessionConfig(rate=RATE))
    heard = [activity for piece in np.split(tone, np.cumsum(sizes)[:-1]) for activity in session.feed(piece)]
    heard += session.flush()
    whole = load(EchoDetector).open(SessionConfig(rate=RATE))
    expected = [*whole.feed(tone), *whole.flush()]
    assert [share for activity in heard for share in activity.probabilities] == [
        share for activity in expected for share in activity.probabilities
    ]


def test_the_detector_says_one_half_at_its_threshold() -> None:
    session = load(EchoDetector).open(SessionConfig(rate=RATE))
    (activity,) = session.feed(np.full(1024, 0.01, np.float32))
    assert activity.probabilities == pytest.approx((0.5, 0.5), abs=1e-6)


def test_speakers_take_turns_of_two_seconds() -> None:
    request = DiarizeRequest(audio=samples(np.zeros(5 * RATE)), options=CallOptions())
    turns = list(load(EchoDiarizer).diarize(request, Context()))
    assert [(turn.start, turn.end, turn.speaker) for turn in turns] == [
        (0.0, 2.0, "A"),
        (2.0, 4.0, "B"),
        (4.0, 5.0, "A"),
    ]


def test_the_processor_changes_the_level_and_keeps_the_range() -> None:
    session = load(EchoProcessor).open(SessionConfig(rate=RATE, options=GainOptions(gain_db=20.0)))
    (made,) = session.feed(view(np.array([0.01, -0.05, 0.5], "<f4").tobytes()))
    assert made.tolist() == pytest.approx([0.1, -0.5, 1.0])
    assert list(session.flush()) == []


def test_a_cancel_is_seen_at_the_next_step() -> None:
    request = TranscribeRequest(audio=samples(np.zeros(5 * RATE)), options=TranscribeOptions())
    context = Context()
    items = load(EchoTranscriber).transcribe(request, context)
    next(items)
    context.cancel()
    with pytest.raises(Cancelled):
        next(items)


def test_it_raises_when_and_only_when_it_was_told_to() -> None:
    assert len(segments(2.0, fail="raise", fail_at=9)) == 2
    with pytest.raises(RuntimeError):
        segments(2.0, fail="raise", fail_at=1)
    with pytest.raises(RuntimeError):
        load(EchoTranscriber, load_fail="raise")


def test_the_slow_model_takes_a_fifth_of_a_second_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    segments(2.0, model=1)
    assert slept[-3:] == [0.2, 0.2, 0.2]


def test_neither_discovery_nor_questions_import_numpy() -> None:
    code = """
import sys
from open_speech_core.worker.engines import describe
assert len(list(describe("open_speech_echo"))) == 5
assert "numpy" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
