"""The configuration: each section, its keys and their defaults. chatd.base.config_file reads it."""

from __future__ import annotations

from pathlib import Path

import msgspec

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


# The value of [files] `store` with which files are objects of a bucket
S3 = "s3"


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


class FilesConfig(msgspec.Struct, frozen=True):
    """Section [files]: where the files are that people send. `store` is `folder` or `s3`. `folder` may be
    shared by several nodes; None: a folder in the state folder. The others say where the objects are: in
    `bucket`, with keys that begin with `prefix`, at the service `endpoint`; empty: Amazon's."""

    store: str = "folder"
    folder: Path | None = None
    bucket: str = ""
    prefix: str = ""
    endpoint: str = ""
    region: str = ""


# The value of `bus` with which the database carries what nodes tell each other
POSTGRES_BUS = "postgres"

# The values of `nodes`
ONE_NODE = "one"
SEVERAL_NODES = "several"


class ClusterConfig(msgspec.Struct, frozen=True):
    """Section [cluster], for a realm on a PostgreSQL server. `nodes` is ONE_NODE or SEVERAL_NODES, which may
    serve it at a time. `node` is the name of this node; empty: that of its host. `bus` is POSTGRES_BUS, the
    URL of the PostgreSQL server without a pooler, or that of a Redis server. `key_file` has the key with
    which the realm's own keys are sealed in the database; None: each node gets a copy of them by hand."""

    nodes: str = ONE_NODE
    node: str = ""
    bus: str = POSTGRES_BUS
    key_file: Path | None = None


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
    cluster: ClusterConfig = ClusterConfig()
    files: FilesConfig = FilesConfig()
    accounts: AccountsConfig = AccountsConfig()
    peers: PeersConfig = PeersConfig()
    groups: GroupsConfig = GroupsConfig()
    web: WebConfig = WebConfig()
    limits: Limits = Limits()
    log: LogConfig = LogConfig()
