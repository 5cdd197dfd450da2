"""A minimal peer, written from docs/federation.md alone: it uses nothing of chatd.

It blocks, so tests run it in a thread. It has no outbox, and remembers nothing.
"""

from __future__ import annotations

import datetime
import os
import socket
import ssl
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

PATIENCE = 20.0  # seconds
Box = dict[bytes, bytes]


def make_certificate(realm: str, folder: Path) -> Path:
    """Write a key, and a certificate for the realm's DNS name, to one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, realm)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(realm)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{realm}.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


class RefusedThere(Exception):
    """The other realm has answered with an error: its code and details."""


class ForeignPeer:
    """A realm of that name, linked with the one at `port` here. `parcels` has what it has received,
    each with its number; `refuse` may return the code of a verdict for a parcel. `files` are its files, by
    the numbers of their entries, and `taken` the numbers of those that the other realm has."""

    def __init__(self, realm: str, certificate: Path, port: int) -> None:
        self.realm = realm
        self.parcels: list[tuple[int, list[Any]]] = []
        self.files: dict[int, bytes] = {}
        self.taken: list[int] = []
        self.refuse: Callable[[list[Any]], str] = lambda parcel: ""
        self._tag = 0
        self._number = int(datetime.datetime.now(datetime.UTC).timestamp()) << 32
        self._data = b""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # any realm will do here
        context.load_cert_chain(certificate)
        plain = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._socket = context.wrap_socket(plain)

    def close(self) -> None:
        self._socket.close()

    # Boxes

    def _write(self, box: Box) -> None:
        pairs = (struct.pack(">H", len(each)) + each for pair in box.items() for each in pair)
        self._socket.sendall(b"".join(pairs) + b"\0\0")

    def _string(self) -> bytes:
        size = struct.unpack(">H", self._take(2))[0]
        return self._take(size)

    def _take(self, count: int) -> bytes:
        while len(self._data) < count:
            data = self._socket.recv(65536)
            if not data:
                raise EOFError
            self._data += data
        taken, self._data = self._data[:count], self._data[count:]
        return taken

    def _read(self) -> Box:
        box: Box = {}
        while key := self._string():
            box[key] = self._string()
        return box

    # Requests

    def ask(self, command: str, **arguments: bytes) -> Box:
        """Send a request and wait for its answer. What the other realm asks meanwhile is answered."""
        self._tag += 1
        tag = b"%d" % self._tag
        named = {key.encode(): value for key, value in arguments.items()}
        self._write({b"_command": command.encode(), b"_ask": tag, **named})
        while True:
            box = self._read()
            if box.get(b"_answer") == tag:
                return box
            if box.get(b"_error") == tag:
                raise RefusedThere(*msgspec.json.decode(box[b"_error_description"]))
            self._respond(box)

    def tell(self, command: str, **arguments: bytes) -> None:
        """Send a request that wants no answer."""
        named = {key.encode(): value for key, value in arguments.items()}
        self._write({b"_command": command.encode(), **named})

    def hear(self, until: Callable[[], bool]) -> None:
        """Answer requests until a condition is true."""
        while not until():
            self._respond(self._read())

    def _respond(self, box: Box) -> None:
        command, tag = box.get(b"_command"), box.get(b"_ask")
        if command is None or tag is None:
            return  # an answer that nobody waits for, or a request that wants none
        answer: Box = {b"_answer": tag}
        if command == b"Deliver":
            verdicts = [
                self._take_parcel(*each) for each in msgspec.msgpack.decode(box[b"parcels"])
            ]
            refused = any(code for code, _, _ in verdicts)
            answer[b"verdicts"] = msgspec.msgpack.encode(verdicts) if refused else b""
        elif command == b"File" and int(box[b"number"]) in self.files:
            answer[b"data"] = self._piece(
                *(int(box[each]) for each in (b"number", b"offset", b"size"))
            )
        elif command != b"Ping":
            answer = {
                b"_error": tag,
                b"_error_code": b"REFUSED",
                b"_error_description": b'["internal", {}]',
            }
        self._write(answer)

    def _piece(self, number: int, offset: int, size: int) -> bytes:
        data = self.files[number]
        if offset == len(data):
            self.taken.append(number)
        return data[offset : offset + min(size, 32768)]

    def _take_parcel(self, number: int, parcel: list[Any]) -> list[Any]:
        code = self.refuse(parcel)
        if not code:
            self.parcels.append((number, parcel))
        return [code, {}, 0]

    # What a realm says

    def greet(self, *capabilities: str) -> dict[str, Any]:
        """Say hello, and return what the other realm has said of itself."""
        own = b"".join(struct.pack(">H", len(each)) + each.encode() for each in capabilities)
        answer = self.ask(
            "Hello",
            realm=self.realm.encode(),
            version=b"2",
            capabilities=own,
            instance=os.urandom(16),
            keys=b"\x90",  # an empty array: it signs nothing
        )
        theirs, data = [], answer[b"capabilities"]
        while data:
            size = struct.unpack(">H", data[:2])[0]
            theirs.append(data[2 : 2 + size].decode())
            data = data[2 + size :]
        return {
            "realm": answer[b"realm"].decode(),
            "version": int(answer[b"version"]),
            "capabilities": theirs,
        }

    def deliver(self, *parcels: list[Any], numbers: list[int] | None = None) -> list[str]:
        """Deliver parcels, with new numbers or with those. Returns the codes of their verdicts."""
        if numbers is None:
            numbers = [self.next_number() for _ in parcels]
        batch = msgspec.msgpack.encode(list(zip(numbers, parcels, strict=True)))
        verdicts = self.ask("Deliver", parcels=batch)[b"verdicts"]
        if not verdicts:
            return [""] * len(parcels)
        return [code for code, _, _ in msgspec.msgpack.decode(verdicts)]

    def fetch(self, realm: str, number: int, size: int) -> bytes:
        """Fetch the file of an entry of the other realm, and say that it is here."""
        data = b""
        while len(data) < size:
            asked = {
                "realm": realm,
                "number": str(number),
                "offset": str(len(data)),
                "size": "9999",
            }
            data += self.ask("File", **{key: value.encode() for key, value in asked.items()})[
                b"data"
            ]
        asked = {"realm": realm, "number": str(number), "offset": str(size), "size": "0"}
        self.ask("File", **{key: value.encode() for key, value in asked.items()})
        return data

    def next_number(self) -> int:
        self._number += 1
        return self._number
