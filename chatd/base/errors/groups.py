"""Errors about groups, rooms and other conversations."""

from __future__ import annotations

from collections.abc import Mapping

from chatd.base.errors.base import ChatError


class GroupClosed(ChatError):
    code = "group-closed"
    sentence = "Only members may post to {group}; join it first, or ask its admins to open it"


class GroupShut(ChatError):
    """The operators of its realm have closed the group for everybody. The `reason` may be empty."""

    code = "group-shut"
    sentence = "{group} was closed by the operators of its realm{reason}; it can only be read"
    defaults = {"reason": ""}

    @classmethod
    def worded(cls, details: Mapping[str, object]) -> Mapping[str, object]:
        reason = details.get("reason")
        return {**details, "reason": f": {reason}" if reason else ""}


class GroupNotShut(ChatError):
    code = "group-not-shut"
    sentence = "{group} is not closed by the operators"


class GroupEnding(ChatError):
    code = "group-ending"
    sentence = "{group} is being deleted"


class GroupElsewhere(ChatError):
    """Operators of this realm decide nothing about a group of another one."""

    code = "group-elsewhere"
    sentence = (
        "{group} lives in {realm}: ask the operators of {realm}, or keep the whole realm out with "
        "admin ban add @@{realm}"
    )


class UnknownReport(ChatError):
    code = "unknown-report"
    sentence = "There is no report {report}; reports lists them"


class TooManyReports(ChatError):
    code = "too-many-reports"
    sentence = "There are {limit} open reports{whose}; try again when the moderators have read them"


class UnknownGroup(ChatError):
    code = "unknown-group"
    sentence = "There is no group {name} in {where}"
    defaults = {"where": "this realm; groups lists them"}


class GroupMoved(ChatError):
    """The group lives in another realm now, with the address `to`."""

    code = "group-moved"
    sentence = "{group} has moved; its address is now {to}"


class GroupLivesHere(ChatError):
    code = "group-lives-here"
    sentence = "{group} lives in this realm, so it need not be rescued"


class HomeNotLost(ChatError):
    """`hours` are left until the realm counts as lost."""

    code = "home-not-lost"
    sentence = (
        "{realm} does not count as lost yet; if it is still not reached, try again in {hours} h"
    )


class NoRoster(ChatError):
    code = "no-roster"
    sentence = "The realm of {group} has not told who is in it, so it can't be rescued from here"


class NotFounder(ChatError):
    code = "not-founder"
    sentence = "You may not rescue {group}; those who may are {founders}"


class RescueExists(ChatError):
    code = "rescue-exists"
    sentence = "{group} was rescued already, as {to}; this realm follows soon"


class NotMovable(ChatError):
    """A group can't move to a realm, for the `reason`."""

    code = "not-movable"
    sentence = "{group} can't move to {realm}: {reason}"


class NoGroupMove(ChatError):
    code = "no-group-move"
    sentence = "No move of {group} is proposed"


class GroupExists(ChatError):
    code = "group-exists"
    sentence = "The name {name} {is_}; choose another"
    defaults = {"is_": "is taken"}


class AlreadyMember(ChatError):
    code = "already-member"
    sentence = "{name} is already a member of {group}"


class NotMember(ChatError):
    code = "not-member"
    sentence = "You are not a member of {group}; join it first"


class NotTheirGroup(ChatError):
    code = "user-not-member"
    sentence = "{name} is not a member of {group}"


class NotAdmin(ChatError):
    code = "not-admin"
    sentence = "Only the admins of {group} may do that; members {group} shows who they are"


class LastAdmin(ChatError):
    code = "last-admin"
    sentence = "{name} is the only admin of {group}; make somebody else an admin first"


class Banned(ChatError):
    """From a group, or from the whole realm: then `group` is the realm, and `until` a Term."""

    code = "banned"
    sentence = "You are banned from {group}{until}; {advice}"
    defaults = {"until": "", "advice": "ask one of its admins to invite you"}


class Muted(ChatError):
    """By a moderator of the realm of the group. `until` is a Term (chatd.base.terms)."""

    code = "muted"
    sentence = "You are muted in {group}{until}; ask the moderators of its realm"
    defaults = {"until": ""}


class NotMuted(ChatError):
    code = "not-muted"
    sentence = "{name} is not muted there; admin mute list shows who is"


class TooManyMutes(ChatError):
    code = "too-many-mutes"
    sentence = "There are {limit} mutes, the most a realm may have; remove one first"


class NotBanned(ChatError):
    code = "not-banned"
    sentence = "{name} is not banned from {group}; bans {group} lists the bans"


class GroupFull(ChatError):
    code = "group-full"
    sentence = "{group} is full with {limit} members; ask its admins to make room"


class RealmFull(ChatError):
    code = "realm-full"
    sentence = (
        "{group} already has {limit} members from {realm}, the most from one realm; ask the operator "
        "of the group's realm to raise the limit"
    )


class TooManyGroups(ChatError):
    code = "too-many-groups"
    sentence = "{name} is already in {limit} groups, the most allowed; leave one first"


class TooManyNewGroups(ChatError):
    code = "too-many-new-groups"
    sentence = (
        "You created {limit} groups within an hour; you can create the next one in {minutes} min"
    )


class TooManyTakenNames(ChatError):
    code = "too-many-taken-names"
    sentence = "You chose {limit} names within an hour that are taken; try again in {minutes} min"


class TooManyFailedJoins(ChatError):
    code = "too-many-failed-joins"
    sentence = "Too many of your joins have failed; try again in {seconds} s"


class UnknownInvitation(ChatError):
    code = "unknown-invitation"
    sentence = "You have no invitation to {group}; invitations lists yours"


class TooManyInvitations(ChatError):
    code = "too-many-invitations"
    sentence = "{limit} invitations of {name} wait for an answer, the most allowed; try again later"


class NotRequested(ChatError):
    code = "not-requested"
    sentence = "{name} has not asked to join {group}; only they can accept an invitation"


class UnknownConversation(ChatError):
    code = "unknown-conversation"
    sentence = "You have no conversation {name}"


class NoConversation(UnknownConversation):
    sentence = "There is no conversation {name} in this realm; report list has the numbers of some"


class NotYourself(ChatError):
    code = "not-yourself"
    sentence = "You can only read your own inbox, and you are {name}"


class NotInRoom(ChatError):
    code = "not-in-room"
    sentence = "You are not in a room; join one first: roomjoin <room>"


class UnknownMessage(ChatError):
    code = "unknown-message"
    sentence = "There is no message #{seq} in this conversation; history shows those that there are"


class MessageDeleted(UnknownMessage):
    sentence = "Message #{seq} was deleted"


class MessageWithheld(UnknownMessage):
    sentence = "The content of message #{seq} is not shown, so it can't be forwarded"


class NotYours(ChatError):
    code = "not-yours"
    sentence = "Message #{seq} is not yours; only {who} may do that"


class NotEditable(ChatError):
    code = "not-editable"
    sentence = "Message #{seq} {has}, so it can't be edited; delete it and send another"


class TooManyReactions(ChatError):
    code = "too-many-reactions"
    sentence = "Message #{seq} already has {limit} different emojis, the most; use one of them"


class TooManyPins(ChatError):
    code = "too-many-pins"
    sentence = "This conversation already has {limit} pinned messages, the most; unpin one first"


class NotPending(ChatError):
    code = "not-pending"
    sentence = "You have no message {id} that could be dismissed; those that were refused can be"
