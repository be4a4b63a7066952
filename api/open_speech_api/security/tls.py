"""Whether to serve HTTPS, and with which certificate."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from msgspec import Struct

from open_speech_api.settings import ServerSettings, SettingsError
from open_speech_core.options import OptionProblem

from .hosts import is_loopback, own_names


class TlsFiles(Struct, frozen=True, kw_only=True):
    """What HTTPS is served with."""

    certfile: Path
    keyfile: Path
    self_signed: bool
    """Made by us: clients have to be told to trust it."""


def wants_tls(server: ServerSettings) -> bool:
    """Say whether this server speaks HTTPS; unset, it does where others can reach it."""
    if server.ssl_enabled is not None:
        return server.ssl_enabled
    return server.ssl_certfile is not None or not is_loopback(server.host)


def decide_tls(server: ServerSettings, now: datetime) -> TlsFiles | None:
    """Give the certificate to serve with, made where none was given; None for plain HTTP.

    Raises:
        SettingsError: the pair that was given does not work, or none can be made.
    """
    if not wants_tls(server):
        return None
    if server.ssl_certfile is not None and server.ssl_keyfile is not None:
        given = Path(server.ssl_certfile).expanduser(), Path(server.ssl_keyfile).expanduser()
        _check_pair(*given)
        return TlsFiles(certfile=given[0], keyfile=given[1], self_signed=False)
    from .certificate import ensure_certificate

    folder = server.folder("certs")
    try:
        certfile, keyfile = ensure_certificate(folder, own_names(server.host), now)
    except OSError as error:
        reason = f"no certificate can be made in {folder} ({error.strerror}); give one, or set it to false"
        raise SettingsError((OptionProblem(variable="OS_SSL_ENABLED", value="", reason=reason),)) from error
    return TlsFiles(certfile=certfile, keyfile=keyfile, self_signed=True)


def _check_pair(certfile: Path, keyfile: Path) -> None:
    """Load a pair as the server will; a key with a password is refused instead of asking for it."""
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certfile, keyfile, password="")
    except (OSError, ValueError) as error:
        reason = f"cannot be used with the key in OS_SSL_KEYFILE: {error}"
        problem = OptionProblem(variable="OS_SSL_CERTFILE", value=str(certfile), reason=reason)
        raise SettingsError((problem,)) from error
