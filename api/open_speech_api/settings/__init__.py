"""Settings: one tree of Structs, read from an environment that is given as an argument."""

from .environment import SettingsError, canonical_environ, read_settings
from .folders import with_writable_data
from .page import render_settings_markdown
from .tree import ModelSettings, ServerSettings, Settings, SttSettings, TtsSettings, VadSettings

__all__ = [
    "ModelSettings",
    "ServerSettings",
    "Settings",
    "SettingsError",
    "SttSettings",
    "TtsSettings",
    "VadSettings",
    "canonical_environ",
    "read_settings",
    "render_settings_markdown",
    "with_writable_data",
]
