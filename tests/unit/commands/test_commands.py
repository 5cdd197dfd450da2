"""The table of commands: each command is parsed from words and from named arguments, or refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import BadRequest, EmptyText, NotModerator, NotOperator, Usage
from chatd.base.model import Opaque
from chatd.base.names import Address, Place
from chatd.base.roles import MODERATOR, OPERATOR
from chatd.base.texts import Secret
from chatd.commands import values as ask
from chatd.commands.arguments import Type
from chatd.commands.handlers import HANDLERS
from chatd.commands.rows import Row
from chatd.commands.table import BY_COMMAND, BY_VERB, COMMON_ERRORS, TABLE, describe
from chatd.commands.values import Command
from tests.unit.commands.admin_cases import ADMIN_CASES

A, B, G = Address("a"), Address("b", "realm1"), Address("g")
STRANGER = Place(Address("budi", "realm2"))
FORWARD = ask.ForwardMessage(Place(A, A), 7, Place(B, B))
SEALED = {"type": "a/b", "body": "Yw=="}
TEN = Secret("0123456789")

# The verbs of `plain`, with their aliases (spec/dialects.md).
VERBS = {
    "register": ("auth_register", "signup"),
    "auth": ("login", "auth_login", "signin"),
    "resume": (),
    "logout": ("auth_logout", "logoff"),
    "sessions": (),
    "revoke": (),
    "password": ("passwd",),
    "export": (),
    "import": (),
    "imported": (),
    "cancelimport": (),
    "deleteaccount": (),
    "moveaccount": (),
    "takeaccount": (),
    "moves": (),
    "cancelmove": (),
    "claimaccount": (),
    "acceptmove": (),
    "declinemove": (),
    "claim": (),
    "whoami": (),
    "profile": (),
    "status": (),
    "away": (),
    "setpicture": (),
    "removepicture": (),
    "getpicture": (),
    "info": ("who",),
    "users": ("ls",),
    "contacts": (),
    "addcontact": (),
    "delcontact": (),
    "block": (),
    "unblock": (),
    "blocked": (),
    "send": ("msg", "tell", "dm", "privmsg"),
    "inbox": (),
    "unread": (),
    "conversations": (),
    "history": (),
    "readers": (),
    "typing": (),
    "privacy": (),
    "report": (),
    "reports": (),
    "closereport": (),
    "notify": (),
    "archive": (),
    "verbose": (),
    "sync": (),
    "compose": (),
    "search": (),
    "reply": (),
    "forward": (),
    "edit": (),
    "delete": (),
    "react": (),
    "pin": (),
    "pins": (),
    "dismiss": (),
    "addgroup": ("mkgr",),
    "joingroup": ("join",),
    "leavegroup": ("leave", "part"),
    "groups": ("ls_group",),
    "mygroups": (),
    "members": ("ls_member", "names"),
    "invite": (),
    "invitations": (),
    "requests": (),
    "accept": (),
    "decline": (),
    "kick": (),
    "bans": (),
    "unban": (),
    "promote": (),
    "demote": (),
    "transfer": (),
    "group": (),
    "setgroup": (),
    "movegroup": (),
    "renewcode": (),
    "rescuegroup": (),
    "closegroup": (),
    "opengroup": (),
    "sendgroup": (),
    "inboxgroup": (),
    "sendfile": ("send_file",),
    "sendgroupfile": ("sendgroup_file",),
    "files": (),
    "deletefile": (),
    "getfile": ("download_file", "downloadgroup_file"),
    "roomjoin": (),
    "roomchat": ("say",),
    "roomsendfile": ("room_send_file",),
    "roomfiles": (),
    "roomgetfile": ("room_get_file",),
    "roomleave": (),
    "rooms": (),
    "addrealm": (),
    "delrealm": (),
    "realms": (),
    "sendprivaterealm": (),
    "sendgrouprealm": (),
    "sendfilerealm": (),
    "sendgroupfilerealm": (),
    "getrealminbox": (),
    "getinboxrealm": (),
    "listen": (),
    "help": ("?", "commands"),
    "ping": (),
    "quit": ("exit", "bye"),
}
# The arguments of each verb as `usage` shows them.
USAGES = {
    "register": "register username secret [name] [country] [invite=code]",
    "sendgroup": "sendgroup group|address,address[,…] text",
    "inbox": "inbox [user|group]",
    "logout": "logout",
    "profile": "profile [name] [country]",
    "history": "history user|group [n]",
    "sendfile": "sendfile address[,address…] filename size",
    "addrealm": "addrealm realm host port",
    "admin.user.disable": "admin user disable user [reason]",
    "admin.audit": "admin audit [limit=number] [before=number]",
    "sendprivaterealm": "sendprivaterealm realm user text",
    "sendgrouprealm": "sendgrouprealm realm group|user,user[,…] text",
    "sendfilerealm": "sendfilerealm realm user filename size",
    "getinboxrealm": "getinboxrealm realm username",
    "joingroup": "joingroup group|code",
    "listen": "listen on|all|off",
    "ping": "ping",
}

# verb, the line after it, the same by name, the command
CASES: tuple[tuple[str, str, dict[str, Any], Command], ...] = (
    *ADMIN_CASES,
    (
        "register",
        "a 0123456789",
        {"username": "a", "password": "0123456789"},
        ask.Register("a", TEN),
    ),
    (
        "register",
        "a 0123456789 Lionel_Messi Argentina",
        {"username": "a", "password": "0123456789", "name": "Lionel Messi", "country": "Argentina"},
        ask.Register("a", TEN, "Lionel Messi", "Argentina"),
    ),
    (
        "register",
        "a 0123456789 invite=3f7k-9q2m Lionel_Messi",
        {"username": "a", "password": "0123456789", "invite": "3f7k-9q2m", "name": "Lionel Messi"},
        ask.Register("a", TEN, "Lionel Messi", invite=Secret("3f7k-9q2m")),
    ),
    (
        "register",
        "a invite=passw Leo",
        {"username": "a", "password": "invite=passw", "name": "Leo"},
        ask.Register("a", Secret("invite=passw"), "Leo"),
    ),
    ("auth", "a 0123456789", {"username": "a", "password": "0123456789"}, ask.LogIn("a", TEN)),
    ("login", "a 0123456789 ", {"username": "a", "password": "0123456789"}, ask.LogIn("a", TEN)),
    ("resume", "0123456789", {"token": "0123456789"}, ask.ResumeSession(TEN)),
    ("logout", "", {}, ask.LogOut()),
    ("logout", "  ", {}, ask.LogOut()),
    (
        "password",
        "0123456789 new-one-1",
        {"old": "0123456789", "new": "new-one-1"},
        ask.ChangePassword(TEN, Secret("new-one-1")),
    ),
    ("sessions", "", {}, ask.ListSessions()),
    ("revoke", "7", {"session": 7}, ask.RevokeSession(7)),
    ("export", "", {}, ask.ExportData()),
    ("import", "a.zip 7", {"filename": "a.zip", "size": 7}, ask.ImportArchive("a.zip", 7)),
    ("imported", "", {}, ask.ShowImport()),
    ("cancelimport", "", {}, ask.CancelImport()),
    (
        "deleteaccount",
        "0123456789 erase",
        {"password": "0123456789", "messages": "erase"},
        ask.DeleteAccount(TEN, "erase"),
    ),
    (
        "moveaccount",
        "a@realm2 0123456789",
        {"address": "a@realm2", "password": "0123456789"},
        ask.MoveAccount(Address("a", "realm2"), TEN),
    ),
    ("takeaccount", "a@realm2", {"address": "a@realm2"}, ask.TakeAccount(Address("a", "realm2"))),
    ("moves", "", {}, ask.ListMoves()),
    ("cancelmove", "", {}, ask.CancelMove()),
    ("claimaccount", "a@realm2", {"address": "a@realm2"}, ask.ClaimAccount(Address("a", "realm2"))),
    ("acceptmove", "a@realm2", {"address": "a@realm2"}, ask.AcceptMove(Address("a", "realm2"))),
    ("declinemove", "a@realm2", {"address": "a@realm2"}, ask.DeclineMove(Address("a", "realm2"))),
    ("claim", "0123456789", {"code": "0123456789"}, ask.ClaimRealm(TEN)),
    ("whoami", "", {}, ask.ShowAccount()),
    ("profile", "", {}, ask.ChangeProfile()),
    (
        "profile",
        "Leo_Messi Argentina",
        {"name": "Leo Messi", "country": "Argentina"},
        ask.ChangeProfile("Leo Messi", "Argentina"),
    ),
    ("status", "at work", {"text": "at work"}, ask.SetStatus("at work")),
    ("status", "", {"text": " "}, ask.SetStatus()),
    ("away", "on", {"on": True}, ask.SetAway(True)),
    (
        "setpicture",
        "@a me.jpg 7",
        {"user": "a", "filename": "me.jpg", "size": 7},
        ask.SetPicture(Place(user=A), "me.jpg", 7),
    ),
    ("removepicture", "@a", {"user": "a"}, ask.RemovePicture(Place(user=A))),
    ("getpicture", "@a", {"user": "a"}, ask.GetPicture(Place(user=A))),
    ("info", "", {}, ask.ListActive()),
    ("users", "", {}, ask.ListUsers()),
    ("contacts", "", {}, ask.ListContacts()),
    ("addcontact", "b@realm1", {"user": "b@realm1"}, ask.AddContact(B)),
    ("delcontact", "a", {"to": "a"}, ask.DeleteContact(A)),
    ("block", "@b@realm1", {"user": "b@realm1"}, ask.BlockPerson(B)),
    ("block", "@@realm1", {"realm": "realm1"}, ask.BlockPerson("realm1")),
    ("unblock", "@@realm1", {"user": "@@realm1"}, ask.UnblockPerson("realm1")),
    ("blocked", "", {}, ask.ListBlocks()),
    (
        "send",
        "a halo  semua ",
        {"to": "a", "text": "halo  semua "},
        ask.SendMessage((A,), "halo  semua "),
    ),
    (
        "send",
        "a,b@realm1 x",
        {"users": ["a", "b@realm1"], "text": "x"},
        ask.SendMessage((A, B), "x"),
    ),
    ("send", "a  x", {"user": "a", "text": " x"}, ask.SendMessage((A,), " x")),
    ("inbox", "", {}, ask.ReadInbox()),
    ("inbox", "b@realm1", {"place": "b@realm1"}, ask.ReadInbox(Place(B, B))),
    ("unread", "", {}, ask.CountUnread()),
    ("conversations", "", {}, ask.ListConversations()),
    ("read", "7 12", {"conversation": 7, "seq": 12}, ask.MarkRead(7, 12)),
    ("dismiss", "7", {"message_id": 7}, ask.DismissMessage(7)),
    ("readers", "@a 7", {"user": "a", "seq": 7}, ask.ShowReaders(Place(A), 7)),
    ("typing", "#g", {"group": "g"}, ask.TellTyping(Place(group=G))),
    ("privacy", "", {}, ask.ChangePrivacy()),
    (
        "report",
        "a 7 it is spam",
        {"place": "a", "seq": 7, "reason": "it is spam"},
        ask.ReportMessage(Place(A, A), 7, "it is spam"),
    ),
    ("reports", "", {}, ask.ListReports()),
    ("closereport", "7", {"report": 7}, ask.CloseReport(7)),
    (
        "notify",
        "#g none 1970-01-01T00:00:01Z",
        {"group": "g", "level": "none", "until": "1970-01-01T00:00:01Z"},
        ask.SetNotifications(Place(group=G), "none", 1000),
    ),
    (
        "archive",
        "@a on",
        {"user": "a", "on": True},
        ask.ArchiveConversation(Place(A), True),
    ),
    ("verbose", "on", {"on": True}, ask.SetVerbose(True)),
    ("sync", "", {}, ask.SyncLog()),
    (
        "privacy",
        "receipts off",
        {"key": "receipts", "value": False},
        ask.ChangePrivacy("receipts", False),
    ),
    ("history", "b@realm1", {"place": "b@realm1"}, ask.ShowHistory(Place(B, B))),
    ("history", "b@realm1 5", {"place": "b@realm1", "n": 5}, ask.ShowHistory(Place(B, B), 5)),
    (
        "edit",
        "a 7 b c",
        {"place": "a", "seq": 7, "text": "b c"},
        ask.EditMessage(Place(A, A), 7, "b c"),
    ),
    (
        "reply",
        "a 7 b",
        {"place": "a", "seq": 7, "text": "b"},
        ask.ReplyToMessage(Place(A, A), 7, "b"),
    ),
    ("forward", "a 7 b@realm1", {"place": "a", "seq": 7, "to": "b@realm1"}, FORWARD),
    ("delete", "a 7", {"place": "a", "seq": 7}, ask.DeleteMessage(Place(A, A), 7)),
    (
        "react",
        "a 7 👍",
        {"place": "a", "seq": 7, "emoji": "👍"},
        ask.ReactToMessage(Place(A, A), 7, "👍"),
    ),
    (
        "react",
        "a 7 👍 off",
        {"place": "a", "seq": 7, "emoji": "👍", "on": False},
        ask.ReactToMessage(Place(A, A), 7, "👍", False),
    ),
    ("pin", "a 7 on", {"place": "a", "seq": 7, "on": True}, ask.PinMessage(Place(A, A), 7)),
    ("pins", "a", {"place": "a"}, ask.ListPins(Place(A, A))),
    ("search", "halo semua", {"text": "halo semua"}, ask.SearchMessages("halo semua")),
    ("addgroup", "g", {"group": "g"}, ask.AddGroup("g")),
    (
        "addgroup",
        "g private",
        {"group": "g", "visibility": "private"},
        ask.AddGroup("g", visibility="private"),
    ),
    ("joingroup", "k3x9qa", {"code": "k3x9qa"}, ask.JoinGroup(Address("k3x9qa"))),
    ("joingroup", "b@realm1", {"group": "b@realm1"}, ask.JoinGroup(B)),
    ("leavegroup", "g", {"group": "g"}, ask.LeaveGroup(G)),
    ("leave", "b@realm1", {"group": "b@realm1"}, ask.LeaveGroup(B)),
    ("groups", "", {}, ask.ListGroups()),
    ("mygroups", "", {}, ask.ListOwnGroups()),
    ("members", "g", {"group": "g"}, ask.ListMembers(G)),
    ("members", "b@realm1", {"group": "b@realm1"}, ask.ListMembers(B)),
    ("invite", "g a", {"group": "g", "user": "a"}, ask.InviteMembers(G, (A,))),
    (
        "invite",
        "g a  b@realm1",
        {"group": "g", "users": ["a", "b@realm1"]},
        ask.InviteMembers(G, (A, B)),
    ),
    ("invitations", "", {}, ask.ListInvitations()),
    ("requests", "", {}, ask.ListRequests()),
    ("accept", "@budi@realm2", {"user": "budi@realm2"}, ask.AcceptInvitation(STRANGER)),
    ("decline", "@budi@realm2", {"user": "@budi@realm2"}, ask.DeclineInvitation(STRANGER)),
    ("accept", "#g", {"group": "g"}, ask.AcceptInvitation(G)),
    ("decline", "g", {"group": "g"}, ask.DeclineInvitation(G)),
    ("kick", "g a", {"group": "g", "user": "a"}, ask.KickMember(G, A)),
    ("bans", "g", {"group": "g"}, ask.ListBans(G)),
    ("unban", "g a", {"group": "g", "user": "a"}, ask.LiftBan(G, A)),
    ("promote", "g a", {"group": "g", "to": "a"}, ask.PromoteMember(G, A)),
    ("demote", "g a", {"group": "g", "user": "a"}, ask.DemoteAdmin(G, A)),
    ("transfer", "g a", {"group": "g", "user": "a"}, ask.TransferGroup(G, A)),
    ("rescuegroup", "g@r", {"group": "g@r"}, ask.RescueGroup(Address("g", "r"))),
    ("group", "g", {"group": "g"}, ask.ShowGroup(G)),
    (
        "setgroup",
        "g topic two words",
        {"group": "g", "key": "topic", "value": "two words"},
        ask.SetGroup(G, "topic", "two words"),
    ),
    ("movegroup", "g realm2", {"group": "g", "realm": "realm2"}, ask.MoveGroup(G, "realm2")),
    ("renewcode", "g", {"group": "g"}, ask.RenewCode(G)),
    ("closegroup", "g", {"group": "g"}, ask.CloseGroup(G)),
    ("opengroup", "g", {"group": "g"}, ask.OpenGroup(G)),
    ("sendgroup", "g x y", {"group": "g", "text": "x y"}, ask.SendGroupMessage(G, "x y")),
    (
        "sendgroup",
        "a,b@realm1 x",
        {"to": ["a", "b@realm1"], "text": "x"},
        ask.SendGroupMessage((A, B), "x"),
    ),
    ("sendgroup", "b@realm1 x", {"group": "b@realm1", "text": "x"}, ask.SendGroupMessage(B, "x")),
    ("inboxgroup", "g", {"group": "g"}, ask.ReadGroupInbox(G)),
    (
        "sendfile",
        "a f.txt 3",
        {"to": "a", "filename": "f.txt", "size": 3},
        ask.SendFile((A,), "f.txt", 3),
    ),
    (
        "sendgroupfile",
        "g f.txt 0",
        {"group": "g", "filename": "f.txt", "size": 0},
        ask.SendGroupFile(G, "f.txt", 0),
    ),
    ("files", "", {}, ask.ListFiles()),
    ("deletefile", "abc234", {"code": "abc234"}, ask.DeleteFile("abc234")),
    ("getfile", "my file.txt", {"filename": "my file.txt"}, ask.GetFile("my file.txt")),
    ("roomjoin", "12345 67890", {"room": "12345 67890"}, ask.JoinRoom("12345 67890")),
    ("roomchat", " hi ", {"text": " hi "}, ask.SendRoomMessage(" hi ")),
    (
        "roomsendfile",
        "f.txt 3",
        {"filename": "f.txt", "size": 3},
        ask.SendRoomFile("f.txt", 3),
    ),
    ("roomfiles", "", {}, ask.ListRoomFiles()),
    ("roomgetfile", "my file.txt", {"filename": "my file.txt"}, ask.GetRoomFile("my file.txt")),
    ("roomleave", "", {}, ask.LeaveRoom()),
    ("rooms", "", {}, ask.ListRooms()),
    (
        "addrealm",
        "realm2 172.16.16.102 8890",
        {"realm": "realm2", "host": "172.16.16.102", "port": 8890},
        ask.AddRealm("realm2", "172.16.16.102", 8890),
    ),
    (
        "addrealm",
        "r  ::1  1 ",
        {"port": 1, "host": "::1", "realm": "r"},
        ask.AddRealm("r", "::1", 1),
    ),
    ("delrealm", "realm2", {"realm": "realm2"}, ask.DeleteRealm("realm2")),
    ("realms", "", {}, ask.ListRealms()),
    (
        "sendprivaterealm",
        "r a halo  semua ",
        {"realm": "r", "user": "a", "text": "halo  semua "},
        ask.SendRealmMessage("r", "a", "halo  semua "),
    ),
    (
        "sendprivaterealm",
        "r a  x",
        {"realm": "r", "to": "a", "text": " x"},
        ask.SendRealmMessage("r", "a", " x"),
    ),
    (
        "sendgrouprealm",
        "r g x y",
        {"realm": "r", "group": "g", "text": "x y"},
        ask.SendRealmGroupMessage("r", "g", "x y"),
    ),
    (
        "sendgrouprealm",
        "r a,b x",
        {"realm": "r", "users": ["a", "b"], "text": "x"},
        ask.SendRealmGroupMessage("r", ("a", "b"), "x"),
    ),
    (
        "sendfilerealm",
        "r a f.txt 3",
        {"realm": "r", "user": "a", "filename": "f.txt", "size": 3},
        ask.SendRealmFile("r", "a", "f.txt", 3),
    ),
    (
        "sendgroupfilerealm",
        "r g f.txt 0",
        {"realm": "r", "group": "g", "filename": "f.txt", "size": 0},
        ask.SendRealmGroupFile("r", "g", "f.txt", 0),
    ),
    (
        "sendgroupfilerealm",
        "r a,b f.txt 3",
        {"realm": "r", "to": ["a", "b"], "filename": "f.txt", "size": 3},
        ask.SendRealmGroupFile("r", ("a", "b"), "f.txt", 3),
    ),
    ("getrealminbox", "r", {"realm": "r"}, ask.ReadRealmInbox("r")),
    ("getinboxrealm", "r a", {"realm": "r", "username": "a"}, ask.ReadOwnRealmInbox("r", "a")),
    ("listen", "on", {"on": True}, ask.SetListening(True)),
    ("listen", "off", {"on": False}, ask.SetListening(False)),
    ("listen", "ALL", {"on": "all"}, ask.SetListening("all")),
    ("help", "", {}, ask.ShowHelp()),
    ("help", "SEND", {"verb": "Send"}, ask.ShowHelp("send")),
    ("ping", "", {}, ask.CheckAlive()),
    ("quit", "", {}, ask.Quit()),
)

# Lines that can express less, or more, than named arguments.
WORDS_ONLY: tuple[tuple[str, str, Command], ...] = (
    ("inbox", "a", ask.ReadInbox(Place(A, A))),
    ("history", "a 3", ask.ShowHistory(Place(A, A), 3)),
)
NAMES_ONLY: tuple[tuple[str, dict[str, Any], Command], ...] = (
    ("rooms", {"watch": True}, ask.ListRooms(True)),
    ("inbox", {"group": "g"}, ask.ReadInbox(Place(group=G))),
    ("inbox", {"group": "b@realm1"}, ask.ReadInbox(Place(group=B))),
    ("inbox", {"user": "b@realm1"}, ask.ReadInbox(Place(B))),
    ("listen", {"on": True, "all": True}, ask.SetListening(True, True)),
    ("history", {"to": "b@realm1"}, ask.ShowHistory(Place(B))),
    ("history", {"user": "b@realm1", "n": 5}, ask.ShowHistory(Place(B), 5)),
    ("sendgroup", {"users": "a", "text": "x"}, ask.SendGroupMessage((A,), "x")),
    ("send", {"to": "a", "opaque": SEALED}, ask.SendMessage((A,), opaque=Opaque("a/b", b"c"))),
    (
        "sendgroup",
        {"group": "g", "opaque": SEALED},
        ask.SendGroupMessage(G, opaque=Opaque("a/b", b"c")),
    ),
    (
        "sendgrouprealm",
        {"realm": "r", "to": "a", "text": "x"},
        ask.SendRealmGroupMessage("r", ("a",), "x"),
    ),
    (
        "sendgroupfilerealm",
        {"realm": "r", "users": ["a"], "filename": "f", "size": 1},
        ask.SendRealmGroupFile("r", ("a",), "f", 1),
    ),
    ("inbox", {"peek": True}, ask.ReadInbox(None, True)),
    ("inbox", {"user": "a", "peek": False}, ask.ReadInbox(Place(A), False)),
    ("history", {"group": "g"}, ask.ShowHistory(Place(group=G))),
    ("history", {"conversation": 7}, ask.ShowHistory(7)),
    ("history", {"conversation": 7, "after": 3}, ask.ShowHistory(7, after=3)),
    ("history", {"conversation": 7, "around": 3}, ask.ShowHistory(7, around=3)),
    (
        "history",
        {"conversation": 7, "since": "1970-01-01T00:00:01Z"},
        ask.ShowHistory(7, since=1000),
    ),
    ("privacy", {"receipts": True}, ask.ChangePrivacy(receipts=True)),
    (
        "privacy",
        {"presence": True, "invitations": False},
        ask.ChangePrivacy(presence=True, invitations=False),
    ),
    ("history", {"user": "a", "n": 5, "before": 7}, ask.ShowHistory(Place(A), 5, 7)),
    ("profile", {"country": "Brasil"}, ask.ChangeProfile(country="Brasil")),
    ("logout", {"everywhere": True}, ask.LogOut(True)),
)

# verb, the line after it
BAD_WORDS: tuple[tuple[str, str], ...] = (
    ("register", ""),
    ("register", "a"),
    ("register", "a pass word x y"),
    ("register", "a invite=code"),
    ("register", "a password invite="),
    ("register", "a password invite=a invite=b"),
    ("auth", "a"),
    ("auth", "a b c"),
    ("resume", ""),
    ("logout", "now"),
    ("profile", "Leo Messi Argentina"),
    ("profile", "a" * 129),
    ("conversations", "all"),
    ("send", ""),
    ("send", "a"),
    ("send", "a "),
    ("send", " a"),
    ("send", "a,,b x"),
    ("send", "a x\x07"),
    ("inbox", "a b"),
    ("read", "1"),
    ("read", "one 2"),
    ("history", ""),
    ("history", "a 0"),
    ("history", "a 5 6"),
    ("addgroup", "two words"),
    ("invite", "g"),
    ("kick", "g a b"),
    ("sendgroup", "g"),
    ("sendfile", "a f.txt"),
    ("sendfile", "a f.txt -1"),
    ("sendfile", "a f.txt 3 4"),
    ("getfile", ""),
    ("roomjoin", ""),
    ("joingroup", "b@"),
    ("sendgroup", "g@a@b x"),
    ("addrealm", ""),
    ("addrealm", "realm2"),
    ("addrealm", "realm2 localhost"),
    ("addrealm", "realm2 localhost 0"),
    ("addrealm", "realm2 localhost 65536"),
    ("addrealm", "realm2 localhost x"),
    ("addrealm", "realm2 localhost:8890 8890"),
    ("addrealm", "realm2 http://localhost 8890"),
    ("addrealm", "a@realm2 localhost 8890"),
    ("addrealm", "realm2 localhost 8890 now"),
    ("delrealm", ""),
    ("delrealm", "realm2 now"),
    ("delrealm", "realm2:8890"),
    ("realms", "all"),
    ("sendprivaterealm", "r a"),
    ("sendprivaterealm", "r a "),
    ("sendprivaterealm", "r a,b x"),
    ("sendprivaterealm", "r a@r x"),
    ("sendgrouprealm", "r g"),
    ("sendgrouprealm", "r g@r x"),
    ("sendgrouprealm", "r a,,b x"),
    ("sendfilerealm", "r a f.txt"),
    ("sendfilerealm", "r a,b f.txt 3"),
    ("sendgroupfilerealm", "r g f.txt -1"),
    ("sendgroupfilerealm", "r a,b@r f.txt 3"),
    ("getrealminbox", ""),
    ("getrealminbox", "r a"),
    ("getinboxrealm", "r"),
    ("getinboxrealm", "r a@r"),
    ("listen", ""),
    ("listen", "perhaps"),
    ("ping", "pong"),
)
BAD_NAMES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("register", {"username": "a"}),
    ("register", {"username": "a", "password": 12345678}),
    ("auth", {"username": ["a"], "password": "x"}),
    ("auth", {"username": "a", "password": "x", "extra": 1}),
    ("logout", {"text": "x"}),
    ("logout", {"everywhere": 1}),
    ("profile", {"name": ""}),
    ("profile", {"name": None}),
    ("profile", {"name": "a" * 129}),
    ("profile", {"country": "a\x07"}),
    ("profile", {"username": "a"}),
    ("send", {"to": "a"}),
    ("send", {"to": [], "text": "x"}),
    ("send", {"to": "a", "users": "b", "text": "x"}),
    ("send", {"to": "a", "text": None}),
    ("send", {"to": "a", "opaque": None}),
    ("reply", {"user": "a", "seq": 1, "opaque": SEALED}),
    ("send", {"to": "a", "text": ""}),
    ("inbox", {"peek": "maybe"}),
    ("read", {"conversation": 1, "seq": "2"}),
    ("history", {"user": "a", "n": 0}),
    ("history", {"user": "a", "before": -(2**63)}),
    ("history", {"user": "a", "before": "7"}),
    ("invite", {"group": "g", "users": []}),
    ("sendfile", {"to": "a", "filename": "", "size": 1}),
    ("sendfile", {"to": "a", "filename": "f", "size": 1.0}),
    ("addrealm", {"realm": "r", "host": "h"}),
    ("addrealm", {"realm": "r", "host": "h", "port": "8890"}),
    ("addrealm", {"realm": "r", "host": "h", "port": 65536}),
    ("addrealm", {"realm": "r", "host": ["h"], "port": 1}),
    ("addrealm", {"realm": "r", "host": "h", "port": 1, "name": "x"}),
    ("block", {"realm": "a@r"}),
    ("delrealm", {"realm": ["r"]}),
    ("realms", {"realm": "r"}),
    ("sendprivaterealm", {"realm": "r", "user": ["a"], "text": "x"}),
    ("sendprivaterealm", {"realm": "r", "user": "a", "to": "a", "text": "x"}),
    ("sendgrouprealm", {"realm": "r", "group": [], "text": "x"}),
    ("sendgrouprealm", {"realm": "r", "users": ["a@r"], "text": "x"}),
    ("sendgrouprealm", {"realm": "r", "group": "g", "users": ["a"], "text": "x"}),
    ("sendfilerealm", {"realm": "r", "user": "a", "filename": "f"}),
    ("sendgroupfilerealm", {"realm": "r", "group": "g", "filename": "f", "size": "1"}),
    ("getrealminbox", {"realm": None}),
    ("getinboxrealm", {"realm": "r", "user": "a"}),
    ("listen", {"on": 1}),
)


def refused(read: Callable[[Any], Command], given_value: Any) -> bool:
    """Whether parsing raises a BadRequest that can be shown."""
    try:
        read(given_value)
    except BadRequest as error:
        return str(error).isprintable()
    return False


class Reading(SynchronousTestCase):
    def test_every_command_has_a_case(self) -> None:
        # The text of `compose` comes in lines of its own (tests.unit.lines.test_composer).
        others = set(BY_COMMAND) - {ask.ComposeMessage}
        self.assertEqual({type(command) for *_, command in CASES}, others)

    def test_from_words(self) -> None:
        for verb, rest, _, command in CASES:
            self.assertEqual(BY_VERB[verb].from_words(rest), command, (verb, rest))

    def test_place_in_words(self) -> None:
        """In a line a place may be the name of a user or of a group."""
        for verb, rest, command in WORDS_ONLY:
            self.assertEqual(BY_VERB[verb].from_words(rest), command, (verb, rest))

    def test_from_names(self) -> None:
        for verb, _, names, command in CASES:
            self.assertEqual(BY_VERB[verb].from_names(names), command, (verb, names))

    def test_named_arguments_only(self) -> None:
        for verb, names, command in NAMES_ONLY:
            self.assertEqual(BY_VERB[verb].from_names(names), command, (verb, names))

    def test_bad_words(self) -> None:
        """Too few, too many or wrong words are refused."""
        taken = [case for case in BAD_WORDS if not refused(BY_VERB[case[0]].from_words, case[1])]
        self.assertEqual(taken, [])

    def test_bad_names(self) -> None:
        """Missing, unknown, doubled or wrong arguments are refused."""
        taken = [case for case in BAD_NAMES if not refused(BY_VERB[case[0]].from_names, case[1])]
        self.assertEqual(taken, [])

    def test_empty_list_of_people(self) -> None:
        """`invite g` and spaces names nobody, which is refused."""
        taken = [rest for rest in ("g ", "g   ") if not refused(BY_VERB["invite"].from_words, rest)]
        self.assertEqual(taken, [])

    def test_missing_word_shows_the_usage(self) -> None:
        with self.assertRaises(Usage) as caught:
            BY_VERB["kick"].from_words("g")
        self.assertEqual(str(caught.exception), "user is missing; usage: kick group address")

    def test_empty_text_is_named(self) -> None:
        with self.assertRaises(EmptyText):
            BY_VERB["send"].from_words("a ")

    def test_unknown_name_is_named(self) -> None:
        with self.assertRaises(Usage) as caught:
            BY_VERB["ping"].from_names({"txet": 1})
        self.assertIn("ping does not take txet", str(caught.exception))

    def test_the_same_argument_twice(self) -> None:
        with self.assertRaises(Usage) as caught:
            BY_VERB["send"].from_names({"to": "a", "users": "b", "text": "x"})
        self.assertIn("twice", str(caught.exception))


rows = st.sampled_from(TABLE)
any_text = st.text(st.characters(exclude_categories=()))
# Words that pass the first check.
likely = st.sampled_from(("a", "b@realm1", "a,b", "g", "7", "on", "secret-1", "f.txt", "", " "))
any_words = st.lists(st.one_of(likely, any_text), max_size=6).map(" ".join)
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text | likely,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=5,
)
any_key = st.sampled_from(sorted({key for row in TABLE for arg in row.args for key in arg.keys}))


class Properties(SynchronousTestCase):
    @given(rows, any_words)
    def test_any_words(self, row: Row, rest: str) -> None:
        """Any words give the row's command, or a BadRequest."""
        try:
            command = row.from_words(rest)
        except BadRequest:
            return
        self.assertIs(type(command), row.command)

    @given(rows, st.dictionaries(st.one_of(any_key, any_text), any_json, max_size=5))
    def test_any_names(self, row: Row, given_names: dict[str, Any]) -> None:
        """Any JSON object gives the row's command, or a BadRequest."""
        try:
            command = row.from_names(given_names)
        except BadRequest:
            return
        self.assertIs(type(command), row.command)

    @given(rows, st.data())
    def test_any_values(self, row: Row, data: st.DataObject) -> None:
        """The row's own arguments, with any JSON value, give its command or a BadRequest."""
        names = {
            data.draw(st.sampled_from(arg.keys)): data.draw(any_json)
            for arg in row.args
            if not arg.optional or data.draw(st.booleans())
        }
        try:
            command = row.from_names(names)
        except BadRequest:
            return
        self.assertIs(type(command), row.command)


