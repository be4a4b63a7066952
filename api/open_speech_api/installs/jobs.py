"""Installs as records, which survive the server."""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from open_speech_core.remote import write_whole

log = logging.getLogger(__name__)

OUTPUT_MAX_CHARACTERS = 20_000
KEPT = 50

JobStatus = Literal["installing", "done", "failed", "cancelled"]


class Job(Struct, kw_only=True):
    """One install; belongs to the event loop."""

    job_id: str
    provider: str
    version: str = ""
    """Of the provider's distribution."""
    status: JobStatus = "installing"
    step: str = ""
    """What it is at; after a failure, what it was at."""
    output: str = ""
    """Redacted, its last characters."""
    error: str | None = None
    started_at: float = 0.0
    """Unix seconds."""
    ended_at: float | None = None
    """Unix seconds."""

    def say(self, text: str) -> None:
        self.output = (self.output + text)[-OUTPUT_MAX_CHARACTERS:]


class Jobs:
    """The records, in memory and in a folder."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock
        self._jobs = {job.job_id: job for job in sorted(_read(folder), key=lambda job: job.started_at)}
        for job in self._jobs.values():
            if job.status == "installing":
                self.end(job, "failed", "the server ended during this install")

    def begin(self, provider: str, version: str) -> Job:
        """Make a record, and forget the oldest of those that ended."""
        job = Job(job_id=uuid.uuid4().hex, provider=provider, version=version, started_at=round(self._clock(), 3))
        self._jobs[job.job_id] = job
        self.keep(job)
        for old in [each.job_id for each in self._jobs.values() if each.status != "installing"][:-KEPT]:
            del self._jobs[old]
            with contextlib.suppress(OSError):
                (self._folder / f"{old}.json").unlink(missing_ok=True)
        return job

    def end(self, job: Job, status: JobStatus, error: str | None = None) -> None:
        job.status, job.error, job.ended_at = status, error, round(self._clock(), 3)
        self.keep(job)

    def find(self, job_id: str) -> Job | None:
        return self._jobs.get(job_id)

    def running(self, provider: str) -> Job | None:
        found = (job for job in self._jobs.values() if job.provider == provider and job.status == "installing")
        return next(found, None)

    def keep(self, job: Job) -> None:
        """Write a record, whole or not at all; where that is impossible it lives as long as the server."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_whole(self._folder / f"{job.job_id}.json", msgspec.json.encode(job))
        except OSError as error:
            log.warning("the record of an install cannot be kept: %s", error.strerror)


def _read(folder: Path) -> list[Job]:
    """Read the records; one that nobody can read is as none."""
    found: list[Job] = []
    for file in folder.glob("*.json"):
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            found.append(msgspec.json.decode(file.read_bytes(), type=Job))
    return found
