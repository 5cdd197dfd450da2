"""The clients behind proxies: X-Forwarded-For and Forwarded."""

from __future__ import annotations

import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from chatd.base.sources import Networks
from chatd.web.forwarding import client_address

TRUSTED = Networks.parse("127.0.0.1, 10.0.0.0/8, ::1")
PROXY = IPv4Address("TCP", "127.0.0.1", 40000)
SPACE = " " * (16 << 10)
STRANGER = IPv4Address("TCP", "192.0.2.66", 40000)


def host(peer: Any = PROXY, trusted: Networks = TRUSTED, **fields: Any) -> str | None:
    """The client of a request. Underscores in names of fields are hyphens, and a list is several fields."""
    headers = Headers()
    for name, value in fields.items():
        for each in value if isinstance(value, list) else [value]:
            headers.addRawHeader(name.replace("_", "-").encode(), each.encode("latin-1"))
    return getattr(client_address(peer, headers, trusted), "host", None)


class XForwardedFor(SynchronousTestCase):
    def by(self, value: Any, **more: Any) -> str | None:
        return host(x_forwarded_for=value, **more)

    def test_client(self) -> None:
        self.assertEqual(self.by("192.0.2.7"), "192.0.2.7")
        self.assertEqual(self.by("2001:db8::7"), "2001:db8::7")

    def test_of_a_stranger(self) -> None:
        """Headers from an address that is not a trusted proxy are ignored."""
        self.assertEqual(self.by("192.0.2.7", peer=STRANGER), STRANGER.host)
        self.assertEqual(self.by("192.0.2.7", trusted=Networks()), PROXY.host)

    def test_from_the_right(self) -> None:
        """Hosts to the left of the client are ignored, because the client may have invented them."""
        self.assertEqual(self.by("198.51.100.1, 127.0.0.1, 192.0.2.7"), "192.0.2.7")
        self.assertEqual(self.by(["198.51.100.1", "192.0.2.7"]), "192.0.2.7")

    def test_several_proxies(self) -> None:
        self.assertEqual(self.by("192.0.2.7, 10.1.2.3"), "192.0.2.7")
        self.assertEqual(self.by(["198.51.100.1, 192.0.2.7", "10.1.2.3, ::1"]), "192.0.2.7")

    def test_proxies_only(self) -> None:
        """A client on the proxy's own machine."""
        self.assertEqual(self.by("10.1.2.3, 10.4.5.6"), "10.1.2.3")
        self.assertEqual(self.by("127.0.0.1"), "127.0.0.1")

    def test_ports(self) -> None:
        self.assertEqual(self.by("192.0.2.7:5060"), "192.0.2.7")
        self.assertEqual(self.by("[2001:db8::7]:5060"), "2001:db8::7")
        self.assertEqual(self.by("[2001:db8::7]"), "2001:db8::7")

    def test_mapped_address(self) -> None:
        """An IPv4 address stays one, even if a proxy listens on IPv6."""
        self.assertEqual(self.by("::ffff:192.0.2.7"), "192.0.2.7")
        self.assertEqual(
            self.by("192.0.2.7", peer=IPv6Address("TCP", "::ffff:127.0.0.1", 1)), "192.0.2.7"
        )

    def test_unknown_clients(self) -> None:
        """The nearest known host counts, and nothing beyond an unknown one."""
        for unknown in (
            "unknown",
            "",
            " ",
            "localhost",
            "1.2.3",
            "_hidden",
            "192.0.2.7x",
            "fe80::1%e",
        ):
            self.assertEqual(self.by(unknown), PROXY.host)
            self.assertEqual(self.by(f"192.0.2.7, {unknown}"), PROXY.host)
            self.assertEqual(self.by(f"192.0.2.7, {unknown}, 10.1.2.3"), "10.1.2.3")

    def test_unix_socket(self) -> None:
        peer = UNIXAddress(None)
        self.assertIsNone(self.by("192.0.2.7", peer=peer))
        self.assertEqual(
            self.by("192.0.2.7", peer=peer, trusted=Networks.parse("local")), "192.0.2.7"
        )

    def test_no_header(self) -> None:
        self.assertEqual(host(), PROXY.host)

    def test_white_space(self) -> None:
        """A header as long as a head may be takes no noticeable time."""
        begun = time.process_time()
        for field in (f",{SPACE}=", f"for=192.0.2.7{SPACE}x", f"for=192.0.2.7;{SPACE}x", SPACE):
            self.assertEqual(self.by(field), PROXY.host)
        self.assertLess(time.process_time() - begun, 0.5)

    @given(st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=80))
    def test_inventions(self, invented: str) -> None:
        """Whatever the client sends, the element that the proxy appends counts."""
        self.assertEqual(self.by(f"{invented}, 192.0.2.7"), "192.0.2.7")
        self.assertEqual(self.by([invented, "192.0.2.7"]), "192.0.2.7")


