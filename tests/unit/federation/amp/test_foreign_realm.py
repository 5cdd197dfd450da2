"""The realm of tests/foreign and one of chatd. Both follow docs/federation.md, and understand each other."""

from __future__ import annotations

import ast
import os
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import SSL4ClientEndpoint, connectProtocol
from twisted.protocols.amp import AmpBox
from twisted.trial.unittest import TestCase

from tests.foreign.realm import Realm
from tests.foreign.wire import Link, Refused
from tests.support.foreign_peer import make_certificate
from tests.support.link_sessions import SessionWriter, without_questions
from tests.support.peering import PeeringTestCase, net, until

TESTS = Path(__file__).parents[3]
FOREIGN = TESTS / "foreign"
SESSION = TESTS / "transcripts" / "between-realms.txt"
HOME, AWAY = "realm1", "elsewhere"
MESSAGE: list[Any] = ["message", None, [], None, None, None]


class RecordedLink(Link):
    """A link that notes its boxes."""

    def sendBox(self, box: AmpBox) -> None:  # noqa: N802 (Twisted's name)
        self.realm.session.append((AWAY, dict(box)))
        super().sendBox(box)

    def ampBoxReceived(self, box: AmpBox) -> None:
        self.realm.session.append((HOME, dict(box)))
        super().ampBoxReceived(box)


class RecordedRealm(Realm):
    """The realm of tests/foreign, and all the boxes of its links."""

    session: list[tuple[str, dict[bytes, bytes]]]

    async def sends(self, *parcel: Any) -> tuple[int, str]:
        """Send a parcel. Returns its number, and the code of its verdict."""
        number = self.send(HOME, *parcel)
        return number, (await until(lambda: self.kept["outcomes"].get(number)))[0]

    async def says(self, text: str) -> int:
        """budi writes to ana."""
        number, code = await self.sends("direct", "budi", "ana", 0, text, None)
        assert code == ""
        return number

    async def posts(
        self, group: int, what: list[Any], text: str, about: Any = None
    ) -> tuple[int, str]:
        return await self.sends(
            "post", self.entry(HOME, group, "budi", what, text, about), "futsal"
        )

    @property
    def texts(self) -> list[str | None]:
        return [message[2] for message in self.kept["messages"].values()]


