"""The status bar: its parts, its width, and the countdown to the next attempt to connect."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from prompt_toolkit.formatted_text import fragment_list_to_text
from twisted.trial.unittest import TestCase

from chatd.client import status_bar, translations
from chatd.client.connection import Target
from chatd.client.link import LinkStatus, Phase
from chatd.client.render import cells
from chatd.client.state import Kind, Menu, Place, State
from chatd.client.status_bar import StatusBar


class StatusBarTests(TestCase):
    def setUp(self) -> None:
        self.state = State("realm1")
        self.reconnector = SimpleNamespace(is_up=True, status=LinkStatus())
        self.progress = ""
        self.waiting = 0
        self.bar = StatusBar(
            self.state,
            cast(Any, self.reconnector),
            lambda _width: self.progress,
            lambda: self.waiting,
        )

    def text(self, width: int = 80) -> str:
        return fragment_list_to_text(self.bar.text(width))

    def log_in(self) -> None:
        self.state.logged_in("lina", "Lina", "token")

    def test_user_and_place(self) -> None:
        self.assertEqual(self.text(), " not logged in @ realm1 │ connected")
        self.log_in()
        self.state.menu = Menu.GROUP
        self.assertEqual(self.text(), " lina @ realm1 │ group │ connected")
        self.state.chat = Place("budi", Kind.USER)
        self.state.room = "stadium"
        self.state.unread = {1: 2, 3: 4}
        self.assertEqual(self.text(), " lina @ realm1 │ budi │ room stadium │ 6 unread │ connected")
        self.state.room, self.state.unread = None, {}
        self.state.asks({"group": "tim@realm2", "by": "ana@realm2"})
        self.state.asks({"user": "ana@realm2"})
        self.assertEqual(self.text(), " lina @ realm1 │ budi │ 2 to answer │ connected")

    def test_only_the_first_part_is_shortened(self) -> None:
        self.log_in()
        self.state.where = "a-very-long-name-of-a-realm.example.org"
        self.state.unread = {1: 2}
        text = self.text(40)
        self.assertLessEqual(cells(text), 40)
        self.assertTrue(text.endswith("… │ 2 unread │ connected"), text)

    def test_waiting_lines(self) -> None:
        """Queued lines are shown while there is no connection."""
        self.waiting = 1
        self.assertNotIn("wait", self.text())
        self.reconnector.is_up = False
        self.assertTrue(self.text().endswith(" │ 1 line waits │ connecting"))

    def test_several_addresses(self) -> None:
        """The bar says which node is used or tried, and when none of them answers."""
        self.log_in()
        status = self.reconnector.status = LinkStatus(addresses=3, target=Target("two"))
        self.assertTrue(self.text().endswith(" │ connected to two:8888"))
        self.reconnector.is_up = False
        self.assertTrue(self.text().endswith(" │ connecting to two:8888"))

        async def waiting(tries: int) -> str:
            next_try = asyncio.get_running_loop().time() + 5
            status.phase, status.tries, status.next_try = Phase.WAITING, tries, next_try
            return self.text().rpartition(" │ ")[2]

        self.addCleanup(translations.use, "en")
        for language, first, second in (
            ("en", "connection lost, attempt 1 in 5 s",
             "none of 3 addresses answers, attempt 2 in 5 s"),
            ("id", "sambungan putus, percobaan 1 dalam 5 d",
             "3 alamat tidak menjawab, percobaan 2 dalam 5 d"),
        ):  # fmt: skip
            translations.use(language)
            self.assertEqual(asyncio.run(waiting(1)), first)
            self.assertEqual(asyncio.run(waiting(2)), second)

    def test_progress_has_a_line_of_its_own(self) -> None:
        self.progress = "\x1b[31mplan.txt 50%\x1b[0m"
        self.assertEqual(self.text().splitlines()[0], "plan.txt 50%")

    def test_countdown(self) -> None:
        """It is redrawn until the next attempt, by one task."""
        self.patch(status_bar, "COUNTDOWN_STEP", 0)
        redraws: list[str] = []

        async def play() -> None:
            now = asyncio.get_running_loop().time()
            self.reconnector.is_up = False
            self.reconnector.status = LinkStatus(Phase.WAITING, tries=3, next_try=now + 5)

            def redraw() -> None:
                redraws.append(self.text())
                if len(redraws) == 3:
                    self.reconnector.status.phase = Phase.CONNECTING

            self.bar.count_down(redraw)
            self.bar.count_down(redraw)
            for _ in range(20):
                await asyncio.sleep(0)

        asyncio.run(play())
        lost = " not logged in @ realm1 │ connection lost, attempt 3 in 5 s"
        self.assertEqual(redraws, [lost] * 3)
