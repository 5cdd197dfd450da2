"""Boxes, good and bad."""

from __future__ import annotations

import os
import time

from chatd.conformance.bench import Bench, refused, require
from chatd.conformance.boxes import END, encode_box, sized
from chatd.conformance.links import Channel, LinkEnded, PlayedLink
from chatd.conformance.suite import check

SECTION = "Framing"
PING = {"_command": b"Ping"}


@check(SECTION, "keys that are not known are ignored")
def unknown_key(bench: Bench) -> None:
    with bench.one.linked() as link:
        link.ask("Ping", more=b"x" * 65_535)


@check(SECTION, "a box may arrive in pieces, and several boxes at once")
def pieces(bench: Bench) -> None:
    with bench.one.linked() as link:
        for byte in encode_box({**PING, "_ask": b"slow"}):
            link.channel.send(bytes([byte]))
        link.answer(b"slow")
        tags = [b"many%d" % each for each in range(20)]
        link.send(*({**PING, "_ask": tag} for tag in tags))
        for tag in tags:
            link.answer(tag)


@check(SECTION, "a request without _ask gets no answer")
def no_answer(bench: Bench) -> None:
    with bench.one.linked() as link:
        link.send(PING)
        link.ask("Ping")
        require(not link.unexpected, "an answer came to a request without _ask")


@check(SECTION, "a request with an unknown command gets the error UNHANDLED, and the link stays")
def unknown_command(bench: Bench) -> None:
    with bench.one.linked() as link:
        with refused("UNHANDLED"):
            link.ask("NoSuchCommand", some=b"thing")
        link.send({"_command": b"NoSuchCommand"})
        link.ask("Ping")


def _ends_alone(bench: Bench, data: bytes, what: str) -> None:
    """Send these bytes over a link, which has to end. A link of another realm stays."""
    with bench.two.linked() as other, bench.one.linked() as link:
        link.channel.send(data)
        require(link.ends(), f"the link stays open after {what}")
        other.ask("Ping")
    with bench.one.linked() as again:
        again.ask("Ping")


@check(SECTION, "an empty box ends the link, and no other one")
def empty_box(bench: Bench) -> None:
    _ends_alone(bench, END, "an empty box")


@check(SECTION, "a key of more than 255 bytes ends the link, and no other one")
def long_key(bench: Bench) -> None:
    _ends_alone(bench, sized(b"k" * 300) + sized(b""), "a key of 300 bytes")


@check(SECTION, "a box of more than 32 keys ends the link, and no other one")
def many_keys(bench: Bench) -> None:
    pairs = b"".join(sized(b"key%d" % each) + sized(b"") for each in range(200)) + END
    _ends_alone(bench, pairs, "a box of 200 keys")


@check(SECTION, "a link that ends within a box harms no other one")
def half_box(bench: Bench) -> None:
    with bench.two.linked() as other:
        with bench.one.linked() as link:
            link.channel.send(encode_box({**PING, "_ask": b"half"})[:-7])
        other.ask("Ping")


@check(SECTION, "bytes that are not TLS harm no link")
def no_tls(bench: Bench) -> None:
    with bench.two.linked() as other:
        for data in (b"GET / HTTP/1.1\r\n\r\n", os.urandom(2000), b""):
            channel = Channel(bench.place.address, None, bench.place.patience)
            try:
                if data:
                    channel.send(data)
                    require(PlayedLink(channel).ends(), "a connection without TLS stays open")
            except LinkEnded:
                pass
            finally:
                channel.close()
        other.ask("Ping")


@check("Limits", "many requests at once are all answered")
def many_requests(bench: Bench) -> None:
    with bench.one.linked() as link:
        began = time.monotonic()
        tags = [link.request("Ping") for _ in range(100)]
        for tag in tags:
            link.answer(tag)
        require(time.monotonic() - began < bench.place.patience, "100 pings take too long")
