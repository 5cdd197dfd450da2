"""Message quotas of other realms."""

from __future__ import annotations

from collections.abc import Sequence

from chatd.federation.links import ILinks
from chatd.federation.parcels import Direct
from chatd.service.chat_service import ChatService
from chatd.service.quotas import cost_of, cost_of_text
from chatd.store.new_entries import NewMessage


class RealmQuotas:
    """Messages count for their realm and, if it was not added, for the network source of its link, because
    realm names can be invented."""

    def __init__(self, service: ChatService, links: ILinks) -> None:
        self._quotas = service.quotas
        self._links = links
        self._now = service.context.now

    def _payers(self, realm: str) -> tuple[str, ...]:
        source = "" if self._links.is_added(realm) else self._links.source_of(realm)
        # Realm names cannot contain a space.
        return (realm, f"from {source}") if source else (realm,)

    def check(self, realm: str, parcel: Direct) -> None:
        """Raises RealmQuota if that message exceeds a quota."""
        size = cost_of_text(parcel.text) if parcel.body is None else len(parcel.body)
        self._quotas.check(self._payers(realm), size, self._now())

    def check_half(self, realm: str) -> None:
        """Raises RealmQuota if half of a quota is used: the rest is for what is more urgent."""
        self._quotas.check_half(self._payers(realm), self._now())

    def charge(self, realm: str, messages: Sequence[NewMessage]) -> None:
        """Count messages. Raises RealmQuota; then none of them is counted."""
        self.charge_bytes(realm, sum(map(cost_of, messages)))

    def charge_bytes(self, realm: str, size: int) -> None:
        """Count changes of that size. Raises RealmQuota; then it is not counted."""
        self._quotas.charge_all(self._payers(realm), size, self._now())

    def give_back_bytes(self, realm: str, size: int) -> None:
        """Cancel a charge, because nothing was changed."""
        for payer in self._payers(realm):
            self._quotas.give_back(payer, size)

    def give_back(self, realm: str, messages: Sequence[NewMessage]) -> None:
        """Cancel a charge, because the messages were not stored."""
        self.give_back_bytes(realm, sum(map(cost_of, messages)))
