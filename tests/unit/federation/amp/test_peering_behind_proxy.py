"""A realm whose door for other realms is behind a proxy that speaks the PROXY protocol."""

from __future__ import annotations

import socket
from typing import Any, cast

from twisted.internet import reactor

from chatd.base.sources import Networks
from chatd.net.listening import listen
from tests.support.peering import PeeringTestCase, until
from tests.support.proxy import Proxy, Side

HEADER = b"PROXY TCP4 203.0.113.9 127.0.0.1 50000 8890\r\n"


class BehindProxy(PeeringTestCase):
    async def open_behind(self, realm: Any, trusted: str) -> int:
        """Put the realm's port for peers behind a proxy. Returns the port of the proxy."""
        await realm.listening.stopListening()
        factory = realm.keys.endpoint.factory(realm.directory.manager)
        endpoint = "haproxy:tcp:0:interface=127.0.0.1"
        listening: Any = listen(reactor, "peers", endpoint, factory, Networks.parse(trusted))
        realm.listening = await listening
        proxy = Proxy(realm.listening.getHost().port)
        self.addCleanup(proxy.stop)
        opened = Side.connectionMade

        def say_for_whom(side: Side) -> None:
            if side is side.passage.far:
                side.transport.write(HEADER)
            opened(side)

        self.patch(Side, "connectionMade", say_for_whom)
        return proxy.start()

    async def test_link(self) -> None:
        """The link comes up, and counts for the realm's own address."""
        one, two = self.make("realm1"), self.make("realm2")
        ana, budi = await self.pair(port=await self.open_behind(two, "127.0.0.1"))
        await ana.must("send", to="budi@realm2", text="halo")
        self.assertEqual(await budi.gets(1), ["halo"])
        (link,) = two.links
        self.assertEqual(link.route.address, "203.0.113.9:50000")
        self.assertTrue(any(link.is_up for link in one.links))
        for end in (link, *one.links):
            sock = cast(Any, end.transport).transport.getHandle()  # below TLS
            self.assertEqual(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), 1)

    async def test_proxy_that_is_not_trusted(self) -> None:
        one, two = self.make("realm1"), self.make("realm2")
        port = await self.open_behind(two, "192.0.2.1")
        ana = await self.person(one, "ana")
        reply = await ana.ask("addrealm", realm="realm2", host="127.0.0.1", port=port)
        self.assertEqual(reply["code"], "realm-unreachable")
        await until(lambda: not two.links)
