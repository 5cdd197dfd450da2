"""Targets as the user types them, and the sentence for a failed connection."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from chatd.client.connection import Target, _why, parse_target


class TargetTests(TestCase):
    def test_hosts_and_ports(self) -> None:
        for text, host, port in (
            ("chat.example.org", "chat.example.org", 8888),
            ("localhost:9999", "localhost", 9999),
            ("[::1]:9999", "::1", 9999),
            ("::1", "::1", 8888),
        ):
            target = parse_target(text, False, None, None)
            self.assertEqual((target.host, target.port), (host, port))
        self.assertEqual(str(parse_target("::1", False, None, None)), "[::1]:8888")

    def test_invalid(self) -> None:
        for text in ("", ":8888", "host:port", "host:0", "host:65536", "[::1"):
            self.assertRaises(ValueError, parse_target, text, False, None, None)


class FailureTests(TestCase):
    def test_one_sentence_for_several_addresses(self) -> None:
        """Both addresses of a host refuse the connection; the error is one sentence."""
        both = (
            "[Errno 111] Connect call failed ('::1', 1), [Errno 111] Connect call failed ('::', 1)"
        )
        for error, part in (
            (OSError(f"Multiple exceptions: {both}"), "There is no daemon at localhost:8888"),
            (OSError("Multiple exceptions: [Errno 111] x, [Errno 113] y"), "was not reached"),
            (OSError(113, "No route to host"), "was not reached: No route to host"),
            (ConnectionRefusedError(111, "x"), "There is no daemon"),
            (TimeoutError(), "did not answer"),
        ):
            self.assertIn(part, _why(Target(), error))
