"""Decoding uploads: formats, tails, spans, limits, and files that are none."""

from __future__ import annotations

import io
import os
import shutil
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from open_speech_api.media import target
from open_speech_api.media.encode import wav_header
from open_speech_api.media.engine import MediaEngine, load
from open_speech_core.errors import Cancelled, InvalidAudio, LoadFailed, StorageFull
from open_speech_core.providers import Context
from open_speech_core.types import Decoded, DecodeRequest, EngineSpec, LoadSpec, Model, Span

PLUGIN = "plugins_for_tests.energy"
DETECTOR = EngineSpec(
    plugin=PLUGIN,
    kind="detector",
    provider="energy",
    load=LoadSpec(model=Model(id="energy", kind="detector", rate=8_000)),
)
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}


def processor(id: str) -> EngineSpec:
    model = Model(id=id, kind="processor", rate=0)
    return EngineSpec(plugin=PLUGIN, kind="processor", provider="energy", load=LoadSpec(model=model))


def tone(seconds: float, rate: int, hz: float = 440.0, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def pcm16(samples: np.ndarray) -> bytes:
    return np.rint(samples * 32767).astype("<i2").tobytes()


def wav(samples: np.ndarray, rate: int) -> bytes:
    return wav_header(rate, len(samples) * 2) + pcm16(samples)


def container(muxer: str, codec: str, samples: np.ndarray, rate: int, channels: int = 1) -> bytes:
    """Encode by FFmpeg, the same samples in every channel."""
    file = io.BytesIO()
    with av.open(file, "w", format=muxer) as out:
        stream = out.add_stream(codec, rate=rate, layout=LAYOUTS[channels])
        packed = np.repeat(samples, channels).reshape(1, -1).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=LAYOUTS[channels])
        frame.sample_rate = rate
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return file.getvalue()


def pitch(samples: np.ndarray, rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate / len(samples))


class Upload:
    """A file on disk, and what came of decoding it."""

    def __init__(self, engine: MediaEngine, folder: Path) -> None:
        self.engine = engine
        self.source = folder / "upload"
        self.target = folder / "samples.f32"

    def request(self, data: bytes | None = None, rate: int = 16_000, **fields: object) -> DecodeRequest:
        if data is not None:
            self.source.write_bytes(data)
        return DecodeRequest(path=str(self.source), target=str(self.target), rate=rate, **fields)  # type: ignore[arg-type]

    def items(
        self, data: bytes | None = None, context: Context | None = None, **fields: object
    ) -> list[Span | Decoded]:
        return list(self.engine.decode(self.request(data, **fields), context or Context()))  # type: ignore[arg-type]

    def decode(self, data: bytes, **fields: object) -> tuple[np.ndarray, list[Span], Decoded]:
        *spans, decoded = self.items(data, **fields)
        assert isinstance(decoded, Decoded)
        samples = np.fromfile(self.target, "<f4")
        assert len(samples) == decoded.frames
        return samples, [span for span in spans if isinstance(span, Span)], decoded

    def refusal(self, data: bytes, **fields: object) -> str:
        with pytest.raises(InvalidAudio) as caught:
            self.items(data, **fields)
        assert str(self.source.parent) not in caught.value.message
        return caught.value.message


@pytest.fixture
def upload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Upload]:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    engine = load(LoadSpec(model=Model(id="media/decode", kind="detector", rate=16_000)))
    yield Upload(engine, tmp_path)
    engine.close()
    descriptors = os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd") else []
    open_files = [os.path.realpath(f"/proc/self/fd/{name}") for name in descriptors]
    assert not [path for path in open_files if path.startswith(str(tmp_path))]


