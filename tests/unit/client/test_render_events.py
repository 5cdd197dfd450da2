"""How the terminal client shows what happens to messages and conversations."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from chatd.base.entries import HAPPENINGS
from chatd.client import translations
from chatd.client.render import Renderer, text_of
from chatd.client.render_events import MEMBERS, EventRenderer
from chatd.client.state import State

HALO = {"conversation": 3, "seq": 1, "id": 1, "from": "lina", "to": "budi", "text": "halo\nsemua"}


class EventsTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.state = State("localhost")
        self.state.logged_in("lina", "Lina", "token")
        self.state.see(HALO)
        self.renderer = EventRenderer(self.state)

    def shown(self, event: str, **fields: Any) -> list[str]:
        found = self.renderer.lines({"event": event, "conversation": 3, "seq": 9, **fields})
        return [text_of(line) for line in found]

    def message(self, **fields: Any) -> str:
        return text_of(Renderer(self.state, stamps=True).message({**HALO, "at": "now", **fields}))


class RescueEventsTestCase(EventsTestCase):
    def test_states(self) -> None:
        about = {"was": "bagan@realm1", "to": "bagan@realm2"}
        for state, expected in (
            ("pending", "bagan@realm1 is to go on as bagan@realm2, if its realm stays lost"),
            ("void", "bagan@realm1 does not go on as bagan@realm2: it stays where it is"),
            ("moved", "bagan@realm1 has moved; its address is now bagan@realm2"),
        ):
            [shown] = self.shown("rescue", state=state, **about)
            self.assertIn(expected, shown)
        self.assertEqual(self.shown("rescue", state="of a later version", **about), [])


class ChangesTestCase(EventsTestCase):
    def test_changes(self) -> None:
        for fields, expected in (
            (("edited", {"text": "baru"}), "budi changed #1: baru"),
            (("deleted", {}), "budi deleted #1"),
            (("reaction", {"emoji": "👍", "on": True}), "budi reacts with 👍 to “halo semua”"),
            (("reaction", {"emoji": "👍", "on": False}), "budi takes 👍 back from “halo semua”"),
            (("pinned", {"on": True}), "budi pinned “halo semua”"),
            (("pinned", {"on": False, "group": "bola"}), "budi in bola unpinned “halo semua”"),
        ):
            kind, more = fields
            assert isinstance(kind, str)
            assert isinstance(more, dict)
            self.assertEqual(self.shown(kind, target=1, **{"from": "budi"}, **more), [expected])

    def test_target_that_was_not_shown(self) -> None:
        found = self.shown("reaction", target=7, emoji="👍", on=True, **{"from": "budi"})
        self.assertEqual(found, ["budi reacts with 👍 to #7"])

    def test_states(self) -> None:
        refused = self.shown("state", seq=1, state="refused", reason="There is no user budi")
        self.assertEqual(refused, ["Not delivered: “halo semua”: There is no user budi"])
        self.assertEqual(self.shown("state", seq=1, state="delivered"), ["Delivered: “halo semua”"])
        self.assertEqual(self.shown("state", seq=1, state="queued"), [])
        requested = self.shown("state", seq=1, state="requested")
        self.assertEqual(requested, ["Waits to be accepted: “halo semua”"])
        self.assertEqual(self.shown("state", seq=1, state="verified"), [])
        forged = self.shown("state", seq=1, state="forged", reason="realm2 did not sign it")
        self.assertEqual(forged, ["Not from its author: “halo semua”: realm2 did not sign it"])

    def test_files(self) -> None:
        lost = self.shown("file", seq=1, state="lost", reason="expired")
        self.assertEqual(lost, ["The file “halo semua” did not arrive: expired"])
        translations.use("id")
        self.addCleanup(translations.use, "en")
        lost = self.shown("file", seq=1, state="lost", reason="it did not arrive in time")
        self.assertEqual(lost, ["Berkas “halo semua” tidak sampai: tidak datang pada waktunya"])
        translations.use("en")
        here = self.shown("file", seq=1, state="here")
        self.assertEqual(here, ["The file has arrived: “halo semua”"])
        self.assertEqual(self.shown("file", seq=1, state="arriving"), [])

    def test_members(self) -> None:
        self.assertEqual(MEMBERS.keys(), HAPPENINGS.keys())
        for what in MEMBERS:
            (line,) = self.shown("member", group="bola", who="budi", what=what, by="ana")
            self.assertIn("bola", line)
        (line,) = self.shown("group", group="bola", by="ana", title="Bola", unverified=True)
        self.assertEqual(line, "ana calls bola “Bola” (not verified)")
        removed = "You were removed from bola"
        found = self.shown("member", seq=None, group="bola", what="kicked", message=removed)
        self.assertEqual(found, [removed])

    def test_rooms(self) -> None:
        for what in ("entered", "left"):
            found = self.shown("room-change", room="tamu", who="budi", what=what)
            self.assertEqual(found, [f"budi {what} room tamu"])

    def test_control_characters(self) -> None:
        """Nothing in an event controls the terminal."""
        (line,) = self.shown("edited", target=1, text="a\x1b[2Jb", **{"from": "bu\x07di"})
        self.assertNotIn("\x1b", line)
        self.assertNotIn("\x07", line)

    def test_unknown(self) -> None:
        self.assertEqual(self.shown("presence", who="budi", state="online"), [])


class MessagesTestCase(EventsTestCase):
    def test_marks(self) -> None:
        for fields, part in (
            ({"edited": "2026-11-20T10:15:03Z"}, "semua (edited)"),
            ({"pinned": True, "unverified": True}, "(not verified, pinned)"),
            ({"blocked": True}, "(blocked)"),
            ({"state": "queued"}, "(waiting for its realm)"),
            ({"state": "refused", "reason": "unknown"}, "(not delivered: unknown)"),
            ({"reactions": {"👍": ["budi", "ana"]}}, "semua 👍 2"),
            ({"deleted": True, "text": None}, "budi: (deleted)"),
            ({"opaque": {"media": "x/y", "body": "AA=="}, "text": None}, "budi: (encrypted)"),
            ({"forwarded": "ana"}, "budi: (from ana) halo"),
            ({"reply": 1}, "[↩ halo"),
            ({"reply": 77}, "[↩ #77] halo"),
        ):
            self.assertIn(part, self.message(**fields))

    def test_plain(self) -> None:
        self.assertEqual(self.message(state="delivered"), "now lina to budi: halo\n  | semua")
