"""A realm that knows no other realm."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from chatd.base.errors import UnknownRealm
from chatd.service.remote import IRealms
from tests.support.inline import outcome_of, result_of
from tests.support.no_realms import NoRealms


class Alone(SynchronousTestCase):
    def test_has_no_peers(self) -> None:
        realms = NoRealms()
        verifyObject(IRealms, realms)
        self.assertEqual(result_of(realms.all()), ())
        for asked in (
            realms.find("realm2", "ana", "bagan"),
            realms.join("realm2", "ana", "bagan", b""),
            realms.members("realm2", "ana", "bagan"),
            realms.change("realm2", "ana", "bagan", "kick", ["budi"]),
            realms.presence("realm2", ["ana"]),
            realms.add("realm2", "localhost", 8890, True),
            realms.forget("realm2"),
        ):
            self.assertIs(outcome_of(asked), UnknownRealm)
        with self.assertRaises(UnknownRealm):
            realms.name_of("realm2")
