"""The network addresses of a host, and the sentence for a failed connection."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any
from unittest import mock

from twisted.trial.unittest import TestCase

from chatd.client.connection import (
    MAX_ENDPOINTS,
    Connection,
    ConnectionFailed,
    Endpoint,
    Patience,
    Reached,
    Target,
    _why,
    resolve,
)

SIX, FOUR = socket.AF_INET6, socket.AF_INET


class EndpointTests(TestCase):
    def resolved(self, *found: tuple[int, str]) -> list[tuple[int, str]]:
        async def all_of_it() -> list[Endpoint]:
            infos = [(family, socket.SOCK_STREAM, 6, "", (address, 8888))
                     for family, address in found]  # fmt: skip
            loop = asyncio.get_running_loop()
            with mock.patch.object(loop, "getaddrinfo", mock.AsyncMock(return_value=infos)):
                return await resolve(Target("chat.example.org"))

        return [(each.family, each.sockaddr[0]) for each in asyncio.run(all_of_it())]

    def test_families_alternate(self) -> None:
        """So that a family that does not work costs one attempt. The order within a family is kept."""
        self.assertEqual(
            self.resolved((SIX, "::1"), (SIX, "::2"), (SIX, "::3"), (FOUR, "192.0.2.1")),
            [(SIX, "::1"), (FOUR, "192.0.2.1"), (SIX, "::2"), (SIX, "::3")],
        )

    def test_number_is_bounded(self) -> None:
        many = [(FOUR, f"192.0.2.{number}") for number in range(100)]
        self.assertEqual(self.resolved(*many), many[:MAX_ENDPOINTS])

    def test_unknown_host(self) -> None:
        async def play() -> None:
            loop = asyncio.get_running_loop()
            unknown: Any = mock.AsyncMock(side_effect=socket.gaierror(-2, "unknown"))
            with mock.patch.object(loop, "getaddrinfo", unknown):
                await resolve(Target("nowhere"))

        with self.assertRaises(ConnectionFailed) as failed:
            asyncio.run(play())
        self.assertEqual(str(failed.exception), "There is no host called nowhere")


class FailureTests(TestCase):
    def test_sentences(self) -> None:
        for error, part in (
            (OSError(113, "No route to host"), "was not reached: No route to host"),
            (ConnectionRefusedError(111, "x"), "There is no daemon at localhost:8888"),
            (TimeoutError(), "did not answer within 5 s"),
        ):
            self.assertIn(part, _why(Target(), error, 5))

    def test_how_far_it_came(self) -> None:
        """Of several addresses, the reason is given of the one that came farthest."""

        async def reached(error: Exception) -> Reached | None:

            async def fail(sock: socket.socket, **_arguments: object) -> None:
                sock.close()
                raise error

            with (
                mock.patch.object(asyncio, "open_connection", fail),
                socket.create_server(("127.0.0.1", 0)) as server,
            ):
                endpoint = Endpoint(Target(tls=True), FOUR, server.getsockname())
                try:
                    await Connection.open(endpoint, Patience(1, 1))
                except ConnectionFailed as failed:
                    return failed.reached
            return None

        for error, how_far in (
            (TimeoutError(), Reached.NOTHING),
            (OSError(113, "No route to host"), Reached.NOTHING),
            (ConnectionRefusedError(), Reached.REFUSED),
            (ConnectionAbortedError(), Reached.ANSWERED),
            (ssl.SSLError(1, "WRONG_VERSION_NUMBER"), Reached.ANSWERED),
        ):
            self.assertIs(asyncio.run(reached(error)), how_far)
