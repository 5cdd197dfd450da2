"""Receives the news that another realm has not got the file of a message, and tells its sender."""

from __future__ import annotations

from sqlalchemy import Connection

from chatd.base.attachments import LOSSES
from chatd.federation.bounces import Bounces
from chatd.federation.parcels import KEPT, FileLoss, Verdict
from chatd.service.chat_service import ChatService
from chatd.service.system_messages import SystemMessage
from chatd.store import sent_files as store
from chatd.store.sent_files import LostFile

UNKNOWN_REASON = "file-gone"


class FileLosses:
    """A loss is kept with the message, shown as the state of its file, and told by `system` too."""

    def __init__(self, service: ChatService, bounces: Bounces) -> None:
        self._context = service.context
        self._database = service.database
        self._states = service.file_states
        self._versions = service.context.writers.versions
        self._bounces = bounces

    async def receive(self, realm: str, parcel: FileLoss) -> Verdict:
        """Keep a loss. What is known, and what is not of this realm, has no effect. Raises StorageFailed."""
        reason = parcel.reason if parcel.reason in LOSSES else UNKNOWN_REASON
        now = self._context.now()

        def job(connection: Connection) -> tuple[LostFile, SystemMessage] | None:
            lost = store.lose_there(connection, self._versions, realm, parcel.number, reason)
            if lost is None:
                return None
            place = f"the group {lost.to}" if lost.is_group else lost.to
            text = f"Your file {lost.name} to {place} has not arrived: {LOSSES[reason]}"
            return lost, self._bounces.store(connection, lost.account_id, text, now)

        kept = await self._database.run(job)
        if kept is not None:
            lost, bounce = kept
            self._states.lost_there(lost, reason)
            self._bounces.tell(bounce)
        return KEPT
