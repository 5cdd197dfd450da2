"""Argument types for numbers, flags, hosts and ports."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address
from typing import Any, Literal

from chatd.base import group_settings
from chatd.base.errors import BadArgument
from chatd.base.model import PRIVATE, PUBLIC
from chatd.base.names import printable
from chatd.base.roles import ROLES
from chatd.commands.arguments.base import Type, kind_of

MAX_NUMBER = 2**62
DEFAULT_QUOTA = -1  # in place of a number of bytes
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

MAX_DURATION = 100 * 366 * 86_400  # seconds
_SECONDS = {"": 1, "s": 1, "min": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_DURATION = re.compile("([0-9]{1,12})(s|min|h|d|w|)")
_SHIFTS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}
_BYTES = re.compile("([0-9]{1,15})([kmgt]?)(?:i?b)?")

_HOST = re.compile(r"[\w.-]{1,253}|\[?([0-9a-fA-F:.]{2,64}(?:%\w{1,32})?)\]?")


class NumberType(Type):
    shape = "number"
    json = "number"

    def __init__(self, minimum: int) -> None:
        self._minimum = minimum
        self.about = f"a whole number, {minimum} or more" if minimum >= 0 else "a whole number"

    def from_text(self, name: str, text: str) -> int:
        digits = text.removeprefix("-") if self._minimum < 0 else text
        if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
            raise BadArgument(argument=name, found=printable(text), expected=self.about)
        return self.from_json(name, int(text))

    def from_json(self, name: str, value: Any) -> int:
        if type(value) is not int or not self._minimum <= value <= MAX_NUMBER:
            found = value if isinstance(value, int | float) else printable(str(value))
            raise BadArgument(argument=name, found=found, expected=self.about)
        return value


class HostType(Type):
    """A host name (RFC 1123) or an IP address. It is not looked up."""

    shape = "host"
    about = "a host name or an IP address"

    def from_text(self, name: str, text: str) -> str:
        match = _HOST.fullmatch(text)
        if match is None or (match[1] and not _is_ipv6(match[1])):
            raise BadArgument(argument=name, found=printable(text), expected=self.about)
        return text


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


class PortType(NumberType):
    shape = "port"
    about = "a TCP port, 1 to 65535"

    def __init__(self) -> None:
        self._minimum = 1

    def from_json(self, name: str, value: Any) -> int:
        port = super().from_json(name, value)
        if port > 0xFFFF:
            raise BadArgument(argument=name, found=port, expected=self.about)
        return port


class FlagType(Type):
    shape = "on|off"
    about = "on or off"
    json = "boolean"

    def from_text(self, name: str, text: str) -> Any:
        if text.lower() not in ("on", "off"):
            raise BadArgument(argument=name, found=printable(text), expected="on or off")
        return text.lower() == "on"

    def from_json(self, name: str, value: Any) -> Any:
        if isinstance(value, str):
            return self.from_text(name, value)
        if not isinstance(value, bool):
            raise BadArgument(argument=name, found=kind_of(value), expected="true or false")
        return value


class WordType(Type):
    """One of a few words."""

    def __init__(self, *words: str, about: str | None = None) -> None:
        self._words = words
        self._expected = f"{', '.join(words[:-1])} or {words[-1]}"
        self.shape = "|".join(words)
        self.about = about or self._expected

    def from_text(self, name: str, text: str) -> str:
        word = text.lower()
        if word not in self._words:
            raise BadArgument(argument=name, found=printable(text), expected=self._expected)
        return word


class SettingType(Type):
    """A value for a setting of a group."""

    greedy = True

    def __init__(self, key: str) -> None:
        self._key = key
        words = group_settings.WORDS.get(key)
        self.shape = "|".join(words) if words else "text"
        limit = group_settings.TEXTS.get(key)
        self.about = (
            " or ".join(words) if words else f"up to {limit} characters; empty to remove it"
        )

    def from_text(self, name: str, text: str) -> str:
        return group_settings.check_setting(self._key, text)


class RestType(Type):
    """The rest of a line, which its command checks."""

    about = "the new value; empty to remove a title or topic"
    greedy = True

    def from_text(self, name: str, text: str) -> str:
        return text


class TimeType(Type):
    """A time, in ms since 1970 UTC."""

    shape = "time"
    about = "a date, or a date and time as in RFC 3339, such as 2026-11-20T10:15:03Z"

    def from_text(self, name: str, text: str) -> int:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise BadArgument(argument=name, found=printable(text), expected=self.about) from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return (moment - _EPOCH) // timedelta(milliseconds=1)


class DurationType(Type):
    """A duration, in seconds."""

    shape = "duration"
    json = "string or number"
    about = "a number and s, min, h, d or w, such as 90min or 7d; a number alone counts seconds"

    def from_text(self, name: str, text: str) -> int:
        found = _DURATION.fullmatch(text.lower())
        if found is None:
            raise BadArgument(argument=name, found=printable(text), expected=self.about)
        return self.from_json(name, int(found[1]) * _SECONDS[found[2]])

    def from_json(self, name: str, value: Any) -> int:
        if isinstance(value, str):
            return self.from_text(name, value)
        if type(value) is not int or not 0 < value <= MAX_DURATION:
            found = value if isinstance(value, int | float) else kind_of(value)
            raise BadArgument(argument=name, found=found, expected=self.about)
        return value


class AgeType(DurationType):
    """A duration, in seconds, or 0 for no end."""

    shape = "duration|forever"
    about = f"{DurationType.about}; or forever"

    def from_text(self, name: str, text: str) -> int:
        return 0 if text.lower() == "forever" else super().from_text(name, text)

    def from_json(self, name: str, value: Any) -> int:
        return 0 if value == 0 and type(value) is int else super().from_json(name, value)


class BytesType(Type):
    """A number of bytes."""

    shape = "size"
    json = "string or number"
    about = "a number of bytes, or a number and k, M, G or T (of 1024), such as 500M"

    def from_text(self, name: str, text: str) -> int:
        found = _BYTES.fullmatch(text.lower())
        if found is None:
            raise BadArgument(argument=name, found=printable(text), expected=self.about)
        return self.from_json(name, int(found[1]) << _SHIFTS[found[2]])

    def from_json(self, name: str, value: Any) -> int:
        if isinstance(value, str):
            return self.from_text(name, value)
        if type(value) is not int or not 0 <= value <= MAX_NUMBER:
            found = value if isinstance(value, int | float) else kind_of(value)
            raise BadArgument(argument=name, found=found, expected=self.about)
        return value


class QuotaType(BytesType):
    """A number of bytes, or the word that stands for the configured one."""

    shape = "size|default"
    about = "a number of bytes, such as 500M, or default for the configured one"

    def from_text(self, name: str, text: str) -> int:
        return DEFAULT_QUOTA if text.lower() == "default" else super().from_text(name, text)


class ListenType(FlagType):
    """A flag, or `all`."""

    shape = "on|all|off"
    about = "on (messages), all (every kind of event) or off"
    json = "boolean or string"

    def from_text(self, name: str, text: str) -> bool | Literal["all"]:
        word = text.lower()
        if word not in ("on", "all", "off"):
            raise BadArgument(argument=name, found=printable(text), expected="on, all or off")
        return "all" if word == "all" else word == "on"


DURATION = DurationType()
AGE = AgeType()
BYTES = BytesType()
QUOTA = QuotaType()
COUNT = NumberType(1)
SIZE = NumberType(0)
SEQ = NumberType(-MAX_NUMBER)  # those of imported messages are negative
FLAG = FlagType()
LISTEN = ListenType()
PRIVACY_KEY = WordType(
    "receipts",
    "presence",
    "invitations",
    about="receipts: others see how far you have read, and you see that of others; presence: others see "
    "whether you are online; invitations: people of this realm may add you to groups without asking",
)
TIME = TimeType()
NOTIFY = WordType(
    "all",
    "mentions",
    "none",
    about="all messages, only those that mention you, or none",
)
USAGE_BY = WordType("accounts", "groups", "realms")
KEEP_OR_ERASE = WordType(
    "keep",
    "erase",
    about="keep: your messages stay under your name; erase: they are deleted everywhere",
)
ROLE = WordType(*ROLES)
ACCOUNT_STATE = WordType("enabled", "disabled")
VISIBILITY = WordType(PUBLIC, PRIVATE)
GROUP_HOME = WordType(
    "here", "elsewhere", about="here: groups of this realm; elsewhere: groups of other realms"
)
GROUP_STATE = WordType(
    "open",
    "closed",
    about="closed: the operators have closed it for everybody; open: they have not",
)
SETTING = WordType(*group_settings.SETTINGS)
SETTINGS = {key: SettingType(key) for key in group_settings.SETTINGS}
SETTING_VALUE = RestType()
HOST = HostType()
PORT = PortType()
