"""Reads chatd.ini into a frozen Config.

Each error is one sentence with the section, the key, the value found and the expected value.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from chatd.base.config import (
    DEFAULT_DOORS,
    MAX_MESSAGE,
    ONE_NODE,
    OTHER_DOORS,
    S3,
    SEVERAL_NODES,
    WELCOME,
    AccountsConfig,
    Argon2,
    ClusterConfig,
    Config,
    FilesConfig,
    GroupsConfig,
    Limits,
    LogConfig,
    PeerConfig,
    PeersConfig,
    WebConfig,
)
from chatd.base.config_values import (
    address,
    bucket_name,
    bus,
    count_from,
    endpoint,
    fingerprint,
    group_name,
    hosts,
    key_prefix,
    name_servers,
    networks,
    node_name,
    one_of,
    origins,
    parse_size,
    parse_time,
    realm_name,
    realm_names,
    realm_patterns,
    region,
    service_url,
    size_from,
    url,
    web_url,
    yes_or_no,
)
from chatd.base.names import key_of
from chatd.base.sources import Networks

MAX_ARGON2_MEMORY = 4 << 20  # KiB
MIN_RESCUE_AFTER = 3600  # seconds
SYSTEM_STATE = Path("/var/lib/chatd")
SYSTEM_CONFIG = Path("/etc/chatd.ini")
LOCAL_CONFIG = Path("etc/chatd.ini")


class ConfigError(Exception):
    """The configuration is invalid. `str()` is a sentence for the operator."""


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
    "cluster": {
        "nodes": one_of(ONE_NODE, SEVERAL_NODES),
        "node": node_name,
        "bus": bus,
        "key_file": _PATH,
    },
    "files": {
        "store": one_of("folder", S3),
        "folder": _PATH,
        "bucket": bucket_name,
        "prefix": key_prefix,
        "endpoint": service_url,
        "region": region,
    },
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
    files = FilesConfig(**values.get("files", {}))
    if files.store == S3 and not files.bucket:
        raise ConfigError(
            f"{path}: [files] store is 's3' and bucket is empty; expected the name of a bucket"
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
        cluster=ClusterConfig(**values.get("cluster", {})),
        files=files,
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
