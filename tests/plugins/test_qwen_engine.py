"""Qwen3-TTS speaks: the real library on tiny random models of its three kinds.

It pins what others want newer, so these run in an environment of their own: ``nox -s qwen``.
"""

from __future__ import annotations

import gc
import importlib.util
import socket
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from open_speech_core.errors import Cancelled, FeatureNotSupported, InvalidRequest, LoadFailed, VoiceNotFound
from open_speech_core.providers import Context
from open_speech_core.testing import Case, cases
from open_speech_core.types import Audio, Float32, LoadSpec, Model, Samples, SynthesizeRequest
from open_speech_qwen.family import LANGUAGES, RATE, SPEAKERS, find, repository
from open_speech_qwen.provider import QwenOptions, QwenSynthesizer

if importlib.util.find_spec("qwen_tts") is None:
    pytest.skip("the library of Qwen3-TTS is not here; nox -s qwen has it", allow_module_level=True)

from open_speech_qwen.engine import QwenEngine, choose_attention, choose_type
from plugins import tiny_qwen

pytestmark = pytest.mark.qwen

LARGE, SMALL = "qwen3-tts/1.7B-CustomVoice", "qwen3-tts/0.6B-CustomVoice"
DESIGN, BASE = "qwen3-tts/1.7B-VoiceDesign", "qwen3-tts/1.7B-Base"
KINDS = {LARGE: ("custom_voice", "1b7"), SMALL: ("custom_voice", "0b6"), DESIGN: ("voice_design", "1b7")}
KINDS[BASE] = ("base", "1b7")
TEXT = "One sentence."


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay a tiny model for each kind where a download would."""
    made = tmp_path_factory.mktemp("models") / "qwen3"
    for id, (kind, size) in KINDS.items():
        tiny_qwen.write(made / repository(id).replace("/", "--"), kind, size=size)
    return made


def model_of(id: str) -> Model:
    model = find(id)
    assert model is not None
    return model


def load(home: Path, id: str, *, device: str = "cpu", compute_type: str = "auto", **options: Any) -> QwenEngine:
    provider = QwenSynthesizer(QwenOptions(**options), home)
    spec = LoadSpec(model=model_of(id), device=device, compute_type=compute_type, home=str(home))
    engine = provider.load(spec)
    assert isinstance(engine, QwenEngine)
    return engine


@pytest.fixture(scope="module")
def custom(home: Path) -> QwenEngine:
    return load(home, LARGE)


@pytest.fixture(scope="module")
def design(home: Path) -> QwenEngine:
    return load(home, DESIGN)


@pytest.fixture
def base(home: Path) -> QwenEngine:
    return load(home, BASE, clone_prompts=2)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be fetched: not at load, and no address that a text may hold."""

    def refuse(*_: object) -> None:
        raise AssertionError("an engine wanted the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def spoken(engine: QwenEngine, text: str = TEXT, voice: str = "Ryan", **fields: Any) -> Float32:
    request = SynthesizeRequest(text=text, voice=voice, **{"seed": 1, **fields})
    pieces = list(engine.synthesize(request, Context()))
    assert all(isinstance(piece, Audio) and piece.rate == RATE for piece in pieces)
    return np.concatenate([piece.samples for piece in pieces]) if pieces else np.zeros(0, np.float32)


def voice(seed: int, seconds: float = 2.0, rate: int = RATE) -> Samples:
    """Make something that sounds different for each seed."""
    times = np.arange(round(seconds * rate)) / rate
    tone = sum(np.sin(2 * np.pi * 90 * seed**2 * harmonic * times) / harmonic for harmonic in range(1, 6))
    return Samples(data=(0.1 * np.asarray(tone)).astype("<f4").tobytes(), rate=rate)


def equal(one: Float32, other: Float32) -> bool:
    return len(one) == len(other) and bool(np.allclose(one, other, atol=1e-5))


# three ways to speak


@pytest.mark.parametrize("speaker", SPEAKERS, ids=lambda each: each.id)
def test_every_speaker_speaks(speaker: Any, custom: QwenEngine) -> None:
    samples = spoken(custom, voice=speaker.id)
    assert samples.dtype == np.float32
    assert 0.08 <= len(samples) / RATE <= tiny_qwen.TOKENS / 12.5 + 0.2
    assert np.abs(samples).max() > 0


def test_speaker_instructions_and_seed_are_heard(custom: QwenEngine) -> None:
    plain = spoken(custom)
    assert equal(plain, spoken(custom))
    assert not equal(plain, spoken(custom, seed=2))
    assert not equal(plain, spoken(custom, voice="Vivian"))
    assert not equal(plain, spoken(custom, instructions="Whisper."))
    assert not equal(plain, spoken(custom, language="de"))
    assert equal(spoken(custom, language="en-GB"), spoken(custom, language="English"))


def test_the_small_size_leaves_instructions_out(home: Path) -> None:
    small = load(home, SMALL)
    assert equal(spoken(small), spoken(small, instructions="Whisper."))


def test_a_described_voice_depends_on_the_description(design: QwenEngine) -> None:
    warm = spoken(design, voice="", instructions="A warm, deep voice")
    assert len(warm)
    assert equal(warm, spoken(design, voice="", instructions="A warm, deep voice"))
    assert not equal(warm, spoken(design, voice="", instructions="A shrill voice"))


def test_a_cloned_voice_depends_on_the_reference_and_its_transcript(base: QwenEngine) -> None:
    first = spoken(base, voice="", reference=voice(1))
    assert len(first)
    assert equal(first, spoken(base, voice="", reference=voice(1)))
    assert not equal(first, spoken(base, voice="", reference=voice(2)))
    assert not equal(first, spoken(base, voice="", reference=voice(1), reference_text="What was said."))


def test_a_reference_is_heard_once_and_few_are_kept(base: QwenEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[int] = []
    hear = base._model.create_voice_clone_prompt
    monkeypatch.setattr(base._model, "create_voice_clone_prompt", lambda **more: heard.append(0) or hear(**more))  # type: ignore[func-returns-value]
    for seed in (1, 1, 2, 1):
        spoken(base, "One. Two.", voice="", reference=voice(seed))
    assert len(heard) == 2
    spoken(base, voice="", reference=voice(3))
    spoken(base, voice="", reference=voice(1))
    assert len(heard) == 3
    spoken(base, voice="", reference=voice(2))
    assert len(heard) == 4
    assert len(base._prompts) == 2


# what is refused


def test_what_a_variant_cannot_do_is_refused(custom: QwenEngine, design: QwenEngine, base: QwenEngine) -> None:
    with pytest.raises(VoiceNotFound, match="no voice 'Nobody'"):
        spoken(custom, voice="Nobody")
    with pytest.raises(VoiceNotFound, match="only described ones"):
        spoken(design, voice="Ryan")
    with pytest.raises(FeatureNotSupported, match="send one"):
        spoken(base, voice="")
    for engine in (custom, design):
        with pytest.raises(FeatureNotSupported, match="cannot clone"):
            spoken(engine, reference=voice(1))


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        (voice(1, 0.3), r"0\.3 s long"),
        (voice(1, 61), r"61\.0 s long"),
        (voice(1, 2, 16_000), "16000 Hz, not 24000"),
        (Samples(data=bytes(4 * RATE), rate=RATE), "nothing can be heard"),
        (Samples(data=np.full(RATE, np.nan, "<f4").tobytes(), rate=RATE), "nothing can be heard"),
        (Samples(data=b"", rate=RATE), r"0\.0 s long"),
    ],
)
def test_a_bad_reference_is_refused(reference: Samples, said: str, base: QwenEngine) -> None:
    with pytest.raises(InvalidRequest, match=said) as refused:
        spoken(base, voice="", reference=reference)
    assert refused.value.param == "reference_audio"


