"""pyannote: what it claims and fetches; and on a random pipeline, turns, counts of speakers, known ones, a cancel."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loopback_hub import serving
from open_speech_core.errors import Cancelled, DownloadFailed, LoadFailed, WeightsMissing
from open_speech_core.providers import Context
from open_speech_core.testing import check_diarizer, check_plugin
from open_speech_core.types import DiarizeRequest, Float32, KnownSpeaker, LoadSpec, Model, Samples, SpeakerTurn
from open_speech_pyannote.provider import FILES, PUBLISHED, RATE, REVISION, PyannoteDiarizer, PyannoteOptions

ID = f"pyannote/{PUBLISHED}"


def make(home: Path, **options: Any) -> PyannoteDiarizer:
    return PyannoteDiarizer(PyannoteOptions(**options), home)


def model_of(provider: PyannoteDiarizer, id: str) -> Model:
    return {model.id: model for model in (*provider.models(), *provider.local())}[id]


def test_the_plugin_keeps_the_laws() -> None:
    check_plugin("open_speech_pyannote")


@pytest.mark.parametrize("id", ["pyannote/other", "pyannote/", "pyannote/../x", "someone/model", ""])
def test_what_is_no_pipeline_is_not_claimed(tmp_path: Path, id: str) -> None:
    assert make(tmp_path).resolve(id) is None


def test_missing_weights_say_how_to_get_them(tmp_path: Path) -> None:
    provider = make(tmp_path)
    with pytest.raises(WeightsMissing, match="HF_TOKEN"):
        provider.load(LoadSpec(model=model_of(provider, ID)))


def test_without_a_token_nothing_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    provider = make(tmp_path)
    with pytest.raises(DownloadFailed, match="accept its terms"):
        provider.download(model_of(provider, ID), Context())


def test_a_download_brings_every_file(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    code = """
import sys
from pathlib import Path
from open_speech_core.providers import Context
from open_speech_pyannote.provider import PyannoteDiarizer, PyannoteOptions
provider = PyannoteDiarizer(PyannoteOptions(), Path(sys.argv[1]))
(model,) = provider.models()
provider.download(model, Context())
assert provider.artifacts(model).complete
assert "torch" not in sys.modules
"""
    with serving({name: name.encode() * 100 for name in FILES}) as hub:
        environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_x"}
        subprocess.run([sys.executable, "-c", code, str(tmp_path / "home")], env=environ, check=True, timeout=60)
        assert any("hf_x" in token for token in hub.tokens)
        assert hub.revisions == {REVISION}
    folder = tmp_path / "home" / PUBLISHED
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*.*")} == set(FILES)


# the real library on random weights

torch_only = pytest.mark.torch


def the_library() -> None:
    """Skip where it is not installed."""
    pytest.importorskip("torch")
    from open_speech_core.runtimes.torch import import_torchaudio

    if importlib.util.find_spec("torchaudio") is None:
        pytest.skip("torchaudio is not here")
    import_torchaudio()
    pytest.importorskip("pyannote.audio")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay a tiny pipeline where the plugin looks for the owner's."""
    the_library()
    from plugins import tiny_pyannote

    home = tmp_path_factory.mktemp("pyannote")
    tiny_pyannote.write(home / "random")
    return home


@pytest.fixture(scope="module")
def engine(home: Path) -> Iterator[Any]:
    provider = make(home, known_similarity=-1.0)
    loaded = provider.load(LoadSpec(model=model_of(provider, "pyannote/random")))
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def talk(data: Path) -> Float32:
    from plugins.bench import decode

    return decode(data / "speech" / "jfk.flac")


def as_samples(samples: Float32) -> Samples:
    return Samples(data=samples.astype("<f4").tobytes(), rate=RATE)


def turns(engine: Any, samples: Float32, **fields: Any) -> list[SpeakerTurn]:
    return list(engine.diarize(DiarizeRequest(audio=as_samples(samples), **fields), Context()))


@torch_only
@pytest.mark.timeout(900)
def test_the_engine_keeps_the_laws(home: Path) -> None:
    provider = make(home)
    check_diarizer(provider, model_of(provider, "pyannote/random"), calls=0)


@torch_only
def test_turns_are_of_the_recording(engine: Any, talk: Float32) -> None:
    found = turns(engine, talk)
    assert found, "an untrained network hears something somewhere"
    assert [turn.start for turn in found] == sorted(turn.start for turn in found)
    assert all(0 <= turn.start < turn.end <= len(talk) / RATE for turn in found)


@torch_only
def test_as_many_speakers_as_asked_for(engine: Any, talk: Float32) -> None:
    assert len({turn.speaker for turn in turns(engine, talk, speakers=1)}) == 1


@torch_only
def test_a_known_speaker_has_a_name(engine: Any, talk: Float32) -> None:
    known = KnownSpeaker(name="Jack", audio=as_samples(talk[: 8 * RATE]))
    found = turns(engine, talk, speakers=1, known=(known,))
    assert {turn.speaker for turn in found} == {"Jack"}


@torch_only
def test_a_cancel_ends_it_between_batches(engine: Any, talk: Float32) -> None:
    context = Context()
    context.cancel()
    with pytest.raises(Cancelled):
        list(engine.diarize(DiarizeRequest(audio=as_samples(talk)), context))


@torch_only
@pytest.mark.parametrize("config", ["[", "pipeline: {name: no.such.Class}"])
def test_a_configuration_nobody_can_use_is_said_so(tmp_path: Path, config: str) -> None:
    the_library()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "config.yaml").write_text(config)
    provider = make(tmp_path)
    with pytest.raises(LoadFailed, match="could not be loaded"):
        provider.load(LoadSpec(model=model_of(provider, "pyannote/bad")))
