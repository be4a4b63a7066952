"""Laws of a plugin and of its providers: what holds before anything is loaded."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import msgspec
from msgspec import Struct

from open_speech_core.errors import OpenSpeechError, VoiceNotFound
from open_speech_core.options import RESERVED_FIELDS, option_problems, schema_of, struct_of
from open_speech_core.plugins import discover
from open_speech_core.providers import AnyProvider
from open_speech_core.testing.laws import Ledger, Report
from open_speech_core.testing.rig import unique
from open_speech_core.types import KINDS, Artifacts, Model, Voice
from open_speech_core.worker.engines import instantiate

HEAVY = frozenset({
    "numpy", "scipy", "torch", "torchaudio", "tensorflow", "jax", "onnxruntime", "ctranslate2",
    "transformers", "huggingface_hub", "faster_whisper", "whisper", "piper", "kokoro", "kokoro_onnx",
    "misaki", "spacy", "nemo", "pocket_tts", "qwen_tts", "silero_vad", "pyannote", "noisereduce",
    "pyloudnorm", "pedalboard", "librosa", "soundfile", "av", "soxr", "numba", "sklearn", "pandas",
})  # fmt: skip
"""Modules no plugin may import before ``load``."""
NAME = re.compile(r"[a-z][a-z0-9_-]*")
RATES = range(4_000, 192_001)
CHEAP_S = 1.0
"""What asking a provider may take."""
NOBODY = "no-such-thing-0f2c"

_PROBE = """
import sys
from pathlib import Path
from open_speech_core.plugins import discover
from open_speech_core.worker.engines import instantiate
for found in discover([sys.argv[1]]).providers:
    provider = instantiate(found.cls, Path(sys.argv[2]), {})
    for model in provider.models():
        provider.voices(model), provider.artifacts(model)
    provider.resolve("no-such-thing-0f2c")
with open(sys.argv[3], "w") as file:
    file.write(" ".join({name.partition(".")[0] for name in sys.modules}))