class Forwarded(SynchronousTestCase):
    def by(self, value: Any, **more: Any) -> str | None:
        return host(forwarded=value, **more)

    def test_client(self) -> None:
        for field in (
            "for=192.0.2.7",
            "For=192.0.2.7;proto=https;by=203.0.113.43",
            'proto=https; for="192.0.2.7:47011"',
            'for=198.51.100.1, for="192.0.2.7"',
            'by="\\"for=198.51.100.1" ; for=192.0.2.7 ',
        ):
            self.assertEqual(self.by(field), "192.0.2.7", field)
        self.assertEqual(self.by('for="[2001:db8::7]:4711"'), "2001:db8::7")
        self.assertEqual(self.by('for="[2001:db8::7]", for=10.0.0.1'), "2001:db8::7")
        self.assertEqual(self.by(["for=198.51.100.1", "for=192.0.2.7, for=10.0.0.1"]), "192.0.2.7")

    def test_within_another_value(self) -> None:
        """A host within a value that the client chose is not taken for its address."""
        self.assertEqual(self.by('host="a;for=198.51.100.1";for=192.0.2.7'), "192.0.2.7")
        self.assertEqual(self.by('host="a;for=198.51.100.1"'), PROXY.host)

    def test_unknown_clients(self) -> None:
        for field in (
            "for=unknown",
            "for=_hidden",
            'for="_x:80"',
            "proto=https",
            "for=",
            "for",
            "=",
            ";",
        ):
            self.assertEqual(self.by(field), PROXY.host, field)
            self.assertEqual(self.by(f"for=192.0.2.7, {field}"), PROXY.host, field)

    def test_unterminated_quotation(self) -> None:
        """The client's open quotation does not swallow what the proxy appends."""
        for begun in ('for="198.51.100.1', 'for="x\\', 'for="'):
            self.assertEqual(self.by(f"{begun}, for=192.0.2.7"), PROXY.host)
            self.assertEqual(self.by([begun, "for=192.0.2.7"]), "192.0.2.7")
            self.assertIn(self.by(f'{begun}, for="[2001:db8::7]"'), (PROXY.host, "2001:db8::7"))

    def test_white_space(self) -> None:
        """A header as long as a head may be takes no noticeable time."""
        begun = time.process_time()
        for field in (f",{SPACE}=", f"for=192.0.2.7{SPACE}x", f"for=192.0.2.7;{SPACE}x", SPACE):
            self.assertEqual(self.by(field), PROXY.host)
        self.assertLess(time.process_time() - begun, 0.5)

    @given(st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=80))
    def test_inventions(self, invented: str) -> None:
        """The proxy's element counts, or the proxy itself; never the client's."""
        self.assertIn(self.by(f"{invented}, for=192.0.2.7"), (PROXY.host, "192.0.2.7"))
        self.assertEqual(self.by([invented, "for=192.0.2.7"]), "192.0.2.7")


class Both(SynchronousTestCase):
    def test_they_agree(self) -> None:
        self.assertEqual(
            host(x_forwarded_for="192.0.2.7", forwarded='for="192.0.2.7:80"'), "192.0.2.7"
        )

    def test_fields_that_differ(self) -> None:
        """One of the two was passed on unchecked. Neither counts."""
        self.assertEqual(
            host(x_forwarded_for="192.0.2.7", forwarded="for=198.51.100.1"), PROXY.host
        )
