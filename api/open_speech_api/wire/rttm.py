"""Rich Transcription Time Marked: one line a turn, as NIST's evaluations and diarization tools read it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePath

from open_speech_core.types import SpeakerTurn

_SPACES = re.compile(r"\s+")
NOT_KNOWN = "<NA>"


def rttm(turns: Iterable[SpeakerTurn], names: Mapping[str, str], filename: str) -> str:
    """Give ``SPEAKER file 1 start duration <NA> <NA> name <NA> <NA>`` lines, times in seconds; empty without turns."""
    recording = _word(PurePath(filename.replace("\\", "/")).stem) or "audio"
    return "".join(
        f"SPEAKER {recording} 1 {turn.start:.3f} {turn.end - turn.start:.3f} {NOT_KNOWN} {NOT_KNOWN} "
        f"{_word(names[turn.speaker])} {NOT_KNOWN} {NOT_KNOWN}\n"
        for turn in turns
    )


def _word(text: str) -> str:
    """Fields are told apart by spaces, so that none may be in one."""
    return _SPACES.sub("_", text.strip())
