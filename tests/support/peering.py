"""Several realms in one process, with real TLS on loopback between them, and people who use them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec
from twisted.internet import reactor
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from chatd.app import realm as realm_module
from chatd.app.realm_keys import RealmKeys
from chatd.base.clocks import IReactor
from chatd.base.config import AccountsConfig, Config, Limits, PeersConfig
from chatd.federation.amp import dialer
from chatd.federation.amp.endpoint import TLSEndpoint
from chatd.federation.amp.identity import RealmIdentity
from chatd.federation.amp.link import PeerLink
from chatd.federation.amp.trust import Policy
from chatd.lines.dialects.jsonlines import JsonDialect
from tests.support.common import CHEAP, Realm, Wire, make_operator, sleep
from tests.support.dns import Zone

PATIENCE = 20.0
PIECE = 256 << 10
OWN = ("clock", "identity", "network", "zone")  # options of TLSRealm

net: Any = reactor


class TLSKeys(RealmKeys):
    """Those of a TLSRealm, which is set once it is made."""

    realm: TLSRealm

    def _tls(self, reactor: IReactor) -> TLSEndpoint:
        realm = self.realm
        door = super()._tls(reactor)
        if realm.identity is not None:
            peers = self._config.peers
            policy = Policy(self._config.realm, peers.trust, (), peers.block)
            door = TLSEndpoint(realm.network, realm.identity, policy)
        door._reactor = realm.network
        return door


class TLSRealm(Realm):
    """A realm whose door for other realms is open. `identity`, if given, is what it shows, valid or not;
    `network` is the reactor that it connects with."""

    def __init__(
        self,
        config: Config,
        clock: Any = None,
        identity: RealmIdentity | None = None,
        network: Any = None,
        zone: Zone | None = None,
    ) -> None:
        super().__init__(config, clock, os.urandom, zone=zone)
        self.network: Any = network or reactor
        self.identity = identity
        self.port = 0
        self.listening: Any = None
        environment = self.environment
        self.keys: TLSKeys = TLSKeys(config, self.state, environment.random_bytes, environment.wall)
        self.keys.realm = self

    def open(self) -> None:
        super().open()
        endpoint = cast(TLSEndpoint, self.keys.endpoint)
        factory = endpoint.factory(self.directory.manager)
        self.listening = net.listenTCP(self.port, factory, interface="127.0.0.1")
        self.port = self.listening.getHost().port
        self.start()

    async def close(self) -> None:
        await self.listening.stopListening()
        await super().close()

    @property
    def links(self) -> list[PeerLink]:
        """All authenticated links that are not gone."""
        return list(self.directory.manager.links)


def waiting(request: dict[str, Any]) -> dict[str, Any]:
    """The request; if it sends something, with `wait`."""
    return {"wait": True, **request} if request["command"].startswith("send") else request


class Person:
    """A user of a realm, in the json dialect."""

    def __init__(self, realm: Realm, name: str) -> None:
        self.name = name
        self.wire = Wire(realm.door(JsonDialect()))

    async def ask(self, command: str, **request: Any) -> dict[str, Any]:
        """Send a request, and return the reply. What is sent waits for its outcome."""
        return await self.wire.ask(**waiting({"command": command, **request}))

    async def must(self, command: str, **request: Any) -> dict[str, Any]:
        reply = await self.ask(command, **request)
        assert reply["status"] == "OK", (command, reply)
        return reply

    async def all(self, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Send all requests at once, and wait for all replies."""
        self.wire.feed(b"".join(json.dumps(waiting(each)).encode() + b"\r\n" for each in requests))
        found: list[dict[str, Any]] = []
        data = b""
        end = net.seconds() + PATIENCE
        while len(found) < len(requests):
            if net.seconds() > end:
                raise AssertionError(f"{len(found)} of {len(requests)} replies came")
            await sleep(0.01)
            *lines, data = (data + self.wire.taken()).split(b"\r\n")
            found += [line for line in map(json.loads, lines) if "event" not in line]
        return found

    async def send_file(self, to: str, name: str, data: bytes) -> dict[str, Any]:
        """Send a file, and return the reply."""
        ready = await self.ask("sendfile", to=to, filename=name, size=len(data))
        if ready["status"] != "READY":
            return ready
        for at in range(0, len(data), PIECE):
            self.wire.feed(data[at : at + PIECE])
            await sleep(0)
        return await self.wire.line()

    def leave(self) -> None:
        if self.wire.transport.connected:
            self.wire.lose(Failure(ConnectionDone()))

    async def texts(self) -> list[str]:
        """The texts of all unread messages."""
        found: list[str] = []
        while True:
            page = await self.must("inbox")
            found += [message.get("text") or "" for message in page["messages"]]
            if not page["remaining"]:
                return found

    async def gets(self, count: int, patience: float = PATIENCE) -> list[str]:
        """Wait until that many texts have arrived, and none in the next moment."""
        found: list[str] = []
        end = net.seconds() + patience
        while len(found) < count:
            if net.seconds() > end:
                raise AssertionError(f"{self.name} got {len(found)} of {count} messages")
            await sleep(0.02)
            found += await self.texts()
        return found + await self.texts()

    async def realm_info(self, name: str) -> dict[str, Any]:
        """What `realms` shows of a realm."""
        found = (await self.must("realms"))["realms"]
        info: dict[str, Any] = next(each for each in found if each["realm"] == name)
        return info


