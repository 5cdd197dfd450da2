"""chatd.ini: every key, its default, and the sentence for every mistake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.config import DEFAULT_DOORS, OTHER_DOORS, Argon2, Config, PeerConfig
from chatd.base.config_file import KEYS, PEER_KEYS, ConfigError, find_config, load_config
from chatd.base.config_values import parse_size, parse_time
from chatd.base.sources import Networks

SHIPPED = Path(__file__).parents[3] / "etc" / "chatd.ini"

LATER = {"metrics"}  # doors that the specification does not have

# The keys as the specification fixed them.
SPECIFIED = """\
[realm]
name = localhost
state = ../var            ; database, uploads, key and certificate; made with mode 0700

[listen]                  ; Twisted endpoint strings; a missing key is a closed door
plain      = tcp:8889:interface=127.0.0.1
json       = tcp:8888:interface=127.0.0.1
kelompok3  = tcp:8891:interface=127.0.0.1
bagan      = tcp:8892:interface=127.0.0.1
urlencoded = tcp:8893:interface=127.0.0.1
tugas4     = tcp:8894:interface=127.0.0.1
pychat     = tcp:8000:interface=127.0.0.1
web        = tcp:8550:interface=127.0.0.1
peers      = tcp:8890:interface=127.0.0.1    ; always TLS, both sides show a certificate
                          ; to let others in: drop the interface of peers

[database]
url =                     ; empty: SQLite in the state folder; else an SQLAlchemy URL

[accounts]
registration = open       ; open | closed
session_expiry = 30d
min_password = 8
argon2 = 19M,2,1           ; memory, passes, lanes; stored hashes are renewed at the next login

[peers]
add = operators           ; who may use addrealm: operators | anyone
trust = pinned            ; pinned: a realm's certificate is remembered at first contact
                          ; known: only realms that this side has added or that are listed below
                          ; ca: the certificate must be signed by ca_file, for the realm's name
ca_file =
certificate =             ; empty: made at first start, self-signed, in the state folder
private_key =
expire = 7d               ; how long a message may wait for a realm before its sender is told

[peer realm1]             ; one section per realm known from the start
;address = 172.16.16.102:8890
;fingerprint = sha256:...

[limits]
message = 8K
line = 64K
inline_line = 16M         ; in dialects that carry files inside a line
file = 100M
account_files = 1G
connections = 20000
connections_per_address = 1000
idle = 0s                 ; 0: never hang up on a silent session; before login it is 60 s in any case
commands_per_second = 200 ; per session, with bursts of five times that

