"""The file with sessions and the last realm, and which typed lines the history keeps."""

from __future__ import annotations

import stat
from pathlib import Path

from twisted.trial.unittest import TestCase

from chatd.client.connection import Target
from chatd.client.local_store import Store, for_history, state_folder


class StoreTests(TestCase):
    def setUp(self) -> None:
        self.store = Store(Path(self.mktemp()) / "chatd")

    def test_permissions(self) -> None:
        self.store.logged_in(Target("here"), "lina", "token-1")
        mode = stat.S_IMODE((self.store.folder / "client.json").stat().st_mode)
        self.assertEqual(mode, 0o600)
        self.assertEqual(stat.S_IMODE(self.store.folder.stat().st_mode), 0o700)

    def test_sessions_by_realm_and_user(self) -> None:
        here, there = Target("here"), Target("there")
        self.store.logged_in(here, "lina", "token-1")
        self.store.logged_in(here, "budi", "token-2")
        self.store.logged_in(here, "lina", "token-3")
        self.store.visited(there)
        self.assertNotIn("token-3", repr(self.store.load()))
        found = self.store.token(here, None)
        self.assertEqual(found and found.token, "token-3")
        found = self.store.token(here, "Budi")
        self.assertEqual(found and found.token, "token-2")
        self.assertIsNone(self.store.token(there, None))
        self.assertEqual(self.store.load().last, there)
        self.store.logged_out("token-3")
        self.assertIsNone(self.store.token(here, "lina"))

    def test_damaged_file_is_replaced(self) -> None:
        self.store.prepare()
        (self.store.folder / "client.json").write_text('{"last": 7')
        self.assertIsNone(self.store.load().last)
        self.store.logged_in(Target("here"), "lina", "token-1")
        self.assertIsNotNone(self.store.token(Target("here"), "lina"))

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
