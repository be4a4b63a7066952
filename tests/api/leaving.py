"""Callers that leave in the middle, over HTTP/1.1 and HTTP/2, by sockets of their own.

Libraries keep a connection for the next request, or tidy up first; what is wanted here is to be gone.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Mapping
from typing import Protocol

import h2.config
import h2.connection
import h2.errors
import h2.events

from api.serving import Running

BOUNDARY = "XXleavingXX"
Headers = list[tuple[str, str]]


def form(file: bytes, **fields: str) -> tuple[Headers, bytes]:
    """Give a form's headers and body."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    body = "".join(parts).encode() + head.encode() + file + f"\r\n--{BOUNDARY}--\r\n".encode()
    return [("content-type", f"multipart/form-data; boundary={BOUNDARY}")], body


def json_body(fields: Mapping[str, object]) -> tuple[Headers, bytes]:
    return [("content-type", "application/json")], json.dumps(fields).encode()


class Caller(Protocol):
    """One request."""

    def send(self, path: str, headers: Headers, body: bytes, *, of: int | None = None) -> None:
        """Send a request whose body has ``of`` bytes; those of ``body`` are all that come."""

    def read_until(self, mark: bytes) -> bytes:
        """Read the answer until ``mark`` was seen."""

    def leave(self) -> None:
        """Be gone."""


class Http1:
    def __init__(self, server: Running) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=20)

    def send(self, path: str, headers: Headers, body: bytes, *, of: int | None = None) -> None:
        length = len(body) if of is None else of
        lines = [f"POST {path} HTTP/1.1", "host: x", f"content-length: {length}"]
        lines += [f"{name}: {value}" for name, value in headers]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode() + body)

    def read_until(self, mark: bytes) -> bytes:
        read = b""
        while mark not in read:
            if not (data := self._socket.recv(65_536)):
                raise AssertionError(f"the answer ended without {mark!r}: {read!r}")
            read += data
        return read

    def leave(self) -> None:
        self._socket.close()


class Http2:
    """One stream on a connection that stays open after the stream was reset, unlike HTTP/1.1."""

    def __init__(self, server: Running) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        plain = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        self._socket = context.wrap_socket(plain)
        assert self._socket.selected_alpn_protocol() == "h2"
        self._connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self._connection.initiate_connection()
        self._flush()
        self._stream = self._connection.get_next_available_stream_id()

    def send(self, path: str, headers: Headers, body: bytes, *, of: int | None = None) -> None:
        pseudo = [(":method", "POST"), (":path", path), (":scheme", "https"), (":authority", "x")]
        self._connection.send_headers(self._stream, [*pseudo, *headers])
        self._flush()
        while body:
            room = self._connection.local_flow_control_window(self._stream)
            if not room:
                self._receive()
                continue
            size = min(room, self._connection.max_outbound_frame_size, len(body))
            self._connection.send_data(self._stream, body[:size])
            body = body[size:]
            self._flush()
        if of is None:
            self._connection.end_stream(self._stream)
            self._flush()

    def read_until(self, mark: bytes) -> bytes:
        read = b""
        while mark not in read:
            for event in self._receive():
                if isinstance(event, h2.events.DataReceived):
                    read += event.data
                assert not isinstance(event, h2.events.StreamEnded) or mark in read, read
        return read

    def leave(self) -> None:
        self._connection.reset_stream(self._stream, h2.errors.ErrorCodes.CANCEL)
        self._flush()

    def close(self) -> None:
        self._socket.close()

    def _receive(self) -> list[h2.events.Event]:
        data = self._socket.recv(65_536)
        assert data, "the server closed the connection"
        events = self._connection.receive_data(data)
        for event in events:
            if isinstance(event, h2.events.DataReceived):
                self._connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        self._flush()
        return events

    def _flush(self) -> None:
        if data := self._connection.data_to_send():
            self._socket.sendall(data)
