"""HTTPS: when it is on, and the certificate we make."""

from __future__ import annotations

import socket
import ssl
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from open_speech_api.security.certificate import ensure_certificate
from open_speech_api.security.hosts import is_everywhere, is_loopback, own_names
from open_speech_api.security.tls import decide_tls, wants_tls
from open_speech_api.settings import ServerSettings, SettingsError

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def read(certfile: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(certfile.read_bytes())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("host", [None, "localhost", "LOCALHOST.", "127.0.0.1", "127.8.8.8", "::1", "[::1]"])
def test_plain_http_on_loopback(host: str | None) -> None:
    assert is_loopback(host)
    assert not wants_tls(ServerSettings(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "speech.example", "localhost.example"])
def test_https_where_others_can_reach_it(host: str) -> None:
    assert not is_loopback(host)
    assert wants_tls(ServerSettings(host=host))


@pytest.mark.parametrize("host", [None, "0.0.0.0"])
@pytest.mark.parametrize("value", [True, False])
def test_the_setting_decides_where_it_is_set(host: str | None, value: bool) -> None:
    assert wants_tls(ServerSettings(host=host, ssl_enabled=value)) is value


def test_a_given_certificate_switches_https_on() -> None:
    assert wants_tls(ServerSettings(ssl_certfile="/c", ssl_keyfile="/k"))
    assert not wants_tls(ServerSettings(ssl_certfile="/c", ssl_keyfile="/k", ssl_enabled=False))


def test_plain_http_leaves_the_disk_alone(tmp_path: Path) -> None:
    assert decide_tls(ServerSettings(data_dir=str(tmp_path)), NOW) is None
    assert list(tmp_path.iterdir()) == []


def test_certificate_names_loopback_the_host_and_what_was_asked_for(tmp_path: Path) -> None:
    certfile, _ = ensure_certificate(tmp_path / "certs", ["speech.lan", "192.168.1.4"], NOW)
    names = read(certfile).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "speech.lan"]
    addresses = [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    assert addresses == ["127.0.0.1", "::1", "192.168.1.4"]


def test_certificate_is_p256_and_lasts_about_a_year(tmp_path: Path) -> None:
    cert = read(ensure_certificate(tmp_path, [], NOW)[0])
    key = cert.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    assert cert.not_valid_before_utc < NOW
    assert timedelta(days=300) < cert.not_valid_after_utc - NOW < timedelta(days=398)


def test_only_the_owner_can_read_the_key(tmp_path: Path) -> None:
    folder = tmp_path / "certs"
    certfile, keyfile = ensure_certificate(folder, [], NOW)
    assert (mode(folder), mode(keyfile), mode(certfile)) == (0o700, 0o600, 0o644)
    assert sorted(path.name for path in folder.iterdir()) == ["cert.pem", "key.pem"]


def test_rights_that_became_too_wide_are_narrowed(tmp_path: Path) -> None:
    _, keyfile = ensure_certificate(tmp_path, [], NOW)
    keyfile.chmod(0o644)
    tmp_path.chmod(0o755)
    ensure_certificate(tmp_path, [], NOW)
    assert (mode(tmp_path), mode(keyfile)) == (0o700, 0o600)


def test_a_good_pair_is_used_again(tmp_path: Path) -> None:
    certfile, keyfile = ensure_certificate(tmp_path, ["a.lan"], NOW)
    before = certfile.read_bytes(), keyfile.read_bytes()
    ensure_certificate(tmp_path, ["a.lan"], NOW + timedelta(days=360))
    assert (certfile.read_bytes(), keyfile.read_bytes()) == before


@pytest.mark.parametrize("later", [timedelta(days=367), timedelta(days=5000), timedelta(days=-2)])
def test_a_pair_near_its_end_or_out_of_its_time_is_renewed(tmp_path: Path, later: timedelta) -> None:
    certfile, _ = ensure_certificate(tmp_path, [], NOW)
    before = certfile.read_bytes()
    ensure_certificate(tmp_path, [], NOW + later)
    assert certfile.read_bytes() != before
    assert read(certfile).not_valid_before_utc < NOW + later < read(certfile).not_valid_after_utc


def test_a_new_host_name_makes_a_new_certificate(tmp_path: Path) -> None:
    before = ensure_certificate(tmp_path, ["a.lan"], NOW)[0].read_bytes()
    certfile, _ = ensure_certificate(tmp_path, ["b.lan"], NOW)
    assert certfile.read_bytes() != before


EMPTY_PEM = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("broken", ["cert.pem", "key.pem"])
@pytest.mark.parametrize("content", [b"", b"garbage", EMPTY_PEM])
def test_a_broken_file_is_remade(tmp_path: Path, broken: str, content: bytes) -> None:
    ensure_certificate(tmp_path, [], NOW)
    (tmp_path / broken).write_bytes(content)
    certfile, keyfile = ensure_certificate(tmp_path, [], NOW)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certfile, keyfile)