@pytest.mark.parametrize("language", ["xx", "Klingon", "sv", "", None, "auto"])
def test_a_language_is_one_of_ten_or_found_out(language: str | None, custom: QwenEngine) -> None:
    if language in ("xx", "Klingon", "sv"):
        with pytest.raises(InvalidRequest, match=", ".join(LANGUAGES)):
            spoken(custom, language=language)
    else:
        assert equal(spoken(custom, language=language), spoken(custom))


def test_an_address_in_any_text_is_only_text(custom: QwenEngine, base: QwenEngine) -> None:
    address = "http://127.0.0.1:9/reference.wav"
    assert len(spoken(custom, address, instructions=address))
    assert len(spoken(base, address, voice="", reference=voice(1), reference_text=address))


# time


def test_sentences_come_one_by_one(custom: QwenEngine) -> None:
    request = SynthesizeRequest(text="One. Two. Three.", voice="Ryan")
    assert len(list(custom.synthesize(request, Context()))) == 3


def test_speed_changes_the_length(custom: QwenEngine) -> None:
    length = len(spoken(custom))
    assert len(spoken(custom, speed=2.0)) == pytest.approx(length / 2, rel=0.05)
    assert len(spoken(custom, speed=0.5)) == pytest.approx(length * 2, rel=0.05)


