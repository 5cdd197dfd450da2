"""Values of replies and events that docs/protocol.md shows as the dialects write them."""

from __future__ import annotations

from chatd.base import events
from chatd.base.attachments import Attachment
from chatd.base.errors import ShuttingDown
from chatd.base.model import Message, Receipt, Sent
from chatd.base.replies import (
    Contact,
    ConversationInfo,
    FileInfo,
    GroupInfo,
    Item,
    Member,
    RoomInfo,
    UnreadCount,
    UserInfo,
)
from chatd.commands.handlers.replies import receipt_data
from chatd.commands.table import BY_VERB, describe

AT = 1_795_169_703_000
FILE = Attachment(1, "v4jgxn", "plan.txt", 21, "97201e35…", "text/plain", "", AT)
TEXT = Message(7, 2, 3, AT, "henderson", "messi", None, "halo, selamat malam")
POST = Message(8, 5, 1, AT, "lineker", None, "bagan", file=FILE)
BAGAN = GroupInfo("bagan", "k3x:9qa", 3, False, True, True, "Kelompok Bagan")
FUTSAL = GroupInfo("futsal@realm2", "", 3, False, True, False)
DIRECT = ConversationInfo(2, "Jordan Henderson", 2, 1, 3, TEXT, user="henderson", online=True)
GROUP = ConversationInfo(5, "bagan", 0, 1, 1, POST, group=BAGAN)
LOST = ConversationInfo(2, "futsal@realm2", 0, 0, 0, group=FUTSAL, rescue="futsal@realm3")
ITEMS: tuple[tuple[str, str, Item], ...] = (
    ("messages", "inbox, history, search: a direct message", TEXT),
    ("messages", "the same: a file, in a group", POST),
    ("users", "users, info", UserInfo("messi", "Lionel Messi", "Argentina", True)),
    ("contacts", "contacts", Contact("lineker", False)),
    ("conversations", "unread", UnreadCount(2, 4, user="henderson")),
    ("conversations", "conversations: a direct one", DIRECT),
    ("conversations", "the same: a group", GROUP),
    ("conversations", "the same: a group whose realm is not reached", LOST),
    ("groups", "groups, mygroups", BAGAN),
    ("members", "members", Member("messi", True, True)),
    ("files", "files", FileInfo("v4jgxn", "plan.txt", 21, "lineker", AT)),
    ("rooms", "rooms", RoomInfo("12345 67890", ("henderson", "messi"))),
    ("commands", "help", describe(BY_VERB["ping"])),
)
SENT = receipt_data(Sent((Receipt(2, 3, 7, "messi", at=AT),)), single=False)
KICKED = events.MemberChange(7, "bola", "messi", "kicked", 9, AT, "lineker", removed=True)
WITHDRAWN = events.MemberChange(
    0, "futsal@realm2", "messi", "kicked", 0, AT, "budi@realm2", removed=True
)
EVENTS: tuple[tuple[str, events.Event], ...] = (
    ("a message arrived (after `listen`)", TEXT),
    ("a file arrived in a group (after `listen`)", POST),
    ("an admin has removed you from a group (after `listen`)", KICKED),
    ("talk in your room", events.RoomTalk("12345 67890", "messi", "Lionel Messi", "vamos", AT)),
    ("somebody has entered or left it", events.RoomChange("tamu", "messi", "Lionel Messi", True)),
    ("the list of rooms has changed (after `rooms` with `watch`)", events.RoomsChanged()),
    (
        "the session has ended elsewhere",
        events.SessionEnded("The password was changed; log in again"),
    ),
    ("the connection is being closed", events.Closing(ShuttingDown())),
)
# What `listen` with `all` shows besides
ALL_EVENTS: tuple[tuple[str, events.Event], ...] = (
    (
        "a text was changed",
        events.Edited(2, 4, 3, "halo @messi", AT, "henderson", mentions=("messi",)),
    ),
    ("a message was deleted", events.Deleted(5, 2, 1, AT, "lineker", "bagan")),
    ("a reaction was added, or removed", events.Reaction(2, 5, 3, AT, "messi", "👍", on=True)),
    ("a message was pinned, or unpinned", events.Pinned(2, 6, 3, AT, "messi", on=True)),
    (
        "who is in a group has changed",
        events.MemberChange(5, "bagan", "messi", "joined", 3, AT, "messi"),
    ),
    ("a group has changed", events.GroupChange(5, 4, "bagan", AT, "lineker", {"closed": True})),
    (
        "the other person of a conversation has moved to another realm",
        events.AddressChange(2, 7, AT, "messi@realm1", "leo@realm2"),
    ),
    ("the delivery of your message has changed", events.StateChange(9, 1, 12, "delivered")),
    (
        "the same: it is refused",
        events.StateChange(9, 2, 13, "refused", "There is no user bdui in realm2", "unknown-user"),
    ),
    ("the file of a message is here, or lost", events.FileChange(9, 4, "here")),
    ("somebody has read a conversation", events.ReadMoved(2, 3, "henderson")),
    ("somebody is typing", events.Typing(2, "henderson")),
    ("somebody is online, away or offline", events.PresenceChange("henderson", "online")),
    (
        "a profile has changed",
        events.ProfileChange("henderson", "Jordan Henderson", "England"),
    ),
    ("a conversation is new", events.ConversationChange(2, user="henderson")),
    (
        "a group whose realm is lost was rescued by another one: here that is pending",
        events.GroupRescue(2, "futsal@realm2", "pending", "futsal@realm2", "futsal@realm3", AT),
    ),
    ("you have blocked somebody over another connection", events.BlockChange("henderson", on=True)),
    ("you are invited to a group", events.Invitation("futsal@realm2", "budi@realm2", AT, "realm2")),
    ("that invitation is withdrawn", WITHDRAWN),
    (
        "somebody of a realm that nobody here has added asks to write to you",
        events.MessageRequest("budi@realm2", 9, 1, AT, "halo"),
    ),
    ("your import has come further, or has ended", events.ImportChange("running", 1200, 3, 17)),
)
