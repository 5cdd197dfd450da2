"""Names, addresses and rooms: which are valid, how they are compared, and how they are shown."""

from __future__ import annotations

import unicodedata
from unittest import mock

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.characters import INVISIBLE
from chatd.base.errors import BadName, ReservedName
from chatd.base.names import (
    RESERVED,
    Address,
    Place,
    check_new_name,
    check_reserved,
    is_code,
    key_of,
    parse_address,
    parse_foreign_address,
    parse_foreign_name,
    parse_group_name,
    parse_name,
    parse_place,
    parse_room,
    printable,
)
from chatd.base.uts39 import skeleton

MAX_NAME = 64

any_text = st.text(st.characters(exclude_categories=()))
# Similar to names, so that valid and invalid ones are both frequent.
near_names = st.text(
    st.one_of(st.sampled_from("aZ09._-é e\u0301@,ßİΣς"), st.characters(categories=("L", "N"))),
    max_size=70,
)
names = st.text(
    st.one_of(st.sampled_from("aZ09._-ßİǰΐ"), st.characters(categories=("L", "N", "Mn", "Mc"))),
    min_size=1,
    max_size=20,
).filter(lambda text: _is_name(text))


def _is_name(text: str) -> bool:
    try:
        parse_name(text)
    except BadName:
        return False
    return True


