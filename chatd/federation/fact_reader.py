"""Reads what other realms have signed about groups: who joined, left, was invited, kicked or promoted, and
what a group has become.

A person of another realm who changes a group of this realm sends such an entry with the request. A group's
home relays such entries to the realms with members, with its own for what it has done itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from chatd.base.entries import GROUP_FIELDS, HAPPENINGS, GroupFact, MadeFact, MemberFact
from chatd.base.errors import BadSignature
from chatd.base.group_settings import SHUT
from chatd.base.model import Account, Group, Party, party_of
from chatd.base.names import Address, key_of, parse_foreign_address, printable
from chatd.federation import parcels
from chatd.federation.entry_trust import EntryTrust, check_place
from chatd.federation.parcels import Relay
from chatd.federation.rescue_lineage import RescueLineage
from chatd.federation.rescue_parts import decode_rescue
from chatd.federation.signing.drafts import signature_of
from chatd.federation.signing.entries import OpenedEntry, SignedEntry, open_entry
from chatd.federation.signing.rescues import open_rescue
from chatd.federation.signing.statements import GroupAttributes, MemberAttributes, Statement
from chatd.service.chat_service import ChatService
from chatd.service.group_log import HOME
from chatd.service.quotas import LEAST
from chatd.service.remote import SignedFact
from chatd.store.origins import Origin
from chatd.store.rescues import counting
from chatd.store.sealing import NewSignature

FACTS = ("member", "group")  # the kinds of entries
MAX_VALUE = 2048  # characters of the value of a setting


class RelayedFact(msgspec.Struct, frozen=True):
    """A fact of a group of another realm, which has numbered it."""

    group: Group
    made: MadeFact
    seq: int
    origin: Origin
    signature: NewSignature | None

    @property
    def cost(self) -> int:
        """The bytes that it counts for the quota of the home."""
        signature = self.signature
        attributes = None if signature is None else signature.attributes
        return max(LEAST, len(attributes or b""))


class FactReader:
    def __init__(self, service: ChatService, trust: EntryTrust, lineage: RescueLineage) -> None:
        self.lineage = lineage
        self._context = service.context
        self._accounts = service.accounts
        self._rosters = service.rosters
        self._trust = trust

    async def said(
        self, realm: str, party: Party, name: Address, entries: Sequence[SignedEntry]
    ) -> list[SignedFact]:
        """What `party`, of `realm`, has signed about a group of this realm. Raises BadSignature, BadName,
        UnknownGroup."""
        read = [(entry, open_entry(entry)) for entry in entries]
        for entry, opened in read:
            stated = opened.statement
            await self._trust.check_own(realm, entry, stated)
            if key_of(stated.address) != party.key:
                raise BadSignature(reason="it is the entry of somebody else")
        group = (await self._rosters.find_home(name, party, joining=True)).group
        for _, opened in read:
            if await self.lineage.learn(realm, group, opened.statement):
                group = (await self._rosters.find_home(name, party, joining=True)).group
        people = await self._people([opened for _, opened in read])
        return [self._signed(group, entry, opened, party, people) for entry, opened in read]

    async def returned(
        self, group: Group, entry: SignedEntry, opened: OpenedEntry, author: Party | None = None
    ) -> SignedFact:
        """What somebody of this realm has signed about a group of this realm; or the `author`, of another
        one, in the lost home of a group that was rescued here. Raises BadSignature, BadName, UnknownUser."""
        if author is not None:
            await self._check_rescued(group, opened.statement)
            said = self._signed(group, entry, opened, author, await self._people([opened]))
            _check_handed_over(opened.statement, said.made, self._context.realm_key)
            return said
        name = opened.statement.author
        author = HOME if name == HOME.name else party_of(await self._accounts.find(name))
        return self._signed(group, entry, opened, author, await self._people([opened]))

    async def _check_rescued(self, group: Group, stated: Statement) -> None:
        """Raises BadSignature unless an entry was made in the lost home of a group that was rescued here,
        after the roster by which it was: that has the effects of earlier ones, and later ones may have undone
        them."""
        known = await self._context.database.read(counting, group.id)
        if known is None or known.state != "own" or stated.home != known.home:
            raise BadSignature(reason="its realm says it again")
        roster = open_rescue(decode_rescue(known.rescue)).roster
        is_homes = stated.realm == roster.home
        if not (stated.number > roster.number if is_homes else stated.at > roster.at):
            raise BadSignature(reason="it is older than the roster of the lost home")

    def _signed(
        self,
        group: Group,
        entry: SignedEntry,
        opened: OpenedEntry,
        author: Party,
        people: Mapping[str, Party],
    ) -> SignedFact:
        """A verified fact about a group of this realm. Raises BadSignature, BadName."""
        stated, own = opened.statement, self._context.realm_key
        check_place(stated, own, group.id, group)
        made = self._made(opened, author, people)
        if made is None:
            raise BadSignature(reason="this realm knows no such entries")

        def relay(seq: int) -> bytes:
            return parcels.encode(Relay(entry, group.name, group.id, seq))

        origin = None if stated.realm == own else stated.realm, stated.number
        return SignedFact(made, origin, signature_of(entry, stated.realm), relay)

    async def relayed(
        self,
        group: Group,
        parcel: Relay,
        opened: OpenedEntry,
        author: Party,
        signature: NewSignature | None,
    ) -> RelayedFact | None:
        """What the home of a group reports in a verified entry, or None if this version does not know such
        facts. Raises BadSignature, BadName."""
        made = self._made(opened, author, await self._people([opened]))
        if made is None:
            return None
        stated = opened.statement
        _check_speaker(stated, made, self._context.realm_key)
        return RelayedFact(group, made, parcel.seq, (author.realm, stated.number), signature)

    def _made(
        self, opened: OpenedEntry, author: Party, people: Mapping[str, Party]
    ) -> MadeFact | None:
        """The fact as this realm writes it, or None if this version does not know such facts. `people` has
        the person that it is about."""
        fact: MemberFact | GroupFact
        match opened.attributes:
            case MemberAttributes(what, who) if what in HAPPENINGS:
                fact = MemberFact(people[who], HAPPENINGS[what])
            case GroupAttributes(fields):
                known = {key: fields[key] for key in GROUP_FIELDS if key in fields}
                if not known:
                    return None
                fact = GroupFact({key: _shown(value) for key, value in known.items()})
            case _:
                return None
        return MadeFact(fact, author, min(opened.statement.at, self._context.now()))

    async def _people(self, entries: Sequence[OpenedEntry]) -> dict[str, Party]:
        """The people whom entries are about, by their addresses as all realms write them. Raises BadName,
        BadSignature."""
        facts = (each.attributes for each in entries)
        members = [each for each in facts if isinstance(each, MemberAttributes)]
        named = {each.who for each in members if each.what in HAPPENINGS}
        addresses = {who: self._context.localize(_with_realm(who)) for who in named}
        local = [each.name for each in addresses.values() if each.realm is None]
        accounts = await self._accounts.find_many(local)
        return {who: _party(address, accounts) for who, address in addresses.items()}


def _with_realm(text: str) -> Address:
    """Parse an address as all realms write it. Raises BadName, BadSignature."""
    address = parse_foreign_address(text)
    if address.realm is None:
        raise BadSignature(reason="it has an address without a realm")
    return address


def _party(address: Address, accounts: Mapping[str, Account]) -> Party:
    """The person with a localized address, who may be one of these accounts."""
    if address.realm is not None:
        return Party(address.key, str(address), realm=key_of(address.realm))
    account = accounts.get(address.key)
    return Party(address.key, str(address)) if account is None else party_of(account)


def _check_speaker(stated: Statement, made: MadeFact, own: str) -> None:
    """Raises BadSignature if an entry says that somebody of another realm than its author's has joined or
    left, or if somebody else than the home itself says that its operators have closed or opened the group."""
    fact = made.fact
    is_homes = stated.realm == stated.home and stated.author == HOME.name
    if isinstance(fact, GroupFact) and SHUT in fact.fields and not is_homes:
        raise BadSignature(reason="only the home of a group says that it is closed for everybody")
    if isinstance(fact, MemberFact) and fact.what in ("joined", "left"):
        realm = own if fact.who.realm is None else fact.who.realm
        if realm != stated.realm:
            raise BadSignature(reason="only the realm of a member says that they join or leave")


def _check_handed_over(stated: Statement, made: MadeFact, own: str) -> None:
    """Raises BadSignature for what only the home of a group can take: that somebody has joined, except what
    the home says of its own people, that the group has ended, that somebody or the group has moved, or that
    operators have closed or opened the group: those of the new home decide that by now."""
    _check_speaker(stated, made, own)
    match made.fact:
        case MemberFact(_, "joined") if stated.realm != stated.home:
            raise BadSignature(reason="they join again")
        case MemberFact(_, "ended" | "moved"):
            raise BadSignature(reason="the group was rescued")
        case GroupFact(fields) if "home" in fields or SHUT in fields:
            raise BadSignature(reason="the group was rescued")
        case _:
            return


def _shown(value: str | bool | None) -> str | bool | None:
    """A value without control characters. An empty text stays empty."""
    return printable(value, MAX_VALUE) if isinstance(value, str) and value else value
