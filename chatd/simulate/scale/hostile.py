"""A realm that many know becomes hostile: it floods a few others, and acknowledges nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol

from chatd.app.realm import Realm
from chatd.federation.amp import contents, wire
from chatd.federation.parcels import Direct, encode
from chatd.net.twisted_compat import BoundedAMP
from chatd.simulate.scale.population import name_of, user_of
from chatd.simulate.scale.wires import WireEnd, join
from chatd.simulate.servers import certificate_of

if TYPE_CHECKING:
    from chatd.simulate.scale.realms import Site
    from chatd.simulate.scale.world import ScaleWorld

VICTIMS = 5  # realms that it floods
FLOOD_TIME = 60.0  # seconds for which it does
# In each second, for each victim:
PARCELS = 10  # messages to people, half of whom do not exist
QUESTIONS = 20  # about who is online
SILENT = 10  # connections on which nothing is said
NEW_NAMES = 1  # links in the name of a realm that nobody knows


class Attack:
    """What the realm at `site` does from `begin` on. It is one of those that everybody knows."""

    def __init__(self, world: ScaleWorld, site: Site) -> None:
        self._world = world
        self._site = site
        self._seconds = 0
        self._names = 0
        self._numbers = 1 << 60  # of parcels: higher than all that it has given
        self.began = 0.0
        self.victims: list[Site] = []

    def begin(self) -> None:
        """Acknowledge nothing from now on, and flood some of the realms that are linked or dialled."""
        self.began = self._world.time.now
        self._be_silent()
        others = [each for each in self._world.running() if each is not self._site]
        self.victims = others[:: max(1, len(others) // VICTIMS)][:VICTIMS]
        self._flood()

    def _be_silent(self) -> None:
        """Take all deliveries, and answer none."""

        async def receive(*_: Any) -> Any:
            await Deferred()

        receiver: Any = cast(Realm, self._site.realm).federation.receiver
        receiver.receive = receive

    def _flood(self) -> None:
        realm = self._site.realm
        self._seconds += 1
        if realm is None or self._seconds > FLOOD_TIME:
            return
        self._site.clock.callLater(1.0, self._flood)
        for victim in self.victims:
            if victim.realm is None:
                continue
            self._flood_link(realm, victim)
            for _ in range(SILENT):
                self._connect(victim, Protocol())
            for _ in range(NEW_NAMES):
                self._names += 1
                self._connect(victim, Stranger(realm, f"asing{self._names}.example.org"))

    def _flood_link(self, realm: Realm, victim: Site) -> None:
        peer = realm.directory.peers.get(victim.name)
        if peer is None:
            return
        if peer.link is None or not peer.link.is_up:
            realm.directory.manager.dialer.want(peer)
            return
        batch = []
        for _ in range(PARCELS):
            self._numbers += 1
            to = user_of(self._numbers % (2 * self._world.settings.users))
            direct = Direct(f"bot{self._numbers % 100}", to, 0, "beli sekarang")
            batch.append((self._numbers, encode(direct)))
        parcels = contents.encode_batch(batch)
        calls = [peer.link.call(wire.DeliverCommand, parcels=parcels)]
        for each in range(QUESTIONS):
            calls.append(peer.link.call(wire.PresenceCommand, users=[user_of(each)]))
        for call in calls:
            call.addErrback(lambda _failure: None)

    def _connect(self, victim: Site, protocol: Any) -> None:
        name = getattr(protocol, "name", name_of(self._site.number))
        delay = self._world.delay(self._site.number, victim.number)
        near = WireEnd(protocol, certificate_of(name), self._site.clock, delay)
        far = WireEnd(
            victim.accept(self._world.address(self._site)), victim.certificate, victim.clock, delay
        )
        join(near, far)


class Stranger(BoundedAMP):
    """Greets as a realm with that name, and then says nothing."""

    def __init__(self, realm: Realm, name: str) -> None:
        super().__init__()
        self.name = name
        self._realm = realm

    def handshakeCompleted(self) -> None:  # noqa: N802 - Twisted's name
        own = msgspec.structs.replace(
            self._realm.directory.manager.introduce(), realm=self.name, capabilities=[]
        )
        hello = msgspec.structs.asdict(own)
        self.callRemote(wire.HelloCommand, **hello).addErrback(lambda _failure: None)
