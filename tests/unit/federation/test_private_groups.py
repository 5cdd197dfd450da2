"""Private groups, settings and roles across realms: the home decides, and the mirrors enforce it too."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from twisted.internet.defer import Deferred

from chatd.base.errors import (
    BadSignature,
    ChatError,
    LastAdmin,
    NotAdmin,
    NotMember,
    RealmDown,
    UnknownGroup,
)
from chatd.base.names import Place, parse_address, parse_group
from chatd.commands import values as ask
from chatd.store.schema import groups, participants, remote_members
from tests.support.network import Person, Server, outcome
from tests.unit.federation.test_realm_groups import GroupTestCase

SECRET = parse_address("rahasia")
THERE = parse_address("rahasia@realm1")


class PrivateTestCase(GroupTestCase):
    """ana has a private group. budi of realm2 is in it, and bela of realm2 is not."""

    def setUp(self) -> None:
        super().setUp()
        reply = self.ana.does(ask.AddGroup("rahasia", visibility="private"))
        self.secret = str(reply.fields["groupcode"])
        self.ana.posts("rahasia", "sebelumnya")
        self.budi.joins(f"{self.secret}@realm1")
        self.network.settle()

    def row(self, server: Server, *columns: Any) -> Any:
        query = sa.select(*columns).where(groups.c.name.startswith("rahasia"))
        return server.realm.database.now(lambda db: db.execute(query).one())

    def texts(self, who: Person) -> list[str | None]:
        page = who.does(ask.ShowHistory(Place(group=THERE), 50))
        return [each.text for each in page.items]

    def refused(self, who: Person, command: Any) -> tuple[type[Exception], str]:
        try:
            who.does(command)
        except Exception as error:
            return type(error), str(error)
        return ChatError, ""


class Outsiders(PrivateTestCase):
    def test_unknown(self) -> None:
        """Somebody of a realm with members gets the answers of a group that does not exist."""
        commands = (
            ask.JoinGroup,
            ask.ListMembers,
            ask.ListBans,
            ask.ShowGroup,
            ask.LeaveGroup,
            ask.RenewCode,
            lambda group: ask.SetGroup(group, topic="halo"),
            lambda group: ask.KickMember(group, parse_address("budi")),
            lambda group: ask.DemoteAdmin(group, parse_address("ana@realm1")),
            lambda group: ask.InviteMembers(group, (parse_address("bela"),)),
            lambda group: ask.SendGroupMessage(group, "halo"),
            lambda group: ask.ShowHistory(Place(group=group), 5),
            lambda group: ask.ShowHistory(Place(group, group), 5),
        )
        for make in commands:
            found = self.refused(self.bela, make(parse_address("RAHASIA@realm1")))
            none = self.refused(self.bela, make(parse_address("TAKSADA@realm1")))
            self.assertEqual(found[0], none[0], make)
            self.assertEqual(found[1].replace("RAHASIA", "TAKSADA"), none[1])
        self.assertEqual(self.bela.does(ask.ListGroups()).items, ())

    def test_kicked(self) -> None:
        """A kicked person comes back neither by name nor by code, until an admin lifts the ban."""
        self.kick(self.ana, "budi@realm2", "rahasia")
        self.network.settle()
        for group in ("rahasia@realm1", f"{self.secret}@realm1"):
            self.assertIs(
                self.refused(self.budi, ask.JoinGroup(parse_group(group)))[0], UnknownGroup
            )
        self.assertIs(self.refused(self.budi, ask.ShowHistory(Place(group=THERE), 5))[0], NotMember)
        self.ana.does(ask.LiftBan(SECRET, parse_address("budi@realm2")))
        self.assertIs(self.refused(self.budi, ask.JoinGroup(THERE))[0], UnknownGroup)
        self.budi.joins(f"{self.secret}@realm1")

    def test_invited(self) -> None:
        """An invitation lets its person in by name, and no one else."""
        self.invite(self.ana, "citra@realm3", group="rahasia")
        self.network.settle()
        self.assertIs(self.refused(self.bela, ask.JoinGroup(THERE))[0], UnknownGroup)
        self.citra.accepts("rahasia@realm1")
        self.assertEqual(self.citra.mine(), ["rahasia@realm1"])


class Past(PrivateTestCase):
    def test_joined(self) -> None:
        """A mirror shows each member what was written since they joined."""
        self.assertEqual(self.texts(self.budi), [])
        self.ana.posts("rahasia", "satu")
        self.network.settle()
        self.bela.joins(f"{self.secret}@realm1")
        self.network.settle()
        self.ana.posts("rahasia", "dua")
        self.network.settle()
        self.assertEqual(self.texts(self.budi), ["satu", "dua"])
        self.assertEqual(self.texts(self.bela), ["dua"])

    def test_reported_again(self) -> None:
        """A mirror that has lost a membership is told the same first entry again."""
        query = sa.select(remote_members.c.first_seq)
        (first,) = self.one.realm.database.now(lambda db: db.execute(query).one())
        self.assertGreater(first, 0)
        self.ana.posts("rahasia", "satu")
        self.network.settle()
        account = self.budi.account
        gone = sa.delete(participants).where(participants.c.account_id == account.id)
        self.two.realm.database.now(lambda db: db.execute(gone))
        self.two.realm.service.rosters._cache._rosters.clear()
        self.budi.joins(f"{self.secret}@realm1")
        self.network.settle()
        self.assertEqual(self.texts(self.budi), ["satu"])


class Settings(PrivateTestCase):
    def test_mirrored(self) -> None:
        """A mirror has the settings from the first member on, and follows their changes."""
        columns = (groups.c.private, groups.c.past, groups.c.topic, groups.c.title, groups.c.closed)
        self.assertEqual(self.row(self.two, *columns), (True, "joined", None, None, True))
        self.ana.does(ask.SetGroup(SECRET, topic="Pasar", past="all"))
        self.ana.does(ask.SetGroup(SECRET, "title", "Rapat"))
        self.network.settle()
        self.assertEqual(self.row(self.two, *columns), (True, "all", "Pasar", "Rapat", True))
        details = self.budi.does(ask.ShowGroup(THERE)).fields
        self.assertEqual((details["topic"], details["members"]), ("Pasar", 2))
        self.assertEqual(details["post"], "members")
        self.assertEqual(details["code"], f"{self.secret}@realm1")
        self.part(self.two)
        details = self.budi.does(ask.ShowGroup(THERE)).fields
        self.assertEqual((details["topic"], details.get("members")), ("Pasar", None))
        self.assertIs(self.refused(self.bela, ask.ShowGroup(THERE))[0], RealmDown)

    def test_by_guest(self) -> None:
        """An admin of another realm changes settings, the code and roles; others don't."""
        for command in (
            ask.SetGroup(THERE, topic="Pasar"),
            ask.RenewCode(THERE),
            ask.TransferGroup(THERE, parse_address("budi")),
        ):
            self.assertIs(self.refused(self.budi, command)[0], NotAdmin)
        self.promote(self.ana, "budi@realm2", "rahasia")
        self.budi.does(ask.SetGroup(THERE, topic="Pasar", visibility="public"))
        code = str(self.budi.does(ask.RenewCode(THERE)).fields["groupcode"])
        self.assertEqual(self.row(self.one, groups.c.topic, groups.c.private), ("Pasar", False))
        self.assertEqual(f"{self.row(self.one, groups.c.code)[0]}@realm1", code)
        self.budi.does(ask.DemoteAdmin(THERE, parse_address("ana@realm1")))
        self.assertEqual(self.ana.members("rahasia"), ["ana+", "*budi@realm2+"])
        self.assertIs(
            self.refused(self.budi, ask.DemoteAdmin(THERE, parse_address("budi")))[0], LastAdmin
        )
        self.budi.does(ask.TransferGroup(THERE, parse_address("ana@realm1")))
        self.assertEqual(self.ana.members("rahasia"), ["*ana+", "budi@realm2+"])
        self.network.settle()
        self.assertEqual(self.row(self.two, groups.c.private), (False,))

    def test_unsigned(self) -> None:
        """A home takes no setting that an admin has not signed."""
        self.promote(self.ana, "budi@realm2", "rahasia")
        questions = self.one.federation.questions
        for change in ("set", "transfer", "demote"):
            users = ["ana"] if change != "set" else []
            change_it = questions.change("realm2", "budi", "rahasia", change, users)
            asked = Deferred.fromCoroutine(change_it)
            self.assertIs(outcome(asked)[0].__class__, BadSignature)
