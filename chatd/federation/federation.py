"""Federation: what a realm needs, on top of its ChatService, to exchange messages with other realms."""

from __future__ import annotations

from chatd.federation.admissions import Admissions
from chatd.federation.bounces import Bounces
from chatd.federation.change_receiver import ChangeReceiver
from chatd.federation.entry_handover import EntryHandover
from chatd.federation.entry_reader import EntryReader
from chatd.federation.entry_trust import EntryTrust
from chatd.federation.fact_reader import FactReader
from chatd.federation.file_arrivals import FileArrivals
from chatd.federation.file_losses import FileLosses
from chatd.federation.file_supply import FileSupply
from chatd.federation.forwarder import Forwarder
from chatd.federation.group_changes import GroupChanges
from chatd.federation.group_follower import GroupFollower
from chatd.federation.group_mover import GroupMover
from chatd.federation.group_rosters import RosterCopies, RosterSupply
from chatd.federation.guest_lists import GuestLists
from chatd.federation.handing_over import HandingOver
from chatd.federation.links import ILinks
from chatd.federation.membership import MembershipNews
from chatd.federation.message_requests import RequestReceiver
from chatd.federation.move_receiver import MoveReceiver
from chatd.federation.moved_messages import MovedMessages
from chatd.federation.moved_posts import MovedPosts
from chatd.federation.name_guesses import NameGuesses
from chatd.federation.news_receiver import NewsReceiver
from chatd.federation.outcomes import Outcomes
from chatd.federation.package_fetcher import PackageFetcher
from chatd.federation.parcel_reader import ParcelReader
from chatd.federation.parcel_writer import ParcelWriter
from chatd.federation.past_supply import PastSupply
from chatd.federation.past_writer import PastWriter
from chatd.federation.pasts import Pasts
from chatd.federation.questions import Questions
from chatd.federation.reached import ReachedRealms
from chatd.federation.realm_quotas import RealmQuotas
from chatd.federation.receive import Receiver
from chatd.federation.rescue_lineage import RescueLineage
from chatd.federation.rescues import Rescues
from chatd.federation.restores import Restores
from chatd.federation.returned import ReturnedEntries, ReturnReceiver
from chatd.federation.seals import Seals
from chatd.federation.signing.key_book import KeyBook
from chatd.federation.standing import Standings
from chatd.service.chat_service import ChatService
from chatd.store.peer_marks import StoredMarks


