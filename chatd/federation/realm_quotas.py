"""Whose bytes the messages of another realm are counted as."""

from __future__ import annotations

from chatd.federation.links import ILinks
from chatd.service.chat_service import ChatService
from chatd.service.quotas import cost_of, cost_of_text
from chatd.store.messages import NewMessage


class RealmQuotas:
    """They count for the realm, and, if nobody here has added it, for the network address that it comes from:
    names of realms can be invented."""

    def __init__(self, service: ChatService, links: ILinks) -> None:
        self._quotas = service.quotas
        self._links = links
        self._now = service.context.now

    def _payers(self, realm: str) -> tuple[str, ...]:
        source = "" if self._links.is_added(realm) else self._links.source_of(realm)
        # No realm's name has a space in it.
        return (realm, f"from {source}") if source else (realm,)

    def check_text(self, realm: str, text: str | None) -> None:
        """Raises RealmQuota if there is no room for that text to one person; None is a file."""
        self._quotas.check(self._payers(realm), cost_of_text(text), self._now())

    def charge(self, realm: str, new: NewMessage) -> None:
        """Raises RealmQuota."""
        self._quotas.charge_all(self._payers(realm), cost_of(new), self._now())

    def give_back(self, realm: str, new: NewMessage) -> None:
        """It was charged, and is not stored."""
        for payer in self._payers(realm):
            self._quotas.give_back(payer, cost_of(new))
