"""The protocol between two realms: the commands of AMP, and how their values are encoded.

It is AMP (twisted.protocols.amp) over TLS 1.3.

**Identity.** Both ends show a certificate, and each end authenticates the other by its certificate alone
(chatd.federation.amp.trust). An end that is not accepted gets a `Goodbye` with the reason, and nothing that
it sends is processed. One connection, a *link*, serves both directions, whichever side has dialled.

**Greeting.** The side that has dialled says `Hello`; before that nothing else is answered. `Hello` carries
the version, the capabilities, an `instance` that changes with each start, the public `keys` with which the
realm signs entries, and its `standing` with the other realm. A realm of another version gets a `Goodbye`. If
the two have a link already, the answer settles which one stays. A link of an earlier start, or one that is
older than ten seconds, gives way to the new one. Of two links that were dialled at the same time, the one
dialled by the realm with the lower name stays, and the other is refused (`already-linked`).

**Parcels** (chatd.federation.parcels) are sent in batches: `Deliver` holds a MessagePack array of `[number,
parcel]` in at most 60,000 bytes, because an AMP value holds at most 65,535. Numbers increase and are never
reused. The answer comes when the whole batch is on disk. It is empty if every parcel was kept, or else an
array with a verdict `[code, details, seq]` for each parcel. Several batches may be under way, and they are
processed in order. What is not answered when a link ends is sent again over the next link, and recognized by
its number. If a batch can't be stored at all (`storage-failed`), all later batches on that link are refused
too, so that nothing overtakes it: the sender closes the link and starts again.

**After a restore** (chatd.federation.restores), each side tells in Hello what it has of the other's parcels,
and `Return` brings what it lacks, before anything new is sent. `Guests` compares afterwards who is in groups.

**Files** follow their messages. The realm that has got a message with a file asks for its bytes with `File`,
up to 32 KiB at a time, and checks the SHA-256. A realm that does not have them yet itself answers
`file-arriving`, and says `FileReady` once it has.

**Questions** on behalf of users: `Find`, `Join`, `Members`, `Change`, `Presence`, `Profile`, `GroupPicture`.

**The past** of a group, from before its first member of a realm joined, is asked for with `Past`.

**Rosters** of groups, by which these can be rescued, are announced with `RosterChanged` and asked for with
`Roster`.

**A move** of a group to another realm is completed by that realm: it asks for `Handover` until it has all.

`Ping` is sent after 30 seconds of silence. A link whose other end answers nothing for 30 seconds is dropped.
After ten minutes with nothing but pings, the side that has dialled asks with `Rest` whether the link may be
closed (chatd.federation.amp.resting).

Every error is a `Refused`: a code of chatd.base.errors and the details of its sentence, as JSON. An
unexpected error is `internal`, with the reference by which it is found in the log; the link stays up.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
from twisted.protocols import amp

from chatd.federation.parcels import MAX_PARCEL

VERSION = 2
MAX_BATCH = 128  # parcels; with small batches both realms work at the same time
MAX_TAKEN = 1000  # parcels that are accepted: the verdicts of more might not fit into the answer
MAX_BATCH_BYTES = MAX_PARCEL
MAX_NUMBER = (1 << 63) - 1
MAX_STATES = 100  # in one value
MAX_NAMES = 100  # in one question; that many always fit into a value

# Why a realm of another version is not let in, as that realm reads it: `ours` is the version of this one.
OTHER_VERSION = (
    "it speaks version {ours} of the protocol between realms, and this realm version {theirs}; the "
    "operator of the older one has to update it"
)

ALREADY_LINKED = "already-linked"
INTERNAL = "internal"
BAD_BATCH = "bad-batch"


class Refused(Exception):
    """An error answer. `details` are those of the error's sentence."""

    def __init__(self, code: str, **details: Any) -> None:
        super().__init__(msgspec.json.encode((code, details)).decode())
        self.code = code
        self.details = details


