"""Resemblyzer tells speakers apart with the real weights of its packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from api.calling import transcribe, wav
from api.serving import STARTER, StartServer
from bench.diarization import error_rate, read_rttm
from open_speech_core.errors import InvalidRequest, LoadFailed, WeightsMissing
from open_speech_core.providers import Context
from open_speech_core.testing import Case, cases, check_plugin
from open_speech_core.types import DiarizeRequest, Float32, KnownSpeaker, LoadSpec, Samples, SpeakerTurn
from open_speech_resemblyzer import provider as resemblyzer
from open_speech_resemblyzer.encoder import power_spectra
from open_speech_resemblyzer.provider import MODEL, RATE, ResemblyzerDiarizer, ResemblyzerOptions
from open_speech_resemblyzer.regions import Region, regions
from plugins.bench import decode

if TYPE_CHECKING:
    from open_speech_resemblyzer.engine import ResemblyzerEngine

Lj = list[Float32]


@pytest.fixture(scope="module")
def provider() -> ResemblyzerDiarizer:
    return ResemblyzerDiarizer(ResemblyzerOptions(), Path())


@pytest.fixture(scope="module")
def engine(provider: ResemblyzerDiarizer) -> ResemblyzerEngine:
    made = provider.load(LoadSpec(model=MODEL))
    made.warm_up()
    return made  # type: ignore[return-value]


@pytest.fixture(scope="module")
def lj(data: Path) -> Lj:
    """A woman's sentences, 5 s in all but two."""
    return [decode(path) for path in sorted((data / "speech").glob("LJ*.wav"))]


def samples(audio: Float32) -> Samples:
    return Samples(data=audio.astype("<f4").tobytes(), rate=RATE)


def told(engine: ResemblyzerEngine, audio: Float32, speakers: int | None = None, **known: Float32) -> list[SpeakerTurn]:
    voices = tuple(KnownSpeaker(name=name, audio=samples(voice)) for name, voice in known.items())
    return list(engine.diarize(DiarizeRequest(audio=samples(audio), speakers=speakers, known=voices), Context()))


