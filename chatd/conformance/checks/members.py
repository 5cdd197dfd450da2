"""The tested realm as that of a member: the group lives in a realm of the suite."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from chatd.conformance.bench import CONTROL_TIME, SENDER, Bench, expect_refusal, require
from chatd.conformance.boxes import Box
from chatd.conformance.links import PlayedLink
from chatd.conformance.names import key_of
from chatd.conformance.realms import PlayedRealm
from chatd.conformance.signatures import DAY, ReadEntry, Signer, now, pack, read_entry
from chatd.conformance.suite import check

SIGNED = "Signed entries"
POSTS = "post, relay: messages of groups"
JOINS = "joined, removed, left, invite: changes of membership"
MESSAGE: list[Any] = ["message", None, [], None, None, None]
NEEDS = ("user", "groups", "control")


class Club:
    """A group of the suite's first realm, which the user of the tested realm has joined."""

    def __init__(self, bench: Bench, link: PlayedLink) -> None:
        self.bench = bench
        self.link = link
        self.name = f"club-{secrets.token_hex(4)}"
        self.ident = secrets.randbelow(1 << 40) + 1
        self.seq = 1
        self.joined: ReadEntry | None = None
        link.answers["Find"] = link.answers["Join"] = self._found

    @property
    def address(self) -> str:
        return f"{self.name}@{self.bench.one.name}"

    def _found(self, box: Box) -> Box | str:
        if key_of(box["group"].decode()) != self.name:
            return "unknown-group"
        return {"group": self.name.encode(), "group_id": b"%d" % self.ident}

    def join(self) -> None:
        """Let the user join. Their entry is verified."""
        bench, link = self.bench, self.link
        if bench.control is None:
            return
        joining = bench.control.start("join", user=bench.user, group=self.address)
        link.until(lambda: link.told("Join") or joining.done(), "Join")
        require(link.told("Join"), f"nobody has asked Join: {joining.done() and joining.result()}")
        entry = msgspec.msgpack.decode(link.told("Join")[0]["entry"])
        self.joined = read_entry(entry, bench.tested.keys)
        bench.kept(link, ["joined", self.name, self.ident, bench.user, self.seq])
        link.until(joining.done, "the answer of the control program to join", CONTROL_TIME)
        require(joining.result().get("ok"), f"the user could not join: {joining.result()}")

    def relay(self, entry: list[Any], seq: int = 0) -> list[Any]:
        """Relay an entry with the next seq. Returns the verdict."""
        self.seq += 1
        parcel = ["relay", entry, self.name, self.ident, seq or self.seq]
        (verdict,) = self.link.deliver([self.bench.item(parcel)])
        return list(verdict)

    def keeps(self, entry: list[Any], seq: int = 0) -> None:
        code = self.relay(entry, seq)[0]
        require(code == "", f"a relayed entry is refused with {code}")

    def refuses(self, entry: list[Any], *codes: str) -> None:
        expect_refusal(self.relay(entry), *(codes or ("bad-signature",)))

    def entry(
        self, text: str, *attributes: Any, realm: PlayedRealm | None = None, **more: Any
    ) -> list[Any]:
        """An entry that a realm of the suite signs."""
        home, group = more.pop("home", self.bench.one.key), more.pop("group", self.ident)
        what, author = list(attributes) or MESSAGE, more.pop("author", SENDER)
        body = text.encode()
        return (realm or self.bench.one).entry(home, group, author, what, body=body, **more)

    def target(self, entry: list[Any]) -> list[Any]:
        """What a change of the message of an entry is about."""
        said = msgspec.msgpack.decode(entry[0])
        return [said[1], said[2]]

    def texts(self) -> list[str | None]:
        return self.bench.texts(self.link, f"#{self.address}")


@contextmanager
def club(bench: Bench) -> Iterator[Club]:
    """A club of which the user is a member."""
    with bench.one.linked() as link:
        made = Club(bench, link)
        made.join()
        yield made


@check(SIGNED, "Join comes with an entry of the member's realm that says so", *NEEDS)
def signs_join(bench: Bench) -> None:
    with club(bench) as group:
        entry = group.joined
        address = f"{bench.user}@{bench.tested.realm}"
        require(entry is not None, "there is no entry")
        if entry is not None:
            says = (entry.realm, entry.home, entry.kind, entry.author)
            expected = (bench.tested.key, bench.one.key, "member", bench.user)
            require(says == expected, f"the statement says {says}")
            require(entry.group in (group.ident, group.name), f"its group is {entry.group}")
            require(entry.attributes[1] == "joined", f"it says {entry.attributes}")
            require(key_of(entry.attributes[2]) == key_of(address), f"it says {entry.attributes}")


@check(JOINS, "a home can't make people of another realm members", "user", "groups")
def not_requested(bench: Bench) -> None:
    with bench.one.linked() as link:
        joined = ["joined", "nobody-asked", 1234567, bench.user, 1]
        bench.turned_down(link, joined, "not-requested")


@check(POSTS, "entries of a group without members there are refused", "user", "groups")
def without_members(bench: Bench) -> None:
    with bench.one.linked() as link:
        group = Club(bench, link)
        group.refuses(group.entry(bench.text()), "unknown-group")


