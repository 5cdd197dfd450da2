"""What may be asked again when the link was lost before the answer came.

A message or a file is sent under a key that is new for each, and a realm stores nothing twice under one key
(for a week). So what was not answered is sent again, and arrives once. A realm older than keys refuses a send
that has one, which does nothing, and gets it without. What such a realm has not answered is not sent again:
the user is told, and decides.
"""

from __future__ import annotations

import secrets
from typing import Any

from chatd.client.link import Reply, RequestChannel
from chatd.commands import values as ask
from chatd.commands.values import Command

KEYED = (
    ask.SendMessage,
    ask.SendGroupMessage,
    ask.SendRealmMessage,
    ask.SendRealmGroupMessage,
    ask.SendFile,
    ask.SendGroupFile,
    ask.SendRealmFile,
    ask.SendRealmGroupFile,
)

# Asking these again leaves things as one answer would have.
REPEATABLE = (
    ask.LogIn,
    ask.ResumeSession,
    ask.LogOut,
    ask.ShowAccount,
    ask.ChangeProfile,
    ask.ListActive,
    ask.ListUsers,
    ask.ListContacts,
    ask.AddContact,
    ask.DeleteContact,
    ask.ReadInbox,
    ask.CountUnread,
    ask.ListConversations,
    ask.MarkRead,
    ask.ShowHistory,
    ask.SearchMessages,
    ask.AddGroup,
    ask.JoinGroup,
    ask.LeaveGroup,
    ask.ListGroups,
    ask.ListOwnGroups,
    ask.ListMembers,
    ask.InviteMembers,
    ask.KickMember,
    ask.PromoteMember,
    ask.CloseGroup,
    ask.OpenGroup,
    ask.ReadGroupInbox,
    ask.ListFiles,
    ask.JoinRoom,
    ask.LeaveRoom,
    ask.ListRooms,
    ask.SetListening,
    ask.ShowHelp,
    ask.CheckAlive,
    ask.ListRealms,
    ask.AddRealm,
    ask.DeleteRealm,
    ask.ReadRealmInbox,
    ask.ReadOwnRealmInbox,
)


class IdempotentSend:
    """One message or file, however often it has to be sent."""

    def __init__(self) -> None:
        self.key: str | None = secrets.token_urlsafe(16)

    @property
    def is_safe(self) -> bool:
        """Whether it may be sent again."""
        return self.key is not None

    def arguments(self) -> dict[str, str]:
        """What a request carries besides its own arguments."""
        return {} if self.key is None else {"key": self.key}

    def refuses_keys(self, reply: Reply) -> bool:
        """Whether the realm knows no keys and has done nothing; from then on there is none."""
        refused = self.key is not None and reply.get("code") == "usage"
        if refused and "does not take key" in str(reply.get("message")):
            self.key = None
            return True
        return False

    async def ask(self, link: RequestChannel, verb: str, **arguments: Any) -> Reply:
        """The reply to a request that sends it. Raises LinkLost."""
        reply = await link.ask(verb, **{**arguments, **self.arguments()})
        if self.refuses_keys(reply):
            reply = await link.ask(verb, **arguments)
        return reply


def may_repeat(command: Command, once: IdempotentSend) -> bool:
    """Whether to ask for `command` again after its answer was lost."""
    if isinstance(command, KEYED):
        return once.is_safe
    return isinstance(command, REPEATABLE)
