"""What is accepted as one emoji."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from chatd.base.emoji import MAX_EMOJI, is_emoji, same_emoji

ONE = (
    "👍",
    "👍🏽",
    "❤",
    "❤️",
    "🇮🇩",
    "1️⃣",
    "#⃣",
    "👨‍👩‍👧‍👦",
    "👩🏽‍💻",
    "🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "🏳️‍🌈",
    "👨🏻‍❤️‍💋‍👨🏿",
    "🐦‍🔥",
    "🙂‍↔️",
    "\U0001fae9",  # of Unicode 16
)
NONE = (
    "",
    " ",
    "a",
    "1",
    "ok",
    "👍👍",
    "👍 ",
    " 👍",
    "👍\n",
    "🇮",
    "🇮🇩🇮",
    "\ufe0f",
    "\u200d",
    "👨\u200d",
    "\u200d👨",
    "好",
    "é",
    "👍\u0301",
    "👍🏽🏽",
    "\u202e👍",
    "\ud83d",
    "🏴\U000e0067",
    "<b>",
)


class EmojiTestCase(SynchronousTestCase):
    def test_one(self) -> None:
        for text in ONE:
            self.assertTrue(is_emoji(text), ascii(text))

    def test_none(self) -> None:
        for text in NONE:
            self.assertFalse(is_emoji(text), ascii(text))

    def test_length(self) -> None:
        self.assertFalse(is_emoji("\u200d".join(["👩"] * (MAX_EMOJI // 4))))

    def test_spellings(self) -> None:
        self.assertEqual(same_emoji("❤"), same_emoji("❤️"))
        self.assertEqual(same_emoji("1⃣"), same_emoji("1️⃣"))
        self.assertNotEqual(same_emoji("👍"), same_emoji("👍🏽"))

    def test_all_of_unicode(self) -> None:
        """If Unicode's list is installed (unicode-data), each of its emoji is one."""
        known = Path("/usr/share/unicode/emoji/emoji-test.txt")
        if not known.exists():
            return
        for line in known.read_text("utf-8").splitlines():
            points, _, rest = line.partition(";")
            if rest and not line.startswith("#"):
                text = "".join(chr(int(point, 16)) for point in points.split())
                self.assertTrue(is_emoji(text), line)
