"""Commands as values: one frozen class per command, described in chatd.commands.table."""

from __future__ import annotations

from typing import Literal

import msgspec

from chatd.base.names import Address, Place
from chatd.base.texts import Secret


class Command(msgspec.Struct, frozen=True):
    """A request of a client."""


class Register(Command, frozen=True):
    """`login`: log in to the new account. `outside`: refuse if the client is logged in."""

    username: str
    password: Secret
    name: str | None = None
    country: str | None = None
    login: bool = True
    outside: bool = False


class LogIn(Command, frozen=True):
    username: str
    password: Secret


class ResumeSession(Command, frozen=True):
    token: Secret


class LogOut(Command, frozen=True):
    """`everywhere`: end all sessions of the account."""

    everywhere: bool = False


class ChangePassword(Command, frozen=True):
    old: Secret
    new: Secret


class ClaimRealm(Command, frozen=True):
    code: Secret


class ShowAccount(Command, frozen=True):
    pass


class ChangeProfile(Command, frozen=True):
    """A value of None stays unchanged."""

    name: str | None = None
    country: str | None = None


class ListActive(Command, frozen=True):
    pass


class ListUsers(Command, frozen=True):
    """`others`: leave out the user who asks."""

    others: bool = False


class ListContacts(Command, frozen=True):
    pass


class AddContact(Command, frozen=True):
    """Of several users, those that can't be added are left out."""

    user: Address | tuple[Address, ...]


class DeleteContact(Command, frozen=True):
    """Of several users, those that are no contacts are left out."""

    user: Address | tuple[Address, ...]


class SendMessage(Command, frozen=True):
    """`key`: the idempotency key. `reply`: the seq of the message that is answered. `wait`: reply once other
    realms have accepted or refused it, 5 s at most. All also in the other commands that send."""

    to: tuple[Address, ...]
    text: str
    key: str | None = None
    wait: bool = False
    reply: int | None = None


class ReadInbox(Command, frozen=True):
    """The oldest unread messages, which become read. `peek`: do not mark them as read.

    Which ones: `here`: only those from this realm. `direct`: only direct ones. `own`: also those to oneself.
    `sender`: only what that user wrote, to the reader or in a group. `newest`: the newest ones instead, read
    or unread; of a `place` those of both sides, else the direct ones that the reader received.

    `contents`: the dialect shows files by their bytes. What does not fit into one reply stays unread and
    comes later; what never fits is named only. The ids of messages with bytes are `inline` in the reply's
    data; if there are any, the result is a ReplyWithFiles.
    """

    place: Place | None = None
    peek: bool = False
    here: bool = False
    direct: bool = False
    own: bool = False
    contents: bool = False
    newest: bool = False
    sender: Address | None = None


class CountUnread(Command, frozen=True):
    pass


class MarkRead(Command, frozen=True):
    conversation: int
    seq: int


class ListConversations(Command, frozen=True):
    pass


class ShowHistory(Command, frozen=True):
    """`n`: the number of messages. At most one of the others is set: the messages before, after or around a
    seq, or since a time (ms since 1970 UTC)."""

    place: Place | int
    n: int = 20
    before: int | None = None
    after: int | None = None
    around: int | None = None
    since: int | None = None


class SyncLog(Command, frozen=True):
    """Without a conversation, the ends of all logs. `after`, `version` and `term` are what the client has
    (chatd.store.sync.Cursor); `n` is the number of entries."""

    conversation: int | None = None
    after: int = 0
    n: int = 500
    version: int | None = None
    term: int | None = None


class ShowReaders(Command, frozen=True):
    place: Place | int
    seq: int


class TellTyping(Command, frozen=True):
    place: Place | int


class ChangePrivacy(Command, frozen=True):
    """Without a setting, they are shown. `key` and `value` are another form of `receipts`."""

    key: Literal["receipts"] | None = None
    value: bool | None = None
    receipts: bool | None = None


class SearchMessages(Command, frozen=True):
    """`before`: only messages with smaller ids than this."""

    text: str
    before: int | None = None


class EditMessage(Command, frozen=True):
    """`seq` is the number of the message in its conversation, here and in the commands below."""

    place: Place | int
    seq: int
    text: str


class DeleteMessage(Command, frozen=True):
    place: Place | int
    seq: int


class ReactToMessage(Command, frozen=True):
    place: Place | int
    seq: int
    emoji: str
    on: bool = True


