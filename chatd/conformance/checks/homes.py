"""The tested realm as the home of a group, in which people of the suite's realms are members."""

from __future__ import annotations

from typing import Any

import msgspec

from chatd.conformance.bench import SENDER, Bench, expect_refusal, refused, require
from chatd.conformance.boxes import Box
from chatd.conformance.links import PlayedLink, RefusedThere
from chatd.conformance.realms import PlayedRealm
from chatd.conformance.signatures import DAY, Signer, now, pack, read_entry
from chatd.conformance.suite import check

POSTS = "post, relay: messages of groups"
SIGNED = "Signed entries"
JOINS = "joined, removed, left, invite: changes of membership"
USER = SENDER.encode()
MESSAGE: list[Any] = ["message", None, [], None, None, None]


def says_joined(bench: Bench, realm: PlayedRealm, who: str = SENDER) -> list[Any]:
    """The entry of a Join."""
    fact = ["member", "joined", f"{who}@{realm.name}"]
    return realm.entry(bench.tested.key, bench.group_key, SENDER, fact)


def join(bench: Bench, link: PlayedLink, realm: PlayedRealm) -> int:
    """Make the person of a realm a member, unless they are one. Returns the group's id."""
    entry, before = pack(says_joined(bench, realm)), len(link.parcels)
    answer = link.ask("Join", user=USER, group=bench.group.encode(), entry=entry)
    group_id = int(answer["group_id"])
    link.until(
        lambda: any(each[1][0] == "joined" for each in link.parcels[before:]), "the parcel `joined`"
    )
    return group_id


def post(
    bench: Bench,
    group_id: int,
    text: str,
    *attributes: Any,
    realm: PlayedRealm | None = None,
    **more: Any,
) -> list[Any]:
    """A post of a text, or of a change. `more` are fields of the statement."""
    home = more.pop("home", bench.tested.key)
    what = list(attributes) or MESSAGE
    entry = (realm or bench.one).entry(home, group_id, SENDER, what, body=text.encode(), **more)
    return ["post", entry, bench.group]


def number_of(parcel: list[Any]) -> int:
    """The number of the entry of a post."""
    return int(msgspec.msgpack.decode(parcel[1][0])[2])


def item_of(parcel: list[Any]) -> list[Any]:
    """The post with its number, which is that of its entry."""
    return [number_of(parcel), parcel]


def posted(link: PlayedLink, parcel: list[Any]) -> int:
    """Deliver a post that has to be kept. Returns its seq."""
    ((code, _, seq, *_),) = link.deliver([item_of(parcel)])
    require(code == "", f"the post is refused with {code}")
    require(seq > 0, "the verdict has no seq")
    return int(seq)


def turned_down(link: PlayedLink, parcel: list[Any], *codes: str) -> None:
    expect_refusal(link.deliver([item_of(parcel)])[0], *codes)


def relayed(link: PlayedLink, entry: list[Any]) -> list[Any]:
    """Wait until the home relays an entry."""
    fits = lambda each: each[0] == "relay" and each[1][0] == entry[0]  # noqa: E731
    return link.parcel(fits, "the relayed entry")[1]


@check("Questions", "Find tells the name and the id of a public group", "group", "groups")
def find(bench: Bench) -> None:
    with bench.one.linked() as link:
        answer = link.ask("Find", user=USER, group=bench.group.encode())
        require(answer["group"].decode() == bench.group, "the name is another")
        require(int(answer["group_id"]) > 0, "the id is not positive")


@check(JOINS, "Join makes a member, and the parcel `joined` says so", "group", "groups")
def joining(bench: Bench) -> None:
    with bench.one.linked() as link:
        group_id = join(bench, link, bench.one)
        parcel = next(each[1] for each in link.parcels if each[1][0] == "joined")
        require(parcel[1:4] == [bench.group, group_id, SENDER], f"it says {parcel[1:4]}")
        require(isinstance(parcel[4], int), "`seq` is no integer")
        join(bench, link, bench.one)  # again: `joined` is sent again
        page = link.ask("Members", user=USER, group=bench.group.encode(), start=b"0")
        members = [each["username"] for each in msgspec.msgpack.decode(page["members"])]
        here = SENDER in str(members)
        require(here, f"the members are {members}")


@check(
    SIGNED, "a Join without an entry that says so is refused with bad-signature", "group", "groups"
)
def unsigned_join(bench: Bench) -> None:
    other = bench.two.entry(bench.tested.key, bench.group_key, SENDER, ["member", "left", "x@y"])
    for entry in (other, says_joined(bench, bench.two, who="other"), [b"", [], b"", b"", b""]):
        with bench.two.linked() as link, refused("bad-signature"):
            link.ask("Join", user=USER, group=bench.group.encode(), entry=pack(entry))


