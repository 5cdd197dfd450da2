"""The entries of a group's log that are no messages: who joined or left, and what the group has become.

They are written in the transaction of the change that they report, told to members, and sent to the other
realms with members, which store them under the same numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
from sqlalchemy import Connection

from chatd.base.entries import GroupFact, MadeFact, MemberFact
from chatd.base.events import ConversationChange, GroupChange, MemberChange
from chatd.base.model import Group, Party
from chatd.base.names import SYSTEM
from chatd.service.context import Context
from chatd.service.presence import IListener, LogPlace, Presence
from chatd.service.remote import IForwarder, SignedFact
from chatd.store.crossing import is_made
from chatd.store.new_entries import NewChange, RemoteCopies, Stored
from chatd.store.origins import Origin
from chatd.store.sealing import UNVERIFIED, NewSignature

# The author of what a group's home does by itself: when the last admin leaves, somebody else becomes one.
HOME = Party(SYSTEM, SYSTEM)


class StoredFact(msgspec.Struct, frozen=True):
    """A fact of a group, and the place of its entry."""

    group: Group
    made: MadeFact
    place: Stored
    unverified: bool = False


class GroupLog:
    """Writes entries about groups, and passes them on."""

    def __init__(self, context: Context, presence: Presence, forwarder: IForwarder) -> None:
        self._writer = context.writers.messages
        self._presence = presence
        self._forwarder = forwarder

    def newest(self, connection: Connection, group: Group) -> int:
        """The number of the newest entry of a group's log. Runs in the writer's thread."""
        return self._writer.newest(connection, group.id)

    def write(
        self,
        connection: Connection,
        group: Group,
        made: MadeFact,
        realms: tuple[str, ...],
        signed: Sequence[SignedFact] = (),
    ) -> StoredFact:
        """Write an entry of a group of this realm, with copies for other realms. What people of other realms
        have said themselves is among `signed`, and so is what this realm has said and lost; what else others
        cause is the act of this realm. Runs in the writer's thread."""
        said = next((each for each in signed if each.says(made)), None)
        if said is None or is_made(connection, group.id, said.origin):
            if made.author.realm is not None:
                made = msgspec.structs.replace(made, author=HOME)
            return self._write_own(connection, group, made, realms)
        made = msgspec.structs.replace(made, at=said.made.at)
        new = msgspec.structs.replace(
            _new(group, made),
            origin=said.origin,
            signature=said.signature,
            copies=RemoteCopies(realms, said.relay) if realms else None,
        )
        return StoredFact(group, made, self._writer.add_change(connection, new))

    def _write_own(
        self, connection: Connection, group: Group, made: MadeFact, realms: tuple[str, ...]
    ) -> StoredFact:
        copies = self._forwarder.fact_copies(group, made, realms) if realms else None
        new = msgspec.structs.replace(_new(group, made), copies=copies)
        return StoredFact(group, made, self._writer.add_change(connection, new))

    def mirror(
        self,
        connection: Connection,
        group: Group,
        made: MadeFact,
        seq: int,
        origin: Origin,
        signature: NewSignature | None,
        past: bool = False,
    ) -> StoredFact:
        """As `write`, for an entry that a group's home has numbered. `past`: as in NewChange."""
        new = _new(group, made)
        new = msgspec.structs.replace(new, seq=seq, origin=origin, signature=signature, past=past)
        unverified = signature is not None and signature.status == UNVERIFIED
        return StoredFact(group, made, self._writer.add_change(connection, new), unverified)

    def tell(
        self,
        fact: StoredFact,
        members: Collection[int],
        origin: IListener | None,
        place: LogPlace | None = None,
    ) -> None:
        """Tell of an entry: the `members`, and the person who is removed, but not the connection `origin`,
        which has caused it. Who is invited gets an invitation, and no seq. `place` is that of the entry, with
        the epoch of the `members`."""
        self.tell_members(fact, members, origin, place)
        event, change = event_of(fact), fact.made.fact
        if not isinstance(event, MemberChange) or not isinstance(change, MemberFact):
            return
        if change.what == "invited":
            return
        if change.who.id is not None and change.who.id not in members:
            self.tell_removed(change.who.id, event, origin)

    def tell_members(
        self,
        fact: StoredFact,
        members: Collection[int],
        origin: IListener | None,
        place: LogPlace | None = None,
    ) -> None:
        """Tell `members` of an entry, where they follow everything; and a new one, that they have a new
        conversation. `place` as in `tell`; else the members are those of the time of the entry."""
        change, stored = fact.made.fact, fact.place
        if place is None and stored.epoch is not None:
            place = LogPlace(fact.group.id, stored.epoch, stored.seq)
        self._presence.tell_followers(members, event_of(fact), origin, place)
        if isinstance(change, MemberFact) and change.what == "joined":
            begun = ConversationChange(fact.group.id, group=fact.group.name)
            if (account := change.who.id) is not None and account in members:
                self._presence.tell_followers((account,), begun, origin)

    def tell_moved(self, group: Group, members: Collection[int]) -> None:
        """Tell `members` that a group has another address, because it has moved to another realm."""
        moved = ConversationChange(group.id, group=group.name, what="moved")
        self._presence.tell_followers(members, moved, None)

    def tell_removed(self, account_id: int, event: MemberChange, origin: IListener | None) -> None:
        """Tell an account that it has left a group, or was kicked. All that listen are told of a kick. This
        is not a message, because otherwise someone who invites and kicks could fill the inboxes of
        others."""
        if event.what == "kicked":
            self._presence.tell_soon((account_id,), msgspec.structs.replace(event, removed=True))
        else:
            self._presence.tell_followers((account_id,), event, origin)

    def tell_withdrawn(self, account_id: int, group: str, who: str, by: str, at: int) -> None:
        """Tell an account that its invitation to a group is withdrawn."""
        event = MemberChange(0, group, who, "kicked", 0, at, by, removed=True)
        self._presence.tell_followers((account_id,), event, None)


def _new(group: Group, made: MadeFact) -> NewChange:
    author = made.author
    kind: str
    data: dict[str, str | bool | None]
    match made.fact:
        case MemberFact(who, what):
            kind, data = "member", {"who": who.name, "what": what}
        case GroupFact(fields):
            kind, data = "group", fields
    return NewChange(
        group.id, kind, author.id, author.name, made.at, data=msgspec.json.encode(data).decode()
    )


def event_of(fact: StoredFact) -> MemberChange | GroupChange:
    """The event that tells of an entry."""
    group, made, seq = fact.group, fact.made, fact.place.seq
    match made.fact:
        case MemberFact(who, what):
            about = group.id, group.name, who.name, what, seq, made.at, made.author.name
            return MemberChange(*about, unverified=fact.unverified)
        case GroupFact(fields):
            place = group.id, seq, group.name
            return GroupChange(*place, made.at, made.author.name, fields, fact.unverified)
