"""Installs as records, which survive the server."""

from __future__ import annotations

import contextlib
import uuid
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from open_speech_core.remote import write_whole

OUTPUT_MAX_CHARACTERS = 20_000
KEPT = 50

JobStatus = Literal["installing", "done", "failed", "cancelled"]


class Job(Struct, kw_only=True):
    """One install; belongs to the event loop."""

    job_id: str
    provider: str
    status: JobStatus = "installing"
    step: str = ""
    output: str = ""
    """Redacted, its last characters."""
    error: str | None = None

    def say(self, text: str) -> None:
        self.output = (self.output + text)[-OUTPUT_MAX_CHARACTERS:]


class Jobs:
    """The records, in memory and in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._jobs: dict[str, Job] = {}
        for file in sorted(folder.glob("*.json"), key=lambda each: each.stat().st_mtime) if folder.is_dir() else ():
            with contextlib.suppress(OSError, msgspec.MsgspecError):
                job = msgspec.json.decode(file.read_bytes(), type=Job)
                self._jobs[job.job_id] = job
        for job in self._jobs.values():
            if job.status == "installing":
                job.status, job.error = "failed", "the server ended during this install"
                self.keep(job)

    def begin(self, provider: str) -> Job:
        job = Job(job_id=uuid.uuid4().hex, provider=provider)
        self._jobs[job.job_id] = job
        self.keep(job)
        for old in list(self._jobs)[:-KEPT]:
            del self._jobs[old]
            (self._folder / f"{old}.json").unlink(missing_ok=True)
        return job

    def find(self, job_id: str) -> Job | None:
        return self._jobs.get(job_id)

    def running(self, provider: str) -> Job | None:
        found = (job for job in self._jobs.values() if job.provider == provider and job.status == "installing")
        return next(found, None)

    def keep(self, job: Job) -> None:
        """Write a record, whole or not at all."""
        self._folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._folder / f"{job.job_id}.json", msgspec.json.encode(job))