class PeeringTestCase(TestCase):
    """Realms are made by `make`, and closed when the test ends. Pauses between dials are short."""

    timeout = 60

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.realms: dict[str, TLSRealm] = {}
        self.patch(dialer, "FIRST_PAUSE", 0.02)
        self.patch(dialer, "LONGEST_PAUSE", 0.2)

    def make(self, name: str, folder: str = "", **options: Any) -> TLSRealm:
        """Make a realm on a folder of its own. Options other than those of TLSRealm are those of [peers]."""
        own = {key: options.pop(key) for key in OWN if key in options}
        config = Config(
            realm=name,
            state=self.folder / (folder or name),
            accounts=AccountsConfig(argon2=CHEAP),
            limits=Limits(commands_per_second=0),
            peers=PeersConfig(
                **{"add": "anyone", "private": True, "strangers": "welcome", **options}
            ),
        )
        return self.open(TLSRealm(config, **own))

    def open(self, realm: TLSRealm) -> TLSRealm:
        realm.open()
        name = realm.config.realm
        self.realms[name] = realm
        self.addCleanup(self.close, realm)
        return realm

    async def close(self, realm: TLSRealm) -> None:
        """Once is enough."""
        if realm.listening is not None:
            listening, realm.listening = realm.listening, None
            await listening.stopListening()
            await realm_module.Realm.close(realm)

    async def reopen(self, realm: TLSRealm, **changes: Any) -> TLSRealm:
        """Stop a realm, and start it again on its files and its port, with other [peers]."""
        await self.close(realm)
        peers = msgspec.structs.replace(realm.config.peers, **changes)
        config = msgspec.structs.replace(realm.config, peers=peers)
        clock = None if realm.clock is reactor else realm.clock
        again = TLSRealm(config, clock, realm.identity, realm.network, realm.zone)
        again.port = realm.port
        return self.open(again)

    async def person(self, realm: Realm, name: str, *, operator: bool = True) -> Person:
        """A user, registered if necessary, and logged in."""
        person = Person(realm, name)
        self.addCleanup(person.leave)
        secret = f"{name}-password"
        reply = await person.ask("register", username=name, password=secret)
        if reply["status"] == "OK" and not operator:
            return person
        if reply["status"] == "OK":
            await person.must("logout")
            await make_operator(realm, name)
        await person.must("auth", username=name, password=secret)
        return person

    async def pair(self, *, port: int | None = None) -> tuple[Person, Person]:
        """`ana` in realm1 and `budi` in realm2. realm1 has added realm2, at `port` if given."""
        one, two = self.realms["realm1"], self.realms["realm2"]
        ana, budi = await self.person(one, "ana"), await self.person(two, "budi")
        await ana.must("addrealm", realm="realm2", host="127.0.0.1", port=port or two.port)
        return ana, budi


async def until(condition: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """What `condition` returns once that is true."""
    end = net.seconds() + patience
    while not (found := condition()):
        if net.seconds() > end:
            raise AssertionError("waited in vain")
        await sleep(0.005)
    return found
