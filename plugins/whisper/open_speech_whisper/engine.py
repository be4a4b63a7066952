"""The engine: one ``WhisperModel``, its segments turned into the contract's as they are decoded."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from open_speech_core.audio import read
from open_speech_core.errors import FeatureNotSupported, InvalidRequest, LoadFailed
from open_speech_core.providers import Context, TranscriberEngine
from open_speech_core.types import CANCEL_S, Float32, Info, LoadSpec, Segment, TokenLogprob, TranscribeRequest, Word

from .catalogue import RATE
from .provider import REQUIRED, WhisperOptions, WhisperRequestOptions

log = logging.getLogger(__name__)

LADDER = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Temperatures tried in turn until a result passes the library's checks: the reference's default."""
SHORTEST = RATE // 100
"""Samples of one hop of the features; less is nothing to hear."""
PRECISION_S = 0.02
"""Step of Whisper's time tokens; no segment is shorter."""
HOTWORD_TOKENS = 60
"""Hotwords and prompt share the decoder's 448 tokens with the text; unbounded they leave no room for it."""
LEAST_PROBABILITY = 1e-10
BATCH_ON_GPU = 8

_SPECIAL_TOKEN = re.compile(r"<\|[^|]*\|>")


def load_engine(folder: Path, spec: LoadSpec, options: WhisperOptions) -> WhisperEngine:
    """Load the model in ``folder``. Raises ``LoadFailed``."""
    import ctranslate2

    from .fitted import FittedWhisperModel

    if missing := [file for file in REQUIRED if not (folder / file).is_file()]:
        raise LoadFailed(f"the folder of {spec.model.id!r} has no {missing[0]}")
    device, index = choose_device(spec.device, ctranslate2.get_cuda_device_count())
    asked = options.compute_type if spec.compute_type == "auto" else spec.compute_type
    compute = choose_compute_type(asked, device, ctranslate2.get_supported_compute_types(device, index))
    batch = options.batch or (BATCH_ON_GPU if device == "cuda" else 1)
    try:
        model = FittedWhisperModel(
            str(folder),
            fitted=options.fitted_window,
            most_gathered=batch,
            device=device,
            device_index=index,
            compute_type=compute,
            cpu_threads=spec.threads,
            num_workers=1,
            local_files_only=True,
        )
    except (RuntimeError, ValueError, OSError) as error:
        log.exception("load of %s failed", spec.model.id)
        raise LoadFailed(
            f"{spec.model.id!r} could not be loaded on {device} as {compute}; "
            "is it a Whisper model in CTranslate2 form?"
        ) from error
    return WhisperEngine(
        model,
        translates=spec.model.translates,
        beam_size=options.beam_size,
        batch=batch,
        device=device if device == "cpu" else f"{device}:{index}",
        compute_type=compute,
    )


def choose_device(asked: str, gpus: int) -> tuple[str, int]:
    """Give CTranslate2's device and index. Raises ``LoadFailed`` when what was asked for is not there."""
    if asked == "cpu" or (asked == "auto" and gpus == 0):
        return "cpu", 0
    name, _, number = asked.partition(":")
    if asked != "auto" and (name != "cuda" or not (number or "0").isdecimal()):
        raise LoadFailed(f"device {asked!r} is unknown; Whisper runs on cpu, cuda or cuda:N")
    index = int(number or 0)
    if index >= gpus:
        raise LoadFailed(f"device {asked!r} was asked for, but this machine has {gpus} usable CUDA devices")
    return "cuda", index


def choose_compute_type(asked: str, device: str, supported: Iterable[str]) -> str:
    """Give a compute type the device can do: what was asked for, else int8 on a CPU, said once.

    Raises:
        LoadFailed: a GPU cannot do it.
    """
    if asked == "auto":
        asked = "float16" if device == "cuda" and "float16" in supported else "int8"
    if asked in supported:
        return asked
    if device != "cpu":
        raise LoadFailed(f"{device} here cannot compute in {asked!r}; it can in {', '.join(sorted(supported))}")
    log.warning("a CPU cannot compute in %s here: using int8", asked)
    return "int8"


