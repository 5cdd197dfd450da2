"""The configuration is read again while the realm runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError

from chatd.app.doors import Doors, OpenDoor
from chatd.app.logs import LogOutput
from chatd.app.reload import Reloads
from chatd.app.reloader import INTERNAL, PEER_FILES, STOPPING, Reloader
from chatd.base.config import DATA_DOOR, Config, LogConfig, PeerConfig
from chatd.base.config_changes import ReloadReport
from chatd.base.config_file import ConfigError
from chatd.base.errors import RegistrationClosed
from chatd.base.sources import Networks
from chatd.federation.amp.pem import certificate_pem, key_pem
from tests.support.certificates import Issuer
from tests.support.common import CHEAP, FakeTransport, RealmTestCase, make_operator, run, sleep
from tests.support.realm_certificates import NOW, self_signed


class FakePort:
    def __init__(self, ports: Ports, number: int) -> None:
        self._ports, self._number = ports, number

    def getHost(self) -> IPv4Address:  # noqa: N802 - as Twisted names it
        return IPv4Address("TCP", "127.0.0.1", self._number)

    def stopListening(self) -> Deferred[None]:  # noqa: N802
        del self._ports.open[self._number]
        return succeed(None)


class Ports:
    """A reactor whose TCP ports are only noted. `taken` are used by another process."""

    def __init__(self) -> None:
        self.open: dict[int, Any] = {}
        self.taken: set[int] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)

    def listenTCP(self, port: int, factory: Any, *_rest: Any) -> FakePort:  # noqa: N802
        if port in self.open or port in self.taken:
            raise CannotListenError("127.0.0.1", port, OSError(98, "Address already in use"))
        self.open[port] = factory
        return FakePort(self, port)


class ReloadTestCase(RealmTestCase):
    listen = {"plain": "tcp:1", "json": "tcp:2", "web": "tcp:3", "peers": "tcp:4"}

    def setUp(self) -> None:
        super().setUp()
        self.ports, self.reloads = Ports(), Reloads()
        self.file: Config | Exception = self.realm.config
        self.output = LogOutput(LogConfig(), {"nodaemon": True})
        self.doors = Doors(self.realm, self.reloads)
        self.doors._reactor = self.ports  # type: ignore[assignment]
        self.doors.open()
        self.clients: list[FakeTransport] = []
        self.addCleanup(lambda: Deferred.fromCoroutine(self.doors.close()))
        self.addCleanup(self.hang_up)
        self.reloader = Reloader(self.realm, self.doors, self.reloads, self.output, self.load)
        self.reloader.start()

    def make_config(self) -> Config:
        return msgspec.structs.replace(super().make_config(), listen=dict(self.listen))

    def load(self) -> Config:
        if isinstance(self.file, Exception):
            raise self.file
        return self.file

    def write(self, **sections: Any) -> None:
        """Change sections of the configuration file: `limits={"file": 5}`, or top-level values."""
        config = self.realm.config
        for name, value in sections.items():
            if isinstance(value, dict) and name != "listen":
                sections[name] = msgspec.structs.replace(getattr(config, name), **value)
        self.file = msgspec.structs.replace(config, **sections)

    async def reload(self, **sections: Any) -> ReloadReport:
        self.write(**sections)
        return await self.reloader.reload()

    def open_at(self) -> dict[str, int]:
        return {name: _number(door.port) for name, door in self.doors._open.items()}

    def dial(self, port: int) -> FakeTransport:
        """A client's connection to the port."""
        transport = FakeTransport()
        transport.protocol = self.ports.open[port].buildProtocol(IPv4Address("TCP", "10.0.0.1", 9))
        transport.protocol.makeConnection(transport)
        self.clients.append(transport)
        return transport

    def hang_up(self) -> None:
        """All clients are gone."""
        while self.clients:
            self.clients.pop().protocol.connectionLost()


def _number(port: Any) -> int:
    number: int = port.getHost().port
    return number


