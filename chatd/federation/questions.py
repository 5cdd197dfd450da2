"""Answers the questions that other realms ask for their people."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from chatd.base.entries import GroupFact, MadeFact, MemberFact
from chatd.base.errors import (
    BadName,
    BadSignature,
    NotAccepted,
    NotBanned,
    NotTheirGroup,
    UnknownGroup,
    UnknownPicture,
    UnknownUser,
)
from chatd.base.group_settings import SETTINGS, Fields, check_setting
from chatd.base.model import Party
from chatd.base.names import (
    Address,
    key_of,
    parse_address,
    parse_foreign_name,
    parse_group_name,
    parse_name,
)
from chatd.base.replies import Member
from chatd.federation.admissions import Admissions
from chatd.federation.answer_time import conceal
from chatd.federation.fact_reader import FactReader
from chatd.federation.move_steps import home_in
from chatd.federation.name_guesses import NameGuesses
from chatd.federation.parcels import encode
from chatd.federation.signing.entries import decode_entries, decode_entry, open_entry
from chatd.service.chat_service import ChatService
from chatd.service.group_settings import details_for, details_of
from chatd.service.online_accounts import OFFLINE
from chatd.service.remote import (
    IRealms,
    Membership,
    RemotePicture,
    RemoteProfile,
    SignedFact,
    TheirState,
)
from chatd.service.rosters import Actor

Answer = TypeVar("Answer")

MAX_ASKED = 1000  # people in one question
MAX_OFFSET = 1 << 31  # in a list of members
CACHED_GUESTS = 4096
MAX_BANS_LISTED = 100  # in one answer, which has to fit into an AMP value of 65,535 bytes


def guest_of(realms: IRealms, realm: str, user: str) -> Party:
    """A person of the realm with that key. Raises BadName, UnknownRealm."""
    return _guest(realm, realms.name_of(realm), user)


@lru_cache(maxsize=CACHED_GUESTS)
def _guest(realm: str, name: str, user: str) -> Party:
    address = Address(parse_foreign_name(user), name)
    return Party(address.key, str(address), realm=realm)


def _check_says(
    said: Sequence[SignedFact], party: Party, facts: Sequence[MemberFact | GroupFact]
) -> None:
    """Raises BadSignature unless a person has said all of these facts."""
    for fact in facts:
        if not any(each.says(MadeFact(fact, party, 0)) for each in said):
            raise BadSignature(reason="it is not signed")


def _settings_in(said: Sequence[SignedFact]) -> Fields:
    """The settings in what an admin has signed. Raises BadSignature, BadArgument, BadText."""
    match said:
        case [SignedFact(made=MadeFact(fact=GroupFact(fields)))] if fields.keys() <= set(SETTINGS):
            for key, value in fields.items():
                check_setting(key, value)
            return fields
        case _:
            raise BadSignature(reason="it is no setting of a group")


class AskedChange(msgspec.Struct, frozen=True):
    """A change of the group `name` that `party`, an admin of the realm with that key, asks for. It is about
    `people`, and the signed `entries` say so."""

    realm: str
    party: Party
    name: Address
    change: str
    people: Sequence[Address]
    entries: bytes


class Questions:
    """All methods raise BadName and, for a realm that was not added, TooManyUnknown."""

    def __init__(
        self,
        service: ChatService,
        links: IRealms,
        guesses: NameGuesses,
        facts: FactReader,
        admissions: Admissions,
    ) -> None:
        self._context = service.context
        self._people = service.people
        self._avatars = service.avatars
        self._group_pictures = service.group_pictures
        self._homes = service.homes
        self._relocation = service.relocation
        self._invites = service.groups.home_invites
        self._settings = service.groups.settings.of_homes
        self._elsewhere = service.elsewhere
        self._links = links
        self._guesses = guesses
        self._facts = facts
        self._admissions = admissions

    async def find(self, realm: str, user: str, group: str) -> Membership:
        """The group with that name or code. Raises UnknownGroup."""
        party, name = await self._asked(realm, user, group, joining=True)
        found = (await self._homes.find_joinable(party, name)).group
        return Membership(found.name, found.id)

    async def join(
        self, realm: str, user: str, group: str, entry: bytes, before: bytes | None = None
    ) -> Membership:
        """Make a person of the realm a member, who says so in `entry`. `before` may prove that they were one
        before a restore. Raises BadSignature, and as `HomeGroups.join`."""
        since = None
        if before:
            asking, private = guest_of(self._links, realm, user), Address(parse_group_name(group))
            since = await self._admissions.take(realm, asking, private, before)
        party, name = await self._asked(realm, user, group, joining=True)
        said = await self._said(realm, party, name, [msgspec.Raw(entry)])
        _check_says(said, party, [MemberFact(party, "joined")])
        joined = await self._homes.join_again(Actor(party, signed=said), name, since)
        return Membership(joined.name, joined.id)

    async def _said(
        self, realm: str, party: Party, name: Address, entries: Sequence[msgspec.Raw]
    ) -> list[SignedFact]:
        """What a person of the realm has signed. Raises BadSignature, BadName, UnknownGroup."""
        return await self._facts.said(realm, party, name, [decode_entry(each) for each in entries])

    async def members(
        self, realm: str, user: str, group: str, start: int, limit: int
    ) -> tuple[Sequence[Member], int]:
        """A page of a group's members, and how many follow. Raises UnknownGroup, NotMember."""
        start = max(0, min(start, MAX_OFFSET))
        party, name = await self._asked(realm, user, group)
        found, page = await self._homes.members(party, name, start, limit)
        return page, max(0, found.size - start - len(page))

    async def _asked(
        self, realm: str, user: str, group: str, joining: bool = False
    ) -> tuple[Party, Address]:
        """The person who asks, and the group's name. Raises UnknownGroup."""
        party, name = guest_of(self._links, realm, user), Address(parse_group_name(group))
        await self._guesses.check_group(party, name, joining)
        return party, name

    async def change(
        self,
        realm: str,
        user: str,
        group: str,
        change: str,
        users: Sequence[str],
        entries: bytes = b"",
    ) -> Mapping[str, Sequence[str]]:
        """Make a change for an admin of a group, who says so in `entries`. Raises BadSignature, and as the
        methods of HomeGroups and HomeSettings."""
        party, name = await self._asked(realm, user, group)
        people = [parse_address(each) for each in users[:MAX_ASKED]]
        asked = AskedChange(realm, party, name, change, people, entries)
        if not people or change == "bans" or self._guesses.is_free(realm):
            return await self._change(asked)
        return await self._concealed(realm, self._change_for_stranger(asked))

    async def _concealed(self, realm: str, answering: Coroutine[Any, Any, Answer]) -> Answer:
        """The answer, after a time that does not tell a realm that was not added who has an account."""
        begun = self._context.clock.seconds()
        try:
            return await answering
        finally:
            if not self._guesses.is_free(realm):
                await conceal(self._context.clock, begun)

    async def _change_for_stranger(self, asked: AskedChange) -> Mapping[str, Sequence[str]]:
        """As `_change`, for an admin of a realm that was not added. People of this realm who have nothing to
        do with that realm refuse its invitations, and are no members of the group, whether or not they
        exist."""
        keys = {each: self._context.localize(each) for each in asked.people}
        local = [each.key for each in keys.values() if each.realm is None]
        met = await self._guesses.met(asked.realm, local)
        known = [each for each, found in keys.items() if found.realm or found.key in met]
        hidden = [each for each in keys if each not in known]
        if not hidden:
            return await self._change(asked)
        if asked.change == "unban":
            try:
                return await self._change(asked)
            except (UnknownUser, NotBanned):
                raise NotBanned(name=hidden[0], group=asked.name) from None
        await self._homes.find_ruled(asked.party, asked.name)
        if asked.change != "invite":
            raise NotTheirGroup(name=hidden[0], group=asked.name)
        if not known:
            raise NotAccepted(name=hidden[0])
        result = await self._change(msgspec.structs.replace(asked, people=known))
        return {**result, "refused": [*result["refused"], *map(str, hidden)]}

    async def _change(self, asked: AskedChange) -> Mapping[str, Sequence[str]]:
        party, name, people = asked.party, asked.name, asked.people
        match asked.change, people:
            case "unban", [user_address]:
                await self._homes.unban(party, name, user_address)
            case "describe", []:
                roster = await self._settings.describe(party, name)
                return details_for(details_of(roster, roster.role(party), roster.size))
            case "renewcode", []:
                return {"code": [(await self._settings.renew_code(Actor(party), name)).code]}
            case "move", []:
                return await self._moves(asked)
            case "stay", []:
                roster = await self._homes.find_ruled(party, name)
                await self._relocation.declined(party, roster.group)
            case "bans", []:
                return await self._bans(party, name, "")
            case "bans", [last]:
                return await self._bans(party, name, self._context.localize(last).key)
            case _:
                wanted = self._facts_of(asked.change, name, party, people)
                await self._homes.find_ruled(party, name)  # before signatures are verified
                said = await self._said(asked.realm, party, name, decode_entries(asked.entries))
                _check_says(said, party, wanted)
                return await self._make(Actor(party, signed=said), name, asked.change, people)
        return {}

    async def _moves(self, asked: AskedChange) -> Mapping[str, Sequence[str]]:
        """An admin agrees that a group moves to the asking realm, as they have signed. The answer says who
        has agreed here. Raises BadSignature, NotMovable."""
        party, name = asked.party, asked.name
        group = (await self._homes.find_ruled(party, name)).group
        entries = [decode_entry(each) for each in decode_entries(asked.entries)]
        await self._facts.said(asked.realm, party, name, entries)
        if len(entries) != 1:
            raise BadSignature(reason="it is not signed")
        home = home_in(open_entry(entries[0]))
        if home.realm != asked.realm:
            raise BadSignature(reason="it is about another realm")
        consent, place = encode(entries[0]), (home.home_id, home.name)
        by = await self._relocation.accepted(party, group, consent, *place)
        return {} if by is None else {"agreed": [by]}

    def _facts_of(
        self, change: str, name: Address, party: Party, people: Sequence[Address]
    ) -> list[MemberFact | GroupFact]:
        """What a person of another realm has to say to make a change. Raises UnknownGroup if there is no such
        change."""
        local = map(self._context.localize, people)
        parties = [Party(each.key, str(each)) for each in local]
        match change, parties:
            case "invite", [_, *_]:
                return [MemberFact(each, "invited") for each in parties]
            case "kick", [each]:
                # Kicking oneself is leaving.
                return [MemberFact(each, "left" if each.key == party.key else "kicked")]
            case "promote", [each]:
                return [MemberFact(each, "promoted")]
            case "demote", [each]:
                return [MemberFact(each, "demoted")]
            case "transfer", [each]:
                return [MemberFact(each, "promoted"), MemberFact(party, "demoted")]
            case (("close" | "open"), []):
                return [GroupFact({"closed": change == "close"})]
            case "set", []:
                return []  # the entry itself says what is set
            case _:
                raise UnknownGroup(name=name.name)

    async def _make(
        self, by: Actor, name: Address, change: str, people: Sequence[Address]
    ) -> Mapping[str, Sequence[str]]:
        match change:
            case "invite":
                _, invited = await self._invites.invite(by, name, people)
                return msgspec.structs.asdict(invited)
            case "kick":
                _, was_member = await self._homes.kick(by, name, people[0])
                return {} if was_member else {"outside": [str(people[0])]}
            case "promote":
                await self._settings.promote(by, name, people[0])
            case "demote":
                await self._settings.demote(by, name, people[0])
            case "transfer":
                await self._settings.transfer(by, name, people[0])
            case "set":
                await self._settings.set(by, name, _settings_in(by.signed))
            case _:
                await self._settings.set(by, name, {"closed": change == "close"})
        return {}

    async def _bans(self, party: Party, name: Address, after: str) -> Mapping[str, Sequence[str]]:
        """A page of banned addresses after the key `after`. If the page is full, `more` has its last
        address."""
        _, found = await self._homes.bans(party, name, after, MAX_BANS_LISTED)
        banned = [each.username for each in found]
        return {"bans": banned, "more": banned[-1:] if len(banned) == MAX_BANS_LISTED else []}

    async def profile(self, realm: str, user: str, known: str) -> RemoteProfile:
        """The profile of one of this realm's people, without the picture if its hash is `known`. A realm that
        was not added learns it only of people who have something to do with it. Raises UnknownUser."""
        return await self._concealed(realm, self._profile(realm, user, known))

    async def _profile(self, realm: str, user: str, known: str) -> RemoteProfile:
        """The answer of `profile`."""
        name = parse_name(user)
        if not await self._guesses.met(realm, [key_of(name)]):
            raise UnknownUser(name=name)
        account, avatar = await self._avatars.of_user(name)
        if avatar is None:
            return RemoteProfile(account.display_name, "")
        body = b"" if avatar.hash == known else avatar.body
        return RemoteProfile(account.display_name, avatar.hash, body)

    async def group_picture(self, realm: str, user: str, group: str) -> RemotePicture:
        """The picture of a group of this realm that a person of the realm may know. Raises UnknownGroup."""
        party, name = await self._asked(realm, user, group)
        try:
            found = await self._group_pictures.find(party, name)
        except UnknownPicture:
            return RemotePicture("")
        return RemotePicture(found.hash, found.body)

    async def presence(self, realm: str, users: Sequence[str]) -> dict[str, TheirState]:
        """The states of `users`. Unknown ones are left out. If the realm was added, it is told when they
        change.

        For a realm that was not added, people who have nothing to do with it are offline, existing or not.
        """
        return await self._concealed(realm, self._presence(realm, users))

    async def _presence(self, realm: str, users: Sequence[str]) -> dict[str, TheirState]:
        """The answer of `presence`."""
        keys = {}
        for user in users[:MAX_ASKED]:
            with suppress(BadName):
                keys[user] = key_of(parse_name(user))
        met = await self._guesses.met(realm, list(keys.values()))
        asked = [user for user, key in keys.items() if key in met]
        takes_unseen = self._guesses.may_know_blocks(realm)
        found = await self._people.states_for_realm(realm, asked, takes_unseen)
        if not self._guesses.is_free(realm):
            return {user: found.get(user) or TheirState(user, OFFLINE) for user in keys}
        self._elsewhere.asked(realm, [keys[user] for user in found])
        return found
