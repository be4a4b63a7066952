"""Where packages come from: what the owner told pip, in its files or variables, told to whichever installer runs.

Only this is taken over. Constraints, targets, users' sites and the like would change what is installed, or where.
"""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

KEYS = (
    "index-url", "extra-index-url", "find-links", "no-index", "trusted-host", "cert", "client-cert", "proxy", "timeout",
    "default-timeout", "retries", "cache-dir", "no-cache-dir", "keyring-provider",
)  # fmt: skip
PATHS = frozenset({"find-links", "cert", "client-cert", "cache-dir"})
"""Named from where the server was started; the commands run elsewhere."""
SECTIONS = ("global", "install")
UV_KEPT = frozenset(
    {
        "UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS",
        "UV_OFFLINE", "UV_CACHE_DIR", "UV_NO_CACHE", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS", "UV_INSECURE_HOST",
        "UV_KEYRING_PROVIDER", "UV_HTTP_TIMEOUT", "UV_HTTP_RETRIES", "UV_LINK_MODE", "UV_CONFIG_FILE",
        "UV_PYTHON_INSTALL_DIR",
    }
)  # fmt: skip
TRUE = frozenset({"1", "true", "yes", "on"})


def pip_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Read what pip would: its files, then its variables. Names are those of its options."""
    settings: dict[str, str] = {}
    for file in _files(environ):
        parser = configparser.RawConfigParser()
        try:
            parser.read(file, encoding="utf-8")
        except (OSError, configparser.Error, UnicodeDecodeError):
            continue
        for section in SECTIONS:
            if parser.has_section(section):
                settings |= {name.replace("_", "-"): " ".join(value.split()) for name, value in parser.items(section)}
    for key in KEYS:
        if value := environ.get(_variable(key), "").strip():
            settings[key] = value
    return {key: _absolute(settings[key]) if key in PATHS else settings[key] for key in KEYS if key in settings}


def pip_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Give the variables pip runs with: where packages come from, and no other file or wish."""
    told = {_variable(key): value for key, value in pip_settings(environ).items()}
    return {**told, "PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}


def uv_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Give the variables uv runs with: its own, and in their place what pip was told."""
    settings = pip_settings(environ)
    told = {
        "UV_DEFAULT_INDEX": settings.get("index-url"),
        "UV_INDEX": settings.get("extra-index-url"),
        "UV_FIND_LINKS": ",".join(settings.get("find-links", "").split()),
        "UV_INSECURE_HOST": settings.get("trusted-host"),
        "UV_HTTP_TIMEOUT": settings.get("timeout", settings.get("default-timeout")),
        "UV_HTTP_RETRIES": settings.get("retries"),
        "UV_KEYRING_PROVIDER": "subprocess" if settings.get("keyring-provider") == "subprocess" else None,
        "SSL_CERT_FILE": settings.get("cert"),
        "SSL_CLIENT_CERT": settings.get("client-cert"),
        "ALL_PROXY": settings.get("proxy"),
    }
    own = {name: value for name, value in environ.items() if name in UV_KEPT or name.startswith("UV_INDEX_")}
    return {name: value for name, value in told.items() if value} | own


def no_index(environ: Mapping[str, str]) -> bool:
    """Say whether packages come from folders alone; uv takes this by its command line only."""
    return pip_settings(environ).get("no-index", "").lower() in TRUE


def _absolute(paths: str) -> str:
    return " ".join(path if "://" in path else str(Path(path).expanduser().absolute()) for path in paths.split())


def _variable(key: str) -> str:
    return f"PIP_{key.upper().replace('-', '_')}"


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    """Name pip's configuration files, those that count more later (pip's user guide, "Configuration")."""
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return
    home = Path(environ.get("HOME") or "/")
    mac = sys.platform == "darwin"
    shared = ["/Library/Application Support"] if mac else environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(os.pathsep)
    yield from (Path(folder, "pip", "pip.conf") for folder in reversed(shared) if folder)
    yield Path("/etc/pip.conf")
    yield home / ".pip" / "pip.conf"
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    if mac:
        yield home / "Library" / "Application Support" / "pip" / "pip.conf"
    yield Path(sys.prefix, "pip.conf")
    if named:
        yield Path(named)
