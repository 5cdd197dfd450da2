"""Checksums of tables that both databases agree in, whatever their own forms of the values are."""

from __future__ import annotations

import hashlib

import msgspec
from sqlalchemy import Table

from chatd.store.transfer.values import Page

_SIZE = 16  # bytes


class TableDigest(msgspec.Struct, frozen=True):
    """How many rows a table has, and the checksum over all of them in the order of their keys,
    hexadecimal."""

    rows: int
    checksum: str


class RowDigest:
    """The checksum of one table: BLAKE2b over each row as an array of MessagePack, which tells apart numbers,
    texts, bytes, booleans and None."""

    def __init__(self, table: Table) -> None:
        self._hash = hashlib.blake2b(digest_size=_SIZE, key=table.name.encode()[:64])
        self._encode = msgspec.msgpack.Encoder().encode
        self._rows = 0

    def add(self, page: Page) -> None:
        """Add the next rows."""
        self._rows += len(page)
        self._hash.update(b"".join(map(self._encode, page)))

    def result(self) -> TableDigest:
        """The digest of all rows so far."""
        return TableDigest(self._rows, self._hash.hexdigest())
