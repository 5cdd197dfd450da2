"""The realms that the suite plays."""

from __future__ import annotations

import contextlib
import os
import ssl
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from chatd.conformance.boxes import Box, decode_texts, encode_texts
from chatd.conformance.links import Channel, PlayedLink, client_context, closing
from chatd.conformance.names import dns_name, key_of, new_key, write_certificate
from chatd.conformance.signatures import Signer, UnsignedEntry, pack, signed

VERSION = 2
CAPABILITIES = (
    "lines",
    "files",
    "opaque",
    "changes",
    "reactions",
    "pins",
    "receipts",
    "typing",
    "groups",
    "guests",
    "requests",
    "presence",
    "profiles",
    "past",
)
TERM_BITS = 22
SINCE = 1_577_836_800  # 2020-01-01
TICKS = 1024  # of a second


class RealmDoor(msgspec.Struct):
    """Where the tested realm is, and how long the suite waits for it, in seconds."""

    host: str
    port: int
    patience: float = 5.0

    @property
    def address(self) -> tuple[str, int]:
        return self.host, self.port


class PlayedRealm:
    """A realm that the suite plays. Its certificate and the seed of its signatures stay in `folder`."""

    def __init__(self, place: RealmDoor, name: str, folder: Path) -> None:
        self.place = place
        self.name = name
        self.key = key_of(name)
        self.certificate = folder / f"{self.key}.pem"
        if not self.certificate.exists():
            write_certificate(self.certificate, new_key(), dns_name(name))
        seed = folder / f"{self.key}.seed"
        if not seed.exists():
            seed.write_bytes(os.urandom(32))
        self.signer = Signer(seed.read_bytes())
        self.instance = os.urandom(16)
        self._number = int((time.time() - SINCE) * TICKS) << TERM_BITS

    def next_number(self) -> int:
        self._number += 1
        return self._number

    def hello(self, **instead: bytes | None) -> Box:
        """The arguments of Hello. None leaves one out."""
        said: dict[str, bytes | None] = {
            "realm": self.name.encode(),
            "version": b"%d" % VERSION,
            "capabilities": encode_texts(CAPABILITIES),
            "instance": self.instance,
            "keys": pack([self.signer.announced]),
        }
        return {key: value for key, value in {**said, **instead}.items() if value is not None}

    def connect(
        self, certificate: Path | None = None, context: ssl.SSLContext | None = None
    ) -> PlayedLink:
        """A link before Hello. Raises OSError, which includes what TLS says."""
        used = context or client_context(certificate or self.certificate)
        return PlayedLink(Channel(self.place.address, used, self.place.patience))

    @contextlib.contextmanager
    def dialled(self, certificate: Path | None = None) -> Iterator[PlayedLink]:
        """A link before Hello, which is closed in the end."""
        with closing(self.connect(certificate)) as link:
            yield link

    @contextlib.contextmanager
    def linked(self, **instead: bytes | None) -> Iterator[PlayedLink]:
        """A link that is up."""
        with self.dialled() as link:
            link.ask("Hello", **self.hello(**instead))
            yield link

    def lacking(self, *capabilities: str) -> bytes:
        """The capabilities without these."""
        return encode_texts([each for each in CAPABILITIES if each not in capabilities])

    def entry(
        self, home: str, group: int | str, author: str, attributes: list[Any], **more: Any
    ) -> list[Any]:
        """An entry that this realm signs, with the next number."""
        number = more.pop("number", None) or self.next_number()
        draft = UnsignedEntry(self.key, number, home, group, author, attributes, **more)
        (entry,) = signed([draft], self.signer)
        return entry


class HelloAnswer(msgspec.Struct):
    """What the tested realm has said of itself."""

    realm: str
    version: int
    capabilities: list[str]
    instance: bytes
    keys: list[Any]

    @property
    def key(self) -> str:
        return key_of(self.realm)


def read_hello(box: Box) -> HelloAnswer:
    """Raises ValueError or KeyError for an answer that is not as the document says."""
    try:
        keys: Sequence[Any] = msgspec.msgpack.decode(box["keys"])
    except msgspec.DecodeError as error:
        raise ValueError("the keys can't be decoded") from error
    capabilities = decode_texts(box["capabilities"])
    realm, version = box["realm"].decode(), int(box["version"])
    return HelloAnswer(realm, version, capabilities, box["instance"], list(keys))
