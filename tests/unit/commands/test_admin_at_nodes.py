"""What operators order at one node holds at the others within a second, whatever the bus loses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

from twisted.internet.defer import Deferred

from chatd.base.ban_targets import parse_ban_target
from chatd.base.errors import (
    AccountDisabled,
    Banned,
    ChatError,
    GroupShut,
    Muted,
    NotLoggedIn,
    UnknownUser,
    WrongPassword,
)
from chatd.base.events import SessionEnded
from chatd.base.model import Account
from chatd.base.names import Address
from chatd.base.principals import Principal
from chatd.base.replies import Reply
from chatd.base.roles import MODERATOR, OPERATOR
from chatd.base.texts import Secret
from chatd.commands import values as ask
from chatd.commands.client import Client
from chatd.commands.connection import Connection, Origin
from chatd.commands.handlers import HANDLERS
from chatd.commands.handlers.admin import ACT_HANDLERS
from chatd.commands.values import Command
from chatd.service.node_news import QUIET
from chatd.service.operators import hash_code
from chatd.store.mutes import EVERYWHERE
from chatd.store.operators import offer_code
from tests.support.inline import outcome_of, result_of
from tests.support.two_services import FakeClient, TwoServices

PASSWORD = "secret password"
READS = "it changes nothing"
STORED = "each node reads it from the database when it is needed"
OWN = "it is about the node that gets it"
LINKS = "links belong to one node: tests/unit/federation/amp/test_link_leases.py"
# Commands without a case below, and why
NO_CASE: dict[type[Command], str] = {
    ask.ListAccounts: READS,
    ask.InspectAccount: READS,
    ask.ListAccountSessions: READS,
    ask.ExportAccount: READS,
    ask.ListAccessBans: READS,
    ask.ListMutes: READS,
    ask.ListPeers: READS,
    ask.ListManagedGroups: READS,
    ask.InspectGroup: READS,
    ask.ShowAnyMessage: READS,
    ask.ListRealmInvitations: READS,
    ask.ListOpenReports: READS,
    ask.ListNodes: READS,
    ask.ReadAudit: READS,
    ask.ShowStats: READS,
    ask.ShowUsage: READS,
    ask.ShowRetention: READS,
    ask.CheckState: READS,
    ask.InviteToRealm: STORED,
    ask.RevokeRealmInvitation: STORED,
    ask.ResetPassword: STORED,
    ask.CloseOpenReport: STORED,
    ask.SetRetention: STORED,
    ask.ClearRetention: STORED,
    ask.DeleteAnyMessage: STORED,
    ask.LinkRealm: LINKS,
    ask.UnlinkRealm: LINKS,
    ask.MakeBackup: OWN,
    ask.RestoreBackup: OWN,
    ask.VacuumDatabase: OWN,
    ask.ReloadConfig: OWN,
}

Case = Iterator[Command]


class AtNodes(TwoServices):
    """Each case yields commands, which are given at one node, and checks the other node a second later."""

    def setUp(self) -> None:
        super().setUp()
        self.count = 0
        for service in (self.here, self.there):
            service.context.news.watch()
            service.context.work.start()

    def cases(self) -> dict[type[Command], Callable[[], Case]]:
        return {
            ask.AddAccount: self.add,
            ask.SetPassword: self.set_password,
            ask.SetRole: self.set_role,
            ask.DisableAccount: self.disable,
            ask.EnableAccount: self.disable,
            ask.LogOutAccount: self.log_out,
            ask.RemoveAccount: lambda: self.remove(ask.RemoveAccount),
            ask.EraseAccount: lambda: self.remove(ask.EraseAccount),
            ask.RenameAccount: self.rename,
            ask.SetQuota: self.set_quota,
            ask.AddAccessBan: self.ban,
            ask.RemoveAccessBan: self.ban,
            ask.AddMute: self.mute,
            ask.RemoveMute: self.mute,
            ask.ShutGroup: self.shut,
            ask.OpenShutGroup: self.shut,
            ask.PassOnGroup: self.pass_on,
            ask.DeleteGroup: self.delete_group,
            ask.MakeGroup: self.make_group,
            ask.AddMember: self.make_group,
            ask.Announce: self.announce,
        }

    def test_all(self) -> None:
        """A new command needs a case or a reason."""
        known = self.cases().keys() | NO_CASE.keys()
        self.assertEqual(known, ACT_HANDLERS.keys())
        self.assertEqual(self.cases().keys() & NO_CASE.keys(), set())

    def test_told(self) -> None:
        self.run_cases()

    def test_lost(self) -> None:
        """The news is lost, and the other node notices that by the next heartbeat."""
        for bus in self.buses:
            bus.lost = True
        self.run_cases()

    def test_silent(self) -> None:
        """The nodes do not hear each other at all."""
        for bus in self.buses:
            bus.silent, bus.quiet = True, QUIET + 0.1
        self.run_cases()

    def run_cases(self) -> None:
        for case in dict.fromkeys(self.cases().values()):
            for command in case():
                self.give(command)
                self.clock.pump([0.05] * 20)

    def give(self, command: Command) -> None:
        act = self.here.audit.act(Principal("local", OPERATOR), "order", "", "")
        client: Any = SimpleNamespace(
            service=self.here, sessions=self.sessions_here, session=None, listener=None
        )
        result_of(ACT_HANDLERS[type(command)](cast(Client, client), command, act))

    def person(self) -> tuple[Account, FakeClient]:
        """An account with a session at the other node."""
        self.count += 1
        account = self.account(f"user{self.count}")
        return account, self.log_in(account.name)[1]

    def login(self, account: Account, password: str = PASSWORD) -> Any:
        """What a login at the other node gives: an error's class, or the account."""
        done = outcome_of(self.there.accounts.login(account.name, password, "192.0.2.1"))
        return done if isinstance(done, type) else done.account

    def ended(self, client: FakeClient) -> bool:
        return [type(each) for each in client.got] == [SessionEnded]

    def group(self) -> tuple[Account, Account, Address]:
        """An admin and a member of a group that is in memory at the other node."""
        (ana, _), (budi, _) = self.person(), self.person()
        name = Address(f"group{self.count}")
        result_of(self.here.groups.create(ana, name.name))
        result_of(self.here.groups.join(budi, name))
        self.clock.pump([0.05] * 20)
        self.post(ana, name)
        return ana, budi, name

    def post(self, account: Account, name: Address) -> Any:
        return outcome_of(self.there.messages.post(account, name, "halo", None))

    # The cases

    def add(self) -> Case:
        yield ask.AddAccount("newcomer", Secret(PASSWORD))
        found = result_of(self.there.accounts.login("newcomer", PASSWORD, "192.0.2.1"))
        self.assertEqual(found.account.name, "newcomer")

    def set_password(self) -> Case:
        account, client = self.person()
        yield ask.SetPassword(account.name, Secret("another password"))
        self.assertTrue(self.ended(client))
        self.assertIs(self.login(account), WrongPassword)
        self.assertEqual(self.login(account, "another password"), account)

    def set_role(self) -> Case:
        account, _ = self.person()
        session, _ = self.log_in(account.name)
        yield ask.SetRole(account.name, MODERATOR)
        self.assertTrue(session.account.moderator)
        yield ask.SetRole(account.name, "user")
        self.assertFalse(session.account.moderator)

    def disable(self) -> Case:
        account, client = self.person()
        yield ask.DisableAccount(account.name)
        self.assertTrue(self.ended(client))
        self.assertIs(self.login(account), AccountDisabled)
        yield ask.EnableAccount(account.name)
        self.assertEqual(self.login(account), account)

    def log_out(self) -> Case:
        account, client = self.person()
        yield ask.LogOutAccount(account.name)
        self.assertTrue(self.ended(client))

    def remove(self, command: Callable[[str], Command]) -> Case:
        account, client = self.person()
        yield command(account.name)
        self.assertTrue(self.ended(client))
        self.assertIs(outcome_of(self.there.accounts.find(account.name)), UnknownUser)

    def rename(self) -> Case:
        account, _ = self.person()
        session, _ = self.log_in(account.name)
        yield ask.RenameAccount(account.name, "Anna")
        self.assertEqual(session.account.display_name, "Anna")

    def set_quota(self) -> Case:
        account, _ = self.person()
        yield ask.SetQuota(account.name, 5)
        self.assertEqual(self.there.context.file_quotas.of(account), 5)

    def ban(self) -> Case:
        account, client = self.person()
        target = parse_ban_target(account.name)
        yield ask.AddAccessBan(target)
        self.assertIsInstance(client.got[0], Banned)
        self.assertIs(self.login(account), Banned)
        yield ask.RemoveAccessBan(target)
        self.assertEqual(self.login(account), account)
        network, realm = parse_ban_target("192.0.2.128/25"), parse_ban_target("@@realm9")
        yield ask.AddAccessBan(network, force=True)
        self.assertIsNotNone(self.there.access_bans.of_address("192.0.2.200"))
        yield ask.RemoveAccessBan(network)
        self.assertIsNone(self.there.access_bans.of_address("192.0.2.200"))
        yield ask.AddAccessBan(realm)
        self.assertIn("realm9", self.there.context.blocked_realms)
        yield ask.RemoveAccessBan(realm)
        self.assertNotIn("realm9", self.there.context.blocked_realms)

    def mute(self) -> Case:
        _, budi, name = self.group()
        yield ask.AddMute(Address(budi.name))
        self.assertIs(self.post(budi, name), Muted)
        self.assertRaises(Muted, self.there.mutes.check, budi.key, EVERYWHERE, "")
        yield ask.RemoveMute(Address(budi.name))
        self.assertEqual(len(self.post(budi, name).receipts), 1)

    def shut(self) -> Case:
        ana, _, name = self.group()
        yield ask.ShutGroup(name, "spam")
        self.assertIs(self.post(ana, name), GroupShut)
        yield ask.OpenShutGroup(name)
        self.assertEqual(len(self.post(ana, name).receipts), 1)

    def pass_on(self) -> Case:
        ana, budi, name = self.group()
        yield ask.PassOnGroup(name, Address(budi.name))
        roster = result_of(self.there.rosters.find(name))
        self.assertEqual((roster.members[ana.id], roster.members[budi.id]), (False, True))

    def delete_group(self) -> Case:
        ana, _, name = self.group()
        yield ask.DeleteGroup(name)
        self.assertTrue(isinstance(self.post(ana, name), type))

    def make_group(self) -> Case:
        (ana, _), (budi, _) = self.person(), self.person()
        name = Address(f"made{self.count}")
        yield ask.MakeGroup(name.name, ana.name)
        yield ask.AddMember(name.name, budi.name)
        self.assertEqual(len(self.post(budi, name).receipts), 1)

    def announce(self) -> Case:
        account, _ = self.person()
        yield ask.Announce("The realm moves")
        page = result_of(self.there.reading.newest(account, None, {}))
        self.assertEqual([each.text for each in page.messages], ["The realm moves"])


