"""Lists of people, as an account or another realm sees them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from chatd.base.avatars import user_picture
from chatd.base.errors import BadName
from chatd.base.model import Account
from chatd.base.names import key_of, parse_name
from chatd.base.replies import UserInfo
from chatd.service.accounts import Accounts
from chatd.service.blocks import Blocks
from chatd.service.context import Context
from chatd.service.online_accounts import AWAY, OFFLINE
from chatd.service.presence import Presence
from chatd.service.presence_elsewhere import MAX_UNSEEN
from chatd.service.remote import TheirState
from chatd.service.remote_presence import RemotePresence
from chatd.store import accounts as store
from chatd.store.blocks import NO_BLOCKS, blocks_elsewhere

# People or groups in one reply. Writing more would block the reactor for too long.
MAX_LISTED = 2000
# Blocked people in one answer to another realm, so that it fits into one value.
MAX_UNSEEN_AT_ONCE = 200


class People:
    """The accounts of this realm, and which of them are online."""

    def __init__(
        self,
        context: Context,
        accounts: Accounts,
        presence: Presence,
        blocks: Blocks,
        there: RemotePresence,
    ) -> None:
        self._database = context.database
        self._accounts = accounts
        self._presence = presence
        self._blocks = blocks
        self._there = there

    async def all(self, viewer: Account) -> tuple[tuple[UserInfo, ...], int]:
        """The first accounts by name, and how many more there are."""
        found, more = await self._database.read(store.all_accounts, MAX_LISTED)
        return tuple(self._info(viewer, each) for each in found), more

    async def active(self, viewer: Account) -> tuple[tuple[UserInfo, ...], int]:
        """Accounts that the viewer sees online, and the viewer, by name, and how many more there are."""
        seen = set(self._presence.online())
        if self._presence.own_state(viewer.id) != OFFLINE:
            seen.add(viewer.id)
        online = tuple(seen)
        found = await self._database.read(store.get_accounts, online[:MAX_LISTED])
        shown = (self._info(viewer, each) for each in found)
        return tuple(each for each in shown if each.online), max(0, len(online) - MAX_LISTED)

    async def online(self, viewer: Account, names: Iterable[str]) -> dict[str, bool]:
        """Which of these accounts the viewer sees online. Names that do not exist are left out."""
        return {
            name: self._blocks.state_for(viewer, each.id, each.key) != OFFLINE
            for name, each in (await self._known(names)).items()
        }

    async def online_everywhere(
        self, viewer: Account, names: Mapping[str, Iterable[str]]
    ) -> dict[str, dict[str, bool]]:
        """As `online`, for the names of several realms, by the realms' keys; that of this realm is empty. A
        realm that does not answer has none."""
        elsewhere = {realm: list(keys) for realm, keys in names.items() if realm}
        here = await self.online(viewer, names.get("", ()))
        states = await self._there.all_states(viewer, elsewhere)
        there = {
            realm: {name: state != OFFLINE for name, state in people.items()}
            for realm, people in states.items()
        }
        return {"": here, **there}

    async def states_for_realm(
        self, realm: str, names: Iterable[str], takes_unseen: bool
    ) -> dict[str, TheirState]:
        """The states of these accounts, as the realm with that key sees them. Names that do not exist are
        left out. Unless the realm `takes_unseen`, an account that has blocked one of its people is offline
        for all of them."""
        known = await self._known(names)
        ids = [each.id for each in known.values()]
        blocked = await self._database.read(blocks_elsewhere, ids, realm)
        room = MAX_UNSEEN_AT_ONCE if takes_unseen else 0
        found = {}
        for name, each in known.items():
            theirs = blocked.get(each.id, NO_BLOCKS)
            unseen = tuple(theirs.people.get(realm, ()))
            if theirs.realms or len(unseen) > min(room, MAX_UNSEEN):
                found[name] = TheirState(name, OFFLINE)
            else:
                found[name] = TheirState(name, self._presence.state(each.id), unseen=unseen)
                room -= len(unseen)
        return found

    async def _known(self, names: Iterable[str]) -> dict[str, Account]:
        keys = {}
        for name in names:
            with suppress(BadName):
                keys[name] = key_of(parse_name(name))
        found = await self._accounts.find_many(keys.values())
        return {name: found[key] for name, key in keys.items() if key in found}

    def _info(self, viewer: Account, account: Account) -> UserInfo:
        state = self._blocks.state_for(viewer, account.id, account.key)
        return UserInfo(
            account.name,
            account.display_name,
            account.country,
            state != OFFLINE,
            state == AWAY,
            account.status,
            user_picture(account.name, account.picture),
        )
