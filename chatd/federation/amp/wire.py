"""What two realms say to each other: AMP (docs of twisted.protocols.amp) inside TLS 1.3.

**Identity.** Both ends show a certificate, and each decides by it alone who the other is
(chatd.federation.amp.trust). An end that is not accepted gets a `Goodbye` with the reason, and nothing that
it sends is processed. One connection, a *link*, serves both directions, whichever side dialled.

**First** the side that dialled says `Hello`, and nothing else is answered before: the version, what it can
do, an `instance` that is another after each start, and the number of the newest parcel that it ever had from
the other side. If there is a link between the two already, the answer settles on one of them: a link of an
earlier start, or one that is older than ten seconds, gives way to the new one; of two that were dialled at
the same time, that of the realm whose name is lower stays, and the other is refused (`already-linked`).

**Parcels** (chatd.federation.parcels) go in batches: `Deliver` holds a MessagePack array of `[number,
parcel]`, in at most 60,000 bytes, for an AMP value holds 65,535. Numbers grow and are never given twice.
The answer comes once all of the batch is on disk, with a verdict for each parcel: empty if all were kept,
else an array of `[code, details, seq]`. Several batches may be under way; they are taken in the order in
which they were sent. What has not been answered when a link ends is sent again on the next, and told apart
by its number. If a batch can't be kept at all (`storage-failed`), all further ones on that link are refused
likewise, so that nothing overtakes it: the sender hangs up and begins again.

**Files** go before the message that carries them. `Offer` shows the parcel; the answer is the offset from
which to go on, or why the message would be refused. `Chunk` brings up to 32 KiB, and is answered once there
is room for more. Then the parcel is delivered, and the receiver checks the SHA-256. A verdict
`file-incomplete` means: offer it again.

**Questions**, on behalf of one's own people: `Join`, `Members`, `Change`, `Presence`.

`Ping` is sent after 30 seconds of silence. A realm that answers nothing for 30 seconds is hung up on.

An error is a `Refused`, whatever went wrong: a code of chatd.base.errors and the details of its sentence, as
JSON. What nobody foresaw is `internal`, with the reference under which it stands in the log; the link stays.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec
from twisted.protocols import amp

from chatd.federation.parcels import MAX_PARCEL, Parcel, Verdict

VERSION = 1
CAPABILITIES = ("files", "groups")
MAX_BATCH = 128  # parcels: with small ones, both realms are at work at the same time
MAX_TAKEN = 1000  # that are taken: of more, the verdicts might not fit into the answer
MAX_NUMBER = 2**53  # of a parcel
MAX_BATCH_BYTES = MAX_PARCEL
CHUNK = 32 << 10  # bytes of a file
MAX_NAMES = 100  # in one question: what fits into a value, however long they are

ALREADY_LINKED = "already-linked"
INTERNAL = "internal"


class Refused(Exception):
    """What is answered instead of a result. `details` are those of the error's sentence."""

    def __init__(self, code: str, **details: Any) -> None:
        super().__init__(msgspec.json.encode((code, details)).decode())
        self.code = code
        self.details = details


def parse_refused(description: str) -> Refused:
    """The Refused that an error box describes; one that can't be read is `internal`."""
    try:
        code, details = msgspec.json.decode(description.encode(), type=tuple[str, dict[str, Any]])
        return Refused(code, **{str(key): value for key, value in details.items()})
    except (msgspec.DecodeError, TypeError, UnicodeError, RecursionError):
        return Refused(INTERNAL)


class Introduction(msgspec.Struct, frozen=True):
    """What a realm says of itself first."""

    realm: str
    version: int
    capabilities: list[str]
    instance: bytes
    last: int


class PeerCommand(amp.Command):
    """An exception that a command does not declare would end the link: this one stands for all."""

    errors: ClassVar[dict[type[Exception], bytes]] = {Refused: b"REFUSED"}


class HelloCommand(PeerCommand):
    commandName = b"Hello"  # noqa: N815
    arguments: ClassVar[list[Any]] = [
        (b"realm", amp.Unicode()),
        (b"version", amp.Integer()),
        (b"capabilities", amp.ListOf(amp.Unicode())),
        (b"instance", amp.String()),
        (b"last", amp.Integer()),
    ]
    response: ClassVar[list[Any]] = arguments


class GoodbyeCommand(PeerCommand):
    commandName = b"Goodbye"  # noqa: N815
    """Why the connection ends, from a realm that does not let the other in."""

    arguments: ClassVar[list[Any]] = [(b"code", amp.Unicode()), (b"reason", amp.Unicode())]
    requiresAnswer = False  # noqa: N815 - Twisted's name


