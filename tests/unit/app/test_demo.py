"""What the demo takes from a configuration, and the ports of its doors."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from chatd.app.demo_realms import demo_config, demo_doors
from chatd.base.config import (
    AccountsConfig,
    Config,
    Limits,
    LogConfig,
    PeerConfig,
    PeersConfig,
)


class ConfigTests(SynchronousTestCase):
    def test_only_what_is_harmless_is_taken(self) -> None:
        """The demo takes no name, state, doors, database, certificate or peers of a real realm."""
        given = Config(
            realm="chat.example.org",
            state=Path("/var/lib/chatd"),
            listen={"plain": "tcp:23"},
            database_url="postgresql://db/chatd",
            accounts=AccountsConfig(min_password=3),
            peers=PeersConfig(
                certificate=Path("/etc/chatd/peer.pem"), known={"other": PeerConfig()}
            ),
            limits=Limits(message=100),
            log=LogConfig(level="debug"),
        )
        expected = Config(
            realm="realm1",
            state=Path("/here/var/demo/realm1"),
            accounts=msgspec.structs.replace(given.accounts, registrations_per_hour=0),
            peers=PeersConfig(add="anyone", private=True, strangers="welcome"),
            limits=given.limits,
            log=given.log,
        )
        self.assertEqual(demo_config(given, Path("/here")), expected)

    def test_all_doors_are_on_loopback(self) -> None:
        for second in (False, True):
            for endpoint in demo_doors(second).values():
                self.assertRegex(endpoint, r"\Atcp:\d+:interface=127\.0\.0\.1\Z")

    def test_no_door_of_one_is_a_door_of_the_other(self) -> None:
        ports = [
            int(re.split(":", endpoint)[1])
            for second in (False, True)
            for endpoint in demo_doors(second).values()
        ]
        self.assertEqual(len(ports), len(set(ports)))