class Secrets(SynchronousTestCase):
    def test_not_in_a_repr(self) -> None:
        """Neither a command nor a refused request shows a password or a token in its repr."""
        tried = 0
        for verb, rest, names, _ in CASES:
            row = BY_VERB[verb]
            if not any(arg.type.shape == "secret" for arg in row.args):
                continue
            tried += 1
            for command in (row.from_words(rest), row.from_names(names)):
                for shown in (repr(command), str(command), repr([command]), f"{command}"):
                    self.assertNotIn(TEN, shown)
        self.assertEqual(tried, 14)

    def test_not_in_a_refusal(self) -> None:
        for rest in ("a hunter2! x y z", "a,b hunter2!", "a hunter2!\x07"):
            with self.assertRaises(BadRequest) as caught:
                BY_VERB["register"].from_words(rest)
            self.assertNotIn("hunter2!", str(caught.exception))


class Table(SynchronousTestCase):
    def test_every_verb_of_plain(self) -> None:
        """The specified verbs, each with its aliases, and `read`, which only `json` needs. Those of operators
        begin with `admin`, so that they resemble no others."""
        found = {row.verb: row.aliases for row in TABLE if not row.verb.startswith("admin.")}
        self.assertEqual(found.pop("read"), ())
        self.assertEqual(found, VERBS)
        for verb, aliases in VERBS.items():
            for each in (verb, *aliases):
                self.assertEqual(BY_VERB[each].verb, verb, each)

    def test_verbs_are_unique(self) -> None:
        """Each verb or alias belongs to one command, and is in lower case."""
        verbs = [verb for row in TABLE for verb in (row.verb, *row.aliases)]
        self.assertEqual(len(verbs), len(set(verbs)))
        self.assertEqual(verbs, [verb.lower() for verb in verbs])
        self.assertEqual(len({row.command for row in TABLE}), len(TABLE))

    def test_every_command_has_a_row(self) -> None:
        self.assertEqual(set(Command.__subclasses__()), set(BY_COMMAND))

    def test_every_command_has_a_handler(self) -> None:
        self.assertEqual(set(HANDLERS), set(BY_COMMAND))

    def test_usage(self) -> None:
        for verb, usage in USAGES.items():
            shown = BY_VERB[verb].usage
            self.assertEqual(shown.replace(" password ", " secret "), usage)

    def test_only_these_need_no_login(self) -> None:
        free = {row.verb for row in TABLE if not row.login}
        self.assertEqual(free, {"register", "auth", "resume", "help", "ping", "quit"})

    def test_optional_arguments_come_last(self) -> None:
        """In a line, optional arguments follow the required ones, and only the last argument takes the rest
        of the line."""
        for row in TABLE:
            args = [arg for arg in row.args if not arg.named]
            optional = [arg.optional for arg in args]
            self.assertEqual(optional, sorted(optional), row.verb)
            self.assertFalse(any(arg.type.greedy for arg in args[:-1]), row.verb)

    def test_roles(self) -> None:
        """Only commands with a role change what the audit log says, work without the realm, or begin with
        `admin`, and each says which error those without the role get."""
        errors = {OPERATOR: NotOperator, MODERATOR: NotModerator}
        for row in TABLE:
            if row.role is None:
                self.assertFalse(row.audited or row.offline or "." in row.verb, row.verb)
            else:
                self.assertIn(errors[row.role], row.errors, row.verb)

    def test_described(self) -> None:
        """Help describes every command, its arguments and its errors."""
        for row in TABLE:
            info = describe(row)
            self.assertEqual(info.command, row.verb)
            self.assertTrue(info.about)
            self.assertTrue(info.usage.startswith(row.words))
            self.assertEqual([each.name for each in info.arguments], [a.name for a in row.args])
            self.assertEqual(info.errors, tuple(error.code for error in row.errors))
            for argument in info.arguments:
                self.assertTrue(argument.about)
                self.assertTrue(argument.type)
                self.assertIn(argument.name, argument.keys)

    def test_errors_are_unique(self) -> None:
        """A row lists each error once."""
        for row in TABLE:
            self.assertEqual(len(set(row.errors)), len(row.errors), row.verb)
        self.assertEqual(len(set(COMMON_ERRORS)), len(COMMON_ERRORS))

    def test_types_are_shared(self) -> None:
        for row in TABLE:
            for arg in row.args:
                self.assertIsInstance(arg.type, Type)