def test_a_key_of_another_certificate_is_remade(tmp_path: Path) -> None:
    """A crash between the two renames leaves such a pair."""
    ensure_certificate(tmp_path / "a", [], NOW)
    ensure_certificate(tmp_path / "b", [], NOW)
    (tmp_path / "b" / "key.pem").replace(tmp_path / "a" / "key.pem")
    certfile, keyfile = ensure_certificate(tmp_path / "a", [], NOW)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certfile, keyfile)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_a_client_that_trusts_the_certificate_can_connect(tmp_path: Path, name: str) -> None:
    certfile, keyfile = ensure_certificate(tmp_path, own_names(None), datetime.now(UTC))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certfile, keyfile)
    client = ssl.create_default_context(cafile=str(certfile))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    left, right = socket.socketpair()
    with left, right:
        thread = threading.Thread(target=lambda: server.wrap_socket(left, server_side=True).recv(1))
        thread.start()
        with client.wrap_socket(right, server_hostname=name) as secure:
            assert secure.version() == "TLSv1.3"
            secure.send(b"x")
        thread.join(5)


def test_a_given_pair_is_used_and_never_touched(tmp_path: Path) -> None:
    certfile, keyfile = ensure_certificate(tmp_path / "own", [], NOW)
    keyfile.chmod(0o640)
    server = ServerSettings(ssl_certfile=str(certfile), ssl_keyfile=str(keyfile), data_dir=str(tmp_path / "data"))
    files = decide_tls(server, NOW)
    assert files is not None
    assert (files.certfile, files.keyfile, files.self_signed) == (certfile, keyfile, False)
    assert mode(keyfile) == 0o640
    assert not (tmp_path / "data").exists()


def test_a_given_pair_that_does_not_fit_is_refused_readably(tmp_path: Path) -> None:
    certfile, _ = ensure_certificate(tmp_path / "a", [], NOW)
    _, keyfile = ensure_certificate(tmp_path / "b", [], NOW)
    with pytest.raises(SettingsError, match=r"OS_SSL_CERTFILE.*cannot be used with the key in OS_SSL_KEYFILE"):
        decide_tls(ServerSettings(ssl_certfile=str(certfile), ssl_keyfile=str(keyfile)), NOW)


def test_our_own_pair_lies_in_the_data_folder(tmp_path: Path) -> None:
    files = decide_tls(ServerSettings(host="0.0.0.0", data_dir=str(tmp_path)), NOW)
    assert files is not None
    assert files.self_signed
    assert files.certfile == tmp_path / "certs" / "cert.pem"


def test_a_folder_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="no certificate can be made"):
        decide_tls(ServerSettings(ssl_enabled=True, data_dir=str(tmp_path / "file")), NOW)


def test_all_addresses_are_not_a_name() -> None:
    assert is_everywhere("0.0.0.0")
    assert is_everywhere("::")
    assert not {"0.0.0.0", "::"} & set(own_names("0.0.0.0"))
    assert "speech.lan" in own_names("speech.lan")
    assert socket.gethostname() in own_names(None)