def parse_refused(description: str) -> Refused:
    """The Refused that an error box describes, or `internal` if the description is malformed. Details that no
    error has are left out."""
    try:
        code, details = msgspec.json.decode(description.encode(), type=tuple[str, dict[str, Any]])
        return Refused(code, **{key: value for key, value in details.items() if _is_detail(value)})
    except (msgspec.DecodeError, TypeError, UnicodeError, RecursionError):
        return Refused(INTERNAL)


def _is_detail(value: object) -> bool:
    """Whether a value may be a detail of an error, and fits into MessagePack."""
    return isinstance(value, str) or (isinstance(value, int) and abs(value) <= MAX_NUMBER)


class AnsweredNumber(amp.Argument):
    """An integer in an answer, as amp.Integer. One that has more than 64 bits makes the answer malformed."""

    def toString(self, inObject: int) -> bytes:  # noqa: N802, N803 - Twisted's names
        return b"%d" % inObject

    def fromString(self, inString: bytes) -> int:  # noqa: N802, N803
        number = int(inString)
        if abs(number) > MAX_NUMBER:
            raise ValueError("the number is too large")
        return number


class Introduction(msgspec.Struct, frozen=True):
    """What a realm says of itself in Hello."""

    realm: str
    version: int
    capabilities: list[str]
    instance: bytes
    keys: bytes | None = None  # a realm of version 1 has none
    standing: bytes | None = None


class PeerCommand(amp.Command):
    """All commands declare Refused, and nothing else, because an undeclared exception ends the link."""

    errors: ClassVar[dict[type[Exception], bytes]] = {Refused: b"REFUSED"}


class HelloCommand(PeerCommand):
    commandName = b"Hello"  # noqa: N815
    arguments: ClassVar[list[Any]] = [
        (b"realm", amp.Unicode()),
        (b"version", amp.Integer()),
        (b"capabilities", amp.ListOf(amp.Unicode())),
        (b"instance", amp.String()),
        (b"keys", amp.String(optional=True)),
        (b"standing", amp.String(optional=True)),
    ]
    response: ClassVar[list[Any]] = arguments


class GoodbyeCommand(PeerCommand):
    commandName = b"Goodbye"  # noqa: N815
    """From a realm that does not let the other in, and closes the connection."""

    arguments: ClassVar[list[Any]] = [(b"code", amp.Unicode()), (b"reason", amp.Unicode())]
    requiresAnswer = False  # noqa: N815 - Twisted's name


class PingCommand(PeerCommand):
    commandName = b"Ping"  # noqa: N815


class RestCommand(PeerCommand):
    commandName = b"Rest"  # noqa: N815
    """Whether the other realm agrees that this idle link is closed."""

    response: ClassVar[list[Any]] = [(b"agreed", amp.Boolean())]


class DeliverCommand(PeerCommand):
    commandName = b"Deliver"  # noqa: N815
    arguments: ClassVar[list[Any]] = [(b"parcels", amp.String())]
    response: ClassVar[list[Any]] = [(b"verdicts", amp.String())]


class FileCommand(PeerCommand):
    commandName = b"File"  # noqa: N815
    """A piece of the file of an entry, which is named by the key of its author's realm and its number there.
    With the size of the file as `offset` the sender says that it has the file."""

    arguments: ClassVar[list[Any]] = [
        (b"realm", amp.Unicode()),
        (b"number", amp.Integer()),
        (b"offset", amp.Integer()),
        (b"size", amp.Integer()),
    ]
    response: ClassVar[list[Any]] = [(b"data", amp.String())]


class FileReadyCommand(PeerCommand):
    commandName = b"FileReady"  # noqa: N815
    """The realm has the file of an entry that it was asked for too early, or will never have it."""

    arguments: ClassVar[list[Any]] = [(b"realm", amp.Unicode()), (b"number", amp.Integer())]
    requiresAnswer = False  # noqa: N815 - Twisted's name


class ReturnCommand(PeerCommand):
    commandName = b"Return"  # noqa: N815
    """Parcels that are sent again after a restore. Only the last one has `upto`."""

    arguments: ClassVar[list[Any]] = [
        (b"parcels", amp.String()),
        (b"upto", amp.Integer(optional=True)),
    ]