@check(POSTS, "relayed messages are kept, once", *NEEDS)
def kept_once(bench: Bench) -> None:
    with club(bench) as group:
        first, second = bench.text("one"), bench.text("two")
        entry = group.entry(first)
        group.keeps(entry)
        group.keeps(group.entry(second))
        group.keeps(entry, seq=group.seq + 10)
        texts = group.texts()
        require(texts == [first, second], f"the user reads {texts}")


@check(POSTS, "the user's post is signed and goes to the home", *NEEDS)
def posts(bench: Bench) -> None:
    with club(bench) as group:
        text = bench.text("from a member")
        bench.act(group.link, "post", group=group.address, text=text)
        number, parcel = group.link.parcel(lambda each: each[0] == "post", "the post")
        entry = read_entry(parcel[1], bench.tested.keys)
        require((entry.number, entry.body.decode()) == (number, text), "it says something else")
        require((entry.home, entry.group) == (bench.one.key, group.ident), "its group is another")
        group.keeps(parcel[1])
        require(group.texts().count(text) == 1, f"the user reads {group.texts()}")


@check(SIGNED, "an entry with another content is refused", *NEEDS)
def altered(bench: Bench) -> None:
    with club(bench) as group:
        entry = group.entry(bench.text())
        entry[4] = b"other words"
        group.refuses(entry)


@check(SIGNED, "an entry of another group or another home is refused", *NEEDS)
def moved(bench: Bench) -> None:
    with club(bench) as group:
        group.refuses(group.entry(bench.text(), group=group.ident + 1))
        group.refuses(group.entry(bench.text(), home=bench.two.key))


@check(SIGNED, "an entry without a signature or with another key is refused", *NEEDS)
def other_key(bench: Bench) -> None:
    with club(bench) as group:
        entry = group.entry(bench.text())
        entry[1][4] = b"0" * 64
        group.refuses(entry)
        own, bench.one.signer = bench.one.signer, Signer()
        try:
            entry = group.entry(bench.text())
        finally:
            bench.one.signer = own
        group.refuses(entry)


@check(SIGNED, "an entry in the name of the realm that reads it is refused", *NEEDS)
def invented(bench: Bench) -> None:
    with club(bench) as group:
        own = bench.one.key
        bench.one.key = bench.tested.key
        try:
            entry = group.entry(bench.text("invented"), home=own, author=bench.user)
        finally:
            bench.one.key = own
        group.refuses(entry)


@check(SIGNED, "a message of a realm whose key is not known is kept, an edit of it is not", *NEEDS)
def unverified(bench: Bench) -> None:
    with club(bench) as group:
        other = PlayedRealm(bench.place, f"{secrets.token_hex(6)}.example", bench.folder)
        message = group.entry(bench.text("unverified"), realm=other)
        group.keeps(message)
        edit = group.entry(bench.text(), "edited", [], realm=other, target=group.target(message))
        group.refuses(edit)


@check(SIGNED, "an entry of a third realm whose key is known is kept if the proof is right", *NEEDS)
def third_realm(bench: Bench) -> None:
    with bench.two.linked():
        pass
    with club(bench) as group:
        text = bench.text("third realm")
        entry = group.entry(text, realm=bench.two)
        group.keeps(entry)
        wrong = group.entry(bench.text(), realm=bench.two)
        wrong[1][4] = b"1" * 64
        group.refuses(wrong)
        require(group.texts() == [text], f"the user reads {group.texts()}")


@check(SIGNED, "a replaced key of a third realm proves nothing from a day after its end on", *NEEDS)
def replaced_key(bench: Bench) -> None:
    end, old = now() - 2 * DAY, Signer()
    keys = pack([bench.two.signer.announced, [old.public, 0, end]])
    with bench.two.linked(keys=keys):
        pass
    with club(bench) as group:
        own, bench.two.signer = bench.two.signer, old
        try:
            late = group.entry(bench.text(), realm=bench.two)
            early = group.entry(bench.text(), realm=bench.two, at=end - 1000)
        finally:
            bench.two.signer = own
        group.refuses(late)
        group.keeps(early)


@check(SIGNED, "a home that says that a guest has joined or left is refused", *NEEDS)
def about_guests(bench: Bench) -> None:
    with club(bench) as group:
        for what in ("joined", "left"):
            who = f"{bench.user}@{bench.tested.realm}"
            group.refuses(group.entry("", "member", what, who))


@check(SIGNED, "a home edits nobody's messages, and may delete them", *NEEDS, "changes")
def edited_by_home(bench: Bench) -> None:
    with bench.two.linked():
        pass
    with club(bench) as group:
        text = bench.text()
        message = group.entry(text, realm=bench.two)
        group.keeps(message)
        target = group.target(message)
        group.refuses(group.entry(bench.text(), "edited", [], target=target), "not-yours")
        require(group.texts() == [text], f"the user reads {group.texts()}")
        group.keeps(group.entry("", "deleted", target=target))
        group.keeps(group.entry(bench.text(), "edited", [], realm=bench.two, target=target))
        require(group.texts() == [None], f"the user reads {group.texts()}")


@check(SIGNED, "an entry without content is kept, with its statement and proof", *NEEDS)
def empty(bench: Bench) -> None:
    with club(bench) as group:
        entry = group.entry(bench.text("gone"))
        group.keeps([*entry[:2], b"", b"", b""])
        group.keeps(entry)  # a duplicate: kept as it was
        require(group.texts() == [None], f"the user reads {group.texts()}")