FORMATS = [
    ("wav", "pcm_s16le", 16_000),
    ("wav", "pcm_u8", 11_025),
    ("wav", "pcm_s24le", 48_000),
    ("wav", "pcm_f32le", 44_100),
    ("wav", "pcm_f64le", 22_050),
    ("wav", "pcm_mulaw", 8_000),
    ("wav", "adpcm_ima_wav", 22_050),
    ("aiff", "pcm_s16be", 44_100),
    ("au", "pcm_s16be", 8_000),
    ("flac", "flac", 96_000),
    ("mp3", "libmp3lame", 44_100),
    ("ogg", "libopus", 48_000),
    ("webm", "libopus", 48_000),
    ("mp4", "aac", 44_100),
    ("ipod", "aac", 24_000),
    ("mov", "pcm_s16le", 44_100),
    ("matroska", "pcm_s16le", 192_000),
    ("adts", "aac", 16_000),
    ("mpegts", "libmp3lame", 48_000),
]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("muxer", "codec", "rate"), FORMATS)
def test_every_format_keeps_pitch_level_and_tail(
    upload: Upload, muxer: str, codec: str, rate: int, channels: int
) -> None:
    samples, spans, decoded = upload.decode(container(muxer, codec, tone(1.5, rate), rate, channels))
    padding = 0.0 if codec.startswith(("pcm", "flac")) else 0.16
    assert 1.5 - 1e-4 <= decoded.duration_s <= 1.5 + padding + 1e-4
    assert pitch(samples[:24_000], 16_000) == pytest.approx(440, abs=2)
    assert np.sqrt(np.mean(samples[4_000:20_000] ** 2)) == pytest.approx(0.5 / 2**0.5, rel=0.05)
    assert np.abs(samples[22_000:23_500]).max() > 0.4
    assert spans == [Span(offset=0, frames=decoded.frames)]


@pytest.mark.parametrize(
    ("muxer", "codec"), [("wav", "pcm_s16le"), ("flac", "flac"), ("mp4", "aac"), ("ogg", "libopus")]
)
@pytest.mark.parametrize("channels", [6, 8])
def test_many_channels_are_mixed_to_one(upload: Upload, muxer: str, codec: str, channels: int) -> None:
    samples, _, decoded = upload.decode(container(muxer, codec, tone(1, 48_000), 48_000, channels))
    assert decoded.duration_s == pytest.approx(1, abs=0.1)
    assert pitch(samples[:16_000], 16_000) == pytest.approx(440, abs=2)
    assert np.sqrt(np.mean(samples[4_000:12_000] ** 2)) == pytest.approx(0.5 / 2**0.5, rel=0.05)


def test_a_wav_of_24_unnamed_channels_is_mixed_to_one(upload: Upload) -> None:
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        0xFFFFFFFF,
        b"WAVE",
        b"fmt ",
        16,
        1,
        24,
        16_000,
        768_000,
        48,
        16,
        b"data",
        0xFFFFFFFF,
    )
    samples, *_ = upload.decode(header + pcm16(np.repeat(tone(1, 16_000), 24)))
    np.testing.assert_allclose(samples, tone(1, 16_000), atol=1e-4)


def test_channels_in_an_order_of_their_own_do_not_end_the_process(upload: Upload) -> None:
    labels = (2, 1)
    chunks = {
        b"desc": struct.pack(">d4sIIIII", 16_000.0, b"lpcm", 2, 4, 1, 2, 16),
        b"chan": struct.pack(">III", 0, 0, 2) + b"".join(struct.pack(">II3f", label, 0, 0, 0, 0) for label in labels),
        b"data": bytes(4) + pcm16(np.repeat(tone(1, 16_000), 2)),
    }
    body = b"".join(name + struct.pack(">q", len(data)) + data for name, data in chunks.items())
    for _ in range(5):
        samples, *_ = upload.decode(b"caff" + struct.pack(">HH", 1, 0) + body)
    np.testing.assert_allclose(samples, tone(1, 16_000), atol=1e-4)


def test_a_wav_at_the_wanted_rate_is_decoded_exactly(upload: Upload) -> None:
    pcm = np.random.default_rng(0).integers(-32768, 32767, 16_001).astype("<i2")
    samples, *_ = upload.decode(wav_header(16_000, 32_002) + pcm.tobytes())
    assert np.array_equal(samples, pcm / np.float32(32768))


@pytest.mark.parametrize("rate", [4_000, 7_350, 22_050, 44_056, 48_000])
def test_no_tail_is_lost_in_resampling(upload: Upload, rate: int) -> None:
    for frames in (rate, rate + 1, rate * 2 + 777):
        _, _, decoded = upload.decode(wav(tone(frames / rate, rate), rate))
        assert abs(decoded.frames - frames * 16_000 / rate) <= 1


