"""Reads chatd.ini into a frozen Config.

Each error is one sentence with the section, the key, the value found and the expected value.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from chatd.base.config_values import (
    address,
    count_from,
    endpoint,
    fingerprint,
    group_name,
    hosts,
    name_servers,
    networks,
    one_of,
    origins,
    realm_name,
    realm_names,
    realm_patterns,
    size_from,
    url,
    web_url,
    yes_or_no,
)
from chatd.base.config_values import parse_size as parse_size
from chatd.base.config_values import parse_time as parse_time
from chatd.base.names import key_of
from chatd.base.sources import Networks

# The doors, and where they listen unless the file says otherwise. chatd.app.doors builds each.
DEFAULT_DOORS = {
    "plain": "tcp:8889:interface=127.0.0.1",
    "web": "tcp:8550:interface=127.0.0.1",
    "json": "tcp:8888:interface=127.0.0.1",
    "peers": "tcp:8890:interface=127.0.0.1",
    "metrics": "tcp:8551:interface=127.0.0.1",
    "kelompok3": "tcp:8891:interface=127.0.0.1",
    "bagan": "tcp:8892:interface=127.0.0.1",
    "urlencoded": "tcp:8893:interface=127.0.0.1",
    "tugas4": "tcp:8894:interface=127.0.0.1",
    "pychat": "tcp:8000:interface=127.0.0.1",
}
DATA_DOOR = "tugas4-data"
# Doors that are closed unless the file opens them.
OTHER_DOORS = (DATA_DOOR,)
MAX_MESSAGE = 48 << 10
MAX_ARGON2_MEMORY = 4 << 20  # KiB
MIN_RESCUE_AFTER = 3600  # seconds
SYSTEM_STATE = Path("/var/lib/chatd")
SYSTEM_CONFIG = Path("/etc/chatd.ini")
LOCAL_CONFIG = Path("etc/chatd.ini")


class ConfigError(Exception):
    """The configuration is invalid. `str()` is a sentence for the operator."""


class Argon2(msgspec.Struct, frozen=True):
    """The parameters of argon2id: memory in KiB, passes, lanes."""

    memory: int = 19456
    passes: int = 2
    lanes: int = 1


class AccountsConfig(msgspec.Struct, frozen=True):
    """Section [accounts]. `registrations_per_hour` is per network address; 0 means no limit. `session_expiry`
    is in seconds."""

    registration: str = "open"
    registrations_per_hour: int = 300
    session_expiry: int = 30 * 86400
    min_password: int = 8
    argon2: Argon2 = Argon2()


class PeerConfig(msgspec.Struct, frozen=True):
    """Section [peer NAME]: a configured realm. `fingerprint` is the SHA-256 of its certificate."""

    address: str | None = None
    fingerprint: str | None = None


# The value of `strangers` with which all realms that may link are treated as if they were added
WELCOME = "welcome"


class PeersConfig(msgspec.Struct, frozen=True):
    """Section [peers]. `block` holds keys of realms. `files` limits the bytes that files of one realm may
    occupy here, and `messages` the bytes of its messages per day; 0 means no limit, also for
    `messages_per_second`. `private` allows private addresses that no operator has entered. `group_members`
    limits the members of one other realm in one group. `expire` is in seconds. `strangers` says how realms
    are treated that were not added. `discover` lets people name realms that nobody has added, as far as the
    patterns in `discover_allow` (none: all) and `discover_deny` permit; `name_servers` are asked for them, or
    those of the system if there are none. `public_address` is where others reach the door `peers`."""

    add: str = "operators"
    private: bool = False
    trust: str = "pinned"
    ca_file: Path | None = None
    certificate: Path | None = None
    private_key: Path | None = None
    expire: int = 7 * 86400
    block: frozenset[str] = frozenset()
    files: int = 10 << 30
    messages: int = 256 << 20
    messages_per_second: int = 50_000
    group_members: int = 1000
    strangers: str = "requests"
    discover: bool = True
    discover_allow: tuple[str, ...] = ()
    discover_deny: tuple[str, ...] = ()
    name_servers: tuple[tuple[str, int], ...] = ()
    public_address: str | None = None
    known: dict[str, PeerConfig] = {}


class GroupsConfig(msgspec.Struct, frozen=True):
    """Section [groups]. Groups of other realms may move to this one, if their admins agree (`adopt`). A group
    of another realm may be rescued when that realm was not reached for `rescue_after` seconds."""

    adopt: bool = True
    rescue_after: int = 14 * 86400


class WebConfig(msgspec.Struct, frozen=True):
    """Section [web]. `url`: the origin in links to the site. `origins`: other origins whose pages may
    act for a user. `hosts`: additional host names of the site. `trusted_proxies`: proxies whose header with
    the client's address is trusted."""

    origins: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    trusted_proxies: Networks = Networks()
    url: str | None = None


class Limits(msgspec.Struct, frozen=True):
    """Section [limits]: sizes in bytes, times in seconds. 0 means no limit for `commands_per_second`,
    `groups_per_hour` and `account_messages`, and never for `idle`. If `reserve` is None,
    `chatd.files.disk_space` chooses it."""

    message: int = 8 << 10
    line: int = 64 << 10
    inline_line: int = 16 << 20
    inline_total: int = 160 << 20
    file: int = 100 << 20
    account_files: int = 1 << 30
    account_uploads: int = 8
    account_messages: int = 64 << 20
    reserve: int | None = None
    connections: int = 20000
    connections_per_address: int = 1000
    idle: int = 0
    commands_per_second: int = 200
    sessions: int = 100
    account_groups: int = 1000
    account_contacts: int = 1000
    group_members: int = 10_000
    groups_per_hour: int = 100

    @property
    def inline_file(self) -> int:
        """The bytes of the largest file that fits into a line in base64."""
        return self.inline_line // 4 * 3


class LogConfig(msgspec.Struct, frozen=True):
    format: str = "text"
    level: str = "info"
    keep: int = 10  # rotated files


class Config(msgspec.Struct, frozen=True):
    """The whole configuration. `listen` maps the name of a door to its Twisted endpoint string; `trusted`
    holds the proxies whose PROXY header is accepted at doors with the prefix `haproxy:`. The members of
    `control_group`, a group of the system, may use the control socket."""

    realm: str = "localhost"
    state: Path = Path("var")
    control_group: str = ""
    listen: dict[str, str] = msgspec.field(default_factory=lambda: dict(DEFAULT_DOORS))
    trusted: Networks = Networks()
    database_url: str = ""
    accounts: AccountsConfig = AccountsConfig()
    peers: PeersConfig = PeersConfig()
    groups: GroupsConfig = GroupsConfig()
    web: WebConfig = WebConfig()
    limits: Limits = Limits()
    log: LogConfig = LogConfig()


def _message_size(text: str) -> int:
    size = size_from(1)(text)
    if size > MAX_MESSAGE:
        raise ValueError(
            f"a size of at most {MAX_MESSAGE} bytes, the largest message that realms can exchange"
        )
    return size


def _rescue_after(text: str) -> int:
    # When a realm was last reached is remembered to the hour (chatd.federation.reached).
    if (seconds := parse_time(text)) < MIN_RESCUE_AFTER:
        raise ValueError("a time of at least 1h")
    return seconds


def _argon2(text: str) -> Argon2:
    parts = [part.strip() for part in text.split(",")]
    try:
        memory, passes, lanes = (
            parse_size(parts[0]) >> 10,
            count_from(1)(parts[1]),
            count_from(1)(parts[2]),
        )
        # RFC 9106, section 3.1: at least 8 KiB of memory per lane.
        if len(parts) != 3 or memory < 8 * lanes or memory > MAX_ARGON2_MEMORY or lanes > 255:
            raise ValueError
    except (ValueError, IndexError):
        raise ValueError("memory,passes,lanes, such as 19M,2,1 (at least 8K per lane)") from None
    return Argon2(memory, passes, lanes)


_PATH = Path  # resolved later against the folder of the file
_Table = Mapping[str, Callable[[str], Any]]

KEYS: Mapping[str, _Table] = {
    "realm": {"name": realm_name, "state": _PATH, "control_group": group_name},
    "listen": {**dict.fromkeys((*DEFAULT_DOORS, *OTHER_DOORS), endpoint), "trusted": networks},
    "database": {"url": url},
    "accounts": {
        "registration": one_of("open", "invite", "closed"),
        "registrations_per_hour": count_from(0),
        "session_expiry": parse_time,
        "min_password": count_from(1),
        "argon2": _argon2,
    },
    "peers": {
        "add": one_of("operators", "anyone"),
        "private": yes_or_no,
        "trust": one_of("pinned", "known", "ca", "web"),
        "ca_file": _PATH,
        "certificate": _PATH,
        "private_key": _PATH,
        "expire": parse_time,
        "block": realm_names,
        "files": parse_size,
        "messages": parse_size,
        "messages_per_second": count_from(0),
        "group_members": count_from(1),
        "strangers": one_of("requests", WELCOME),
        "discover": yes_or_no,
        "discover_allow": realm_patterns,
        "discover_deny": realm_patterns,
        "name_servers": name_servers,
        "public_address": address,
    },
    "groups": {"adopt": yes_or_no, "rescue_after": _rescue_after},
    "web": {"url": web_url, "origins": origins, "hosts": hosts, "trusted_proxies": networks},
    "limits": {
        "message": _message_size,
        "line": size_from(256),
        "inline_line": size_from(256),
        "inline_total": size_from(2560),
        "file": parse_size,
        "account_files": parse_size,
        "account_uploads": count_from(1),
        "account_messages": parse_size,
        "reserve": parse_size,
        "connections": count_from(1),
        "connections_per_address": count_from(1),
        "idle": parse_time,
        "commands_per_second": count_from(0),
        "sessions": count_from(1),
        "account_groups": count_from(1),
        "account_contacts": count_from(1),
        "group_members": count_from(1),
        "groups_per_hour": count_from(0),
    },
    "log": {
        "format": one_of("text", "json"),
        "level": one_of("debug", "info", "warn", "error", "critical"),
        "keep": count_from(1),
    },
}
PEER_KEYS: _Table = {"address": address, "fingerprint": fingerprint}


