"""One connection to the json door of a realm: JSON lines, and the raw bytes of files between them.

This module does not interpret the objects. It raises `ConnectionFailed` if a connection can't be made, and
`ConnectionLost` if it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
import struct
from pathlib import Path
from typing import Any

import msgspec

from chatd.base.names import printable
from chatd.client.translations import tr

DEFAULT_PORT = 8888
CONNECT_TIME = 10.0
FIRST_TIME = 2.0  # seconds for the first reply when connecting for the first time
# A reply has at most 500 messages of 8 KiB, and JSON may escape each byte
MAX_LINE = 64 * 1024 * 1024
CHUNK = 64 * 1024
SHOWN = 40  # bytes quoted of another service's answer

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode


class ConnectionFailed(Exception):
    """No connection could be made. `str()` is a sentence for the user."""


class ConnectionLost(Exception):
    """The connection has ended. `sent`: the request may have reached the realm."""

    def __init__(self, sentence: str = "", sent: bool = True) -> None:
        super().__init__(sentence or tr("The connection was lost"))
        self.sent = sent


class Target(msgspec.Struct, frozen=True):
    """The address of a realm. `realm` is the name on its certificate, if it differs from the host; `ca` is a
    file with certificates to trust instead of those of the system."""

    host: str = "localhost"
    port: int = DEFAULT_PORT
    tls: bool = False
    realm: str | None = None
    ca: str | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def context(self) -> ssl.SSLContext | None:
        """The TLS settings, or None without TLS. Raises ConnectionFailed if `ca` can't be read."""
        if not self.tls:
            return None
        try:
            return ssl.create_default_context(cafile=self.ca)
        except (OSError, ssl.SSLError) as error:
            raise ConnectionFailed(
                tr("{file} can't be read: {reason}", file=self.ca, reason=error)
            ) from None


class Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open_first(cls, target: Target) -> Connection:
        """Like `open`, with a shorter timeout for the first reply, since the port may be wrong."""
        return await cls.open(target, FIRST_TIME)

    @classmethod
    async def open(cls, target: Target, patience: float = CONNECT_TIME) -> Connection:
        """Connect, and check that a realm replies within `patience` seconds. Raises ConnectionFailed."""
        context = target.context()
        try:
            async with asyncio.timeout(CONNECT_TIME):
                reader, writer = await asyncio.open_connection(
                    target.host,
                    target.port,
                    ssl=context,
                    server_hostname=(target.realm or target.host) if context else None,
                    ssl_handshake_timeout=patience if context else None,
                    limit=MAX_LINE,
                )
                connection = cls(reader, writer)
                try:
                    await connection._greet(target, patience)
                except BaseException:
                    connection.abort()
                    raise
        except (OSError, TimeoutError, UnicodeError) as error:
            raise ConnectionFailed(_why(target, error)) from None
        return connection

    async def _greet(self, target: Target, patience: float) -> None:
        """Ping the realm, since another service may listen on the port."""
        self.send({"command": "ping"})
        line = await self._first_line(patience)
        try:
            reply = _decode(line)
        except ValueError:
            raise ConnectionFailed(_what_is_there(target, line, patience)) from None
        if reply.get("event") == "closing":
            raise ConnectionFailed(str(reply.get("message")))
        if reply.get("status") != "OK":
            found = tr("The server at {target} is not a chatd realm", target=target)
            raise ConnectionFailed(f"{found}. {_usual()}")

    async def _first_line(self, patience: float) -> bytes:
        """The first line, or what arrived of it within `patience` seconds."""
        try:
            async with asyncio.timeout(patience):
                return await self._reader.readuntil(b"\n")
        except asyncio.IncompleteReadError as ended:
            return ended.partial
        except (asyncio.LimitOverrunError, TimeoutError):
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(0.05):
                    return await self._reader.read(CHUNK)
        except OSError:
            pass
        return b""

    def send(self, request: dict[str, Any]) -> None:
        self._writer.write(_encode(request) + b"\n")

    async def read(self) -> dict[str, Any]:
        """The next object: a reply or an event. Raises ConnectionLost."""
        try:
            line = await self._reader.readuntil(b"\n")
            return _decode(line)
        except (OSError, asyncio.IncompleteReadError):
            raise ConnectionLost from None
        except (asyncio.LimitOverrunError, ValueError):  # msgspec's errors are ValueErrors
            raise ConnectionLost(tr("The realm sent something that could not be read")) from None

    async def read_some(self, limit: int) -> bytes:
        """At most `limit` raw bytes. Raises ConnectionLost."""
        try:
            data = await self._reader.read(min(limit, CHUNK))
        except OSError:
            data = b""
        if not data:
            raise ConnectionLost
        return data

    async def write(self, data: bytes) -> None:
        """Send raw bytes, and wait while the send buffer is full. Raises ConnectionLost."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError:
            raise ConnectionLost from None

    async def close(self) -> None:
        """Close the connection normally: the realm then counts delivered messages as read."""
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(2):
                await self._writer.wait_closed()

    def abort(self) -> None:
        """Reset the connection (RST): delivered messages stay unread, and an upload is discarded."""
        raw = self._writer.get_extra_info("socket")
        if raw is not None:
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


def _what_is_there(target: Target, said: bytes, patience: float) -> str:
    """A sentence that names the service at the target, guessed from its first bytes, with advice."""
    usual = _usual()
    if said.startswith(b"* chatd"):
        found = tr("{target} is the plain door of a chatd", target=target)
    elif said.startswith((b"HTTP/", b"<")):
        found = tr("{target} is a web server", target=target)
    elif said.startswith((b"\x15\x03", b"\x16\x03")):
        return tr("{target} uses TLS: try --tls. {usual}", target=target, usual=usual)
    elif said:
        shown = printable(said[:SHOWN].decode(errors="replace").strip())
        found = tr(
            "{target} does not speak the json protocol; it sent {said}", target=target, said=shown
        )
    elif not target.tls:
        return tr("{target} sent nothing within {n} s, or closed the connection: is it "
                  "another port, or --tls? {usual}",
                  target=target, n=int(patience), usual=usual)  # fmt: skip
    else:
        found = tr(
            "{target} sent nothing within {n} s, or closed the connection",
            target=target,
            n=int(patience),
        )
    return f"{found}. {usual}"


def _usual() -> str:
    return tr("The json door of a chatd is usually port {port}", port=DEFAULT_PORT)


def _why(target: Target, error: Exception) -> str:
    if _all_refused(error):
        error = ConnectionRefusedError()
    match error:
        case ConnectionRefusedError():
            return tr("There is no daemon at {target}: the connection was refused", target=target)
        case socket.gaierror() | UnicodeError():
            return tr("There is no host called {host}", host=target.host)
        # asyncio raises this for a handshake that takes too long.
        case ConnectionAbortedError() if target.tls:
            return tr(
                "{target} does not use TLS: leave out --tls, or check the port", target=target
            )
        case TimeoutError():
            return tr("{target} did not answer within {n} s", target=target, n=int(CONNECT_TIME))
        case ssl.SSLCertVerificationError():
            return tr(
                "The certificate of {target} is not valid: {reason}. Use --ca FILE to "
                "trust another authority, or --realm NAME if the certificate has "
                "another name",
                target=target,
                reason=error.verify_message,
            )
        case ssl.SSLError() | ConnectionResetError() if target.tls:
            return tr(
                "{target} does not use TLS: leave out --tls, or check the port", target=target
            )
    reason = (getattr(error, "strerror", None) or str(error)).splitlines()[0]
    return tr("{target} was not reached: {reason}", target=target, reason=reason)


def _all_refused(error: Exception) -> bool:
    """asyncio combines the errors of several addresses into one text."""
    text = str(error)
    refusals = text.count(f"[Errno {errno.ECONNREFUSED}]")
    return type(error) is OSError and 0 < refusals == text.count("[Errno ")


def parse_target(text: str, tls: bool, realm: str | None, ca: Path | None) -> Target:
    """`host`, `host:port`, `[::1]:port`. Raises ValueError."""
    host, port = text, ""
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise ValueError(text)
        port = port[1:]
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if not host or (port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536)):
        raise ValueError(text)
    return Target(host, int(port or DEFAULT_PORT), tls, realm, str(ca.resolve()) if ca else None)
