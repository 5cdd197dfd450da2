"""Which requests can be repeated when the connection was lost before the reply, and how messages are sent.

Each message or file is sent with a new idempotency key, and a realm stores nothing twice under one key (for a
week). So an unanswered send is repeated and arrives once. A realm that is too old for keys refuses a send
with one; the client then sends without a key and does not repeat: it tells the user instead.

A send that the realm refuses because it can't store anything at the moment is repeated as well: another node
may be able to, or the same one in a while.

Sends wait for their outcome at other realms, so that a refusal is the reply. A realm that is too old for that
waits anyway.
"""

from __future__ import annotations

import re
import secrets
from typing import Any

from chatd.base import errors
from chatd.client.link import Reply, RequestChannel
from chatd.commands import values as ask
from chatd.commands.values import Command

_UNKNOWN = re.compile("does not take ([a-z, ]+)")

# Refusals of a send after which the realm may store it in a while.
TEMPORARY = frozenset((errors.StorageFailed.code, errors.ShuttingDown.code))
# Refusals of a resumption that are about the node, so that another one may be able to.
OF_NODE = TEMPORARY | {
    errors.DiskFull.code,
    errors.Busy.code,
    errors.TooManyConnections.code,
    errors.InternalError.code,
}

KEYED = (
    ask.SendMessage,
    ask.SendGroupMessage,
    ask.ReplyToMessage,
    ask.ComposeMessage,
    ask.ForwardMessage,
    ask.SendRealmMessage,
    ask.SendRealmGroupMessage,
    ask.SendFile,
    ask.SendGroupFile,
    ask.SendRealmFile,
    ask.SendRealmGroupFile,
)

# Commands that can run twice with the result of running once.
REPEATABLE = (
    ask.LogIn,
    ask.ResumeSession,
    ask.LogOut,
    ask.ShowAccount,
    ask.ChangeProfile,
    ask.RemovePicture,
    ask.ShowImport,
    ask.ListActive,
    ask.ListUsers,
    ask.ListContacts,
    ask.AddContact,
    ask.DeleteContact,
    ask.ChangePrivacy,
    ask.BlockPerson,
    ask.UnblockPerson,
    ask.ListBlocks,
    ask.ListSessions,
    ask.TakeAccount,
    ask.ListMoves,
    ask.SetStatus,
    ask.SetAway,
    ask.ReportMessage,
    ask.ListReports,
    ask.EditMessage,
    ask.DeleteMessage,
    ask.ReactToMessage,
    ask.PinMessage,
    ask.ListPins,
    ask.ShowReaders,
    ask.TellTyping,
    ask.SyncLog,
    ask.ReadInbox,
    ask.CountUnread,
    ask.ListConversations,
    ask.MarkRead,
    ask.SetNotifications,
    ask.ArchiveConversation,
    ask.ShowHistory,
    ask.SearchMessages,
    ask.AddGroup,
    ask.JoinGroup,
    ask.LeaveGroup,
    ask.ListGroups,
    ask.ListOwnGroups,
    ask.ShowGroup,
    ask.SetGroup,
    ask.ListMembers,
    ask.ListInvitations,
    ask.ListRequests,
    ask.ListBans,
    ask.InviteMembers,
    ask.KickMember,
    ask.PromoteMember,
    ask.DemoteAdmin,
    ask.MoveGroup,
    ask.CloseGroup,
    ask.OpenGroup,
    ask.ReadGroupInbox,
    ask.ListFiles,
    ask.JoinRoom,
    ask.ListRoomFiles,
    ask.LeaveRoom,
    ask.ListRooms,
    ask.SetListening,
    ask.SetVerbose,
    ask.ShowHelp,
    ask.CheckAlive,
    ask.ListRealms,
    ask.AddRealm,
    ask.DeleteRealm,
    ask.ReadRealmInbox,
    ask.ReadOwnRealmInbox,
    ask.ListAccounts,
    ask.InspectAccount,
    ask.SetPassword,
    ask.SetRole,
    ask.DisableAccount,
    ask.EnableAccount,
    ask.EraseAccount,
    ask.ListManagedGroups,
    ask.InspectGroup,
    ask.ShutGroup,
    ask.PassOnGroup,
    ask.MakeGroup,
    ask.AddMember,
    ask.RenameAccount,
    ask.SetQuota,
    ask.ListAccountSessions,
    ask.ReadAudit,
    ask.ListNodes,
    ask.ShowStats,
    ask.ShowUsage,
    ask.ListPeers,
    ask.LinkRealm,
    ask.UnlinkRealm,
    ask.MakeBackup,
    ask.RestoreBackup,
    ask.CheckState,
    ask.VacuumDatabase,
    ask.ReloadConfig,
    ask.ListRealmInvitations,
    ask.RevokeRealmInvitation,
    ask.ShowRetention,
    ask.SetRetention,
    ask.AddAccessBan,
    ask.ListAccessBans,
    ask.AddMute,
    ask.ListMutes,
    ask.DeleteAnyMessage,
    ask.ListOpenReports,
    ask.ShowAnyMessage,
    ask.ClearRetention,
)


class IdempotentSend:
    """The idempotency key of one message or file, kept for all attempts to send it, and whether to wait for
    the outcome."""

    def __init__(self) -> None:
        self.key: str | None = secrets.token_urlsafe(16)
        self._wait = True

    @property
    def is_safe(self) -> bool:
        """Whether it can be sent again without a duplicate."""
        return self.key is not None

    def arguments(self) -> dict[str, Any]:
        """The extra arguments of the request."""
        found: dict[str, Any] = {"wait": True} if self._wait else {}
        return found if self.key is None else {**found, "key": self.key}

    def is_too_new(self, reply: Reply) -> bool:
        """Whether the realm refused the request because it does not know an extra argument. If so, drop
        it."""
        if reply.get("code") != "usage":
            return False
        found = _UNKNOWN.search(str(reply.get("message")))
        unknown = set(found[1].split(", ")) if found else set()
        dropped = unknown & self.arguments().keys()
        if "key" in dropped:
            self.key = None
        if "wait" in dropped:
            self._wait = False
        return bool(dropped)

    async def ask(self, link: RequestChannel, verb: str, **arguments: Any) -> Reply:
        """Send the request and return its reply. Raises ConnectionLost."""
        reply = await link.ask(verb, **{**arguments, **self.arguments()})
        if self.is_too_new(reply):
            reply = await link.ask(verb, **{**arguments, **self.arguments()})
        return reply


def may_repeat(command: Command, once: IdempotentSend) -> bool:
    """Whether `command` can be repeated after its reply was lost."""
    if isinstance(command, KEYED):
        return once.is_safe
    return isinstance(command, REPEATABLE)