[log]
format = text             ; text | json
level = info
"""

# section, key, the text in the file, the resulting value
GOOD: tuple[tuple[str, str, str, Callable[[Config], Any], Any], ...] = (
    ("realm", "control_group", "chatd-admins", lambda c: c.control_group, "chatd-admins"),
    ("realm", "name", "chat.example.org", lambda c: c.realm, "chat.example.org"),
    (
        "listen",
        "pychat",
        "ssl:8000:privateKey=/k",
        lambda c: c.listen,
        {"pychat": "ssl:8000:privateKey=/k"},
    ),
    (
        "listen",
        "trusted",
        "127.0.0.1, 192.0.2.0/24 2001:db8::/32, local",
        lambda c: c.trusted,
        Networks.parse("127.0.0.1/32,192.0.2.0/24,2001:db8::/32,local"),
    ),
    ("database", "url", "sqlite:////x/y.db", lambda c: c.database_url, "sqlite:////x/y.db"),
    ("cluster", "nodes", "several", lambda c: c.cluster.nodes, "several"),
    ("cluster", "node", "Node-1.example", lambda c: c.cluster.node, "Node-1.example"),
    ("cluster", "bus", "postgres", lambda c: c.cluster.bus, "postgres"),
    ("cluster", "bus", "rediss://:x@h:6379/2", lambda c: c.cluster.bus, "rediss://:x@h:6379/2"),
    ("files", "store", "s3\nbucket = abc", lambda c: c.files.store, "s3"),
    ("files", "bucket", "chat-files.example", lambda c: c.files.bucket, "chat-files.example"),
    ("files", "prefix", "/chat/realm1/", lambda c: c.files.prefix, "chat/realm1/"),
    ("files", "prefix", "/", lambda c: c.files.prefix, ""),
    ("files", "endpoint", "https://h:9000/", lambda c: c.files.endpoint, "https://h:9000"),
    ("files", "region", "eu-central-1", lambda c: c.files.region, "eu-central-1"),
    ("accounts", "registration", "invite", lambda c: c.accounts.registration, "invite"),
    ("web", "url", "https://chat.example.org/", lambda c: c.web.url, "https://chat.example.org"),
    ("accounts", "registration", "closed", lambda c: c.accounts.registration, "closed"),
    (
        "accounts",
        "registrations_per_hour",
        "0",
        lambda c: c.accounts.registrations_per_hour,
        0,
    ),
    ("accounts", "session_expiry", "12h", lambda c: c.accounts.session_expiry, 43200),
    ("accounts", "min_password", "12", lambda c: c.accounts.min_password, 12),
    ("accounts", "argon2", "64M, 3, 4", lambda c: c.accounts.argon2, Argon2(65536, 3, 4)),
    ("peers", "add", "anyone", lambda c: c.peers.add, "anyone"),
    ("peers", "private", "yes", lambda c: c.peers.private, True),
    ("peers", "trust", "known", lambda c: c.peers.trust, "known"),
    ("peers", "expire", "90m", lambda c: c.peers.expire, 5400),
    ("peers", "block", "Realm2, évil", lambda c: c.peers.block, {"realm2", "évil"}),
    ("peers", "files", "5G", lambda c: c.peers.files, 5 << 30),
    ("peers", "strangers", "welcome", lambda c: c.peers.strangers, "welcome"),
    ("peers", "discover", "no", lambda c: c.peers.discover, False),
    (
        "peers",
        "discover_allow",
        "*.Example.net, kampus.example.org",
        lambda c: c.peers.discover_allow,
        ("*.example.net", "kampus.example.org"),
    ),
    ("peers", "discover_deny", "x.*", lambda c: c.peers.discover_deny, ("x.*",)),
    (
        "peers",
        "name_servers",
        "127.0.0.1, ::1 [::1]:54, 192.0.2.1:5353,",
        lambda c: c.peers.name_servers,
        (("127.0.0.1", 53), ("::1", 53), ("::1", 54), ("192.0.2.1", 5353)),
    ),
    ("peers", "public_address", "h.example:1", lambda c: c.peers.public_address, "h.example:1"),
    ("peers", "group_members", "7", lambda c: c.peers.group_members, 7),
    ("peers", "messages_per_second", "0", lambda c: c.peers.messages_per_second, 0),
    ("limits", "message", "2k", lambda c: c.limits.message, 2048),
    (
        "web",
        "origins",
        "https://Chat.example.org/, http://localhost:8550",
        lambda c: c.web.origins,
        {"https://chat.example.org", "http://localhost:8550"},
    ),
    (
        "web",
        "hosts",
        "Chat.example.org., chat",
        lambda c: c.web.hosts,
        {"chat.example.org", "chat"},
    ),
    (
        "web",
        "trusted_proxies",
        "::1",
        lambda c: c.web.trusted_proxies,
        Networks.parse("::1/128"),
    ),
    ("groups", "adopt", "no", lambda c: c.groups.adopt, False),
    ("groups", "rescue_after", "1h", lambda c: c.groups.rescue_after, 3600),
    ("limits", "line", "1M", lambda c: c.limits.line, 1 << 20),
    ("limits", "inline_line", "1G", lambda c: c.limits.inline_line, 1 << 30),
    ("limits", "inline_line", "1M", lambda c: c.limits.inline_total, 10 << 20),
    ("limits", "inline_total", "1G", lambda c: c.limits.inline_total, 1 << 30),
    ("limits", "file", "0", lambda c: c.limits.file, 0),
    ("peers", "messages", "1G", lambda c: c.peers.messages, 1 << 30),
    ("limits", "account_uploads", "3", lambda c: c.limits.account_uploads, 3),
    ("limits", "account_messages", "0", lambda c: c.limits.account_messages, 0),
    ("limits", "reserve", "2G", lambda c: c.limits.reserve, 2 << 30),
    ("limits", "account_files", "5 G", lambda c: c.limits.account_files, 5 << 30),
    ("limits", "connections", "7", lambda c: c.limits.connections, 7),
    ("limits", "connections_per_address", "7", lambda c: c.limits.connections_per_address, 7),
    ("limits", "idle", "1d", lambda c: c.limits.idle, 86400),
    ("limits", "account_groups", "7", lambda c: c.limits.account_groups, 7),
    ("limits", "account_contacts", "7", lambda c: c.limits.account_contacts, 7),
    ("limits", "group_members", "7", lambda c: c.limits.group_members, 7),
    ("limits", "groups_per_hour", "7", lambda c: c.limits.groups_per_hour, 7),
    ("limits", "sessions", "5", lambda c: c.limits.sessions, 5),
    ("limits", "commands_per_second", "0", lambda c: c.limits.commands_per_second, 0),
    ("log", "format", "json", lambda c: c.log.format, "json"),
    ("log", "level", "debug", lambda c: c.log.level, "debug"),
    ("log", "keep", "3", lambda c: c.log.keep, 3),
)

# section, key, an invalid value, a part of the expected form in the error
BAD: tuple[tuple[str, str, str, str], ...] = (
    ("realm", "control_group", "a b", "the name of a group"),
    ("realm", "name", "two words", "1 to 64 letters"),
    ("realm", "name", "\N{VULGAR FRACTION ONE QUARTER}", "1 to 64 letters"),  # its key has a slash
    *(("listen", door, "8889", "endpoint") for door in (*DEFAULT_DOORS, *OTHER_DOORS)),
    ("listen", "trusted", "localhost", "addresses or networks"),
    ("database", "url", "/var/lib/chatd.db", "SQLAlchemy URL"),
    ("cluster", "nodes", "3", "one, several"),
    ("cluster", "node", "node 1", "1 to 64 letters"),
    (
        "cluster",
        "bus",
        "localhost:6379",
        "postgres, the URL of the PostgreSQL server without a pooler, or the URL of a Redis server",
    ),
    ("files", "store", "ftp", "folder, s3"),
    ("files", "bucket", "Chat files", "the name of a bucket"),
    ("files", "prefix", "a//b", "a path of letters"),
    ("files", "endpoint", "https://key:secret@s3.example.org", "the address of a storage service"),
    ("files", "region", "eu central", "the name of a region"),
    ("accounts", "registration", "yes", "open, invite, closed"),
    ("web", "url", "chat.example.org", "https://chat.example.org"),
    ("web", "url", "https://chat.example.org/chat", "the address of the site"),
    ("accounts", "registrations_per_hour", "many", "0 or more"),
    ("accounts", "session_expiry", "30 days", "a time"),
    ("accounts", "min_password", "0", "1 or more"),
    ("accounts", "argon2", "19M,2", "memory,passes,lanes"),
    ("peers", "add", "nobody", "operators, anyone"),
    ("peers", "private", "true", "yes, no"),
    ("peers", "trust", "all", "pinned, known, ca"),
    ("peers", "expire", "1w", "a time"),
    ("peers", "block", "realm2; realm3", "1 to 64 letters"),
    ("peers", "files", "10T", "a size"),
    ("peers", "group_members", "0", "1 or more"),
    ("peers", "discover", "all", "yes, no"),
    ("peers", "discover_allow", "example.net/x", "names of realms"),
    ("peers", "discover_deny", "?.example.net", "names of realms"),
    ("peers", "name_servers", "dns.example.net", "addresses of name servers"),
    ("peers", "public_address", "chat.example.net", "host:port"),
    ("peers", "strangers", "all", "requests, welcome"),
    ("peers", "messages_per_second", "-1", "0 or more"),
    ("groups", "adopt", "nobody", "yes, no"),
    ("groups", "rescue_after", "59m", "at least 1h"),
    ("limits", "message", "0", "at least 1"),
    ("web", "origins", "chat.example.org", "origins"),
    ("web", "hosts", "https://chat.example.org", "without port"),
    ("web", "trusted_proxies", "192.0.2.1/24", "addresses or networks"),
    ("limits", "line", "64KB", "a size"),
    ("limits", "inline_line", "255", "at least 256"),
    ("limits", "inline_total", "2K", "at least 2560"),
    ("limits", "file", "-1", "a size"),
    ("limits", "account_files", "1.5G", "a size"),
    ("peers", "messages", "lots", "a size"),
    ("limits", "account_uploads", "0", "1 or more"),
    ("limits", "account_messages", "-1", "a size"),
    ("limits", "reserve", "5%", "a size"),
    ("limits", "connections", "many", "a whole number"),
    ("limits", "connections_per_address", "0", "1 or more"),
    ("limits", "idle", "-1s", "a time"),
    ("limits", "account_groups", "0", "1 or more"),
    ("limits", "account_contacts", "0", "1 or more"),
    ("limits", "group_members", "0", "1 or more"),
    ("limits", "groups_per_hour", "-1", "0 or more"),
    ("limits", "commands_per_second", "1e3", "0 or more"),
    ("limits", "sessions", "0", "1 or more"),
    ("log", "format", "xml", "text, json"),
    ("log", "level", "INFO", "debug, info"),
    ("log", "keep", "0", "a whole number"),
    ("peer realm1", "address", "172.16.16.102", "host:port"),
    ("peer realm1", "fingerprint", "sha256:abc", "64 hexadecimal"),
)
BAD_ARGON2 = ("", "19M,0,1", "19M,2,0", "4K,1,1", "15K,1,2", "x,1,1", "19M,2,1,1", "19M,-2,1")
BAD_ADDRESSES = ("h:", ":1", "h:0", "h:65536", "h:x", "h:٣")


class ConfigTestCase(SynchronousTestCase):
    def write(self, text: str | bytes) -> Path:
        """Write a configuration file in a folder of its own."""
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        path = folder / "chatd.ini"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def load(self, text: str | bytes) -> Config:
        return load_config(self.write(text))

    def refuse(self, text: str | bytes, *parts: str) -> None:
        """Loading `text` fails with one line that contains all of `parts` and the name of the file."""
        with self.assertRaises(ConfigError) as caught:
            self.load(text)
        sentence = str(caught.exception)
        self.assertNotIn("\n", sentence)
        for part in ("chatd.ini", *parts):
            self.assertIn(part, sentence)


class Shipped(ConfigTestCase):
    def test_equals_the_defaults(self) -> None:
        """etc/chatd.ini shows the defaults."""
        config = load_config(SHIPPED)
        self.assertEqual(msgspec.structs.replace(config, state=Config().state), Config())
        self.assertEqual(config.state, SHIPPED.parents[1].resolve() / "var")

    def test_has_every_key(self) -> None:
        text = SHIPPED.read_text(encoding="utf-8")
        for section, keys in KEYS.items():
            self.assertIn(f"[{section}]", text)
            for key in keys:
                if section != "listen" or key in DEFAULT_DOORS:
                    self.assertRegex(text, rf"(?m)^{key} =", f"[{section}] {key}")
        for key in PEER_KEYS:
            self.assertRegex(text, rf"(?m)^;{key} =")

    def test_open_to_this_machine_only(self) -> None:
        for door, endpoint in load_config(SHIPPED).listen.items():
            self.assertIn("interface=127.0.0.1", endpoint, door)


class Specified(ConfigTestCase):
    def test_every_key_is_known(self) -> None:
        """The file in the specification is accepted, and its values are the defaults."""
        config = self.load(SPECIFIED)
        self.assertEqual(set(config.listen), {*DEFAULT_DOORS} - LATER)
        self.assertEqual(config.listen["peers"], "tcp:8890:interface=127.0.0.1")
        self.assertEqual(config.peers.known, {"realm1": PeerConfig()})
        plain = Config()
        self.assertEqual(config.realm, plain.realm)
        self.assertEqual(config.database_url, "")
        self.assertEqual(config.accounts, plain.accounts)
        self.assertEqual(msgspec.structs.replace(config.peers, known={}), plain.peers)
        self.assertEqual(config.limits, plain.limits)
        self.assertEqual(config.log, plain.log)
        self.assertEqual(
            config.listen,
            {door: where for door, where in plain.listen.items() if door not in LATER},
        )


class Values(ConfigTestCase):
    def test_every_key_has_a_good_and_a_bad_case(self) -> None:
        keys = {
            (section, key)
            for section, table in KEYS.items()
            for key, kind in table.items()
            if kind is not Path
        }
        bad = {(section, key) for section, key, _, _ in BAD}
        self.assertEqual(bad, keys | {("peer realm1", key) for key in PEER_KEYS})
        good = {(section, key) for section, key, *_ in GOOD}
        doors = {key for key in keys if key[0] == "listen"}
        self.assertEqual(good - doors, keys - doors)

    def test_good(self) -> None:
        for section, key, text, get, value in GOOD:
            config = self.load(f"[{section}]\n{key} = {text}\n")
            self.assertEqual(get(config), value, (section, key))

    def test_bad(self) -> None:
        """The sentence names the section, the key, the value found and the expected form."""
        for section, key, text, expected in BAD:
            self.refuse(
                f"[{section}]\n{key} = {text}\n",
                f"[{section}]",
                key,
                repr(text),
                "expected",
                expected,
            )

    def test_bad_argon2(self) -> None:
        for text in BAD_ARGON2:
            if text:
                self.refuse(f"[accounts]\nargon2 = {text}\n", "[accounts] argon2", repr(text))

    def test_bad_peer_addresses(self) -> None:
        for text in BAD_ADDRESSES:
            self.refuse(f"[peer r]\naddress = {text}\n", "[peer r] address", repr(text))

    def test_empty_value_is_the_default(self) -> None:
        lines = []
        for section in KEYS.keys() - {"listen"}:
            lines += [f"[{section}]", *(f"{key} =" for key in KEYS[section])]
        config = self.load("\n".join(lines))
        path = self.write("")
        self.assertEqual(
            msgspec.structs.replace(config, state=Path()),
            msgspec.structs.replace(load_config(path), state=Path()),
        )

    def test_closed_door(self) -> None:
        """A door that [listen] does not name is closed; without [listen] the default ones are open."""
        self.assertEqual(self.load("[listen]\njson = tcp:1\n").listen, {"json": "tcp:1"})
        self.assertEqual(self.load("[listen]\n").listen, {})
        self.assertEqual(self.load("[listen]\njson = tcp:1\nplain =\n").listen, {"json": "tcp:1"})
        self.assertEqual(self.load("").listen, DEFAULT_DOORS)
        self.assertEqual(
            self.load("[listen]\njson = tcp:1\ntrusted = ::1\n").listen, {"json": "tcp:1"}
        )

    def test_paths_are_relative_to_the_file(self) -> None:
        path = self.write(
            "[realm]\nstate = ../x\n[peers]\nca_file = ca.pem\ncertificate = /abs/c.pem\n"
        )
        config = load_config(path)
        self.assertEqual(config.state, path.parent.parent.resolve() / "x")
        self.assertEqual(config.peers.ca_file, path.parent.resolve() / "ca.pem")
        self.assertEqual(config.peers.certificate, Path("/abs/c.pem"))

    def test_paths_in_endpoints_are_relative_to_the_file(self) -> None:
        """Paths of a door's key and certificate too; the rest of the endpoint stays as it is."""
        path = self.write(
            "[listen]\njson = ssl:1:privateKey=k.pem:certKey=/c.pem:extraCertChain=x/y.pem:interface=::1\n"
        )
        here = path.parent.resolve()
        self.assertEqual(
            load_config(path).listen["json"],
            f"ssl:1:privateKey={here}/k.pem:certKey=/c.pem:extraCertChain={here}/x/y.pem:interface=::1",
        )

    def test_unix_sockets_are_relative_to_the_file(self) -> None:
        path = self.write(
            "[listen]\nplain = unix:plain.sock:mode=660\njson = haproxy:unix:run/json.sock\n"
            "web = unix:/run/web.sock\nbagan = unix:mode=660:address=b.sock\n"
        )
        here = path.parent.resolve()
        self.assertEqual(
            load_config(path).listen,
            {
                "plain": f"unix:{here}/plain.sock:mode=660",
                "json": f"haproxy:unix:{here}/run/json.sock",
                "web": "unix:/run/web.sock",
                "bagan": f"unix:mode=660:address={here}/b.sock",
            },
        )

    def test_state_by_default(self) -> None:
        path = self.write("")
        self.assertEqual(load_config(path).state, path.parent.parent.resolve() / "var")

    def test_peer(self) -> None:
        digits = "AB" * 32
        colons = ":".join(["AB"] * 32)
        config = self.load(
            f"[peer Realm1]\naddress = h:8890\nfingerprint = {digits}\n"
            f"[peer r2]\naddress = [::1]:1\nfingerprint = sha256:{colons}\n"
        )
        fingerprint = f"sha256:{'ab' * 32}"
        self.assertEqual(
            config.peers.known,
            {"realm1": PeerConfig("h:8890", fingerprint), "r2": PeerConfig("[::1]:1", fingerprint)},
        )

    def test_authority_needs_its_file(self) -> None:
        self.refuse("[peers]\ntrust = ca\n", "[peers] trust", "'ca'", "ca_file", "expected")
        config = self.load("[peers]\ntrust = ca\nca_file = ca.pem\n")
        self.assertEqual(config.peers.trust, "ca")


