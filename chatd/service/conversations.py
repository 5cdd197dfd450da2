"""The list of an account's conversations, with unread counts and who is online."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import msgspec
from sqlalchemy import Connection

from chatd.base.avatars import avatar_path
from chatd.base.errors import UnknownRealm
from chatd.base.model import Account
from chatd.base.names import ARCHIVE_SIGN, key_of, parse_address
from chatd.base.read_marks import ReadMark
from chatd.base.replies import ConversationInfo
from chatd.service.blocks import Blocks
from chatd.service.context import Context
from chatd.service.online_accounts import AWAY, OFFLINE
from chatd.service.reading import MAX_PAGE, Reading
from chatd.service.remote import IForwarder, IRealms, ISettled
from chatd.service.remote_presence import RemotePresence
from chatd.service.remote_profiles import RemoteProfiles
from chatd.store import avatars, rescues
from chatd.store import overview as store
from chatd.store.avatars import KnownProfile


class Conversations:
    """The conversations of each account."""

    def __init__(
        self,
        context: Context,
        blocks: Blocks,
        reading: Reading,
        profiles: RemoteProfiles,
        there: RemotePresence,
        forwarder: IForwarder,
        realms: IRealms,
    ) -> None:
        self._context = context
        self._database = context.database
        self._forwarder = forwarder
        self._realms = realms
        self._blocks = blocks
        self._reading = reading
        self._profiles = profiles
        self._there = there

    async def all(
        self, account: Account, given: Mapping[int, ReadMark]
    ) -> tuple[tuple[ConversationInfo, ...], int]:
        """The first conversations, those with the newest messages first, and how many more there are. Moves
        no read mark.

        `given` is as for Reading.inbox. The online state of people of other realms is shown as far as it is
        known: the list does not wait for other realms.
        """
        marks = self._reading.marks(account, given)
        with self._forwarder.watch() as settled:
            found, more = await self._database.read(_overview, account, marks)
        # A question about a person who waits for an answer would tell that somebody here has seen them.
        accepted = [
            each.user
            for each, _ in found
            if each.request is None and not (each.user or "").startswith(ARCHIVE_SIGN)
        ]
        elsewhere = [each for each in accepted if each and "@" in each]
        self._profiles.soon(elsewhere)
        self._there.soon(map(parse_address, elsewhere))
        return tuple(self._shown(account, each, peer, settled) for each, peer in found), more

    def _shown(
        self, account: Account, info: ConversationInfo, peer: int | None, settled: ISettled
    ) -> ConversationInfo:
        """The conversation, with the state of its last message and whether the account `peer` is online."""
        chosen = info.preferences.at(self._context.now())
        info = msgspec.structs.replace(info, preferences=chosen)
        last = info.last
        if last is not None:
            last = settled.fresh(last) if last.waits is not None else last
            info = msgspec.structs.replace(info, last=self._blocks.marked(account, [last])[0])
        if info.rescue is not None:
            info = msgspec.structs.replace(info, rescue=self._as_written(info.rescue))
        if info.user is None:
            return info
        state = self._state(account, info.user, peer)
        if state is None:
            return info
        return msgspec.structs.replace(info, online=state != OFFLINE, away=state == AWAY)

    def _as_written(self, address: str) -> str:
        """An address with the key of a realm, with the name that the realm has."""
        name, _, realm = address.partition("@")
        with suppress(UnknownRealm):
            return f"{name}@{self._realms.name_of(realm)}"
        return address

    def _state(self, account: Account, user: str, peer: int | None) -> str | None:
        """The state of the other side of a direct conversation; None if it is not known."""
        if peer is not None:
            return self._blocks.state_for(account, peer, key_of(user))
        if user.startswith(ARCHIVE_SIGN):
            return None
        address = parse_address(user)
        if address.realm is None or self._blocks.has(account.id, address.key):
            return None
        return self._there.known(account, address)


def _overview(
    connection: Connection, account: Account, marks: Mapping[int, ReadMark]
) -> tuple[list[tuple[ConversationInfo, int | None]], int]:
    """As `store.overview`, with the pictures, and with pending rescues. Runs in a reader's thread."""
    found, more = store.overview(connection, account, marks, MAX_PAGE)
    places = [f"#{each.group.group}" if each.group else f"@{each.user}" for each, _ in found]
    known = avatars.all_known(connection, places)
    pending = rescues.pending_addresses(connection, [each.conversation for each, _ in found])
    shown: list[tuple[ConversationInfo, int | None]] = []
    for place, (info, peer) in zip(places, found, strict=True):
        if place in known:
            info = _with_profile(info, place, known[place])
        rescue = pending.get(info.conversation)
        shown.append((msgspec.structs.replace(info, rescue=rescue) if rescue else info, peer))
    return shown, more


def _with_profile(info: ConversationInfo, place: str, known: KnownProfile) -> ConversationInfo:
    """A conversation with the picture of its other side, and with the name of one of another realm."""
    picture = None if known.hash is None else avatar_path(place, known.hash)
    return msgspec.structs.replace(info, picture=picture, name=known.name or info.name)