class PinMessage(Command, frozen=True):
    place: Place | int
    seq: int
    on: bool = True


class ListPins(Command, frozen=True):
    place: Place | int


class AddGroup(Command, frozen=True):
    """Without `group`, the name is made of the title. A title that is the name is not kept."""

    group: str | None
    title: str | None = None


class JoinGroup(Command, frozen=True):
    group: Address


class ListInvitations(Command, frozen=True):
    pass


class AcceptInvitation(Command, frozen=True):
    group: Address


class DeclineInvitation(Command, frozen=True):
    group: Address


class LeaveGroup(Command, frozen=True):
    group: Address


class ListGroups(Command, frozen=True):
    """`members`: with the names of members."""

    members: bool = False


class ListOwnGroups(Command, frozen=True):
    pass


class ListMembers(Command, frozen=True):
    group: Address


class InviteMembers(Command, frozen=True):
    group: Address
    users: tuple[Address, ...]


class KickMember(Command, frozen=True):
    group: Address
    user: Address


class ListBans(Command, frozen=True):
    group: Address


class LiftBan(Command, frozen=True):
    group: Address
    user: Address


class PromoteMember(Command, frozen=True):
    group: Address
    user: Address


class CloseGroup(Command, frozen=True):
    group: Address


class OpenGroup(Command, frozen=True):
    group: Address


class SendGroupMessage(Command, frozen=True):
    """`either`: `group` may also be the name of a person."""

    group: Address | tuple[Address, ...]
    text: str
    key: str | None = None
    either: bool = False
    wait: bool = False
    reply: int | None = None


class ReplyToMessage(Command, frozen=True):
    place: Place | int
    seq: int
    text: str
    key: str | None = None
    wait: bool = False


class ComposeMessage(Command, frozen=True):
    """Send a text of several lines."""

    place: Place | int
    text: str
    key: str | None = None
    wait: bool = False


class ForwardMessage(Command, frozen=True):
    place: Place | int
    seq: int
    to: Place
    key: str | None = None
    wait: bool = False


class ReadGroupInbox(Command, frozen=True):
    group: Address


class SendFile(Command, frozen=True):
    """`size` is None if it is not known before the last byte has arrived; also in SendGroupFile. `echo`: the
    bytes of the file come back with the reply."""

    to: tuple[Address, ...]
    filename: str
    size: int | None
    key: str | None = None
    echo: bool = False
    wait: bool = False


class SendGroupFile(Command, frozen=True):
    """`either`: `group` may also be the name of a person."""

    group: Address | tuple[Address, ...]
    filename: str
    size: int | None
    key: str | None = None
    either: bool = False
    wait: bool = False


class ListFiles(Command, frozen=True):
    pass


class GetFile(Command, frozen=True):
    """Download a file by its code, by CODE-NAME, by the name under which it is stored, or the newest file
    with a name; with `by_code`, by its code only. Alternatively `stamped` gives a name and the second in
    which it was sent (in ms). `place`: the conversation that must contain it."""

    code: str
    by_code: bool = False
    stamped: tuple[str, int] | None = None
    place: Place | None = None


class JoinRoom(Command, frozen=True):
    """`changes`: be told who enters and leaves."""

    room: str
    changes: bool = False


class SendRoomMessage(Command, frozen=True):
    text: str


class SendRoomFile(Command, frozen=True):
    """`announce`: tell the others in the room. A client that tells them by itself does not want it."""

    filename: str
    size: int
    announce: bool = True


class ListRoomFiles(Command, frozen=True):
    pass


class GetRoomFile(Command, frozen=True):
    """Download a file of the room by its code, by CODE-NAME, or the newest with a name."""

    code: str


class LeaveRoom(Command, frozen=True):
    pass


class ListRooms(Command, frozen=True):
    pass


class SetVerbose(Command, frozen=True):
    """Show the numbers of messages, or do not."""

    on: bool


class SetListening(Command, frozen=True):
    """`on` may be `all`, which means on and `all`: every kind of event instead of messages only."""

    on: bool | Literal["all"]
    all: bool = False

    @property
    def everything(self) -> bool:
        return self.on == "all" or (self.on and self.all)


class ShowHelp(Command, frozen=True):
    verb: str | None = None


class CheckAlive(Command, frozen=True):
    pass


class Quit(Command, frozen=True):
    pass


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


class DismissMessage(Command, frozen=True):
    """Remove a refused message to a group of another realm."""

    message_id: int