@check(POSTS, "a post gets a seq, and its entry is relayed as it was signed", "group", "groups")
def relays(bench: Bench) -> None:
    with bench.one.linked() as link:
        parcel = post(bench, join(bench, link, bench.one), bench.text())
        seq = posted(link, parcel)
        _, entry, name, _, said = relayed(link, parcel[1])[:5]
        require((name, said) == (bench.group, seq), f"it comes as {name} {said}, not {seq}")
        require(entry == parcel[1], "the entry was changed")


@check(POSTS, "a post that comes again keeps its seq, and is relayed once", "group", "groups")
def repeated(bench: Bench) -> None:
    with bench.one.linked() as link:
        parcel = post(bench, join(bench, link, bench.one), bench.text())
        seqs = {posted(link, parcel) for _ in range(3)}
        require(len(seqs) == 1, f"it gets the seqs {sorted(seqs)}")
        last = post(bench, join(bench, link, bench.one), bench.text())
        posted(link, last)
        relayed(link, last[1])
        count = [each[1][0] for _, each in link.parcels if each[0] == "relay"].count(parcel[1][0])
        require(count == 1, f"it is relayed {count} times")


@check(SIGNED, "a post with another content, salt or attributes is refused", "group", "groups")
def altered(bench: Bench) -> None:
    with bench.one.linked() as link:
        group_id = join(bench, link, bench.one)
        for index, value in ((4, b"other words"), (2, b"0" * 16), (3, pack(["deleted"]))):
            parcel = post(bench, group_id, bench.text())
            parcel[1][index] = value
            turned_down(link, parcel, "bad-signature", "bad-parcel")


@check(SIGNED, "a post with another proof is refused", "group", "groups")
def other_proof(bench: Bench) -> None:
    with bench.one.linked() as link:
        group_id = join(bench, link, bench.one)
        for index, value in ((0, b"8 bytes."), (1, 1), (3, b"0" * 32), (4, b"0" * 64), (2, 0)):
            parcel = post(bench, group_id, bench.text())
            parcel[1][1][index] = value
            turned_down(link, parcel, "bad-signature", "bad-parcel")


@check(SIGNED, "a post that was signed for another group or home is refused", "group", "groups")
def moved(bench: Bench) -> None:
    with bench.one.linked() as link:
        group_id = join(bench, link, bench.one)
        turned_down(link, post(bench, group_id + 1, bench.text()), "bad-signature")
        elsewhere = post(bench, group_id, bench.text(), home=bench.two.key)
        turned_down(link, elsewhere, "bad-signature")


@check(SIGNED, "a post of another realm is refused", "group", "groups")
def of_another(bench: Bench) -> None:
    with bench.two.linked(), bench.one.linked() as link:
        group_id = join(bench, link, bench.one)
        turned_down(link, post(bench, group_id, bench.text(), realm=bench.two), "bad-signature")


@check(SIGNED, "a post with a key that was not announced is refused", "group", "groups")
def other_key(bench: Bench) -> None:
    with bench.one.linked() as link:
        group_id = join(bench, link, bench.one)
        own, bench.one.signer = bench.one.signer, Signer()
        try:
            parcel = post(bench, group_id, bench.text())
        finally:
            bench.one.signer = own
        turned_down(link, parcel, "bad-signature")


@check(POSTS, "edits and deletions of a post are relayed", "group", "groups", "changes")
def changes(bench: Bench) -> None:
    with bench.one.linked() as link:
        group_id, text = join(bench, link, bench.one), bench.text("before")
        first = post(bench, group_id, text)
        posted(link, first)
        target = [bench.one.key, number_of(first)]
        for words, attributes in ((bench.text("after"), ["edited", []]), ("", ["deleted"])):
            parcel = post(bench, group_id, words, *attributes, target=target)
            posted(link, parcel)
            require(relayed(link, parcel[1])[1] == parcel[1], "the change was changed")
        late = post(bench, group_id, bench.text(), "edited", [], target=target)
        code = link.deliver([item_of(late)])[0][0]
        require(code == "", f"an edit after the deletion is refused with {code}")


@check(
    POSTS, "the members of all realms get each post, with a proof that verifies", "group", "groups"
)
def two_realms(bench: Bench) -> None:
    with bench.one.linked() as link, bench.two.linked() as other:
        group_id = join(bench, link, bench.one)
        join(bench, other, bench.two)
        parcel = post(bench, group_id, bench.text())
        seq = posted(link, parcel)
        found = relayed(other, parcel[1])
        require((found[1], found[4]) == (parcel[1], seq), "the other realm gets something else")
        foreign = post(
            bench, group_id, bench.text(), "edited", [], realm=bench.two,
            target=[bench.one.key, number_of(parcel)],
        )  # fmt: skip
        code = other.deliver([item_of(foreign)])[0][0]
        require(code == "not-yours", f"an edit by another member gets {code or 'kept'}")


