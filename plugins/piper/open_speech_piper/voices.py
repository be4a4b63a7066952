"""Voice ids, the listed voices, and what a voice's config says."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
from msgspec import Struct, field

PREFIX = "piper/"
REPO = "rhasspy/piper-voices"
REVISION = "c10ece1aade47bb51c153c893d14e5bf8e5b7117"
"""The commit of the collection that is listed and fetched."""
ID_LENGTH = 120

_ID = re.compile(r"(?P<language>[a-z]{2,3})_(?P<region>[A-Z]{2})-(?P<name>\w+)-(?P<quality>x_low|low|medium|high)")
_RATES = {"x_low": 16_000, "low": 16_000, "medium": 22_050, "high": 22_050}
_BYTES = {"x_low": 20_600_000, "low": 63_100_000, "medium": 63_200_000, "high": 114_000_000}
_MEMORY_MB = {"x_low": 350, "low": 450, "medium": 480, "high": 900}


class VoiceId(Struct, frozen=True, kw_only=True):
    """The parts of a voice's id, such as ``en_US-joe-medium``."""

    language: str
    region: str
    name: str
    quality: str

    @property
    def id(self) -> str:
        return f"{self.language}_{self.region}-{self.name}-{self.quality}"

    @property
    def tag(self) -> str:
        """BCP 47, in lower case."""
        return f"{self.language}-{self.region.lower()}"

    @property
    def title(self) -> str:
        return f"{self.name.replace('_', ' ').title()} ({self.quality.replace('_', ' ')})"

    @property
    def usual_rate(self) -> int:
        """Hz of nearly all voices of this quality; the config has the truth."""
        return _RATES[self.quality]

    @property
    def usual_bytes(self) -> int:
        return _BYTES[self.quality]

    @property
    def memory_mb(self) -> int:
        return _MEMORY_MB[self.quality]

    @property
    def repo_path(self) -> str:
        """Where the collection keeps the weights; the config has ``.json`` after it."""
        folder = f"{self.language}/{self.language}_{self.region}/{self.name}/{self.quality}"
        return f"{folder}/{self.id}.onnx"


def parse_voice_id(id: str) -> VoiceId | None:
    """Read a voice's id, with or without ``piper/``."""
    match = _ID.fullmatch(id.removeprefix(PREFIX)) if len(id) <= ID_LENGTH else None
    return VoiceId(**match.groupdict()) if match else None


class _AudioPart(Struct, frozen=True, kw_only=True):
    sample_rate: int


class VoiceConfig(Struct, frozen=True, kw_only=True):
    """What the provider wants of a voice's ``.onnx.json``."""

    audio: _AudioPart
    speaker_id_map: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def speakers(self) -> tuple[str, ...]:
        """Names of the speakers by their numbers; none where there is only one."""
        names = sorted(self.speaker_id_map, key=self.speaker_id_map.__getitem__)
        return tuple(names) if len(names) > 1 else ()


def read_config(path: Path) -> VoiceConfig | None:
    """Read a config; None when it is absent or no config."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=VoiceConfig)
    except (OSError, msgspec.MsgspecError):
        return None


LISTED = (
    "en_US-lessac-medium", "en_US-lessac-low", "en_US-lessac-high", "en_US-amy-medium", "en_US-amy-low",
    "en_US-arctic-medium", "en_US-bryce-medium", "en_US-danny-low", "en_US-hfc_female-medium",
    "en_US-hfc_male-medium", "en_US-joe-medium", "en_US-john-medium", "en_US-kathleen-low",
    "en_US-kristin-medium", "en_US-kusal-medium", "en_US-libritts_r-medium", "en_US-ljspeech-medium",
    "en_US-ljspeech-high", "en_US-norman-medium", "en_US-ryan-low", "en_US-ryan-medium",
    "en_US-ryan-high", "en_GB-alan-low", "en_GB-alan-medium", "en_GB-alba-medium", "en_GB-cori-medium",
    "en_GB-cori-high", "en_GB-jenny_dioco-medium", "en_GB-northern_english_male-medium",
    "en_GB-semaine-medium", "en_GB-southern_english_female-low", "en_GB-vctk-medium",
    "ar_JO-kareem-medium", "ca_ES-upc_ona-medium", "cs_CZ-jirka-medium", "da_DK-talesyntese-medium",
    "de_DE-thorsten-medium", "es_ES-davefx-medium", "es_MX-ald-medium", "fi_FI-harri-medium",
    "fr_FR-siwis-medium", "hu_HU-anna-medium", "it_IT-paola-medium",
)  # fmt: skip
"""Voices the collection is known to have, the first English."""
