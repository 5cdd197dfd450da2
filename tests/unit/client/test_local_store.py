"""The file with sessions and the last realm, and which typed lines the history keeps."""

from __future__ import annotations

import stat
from pathlib import Path

from twisted.trial.unittest import TestCase

from chatd.client.addresses import Addresses, parse_addresses
from chatd.client.connection import Target
from chatd.client.local_store import Store, for_history, state_folder

HERE, THERE = (Addresses((Target(name),)) for name in ("here", "there"))


class StoreTests(TestCase):
    def setUp(self) -> None:
        self.store = Store(Path(self.mktemp()) / "chatd")

    def test_permissions(self) -> None:
        self.store.logged_in(HERE, "lina", "token-1")
        mode = stat.S_IMODE((self.store.folder / "client.json").stat().st_mode)
        self.assertEqual(mode, 0o600)
        self.assertEqual(stat.S_IMODE(self.store.folder.stat().st_mode), 0o700)

    def test_sessions_by_realm_and_user(self) -> None:
        self.store.logged_in(HERE, "lina", "token-1")
        self.store.logged_in(HERE, "budi", "token-2")
        self.store.logged_in(HERE, "lina", "token-3")
        self.store.visited(THERE, THERE.first)
        self.assertNotIn("token-3", repr(self.store.load()))
        found = self.store.token(HERE, None)
        self.assertEqual(found and found.token, "token-3")
        found = self.store.token(HERE, "Budi")
        self.assertEqual(found and found.token, "token-2")
        self.assertIsNone(self.store.token(THERE, None))
        self.assertEqual(self.store.load().last, THERE.first)
        self.store.logged_out("token-3")
        self.assertIsNone(self.store.token(HERE, "lina"))

    def test_realm_with_several_addresses(self) -> None:
        """A session belongs to all of them. The one that answered is the first the next time."""
        both = parse_addresses(["one", "two:7"], True, "realm1")
        self.store.logged_in(both, "lina", "token-1")
        self.store.visited(both, both.targets[1])
        found = self.store.load().addresses
        self.assertEqual(found and found.targets, (both.targets[1], both.first))
        for names in (["two:7"], ["one"], ["new", "one"]):
            login = self.store.token(parse_addresses(names, True), "lina")
            self.assertEqual(login and login.token, "token-1")
        self.assertIsNone(self.store.token(parse_addresses(["two"], True), "lina"))
        self.store.logged_in(parse_addresses(["two:7"], True), "lina", "token-2")
        self.assertEqual([each.token for each in self.store.load().sessions], ["token-2"])

    def test_session_over_tls(self) -> None:
        """Its token is never sent without TLS, even to the same address."""
        plain = parse_addresses(["one"])
        self.store.logged_in(parse_addresses(["one"], True), "lina", "token-1")
        self.assertIsNone(self.store.token(plain, "lina"))
        self.assertTrue(self.store.needs_tls(plain, None))
        self.assertFalse(self.store.needs_tls(plain, "budi"))
        self.store.logged_in(plain, "budi", "token-2")
        self.assertIsNotNone(self.store.token(plain, None))
        self.assertFalse(self.store.needs_tls(plain, None))
        self.assertIsNotNone(self.store.token(parse_addresses(["one"], True), "budi"))

    def test_file_of_an_earlier_version(self) -> None:
        self.store.prepare()
        (self.store.folder / "client.json").write_text(
            '{"last":{"host":"here","port":8888,"tls":false,"realm":null,"ca":null},'
            '"sessions":[{"where":"here:8888","user":"lina","token":"token-1"}]}'
        )
        self.assertEqual(self.store.load().addresses, HERE)
        self.assertIsNotNone(self.store.token(HERE, "lina"))

    def test_damaged_file_is_replaced(self) -> None:
        self.store.prepare()
        (self.store.folder / "client.json").write_text('{"last": 7')
        self.assertIsNone(self.store.load().last)
        self.store.logged_in(HERE, "lina", "token-1")
        self.assertIsNotNone(self.store.token(HERE, "lina"))

    def test_folder(self) -> None:
        self.assertEqual(state_folder({"XDG_STATE_HOME": "/x"}), Path("/x/chatd"))
        for given in ({}, {"XDG_STATE_HOME": ""}, {"XDG_STATE_HOME": "relative"}):
            self.assertEqual(state_folder(given), Path.home() / ".local/state/chatd")

    def test_history_has_no_secrets(self) -> None:
        for line in (
            "auth lina secret",
            " LOGIN lina",
            "/password a b",
            "resume x",
            "register a b c",
            "admin user passwd lina secret",
            "/Admin  user add lina secret",
            "admin.user.passwd lina secret",
        ):
            self.assertEqual(for_history(line), "")
        for line in ("send lina my password", "admin user list", "admin", "admin nonsense"):
            self.assertEqual(for_history(line), line)
