"""The header of the PROXY protocol: parsing it complete and in pieces, and malformed headers."""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv4Address as IPv4
from ipaddress import IPv6Address as IPv6
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from chatd.net.proxy_header import V2_MAX, V2_SIGNATURE, BadHeader, Header, read_header

PROXY, LOCAL = 0x21, 0x20
TCP4, TCP6, UNIX, UDP4, UNSPEC = 0x11, 0x21, 0x31, 0x12, 0x00
BLOCK4 = bytes((192, 0, 2, 7, 198, 51, 100, 1)) + struct.pack("!HH", 50000, 443)
PORT = st.integers(0, 65535)


def v2(family: int, block: bytes, command: int = PROXY) -> bytes:
    return V2_SIGNATURE + struct.pack("!BBH", command, family, len(block)) + block


def v1(host: str, port: int) -> bytes:
    kind, mine = ("TCP6", "2001:db8::1") if ":" in host else ("TCP4", "198.51.100.1")
    return f"PROXY {kind} {host} {mine} {port} 443\r\n".encode()


class Good(SynchronousTestCase):
    def reads(self, data: bytes, client: Any) -> None:
        """The header is parsed when its last byte has arrived, whatever follows."""
        self.assertEqual(read_header(data), Header(len(data), client))
        self.assertEqual(read_header(data + b"GET / HTTP/1.1\r\n"), Header(len(data), client))
        for size in range(len(data)):
            self.assertIsNone(read_header(data[:size]))

    @given(st.ip_addresses(v=4), PORT)
    def test_v1_ipv4(self, host: IPv4, port: int) -> None:
        self.reads(v1(str(host), port), IPv4Address("TCP", str(host), port))

    @given(st.ip_addresses(v=6), PORT)
    def test_v1_ipv6(self, host: IPv6, port: int) -> None:
        self.reads(v1(str(host), port), IPv6Address("TCP", str(host), port))

    def test_v1_unknown(self) -> None:
        """The proxy does not know the client. The rest of the line is ignored."""
        self.reads(b"PROXY UNKNOWN\r\n", None)
        self.reads(b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", None)

    @given(st.ip_addresses(v=4), PORT, st.binary(max_size=64))
    def test_v2_ipv4_with_extensions(self, host: IPv4, port: int, extensions: bytes) -> None:
        block = host.packed + bytes(4) + struct.pack("!HH", port, 1) + extensions
        self.reads(v2(TCP4, block), IPv4Address("TCP", str(host), port))

    @given(st.ip_addresses(v=6), PORT)
    def test_v2_ipv6(self, host: IPv6, port: int) -> None:
        block = host.packed + bytes(16) + struct.pack("!HH", port, 1)
        shown = socket.inet_ntop(socket.AF_INET6, host.packed)
        self.reads(v2(TCP6, block), IPv6Address("TCP", shown, port))

    def test_v2_other_families(self) -> None:
        self.reads(v2(UDP4, BLOCK4), IPv4Address("TCP", "192.0.2.7", 50000))
        self.reads(v2(UNIX, b"/run/a".ljust(108, b"\0") + bytes(108)), UNIXAddress(None))

    def test_v2_without_client(self) -> None:
        """A health check by the proxy itself."""
        self.reads(v2(TCP4, BLOCK4, LOCAL), None)
        self.reads(v2(UNSPEC, b"", LOCAL), None)
        self.reads(v2(UNSPEC, b"whatever"), None)


class Bad(SynchronousTestCase):
    def refused(self, *headers: bytes) -> None:
        for data in headers:
            with self.assertRaises(BadHeader, msg=repr(data)):
                read_header(data)

    def test_no_header(self) -> None:
        """The header is refused at the first wrong byte."""
        self.refused(b"GET / HTTP/1.1\r\n", b"x", b"PROXX", b"proxy ", b"\r\n\r\n\0\r\nQUIX")

    def test_v1_malformed(self) -> None:
        self.refused(
            b"PROXY \r\n",
            b"PROXY TCP4\r\n",
            b"PROXY TCP5 192.0.2.7 192.0.2.8 1 2\r\n",
            b"PROXY TCP4 192.0.2.7 192.0.2.8 1\r\n",
            b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2 3\r\n",
            b"PROXY TCP4 192.0.2.7 192.0.2.8 1 65536\r\n",
            b"PROXY TCP4 192.0.2.7 192.0.2.8 -1 2\r\n",
            b"PROXY TCP4 192.0.2.7 192.0.2.8 1 +2\r\n",
            b"PROXY TCP4 192.0.2.256 192.0.2.8 1 2\r\n",
            b"PROXY TCP4 ::1 192.0.2.8 1 2\r\n",
            b"PROXY TCP6 192.0.2.7 ::1 1 2\r\n",
            b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
            b"PROXY TCP4 example.org 192.0.2.8 1 2\r\n",
            b"PROXY TCP4  192.0.2.7 192.0.2.8 1 2\r\n",
            b"PROXY TCP4 \xff\xfe 192.0.2.8 1 2\r\n",
        )

    def test_v1_without_end(self) -> None:
        self.assertIsNone(read_header(b"PROXY UNKNOWN ".ljust(106)))
        self.refused(b"PROXY UNKNOWN ".ljust(107), b"PROXY UNKNOWN ".ljust(70_000))

    def test_v2_malformed(self) -> None:
        self.refused(
            V2_SIGNATURE + b"\x11",
            V2_SIGNATURE + b"\x22",
            v2(TCP4, BLOCK4[:-1]),
            v2(TCP6, BLOCK4),
            v2(UNIX, BLOCK4),
            v2(0x41, BLOCK4),
        )

    def test_v2_too_long(self) -> None:
        """A header that announces too many bytes is refused at once."""
        self.refused(V2_SIGNATURE + struct.pack("!BBH", PROXY, TCP4, V2_MAX - 15))
        self.assertIsNone(read_header(V2_SIGNATURE + struct.pack("!BBH", PROXY, TCP4, V2_MAX - 16)))

    @given(
        st.binary(max_size=300),
        st.sampled_from((b"", b"PROXY ", b"PROXY TCP4 ", V2_SIGNATURE, V2_SIGNATURE + b"\x21\x11")),
    )
    def test_garbage(self, garbage: bytes, beginning: bytes) -> None:
        """Any bytes raise BadHeader or nothing."""
        try:
            found = read_header(beginning + garbage)
        except BadHeader:
            return
        if found is not None:
            self.assertLessEqual(found.size, len(beginning + garbage))