class Federation:
    """`links` may be attached to it later, but before anything is received. Its attributes are its
    contents."""

    def __init__(
        self,
        service: ChatService,
        forwarder: Forwarder,
        links: ILinks,
        keys: KeyBook,
        marks: StoredMarks,
    ) -> None:
        context = service.context
        # When other realms were last reached
        self.reached = ReachedRealms(context)
        # Sending: copies and posts, and the outbox that they wait in
        self.forwarder = forwarder
        service.presence.on_heard(forwarder.posts.origin_of_event)
        # The keys with which this realm and others sign
        self.keys = keys
        self.outbox = forwarder.outbox
        # Messages that were delivered, refused or expired
        self.outcomes = Outcomes(service, links, forwarder.outbox)
        # What this realm knows of people of others
        self.profiles, self.presence = service.profiles, service.remote_presence
        # Files: their bytes from other realms, and to them
        self.arrivals = FileArrivals(service, links)
        self.supply = FileSupply(context, service.uploads, links)
        # What other realms have lost since a backup
        self.seals = Seals(marks.seal_key, service.context.realm_key)
        self.standings = Standings(context, marks.by_realm)
        self.restores = Restores(
            context, self.standings, self.seals, forwarder, service.receipts.tell_again
        )
        self.guests = GuestLists(service, links, self.standings)
        self.rosters = RosterSupply(context, links, forwarder.sign)
        service.rosters.on_changed(self.rosters.changed)
        self._make_receivers(service, links)

    def _make_receivers(self, service: ChatService, links: ILinks) -> None:
        """Make what receives: parcels and typing, what this realm has lost since a backup, and questions."""
        context, forwarder = service.context, self.forwarder
        guesses = NameGuesses(context, service.rosters, links)
        quotas = RealmQuotas(service, links)
        self.roster_copies = RosterCopies(context, links, self.keys, quotas)
        trust = EntryTrust(context, self.keys)
        self.lineage = RescueLineage(context, links, self.keys, service.rosters)
        facts = FactReader(service, trust, self.lineage)
        read_entries = EntryReader(service, forwarder, links, guesses, trust, facts)
        reader = ParcelReader(service, links, guesses, quotas, read_entries)
        changes = ChangeReceiver(service, links, guesses, reader, quotas)
        membership = MembershipNews(service, links, guesses, quotas, facts)
        self.moves = MoveReceiver(service, links, self.keys, quotas)
        moved = MovedMessages(service, links, self.moves, self.outcomes.refuse)
        self.outcomes.on_moved(moved.moved)
        self.moves.on_verified(moved.verified)
        entries = GroupChanges(service, forwarder, quotas)
        on_read, on_typing = service.receipts.arrived, service.typing.arrived
        losses = FileLosses(service, Bounces(service, links))
        writer = ParcelWriter(service, forwarder, self.arrivals, quotas)
        returned = ReturnedEntries(read_entries, writer, entries, quotas, self.standings, service)
        on_accepted = self.outcomes.accepted
        self.news = NewsReceiver(
            membership, changes, entries, losses, self.moves, (on_read, on_typing, on_accepted)
        )
        self.requests = RequestReceiver(service, links, quotas)
        self.receiver = Receiver(
            context, service.disk, quotas, reader, writer, self.news, self.requests
        )
        self._make_returning(service, links, returned, writer)
        posts = MovedPosts(context, read_entries, writer, entries, self.outcomes, links)
        rescued = service, links, forwarder, self.keys, self.reached
        self.rescues = Rescues(*rescued, self.receiver, posts)
        self._make_pasts(service, links, read_entries, quotas)
        admissions = Admissions(service, self.seals, self.standings)
        self.questions = Questions(service, links, guesses, facts, admissions)
        self._make_movers(service, links, posts, trust)
        read_entries.on_coming(self.mover.is_coming)

    def _make_pasts(
        self, service: ChatService, links: ILinks, entries: EntryReader, quotas: RealmQuotas
    ) -> None:
        """Make what fetches and supplies entries of groups from before a member has joined."""
        writer = PastWriter(service, self.forwarder, self.arrivals, quotas)
        self.pasts = Pasts(service, links, entries, writer, quotas)
        self.past_supply = PastSupply(service.context, self.forwarder.entries)

    def _make_returning(
        self,
        service: ChatService,
        links: ILinks,
        returned: ReturnedEntries,
        writer: ParcelWriter,
    ) -> None:
        """Make what takes lost entries back."""
        self.returned = ReturnReceiver(
            service, links, self.receiver, returned, self.seals, writer, self.standings
        )
        self.returned.attach(self.moves)

    def _make_movers(
        self, service: ChatService, links: ILinks, posts: MovedPosts, trust: EntryTrust
    ) -> None:
        """Make what moves groups from realm to realm."""
        forwarder = self.forwarder
        self.handing_over = HandingOver(service, links, forwarder)
        packages = PackageFetcher(service, links, trust, self.standings)
        self.mover = GroupMover(
            service, links, forwarder, self.pasts, posts, packages, self.standings
        )
        self.follower = GroupFollower(
            service, links, forwarder, trust, self.mover, self.receiver, posts
        )
        self.handover = EntryHandover(service.context, links, self.past_supply)
        self.follower.on_forgotten(self.handover.begin)
        self.news.on_group_moved(self.follower.receive)
        self.outcomes.on_group_moved(self.follower.refused)

    def link_up(self, realm: str) -> None:
        """That realm is linked."""
        self.reached.link_up(realm)
        self.lineage.link_up(realm)
        self.rescues.link_up(realm)
        self.rosters.link_up(realm)
        self.requests.settle(realm)
        self.arrivals.link_up(realm)
        self.presence.linked(realm)
        self.moves.link_up(realm)
        self.pasts.begin(realm)
        self.mover.begin(realm)
        self.handover.begin(realm)

    def link_down(self, realm: str) -> None:
        """The link to that realm is gone."""
        self.reached.link_down(realm)
        self.lineage.link_down(realm)
        self.rescues.link_down(realm)
        self.rosters.link_down(realm)
        self.roster_copies.link_down(realm)
        self.presence.unlinked(realm)
        self.arrivals.link_down(realm)
        self.guests.link_down(realm)

    # Links of other nodes of this realm

    def linked_elsewhere(self, realm: str) -> None:
        """Another node is linked with that realm."""
        self.rosters.linked_elsewhere(realm)
        self.presence.linked_elsewhere(realm)

    def look_again(self, realm: str) -> None:
        """Another node of this realm has gone. It may have stored work for that realm, which is linked with
        this node, without telling this node. Begin it."""
        self.rosters.link_up(realm)
        self.requests.settle(realm)
        self.pasts.begin(realm)
        self.mover.begin(realm)
        self.handover.begin(realm)

    def unlinked_elsewhere(self, realm: str) -> None:
        """Another node has lost its link with that realm."""
        self.rosters.link_down(realm)
        self.presence.unlinked(realm)
