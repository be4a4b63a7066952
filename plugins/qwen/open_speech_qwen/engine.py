"""The engine: one variant of Qwen3-TTS on torch."""

from __future__ import annotations

import gc
import importlib.util
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from open_speech_core.runtimes.torch import cancelled_by, choose_device, import_torchaudio

import_torchaudio()

import transformers  # noqa: E402
from qwen_tts import Qwen3TTSModel  # noqa: E402

from open_speech_core.audio import read as read_audio  # noqa: E402
from open_speech_core.errors import (  # noqa: E402
    FeatureNotSupported,
    InvalidRequest,
    LoadFailed,
    VoiceNotFound,
)
from open_speech_core.providers import Context, SynthesizerEngine  # noqa: E402
from open_speech_core.types import Audio, Float32, LoadSpec, SynthesizeRequest  # noqa: E402

from .family import LANGUAGES, RATE, Variant, variant_of  # noqa: E402
from .prompts import Prompts  # noqa: E402
from .provider import QwenOptions  # noqa: E402
from .sentences import plain, sentences  # noqa: E402
from .tempo import change_tempo  # noqa: E402

log = logging.getLogger(__name__)

KINDS: dict[Variant, str] = {"CustomVoice": "custom_voice", "VoiceDesign": "voice_design", "Base": "base"}
"""The library's names."""
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
REFERENCE_S = (0.5, 60.0)
"""Shortest and longest reference."""
TOKENS_AT_LEAST = 75
TOKENS_A_CHARACTER = 6
"""Half a second: slower than anybody speaks. A model that does not find its end stops there (12.5 tokens a second)."""
SEED_RANGE = 1 << 64


def load_engine(folder: Path, spec: LoadSpec, options: QwenOptions) -> QwenEngine:
    """Load the model in ``folder``. Raises ``LoadFailed``."""
    quiet: Any = transformers.logging.set_verbosity_error
    quiet()
    # Sentences differ in length: a plan for each shape, a thousand of them, only fills memory.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    device = choose_device(options.device or spec.device)
    name = choose_type(spec.compute_type, device)
    torch.set_num_threads(spec.threads)
    attention = choose_attention(options.flash_attn, device)
    try:
        model = Qwen3TTSModel.from_pretrained(
            str(folder), dtype=DTYPES[name], device_map=device, attn_implementation=attention, local_files_only=True
        )
    except Exception as error:  # fence: the errors of torch, transformers and safetensors share no base of their own
        log.exception("load of %s failed", spec.model.id)
        raise LoadFailed(f"{spec.model.id!r} could not be loaded; are its files whole, and is there memory?") from error
    variant = variant_of(spec.model.id)
    if model.model.tts_model_type != KINDS[variant]:
        raise LoadFailed(f"the weights of {spec.model.id!r} are those of {model.model.tts_model_type!r}")
    return QwenEngine(model, variant, model_id=spec.model.id, options=options, device=device, compute_type=name)


def choose_type(asked: str, device: str) -> str:
    """Give the name of torch's type. Raises ``LoadFailed``."""
    if asked == "auto":
        return "float32" if device == "cpu" else "bfloat16"
    if asked not in DTYPES:
        raise LoadFailed(f"compute type {asked!r} is unknown; Qwen3-TTS has {', '.join(DTYPES)}")
    return asked


def choose_attention(flash: bool, device: str) -> str:
    """Give the name of an implementation that works here."""
    if flash and device != "cpu" and importlib.util.find_spec("flash_attn") is not None:
        return "flash_attention_2"
    if flash:
        log.warning("TTS_QWEN3_FLASH_ATTN is set, but flash attention needs a GPU and the package flash-attn")
    return "sdpa"


