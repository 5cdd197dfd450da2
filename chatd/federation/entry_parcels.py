"""Parcels that carry an entry with the signature of its author's realm."""

from __future__ import annotations

from functools import cached_property

import msgspec

from chatd.base.errors import BadSignature
from chatd.federation.parcel_fields import FileNote
from chatd.federation.signing.entries import OpenedEntry, SignedEntry, open_entry


class EntryParcel(msgspec.Struct, frozen=True, array_like=True, dict=True):
    """A parcel with an entry of a group, which the realm of its author has signed.

    The properties read the entry without checking who has signed it. They are None where it can't be decoded,
    or has none of that.
    """

    entry: SignedEntry

    @cached_property
    def opening(self) -> OpenedEntry | BadSignature:
        """The entry, decoded, or the reason why it can't be."""
        try:
            return open_entry(self.entry)
        except BadSignature as error:
            return error

    @property
    def opened(self) -> OpenedEntry | None:
        """The entry, decoded."""
        opening = self.opening
        return opening if isinstance(opening, OpenedEntry) else None

    @property
    def sender(self) -> str | None:
        """The address of the author."""
        opened = self.opened
        return None if opened is None else opened.statement.address

    @property
    def kind(self) -> str | None:
        """What kind of entry it is."""
        opened = self.opened
        return None if opened is None else opened.statement.kind

    @property
    def at(self) -> int:
        """When it was made (ms since 1970 UTC); 0 if that is not known."""
        opened = self.opened
        return 0 if opened is None else opened.statement.at

    @property
    def text(self) -> str | None:
        opened = self.opened
        return None if opened is None else opened.text

    @property
    def file(self) -> FileNote | None:
        opened = self.opened
        return None if opened is None else opened.file

    @property
    def body(self) -> bytes | None:
        """The bytes of an opaque entry."""
        opened = self.opened
        return None if opened is None else opened.opaque
