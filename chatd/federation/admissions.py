"""Lets people of other realms into private groups again that this realm has let them into before.

If this realm was restored from a backup, it may have forgotten members of other realms. Their realm asks for
them again, with the number and the seal of the report that they had joined. The seal proves that this realm
has sent the report, and the number that it may have lost it.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from chatd.base.background import EXPECTED
from chatd.base.errors import ChatError
from chatd.base.model import Party
from chatd.base.names import Address
from chatd.federation.parcel_fields import Number, Seal
from chatd.federation.parcels import Joined, encode
from chatd.federation.seals import Seals
from chatd.federation.standing import Standings
from chatd.service.chat_service import ChatService
from chatd.store.invitations import note_invited


class AdmissionProof(msgspec.Struct, frozen=True, array_like=True):
    """The number and the seal of a `joined` parcel, and the group's id and the time in it."""

    number: Number
    group_id: Number
    seal: Seal
    at: Number = 0


_decode = msgspec.msgpack.Decoder(AdmissionProof).decode


def encode_admission(number: int, group_id: int, seal: bytes, at: int) -> bytes:
    """What a member's realm shows to the home of the group."""
    return encode(AdmissionProof(number, group_id, seal, at))


class Admissions:
    def __init__(self, service: ChatService, seals: Seals, standings: Standings) -> None:
        self._context = service.context
        self._rosters = service.rosters
        self._seals = seals
        self._standings = standings

    async def take(self, realm: str, party: Party, name: Address, shown: bytes) -> int | None:
        """Let a person of `realm` find the group with that name as if they were invited, if what is shown
        proves that they were a member. Returns since when. Otherwise nothing changes. Raises
        StorageFailed."""
        try:
            before = _decode(shown)
            user = party.name.partition("@")[0]
            joined = Joined(name.name, before.group_id, user, 0, at=before.at, seal=before.seal)
            if not self._seals.is_admission(before.number, joined, realm):
                return None
            if not await self._standings.may_have_lost(realm, before.number):
                return None
            await self._standings.given(before.number)
            group = (await self._rosters.find_home(name)).group
        except EXPECTED:
            raise  # it may be proved later
        except (msgspec.DecodeError, RecursionError, ChatError):
            return None
        if group.id != before.group_id:
            return None

        def job(connection: Connection) -> bool:
            return note_invited(connection, group, party.key, self._context.now())

        await self._context.database.run(job)
        return before.at or None
