"""The links to other realms that the nodes of this realm share: each realm is linked with one node, and the
others reach it through that one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

from chatd.base.errors import ChatError
from chatd.base.isolation import guarded
from chatd.base.timers import Timer
from chatd.federation.amp.link_balance import LinkBalance
from chatd.federation.amp.link_leases import LinkLeases
from chatd.federation.amp.link_manager import LinkManager
from chatd.federation.amp.link_states import LinkStates, OwnedLink
from chatd.federation.amp.node_parcels import NodeParcels
from chatd.federation.amp.node_questions import LinkElsewhere, NodeQuestions
from chatd.federation.amp.peers import Peer, PeerTable
from chatd.federation.federation import Federation
from chatd.service.context import Context
from chatd.store import pasts

FETCH_PAST = "fetch past"
BETWEEN = 0.05  # seconds between two realms for which something is looked for
UNDONE = "work for a realm was not begun"

log = Logger()


class SharedLinks:
    """`leases` are those of this node."""

    def __init__(
        self,
        context: Context,
        federation: Federation,
        manager: LinkManager,
        peers: PeerTable,
        leases: LinkLeases,
    ) -> None:
        self._context = context
        self._federation = federation
        self._peers = peers
        self._works: dict[str, Callable[[str], object]] = {}
        self.leases = leases
        self._balance = LinkBalance(context, peers, leases)
        self.states = LinkStates(context, peers, leases, self._changed)
        self.questions = NodeQuestions(context, peers, self.states, manager.dialer.linked)
        self.questions.work(FETCH_PAST, self._fetch_past)
        posts = federation.forwarder.posts
        self.parcels = NodeParcels(context, peers, leases, self.states, posts)
        leases.on_owned = manager.on_link = self.states.changed
        news = context.news
        self._tell_work = news.direct_topic("link work", tuple[str, str], self._asked)
        self._tell_all = news.topic("links work", str, self._asked_all, lambda: None)
        # Realms for which a node that has gone may have stored something
        self._unseen: dict[str, None] = {}
        self._looking = Timer(context.clock, self._look)
        news.on_gone(self._gone)

    def start(self) -> None:
        self.leases.start()
        self._balance.start()

    async def stop(self) -> None:
        self._looking.cancel()
        self._unseen.clear()
        await self._balance.stop()
        await self.leases.stop()
        self.states.stop()
        self.questions.stop()

    # Links of other nodes

    def has(self, peer: Peer) -> bool:
        """Whether other nodes link with the realm, and not this one."""
        return not peer.owned

    def reach(self, peer: Peer) -> LinkElsewhere:
        """What asks a realm that is not linked with this node."""
        return LinkElsewhere(peer.known.key, self.states, self.questions)

    def linked(self, peer: Peer) -> LinkElsewhere | None:
        """As `reach`, if another node is linked with the realm. May be called in any thread."""
        known = self.states.get(peer.known.key)
        return None if known is None or not known.is_up else self.reach(peer)

    def _changed(self, realm: str, before: OwnedLink | None, after: OwnedLink | None) -> None:
        """Another node has told of its link with a realm."""
        was_up, is_up = (each is not None and each.is_up for each in (before, after))
        peer = self._peers.get(realm)
        if is_up and not was_up:
            self._federation.linked_elsewhere(realm)
        elif was_up and not is_up and (peer is None or peer.link is None):
            # Else this node has the link by now, and hears late that another one has lost it.
            self._federation.unlinked_elsewhere(realm)

    # Work in the background, which the node with the link does

    def does(self, work: str, do: Callable[[str], object]) -> None:
        """Do `work` for realms that other nodes name."""
        self._works[work] = do

    def leave(self, realm: str, work: str) -> bool:
        """Leave `work` to the node that links with a realm. Returns False if that is this one. If the node is
        not told, it begins when this one has gone, or when it links again."""
        peer = self._peers.get(realm)
        if peer is None or not self.has(peer):
            return False
        if (node := self.states.told_owner(realm)) is not None:
            self._tell_work(node, (realm, work))
        return True

    def tell_all(self, work: str) -> None:
        """Let all other nodes do `work` for their realms."""
        self._tell_all(work)

    def _asked(self, _node: str, asked: tuple[str, str]) -> None:
        realm, work = asked
        peer, do = self._peers.get(realm), self._works.get(work)
        if peer is not None and peer.owned and do is not None:
            guarded(UNDONE, do, realm)

    def _asked_all(self, work: str) -> None:
        if (do := self._works.get(work)) is not None:
            for realm, peer in list(self._peers.by_key.items()):
                if peer.owned:
                    guarded(UNDONE, do, realm)

    def _gone(self, _node: str) -> None:
        """A node has gone. It may not have told what it has stored last for the realms of this one."""
        by_key = self._peers.by_key
        self._unseen.update((key, None) for key, peer in by_key.items() if peer.owned)
        self._looking.start(0)

    def _look(self) -> None:
        """Begin what waits for the next realm."""
        if not self._unseen:
            return
        realm = next(iter(self._unseen))
        del self._unseen[realm]
        peer = self._peers.get(realm)
        if peer is not None and peer.owned and peer.link is not None and peer.link.is_up:
            guarded(UNDONE, self._federation.look_again, realm)
        self._looking.start(BETWEEN)

    # The past of groups

    async def fetch_past(self, conversation: int) -> None:
        """Let the node with the link fetch the next page of a group of another realm. Never raises."""
        past = await self._context.database.read(pasts.past_of, conversation)
        peer = None if past is None else self._peers.get(past.realm)
        if peer is None or not self.has(peer):
            await self._federation.pasts.fetch(conversation)
            return
        try:
            asked = {"conversation": conversation}
            await self.questions.ask(peer.known.key, FETCH_PAST, asked)
        except ChatError as error:
            log.debug("the past of a group does not come: {error}", error=error)

    async def _fetch_past(self, asked: dict[str, Any]) -> None:
        await self._federation.pasts.fetch(int(asked["conversation"]))