def test_a_streamed_wav_of_unknown_length_is_read_to_its_end(upload: Upload) -> None:
    _, _, decoded = upload.decode(wav_header(16_000, None) + pcm16(tone(1.25, 16_000)))
    assert decoded.frames == 20_000


def test_float_samples_that_are_none_or_too_loud_are_tamed(upload: Upload) -> None:
    data = np.array([np.nan, np.inf, -np.inf, 3.0, -3.0, 1e38, 0.25] * 400, "<f4")
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        36 + data.nbytes,
        b"WAVE",
        b"fmt ",
        16,
        3,
        1,
        16_000,
        64_000,
        4,
        32,
        b"data",
        data.nbytes,
    )
    samples, *_ = upload.decode(header + data.tobytes())
    assert samples[:7].tolist() == [0, 0, 0, 1, -1, 1, 0.25]
    assert np.isfinite(upload.decode(header + data.tobytes(), rate=24_000)[0]).all()


def test_chained_ogg_of_two_streams_is_decoded_whole(upload: Upload) -> None:
    first = container("ogg", "libopus", tone(1, 48_000), 48_000)
    _, _, decoded = upload.decode(first + container("ogg", "libopus", tone(1, 48_000), 48_000))
    assert decoded.duration_s == pytest.approx(2, abs=0.1)


def test_a_change_of_rate_in_the_middle_keeps_time_and_pitch(upload: Upload) -> None:
    first = container("adts", "aac", tone(2, 16_000), 16_000)
    samples, _, decoded = upload.decode(first + container("adts", "aac", tone(2, 44_100), 44_100))
    assert decoded.duration_s == pytest.approx(4, abs=0.3)
    for part in (samples[4_000:28_000], samples[-28_000:-4_000]):
        assert pitch(part, 16_000) == pytest.approx(440, abs=2)


def test_the_name_has_no_say_in_the_format(upload: Upload) -> None:
    upload.source = upload.source.with_suffix(".mp3")
    assert upload.decode(wav(tone(1, 16_000), 16_000))[2].frames == 16_000


def test_the_samples_are_for_their_owner_only(upload: Upload) -> None:
    upload.target.touch(mode=0o644)
    upload.decode(wav(tone(1, 16_000), 16_000))
    assert upload.target.stat().st_mode & 0o777 == 0o600


# spans


def speech(*parts: tuple[float, float], rate: int = 16_000) -> np.ndarray:
    """Tones (level above zero) and silences, seconds each."""
    return np.concatenate([tone(seconds, rate, level=level) for seconds, level in parts])


def test_spans_hold_the_speech_and_leave_long_silence_out(upload: Upload) -> None:
    samples = speech((3, 0), (2, 0.5), (4, 0), (2, 0.5), (5, 0))
    _, spans, decoded = upload.decode(wav(samples, 16_000), detector=DETECTOR)
    starts = [(span.offset / 16_000, (span.offset + span.frames) / 16_000) for span in spans]
    np.testing.assert_allclose(starts, [(2.6, 5.4), (8.6, 11.4)], atol=0.05)
    assert decoded.speech_s == pytest.approx(4, abs=0.1)


def test_silence_has_no_spans_with_a_detector(upload: Upload) -> None:
    _, spans, decoded = upload.decode(wav(np.zeros(80_000, np.float32), 16_000), detector=DETECTOR)
    assert spans == []
    assert decoded.speech_s == 0


def test_speech_that_ends_with_the_file_is_covered_to_the_last_frame(upload: Upload) -> None:
    _, spans, decoded = upload.decode(wav(speech((3, 0), (1.03, 0.5)), 16_000), detector=DETECTOR)
    assert spans[-1].offset + spans[-1].frames == decoded.frames


def test_speech_shorter_than_one_hop_of_the_detector_is_heard(upload: Upload) -> None:
    data = wav(tone(0.03, 16_000), 16_000)
    assert len(upload.decode(data, detector=DETECTOR, min_speech_ms=0)[1]) == 1


