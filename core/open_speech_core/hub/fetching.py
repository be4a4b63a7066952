"""Files of a repository into a folder: gone on with after any interruption, compared with the hub's checksums.

The hub's own client speaks to the hub, but it keeps nothing of a file whose download was cut short; here the part
stays. ``huggingface_hub`` must be required by the distribution of the plugin that calls ``fetch``.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from open_speech_core.errors import DownloadFailed, OpenSpeechError, StorageFull
from open_speech_core.providers import Context

PROGRESS_EVERY_S = 0.5
MB = 1 << 20
HASHED_AT_ONCE = MB
PARTS = ".parts"
"""Folder of files in the making, each named by its content's id, so that another commit's are never mixed in."""


def fetch(
    repo: str, files: Sequence[str], folder: Path, context: Context, *, required: Sequence[str], revision: str = ""
) -> None:
    """Download those of ``files`` that the repository has into ``folder``, byte progress reported.

    ``revision`` is a commit; empty is the newest. A download that was cut short, by whatever, goes on from there when
    called again with the same folder. A file gets its name when its checksum is the hub's.

    Raises:
        Cancelled: at the next 10 MB.
        DownloadFailed: the hub cannot be reached, refuses, has not all of ``required``, or sent what it did not mean.
        StorageFull: the disk is full, or would be.
    """
    from huggingface_hub import HfApi, RepoFile, utils

    untyped: Any = utils
    untyped.disable_progress_bars()
    api: Any = HfApi()
    try:
        (folder / PARTS).mkdir(parents=True, exist_ok=True)
        entries = api.get_paths_info(repo, list(files), revision=revision or None)
        found = [entry for entry in entries if isinstance(entry, RepoFile)]
        missing = sorted(set(required) - {entry.path for entry in found})
        if missing:
            raise DownloadFailed(f"{repo!r} on the hub has no {missing[0]}; it is not what was expected")
        total = sum(entry.size for entry in found)
        _check_space(repo, folder, total)
        with _progress(folder, total, context):
            for entry in sorted(found, key=lambda entry: entry.size):
                context.check()
                _fetch_file(repo, entry, revision, folder, context)
    except OpenSpeechError:
        raise
    except Exception as error:  # fence: the client raises the errors of whichever HTTP library it uses
        raise _explain(repo, error) from error
    shutil.rmtree(folder / PARTS, ignore_errors=True)


def _fetch_file(repo: str, entry: Any, revision: str, folder: Path, context: Context) -> None:
    """Fetch one file, unless it is here. Raises ``DownloadFailed`` when it came damaged; nothing of it stays."""
    file, part = folder / entry.path, folder / PARTS / entry.blob_id
    if file.is_file() and _is_whole(entry, file, context):
        return
    _fetch_part(repo, entry, revision, part, context)
    if not _is_whole(entry, part, context):
        part.unlink()
        raise DownloadFailed(f"{entry.path} of {repo!r} came damaged: its checksum is not the hub's; try again")
    file.parent.mkdir(parents=True, exist_ok=True)
    part.replace(file)


def _fetch_part(repo: str, entry: Any, revision: str, part: Path, context: Context) -> None:
    """Fetch what is missing of a file; a part that is too long is begun anew."""
    from huggingface_hub import file_download, hf_hub_url, utils

    untyped: Any = utils
    transfer: Any = file_download
    if part.is_file() and part.stat().st_size > entry.size:
        part.unlink()
    url = hf_hub_url(repo, entry.path, revision=revision or None)
    location: str = transfer.get_hf_file_metadata(url).location
    headers: dict[str, str] = untyped.build_hf_headers()
    if urlsplit(location).netloc != urlsplit(url).netloc:
        # The token is the hub's alone; its storage has addresses of its own, signed.
        headers = {name: value for name, value in headers.items() if name.lower() != "authorization"}
    with part.open("ab") as file:
        transfer.http_get(
            location, _Checked(file, context), resume_size=file.tell(), headers=headers, expected_size=entry.size
        )


class _Checked:
    """A file that looks at each write whether the caller has left."""

    def __init__(self, file: BinaryIO, context: Context) -> None:
        self._file = file
        self._context = context

    def write(self, data: bytes) -> int:
        self._context.check()
        return self._file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _is_whole(entry: Any, file: Path, context: Context) -> bool:
    """Compare a file with the hub's checksum.

    Large files have a SHA-256 there, others git's blob id: SHA-1 of a header and the content
    (https://git-scm.com/book/en/v2/Git-Internals-Git-Objects).
    """
    if entry.lfs is not None:
        digest, expected = hashlib.sha256(), entry.lfs.sha256
    else:
        digest, expected = hashlib.sha1(b"blob %d\0" % file.stat().st_size, usedforsecurity=False), entry.blob_id
    with file.open("rb") as content:
        while block := content.read(HASHED_AT_ONCE):
            context.check()
            digest.update(block)
    return bool(digest.hexdigest() == expected)


def _check_space(repo: str, folder: Path, total: int) -> None:
    """Raise ``StorageFull`` before anything is fetched that would not fit."""
    lacking = total - _size(folder) - shutil.disk_usage(folder).free
    if lacking > 0:
        raise StorageFull(f"{repo!r} does not fit on the disk: {lacking // MB + 1} MB are missing of {total // MB} MB")


@contextlib.contextmanager
def _progress(folder: Path, total: int, context: Context) -> Iterator[None]:
    """Report the bytes in ``folder`` while the block runs."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(PROGRESS_EVERY_S):
            context.progress(min(_size(folder), total), total)

    thread = threading.Thread(target=watch, name="download-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    context.progress(total, total)


def _size(folder: Path) -> int:
    """Sum what is on disk, files in the making included; they may vanish while we look."""
    size = 0
    # Not Path.rglob, which raises when a folder vanishes.
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                size += Path(parent, name).lstat().st_size
    return size


def _explain(repo: str, error: Exception) -> OpenSpeechError:
    from huggingface_hub.errors import GatedRepoError, OfflineModeIsEnabled, RepositoryNotFoundError

    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return StorageFull(f"the disk is full; {repo!r} was not downloaded whole")
    if isinstance(error, GatedRepoError):
        return DownloadFailed(f"{repo!r} is gated: accept its terms on the hub and set HF_TOKEN")
    if isinstance(error, RepositoryNotFoundError):
        return DownloadFailed(f"{repo!r} is not on the hub, or is private and HF_TOKEN has no access")
    if isinstance(error, OfflineModeIsEnabled):
        return DownloadFailed(f"{repo!r} cannot be downloaded: HF_HUB_OFFLINE is set")
    return DownloadFailed(
        f"{repo!r} could not be downloaded ({type(error).__name__}): check the connection to the hub, "
        "or put the files on this machine by hand"
    )
