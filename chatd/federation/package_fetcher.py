"""Fetches what the former home of a group hands over to this realm, and checks that this realm has agreed."""

from __future__ import annotations

from chatd.base.errors import BadSignature
from chatd.base.model import Group
from chatd.base.names import key_of
from chatd.federation.entry_trust import EntryTrust
from chatd.federation.handed_groups import HandedGroup
from chatd.federation.links import ILinks
from chatd.federation.move_steps import MoveStep, home_in, open_steps
from chatd.federation.parcels import decode_steps
from chatd.federation.signing.entries import SignedEntry, Trust, decode_entry, open_entry
from chatd.federation.standing import Standings
from chatd.service.chat_service import ChatService
from chatd.store.move_agreements import GroupMove

MAX_PACKAGE = 16 << 20  # bytes


class PackageFetcher:
    def __init__(
        self, service: ChatService, links: ILinks, trust: EntryTrust, standings: Standings
    ) -> None:
        self._database = service.database
        self._own = service.context.realm_key
        self._rosters = service.rosters
        self._links = links
        self._trust = trust
        self._standings = standings

    async def is_closed(self, group: Group) -> bool:
        """Whether the home of a group has closed it, or does so now. Raises as a question of IRealms."""
        _, size = await self._links.handover(*await self._question(group), 0)
        return size > 0

    async def whole(self, group: Group) -> bytes | None:
        """What the home of a group hands over; None if it does not yet. Raises as a question of IRealms."""
        asked, package = await self._question(group), bytearray()
        while True:
            part, size = await self._links.handover(*asked, len(package))
            package += part
            if len(package) == size > 0:
                return bytes(package)
            if not part or not len(package) < size <= MAX_PACKAGE:
                return None

    async def _question(self, group: Group) -> tuple[str, int, int]:
        """What the home of a group is asked with: its key, the group's id there, and the newest seq here."""
        newest = await self._database.run(self._rosters.log.newest, group)
        return group.realm or "", group.home_id or 0, newest

    async def check_consent(self, move: GroupMove, group: Group, handed: HandedGroup) -> int:
        """The number of the entry in which this realm has agreed. It may have lost that, but has signed it.
        Raises BadSignature if it has not agreed."""
        if move.accepted_by is not None:
            return open_entry(decode_entry(move.consent or handed.consent)).statement.number
        entry: SignedEntry = decode_entry(handed.consent)
        opened = open_entry(entry)
        stated, home = opened.statement, home_in(opened)
        wanted = (self._own, move.realm, group.home_id)
        is_ours = (stated.realm, stated.home, stated.group) == wanted
        if not is_ours or (home.realm, home.home_id) != (self._own, group.id):
            raise BadSignature(reason="this realm has not agreed")
        if await self._trust.check(move.realm, entry, stated) is not Trust.VERIFIED:
            raise BadSignature(reason="this realm has not agreed")
        check_agreed(open_steps(decode_steps(move.steps or b""))[-1], group.id, home.name)
        await self._standings.given(stated.number)
        return stated.number


def check_agreed(step: MoveStep, ident: int | None, name: str) -> None:
    """Raises BadSignature unless a step gives a group the id and the name here that this realm has agreed to.
    Otherwise the former home could give it the name of an account here."""
    if (step.to.home_id, key_of(step.to.name)) != (ident, key_of(name)):
        raise BadSignature(reason="this realm has agreed to another name or id")