def _may_stand_in_name(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN" or character in "._-"


class ParseName(SynchronousTestCase):
    def test_kept_as_typed(self) -> None:
        for name in ("messi", "Messi", "a", "x.y_z-9", "_", "-", "..", "Ünïcödé", "名前", "٣"):
            self.assertEqual(parse_name(name), name)

    def test_composed(self) -> None:
        """A name that was typed in decomposed form is kept in NFC."""
        self.assertEqual(parse_name("Jose\u0301"), "José")

    def test_length(self) -> None:
        """1 to 64 characters are allowed, counted in the composed form."""
        self.assertEqual(parse_name("a" * MAX_NAME), "a" * 64)
        self.assertEqual(parse_name("e\u0301" * 64), "é" * 64)
        for bad in ("", "a" * 65):
            with self.assertRaises(BadName):
                parse_name(bad)

    def test_long_text_is_not_normalized(self) -> None:
        """Normalizing a line full of marks takes seconds, which would block everybody else."""
        marks = "a" + "\u0315\u0300" * 10_000
        with mock.patch("unicodedata.normalize", side_effect=AssertionError) as normalize:
            for parse in (parse_name, parse_address, parse_place, parse_room, parse_group_name):
                with self.assertRaises(BadName):
                    parse(marks)
        normalize.assert_not_called()

    def test_refused(self) -> None:
        """Commas, at signs, spaces, control characters and all else that is no letter or digit is refused."""
        bad_names = (
            "a b",
            " a",
            "a ",
            "a,b",
            "a@b",
            "a/b",
            "a\n",
            "\x00",
            "a\x1b[2J",
            "a!",
            "\ud800",
        )
        for bad in (*bad_names, "\u202ea", "\u200b", "😀", "a\u00a0b"):
            with self.assertRaises(BadName):
                parse_name(bad)

    @given(st.one_of(any_text, near_names))
    def test_any_text(self, text: str) -> None:
        """Every text is a valid name, or raises BadName."""
        try:
            name = parse_name(text)
        except BadName as error:
            composed = unicodedata.normalize("NFC", text)
            if not any(unicodedata.category(each)[0] == "M" for each in composed):
                good = 1 <= len(composed) <= MAX_NAME and all(map(_may_stand_in_name, composed))
                self.assertFalse(good, f"{text!r} was refused")
            self.assertTrue(str(error).isprintable())
        else:
            self.assertEqual(name, unicodedata.normalize("NFC", text))
            self.assertTrue(1 <= len(name) <= MAX_NAME)
            self.assertTrue(all(map(_may_stand_in_name, name)), name)
            self.assertEqual(parse_name(name), name)


# Names as people have them, whose letters carry marks or whose writing uses several scripts.
PEOPLE = (
    "संदीप",
    "सुधीर_२",
    "สมชาย",
    "ปู่ย่า",
    "தமிழ்செல்வி",
    "রহিম-উদ্দিন",
    "ꦗꦮꦶ",
    "مُحَمَّد",
    "محمد٣",
    "שָׂרָה",
    "Nguyễn.Văn_Ổn",
    "ひらカナ漢字abc",
    "王小明Wang",
    "김철수kim",
    "ㄅㄆ漢字",
    "Ελένη",
    "Дмитрий",
    "ኢትዮጵያ",
    "မြန်မာ",
    "ខ្មែរ",
)


class NewNames(SynchronousTestCase):
    """Which names an account or a group may be given."""

    def test_many_scripts(self) -> None:
        for name in PEOPLE:
            check_new_name(parse_name(name))
            check_reserved(name, "realm1")

    def test_marks(self) -> None:
        """Marks must follow a letter, and are too few to cover other lines."""
        for bad in ("\u0301a", "a.\u0301", "-\u093f", "a" + "\u0301\u0302\u0303\u0304\u0305\u0306"):
            with self.assertRaises(BadName):
                parse_name(bad)

    def test_mixed_scripts(self) -> None:
        for bad in ("mеssi", "аbc", "αbc", "messi٣", "あ한", "а漢", "a_б", "বাংলা१"):
            parse_name(bad)  # somebody may have it
            with self.assertRaises(BadName) as caught:
                check_new_name(bad)
            self.assertIn("mixes scripts", str(caught.exception))

    def test_invisible(self) -> None:
        """Earlier versions allowed fillers. Accounts with such names can log in; new ones are refused."""
        for filler in "\u115f\u1160\u3164\uffa0":
            name = parse_name(f"messi{filler}")
            with self.assertRaises(BadName):
                check_new_name(name)
            for parse in (parse_foreign_name, parse_foreign_address):
                with self.assertRaises(BadName):
                    parse(name)
            with self.assertRaises(BadName):
                parse_address(f"{name}@realm2")
        for bad in (
            "a\u200db",
            "a\u200cb",
            "a\u034fb",
            "a\ufe0f",
            "a\u17b4",
            "a\u180b",
            "a\u00adb",
        ):
            with self.assertRaises(BadName):
                parse_name(bad)

    def test_compatibility_characters(self) -> None:
        """A character that stands for a phrase, or for signs that no name contains, is not allowed in
        a name."""
        for bad in ("\ufdfa", "a\u2474", "\u00bd"):
            parse_name(bad)
            with self.assertRaises(BadName):
                check_new_name(bad)

    def test_reserved(self) -> None:
        for name in (*RESERVED, "Realm1"):
            for form in (name, name.upper(), name.title()):
                with self.assertRaises(ReservedName):
                    check_reserved(form, "realm1")
        for name in ("ADMlN", "adrnin", "аԁmіn", "ro0t", "aIl", "reaIm1", "realrn1", "\uff41dmin"):
            with self.assertRaises(ReservedName, msg=name):
                check_reserved(name, "realm1")
        for name in ("messi", "admins", "realm2", "al1ce"):
            check_reserved(name, "realm1")

    def test_names_of_the_demo_and_of_load_generators(self) -> None:
        found = [f"u{n:04}" for n in range(500)] + [f"user{n}" for n in range(500)]
        found += ["messi", "henderson", "lineker", "messi10"]
        for name in found:
            check_new_name(name)
            check_reserved(name, "realm1")
        self.assertEqual(len({skeleton(name) for name in found}), len(found))


class ParsePlace(SynchronousTestCase):
    def test_marked(self) -> None:
        for text, place in (
            ("a", Place(Address("a"), Address("a"))),
            ("a@r", Place(Address("a", "r"), Address("a", "r"))),
            ("@a", Place(user=Address("a"))),
            ("@a@r", Place(user=Address("a", "r"))),
            ("#a", Place(group=Address("a"))),
            ("#a@r", Place(group=Address("a", "r"))),
            ("abc:234", Place(group=Address("abc:234"))),
            ("#ABC:234@r", Place(group=Address("abc:234", "r"))),
        ):
            self.assertEqual(parse_place(text), place)

    def test_refused(self) -> None:
        for bad in (
            "",
            "@",
            "#",
            "@@a",
            "#@a",
            "##a",
            "@abc:234",
            "a:b:c",
            ":a",
            "a:",
            "@a@b@c",
            "#a b",
        ):
            with self.assertRaises(BadName, msg=bad) as caught:
                parse_place(bad)
            self.assertEqual(caught.exception.details["name"], printable(bad))

    @given(names)
    def test_no_name_is_a_code(self, name: str) -> None:
        self.assertFalse(is_code(name))


class KeyOf(SynchronousTestCase):
    def test_case_is_ignored(self) -> None:
        for one, other in (
            ("Messi", "mESSI"),
            ("STRASSE", "straße"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("José", "JOSE\u0301"),
            ("messi", "\uff2d\uff25\uff33\uff33\uff29"),  # full width
            ("カナ", "\uff76\uff85"),  # half width
            ("fish", "\ufb01sh"),  # a ligature
        ):
            self.assertEqual(key_of(one), key_of(other))

    def test_different_names_differ(self) -> None:
        self.assertNotEqual(key_of("messi"), key_of("messi1"))
        self.assertNotEqual(key_of("jose"), key_of("josé"))

    @given(st.text(st.characters(max_codepoint=127)))
    def test_ascii(self, text: str) -> None:
        self.assertEqual(key_of(text.upper()), key_of(text.lower()))

    @given(names)
    @example("ǰ")
    @example("ΐ")
    @example("İ")
    def test_idempotent(self, name: str) -> None:
        """A key is its own key, and in NFKC."""
        key = key_of(name)
        self.assertEqual(key_of(key), key)
        self.assertEqual(unicodedata.normalize("NFKC", key), key)

    def test_every_character(self) -> None:
        for point in range(0x110000):
            each = chr(point)
            if unicodedata.category(each)[0] in "LMN":
                key = key_of(f"a{each}b")
                if key_of(key) != key:
                    self.fail(f"U+{point:04X}")

    @given(names)
    def test_composition_is_ignored(self, name: str) -> None:
        self.assertEqual(key_of(unicodedata.normalize("NFD", name)), key_of(name))

    @given(names)
    def test_folded_names_have_the_same_key(self, name: str) -> None:
        self.assertEqual(key_of(parse_name(name).casefold()), key_of(name))


class ParseAddress(SynchronousTestCase):
    def test_local_and_remote(self) -> None:
        self.assertEqual(parse_address("messi"), Address("messi"))
        self.assertEqual(parse_address("messi@realm1"), Address("messi", "realm1"))
        self.assertEqual(parse_address("a@chat.example.org"), Address("a", "chat.example.org"))

    def test_refused(self) -> None:
        """An address has one name and at most one realm. The error shows the whole text."""
        for bad in ("", "@", "messi@", "@realm1", "a@b@c", "a b@c", "a@b c", "a,b", "a@b,c"):
            with self.assertRaises(BadName) as caught:
                parse_address(bad)
            self.assertEqual(caught.exception.details["name"], printable(bad))

    @given(names, st.none() | names)
    def test_round_trip(self, name: str, realm: str | None) -> None:
        """The text of an address is parsed as the same address."""
        address = Address(parse_name(name), None if realm is None else parse_name(realm))
        self.assertEqual(parse_address(str(address)), address)

    @given(st.one_of(any_text, near_names))
    def test_any_text(self, text: str) -> None:
        """Every text is an address of valid names, or raises BadName."""
        try:
            address = parse_address(text)
        except BadName:
            return
        self.assertEqual(parse_name(address.name), address.name)
        if address.realm is not None:
            self.assertEqual(parse_name(address.realm), address.realm)
        self.assertEqual(str(address), unicodedata.normalize("NFC", text))


class ParseRoom(SynchronousTestCase):
    def test_spaces_within(self) -> None:
        for room in ("12345 67890", "a", "ab", "a  b", "Ruang Tamu", "._-", "a" * 64):
            self.assertEqual(parse_room(room), room)

    def test_refused(self) -> None:
        bad_rooms = ("", " ", " a", "a ", "a" * 65, "a\tb", "a\nb", "a,b", "a@b", "a\u00a0b", "a/b")
        for bad in bad_rooms:
            with self.assertRaises(BadName):
                parse_room(bad)

    @given(st.one_of(any_text, near_names))
    def test_any_text(self, text: str) -> None:
        """A room's name without its spaces is a name, and every name is a valid name of a room."""
        try:
            room = parse_room(text)
        except BadName:
            self.assertFalse(_is_name(text) and not INVISIBLE.search(text))
            return
        self.assertEqual(room, room.strip())
        self.assertLessEqual(len(room), MAX_NAME)
        self.assertTrue(all(_may_stand_in_name(c) or c == " " for c in room))

    def test_invisible(self) -> None:
        for bad in ("\u3164", "a\u115fb", "a\u202eb", "a\u200bb", "a\u2800b"):
            with self.assertRaises(BadName):
                parse_room(bad)


class Printable(SynchronousTestCase):
    def test_control_characters_are_replaced(self) -> None:
        self.assertEqual(printable("a\x1b[2Jb\n"), "a\ufffd[2Jb\ufffd")

    def test_long_text_is_cut(self) -> None:
        self.assertEqual(printable("abcdef", 3), "abc…")
        self.assertEqual(printable("abc", 3), "abc")

    def test_empty_text(self) -> None:
        self.assertEqual(printable(""), "the empty text")

    @given(any_text, st.integers(1, 100))
    def test_any_text(self, text: str, limit: int) -> None:
        """The shown text can't control a terminal, and can be encoded."""
        shown = printable(text, limit)
        self.assertTrue(shown)
        self.assertTrue(shown.isprintable())
        self.assertLessEqual(len(shown), max(limit + 1, len("the empty text")))
        shown.encode()


class ShowPlace(SynchronousTestCase):
    def test_shown_by_its_name(self) -> None:
        self.assertEqual(str(Place(user=Address("a", "r"))), "a@r")
        self.assertEqual(str(Place(group=Address("g"))), "g")
        self.assertEqual(str(Place(user=Address("g"), group=Address("g"))), "g")
