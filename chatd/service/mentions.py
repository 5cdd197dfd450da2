"""Finds out whom a text mentions."""

from __future__ import annotations

from chatd.base.errors import ChatError
from chatd.base.mentions import ALL, mentions_in
from chatd.base.model import Account, Party, party_of
from chatd.base.names import Address, key_of
from chatd.service.accounts import Accounts
from chatd.service.context import Context
from chatd.service.rosters import Rosters
from chatd.service.targets import Target
from chatd.store.roster import Roster


class Mentions:
    """Resolves the names in texts to people who take part in the conversation."""

    def __init__(self, context: Context, accounts: Accounts, rosters: Rosters) -> None:
        self._context = context
        self._accounts = accounts
        self._rosters = rosters

    async def resolve(self, sender: Account, target: Target, text: str) -> tuple[str, ...]:
        """The addresses that `text` mentions. Only an admin of a group can mention everybody."""
        if "@" not in text:
            return ()
        addresses, everybody = mentions_in(text)
        roster = self._rosters.of_conversation(target.conversation)
        found = [ALL] if everybody and _is_admin(roster, sender) else []
        for address in map(self._context.localize, addresses):
            party = await self._party(address)
            if party is not None and _takes_part(party, target, sender, roster):
                found.append(party.name)
        return tuple(found)

    async def _party(self, address: Address) -> Party | None:
        if address.realm is not None:
            return Party(address.key, str(address), realm=key_of(address.realm))
        try:
            return party_of(await self._accounts.find(address.name))
        except ChatError:
            return None


def _is_admin(roster: Roster | None, sender: Account) -> bool:
    return roster is not None and bool(roster.members.get(sender.id))


def _takes_part(party: Party, target: Target, sender: Account, roster: Roster | None) -> bool:
    """Whether `party` takes part in the conversation. Who of another realm is in a group elsewhere is not
    known here."""
    if target.group is None:
        return party.key in (key_of(target.to or ""), sender.key)
    if roster is None:
        return False
    return roster.role(party) is not None or (party.id is None and target.home is not None)
