"""Two realms with a proxy between them that cuts, delays and swallows."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from tests.support.common import run, sleep
from tests.support.peering import PeeringTestCase, Person, until
from tests.support.proxy import Proxy

net: Any = reactor


class ProxyTestCase(PeeringTestCase):
    """realm1 reaches realm2 through `self.proxy`; `ana` and `budi` live in them."""

    async def begin(self) -> None:
        one, two = self.make("realm1"), self.make("realm2")
        self.proxy = Proxy(two.port)
        self.addCleanup(self.proxy.stop)
        self.ana, self.budi = await self.pair(port=self.proxy.start())
        self.one, self.two = one, two

    def is_linked(self) -> bool:
        """Whether the link is up at both ends."""
        return all(
            any(link.is_up for link in realm.links) for realm in (self.one, self.two)
        ) and bool(self.proxy.passages)

    async def linked(self) -> None:
        await until(self.is_linked)

    async def exchange(self, count: int, size: int = 0) -> Deferred[Any]:
        """Each sends the other `count` messages at once. Fires when all are acknowledged."""
        filling = "x" * size
        load = []
        for person, to in ((self.ana, "budi@realm2"), (self.budi, "ana@realm1")):
            requests = [
                {"command": "send", "to": to, "text": f"{number} {filling}"}
                for number in range(count)
            ]
            load.append(run(self.acknowledged(person, requests)))
        return gatherResults(load, consumeErrors=True)

    async def acknowledged(self, person: Person, requests: list[dict[str, Any]]) -> None:
        replies = await person.all(requests)
        self.assertEqual({reply["status"] for reply in replies}, {"OK"})

    async def all_there(self, count: int) -> None:
        """Check that each has all messages of the other, once and in order."""
        for person in (self.ana, self.budi):
            found = [text.split()[0] for text in await person.gets(count)]
            self.assertEqual(found, [str(number) for number in range(count)])
        for person in (self.ana, self.budi):
            await self.nothing_queued(person)

    async def nothing_queued(self, person: Person) -> None:
        name = "realm2" if person is self.ana else "realm1"
        for _ in range(2000):
            if (await person.realm_info(name))["queued"] == 0:
                return
            await sleep(0.01)
        self.fail(f"something still waits for {name}")
