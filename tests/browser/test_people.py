"""What the pages show of invitations, of receipts, and of who is there."""

from __future__ import annotations

from typing import Any

from tests.support.browser import in_browser
from tests.support.scripted import Scripted
from tests.support.visitor import expect

AT = "2026-11-20T12:00:00Z"
CLUB = {"group": "club@realm2", "by": "tasya@realm2", "at": AT, "realm": "realm2"}
ACCEPT, DECLINE = "Accept the invitation to {}", "Decline the invitation to {}"


class Invitations(Scripted):
    def setUp(self) -> None:
        super().setUp()
        self.waiting: list[dict[str, Any]] = [{**CLUB, "title": "The <b>Club</b>"}]
        groups: dict[str, Any] = {"groups": []}
        self.script.answers |= {
            "invitations": lambda _request: {"invitations": self.waiting},
            "accept": lambda request: {"group": request["group"]},
            "groups": lambda _request: groups,
            "mygroups": lambda _request: groups,
        }

    @in_browser
    def test_answers(self) -> None:
        """Invitations are counted beside Groups, and listed there with buttons to answer them."""
        messi = self.messi()
        groups = messi.page.get_by_role("link", name="Groups")
        expect(groups).to_contain_text("1 invitation")
        messi.go("#/groups")
        listed = messi.page.get_by_role("list", name="Invitations").get_by_role("listitem")
        expect(listed).to_contain_text("The <b>Club</b>tasya@realm2 invites you · club@realm2")
        self.script.push("invitation", {**CLUB, "group": "tim@realm2"})
        messi.is_told("tasya@realm2 invites you to tim@realm2")
        expect(groups).to_contain_text("2 invitations")
        messi.press_button(DECLINE.format("tim@realm2"))
        messi.is_told("You have declined the invitation to tim@realm2")
        expect(listed).to_have_count(1)
        self.assertEqual(self.asked("decline")["group"], "tim@realm2")
        messi.press_button(ACCEPT.format("The <b>Club</b>"))
        messi.heading("club@realm2")
        self.assertEqual(self.asked("accept")["group"], "club@realm2")
        expect(groups).not_to_contain_text("invitation")
        messi.go("#/groups")
        messi.heading("Groups")
        expect(messi.page.get_by_role("heading", name="Invitations")).to_have_count(0)

    @in_browser
    def test_answered_elsewhere(self) -> None:
        """An invitation that is accepted on another device, or no longer there, disappears."""
        messi = self.messi()
        messi.go("#/groups")
        accept = messi.page.get_by_role("button", name=ACCEPT.format("The <b>Club</b>"))
        expect(accept).to_be_visible()
        joined = {"conversation": 3, "seq": 1, "group": "club@realm2", "what": "joined"}
        self.script.push("member", {**joined, "who": "messi", "by": "messi"})
        expect(accept).to_have_count(0)
        self.script.push("invitation", CLUB)
        self.waiting.clear()
        refusal = {"status": "ERROR", "code": "unknown-invitation", "message": "It is gone"}
        self.script.answers["decline"] = lambda _request: refusal
        messi.press_button(DECLINE.format("club@realm2"))
        messi.is_told("It is gone")
        expect(messi.page.get_by_role("list", name="Invitations")).to_have_count(0)


class Receipts(Scripted):
    @in_browser
    def test_switch(self) -> None:
        """Receipts are switched in the settings. A refused change is taken back."""
        self.script.answers["privacy"] = lambda request: {"receipts": request.get("receipts", True)}
        messi = self.messi()
        messi.go("#/settings")
        switch = messi.page.get_by_role("switch", name="Show others what I have read")
        expect(switch).to_be_checked()
        switch.click()
        messi.is_told("Read receipts are not shown any more")
        expect(switch).not_to_be_checked()
        self.assertEqual(self.asked("privacy")["receipts"], False)
        refusal = {"status": "ERROR", "code": "storage-failed", "message": "The disk is full"}
        self.script.answers["privacy"] = lambda _request: refusal
        switch.click()
        expect(messi.page.get_by_role("alert").filter(has=messi.page.locator("p"))).to_be_visible()
        expect(switch).not_to_be_checked()