class QwenEngine(SynthesizerEngine):
    """One variant; the library samples with torch's one state of chance, so one call at a time."""

    def __init__(
        self, model: Any, variant: Variant, *, model_id: str, options: QwenOptions, device: str, compute_type: str
    ) -> None:
        self._model = model
        self._variant: Variant = variant
        self._model_id = model_id
        self._prompts: Prompts[Any] = Prompts(options.clone_prompts)
        self._languages = {str(each).lower() for each in model.get_supported_languages() or ()}
        self._speakers = {str(each).lower() for each in model.get_supported_speakers() or ()}
        self.device = device
        self.compute_type = compute_type

    def synthesize(self, request: SynthesizeRequest, context: Context) -> Iterator[Audio]:
        with self._cancelled_by(context):
            speak = self._speaker(request)
        if request.seed is not None:
            torch.manual_seed(request.seed % SEED_RANGE)
        for sentence in sentences(request.text):
            context.check()
            with self._cancelled_by(context):
                waves, rate = speak(text=sentence, max_new_tokens=self._tokens(sentence))
            samples = change_tempo(np.asarray(waves[0], np.float32).reshape(-1), int(rate), request.speed)
            yield Audio(samples=np.clip(samples, -1.0, 1.0), rate=int(rate))
        context.check()

    def warm_up(self) -> None:
        """Speak a word, in whichever way this variant speaks."""
        request = SynthesizeRequest(text="Yes.", voice="")
        self._speaker(request, warm=True)(text=request.text, max_new_tokens=2)

    def close(self) -> None:
        self._prompts.clear()
        self._model = None
        gc.collect()
        if self.device != "cpu":
            torch.cuda.empty_cache()

    def _speaker(self, request: SynthesizeRequest, *, warm: bool = False) -> Callable[..., Any]:
        """Give the library's call for a request; raise what is wrong with that."""
        language = self._language(request.language)
        instruct = plain(request.instructions or "")
        if self._variant == "Base":
            prompt = self._heard(_tone(), "") if warm else self._prompt(request)
            return _bound(self._model.generate_voice_clone, language=language, voice_clone_prompt=prompt)
        if request.reference is not None:
            raise FeatureNotSupported(f"model {self._model_id!r} cannot clone a voice", param="reference_audio")
        if self._variant == "VoiceDesign":
            if request.voice:
                raise VoiceNotFound(f"model {self._model_id!r} has no named voices, only described ones", param="voice")
            return _bound(self._model.generate_voice_design, language=language, instruct=instruct)
        voice = min(self._speakers, default="") if warm else request.voice
        if voice.lower() not in self._speakers:
            raise VoiceNotFound(f"model {self._model_id!r} has no voice {voice[:100]!r}", param="voice")
        return _bound(self._model.generate_custom_voice, language=language, speaker=voice, instruct=instruct)

    def _prompt(self, request: SynthesizeRequest) -> Any:
        """Give the voice of a reference. Raises ``FeatureNotSupported`` or ``InvalidRequest``."""
        if request.reference is None:
            raise FeatureNotSupported(
                f"model {self._model_id!r} speaks with the voice of a reference; send one", param="reference_audio"
            )
        samples = np.ascontiguousarray(read_audio(request.reference), np.float32)
        shortest, longest = REFERENCE_S
        length_s = len(samples) / RATE
        if request.reference.rate != RATE:
            raise InvalidRequest(f"the reference has {request.reference.rate} Hz, not {RATE}", param="reference_audio")
        if not shortest <= length_s <= longest:
            raise InvalidRequest(
                f"the reference is {length_s:.1f} s long; {shortest} to {longest:.0f} s are wanted",
                param="reference_audio",
            )
        if not np.isfinite(samples).all() or not samples.any():
            raise InvalidRequest("nothing can be heard in the reference", param="reference_audio")
        transcript = plain(request.reference_text or "")
        return self._prompts.of(samples.tobytes(), transcript, lambda: self._heard(samples, transcript))

    def _heard(self, samples: Float32, transcript: str) -> Any:
        """Make the prompt of a reference: with what is said in it, or of its timbre alone."""
        return self._model.create_voice_clone_prompt(
            ref_audio=(samples, RATE), ref_text=transcript or None, x_vector_only_mode=not transcript
        )

    def _language(self, asked: str | None) -> str:
        """Give the library's name of a language. Raises ``InvalidRequest``."""
        if not asked or asked.lower() == "auto":
            return "Auto"
        tag = asked.replace("_", "-").partition("-")[0].lower()
        named = {name.lower(): name for name in LANGUAGES.values()}
        name = LANGUAGES.get(tag) or named.get(asked.lower())
        if name is None or name.lower() not in self._languages:
            raise InvalidRequest(
                f"model {self._model_id!r} does not know language {asked[:100]!r}; it knows {', '.join(LANGUAGES)}",
                param="language",
            )
        return name

    def _tokens(self, text: str) -> int:
        most = TOKENS_AT_LEAST + TOKENS_A_CHARACTER * len(text)
        own = (self._model.generate_defaults or {}).get("max_new_tokens")
        return min(most, int(own)) if own else most

    def _cancelled_by(self, context: Context) -> AbstractContextManager[None]:
        """Look for each token, and at each layer of the codec, whether the caller has left."""
        codec = self._model.model.speech_tokenizer.model
        return cancelled_by(context, [self._model.model.talker, *codec.modules()])


def _bound(call: Callable[..., Any], **bound: Any) -> Callable[..., Any]:
    def speak(**more: Any) -> Any:
        with torch.inference_mode():
            return call(**bound, **more)

    return speak


def _tone() -> Float32:
    """Make a second of something to hear."""
    tone: Float32 = (0.1 * np.sin(2 * np.pi * 220 / RATE * np.arange(RATE))).astype(np.float32)
    return tone
