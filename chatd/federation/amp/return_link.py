"""What is asked and sent over a link after one of the realms was restored from a backup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.task import deferLater

from chatd.base.errors import StorageFailed
from chatd.base.names import printable
from chatd.federation.amp import contents, wire
from chatd.federation.amp.link import PeerLink
from chatd.federation.amp.wire import Refused
from chatd.federation.guest_lists import GuestAnswer, GuestList
from chatd.federation.parcels import Verdict, encode
from chatd.federation.refusals import refusal
from chatd.federation.restores import LATER, Returned

PAUSE = 60.0  # seconds until what was too much for the other realm is sent again


class ReturnLink:
    """What `IReturning` and `IComparing` describe, over `link`."""

    def __init__(self, link: PeerLink) -> None:
        self._link = link

    async def give_back(self, items: Sequence[Returned], upto: int | None = None) -> None:
        """See IReturning. Raises Refused, RealmDown."""
        link, parcels = self._link, encode(items)
        while True:
            try:
                await link.call(wire.ReturnCommand, parcels=parcels, upto=upto)
            except Refused as refused:
                link.warn(f"{link.realm} does not take what it lacks: {printable(refused.code)}")
                if refused.code not in LATER:
                    raise
            else:
                return
            await deferLater(link.host.clock, PAUSE)

    async def rejoin(self, user: str, group: str, entry: bytes, before: bytes | None) -> None:
        """See IReturning. Raises StorageFailed if the realm may be asked again later, else ChatError."""
        asked: dict[str, Any] = {"user": user, "group": group, "entry": entry, "before": before}
        try:
            await self._link.call(wire.JoinCommand, **asked)
        except Refused as refused:
            if refused.code == StorageFailed.code:
                raise StorageFailed from None
            raise refusal(Verdict(refused.code, refused.details), self._link.realm) from None

    async def tails(self, groups: Sequence[int]) -> Mapping[int, int]:
        """See IReturning. Raises Refused, RealmDown."""
        answer = await self._link.call(wire.TailsCommand, groups=encode(groups))
        return contents.decode_tails(answer["tails"])

    async def guests(self, listed: GuestList) -> GuestAnswer:
        """See IComparing. Raises Refused, RealmDown."""
        answer = await self._link.call(wire.GuestsCommand, listed=encode(listed))
        return contents.decode_answer(answer["found"])
