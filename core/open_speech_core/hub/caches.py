"""Ids of the hub, and what its client's cache holds. Looking imports nothing and asks no network."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

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


def is_offline(environ: Mapping[str, str]) -> bool:
    """Say whether ``HF_HUB_OFFLINE`` is set, as the hub's client reads it: nothing will be fetched."""
    return environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def cached(cache: Path, repo: str, files: Sequence[str]) -> Path | None:
    """Find a snapshot in a cache that has all of ``files``; the one of branch ``main`` first."""
    folder = cache / f"models--{folder_name(repo)}"
    with contextlib.suppress(OSError):
        snapshots = sorted((folder / "snapshots").iterdir())
        with contextlib.suppress(OSError):
            snapshots.insert(0, folder / "snapshots" / (folder / "refs" / "main").read_text().strip())
        return next((found for found in snapshots if has_files(found, files)), None)
    return None


def cached_repos(cache: Path, files: Sequence[str]) -> Iterator[str]:
    """Name the repositories of which a cache holds a snapshot with all of ``files``."""
    with contextlib.suppress(OSError):
        for folder in sorted(cache.glob("models--*")):
            repo = folder.name.removeprefix("models--").replace("--", "/")
            if is_repo_id(repo) and cached(cache, repo, files) is not None:
                yield repo


def has_files(folder: Path, files: Sequence[str]) -> bool:
    """Say whether all of ``files`` are in a folder."""
    return all((folder / file).is_file() for file in files)