class Settings(ReloadTestCase):
    async def test_all_kinds(self) -> None:
        """New values are in use at once, and the report and the log say which changed."""
        service = self.realm.service
        report = await self.reload(
            accounts={"registration": "closed", "registrations_per_hour": 7, "min_password": 12},
            limits={"message": 5, "reserve": 1 << 62, "account_messages": 9, "groups_per_hour": 3},
            peers={"messages": 77, "private": True, "files": 100},
            groups={"rescue_after": 3600},
            web={"hosts": frozenset({"chat.example"}), "trusted_proxies": Networks(local=True)},
            log={"level": "debug"},
        )
        self.assertEqual((report.error, report.restart, report.failed), ("", (), ()))
        self.assertEqual(len(report.changed), 14)
        self.assertIn("[web] trusted_proxies", report.changed)
        with self.assertRaises(RegistrationClosed):
            await service.accounts.register("ana", "surabaya1234", None, None)
        self.assertEqual(service.accounts._registrations._most, 7.0)
        self.assertEqual(service.homes._creations._most, 3.0)
        self.assertEqual(service.quotas._account_limit, 9)
        self.assertEqual(service.quotas._realm_limit, 77)
        self.assertEqual(service.disk._reserve, 1 << 62)
        self.assertTrue(self.realm.directory.manager.dialer._config.private)
        self.assertEqual(self.realm.federation.reached.long, 3_600_000)
        self.assertEqual(self.realm.sessions.service.config.limits.message, 5)

    async def test_memory(self) -> None:
        """What connections hold at the moment counts against the new budget."""
        sessions = self.realm.sessions
        self.assertTrue(sessions.inline.change(1, 1000))
        await self.reload(limits={"inline_total": 20_000})
        self.assertEqual((sessions.inline.share, sessions.inline._left), (2000, 19_000))
        self.assertFalse(sessions.inline.change(1, 1001))
        sessions.inline.change(1, -1000)
        self.assertEqual(sessions.inline._left, 20_000)

    async def test_cost_of_hashing(self) -> None:
        """It changes in a thread, for all hashes from then on."""
        passwords = self.realm.passwords
        before = await passwords.hash("surabaya1234")
        await self.reload(accounts={"argon2": msgspec.structs.replace(CHEAP, passes=2)})
        while passwords._hasher.time_cost == 1:
            await sleep(0.001)
        after = await passwords.hash("surabaya1234")
        self.assertIn(",t=1,", before)
        self.assertIn(",t=2,", after)
        self.assertTrue(passwords.is_outdated(before, "surabaya1234"))
        self.assertTrue(await passwords.verify("surabaya1234", before))

    async def test_needs_a_restart(self) -> None:
        """The rest of the file is used."""
        report = await self.reload(
            realm="other", state=Path("/elsewhere"), database_url="x://", limits={"file": 5}
        )
        self.assertEqual(report.changed, ("[limits] file",))
        self.assertEqual(report.restart, ("[realm] name", "[realm] state", "[database] url"))
        config = self.realm.service.config
        self.assertEqual((config.realm, config.limits.file), ("realm1", 5))
        self.assertEqual(self.realm.config, config)
        # It is said each time, as long as the file differs.
        self.assertEqual((await self.reloader.reload()).restart, report.restart)

    async def test_bad_file(self) -> None:
        """Nothing changes, but files are read again."""
        self.file, read = ConfigError("chatd.ini: [limits] file is 'x'"), list[int]()
        self.reloads.add("it", lambda: read.append(1))
        before = self.realm.config
        report = await self.reloader.reload()
        self.assertEqual(report.error, "chatd.ini: [limits] file is 'x'")
        self.assertEqual((report.changed, report.renewed), ((), ("it",)))
        self.assertIs(self.realm.config, before)
        self.assertEqual(read, [1])

    async def test_files_of_peers_that_can_not_be_read(self) -> None:
        """A mistake as in the test before: limits in the same file do not change, either."""
        report = await self.reload(
            limits={"file": 5}, peers={"trust": "ca", "ca_file": self.folder / "none.pem"}
        )
        self.assertIn("none.pem", report.error)
        self.assertEqual(self.realm.config.limits.file, 100 << 20)

    async def test_doors_that_contradict(self) -> None:
        report = await self.reload(listen={"peers": "ssl:4"}, limits={"file": 5})
        self.assertIn("[listen] peers is 'ssl:4'", report.error)
        self.assertEqual(set(self.open_at()), set(self.listen))

    async def test_internal_error(self) -> None:
        """The caller hears of it, and the next reload works."""
        self.file = ZeroDivisionError()
        self.assertEqual(await self.reloader.reload(), INTERNAL)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual((await self.reload(limits={"file": 5})).changed, ("[limits] file",))

    async def test_one_at_a_time(self) -> None:
        """Those who ask before a reload begins share it. One that has begun may have read an older file."""
        loads, gate = list[int](), Deferred[None]()

        async def slow(_config: Config) -> list[str]:
            loads.append(1)
            await gate
            return []

        self.patch(self.doors, "change", slow)
        asked = [self.reloader.reload() for _ in range(5)]
        self.assertEqual(len(loads), 1)
        gate.callback(None)
        for each in asked:
            self.assertEqual((await each).error, "")
        self.assertEqual(len(loads), 2)

    async def test_stopping(self) -> None:
        """A reload under way is finished, and none begins any more."""
        gate = Deferred[None]()

        async def slow(_config: Config) -> list[str]:
            await gate
            return []

        self.patch(self.doors, "change", slow)
        first, second = self.reloader.reload(), self.reloader.reload()
        stopping = Deferred.fromCoroutine(self.reloader.stop())
        self.assertFalse(stopping.called)
        gate.callback(None)
        await stopping
        self.assertEqual((await first).error, "")
        await second
        late = self.reloader.reload()
        self.assertEqual((await late).error, STOPPING.error)

    async def test_by_command(self) -> None:
        """Operators read what was done, or why it was not."""
        service = self.realm.service
        await service.accounts.register("messi", "surabaya1234", None, None)
        await make_operator(self.realm, "messi")
        wire = self.dial(2)

        async def ask(**request: str) -> dict[str, Any]:
            wire.clear()
            wire.protocol.dataReceived(json.dumps(request).encode() + b"\n")
            while b"\r\n" not in wire.value():
                await sleep(0.002)
            found: dict[str, Any] = json.loads(wire.value())
            return found

        await ask(command="auth", username="messi", password="surabaya1234")
        self.ports.taken.add(5)
        self.write(listen={**self.listen, "bagan": "tcp:5"}, limits={"file": 5}, realm="other")
        self.reloads.add("it", lambda: None)
        reply = await ask(command="admin.reload")
        self.assertEqual(
            (reply["status"], reply["changed"], reply["restart"], reply["renewed"]),
            ("OK", "[limits] file, [listen] bagan", "[realm] name", "it"),
        )
        self.assertIn("Address already in use", reply["failed"])
        self.assertIn("need a restart", reply["message"])
        self.file = ConfigError("chatd.ini: [limits] file is 'x'")
        reply = await ask(command="admin.reload")
        self.assertEqual(reply["code"], "reload-failed")
        self.assertIn("[limits] file is 'x'", reply["message"])
        found, _ = await service.audit.list(9, None)
        self.assertEqual([each.outcome for each in found], ["reload-failed", "done"])


