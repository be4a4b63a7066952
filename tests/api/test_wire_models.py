"""Lists and answers of the control routes, as bytes."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import Struct

from open_speech_api.wire.errors import Envelope, ErrorBody
from open_speech_api.wire.models import (
    AudioModel,
    AudioModelList,
    Health,
    ModelChoice,
    ModelDeleted,
    ModelList,
    ModelObject,
    ModelState,
    Readiness,
    VoiceList,
    VoiceObject,
)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (
            ModelList(data=(ModelObject(id="org/m", created=5, owned_by="whisper", kind="transcriber"),)),
            b'{"object":"list","data":[{"id":"org/m","object":"model","created":5,"owned_by":"whisper",'
            b'"kind":"transcriber","provider":null}]}',
        ),
        (ModelDeleted(id="m"), b'{"id":"m","object":"model","deleted":true}'),
        (
            VoiceList(voices=(VoiceObject(id="alloy", name="Alloy", alias=True),)),
            b'{"voices":[{"id":"alloy","name":"Alloy","language":"en-us","gender":"unknown",'
            b'"description":"","provider":null,"model":null,"alias":true}]}',
        ),
        (
            AudioModelList(models=(AudioModel(id="m", model="m", backend="piper", status="not_loaded"),)),
            b'{"models":[{"id":"m","model":"m","backend":"piper","device":null,"status":"not_loaded",'
            b'"loaded_at":null,"last_used_at":null,"kind":null}]}',
        ),
        (ModelState(status="loaded", model="m"), b'{"status":"loaded","model":"m"}'),
        (Health(version="1", models_loaded=2), b'{"status":"ok","version":"1","models_loaded":2}'),
        (
            Readiness(status="ready", version="1"),
            b'{"status":"ready","version":"1","problems":[]}',
        ),
        (
            Envelope(error=ErrorBody(message="m", type="invalid_request_error", param="input")),
            b'{"error":{"message":"m","type":"invalid_request_error","param":"input","code":null}}',
        ),
    ],
)
def test_answers_have_the_contracts_shape(answer: Struct, body: bytes) -> None:
    assert msgspec.json.encode(answer) == body


def test_load_needs_no_model() -> None:
    assert msgspec.json.decode(b"{}", type=ModelChoice) == ModelChoice(model=None)
