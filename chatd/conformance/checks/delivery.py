"""Deliver: verdicts, repetitions, order."""

from __future__ import annotations

from chatd.conformance.bench import SENDER, Bench, CheckFailed, require
from chatd.conformance.links import LinkEnded, RefusedThere
from chatd.conformance.signatures import now, pack
from chatd.conformance.suite import check

SECTION = "Delivery"


@check(SECTION, "a message that is kept has no verdict, or an empty one", "user")
def is_kept(bench: Bench) -> None:
    with bench.one.linked() as link:
        tag = link.request("Deliver", parcels=pack([bench.item(bench.direct(bench.text()))]))
        require(link.answer(tag).get("verdicts") == b"", "the verdicts are not empty")


@check(SECTION, "a message that comes again is kept, and has no effect", "user")
def repeated(bench: Bench) -> None:
    with bench.one.linked() as link:
        text = bench.text()
        item = bench.item(bench.direct(text))
        for _ in range(3):
            require(link.deliver([item]) == [["", {}, 0]], "it is not kept")
        require(link.deliver([item, item])[1][0] == "", "it is not kept twice in a batch")
    with bench.one.linked() as link:
        require(link.deliver([item])[0][0] == "", "it is not kept over another link")
        if bench.control:
            require(bench.texts(link).count(text) == 1, "it is there more than once")


@check(SECTION, "a number below others is no repetition", "user")
def lower_number(bench: Bench) -> None:
    with bench.one.linked() as link:
        early, late = bench.item(bench.direct(bench.text())), bench.item(bench.direct(bench.text()))
        verdicts = link.deliver([late]) + link.deliver([early])
        require(verdicts == [["", {}, 0]] * 2, "one of the two is not kept")
        if bench.control:
            texts = bench.texts(link)
            require(early[1][4] in texts, "the message with the lower number is not there")


@check(SECTION, "each parcel of a batch has its own verdict", "user")
def batch(bench: Bench) -> None:
    with bench.one.linked() as link:
        good, bad = bench.direct(bench.text()), bench.direct(bench.text(), to="nobody-of-that-name")
        found = link.deliver([bench.item(each) for each in (good, bad, ["strange"], good)])
        codes = [verdict[0] for verdict in found]
        require(codes == ["", "unknown-user", "bad-parcel", ""], f"the verdicts are {codes}")
        shape = all(len(each) >= 3 and isinstance(each[1], dict) for each in found)
        require(shape, "a verdict is no array of a code, details and a seq")


@check(SECTION, "a large batch is taken", "user")
def large(bench: Bench) -> None:
    with bench.one.linked() as link:
        last = bench.item(bench.direct(bench.text("x" * 4000)))
        marks = [bench.item(["read", SENDER, bench.user, number]) for number in range(1, 200)]
        codes = {verdict[0] for verdict in link.deliver([*marks, last])}
        require(codes == {""}, f"the verdicts are {codes}")


@check(SECTION, "several batches under way are processed in their order", "user")
def under_way(bench: Bench) -> None:
    with bench.one.linked() as link:
        texts = [bench.text(f"order {each}") for each in range(16)]
        items = [bench.item(bench.direct(text)) for text in texts]
        tags = [link.request("Deliver", parcels=pack([item])) for item in items]
        for tag in tags:
            require(link.verdicts(tag, 1)[0][0] == "", "a message is not kept")
        if bench.control:
            arrived = [text for text in bench.texts(link) if text in texts]
            require(arrived == texts, "the order is another")


@check(SECTION, "parcels of unknown kinds and malformed ones are refused with bad-parcel", "user")
def bad_parcels(bench: Bench) -> None:
    at = now()
    with bench.one.linked() as link:
        for parcel in (
            ["sticker", SENDER, bench.user],
            ["direct", SENDER, bench.user],
            ["direct", SENDER, bench.user, "noon", "text", None],
            ["direct", SENDER, 7, at, "text", None],
            ["direct", f"{SENDER}@{bench.two.name}", bench.user, at, "text", None],
            [],
            7,
        ):
            code = link.deliver([[bench.one.next_number(), parcel]])[0][0]
            require(
                code in ("bad-parcel", "bad-name"),
                f"the verdict of {str(parcel)[:60]} is {code or 'kept'}",
            )


@check(SECTION, "a Deliver that can't be decoded harms no other link", "user")
def bad_batches(bench: Bench) -> None:
    with bench.two.linked() as other:
        too_many = [[bench.one.next_number(), ["x"]] for _ in range(1001)]
        for data in (b"\xc1", pack({}), pack([[1]]), pack([["x", []]]), pack(too_many)):
            with bench.one.linked() as link:
                try:
                    link.ask("Deliver", parcels=data)
                except (RefusedThere, LinkEnded):
                    continue
                raise CheckFailed("it is answered as if it could be decoded")
        other.ask("Ping")


@check(SECTION, "what one realm sends has no effect on the numbers of another", "user")
def other_realm(bench: Bench) -> None:
    with bench.one.linked() as link, bench.two.linked() as other:
        number = bench.one.next_number()
        for used in (link, other):
            verdict = used.deliver([[number, bench.direct(bench.text())]])
            require(verdict[0][0] == "", "the same number of another realm is not kept")
        if bench.control:
            one = bench.texts(link)
            two = bench.texts(other, bench.address(bench.two))
            require(one and two and one[-1] != two[-1], "the messages are mixed up")
