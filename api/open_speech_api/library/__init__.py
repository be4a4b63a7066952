"""The voice library: recordings of voices, stored by name, that speech can be made in."""

from .entries import Entry
from .library import Library
from .names import clean_name
from .recording import rate_to_store

__all__ = ["Entry", "Library", "clean_name", "rate_to_store"]
