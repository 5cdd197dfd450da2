"""Errors cross between realms as verdicts, and nothing else that a peer says is shown."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatd.base import errors
from chatd.base.errors import ChatError, PeerFailed, every_error
from chatd.base.terms import LATEST, Term
from chatd.federation.parcels import Verdict, encode
from chatd.federation.refusals import refusal, verdict_of
from chatd.lines.dialects.indonesian import INDONESIAN
from chatd.lines.dialects.verbs import text_of
from tests.unit.base.test_errors import fields, needed

REPORTED = {
    "unknown-user",
    "not-accepted",
    "unknown-group",
    "group-closed",
    "not-member",
    "user-not-member",
    "not-admin",
    "last-admin",
    "already-member",
    "message-too-long",
    "bad-filename",
    "file-too-large",
    "quota-exceeded",
    "too-much-arriving",
    "unknown-file",
    "file-arriving",
    "file-lost",
    "file-missing",
    "file-damaged",
    "realm-quota",
    "banned",
    "not-banned",
    "too-many-failed-joins",
    "group-full",
    "group-moved",
    "not-movable",
    "realm-full",
    "too-many-groups",
    "too-many-invitations",
    "not-requested",
    "request-pending",
    "too-many-unknown",
    "text-refused",
    "not-supported-there",
    "not-yours",
    "not-editable",
    "too-many-reactions",
    "too-many-pins",
    "bad-signature",
    "unknown-there",
}
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


ONLY_NAMES = (
    errors.TooManyGroups,
    errors.TooManyInvitations,
    errors.NotAccepted,
    errors.RequestPending,
)


def addresses(error: type[ChatError]) -> dict[str, str]:
    """The details of an error from Realm2 that are shown with that realm."""
    names = set(needed(error)) & {"name", "group"}
    if error is errors.NotRequested:
        names.remove("group")
    elif "group" not in names and error not in ONLY_NAMES:
        names.clear()
    return {name: f"<{name}>@Realm2" for name in names}


def over_the_wire(verdict: Verdict) -> Verdict:
    return msgspec.msgpack.decode(encode(verdict), type=Verdict)


class Refusals(SynchronousTestCase):
    def test_cross(self) -> None:
        """An error of the other realm is reported as the same error here. Names that are unknown there are
        reported with its name."""
        for error in every_error():
            given_details = {name: f"<{name}>" for name in needed(error)}
            said = over_the_wire(verdict_of(error(**given_details)))
            self.assertEqual(said.code, error.code)
            found = refusal(said, "Realm2")
            if error is errors.BadText:
                self.assertEqual(found.code, "text-refused")
                continue
            if error.code == errors.UnknownMessage.code:
                self.assertEqual(found.code, "unknown-there")
                continue
            if error.code not in REPORTED:
                self.assertEqual((type(found), found.details), (PeerFailed, {"realm": "Realm2"}))
                continue
            where = {"where": "Realm2"} if "where" in fields(error) else {}
            shown = {**given_details, **where, **addresses(error)}
            self.assertEqual((type(found), found.details), (error, shown))
            self.assertEqual(str(found), str(error(**shown)))

    def test_addresses(self) -> None:
        """An address that has a realm keeps it."""
        said = verdict_of(errors.NotBanned(name="budi@realm2", group="bagan"))
        found = refusal(said, "Realm1").details
        self.assertEqual(found, {"name": "budi@realm2", "group": "bagan@Realm1"})

    def test_details_that_are_not_for_others(self) -> None:
        """An error that is not passed to other realms has no details there."""
        said = verdict_of(errors.CertificateChanged(realm="a", found="b", remembered="c"))
        self.assertEqual(said.details, {})

    def test_details_that_make_no_sense(self) -> None:
        for verdict in (
            Verdict("unknown-user"),
            Verdict("quota-exceeded", {"limit": 1}),
            Verdict("quota-exceeded", {"limit": 1, "left": None}),
            Verdict("unknown-group", {"name": {"name": "bagan", "realm": None}}),
        ):
            self.assertIsInstance(refusal(verdict, "Realm2"), PeerFailed)

    def test_muted(self) -> None:
        """The reader's realm writes the sentence, also in other languages."""
        for term, details, shown, indonesian in (
            (
                Term(1_800_000_000_000, "loud"),
                {"group": "bagan", "until": 1_800_000_000_000, "reason": "loud"},
                " until 2027-01-15T08:00:00Z (loud)",
                " sampai 2027-01-15T08:00:00Z (loud)",
            ),
            (
                Term(None, "loud"),
                {"group": "bagan", "until": 0, "reason": "loud"},
                *[" (loud)"] * 2,
            ),
            (Term(None), {"group": "bagan", "until": 0, "reason": ""}, "", ""),
        ):
            said = over_the_wire(verdict_of(errors.Muted(group="bagan", until=term)))
            self.assertEqual(said.details, details)
            found = refusal(said, "Realm2")
            self.assertEqual(found.details["until"], term)
            self.assertIn(f"in bagan@Realm2{shown};", str(found))
            self.assertIn(f"di bagan@Realm2{indonesian};", text_of(found, INDONESIAN))

    def test_muted_otherwise(self) -> None:
        """A text is the form of earlier versions. A reason may be missing; other times make no sense."""
        for details, shown in (
            ({"until": " until noon (loud)"}, " until noon (loud)"),
            ({"until": ""}, ""),
            ({"until": 1}, " until 1970-01-01T00:00:00Z"),
            ({"until": LATEST, "reason": 7}, " until 9999-12-31T23:59:59Z"),
            ({"until": 0, "reason": "a\nb"}, " (a\N{REPLACEMENT CHARACTER}b)"),
        ):
            found = refusal(Verdict("muted", {"group": "bagan", **details}), "Realm2")
            self.assertIn(f"You are muted in bagan@Realm2{shown};", str(found))
        for until in (-1, LATEST + 1, 2**63):
            verdict = Verdict("muted", {"group": "bagan", "until": until})
            self.assertIsInstance(refusal(verdict, "Realm2"), PeerFailed)

    def test_control_characters(self) -> None:
        """A peer can't put control characters into errors, not even in place of a number."""
        for error in every_error():
            details = dict.fromkeys(needed(error), "x\r\n* \x1b[2J")
            found = refusal(Verdict(error.code, details), "Realm2")
            self.assertTrue(str(found).isprintable(), repr(str(found)))

    @given(
        st.one_of(st.sampled_from(sorted(REPORTED)), st.text()),
        st.dictionaries(
            st.one_of(st.sampled_from(["name", "group", "size", "limit", "left"]), st.text()),
            anything,
            max_size=6,
        ),
    )
    def test_any_verdict_can_be_shown(self, code: str, details: dict[str, Any]) -> None:
        """Any verdict becomes an error that can be shown."""
        error = refusal(Verdict(code, details), "Realm2")
        self.assertIsInstance(error, ChatError)
        self.assertTrue(str(error).isprintable(), str(error))
