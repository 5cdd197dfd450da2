"""Network addresses as the limits count them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chatd.base.sources import LOCAL, parse_ip, source_of


class SourceTests(SynchronousTestCase):
    def test_ipv4_address_is_its_own_source(self) -> None:
        self.assertEqual(source_of("192.0.2.7"), "192.0.2.7")

    def test_ipv6_address_counts_by_its_64_bit_prefix(self) -> None:
        self.assertEqual(source_of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64")
        self.assertEqual(source_of("2001:db8:1:2::9"), source_of("2001:db8:1:2:ffff::1"))
        self.assertNotEqual(source_of("2001:db8:1:2::9"), source_of("2001:db8:1:3::9"))

    def test_mapped_address_is_the_ipv4_address(self) -> None:
        self.assertEqual(source_of("::ffff:192.0.2.7"), "192.0.2.7")

    def test_zone_is_ignored(self) -> None:
        self.assertEqual(source_of("fe80::1%eth0"), "fe80::/64")

    def test_no_address_is_local(self) -> None:
        for host in (None, ""):
            self.assertEqual(source_of(host), LOCAL)

    def test_other_text_is_kept(self) -> None:
        self.assertIsNone(parse_ip("example.org"))
        self.assertEqual(source_of("example.org"), "example.org")
