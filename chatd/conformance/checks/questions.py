"""Questions that every realm answers."""

from __future__ import annotations

import msgspec

from chatd.conformance.bench import SENDER, Bench, CheckSkipped, refused, require
from chatd.conformance.boxes import encode_texts
from chatd.conformance.links import RefusedThere
from chatd.conformance.signatures import pack
from chatd.conformance.suite import check

SECTION = "Questions"
STATES = {"online", "away", "offline"}
USER = SENDER.encode()


@check(SECTION, "a group that does not exist is refused with unknown-group")
def unknown_group(bench: Bench) -> None:
    nothing = b"no-group-of-that-name"
    with bench.one.linked() as link:
        with refused("unknown-group"):
            link.ask("Find", user=USER, group=nothing)
        with refused("unknown-group"):
            link.ask("Members", user=USER, group=nothing, start=b"0")


@check(SECTION, "Presence tells the states of known people", "user", "presence")
def presence(bench: Bench) -> None:
    with bench.one.linked() as link:
        names = encode_texts([bench.user, "nobody-of-that-name"])
        states = msgspec.msgpack.decode(link.ask("Presence", users=names)["states"])
        require(set(states) == {bench.user}, f"the states are of {sorted(states)}")
        require(states[bench.user] in STATES, f"the state is {states[bench.user]}")


@check(SECTION, "Profile tells a name and a picture", "user", "profiles")
def profile(bench: Bench) -> None:
    with bench.one.linked() as link:
        answer = link.ask("Profile", user=bench.user.encode(), known=b"")
        require({"name", "picture", "body"} <= set(answer), "a field is missing")
        with refused("unknown-user"):
            link.ask("Profile", user=b"nobody-of-that-name", known=b"")


@check("The past", "Past of a group without members of the asking realm is refused", "past")
def no_past(bench: Bench) -> None:
    with bench.one.linked() as link, refused("unknown-group"):
        link.ask("Past", group_id=b"987654", before=b"10", after=b"0")


@check("Restores", "Tails leaves out groups without members of the asking realm")
def tails(bench: Bench) -> None:
    with bench.one.linked() as link:
        found = msgspec.msgpack.decode(link.ask("Tails", groups=pack([987_654]))["tails"])
        require(found == {}, "it tells of a group that is not known")


@check("Restores", "the standing in Hello has numbers that agree")
def standing(bench: Bench) -> None:
    with bench.one.dialled() as link:
        link.holding = True
        said = link.ask("Hello", **bench.one.hello()).get("standing")
    if said is None:
        raise CheckSkipped("the realm tells no standing")
    received, first, settled, gaps, *_ = msgspec.msgpack.decode(said)
    require(min(received, first, settled) >= 0, f"it says {received}, {first}, {settled}")
    require(settled <= first, f"`settled` is {settled}, after `first`, {first}")
    require(len(gaps) <= 100, f"there are {len(gaps)} gaps")
    require(all(low <= high for low, high in gaps), f"the gaps are {gaps}")


@check(
    "Restores", "parcels that are returned without a seal are not taken for the realm's own", "user"
)
def forged_return(bench: Bench) -> None:
    with bench.one.linked() as link:
        text = bench.text("forged")
        forged = ["direct", bench.user, SENDER, 1, text, None]
        item = [12345, forged, True, 0, b""]
        try:
            link.ask("Return", parcels=pack([item]))
        except RefusedThere:
            return
        if bench.control:
            require(text not in bench.texts(link), "an invented message is among the user's own")


@check("Typing", "Typing and presence of unknown people are ignored")
def news(bench: Bench) -> None:
    with bench.one.linked() as link:
        link.send({"_command": b"Typing", "sender": USER, "to": b"nobody-of-that-name"})
        link.send({"_command": b"PresenceChanged", "states": pack([["nobody", "online", []]])})
        link.send({"_command": b"ProfileChanged", "user": b"nobody-of-that-name"})
        link.send({"_command": b"FileReady", "realm": b"nowhere", "number": b"12345"})
        link.ask("Ping")