class TailsCommand(PeerCommand):
    commandName = b"Tails"  # noqa: N815
    """Where the logs of groups of the other realm ended when it was last settled."""

    arguments: ClassVar[list[Any]] = [(b"groups", amp.String())]
    response: ClassVar[list[Any]] = [(b"tails", amp.String())]


class GuestsCommand(PeerCommand):
    commandName = b"Guests"  # noqa: N815
    """Who of the asking realm is in groups of the other one. The answer says what that one has otherwise."""

    arguments: ClassVar[list[Any]] = [(b"listed", amp.String())]
    response: ClassVar[list[Any]] = [(b"found", amp.String())]


class TypingCommand(PeerCommand):
    commandName = b"Typing"  # noqa: N815
    """`sender` is writing to `to`. A group is `#`, its id, `@` and the key of its home."""

    arguments: ClassVar[list[Any]] = [(b"sender", amp.Unicode()), (b"to", amp.Unicode())]
    requiresAnswer = False  # noqa: N815 - Twisted's name


class FindCommand(PeerCommand):
    commandName = b"Find"  # noqa: N815
    """The group with that name or code, which `user` wants to join."""

    arguments: ClassVar[list[Any]] = [(b"user", amp.Unicode()), (b"group", amp.Unicode())]
    response: ClassVar[list[Any]] = [(b"group", amp.Unicode()), (b"group_id", AnsweredNumber())]


class JoinCommand(PeerCommand):
    commandName = b"Join"  # noqa: N815
    """`entry` is signed by the realm of `user`, and says that they join. After a restore, `before` proves
    that they were a member (chatd.federation.admissions)."""

    arguments: ClassVar[list[Any]] = [
        (b"user", amp.Unicode()),
        (b"group", amp.Unicode()),
        (b"entry", amp.String()),
        (b"before", amp.String(optional=True)),
    ]
    response: ClassVar[list[Any]] = [(b"group", amp.Unicode()), (b"group_id", AnsweredNumber())]


class MembersCommand(PeerCommand):
    commandName = b"Members"  # noqa: N815
    """The members from number `start` on, as many as fit. `more` is how many are left."""

    arguments: ClassVar[list[Any]] = [
        (b"user", amp.Unicode()),
        (b"group", amp.Unicode()),
        (b"start", amp.Integer()),
    ]
    response: ClassVar[list[Any]] = [(b"members", amp.String()), (b"more", AnsweredNumber())]


class ChangeCommand(PeerCommand):
    commandName = b"Change"  # noqa: N815
    """What an admin changes in a group, or what `user` asks about it. `change` is a GroupVerb
    (chatd.service.remote). `entries` are signed by the realm of `user`: one for each fact that the change
    makes."""

    arguments: ClassVar[list[Any]] = [
        (b"user", amp.Unicode()),
        (b"group", amp.Unicode()),
        (b"change", amp.Unicode()),
        (b"users", amp.ListOf(amp.Unicode())),
        (b"entries", amp.String(optional=True)),
    ]
    response: ClassVar[list[Any]] = [(b"result", amp.String())]


class PresenceCommand(PeerCommand):
    commandName = b"Presence"  # noqa: N815
    arguments: ClassVar[list[Any]] = [(b"users", amp.ListOf(amp.Unicode()))]
    response: ClassVar[list[Any]] = [
        (b"states", amp.String()),
        (b"unseen", amp.String(optional=True)),
    ]


class PresenceChangedCommand(PeerCommand):
    commandName = b"PresenceChanged"  # noqa: N815
    """States that have changed."""

    arguments: ClassVar[list[Any]] = [(b"states", amp.String())]
    requiresAnswer = False  # noqa: N815 - Twisted's name


class ProfileCommand(PeerCommand):
    commandName = b"Profile"  # noqa: N815
    """The display name and the picture of `user`. If `known` is the hash of the picture, it is left out."""

    arguments: ClassVar[list[Any]] = [(b"user", amp.Unicode()), (b"known", amp.Unicode())]
    response: ClassVar[list[Any]] = [
        (b"name", amp.Unicode()),
        (b"picture", amp.Unicode()),
        (b"body", amp.String()),
    ]