@check(SIGNED, "the home signs what its own people write", "user", "group", "groups", "control")
def own_posts(bench: Bench) -> None:
    with bench.one.linked() as link:
        group_id = join(bench, link, bench.one)
        text = bench.text("from the home")
        bench.act(link, "post", group=bench.group, text=text)
        fits = lambda each: each[0] == "relay" and each[1][4] == text.encode()  # noqa: E731
        parcel = link.parcel(fits, "the message of the user")[1]
        entry = read_entry(parcel[1], bench.tested.keys)
        says = (entry.realm, entry.home, entry.group, entry.author)
        key = bench.tested.key
        require(says == (key, key, group_id, bench.user), f"the statement says {says}")


@check(SIGNED, "a replaced key proves nothing from a day after its end on", "group", "groups")
def replaced_key(bench: Bench) -> None:
    end, old = now() - 2 * DAY, Signer()
    keys = pack([bench.two.signer.announced, [old.public, 0, end]])
    with bench.two.linked(keys=keys) as link:
        group_id = join(bench, link, bench.two)
        own, bench.two.signer = bench.two.signer, old
        try:
            late = post(bench, group_id, bench.text(), realm=bench.two)
            early = post(bench, group_id, bench.text(), realm=bench.two, at=end - 1000)
        finally:
            bench.two.signer = own
        turned_down(link, late, "bad-signature")
        posted(link, early)


@check("Questions", "members may ask what a group is, and only admins change it", "group", "groups")
def settings(bench: Bench) -> None:
    with bench.one.linked() as link:
        group_id = join(bench, link, bench.one)
        asked = {"user": USER, "group": bench.group.encode(), "users": b""}
        answer = link.ask("Change", **asked, change=b"describe", entries=pack([]))
        told = msgspec.msgpack.decode(answer["result"])
        texts = all(len(each) == 1 and isinstance(each[0], str) for each in told.values())
        require(texts, f"it tells {told}")
        require(told.get("role") == ["member"], f"the role is {told.get('role')}")
        entry = bench.one.entry(bench.tested.key, group_id, SENDER, ["group", {"closed": True}])
        with refused("not-admin"):
            link.ask("Change", **asked, change=b"close", entries=pack([entry]))


def _guests(link: PlayedLink, listed: bytes) -> Box | None:
    """The answer to Guests, or None if it has to be asked again later."""
    try:
        return link.ask("Guests", listed=listed)
    except RefusedThere as error:
        require(error.code == "realm-down", f"it is refused with {error.code}")
        return None


@check("Restores", "Guests compares who is a member", "group", "groups", "guests")
def guests(bench: Bench) -> None:
    with bench.one.linked() as link:
        group_id = join(bench, link, bench.one)
        listed = [[[group_id, bench.group, "somebody-else"]], [0, ""], None]
        answer = link.until(lambda: _guests(link, pack(listed)), "an answer other than realm-down")
        strange, lacking = msgspec.msgpack.decode(answer["found"])
        require(strange == [0], f"the members that are none are {strange}")
        here = [group_id, bench.group, SENDER] in lacking
        require(here, f"the members that are not listed are {lacking}")


@check(
    "The past", "Past gives signed entries in the order of their seqs", "group", "groups", "past"
)
def past(bench: Bench) -> None:
    with bench.one.linked() as link:
        group_id = join(bench, link, bench.one)
        seqs = [posted(link, post(bench, group_id, bench.text())) for _ in range(3)]
        page = link.ask(
            "Past", group_id=b"%d" % group_id, before=b"%d" % (seqs[-1] + 1), after=b"0"
        )
        found = msgspec.msgpack.decode(page["entries"])
        order = [each[4] for each in found]
        require(order == sorted(order) and set(seqs) <= set(order), f"the seqs are {order}")
        keys = [*bench.tested.keys, bench.one.signer.announced, bench.two.signer.announced]
        for each in found:
            read_entry(each[1], keys)
        require({"start", "earlier", "first"} <= set(page), "a field is missing")


@check(
    JOINS, "a realm gets nothing more of a group when its last member has left", "group", "groups"
)
def leaving(bench: Bench) -> None:
    with bench.one.linked() as link, bench.two.linked() as other:
        group_id = join(bench, link, bench.one)
        join(bench, other, bench.two)
        fact = ["member", "left", f"{SENDER}@{bench.two.name}"]
        entry = bench.two.entry(bench.tested.key, group_id, SENDER, fact)
        parcel = ["left", SENDER, bench.group, entry]
        number = number_of(["left", entry])
        ((code, *_),) = other.deliver([[number, parcel]])
        require(code == "", f"`left` is refused with {code}")
        last = post(bench, group_id, bench.text())
        posted(link, last)
        relayed(link, last[1])
        other.ask("Ping")
        got = [each[1][0] for _, each in other.parcels if each[0] == "relay"]
        require(last[1][0] not in got, "a realm without members gets a post")
