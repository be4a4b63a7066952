"""The engine: one Piper voice on ONNX Runtime."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from piper import AudioChunk, PiperVoice, SynthesisConfig
from piper.config import PiperConfig

from open_speech_core.errors import LoadFailed, VoiceNotFound
from open_speech_core.providers import Context, SynthesizerEngine
from open_speech_core.runtimes import onnx
from open_speech_core.types import Audio, LoadSpec, SynthesizeRequest, Timing

from .provider import PiperOptions, PiperRequestOptions
from .words import WordTimes

log = logging.getLogger(__name__)

PIECE_PHONEMES = 300
"""Longest stretch, about 15 s of speech, synthesised at once: time and memory grow faster than its length."""
PAUSES = frozenset(",;:")


def load_engine(weights: Path, voice_id: str, spec: LoadSpec, options: PiperOptions) -> PiperEngine:
    """Load the voice whose config lies beside ``weights``. Raises ``LoadFailed``."""
    # Its warnings quote what is spoken.
    logging.getLogger("piper").setLevel(logging.ERROR)
    session = onnx.open_session(weights, spec)
    try:
        config = PiperConfig.from_dict(msgspec.json.decode(weights.with_name(f"{weights.name}.json").read_bytes()))
    except Exception as error:  # fence: a damaged config raises whatever it leads to
        log.exception("load of %s failed", spec.model.id)
        raise LoadFailed(f"{spec.model.id!r} could not be loaded; are its files whole?") from error
    lent: Any = onnx.LentSession(session)
    voice = PiecewiseVoice(session=lent, config=config, download_dir=weights.parent)
    return PiperEngine(voice, lent, voice_id=voice_id, options=options, device=onnx.device_of(session))


class PiecewiseVoice(PiperVoice):
    """A voice that takes very long sentences in pieces."""

    def phonemize(self, text: str) -> list[list[str]]:
        return [piece for sentence in super().phonemize(text) for piece in split_phonemes(sentence)]


def split_phonemes(phonemes: list[str], most: int = PIECE_PHONEMES) -> Iterator[list[str]]:
    """Cut a sentence into pieces of at most ``most``: after a pause, else a space, past the middle."""
    while len(phonemes) > most:
        spaces = [at for at in range(most // 2, most) if phonemes[at] == " "]
        pauses = [at for at in spaces if phonemes[at - 1] in PAUSES]
        cut = (pauses or spaces or [most - 1])[-1] + 1
        yield phonemes[:cut]
        phonemes = phonemes[cut:]
    yield phonemes


class PiperEngine(SynthesizerEngine):
    """One voice; the library's phonemizer has one lock a process, so one call at a time."""

    def __init__(
        self, voice: PiperVoice, session: onnx.LentSession, *, voice_id: str, options: PiperOptions, device: str
    ) -> None:
        self._voice = voice
        self._session = session
        self._voice_id = voice_id
        self._options = options
        self.device = device
        self.compute_type = "float32"
        self._aligned = len(voice.session.get_outputs()) > 1
        """The voice was exported with the lengths of its phonemes."""

    def synthesize(self, request: SynthesizeRequest, context: Context) -> Iterator[Audio | Timing]:
        settings = self._settings(request)
        # espeak-ng takes C strings.
        text = request.text.replace("\0", " ")
        times = WordTimes(self._voice, text) if self._aligned else None
        chunks = iter(self._voice.synthesize(text, settings, include_alignments=self._aligned))
        while (chunk := self._next(chunks, context)) is not None:
            yield Audio(samples=chunk.audio_float_array.reshape(-1), rate=chunk.sample_rate)
            if times is not None:
                yield from times.of(chunk)
            context.check()

    def warm_up(self) -> None:
        """Speak a little; a voice whose phonemizer is not installed shows it here."""
        try:
            for _chunk in self._voice.synthesize("a."):
                pass
        except ImportError as error:
            language = self._voice.config.phoneme_type.value
            raise LoadFailed(
                f"voice {self._voice_id!r} needs the {language} phonemizer, an extra of piper-tts that is not installed"
            ) from error

    def _next(self, chunks: Iterator[AudioChunk], context: Context) -> AudioChunk | None:
        with self._session.within(context):
            return next(chunks, None)

    def _settings(self, request: SynthesizeRequest) -> SynthesisConfig:
        own = request.options if isinstance(request.options, PiperRequestOptions) else PiperRequestOptions()
        noise, noise_w = own.noise_scale, own.noise_w_scale
        return SynthesisConfig(
            speaker_id=self._speaker(request.voice),
            length_scale=self._voice.config.length_scale / request.speed,
            noise_scale=self._options.noise_scale if noise is None else noise,
            noise_w_scale=self._options.noise_w_scale if noise_w is None else noise_w,
        )

    def _speaker(self, voice: str) -> int | None:
        """Give the number of a speaker; None is the voice's default. Raises ``VoiceNotFound``."""
        name, slash, speaker = voice.partition("/")
        if name == self._voice_id and not slash:
            return None
        number = self._voice.config.speaker_id_map.get(speaker)
        if name != self._voice_id or number is None:
            raise VoiceNotFound(f"model 'piper/{self._voice_id}' has no voice {voice!r}", param="voice")
        return number
