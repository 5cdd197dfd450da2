"""One connection to the json door of a realm: JSON lines, and the raw bytes of files between them.

This module does not interpret the objects. It raises `ConnectionFailed` if a connection can't be made, and
`ConnectionLost` if it ends. Which of several nodes to connect to is decided in chatd.client.nodes.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import itertools
import socket
import ssl
import struct
from typing import Any

import msgspec

from chatd.base.names import printable
from chatd.client.translations import tr

DEFAULT_PORT = 8888
CONNECT_TIME = 10.0
FIRST_TIME = 2.0  # seconds for the first reply when connecting for the first time
MAX_ENDPOINTS = 8  # addresses of one name that are tried
# A reply has at most 500 messages of 8 KiB, and JSON may escape each byte
MAX_LINE = 64 * 1024 * 1024
CHUNK = 64 * 1024
SHOWN = 40  # bytes quoted of another service's answer

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode


class Reached(enum.IntEnum):
    """How far an attempt to connect has come. REFUSED: there is a host. ANSWERED: there is a program."""

    NOTHING = 0
    REFUSED = 1
    ANSWERED = 2


class ConnectionFailed(Exception):
    """No connection could be made. `str()` is a sentence for the user."""

    def __init__(self, sentence: str, reached: Reached = Reached.NOTHING) -> None:
        super().__init__(sentence)
        self.reached = reached


class ConnectionLost(Exception):
    """The connection has ended. `sent`: the request may have reached the realm."""

    def __init__(self, sentence: str = "", sent: bool = True) -> None:
        super().__init__(sentence or tr("The connection was lost"))
        self.sent = sent


class Target(msgspec.Struct, frozen=True):
    """The address of a realm's node. `realm` is the name on its certificate, if it differs from the host;
    `ca` is a file with certificates to trust instead of those of the system."""

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


class Endpoint(msgspec.Struct, frozen=True):
    """One of the network addresses of a target's host. `sockaddr` is the address as the family has it."""

    target: Target
    family: int
    sockaddr: tuple[Any, ...]


async def resolve(target: Target) -> list[Endpoint]:
    """The network addresses of a target's host, with families that alternate (RFC 8305, 4), so that a family
    that does not work costs one attempt. At most MAX_ENDPOINTS. Raises ConnectionFailed."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_TIME):
            found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError) as error:
        raise ConnectionFailed(_why(target, error, CONNECT_TIME)) from None
    by_family: dict[int, list[Endpoint]] = {}
    for family, _, _, _, sockaddr in found:
        by_family.setdefault(family, []).append(Endpoint(target, family, sockaddr))
    turns = itertools.zip_longest(*by_family.values())
    return [each for turn in turns for each in turn if each is not None][:MAX_ENDPOINTS]


class Patience(msgspec.Struct, frozen=True):
    """How long to wait, in seconds: for a connection that works, and in it for the first reply."""

    connect: float = CONNECT_TIME
    reply: float = CONNECT_TIME


class Connection:
    """A connection to `endpoint`."""

    def __init__(
        self, endpoint: Endpoint, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.endpoint = endpoint
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, endpoint: Endpoint, patience: Patience) -> Connection:
        """Connect, and check that a realm replies in time. Raises ConnectionFailed."""
        target = endpoint.target
        try:
            async with asyncio.timeout(patience.connect):
                connection = cls(endpoint, *await _streams(endpoint, patience))
                try:
                    await connection._greet(target, patience.reply)
                except BaseException:
                    connection.abort()
                    raise
        except ConnectionRefusedError as error:
            raise ConnectionFailed(_why(target, error, 0), Reached.REFUSED) from None
        except (ssl.SSLError, ConnectionAbortedError, ConnectionResetError) as error:
            raise ConnectionFailed(_why(target, error, 0), Reached.ANSWERED) from None
        except (OSError, TimeoutError, UnicodeError) as error:
            raise ConnectionFailed(_why(target, error, patience.connect)) from None
        return connection

    async def _greet(self, target: Target, patience: float) -> None:
        """Ping the realm, since another service may listen on the port."""
        self.send({"command": "ping"})
        line = await self._first_line(patience)
        try:
            reply = _decode(line)
        except ValueError:
            sentence = _what_is_there(target, line, patience)
            raise ConnectionFailed(sentence, Reached.ANSWERED) from None
        if reply.get("event") == "closing":
            raise ConnectionFailed(str(reply.get("message")), Reached.ANSWERED)
        if reply.get("status") != "OK":
            found = tr("The server at {target} is not a chatd realm", target=target)
            raise ConnectionFailed(f"{found}. {_usual()}", Reached.ANSWERED)

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


async def _streams(
    endpoint: Endpoint, patience: Patience
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect, with TLS if the target says so. Raises ConnectionFailed, OSError."""
    target = endpoint.target
    context = target.context()
    raw = socket.socket(endpoint.family, socket.SOCK_STREAM)
    try:
        raw.setblocking(False)
        await asyncio.get_running_loop().sock_connect(raw, endpoint.sockaddr)
    except BaseException:
        raw.close()
        raise
    # From here on the socket belongs to the transport, which closes it.
    return await asyncio.open_connection(
        sock=raw,
        ssl=context,
        server_hostname=(target.realm or target.host) if context else None,
        ssl_handshake_timeout=patience.reply if context else None,
        limit=MAX_LINE,
    )


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


def _why(target: Target, error: Exception, seconds: float) -> str:
    """A sentence for a failed attempt that had that many seconds."""
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
            return tr("{target} did not answer within {n} s", target=target, n=int(seconds))
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
