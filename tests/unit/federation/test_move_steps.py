"""The signed entries that prove that a group has moved."""

from __future__ import annotations

from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import BadSignature
from chatd.federation.move_steps import MoveStep, check_step, open_step, open_steps
from chatd.federation.parcel_fields import MAX_NUMBER, MAX_SEQ
from chatd.federation.signing.entries import SignedEntry, Trust
from chatd.federation.signing.statements import GroupAttributes
from tests.support.inline import result_of
from tests.support.signing import SigningRealm

GOOD: dict[str, str | bool | None] = {"home": "Bagan@Realm2", "home_id": "7", "last": "12"}


class MoveStepsTestCase(SynchronousTestCase):
    signer = SigningRealm("realm1")

    def entry(self, fields: dict[str, Any] | None = None, **said: Any) -> SignedEntry:
        said = {"group": 5, "author": "system", **said}
        return self.signer.signs(GroupAttributes(GOOD if fields is None else fields), **said)

    def test_step(self) -> None:
        entry = self.entry()
        step = open_step(entry)
        self.assertEqual((step.home, step.home_id, step.last), ("realm1", 5, 12))
        self.assertEqual((step.to.realm, step.to.home_id, step.to.name), ("realm2", 7, "Bagan"))
        self.assertEqual(step.entry, entry)

    def test_fields(self) -> None:
        """What says no home, or numbers that no home gives, is no step."""
        for name, bad in (
            *(("home", each) for each in ("bagan", "a b@realm2", "", None, True)),
            *(("home_id", each) for each in ("x", "", "0", "-1", str(MAX_NUMBER + 1), None)),
            *(("last", each) for each in ("x", "-1", str(MAX_SEQ + 1), None, "1" * 5000)),
        ):
            with self.assertRaises(BadSignature, msg=f"{name} {bad}"):
                open_step(self.entry(GOOD | {name: bad}))

    def test_other_entries(self) -> None:
        """A message, an entry of a group by its name, and a move to the same realm are none, either."""
        for entry in (
            self.signer.says(group=5),
            self.entry(group="bagan"),
            self.entry(GOOD | {"home": "bagan@REALM1"}),
        ):
            with self.assertRaises(BadSignature):
                open_step(entry)

    def test_chain(self) -> None:
        """Each step begins where the one before it ends: in the same realm, with the same id."""
        second = SigningRealm("realm2")
        on = GroupAttributes(GOOD | {"home": "bagan@realm3", "home_id": "9"})
        last = second.signs(on, home="realm2", group=7, author="system")
        self.assertEqual(
            [each.home for each in open_steps([self.entry(), last])], ["realm1", "realm2"]
        )
        for home, group in (("realm2", 8), ("realm3", 7)):
            other = second.signs(
                GroupAttributes(GOOD | {"home": "b@realm4"}), home=home, group=group
            )
            with self.assertRaises(BadSignature):
                open_steps([self.entry(), other])

    def check(self, step: MoveStep, trust: Trust) -> None:
        async def checked(*_asked: Any) -> Trust:
            return trust

        done = Deferred.fromCoroutine(check_step(mock.Mock(check=checked), "realm2", step))
        self.assertIsNone(result_of(done))

    def test_signer(self) -> None:
        """Only the former home itself says that the group leaves it, with a key that is known."""
        self.check(open_step(self.entry()), Trust.VERIFIED)
        other = SigningRealm("realm3").signs(GroupAttributes(GOOD), group=5, author="system")
        for entry, trust in (
            (self.entry(author="ana"), Trust.VERIFIED),
            (other, Trust.VERIFIED),
            (self.entry(), Trust.UNVERIFIED),
            (self.entry(), Trust.UNSIGNED),
        ):
            with self.assertRaises(BadSignature):
                self.check(open_step(entry), trust)
