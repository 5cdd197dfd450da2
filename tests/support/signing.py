"""Other realms that sign entries as a test wants."""

from __future__ import annotations

from hashlib import sha256
from itertools import count
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chatd.base.content_hash import content_hash
from chatd.federation.parcel_fields import FileNote
from chatd.federation.parcels import Left, Post, Relay
from chatd.federation.signing.entries import SignedEntry
from chatd.federation.signing.keys import RealmKey, encode_keys
from chatd.federation.signing.proofs import SigningKey
from chatd.federation.signing.statements import (
    Attributes,
    MemberAttributes,
    MessageAttributes,
    StatedRef,
    Statement,
    encode,
    kind_of,
)
from chatd.simulate.servers import Server

SALT = bytes(16)
START = 1_795_169_703_000  # when entries are made: the time at which tests begin


class SigningRealm:
    """A realm whose entries a test makes up. It numbers them 1, 2, 3 ..., and has a key of its own unless one
    is given."""

    def __init__(self, name: str, key: SigningKey | None = None) -> None:
        self.name = name
        private = Ed25519PrivateKey.from_private_bytes(sha256(name.encode()).digest())
        self.key = key or SigningKey(private)
        self._numbers = count(1)

    @property
    def announcement(self) -> bytes:
        """What it says in Hello."""
        return encode_keys([RealmKey(self.key.public, 0)])

    def announces(self, to: Server) -> None:
        """Tell a realm the key."""
        to.network.result(to.federation.keys.learn(self.name, self.announcement))

    def signs(
        self,
        attributes: Attributes,
        body: bytes = b"",
        *,
        home: str = "realm1",
        group: int | str = "bagan",
        author: str = "citra",
        at: int = START,
        target: StatedRef | None = None,
        number: int | None = None,
    ) -> SignedEntry:
        """An entry of `author`."""
        encoded = encode(attributes)
        statement = encode(
            Statement(
                self.name,
                next(self._numbers) if number is None else number,
                home,
                group,
                kind_of(attributes),
                author,
                target,
                at,
                content_hash(SALT, encoded, body),
            )
        )
        return SignedEntry(statement, self.key.sign([statement])[0], SALT, encoded, body)

    def says(
        self, text: str | None = "halo", file: FileNote | None = None, **said: Any
    ) -> SignedEntry:
        """A message. `said` is what `signs` takes."""
        body = b"" if text is None else text.encode()
        return self.signs(MessageAttributes(file=file), body, **said)

    def happened(self, what: str, who: str, *, author: str, **said: Any) -> SignedEntry:
        """What `author` did to `who`, an address, in a group."""
        return self.signs(MemberAttributes(what, who), author=author, **said)

    def joins(self, user: str, **said: Any) -> bytes:
        """What `Join` takes."""
        who = f"{user}@{self.name}"
        return encode(self.happened("joined", who, author=user, **said))

    def leaves(self, user: str, group: str = "bagan", **said: Any) -> Left:
        who = f"{user}@{self.name}"
        said = {"group": group, **said}
        return Left(user, group, self.happened("left", who, author=user, **said))


def example_post(group: str = "bagan", author: str = "ana") -> Post:
    return Post(SigningRealm("realm2").says(author=author), group)


def example_relay(group: str = "bagan", group_id: int = 5, text: str = "halo") -> Relay:
    entry = SigningRealm("realm2").says(text, home="realm2", group=group_id, author="ana")
    return Relay(entry, group, group_id, 6)
