"""Run under ``unshare -n``: install a bundle, serve, ask; print what was answered. Arguments: folder, bundle, WAV.

Nothing but this machine's loopback can be reached from here, by this process or any that it starts.
"""

from __future__ import annotations

import errno
import fcntl
import json
import socket
import struct
import sys
from pathlib import Path

from api.serving import Running
from api.test_cli import run, say

SIOCGIFFLAGS, SIOCSIFFLAGS = 0x8913, 0x8914
IFF_UP = 1
FAR = ("192.0.2.1", 443)


def raise_loopback() -> None:
    """Switch ``lo`` on, as ``ip link set lo up`` does (netdevice(7))."""
    with socket.socket() as any_socket:
        request = struct.pack("16sH14s", b"lo", 0, b"")
        flags = struct.unpack("16sH14s", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14s", b"lo", flags | IFF_UP, b""))


def is_cut_off() -> bool:
    with socket.socket() as far:
        far.settimeout(5)
        return far.connect_ex(FAR) == errno.ENETUNREACH


def main(folder: Path, bundle: Path, recording: Path) -> None:
    raise_loopback()
    assert is_cut_off(), "there is a network"
    installed = run(folder, "bundle", "install", str(bundle))
    assert installed.returncode == 0, say(installed)
    server = Running(folder, ("broken_nothing",), {"STT_VAD_ENABLED": "false", "OS_AUTO_DOWNLOAD": "false"})
    answer = server.client.post(
        "/v1/audio/transcriptions",
        files={"file": ("a.wav", recording.read_bytes())},
        data={"model": "org/teller"},
    )
    providers = server.client.get("/api/providers").json()["providers"]
    server.stop()
    print(json.dumps({"said": say(installed), "status": answer.status_code, "text": answer.json(), "there": providers}))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