class WhisperEngine(TranscriberEngine):
    """One model; as many calls at a time as it decodes together, since more would only share its threads."""

    def __init__(
        self, model: Any, *, translates: bool, beam_size: int, batch: int, device: str, compute_type: str
    ) -> None:
        self._model = model
        self._multilingual = bool(model.model.is_multilingual)
        self._translates = translates and self._multilingual
        self._beam_size = beam_size
        self.max_concurrency = batch
        self.device = device
        self.compute_type = compute_type

    @property
    def cancel_s(self) -> float | None:
        """Twice the longest call of the library so far, where that is long: of a large model, or on a slow machine."""
        longest_s: float = 2 * self._model.model.longest_s
        return longest_s if longest_s > CANCEL_S else None

    def transcribe(self, request: TranscribeRequest, context: Context) -> Iterator[Info | Segment]:
        if request.task == "translate" and not self._translates:
            raise FeatureNotSupported("this model cannot translate", param="model")
        language = self._language(request.language)
        allowed = self._allowed(request)
        samples = read(request.audio)
        if len(samples) < SHORTEST:
            yield Info(language=language)
            return
        context.check()
        probability = None
        if language is None and allowed:
            language, probability = self._likeliest(samples, allowed)
        segments, info = self._model.transcribe(samples, language=language, **self._settings(request, context))
        probability = info.language_probability if probability is None else probability
        yield Info(language=info.language, language_probability=float(probability))
        times = Times(len(samples) / RATE)
        for segment in segments:
            context.check()
            yield _segment(segment, request, times, info.language)

    def warm_up(self) -> None:
        segments, _ = self._model.transcribe(
            np.zeros(RATE, np.float32), language="en", beam_size=self._beam_size, temperature=0.0
        )
        for _segment in segments:
            pass

    def close(self) -> None:
        self._model.model.unload_model()

    def _language(self, asked: str | None) -> str | None:
        if not self._multilingual:
            return "en"
        if asked is not None and asked not in self._model.supported_languages:
            raise InvalidRequest(f"language {asked!r} is not one this model knows", param="language")
        return asked

    def _allowed(self, request: TranscribeRequest) -> list[str]:
        """Give the languages that may be detected; empty is any. Raises ``InvalidRequest``."""
        known: list[str] = self._model.supported_languages
        allowed = [language for language in request.languages if language in known]
        if request.languages and not allowed:
            raise InvalidRequest(f"this model knows none of {', '.join(request.languages)}", param="languages")
        return allowed

    def _likeliest(self, samples: Float32, allowed: list[str]) -> tuple[str, float]:
        """Give the likeliest of the allowed languages and its probability among all."""
        _, _, probabilities = self._model.detect_language(samples)
        return next((language, chance) for language, chance in probabilities if language in allowed)

    def _settings(self, request: TranscribeRequest, context: Context) -> dict[str, Any]:
        """Give the library's keyword arguments."""
        own = request.options if isinstance(request.options, WhisperRequestOptions) else WhisperRequestOptions()
        # A temperature of 0 means, as in OpenAI's reference, that it is raised where needed.
        temperatures = (request.temperature,) if request.temperature else LADDER
        return {
            "task": request.task,
            "beam_size": own.beam_size or self._beam_size,
            "temperature": Temperatures(temperatures, context),
            "initial_prompt": _plain(request.prompt),
            "hotwords": self._hotwords(own.hotwords or ", ".join(request.keywords)),
            "condition_on_previous_text": own.condition_on_previous_text is not False,
            "word_timestamps": request.word_timestamps or request.logprobs,
            "vad_filter": False,
        }

    def _hotwords(self, asked: str | None) -> str | None:
        if (words := _plain(asked)) is None:
            return None
        tokenizer = self._model.hf_tokenizer
        tokens = tokenizer.encode(f" {words}", add_special_tokens=False).ids
        return words if len(tokens) <= HOTWORD_TOKENS else str(tokenizer.decode(tokens[:HOTWORD_TOKENS]))


class Temperatures(tuple[float, ...]):
    """The ladder, which looks at the context before each rung: the library sees no cancel by itself."""

    _context: Context

    def __new__(cls, values: Iterable[float], context: Context) -> Temperatures:
        made = super().__new__(cls, values)
        made._context = context
        return made

    def __iter__(self) -> Iterator[float]:
        for value in super().__iter__():
            self._context.check()
            yield value


class Times:
    """Fits the library's times to a span: they may run past its end, or back."""

    def __init__(self, span_s: float) -> None:
        self._span_s = span_s
        self._segment_end = 0.0
        self._word_end = 0.0

    def segment(self, start: float, end: float) -> tuple[float, float]:
        """Give times with 0 <= start < end <= span, starts never going back."""
        start = min(max(round(float(start), 3), self._segment_end), max(self._span_s - PRECISION_S, 0.0))
        end = min(max(round(float(end), 3), start + PRECISION_S), self._span_s)
        self._segment_end = end
        return start, end

    def word(self, start: float, end: float) -> tuple[float, float]:
        """Give times with 0 <= start <= end <= span, never before the last word's end."""
        start = min(max(round(float(start), 3), self._word_end), self._span_s)
        end = min(max(round(float(end), 3), start), self._span_s)
        self._word_end = end
        return start, end


def _plain(text: str | None) -> str | None:
    """Take the model's control tokens out of a caller's text; None when nothing is left."""
    return (_SPECIAL_TOKEN.sub(" ", text).strip() or None) if text else None


def _segment(segment: Any, request: TranscribeRequest, times: Times, language: str) -> Segment:
    start, end = times.segment(segment.start, segment.end)
    words = segment.words or ()
    return Segment(
        start=start,
        end=end,
        text=segment.text,
        tokens=tuple(segment.tokens),
        temperature=float(segment.temperature),
        avg_logprob=float(segment.avg_logprob),
        compression_ratio=float(segment.compression_ratio),
        no_speech_prob=float(segment.no_speech_prob),
        words=tuple(_word(word, times) for word in words) if request.word_timestamps else None,
        logprobs=tuple(map(_logprob, words)) if request.logprobs else None,
        language=language,
    )


def _word(word: Any, times: Times) -> Word:
    start, end = times.word(word.start, word.end)
    return Word(word=word.word, start=start, end=end, probability=float(word.probability))


def _logprob(word: Any) -> TokenLogprob:
    """The library gives a probability a word, not a token; so the word stands as the token."""
    return TokenLogprob(
        token=word.word,
        logprob=math.log(max(float(word.probability), LEAST_PROBABILITY)),
        bytes=tuple(word.word.encode()),
    )
