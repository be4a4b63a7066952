"""A certificate of our own making: kept in the data folder, renewed before it ends."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID = timedelta(days=397)
"""The longest that browsers accept."""
RENEW_BEFORE = timedelta(days=30)
SKEW = timedelta(days=1)
"""How far a client's clock may be behind."""

CERTFILE, KEYFILE = "cert.pem", "key.pem"


def ensure_certificate(folder: Path, hosts: Sequence[str], now: datetime) -> tuple[Path, Path]:
    """Give a self-signed pair for ``hosts``: that in ``folder`` while it is whole and fresh, else a new one.

    ``now`` has a time zone.
    """
    certfile, keyfile = folder / CERTFILE, folder / KEYFILE
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    if _is_good(certfile, keyfile, hosts, now):
        keyfile.chmod(0o600)
        return certfile, keyfile
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write(keyfile, pem, 0o600)
    _write(certfile, _sign(key, hosts, now).public_bytes(serialization.Encoding.PEM), 0o644)
    return certfile, keyfile


def _is_good(certfile: Path, keyfile: Path, hosts: Sequence[str], now: datetime) -> bool:
    try:
        cert = x509.load_pem_x509_certificate(certfile.read_bytes())
        key = serialization.load_pem_private_key(keyfile.read_bytes(), password=None)
        names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, TypeError, x509.ExtensionNotFound):
        return False
    fresh = cert.not_valid_before_utc <= now and now + RENEW_BEFORE <= cert.not_valid_after_utc
    return fresh and cert.public_key() == key.public_key() and set(_alternatives(hosts)) <= set(names)


def _sign(key: ec.EllipticCurvePrivateKey, hosts: Sequence[str], now: datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Open Speech, this machine")])
    public = key.public_key()
    own = x509.SubjectKeyIdentifier.from_public_key(public)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now - SKEW + VALID)
        .add_extension(x509.SubjectAlternativeName(_alternatives(hosts)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(own, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own), critical=False)
    )
    return builder.sign(key, hashes.SHA256())


def _alternatives(hosts: Sequence[str]) -> list[x509.GeneralName]:
    """Write hosts as a certificate names them; what is neither an address nor ASCII cannot be named."""
    found: list[x509.GeneralName] = []
    for host in dict.fromkeys(("localhost", "127.0.0.1", "::1", *hosts)):
        try:
            found.append(x509.IPAddress(ip_address(host.partition("%")[0])))
        except ValueError:
            if host.isascii():
                found.append(x509.DNSName(host))
    return found


def _write(path: Path, data: bytes, mode: int) -> None:
    """Write a file whole or not at all; it never exists with wider rights than ``mode``."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