class ForeignRealm(PeeringTestCase):
    async def start(self) -> RecordedRealm:
        """A realm of chatd with ana, and the foreign one with budi, which has dialled it."""
        self.chatd = self.make(HOME)
        self.ana = await self.person(self.chatd, "ana")
        make_certificate(AWAY, self.folder).rename(self.folder / "tls.pem")
        return await self.dial()

    async def dial(self) -> RecordedRealm:
        """A realm on what is on the disk."""
        foreign = RecordedRealm(AWAY, self.folder, net, {"budi"})
        foreign.session = []
        endpoint = SSL4ClientEndpoint(net, "127.0.0.1", self.chatd.port, foreign.tls)
        link: Link = await connectProtocol(endpoint, RecordedLink(foreign, dialled=True))
        self.addCleanup(self.hang_up, link)
        await until(lambda: HOME in foreign.links)
        return foreign

    async def hang_up(self, link: Link) -> None:
        if not link.closed:
            link.close()
        await until(lambda: link.transport is None)

    async def history(self, **place: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.ana.must("history", n=50, **place))["messages"]
        return found

    async def joined(self, foreign: Realm) -> int:
        """ana has a group, and budi is a member. Returns its id."""
        await self.ana.must("addgroup", group="futsal")
        group = await foreign.join(HOME, "futsal", "budi")
        await until(lambda: foreign.kept["groups"].get((HOME, group)))
        return group

    async def test_directs(self) -> None:
        foreign = await self.start()
        await foreign.says("Halo Ana")
        self.assertEqual(await self.ana.gets(1), ["Halo Ana"])
        await self.ana.must("send", to="budi@elsewhere", text="Halo Budi")
        self.assertEqual(foreign.texts, ["Halo Ana", "Halo Budi"])
        self.assertEqual(
            (await foreign.sends("direct", "budi", "nobody", 0, "?", None))[1], "unknown-user"
        )
        reply = await self.ana.ask("send", to="nobody@elsewhere", text="?")
        self.assertEqual(reply["code"], "unknown-user")

    async def test_changes(self) -> None:
        foreign = await self.start()
        first, second = await foreign.says("satu"), await foreign.says("dua")
        await foreign.sends("edit", "budi", "ana", 0, [True, first], "SATU")
        await foreign.sends("delete", "budi", "ana", 0, [True, second])
        one, two = await self.history(user="budi@elsewhere")
        self.assertEqual((one["text"], "edited" in one, two["deleted"]), ("SATU", True, True))
        self.assertEqual(foreign.texts, ["SATU", None])
        sent = await self.ana.must("send", to="budi@elsewhere", text="tiga")
        await self.ana.must("edit", user="budi@elsewhere", seq=sent["seq"], text="TIGA")
        await until(lambda: foreign.texts[2] == "TIGA")
        await self.ana.must("delete", user="budi@elsewhere", seq=sent["seq"])
        await until(lambda: foreign.texts[2] is None)
        self.assertNotIn("TIGA", foreign.journal.read_text())
        with self.assertRaises(Refused):
            foreign.send(HOME, "edit", "budi", "ana", 0, [False, sent["seq"]], "lain")
        reply = await self.ana.ask(
            "react", user="budi@elsewhere", seq=one["seq"], emoji="👍", on=True
        )
        self.assertEqual(reply["code"], "not-supported-there")

    async def test_group(self) -> None:
        foreign = await self.start()
        group = await self.joined(foreign)
        number, code = await foreign.posts(group, MESSAGE, "Halo semua")
        self.assertEqual(code, "")
        await until(lambda: (AWAY, number) in foreign.kept["messages"])
        sent = await self.ana.must("sendgroup", group="futsal", text="Halo Budi")
        await until(lambda: foreign.texts == ["Halo semua", "Halo Budi"])
        self.assertTrue(all(each[3] for each in foreign.kept["messages"].values()))  # verified
        await foreign.posts(group, ["edited", []], "HALO", (AWAY, number))
        await self.ana.must("edit", group="futsal", seq=sent["seq"], text="HALO BUDI")
        await until(lambda: foreign.texts == ["HALO", "HALO BUDI"])
        await foreign.posts(group, ["deleted"], "", (AWAY, number))
        await self.ana.must("delete", group="futsal", seq=sent["seq"])
        await until(lambda: foreign.texts == [None, None])
        states = [
            each.get("deleted") for each in await self.history(group="futsal") if "kind" not in each
        ]
        self.assertEqual(states, [True, True])

    async def test_forged_post(self) -> None:
        foreign = await self.start()
        group = await self.joined(foreign)
        entry = foreign.entry(HOME, group, "budi", MESSAGE, "satu")
        self.assertEqual(
            (await foreign.sends("post", [*entry[:4], b"dua"], "futsal"))[1], "bad-signature"
        )

    async def test_restart(self) -> None:
        """What was not acknowledged is sent again by the next start, and arrives once."""
        foreign = await self.start()
        await foreign.says("satu")
        (link,) = foreign.links.values()
        link.closed = True  # it hears nothing any more
        number = foreign.send(HOME, "direct", "budi", "ana", 0, "dua", None)
        self.assertEqual(await self.ana.gets(2), ["satu", "dua"])
        link.transport.loseConnection()
        await until(lambda: link.transport is None)
        await self.ana.ask("send", to="budi@elsewhere", text="tiga", wait=False)
        again = await self.dial()
        await until(lambda: number in again.kept["outcomes"])
        self.assertEqual(await self.ana.texts(), [])
        await until(lambda: again.texts == ["satu", "dua", "tiga"])
        self.assertGreater(await again.says("empat"), number)

    async def dialled(self, name: str) -> RecordedRealm:
        """A foreign realm that chatd has dialled, because ana has added it."""
        self.chatd = self.make(HOME)
        self.ana = await self.person(self.chatd, "ana")
        make_certificate(name, self.folder).rename(self.folder / "tls.pem")
        foreign = RecordedRealm(name, self.folder, net, {"budi"})
        foreign.session = []
        door = net.listenSSL(0, foreign, foreign.tls, interface="127.0.0.1")
        self.addCleanup(door.stopListening)
        port = door.getHost().port
        await self.ana.must("addrealm", realm=name, host="127.0.0.1", port=port)
        await until(lambda: HOME in foreign.links)
        self.addCleanup(self.hang_up, foreign.links[HOME])
        return foreign

    async def talk(self, foreign: RecordedRealm) -> None:
        """Both sides write, and both arrive."""
        await foreign.says("Halo Ana")
        await self.ana.must("send", to=f"budi@{foreign.name}", text="Halo Budi")
        self.assertEqual(foreign.texts, ["Halo Ana", "Halo Budi"])

    async def second(self, foreign: RecordedRealm) -> Link:
        """Another link, which the foreign realm dials at once."""
        endpoint = SSL4ClientEndpoint(net, "127.0.0.1", self.chatd.port, foreign.tls)
        link: Link = await connectProtocol(endpoint, Link(foreign, dialled=True))
        self.addCleanup(self.hang_up, link)
        return link

    async def test_dialled(self) -> None:
        """chatd dials."""
        await self.talk(await self.dialled(AWAY))

    async def test_two_links(self) -> None:
        """Both have dialled: the link stays that the realm with the lower key has dialled."""
        foreign = await self.dialled("elsewhere")
        first, second = foreign.links[HOME], await self.second(foreign)
        await until(lambda: first.transport is None)
        self.assertIs(foreign.links[HOME], second)
        await self.talk(foreign)

    async def test_two_links_the_other_way(self) -> None:
        foreign = await self.dialled("sekolah")
        first, second = foreign.links[HOME], await self.second(foreign)
        await until(lambda: second.transport is None)
        self.assertIs(foreign.links[HOME], first)
        await self.talk(foreign)

    async def test_session(self) -> None:
        """The boxes of a session are those of the transcript."""
        foreign = await self.start()
        first = await foreign.says("Halo Ana")
        await foreign.sends("direct", "budi", "nobody", 0, "Halo?", None)
        sent = await self.ana.must("send", to="budi@elsewhere", text="Halo Budi")
        await foreign.sends("edit", "budi", "ana", 0, [True, first], "Halo, Ana!")
        await self.ana.must("edit", user="budi@elsewhere", seq=sent["seq"], text="Halo, Budi!")
        await until(lambda: foreign.texts[-1] == "Halo, Budi!")
        await foreign.sends("delete", "budi", "ana", 0, [True, first])
        group = await self.joined(foreign)
        number, _ = await foreign.posts(group, MESSAGE, "Halo semua")
        await until(lambda: (AWAY, number) in foreign.kept["messages"])
        await self.ana.must("sendgroup", group="futsal", text="Selamat datang")
        await until(lambda: foreign.texts[-1] == "Selamat datang")
        await foreign.posts(group, ["deleted"], "", (AWAY, number))
        await until(lambda: foreign.texts[-2] is None)
        entry = foreign.entry(HOME, group, "budi", MESSAGE, "satu")
        await foreign.sends("post", [*entry[:4], b"dua"], "futsal")
        found = SessionWriter().write(without_questions(foreign.session, b"Presence"))
        head, _, expected = SESSION.read_text().partition("\n\n")
        if os.environ.get("WRITE_TRANSCRIPT"):
            SESSION.write_text(f"{head}\n\n{found}")
        else:
            self.assertEqual(found.splitlines(), expected.splitlines())


class ForeignCode(TestCase):
    def test_shares_nothing(self) -> None:
        """The foreign realm is small, and imports nothing of chatd and of what tests share."""
        modules = [path.read_text() for path in FOREIGN.glob("*.py")]
        imported = {
            name
            for module in modules
            for each in ast.walk(ast.parse(module))
            for name in imports_of(each)
            if name.partition(".")[0] in ("chatd", "tests")
        }
        self.assertEqual(imported, {"tests.foreign", "tests.foreign.wire"})
        self.assertLessEqual(sum(len(module.splitlines()) for module in modules), 400)


def imports_of(node: ast.AST) -> list[str]:
    """The modules that a statement imports."""
    if isinstance(node, ast.Import):
        return [each.name for each in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []
