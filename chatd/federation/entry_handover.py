"""Gives the present home of a group the entries that only this realm may have, as a former home of it.

The home recognises those that it has.
"""

from __future__ import annotations

from sqlalchemy import Connection

from chatd.base.background import in_background
from chatd.base.errors import ChatError
from chatd.federation import parcels
from chatd.federation.links import ILinks
from chatd.federation.parcels import Post
from chatd.federation.past_supply import PastSupply
from chatd.federation.restores import entry_of
from chatd.service.context import Context
from chatd.store import held as held_store
from chatd.store import lineage as store
from chatd.store.groups import group_of
from chatd.store.held import HeldSigned
from chatd.store.lineage import ForgottenStep
from chatd.store.losses import SharedGroup

MAX_ITEMS = 100  # entries in one request
MAX_BYTES = 50_000  # of their parcels; one parcel may be larger


class EntryHandover:
    def __init__(self, context: Context, links: ILinks, supply: PastSupply) -> None:
        self._database = context.database
        self._links = links
        self._supply = supply
        self._running: set[str] = set()

    async def give(self, realm: str, conversation: int, after: int) -> None:
        """Give `realm`, in which the group of a conversation lives, the entries after a seq. Raises
        RealmDown, and what the realm refuses with."""
        group = await self._database.read(group_of, conversation)
        assert group is not None  # noqa: S101 - groups are not deleted
        name = group.name.partition("@")[0]
        await self._supply.sign_after(group.id, after)
        shared = SharedGroup(group.id, name, group.home_id or 0, after)
        upto: int = 0
        batch: list[bytes] = []
        while True:
            page = await self._database.read(held_store.group_page, shared, None, upto)
            for entry in [each for each in page.entries if isinstance(each, HeldSigned)]:
                post = parcels.encode(Post(entry_of(entry), name))
                full = len(batch) >= MAX_ITEMS or sum(map(len, batch)) + len(post) > MAX_BYTES
                if batch and full:
                    await self._links.hand_over(realm, batch)
                    batch = []
                batch.append(post)
            if not page.upto:
                break
            upto = page.upto
        if batch:
            await self._links.hand_over(realm, batch)

    def begin(self, realm: str) -> None:
        """Give `realm` what was written here in groups that live there, while this realm had forgotten in a
        restore that they had left it. What fails is done over the next link."""
        if realm not in self._running:
            self._running.add(realm)
            in_background("entries were not given to {realm}", self._give_all(realm), realm=realm)

    async def _give_all(self, realm: str) -> None:
        try:
            for each in await self._database.read(store.forgotten_steps, realm):
                await self._give_forgotten(realm, each)
        except ChatError:
            return
        finally:
            self._running.discard(realm)

    async def _give_forgotten(self, realm: str, step: ForgottenStep) -> None:
        await self.give(realm, step.conversation, step.after)

        def job(connection: Connection) -> None:
            store.end_forgotten(connection, step)

        await self._database.run(job)
