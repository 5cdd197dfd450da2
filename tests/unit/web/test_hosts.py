"""The host names that the site answers to, in all spellings."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from chatd.base.errors import BadHost, ChatError, ForeignHost
from chatd.web.hosts import Authority, Hosts, is_own_origin, origin_form, parse_authority


class Asked:
    """The part of a request that names its host."""

    def __init__(
        self, *hosts: str | bytes, version: bytes = b"HTTP/1.1", target: bytes | None = None
    ) -> None:
        self.requestHeaders = Headers()
        for host in hosts:
            self.requestHeaders.addRawHeader(
                b"host", host.encode() if isinstance(host, str) else host
            )
        self.clientproto = version
        self.target_authority = target
        self.secure = False  # over TLS

    def isSecure(self) -> bool:  # noqa: N802 - as Twisted names it
        return self.secure


MORE = frozenset({"other.example", "bücher.example"})


class Checks(SynchronousTestCase):
    hosts = Hosts("Chat.Example.org", lambda: MORE)

    def outcome(self, *hosts: str | bytes, **more: Any) -> type[ChatError] | None:
        asked: Any = Asked(*hosts, **more)
        try:
            self.hosts.check(asked)
        except ChatError as error:
            return type(error)
        return None

    def test_own_names(self) -> None:
        for host in (
            "chat.example.org",
            "CHAT.example.ORG:8550",
            "chat.example.org.",
            "chat.example.org.:443",
            "other.example",
            "xn--bcher-kva.example",
            "bücher.example".encode(),
            "localhost",
            "LocalHost:8550",
            "localhost:",
            "127.0.0.1",
            "127.0.0.1:8550",
            "203.0.113.5",
            "[::1]",
            "[::1]:8550",
            "[2001:DB8::1]:1",
            "[::ffff:127.0.0.1]",
        ):
            self.assertIsNone(self.outcome(host), host)

    def test_foreign_names(self) -> None:
        for host in (
            "evil.example",
            "evil.example:8550",
            "chat.example.org.evil.example",
            "evilchat.example.org",
            "example.org",
            "chat.example.org..",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.1",
            "2130706433",
            "0x7f.0.0.1",
        ):
            self.assertIs(self.outcome(host), ForeignHost, host)

    def test_no_names(self) -> None:
        for host in (
            "",
            ":8550",
            "localhost:80:80",
            "localhost%00.evil.example",
            "127.0.0.1%.evil.example",
            "localhost:x",
            "localhost:123456",
            "user@localhost",
            "evil.example@localhost",
            "localhost/x",
            "localhost, evil.example",
            "local host",
            "[localhost]",
            "[::1",
            "::1",
            "[127.0.0.1]x",
            "localhost#@evil.example",
            "localhost\\@evil.example",
        ):
            self.assertIs(self.outcome(host), BadHost, host)

    def test_how_many(self) -> None:
        """HTTP/1.1 needs exactly one Host; HTTP/1.0 may have none."""
        self.assertIs(self.outcome(), BadHost)
        self.assertIs(self.outcome("localhost", "localhost"), BadHost)
        self.assertIsNone(self.outcome(version=b"HTTP/1.0"))
        self.assertIs(self.outcome("localhost", "localhost", version=b"HTTP/1.0"), BadHost)
        self.assertIs(self.outcome("evil.example", version=b"HTTP/1.0"), ForeignHost)
        self.assertIs(self.outcome(version=b"HTTP/3.0"), BadHost)

    def test_target(self) -> None:
        """The host in an absolute target must be that of the Host field."""
        self.assertIsNone(self.outcome("localhost:1", target=b"LOCALHOST:1"))
        self.assertIs(self.outcome("localhost", target=b"evil.example"), BadHost)
        self.assertIs(self.outcome("evil.example", target=b"localhost"), BadHost)
        self.assertIs(self.outcome("localhost", target=b"x@localhost"), BadHost)
        self.assertIs(self.outcome("localhost", target=b""), BadHost)
        self.assertIs(self.outcome(version=b"HTTP/1.0", target=b"evil.example"), BadHost)

    @given(st.binary(max_size=60))
    def test_anything(self, host: bytes) -> None:
        """Garbage is refused and raises nothing else."""
        self.assertIn(
            self.outcome(host.replace(b"\r", b"").replace(b"\n", b"")),
            (None, BadHost, ForeignHost),
        )


class Targets(SynchronousTestCase):
    def test_forms(self) -> None:
        for target, found in (
            (b"/a?b", (b"/a?b", None)),
            (b"*", (b"/*", None)),
            (b"http://localhost:1/a?b", (b"/a?b", b"localhost:1")),
            (b"HTTPS://localhost", (b"/", b"localhost")),
            (b"http://localhost?q", (b"/?q", b"localhost")),
            (b"http://x@localhost/", (b"/", b"x@localhost")),
            (b"//evil.example/", (b"//evil.example/", None)),
            (b"http:///a", (b"/a", b"")),
        ):
            self.assertEqual(origin_form(target), found)

    def test_authority(self) -> None:
        self.assertEqual(parse_authority("A.b:80"), Authority("a.b", 80))
        self.assertEqual(parse_authority("[::1]"), Authority("::1", None))


class Origins(SynchronousTestCase):
    def is_own(self, origin: str, host: str, secure: bool = False) -> bool:
        asked: Any = Asked(host)
        asked.secure = secure
        return is_own_origin(asked, origin)

    def test_own(self) -> None:
        for origin, host in (
            ("http://localhost:8550", "localhost:8550"),
            ("https://chat.example.org", "chat.example.org"),
            ("https://Chat.example.org", "chat.example.org:443"),
            ("http://chat.example.org:80", "chat.example.org"),
            ("http://[::1]:8550", "[0::1]:8550"),
        ):
            self.assertTrue(self.is_own(origin, host), origin)

    def test_others(self) -> None:
        for origin, host in (
            ("null", "localhost"),
            ("", "localhost"),
            ("http://localhost:8551", "localhost:8550"),
            ("http://localhost", "localhost:8550"),
            ("http://localhost:443", "localhost"),
            ("file://localhost", "localhost"),
            ("http://localhost@evil.example", "localhost"),
            ("http://evil.example", "localhost"),
            ("http://localhost/", "localhost"),
        ):
            self.assertFalse(self.is_own(origin, host), origin)

    def test_over_tls(self) -> None:
        """A page that was loaded without TLS may be forged, so it does not belong to the site over TLS."""
        self.assertTrue(self.is_own("https://localhost", "localhost", secure=True))
        self.assertFalse(self.is_own("http://localhost:443", "localhost:443", secure=True))