def test_a_caller_who_leaves_frees_the_engine_within_a_token(custom: QwenEngine) -> None:
    context, talker, tokens = Context(), custom._model.model.talker, []

    def leave(*_: Any) -> None:
        tokens.append(0)
        context.cancel()

    hook = talker.register_forward_hook(leave)
    try:
        with pytest.raises(Cancelled):
            list(custom.synthesize(SynthesizeRequest(text=TEXT, voice="Ryan"), context))
    finally:
        hook.remove()
    assert len(tokens) == 1
    assert not any(module._forward_pre_hooks for module in custom._model.model.modules())
    assert len(spoken(custom))


def test_speech_that_does_not_find_its_end_stops(custom: QwenEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(custom._model.generate_defaults, "max_new_tokens", 2048)
    assert custom._tokens("Yes.") == 75 + 6 * 4
    assert custom._tokens("x" * 1000) == 2048


# loading


@pytest.mark.parametrize("id", KINDS)
def test_every_variant_warms_up_and_gives_back_what_it_held(id: str, home: Path) -> None:
    engine = load(home, id)
    engine.warm_up()
    assert (engine.device, engine.compute_type) == ("cpu", "float32")
    left = weakref.ref(engine._model.model)
    engine.close()
    gc.collect()
    assert left() is None


def test_bfloat16_speaks_too(home: Path) -> None:
    engine = load(home, LARGE, compute_type="bfloat16")
    assert np.isfinite(spoken(engine)).all()


def test_weights_of_another_variant_are_refused(home: Path) -> None:
    provider = QwenSynthesizer(QwenOptions(), home)
    path = str(home / repository(BASE).replace("/", "--"))
    with pytest.raises(LoadFailed, match="those of 'base'"):
        provider.load(LoadSpec(model=model_of(LARGE), path=path, device="cpu"))


def test_damaged_weights_are_refused(home: Path, tmp_path: Path) -> None:
    tiny_qwen.write(tmp_path / "damaged", "custom_voice")
    (tmp_path / "damaged" / "model.safetensors").write_bytes(b"not weights")
    provider = QwenSynthesizer(QwenOptions(), home)
    with pytest.raises(LoadFailed, match="could not be loaded"):
        provider.load(LoadSpec(model=model_of(LARGE), path=str(tmp_path / "damaged"), device="cpu"))


def test_the_device_is_the_provider_s_option_else_the_server_s(home: Path) -> None:
    spec = LoadSpec(model=model_of(LARGE), device="cuda:7")
    with pytest.raises(LoadFailed, match="'cuda:7' was asked for"):
        QwenSynthesizer(QwenOptions(), home).load(spec)
    assert QwenSynthesizer(QwenOptions(device="cpu"), home).load(spec).device == "cpu"


def test_the_type_suits_the_device() -> None:
    assert choose_type("auto", "cpu") == "float32"
    assert choose_type("auto", "cuda:0") == "bfloat16"
    assert choose_type("float16", "cuda:0") == "float16"
    with pytest.raises(LoadFailed, match="int8"):
        choose_type("int8", "cpu")


@pytest.mark.parametrize(
    ("flash", "device", "installed", "chosen"),
    [
        (True, "cuda:0", True, "flash_attention_2"),
        (True, "cuda:0", False, "sdpa"),
        (True, "cpu", True, "sdpa"),
        (False, "cuda:0", True, "sdpa"),
    ],
)
def test_flash_attention_is_used_where_it_is_wanted_and_can_be(
    flash: bool, device: str, installed: bool, chosen: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if installed:
        (tmp_path / "flash_attn.py").touch()
        monkeypatch.syspath_prepend(str(tmp_path))
    assert choose_attention(flash, device) == chosen


# the contract


@pytest.fixture(scope="module")
def kit(home: Path) -> list[Case]:
    found = [parameter.values[0] for parameter in cases("open_speech_qwen", home=home.parent)]
    return [case for case in found if isinstance(case, Case)]


@pytest.mark.parametrize("id", [LARGE, SMALL])
@pytest.mark.timeout(300)
def test_it_keeps_the_laws(id: str, kit: list[Case]) -> None:
    (case,) = (case for case in kit if case.model.id == id)
    case.check(calls=200 if id == LARGE else 0)