class Files(ConfigTestCase):
    def test_missing(self) -> None:
        with self.assertRaises(ConfigError) as caught:
            load_config(Path("nowhere/chatd.ini"))
        self.assertIn("nowhere/chatd.ini can't be read: No such file", str(caught.exception))

    def test_folder(self) -> None:
        with self.assertRaises(ConfigError) as caught:
            load_config(Path())
        self.assertIn("can't be read", str(caught.exception))

    def test_not_utf8(self) -> None:
        self.refuse(b"[realm]\nname = caf\xe9\n", "UTF-8")

    def test_not_an_ini_file(self) -> None:
        self.refuse("name = x\n", "not an ini file")
        self.refuse("[realm]\nname\n", "not an ini file")

    def test_duplicate_key(self) -> None:
        self.refuse("[realm]\nname = a\nname = b\n", "not an ini file", "name", "realm")

    def test_duplicate_section(self) -> None:
        self.refuse("[realm]\nname = a\n[realm]\n", "not an ini file", "realm")

    def test_unknown_section(self) -> None:
        self.refuse("[relam]\nname = a\n", "no section [relam]", "[realm]", "[peer <name>]")
        self.refuse("[DEFAULT]\nname = a\n", "no section [DEFAULT]", "[realm]")

    def test_unknown_key(self) -> None:
        self.refuse("[realm]\nnmae = a\n", "[realm]", "nmae", "name, state")
        self.refuse("[peer r]\nport = 1\n", "[peer r]", "port", "address, fingerprint")

    def test_peer_without_a_name(self) -> None:
        self.refuse("[peer a b]\n", "[peer a b]", "1 to 64 letters")
        self.refuse("[peer  ]\n", "[peer")

    @given(st.text(alphabet="[]=; \nabrelmpsitn0K,:", max_size=60) | st.binary(max_size=40))
    def test_any_file(self, content: str | bytes) -> None:
        """Any file gives a Config, or a ConfigError of one line."""
        try:
            self.load(content)
        except ConfigError as error:
            self.assertNotIn("\n", str(error))

    def test_found(self) -> None:
        """./etc/chatd.ini is read where there is one."""
        here = Path(self.mktemp())
        (here / "etc").mkdir(parents=True)
        path = here / "etc" / "chatd.ini"
        self.assertNotEqual(find_config(here), path)
        path.write_text("")
        self.assertEqual(find_config(here), path)


class Units(SynchronousTestCase):
    def test_sizes(self) -> None:
        for text, size in (("0", 0), ("512", 512), ("8K", 8192), ("1m", 1 << 20), ("2 G", 2 << 30)):
            self.assertEqual(parse_size(text), size)

    def test_times(self) -> None:
        for text, seconds in (("0s", 0), ("90", 90), ("2m", 120), ("1H", 3600), ("30d", 2592000)):
            self.assertEqual(parse_time(text), seconds)

    @given(st.text())
    def test_any_text(self, text: str) -> None:
        """An invalid size or time raises ValueError; a valid one is not negative."""
        for parse in (parse_size, parse_time):
            try:
                self.assertGreaterEqual(parse(text), 0)
            except ValueError as error:
                self.assertIn("a whole number", str(error))