class Paused(TwoServices):
    """A node that does not hear the others looks up what decides about a command before it executes it."""

    def setUp(self) -> None:
        super().setUp()
        self.sessions.handlers = HANDLERS
        self.buses[0].silent, self.buses[1].quiet = True, QUIET + 0.1

    def connected(self, name: str) -> tuple[Account, Client, Connection]:
        account = self.account(name)
        login = result_of(self.there.accounts.login(name, PASSWORD, "192.0.2.1"))
        listener = FakeClient()
        connection = Connection(self.sessions, cast(Any, listener), Origin("192.0.2.1", 1))
        connection.attach(login)
        return account, connection.own, connection

    def outcome(self, client: Client, command: Command) -> Any:
        try:
            result = client.execute(command)
        except ChatError as error:
            return type(error)
        return outcome_of(result) if isinstance(result, Deferred) else result

    def test_session_ended(self) -> None:
        account, client, _ = self.connected("ana")
        self.assertIsInstance(self.outcome(client, ask.ShowAccount()), Reply)
        result_of(self.here.accounts.end_sessions(account))
        self.sessions_here.end_all(account, "")
        self.assertIs(self.outcome(client, ask.ShowAccount()), NotLoggedIn)

    def test_banned(self) -> None:
        account, client, _ = self.connected("ana")
        target = parse_ban_target("ana")
        result_of(self.here.access_bans.add(self.act(), target, account, "", None))
        self.assertIs(self.outcome(client, ask.ShowAccount()), NotLoggedIn)

    def test_muted(self) -> None:
        account, client, _ = self.connected("ana")
        result_of(self.here.groups.create(account, "g"))
        post = ask.SendGroupMessage(Address("g"), "halo")
        self.assertIsInstance(self.outcome(client, post), Reply)
        result_of(self.here.mutes.add(self.act(), "ana", "ana", EVERYWHERE, "", None))
        self.assertIs(self.outcome(client, post), Muted)


class Codes(TwoServices):
    def test_of_another_node(self) -> None:
        """A node takes the operator code of another one, until the realm has an operator."""
        account, other = self.account("ana"), self.account("budi")
        for number, service in enumerate((self.here, self.there)):
            code = f"{number}" * 16
            result_of(service.database.run(offer_code, hash_code(code)))
            file = SimpleNamespace(path="", remove=lambda: None)
            service.operators.offer(cast(Any, file), code)
        claimed = self.there.operators.claim(account, "0000-0000-0000-0000", "192.0.2.1")
        self.assertTrue(result_of(claimed).operator)
        self.assertFalse(self.here.operators.claimable)
        again = self.there.operators.claim(other, "1" * 16, "192.0.2.1")
        self.assertEqual(outcome_of(again).__name__, "AlreadyClaimed")