class Presence(Scripted):
    @in_browser
    def test_coming_and_going(self) -> None:
        """Who is online is shown as it is told, and nothing is asked again and again."""
        messi = self.messi()
        messi.open_chat("henderson")
        about = messi.page.locator(".chat-about")
        expect(about).to_contain_text("online")
        asked = len(self.script.asked)
        self.script.push("presence", {"who": "henderson", "state": "offline"})
        expect(about).to_contain_text("offline")
        expect(messi.row("Jordan Henderson")).to_contain_text("offline")
        self.script.push("presence", {"who": "henderson", "state": "away"})
        expect(about).to_contain_text("away")
        expect(messi.row("Jordan Henderson")).to_contain_text("away")
        self.script.push("profile", {"who": "henderson", "name": "Hendo", "country": ""})
        messi.heading("Hendo")
        self.assertEqual(len(self.script.asked), asked)

    @in_browser
    def test_names_of_other_realms(self) -> None:
        """A person of another realm is not taken for somebody here, nor the other way round."""
        messi = self.messi()
        for who, name, shown in (
            ("henderson", "hendo@realm9", "hendo@realm9 (henderson)"),
            ("hendo@realm9", "Hendo", "hendo@realm9"),
            ("hendo@realm9", "Jordan Henderson", "Jordan Henderson @realm9"),
            ("hendo@realm9", "messi@realm1", "hendo@realm9"),
            ("hendo@realm9", "a" * 30, f"{'a' * 20}… @realm9"),
        ):
            messi.go(f"#/u/{who}")
            expect(messi.composer).to_be_visible()
            self.script.push("profile", {"who": who, "name": name, "country": ""})
            messi.heading(shown)

    @in_browser
    def test_names_in_groups(self) -> None:
        """A group shows the names of authors in other realms."""
        alam = {"username": "alam@realm2", "admin": False, "online": True, "name": "Alam Cahya"}
        self.script.answers["members"] = lambda _request: {"members": [alam]}
        self.script.said(2, "alam@realm2", "salam")
        messi = self.messi()
        messi.open_group("bola")
        expect(messi.bubble("salam")).to_contain_text("Alam Cahya @realm2")

    @in_browser
    def test_contacts(self) -> None:
        online = {"henderson": False}
        self.script.answers["contacts"] = lambda _request: {
            "contacts": [{"username": name, "online": state} for name, state in online.items()]
        }
        messi = self.messi()
        messi.go("#/contacts")
        expect(messi.contact("Jordan")).to_contain_text("offline")
        alam = {"username": "alam@realm2", "online": True, "name": "Alam Cahya"}
        self.script.answers["contacts"] = lambda _request: {
            "contacts": [
                *({"username": name, "online": state} for name, state in online.items()),
                alam,
            ]
        }
        online["henderson"] = True
        self.script.push("presence", {"who": "henderson", "state": "online"})
        expect(messi.contact("Jordan")).not_to_contain_text("offline")
        expect(messi.contact("Alam Cahya @realm2")).to_be_visible()

    @in_browser
    def test_room(self) -> None:
        """People who enter and leave are told. If another window takes the session out, the page says so."""
        self.script.answers["roomjoin"] = lambda _request: {"room": "tamu", "users": ["messi"]}
        messi = self.messi()
        messi.go("#/room/tamu")
        messi.is_told("Only you are here")
        for who, what, shown in (
            ("henderson", "entered", "henderson came in"),
            ("henderson", "left", "henderson left"),
            ("messi", "left", "You are no longer in this room"),
        ):
            change = {"room": "Tamu", "who": who, "name": who, "what": what}
            self.script.push("room-change", change)
            messi.is_told(shown)
