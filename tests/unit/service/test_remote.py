"""A service without other realms."""

from __future__ import annotations

from unittest import mock

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from chatd.base.errors import UnknownRealm
from chatd.service.remote import QUEUED, IForwarder, IRealms, NoForwarder, NoRealms
from chatd.service.targets import Target
from tests.support.inline import outcome_of, result_of


class Alone(SynchronousTestCase):
    def test_has_no_peers(self) -> None:
        realms = NoRealms()
        verifyObject(IRealms, realms)
        self.assertEqual(result_of(realms.all()), ())
        for asked in (
            realms.join("realm2", "ana", "bagan"),
            realms.members("realm2", "ana", "bagan"),
            realms.change("realm2", "ana", "bagan", "kick", ["budi"]),
            realms.presence("realm2", ["ana"]),
            realms.add("realm2", "localhost", 8890, True),
            realms.forget("realm2"),
        ):
            self.assertIs(outcome_of(asked), UnknownRealm)
        with self.assertRaises(UnknownRealm):
            realms.name_of("realm2")

    def test_nothing_is_sent(self) -> None:
        forwarder = NoForwarder()
        verifyObject(IForwarder, forwarder)
        told: list[object] = []
        forwarder.deliver("realm2", mock.Mock(), None, told.append)
        self.assertEqual(told, [QUEUED])
        there = Target(0, (), group="bagan@realm2", home="realm2")
        posted = forwarder.deliver_post(there, 1, mock.Mock(), None)
        self.assertIs(outcome_of(posted), UnknownRealm)
        with self.assertRaises(UnknownRealm):
            forwarder.post_parcel(mock.Mock(), there, 0, "halo", None)
        forwarder.relay(mock.Mock(), forwarder.copies(mock.Mock(), there, 0, "halo", None), None)
        forwarder.send_notices(forwarder.stage(mock.Mock(), ()))
        result_of(forwarder.until_left("ana", "realm2"))
        forwarder.flush()