class PingCommand(PeerCommand):
    commandName = b"Ping"  # noqa: N815


class DeliverCommand(PeerCommand):
    commandName = b"Deliver"  # noqa: N815
    arguments: ClassVar[list[Any]] = [(b"parcels", amp.String())]
    response: ClassVar[list[Any]] = [(b"verdicts", amp.String())]


class OfferCommand(PeerCommand):
    commandName = b"Offer"  # noqa: N815
    arguments: ClassVar[list[Any]] = [(b"number", amp.Integer()), (b"parcel", amp.String())]
    response: ClassVar[list[Any]] = [(b"offset", amp.Integer())]


class ChunkCommand(PeerCommand):
    commandName = b"Chunk"  # noqa: N815
    arguments: ClassVar[list[Any]] = [
        (b"number", amp.Integer()),
        (b"offset", amp.Integer()),
        (b"data", amp.String()),
    ]


class JoinCommand(PeerCommand):
    commandName = b"Join"  # noqa: N815
    arguments: ClassVar[list[Any]] = [(b"user", amp.Unicode()), (b"group", amp.Unicode())]
    response: ClassVar[list[Any]] = [(b"group", amp.Unicode()), (b"group_id", amp.Integer())]


class MembersCommand(PeerCommand):
    commandName = b"Members"  # noqa: N815
    """The members from the one numbered `start` on, as many as fit; `more` is how many are left."""

    arguments: ClassVar[list[Any]] = [
        (b"user", amp.Unicode()),
        (b"group", amp.Unicode()),
        (b"start", amp.Integer()),
    ]
    response: ClassVar[list[Any]] = [(b"members", amp.String()), (b"more", amp.Integer())]


class ChangeCommand(PeerCommand):
    commandName = b"Change"  # noqa: N815
    """A change that an admin makes to a group: `invite`, `kick`, `unban` or `promote` users, `close` or
    `open` it, or list its `bans`, after the address in `users` if there is one."""

    arguments: ClassVar[list[Any]] = [
        (b"user", amp.Unicode()),
        (b"group", amp.Unicode()),
        (b"change", amp.Unicode()),
        (b"users", amp.ListOf(amp.Unicode())),
    ]
    response: ClassVar[list[Any]] = [(b"result", amp.String())]


class PresenceCommand(PeerCommand):
    commandName = b"Presence"  # noqa: N815
    arguments: ClassVar[list[Any]] = [(b"users", amp.ListOf(amp.Unicode()))]
    response: ClassVar[list[Any]] = [(b"online", amp.String())]


Number = Annotated[int, msgspec.Meta(ge=1, le=MAX_NUMBER)]
_batch = msgspec.msgpack.Decoder(
    Annotated[list[tuple[Number, Parcel]], msgspec.Meta(max_length=MAX_TAKEN)]
)
_loose = msgspec.msgpack.Decoder(
    Annotated[list[tuple[Number, msgspec.Raw]], msgspec.Meta(max_length=MAX_TAKEN)]
)
_verdicts = msgspec.msgpack.Decoder(list[Verdict])
_parcel = msgspec.msgpack.Decoder(Parcel)
encode = msgspec.msgpack.Encoder().encode


def encode_batch(items: list[tuple[int, bytes]]) -> bytes:
    return encode([(number, msgspec.Raw(parcel)) for number, parcel in items])


def decode_batch(data: bytes) -> list[tuple[int, Parcel | None]]:
    """None stands for what is no parcel of this version. Raises Refused if it is no batch at all."""
    try:
        return list(_batch.decode(data))
    except msgspec.ValidationError:
        pass  # one of them is bad, or from a later version: find out which
    except (msgspec.DecodeError, RecursionError):
        raise Refused("bad-batch") from None
    try:
        loose = _loose.decode(data)
    except (msgspec.DecodeError, RecursionError):
        raise Refused("bad-batch") from None
    return [(number, decode_parcel(raw)) for number, raw in loose]


def decode_parcel(raw: msgspec.Raw | bytes) -> Parcel | None:
    """None for what is no parcel of this version."""
    try:
        parcel: Parcel = _parcel.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    return parcel


def encode_verdicts(verdicts: list[Verdict]) -> bytes:
    """Nothing at all if everything was kept and there is nothing else to say."""
    return encode(verdicts) if any(each.code or each.seq for each in verdicts) else b""


def decode_verdicts(data: bytes, count: int) -> list[Verdict] | None:
    """A verdict for each of `count` parcels; None if the answer fits no such question."""
    if not data:
        return [Verdict()] * count
    try:
        verdicts = _verdicts.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return None
    return verdicts if len(verdicts) == count else None
