"""The published models, one a language, their voices, and the commits that are fetched."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct

OPEN_REPO = "kyutai/pocket-tts-without-voice-cloning"
GATED_REPO = "kyutai/pocket-tts"
"""The same models with the encoder that cloning needs; its terms must be accepted on the hub."""
VOICES_REVISION = "a7056f505a4a8ca72d8b5fb1440071d6f1a35739"
WEIGHTS_BYTES = 236_000_000


class Language(Struct, frozen=True, kw_only=True):
    """One published model."""

    name: str
    """Folder of the repositories, and name of the library's configuration."""
    tag: str
    """BCP 47."""
    voice: str
    """Its default voice."""
    open_revision: str
    gated_revision: str
    tokenizer_revision: str


def _language(name: str, tag: str, voice: str, open: str, gated: str, tokenizer: str) -> Language:
    return Language(
        name=name, tag=tag, voice=voice, open_revision=open, gated_revision=gated, tokenizer_revision=tokenizer
    )


LANGUAGES: Mapping[str, Language] = MappingProxyType(
    {
        each.name: each
        for each in (
            _language(
                "english",
                "en",
                "alba",
                "a7056f505a4a8ca72d8b5fb1440071d6f1a35739",
                "db04f0e653473e5c7333c69686ac92b7460b0c1d",
                "00eac05ed3d16bdc3f6b5d598874019c34a89214",
            ),
            _language(
                "french",
                "fr",
                "estelle",
                "1e08e6a23401048648a9fdcfde2f89348215c2a7",
                "3e82814a68665eec246ff649b14c71331f955c06",
                "8843db76457a91db32077edf8dfcd1c0e3e755fd",
            ),
            _language(
                "german",
                "de",
                "juergen",
                "1e08e6a23401048648a9fdcfde2f89348215c2a7",
                "3e82814a68665eec246ff649b14c71331f955c06",
                "4e1e0a3e611c51c0b4ed8174fc10f32a54644303",
            ),
            _language(
                "spanish",
                "es",
                "lola",
                "1e08e6a23401048648a9fdcfde2f89348215c2a7",
                "3e82814a68665eec246ff649b14c71331f955c06",
                "4e1e0a3e611c51c0b4ed8174fc10f32a54644303",
            ),
            _language(
                "italian",
                "it",
                "giovanni",
                "1e08e6a23401048648a9fdcfde2f89348215c2a7",
                "3e82814a68665eec246ff649b14c71331f955c06",
                "4e1e0a3e611c51c0b4ed8174fc10f32a54644303",
            ),
            _language(
                "portuguese",
                "pt",
                "rafael",
                "1e08e6a23401048648a9fdcfde2f89348215c2a7",
                "3e82814a68665eec246ff649b14c71331f955c06",
                "4e1e0a3e611c51c0b4ed8174fc10f32a54644303",
            ),
            _language(
                "dutch",
                "nl",
                "daan",
                "1e08e6a23401048648a9fdcfde2f89348215c2a7",
                "3e82814a68665eec246ff649b14c71331f955c06",
                "4e1e0a3e611c51c0b4ed8174fc10f32a54644303",
            ),
        )
    }
)

VOICES: tuple[str, ...] = (
    "alba", "marius", "javert", "jean", "fantine", "cosette", "eponine", "azelma", "anna", "vera", "charles", "paul",
    "george", "mary", "jane", "michael", "eve", "bill_boerst", "peter_yearsley", "stuart_bell", "caro_davy", "giovanni",
    "lola", "juergen", "rafael", "daan", "estelle",
)  # fmt: skip
"""What the library calls its voices; each language has a state of each."""
