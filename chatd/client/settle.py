"""What became of a message whose answer was lost with the link.

It may have arrived or not, and must be neither lost nor sent twice. So the conversation is looked at: a
message of mine with that text, newer than what was there before and not one that was acknowledged to this
client, is the one. Where that can't be told, the user decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any

import msgspec

from chatd import commands as ask
from chatd.client.asking import Request, Talk
from chatd.client.link import Asks
from chatd.client.state import Kind, State
from chatd.commands import Command
from chatd.names import Address, key_of

LOOK_BACK = 100  # messages of a conversation

# Asking these again leaves things as one answer would have.
REPEATABLE = (
    ask.Auth, ask.Resume, ask.Logout, ask.WhoAmI, ask.Profile, ask.Info, ask.Users, ask.Contacts,
    ask.AddContact, ask.DeleteContact, ask.Inbox, ask.Unread, ask.Conversations, ask.Read, ask.History,
    ask.Search, ask.AddGroup, ask.JoinGroup, ask.LeaveGroup, ask.Groups, ask.MyGroups, ask.Members,
    ask.Invite, ask.Kick, ask.Promote, ask.CloseGroup, ask.OpenGroup, ask.InboxGroup, ask.Files,
    ask.RoomJoin, ask.RoomLeave, ask.Rooms, ask.Listen, ask.Help, ask.Ping, ask.Realms, ask.AddRealm,
    ask.DeleteRealm, ask.RealmInbox, ask.InboxRealm,
)  # fmt: skip


class Recipient(msgspec.Struct, frozen=True):
    kind: Kind
    name: str

    @property
    def key(self) -> tuple[Kind, str]:
        return (self.kind, key_of(self.name))


class Found(Enum):
    THERE = auto()
    MISSING = auto()
    UNSURE = auto()


def message_of(todo: object) -> tuple[str, tuple[Recipient, ...]] | None:
    """The text and the recipients, if `todo` sends a message that is kept."""
    if isinstance(todo, Talk):
        return todo.text, (Recipient(todo.place.kind, todo.place.name),)
    if not isinstance(todo, Request):
        return None
    to = recipients(todo.command)
    text = getattr(todo.command, "text", None)
    return (text, to) if to and isinstance(text, str) else None


def recipients(command: Command) -> tuple[Recipient, ...]:
    if isinstance(command, ask.Send | ask.SendFile):
        return _people(command.to)
    if isinstance(command, ask.SendGroup | ask.SendGroupFile):
        group = command.group
        return _people(group) if isinstance(group, tuple) else (_group(str(group)),)
    if isinstance(command, ask.SendRealm | ask.SendFileRealm):
        return _people((Address(command.user, command.realm),))
    if isinstance(command, ask.SendGroupRealm | ask.SendGroupFileRealm):
        if isinstance(command.group, tuple):
            return _people(tuple(Address(name, command.realm) for name in command.group))
        return (_group(f"{command.group}@{command.realm}"),)
    return ()


def _people(addresses: tuple[Address, ...]) -> tuple[Recipient, ...]:
    return tuple(Recipient(Kind.USER, str(each)) for each in addresses)


def _group(name: str) -> Recipient:
    return Recipient(Kind.GROUP, name)


def known(state: State, to: tuple[Recipient, ...]) -> dict[Recipient, int | None]:
    """How far each conversation is known, before something is sent to it."""
    return {each: state.last_seq(each.key) for each in to}


async def look(
    link: Asks, state: State, to: Recipient, after: int | None, looks_like: Mapping[str, Any]
) -> Found:
    """Whether the conversation with `to` has a message of mine that `looks_like` the lost one.

    Raises LinkLost.
    """
    if to.kind is Kind.GROUP and "@" in to.name:
        return Found.UNSURE  # while it is on its way to the other realm, it stands nowhere
    reply = await link.ask("history", **{to.kind.value: to.name, "n": LOOK_BACK})
    if reply["status"] != "OK":
        return Found.MISSING  # no such conversation, or no longer: asking again says why
    mine = [each for each in reply.get("messages", ()) if _is(each, state, looks_like)]
    # A message that came as an event is another device's. A file's event comes to this client, too, since
    # files have connections of their own.
    not_it = state.has_seen if "text" in looks_like else state.was_acknowledged
    mine = [each for each in mine if not not_it(each.get("id", 0))]
    if after is not None:
        mine = [each for each in mine if each.get("seq", 0) > after]
    if not mine:
        return Found.MISSING
    return Found.UNSURE if after is None else Found.THERE


def _is(message: Mapping[str, Any], state: State, looks_like: Mapping[str, Any]) -> bool:
    if not state.is_me(str(message.get("from", ""))):
        return False
    if "text" in looks_like:
        return bool(message.get("text") == looks_like["text"])
    file = message.get("file") or {}
    return all(file.get(key) == value for key, value in looks_like.items())