class GroupPictureCommand(PeerCommand):
    commandName = b"GroupPicture"  # noqa: N815
    """The picture of a group, for `user`."""

    arguments: ClassVar[list[Any]] = [(b"user", amp.Unicode()), (b"group", amp.Unicode())]
    response: ClassVar[list[Any]] = [(b"picture", amp.Unicode()), (b"body", amp.String())]


class ProfileChangedCommand(PeerCommand):
    commandName = b"ProfileChanged"  # noqa: N815
    """The profile of `user`, of the realm that says so, has changed."""

    arguments: ClassVar[list[Any]] = [(b"user", amp.Unicode())]
    requiresAnswer = False  # noqa: N815 - Twisted's name


class RosterChangedCommand(PeerCommand):
    commandName = b"RosterChanged"  # noqa: N815
    """The numbers of the newest rosters of groups of the realm that says so, by the ids of the groups."""

    arguments: ClassVar[list[Any]] = [(b"listed", amp.String())]
    requiresAnswer = False  # noqa: N815 - Twisted's name


class RosterCommand(PeerCommand):
    commandName = b"Roster"  # noqa: N815
    """The newest roster of a group: its statement and proof, and its rows from the byte `offset` on, as many
    as fit."""

    arguments: ClassVar[list[Any]] = [(b"group_id", amp.Integer()), (b"offset", amp.Integer())]
    response: ClassVar[list[Any]] = [
        (b"statement", amp.String()),
        (b"proof", amp.String()),
        (b"rows", amp.String()),
    ]


class RescueCommand(PeerCommand):
    commandName = b"Rescue"  # noqa: N815
    """A group was founded again, because its home is lost (chatd.federation.rescues)."""

    arguments: ClassVar[list[Any]] = [(b"rescue", amp.String())]
    response: ClassVar[list[Any]] = [(b"answer", amp.String())]


class FollowCommand(PeerCommand):
    commandName = b"Follow"  # noqa: N815
    """The asking realm follows a rescue of the other one, and has these members of the group."""

    arguments: ClassVar[list[Any]] = [(b"asked", amp.String())]
    response: ClassVar[list[Any]] = [(b"answer", amp.String())]


class LineageCommand(PeerCommand):
    commandName = b"Lineage"  # noqa: N815
    """The rescues of the group that has that id in the realm `home`."""

    arguments: ClassVar[list[Any]] = [(b"home", amp.Unicode()), (b"group_id", amp.Integer())]
    response: ClassVar[list[Any]] = [(b"branches", amp.String())]


class HandoverCommand(PeerCommand):
    commandName = b"Handover"  # noqa: N815
    """A part of what a group's home hands over to the asking realm, to which the group moves, from the byte
    `start` on. The asking realm has the log up to about the seq `have`: the home closes it if that is not far
    from the end. `size` is that of the whole; 0: the group is not closed."""

    arguments: ClassVar[list[Any]] = [
        (b"group_id", amp.Integer()),
        (b"have", amp.Integer()),
        (b"start", amp.Integer()),
    ]
    response: ClassVar[list[Any]] = [(b"data", amp.String()), (b"size", AnsweredNumber())]


class PastCommand(PeerCommand):
    commandName = b"Past"  # noqa: N815
    """The newest entries of a group with seqs below `before` and above `after`: all from `start` on.
    `earlier` is how many messages there are before them. Members of the asking realm see the entries from
    `first` on."""

    arguments: ClassVar[list[Any]] = [
        (b"group_id", amp.Integer()),
        (b"before", amp.Integer()),
        (b"after", amp.Integer()),
    ]
    response: ClassVar[list[Any]] = [
        (b"entries", amp.String()),
        (b"start", AnsweredNumber()),
        (b"earlier", AnsweredNumber()),
        (b"first", AnsweredNumber()),
    ]
