"""Replies as chatctl prints them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chatd.ctl.output import human_size, printable, reply_lines


class Output(SynchronousTestCase):
    def test_table(self) -> None:
        """Columns are those of all items, and numbers are right-aligned."""
        reply = {
            "status": "OK",
            "message": "2 accounts, 3 more remain",
            "remaining": 3,
            "accounts": [
                {"username": "messi", "files": 12, "size": 2048},
                {"username": "henderson", "files": 1, "size": 7, "disabled": True},
            ],
        }
        self.assertEqual(
            reply_lines(reply),
            [
                "USERNAME   FILES     SIZE  DISABLED",
                "messi         12  2.0 KiB",
                "henderson      1      7 B  yes",
                "(3 more)",
            ],
        )

    def test_empty_list(self) -> None:
        reply = {"status": "OK", "message": "0 accounts", "remaining": 0, "accounts": []}
        self.assertEqual(reply_lines(reply), ["0 accounts"])

    def test_facts(self) -> None:
        reply = {"status": "OK", "message": "The account messi", "role": "user", "online": False}
        self.assertEqual(
            reply_lines(reply), ["The account messi", "  role:   user", "  online: no"]
        )

    def test_names_of_facts(self) -> None:
        """A reply may have a code, such as that of an invitation. Names are words."""
        reply = {"status": "OK", "message": "Made", "code": "3f7k-9q2m", "file_size": 2048}
        self.assertEqual(
            reply_lines(reply), ["Made", "  code:      3f7k-9q2m", "  file size: 2.0 KiB"]
        )

    def test_columns_keep_their_order(self) -> None:
        """A column that the first item lacks is where the others have it."""
        items = [
            {"entry": 4, "act": "backup", "target": "/b"},
            {"entry": 3, "act": "reload", "detail": "a"},
            {"entry": 2, "act": "user.add", "target": "budi", "detail": "b", "at": 1},
            {"entry": 1, "by": "x", "act": "stats"},
        ]
        reply = {"status": "OK", "message": "", "entries": items}
        self.assertEqual(reply_lines(reply)[0], "ENTRY  BY  ACT       TARGET  DETAIL  AT")

    def test_nested_values(self) -> None:
        item = {"realm": "a", "names": ["b", "c"], "link": {"state": "up", "size": 1024}}
        self.assertEqual(
            reply_lines({"status": "OK", "message": "", "realms": [item]}),
            ["REALM  NAMES  LINK", "a      b, c   state up, size 1.0 KiB"],
        )

    def test_nothing_for_the_terminal_to_obey(self) -> None:
        shown = printable("a\x1b[2Jb\n\u202ec\u00e9")
        self.assertEqual(shown, "a\\x1b[2Jb\\n\\u202ec\u00e9")

    def test_sizes(self) -> None:
        shown = [human_size(size) for size in (0, 1023, 1024, 1_500_000, 5 << 40, 9 << 50)]
        self.assertEqual(shown, ["0 B", "1023 B", "1.0 KiB", "1.4 MiB", "5.0 TiB", "9216.0 TiB"])
