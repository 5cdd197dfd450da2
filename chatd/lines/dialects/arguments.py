"""Arguments that verbs of several older dialects take."""

from __future__ import annotations

from chatd.commands import arguments as types
from chatd.commands.rows import Arg
from chatd.lines.dialects.typed_text import TypedText
from chatd.lines.inline_file import INLINE_FILE

USERNAME = Arg("username", types.NAME)
PASSWORD = Arg("password", types.SECRET)
FULL_NAME = Arg("name", types.FULL_NAME)
TO = Arg("to", types.ADDRESS)
PEOPLE = Arg("to", types.ADDRESSES)
GROUP = Arg("group", types.GROUP)
NEW_GROUP = Arg("group", types.NAME)
TEXT = Arg("text", types.TEXT)
TYPED_TEXT = Arg("text", TypedText())
LAST_TEXT = Arg("text", TypedText(closed=False))
FILENAME = Arg("filename", types.FILENAME)
SPACED_FILENAME = Arg("filename", types.SPACED_FILENAME)
FILE = Arg("content", INLINE_FILE, optional=True)
REALM = Arg("realm", types.NAME)
REALM_ADDRESS = (REALM, Arg("host", types.HOST), Arg("port", types.PORT))
REMOTE_USER = Arg("user", types.NAME)
REMOTE_USERS = Arg("group", types.NAMES)
REMOTE_GROUP = Arg("group", types.GROUP_NAME)
