"""Connections to a Docker host: a unix socket, or TLS to an address that was looked at, for the name that is believed.

A time limit of a socket begins anew with every byte; here it is one moment by which all has to be read.
"""

import math
import os
import select
import socket
import ssl
import time
from dataclasses import dataclass, field
from functools import lru_cache
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from federation.drivers.base import Unavailable

CONNECT_SECONDS = 3.0
DEFAULT_PORT = 2376


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an engine is and how to be believed there. `address` is where to connect, if not to the name."""

    server: str
    address: str = ""
    tls_server_name: str = ""
    ca_pem: str = field(default="", repr=False)
    client_cert_pem: str = field(default="", repr=False)
    client_key_pem: str = field(default="", repr=False)

    @property
    def path(self) -> str:
        """Of the unix socket; empty where the host is reached over the network."""
        parts = urlsplit(self.server)
        return parts.path if parts.scheme == "unix" else ""

    @property
    def is_local(self) -> bool:
        return bool(self.path)

    @property
    def host(self) -> str:
        return "localhost" if self.is_local else urlsplit(self.server).hostname or ""

    @property
    def port(self) -> int:
        return urlsplit(self.server).port or DEFAULT_PORT

    def check(self) -> None:
        """Raises Unavailable for what is no address of an engine."""
        parts = urlsplit(self.server)
        if parts.scheme == "unix" and parts.path:
            return
        if parts.scheme != "https" or not parts.hostname:
            raise Unavailable("The address of the Docker host begins neither with https:// nor with unix://.")


def raw_socket(endpoint: Endpoint, seconds: float) -> socket.socket:
    """Connected, without TLS. Raises OSError."""
    if endpoint.is_local:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            link.settimeout(seconds)
            link.connect(endpoint.path)
        except BaseException:
            link.close()
            raise
        return link
    return socket.create_connection((endpoint.address or endpoint.host, endpoint.port), seconds)


def context_of(endpoint: Endpoint) -> ssl.SSLContext:
    return _context(endpoint.ca_pem, endpoint.client_cert_pem, endpoint.client_key_pem)


@lru_cache(maxsize=256)
def _context(ca_pem: str, cert_pem: str, key_pem: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=ca_pem or None)
    if cert_pem:
        context.load_cert_chain(_in_memory(cert_pem), _in_memory(key_pem))
    context.sslsocket_class = _TlsSocket
    return context


@lru_cache(maxsize=512)
def _in_memory(text: str) -> str:
    """A file of this process's memory, for a library that takes certificates as files only. Lives as long as we."""
    number = os.memfd_create("aquifer", 0)
    os.write(number, text.encode())
    return f"/proc/self/fd/{number}"


class _TlsSocket(ssl.SSLSocket):
    ends: float | None = None

    def recv_into(self, *args: Any, **more: Any) -> int:
        _limit(self, self.ends)
        return super().recv_into(*args, **more)


class _PlainSocket(socket.socket):
    ends: float | None = None

    def recv_into(self, *args: Any, **more: Any) -> int:
        _limit(self, self.ends)
        return super().recv_into(*args, **more)


def _limit(link: socket.socket, ends: float | None) -> None:
    if ends is None:
        return
    left = ends - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    link.settimeout(left)


class Connection(HTTPConnection):
    """HTTP over such a socket. What is read comes before `ends` (monotonic), or raises TimeoutError."""

    def __init__(self, endpoint: Endpoint, ends: float) -> None:
        super().__init__(endpoint.host, endpoint.port)
        self.endpoint, self.ends = endpoint, ends

    def connect(self) -> None:
        left = max(0.05, min(CONNECT_SECONDS, self.ends - time.monotonic()))
        link = raw_socket(self.endpoint, left)
        try:
            if self.endpoint.is_local:
                self.sock: Any = _PlainSocket(link.family, link.type, link.proto, fileno=link.detach())
                self.sock.settimeout(left)
            else:
                name = self.endpoint.tls_server_name or self.endpoint.host
                self.sock = context_of(self.endpoint).wrap_socket(link, server_hostname=name)
        except BaseException:
            link.close()
            raise
        self.sock.ends = self.ends
        self.sock.settimeout(max(0.05, self.ends - time.monotonic()))


def in_words(error: BaseException) -> str:
    """What went wrong on the way, without any credential."""
    text = str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        for sign, words in _TLS_WORDS.items():
            if sign in text:
                return words
        return "The host's certificate cannot be verified (TLSInvalid)."
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        if "ALERT" in text.upper():
            return "The host does not accept our certificate (TLSInvalid). Connect it anew."
        return "No secure connection could be made (TLSInvalid)."
    if isinstance(error, TimeoutError):
        return "The host took too long to answer."
    if isinstance(error, socket.gaierror):
        return "The name of the host cannot be resolved."
    if isinstance(error, PermissionError):
        return "The Docker socket may not be opened by this user."
    if isinstance(error, ConnectionRefusedError | FileNotFoundError):
        return "The host could not be reached: nothing answers at its address."
    return "The connection to the host broke."


_TLS_WORDS = {
    "certificate has expired": "The host's certificate has expired (TLSInvalid).",
    "not yet valid": "The host's certificate is not valid yet (TLSInvalid).",
    "self-signed": "The host's certificate is not from the authority that was given (TLSInvalid).",
    "unable to get local issuer": "The host's certificate is not from the authority that was given (TLSInvalid).",
    "Hostname mismatch": "The host's certificate is for another name (TLSInvalid).",
    "IP address mismatch": "The host's certificate is for another address (TLSInvalid).",
}


def wait_to_read(link: socket.socket, seconds: float) -> bool:
    """Whether something is there, or the end, within so long. (select() knows no file beyond the 1024th.)"""
    return _wait(link, select.POLLIN, seconds)


def wait_to_send(link: socket.socket, seconds: float) -> bool:
    return _wait(link, select.POLLOUT, seconds)


def _wait(link: socket.socket, what: int, seconds: float) -> bool:
    found = select.poll()
    found.register(link, what)
    return bool(found.poll(math.ceil(max(seconds, 0.0) * 1000)))
