"""The effects at work, one module a kind; imported at load only."""

from .edges import FadeSession, TrimSession
from .effect import EffectEngine
from .pitch import PitchSession
from .room import ReverbSession
from .tone import HighpassSession, LowpassSession, PodcastEqSession, RobotSession

__all__ = [
    "EffectEngine",
    "FadeSession",
    "HighpassSession",
    "LowpassSession",
    "PitchSession",
    "PodcastEqSession",
    "ReverbSession",
    "RobotSession",
    "TrimSession",
]
