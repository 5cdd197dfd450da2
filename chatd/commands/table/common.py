"""Arguments and errors that several commands share."""

from __future__ import annotations

from chatd.base import errors
from chatd.commands import arguments as types
from chatd.commands.rows import Arg

# For commands that name people or groups of realms that nobody here knows yet
LOOKUP_ERRORS = (errors.RealmNotFound, errors.LookupDenied, errors.TooManyLookups)
PEOPLE_ERRORS = (errors.UnknownUser, errors.UnknownRealm)
GROUP_ERRORS = (errors.UnknownGroup, errors.NotMember, errors.UnknownRealm)
PLACE_ERRORS = (errors.UnknownUser, *GROUP_ERRORS, errors.AmbiguousName)
CONVERSATION_ERRORS = (*PLACE_ERRORS, errors.UnknownConversation)
REMOTE_ERRORS = (errors.RealmDown, errors.PeerFailed)  # for commands that can't be queued
ADMIN_ERRORS = (*GROUP_ERRORS, errors.NotAdmin, *REMOTE_ERRORS)
MEMBERSHIP_ERRORS = (errors.GroupFull, errors.RealmFull, errors.TooManyGroups)
POST_ERRORS = (
    *GROUP_ERRORS,
    errors.UnknownUser,
    errors.GroupClosed,
    errors.Banned,
    errors.MessageTooLong,
)
FILE_ERRORS = (errors.BadFileName, errors.FileTooLarge, errors.QuotaExceeded)

GROUP = Arg("group", types.GROUP)
TEXT = Arg("text", types.TEXT)
TO = Arg("to", types.ADDRESSES, also=("users", "user"))
USER = Arg("user", types.ADDRESS, also=("to",))
PERSON_OR_REALM = Arg("user", types.PERSON_OR_REALM, also=("realm", "to"))
PLACE = Arg("place", types.PLACE, also=("user", "to", "group"))
# A place, or in JSON the id of a conversation. Reading.find has what it may be.
CONVERSATION = Arg("place", types.CONVERSATION, also=("user", "to", "group", "conversation"))
GROUP_OR_PEOPLE = Arg("group", types.GROUP_OR_PEOPLE, also=("to", "users"))
GROUP_OR_NAMES = Arg("group", types.GROUP_OR_NAMES, also=("to", "users"))
REALM = Arg("realm", types.NAME)
USER_THERE = Arg("user", types.NAME, also=("to",))
FILENAME = Arg("filename", types.FILENAME)
SIZE = Arg("size", types.SIZE)
KEY = Arg("key", types.KEY, optional=True, named=True)
WAIT = Arg("wait", types.FLAG, optional=True, named=True)
SEQ = Arg("seq", types.COUNT)  # of a message, in its conversation
OPAQUE = Arg("opaque", types.OPAQUE, optional=True, named=True)
TEXT_OR_OPAQUE = Arg("text", types.TEXT, unless="opaque")
REPLY = Arg("reply", types.COUNT, optional=True, named=True)
# As CONVERSATION, for commands that need none.
OPTIONAL_CONVERSATION = Arg(
    "place",
    types.CONVERSATION,
    also=("user", "to", "group", "conversation"),
    optional=True,
)
# As CONVERSATION, for commands that have another `to`.
FROM_CONVERSATION = Arg("place", types.CONVERSATION, also=("user", "group", "conversation"))
