"""Message requests: what people of a realm that nobody has added are told."""

from __future__ import annotations

from typing import Any

import msgspec

from chatd.conformance.bench import Bench, require
from chatd.conformance.boxes import encode_texts
from chatd.conformance.links import PlayedLink, RefusedThere
from chatd.conformance.signatures import now
from chatd.conformance.suite import check

SECTION = "Message requests"
NOBODY = "nobody-of-that-name"


def _ask(bench: Bench, link: PlayedLink, sender: str, to: str, *kinds: str) -> list[list[Any]]:
    """The verdicts of parcels of somebody whom nobody knows."""
    verdicts = []
    for kind in kinds:
        number = bench.stranger.next_number()
        parcels = {
            "text": bench.direct(bench.text(), sender=sender, to=to),
            "opaque": bench.direct(
                None, None, None, None, [], "text/x-test", b"x", sender=sender, to=to
            ),
            "edit": ["edit", sender, to, now(), [True, number - 1], "better"],
            "react": ["react", sender, to, now(), [True, number - 1], "👍", True],
            "delete": ["delete", sender, to, now(), [True, 12345]],
        }
        verdicts += link.deliver([[number, parcels[kind]]])
    return verdicts


@check(SECTION, "the first text is kept as a request, and others wait", "user", "strangers")
def first_text(bench: Bench) -> None:
    sender = bench.text("asks").replace(" ", "-")
    with bench.stranger.linked() as link:
        first, second, *others = _ask(
            bench, link, sender, bench.user, "text", "text", "edit", "react"
        )
        require(first[0] == "", f"the first text is refused with {first[0]}")
        require(first[1].get("state") == "requested", "the state is not `requested`")
        require(second[0] == "request-pending", f"the second text gets {second[0] or 'kept'}")
        codes = {verdict[0] for verdict in others}
        require(codes == {"not-accepted"}, f"changes get {sorted(codes)}")


@check(
    SECTION, "strangers get the same answers whether or not the name exists", "user", "strangers"
)
def alike(bench: Bench) -> None:
    kinds = ("opaque", "text", "text", "edit", "react", "delete")
    with bench.stranger.linked() as link:
        found = []
        for to in (bench.user, NOBODY):
            sender = bench.text("asks").replace(" ", "-")
            verdicts = _ask(bench, link, sender, to, *kinds)
            found.append(str(verdicts).replace(to, "NAME").replace(sender, "SENDER"))
        require(found[0] == found[1], f"the answers differ: {found[0]} and {found[1]}")


@check(
    SECTION, "strangers learn nothing of the presence and profile of people", "user", "strangers"
)
def nothing_else(bench: Bench) -> None:
    with bench.stranger.linked() as link:
        said = []
        for name in (bench.user, NOBODY):
            states = msgspec.msgpack.decode(
                link.ask("Presence", users=encode_texts([name]))["states"]
            )
            require(states == {name: "offline"}, f"the presence of {name} is {states}")
            try:
                profile: Any = link.ask("Profile", user=name.encode(), known=b"")
                profile.pop("_answer")
            except RefusedThere as error:
                profile = error.code
            said.append(profile)
        require(said[0] == said[1], f"the profiles differ: {said}")


@check(
    SECTION,
    "a membership that nobody asked for is refused with not-requested",
    "user",
    "strangers",
    "groups",
)
def not_requested(bench: Bench) -> None:
    with bench.stranger.linked() as link:
        joined = ["joined", "club", 7, bench.user, 1]
        code = link.deliver([[bench.stranger.next_number(), joined]])[0][0]
        require(code == "not-requested", f"the verdict is {code or 'kept'}")
