"""What goes over a link: names, TLS 1.3, signed entries, and AMP boxes in both directions."""

import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Callable
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec import DecodeError, msgpack
from OpenSSL import SSL
from twisted.internet.defer import ensureDeferred, fail, succeed
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.ssl import DefaultOpenSSLContextFactory
from twisted.protocols.amp import AMP, AmpBox, AmpError, RemoteAmpError
from zope.interface import implementer

pack, unpack = msgpack.Encoder().encode, msgpack.decode
#: What malformed data raises.
MALFORMED = (AssertionError, KeyError, TypeError, ValueError, DecodeError)
TAG, BATCH, DAY = "chatd entry 1", b"chatd batch 1\n", 86_400_000
HOST = re.compile(r"(?=.{1,64}$)(L\.)*(?!\d+$)L".replace("L", "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"))
NAMES, FORM = x509.SubjectAlternativeName, (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def key_of(name: str) -> str:
    """The key of a name: names with equal keys are the same."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def dns_name(realm: str) -> str:
    key, labels = key_of(realm), re.findall(".{1,62}", key_of(realm).encode().hex())
    host = HOST.fullmatch(key) and not key.endswith(".x.invalid")
    return key if host else ".".join(labels) + ".x.invalid"


def make_tls(pem: str) -> Any:
    """TLS 1.3 with this certificate and key, and any certificate of others: the realm judges them."""
    tls = DefaultOpenSSLContextFactory(pem, pem, SSL.TLS_METHOD)
    context = tls.getContext()
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_options(SSL.OP_NO_TICKET)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
    return tls


def write_texts(texts: list[str]) -> bytes:
    return b"".join(len(each.encode()).to_bytes(2, "big") + each.encode() for each in texts)


def read_texts(data: bytes) -> list[str]:
    end = 2 + int.from_bytes(data[:2], "big")
    return [data[2:end].decode(), *read_texts(data[end:])] if data else []


class Refused(Exception):
    """A request or a parcel was refused, there or here: a code, and details."""


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def sign(key: Ed25519PrivateKey, head: list[Any], attributes: list[Any], body: bytes) -> list[Any]:
    """A signed entry in a batch of its own. `head` is realm, number, home, group, author, target and time."""
    salt, packed = os.urandom(16), pack(attributes)
    statement = pack([TAG, *head[:4], attributes[0], *head[4:], sha256(salt, packed, body)])
    signature = key.sign(BATCH + sha256(b"\0", statement))
    key_id = sha256(key.public_key().public_bytes_raw())[:8]
    return [statement, [key_id, 0, 1, b"", signature], salt, packed, body]


def climb(statement: bytes, index: int, count: int, path: bytes) -> bytes:
    """The root to which an audit path leads. ValueError if it is not one of that batch."""
    node = sha256(b"\0", statement)
    if not 0 <= index < count <= 64:
        raise ValueError("no such statement in the batch")
    while count > 1:
        if index ^ 1 < count:
            sibling, path = path[:32], path[32:]
            node = sha256(b"\1", *((sibling, node) if index & 1 else (node, sibling)))
        index, count = index // 2, (count + 1) // 2
    if path:
        raise ValueError("the audit path is too long")
    return node


class Entry:
    """A signed entry that was read. It is `verified` with one of these keys. Refused if it is wrong."""

    def __init__(self, signed: Any, keys: dict[str, dict[bytes, Any]]) -> None:
        try:
            statement, (key_id, index, count, path, signature), salt, packed, self.body = signed
            tag, self.realm, number, self.home, self.group, *rest = unpack(statement)
            self.kind, self.author, self.target, at, digest = rest
            self.gone = not (salt or packed or self.body)  # deleted: statement and proof are left
            self.name, self.what = (self.realm, number), unpack(packed) if packed else [self.kind]
            good = self.gone or sha256(salt, packed, self.body) == digest
            root, self.verified = climb(statement, index, count, path), False
            for public, _, until in keys.get(self.realm, {}).values():
                if sha256(public)[:8] == key_id:
                    Ed25519PublicKey.from_public_bytes(public).verify(signature, BATCH + root)
                    self.verified, good = True, good and (until is None or at <= until + DAY)
        except (*MALFORMED, InvalidSignature) as error:
            raise Refused(
                "bad-signature", {"reason": "it can't be read, or is not proved"}
            ) from error
        if tag != TAG or not good or self.what[:1] != [self.kind]:
            raise Refused("bad-signature", {"reason": "it does not say what was signed"})


@implementer(IHandshakeListener)
class Link(AMP):
    transport: Any

    def __init__(self, realm: Any, dialled: bool) -> None:
        super().__init__()
        self.realm, self.dialled, self.began = realm, dialled, realm.clock.seconds()
        self.dns, self.shown, self.other, self.instance, self.takes = "", b"", "", b"", [""]
        self.closed = self.busy = False

    def handshakeCompleted(self) -> None:  # noqa: N802 (Twisted's name)
        shown = self.transport.getPeerCertificate().to_cryptography()
        names = [each.value for each in shown.extensions if isinstance(each.value, NAMES)]
        self.dns = [*(names[0].get_values_for_type(x509.DNSName) if names else []), ""][0]
        self.shown = shown.public_key().public_bytes(*FORM)  # also that of a renewed certificate
        ensureDeferred(self.realm.shaken(self)).addErrback(lambda _: self.close())

    def dataReceived(self, data: bytes) -> None:
        try:
            super().dataReceived(data)
        except (AmpError, KeyError, ValueError):  # no AMP, an answer to nothing, a wrong argument
            self.close()

    def ampBoxReceived(self, box: AmpBox) -> None:
        if not self.closed:
            super().ampBoxReceived(box) if len(box) <= 32 else self.close()

    def locateResponder(self, name: bytes) -> Callable[[AmpBox], Any]:  # noqa: N802 (Twisted's name)
        def respond(box: AmpBox) -> Any:
            try:
                return succeed(AmpBox(**self.realm.command(self, name.decode(), box)))
            except (Refused, *MALFORMED) as error:
                said = error.args if isinstance(error, Refused) else ("bad-request", {})
                code = b"UNHANDLED" if said[0] == "unknown-command" else b"REFUSED"
                failed = RemoteAmpError(code, json.dumps(said).encode())
                return fail(failed) if b"_ask" in box else succeed(None)

        return respond

    async def ask(self, command: str, **arguments: bytes) -> Any:
        """Ask, and return the answer. Refused, or the error with which the link has ended."""
        try:
            return await self.callRemoteString(command.encode(), True, **arguments)
        except RemoteAmpError as error:
            raise Refused(*json.loads(error.description)) from error

    def close(self, code: str = "", reason: str = "") -> None:
        if code:
            self.callRemoteString(b"Goodbye", False, code=code.encode(), reason=reason.encode())
        self.closed = self.busy = True
        if self.transport:
            self.transport.loseConnection()

    def connectionLost(self, reason: Any = None) -> None:
        self.closed = self.busy = True
        super().connectionLost(reason)
