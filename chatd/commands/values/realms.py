"""Other realms."""

from __future__ import annotations

from chatd.commands.values.base import Command

__all__ = [
    "AddRealm",
    "DeleteRealm",
    "ListRealms",
    "ReadOwnRealmInbox",
    "ReadRealmInbox",
    "SendRealmFile",
    "SendRealmGroupFile",
    "SendRealmGroupMessage",
    "SendRealmMessage",
]


class AddRealm(Command, frozen=True):
    realm: str
    host: str
    port: int


class DeleteRealm(Command, frozen=True):
    realm: str


class ListRealms(Command, frozen=True):
    pass


class SendRealmMessage(Command, frozen=True):
    realm: str
    user: str
    text: str
    key: str | None = None
    wait: bool = False


class SendRealmGroupMessage(Command, frozen=True):
    realm: str
    group: str | tuple[str, ...]
    text: str
    key: str | None = None
    wait: bool = False


class SendRealmFile(Command, frozen=True):
    realm: str
    user: str
    filename: str
    size: int
    wait: bool = False


class SendRealmGroupFile(Command, frozen=True):
    realm: str
    group: str | tuple[str, ...]
    filename: str
    size: int
    wait: bool = False


class ReadRealmInbox(Command, frozen=True):
    """`own` and `contents` as in ReadInbox."""

    realm: str
    own: bool = False
    contents: bool = False


class ReadOwnRealmInbox(Command, frozen=True):
    """Like ReadRealmInbox. `username` has to be the name of the account that asks."""

    realm: str
    username: str
    own: bool = False
