"""Weights from the Hugging Face Hub: where its own cache keeps them, and fetching files into a folder.

Looking imports nothing and asks no network. ``fetch`` imports ``huggingface_hub``, which the distribution of
the plugin that calls it must require.
"""

from __future__ import annotations

import contextlib
import errno
import re
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import DownloadFailed, OpenSpeechError, StorageFull
from .providers import Context

ENVIRONMENT = (
    "HF_TOKEN",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_HUB_OFFLINE",
    "HF_ENDPOINT",
    "XDG_CACHE_HOME",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
)
"""Variables a worker needs for downloads; for ``ProviderInfo.environment``."""

REPO_ID_LENGTH = 96
"""Longest id the hub allows."""
PROGRESS_EVERY_S = 0.5

_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?"
_REPO_ID = re.compile(f"{_PART}/{_PART}")


def is_repo_id(id: str) -> bool:
    """Say whether ``id`` has the form of a repository's id, ``org/name``."""
    return (
        len(id) <= REPO_ID_LENGTH
        and _REPO_ID.fullmatch(id) is not None
        and "--" not in id
        and ".." not in id
        and not id.endswith(".git")
    )


def folder_name(repo: str) -> str:
    """Give the folder name of a repository; no two ids share one, since none holds ``--``."""
    return repo.replace("/", "--")


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Give the folder of the hub's cache, as its client finds it."""
    if cache := environ.get("HF_HUB_CACHE"):
        return Path(cache).expanduser()
    if home := environ.get("HF_HOME"):
        return Path(home).expanduser() / "hub"
    return Path(environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "huggingface" / "hub"


def cached(cache: Path, repo: str, files: Sequence[str]) -> Path | None:
    """Find a snapshot in a cache that has all of ``files``; the one of branch ``main`` first."""
    folder = cache / f"models--{folder_name(repo)}"
    with contextlib.suppress(OSError):
        snapshots = sorted((folder / "snapshots").iterdir())
        with contextlib.suppress(OSError):
            snapshots.insert(0, folder / "snapshots" / (folder / "refs" / "main").read_text().strip())
        return next((found for found in snapshots if has_files(found, files)), None)
    return None


def has_files(folder: Path, files: Sequence[str]) -> bool:
    """Say whether all of ``files`` are in a folder."""
    return all((folder / file).is_file() for file in files)


def fetch(repo: str, files: Sequence[str], folder: Path, context: Context, *, required: Sequence[str]) -> None:
    """Download those of ``files`` that the repository has into ``folder``, byte progress reported.

    A download that was cut short goes on from there when called again with the same folder. A cancel takes
    effect between files.

    Raises:
        DownloadFailed: the hub cannot be reached, refuses, or has not all of ``required``.
        StorageFull: the disk is full.
    """
    from huggingface_hub import HfApi, RepoFile

    api: Any = HfApi()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = [entry for entry in api.get_paths_info(repo, list(files)) if isinstance(entry, RepoFile)]
        missing = sorted(set(required) - {entry.path for entry in found})
        if missing:
            raise DownloadFailed(f"{repo!r} on the hub has no {missing[0]}; it is not what was expected")
        with _progress(folder, sum(entry.size for entry in found), context):
            for entry in sorted(found, key=lambda entry: entry.size):
                context.check()
                api.hf_hub_download(repo, entry.path, local_dir=folder)
    except OpenSpeechError:
        raise
    except Exception as error:  # fence: the client raises the errors of whichever HTTP library it uses
        raise _explain(repo, error) from error
    shutil.rmtree(folder / ".cache", ignore_errors=True)


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
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            size += path.lstat().st_size
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