def find_config(here: Path) -> Path | None:
    """The default configuration file: ./etc/chatd.ini, or /etc/chatd.ini, or None."""
    for candidate in (here / LOCAL_CONFIG, SYSTEM_CONFIG):
        if candidate.is_file():
            return candidate
    return None


def load_config(path: Path) -> Config:
    """Read and check the file at `path`. Raises ConfigError."""
    parser = configparser.ConfigParser(
        delimiters=("=",), inline_comment_prefixes=(";",), interpolation=None
    )
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text") from None
    except configparser.Error as error:
        reason = " ".join(str(error).replace("<string>", path.name).split())
        raise ConfigError(f"{path} is not an ini file: {reason}") from None
    return _build(path, _read_values(path, parser))


def _read_values(path: Path, parser: configparser.ConfigParser) -> dict[str, dict[str, Any]]:
    """The checked values by section. An empty value counts as missing."""
    values: dict[str, dict[str, Any]] = {}
    if parser.defaults():
        raise ConfigError(f"{path}: there is no section [DEFAULT]; expected {_sections()}")
    for section in parser.sections():
        table = PEER_KEYS if section.startswith("peer ") else KEYS.get(section)
        if table is None:
            raise ConfigError(f"{path}: there is no section [{section}]; expected {_sections()}")
        found = values[section] = {}
        for key, text in parser.items(section):
            if key not in table:
                raise ConfigError(
                    f"{path}: [{section}] has no key {key}; expected one of {', '.join(table)}"
                )
            if text == "":
                continue
            try:
                value = table[key](text)
            except ValueError as error:
                raise ConfigError(
                    f"{path}: [{section}] {key} is {text!r}; expected {error}"
                ) from None
            found[key] = _resolve(path.parent.resolve(), section, value)
    return values


# The places in an endpoint string where a relative path can begin.
_RELATIVE_PATH = re.compile(
    r"(?<=:)(?:privateKey|certKey|extraCertChain|address)=(?!/)|^(?:haproxy:)?unix:(?!/|\w+=)"
)


def _default_state(path: Path) -> Path:
    """../var, except for /etc/chatd.ini, since /var belongs to the whole system."""
    return SYSTEM_STATE if path.resolve() == SYSTEM_CONFIG else path.resolve().parent / "../var"


def _resolve(folder: Path, section: str, value: Any) -> Any:
    """Resolve a path, also within an endpoint string, against the folder of the configuration file."""
    if isinstance(value, Path):
        return folder / value
    if section == "listen" and isinstance(value, str):
        return re.sub(_RELATIVE_PATH, lambda match: f"{match[0]}{folder}/", value)
    return value


def _sections() -> str:
    return ", ".join(f"[{name}]" for name in (*KEYS, "peer <name>"))


def _build(path: Path, values: dict[str, dict[str, Any]]) -> Config:
    realm = values.get("realm", {})
    known = {}
    for section, found in values.items():
        if section.startswith("peer "):
            try:
                known[key_of(realm_name(section.removeprefix("peer ").strip()))] = PeerConfig(
                    **found
                )
            except ValueError as error:
                raise ConfigError(f"{path}: [{section}] names no realm; expected {error}") from None
    peers = PeersConfig(**values.get("peers", {}), known=known)
    if peers.trust == "ca" and peers.ca_file is None:
        raise ConfigError(
            f"{path}: [peers] trust is 'ca' and ca_file is empty; expected a PEM file"
        )
    listen = dict(values.get("listen", Config().listen))
    trusted = listen.pop("trusted", Networks())
    return Config(
        realm=realm.get("name", Config().realm),
        state=realm.get("state", _default_state(path)).resolve(),
        control_group=realm.get("control_group", ""),
        listen=listen,
        trusted=trusted,
        database_url=values.get("database", {}).get("url", ""),
        accounts=AccountsConfig(**values.get("accounts", {})),
        peers=peers,
        groups=GroupsConfig(**values.get("groups", {})),
        web=WebConfig(**values.get("web", {})),
        limits=_limits(values.get("limits", {})),
        log=LogConfig(**values.get("log", {})),
    )


def _limits(values: dict[str, Any]) -> Limits:
    """The default of `inline_total` lets one account send one line of the maximum length at a time."""
    inline_line = values.get("inline_line", Limits().inline_line)
    return Limits(**{"inline_total": 10 * inline_line, **values})
