"""Messages that operators and moderators read and delete in the realm itself."""

from __future__ import annotations

import os
from typing import Any

import sqlalchemy as sa

from chatd.base.errors import (
    ChatError,
    ImportedMessage,
    NoConversation,
    NotModerator,
    NotOperator,
    UnknownGroup,
    UnknownMessage,
)
from chatd.base.events import Deleted
from chatd.base.model import Account, Message
from chatd.base.names import Address, Place
from chatd.base.principals import Principal
from chatd.base.roles import MODERATOR, OPERATOR, Role
from chatd.service.erased_files import ErasedFiles
from chatd.service.moderated_messages import DeletedMessage
from chatd.service.system_messages import SystemMessages
from chatd.store import guard, macs
from chatd.store.operators import set_role
from chatd.store.schema import attachments, audit, groups, messages
from tests.support.inline import outcome_of, result_of
from tests.unit.service.test_messages import MessagesTestCase

ROOT = Principal("local:root", OPERATOR, is_local=True)


class ModeratedTest(MessagesTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.here = self.send(self.ana, "budi", "satu").receipts[0].conversation

    def act(self, actor: Principal) -> Any:
        return self.service.audit.act(actor, "admin.message.delete", "x", "reason=spam")

    def delete(self, where: Address | int, seq: int, actor: Principal = ROOT) -> DeletedMessage:
        deleting = self.service.moderated.delete(self.act(actor), where, seq)
        done: DeletedMessage = result_of(deleting)
        return done

    def refusal(
        self, where: Address | int, seq: int, actor: Principal = ROOT
    ) -> type[ChatError] | None:
        found: type[ChatError] | None = outcome_of(
            self.service.moderated.delete(self.act(actor), where, seq)
        )
        return found

    def shown(self, where: Address | int, seq: int, actor: Principal = ROOT) -> Message:
        _, message, _ = result_of(self.service.moderated.read(self.act(actor), where, seq))
        shown: Message = message
        return shown

    def appoint(self, account: Account, role: Role) -> Principal:
        result_of(self.database.run(set_role, account.id, role))
        return Principal(account.name, role, account=account.id)

    def acts(self) -> list[tuple[str, str]]:
        query = sa.select(audit.c.actor, audit.c.detail).order_by(audit.c.id)
        rows = result_of(self.database.read(lambda connection: connection.execute(query).all()))
        return [tuple(row) for row in rows]

    def test_between_two_accounts(self) -> None:
        """Both lose it, and are told that the realm has deleted it. The reports of it are closed, and the
        audit log has who has done it, and why. Once more is no error."""
        listening = self.listen(self.budi)
        self.service.presence.listen(self.budi.id, listening, on=True, all_events=True)
        for account in (self.ana, self.budi):
            result_of(self.service.reports.add(account, self.here, 1, "spam"))
        done = self.delete(self.here, 1)
        self.assertEqual((done.before, done.reports, done.elsewhere), (False, 2, None))
        self.service.presence.flush()
        (deleted,) = [each for each in listening.heard if isinstance(each, Deleted)]
        self.assertEqual((deleted.seq, deleted.target, deleted.by), (2, 1, "system"))
        for who, place in ((self.ana, "budi"), (self.budi, "ana")):
            self.assertEqual(self.history(who, Place(user=Address(place))), [None])
        self.assertEqual(result_of(self.service.reports.all()), ((), 0))
        again = self.delete(self.here, 1)
        self.assertEqual((again.before, again.reports), (True, 0))
        self.assertEqual(self.acts(), [("local:root", "reason=spam")] * 2)

    def test_what_does_not_exist(self) -> None:
        for where, seq, error in (
            (self.here, 2, UnknownMessage),
            (77, 1, NoConversation),
            (Address("nusa"), 1, UnknownGroup),
        ):
            self.assertIs(self.refusal(where, seq), error)

    def test_message_of_system(self) -> None:
        """An account has it alone."""
        system = SystemMessages(self.service.context, self.messages.fan_out)
        stored = result_of(self.database.run(system.store, self.ana.id, "dua", 1))
        self.delete(stored.new.conversation, 1)
        self.assertEqual(self.history(self.ana, Place(user=Address("system"))), [None])

    def test_imported(self) -> None:
        """It belongs to the account that has imported it."""
        mark = sa.update(messages).values(imported=True)
        result_of(self.database.run(lambda connection: connection.execute(mark).rowcount))
        self.assertIs(self.refusal(self.here, 1), ImportedMessage)

    def test_file(self) -> None:
        """It is removed when no other message carries it."""
        removed: list[str] = []
        self.patch(ErasedFiles, "remove", lambda _self, stored: removed.extend(stored))
        result_of(self.database.run(self.attach, 1))
        self.send(self.ana, "budi", "dua")
        result_of(self.database.run(self.attach, 2))
        self.assertEqual(self.shown(self.here, 2).file.name, "a.bin")  # type: ignore[union-attr]
        for seq, left in ((1, 1), (2, 0)):
            self.delete(self.here, seq)
            self.assertEqual(removed, ["x"][left:])
            count = sa.select(sa.func.count()).select_from(attachments)
            found = self.database.read(lambda connection, query=count: connection.scalar(query))
            self.assertEqual(result_of(found), left)

    def attach(self, connection: sa.Connection, seq: int) -> None:
        """Let a message carry the file."""
        if connection.scalar(sa.select(attachments.c.id)) is None:
            file = {"id": 1, "code": "abc123", "name": "a.bin", "size": 1, "sha256": "", "mime": ""}
            values = {**file, "stored": "x", "created_at": 1}
            connection.execute(sa.insert(attachments).values(**values))
        this = messages.c.seq == seq
        connection.execute(sa.update(messages).where(this).values(attachment_id=1))

    def test_moderators(self) -> None:
        """They delete what is reported, also if an operator has written it, and what they see in groups, and
        read only what is reported."""
        citra = self.appoint(self.citra, MODERATOR)
        self.appoint(self.ana, OPERATOR)
        group = self.group(self.budi, name="nusa")
        for text in ("satu", "dua"):
            self.post(self.budi, "nusa", text)
        for where, seq in ((self.here, 1), (group, 2), (group, 3)):
            self.assertIs(self.refusal(where, seq, citra), NotOperator)
            reading = self.service.moderated.read(self.act(citra), where, seq)
            self.assertIs(outcome_of(reading), NotOperator)
        for account, where, seq in ((self.budi, self.here, 1), (self.budi, group, 2)):
            result_of(self.service.reports.add(account, where, seq, "spam"))
            self.assertIsNotNone(self.shown(where, seq, citra).text)
            self.assertFalse(self.delete(where, seq, citra).before)
            self.assertTrue(self.delete(where, seq, citra).before)
        result_of(self.service.groups.join(self.citra, Address("nusa")))
        self.assertFalse(self.delete(Address("nusa"), 3, citra).before)
        self.assertEqual(self.history(self.budi, Place(group=Address("nusa"))), [None, None])

    def test_private_group(self) -> None:
        """By its name, moderators who are no members find it only for a message that is reported."""
        citra = self.appoint(self.citra, MODERATOR)
        group = self.group(self.budi, name="nusa")
        for text in ("satu", "dua"):
            self.post(self.budi, "nusa", text)
        hide = sa.update(groups).values(private=True)
        result_of(self.database.run(lambda connection: connection.execute(hide).rowcount))
        for seq in (2, 99):
            self.assertIs(self.refusal(Address("nusa"), seq, citra), UnknownGroup)
            reading = self.service.moderated.read(self.act(citra), Address("nusa"), seq)
            self.assertIs(outcome_of(reading), UnknownGroup)
        result_of(self.service.reports.add(self.budi, group, 2, "spam"))
        self.assertFalse(self.delete(Address("nusa"), 2, citra).before)
        self.assertFalse(self.delete(Address("nusa"), 3).before)

    def test_moderator_who_joined_later(self) -> None:
        """They do not see what was written before, and do not delete it."""
        citra = self.appoint(self.citra, MODERATOR)
        group = self.group(self.budi, self.citra, name="nusa")
        self.post(self.budi, "nusa", "satu")
        hide = sa.text("UPDATE participants SET first_seq = 99 WHERE account_id = :account")
        job = {"account": self.citra.id}
        result_of(self.database.run(lambda connection: connection.execute(hide, job).rowcount))
        self.assertIs(self.refusal(group, 3, citra), NotOperator)

    def test_role_that_was_taken(self) -> None:
        """It is checked in the transaction, and nothing is deleted."""
        ana = Principal(self.ana.name, OPERATOR, account=self.ana.id)
        self.assertIs(self.refusal(self.here, 1, ana), NotOperator)
        ana = Principal(self.ana.name, MODERATOR, account=self.ana.id)
        self.assertIs(self.refusal(self.here, 1, ana), NotModerator)
        self.assertEqual(self.history(self.budi, Place(user=Address("ana"))), ["satu"])
        self.assertEqual(self.acts(), [])

    def test_read(self) -> None:
        """What an operator reads is as it was stored, and stands in the audit log."""
        result_of(self.database.run(macs.begin_macs, os.urandom))
        shown = self.shown(self.here, 1)
        self.assertEqual((shown.text, shown.sender, shown.deleted), ("satu", "ana", False))
        alter = sa.update(messages).values(text="dua")
        result_of(self.database.run(lambda connection: connection.execute(alter).rowcount))
        self.assertEqual(self.shown(self.here, 1).text, guard.ALTERED)
        self.delete(self.here, 1)
        shown = self.shown(self.here, 1)
        self.assertEqual((shown.text, shown.deleted), (None, True))
        self.assertEqual(len(self.acts()), 4)
