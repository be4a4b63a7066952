"""Weights from the Hugging Face Hub: what its cache holds, and fetching files into a folder."""

from .caches import (
    ENVIRONMENT,
    REPO_ID_LENGTH,
    cache_folder,
    cached,
    cached_repos,
    folder_name,
    has_files,
    is_offline,
    is_repo_id,
)
from .fetching import fetch

__all__ = [
    "ENVIRONMENT",
    "REPO_ID_LENGTH",
    "cache_folder",
    "cached",
    "cached_repos",
    "fetch",
    "folder_name",
    "has_files",
    "is_offline",
    "is_repo_id",
]
