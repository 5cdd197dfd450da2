"""The types of arguments: the values that each accepts as text and as JSON, and those that it refuses."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.ban_targets import BanTarget
from chatd.base.characters import is_blank
from chatd.base.errors import BadArgument, BadName, BadRequest, BadText, EmptyText, MessageTooLong
from chatd.base.model import MAX_OPAQUE, Opaque
from chatd.base.names import Address, Place
from chatd.base.texts import Secret, check_text
from chatd.commands import arguments as types
from chatd.commands.arguments import MAX_NUMBER, Type

A, B = Address("a"), Address("b", "realm1")

ALL: tuple[Type, ...] = (
    types.BAN_KIND,
    types.BAN_TARGET,
    types.NAME,
    types.GROUP_NAME,
    types.ROOM,
    types.ADDRESS,
    types.ADDRESSES,
    types.WORDS,
    types.GROUP_OR_PEOPLE,
    types.GROUP_OR_NAMES,
    types.PERSON_OR_REALM,
    types.GROUP,
    types.GROUP_OR_ID,
    types.JOINABLE,
    types.INVITING,
    types.PLACE,
    types.DESTINATION,
    types.CONVERSATION,
    types.LISTEN,
    types.DURATION,
    types.AGE,
    types.FOLDER,
    types.USAGE_BY,
    types.BYTES,
    types.QUOTA,
    types.ROLE,
    types.ACCOUNT_STATE,
    types.GROUP_HOME,
    types.GROUP_STATE,
    types.PRIVACY_KEY,
    types.NOTIFY,
    types.KEEP_OR_ERASE,
    types.REASON,
    types.TIME,
    types.TEXT,
    types.EMOJI,
    types.SEARCH,
    types.DISPLAY_NAME,
    types.COUNTRY,
    types.FULL_NAME,
    types.TITLE,
    types.STATUS,
    types.NAMES,
    types.SECRET,
    types.INVITE,
    types.FILENAME,
    types.SPACED_FILENAME,
    types.CODE,
    types.FILE_CODE,
    types.COUNT,
    types.SIZE,
    types.SEQ,
    types.FLAG,
    types.VISIBILITY,
    types.SETTING,
    types.SETTING_VALUE,
    types.HOST,
    types.PORT,
    types.VERB,
    types.KEY,
    types.OPAQUE,
)

SEALED = Opaque("application/x-a.b+c", b"\x00\xff")
LARGEST = Opaque("a/b", bytes(MAX_OPAQUE))

# type, text, value
FROM_TEXT: tuple[tuple[Type, str, Any], ...] = (
    (types.OPAQUE, "application/x-a.b+c AP8=", SEALED),
    (types.NAME, "Messi", "Messi"),
    (types.BAN_KIND, "Realm", "realm"),
    (types.BAN_TARGET, "Messi", BanTarget("account", "Messi")),
    (types.BAN_TARGET, "@10.0.0.1", BanTarget("account", "10.0.0.1")),
    (types.BAN_TARGET, "@@realm2", BanTarget("realm", "realm2")),
    (types.BAN_TARGET, "192.0.2.7", BanTarget("network", "192.0.2.7")),
    (types.BAN_TARGET, "192.0.2.7:5222", BanTarget("network", "192.0.2.7")),
    (types.BAN_TARGET, "192.0.2.7/24", BanTarget("network", "192.0.2.0/24")),
    (types.BAN_TARGET, "192.0.2.*", BanTarget("network", "192.0.2.0/24")),
    (types.BAN_TARGET, "192.0.2.0/255.255.255.0", BanTarget("network", "192.0.2.0/24")),
    (types.BAN_TARGET, "::ffff:192.0.2.7", BanTarget("network", "192.0.2.7")),
    (types.BAN_TARGET, "::ffff:192.0.2.0/120", BanTarget("network", "192.0.2.0/24")),
    (types.BAN_TARGET, "2001:DB8::7", BanTarget("network", "2001:db8::/64")),
    (types.BAN_TARGET, "[2001:db8::7]:5222", BanTarget("network", "2001:db8::/64")),
    (types.BAN_TARGET, "2001:db8::7/128", BanTarget("network", "2001:db8::7")),
    (types.BAN_TARGET, "fe80::1%eth0", BanTarget("network", "fe80::/64")),
    (types.GROUP_NAME, "ABC:234", "abc:234"),
    (types.EMOJI, "👍🏽", "👍🏽"),
    (types.ROOM, "12345 67890", "12345 67890"),
    (types.ADDRESS, "b@realm1", B),
    (types.ADDRESSES, "a", (A,)),
    (types.ADDRESSES, "a,b@realm1,a", (A, B, A)),
    (types.WORDS, "a", (A,)),
    (types.WORDS, "a  b@realm1 ", (A, B)),
    (types.GROUP_OR_PEOPLE, "a", A),
    (types.GROUP_OR_PEOPLE, "b@realm1", B),
    (types.GROUP_OR_PEOPLE, "a,b@realm1", (A, B)),
    (types.GROUP_OR_NAMES, "a", "a"),
    (types.GROUP_OR_NAMES, "a,B,a", ("a", "B", "a")),
    (types.PERSON_OR_REALM, "@a", A),
    (types.PERSON_OR_REALM, "@@Realm1", "Realm1"),
    (types.GROUP, "a", A),
    (types.GROUP, "b@realm1", B),
    (types.JOINABLE, "k3x9qa", Address("k3x9qa")),
    (types.GROUP_OR_ID, "#12", Address("12")),
    (types.GROUP_OR_ID, "12", 12),
    (types.GROUP_OR_ID, "b@realm1", B),
    (types.INVITING, "#b@realm1", B),
    (types.INVITING, "@b@realm1", Place(user=B)),
    (types.JOINABLE, "b@realm1", B),
    (types.JOINABLE, "https://realm1:8550/join/K3x:9qa", Address("k3x:9qa", "realm1")),
    (types.JOINABLE, "http://[::1]:8550/join/k3x%3A9qa", Address("k3x:9qa")),
    (types.JOINABLE, "http://localhost/join/k3x:9qa", Address("k3x:9qa")),
    (types.JOINABLE, "https://realm2/join/k3x:9qa@realm1", Address("k3x:9qa", "realm1")),
    (types.PLACE, "a", Place(A, A)),
    (types.DESTINATION, "#b@realm1", Place(group=B)),
    (types.PLACE, "b@realm1", Place(B, B)),
    (types.CONVERSATION, "#b@realm1", Place(group=B)),
    (types.PLACE, "@a", Place(A)),
    (types.PLACE, "#b@realm1", Place(group=B)),
    (types.PLACE, "abc:234", Place(group=Address("abc:234"))),
    (types.GROUP, "#a", A),
    (types.GROUP, "ABC:234@realm1", Address("abc:234", "realm1")),
    (types.GROUP_OR_PEOPLE, "@a", (A,)),
    (types.GROUP_OR_PEOPLE, "#a", A),
    (types.TEXT, "a\u202eb", "a\u202eb"),
    (types.DISPLAY_NAME, "Ana_👩\u200d💻", "Ana 👩\u200d💻"),
    (types.TEXT, "  halo,\tselamat malam ", "  halo,\tselamat malam "),
    (types.SEARCH, "x" * 500, "x" * 500),
    (types.DISPLAY_NAME, "Lionel_Messi", "Lionel Messi"),
    (types.DISPLAY_NAME, "é" * 128, "é" * 128),
    (types.COUNTRY, "Hong_Kong", "Hong Kong"),
    (types.COUNTRY, "_", ""),
    (types.COUNTRY, "", ""),
    (types.FULL_NAME, "Lionel_Andrés Messi", "Lionel_Andrés Messi"),
    (types.STATUS, " di kantor ", "di kantor"),
    (types.STATUS, " ", ""),
    (types.TITLE, " tim_sepak  bola ", "tim_sepak  bola"),
    (types.NAMES, "a", ("a",)),
    (types.NAMES, "a,B", ("a", "B")),
    (types.SECRET, "p@ss,word", "p@ss,word"),
    (types.INVITE, "3f7k-9q2m", "3f7k-9q2m"),
    (types.SECRET, "x" * 1024, "x" * 1024),
    (types.FILENAME, "../pokijan.jpg", "../pokijan.jpg"),
    (types.SPACED_FILENAME, "foto saya.jpg", "foto saya.jpg"),
    (types.CODE, "my file.txt", "my file.txt"),
    (types.FILE_CODE, "k3x9qa", "k3x9qa"),
    (types.COUNT, "1", 1),
    (types.COUNT, "0020", 20),
    (types.SIZE, "0", 0),
    (types.SEQ, "-7", -7),
    (types.SEQ, "7", 7),
    (types.CONVERSATION, "~a@b", Place(user=Address("~a", "b"))),
    (types.SIZE, str(MAX_NUMBER), MAX_NUMBER),
    (types.HOST, "chat.example.org", "chat.example.org"),
    (types.HOST, "my_host", "my_host"),
    (types.HOST, "172.16.16.102", "172.16.16.102"),
    (types.HOST, "2001:db8::1", "2001:db8::1"),
    (types.HOST, "[::1]", "[::1]"),
    (types.HOST, "fe80::1%eth0", "fe80::1%eth0"),
    (types.HOST, "::ffff:10.0.0.1", "::ffff:10.0.0.1"),
    (types.HOST, "x" * 253, "x" * 253),
    (types.PORT, "1", 1),
    (types.PORT, "08890", 8890),
    (types.PORT, "65535", 65535),
    (types.DURATION, "90", 90),
    (types.DURATION, "1s", 1),
    (types.DURATION, "90min", 5400),
    (types.DURATION, "2H", 7200),
    (types.DURATION, "7d", 604_800),
    (types.DURATION, "3w", 1_814_400),
    (types.FOLDER, "/backup", "/backup"),
    (types.AGE, "30d", 2_592_000),
    (types.AGE, "Forever", 0),
    (types.USAGE_BY, "groups", "groups"),
    (types.BYTES, "0", 0),
    (types.QUOTA, "500M", 500 << 20),
    (types.QUOTA, "Default", types.DEFAULT_QUOTA),
    (types.BYTES, "10k", 10_240),
    (types.BYTES, "500M", 500 << 20),
    (types.BYTES, "1GiB", 1 << 30),
    (types.BYTES, "2T", 2 << 40),
    (types.ROLE, "Operator", "operator"),
    (types.ACCOUNT_STATE, "disabled", "disabled"),
    (types.GROUP_HOME, "Elsewhere", "elsewhere"),
    (types.GROUP_STATE, "closed", "closed"),
    (types.LISTEN, "ON", True),
    (types.LISTEN, "All", "all"),
    (types.LISTEN, "off", False),
    (types.PRIVACY_KEY, "Receipts", "receipts"),
    (types.NOTIFY, "Mentions", "mentions"),
    (types.KEEP_OR_ERASE, "Keep", "keep"),
    (types.REASON, "it is spam", "it is spam"),
    (types.TIME, "1970-01-02", 86_400_000),
    (types.TIME, "1970-01-01T00:00:01.5Z", 1500),
    (types.TIME, "1970-01-01T07:00:01+07:00", 1000),
    (types.TIME, "1969-12-31T23:59:59", -1000),
    (types.TIME, "9999-12-31T23:59:59-12:00", 253_402_343_999_000),
    (types.VISIBILITY, "Private", "private"),
    (types.SETTING, "Topic", "topic"),
    (types.SETTING_VALUE, " any text", " any text"),
    (types.FLAG, "ON", True),
    (types.FLAG, "off", False),
    (types.VERB, "SEND", "send"),
    (types.KEY, "k", "k"),
    (types.KEY, "Ab9_-" * 12 + "wxyz", "Ab9_-" * 12 + "wxyz"),
)

# type, text, error
NOT_FROM_TEXT: tuple[tuple[Type, str, type[BadRequest]], ...] = (
    (types.NAME, "a b", BadName),
    (types.BAN_KIND, "all", BadArgument),
    (types.BAN_TARGET, "messi@realm2", BadArgument),
    (types.BAN_TARGET, "192.0.2.7/33", BadArgument),
    (types.BAN_TARGET, "2001:db8::/x", BadArgument),
    (types.BAN_TARGET, "::ffff:192.0.2.0/24", BadArgument),
    (types.BAN_TARGET, "*", BadArgument),
    (types.BAN_TARGET, "@@", BadArgument),
    (types.BAN_TARGET, "", BadArgument),
    (types.GROUP_NAME, "a b", BadName),
    (types.LISTEN, "perhaps", BadArgument),
    (types.NOTIFY, "some", BadArgument),
    (types.KEEP_OR_ERASE, "maybe", BadArgument),
    (types.REASON, "x" * 501, BadArgument),
    (types.PRIVACY_KEY, "receipts|presence", BadArgument),
    (types.TIME, "yesterday", BadArgument),
    (types.TIME, "2026-13-01", BadArgument),
    (types.SEARCH, "x" * 501, BadArgument),
    (types.SEARCH, "x" * 50_000, BadArgument),
    (types.SEARCH, " ", EmptyText),
    (types.ROOM, " a", BadName),
    (types.ADDRESS, "a,b", BadName),
    (types.ADDRESSES, "a,,b", BadName),
    (types.ADDRESSES, "a,", BadName),
    (types.WORDS, "a,b", BadName),
    (types.GROUP_OR_PEOPLE, "a@b@c", BadName),
    (types.GROUP_OR_PEOPLE, "a@", BadName),
    (types.GROUP_OR_PEOPLE, "a," * 100 + "a", BadArgument),
    (types.GROUP_OR_NAMES, "a@b", BadName),
    (types.GROUP_OR_NAMES, "a,b@c", BadName),
    (types.GROUP_OR_NAMES, "", BadName),
    (types.GROUP_OR_NAMES, ",", BadName),
    (types.GROUP_OR_NAMES, "a,", BadName),
    (types.GROUP_OR_NAMES, "a," * 100 + "a", BadArgument),
    (types.PERSON_OR_REALM, "@@", BadName),
    (types.PERSON_OR_REALM, "@@@a", BadName),
    (types.JOINABLE, "a b", BadName),
    (types.JOINABLE, "https://realm1/join/", BadName),
    (types.JOINABLE, "https://realm1/join/a%20b", BadName),
    (types.JOINABLE, "@realm1", BadName),
    (types.GROUP, "a@b@c", BadName),
    (types.GROUP_OR_PEOPLE, ",", BadName),
    (types.GROUP, "", BadName),
    (types.GROUP_OR_ID, "1 2", BadName),
    (types.GROUP_OR_ID, "9" * 30, BadArgument),
    (types.PLACE, "a@", BadName),
    (types.TEXT, "", EmptyText),
    (types.TEXT, " \t", EmptyText),
    (types.TEXT, "\u00a0", EmptyText),
    (types.TEXT, "a\x1b[2J", BadText),
    (types.TEXT, "a\rb", BadText),
    (types.TEXT, "a\r", BadText),
    (types.TEXT, "a\x0bb", BadText),
    (types.TEXT, "a\x0cb", BadText),
    (types.TEXT, "\n", EmptyText),
    (types.TEXT, "\r\n\n \u200b", EmptyText),
    (types.TEXT, "a\x85", BadText),
    (types.TEXT, "\ud800", BadText),
    (types.DISPLAY_NAME, "", EmptyText),
    (types.DISPLAY_NAME, "a" * 129, BadArgument),
    (types.DISPLAY_NAME, "a\x07", BadText),
    (types.DISPLAY_NAME, "a\u202eb", BadText),
    (types.DISPLAY_NAME, "a\u3164", BadText),
    (types.COUNTRY, "a\u200b", BadText),
    (types.FULL_NAME, "\u2066a", BadText),
    (types.STATUS, "a\u202eb", BadText),
    (types.TITLE, "a\u202eb", BadText),
    (types.TITLE, "a\nb", BadText),
    (types.TITLE, "a\tb", BadText),
    (types.TITLE, "a\u2028b", BadText),
    (types.TITLE, "a" * 129, BadArgument),
    (types.TITLE, "  ", EmptyText),
    (types.DISPLAY_NAME, "\u3164", EmptyText),
    (types.TEXT, "\u3164\u2800 \u200b", EmptyText),
    (types.PLACE, "@abc:234", BadName),
    (types.PLACE, "#@a", BadName),
    (types.GROUP, "@a", BadName),
    (types.INVITING, "@", BadName),
    (types.NAME, "abc:234", BadName),
    (types.ROOM, "a\u202eb", BadName),
    (types.COUNTRY, "a\x07", BadText),
    (types.FULL_NAME, "a" * 129, BadArgument),
    (types.NAMES, "a,,b", BadName),
    (types.NAMES, "a@b", BadName),
    (types.NAMES, ",".join(["a"] * 101), BadArgument),
    (types.SECRET, "", BadArgument),
    (types.INVITE, "", BadArgument),
    (types.SECRET, "x" * 1025, BadArgument),
    (types.SECRET, "a\x00", BadArgument),
    (types.SECRET, "a\nb", BadArgument),
    (types.DISPLAY_NAME, "a\nb", BadText),
    (types.ROOM, "a\nb", BadName),
    (types.FILENAME, "", BadArgument),
    (types.SPACED_FILENAME, "", BadArgument),
    (types.CODE, "", BadArgument),
    (types.FILE_CODE, "", BadArgument),
    (types.COUNT, "0", BadArgument),
    (types.COUNT, "-1", BadArgument),
    (types.COUNT, "+1", BadArgument),
    (types.COUNT, "1.0", BadArgument),
    (types.COUNT, "٣", BadArgument),
    (types.COUNT, "", BadArgument),
    (types.SIZE, str(MAX_NUMBER + 1), BadArgument),
    (types.SIZE, "9" * 5000, BadArgument),
    (types.SIZE, "-1", BadArgument),
    (types.SEQ, "--1", BadArgument),
    (types.SEQ, "-", BadArgument),
    (types.CONVERSATION, "~", BadName),
    (types.PLACE, "~a", BadName),
    (types.HOST, "", BadArgument),
    (types.HOST, "two words", BadArgument),
    (types.HOST, "host:8890", BadArgument),
    (types.HOST, "127.0.0.1:8890", BadArgument),
    (types.HOST, "[::1]:8890", BadArgument),
    (types.HOST, "1:2", BadArgument),
    (types.HOST, "http://host/", BadArgument),
    (types.HOST, "user@host", BadArgument),
    (types.HOST, "a,b", BadArgument),
    (types.HOST, "x" * 254, BadArgument),
    (types.HOST, "fe80::1%", BadArgument),
    (types.HOST, "host\r\nEHLO", BadArgument),
    (types.HOST, "host\n", BadArgument),
    (types.HOST, "a\x00", BadArgument),
    (types.HOST, "a\x1b[2J", BadArgument),
    (types.DURATION, "", BadArgument),
    (types.DURATION, "0s", BadArgument),
    (types.DURATION, "-1h", BadArgument),
    (types.DURATION, "1m", BadArgument),
    (types.DURATION, "1.5h", BadArgument),
    (types.DURATION, "99999999999w", BadArgument),
    (types.FOLDER, "backup", BadArgument),
    (types.AGE, "never", BadArgument),
    (types.USAGE_BY, "rooms", BadArgument),
    (types.BYTES, "", BadArgument),
    (types.QUOTA, "-1", BadArgument),
    (types.QUOTA, "none", BadArgument),
    (types.BYTES, "-1", BadArgument),
    (types.BYTES, "1x", BadArgument),
    (types.BYTES, "999999999999999T", BadArgument),
    (types.ROLE, "admin", BadArgument),
    (types.ACCOUNT_STATE, "off", BadArgument),
    (types.GROUP_HOME, "realm2", BadArgument),
    (types.GROUP_STATE, "shut", BadArgument),
    (types.PORT, "0", BadArgument),
    (types.PORT, "65536", BadArgument),
    (types.PORT, "-1", BadArgument),
    (types.PORT, "0x1f", BadArgument),
    (types.PORT, "http", BadArgument),
    (types.PORT, "٣", BadArgument),
    (types.PORT, "9" * 5000, BadArgument),
    (types.PORT, "", BadArgument),
    (types.VISIBILITY, "hidden", BadArgument),
    (types.SETTING, "colour", BadArgument),
    (types.FLAG, "yes", BadArgument),
    (types.KEY, "", BadArgument),
    (types.KEY, "k" * 65, BadArgument),
    (types.KEY, "a b", BadArgument),
    (types.KEY, "a\n", BadArgument),
    (types.KEY, "ä", BadArgument),
    (types.KEY, "٣", BadArgument),
)

# type, the argument's name, value as given, value
FROM_JSON: tuple[tuple[Type, str, Any, Any], ...] = (
    (types.NAME, "username", "Messi", "Messi"),
    (types.ADDRESSES, "to", "a,b@realm1", (A, B)),
    (types.ADDRESSES, "to", ["a", "b@realm1"], (A, B)),
    (types.WORDS, "users", ["a"], (A,)),
    (types.GROUP_OR_PEOPLE, "group", "b@realm1", B),
    (types.GROUP_OR_PEOPLE, "group", "a,b@realm1", (A, B)),
    (types.GROUP_OR_PEOPLE, "users", ["a", "b@realm1"], (A, B)),
    (types.GROUP_OR_PEOPLE, "to", "a", (A,)),
    (types.GROUP_OR_PEOPLE, "group", ["a"], (A,)),
    (types.GROUP_OR_NAMES, "group", "g", "g"),
    (types.GROUP_OR_NAMES, "group", "a,b", ("a", "b")),
    (types.GROUP_OR_NAMES, "group", ["a"], ("a",)),
    (types.GROUP_OR_NAMES, "to", "a", ("a",)),
    (types.GROUP_OR_NAMES, "users", "a,b", ("a", "b")),
    (types.GROUP_OR_NAMES, "users", ["a", "b"], ("a", "b")),
    (types.PERSON_OR_REALM, "user", "b@realm1", B),
    (types.PERSON_OR_REALM, "realm", "realm1", "realm1"),
    (types.GROUP, "group", "b@realm1", B),
    (types.JOINABLE, "code", "b@realm1", B),
    (types.GROUP_OR_ID, "where", 12, 12),
    (types.GROUP_OR_ID, "where", "12", 12),
    (types.GROUP_OR_ID, "where", "#12", Address("12")),
    (types.INVITING, "group", "b@realm1", B),
    (types.INVITING, "group", "@b@realm1", Place(user=B)),
    (types.INVITING, "user", "b@realm1", Place(user=B)),
    (types.INVITING, "user", "@b@realm1", Place(user=B)),
    (types.HOST, "host", "::1", "::1"),
    (types.DURATION, "expires", "7d", 604_800),
    (types.DURATION, "expires", 60, 60),
    (types.AGE, "age", 0, 0),
    (types.AGE, "age", "1d", 86_400),
    (types.BYTES, "size", "1k", 1024),
    (types.QUOTA, "size", "default", types.DEFAULT_QUOTA),
    (types.BYTES, "size", 7, 7),
    (types.PORT, "port", 65535, 65535),
    (types.PLACE, "place", "a", Place(A, A)),
    (types.PLACE, "to", "a", Place(A)),
    (types.PLACE, "user", "b@realm1", Place(B)),
    (types.PLACE, "group", "b@realm1", Place(group=B)),
    (types.PLACE, "group", "#b@realm1", Place(group=B)),
    (types.PLACE, "user", "@b@realm1", Place(B)),
    (types.PLACE, "place", "#a", Place(group=A)),
    (types.CONVERSATION, "group", "a", Place(group=A)),
    (types.CONVERSATION, "conversation", 7, 7),
    (types.DISPLAY_NAME, "name", "Lionel_Messi", "Lionel_Messi"),
    (types.SECRET, "password", "with space", "with space"),
    (types.COUNT, "n", 1, 1),
    (types.SIZE, "size", 0, 0),
    (types.OPAQUE, "opaque", {"type": "application/x-a.b+c", "body": "AP8="}, SEALED),
    (types.OPAQUE, "opaque", {"type": "a/b", "body": "A" * 43688 + "AAA="}, LARGEST),
    (types.FLAG, "on", True, True),
    (types.FLAG, "on", "off", False),
)

# type, the argument's name, value as given
NOT_FROM_JSON: tuple[tuple[Type, str, Any], ...] = (
    (types.OPAQUE, "opaque", "AP8="),
    (types.OPAQUE, "opaque", None),
    (types.OPAQUE, "opaque", {"type": "a/b"}),
    (types.OPAQUE, "opaque", {"type": "a/b", "body": "AP8=", "text": "x"}),
    (types.OPAQUE, "opaque", {"type": "a/b", "body": ["AP8="]}),
    (types.OPAQUE, "opaque", {"type": 1, "body": "AP8="}),
    *(
        (types.OPAQUE, "opaque", {"type": media, "body": "AP8="})
        for media in (
            "",
            "a",
            "a/",
            "/b",
            "a/b/c",
            "a/b; c=d",
            "a b/c",
            "a/b\n",
            "é/b",
            f"a/{'b' * 65}",
        )
    ),
    *(
        (types.OPAQUE, "opaque", {"type": "a/b", "body": body})
        for body in ("", "=", "AP8", "AP8=\n", "AP 8=", "AP8=AP8=", "_-8=", "ÄP8=")
    ),
    (types.NAME, "username", 7),
    (types.NAME, "username", None),
    (types.NAME, "username", ["messi"]),
    (types.ADDRESSES, "to", []),
    (types.ADDRESSES, "to", [1]),
    (types.ADDRESSES, "to", [["a"]]),
    (types.ADDRESSES, "to", {"a": 1}),
    (types.ADDRESSES, "to", ["a"] * 101),
    (types.GROUP_OR_PEOPLE, "group", []),
    (types.GROUP_OR_PEOPLE, "users", ["a", 1]),
    (types.GROUP_OR_NAMES, "group", []),
    (types.GROUP_OR_NAMES, "group", 7),
    (types.GROUP_OR_NAMES, "group", {"a": 1}),
    (types.GROUP_OR_NAMES, "group", None),
    (types.GROUP_OR_NAMES, "users", ["a", 1]),
    (types.GROUP_OR_NAMES, "users", ["a@realm1"]),
    (types.GROUP_OR_NAMES, "users", ["a,b"]),
    (types.GROUP_OR_NAMES, "to", "a@realm1"),
    (types.GROUP_OR_NAMES, "to", ["a"] * 101),
    (types.HOST, "host", ""),
    (types.HOST, "host", 127),
    (types.HOST, "host", ["localhost"]),
    (types.HOST, "host", None),
    (types.DURATION, "expires", 0),
    (types.DURATION, "expires", 1.5),
    (types.DURATION, "expires", True),
    (types.DURATION, "expires", [7]),
    (types.FOLDER, "folder", 1),
    (types.AGE, "age", False),
    (types.AGE, "age", -1),
    (types.BYTES, "size", -1),
    (types.QUOTA, "size", -1),
    (types.BYTES, "size", {}),
    (types.PORT, "port", 0),
    (types.PORT, "port", -1),
    (types.PORT, "port", 65536),
    (types.PORT, "port", "8890"),
    (types.PORT, "port", 8890.0),
    (types.PORT, "port", True),
    (types.PORT, "port", None),
    (types.PLACE, "group", "a@"),
    (types.CONVERSATION, "conversation", "7"),
    (types.CONVERSATION, "conversation", -1),
    (types.PLACE, "group", "a@b@c"),
    (types.TEXT, "text", 1.5),
    (types.TEXT, "text", ""),
    (types.SECRET, "password", True),
    (types.SECRET, "password", {"$ne": 1}),
    (types.COUNT, "n", 0),
    (types.COUNT, "n", "1"),
    (types.COUNT, "n", True),
    (types.COUNT, "n", 1.0),
    (types.COUNT, "n", None),
    (types.SIZE, "size", -1),
    (types.SIZE, "size", MAX_NUMBER + 1),
    (types.FLAG, "on", 1),
    (types.FLAG, "on", None),
    (types.FLAG, "on", "true"),
)

any_text = st.text(st.characters(exclude_categories=()))
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=6,
)
any_type = st.sampled_from(ALL)
keys = st.sampled_from(("to", "user", "users", "group", "place", "name", "n"))


def refusal(read: Callable[[str, Any], Any], value: Any, name: str = "x") -> BadRequest | None:
    try:
        read(name, value)
    except BadRequest as error:
        return error
    return None


class Reading(SynchronousTestCase):
    def test_every_type_is_in_the_tables(self) -> None:
        tried = {id(each) for each, *_ in FROM_TEXT}
        self.assertEqual(tried, {id(each) for each in ALL})
        known = {id(each) for each in vars(types).values() if isinstance(each, Type)}
        self.assertEqual(tried, known)

    def test_from_text(self) -> None:
        for kind, text, value in FROM_TEXT:
            self.assertEqual(kind.from_text("x", text), value, (kind, text))

    def test_refused_text(self) -> None:
        for kind, text, expected in NOT_FROM_TEXT:
            error = refusal(kind.from_text, text)
            self.assertIs(type(error), expected, (kind, text))
            self.assertTrue(str(error).isprintable(), error)

    def test_from_json(self) -> None:
        for kind, name, given_value, value in FROM_JSON:
            self.assertEqual(kind.from_json(name, given_value), value, (kind, given_value))

    def test_refused_json(self) -> None:
        for kind, name, given_value in NOT_FROM_JSON:
            error = refusal(kind.from_json, given_value, name)
            self.assertIsNotNone(error, (kind, given_value))
            self.assertTrue(str(error).isprintable(), error)

    def test_wrong_type_is_explained(self) -> None:
        """The error names the argument, what was found and what is expected."""
        with self.assertRaises(BadArgument) as caught:
            types.NAME.from_json("username", [1])
        sentence = str(caught.exception)
        for part in ("username", "a list", "1 to 64 letters", "string"):
            self.assertIn(part, sentence)

    def test_wrong_number_is_explained(self) -> None:
        with self.assertRaises(BadArgument) as caught:
            types.COUNT.from_text("n", "0")
        self.assertEqual(str(caught.exception), "n can't be 0; expected a whole number, 1 or more")

    def test_opaque_too_long(self) -> None:
        """The length is checked before the bytes are decoded, and after."""
        for body in ("A" * 43692, "!" * 60_000):
            with self.assertRaises(MessageTooLong):
                types.OPAQUE.from_json("opaque", {"type": "a/b", "body": body})

    @given(any_type, any_text)
    def test_any_text(self, kind: Type, text: str) -> None:
        """Any text gives a value or a BadRequest that can be shown."""
        try:
            kind.from_text("x", text)
        except BadRequest as error:
            self.assertTrue(str(error).isprintable(), error)

    @given(any_type, keys, any_json)
    def test_any_json(self, kind: Type, name: str, value: Any) -> None:
        """Any JSON value gives a value or a BadRequest that can be shown."""
        try:
            kind.from_json(name, value)
        except BadRequest as error:
            self.assertTrue(str(error).isprintable(), error)


class Texts(SynchronousTestCase):
    def test_position_of_a_control_character(self) -> None:
        with self.assertRaises(BadText) as caught:
            check_text("ab\x00")
        self.assertEqual(caught.exception.details["position"], 3)

    @given(st.text())
    def test_control_characters_are_refused(self, text: str) -> None:
        """An accepted text is returned unchanged, has a visible character, and has no control characters
        except tabs."""
        try:
            passed = check_text(text)
        except BadText as error:
            position = error.details["position"]
            assert isinstance(position, int)
            self.assertEqual(unicodedata.category(text[position - 1]), "Cc")
        except EmptyText:
            self.assertTrue(is_blank(text), repr(text))
        else:
            self.assertEqual(passed, text)
            self.assertFalse(is_blank(text))
            self.assertNotIn("Cc", {unicodedata.category(c) for c in text if c != "\t"})


class Secrets(SynchronousTestCase):
    def test_not_in_a_repr(self) -> None:
        secret = types.SECRET.from_text("password", "hunter2!")
        self.assertIsInstance(secret, Secret)
        for shown in (repr(secret), repr([secret]), f"{secret!r}", repr({"password": secret})):
            self.assertNotIn("hunter2!", shown)

    def test_equal_to_its_text(self) -> None:
        self.assertEqual(types.SECRET.from_json("token", "abc"), "abc")

    def test_refusal_does_not_show_it(self) -> None:
        """A password does not appear in the error or its details."""
        for text in ("hunter2!\x00", "hunter2!" * 200):
            with self.assertRaises(BadArgument) as caught:
                types.SECRET.from_text("password", text)
            self.assertNotIn("hunter2!", str(caught.exception))
            self.assertNotIn("hunter2!", repr(caught.exception.details))
