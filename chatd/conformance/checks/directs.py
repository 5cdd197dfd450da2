"""Messages to people."""

from __future__ import annotations

from typing import Any

from chatd.conformance.bench import Bench, require
from chatd.conformance.signatures import now
from chatd.conformance.suite import check

SECTION = "direct: a message to a person"
MAX_TEXT = 8192
FAR = 10 * 365 * 86_400_000  # ten years


@check(SECTION, "an unknown recipient is refused with unknown-user", "user")
def unknown_user(bench: Bench) -> None:
    with bench.one.linked() as link:
        bench.turned_down(
            link, bench.direct(bench.text(), to="nobody-of-that-name"), "unknown-user"
        )


@check(SECTION, "texts are taken as they are", "user")
def texts(bench: Bench) -> None:
    with bench.one.linked() as link:
        sent = [bench.text("Käse 🧀 ชา"), bench.text("  a\ttab"), bench.text("x" * 1000)]
        for text in sent:
            bench.kept(link, bench.direct(text))
        if bench.control:
            found = bench.texts(link)
            require(found[-len(sent) :] == sent, f"the texts are {str(found[-len(sent) :])[:80]}")


@check("Capabilities", "texts of several lines are taken", "user", "lines")
def lines(bench: Bench) -> None:
    with bench.one.linked() as link:
        text = bench.text("two\nlines")
        bench.kept(link, bench.direct(text))
        if bench.control:
            require(bench.texts(link)[-1] == text, "the lines are lost")


@check(SECTION, "a text of more than 8,192 bytes is refused with message-too-long", "user")
def too_long(bench: Bench) -> None:
    with bench.one.linked() as link:
        bench.turned_down(link, bench.direct("x" * (MAX_TEXT + 1)), "message-too-long")


@check(SECTION, "texts with control characters and texts without a visible one are refused", "user")
def bad_texts(bench: Bench) -> None:
    with bench.one.linked() as link:
        for text in ("", "  ", "\t"):
            bench.turned_down(link, bench.direct(text), "empty-text", "bad-parcel")
        for text in ("bell\x07", "null\0", "return\r\n"):
            bench.turned_down(link, bench.direct(text), "bad-text", "bad-parcel")


@check("Capabilities", "fields beyond those that are known are ignored", "user")
def more_fields(bench: Bench) -> None:
    with bench.one.linked() as link:
        known: list[Any] = [None, None, None, [], None, None, b""]  # from `file` to `seal`
        bench.kept(link, bench.direct(bench.text(), *known, "tomorrow", {"a": 1}))


@check(SECTION, "a reply to a message that is not known is kept", "user")
def unknown_reply(bench: Bench) -> None:
    with bench.one.linked() as link:
        bench.kept(link, bench.direct(bench.text(), None, [True, 12345], None, []))


@check(SECTION, "a time of the far future is taken", "user")
def future(bench: Bench) -> None:
    with bench.one.linked() as link:
        parcel = bench.direct(bench.text())
        parcel[3] = now() + FAR
        bench.kept(link, parcel)


@check(SECTION, "a message that was deleted before it was sent is kept without content", "user")
def blanked(bench: Bench) -> None:
    with bench.one.linked() as link:
        bench.kept(link, bench.direct(bench.text()))
        number = bench.kept(link, bench.direct(None))
        bench.kept(link, ["delete", "tester", bench.user, now(), [True, number]])
        if bench.control:
            require(bench.texts(link)[-1] is None, "a deleted message has a text")


@check(SECTION, "a message with a text and a body is refused with bad-parcel", "user", "opaque")
def both(bench: Bench) -> None:
    with bench.one.linked() as link:
        parcel = bench.direct(bench.text(), None, None, None, [], "text/x-test", b"body")
        bench.turned_down(link, parcel, "bad-parcel")


@check(SECTION, "an opaque message is kept", "user", "opaque")
def opaque(bench: Bench) -> None:
    with bench.one.linked() as link:
        bench.kept(link, bench.direct(None, None, None, None, [], "text/x-test", b"\0\xff"))
        body = b"x" * 32_769
        parcel = bench.direct(None, None, None, None, [], "text/x-test", body)
        bench.turned_down(link, parcel, "message-too-long", "bad-parcel")


@check(
    "Parcels", "read marks, lost files and answers to requests that mean nothing are kept", "user"
)
def no_effect(bench: Bench) -> None:
    with bench.one.linked() as link:
        bench.kept(link, ["read", "tester", bench.user, 12345])
        bench.kept(link, ["file-lost", 12345, "file-gone"])
        bench.kept(link, ["accepted", 12345])
