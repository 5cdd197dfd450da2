"""The list of sessions, with the client and address that each was last used with."""

from __future__ import annotations

from unittest import mock

import msgspec

from chatd.base.errors import BadToken, UnknownSession
from chatd.base.model import Device
from chatd.base.replies import SessionInfo
from chatd.service.accounts import RENEW_EVERY, Login
from chatd.service.session_list import CHANGES_PER_HOUR
from tests.support.inline import outcome_of, result_of
from tests.unit.service.test_messages import MessagesTestCase


class SessionListTest(MessagesTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.list = self.service.session_list
        self.login: Login = result_of(self.service.accounts.login("ana", "surabaya", "here"))

    def sessions(self) -> tuple[SessionInfo, ...]:
        found: tuple[SessionInfo, ...] = result_of(self.list.all(self.ana, b"", ()))
        return found

    def resume(self) -> Login:
        login: Login = result_of(self.service.accounts.resume(self.login.token or ""))
        return login

    def test_device(self) -> None:
        """Client, address and time are stored when client or address changes, and otherwise once an hour."""
        self.list.used(self.login, Device("plain", "192.0.2.1"))
        self.clock.advance(60)
        with mock.patch.object(self.database, "run", side_effect=AssertionError):
            known = Login(self.ana, self.login.token_hash, 0, device=Device("plain", "192.0.2.1"))
            self.list.used(known, Device("plain", "192.0.2.1"))
        self.list.used(self.resume(), Device("json", "192.0.2.2"))
        newest = self.sessions()[0]
        self.assertEqual((newest.client, newest.address), ("json", "192.0.2.2"))
        self.assertEqual(newest.used - newest.created, 60_000)
        self.clock.advance(RENEW_EVERY / 1000 + 1)
        self.resume()
        self.assertEqual(self.sessions()[0].used, newest.used + RENEW_EVERY + 1000)

    def test_alternating(self) -> None:
        """Two devices that use one session in turns cause few writes."""
        devices = Device("plain", "192.0.2.1"), Device("json", "192.0.2.2")
        with mock.patch.object(self.database, "run", wraps=self.database.run) as run:
            for _ in range(CHANGES_PER_HOUR):
                for device in devices:
                    self.list.used(msgspec.structs.replace(self.login, device=None), device)
            self.assertEqual(run.call_count, CHANGES_PER_HOUR)
            self.clock.advance(3600)
            self.list.used(self.login, devices[0])
            self.assertEqual(run.call_count, CHANGES_PER_HOUR + 1)
        self.assertEqual(self.sessions()[0].client, "plain")

    def test_revoke(self) -> None:
        """A revoked session ends. Sessions of other accounts are not found."""
        newest = self.sessions()[0]
        self.assertIs(outcome_of(self.list.revoke(self.budi, newest.session)), UnknownSession)
        ended = result_of(self.list.revoke(self.ana, newest.session))
        self.assertEqual(ended, self.login.token_hash)
        self.assertIs(outcome_of(self.service.accounts.resume(self.login.token or "")), BadToken)
        self.assertNotIn(newest.session, [each.session for each in self.sessions()])