def test_without_a_detector_cuts_fall_where_it_is_quiet(upload: Upload) -> None:
    samples = speech(*[(2.5, 0.5), (0.3, 0.0)] * 8)
    _, spans, decoded = upload.decode(wav(samples, 16_000), span_s=7.0)
    assert sum(span.frames for span in spans) == decoded.frames
    for span in spans[:-1]:
        end_s = (span.offset + span.frames) / 16_000
        assert end_s % 2.8 >= 2.45
        assert span.frames <= 7 * 16_000


def test_no_span_limit_gives_one_span(upload: Upload) -> None:
    assert len(upload.decode(wav(tone(70, 16_000), 16_000), span_s=None)[1]) == 1


def test_the_first_span_leaves_long_before_the_end_and_is_on_disk(upload: Upload) -> None:
    request = upload.request(wav(np.tile(speech((20, 0.5), (3, 0)), 60), 16_000), detector=DETECTOR)
    done: list[float] = []
    items = upload.engine.decode(request, Context(progress=lambda at, _: done.append(at)))
    first = next(items)
    assert isinstance(first, Span)
    assert upload.target.stat().st_size >= (first.offset + first.frames) * 4
    assert max(done, default=0) < 100
    for item in items:
        assert isinstance(item, Decoded) or upload.target.stat().st_size >= (item.offset + item.frames) * 4


def test_processors_run_in_order_and_keep_their_tails(upload: Upload) -> None:
    plain, *_ = upload.decode(wav(tone(3.3, 44_100), 44_100))
    for names in (["half"], ["late", "half"], ["half", "late", "late"]):
        specs = tuple(map(processor, names))
        samples, *_ = upload.decode(wav(tone(3.3, 44_100), 44_100), processors=specs)
        np.testing.assert_allclose(samples, plain / 2, atol=1e-6)


def test_a_detector_is_loaded_once_for_all_calls(upload: Upload) -> None:
    from plugins_for_tests import energy

    energy.LOADS.clear()
    upload.source.write_bytes(wav(tone(5, 16_000), 16_000))
    requests = [
        DecodeRequest(path=str(upload.source), target=f"{upload.target}{i}", rate=16_000, detector=DETECTOR)
        for i in range(6)
    ]
    results: list[list[object]] = []
    threads = [
        threading.Thread(target=lambda r=r: results.append(list(upload.engine.decode(r, Context())))) for r in requests
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert energy.LOADS == ["energy"]
    assert all(result == results[0] for result in results)
    assert len(results) == 6


def test_a_detector_that_is_not_there_is_a_load_failure(upload: Upload) -> None:
    unknown = EngineSpec(plugin="no_such_plugin", kind="detector", provider="x", load=DETECTOR.load)
    with pytest.raises(LoadFailed):
        upload.items(wav(tone(1, 16_000), 16_000), detector=unknown)


# faults

MP3 = container("mp3", "libmp3lame", tone(4, 44_100), 44_100)
M4A = container("ipod", "aac", tone(2, 44_100), 44_100)


def video_only() -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream = out.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p")
        for _ in range(3):
            out.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        out.mux(stream.encode(None))
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (np.random.default_rng(7).bytes(200_000), "not audio|no audio"),
        (b"Dear server, this is a letter and no music at all.\n" * 500, "not audio"),
        (b"\x00" * 100_000, "not audio|no audio"),
        (b"RIFF", "not audio"),
        (b"RIFF\xff\xff\xff\xffWAVEfmt ", "not audio"),
        (wav_header(16_000, 0), "no audio"),
        (wav_header(16_000, None), "no audio"),
        (wav_header(16_000, 64_000), "no audio"),
        (M4A[:2_000], "not audio|no audio"),
        (b"fLaC" + bytes(60), "not audio|no audio"),
        (video_only(), "no audio track"),
        (wav(tone(1, 16_000), 16_000).replace(struct.pack("<I", 16_000), struct.pack("<I", 3), 1), "3 Hz"),
    ],
    ids=["empty", "garbage", "text", "zeros", "riff", "no-format", "zero-length", "zero-streamed", "header",
         "m4a-head", "flac-head", "video-only", "3-hertz"],
)  # fmt: skip
def test_what_is_no_audio_is_refused_with_the_reason(upload: Upload, data: bytes, said: str) -> None:
    import re

    assert re.search(said, upload.refusal(data))


