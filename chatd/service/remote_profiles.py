"""Display names and pictures of people of other realms. They are asked for when an account here sees these
people, and are kept. They are asked for again after an hour, or when their realm says that they have changed.

Only the realm of a person is asked about them. A picture is decoded and made again here before it is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

import msgspec

from chatd.base.avatars import user_picture
from chatd.base.background import in_background
from chatd.base.cache import Cache
from chatd.base.characters import without_hidden
from chatd.base.errors import BadText, ChatError, EmptyText, UnknownPicture, UnknownUser
from chatd.base.events import ProfileChange
from chatd.base.isolation import guarded
from chatd.base.model import Account
from chatd.base.names import Address, key_of
from chatd.base.replies import Contact, Member
from chatd.base.texts import MAX_DISPLAY_NAME, check_text
from chatd.base.timers import Signal
from chatd.media.process import PictureRefused
from chatd.service.avatars import Avatars
from chatd.service.context import Context
from chatd.service.presence import Presence
from chatd.service.realm_turns import RealmTurns
from chatd.service.remote import IRealms, RemoteProfile
from chatd.store import avatars as store
from chatd.store.avatars import Avatar, KnownProfile

FRESH = 3600.0  # seconds after which a person's realm is asked again
AGAIN = 60.0  # seconds after which the realm is asked again if it did not answer
# Seconds between two questions about a person whose realm says that the profile has changed
CHANGED = 10.0
MAX_REMEMBERED = 50_000  # people
MAX_AT_ONCE = 20  # people that are asked about for one list
PATIENCE = 5.0  # seconds that a request for a picture waits for another realm
UNANNOUNCED = "a changed profile was not announced to other realms"
UNTOLD = "a profile of another realm was not asked for"


Listed = TypeVar("Listed", Contact, Member)


class Asked(NamedTuple):
    """When the realm of a person was asked about them, and when it is to be asked again: seconds."""

    at: float
    again: float


class RemoteProfiles:
    """What this realm knows of people of other realms."""

    def __init__(
        self,
        context: Context,
        realms: IRealms,
        presence: Presence,
        avatars: Avatars,
        turns: RealmTurns,
    ) -> None:
        self._context = context
        self._database = context.database
        self._realms = realms
        self._presence = presence
        self._avatars = avatars
        self._asked: Cache[str, Asked] = Cache(MAX_REMEMBERED)  # by place
        self._asking: dict[str, Signal] = {}
        self._changed: dict[int, Account] = {}  # whose profiles are to be announced
        self._turns = turns
        self._tell_changed = context.news.topic(
            "remote profile", tuple[str, str], self._changed_there, lambda: None
        )

    async def find(self, address: Address) -> Avatar:
        """The picture of a person, here or in another realm. Raises UnknownUser, UnknownRealm,
        UnknownPicture."""
        user = self._context.localize(address)
        if user.realm is None:
            _, found = await self._avatars.of_user(user.name)
        else:
            person = Address(user.name, self._realms.name_of(key_of(user.realm)))
            found = await self._of_remote(person)
        if found is None:
            raise UnknownPicture(name=address)
        return found

    async def _of_remote(self, person: Address) -> Avatar | None:
        """The picture of a person of another realm. If one is kept here, the realm is asked for a newer one
        in the background. Otherwise this waits for the answer, but not long: the realm may be slow."""
        place = store.place_of_user(person)
        kept: Avatar | None = await self._database.read(store.find, place)
        self.soon([str(person)])
        if kept is not None:
            return kept
        if (asking := self._asking.get(place)) is not None:
            await asking.wait_at_most(PATIENCE, self._context.clock)
        found: Avatar | None = await self._database.read(store.find, place)
        return found

    async def named(self, people: Sequence[Listed]) -> tuple[Listed, ...]:
        """A list, with the known names and pictures of people of other realms."""
        elsewhere = [each.username for each in people if "@" in each.username]
        if not elsewhere:
            return tuple(people)
        self.soon(elsewhere)
        known = await self._database.read(store.all_known, [f"@{each}" for each in elsewhere])
        return tuple(_named(each, known.get(f"@{each.username}")) for each in people)

    def soon(self, people: Iterable[str]) -> None:
        """Ask in the background about those of these addresses that were not asked about lately."""
        now = self._context.clock.seconds()
        due = [each for each in people if self._is_due(store.place_of_user(each))]
        due = due[:MAX_AT_ONCE]
        for each in due:
            # One task asks, however many lists there are.
            self._asked[store.place_of_user(each)] = Asked(now, now + AGAIN)
        if due:
            in_background(UNTOLD, self._ask_all(due))

    def _is_due(self, place: str) -> bool:
        """Whether a list asks about a person. If the realm is slow, the first question still waits."""
        if place in self._asking:
            return False
        asked = self._asked.get(place)
        return asked is None or asked.again <= self._context.clock.seconds()

    async def _ask_all(self, people: Iterable[str]) -> None:
        for each in people:
            name, _, realm = each.partition("@")
            await self._ask_once(Address(name, realm), store.place_of_user(each))

    async def _ask_once(self, person: Address, place: str) -> None:
        """Ask about a person, or wait for the answer if that was done."""
        if (asking := self._asking.get(place)) is not None:
            await asking.wait()
            return
        now = self._context.clock.seconds()
        asking = self._asking[place] = Signal()
        asked = self._asked[place] = Asked(now, now + AGAIN)
        try:
            await self._ask(person, place)
            if self._asked.get(place) is asked:  # else the profile has changed meanwhile
                self._asked[place] = Asked(now, now + FRESH)
        except ChatError:
            pass  # the known name and picture stay
        finally:
            del self._asking[place]
            asking.notify()

    async def _ask(self, person: Address, place: str) -> None:
        """Ask a person's realm, and keep the answer. Raises ChatError."""
        realm = key_of(person.realm or "")
        known: KnownProfile | None = await self._database.read(store.known, place)
        known_hash = None if known is None else known.hash
        answer = await self._answer(realm, key_of(person.name), known_hash or "")
        body = await self._made_again(realm, answer) if answer.body else None
        found = KnownProfile(answer.picture or None, _shown_name(answer.name))
        if body is None and found.hash not in (None, known_hash):
            found = KnownProfile(None, found.name)  # its picture can't be used
        picture = None if body is None or found.hash is None else Avatar(found.hash, body)
        now = self._context.now()
        await self._database.run(store.keep_remote, (place, realm), found, picture, now)
        if known != found:
            await self._tell(person, found)

    async def _answer(self, realm: str, user: str, known: str) -> RemoteProfile:
        """What a realm says. Raises ChatError, but not UnknownUser."""
        try:
            return await self._turns.take(realm, partial(self._realms.profile, realm, user, known))
        except UnknownUser:
            return RemoteProfile("", "")

    async def _made_again(self, realm: str, profile: RemoteProfile) -> bytes | None:
        """The picture; None if it can't be used."""
        try:
            return await self._avatars.remade(("realm", realm), profile.body)
        except PictureRefused:
            return None

    async def _tell(self, person: Address, found: KnownProfile) -> None:
        """Tell the accounts that talk with a person, or have them as a contact, of their new profile."""
        told = await self._database.read(store.followers_of, key_of(str(person)))
        address = str(person)
        picture = user_picture(address, found.hash)
        event = ProfileChange(address, found.name or address, "", picture=picture)
        self._presence.tell_followers(told, event, None)
        self._presence.flush()

    def changed_there(self, realm: str, user: str) -> None:
        """A realm says that the profile of one of its people has changed. If it was asked just now, the next
        list asks again, because the answer may be older."""
        self._tell_changed((realm, user))
        self._changed_there((realm, user))

    def _changed_there(self, changed: tuple[str, str]) -> None:
        """Ask again about a person, if this node has asked before."""
        realm, user = changed
        place, now = store.place_of_user(f"{user}@{realm}"), self._context.clock.seconds()
        asked = self._asked.get(place)
        if asked is None:
            return  # it is not known here
        if place in self._asking or now - asked.at < CHANGED:
            self._asked[place] = Asked(asked.at, asked.at + CHANGED)
            return
        name = self._realms.name_of(realm)
        in_background(UNTOLD, self._ask_all([f"{user}@{name}"]))

    def changed_here(self, account: Account) -> None:
        """Tell the realms whose people talk with an account that its profile has changed: once, if it changes
        again meanwhile."""
        was_idle = not self._changed
        self._changed[account.id] = account
        if was_idle:
            in_background(UNANNOUNCED, self._announce())

    async def _announce(self) -> None:
        while self._changed:
            account = next(iter(self._changed.values()))
            found = self._database.read(store.realms_of, account.id)
            realms = await in_background(UNANNOUNCED, found)
            del self._changed[account.id]
            for realm in realms or ():
                # A realm that was not added learns only what it asks for.
                if self._realms.is_welcome(realm):
                    guarded(UNANNOUNCED, self._realms.profile_changed, realm, account.key)


def _shown_name(name: str) -> str | None:
    """A display name that may be shown here, or None."""
    try:
        return check_text(without_hidden(name[:MAX_DISPLAY_NAME]))
    except (BadText, EmptyText):
        return None


def _named(person: Listed, known: KnownProfile | None) -> Listed:
    """A person of a list, with what is known of them."""
    if known is None:
        return person
    picture = user_picture(person.username, known.hash)
    return msgspec.structs.replace(person, name=known.name or "", picture=picture)
