"""Telling speakers apart: whether a request wants it, and by which diarizer."""

from __future__ import annotations

from open_speech_api.runtime.diarization import REFERENCES, Reference, SpeakersPlan
from open_speech_api.runtime.plan import request_options
from open_speech_api.services import Services
from open_speech_api.wire.data_url import read_data_url
from open_speech_api.wire.fields import fitted
from open_speech_api.wire.multipart import Form
from open_speech_api.wire.transcription import SHOWING_FORMATS, TranscriptionFields
from open_speech_core.errors import FeatureNotSupported, ModelNotFound
from open_speech_core.registry import Resolved

SPEAKING_MODEL = "gpt-4o-transcribe-diarize"
"""OpenAI's model that tells speakers apart without being asked."""
UNGATED = "resemblyzer"
"""A provider that needs no account."""


def plan_speakers(services: Services, fields: TranscriptionFields, form: Form) -> SpeakersPlan | None:
    """Plan the diarizer's part; None where nobody asked, or where the answer cannot show it.

    Raises:
        FeatureNotSupported: it was asked for, and this server cannot or may not.
        WeightsMissing: the diarizer's weights are not here, and may not be fetched on demand.
        InvalidRequest: a known speaker's recording is no data URL.
    """
    by_model = fields.model == SPEAKING_MODEL and fields.diarize is None
    try:
        resolved = _diarizer(services, fields.speaks_for) if fields.speaks_for or by_model else None
    except FeatureNotSupported:
        if fields.speaks_for:
            raise
        resolved = None
    shown = fields.format == "diarized_json" if fields.stream else fields.format in SHOWING_FORMATS
    if resolved is None or not shown:
        return None
    options, _ = request_options(
        services.registry,
        resolved,
        {**form.fields, **fitted(resolved.provider.RequestOptions, form.fields)},
        strict=False,
    )
    named = zip(fields.known_speaker_names or (), fields.known_speaker_references or (), strict=False)
    return SpeakersPlan(
        resolved=resolved,
        target=services.targets.engine(resolved),
        speakers=fields.speakers,
        references=tuple(Reference(name=name, data=read_data_url(url, param=REFERENCES)) for name, url in named),
        max_audio_s=services.settings.server.max_audio_s,
        before=services.targets.before_hearing(),
        options=options,
    )


def _diarizer(services: Services, param: str | None) -> Resolved:
    """Give the diarizer in use. Raises ``FeatureNotSupported``."""
    stt = services.settings.stt
    if stt.diarize_enabled is False:
        raise FeatureNotSupported(
            "telling speakers apart is switched off on this server; set STT_DIARIZE_ENABLED=true", param=param
        )
    try:
        return services.registry.resolve("diarizer", "", setting=stt.diarize_model)
    except ModelNotFound as error:
        if stt.diarize_model is not None:
            why = f"no installed diarizer knows STT_DIARIZE_MODEL={stt.diarize_model!r}"
            raise FeatureNotSupported(f"this server cannot tell speakers apart: {why}", param=param) from error
        raise FeatureNotSupported(
            "this server cannot tell speakers apart: no diarizer is installed; run: open-speech providers install "
            f"{UNGATED}, or leave out diarize and diarized_json",
            param=param,
        ) from error
