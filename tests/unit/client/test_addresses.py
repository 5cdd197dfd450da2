"""Addresses as the user types them, and the TLS settings that they share."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import TestCase

from chatd.client.addresses import (
    MAX_ADDRESSES,
    Addresses,
    BadAddress,
    parse_addresses,
    with_first,
)
from chatd.client.connection import Target


class AddressesTests(TestCase):
    def test_hosts_and_ports(self) -> None:
        for text, host, port in (
            ("chat.example.org", "chat.example.org", 8888),
            ("localhost:9999", "localhost", 9999),
            ("[::1]:9999", "::1", 9999),
            ("::1", "::1", 8888),
        ):
            target = parse_addresses([text]).first
            self.assertEqual((target.host, target.port), (host, port))
        self.assertEqual(str(parse_addresses(["::1"]).first), "[::1]:8888")

    def test_several(self) -> None:
        found = parse_addresses(["one,two:9999", "[::1]:7, one"])
        self.assertEqual(found.names, ("one:8888", "two:9999", "[::1]:7"))
        self.assertEqual((found.several, found.name), (True, "one:8888"))
        found = parse_addresses(["one", "two"], True, "realm1")
        self.assertEqual(found.name, "realm1")

    def test_invalid(self) -> None:
        for text in ("", ":8888", "host:port", "host:0", "host:65536", "[::1", "one,", "one,two:x"):
            self.assertRaises(BadAddress, parse_addresses, [text])
        names = [f"host{number}" for number in range(MAX_ADDRESSES + 1)]
        self.assertRaises(BadAddress, parse_addresses, names)
        self.assertEqual(len(parse_addresses(names[1:]).targets), MAX_ADDRESSES)

    def test_one_tls_setting_for_all(self) -> None:
        """No address can have weaker settings than the others."""
        ca = Path("ca.pem").absolute()
        found = parse_addresses(["one", "two"], True, "realm1", ca)
        self.assertEqual({(each.tls, each.realm, each.ca) for each in found.targets},
                         {(True, "realm1", str(ca))})  # fmt: skip
        for wrong in (
            (Target("one", tls=True), Target("two")),
            (Target("one", tls=True, realm="realm1"), Target("two", tls=True)),
            (Target("one", tls=True, ca="a.pem"), Target("two", tls=True)),
            (),
        ):
            self.assertRaises(ValueError, Addresses, wrong)

    def test_stored_ones(self) -> None:
        """They have the TLS settings of the stored address, and damaged ones are left out."""
        last = Target("two", 7, True, "realm1")
        found = with_first(last, ("one:8888", "two:7", "one:x", ""))
        self.assertEqual(found.targets, (last, Target("one", 8888, True, "realm1")))
        self.assertTrue(found.over(False, None, None).tls)
        plain = with_first(Target("one"), ("two",))
        self.assertFalse(plain.tls)
        self.assertEqual({each.tls for each in plain.over(True, None, None).targets}, {True})
