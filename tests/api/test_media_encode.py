"""Encoding as it streams: what a player gets back is what was fed, whole, with a right header."""

from __future__ import annotations

import gc
import io
import struct
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech_api.media.encode import CHUNK_BYTES, EncodeSession
from open_speech_api.media.engine import MediaEngine, load
from open_speech_core.types import EncodeConfig, EngineSpec, LoadSpec, Model

ALL = ["mp3", "opus", "aac", "flac", "wav", "pcm"]
COMPRESSED = ["mp3", "opus", "aac", "flac"]
PADDING_S = {"mp3": 0.15, "aac": 0.15, "opus": 0.025}
"""Most a codec may add: its delay and the rest of its last frame."""


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[MediaEngine]:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    engine = load(LoadSpec(model=Model(id="media/encode", kind="detector", rate=16_000)))
    yield engine
    engine.close()


def make(**fields: object) -> EncodeSession:
    engine = load(LoadSpec(model=Model(id="media/encode", kind="detector", rate=16_000)))
    return engine.open(EncodeConfig(**fields))  # type: ignore[arg-type]


def tone(seconds: float, rate: int) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def encode(session: EncodeSession, samples: np.ndarray, rate: int, piece: int | None = None) -> bytes:
    size = piece or max(1, len(samples))
    chunks = [chunk for at in range(0, len(samples), size) for chunk in session.feed(samples[at : at + size], rate)]
    chunks += session.flush()
    session.close()
    assert all(0 < len(chunk.data) <= CHUNK_BYTES for chunk in chunks)
    return b"".join(chunk.data for chunk in chunks)


def decode(data: bytes, format: str, rate: int) -> tuple[np.ndarray, int]:
    if format == "pcm":
        return np.frombuffer(data, "<i2") / np.float32(32768), rate
    with av.open(io.BytesIO(data)) as file:
        resampler = av.AudioResampler("flt", "mono")
        parts = [out.to_ndarray()[0] for frame in file.decode(audio=0) for out in resampler.resample(frame)]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32), file.streams.audio[0].rate


def pitch(samples: np.ndarray, rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate / len(samples))


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("source", [16_000, 22_050, 24_000])
@pytest.mark.parametrize("format", ALL)
def test_every_format_keeps_length_pitch_and_tail(format: str, source: int, streamed: bool) -> None:
    data = encode(make(format=format, rate=24_000, streamed=streamed), tone(2.345, source), source, 5_000)
    samples, rate = decode(data, format, 24_000)
    assert rate == (48_000 if format == "opus" else 24_000)
    extra = len(samples) / rate - 2.345
    if format in PADDING_S:
        assert -0.001 <= extra <= PADDING_S[format]
    else:
        assert abs(extra) * rate <= 1
    assert pitch(samples[: 2 * rate], rate) == pytest.approx(440, abs=2)
    tail = samples[int(2.30 * rate) : int(2.34 * rate)]
    assert np.abs(tail).max() > 0.4


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("format", ["flac", "wav", "pcm"])
def test_equal_rates_are_exact_to_the_sample(format: str, streamed: bool) -> None:
    pcm = np.random.default_rng(0).integers(-32768, 32767, 30_001).astype(np.int16)
    data = encode(make(format=format, rate=22_050, streamed=streamed), pcm / np.float32(32768), 22_050, 777)
    samples, _ = decode(data, format, 22_050)
    assert np.array_equal(samples * 32768, pcm)


@given(st.lists(st.integers(0, 1_500), max_size=8), st.sampled_from(["wav", "pcm", "flac"]), st.booleans())
def test_pieces_do_not_change_the_stream(sizes: list[int], format: str, streamed: bool) -> None:
    samples = np.random.default_rng(1).uniform(-1, 1, sum(sizes)).astype(np.float32)

    def made(pieces: list[np.ndarray]) -> bytes:
        session = make(format=format, rate=16_000, streamed=streamed)
        chunks = [chunk for piece in pieces for chunk in session.feed(piece, 16_000)] + session.flush()
        session.close()
        return b"".join(chunk.data for chunk in chunks)

    assert made(np.split(samples, np.cumsum(sizes)[:-1]) if sizes else []) == made([samples])


