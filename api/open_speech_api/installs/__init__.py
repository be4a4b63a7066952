"""Providers installed while the server runs, each into an environment of its own."""

from .catalogue import Entry
from .installs import Installs, Place
from .jobs import Job

__all__ = ["Entry", "Installs", "Job", "Place"]