@pytest.mark.parametrize(
    ("data", "least_s"),
    [
        (wav(tone(2, 16_000), 16_000)[:40_001], 1.2),
        (MP3[: len(MP3) // 2], 1.9),
        (container("flac", "flac", tone(2, 44_100), 44_100)[:40_000], 0.3),
        (container("ogg", "libopus", tone(4, 48_000), 48_000)[:-9_000], 1.0),
        (container("webm", "libopus", tone(4, 48_000), 48_000)[:-9_000], 1.0),
    ],
    ids=["wav", "mp3", "flac", "ogg", "webm"],
)
def test_of_a_truncated_file_what_is_there_is_decoded(upload: Upload, data: bytes, least_s: float) -> None:
    assert upload.decode(data)[2].duration_s >= least_s


@pytest.mark.parametrize("kind", ["mp3", "flac", "ogg", "m4a"])
def test_damage_in_the_middle_is_skipped(upload: Upload, kind: str) -> None:
    data = bytearray(
        {
            "mp3": MP3,
            "flac": container("flac", "flac", tone(4, 44_100), 44_100),
            "ogg": container("ogg", "libopus", tone(4, 48_000), 48_000),
            "m4a": container("ipod", "aac", tone(4, 44_100), 44_100),
        }[kind]
    )
    middle = len(data) // 2
    data[middle : middle + 1_500] = np.random.default_rng(3).bytes(1_500)
    samples, _, decoded = upload.decode(bytes(data))
    assert decoded.duration_s > 2.5
    tail = samples[-8_000:-2_000]
    assert pitch(tail, 16_000) == pytest.approx(440, abs=5)


def test_random_damage_never_escapes_the_error_tree(upload: Upload) -> None:
    chance = np.random.default_rng(11)
    sources = [MP3, M4A, wav(tone(1, 16_000), 16_000), container("webm", "libopus", tone(1, 48_000), 48_000)]
    for turn in range(60):
        data = np.frombuffer(sources[turn % 4], np.uint8).copy()
        data[chance.integers(0, len(data), 40)] = chance.integers(0, 256, 40)
        data[chance.integers(0, 200, 3)] = chance.integers(0, 256, 3)
        try:
            upload.decode(data.tobytes())
        except InvalidAudio:
            continue


@pytest.mark.parametrize(
    "playlist",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nsecret.wav\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile://{secret}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile secret.wav\n",
        "ffconcat version 1.0\nfile 'file:{secret}'\n",
        "concat:{secret}|{secret}",
        '<?xml version="1.0"?><MPD><Period><BaseURL>{secret}</BaseURL></Period></MPD>',
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 49170 RTP/AVP 0\n",
    ],
    ids=["hls", "hls-url", "concat", "concat-url", "concat-protocol", "dash", "sdp"],
)
def test_a_file_that_names_another_is_refused(upload: Upload, playlist: str) -> None:
    secret = upload.source.with_name("secret.wav")
    secret.write_bytes(wav(tone(1, 16_000), 16_000))
    assert "secret" not in upload.refusal(playlist.replace("{secret}", str(secret)).encode())


def flac_stating(frames: int, samples: np.ndarray) -> bytes:
    data = bytearray(container("flac", "flac", samples, 16_000))
    # STREAMINFO: the low 32 bits of the number of samples are bytes 22 to 25 of the file.
    data[22:26] = struct.pack(">I", frames)
    return bytes(data)


def test_longer_than_allowed_is_refused_at_once_where_the_file_says_so(upload: Upload) -> None:
    message = upload.refusal(flac_stating(16_000 * 50_000, tone(5, 16_000)), max_audio_s=43_200)
    assert "43200 s" in message
    assert not upload.target.exists()


def test_a_stated_length_that_is_too_short_is_not_believed(upload: Upload) -> None:
    data = flac_stating(16_000, np.zeros(16_000 * 300, np.float32))
    done: list[float] = []
    context = Context(progress=lambda at, _: done.append(at))
    with pytest.raises(InvalidAudio, match="100 s"):
        upload.items(data, context, max_audio_s=100)
    assert max(done) <= 100


def test_audio_of_exactly_the_limit_is_taken(upload: Upload) -> None:
    assert upload.decode(wav(tone(2, 16_000), 16_000), max_audio_s=2.0)[2].frames == 32_000


def test_a_full_disk_is_said_before_and_while_writing(upload: Upload, monkeypatch: pytest.MonkeyPatch) -> None:
    data = wav(tone(120, 16_000), 16_000)
    free = [target.RESERVE_BYTES + 1_000]
    usage = shutil.disk_usage(upload.source.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=free[0]))
    with pytest.raises(StorageFull):
        upload.items(data)
    assert not upload.target.exists()
    free[0] = target.RESERVE_BYTES + (1 << 30)

    def fill(_at: float, _of: float) -> None:
        free[0] = 0

    with pytest.raises(StorageFull):
        upload.items(data, Context(progress=fill))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_disk_that_fills_up_under_a_write_is_said(upload: Upload, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fchmod", lambda *_: None)
    upload.target = Path("/dev/full")
    with pytest.raises(StorageFull):
        upload.items(wav(tone(1, 16_000), 16_000))


def cancel_after(context: Context, seconds: float) -> Callable[[], None]:
    timer = threading.Timer(seconds, context.cancel)
    timer.start()
    return timer.cancel


def test_a_caller_that_leaves_during_hours_of_silence_is_noticed_at_once(upload: Upload) -> None:
    frames = 16_000 * 3600 * 4
    with open(upload.source, "wb") as file:
        file.write(wav_header(16_000, frames * 2))
        file.truncate(44 + frames * 2)
    context = Context()
    cancel_after(context, 0.2)
    began = time.perf_counter()
    with pytest.raises(Cancelled):
        upload.items(context=context, detector=DETECTOR)
    assert time.perf_counter() - began < 0.7


def test_a_caller_who_has_left_before_costs_no_block(upload: Upload) -> None:
    context = Context()
    context.cancel()
    with pytest.raises(Cancelled):
        upload.items(wav(tone(1, 16_000), 16_000), context)
    assert upload.target.stat().st_size == 0


def test_progress_counts_up_to_the_stated_length(upload: Upload) -> None:
    seen: list[tuple[float, float]] = []
    upload.items(wav(tone(100, 16_000), 16_000), Context(progress=lambda done, total: seen.append((done, total))))
    assert seen[-1] == (100, 100)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    seen.clear()
    upload.items(MP3, Context(progress=lambda done, total: seen.append((done, total))))
    assert seen[-1][1] == 0


def test_memory_does_not_grow_with_length(upload: Upload) -> None:
    resource = pytest.importorskip("resource")

    def sparse(hours: float) -> None:
        frames = int(16_000 * 3600 * hours)
        with open(upload.source, "wb") as file:
            file.write(wav_header(16_000, frames * 2) + pcm16(tone(30, 16_000)))
            file.truncate(44 + frames * 2)

    sparse(1 / 60)
    for _ in range(3):
        upload.items(detector=DETECTOR)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sparse(1)
    upload.items(detector=DETECTOR)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 30_000


def real(name: str) -> bytes:
    folder = Path(os.environ.get("OPEN_SPEECH_TEST_DATA", Path(__file__).parents[3] / "shared/data"))
    path = folder / "speech" / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    return path.read_bytes()


def test_real_speech_is_decoded_to_the_right_length(upload: Upload) -> None:
    samples, spans, decoded = upload.decode(real("jfk.flac"))
    assert decoded.frames == 176_000
    assert spans == [Span(offset=0, frames=176_000)]
    assert 0.2 < np.abs(samples).max() <= 1


@pytest.mark.model
def test_silero_finds_the_speech_of_a_real_recording(upload: Upload) -> None:
    provider = pytest.importorskip("open_speech_silero.provider")
    silero = EngineSpec(
        plugin="open_speech_silero", kind="detector", provider="silero", load=LoadSpec(model=provider.MODEL)
    )
    _, spans, decoded = upload.decode(real("jfk.flac"), detector=silero)
    assert len(spans) == 1
    assert 7 < decoded.speech_s <= 11
    _, spans, _ = upload.decode(real("jfk.flac"), detector=silero, span_s=5.0)
    assert len(spans) > 2
    assert max(span.frames for span in spans) <= 5 * 16_000