def test_a_streamed_wav_has_one_header_of_unknown_length() -> None:
    session = make(format="wav", rate=24_000)
    first = b"".join(chunk.data for chunk in session.feed(tone(1, 24_000), 24_000))
    rest = b"".join(chunk.data for chunk in [*session.feed(tone(1, 24_000), 24_000), *session.flush()])
    assert struct.unpack("<4sI4s4sIHHIIHH4sI", first[:44]) == (
        *(b"RIFF", 0xFFFFFFFF, b"WAVE", b"fmt ", 16, 1, 1, 24_000, 48_000, 2, 16, b"data", 0xFFFFFFFF),
    )
    assert len(first) == 44 + 48_000
    assert len(rest) == 48_000
    assert b"RIFF" not in rest


def test_a_whole_wav_has_its_true_length_and_leaves_at_the_end() -> None:
    session = make(format="wav", rate=24_000, streamed=False)
    assert session.feed(tone(1, 24_000), 24_000) == []
    data = b"".join(chunk.data for chunk in session.flush())
    assert struct.unpack_from("<I", data, 4)[0] == len(data) - 8
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getnframes(), file.getframerate(), file.getsampwidth()) == (24_000, 24_000, 2)


def test_a_whole_flac_states_its_true_length_a_streamed_one_none() -> None:
    for streamed, stated in ((True, 0), (False, 24_000)):
        data = encode(make(format="flac", rate=24_000, streamed=streamed), tone(1, 24_000), 24_000)
        assert data[:4] == b"fLaC"
        assert struct.unpack_from(">I", data, 22)[0] == stated
        assert (data[26:42] != bytes(16)) is not streamed


@pytest.mark.parametrize("format", ALL)
def test_the_first_bytes_leave_with_the_first_tenths_of_a_second(format: str) -> None:
    session = make(format=format, rate=24_000)
    heard = b""
    for piece in np.array_split(tone(0.4, 22_050), 8):
        heard += b"".join(chunk.data for chunk in session.feed(piece, 22_050))
    if format == "opus":
        assert heard.count(b"OggS") >= 4
    samples, _ = decode(heard, format, 24_000)
    session.close()
    assert len(samples) > 0


def test_mp3_starts_with_a_frame() -> None:
    data = encode(make(format="mp3", rate=24_000), tone(1, 24_000), 24_000)
    assert data[0] == 0xFF
    assert data[1] & 0xE0 == 0xE0
    assert b"Xing" not in data[:200]
    assert b"Info" not in data[:200]


def test_ogg_pages_end_the_stream() -> None:
    data = encode(make(format="opus", rate=24_000), tone(1, 24_000), 24_000)
    assert data[data.rindex(b"OggS") + 5] & 4


@pytest.mark.parametrize("format", ALL)
@pytest.mark.parametrize("streamed", [True, False])
def test_nothing_fed_is_an_empty_stream(format: str, streamed: bool) -> None:
    data = encode(make(format=format, rate=24_000, streamed=streamed), np.zeros(0, np.float32), 24_000)
    if format == "wav":
        assert len(data) == 44
    if format == "flac":
        assert data[:4] == b"fLaC"
    if format == "pcm":
        assert data == b""


