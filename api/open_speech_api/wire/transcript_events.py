"""Events of a transcription that streams (CONTRACT: ``stream=true``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

from msgspec import UNSET, Struct, UnsetType

from open_speech_core.types import Segment, TokenLogprob

from .events import event
from .transcript import Language, TokenDetails, TokensUsage, diarized_segment

AUDIO_TOKENS_PER_S = 10
"""OpenAI's rate for audio that goes into a transcription."""


class TextDelta(Struct, frozen=True, kw_only=True, tag="transcript.text.delta", tag_field="type"):
    delta: str
    logprobs: tuple[TokenLogprob, ...] | UnsetType = UNSET
    segment_id: str | UnsetType = UNSET


class TextDone(Struct, frozen=True, kw_only=True, tag="transcript.text.done", tag_field="type"):
    text: str
    languages: tuple[Language, ...] | UnsetType = UNSET
    logprobs: tuple[TokenLogprob, ...] | UnsetType = UNSET
    usage: TokensUsage | UnsetType = UNSET


def delta_event(delta: str, *, logprobs: Sequence[TokenLogprob] | None = None, segment_id: str | None = None) -> bytes:
    """Frame what ``Deltas.add`` gave."""
    return event(
        TextDelta(
            delta=delta,
            logprobs=UNSET if logprobs is None else tuple(logprobs),
            segment_id=UNSET if segment_id is None else segment_id,
        )
    )


def segment_event(number: int, segment: Segment, names: Mapping[str, str]) -> bytes:
    """Frame a segment of ``diarized_json``; ``number`` counts from 1."""
    return event(diarized_segment(number, segment, names))


def done_event(
    text: str,
    *,
    logprobs: Sequence[TokenLogprob] | None = None,
    languages: Sequence[Language] | None = None,
    usage: TokensUsage | None = None,
) -> bytes:
    """Frame the end; ``text`` is the concatenation of all deltas."""
    return event(
        TextDone(
            text=text,
            languages=UNSET if languages is None else tuple(languages),
            logprobs=UNSET if logprobs is None else tuple(logprobs),
            usage=UNSET if usage is None else usage,
        )
    )


def count_tokens(duration_s: float, segments: Sequence[Segment]) -> TokensUsage:
    """Count as OpenAI's clients expect; a segment without tokens counts its words."""
    audio = ceil(duration_s * AUDIO_TOKENS_PER_S)
    output = sum(len(segment.tokens or segment.text.split()) for segment in segments)
    return TokensUsage(
        input_tokens=audio,
        output_tokens=output,
        total_tokens=audio + output,
        input_token_details=TokenDetails(text_tokens=0, audio_tokens=audio),
    )