def talk(*clips: Float32) -> Float32:
    pause = np.zeros(RATE // 2, np.float32)
    return np.concatenate([piece for clip in clips for piece in (clip, pause)])


def who(turns: list[SpeakerTurn], at_s: float) -> str | None:
    return next((turn.speaker for turn in turns if turn.start <= at_s <= turn.end), None)


def test_two_people_are_told_apart(engine: ResemblyzerEngine, jfk: Float32, lj: Lj) -> None:
    """LJ 5.1 s, Kennedy 3.3 s, LJ 5.7 s, with half a second between them."""
    turns = told(engine, talk(lj[1], jfk[: int(3.3 * RATE)], lj[2]))
    heard = [who(turns, at) for at in (2.0, 4.0, 6.8, 11.0, 13.5)]
    assert heard == ["SPEAKER_00", "SPEAKER_00", "SPEAKER_01", "SPEAKER_00", "SPEAKER_00"]
    assert len({turn.speaker for turn in turns}) == 2
    assert who(turns, 5.4) is None, "nobody speaks in the pause"


def test_one_person_is_one(engine: ResemblyzerEngine, lj: Lj) -> None:
    assert {turn.speaker for turn in told(engine, talk(*lj))} == {"SPEAKER_00"}


def test_a_stray_moment_is_nobody(engine: ResemblyzerEngine, jfk: Float32) -> None:
    """Less than a second of this speech sounds unlike the rest of it."""
    assert {turn.speaker for turn in told(engine, jfk)} == {"SPEAKER_00"}


def test_the_number_of_speakers_is_kept_to(engine: ResemblyzerEngine, telephone: Float32) -> None:
    assert len({turn.speaker for turn in told(engine, telephone, 1)}) == 1
    assert len({turn.speaker for turn in told(engine, telephone, 2)}) == 2


def test_the_error_on_a_telephone_call(engine: ResemblyzerEngine, telephone: Float32, data: Path) -> None:
    """Nothing was chosen by this call; 20.7 % was measured with two speakers told."""
    pytest.importorskip("pyannote.metrics")
    reference = list(read_rttm(data / "speech" / "sample.rttm"))
    assert error_rate(reference, told(engine, telephone, 2))["diarization error rate"] < 0.25


def test_known_speakers_are_named(engine: ResemblyzerEngine, jfk: Float32, lj: Lj) -> None:
    audio = talk(lj[1], jfk[: int(3.3 * RATE)], lj[2])
    turns = told(engine, audio, Linda=lj[4], SPEAKER_00=jfk[int(3.3 * RATE) : 8 * RATE])
    assert [who(turns, at) for at in (2.0, 6.8, 11.0)] == ["Linda", "SPEAKER_00", "Linda"]
    turns = told(engine, audio, SPEAKER_00=jfk[int(3.3 * RATE) : 8 * RATE])
    assert [who(turns, at) for at in (2.0, 6.8)] == ["SPEAKER_01", "SPEAKER_00"], "a name is nobody else's label"


def test_a_stranger_is_not_taken_for_a_known_one(engine: ResemblyzerEngine, jfk: Float32, lj: Lj) -> None:
    turns = told(engine, talk(lj[1], lj[2]), President=jfk[int(3.3 * RATE) : 8 * RATE])
    assert {turn.speaker for turn in turns} == {"SPEAKER_00"}


def test_a_silent_reference_names_nobody(engine: ResemblyzerEngine, lj: Lj) -> None:
    turns = told(engine, lj[1], Nobody=np.zeros(3 * RATE, np.float32))
    assert {turn.speaker for turn in turns} == {"SPEAKER_00"}


def test_how_loud_it_is_changes_nothing(engine: ResemblyzerEngine, jfk: Float32, lj: Lj) -> None:
    audio = talk(lj[1], jfk[: int(3.3 * RATE)], lj[2])
    assert len({turn.speaker for turn in told(engine, audio * np.float32(0.05))}) == 2


def test_many_voices_take_no_more_memory_than_some(engine: ResemblyzerEngine, jfk: Float32, lj: Lj) -> None:
    """Eight minutes: more voices than are clustered at once."""
    once = talk(lj[1], jfk[: int(3.3 * RATE)], lj[2])
    turns = told(engine, np.tile(once, 480 * RATE // len(once)))
    assert len({turn.speaker for turn in turns}) == 2
    assert who(turns, 2.0) == who(turns, 2.0 + 29 * len(once) / RATE)


@pytest.mark.torch
def test_the_encoder_is_resemblyzers_own(engine: ResemblyzerEngine, lj: Lj, tmp_path: Path) -> None:
    """Equal voices, to rounding, from the package itself, without the detector that needs a compiler."""
    pytest.importorskip("torch")
    np.save(tmp_path / "clip.npy", lj[1][: int(1.6 * RATE)])
    code = """
import sys, types, numpy as np
sys.modules["webrtcvad"] = types.ModuleType("webrtcvad")
import torch
from resemblyzer import VoiceEncoder
from resemblyzer.audio import wav_to_mel_spectrogram
mel = wav_to_mel_spectrogram(np.load(sys.argv[1]))
with torch.no_grad():
    np.save(sys.argv[2], VoiceEncoder("cpu", verbose=False)(torch.from_numpy(mel[None])).numpy())
"""
    made = tmp_path / "voice.npy"
    command = [sys.executable, "-c", code, tmp_path / "clip.npy", made]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "ImportError" in done.stderr or "ModuleNotFoundError" in done.stderr:
        pytest.skip(f"the package itself does not import here: {done.stderr[-200:]}")
    assert done.returncode == 0, done.stderr
    own = engine._encoder.voices(power_spectra(np.load(tmp_path / "clip.npy"))[np.newaxis], Context())
    assert np.abs(own - np.load(made)).max() < 1e-5


def test_speech_is_found_in_probabilities() -> None:
    heard = [0.0] * 10 + [0.9] * 30 + [0.4] * 5 + [0.1] * 5 + [0.9] * 10 + [0.0] * 20 + [0.9] * 2 + [0.0] * 20
    assert regions(heard, 0.032, 100.0) == [Region(start=0.32, end=pytest.approx(1.92))], "a short pause, a click"
    assert regions([0.9] * 40, 0.032, 1.0) == [Region(start=0.0, end=1.0)], "none of it after the end"
    assert regions([], 0.032, 0.0) == []


def test_the_wrong_rate_is_refused(engine: ResemblyzerEngine) -> None:
    with pytest.raises(InvalidRequest, match="16000 Hz, not 8000"):
        list(engine.diarize(DiarizeRequest(audio=Samples(data=bytes(8), rate=8_000)), Context()))


def test_weights_that_are_missing_or_damaged_are_named(
    provider: ResemblyzerDiarizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert provider.artifacts(MODEL).complete
    file = tmp_path / "voice_encoder.onnx"
    monkeypatch.setattr(resemblyzer, "WEIGHTS", file)
    assert not provider.artifacts(MODEL).complete
    with pytest.raises(WeightsMissing, match="missing"):
        provider.load(LoadSpec(model=MODEL))
    file.write_bytes(b"no weights")
    with pytest.raises(LoadFailed, match="damaged"):
        provider.load(LoadSpec(model=MODEL))


def test_asking_it_imports_no_model_library() -> None:
    code = (
        "import sys; from pathlib import Path; from open_speech_resemblyzer.provider import *; "
        "p = ResemblyzerDiarizer(ResemblyzerOptions(), Path()); p.artifacts(p.models()[0]); "
        "print(sorted({'scipy', 'numpy', 'onnxruntime'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


@pytest.mark.model
def test_what_each_said_is_in_their_segments(start_server: StartServer, jfk: Float32, lj: Lj) -> None:
    """Real speech, recogniser and diarizer: Kennedy for 8 s, LJ for 5 s, Kennedy again for 3 s."""
    pytest.importorskip("open_speech_starter")
    server = start_server((*STARTER, "open_speech_resemblyzer"))
    file = wav((talk(jfk[: 8 * RATE], lj[1], jfk[8 * RATE :]) * 32767).astype("<i2").tobytes(), RATE)

    body = transcribe(server, file, model=..., diarize="true", speakers="2").json()
    said = {name: "".join(s["text"] for s in body["segments"] if s["speaker"] == name).lower() for name in ("A", "B")}
    assert {segment["speaker"] for segment in body["segments"]} == {"A", "B"}
    assert all(words in said["A"] for words in ("ask not", "ask what you can do"))
    assert "block books" in said["B"]
    assert "ask" not in said["B"]
    assert " ".join(segment["text"] for segment in body["segments"]) == body["text"]
    assert body["text"] == transcribe(server, file, model=...).json()["text"]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", cases("open_speech_resemblyzer"))
def test_the_engine_keeps_the_laws(case: Case, lj: Lj) -> None:
    case.check(speech=lj[1])


def test_the_plugin_keeps_the_laws() -> None:
    check_plugin("open_speech_resemblyzer")