@pytest.mark.parametrize(
    ("format", "asked", "given"),
    [
        *(("mp3", 8_000, 8_000), ("mp3", 9_000, 8_000), ("mp3", 96_000, 48_000), ("mp3", 23_000, 22_050)),
        *(("aac", 8_000, 8_000), ("aac", 50_000, 48_000), ("aac", 96_000, 96_000)),
        *(
            ("opus", 8_000, 48_000),
            ("opus", 44_100, 48_000),
            ("flac", 8_000, 8_000),
            ("flac", 44_056, 44_056),
            ("flac", 192_000, 192_000),
        ),
        *(("wav", 44_056, 44_056), ("pcm", 12_345, 12_345)),
    ],
)
def test_a_rate_the_codec_does_not_take_becomes_the_nearest(format: str, asked: int, given: int) -> None:
    samples, rate = decode(encode(make(format=format, rate=asked), tone(1, 16_000), 16_000), format, asked)
    assert rate == given
    assert len(samples) / rate == pytest.approx(1, abs=0.3)
    assert pitch(samples[: rate // 2], rate) == pytest.approx(440, abs=4)


@pytest.mark.parametrize("format", ALL)
def test_two_engines_of_different_rates_share_a_stream(format: str) -> None:
    session = make(format=format, rate=24_000)
    chunks = session.feed(tone(1, 22_050), 22_050) + session.feed(tone(1, 16_000), 16_000) + session.flush()
    samples, rate = decode(b"".join(chunk.data for chunk in chunks), format, 24_000)
    assert len(samples) / rate == pytest.approx(2, abs=0.15)
    for part in (samples[: rate * 9 // 10], samples[rate * 11 // 10 : 2 * rate]):
        assert pitch(part, rate) == pytest.approx(440, abs=2)


def test_processors_run_before_resampling_in_order_with_their_tails(engine: MediaEngine) -> None:
    def specs(*names: str) -> tuple[EngineSpec, ...]:
        return tuple(
            EngineSpec(
                plugin="plugins_for_tests.energy",
                kind="processor",
                provider="energy",
                load=LoadSpec(model=Model(id=name, kind="processor", rate=0)),
            )
            for name in names
        )

    plain = np.frombuffer(encode(make(format="pcm", rate=24_000), tone(2, 22_050) / 2, 22_050, 3_000), "<i2")
    for names in (["half"], ["late", "half"], ["half", "late"]):
        config = EncodeConfig(format="pcm", rate=24_000, processors=specs(*names))
        made = np.frombuffer(encode(engine.open(config), tone(2, 22_050), 22_050, 3_000), "<i2")
        assert len(made) == len(plain)
        assert np.abs(made - plain.astype(int)).max() <= 1
    session = engine.open(EncodeConfig(format="pcm", rate=24_000, processors=specs("late")))
    chunks = session.feed(tone(1, 22_050), 22_050) + session.feed(tone(1, 16_000), 16_000) + session.flush()
    assert sum(len(chunk.data) for chunk in chunks) == 2 * 48_000


@pytest.mark.parametrize("format", ALL)
def test_a_client_that_leaves_frees_everything(format: str) -> None:
    def containers() -> int:
        gc.collect()
        return sum(isinstance(thing, av.container.OutputContainer) for thing in gc.get_objects())

    before = containers()
    sessions = [make(format=format, rate=24_000) for _ in range(3)]
    for session in sessions:
        session.feed(tone(1, 22_050), 22_050)
        session.close()
        session.close()
    assert containers() == before


@pytest.mark.parametrize("format", COMPRESSED)
def test_closing_after_the_end_gives_nothing_more(format: str) -> None:
    session = make(format=format, rate=24_000)
    session.feed(tone(1, 24_000), 24_000)
    assert session.flush()
    assert session.flush() == []
    session.close()


def test_wav_and_pcm_need_no_av() -> None:
    code = """
import sys, numpy as np
from open_speech_core.types import EncodeConfig, LoadSpec, Model
from open_speech_api.media.engine import load
engine = load(LoadSpec(model=Model(id="x", kind="detector", rate=1)))
for format in ("wav", "pcm"):
    session = engine.open(EncodeConfig(format=format, rate=24_000))
    session.feed(np.zeros(999, np.float32), 22_050)
    session.flush()
assert "av" not in sys.modules, "av was imported"
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_warm_up_runs_the_codec() -> None:
    for model in ("media/encode", "media/decode"):
        load(LoadSpec(model=Model(id=model, kind="detector", rate=16_000))).warm_up()
