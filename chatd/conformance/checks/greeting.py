"""Hello."""

from __future__ import annotations

import os

from chatd.conformance.bench import Bench, refused, require
from chatd.conformance.boxes import encode_texts
from chatd.conformance.links import LinkEnded, NoAnswer, PlayedLink, RefusedThere
from chatd.conformance.realms import CAPABILITIES, VERSION, read_hello
from chatd.conformance.signatures import pack
from chatd.conformance.suite import check

SECTION = "Hello"
KEY_SIZE = 32


@check(SECTION, "the answer has the name, version 2, capabilities, an instance, and keys")
def fields(bench: Bench) -> None:
    said = bench.tested
    require(said.version == VERSION, f"the version is {said.version}")
    require(said.realm and said.instance, "the name or the instance is empty")
    keys = said.keys
    require(1 <= len(keys) <= 16, f"there are {len(keys)} keys")
    good = all(len(key) == 3 and len(key[0]) == KEY_SIZE for key in keys)
    require(good, "a key is no array of 32 bytes and two times")
    require(keys[0][2] is None, "the first key is not the current one")


@check(SECTION, "the side that was dialled asks nothing before Hello")
def silent(bench: Bench) -> None:
    with bench.one.dialled() as link:
        link.pump(0.1)
        require(not link.requests, "a request came before Hello")


@check(SECTION, "a request before Hello is refused with not-greeted")
def too_early(bench: Bench) -> None:
    with bench.one.dialled() as link, refused("not-greeted"):
        link.ask("Ping")


@check(SECTION, "a second Hello is refused with already-greeted")
def twice(bench: Bench) -> None:
    with bench.one.linked() as link, refused("already-greeted"):
        link.ask("Hello", **bench.one.hello())


@check(SECTION, "a name that is not that of the certificate is refused with wrong-name")
def wrong_name(bench: Bench) -> None:
    with bench.one.dialled() as link, refused("wrong-name"):
        link.ask("Hello", **bench.one.hello(realm=b"somebody.example"))


def _other_version(bench: Bench, version: int) -> None:
    with bench.one.dialled() as link:
        try:
            link.ask("Hello", **bench.one.hello(version=b"%d" % version))
        except (LinkEnded, RefusedThere):
            pass
        else:
            require(False, f"version {version} is let in")
        _ended(link, f"version {version}")
        require(link.told("Goodbye"), "no Goodbye came")
        (goodbye,) = link.told("Goodbye")
        code, reason = goodbye["code"].decode(), goodbye["reason"].decode()
        require(code == "other-version", f"the code of Goodbye is {code}")
        both = str(version) in reason and str(VERSION) in reason
        require(both, f"the reason does not have both versions: {reason!r}")


def _ended(link: PlayedLink, what: str) -> None:
    require(link.ends(), f"the link stays open after {what}")


@check(SECTION, "version 1 gets a Goodbye with a sentence that has both versions")
def version_1(bench: Bench) -> None:
    _other_version(bench, 1)


@check(SECTION, "version 3 gets a Goodbye with a sentence that has both versions")
def version_3(bench: Bench) -> None:
    _other_version(bench, 3)


@check(SECTION, "keys that can't be decoded are refused with bad-keys")
def bad_keys(bench: Bench) -> None:
    many = [[os.urandom(KEY_SIZE), 0, None] for _ in range(17)]
    for keys in (b"\xc1", pack("text"), pack([[b"short", 0, None]]), pack(many)):
        with bench.one.dialled() as link, refused("bad-keys"):
            link.ask("Hello", **bench.one.hello(keys=keys))


@check("Capabilities", "unknown capabilities and arguments are ignored")
def unknown_capabilities(bench: Bench) -> None:
    known = encode_texts([*CAPABILITIES, "conformance-of-tomorrow"])
    with bench.one.linked(capabilities=known, tomorrow=b"x") as link:
        link.ask("Ping")


@check("Capabilities", "a realm that announces no capabilities is let in")
def no_capabilities(bench: Bench) -> None:
    with bench.one.linked(capabilities=b"") as link:
        link.ask("Ping")


@check(SECTION, "the instance stays the same until the realm starts again")
def same_instance(bench: Bench) -> None:
    with bench.one.dialled() as link:
        said = read_hello(link.ask("Hello", **bench.one.hello()))
        require(said.instance == bench.tested.instance, "two links have different instances")


@check(SECTION, "a second link that the same side dialled replaces the first")
def same_side(bench: Bench) -> None:
    with bench.one.linked() as old, bench.one.linked() as new:
        require(old.ends(), "the old link stays open")
        new.ask("Ping")


@check(SECTION, "a link of another start replaces that of the start before")
def other_start(bench: Bench) -> None:
    with bench.one.linked() as old, bench.one.linked(instance=os.urandom(16)) as new:
        require(old.ends(), "the old link stays open")
        new.ask("Ping")


@check("Restores", "a Hello without a standing is taken, and so is one that can't be read")
def standing(bench: Bench) -> None:
    with bench.one.linked(standing=pack([0, 1, 0, []])) as link:
        link.ask("Ping")
    try:
        with bench.one.linked(standing=b"\xc1") as link:
            link.ask("Ping")
    except (RefusedThere, LinkEnded, NoAnswer):
        require(False, "a standing that can't be read ends the link")