class Peers(ReloadTestCase):
    wall = staticmethod(NOW.timestamp)

    def policy(self) -> Any:
        endpoint: Any = self.realm.keys.endpoint
        return endpoint._policy

    async def test_rules(self) -> None:
        await self.reload(peers={"trust": "known", "block": frozenset({"bad"})})
        self.assertEqual((self.policy().trust, self.policy().blocked), ("known", {"bad"}))
        await self.reload(peers={"block": frozenset()})
        self.assertEqual((self.policy().trust, self.policy().blocked), ("known", frozenset()))

    async def test_own_certificate(self) -> None:
        """A new certificate, and then the same files with a newer one."""
        shown: list[Any] = []
        endpoint: Any = self.realm.keys.endpoint
        self.patch(endpoint._tls, "show", shown.append)
        files = {"certificate": self.folder / "c.pem", "private_key": self.folder / "k.pem"}
        for peers, renewed in ((files, (PEER_FILES,)), ({}, (PEER_FILES,))):
            own = self_signed("realm1")
            files["certificate"].write_bytes(certificate_pem(own.certificate))
            files["private_key"].write_bytes(key_pem(own.private_key))
            report = await self.reload(peers=peers)
            self.assertEqual((report.error, report.renewed), ("", renewed))
            self.assertEqual(shown[-1].certificate, own.certificate)
        files["private_key"].write_text("half")
        report = await self.reload(limits={"file": 5})
        self.assertIn(PEER_FILES, report.failed[0])
        self.assertEqual((report.error, report.changed), ("", ("[limits] file",)))

    async def test_realms_of_the_configuration(self) -> None:
        """They come, move and go."""
        peers = self.realm.directory.peers
        dialled: list[str] = []
        self.patch(
            self.realm.directory.manager.dialer,
            "soon",
            lambda peer, *_pause: dialled.append(f"{peer.known.name} {peer.address}"),
        )
        await self.reload(peers={"known": {"b": PeerConfig("b.example:1", "sha256:00")}})
        self.assertTrue(peers.is_confirmed(peers.find("b")))
        self.assertEqual(peers.find("b").fingerprint, "sha256:00")
        await self.reload(peers={"known": {"b": PeerConfig("b.example:2")}})
        self.assertEqual(
            (peers.find("b").address, peers.find("b").fingerprint), ("b.example:2", None)
        )
        await self.reload(peers={"known": {}})
        self.assertIsNone(peers.find("b").address)
        self.assertFalse(peers.is_added("b"))
        self.assertEqual(dialled, ["b b.example:1", "b b.example:2", "b None"])


