"""People of lost realms tell others that they have another address now. Nothing follows unless these confirm
it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sqlalchemy import Connection

from chatd.base.errors import BadArgument, TooManyClaims
from chatd.base.events import AddressChange
from chatd.base.model import Account, Party, party_of
from chatd.base.names import SYSTEM, Address, key_of
from chatd.base.replies import MoveInfo
from chatd.base.throttle import Quota
from chatd.service.accounts import Accounts
from chatd.service.context import Context
from chatd.service.directs import Directs
from chatd.service.fan_out import FanOut
from chatd.service.node_limits import share_quota
from chatd.service.presence import Presence
from chatd.service.realm_news import MoveClaimed
from chatd.service.remote import IForwarder, Notice, ResentParcel, StagedNotice
from chatd.service.targets import Target
from chatd.store import move_claims as store
from chatd.store.conversations import open_system
from chatd.store.following import FollowedDirect, follow_one
from chatd.store.move_claims import AskedPerson
from chatd.store.new_entries import NewMessage, Stored

PER_HOUR = 3  # claims of one account


class MoveClaims:
    def __init__(
        self,
        context: Context,
        accounts: Accounts,
        directs: Directs,
        fan_out: FanOut,
        presence: Presence,
        forwarder: IForwarder,
    ) -> None:
        self._context = context
        self._database = context.database
        self._messages = context.writers.messages
        self._accounts = accounts
        self._directs = directs
        self._fan_out = fan_out
        self._presence = presence
        self._forwarder = forwarder
        self._made = Quota(PER_HOUR)
        share_quota(self._made, context.news, context.clock, "move-claims")

    async def claim(self, account: Account, old: Address) -> int:
        """Ask the contacts of the account, and those whom it talks with, to confirm that it was `old`.
        Returns how many are asked. Raises BadArgument, TooManyClaims."""
        address = self._context.localize(old)
        if address.realm is None:
            raise BadArgument(
                argument="address", found=str(address), expected="an address of another realm"
            )
        wait = self._made.take(account.key, self._context.clock.seconds())
        if wait:
            raise TooManyClaims(limit=PER_HOUR, minutes=math.ceil(wait / 60))
        lost = key_of(address.realm)
        people = await self._database.read(store.people_to_ask, account, lost)
        here = [each.address for each in people if each.realm is None]
        for other in (await self._accounts.find_many(here)).values():
            await self.arrived(other, party_of(account), address)
        staged = await self._database.run(self._stage, account, address, people)
        self._forwarder.send_notices(staged)
        return len(people)

    def _stage(
        self, connection: Connection, account: Account, old: Address, people: Sequence[AskedPerson]
    ) -> Sequence[StagedNotice]:
        now = self._context.now()
        notices = [
            Notice(each.realm, now, MoveClaimed(account.name, _name_in(each), str(old)))
            for each in people
            if each.realm is not None
        ]
        return self._forwarder.stage(connection, notices)

    async def arrived(self, account: Account, new: Party, old: Address) -> None:
        """Somebody says that they were `old`: ask the account, if it knows the old address."""
        realm = None if old.realm is None else key_of(old.realm)
        was, now = Party(old.key, str(old), realm=realm), self._context.now()
        text = (
            f"{new.name} says that they were {old}. If that is true, enter acceptmove {new.name}, and your "
            f"conversation follows; otherwise declinemove {new.name}."
        )

        def job(connection: Connection) -> tuple[NewMessage, Stored] | None:
            if realm is None or not store.note_claim(connection, account, new, was, now):
                return None
            place = open_system(connection, account.id, now)
            said = NewMessage(place, None, SYSTEM, now, text)
            return said, self._messages.store(connection, [said])[0]

        told = await self._database.run(job)
        if told is not None:
            target = Target(told[0].conversation, (account.id,), to=account.name)
            self._fan_out.tell(told[1], told[0], target, None, None)

    async def waiting(self, account: Account) -> list[MoveInfo]:
        """The claims that wait for an answer of the account."""
        found: list[MoveInfo] = await self._database.read(
            store.claims_of, account.id, self._context.now()
        )
        return found

    async def confirm(self, account: Account, new: Address) -> str:
        """Confirm a claim: the conversation and the contact follow, with the messages that wait for the lost
        realm. Returns the old address. Raises UnknownClaim, UnknownUser, UnknownRealm."""
        address, now = self._context.localize(new), self._context.now()
        party = await self._directs.party(address)

        def job(
            connection: Connection,
        ) -> tuple[Party, Sequence[ResentParcel], FollowedDirect | None]:
            old = store.take_claim(connection, account.id, address, now)
            sent = self._forwarder.mover().send_on(connection, account.id, old, party)
            return old, sent, follow_one(connection, self._messages, account, old, party, now)

        old, sent, followed = await self._database.run(job)
        self._directs.readdressed(old.key, party.key)
        if followed is not None:
            _, place, seq, at = followed
            event = AddressChange(place, seq, at, old.name, party.name)
            self._presence.tell_followers((account.id,), event, None)
        self._forwarder.resend(sent)
        return old.name

    async def decline(self, account: Account, new: Address) -> str:
        """Decline a claim. Returns the old address. Raises UnknownClaim."""
        address = self._context.localize(new)
        old: str = await self._database.run(
            store.decline_claim, account.id, address, self._context.now()
        )
        return old


def _name_in(person: AskedPerson) -> str:
    """The name of somebody in their realm."""
    return person.address.partition("@")[0]
