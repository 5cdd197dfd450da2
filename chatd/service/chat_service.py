"""ChatService: the shared object behind every protocol. It holds accounts, groups, messages, rooms and files.

It knows no socket and no wire format, and gets clocks, randomness and the database in its `Context`.
Connections are `IListener`s (chatd.service.presence) and act through a `Client` (chatd.commands.client).
Other realms are behind `IRealms` and `IForwarder` (chatd.service.remote).
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred

from chatd.base.background import in_background
from chatd.base.config import Config
from chatd.base.config_changes import ReloadReport
from chatd.files.disk_space import DiskSpace
from chatd.files.store import IFileStore
from chatd.media.scaler import PictureScaler
from chatd.service.access_bans import AccessBans
from chatd.service.account_moves import AccountMoves
from chatd.service.accounts import Accounts
from chatd.service.announcements import Announcements
from chatd.service.attachments import Files
from chatd.service.audit import Audit
from chatd.service.avatars import Avatars
from chatd.service.blocks import Blocks
from chatd.service.composed_sends import ComposedSends
from chatd.service.contacts import Contacts
from chatd.service.context import Context
from chatd.service.conversation_settings import ConversationSettings
from chatd.service.conversations import Conversations
from chatd.service.departures import Departures
from chatd.service.directs import Directs
from chatd.service.disk_usage import DiskUsage
from chatd.service.downloads import Downloads
from chatd.service.ended_invitations import EndedInvitations
from chatd.service.erased_files import ErasedFiles
from chatd.service.exports import Exports
from chatd.service.fan_out import FanOut
from chatd.service.file_states import FileStates
from chatd.service.group_pictures import GroupPictures
from chatd.service.group_relocation import GroupRelocation
from chatd.service.group_removals import GroupRemovals
from chatd.service.groups import Groups
from chatd.service.home_groups import HomeGroups
from chatd.service.idempotent_sends import Sends
from chatd.service.import_profile import ProfileImport
from chatd.service.imports import Imports
from chatd.service.indexing import Indexing
from chatd.service.invitations import Invitations
from chatd.service.log_sync import LogSync
from chatd.service.managed_accounts import ManagedAccounts
from chatd.service.managed_groups import ManagedGroups
from chatd.service.member_moves import MemberMoves
from chatd.service.mentions import Mentions
from chatd.service.message_changes import MessageChanges
from chatd.service.messages import Messages
from chatd.service.mirror_groups import MirrorGroups
from chatd.service.moderated_messages import ModeratedMessages
from chatd.service.move_claims import MoveClaims
from chatd.service.move_follower import MoveFollower
from chatd.service.moved_addresses import MovedAddresses
from chatd.service.moving_out import MovingOut
from chatd.service.mutes import Mutes
from chatd.service.node_events import NodeEvents
from chatd.service.operators import Operators
from chatd.service.password_resets import PasswordResets
from chatd.service.passwords import Passwords
from chatd.service.pending_posts import PendingPosts
from chatd.service.people import People
from chatd.service.pictures import Pictures
from chatd.service.presence import Presence
from chatd.service.presence_elsewhere import PresenceElsewhere
from chatd.service.presence_news import PresenceNews
from chatd.service.presence_nodes import PresenceNodes
from chatd.service.privacy_settings import PrivacySettings
from chatd.service.quotas import MessageQuotas
from chatd.service.readdressing import Readdressing
from chatd.service.reading import Reading
from chatd.service.realm_invitations import RealmInvitations
from chatd.service.realm_turns import RealmTurns
from chatd.service.receipts import Receipts
from chatd.service.remote import IForwarder, IRealms
from chatd.service.remote_news import RemoteNews
from chatd.service.remote_presence import RemotePresence
from chatd.service.remote_profiles import RemoteProfiles
from chatd.service.remote_sends import RemoteSends
from chatd.service.reports import Reports
from chatd.service.request_answers import RequestAnswers
from chatd.service.requests import MessageRequests
from chatd.service.retention import Retention
from chatd.service.room_files import RoomFiles
from chatd.service.room_watch import RoomWatch
from chatd.service.rooms import Rooms
from chatd.service.rosters import Rosters
from chatd.service.session_list import SessionList
from chatd.service.target_finder import TargetFinder
from chatd.service.thumbnails import Thumbnails
from chatd.service.typing_notices import TypingNotices
from chatd.service.untold_entries import UntoldEntries
from chatd.service.upkeep import IUpkeep
from chatd.service.upload_limits import UnderWay
from chatd.store.engine import limit_log
from chatd.store.search.index import BlockIndex


class ChatService:
    """Everything that a realm consists of, except its links and ports. Its attributes are its contents."""

    accounts: Accounts  # register, log in, profiles, sessions
    session_list: SessionList  # an account's sessions, and with what they are used
    people: People  # the lists of all people, and of those online
    exports: Exports  # archives of what an account has here
    imports: Imports  # of archives of earlier accounts
    departures: Departures  # deletes accounts
    moves: AccountMoves  # moves accounts to other realms
    claims: MoveClaims  # people of lost realms say who they were
    follower: MoveFollower  # lets conversations follow people who have moved
    moving_out: MovingOut  # groups and messages of accounts that have moved
    member_moves: MemberMoves  # members of groups here who have moved
    contacts: Contacts  # people's contact lists, with who is online
    blocks: Blocks  # whom people have blocked
    operators: Operators  # who runs the realm
    audit: Audit  # what was done with a role
    realm_invitations: RealmInvitations  # who may register
    resets: PasswordResets  # links to choose another password
    managed: ManagedAccounts  # accounts, as operators manage them
    group_removals: GroupRemovals  # deletes groups for operators
    managed_groups: ManagedGroups  # groups, as operators and moderators manage them
    upkeep: IUpkeep  # backups and checks of the state folder
    mutes: Mutes  # who can't write to groups
    access_bans: AccessBans  # accounts, networks and realms that are kept out
    usage: DiskUsage  # who uses most of the disk
    presence: Presence  # who is online, who listens, and events to listeners
    presence_news: PresenceNews  # tells who has come or gone, and who has changed their profile
    elsewhere: PresenceElsewhere  # tells other realms who is online here
    remote_presence: RemotePresence  # who is online in other realms
    groups: Groups  # create, join, leave, invite, kick: groups here and in other realms
    relocation: GroupRelocation  # agreeing that a group moves to another realm
    homes: HomeGroups  # the groups that live here, for members of any realm
    mirrors: MirrorGroups  # the groups of other realms with members here
    requests: MessageRequests  # from people of realms that were not added here
    invitations: Invitations  # to groups of other realms, which accounts accept or decline
    rosters: Rosters  # who is in which group
    directs: Directs  # conversations of two people
    reports: Reports  # messages that people have reported to the moderators
    settings: ConversationSettings  # notifications and archiving of conversations
    conversations: Conversations  # the list of an account's conversations
    messages: Messages  # send to people, post to groups
    composed: ComposedSends  # replies, mentions, forwarded and opaque messages
    changes: MessageChanges  # edit, delete, react, pin
    moderated: ModeratedMessages  # read and deleted by operators and moderators
    pending: PendingPosts  # messages to groups elsewhere that have no number yet
    reading: Reading  # inbox, history, search, read marks
    sync: LogSync  # what a client has missed of a conversation
    indexing: Indexing  # keeps the index for searching up to date
    retention: Retention  # removes what is not to be kept
    ended_invitations: EndedInvitations  # removes them some time after their end
    announcements: Announcements  # messages of operators to all accounts
    receipts: Receipts  # who has read what
    privacy: PrivacySettings  # what people show and allow
    typing: TypingNotices  # who is writing
    files: Files  # send files
    downloads: Downloads  # list files, fetch them
    avatars: Avatars  # pictures of people
    group_pictures: GroupPictures  # pictures of groups
    pictures: Pictures  # pictures by place: of people and of groups
    profiles: RemoteProfiles  # names and pictures of people of other realms
    thumbnails: Thumbnails  # small versions of pictures
    file_states: FileStates  # files of other realms that have come, or are lost
    rooms: Rooms  # rooms that last as long as someone is in them
    room_files: RoomFiles  # the files that people send to them
    room_watch: RoomWatch  # tells who comes and goes in some room
    quotas: MessageQuotas  # how many bytes of messages a day
    disk: DiskSpace  # whether there is room left
    realms: IRealms  # other realms, and questions to them
    context: Context  # what all of these share; its parts are attributes here too
    reload: Callable[[], Deferred[ReloadReport]] | None = None  # reads the configuration again

    def __init__(
        self,
        context: Context,
        passwords: Passwords,
        uploads: IFileStore,
        realms: IRealms,
        forwarder: IForwarder,
        scaler: PictureScaler,
    ) -> None:
        self.context = context
        self.clock = context.clock
        self.database, self.counters = context.database, context.counters
        self.started = False  # the doors are open
        self.stopping = False  # the realm is shutting down
        self.passwords = passwords
        self.uploads = uploads
        self.realms = realms
        self._make_limits()
        self._make_presence()
        self._make_rooms()
        self._make_people(passwords, scaler, forwarder)
        self._make_reading(forwarder)
        self._make_sending(forwarder)
        self._make_groups(forwarder)
        self._make_files(scaler)

    @property
    def config(self) -> Config:
        """The configuration in use."""
        return self.context.config

    def _make_limits(self) -> None:
        limits, peers, uploads = self.config.limits, self.config.peers, self.uploads
        folders = [uploads.folder]
        if not uploads.folder.is_relative_to(self.config.state):  # its disk may be another one
            folders.append(self.config.state)
        self.disk = DiskSpace(self.clock, uploads.in_thread, folders, limits.reserve)
        self.database.on_settled(self.disk.settled)
        self.disk.on_change(self._spare_disk)
        self.quotas = MessageQuotas(
            self.clock,
            self.database,
            self.disk,
            limits.account_messages,
            peers.messages,
            shared=not self.context.news.is_alone,
        )
        self.context.on_config(self._change_limits)

    def _change_limits(self) -> None:
        limits, peers = self.config.limits, self.config.peers
        self.disk.set_reserve(limits.reserve)
        self.quotas.set_limits(limits.account_messages, peers.messages)

    def _make_presence(self) -> None:
        news, clock, presence = self.context.news, self.clock, Presence(self.counters)
        self.presence = presence
        self.database.on_settled(presence.flush)
        presence.on_waiting(lambda: clock.callLater(0, presence.flush))
        self.elsewhere = PresenceElsewhere(clock, self.realms)
        self.presence_news = PresenceNews(clock, self.database, presence, self.elsewhere)
        self.presence_news.share(news)
        self.presence_nodes = PresenceNodes(news, clock, presence)

    def _make_rooms(self) -> None:
        self.rooms = Rooms(self.presence)
        self.rooms.share(self.context.news, self.clock)
        self.room_watch = RoomWatch(self.clock)
        self.rooms.on_change(self.room_watch.changed)
        self.room_files = RoomFiles(self.context, self.rooms, self.uploads, self.disk)

    def _make_people(
        self, passwords: Passwords, scaler: PictureScaler, forwarder: IForwarder
    ) -> None:
        context, realms = self.context, self.realms
        self.realm_invitations = RealmInvitations(context)
        self.accounts = Accounts(context, passwords, self.presence, self.realm_invitations)
        self.access_bans = AccessBans(context)
        self.mutes = Mutes(context)
        self.accounts.on_login(self.access_bans.check_account)
        self.blocks = Blocks(context, self.accounts, self.presence)
        self.blocks.on_change(self.presence_news.blocks_changed)
        self.remote_presence = RemotePresence(
            context, realms, self.presence, self.elsewhere, self.blocks
        )
        self.people = People(
            context, self.accounts, self.presence, self.blocks, self.remote_presence
        )
        self.session_list = SessionList(context, self.accounts)
        answers = RequestAnswers(context, self.presence, forwarder)
        self.contacts = Contacts(
            context, self.accounts, self.blocks, realms, answers, self.remote_presence
        )
        self.resets = PasswordResets(context, self.accounts, passwords)
        self.operators = Operators(context, self.accounts)
        self.audit = Audit(context)
        self.usage = DiskUsage(context)
        self.managed = ManagedAccounts(
            context, self.accounts, self.operators, passwords, self.presence
        )
        self._moved = MovedAddresses()
        self.directs = Directs(context, self.accounts, self.blocks, realms, answers, self._moved)
        self.avatars = Avatars(
            context, self.accounts, self.presence_news, self.uploads, self.disk, scaler
        )
        self._turns = RealmTurns()
        self.profiles = RemoteProfiles(context, realms, self.presence, self.avatars, self._turns)
        self.presence_news.on_profile(self.profiles.changed_here)

    def _make_reading(self, forwarder: IForwarder) -> None:
        context, presence = self.context, self.presence
        self.rosters = Rosters(context, presence, self.realms, forwarder)
        pushes = self.rosters.pushes
        told_by_nodes = NodeEvents(context.news, presence, pushes)
        untold = UntoldEntries(context, presence, self.blocks, pushes, told_by_nodes.told)
        told_by_nodes.on_lost(untold.look)
        self.follower = MoveFollower(
            context, self._moved, self.directs, self.blocks, self.rosters, presence
        )
        readdress = Readdressing(self.realms, forwarder.mover()).readdress
        context.writers.messages.rerouted.on_message(readdress)
        index = BlockIndex(context.writers.messages.fresh)
        self.indexing = Indexing(context, index)
        news = RemoteNews(context, self.realms)
        self.receipts = Receipts(context, presence, news, forwarder)
        self.privacy = PrivacySettings(self.database, presence, self.receipts)
        self.privacy.share(context.news, context.clock)
        self.typing = TypingNotices(context, presence, news, forwarder)
        self.reading = Reading(
            context, self.directs, self.rosters, self.receipts, forwarder, index, self.realms
        )
        self.sync = LogSync(context, forwarder, self.realms)
        self.reports = Reports(context, self.reading)
        self.settings = ConversationSettings(context, presence, self.reading)
        self.conversations = Conversations(
            context,
            self.blocks,
            self.reading,
            self.profiles,
            self.remote_presence,
            forwarder,
            self.realms,
        )

    def _make_sending(self, forwarder: IForwarder) -> None:
        context = self.context
        self.messages = self._make_messages(forwarder)
        self.messages.on_post(self.mutes.check)
        erased = self._erased = ErasedFiles(context, self.uploads)
        self.file_states = FileStates(context.clock, self.presence, erased)
        self.requests = MessageRequests(
            context, self.presence, self.messages.fan_out, self.directs.answers, self.receipts
        )
        self.pending = PendingPosts(context, forwarder, erased)
        self.retention = Retention(context, erased)
        self.ended_invitations = EndedInvitations(context, self.retention.time)
        self.announcements = Announcements(context, self.messages, self.disk)
        finder = TargetFinder(
            self.database, self.accounts, self.directs, self.rosters, self.reading
        )
        mentions = Mentions(context, self.accounts, self.rosters)
        self.composed = ComposedSends(self.database, self.messages, self.directs, finder, mentions)
        self.changes = MessageChanges(
            context, finder, self.blocks, self.presence, self.quotas, forwarder, erased
        )
        self.changes.on_change(self.mutes.check)
        self.moderated = ModeratedMessages(context, self.changes, finder, self.realms)

    def _make_groups(self, forwarder: IForwarder) -> None:
        context, accounts, realms = self.context, self.accounts, self.realms
        self.homes = HomeGroups(context, accounts, self.blocks, self.rosters, realms)
        self.invitations = Invitations(context, accounts, self.blocks, self.presence, realms)
        self.mirrors = MirrorGroups(
            context, accounts, self.rosters, self.invitations, realms, forwarder
        )
        self.groups = Groups(
            context, self.people, self.rosters, self.homes, self.mirrors, self.invitations, realms
        )
        self.relocation = GroupRelocation(
            context,
            self.rosters,
            self.homes,
            self.groups.there,
            realms,
            forwarder,
            self.messages.fan_out,
        )
        self.group_removals = GroupRemovals(
            context, self.rosters, self.changes, self.relocation, self._erased
        )
        self.managed_groups = ManagedGroups(
            context, self.rosters, self.homes, self.relocation, self.group_removals
        )
        self.departures = Departures(context, accounts, self.changes, self.groups)
        self.moves = AccountMoves(context, accounts, self.follower, realms, forwarder)
        self.claims = MoveClaims(
            context, accounts, self.directs, self.messages.fan_out, self.presence, forwarder
        )
        self.member_moves = MemberMoves(context, self.rosters)
        self.moving_out = MovingOut(
            context, self.follower, self.groups, self.member_moves, realms, forwarder
        )
        self.moves.on_moved(self.moving_out.begin)

    def _make_files(self, scaler: PictureScaler) -> None:
        context, uploads, disk = self.context, self.uploads, self.disk
        self.files = Files(
            context,
            self.directs,
            self.messages,
            self.quotas,
            UnderWay(context, uploads, disk),
        )
        self.downloads = Downloads(context, uploads, self.reading, self.file_states)
        self.exports = Exports(context, uploads, disk, self.reading, self.sync)
        self.group_pictures = GroupPictures(
            context, self.avatars, self.rosters, self.realms, self._turns
        )
        self.pictures = Pictures(
            context, self.avatars, self.profiles, self.group_pictures, self.homes, self.rosters
        )
        profile = ProfileImport(
            context, self.accounts, self.avatars, self.blocks, self.privacy, self.presence_news
        )
        self.imports = Imports(context, uploads, disk, self.presence, self.quotas, profile)
        self.departures.on_departure(self.imports.forget)
        self.thumbnails = Thumbnails(self.clock, self.downloads, uploads, disk, scaler)

    def _make_messages(self, forwarder: IForwarder) -> Messages:
        context = self.context
        sends = Sends(context, forwarder)
        fan_out = FanOut(context, self.rosters, self.reading, self.presence, self.blocks, forwarder)
        remote = RemoteSends(context, forwarder, sends, fan_out, self.presence)
        return Messages(context, self.rosters, self.directs, sends, self.quotas, fan_out, remote)

    def _spare_disk(self, low: bool) -> None:
        """Limit the database's log while disk space is low, because logins and read marks are still
        stored."""
        limited = self.database.run(limit_log, low)
        in_background("the database's log was not limited", limited)