"""


def check_plugin(module: str, *, home: Path | None = None) -> Report:
    """Check a module that registers providers: import, hooks, each provider. Raise ``Violation``."""
    ledger = Ledger(f"plugin {module!r}")
    discovery = discover([module])
    for record in discovery.plugins:
        ledger.require("is discovered", record.error is None, record.error or "")
    ledger.require(
        "offers something",
        bool(discovery.providers or discovery.sources or _observes(discovery.manager)),
        "no hook gives a provider or a source, and none observes",
    )
    names = [(found.cls.kind, found.cls.info.name) for found in discovery.providers]
    ledger.require("one provider a kind and name", unique(names), f"it registers {names}")
    kept: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for found in discovery.providers:
            kept += check_provider(instantiate(found.cls, home or Path(folder), {})).kept
        _check_import(module, Path(folder), ledger)
    kept += ledger.report().kept
    return Report(subject=ledger.subject, kept=tuple(dict.fromkeys(kept)))


def _observes(manager: object) -> bool:
    return bool(manager.hook.open_speech_observe.get_hookimpls())  # type: ignore[attr-defined]


def _check_import(module: str, folder: Path, ledger: Ledger) -> None:
    """Discover it in a fresh interpreter and see what that loaded and printed."""
    listing = folder / "modules"
    probe = subprocess.run(
        [sys.executable, "-c", _PROBE, module, str(folder), str(listing)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    ledger.require("discovery works alone", probe.returncode == 0, probe.stderr)
    heavy = sorted(HEAVY & set(listing.read_text().split()))
    ledger.require("imports no model library", not heavy, f"before load these are in memory: {heavy}")
    ledger.require("discovery prints nothing", not probe.stdout, f"it printed {probe.stdout!r}")


def check_provider(provider: AnyProvider) -> Report:
    """Check what a provider says before it loads anything. Raise ``Violation``."""
    name = getattr(provider.info, "name", type(provider).__name__)
    ledger = Ledger(f"{provider.kind} {name!r}")
    _check_info(provider, ledger)
    _check_options(provider, ledger)
    since = time.monotonic()
    models = ledger.run("lists models", "models()", lambda: tuple(provider.models())) or ()
    ledger.require("models are stable", models == tuple(provider.models()), "two calls of models() differ")
    ledger.require("model ids are unique", unique(model.id for model in models), "an id comes twice")
    for model in models:
        _check_model(provider, model, ledger)
    for id in _STRANGE:
        claimed = ledger.run("resolve is calm", f"resolve({id!r})", partial(provider.resolve, id))
        ledger.require_type("claims models", claimed, Model, type(None))
        good = claimed is None or claimed.kind == provider.kind
        ledger.require("claims models of its kind", good, f"resolve({id!r}) gave {claimed!r}")
    took = time.monotonic() - since
    ledger.require("asking is cheap", took <= CHEAP_S, f"models, voices and resolve took {took:.1f} s")
    return ledger.report()


_STRANGE = ("", " ", NOBODY, "org/" + NOBODY, "../../etc", "/" + NOBODY, "\0", "😀" * 100)


def _check_info(provider: AnyProvider, ledger: Ledger) -> None:
    info = provider.info
    ledger.require("has a kind", provider.kind in KINDS, f"{provider.kind!r} is none of {KINDS}")
    ledger.require("name is a word", bool(NAME.fullmatch(info.name)), f"{info.name!r}")
    ledger.require("says its licence", bool(info.title and info.licence), "title or licence is empty")
    prefix = info.env_prefix
    ledger.require(
        "prefix is upper case",
        not prefix or (prefix == prefix.upper() and prefix.endswith("_")),
        f"env_prefix is {prefix!r}, expected such as 'PIPER_'",
    )
    promise_s = provider.capabilities.cancel_s
    ledger.require("promises a cancel", promise_s is None or promise_s > 0, "cancel_s is not positive")


def _check_options(provider: AnyProvider, ledger: Ledger) -> None:
    _check_struct(provider.Options, (), ledger)
    _check_struct(provider.RequestOptions, RESERVED_FIELDS, ledger)


def _check_struct(cls: type[Struct], reserved: tuple[str, ...] | frozenset[str], ledger: Ledger) -> None:
    problems = option_problems(cls, reserved)
    ledger.require("options are simple", not problems, f"{cls.__name__}: {'; '.join(problems)}")
    schema = schema_of(cls)
    rebuilt = schema_of(struct_of(cls.__name__, schema))
    ledger.require("options survive their schema", schema == rebuilt, f"{schema} became {rebuilt}")


def _check_model(provider: AnyProvider, model: Model, ledger: Ledger) -> None:
    ledger.require_type("models are Model", model, Model)
    ledger.require("models have its kind", model.kind == provider.kind, f"{model.id!r} is a {model.kind}")
    ledger.require("ids have no spaces", model.id == "".join(model.id.split()) != "", f"{model.id!r}")
    ledger.require("rates are plausible", model.rate in RATES, f"{model.id!r} has {model.rate} Hz")
    ledger.require("spans are positive", model.span_s is None or model.span_s > 0, f"{model.span_s} s")
    ledger.require("models travel", msgspec.convert(msgspec.to_builtins(model), Model) == model, f"{model!r}")
    artifacts = ledger.run("says what is on disk", "artifacts()", lambda: provider.artifacts(model))
    ledger.require_type("says what is on disk", artifacts, Artifacts)
    if provider.kind == "synthesizer" and not model.helper:
        _check_voices(provider, model, ledger)


def _check_voices(provider: AnyProvider, model: Model, ledger: Ledger) -> None:
    voices = ledger.run("lists voices", "voices()", lambda: provider.voices(model)) or ()
    ledger.require("has a voice", len(voices) > 0, f"{model.id!r} has none")
    for voice in voices:
        ledger.require_type("voices are Voice", voice, Voice)
    ledger.require("voice ids are unique", unique(voice.id for voice in voices), "an id comes twice")
    for voice in voices:
        known = partial(provider.check_voice, model, voice.id)
        ledger.run("knows its voices", f"check_voice({voice.id!r})", known)
    try:
        provider.check_voice(model, NOBODY)
    except VoiceNotFound:
        return ledger.require("refuses strange voices", True, "")
    except OpenSpeechError as error:
        return ledger.require("refuses strange voices", False, f"{error!r} is no VoiceNotFound")
    ledger.require("refuses strange voices", False, f"check_voice({NOBODY!r}) raised nothing")