class OpenDoors(ReloadTestCase):
    async def test_added_moved_and_removed(self) -> None:
        """Other doors are not touched; a door that moves keeps its connections, and one that is removed
        answers what was asked and closes them."""
        factories = {name: door.plan.factory for name, door in self.doors._open.items()}
        plain, json = self.dial(1), self.dial(2)
        report = await self.reload(
            listen={"json": "tcp:20", "web": "tcp:3", "peers": "tcp:4", "bagan": "tcp:5"}
        )
        self.assertEqual(report.changed, ("[listen] plain", "[listen] json", "[listen] bagan"))
        self.assertEqual(report.failed, ())
        self.assertEqual(self.open_at(), {"json": 20, "web": 3, "peers": 4, "bagan": 5})
        self.assertIs(self.doors._open["web"].plan.factory, factories["web"])
        self.assertIs(self.ports.open[20], factories["json"])
        await sleep(0.005)
        self.assertTrue(plain.disconnecting)
        self.assertFalse(json.disconnecting)
        json.protocol.dataReceived(b'{"command":"ping"}\n')
        await sleep(0.005)
        self.assertIn(b'"status":"OK"', json.value())
        self.dial(20)
        self.hang_up()
        await sleep(0.005)
        self.assertEqual(self.doors._retiring, {})

    async def test_swapped(self) -> None:
        """Two doors take each other's port."""
        report = await self.reload(listen={**self.listen, "plain": "tcp:2", "json": "tcp:1"})
        self.assertEqual(report.failed, ())
        self.assertEqual((self.open_at()["plain"], self.open_at()["json"]), (2, 1))

    async def test_new_door_that_can_not_listen(self) -> None:
        """It is told, the rest of the configuration is used, and the next reload tries again."""
        self.ports.taken.add(5)
        listen = {**self.listen, "bagan": "tcp:5", "tugas4": "tcp:6", "plain": "rubbish:7"}
        report = await self.reload(listen=listen, limits={"file": 5})
        self.assertEqual(self.open_at(), {"plain": 1, "json": 2, "web": 3, "peers": 4, "tugas4": 6})
        self.assertEqual(len(report.failed), 2)
        self.assertIn("Address already in use", "".join(report.failed))
        self.assertIn("rubbish:7", "".join(report.failed))
        self.assertIn("[limits] file", report.changed)
        self.ports.taken.clear()
        self.assertEqual(len((await self.reloader.reload()).failed), 1)
        self.assertEqual(self.open_at()["bagan"], 5)

    async def test_door_that_can_not_move(self) -> None:
        """It stays where it was."""
        self.ports.taken.add(9)
        before = self.dial(1)
        report = await self.reload(listen={**self.listen, "plain": "tcp:9"})
        self.assertEqual(len(report.failed), 1)
        self.assertEqual(self.open_at()["plain"], 1)
        self.assertFalse(before.disconnecting)

    async def test_door_that_can_not_go_back(self) -> None:
        """Another process has taken its port: it is closed, with its connections."""
        before = self.dial(1)
        self.ports.taken |= {1, 9}
        report = await self.reload(listen={**self.listen, "plain": "tcp:9"})
        self.assertEqual(len(report.failed), 2)
        self.assertNotIn("plain", self.doors.names)
        await sleep(0.005)
        self.assertTrue(before.disconnecting)

    async def test_trusted_proxies(self) -> None:
        """Doors for proxies listen anew; others are not touched."""
        await self.reload(listen={**self.listen, "plain": "haproxy:tcp:1"})
        before: dict[str, OpenDoor] = dict(self.doors._open)
        await self.reload(trusted=Networks.parse("10.0.0.1"))
        after = self.doors._open
        self.assertIsNot(after["plain"].port, before["plain"].port)
        self.assertIs(after["json"].port, before["json"].port)

    async def test_certificate(self) -> None:
        """The files of an ssl: door are watched while it is open."""
        Issuer().write(self.folder)
        endpoint = f"ssl:5:privateKey={self.folder}/key.pem:certKey={self.folder}/fullchain.pem"
        report = await self.reload(listen={**self.listen, "bagan": endpoint})
        self.assertEqual(report.renewed, ("the certificate of [listen] bagan",))
        ((_, files),) = self.reloads.watched()
        self.assertEqual([each.name for each in files], ["key.pem", "fullchain.pem"])
        report = await self.reload(listen={**self.listen, "bagan": "tcp:5"})
        self.assertEqual(report.renewed, ())

    async def test_data_door(self) -> None:
        """Requests for files wait for data connections while their door is open, also when it is opened
        again."""
        listen = {**self.listen, "tugas4": "tcp:5"}
        await self.reload(listen=listen)
        found: list[Any] = []
        for more in ({DATA_DOOR: "tcp:6"}, {}, {DATA_DOOR: "tcp:6"}):
            await self.reload(listen={**listen, **more})
            found.append(self.ports.open[5].claims)
        self.assertIsNone(found[1])
        self.assertIsNotNone(found[0])
        self.assertIsNotNone(found[2])
        self.assertIsNot(found[0], found[2])
        self.assertIs(self.ports.open[6].claims, found[2])

    def test_retiring_at_the_shutdown(self) -> Any:
        """The daemon waits for the connections of a door that was closed just before."""

        async def play() -> None:
            self.dial(1)
            await self.reload(
                listen={name: at for name, at in self.listen.items() if name != "plain"}
            )
            closing = Deferred.fromCoroutine(self.doors.close())
            await sleep(0.005)
            self.assertFalse(closing.called)
            self.hang_up()
            await closing

        return run(play())
